"""A device on its own: a daemon without a model, a day and more of rows, the learner beside it, and a fault that is found."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.cli.processes import recorded_rows, started
from tests.conftest import Broker, Subscriber, wait_for

HOURS, PERIOD_S, T0_S = 30, 60, 1_790_000_000
ROWS = HOURS * 3600 // PERIOD_S
LEARNER_S = 120.0  # on a machine that does other things, too
SETTINGS = """
node = "n1"
state_dir = "{state}"
[mqtt]
host = "127.0.0.1"
port = {port}
[publish]
stats_interval_s = 1
[state]
checkpoint_s = 1
[record]
flush_s = 1
[learn]
family = "pca"
[[streams]]
topic = "plant/{{asset}}/t"
time = "ts"
model = "auto"
"""


def rows(first: int, last: int, flow: float = 1.0) -> list[dict[str, Any]]:
    """Two coupled signals, a row a minute; `flow`: what becomes of one of them."""
    rng, n = np.random.default_rng(first), np.arange(first, last)
    speed = 10.0 + 2.0 * np.sin(n / 17.0) + 0.05 * rng.normal(size=len(n))
    flows = flow * (2.0 * speed + 0.1 * rng.normal(size=len(n)))
    times = (1000 * (T0_S + PERIOD_S * n)).tolist()
    return [{"ts": t, "flow": f, "speed": s} for t, f, s in zip(times, flows.tolist(), speed.tolist(), strict=True)]


def learn(config: Path) -> str:
    command = [sys.executable, "-m", "edge_ae_train", "learn", "--once", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_device_learns_from_nothing_watches_at_once_and_finds_a_fault(
    tmp_path: Path, broker: Broker, listener: Subscriber
) -> None:
    config, log = tmp_path / "edge-ae.toml", tmp_path / "run.log"
    config.write_text(SETTINGS.format(state=tmp_path / "state", port=broker.port))
    started(log, "run", "--config", config)
    wait_for(lambda: "ready: " in log.read_text(), "the daemon")
    listener.publish_all("plant/p1/t", rows(0, ROWS))
    wait_for(lambda: (listener.last("n1/stats") or {}).get("used") == ROWS, "the rows")
    health = wait_for(lambda: next(iter(listener.bodies("p1/health")), None), "its health")
    assert (health["watching"], health["watched"]) == ("learning", False)
    assert health["learning"].endswith(" of 168 hours; first model at 24 h")
    assert "p1" in listener.last("n1/stats")["learning"]
    wait_for(lambda: recorded_rows(tmp_path / "state" / "recordings") >= ROWS - 1, "the recordings")
    wait_for(lambda: "p1: first model, pca of 2 channels" in learn(config), "the first model", LEARNER_S)
    watched = wait_for(
        lambda: next((one for one in listener.bodies("p1/health") if one["watched"]), None),
        "the watch, without a restart",
    )
    assert watched["learning"] == "learned from 29 of 168 hours; next model at 168 h"
    listener.publish_all("plant/p1/t", [*rows(ROWS, ROWS + 60), *rows(ROWS + 60, ROWS + 120, flow=0.7)])
    event = wait_for(lambda: next(iter(listener.bodies("p1/event")), None), "the alert")
    assert (event["type"], event["top_channel"]) == ("new", "flow")
    assert event["ts_onset"] >= "2026-09-22T21:"

"""`edge-ae run` and settings that are read again."""

import signal
from pathlib import Path

import pytest

from tests.cli.processes import started
from tests.conftest import Broker, Subscriber, wait_for
from tests.models import hand_made

SETTINGS = """
node = "n1"
state_dir = "{state}"
[mqtt]
host = "127.0.0.1"
port = {port}
[publish]
stats_interval_s = 1
[[streams]]
topic = "plant/{{asset}}/t"
time = "ts"
model = "{model}"
"""


def failures(listener: Subscriber) -> int:
    return int(listener.bodies("n1/stats")[-1]["reload_failures"])


def test_a_state_that_the_model_cannot_tell_leaves_the_old_settings_and_is_counted(
    tmp_path: Path, broker: Broker, listener: Subscriber, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config, log, model = tmp_path / "edge-ae.toml", tmp_path / "run.log", hand_made(tmp_path_factory)
    good = SETTINGS.format(state=tmp_path / "state", port=broker.port, model=model)
    config.write_text(good)
    process = started(log, "run", "--config", config)
    wait_for(lambda: "ready: " in log.read_text(), "the daemon")
    for number, when in enumerate(("speed > 1", "flow >"), start=1):
        config.write_text(f"{good}[alerts]\nwhen = '{when}'\n")
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: listener.bodies("n1/stats")[-1:] and failures(listener) == number, "the count")  # noqa: B023
    refused = [line for line in log.read_text().splitlines() if "not taken up, all stays as it was" in line]
    assert len(refused) == 2
    assert refused[0].endswith(f"alerts.when: 'speed' is no channel of the model; there are flow, pressure ({model})")
    assert "alerts.when: 'flow >' at its end" in refused[1]
    listener.publish_all(
        "plant/p1/t", [{"ts": 1_790_000_000_000 + 1000 * n, "flow": 5, "pressure": 2.5} for n in range(9)]
    )
    health = wait_for(lambda: next((b for b in listener.bodies("p1/health") if b["watched"]), None), "the old settings")
    assert health["when"] is None

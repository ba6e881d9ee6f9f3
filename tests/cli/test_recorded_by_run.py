"""What `edge-ae run` keeps for training, with real processes: rows and marks on disk, after a kill too."""

import signal
from pathlib import Path

import pytest

from edge_ae.core.timestamps import MS
from edge_ae.store.columnar.block import Mark
from edge_ae.store.recordings import marks_below, recorded_files, tables
from tests.cli.processes import started
from tests.conftest import Broker, Subscriber, wait_for
from tests.models import hand_made

SETTINGS = """
node = "n1"
state_dir = "{folder}/state"
[mqtt]
host = "127.0.0.1"
port = {port}
[publish]
stats_interval_s = 1
[alerts]
off_delay_s = 2
[record]
dir = "{folder}/kept"
flush_s = 1
[[streams]]
topic = "plant/{{asset}}/t"
time = "ts"
model = "{model}"
"""
T0_MS = 1_790_000_000_000


def recorded(folder: Path) -> list[float]:
    if not any(folder.glob("*/*.rows")):
        return []
    return [flow for file in recorded_files(folder) for table in tables(file) for flow in table.values[:, 0].tolist()]


def test_rows_and_alerts_are_kept_and_a_kill_costs_no_more_than_what_was_not_written(
    tmp_path: Path, broker: Broker, listener: Subscriber, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config, log, kept = tmp_path / "edge-ae.toml", tmp_path / "run.log", tmp_path / "kept"
    config.write_text(SETTINGS.format(folder=tmp_path, port=broker.port, model=hand_made(tmp_path_factory)))
    process = started(log, "run", "--config", config)
    wait_for(lambda: "ready: " in log.read_text(), "the daemon")
    flows = [5.0] * 20 + [90.0] * 10 + [5.0] * 30
    rows = [{"ts": T0_MS + 1000 * n, "flow": flow, "pressure": 2.5} for n, flow in enumerate(flows)]
    listener.publish_all("plant/p1/t", rows)
    (end,) = wait_for(lambda: [b for b in listener.bodies("p1/event") if b["type"] == "end"], "the alert's end")
    wait_for(lambda: recorded(kept) == flows, "the rows on disk")
    (alerted,) = wait_for(
        lambda: [m for m in marks_below(kept)["p1"] if m.until_ns > T0_MS * MS + 30_000 * MS], "the mark"
    )
    assert alerted == Mark(alerted.from_ns, alerted.until_ns, f"alert {end['id']}")
    stats = wait_for(lambda: [s for s in listener.bodies("n1/stats") if s["recorder"].get("rows") == 60], "stats")
    assert (stats[-1]["recorder"]["fault"], stats[-1]["recorder"]["bytes"] > 0) == (None, True)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    (path,) = kept.glob("p1/*.rows")
    path.write_bytes(path.read_bytes() + b"EAR1torn")
    started(log, "run", "--config", config)
    wait_for(lambda: "ready: " in log.read_text(), "the daemon again")
    listener.publish_all("plant/p1/t", [{"ts": T0_MS + 60_000, "flow": 6.0, "pressure": 2.5}])
    wait_for(lambda: recorded(kept)[-1:] == [6.0], "the next row")
    assert recorded(kept) == [*flows, 6.0]
    assert "cut off by a power cut" in log.read_text()

"""`edge-ae feedback` prints what people said, while the daemon runs."""

import json
import subprocess
import sys
from pathlib import Path

from edge_ae.store.node_store import FILE, Feedback, NodeStore


def run(directory: Path) -> subprocess.CompletedProcess[str]:
    (directory / "edge-ae.toml").write_text('node = "n"\nstate_dir = "state"\n')
    command = [sys.executable, "-m", "edge_ae", "feedback", "--config", str(directory / "edge-ae.toml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_all_feedback_is_printed_oldest_first(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    store = NodeStore(tmp_path / "state" / FILE)
    store.load()
    assert store.add_feedback(Feedback(1_790_000_000_000_000_000, "p1", "a1", "false_alarm", 'a "note"\nof two lines'))
    assert store.add_feedback(Feedback(1_790_000_060_000_000_000, "p2", "b2", "true_alarm", ""))
    done = run(tmp_path)  # the store is open still
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {
            "at": "2026-09-21T14:13:20.000Z",
            "asset": "p1",
            "id": "a1",
            "label": "false_alarm",
            "note": 'a "note"\nof two lines',
        },
        {"at": "2026-09-21T14:14:20.000Z", "asset": "p2", "id": "b2", "label": "true_alarm", "note": ""},
    ]


def test_where_nothing_is_kept_it_says_so_and_makes_nothing(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"edge-ae: {tmp_path}/state/edge-ae.db: the feedback in it cannot be read")
    assert not (tmp_path / "state").exists()

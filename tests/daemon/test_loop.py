"""Turns of the loop, one by one, on a link that leads nowhere: what each checkpoint covers."""

import json
from pathlib import Path

import pytest

from edge_ae.core import command_rate
from tests.fuzz.daemon import T0_NS, daemon

ROWS = 20


def row(number: int, value: float) -> tuple[str, bytes]:
    return "plant/p1/telemetry", json.dumps({"ts": T0_NS // 10**6 + 100 * number, "a": value, "b": 1.0}).encode()


def test_command_behind_an_alert_is_acknowledged_by_the_checkpoint_that_covers_what_it_did(tmp_path: Path) -> None:
    """The alert has a checkpoint of its own; a power cut right after it must not lose the command."""
    tried, link = daemon(tmp_path, checkpoint_s=1000)
    tried.checkpoints.load()
    covered: list[tuple[int, bool]] = []
    link.ack = lambda receipts: covered.append((len(list(receipts)), tried.fleet.detectors["p1"].alert.silent))
    rows = [row(number, 1.0 if number < ROWS // 2 else 50.0) for number in range(ROWS)]
    link.put([*rows, ("edge-ae/n1/p1/cmd/shelve", b'{"duration_s": 3600}')])
    tried.turn()
    assert covered == [(ROWS, False), (1, True)]


def test_commands_without_end_are_refused_and_keep_no_reading_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_rate, "AT_ONCE", 3)
    tried, link = daemon(tmp_path, checkpoint_s=1000)
    tried.checkpoints.load()
    link.put([row(number, 1.0) for number in range(ROWS)])
    tried.turn()
    rule = ("edge-ae/n1/p1/cmd/rule", b'{"channel": "a", "mute": true}')
    link.put([*[rule] * 200, row(ROWS, 1.0), row(ROWS + 1, 1.0)])
    tried.turn()
    assert tried.counts["commands"] == 3
    assert tried.ingest.refusals.counts["too_many_commands"] == 197
    assert tried.fleet.detectors["p1"].t_ns == T0_NS + ROWS * 10**8

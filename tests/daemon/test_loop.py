"""Turns of the loop, one by one, on a link that leads nowhere: what each checkpoint covers."""

import json
from pathlib import Path

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

from typing import Any

from edge_ae.core.orphans import Orphans


def told(identity: str, kind: str, seq: int = 1, t_ns: int = 1000) -> tuple[str, int, dict[str, Any]]:
    return (
        "p1",
        t_ns,
        {"id": identity, "type": kind, "seq": seq, "state": "active", "ts_onset": "1970-01-01T00:00:00.000Z"},
    )


def test_alert_that_time_passes_without_it_is_ended_once() -> None:
    orphans = Orphans([told("x", "new")], lambda _: None)
    assert orphans.passed("p1", 1000) == []
    ((asset, end),) = orphans.passed("p1", 1001)
    assert (asset, end["type"], end["id"], end["seq"], end["state"]) == ("p1", "end", "x", 2, "normal")
    assert orphans.passed("p1", 1002) == []
    assert len(orphans) == 0


def test_alert_that_rises_again_has_its_own_life() -> None:
    orphans = Orphans([told("x", "new")], lambda _: None)
    orphans.told_again("p1", "x")
    assert orphans.passed("p1", 2000) == []


def test_alert_that_the_state_knows_or_that_has_ended_is_no_orphan() -> None:
    assert len(Orphans([told("x", "new")], lambda _: "x")) == 0
    assert len(Orphans([told("x", "new"), told("x", "end", 2)], lambda _: None)) == 0


def test_alerts_of_an_asset_that_nobody_watches_are_ended_at_once() -> None:
    orphans = Orphans([told("x", "new"), told("y", "update", 3)], lambda _: None)
    assert {(end["id"], end["seq"]) for _, end in orphans.abandoned("p1", 1)} == {("x", 2), ("y", 4)}

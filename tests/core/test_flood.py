from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.alert_events import AlertEvent, EventType, FloodSummary
from edge_ae.core.flood import Flood
from tests.models import alert_of

WINDOW = 600


def event(kind: EventType, identity: str, seq: int = 1) -> AlertEvent:
    return AlertEvent(f"asset-{identity}", kind, identity, seq, alert_of(id=identity))


def new(identity: Any) -> AlertEvent:
    return event(EventType.NEW, str(identity))


def flooded() -> Flood:
    flood = Flood("n", 2, WINDOW)
    for i in range(3):
        flood.push(new(i), i)
    return flood


def test_alerts_up_to_the_limit_are_published() -> None:
    flood = Flood("n", 2, WINDOW)
    assert [flood.push(new(i), i) for i in range(2)] == [[new(0)], [new(1)]]


def test_one_more_becomes_a_summary() -> None:
    flood = Flood("n", 2, WINDOW)
    published = [flood.push(new(i), i) for i in range(4)]
    (summary,) = published[2]
    assert summary == FloodSummary("n", EventType.NEW, summary.id, 1, 2, WINDOW, 2, 2, 1, ("asset-2",))
    assert published[3] == []
    assert flood.withheld == 2


def test_alert_whose_beginning_was_withheld_is_silent_to_its_end() -> None:
    flood = flooded()
    assert flood.push(event(EventType.UPDATE, "2"), 5) == []
    assert flood.push(event(EventType.END, "2"), 6) == []
    assert flood.push(event(EventType.END, "0"), 7) == [event(EventType.END, "0")]


def test_flood_ends_when_half_the_limit_is_left_in_the_window() -> None:
    flood = flooded()
    assert flood.tick(WINDOW) == []
    (end,) = flood.tick(WINDOW + 1)
    assert (end.type, end.seq) == ("end", 2)
    assert not flood.active
    assert flood.push(new(9), WINDOW + 2) == [new(9)]


def test_restored_flood_goes_on_alike() -> None:
    flood = flooded()
    other = Flood("n", 2, WINDOW)
    other.restore(flood.snapshot())
    assert other.push(new(3), 4) == flood.push(new(3), 4) == []
    assert other.tick(10 * WINDOW) == flood.tick(10 * WINDOW)


@given(st.lists(st.tuples(st.integers(0, 5000), st.sampled_from(EventType), st.integers(0, 30))), st.integers(1, 5))
def test_no_window_publishes_more_than_the_limit(steps: list[tuple[int, EventType, int]], limit: int) -> None:
    flood, published = Flood("n", limit, WINDOW), []
    for t, kind, identity in sorted(steps, key=lambda step: step[0]):
        flood.tick(t)
        published += [
            t
            for one in flood.push(event(kind, str(identity)), t)
            if isinstance(one, AlertEvent) and one.type is EventType.NEW
        ]
    for start in published:
        assert sum(start <= t < start + WINDOW for t in published) <= limit

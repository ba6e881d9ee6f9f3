from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ae.store.outbox import MEMORY, START, Entry, Outbox


def entry(number: int, seq: int = 1, size: int = 2) -> Entry:
    return Entry(f"id{number}", seq, 10 * number, 100 * number, "base/n/a/event", b'"' + b"x" * (size - 2) + b'"')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.log"


def test_event_is_pending_until_it_is_confirmed_over_any_restart(path: Path) -> None:
    box = Outbox(path)
    assert box.append([entry(1), entry(2)]) == [entry(1), entry(2)]
    assert Outbox(path).pending(9) == [entry(1), entry(2)]
    box.done([("id1", 1)])
    again = Outbox(path)
    assert again.pending(9) == [entry(2)]
    assert list(again.history()) == [entry(1), entry(2)]


def test_known_event_is_not_taken_twice_pending_or_confirmed(path: Path) -> None:
    box = Outbox(path)
    box.append([entry(1), entry(2)])
    box.done([("id1", 1)])
    assert Outbox(path).append([entry(1), entry(2), entry(1, seq=2)]) == [entry(1, seq=2)]


def test_event_is_on_disk_before_append_returns(path: Path) -> None:
    Outbox(path).append([entry(1)])
    assert b'"id1"' in path.read_bytes()


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_torn_tail_is_cut_off_and_what_was_before_it_stays(path: Path, cut: int) -> None:
    box = Outbox(path)
    box.append([entry(1)])
    box.append([entry(2)])
    path.write_bytes(path.read_bytes()[:-cut])
    torn = Outbox(path)
    assert torn.pending(9) == ([entry(1), entry(2)] if cut == 1 else [entry(1)])
    torn.append([entry(3)])
    assert Outbox(path).pending(9)[-1] == entry(3)


def test_damaged_line_costs_only_itself(path: Path) -> None:
    box = Outbox(path)
    box.append([entry(1), entry(2), entry(3)])
    data = bytearray(path.read_bytes())
    data[data.index(b"id2")] ^= 1
    path.write_bytes(data)
    damaged = Outbox(path)
    assert damaged.pending(9) == [entry(1), entry(3)]
    assert damaged.counts["damaged_lines"] == 1


def test_broker_that_lost_its_memory_is_sent_the_recent_ones_again_in_order(path: Path) -> None:
    box = Outbox(path)
    box.append([entry(number) for number in (1, 2, 3)])
    box.done([("id1", 1), ("id2", 1)])
    assert (
        box.send_again(span_ns=0, now_ns=10**9) == 1
    )  # long after: what counts is how old it was when the newest came
    assert box.pending(9) == [entry(2), entry(3)]
    assert Outbox(path).pending(9) == [entry(2), entry(3)]


def test_broker_that_forgot_the_newest_is_sent_them_again_and_nothing_else(path: Path) -> None:
    box = Outbox(path)
    one, two, three, five = ((f"id{number}", 1) for number in (1, 2, 3, 5))
    box.append([entry(number) for number in (1, 2, 3, 4, 5)])
    box.done([one, two, three])
    assert box.last_confirmed == three
    again = Outbox(path)
    assert again.send_again_between(three, three) == 0  # it has all
    assert again.send_again_between(three, two) == 0  # it has more than we know of
    assert again.send_again_between(("unknown", 1), three) == 0
    assert Outbox(path).send_again_between(START, two) == 2  # a broker that was saved before the first
    again.done([five])  # after the mark was looked at
    assert again.send_again_between(one, three) == 2
    assert again.pending(9) == [entry(2), entry(3), entry(4)]


def test_confirmed_events_go_first_when_room_is_short(path: Path) -> None:
    box = Outbox(path, max_bytes=1000)
    box.append([entry(1, size=400), entry(2, size=400)])
    box.done([("id1", 1)])
    box.append([entry(3, size=400)])
    assert [one.id for one in box.history()] == ["id2", "id3"]
    assert box.counts["dropped"] == 0


def test_oldest_pending_event_is_dropped_and_counted_when_there_is_nothing_else_to_drop(path: Path) -> None:
    box = Outbox(path, max_messages=2)
    box.append([entry(number) for number in (1, 2, 3)])
    assert box.pending(9) == [entry(2), entry(3)]
    assert box.counts["dropped"] == 1
    assert Outbox(path, max_messages=2).pending(9) == [entry(2), entry(3)]


def test_file_and_memory_stay_bounded(path: Path) -> None:
    box = Outbox(path)
    for number in range(3 * MEMORY):
        box.append([entry(number, size=300)])
        box.done([(f"id{number}", 1)])
    assert len(list(box.history())) == MEMORY
    assert path.stat().st_size < 3_000_000


def test_disk_that_fails_leaves_it_working_in_memory_and_is_made_good_later(path: Path) -> None:
    path.mkdir()
    box = Outbox(path)
    assert box.append([entry(1)]) == [entry(1)]
    assert "in memory only" in str(box.fault)
    path.rmdir()
    box.retry()
    assert box.fault is None
    assert Outbox(path).pending(9) == [entry(1)]


@settings(max_examples=200)
@given(st.binary(max_size=300), st.integers(0, 10_000))
def test_any_file_is_read_without_a_crash(tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int) -> None:
    path = tmp_path_factory.mktemp("outbox") / "outbox.log"
    box = Outbox(path)
    box.append([entry(number) for number in range(3)])
    data = path.read_bytes()
    at %= len(data)
    path.write_bytes(data[:at] + junk + data[at:])
    assert set(Outbox(path).history()) <= {entry(number) for number in range(3)}


def test_clock_that_was_set_parts_no_end_from_its_beginning(path: Path) -> None:
    box = Outbox(path)
    beginning, end = entry(1), replace(entry(1, seq=2), at_ns=1)  # the clock was set back between them
    box.append([beginning, end])
    box.done([beginning.key, end.key])
    assert box.send_again(span_ns=0, now_ns=100) == 2
    assert box.pending(9) == [beginning, end]


def test_beginning_that_was_sent_again_is_not_remembered_longer_than_its_end(path: Path) -> None:
    box = Outbox(path)
    beginning, end = entry(1), entry(1, seq=2)
    box.append([entry(0), beginning])
    box.done([entry(0).key, beginning.key])
    box.append([end])
    box.done([end.key])
    assert box.send_again_between(entry(0).key, beginning.key) == 1
    box.done([beginning.key])  # now it stands behind its end
    others = [entry(number) for number in range(2, MEMORY + 1)]
    box.append(others)
    box.done([other.key for other in others])
    assert list(box.history()) == others

import zlib
from base64 import b64encode
from struct import pack

from edge_ae.core.deduplication import REMEMBERED_NS, Deduplicator

LIMIT = 4
CHECKSUM = zlib.crc32(b"x", zlib.crc32(b"topic")) & 0xFFFF


def receive(dedup: Deduplicator, mid: int, *, dup: bool = False, payload: bytes = b"x", connection: int = 1) -> bool:
    """Whether it is a duplicate."""
    return dedup.is_duplicate(connection, mid, dup, "topic", payload)


def test_duplicate_is_acknowledged_and_not_used() -> None:
    dedup = Deduplicator(LIMIT)
    assert not receive(dedup, 1)
    assert receive(dedup, 1, dup=True)
    assert (dedup.duplicates, dedup.unacknowledged) == (1, 2)
    assert list(dedup.settle(0)) == [(1, 1), (1, 1)]
    assert dedup.unacknowledged == 0


def test_same_packet_id_without_the_flag_is_another_message() -> None:
    dedup = Deduplicator(LIMIT)
    assert not receive(dedup, 1)
    assert not receive(dedup, 1)


def test_flagged_message_with_other_content_is_another_message() -> None:
    dedup = Deduplicator(LIMIT)
    assert not receive(dedup, 1)
    assert not receive(dedup, 1, dup=True, payload=b"y")


def test_message_is_known_after_it_was_acknowledged_for_that_may_not_have_arrived() -> None:
    dedup = Deduplicator(LIMIT)
    receive(dedup, 1)
    dedup.settle(0)
    dedup.settle(1)
    assert receive(dedup, 1, dup=True)


def test_what_was_acknowledged_long_ago_is_forgotten() -> None:
    dedup = Deduplicator(LIMIT)
    receive(dedup, 1)
    dedup.settle(REMEMBERED_NS)
    dedup.settle(2 * REMEMBERED_NS)
    assert not receive(dedup, 1, dup=True)


def test_what_was_acknowledged_long_ago_is_not_kept_over_a_restart() -> None:
    dedup = Deduplicator(LIMIT)
    receive(dedup, 1)
    dedup.settle(REMEMBERED_NS)
    receive(dedup, 2)
    dedup.forget(2 * REMEMBERED_NS - 1)
    assert receive(dedup, 1, dup=True)
    dedup.forget(2 * REMEMBERED_NS)
    assert receive(dedup, 2, dup=True)
    assert not receive(dedup, 1, dup=True)


def test_what_may_come_again_is_known_over_a_restart() -> None:
    dedup = Deduplicator(LIMIT)
    receive(dedup, 1)
    receive(dedup, 2)
    dedup.settle(REMEMBERED_NS)
    receive(dedup, 3)
    again = Deduplicator(LIMIT)
    again.restore(dedup.snapshot())
    assert [receive(again, mid, dup=True) for mid in (1, 2, 3)] == [True, True, True]
    assert again.duplicates == 3


def test_snapshot_holds_the_newest_and_no_more_than_can_come_again() -> None:
    dedup = Deduplicator(LIMIT)
    for mid in range(1, 11):
        receive(dedup, mid)
    again = Deduplicator(LIMIT)
    again.restore(dedup.snapshot())
    assert [mid for mid in range(1, 11) if receive(again, mid, dup=True)] == [7, 8, 9, 10]


def test_what_versions_before_0_3_kept_is_known() -> None:
    dedup = Deduplicator(LIMIT)
    dedup.restore({"known": b64encode(pack("<HHHH", 7, CHECKSUM, 3, CHECKSUM)).decode(), "duplicates": 5})
    assert [receive(dedup, mid, dup=True) for mid in (3, 7, 5)] == [True, True, False]
    assert dedup.duplicates == 7


def test_packet_ids_that_begin_anew_are_known_over_a_restart() -> None:
    dedup, again = Deduplicator(LIMIT), Deduplicator(LIMIT)
    for mid in (65_534, 65_535, 1, 2):
        receive(dedup, mid)
    again.restore(dedup.snapshot())
    assert all(receive(again, mid, dup=True) for mid in (65_534, 65_535, 1, 2))


def test_checkpoint_of_some_assets_covers_their_messages_and_no_others() -> None:
    dedup, again = Deduplicator(LIMIT), Deduplicator(LIMIT)
    base = dedup.snapshot()
    for mid, asset in ((1, "a"), (2, "b"), (3, "a")):
        receive(dedup, mid)
        dedup.used((asset,))
    first = dedup.covered(dedup.covered_by({"a"}) or [])
    dedup.cover({"a"})
    again.restore(base)
    again.restore_covered(first)
    assert [receive(again, mid, dup=True) for mid in (1, 2, 3)] == [True, False, True]
    assert dedup.covered_by({"a", "c"}) == []


def test_what_a_checkpoint_of_some_assets_covers_stays_known_with_the_next_one_of_all() -> None:
    dedup, again = Deduplicator(LIMIT), Deduplicator(LIMIT)
    for mid, asset in ((1, "a"), (2, "b")):
        receive(dedup, mid)
        dedup.used((asset,))
    dedup.cover({"a"})
    again.restore(dedup.snapshot())
    assert [receive(again, mid, dup=True) for mid in (1, 2)] == [True, True]


def test_acknowledgements_keep_the_order_of_the_messages_whatever_was_covered_first() -> None:
    dedup = Deduplicator(LIMIT)
    for mid, asset in ((1, "b"), (2, "a")):
        receive(dedup, mid)
        dedup.used((asset,))
    dedup.cover({"a"})
    assert list(dedup.settle(0)) == [(1, 1), (1, 2)]


def test_assets_of_one_message_are_saved_together_or_not_at_all() -> None:
    dedup = Deduplicator(LIMIT)
    receive(dedup, 1)
    dedup.used({"a", "b"})
    assert dedup.covered_by({"a"}) is None
    assert dedup.covered_by({"a", "b"}) == [1 << 16 | CHECKSUM]
    assert dedup.covered_by({"c"}) == []


def test_message_that_no_checkpoint_covers_comes_again_also_over_a_new_connection() -> None:
    dedup, again = Deduplicator(LIMIT), Deduplicator(LIMIT)
    receive(dedup, 1)
    dedup.used(("a",))
    dedup.reconnected(2, present=True)
    assert receive(dedup, 1, dup=True, connection=2)
    again.restore_covered(dedup.covered(dedup.covered_by({"b"}) or []))
    assert not receive(again, 1, dup=True)
    again.restore_covered(dedup.covered(dedup.covered_by({"a"}) or []))
    assert receive(again, 1, dup=True)


def test_new_session_begins_with_new_packet_ids() -> None:
    dedup = Deduplicator(LIMIT)
    receive(dedup, 1)
    dedup.reconnected(2, present=False)
    assert not receive(dedup, 1, dup=True, connection=2)


def test_what_was_kept_before_a_new_session_is_void_until_something_of_it_is_kept() -> None:
    dedup, seen = Deduplicator(LIMIT), []
    for act in (
        lambda: dedup.restore(dedup.snapshot()),
        lambda: dedup.reconnected(2, present=False),
        lambda: dedup.cover({"a"}),
        lambda: dedup.reconnected(3, present=False),
        lambda: dedup.settle(0),
        lambda: dedup.reconnected(4, present=True),
    ):
        seen.append(dedup.is_new)
        act()
    assert [*seen, dedup.is_new] == [True, False, True, False, True, False, False]


def test_what_an_earlier_connection_brought_cannot_be_acknowledged_and_is_known() -> None:
    dedup = Deduplicator(LIMIT)
    receive(dedup, 1)
    dedup.reconnected(2, present=True)
    assert list(dedup.settle(0)) == []
    assert receive(dedup, 1, dup=True, connection=2)
    assert list(dedup.settle(0)) == [(2, 1)]


def test_memory_is_bounded_however_fast_messages_come() -> None:
    dedup = Deduplicator(LIMIT)
    for mid in range(1, 1_000):
        receive(dedup, mid)
        dedup.settle(0)
    assert len(dedup._recent.entries) + len(dedup._older.entries) <= 2 * LIMIT
    assert all(receive(dedup, mid, dup=True) for mid in range(996, 1_000))


def test_one_message_is_acknowledged_where_no_checkpoint_can_be_written() -> None:
    dedup = Deduplicator(LIMIT)
    receive(dedup, 1)
    receive(dedup, 2)
    assert list(dedup.settle_oldest()) == [(1, 1)]
    assert dedup.unacknowledged == 1

from edge_ae.core.deduplication import Seen


def taken(seen: Seen, mid: int, *, dup: bool = False, payload: bytes = b"1") -> bool:
    return not seen.is_known(1, mid, dup, "t", payload)


def test_duplicate_is_owed_an_acknowledgement_and_not_used() -> None:
    seen = Seen()
    assert taken(seen, 7)
    assert not taken(seen, 7, dup=True)
    assert seen.owed == 2
    assert seen.repeated == 1


def test_message_is_acknowledged_after_two_checkpoints() -> None:
    seen = Seen()
    taken(seen, 1)
    assert seen.settle() == []
    taken(seen, 2)
    assert (seen.uncovered, seen.owed) == (1, 2)
    assert seen.settle() == [(1, 1)]
    assert seen.settle() == [(1, 2)]


def test_same_packet_id_without_the_flag_is_another_message() -> None:
    seen = Seen()
    assert taken(seen, 7)
    assert taken(seen, 7)


def test_flagged_message_with_other_content_is_another_message() -> None:
    seen = Seen()
    assert taken(seen, 7)
    assert taken(seen, 7, dup=True, payload=b"2")


def test_what_may_come_again_is_remembered_over_a_restart() -> None:
    seen = Seen()
    for mid in (1, 2):
        taken(seen, mid)
        seen.settle()
    taken(seen, 3)
    restored = Seen()
    restored.restore(seen.snapshot())
    assert [taken(restored, mid, dup=True) for mid in (1, 2, 3)] == [False, False, False]


def test_what_was_acknowledged_a_checkpoint_ago_is_forgotten() -> None:
    seen = Seen()
    for mid in (1, 2, 3, 4):
        taken(seen, mid)
        seen.settle()
    assert not taken(seen, 3, dup=True)
    assert taken(seen, 1, dup=True)


def test_new_session_begins_with_new_packet_ids() -> None:
    seen = Seen()
    taken(seen, 1)
    seen.reconnected(2, present=False)
    assert taken(seen, 1, dup=True)


def test_what_an_earlier_connection_brought_is_owed_no_more_and_yet_known() -> None:
    seen = Seen()
    for mid in (1, 2):
        taken(seen, mid)
        seen.settle()
    taken(seen, 3)
    seen.reconnected(2, present=True)
    assert seen.owed == 0
    assert not taken(seen, 3, dup=True)

"""The outbox: nothing that was taken in is lost or known twice, over any restart, disk fault and forgetful broker."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ae.store.node_store import Changes, NodeStore
from edge_ae.store.outbox import KEPT, START, Key, OutgoingMessage


def message(number: int, seq: int = 1, size: int = 2) -> OutgoingMessage:
    return OutgoingMessage(f"id{number}", seq, 10 * number, 100 * number, "base/n/a/event", b"x" * size)


def opened(path: Path | None, max_messages: int = 10_000, max_bytes: int = 2**20) -> NodeStore:
    store = NodeStore(path, max_messages, max_bytes)
    store.load()
    return store


def restarted(store: NodeStore) -> NodeStore:
    """What the next process finds, after a commit of this one."""
    assert store.commit(Changes())
    store.close()
    return opened(store.database.path)


@pytest.fixture
def store(tmp_path: Path) -> NodeStore:
    return opened(tmp_path / "edge-ae.db")


def test_message_is_pending_until_it_is_acknowledged_over_any_restart(store: NodeStore) -> None:
    assert store.outbox.append([message(1), message(2)]) == 2
    store = restarted(store)
    assert store.outbox.pending(9) == [message(1), message(2)]
    store.outbox.acknowledge([("id1", 1)])
    store = restarted(store)
    assert store.outbox.pending(9) == [message(2)]
    assert store.outbox.last_acknowledged == ("id1", 1)


def test_known_message_is_not_taken_twice_pending_or_acknowledged(store: NodeStore) -> None:
    store.outbox.append([message(1), message(2)])
    store.outbox.acknowledge([("id1", 1)])
    assert store.outbox.append([message(1), message(2)]) == 0
    assert restarted(store).outbox.append([message(1), message(2), message(1, seq=2)]) == 1


def test_what_was_not_committed_is_not_there_after_a_crash(store: NodeStore) -> None:
    store.outbox.append([message(1)])
    assert opened(store.database.path).outbox.pending(9) == []


def test_acknowledgement_that_was_not_committed_is_made_good_by_the_mark(store: NodeStore) -> None:
    store.outbox.append([message(1), message(2), message(3)])
    store.commit(Changes())
    store.outbox.acknowledge([("id1", 1), ("id2", 1)])
    crashed = opened(store.database.path)
    assert crashed.outbox.acknowledge_up_to(("id2", 1)) == 2
    assert crashed.outbox.pending(9) == [message(3)]


def test_mark_that_is_not_pending_acknowledges_nothing(store: NodeStore) -> None:
    store.outbox.append([message(1)])
    assert store.outbox.acknowledge_up_to(("unknown", 7)) == 0
    assert len(store.outbox) == 1


def test_broker_that_lost_its_memory_is_sent_the_recent_ones_again_in_order(store: NodeStore) -> None:
    store.outbox.append([message(number) for number in (1, 2, 3)])
    store.outbox.acknowledge([("id1", 1), ("id2", 1)])
    store.commit(Changes())
    assert store.outbox.send_again(span_ns=0, now_ns=10**9) == 1  # what counts is how old it was when the newest came
    assert restarted(store).outbox.pending(9) == [message(2), message(3)]


def test_broker_that_forgot_the_newest_is_sent_them_again_and_nothing_else(store: NodeStore) -> None:
    outbox = store.outbox
    one, two, three, five = ((f"id{number}", 1) for number in (1, 2, 3, 5))
    outbox.append([message(number) for number in (1, 2, 3, 4, 5)])
    outbox.acknowledge([one, two, three])
    store.commit(Changes())
    assert outbox.send_again_between(three, three) == 0
    assert outbox.send_again_between(one, three) == 2
    assert outbox.pending(9) == [message(number) for number in (2, 3, 4, 5)]
    outbox.acknowledge([two, three])
    assert outbox.send_again_between(START, three) == 3
    assert outbox.send_again_between(five, three) == 0


def test_clock_that_was_set_parts_no_end_from_its_beginning(store: NodeStore) -> None:
    begun = OutgoingMessage("x", 1, 0, 5_000, "t", b"new")
    ended = OutgoingMessage("x", 2, 0, 1_000, "t", b"end")
    store.outbox.append([begun, ended])
    store.outbox.acknowledge([begun.key, ended.key])
    store.commit(Changes())
    assert store.outbox.send_again(span_ns=10, now_ns=10_000) == 2


WITHDRAWAL = OutgoingMessage("n/a/alert", 7, 7, 7, "n/a/alert", b"", True)


def test_withdrawal_is_retained_and_sent_again_to_a_broker_that_forgot_it(store: NodeStore) -> None:
    store.outbox.append([WITHDRAWAL])
    store = restarted(store)
    assert store.outbox.pending(9) == [WITHDRAWAL]
    store.outbox.acknowledge([WITHDRAWAL.key])
    store = restarted(store)
    assert store.outbox.send_again(span_ns=10**9, now_ns=10**9) == 1
    assert store.outbox.pending(9) == [WITHDRAWAL]


@pytest.mark.parametrize("acknowledged", [True, False])
@pytest.mark.parametrize("committed", [True, False])
def test_withdrawal_of_an_asset_that_is_back_is_never_sent(
    store: NodeStore, acknowledged: bool, committed: bool
) -> None:
    store.outbox.append([WITHDRAWAL, message(1)])
    if acknowledged:
        store.outbox.acknowledge([WITHDRAWAL.key])
    if committed:
        store = restarted(store)
    store.outbox.cancel([WITHDRAWAL.topic])
    assert store.outbox.send_again(span_ns=10**9, now_ns=10**9) == 0
    assert store.outbox.pending(9) == [message(1)]
    store = restarted(store)
    assert store.outbox.send_again(span_ns=10**9, now_ns=10**9) == 0
    assert store.outbox.pending(9) == [message(1)]
    assert store.outbox.append([WITHDRAWAL]) == 1  # it goes once more


def test_oldest_pending_message_is_dropped_and_counted_when_there_is_no_room(tmp_path: Path) -> None:
    store = opened(tmp_path / "edge-ae.db", max_messages=2)
    store.outbox.append([message(1), message(2), message(3)])
    assert store.outbox.pending(9) == [message(2), message(3)]
    assert store.outbox.counts["dropped"] == 1
    assert restarted(store).outbox.pending(9) == [message(2), message(3)]


def test_bytes_of_what_is_pending_are_bounded(tmp_path: Path) -> None:
    store = opened(tmp_path / "edge-ae.db", max_bytes=1_000)
    store.outbox.append([message(number, size=400) for number in range(4)])
    assert store.outbox.pending(9) == [message(2, size=400), message(3, size=400)]


def test_acknowledged_messages_are_kept_for_a_while_and_no_longer(store: NodeStore) -> None:
    for first in range(0, 3 * KEPT, 500):
        messages = [message(number) for number in range(first, first + 500)]
        store.outbox.append(messages)
        store.outbox.acknowledge([one.key for one in messages])
        store.commit(Changes())
    assert len(store.database.rows("SELECT 1 FROM event")) <= KEPT + 1
    assert store.outbox.knows(message(3 * KEPT - 1).key)
    assert not store.outbox.knows(message(0).key)


def test_altered_message_is_left_out_and_counted(store: NodeStore) -> None:
    store.outbox.append([message(1), message(2)])
    store.commit(Changes())
    assert store.database.path is not None
    with sqlite3.connect(store.database.path) as direct:
        direct.execute("UPDATE event SET payload = ? WHERE id = 'id1'", (b"forged",))
    again = opened(store.database.path)
    assert again.outbox.pending(9) == [message(2)]
    assert again.outbox.counts["damaged"] == 1


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 9)),
        st.tuples(st.just("acknowledge"), st.integers(1, 3)),
        st.tuples(st.just("commit"), st.just(0)),
        st.tuples(st.just("crash"), st.just(0)),
    ),
    max_size=30,
)


@given(ACTIONS)
@settings(max_examples=60)
def test_after_any_history_pending_is_what_was_committed_and_not_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int]]
) -> None:
    """A model of the outbox: lists that crash back to their last commit."""
    store = opened(tmp_path_factory.mktemp("box") / "edge-ae.db")
    pending: list[Key] = []
    known: set[Key] = set()
    saved: tuple[list[Key], set[Key]] = ([], set())
    for action, number in actions:
        if action == "append":
            new = message(number).key not in known
            assert store.outbox.append([message(number)]) == new
            pending += [message(number).key] if new else []
            known.add(message(number).key)
        elif action == "acknowledge":
            store.outbox.acknowledge(pending[:number])
            pending = pending[number:]
        elif action == "commit":
            assert store.commit(Changes())
            saved = list(pending), set(known)
        else:
            store.close()
            store = opened(store.database.path)
            pending, known = list(saved[0]), set(saved[1])
        assert [one.key for one in store.outbox.pending(99)] == pending
    store.close()

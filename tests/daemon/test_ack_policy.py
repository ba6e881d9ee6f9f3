"""When checkpoints are written, and what a broker that allows few messages under way is found out by."""

from itertools import pairwise

from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.ack_policy import RETRY_NS, STALLED_MESSAGES, AckPolicy, Patience, StallDetector

LIMIT = 100


def detector() -> StallDetector:
    return StallDetector(LIMIT, Patience(2 * SECOND, SECOND // 10, 16 * SECOND), now_ns=0)


def policy() -> AckPolicy:
    return AckPolicy(60 * SECOND, LIMIT, 0)


def test_nothing_is_due_while_nothing_is_new() -> None:
    assert not policy().due(3600 * SECOND, 0, changed=False, failing=False)


def test_news_is_due_once_the_last_checkpoint_is_old_enough() -> None:
    kept = policy()
    assert not kept.due(59 * SECOND, 1, changed=True, failing=False)
    assert kept.due(60 * SECOND, 1, changed=True, failing=False)
    kept.tried(60 * SECOND)
    assert not kept.due(61 * SECOND, 1, changed=True, failing=False)


def test_three_quarters_of_what_may_wait_are_due_at_once() -> None:
    assert not policy().due(1, 3 * LIMIT // 4, changed=True, failing=False)
    assert policy().due(1, 3 * LIMIT // 4 + 1, changed=True, failing=False)


def test_disk_that_fails_is_not_tried_more_than_once_a_second() -> None:
    kept = policy()
    kept.tried(0)
    assert not kept.due(RETRY_NS - 1, LIMIT, changed=True, failing=True)
    assert kept.due(RETRY_NS, LIMIT, changed=True, failing=True)


def test_broker_sends_nothing_more_once_all_that_may_wait_does() -> None:
    assert not policy().exhausted(LIMIT - 1)
    assert policy().exhausted(LIMIT)


def test_broker_that_goes_on_the_moment_it_is_answered_was_waiting_and_its_limit_is_known() -> None:
    found = detector()
    assert not found.stalled(2 * SECOND - 1, 20)
    assert found.stalled(2 * SECOND, 20)
    assert found.received(2 * SECOND + SECOND // 20)
    assert found.limit == 20


def test_broker_that_goes_on_later_was_silent_of_its_own_and_is_asked_after_twice_the_time() -> None:
    found = detector()
    assert found.stalled(2 * SECOND, 20)
    assert not found.received(3 * SECOND)
    assert found.limit == LIMIT
    assert not found.stalled(6 * SECOND, 20)
    assert found.stalled(7 * SECOND, 20)


def test_few_messages_are_not_worth_asking_for() -> None:
    assert not detector().stalled(3600 * SECOND, STALLED_MESSAGES - 1)


def test_patience_grows_to_its_limit_and_no_further() -> None:
    found = detector()
    now_ns, asked = 0, []
    for second in range(200):
        now_ns = second * SECOND
        if found.stalled(now_ns, 20):
            asked.append(second)
            found.received(now_ns + SECOND)
    assert {b - a for a, b in pairwise(asked[4:])} == {17}


def test_learned_limit_makes_checkpoints_come_in_time() -> None:
    kept = policy()
    assert kept.stalled(2 * SECOND, 20)
    kept.received(2 * SECOND + 1)
    assert kept.due(2 * SECOND + 2, 16, changed=True, failing=False)
    assert kept.exhausted(20)

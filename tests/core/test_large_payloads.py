"""What is held of large payloads has one bound in all, counted in memory, and small ones always find room."""

import sys
from typing import Any

import orjson
import pytest

from edge_ae.core.large_payloads import SMALL, LargePayloads, size_once_read

LARGE = b'"' + b"x" * SMALL + b'"'
SIZE = size_once_read(LARGE)


def test_small_ones_find_room_when_large_ones_have_taken_all() -> None:
    held = LargePayloads(most=2 * SIZE)
    assert [held.admits(owner, LARGE) for owner in "abc"] == [True, True, False]
    assert all(held.admits(number, b'{"state": "active"}') for number in range(10_000))
    assert held.total == 2 * SIZE


def test_an_owner_holds_one_and_a_small_one_or_none_in_its_place_makes_room() -> None:
    held = LargePayloads(most=SIZE)
    assert [held.admits("a", LARGE) for _ in range(3)] == [True, True, True]
    assert not held.admits("b", LARGE)
    assert held.admits("a", b"{}")
    assert held.admits("b", LARGE)
    held.release("b")
    held.release("b")
    assert held.total == 0


def test_an_owner_whose_next_finds_no_room_holds_nothing() -> None:
    held = LargePayloads(most=2 * SIZE)
    assert held.admits("a", LARGE)
    assert held.admits("b", LARGE)
    assert not held.admits("b", b'"' + b"x" * 2 * SMALL + b'"')
    assert held.total == SIZE


@pytest.mark.parametrize(
    "payload",
    [
        b"[" + b",".join([b"[]"] * 2_000) + b"]",
        b"[" + b",".join([b"{}"] * 2_000) + b"]",
        b"[" + b",".join([b'{"a":[1e9]}'] * 2_000) + b"]",
        b"[" + b",".join([b"7777"] * 2_000) + b"]",
        b"[" + b",".join([b'"ab"'] * 2_000) + b"]",
        b'{"a":' * 400 + b"1" + b"}" * 400,
        orjson.dumps({str(number): number + 10**9 for number in range(1_366)}),
        orjson.dumps(["é"] * 2_000),
        orjson.dumps(["x" * 1_000 + "\U0001f600"]),
        b'["' + b"x" * 1_000 + b'\\ud83d\\ude00"]',
    ],
)
def test_the_estimate_is_above_what_it_takes_and_not_by_far(payload: bytes) -> None:
    taken = _taken(orjson.loads(payload))
    assert taken <= size_once_read(payload) <= 4 * taken


def _taken(value: Any) -> int:
    """In bytes, with what the collector keeps before each list and object."""
    own = sys.getsizeof(value) + 16 * isinstance(value, dict | list)
    if isinstance(value, dict):
        return own + sum(_taken(name) + _taken(each) for name, each in value.items())
    return own + (sum(map(_taken, value)) if isinstance(value, list) else 0)

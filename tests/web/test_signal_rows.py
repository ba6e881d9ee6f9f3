"""Rows of an asset's signals are kept each once, the newest so many, whatever comes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.web.signal_rows import CHANNELS, ROWS, SignalRows

BEGIN = 1_795_435_200


def message(*seconds: int, names: tuple[str, ...] = ("flow",), **more: Any) -> dict[str, Any]:
    columns = {"observed": [float(second) for second in seconds], "expected": [0.5] * len(seconds)}
    known = {"unit": "bar", "deviation": 0.1, "low": 0, "high": 9}
    return {
        "schema": 1,
        "ts": [rfc3339((BEGIN + second) * SECOND) for second in seconds],
        "score": [1.5] * len(seconds),
        "threshold": [None] * len(seconds),
        "channels": [{"name": name, **known, **columns} for name in names],
    } | more


def times(rows: dict[str, Any]) -> list[int]:
    return [t_ms // 1000 - BEGIN for t_ms in rows["ts"]]


def test_rows_come_in_columns_and_each_once() -> None:
    rows = SignalRows()
    assert rows.take(message(0, 1, 2))
    assert rows.take(message(1, 2, 3))
    assert rows.rows == 4
    assert rows.since(0) == {
        "generation": 1,
        "ts": [(BEGIN + second) * 1000 for second in range(4)],
        "score": [1.5] * 4,
        "threshold": [None] * 4,
        "channels": [
            {"name": "flow", "unit": "bar", "deviation": 0.1, "low": 0.0, "high": 9.0}
            | {"observed": [0.0, 1.0, 2.0, 3.0], "expected": [0.5] * 4}
        ],
    }
    assert times(rows.since(3)) == [3]
    assert times(rows.since(4)) == []


def test_a_whole_window_that_comes_behind_newer_rows_takes_their_place() -> None:
    rows = SignalRows()
    rows.take(message(8, 9))
    rows.take(message(*range(10)))
    assert times(rows.since(0)) == [*range(10)]
    assert rows.generation == 2


def test_other_channels_begin_anew() -> None:
    rows = SignalRows()
    rows.take(message(5))
    rows.take(message(3, names=("flow", "head")))
    assert (rows.generation, rows.rows, times(rows.since(0))) == (2, 1, [3])


def test_the_newest_rows_and_the_first_channels_are_kept() -> None:
    rows = SignalRows()
    rows.take(message(*range(ROWS + 100), names=tuple(f"c{number}" for number in range(CHANNELS + 6))))
    kept = rows.since(0)
    assert (len(kept["ts"]), times(kept)[-1], len(kept["channels"])) == (ROWS, ROWS + 99, CHANNELS)
    assert (rows.channels, rows.shown) == (CHANNELS + 6, CHANNELS)
    assert len(kept["channels"][0]["observed"]) == ROWS


@pytest.mark.parametrize("change", [{"ts": None}, {"ts": ["never"]}, {"ts": [5]}, {"channels": {}}, {"ts": [{}]}])
def test_a_message_of_another_form_changes_nothing(change: dict[str, Any]) -> None:
    rows = SignalRows()
    assert not rows.take(message(0) | change)
    assert rows.rows == 0


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.just("2026-11-26T10:00:00Z"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "observed", "expected", "unit"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    st.lists(
        st.fixed_dictionaries({}, optional=dict.fromkeys(("ts", "score", "threshold", "channels"), anything)),
        max_size=4,
    )
)
def test_no_message_can_break_the_columns(messages: list[dict[str, Any]]) -> None:
    rows = SignalRows()
    for one in messages:
        rows.take(one)
    kept = rows.since(0)
    lengths = {len(kept["ts"]), len(kept["score"]), len(kept["threshold"])}
    lengths |= {len(channel[key]) for channel in kept["channels"] for key in ("observed", "expected")}
    assert len(lengths) == 1


def test_a_clock_that_was_far_ahead_and_is_set_back_does_not_stop_the_picture() -> None:
    rows = SignalRows()
    rows.take(message(0, 1, 7_000_000_000))
    rows.take(message(0, 1))
    assert rows.rows == 3, "rows that are known"
    rows.take(message(2))
    rows.take(message(3))
    assert times(rows.since(0)) == [2, 3]
    assert rows.generation == 2

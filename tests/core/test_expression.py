"""The state in which an asset is watched: what is understood, what is refused, and what holds where values are missing."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.expression import DEEPEST, FAILS, HOLDS, LONGEST, UNKNOWN, Expression

NAN = math.nan
CHANNELS = ("speed", "load", "Door open", "it's")


def holds(text: str, *row: float) -> int:
    (found,) = Expression.of(text).truth(CHANNELS, [[*row, *[NAN] * (len(CHANNELS) - len(row))]])
    return int(found)


@pytest.mark.parametrize(
    ("text", "row", "truth"),
    [
        ("speed > 100", (100.0,), FAILS),
        ("speed > 100", (100.1,), HOLDS),
        ("speed >= 100", (100.0,), HOLDS),
        ("100 > speed", (50.0,), HOLDS),
        ("speed == 1e2", (100.0,), HOLDS),
        ("speed != -1.5", (-1.5,), FAILS),
        ("speed > load", (3.0, 2.0), HOLDS),
        ("speed > 1 and load > 1", (2.0, 0.0), FAILS),
        ("speed > 1 or load > 1", (2.0, 0.0), HOLDS),
        ("load > 1 or speed > 1 and load > 5", (2.0, 2.0), HOLDS),
        ("(load > 1 or speed > 1) and load > 5", (2.0, 2.0), FAILS),
        ("not speed > 1", (2.0,), FAILS),
        ("not (speed > 1 and load > 1)", (2.0, 0.0), HOLDS),
        ("not not speed > 1", (2.0,), HOLDS),
        ('"Door open" == 0', (0.0, 0.0, 0.0), HOLDS),
        ("'Door open' <= 0 and \"it's\">0", (0.0, 0.0, 0.0, 1.0), HOLDS),
        ("speed > 1", (NAN,), UNKNOWN),
        ("speed > 1 and load > 1", (NAN, 0.0), FAILS),
        ("speed > 1 and load > 1", (NAN, 2.0), UNKNOWN),
        ("speed > 1 or load > 1", (NAN, 2.0), HOLDS),
        ("not speed > 1", (NAN,), UNKNOWN),
        ("speed > 1", (math.inf,), HOLDS),
    ],
)
def test_what_holds_and_what_does_not(text: str, row: tuple[float, ...], truth: int) -> None:
    assert holds(text, *row) == truth


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("speed > ", "at its end, character 8: a channel or a number is expected"),
        ("speed 100", "at '100', character 7: one of < <= > >= == != is expected"),
        ("speed > 100 load", "at 'load', character 13: and, or, or the end is expected"),
        ("(speed > 100", "at its end, character 13: and, or, or a closing parenthesis is expected"),
        ("speed = 100", "at '= 100', character 7: a channel, a number or a comparison is expected"),
        ("0 < speed < 100", "at '< 100', character 11: and, or, or the end is expected"),
        ("__import__('os').system('x')", "at \".system('x')\", character 17: a channel, a number or a comparison"),
        ("speed > 100; load", "at '; load', character 12: a channel, a number or a comparison"),
        ("and > 1", "at 'and > 1', character 1: a channel or a number is expected"),
        ("", "at its end, character 1: a channel or a number is expected"),
        ("1 > 0", "names no channel"),
        ('"speed > 1', "at '\"speed > 1', character 1"),
        ("12rpm > 1", "at '12rpm > 1', character 1"),
        ("not " * (DEEPEST + 1) + "speed > 1", f"no more than {DEEPEST} parentheses and nots"),
        ("(" * 400 + "speed > 1" + ")" * 400, f"no more than {DEEPEST} parentheses and nots"),
        ("speed > 1 or " * 100 + "load > 1", f"has 1308 characters, {LONGEST} are the most"),
    ],
)
def test_what_cannot_be_understood_is_refused_at_its_place(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Expression.of(text)


def test_a_name_that_is_no_channel_is_named_with_those_that_there_are() -> None:
    expression = Expression.of("sped > 1 and load > 1")
    assert expression.names == ("sped", "load")
    assert expression.unknown(CHANNELS) == "'sped' is no channel of the model; there are speed, load, Door open, it's"
    assert Expression.of("load > 1").unknown(CHANNELS) is None


@given(text=st.text(st.sampled_from("speed load andornot<>=!()\"'.1e+- "), max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        expression = Expression.of(text)
    except ValueError:
        return
    assert len(expression.truth(expression.names, np.zeros((3, len(expression.names))))) == 3


@given(rows=st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), min_size=1, max_size=20))
def test_rows_at_once_and_one_by_one_are_the_same(rows: list[tuple[float, float]]) -> None:
    expression = Expression.of("speed > 1 and not (load <= 2 or speed == load)")
    whole = expression.truth(CHANNELS[:2], rows).tolist()
    assert whole == [expression.truth(CHANNELS[:2], [row]).tolist()[0] for row in rows]


def test_it_holds_in_single_precision_as_a_trainer_has_it() -> None:
    assert holds("speed > 100", 100.000001) == FAILS

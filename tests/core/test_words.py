"""Texts where numbers are meant: numbers, words of two states, words for no value, and text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.words import MISSING, WORDS, number_of_text, number_with_unit, word_table


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("55.1", 55.1), (" 55.1 ", 55.1), ("-3", -3.0), ("1e3", 1000.0), (".5", 0.5),
        ("7,21", 7.21), ("-0,125", -0.125), (",5", 0.5), ("1013,2500", 1013.25),
        ("1.234,5", 1234.5), ("1,234.5", 1234.5), ("-1 234 567,8", -1234567.8), ("1'234.25", 1234.25),
        ("ON", 1.0), ("Off", 0.0), (" closed", 0.0), ("TRUE", 1.0), ("nein", 0.0), ("inf", math.inf),
    ],
)  # fmt: skip
def test_text_that_says_a_number_is_that_number(text: str, value: float) -> None:
    assert number_of_text(text) == value


@pytest.mark.parametrize("text", ["", " ", "NaN", "n/a", "N/A", "null", "Unavailable", "unknown", "--", "No Data"])
def test_word_for_no_value_is_no_value(text: str) -> None:
    found = number_of_text(text)
    assert found is not None
    assert math.isnan(found)


@pytest.mark.parametrize(
    "text",
    [
        "pump-1",
        "1,234",
        "1,234,567",
        "1.23,4",
        "1,234,5",
        "1_0",
        "0x1F",
        "12:30",
        "1 2",
        "10.0.0.1",
        "9" * 65,
        "21.5 °C",
    ],
)
def test_what_may_mean_something_else_is_text(text: str) -> None:
    assert number_of_text(text) is None


def test_own_words_come_before_those_that_are_known() -> None:
    words = word_table({"Auto": 1, "manual": 2, "unknown": 3, "on": 5})
    assert [number_of_text(text, words) for text in ("AUTO", "Manual", "unknown", "ON", "off")] == [1, 2, 3, 5, 0]


def test_no_word_means_both_a_number_and_nothing() -> None:
    assert MISSING & set(WORDS) == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("21.5 °C", (21.5, "°C")), ("55%", (55.0, "%")), ("55 %", (55.0, "%")), ("7,2 bar", (7.2, "bar")), ("1e3 Pa", (1000.0, "Pa")),
        ("2b", None), ("4 of 7", None), ("12:30", None), ("0x1F", None), ("3 errors", None), ("v1.2", None), ("1,234 l", None),
    ],
)  # fmt: skip
def test_number_may_have_a_unit_that_is_known_behind_it(text: str, expected: tuple[float, str] | None) -> None:
    assert number_with_unit(text) == expected


@given(st.text(max_size=70))
def test_any_text_is_a_number_no_value_or_text(text: str) -> None:
    assert isinstance(number_of_text(text), float | None)
    number_with_unit(text)

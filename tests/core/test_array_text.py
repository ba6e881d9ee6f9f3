"""Numbers come back from a snapshot as they were, missing ones and those that no sensor sends among them."""

from base64 import b64encode
from typing import Any

import numpy as np
import orjson
import pytest

from edge_ae.core.array_text import array_of, text_of

KINDS = (np.float32, np.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_comes_back_as_it_was(kind: Any) -> None:
    values = (np.random.default_rng(1).normal(size=5000) * 10.0 ** np.arange(-25, 25).repeat(100)).astype(kind)
    assert np.array_equal(array_of(text_of(values), kind), values)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_value_stays_missing_and_an_infinite_one_stays_beyond_all_others(kind: Any) -> None:
    back = array_of(text_of(np.array([[1.5, np.nan], [np.inf, -np.inf]], kind)), kind)
    largest = np.finfo(kind).max
    assert np.array_equal(back, np.array([1.5, np.nan, largest, -largest], kind), equal_nan=True)


def test_no_numbers_are_no_numbers() -> None:
    assert len(array_of(text_of(np.empty((0, 8), np.float32)), np.float32)) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_text_of_an_earlier_version_is_read(kind: Any) -> None:
    values = np.array([1.5, np.nan, np.inf], kind)
    assert np.array_equal(array_of(b64encode(values.tobytes()).decode(), kind), values, equal_nan=True)


def test_values_with_few_digits_take_few_characters() -> None:
    values = np.full(100, 12.25, np.float32)
    assert orjson.loads(text_of(values)) == [12.25] * 100
    assert len(text_of(values)) == 601


@pytest.mark.parametrize("text", ["[1.0, 2.0", '["a"]'])
def test_what_is_no_array_is_refused_as_a_state_that_does_not_fit(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        array_of(text, np.float32)

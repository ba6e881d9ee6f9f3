"""Impossible values are found value by value, whatever else is odd in the channel; what a machine does stays."""

from collections.abc import Callable

import numpy as np
import pytest
from edge_ae_train.data.glitches import find_glitches, plausible

LINES = 4000
CALM = np.random.default_rng(5)
USUAL = np.round(20 + 8 * np.sin(np.arange(LINES) / 200) + CALM.normal(0, 0.3, LINES), 1)
SOMEWHERE = CALM.choice(np.arange(10, LINES - 10), 60, replace=False)
Values = np.ndarray


def glitches(change: Callable[[Values], None]) -> tuple[list[float], tuple[float, ...]]:
    values = USUAL.copy()
    change(values)
    found = find_glitches([values[:1500], values[1500:]])
    return values[np.concatenate(found.flags)].tolist(), found.words


def put(*words: tuple[float, int]) -> Callable[[Values], None]:
    """Each word so many times, alone."""

    def change(values: Values) -> None:
        first = 0
        for word, times in words:
            values[SOMEWHERE[first : first + times]] = word
            first += times

    return change


@pytest.mark.parametrize(
    ("words", "known"),
    [
        ([(85.0, 9)], (85.0,)),
        ([(-127.0, 14)], (-127.0,)),
        ([(85.0, 9), (-127.0, 14)], (-127.0, 85.0)),
        ([(85.0, 1), (-999.0, 3), (3e5, 1)], (-999.0, 85.0)),
        ([(65535.0, 3), (32767.0, 2)], (32767.0, 65535.0)),
        ([(55.5, 5)], ()),
        ([(0.0, 8)], ()),
        ([(85.0, 60)], (85.0,)),
    ],
)
def test_words_and_flipped_bits_are_none(words: list[tuple[float, int]], known: tuple[float, ...]) -> None:
    wrong, found = glitches(put(*words))
    assert sorted(wrong) == sorted(word for word, times in words for _ in range(times))
    assert found == known


def test_value_that_a_machine_may_have_protects_no_error_word() -> None:
    """A lone 70.3 is a burst; it neither goes nor keeps 85 and -999."""
    wrong, _ = glitches(put((85.0, 9), (-999.0, 2), (70.3, 1)))
    assert sorted(wrong) == [-999.0] * 2 + [85.0] * 9


def test_outage_that_a_logger_fills_with_its_word_is_missing() -> None:
    def change(values: Values) -> None:
        values[1000:1400] = -999.0

    assert glitches(change) == ([-999.0] * 400, (-999.0,))


def _bursts(values: Values) -> None:
    values[SOMEWHERE[:20]] += CALM.exponential(30.0, 20)


def _saturating(values: Values) -> None:
    values[SOMEWHERE[:40]] = np.minimum(values[SOMEWHERE[:40]] + CALM.exponential(30.0, 40), 80.0)


def _stops(values: Values) -> None:
    for first in (300, 800, 1200):
        values[first : first + 40] = 0.0


def _hot(values: Values) -> None:
    values[2000:2100] = 85.0


@pytest.mark.parametrize("change", [_bursts, _saturating, _stops, _hot, put((55.5, 1)), put((0.0, 1))])
def test_what_a_machine_does_stays(change: Callable[[Values], None]) -> None:
    assert glitches(change) == ([], ())


@pytest.mark.parametrize(
    "rare",
    [[3.0, 9.0, 30.0], [1.0] * 3, [8.0]],
    ids=["bursts of all sizes", "a switch that is seldom on", "a jump that a machine may make"],
)
def test_rare_value_that_a_machine_can_have_is_plausible(rare: list[float]) -> None:
    usual = np.zeros(1000) if rare[0] == 1.0 else np.linspace(0.0, 1.0, 1000)
    low, high = plausible(np.concatenate([usual, rare]))
    assert low < min(rare) <= max(rare) < high

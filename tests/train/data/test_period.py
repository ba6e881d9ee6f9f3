"""The period of the rows: that of a channel's lines, made round; and what is said where lines do not keep to it."""

from pathlib import Path

import pytest
from edge_ae_train.data import loading, prepare
from edge_ae_train.data.clean import clean
from edge_ae_train.data.period import sample_period_ns

from tests.train.data.written import lines, make

SECOND = 10**9


@pytest.mark.parametrize(
    ("seconds", "period_ns"),
    [
        ([0.0, 1.0, 2.0, 3.0], SECOND),
        ([0.0, 0.9997, 1.9994, 2.9991], SECOND),
        ([0.0, 1.0, 2.0, 2.0, 60.0, 61.0], SECOND),
        ([0.0, 0.1, 0.2, 0.3], 100_000_000),
        ([0.0, 0.333, 0.666, 0.999], 333_000_000),
        ([0.0, 59.5, 119.0, 178.5], 60 * SECOND),
        ([2.0, 0.0, 1.0, 3.0], SECOND),
    ],
)
def test_sample_period_is_the_usual_step_made_round(tmp_path: Path, seconds: list[float], period_ns: int) -> None:
    tables = clean(loading.load([make(tmp_path, "t,a,b\n" + lines(seconds))])).tables
    assert sample_period_ns(tables) == period_ns


def test_sample_period_is_a_channels_not_a_lines(tmp_path: Path) -> None:
    text = "t,a,b\n" + "".join(f"{s},{s},\n{s + 0.4},,{s}\n" for s in range(1, 9))
    tables = clean(loading.load([make(tmp_path, text)])).tables
    assert sample_period_ns(tables) == SECOND


def test_period_that_changes_in_the_middle_is_reported(tmp_path: Path) -> None:
    seconds = [float(s) for s in range(300)] + [float(s) for s in range(300, 1300, 10)]
    path = make(tmp_path, "t,a,b\n" + lines(seconds))
    notes = prepare.read([path]).notes
    assert f"{path}: the time between lines changes, from 1 s to 10 s; rows of 1 s are made of all" in notes
    assert "891 of 1291 rows hold no value, for lines came less often than that" in notes


def test_file_with_another_period_than_the_rest_is_reported(tmp_path: Path) -> None:
    header = "t,a,b\n"
    often = [make(tmp_path, header + lines([float(s) for s in range(9)]), f"{n}.csv") for n in (1, 2)]
    seldom = make(tmp_path, header + lines([float(s) for s in range(0, 90, 10)]), "3.csv")
    notes = prepare.read([*often, seldom]).notes
    assert f"{seldom}: lines come every 10 s; rows of 1 s are made of them" in notes

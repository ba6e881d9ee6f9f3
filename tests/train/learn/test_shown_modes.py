"""A machine that repeats itself has shown what it does; one whose last rows are new has not."""

from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.data.loading import read_table
from edge_ae_train.learn.shown_modes import shown_modes
from numpy.typing import NDArray

from edge_ae.core.expression import Expression
from edge_ae.errors import BadData
from edge_ae.store.recording_csv import Table, write_csv
from tests.train.learn.scene import T0_S, signals

ROWS = 1000


def table(folder: Path, values: NDArray[np.float64]) -> Table:
    write_csv(folder / "p1.csv", [str(T0_S + n) for n in range(len(values))], ["flow", "speed"], values)
    return read_table(folder / "p1.csv")


def test_a_machine_that_repeats_itself_has_shown_its_modes(tmp_path: Path) -> None:
    shown = shown_modes(table(tmp_path, signals(ROWS)), None)
    assert shown.repeat
    assert shown.new < 0.05


def test_a_mode_that_only_the_last_rows_show_is_waited_for(tmp_path: Path) -> None:
    values = signals(ROWS)
    values[850:, 0] *= 0.5
    shown = shown_modes(table(tmp_path, values), None)
    assert not shown.repeat
    assert shown.text.endswith(
        "of the last quarter of its rows is new to a model of the rest: it still shows new modes"
    )


def test_what_is_outside_the_watched_state_is_not_asked_about(tmp_path: Path) -> None:
    values = signals(ROWS)
    values[850:] = 0.0
    when = Expression.of("speed > 1")
    assert shown_modes(table(tmp_path, values), when).repeat
    assert not shown_modes(table(tmp_path, values), None).repeat


def test_rows_that_never_follow_one_another_are_refused(tmp_path: Path) -> None:
    values = signals(40)
    with pytest.raises(BadData):
        shown_modes(table(tmp_path, values), None)

"""Two machines in one file are never averaged."""

from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.data import prepare

from edge_ae.errors import BadData
from edge_ae.store.recording.options import ReadOptions
from tests.train.data.written import make

RNG = np.random.default_rng(3)


def two_machines(*, numbered: bool, apart: float = 8.0, step_s: float = 0.0) -> str:
    """100 lines of each of two machines; the second's are `step_s` behind."""
    lines = []
    for t in range(100):
        for machine in (1, 2):
            column = f",{machine}" if numbered else ""
            lines.append(
                f"{1000 + t + step_s * machine}{column},{apart * machine + RNG.normal():.3f},{RNG.normal():.3f}"
            )
    return "t" + (",unit" if numbered else "") + ",a,b\n" + "\n".join(lines) + "\n"


def test_numbers_that_part_lines_of_one_time_are_proposed_as_the_asset(tmp_path: Path) -> None:
    path = make(tmp_path, two_machines(numbered=True))
    with pytest.raises(BadData) as refusal:
        prepare.read([path])
    assert str(refusal.value) == (
        f"{path}: 100 of 200 lines have the time of the line before, and other values; column 'unit' tells them apart as "
        "those of several machines: --asset-column unit"
    )
    assert {one.asset for one in prepare.read([path], ReadOptions(asset="unit")).segments} == {"1", "2"}


def test_machines_without_a_column_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="as if several machines shared the file: give each a file, or name their column"):
        prepare.read([make(tmp_path, two_machines(numbered=False))])


def test_column_named_as_of_machines_is_refused_where_their_lines_alternate(tmp_path: Path) -> None:
    text = two_machines(numbered=True, step_s=0.3).replace("t,unit,", "t,pump_id,")
    with pytest.raises(BadData, match="--asset-column pump_id, or --ignore pump_id if it does not"):
        prepare.read([make(tmp_path, text)])


def test_readings_of_one_machine_within_a_second_are_averaged_as_before(tmp_path: Path) -> None:
    """A logger that writes 5 lines a second, with times cut to seconds."""
    lines = "".join(f"{1000 + n // 5},{RNG.normal():.3f},{n // 400}\n" for n in range(1000))
    notes = prepare.read([make(tmp_path, "t,a,mode\n" + lines)]).notes
    assert any("800 lines have the time of the line before; each row is the mean" in note for note in notes)


def test_channels_that_come_in_lines_of_their_own_are_one_machine(tmp_path: Path) -> None:
    lines = "".join(f"{t},{RNG.normal():.3f},\n{t},,{RNG.normal():.3f}\n" for t in range(1000, 1200))
    assert len(prepare.read([make(tmp_path, "t,a,b\n" + lines)]).segments[0]) == 200

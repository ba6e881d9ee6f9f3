"""What was odd about the lines is mended and said, or refused in a sentence."""

from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.data import prepare

from edge_ae.errors import BadData
from tests.train.data.written import make


def test_what_was_odd_is_reported(tmp_path: Path) -> None:
    text = "t,a,still,gone,anomaly\n3,1,5,,0\n1,2,5,,1\n1,4,5,,0\n2,3,5,,0\n"
    path = make(tmp_path, text)
    recording = prepare.read([path])
    assert recording.names == ("a", "still", "anomaly")
    assert recording.segments[0].values[:, 0].tolist() == [3.0, 3.0, 1.0]
    assert recording.notes == (
        f"{path}: the time goes back 1 times; the lines are put in order",
        f"{path}: 1 lines have the time of the line before; each row is the mean of its lines",
        f"{path}: 'anomaly' looks like a label, yet is taken for a channel; use --label anomaly or --ignore anomaly",
        "channel 'gone' holds no value and is left out",
        "channel 'still' never moves",
        "the sample period is 1 s",
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("t,a\n1,5\n2,5\n", "no channel ever moves"),
        ("t,a\n1,\n2,nan\n", "every channel is empty"),
        ("t,a\n1,5\n1,6\n", "fewer than two different times"),
    ],
)
def test_recording_of_nothing_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadData, match=sentence):
        prepare.read([make(tmp_path, text)])


@pytest.mark.parametrize("wrong", [-999.0, 1e6, 1e31, -3e38])
def test_value_that_no_sensor_measured_is_missing_and_reported(tmp_path: Path, wrong: float) -> None:
    values = [round(5 + np.sin(s), 3) for s in range(400)]
    values[7] = wrong
    text = "t,a,b\n" + "".join(f"{s},{value},{s % 7}\n" for s, value in enumerate(values))
    recording = prepare.read([make(tmp_path, text)])
    assert np.argwhere(np.isnan(recording.segments[0].values)).tolist() == [[7, 0]]
    assert f"channel 'a': 1 value that no sensor measured, such as {wrong:g}, is taken for missing" in recording.notes


def test_channel_too_fine_for_single_precision_is_reported(tmp_path: Path) -> None:
    text = "t,a,b\n" + "".join(f"{s},{100_000_000 + s % 3},{s}\n" for s in range(50))
    notes = prepare.read([make(tmp_path, text)]).notes
    assert any("channel 'a' moves by less than single precision shows at 1e+08" in note for note in notes)

"""The normal error of a channel that a model file holds is the one that people will see on other normal rows."""

from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.data.segments import Recording, Segment
from edge_ae_train.export import Origin, save
from edge_ae_train.fit import Options, fit

from edge_ae.core.model_spec import Channel, Floats, Kind
from edge_ae.core.timestamps import SECOND
from edge_ae.model.onnx_model import OnnxModel
from tests.models import TRAIN_ROWS, TRAINED_LENGTH, pump, trained


def seen_errors(model: OnnxModel, rows: Floats) -> Floats:
    """Root mean squares [channel] of what is seen at the newest row of each window of other rows."""
    windows = np.lib.stride_tricks.sliding_window_view(rows, TRAINED_LENGTH, axis=0).transpose(0, 2, 1)[::4]
    expected = model.run(np.ascontiguousarray(windows))["reconstruction"][:, -1]
    rms: Floats = np.sqrt(((windows[:, -1] - expected) ** 2).mean(axis=0))
    return rms


def test_deviations_are_what_other_normal_rows_show(tmp_path_factory: pytest.TempPathFactory) -> None:
    model = OnnxModel.load(trained(tmp_path_factory))
    held = np.array([channel.deviation for channel in model.spec.channels])
    seen = seen_errors(model, pump().values[TRAIN_ROWS:].astype(np.float32))
    ratios = seen / held
    assert ratios.max() < 2.0
    # A slow channel, such as the weather, is further off in a block held out than it will be: 1000 rows have seen few of its levels.
    assert np.median(ratios) == pytest.approx(1.0, rel=0.3)


def test_deviation_of_an_angle_goes_the_short_way_round_and_of_a_silent_channel_is_not_known(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    heading = rng.normal(0.0, 5.0, 600) % 360.0  # either side of north
    rows = np.column_stack([heading, rng.normal(10.0, 1.0, 600), np.full(600, np.nan)]).astype(np.float32)
    rows[::50, 1] = np.nan
    kinds = (Channel("heading", kind=Kind.ANGLE, turn=360.0), Channel("speed"), Channel("silent"))
    segments = (Segment(rows),)
    fitted = fit(segments, Options(family="pca", length=8, channels=kinds))
    recording = Recording(("heading", "speed", "silent"), SECOND, segments, kinds=kinds)
    heading_error, speed_error, silent_error = (
        channel.deviation for channel in save(fitted, recording, Origin("ship"), tmp_path / "m.onnx").spec.channels
    )
    assert 0.0 < heading_error < 15.0
    assert 0.0 < speed_error < 3.0
    assert silent_error == 0.0

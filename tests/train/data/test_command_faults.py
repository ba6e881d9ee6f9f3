"""Faults of discrete channels: one channel is wrong from the fault's beginning on, and all else is as it was."""

import numpy as np
import pytest
from edge_ae_train.data.command_faults import KINDS, inject

from edge_ae.core.model_spec import Floats

LENGTH, REPEATS = 16, 20


def rows() -> Floats:
    """A level that never repeats, a pump that goes on and off, a mode."""
    t = np.arange(400)
    return np.column_stack([t, t % 10 < 5, t // 7 % 3]).astype(np.float32)


def injected(values: Floats) -> dict[str, list[Floats]]:
    found: dict[str, list[Floats]] = {}
    for one in inject(values, (1, 2), LENGTH, REPEATS, np.random.default_rng(0)):
        assert one.start == LENGTH
        found.setdefault(one.kind, []).append(one.rows)
    return found


def normal(stretch: Floats) -> Floats:
    first = int(stretch[0, 0])
    return rows()[first : first + len(stretch)]


def test_one_discrete_channel_is_wrong_and_only_behind_a_window_of_normal() -> None:
    found = injected(rows())
    assert set(found) == set(KINDS)
    for stretch in (one for stretches in found.values() for one in stretches):
        differs = stretch != normal(stretch)
        assert not differs[:LENGTH].any()
        assert differs.any(axis=0).sum() == 1
        assert not differs[:, 0].any()


def test_each_fault_does_what_its_name_says() -> None:
    found = injected(rows())
    assert all(np.ptp(_wrong(one)) == 0.0 for one in found["stuck"])
    assert all(_wrong(one).min() > 1.0 for one in found["a value never seen"])
    assert all((_wrong(one) != _right(one)).all() for one in found["without effect"])
    assert all(set(_wrong(one)) <= set(normal(one)[:, _channel(one)]) for one in found["at the wrong time"])


def _channel(stretch: Floats) -> int:
    return int((stretch != normal(stretch)).any(axis=0).argmax())


def _wrong(stretch: Floats) -> Floats:
    return stretch[LENGTH:, _channel(stretch)]


def _right(stretch: Floats) -> Floats:
    return normal(stretch)[LENGTH:, _channel(stretch)]


def test_what_changes_nothing_is_no_fault() -> None:
    still = rows()
    still[:, 1:] = 1.0
    assert set(injected(still)) == {"a value never seen"}


@pytest.mark.parametrize("present", [0, 1])
def test_missing_readings_are_no_values(present: int) -> None:
    values = rows()
    values[:, 1:] = np.where(np.arange(400)[:, None] % 20 < present, values[:, 1:], np.nan)
    for stretch in (one for stretches in injected(values).values() for one in stretches):
        assert np.isfinite(stretch[LENGTH:, 1:]).any()

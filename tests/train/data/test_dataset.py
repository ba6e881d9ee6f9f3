"""Windows for training: the ones that the daemon would see, cut out when asked."""

import numpy as np
import pytest
from edge_ae_train.data.dataset import CHUNK, WindowSet, some_windows
from edge_ae_train.data.segments import Segment
from edge_ae_train.scoring.preprocess import Standardise, fit_scaler

from edge_ae.core.events import Row
from edge_ae.core.model_spec import Floats
from edge_ae.core.window import Windower

LENGTH = 5


def segments(*lengths: int, seed: int = 0) -> list[Floats]:
    rng = np.random.default_rng(seed)
    return [rng.normal(10, 2, (n, 3)).astype(np.float32) for n in lengths]


def window_set(parts: list[Floats], length: int = LENGTH) -> WindowSet:
    return WindowSet([Segment(part) for part in parts], Standardise(fit_scaler(segments(200))), length)


@pytest.mark.parametrize("lengths", [(), (0,), (4,), (5,), (6,), (10,), (4, 4), (5, 5), (7, 3, 9)])
def test_no_window_reaches_over_a_gap(lengths: tuple[int, ...]) -> None:
    parts = segments(*lengths)
    windows = window_set(parts)
    assert len(windows) == sum(max(n - LENGTH + 1, 0) for n in lengths)
    if len(windows) > 0:
        values, present = windows.take(slice(None))
        expected = [part[a : a + LENGTH] for part in parts for a in range(len(part) - LENGTH + 1)]
        np.testing.assert_allclose(values, windows_standardised(np.stack(expected)))
        assert bool((present == 1.0).all())


def windows_standardised(values: Floats) -> Floats:
    standard: Floats = Standardise(fit_scaler(segments(200)))(values)[0]
    return standard


def test_chunks_are_all_windows_in_order_or_some_from_all_over() -> None:
    windows = window_set(segments(CHUNK * 2 + LENGTH + 7))
    first, last = (values for values, _ in windows.chunks(2))
    np.testing.assert_allclose(first, windows.take(slice(CHUNK))[0])
    np.testing.assert_allclose(last, windows.take(slice(2 * CHUNK, None))[0])
    parts = [values for values, _ in windows.chunks(100)]
    assert [len(part) for part in parts] == [CHUNK, CHUNK, 8]
    np.testing.assert_allclose(np.concatenate(parts), windows.take(slice(None))[0])


def test_windows_that_miss_too_much_are_those_that_the_daemon_skips() -> None:
    (part,) = segments(300)
    part[np.random.default_rng(1).random(part.shape) < 0.5] = np.nan
    part[::7] = np.nan  # and some rows hold nothing
    windower = Windower(LENGTH, 1, 3)
    ends = [w.slot for slot, row in enumerate(part) for w in windower.push(Row(slot, tuple(row.tolist())))]
    assert window_set([part]).ends.tolist() == ends
    assert 0 < len(ends) < 296


def test_what_is_missing_is_marked_and_filled_with_a_number() -> None:
    (part,) = segments(LENGTH)
    part[2, 1] = np.nan
    values, present = window_set([part]).take(slice(None))
    assert present[0, 2, 1] == 0.0
    assert int(present.sum()) == LENGTH * 3 - 1
    assert bool(np.isfinite(values).all())


def test_the_proof_uses_windows_from_all_over_and_never_over_a_gap() -> None:
    parts = [Segment(np.full((n, 2), n, np.float32)) for n in (3, 40, 500)]
    windows = some_windows(parts, 16)
    assert windows.shape[1:] == (16, 2)
    assert {float(w.min()) for w in windows} == {float(w.max()) for w in windows} == {40.0, 500.0}

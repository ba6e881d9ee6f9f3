"""Large matrices take less of the file, and are the same to the bit once it is loaded."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from edge_ae_train.graphs.compact import LARGE, compact
from edge_ae_train.graphs.onnx_file import Array, model_bytes
from edge_ae_train.graphs.trace import choose, held, trace

from edge_ae.core.model_spec import Floats

RANDOM = np.random.default_rng(0).normal(size=(1, LARGE, LARGE)).astype(np.float32)
HALF = RANDOM.astype(np.float16).astype(np.float32)


def mirrored(matrix: Floats) -> Floats:
    lower = np.tril(matrix)
    return lower + np.swapaxes(np.tril(matrix, -1), -1, -2)


@pytest.mark.parametrize(
    ("matrix", "share"),
    [(RANDOM, 1.0), (mirrored(RANDOM), 0.52), (HALF, 0.5), (mirrored(HALF), 0.26), (HALF[0, :, : LARGE // 2], 1.0)],
)
@pytest.mark.parametrize("within", [False, True])
def test_a_matrix_is_written_in_as_few_bytes_as_hold_it_and_is_the_same_to_the_bit(
    matrix: Array, share: float, within: bool
) -> None:
    def picked(window: Floats) -> tuple[Floats, ...]:
        (chosen,) = choose(np.sum(window) > 0.0, lambda: (window @ matrix,), lambda: (0.0 * (window @ matrix),))
        return (chosen if within else window @ matrix,)

    model = model_bytes(compact(trace(picked, (LARGE, LARGE), "window", ["out"])))
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    assert len(model) < share * matrix.nbytes + 5_000
    one_each = np.eye(LARGE, dtype=np.float32)[None]
    (found,) = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"window": one_each})
    np.testing.assert_array_equal(found, one_each @ matrix)


def test_what_is_held_is_in_the_file_once_whatever_is_made_of_it() -> None:
    def twice(window: Floats) -> tuple[Floats, ...]:
        root = held(window, RANDOM[0])
        return window @ root, window @ (root @ root)

    graph = trace(twice, (2, LARGE), "window", ["one", "other"])
    assert [constant.shape for constant in graph.constants.values()] == [(LARGE, LARGE)]
    windows = np.random.default_rng(1).normal(size=(3, 2, LARGE)).astype(np.float32)
    session = ort.InferenceSession(model_bytes(graph), providers=["CPUExecutionProvider"])
    for found, wanted in zip(session.run(None, {"window": windows}), twice(windows), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)

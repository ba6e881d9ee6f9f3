"""What is traced is what numpy computes: the same code, once with numbers and once as a graph in onnxruntime."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from edge_ae_train.data.segments import Segment
from edge_ae_train.fit import Options, fit
from edge_ae_train.graphs.onnx_file import OnnxGraph, model_bytes
from edge_ae_train.graphs.trace import choose, trace, where_asked
from edge_ae_train.scoring.graph import ScoredNetwork
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ae.core.model_spec import Channel, Floats, Kind

ROWS, CHANNELS = 4, 3
WEIGHT = np.random.default_rng(0).normal(size=(CHANNELS, CHANNELS)).astype(np.float32)
LIMIT = np.array([0.5, 1.0, 2.0], np.float32)


def in_runtime(compute: Callable[[Floats], Sequence[Any]], windows: Floats, outputs: int) -> list[Floats]:
    names = [f"out{index}" for index in range(outputs)]
    model = model_bytes(trace(compute, windows.shape[1:], "window", names))
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(names, {"window": windows})]


def arithmetic(window: Floats) -> tuple[Floats, ...]:
    products = window @ WEIGHT
    return (
        1.0 - window / 3.0,
        np.square(products) + np.sqrt(np.abs(products)),
        np.cos(-products) * np.arctan(products),
        np.clip(products, -LIMIT, LIMIT),
        np.clip(products, -0.5 * np.ones_like(LIMIT), 1.5),
        np.minimum(np.maximum(products, 0.0), LIMIT),
    )


def conditions(window: Floats) -> tuple[Floats, ...]:
    there = ~np.isnan(window)
    flags = (window > 0.0, window >= 0.0, window < 0.0, window <= 0.0, window == 0.0, (window < 1.0) & there)
    return (np.where(there, window, 0.0), np.where(there, LIMIT, window), *(one.astype(np.float32) for one in flags))


def places(window: Floats) -> tuple[Floats, ...]:
    pair = np.stack([window[:, -1], window[:, 0]], axis=1)
    return (
        window[:, 1:-1],
        window[..., :2],
        window[:, -1, None],
        np.concatenate([window[:, :1], window[:, :-1]], axis=1),
        np.swapaxes(pair, 1, 2),
        np.transpose(window, (0, 2, 1)),
        np.take(window, np.array([[0, 2], [1, 1]]), axis=1),
        window.reshape(-1, ROWS * CHANNELS),
    )


def sums(window: Floats) -> tuple[Floats, ...]:
    """The largest and the least are of numbers alone: of a set with NaN in it a runtime may give any."""
    numbers = np.where(np.isnan(window), 0.0, window)
    return (
        np.sum(window, axis=1),
        np.max(numbers, axis=2, keepdims=True),
        np.min(numbers, axis=1),
        np.stack([np.sum(window, axis=1), window[:, 0]], axis=1),
    )


def branches(window: Floats) -> tuple[Floats, ...]:
    """One branch gives what it was given, and the other a constant's sum with what was noted outside of both."""
    there = (~np.isnan(window)).astype(np.float32)
    twice = window + window

    def with_holes() -> tuple[Floats, Floats]:
        return np.where(there > 0.0, window, 7.0) + LIMIT, there * 0.5

    def whole() -> tuple[Floats, Floats]:
        return window, np.where(there > 0.0, twice, 0.0)

    first, second = choose(np.sum(1.0 - there) > 0.0, with_holes, whole)
    return first, second, first + second


@pytest.mark.parametrize("compute", [arithmetic, conditions, places, sums, branches])
@given(batch=st.integers(0, 5), holes=st.sampled_from([0.0, 0.3, 1.0]), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_graph_gives_what_numpy_gives(
    compute: Callable[[Floats], tuple[Floats, ...]], batch: int, holes: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    windows = rng.normal(size=(batch, ROWS, CHANNELS)).astype(np.float32)
    windows[rng.random(windows.shape) < holes] = np.nan
    expected = compute(windows)
    for found, wanted in zip(in_runtime(compute, windows, len(expected)), expected, strict=True):
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def scored() -> ScoredNetwork:
    """All that a score can be made of: an angle and a discrete channel among the others."""
    rng, steps = np.random.default_rng(0), np.arange(240)
    values = np.column_stack([np.sin(steps / 9), steps * 7 % 360, steps // 40 % 2])
    values[:, :2] += rng.normal(0.0, 0.1, (240, 2))
    kinds = (Channel("level"), Channel("direction", kind=Kind.ANGLE, turn=360.0), Channel("valve", kind=Kind.DISCRETE))
    return fit((Segment(values.astype(np.float32)),), Options("cva", 8, channels=kinds)).graph


@pytest.mark.parametrize("holes", [0.0, 0.2])
@pytest.mark.parametrize("batch", [0, 1, 9])
def test_whole_score_is_the_same_graph(batch: int, holes: float) -> None:
    rng = np.random.default_rng(1)
    windows = np.stack([rng.normal(size=(9, 8)), rng.uniform(-20, 380, (9, 8)), rng.integers(0, 3, (9, 8))], axis=2)
    windows = windows.astype(np.float32)[:batch]
    windows[rng.random(windows.shape) < holes] = np.nan
    graph = scored()
    for found, wanted in zip(in_runtime(graph, windows, 5), graph(windows), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_same_code_makes_the_same_bytes() -> None:
    first, again = (model_bytes(trace(branches, (ROWS, CHANNELS), "window", "abc")) for _ in range(2))
    assert first == again


def test_what_no_operand_is_traced_of_is_a_constant_and_no_node() -> None:
    graph = trace(lambda window: (window @ (WEIGHT @ WEIGHT.T),), (ROWS, CHANNELS), "window", ["out"])
    assert [node.operator for node in graph.nodes] == ["MatMul"]
    (constant,) = graph.constants.values()
    np.testing.assert_array_equal(constant, WEIGHT @ WEIGHT.T)


def test_a_constant_of_channels_repeats_with_the_batch_alone_and_is_small_in_the_file() -> None:
    """A runtime takes seven times as long where it repeats the last axis."""
    graph = trace(lambda window: ((window - LIMIT) * 2.0 + window[:, 0, None] * LIMIT,), (ROWS, CHANNELS), "w", ["out"])
    (stretch,) = (node for node in graph.nodes if node.operator == "Expand")
    once, shape = (graph.constants[name] for name in stretch.inputs)
    np.testing.assert_array_equal(once, LIMIT[None])
    assert shape.tolist() == [ROWS, CHANNELS]
    assert [node.inputs[1] for node in graph.nodes if node.operator == "Sub"] == [*stretch.outputs]
    assert all(constant.size <= CHANNELS for constant in graph.constants.values())


def test_what_is_asked_for_is_computed_where_the_option_is_not_given_and_else_of_no_windows() -> None:
    def score_and_reasons(window: Floats) -> tuple[Floats, ...]:
        return np.sum(window, axis=1), *where_asked(window, lambda: (window, window * LIMIT, window * LIMIT))

    model = model_bytes(trace(score_and_reasons, (ROWS, CHANNELS), "window", "abcd", option="explain"))
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["window"]
    windows = np.random.default_rng(0).normal(size=(2, ROWS, CHANNELS)).astype(np.float32)
    whole = session.run(None, {"window": windows})
    for found, wanted in zip(whole, score_and_reasons(windows), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    alone = session.run(None, {"window": windows, "explain": np.array(False)})
    np.testing.assert_array_equal(alone[0], whole[0])
    assert [found.shape for found in alone[1:]] == [(0, ROWS, CHANNELS)] * 3


def test_a_constant_that_one_branch_alone_reads_is_in_it() -> None:
    """What comes from outside is handed in at every run."""

    def either(window: Floats) -> tuple[Floats, ...]:
        (chosen,) = choose(np.sum(window) > 0.0, lambda: (window * LIMIT + WEIGHT[0],), lambda: (window * LIMIT - 2.0,))
        return (chosen * 2.0,)

    graph = trace(either, (ROWS, CHANNELS), "window", ["out"])
    (node,) = (node for node in graph.nodes if node.operator == "If")
    then, otherwise = (node.attributes[key] for key in ("then_branch", "else_branch"))
    assert isinstance(then, OnnxGraph)
    assert isinstance(otherwise, OnnxGraph)
    assert [constant.tolist() for constant in then.constants.values()] == [WEIGHT[:1].tolist()]
    assert [inner.operator for inner in then.nodes] == ["Expand", "Mul", "Add"]
    assert otherwise.constants == {}
    windows = np.random.default_rng(0).normal(size=(3, ROWS, CHANNELS)).astype(np.float32)
    for some in (windows, -windows, np.abs(windows)):
        np.testing.assert_allclose(in_runtime(either, some, 1)[0], either(some)[0], rtol=1e-6)


def test_what_is_asked_for_twice_is_one_node_and_a_branch_s_own_values_stay_in_it() -> None:
    def twice(window: Floats) -> tuple[Floats, ...]:
        def yes() -> tuple[Floats]:
            return (window * 2.0 + 1.0,)

        def no() -> tuple[Floats]:
            return (window * 2.0 + 3.0,)

        (chosen,) = choose(np.sum(window) > 0.0, yes, no)
        return chosen, window * 2.0, window * 2.0 + np.square(window * 2.0)

    graph = trace(twice, (ROWS, CHANNELS), "window", "abc")
    assert [node.operator for node in graph.nodes].count("Mul") == 2
    windows = np.random.default_rng(0).normal(size=(3, ROWS, CHANNELS)).astype(np.float32)
    for found, wanted in zip(in_runtime(twice, windows, 3), twice(windows), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("unknown", [np.tanh, np.cumsum, lambda window: np.add.reduce(window, axis=1)])
def test_what_is_not_known_of_numpy_is_refused(unknown: Callable[[Floats], Any]) -> None:
    with pytest.raises(TypeError):
        trace(lambda window: (unknown(window),), (ROWS, CHANNELS), "window", ["out"])


def test_double_precision_does_not_slip_into_a_graph() -> None:
    with pytest.raises(AssertionError, match="float64"):
        trace(lambda window: (window * WEIGHT.astype(np.float64)[0],), (ROWS, CHANNELS), "window", ["out"])

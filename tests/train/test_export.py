"""The exported file is the trained graph: proven on this machine, whole or not there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from edge_ae_train.export import Contents, export

from edge_ae.core.model_spec import Floats
from edge_ae.model.onnx_model import EXPLAIN, KEYS, MAGNITUDE, OPTIONAL, OUTPUTS, PREFIX, OnnxModel
from tests.models import TRAIN_ROWS, TRAINED_LENGTH, DistanceGraph, hand_made, pump, spec_of, trained, write_model


@pytest.fixture(scope="session")
def pump_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory)


def windows() -> Floats:
    rows = pump().values[TRAIN_ROWS:].astype(np.float32)
    return np.stack([rows[a : a + TRAINED_LENGTH] for a in range(len(rows) - TRAINED_LENGTH + 1)])


def test_the_file_has_every_key_and_output_and_nothing_of_the_workshop(pump_path: Path) -> None:
    proto = onnx.load(pump_path)
    expected = {*KEYS, *OPTIONAL} - {"when", "zone"}  # it learned from every state, and two days have no course
    assert {prop.key.removeprefix(PREFIX) for prop in proto.metadata_props} == expected
    assert tuple(output.name for output in proto.graph.output) == (*OUTPUTS, MAGNITUDE)
    assert {
        opset.domain for opset in proto.opset_import if any(n.domain == opset.domain for n in proto.graph.node)
    } <= {
        "",
        "ai.onnx",
    }
    assert not any(node.doc_string or len(node.metadata_props) for node in proto.graph.node)
    assert pump_path.stat().st_size < 500_000
    assert str(Path.home()).encode() not in pump_path.read_bytes()


def test_only_the_batch_axis_is_dynamic(pump_path: Path) -> None:
    window, option = (graph := onnx.load(pump_path).graph).input
    assert (option.name, len(option.type.tensor_type.shape.dim)) == (EXPLAIN, 0)
    for tensor in (window, *graph.output):
        first, *others = tensor.type.tensor_type.shape.dim
        assert first.dim_param
        assert all(dim.dim_value > 0 for dim in others)


def test_there_are_golden_windows_to_check_a_machine_by(pump_path: Path) -> None:
    meta = {prop.key.removeprefix(PREFIX): prop.value for prop in onnx.load(pump_path).metadata_props}
    assert len(json.loads(meta["golden"])["scores"]) >= 2


def test_numpy_and_runtime_agree_on_every_window(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx")
    rng = np.random.default_rng(5)
    windows = rng.uniform(-20, 20, (500, model.spec.length, 2)).astype(np.float32)
    windows[rng.random(windows.shape) < 0.2] = np.nan
    graph = DistanceGraph(model.spec.channels)
    expected = graph(windows)[0]
    np.testing.assert_allclose(model.score(windows), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 7, 64])
def test_a_window_s_score_does_not_depend_on_who_shares_its_batch(pump_path: Path, batch: int) -> None:
    """Exactly: live and offline batch differently, and must give the same answer."""
    model = OnnxModel.load(pump_path)
    some = windows()[:256]
    some[::3, :, 1] = np.nan
    apart = [model.score(some[a : a + batch]) for a in range(0, len(some), batch)]
    np.testing.assert_array_equal(np.concatenate(apart), model.score(some))


def test_a_graph_that_scores_otherwise_in_the_file_is_not_written(tmp_path: Path, monkeypatch: Any) -> None:
    score = OnnxModel.score
    monkeypatch.setattr(OnnxModel, "score", lambda self, windows: score(self, windows) * (1 + 8e-5))
    with pytest.raises(RuntimeError, match="differ by"):
        write_model(tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_leaves_the_old_file(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path / "m.onnx"
    out.write_bytes(hand_made(tmp_path_factory).read_bytes())
    before = out.read_bytes()
    spec = spec_of(hop=0)  # refused on loading
    graph = DistanceGraph(spec.channels)
    with pytest.raises(Exception, match="must be positive"):
        export(graph, Contents(spec, {}, "d" * 64), np.ones((4, spec.length, 2), np.float32), out)
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_who_knows_nothing_of_the_option_gets_every_output(pump_path: Path) -> None:
    """As an older program does, and any other runtime."""
    session = ort.InferenceSession(pump_path, providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["window"]
    found = session.run(None, {"window": windows()[:5]})
    for name, value in zip((*OUTPUTS, MAGNITUDE), found, strict=True):
        np.testing.assert_array_equal(value, OnnxModel.load(pump_path).run(windows()[:5])[name])
    np.testing.assert_array_equal(found[0], OnnxModel.load(pump_path).score(windows()[:5]))


def test_the_magnitude_grows_with_a_fault_as_long_as_values_are_not_cut(pump_path: Path) -> None:
    """Where the score is tempered: five times as far is five times the magnitude, and not five times the score."""
    model, usual = OnnxModel.load(pump_path), windows()[:1]
    unit = usual[0, :, 0].std()
    found = []
    for size in (3.0, 15.0):
        faulty = usual.copy()
        faulty[:, -4:, 0] += size * unit
        outputs = model.run(faulty)
        found.append((outputs["magnitude"][0, 0], outputs["score"][0]))
    (near, low), (far, high) = found
    assert 4.0 < far / near < 5.5
    assert high / low < 3.5
    assert np.median(model.run(windows())["magnitude"]) < 1.5

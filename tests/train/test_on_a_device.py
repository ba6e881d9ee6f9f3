"""On a device: numpy and onnxruntime, and nothing that only a workstation has room for. The linear families are fitted there."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.cli import main
from edge_ae_train.models.families import FAMILIES, LINEAR

from edge_ae.core.timestamps import rfc3339
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.store.recording_csv import write_csv
from tests.models import pump
from tests.test_imports import TRAINER, imports_of, name_of, sources

ROWS, LENGTH = 700, 16
LACKING = ("torch", "onnx", "onnxscript", "sklearn", "scipy", "matplotlib", "rich", "pyarrow", "ray", "cryptography")
WITHOUT = (
    "import sys; from edge_ae_train.cli import main\n"
    f"sys.modules.update(dict.fromkeys({LACKING!r}))\n"
    "code = main(sys.argv[1:])\n"
    f"assert not any(sys.modules[name] for name in {LACKING!r})\n"
    "sys.exit(code)"
)


WORKSTATION = {  # the modules that name such a package, wherever in them
    "torch": {"models", "networks", "synthetic.sampler"},
    "onnx": {"models.network_graph", "synthetic.generate"},
    "pyarrow": {"data.parquet", "fleet.datasets", "fleet.overview"},
    "matplotlib": {"report"},
    "rich": {"evaluation.figures"},
    "ray": {"fleet.ray_cluster"},
    "cryptography": {"signing"},
}


@pytest.mark.parametrize("path", sources(TRAINER), ids=name_of)
def test_what_a_device_lacks_is_named_where_it_is_needed_alone(path: Path) -> None:
    module = name_of(path).removeprefix("edge_ae_train.")
    found = {name.split(".")[0] for name in imports_of(path)} & {*LACKING}
    assert {
        name for name in found if not any(f"{module}.".startswith(f"{home}.") for home in WORKSTATION.get(name, ()))
    } == set()


@pytest.mark.parametrize("module", ["learn.service", "fleet.fitting", "fleet.serving", "fleet.rivals", "retrain"])
def test_what_learns_on_a_device_is_loaded_without_what_it_lacks(module: str) -> None:
    code = f"import sys; sys.modules.update(dict.fromkeys({LACKING!r})); import edge_ae_train.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a pump, with some values missing."""
    found, path = pump(ROWS), tmp_path_factory.mktemp("device") / "normal.csv"
    values = found.values.copy()
    values[np.random.default_rng(0).random(values.shape) < 0.002] = np.nan
    write_csv(path, [rfc3339(t) for t in found.t_ns.tolist()], found.names, values)
    return path


def on_device(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT, *map(str, arguments)], capture_output=True, text=True)


def fitted(recording: Path, out: Path, family: str) -> subprocess.CompletedProcess[str]:
    return on_device("fit", "--data", recording, "--out", out, "--length", LENGTH, "--family", family)


@pytest.mark.parametrize("family", LINEAR)
def test_linear_family_is_fitted_there_to_the_scores_of_a_workstation(
    family: str, recording: Path, tmp_path: Path
) -> None:
    done = fitted(recording, tmp_path / "device.onnx", family)
    assert done.returncode == 0, done.stderr
    here = ["fit", "--data", recording, "--out", tmp_path / "other.onnx", "--length", LENGTH, "--family", family]
    assert main([str(word) for word in here]) == 0
    one, other = OnnxModel.load(tmp_path / "device.onnx"), OnnxModel.load(tmp_path / "other.onnx")
    view = np.lib.stride_tricks.sliding_window_view(pump().values[ROWS:].astype(np.float32), LENGTH, axis=0)
    windows = np.ascontiguousarray(view.transpose(0, 2, 1))
    for name, values in one.run(windows).items():
        np.testing.assert_allclose(values, other.run(windows)[name], rtol=1e-5, atol=1e-6)


def test_best_family_is_sought_among_the_linear_ones_and_a_sentence_says_so(recording: Path, tmp_path: Path) -> None:
    done = fitted(recording, tmp_path / "m.onnx", "auto")
    assert done.returncode == 0, done.stderr
    expected = "the families cva and pca alone are tried; the others need torch: pip install 'edge-ae[train]'"
    assert done.stderr.count(expected) == 1
    assert OnnxModel.load(tmp_path / "m.onnx").spec.family in LINEAR


@pytest.mark.parametrize("family", sorted({*FAMILIES} - {*LINEAR}))
def test_networks_family_is_refused_there_in_one_sentence(family: str, recording: Path, tmp_path: Path) -> None:
    done = fitted(recording, tmp_path / "m.onnx", family)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"edge-ae-train: the family {family} needs torch, which is not installed: pip install 'edge-ae[train]', "
        "or --family auto"
    )
    assert not (tmp_path / "m.onnx").exists()

"""`edge-ae score` and `edge-ae-train fit` on one recording in many dialects: they end well, and the scores are those of the plain file."""

from pathlib import Path

import numpy as np
import pytest
from edge_ae_train.cli import main as edge_ae_train
from edge_ae_train.data import prepare
from edge_ae_train.data.segments import Recording

from edge_ae.cli.main import main as edge_ae
from edge_ae.model.onnx_model import OnnxModel
from tests.store.recording.dialects import DIALECTS, Plain

T0_S = 1_772_495_700  # a quarter of an hour with a midnight in it
LINES = 400


@pytest.fixture(scope="module")
def plain() -> Plain:
    speed = np.sin(np.arange(LINES) / 9)
    noise = np.random.default_rng(0).normal(scale=0.1, size=(LINES, 2))
    values = (np.column_stack([5 + speed, 50 + 10 * speed]) + noise).round(3)
    return Plain([T0_S + 60 * line for line in range(LINES)], values)


@pytest.fixture(scope="module")
def model(plain: Plain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fitted to a file that is anything but plain."""
    folder = tmp_path_factory.mktemp("dialect")
    data, out = folder / "d.csv", folder / "m.onnx"
    data.write_bytes(DIALECTS["German logger"](plain))
    assert edge_ae_train(["fit", "--data", str(data), "--out", str(out), "--family", "pca", "--length", "16"]) == 0
    return out


def scored(folder: Path, model: Path, content: bytes, *more: str) -> list[str]:
    """The lines of the scores, without their times."""
    data, out = folder / "s.csv", folder / "o.csv"
    data.write_bytes(content)
    assert edge_ae(["score", "--model", str(model), "--data", str(data), "--out", str(out), *more]) == 0
    return [line.partition(",")[2] for line in out.read_text().splitlines()]


@pytest.mark.parametrize("name", DIALECTS)
def test_dialect_has_the_scores_of_the_plain_file(name: str, plain: Plain, model: Path, tmp_path: Path) -> None:
    header, *want = scored(tmp_path, model, DIALECTS["plain"](plain))
    got = scored(tmp_path, model, DIALECTS[name](plain))
    assert got == [header, *(want[::-1] if name == "newest first" else want)]
    assert sum(not line.startswith(",") for line in want) > LINES / 2


@pytest.mark.parametrize("name", DIALECTS)
def test_dialect_makes_the_rows_of_the_plain_file(name: str, plain: Plain, tmp_path: Path) -> None:
    (got,), (want,) = (rows(tmp_path, DIALECTS[one](plain)).segments for one in (name, "plain"))
    assert got.start_slot == want.start_slot
    np.testing.assert_array_equal(got.values, want.values)


def rows(folder: Path, content: bytes) -> Recording:
    (folder / "d.csv").write_bytes(content)
    return prepare.read([folder / "d.csv"])


def test_units_of_the_file_are_the_models(model: Path) -> None:
    assert [channel.unit for channel in OnnxModel.load(model).spec.channels] == ["m³/h", "bar"]


def test_what_was_understood_is_said_by_both_programs(
    plain: Plain, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = DIALECTS["dd.mm.yyyy"](plain)
    note = f"{tmp_path / 's.csv'}: times such as '02.03.2026 23:55:00' are day, month, year"
    scored(tmp_path, model, content)
    assert note in capsys.readouterr().err
    assert edge_ae_train(["evaluate", "--model", str(model), "--data", str(tmp_path / "s.csv")]) == 0
    assert note in "".join(capsys.readouterr())

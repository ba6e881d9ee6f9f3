"""What the tests of commands share: a model file in their folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.processes import RUNNING
from tests.models import write_model


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "pump.onnx"
    write_model(path)
    return path


@pytest.fixture(autouse=True)
def _model(exported: Path, tmp_path: Path) -> None:
    shutil.copy(exported, tmp_path / "pump.onnx")


@pytest.fixture(autouse=True)
def nothing_outlives_a_test_that_fails() -> Iterator[None]:
    yield
    while RUNNING:
        process = RUNNING.pop()
        process.kill()
        process.wait(10)

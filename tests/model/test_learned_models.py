"""Models that were made here: what is on disk is taken up, and what is spoilt there changes nothing."""

from pathlib import Path

import pytest

from edge_ae.errors import BadModel
from edge_ae.model.assignments import COPY, FILE, Assignments, Round, read_assignments, write_assignments
from edge_ae.model.learned_models import LearnedModels
from edge_ae.model.registry import Registry
from tests.models import cached, write_model

ASSIGNED = Assignments(
    {"p1": "class-1"}, {"class-1": Round(86_400 * 10**9, "2026-01-01T00:00:00Z")}, {"p2": "too few rows"}, {"p2": 7}
)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    times = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
    return [
        cached(tmp_path_factory, f"learned-{n}.onnx", lambda out, at=at: write_model(out, trained_at=at))  # type: ignore[misc]
        for n, at in enumerate(times)
    ]


def learned(folder: Path, when: str | None = None) -> LearnedModels:
    return LearnedModels(folder, when, lambda model: model)


def trained_at(models: LearnedModels, asset: str = "p1") -> str:
    folder = models.folder_of(asset)
    return "" if folder is None else folder.current.spec.trained_at


def install(folder: Path, file: Path) -> None:
    model, _ = Registry(folder / "class-1").install(file)
    Registry(folder / "class-1").promote(model.sha256)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_assignments(tmp_path) == Assignments()
    write_assignments(tmp_path, ASSIGNED)
    assert read_assignments(tmp_path) == ASSIGNED


@pytest.mark.parametrize(
    "spoilt", [b"", b"{", b"[]", b'{"schema": 2}', b'{"schema": 1, "classes": {"p1": "../../etc"}}', b"[" * 99_999]
)
def test_a_spoilt_file_of_assets_leaves_its_copy_and_without_that_is_refused(tmp_path: Path, spoilt: bytes) -> None:
    write_assignments(tmp_path, ASSIGNED)
    (tmp_path / FILE).write_bytes(spoilt)
    assert read_assignments(tmp_path) == ASSIGNED
    (tmp_path / COPY).write_bytes(spoilt)
    with pytest.raises(
        BadModel, match=r"assets.json: is not what edge-ae-train learn writes, nor can its copy be read"
    ):
        read_assignments(tmp_path)


def test_first_models_are_taken_up_as_they_come_and_others_are_left_to_the_links_of_their_folder(
    tmp_path: Path, files: list[Path]
) -> None:
    models = learned(tmp_path / "stream")
    assert (models.folder_of("p1"), models.look()) == (None, False)
    install(tmp_path / "stream", files[0])
    assert not models.look()
    write_assignments(tmp_path / "stream", ASSIGNED)
    assert (models.look(), trained_at(models), models.look()) == (True, "2026-01-01T00:00:00Z", False)
    assert (models.note_of("p2"), models.note_of("p1")) == ("too few rows", None)
    install(tmp_path / "stream", files[1])
    assert (models.look(), trained_at(models)) == (False, "2026-01-01T00:00:00Z")
    assert trained_at(learned(tmp_path / "stream")) == "2026-01-02T00:00:00Z"


def test_a_spoilt_file_leaves_the_model_in_use(
    tmp_path: Path, files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    install(tmp_path, files[0])
    write_assignments(tmp_path, ASSIGNED)
    models = learned(tmp_path)
    (tmp_path / "class-1" / "current" / "model.onnx").write_bytes(b"nothing")
    (tmp_path / FILE).write_bytes(b"{")
    (tmp_path / COPY).write_bytes(b"{")
    assert (models.look(), models.look(), trained_at(models)) == (False, False, "2026-01-01T00:00:00Z")
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1


def test_a_model_that_cannot_tell_the_state_to_watch_in_is_not_used(
    tmp_path: Path, files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    install(tmp_path, files[0])
    write_assignments(tmp_path, ASSIGNED)
    assert learned(tmp_path, "speed > 1").folder_of("p1") is None
    assert "cannot be watched where speed > 1: 'speed' is no channel of the model" in caplog.text
    assert learned(tmp_path, "flow > 1").folder_of("p1") is not None

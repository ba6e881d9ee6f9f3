"""A folder of models: what is in use is always whole, whatever is installed, put to use, dropped, cut off or refused."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_ae.errors import BadModel
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.model.registry import KEPT, Registry
from edge_ae.model.signature import SUFFIX
from tests.models import CHANNELS, cached, write_model

MODELS = 8


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Models alike in all but the time of their training."""

    def make(number: int) -> Callable[[Path], object]:
        return lambda out: write_model(out, trained_at=f"2026-01-0{number + 1}T00:00:00Z")

    return [cached(tmp_path_factory, f"model-{number}.onnx", make(number)) for number in range(MODELS)]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models" / "pump")


def in_use(registry: Registry) -> str:
    return OnnxModel.load(registry.folder).spec.trained_at


def test_the_first_model_is_in_use_and_the_next_waits_for_promote(registry: Registry, files: list[Path]) -> None:
    registry.install(files[0])
    second, _ = registry.install(files[1])
    assert in_use(registry) == "2026-01-01T00:00:00Z"
    registry.promote(second.short)
    assert in_use(registry) == "2026-01-02T00:00:00Z"
    registry.rollback()
    assert in_use(registry) == "2026-01-01T00:00:00Z"


def test_there_is_nothing_to_go_back_to_from_the_first(registry: Registry, files: list[Path]) -> None:
    registry.install(files[0])
    with pytest.raises(BadModel, match="no earlier model to go back to"):
        registry.rollback()


def test_the_oldest_go_where_too_many_are_kept_but_never_what_is_in_use_or_was_before(
    registry: Registry, files: list[Path]
) -> None:
    first, _ = registry.install(files[0])
    second, _ = registry.install(files[1])
    registry.promote(second.sha256)
    dropped = [one.sha256 for path in files[2:] for one in registry.install(path)[1]]
    kept = {one.sha256 for one in registry.models()}
    assert len(kept) == KEPT
    assert {first.sha256, second.sha256} <= kept
    assert len(dropped) == MODELS - KEPT
    assert not kept & set(dropped)


def test_the_signature_goes_with_its_model(registry: Registry, files: list[Path], tmp_path: Path) -> None:
    source = tmp_path / "pump.onnx"
    shutil.copy(files[0], source)
    source.with_name("pump.onnx" + SUFFIX).write_bytes(b"s" * 64)
    model, _ = registry.install(source)
    assert model.path.with_name("model.onnx" + SUFFIX).read_bytes() == b"s" * 64


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"channels": CHANNELS[:1]}, "lacks pressure, unlike the model in use"),
        ({"period_ns": 7}, "has another sample period, unlike the model in use"),
    ],
)
def test_a_model_of_other_readings_is_refused(
    registry: Registry, files: list[Path], tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    registry.install(files[0])
    other = tmp_path / "other.onnx"
    write_model(other, **changes)
    with pytest.raises(BadModel, match=sentence):
        registry.install(other)
    assert len(registry.models()) == 1


def test_a_spoiled_file_is_refused_before_the_folder_is_touched(
    registry: Registry, files: list[Path], tmp_path: Path
) -> None:
    spoiled = tmp_path / "spoiled.onnx"
    spoiled.write_bytes(files[0].read_bytes()[:-7])
    with pytest.raises(BadModel):
        registry.install(spoiled)
    assert not registry.folder.exists()


def test_a_model_that_was_spoiled_in_the_folder_is_not_put_to_use(registry: Registry, files: list[Path]) -> None:
    registry.install(files[0])
    second, _ = registry.install(files[1])
    second.path.write_bytes(b"nothing")
    with pytest.raises(BadModel):
        registry.promote(second.sha256)
    assert in_use(registry) == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("digits", ["", "abc", "zzzz", "ffffffffff"])
def test_a_model_that_is_not_there_is_said_so(registry: Registry, files: list[Path], digits: str) -> None:
    registry.install(files[0])
    with pytest.raises(BadModel, match="edge-ae model list"):
        registry.named(digits)


def test_a_folder_without_a_model_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=f"edge-ae model install FILE --in {tmp_path}"):
        OnnxModel.load(tmp_path)


def test_two_commands_do_not_change_a_folder_at_once(
    registry: Registry, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.install(files[0])
    refused = []
    point = registry._point

    def meanwhile(name: str, sha256: str) -> None:
        with pytest.raises(BadModel, match="another command is changing it") as told:
            Registry(registry.folder).install(files[2])
        refused.append(told)
        point(name, sha256)

    monkeypatch.setattr(registry, "_point", meanwhile)
    second, _ = registry.install(files[1])
    registry.promote(second.sha256)
    assert refused
    assert in_use(registry) == "2026-01-02T00:00:00Z"


def test_a_model_in_the_shadow_stays_until_it_is_put_to_use_or_the_shadow_ends(
    registry: Registry, files: list[Path]
) -> None:
    registry.install(files[0])
    second, _ = registry.install(files[1])
    registry.shadow(second.sha256)
    for path in files[2:]:
        registry.install(path)
    assert registry.links()[2] == second.sha256
    registry.promote(second.sha256)
    assert registry.links()[::2] == (second.sha256, None)
    third = registry.shadow(registry.models()[0].sha256)
    assert registry.links()[2] == third.sha256
    registry.end_shadow()
    assert registry.links()[2] is None


def test_a_model_is_not_in_its_own_shadow(registry: Registry, files: list[Path]) -> None:
    first, _ = registry.install(files[0])
    with pytest.raises(BadModel, match="is in use; name another"):
        registry.shadow(first.sha256)


def test_what_turned_out_not_to_do_is_named_by_no_link_that_is_followed(registry: Registry, files: list[Path]) -> None:
    first, _ = registry.install(files[0])
    second, _ = registry.install(files[1])
    registry.promote(second.sha256)
    registry.set_back(second.sha256, first.sha256)
    registry.shadow(second.sha256)
    registry.set_back(second.sha256, first.sha256)
    assert registry.links() == (first.sha256, first.sha256, None)
    shutil.rmtree(first.path.parent)
    registry._point("current", second.sha256)
    registry.set_back(second.sha256, first.sha256)
    assert registry.links()[0] == second.sha256


STEPS = ("rename", "replace", "symlink_to", "mkdir", "unlink")


def cut_at(monkeypatch: pytest.MonkeyPatch, step: int) -> Callable[[], bool]:
    """The power goes before the `step`-th change of the file system; what clears up after it does not run either."""
    done = 0

    class PowerCut(BaseException):
        pass

    def cut(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done > step:
                raise PowerCut
            return original(*args, **options)

        return call

    for name in STEPS:
        monkeypatch.setattr(Path, name, cut(getattr(Path, name)))
    monkeypatch.setattr(shutil, "rmtree", cut(shutil.rmtree))
    return lambda: done > step


def cut_off(monkeypatch: pytest.MonkeyPatch, step: int, command: Callable[[], object]) -> None:
    """Give the command, and cut the power at the step, if it comes so far."""
    with monkeypatch.context() as cutting:
        was_cut = cut_at(cutting, step)
        try:
            command()
        except BaseException:
            assert was_cut()


@pytest.mark.parametrize("step", range(16))
def test_a_power_cut_leaves_a_whole_model_in_use_and_the_next_command_goes_on(
    registry: Registry, files: list[Path], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    registry.install(files[0])
    cut_off(monkeypatch, step, lambda: registry.promote(registry.install(files[1])[0].sha256))
    assert in_use(registry) in ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
    second, _ = registry.install(files[1])
    registry.promote(second.sha256)
    assert in_use(registry) == "2026-01-02T00:00:00Z"
    assert len(registry.models()) == 2


@pytest.mark.parametrize("step", range(12))
def test_a_power_cut_while_the_model_in_use_is_installed_once_more_leaves_it_in_use(
    registry: Registry, files: list[Path], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    registry.install(files[0])
    cut_off(monkeypatch, step, lambda: registry.install(files[0]))
    assert in_use(registry) == "2026-01-01T00:00:00Z"


def test_a_model_in_use_that_was_spoiled_is_mended_by_installing_it_once_more(
    registry: Registry, files: list[Path]
) -> None:
    model, _ = registry.install(files[0])
    model.path.write_bytes(b"nothing")
    assert registry.install(files[0])[0].is_current
    assert in_use(registry) == "2026-01-01T00:00:00Z"


class FolderOfModels(RuleBasedStateMachine):
    """Any order of commands, against what a person would note on paper."""

    sources: list[Path]

    def __init__(self) -> None:
        super().__init__()
        self.scratch = Path(tempfile.mkdtemp())
        self.registry = Registry(self.scratch / "pump")
        self.current: str | None = None
        self.previous: str | None = None

    def teardown(self) -> None:
        shutil.rmtree(self.scratch)

    @rule(number=st.integers(0, MODELS - 1))
    def install(self, number: int) -> None:
        model, _ = self.registry.install(self.sources[number])
        self.current = self.current or model.sha256

    @precondition(lambda self: self.current is not None)
    @rule(pick=st.integers(0, 99))
    def promote(self, pick: int) -> None:
        models = self.registry.models()
        self._use(models[pick % len(models)].sha256)
        self.registry.promote(self.current or "")

    @precondition(lambda self: self.previous is not None)
    @rule()
    def roll_back(self) -> None:
        assert self.registry.rollback().sha256 == self.previous
        self._use(self.previous or "")

    def _use(self, sha256: str) -> None:
        if sha256 != self.current:
            self.current, self.previous = sha256, self.current

    @invariant()
    def the_folder_says_what_is_in_use(self) -> None:
        models = self.registry.models()
        assert [one.sha256 for one in models if one.is_current] == ([self.current] if self.current else [])
        assert [one.sha256 for one in models if one.is_previous] == ([self.previous] if self.previous else [])
        assert len(models) <= KEPT


def test_any_order_of_commands(files: list[Path]) -> None:
    machine = type("WithFiles", (FolderOfModels,), {"sources": files})
    machine.TestCase.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)  # type: ignore[attr-defined]
    machine.TestCase("runTest").runTest()  # type: ignore[attr-defined]

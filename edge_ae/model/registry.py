"""A folder of models of one machine: each under its SHA-256, one in use. Knows files, nothing of settings and streams.

    models/pump/
        3f2ab4.../model.onnx      as it was installed, with its signature where it had one
        91bc07.../model.onnx
        current  -> 3f2ab4...     replaced whole: after a power cut it is the old one or the new one
        previous -> 91bc07...     what `rollback` goes back to
        shadow   -> e6d801...     what is to run beside the one in use, where there is such a link

A daemon follows the links of its folders. Settings and commands take the folder in place of a file, and read what `current` points to.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_ae.core.model_spec import ModelSpec
from edge_ae.errors import BadModel
from edge_ae.model.onnx_model import CURRENT, MODEL, OnnxModel, in_use, read_file
from edge_ae.model.signature import Verify, signature_path
from edge_ae.store.atomic import reason_of, settle, write_whole

PREVIOUS, SHADOW = "previous", "shadow"
SCRATCH = ".installing"
READABLE, OPEN_FOLDER = 0o644, 0o755  # the service runs as a user of its own
KEPT = 5  # models; what is in use, what it would go back to, what runs beside, and the newest of the others
LEAST_DIGITS = 4  # of a SHA-256, to name a model by
SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Installed:
    """A model of the folder. `installed_ns`: when, since 1970."""

    sha256: str
    path: Path
    installed_ns: int
    is_current: bool
    is_previous: bool
    is_shadow: bool = False

    @property
    def short(self) -> str:
        return self.sha256[:12]

    @property
    def is_used(self) -> bool:
        """Whether a link names it."""
        return self.is_current or self.is_previous or self.is_shadow


class Registry:
    """The models below `folder`. What cannot be read or written raises BadModel with one sentence."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def models(self) -> list[Installed]:
        """Those that are whole, the newest first."""
        current, previous, shadow = self.links()
        with _said(self.folder):
            files = [path for path in self.folder.glob(f"*/{MODEL}") if not path.parent.is_symlink()]
            found = [
                Installed(name, path, path.stat().st_mtime_ns, name == current, name == previous, name == shadow)
                for path in files
                if len(name := path.parent.name) == SHA256_DIGITS
            ]
        return sorted(found, key=lambda one: (one.installed_ns, one.sha256), reverse=True)

    def links(self) -> tuple[str | None, str | None, str | None]:
        """The SHA-256 of what is in use, of what was before, and of what is to run beside; None: there is none."""
        current, previous, shadow = map(self._target, (CURRENT, PREVIOUS, SHADOW))
        return current, previous, None if shadow == current else shadow

    def path_of(self, sha256: str) -> Path:
        """Where the file of a model is."""
        return self.folder / sha256 / MODEL

    def named(self, digits: str) -> Installed:
        """The model whose SHA-256 begins so."""
        found = [one for one in self.models() if one.sha256.startswith(digits.lower())]
        if len(digits) < LEAST_DIGITS or len(found) != 1:
            fault = "several models begin" if len(found) > 1 else "no model begins"
            fault = f"has fewer than {LEAST_DIGITS} digits" if len(digits) < LEAST_DIGITS else f"{fault} so"
            raise BadModel(f"{digits}: {fault}; edge-ae model list {self.folder} shows them")
        return found[0]

    def install(self, source: Path, verify: Verify | None = None) -> tuple[Installed, list[Installed]]:
        """Copy a model file into the folder once it has proved itself here; and the models that had to go for it.

        The first one of a folder is in use at once, others wait for `promote`. Raises BadModel for a file that is not sound,
        and for one of other channels or another period than the model in use: its readings would not fit.
        """
        source = in_use(source)
        spec = OnnxModel.load(source, verify).spec
        with self._alone():
            current = self._target(CURRENT)
            if current not in (None, spec.sha256):  # the one in use once more: its file may be what has to be mended
                require_like(OnnxModel.load(self.folder / current / MODEL).spec, spec, source, self.folder)
            self._copy(source, spec.sha256)
            if current is None:
                self._point(CURRENT, spec.sha256)
            return self.named(spec.sha256), self._drop_oldest(spec.sha256)

    def promote(self, digits: str, verify: Verify | None = None) -> Installed:
        """Put a model to use; the one that was in use is the one to go back to. It proves itself here once more before."""
        with self._alone():
            model = self.named(digits)
            OnnxModel.load(model.path, verify)
            current = self._target(CURRENT)
            if current is not None and current != model.sha256:
                self._point(PREVIOUS, current)
            self._point(CURRENT, model.sha256)
            if self._target(SHADOW) == model.sha256:
                self._unpoint(SHADOW)
            return self.named(model.sha256)

    def shadow(self, digits: str, verify: Verify | None = None) -> Installed:
        """Have a model run beside the one in use. It proves itself here once more before."""
        with self._alone():
            model = self.named(digits)
            if model.is_current:
                raise BadModel(f"{model.short}: is in use; name another for the shadow of it")
            OnnxModel.load(model.path, verify)
            self._point(SHADOW, model.sha256)
            return self.named(model.sha256)

    def end_shadow(self) -> None:
        """Have none run beside the one in use."""
        with self._alone():
            self._unpoint(SHADOW)

    def set_back(self, sha256: str, running: str) -> None:
        """Have no link but `previous` name a model that turned out not to do; `running`: the one that does."""
        with self._alone():
            if self._target(CURRENT) == sha256 and self.path_of(running).is_file():
                self._point(CURRENT, running)
            if self._target(SHADOW) == sha256:
                self._unpoint(SHADOW)

    def rollback(self, verify: Verify | None = None) -> Installed:
        """Put the model to use that was in use before. Raises BadModel where there is none."""
        previous = self._target(PREVIOUS)
        if previous is None or previous == self._target(CURRENT):
            raise BadModel(
                f"{self.folder}: there is no earlier model to go back to; edge-ae model list shows what is there"
            )
        return self.promote(previous, verify)

    # -- files -------------------------------------------------------------------------------------------------

    def _copy(self, source: Path, sha256: str) -> None:
        """Whole under its name, or not there: it is made beside, and gets its name last. Of a model that is there already, which
        may be the one in use, each file is replaced by itself: the folder of what is in use is never gone."""
        beside, scratch = signature_path(source), self.folder / SCRATCH
        with _said(self.folder):
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(mode=OPEN_FOLDER)
            try:
                write_whole(scratch / MODEL, read_file(source), mode=READABLE)
                if beside.exists():
                    write_whole(signature_path(scratch / MODEL), beside.read_bytes(), mode=READABLE)
                if OnnxModel.load(scratch / MODEL).spec.sha256 != sha256:
                    raise BadModel(f"{source}: was written over while it was installed; install it again")
                place = self.folder / sha256
                if place.is_dir():
                    for path in (signature_path(scratch / MODEL), scratch / MODEL):
                        if path.exists():
                            path.replace(place / path.name)
                    settle(place)
                else:
                    scratch.rename(place)
                    settle(self.folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def _drop_oldest(self, newest: str) -> list[Installed]:
        spare = [one for one in self.models() if not (one.is_used or one.sha256 == newest)]
        held = len(self.models()) - len(spare)
        dropped = spare[max(KEPT - held, 0) :]
        with _said(self.folder):
            for one in dropped:
                shutil.rmtree(one.path.parent)
        return dropped

    def _point(self, name: str, sha256: str) -> None:
        scratch = self.folder / f"{SCRATCH}-{name}"
        with _said(self.folder):
            scratch.unlink(missing_ok=True)
            scratch.symlink_to(sha256)
            scratch.replace(self.folder / name)
            settle(self.folder)

    def _unpoint(self, name: str) -> None:
        with _said(self.folder):
            (self.folder / name).unlink(missing_ok=True)
            settle(self.folder)

    def _target(self, name: str) -> str | None:
        """The SHA-256 that a link names; None where there is no link, or no model under that name."""
        try:
            found = str((self.folder / name).readlink())
        except OSError:
            return None
        return found if (self.folder / found / MODEL).is_file() else None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two that change a folder at once would each drop what the other needs."""
        with _said(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            place = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadModel(f"{self.folder}: another command is changing it; try again when it is done") from None
        else:
            yield
        finally:
            os.close(place)


def require_like(current: ModelSpec, candidate: ModelSpec, source: Path, folder: Path) -> None:
    """Raises BadModel for a candidate that readings of the model in use would not fit."""
    kept, new = set(current.names), set(candidate.names)
    lacks = [f"lacks {', '.join(sorted(kept - new))}"] if kept - new else []
    adds = [f"has {', '.join(sorted(new - kept))} beside"] if new - kept else []
    period = [] if current.period_ns == candidate.period_ns else ["has another sample period"]
    if differs := lacks + adds + period:
        raise BadModel(
            f"{source}: {' and '.join(differs)}, unlike the model in use in {folder}; "
            "install it into a folder of its own, and name that in the settings"
        )


@contextmanager
def _said(folder: Path) -> Iterator[None]:
    """The system's faults as one sentence."""
    try:
        yield
    except OSError as error:
        raise BadModel(f"{folder}: {reason_of(error)}; the model in use is what it was") from None

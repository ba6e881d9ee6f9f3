"""A model file that comes piece by piece into a folder of models: what is there already, what comes next, and when it is whole.

    .incoming/transfer.json       which file is coming, how long it is, its signature
    .incoming/model.onnx          as far as it has come
                                  ─ whole ─ digest ─ signature ─ `Registry.install`, which tries it out ─► installed

One file at a time comes into a folder, and one that stopped coming gives way after PATIENCE_NS. Nothing of it is believed before
the digest of the whole is right, and nothing of it reaches the runtime before the signature is, where one is asked for.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadModel
from edge_ae.model.onnx_model import MAX_FILE_BYTES, MODEL
from edge_ae.model.registry import READABLE, SHA256_DIGITS, Installed, Registry
from edge_ae.model.signature import BYTES as SIGNATURE_BYTES
from edge_ae.model.signature import Verify, signature_path
from edge_ae.store.atomic import reason_of, write_whole

FOLDER, TRANSFER = ".incoming", "transfer.json"
PATIENCE_NS = 600 * SECOND  # A link that is gone for longer than this is begun anew; the sender finds out by itself.
PIECE_BYTES = 64 * 1024  # in one message at most
ROOM = 3  # times its size must be free: as it comes, as it is installed, and as much again for all else on the disk


@dataclass(frozen=True, slots=True)
class Announced:
    """A model file that is to come. signature: in hexadecimal; empty: it is not signed."""

    sha256: str
    size: int
    signature: str = ""


class Incoming:
    """The one of a registry. `clock`: nanoseconds since 1970. Raises BadModel with one sentence."""

    def __init__(self, registry: Registry, verify: Verify | None, clock: Callable[[], int]) -> None:
        self._registry = registry
        self._verify = verify
        self._clock = clock
        self._place = registry.folder / FOLDER

    def announce(self, one: Announced) -> int:
        """A file is to come: how many bytes of it are there. Raises BadModel where it cannot be taken."""
        self._check(one)
        under_way = self._under_way()
        if under_way == one:
            return self._size()
        if under_way is not None and self._quiet_ns() < PATIENCE_NS:
            left_s = (PATIENCE_NS - self._quiet_ns()) // SECOND
            raise BadModel(
                f"another model, {under_way.sha256[:12]}, is coming: {self._size():,} of {under_way.size:,} bytes are there; "
                f"send this one when it is installed, or in {left_s} s if nothing more comes of that"
            )
        self._begin(one)
        return 0

    def push(self, sha256: str, offset: int, data: bytes) -> int:
        """The bytes from `offset` on: how many are there now. What came before changes nothing."""
        under_way = self._under_way()
        if under_way is None or under_way.sha256 != sha256:
            raise BadModel(f"no model {sha256[:12]} is coming; announce it first, with its size")
        have = self._size()
        if offset > have or offset + len(data) > under_way.size:
            raise BadModel(f"the bytes from {offset:,} on do not fit: {have:,} of {under_way.size:,} are there")
        new = data[have - offset :]
        if new:
            with self._kept(), (self._place / MODEL).open("ab") as file:
                file.write(new)
        return have + len(new)

    def install(self) -> tuple[Installed, list[Installed]]:
        """Install the file that is whole now, as `Registry.install` does. Whatever comes of it, nothing is incoming then."""
        under_way, path = self._under_way(), self._place / MODEL
        assert under_way is not None
        try:
            with self._kept():
                if hashlib.sha256(path.read_bytes()).hexdigest() != under_way.sha256:
                    raise BadModel(f"model {under_way.sha256[:12]} was spoilt on its way; send it again")
                if under_way.signature:
                    write_whole(signature_path(path), bytes.fromhex(under_way.signature), mode=READABLE)
            return self._registry.install(path, self._verify)
        except BadModel as fault:
            raise BadModel(str(fault).replace(str(path), f"model {under_way.sha256[:12]}")) from None
        finally:
            self._discard()

    # -- what is under way -------------------------------------------------------------------------------------

    def _check(self, one: Announced) -> None:
        if not 0 < one.size <= MAX_FILE_BYTES:
            raise BadModel(f"a model has {MAX_FILE_BYTES:,} bytes at most, and one at least, not {one.size:,}")
        if self._verify is not None and not one.signature:
            raise BadModel("it is not signed, and model_key asks for it; edge-ae-train sign makes its signature")

    def _begin(self, one: Announced) -> None:
        self._discard()
        self._require_room(one)
        with self._kept():
            self._place.mkdir(mode=0o700)
            write_whole(self._place / TRANSFER, json.dumps(asdict(one)).encode())
            (self._place / MODEL).touch()

    def _require_room(self, one: Announced) -> None:
        with self._kept():
            self._registry.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._registry.folder).free
        if free < ROOM * one.size:
            raise BadModel(
                f"{self._registry.folder}: {free:,} bytes are free, and a model of {one.size:,} takes {ROOM} times its size "
                "while it is installed; make room"
            )

    def _under_way(self) -> Announced | None:
        """None: nothing is, or what is there of it cannot be read."""
        try:
            found: dict[str, Any] = json.loads((self._place / TRANSFER).read_bytes())
            return Announced(**found) if (self._place / MODEL).is_file() else None
        except (OSError, ValueError, TypeError):
            return None

    def _size(self) -> int:
        with self._kept():
            return (self._place / MODEL).stat().st_size

    def _quiet_ns(self) -> int:
        """Since something came; a clock that was set back counts as none."""
        with self._kept():
            return abs(self._clock() - (self._place / MODEL).stat().st_mtime_ns)

    def _discard(self) -> None:
        shutil.rmtree(self._place, ignore_errors=True)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """The system's faults as one sentence. On a disk that is full the piece is given up: the watch needs the room more."""
        try:
            yield
        except OSError as error:
            self._discard()
            raise BadModel(
                f"{self._registry.folder}: {reason_of(error)}; nothing was installed, and the model in use is what it was"
            ) from None


def announced(sha256: Any, size: Any, signature: Any) -> Announced:
    """From a message. Raises BadModel where it is none of a model file."""
    if not (isinstance(sha256, str) and _is_hex(sha256, SHA256_DIGITS)):
        raise BadModel(f"sha256 must be the {SHA256_DIGITS} digits of the file's SHA-256")
    if not isinstance(size, int) or isinstance(size, bool):
        raise BadModel("bytes must be the size of the file")
    if signature is not None and not (isinstance(signature, str) and _is_hex(signature, 2 * SIGNATURE_BYTES)):
        raise BadModel(f"signature must be the {SIGNATURE_BYTES} bytes of the file's .sig in hexadecimal")
    return Announced(sha256.lower(), size, signature or "")


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and set(text.lower()) <= set("0123456789abcdef")

"""The checkpoint: all that a restart must know, in one file that is there whole or not at all.

    edge-ae checkpoint 1 <generation> <sha256 of the rest>\\n<zlib of JSON>

Two files take turns, so that the one before is always there to fall back on; each is written to a temporary name,
synced, renamed, and the directory synced. Never pickle: a file must not be able to run.
"""

import contextlib
import hashlib
import logging
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from edge_ae.errors import BadState
from edge_ae.store.atomic import reason_of, write_whole

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
NAMES = ("checkpoint.0", "checkpoint.1")  # generation modulo 2
MAX_BYTES = 256 * 2**20  # of JSON; a file that unpacks to more is not ours
ZLIB_LEVEL = 1  # half the size of the JSON; more effort gains a few per cent


class Checkpoint:
    """The two files in `directory`. `counts`: written, write_failures, damaged; `fault`: what keeps it from writing."""

    def __init__(self, directory: Path) -> None:
        self.counts: Counter[str] = Counter()
        self.fault: str | None = None
        self.bytes_written = 0
        self._directory = directory
        self._generation = 0

    def save(self, state: Mapping[str, Any]) -> bool:
        """Write `state`, on disk when this returns True. False: it could not be written, `fault` says why."""
        generation = self._generation + 1
        data = encode(state, generation)
        try:
            write_whole(self._directory / NAMES[generation % 2], data)
        except OSError as error:
            self.counts["write_failures"] += 1
            self.fault = f"the checkpoint in {self._directory} cannot be written: {reason_of(error)}"
            return False
        self._generation = generation
        self.counts["written"] += 1
        self.bytes_written += len(data)
        self.fault = None
        return True

    def set_aside(self) -> None:
        """What was loaded is sound and yet cannot be taken up: out of the way, where people may look at it."""
        self.counts["damaged"] += 1
        for name in NAMES:
            with contextlib.suppress(OSError):  # one that cannot be moved is overwritten in its turn
                (self._directory / name).replace(self._directory / f"{name}.unfit")

    def load(self) -> dict[str, Any] | None:
        """The newest state that is sound; None where there is none. What is not sound is counted and said."""
        found: dict[int, dict[str, Any]] = {}
        for name in NAMES:
            try:
                with contextlib.suppress(FileNotFoundError):
                    generation, state = decode((self._directory / name).read_bytes(), name)
                    found[generation] = state
            except (BadState, OSError) as error:
                self.counts["damaged"] += 1
                text = error if isinstance(error, BadState) else f"{name} cannot be read: {reason_of(error)}"
                log.warning("state: %s; the one before it is used, if there is one", text)
        self._generation = max(found, default=0)
        return found.get(self._generation)


def encode(state: Mapping[str, Any], generation: int) -> bytes:
    body = zlib.compress(orjson.dumps(state, option=orjson.OPT_SERIALIZE_NUMPY), ZLIB_LEVEL)
    digest = hashlib.sha256(b"%d %s" % (generation, body)).hexdigest()
    return b"edge-ae checkpoint %d %d %s\n%s" % (SCHEMA_VERSION, generation, digest.encode(), body)


def decode(data: bytes, name: str) -> tuple[int, dict[str, Any]]:
    """Generation and state. Raises BadState with one sentence."""
    header, _, body = data.partition(b"\n")
    words = header.split(b" ")
    if words[:2] != [b"edge-ae", b"checkpoint"] or len(words) != 5 or not words[3].isdigit():
        raise BadState(f"{name} is no checkpoint of edge-ae")
    if words[2] != str(SCHEMA_VERSION).encode():
        raise BadState(f"{name} has schema version {words[2][:10]!r}, this program reads {SCHEMA_VERSION}")
    if hashlib.sha256(words[3] + b" " + body).hexdigest().encode() != words[4]:
        raise BadState(f"{name} is damaged: its checksum does not fit")
    unpacker = zlib.decompressobj()
    try:
        state = orjson.loads(unpacker.decompress(body, MAX_BYTES))
    except (zlib.error, ValueError):
        raise BadState(f"{name} is damaged: it cannot be unpacked") from None
    if not isinstance(state, dict):
        raise BadState(f"{name} holds no state")
    return int(words[3]), state

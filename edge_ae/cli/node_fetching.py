"""All recordings of a node, a piece after the other: what is here already is not asked for again.

The node is believed nothing: names that are none of recordings, pieces from elsewhere in a file, lists without an end.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from edge_ae.core.file_pieces import FilePiece, decode_piece
from edge_ae.errors import BadData, BadPayload
from edge_ae.store.fetched_file import FetchedFile
from edge_ae.store.recording_room import is_recording

MOST_FILES = 100_000
RETRIES = 3  # of a piece that has changed on its way
LONGEST_WAIT_S = 10.0

Ask = Callable[[dict[str, Any]], bytes]
Say = Callable[[str, float], None]


class RemoteFile(NamedTuple):
    """A recording on the node, as its list has it."""

    asset: str
    name: str
    size: int

    @property
    def place(self) -> str:
        """As in the node's order."""
        return f"{self.asset}/{self.name}"


class FetchedSum(NamedTuple):
    """`files`: that something came of; `there`: that were complete; `gone`: that the node has no longer."""

    files: int = 0
    there: int = 0
    gone: int = 0
    size: int = 0

    def __str__(self) -> str:
        gone = f", {self.gone} are gone there" if self.gone else ""
        return f"{self.files} files, {self.size:,} bytes fetched, {self.there} files were here already{gone}"


def fetch_node(ask: Ask, out: Path, rate: float, say: Say) -> FetchedSum:
    """Into `out`, at `rate` bytes a second at most. `say`: is told what is being fetched, and the share of all that is here.

    Raises BadData where the node refuses or answers something else, or the disk is full: what came is kept.
    """
    files = list(_listed(ask))
    total, done, found = max(sum(file.size for file in files), 1), 0, FetchedSum()
    for file in files:
        say(file.place, done / total)
        local = FetchedFile(out / file.asset / file.name)
        before = local.at
        is_gone = not all(_pieces(ask, file, local, rate))
        came = local.at - before
        found = FetchedSum(
            found.files + (came > 0),
            found.there + (came == 0 and not is_gone),
            found.gone + is_gone,
            found.size + came,
        )
        done += file.size
    return found


def _listed(ask: Ask) -> Iterator[RemoteFile]:
    after = ""
    for _ in range(MOST_FILES):
        answer = _answer(ask({"after": after}))
        files = [_remote(one) for one in answer.get("files", [])]
        yield from files
        if not answer.get("more") or not files or files[-1].place <= after:
            return
        after = files[-1].place


def _remote(one: Any) -> RemoteFile:
    try:
        file = RemoteFile(str(one["asset"]), str(one["name"]), int(one["size"]))
    except (KeyError, TypeError, ValueError):
        raise BadData(f"the node lists what is no file: {str(one)[:80]}") from None
    if not is_recording(file.asset, file.name):
        raise BadData(f"the node lists what is no recording: {file.place[:80]!r}")
    return file


def _pieces(ask: Ask, file: RemoteFile, local: FetchedFile, rate: float) -> Iterator[bool]:
    """Fetches the file up to the size in the list; a False at the end where the node has it no longer."""
    while local.at < file.size:
        began_s = time.monotonic()
        piece = _piece(ask, file, local.at)
        if piece is None:
            yield False
            return
        if len(piece.data) == 0:  # it has become shorter: the node cut off what a power cut had torn
            return
        local.append(piece)
        time.sleep(max(len(piece.data) / rate - (time.monotonic() - began_s), 0.0))
        yield True


def _piece(ask: Ask, file: RemoteFile, at: int) -> FilePiece | None:
    """None: the node has it no longer."""
    for attempt in range(1, RETRIES + 1):
        reply = ask({"asset": file.asset, "name": file.name, "offset": at})
        try:
            piece = decode_piece(reply)
        except BadPayload as fault:
            if attempt == RETRIES:
                raise BadData(f"{file.place}: {fault}, {RETRIES} times") from None
            continue
        if piece is not None and piece.offset == at:
            return piece
        if piece is not None:
            raise BadData(f"{file.place}: the node answers with the piece at {piece.offset} in place of {at}")
        answer = _answer(reply)
        if answer.get("gone"):
            return None
        time.sleep(min(float(answer.get("wait_s", LONGEST_WAIT_S)), LONGEST_WAIT_S))
    raise BadData(f"{file.place}: the node is too busy; fetch again later to go on from here")


def _answer(reply: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(reply)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise BadData(f"the node answers with what is no answer: {reply[:40]!r}")
    if answer.get("ok") is not True:
        raise BadData(f"the node refuses: {answer.get('error', 'without a reason')}")
    return answer

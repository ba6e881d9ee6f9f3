"""The node's command `fetch`: recordings by request and response, a list of files first, then one piece of a file at a time.

    {"after": "pump/20261122T000000.rows"}                             ─► {"files": [{"asset", "name", "size"}, ...], "more": false}
    {"asset": "pump", "name": "20261123T101500.rows", "offset": 60000} ─► a piece of the file
                                                                          {"gone": true}, or {"wait_s": 1.0}: too much at once

Whoever fetches keeps count of where it is: nothing of it is kept here, so that either side may end at any time and go on. A piece
is small, and so is what is read in a second: the watch goes before.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_ae.core.commands import fields_of
from edge_ae.core.file_pieces import MOST_BYTES, FilePiece, encode_piece
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.node_commands import NodeCommand, NodeCommands
from edge_ae.errors import BadPayload
from edge_ae.store.atomic import reason_of
from edge_ae.store.recording_room import is_recording

KEYS = ("after", "asset", "name", "offset")
FILES_LISTED = 500
BYTES_A_SECOND = 1 << 20
WAIT_S = 1.0


class FetchCommand:
    """Of the recordings below `folder`; None: there are none. `table`: the command by its name."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._left, self._since_ns = float(BYTES_A_SECOND), 0
        self.table: NodeCommands = {"fetch": NodeCommand(self._answer)}

    def _answer(self, payload: bytes, now_ns: int) -> Mapping[str, Any] | bytes:
        fields = fields_of("fetch", payload, KEYS)
        if self._folder is None:
            raise BadPayload("bad_command", "nothing is recorded here; name a folder in record.dir")
        try:
            if "name" not in fields:
                return _listed(self._folder, _text(fields, "after"))
            return self._piece(_path(self._folder, fields), _offset(fields), now_ns)
        except FileNotFoundError:
            return {"gone": True}
        except OSError as error:
            raise BadPayload("bad_command", f"{error.filename}: {reason_of(error)}") from None

    def _piece(self, path: Path, offset: int, now_ns: int) -> Mapping[str, Any] | bytes:
        if not self._spend(now_ns):
            return {"wait_s": WAIT_S}
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(min(offset, size))
            return encode_piece(FilePiece(offset, size, file.read(MOST_BYTES)))

    def _spend(self, now_ns: int) -> bool:
        """Whether a piece may be read now."""
        gone_ns, self._since_ns = now_ns - self._since_ns, now_ns
        self._left = min(self._left + BYTES_A_SECOND * gone_ns / SECOND, BYTES_A_SECOND)
        if self._left < MOST_BYTES:
            return False
        self._left -= MOST_BYTES
        return True


def _listed(folder: Path, after: str) -> dict[str, Any]:
    """The files behind `after`, an asset and a name with a slash between, in the order of such texts."""
    found = sorted(
        f"{path.parent.name}/{path.name}"
        for path in folder.glob("*/*")
        if is_recording(path.parent.name, path.name) and f"{path.parent.name}/{path.name}" > after
    )
    files = [_described(folder, one) for one in found[:FILES_LISTED]]
    return {"files": [file for file in files if file is not None], "more": len(found) > FILES_LISTED}


def _described(folder: Path, one: str) -> dict[str, Any] | None:
    asset, _, name = one.partition("/")
    try:
        return {"asset": asset, "name": name, "size": (folder / asset / name).stat().st_size}
    except OSError:  # the oldest go at any time
        return None


def _path(folder: Path, fields: Mapping[str, Any]) -> Path:
    """A recording's, and no other file's."""
    asset, name = _text(fields, "asset"), _text(fields, "name")
    if not is_recording(asset, name):
        raise BadPayload("bad_command", f"{asset[:64]}/{name[:64]} is no recording; fetch with {{}} lists them")
    return folder / asset / name


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key, "")
    if not isinstance(value, str):
        raise BadPayload("bad_command", f"{key} should be a text")
    return value


def _offset(fields: Mapping[str, Any]) -> int:
    value = fields.get("offset", 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise BadPayload("bad_command", "offset should be a whole number of bytes, 0 or more")
    return value

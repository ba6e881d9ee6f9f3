"""A piece of a file as one message: where it belongs, how long the file is, and a checksum."""

import struct
import zlib
from typing import NamedTuple

from edge_ae.errors import BadPayload

_HEAD = struct.Struct("<4sIQQ")
_MAGIC = b"EAF1"
MOST_BYTES = 60_000  # with the head, below what any broker takes


class FilePiece(NamedTuple):
    """`data`: from `offset` on, of a file that has `size` bytes now; none where it is not longer."""

    offset: int
    size: int
    data: bytes


def encode_piece(piece: FilePiece) -> bytes:
    """Little-endian: EAF1, CRC-32 of the data, offset, size; the data."""
    return _HEAD.pack(_MAGIC, zlib.crc32(piece.data), piece.offset, piece.size) + piece.data


def decode_piece(message: bytes) -> FilePiece | None:
    """None: it is no piece. Raises BadPayload where it is one that has changed on its way."""
    if not message.startswith(_MAGIC):
        return None
    if len(message) < _HEAD.size:
        raise BadPayload("bad_command", "a piece of a file ends in its head")
    _, crc, offset, size = _HEAD.unpack_from(message)
    data = message[_HEAD.size :]
    if zlib.crc32(data) != crc:
        raise BadPayload("bad_command", f"the piece at {offset} is not what was sent: its checksum differs")
    return FilePiece(offset, size, data)

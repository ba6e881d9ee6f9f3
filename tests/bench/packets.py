"""Readings -> MQTT 5 packets in a file, made before the clock runs: what publishes them must not be what limits.

FILE           packets, one after the other
FILE.npy       where each ends
FILE.sent.npy  when each was sent, where the publisher had to keep a pace
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

PACKET_IDS = 65_535
RESPONSE_TOPIC = b"\x08"
MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Packets:
    path: Path
    count: int


def write(path: Path, made: Sequence[bytes]) -> Packets:
    """Puts packets where a publisher finds them."""
    path.write_bytes(b"".join(made))
    np.save(ends_of(path), np.cumsum([len(packet) for packet in made]))
    return Packets(path, len(made))


def ends_of(path: Path) -> Path:
    return path.with_name(path.name + ".npy")


def sent_of(path: Path) -> Path:
    return path.with_name(path.name + ".sent.npy")


def connect(client_id: str) -> bytes:
    """CONNECT: clean start, no keep-alive."""
    return _packet(0x10, _text(b"MQTT") + b"\x05\x02\x00\x00\x00" + _text(client_id.encode()))


def publish(topic: str, payload: bytes, qos: int, number: int, answer_to: str | None = None) -> bytes:
    """PUBLISH, the `number`th of its connection."""
    properties = b"" if answer_to is None else RESPONSE_TOPIC + _text(answer_to.encode())
    packet_id = struct.pack("!H", number % PACKET_IDS + 1) if qos > 0 else b""
    return _packet(0x30 | qos << 1, _text(topic.encode()) + packet_id + _sized(properties) + payload)


def payload(names: Sequence[str], t_ns: int, values: NDArray[np.float64]) -> bytes:
    """A row as a JSON object, with the time in milliseconds."""
    return orjson.dumps({"ts": t_ns // MS, **dict(zip(names, np.round(values, 3).tolist(), strict=True))})


def _packet(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _sized(body)


def _text(text: bytes) -> bytes:
    return struct.pack("!H", len(text)) + text


def _sized(data: bytes) -> bytes:
    """Bytes behind their length, written as MQTT does: seven bits a byte, lowest first."""
    length, head = len(data), bytearray()
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head) + data

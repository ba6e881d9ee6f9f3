"""Packets of MQTT, written by hand: what no library would send, and a broker that sends nothing else."""

import socket
import struct
import threading
from collections.abc import Sequence
from typing import BinaryIO

Property = tuple[int, bytes]  # its number, and its value as it is on the wire


def variable(number: int) -> bytes:
    """A variable byte integer."""
    out = bytearray()
    while True:
        number, byte = divmod(number, 128)
        out.append(byte | (128 if number > 0 else 0))
        if number == 0:
            return bytes(out)


def text(value: bytes) -> bytes:
    return struct.pack("!H", len(value)) + value


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + variable(len(body)) + body


def properties(each: Sequence[Property]) -> bytes:
    body = b"".join(bytes([number]) + value for number, value in each)
    return variable(len(body)) + body


def publish(
    topic: bytes,
    payload: bytes,
    qos: int = 1,
    mid: int = 1,
    *,
    retain: bool = False,
    raw_properties: bytes | None = b"\0",
) -> bytes:
    """A PUBLISH. `raw_properties` None: as in MQTT 3.1.1."""
    number = struct.pack("!H", mid) if qos > 0 else b""
    body = text(topic) + number + (raw_properties or b"") + payload
    return packet(0x30 | qos << 1 | int(retain), body)


class HandWritten:
    """A broker for one client after the other: accepts, confirms, and sends what a test says, byte by byte."""

    def __init__(self, suback: Sequence[int] = ()) -> None:
        self.acknowledged: list[int] = []  # the ids in PUBACKs
        self.published: list[bytes] = []  # PUBLISH packets of the client, without their first byte and length
        self.connections = 0
        self._suback = suback
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._client: socket.socket | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def send(self, data: bytes) -> None:
        assert self._client is not None
        self._client.sendall(data)

    def hang_up(self) -> None:
        if self._client is not None:
            self._client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                with client, client.makefile("rb") as stream:
                    while True:
                        first = stream.read(1)[0]
                        self._answer(client, first, stream.read(length(stream)))
            except (OSError, IndexError):
                if self._listener.fileno() < 0:
                    return

    def _answer(self, client: socket.socket, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == 1:
            self._v5 = body[6] == 5
            client.sendall(packet(0x20, b"\0\0\0" if self._v5 else b"\0\0"))
            self._client, self.connections = client, self.connections + 1
        elif kind == 8:
            count = self._filters(body)
            codes = [*self._suback, *[1] * count][:count]
            client.sendall(packet(0x90, body[:2] + (b"\0" if self._v5 else b"") + bytes(codes)))
        elif kind == 10:
            client.sendall(packet(0xB0, body[:2] + (b"\0\0" if self._v5 else b"")))
        elif kind == 3:
            self.published.append(body)
            end = 2 + struct.unpack("!H", body[:2])[0]
            if first & 6:
                client.sendall(packet(0x40, body[end : end + 2]))
        elif kind == 4:
            self.acknowledged.append(struct.unpack("!H", body[:2])[0])
        elif kind == 12:
            client.sendall(b"\xd0\0")

    def _filters(self, body: bytes) -> int:
        count, at = 0, 3 if self._v5 else 2
        while at < len(body):
            at += 3 + struct.unpack("!H", body[at : at + 2])[0]
            count += 1
        return count


def length(stream: BinaryIO) -> int:
    value = shift = 0
    while True:
        byte = stream.read(1)[0]
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value

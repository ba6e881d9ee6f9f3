"""The cable between daemon and broker: bytes in both directions, until somebody cuts it or pulls the plug."""

import contextlib
import socket
import struct
import threading

AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: a close without goodbye, as when a cable breaks
PIECE = 64 * 1024


class Wire:
    """Listens on `port`, and carries on to `to_port` what comes."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._ends: set[socket.socket] = set()
        self._plugged = True
        self._left: int | None = None  # bytes until it breaks
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break what is connected."""
        with self._lock:
            ends, self._ends, self._left = self._ends, set(), None
        for end in ends:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def cut_after(self, count: int) -> None:
        """Break when so many more bytes have passed, wherever in a packet that is."""
        self._left = count

    def unplug(self) -> None:
        self._plugged = False
        self.cut()

    def plug_in(self) -> None:
        self._plugged = True

    def close(self) -> None:
        self._listener.close()
        self.unplug()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._to_port), 5.0)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self._join(near, far)

    def _join(self, near: socket.socket, far: socket.socket) -> None:
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._ends |= {near, far}
        if not self._plugged:
            self.cut()
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE):
                target.sendall(self._within(data))
                if self._left == 0:
                    self.cut()
        self._part(source, target)

    def _within(self, data: bytes) -> bytes:
        with self._lock:
            if self._left is None:
                return data
            data = data[: self._left]
            self._left -= len(data)
            return data

    def _part(self, *ends: socket.socket) -> None:
        with self._lock:
            self._ends -= set(ends)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the other direction
            end.close()

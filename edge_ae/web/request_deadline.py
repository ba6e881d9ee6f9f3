"""How long a browser may take to say what it wants: a connection that does not is closed, so that none is held for nothing.

uvicorn's HTTP, with h11 beneath it, which bounds the length of the headers; the other one that it knows does not.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 10.0  # from its first byte, or from the connection's begin, to its last byte
MAX_HEAD_BYTES = 16 * 1024


class TimedRequests(H11Protocol):
    """One connection; without requests between two of them it is uvicorn's keep-alive that ends it."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end_deadline()

    def _set_deadline(self) -> None:
        """There is one while a part of a request is missing; more bytes do not move it."""
        state: Any = self.conn.their_state
        if state not in (h11.IDLE, h11.SEND_BODY):
            self._end_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_S, self.transport.close)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

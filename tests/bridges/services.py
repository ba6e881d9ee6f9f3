"""Services that people are notified by, on this machine: one that takes JSON, and a mail server. Both keep what they get."""

import base64
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.conftest import PATIENCE_S, free_port


class HttpService:
    """What came, by the path that it came to. `answers`: of each path, the status; None: none at all, for ever; an event: 200 once it is set."""

    def __init__(self) -> None:
        self.got: dict[str, list[dict[str, Any]]] = {}
        self.headers: list[dict[str, str]] = []
        self.answers: dict[str, int | threading.Event | None] = {}
        self.asked: list[str] = []
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.take(self, body)

            def do_PUT(self) -> None:
                self.do_POST()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def take(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.asked.append(handler.path)
        status = self.answers.get(handler.path, 200)
        if status is None:
            self._over.wait()
            return
        if isinstance(status, threading.Event):
            status.wait(PATIENCE_S)
            status = 200
        if status == 200:
            self.got.setdefault(handler.path, []).append(_read(body))
            self.headers.append(dict(handler.headers))
        handler.send_response(status)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"{}")

    def url(self, path: str, schema: str = "json") -> str:
        return f"{schema}://127.0.0.1:{self.port}{path}"

    def texts(self, path: str) -> list[str]:
        """Title and text of what came, one string each."""
        return [f"{body['title']}\n{body['message']}" for body in self.got.get(path, [])]

    def pictures(self, path: str) -> list[bytes]:
        return [base64.b64decode(one["base64"]) for body in self.got[path] for one in body["attachments"]]

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()


def _read(body: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(body))
    except ValueError:
        return {"raw": body}


@contextmanager
def http_service() -> Iterator[HttpService]:
    service = HttpService()
    try:
        yield service
    finally:
        service.close()


class _Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as it takes to be given a mail."""

    def handle(self) -> None:
        self.wfile.write(b"220 test\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.mails.append(b"".join(lines))  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
            if verb == b"QUIT":
                return


@contextmanager
def mail_service() -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and the mails that came."""
    mails: list[bytes] = []
    port = free_port()
    with socketserver.ThreadingTCPServer(("127.0.0.1", port), _Smtp) as server:
        server.daemon_threads = True
        server.mails = mails  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield port, mails
        finally:
            server.shutdown()

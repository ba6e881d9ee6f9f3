"""The page that Prometheus scrapes, on a thread of its own that sees nothing but the page: one scrape after the other."""

import socket
import threading
from socketserver import TCPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

REQUEST_S = 5.0
"""A client that sends or reads nothing for so long is let go, for the next one waits behind it."""

CLOSE_S = 1.0


class MetricsServer:
    """Serves until `close`. `app`: a WSGI application."""

    def __init__(self, host: str, port: int, app: Any) -> None:
        """Raises OSError where the port cannot be had, and where `host` is none of this machine's."""
        self._server = _OneByOne(host, port)
        self._server.set_app(app)
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Free the port. A client that hangs is not waited for."""
        ending = threading.Thread(target=self._server.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSE_S)
        self._server.server_close()


class _OneByOne(WSGIServer):
    def __init__(self, host: str, port: int) -> None:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self.address_family = family
        super().__init__((str(address[0]), port), _QuietHandler)

    def server_bind(self) -> None:
        """As the class above has it, but without asking the network's name server who we are."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up in the middle is its own affair."""


class _QuietHandler(WSGIRequestHandler):
    timeout = REQUEST_S

    def log_message(self, *_: Any) -> None:
        """A scrape is traffic, and traffic is not logged."""

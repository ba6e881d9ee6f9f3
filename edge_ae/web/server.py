"""The page's server: a socket, the gate, the library behind it, and a clean end. Blocks until it is told to stop."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from nicegui import core, ui
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from edge_ae.errors import BadConfig
from edge_ae.web.gate import Gate
from edge_ae.web.gone import GoneTopics
from edge_ae.web.live import Live
from edge_ae.web.options import PageOptions
from edge_ae.web.pages import Pages
from edge_ae.web.request_deadline import MAX_HEAD_BYTES, TimedRequests

RECONNECT_S = 10.0  # the page of a browser that has gone is kept for so long; its answer to a ping may take 0.4 of it
CONNECTIONS = 200
BACKLOG = 64
GOODBYE_S = 2
MESSAGE_BYTES = 64 * 1024  # of a browser's
ICON = (Path(__file__).parent / "static" / "icon.svg").read_text()


def listening(options: PageOptions) -> socket.socket:
    """The socket, before anything else is begun. Raises BadConfig with one sentence where it cannot be had."""
    where = f"{options.host}:{options.port}"
    try:
        found = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        number = error.errno or 0  # below 0 for names that lead nowhere
        why = os.strerror(number) if number > 0 else error.strerror  # which may name the address once more
        raise BadConfig(
            f"web: cannot listen on {where}: {why}; is another page running there? Set host and port in [web]"
        ) from None


def serve(
    options: PageOptions,
    live: Live,
    gone: GoneTopics,
    taken: socket.socket,
    ready: Callable[[], None],
    alive: Callable[[], None],
) -> None:
    """Serves until SIGTERM or SIGINT. `ready` is called once it does, `alive` each time that the pages were drawn."""
    behind = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    pages = Pages(live, gone, alive, logout=options.password is not None)
    core.app.config.socket_io_js_transports = ["websocket"]  # the gate takes no POST but that of the login
    ui.run_with(
        behind,
        title="edge-ae",
        favicon=ICON,
        dark=None,
        language="en-US",
        binding_refresh_interval=None,
        reconnect_timeout=RECONNECT_S,
        gzip_middleware_factory=None,  # it is outside the gate, which has to see the pages
        tailwind=False,
        show_welcome_message=False,
    )
    core.app.add_exception_handler(404, _no_such_page)
    config = uvicorn.Config(
        GZipMiddleware(Gate(behind, options), minimum_size=1000, compresslevel=5),
        access_log=False,
        backlog=BACKLOG,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        http=TimedRequests,
        limit_concurrency=CONNECTIONS,
        lifespan="on",
        log_config=None,
        log_level="error",  # a warning is what anybody can cause, and as often as they like
        loop="asyncio",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GOODBYE_S,
        ws_max_size=MESSAGE_BYTES,
    )
    asyncio.run(_served(_PageServer(config, ready), pages, taken))


async def _no_such_page(_request: Request, _fault: Exception) -> Response:
    """In place of the library's answer, which makes a page, and a line of log, for each path that somebody tries."""
    return PlainTextResponse("there is no such page\n", 404)


async def _served(server: uvicorn.Server, pages: Pages, taken: socket.socket) -> None:
    """A fault of the drawing ends the server, too: a page that stands still would look like a plant without news."""
    drawing = asyncio.create_task(pages.run())
    serving = asyncio.create_task(server.serve([taken]))
    await asyncio.wait((drawing, serving), return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    if drawing.done():
        drawing.result()
    drawing.cancel()


class _PageServer(uvicorn.Server):
    """Ends without a traceback and without dying of the signal that ended it."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

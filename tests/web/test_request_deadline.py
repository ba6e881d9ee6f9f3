"""A connection that does not say what it wants is closed, however it goes about it; one that waits for its answer is not."""

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from edge_ae.web import request_deadline as module
from edge_ae.web.request_deadline import TimedRequests

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"


async def slow_app(_scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body", False):
        pass
    await asyncio.sleep(4 * module.REQUEST_S)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def answer(first: bytes, drop: bytes = b"") -> bytes:
    """What comes back until the end of the connection; `drop`: a byte of it is sent now and then."""
    config = uvicorn.Config(slow_app, lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: TimedRequests(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(first)

    async def dripping() -> None:
        while drop:
            await asyncio.sleep(module.REQUEST_S / 5)
            writer.write(drop)

    drips = asyncio.create_task(dripping())
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        drips.cancel()
        writer.close()
        server.close()


@pytest.mark.parametrize(
    ("first", "drop"),
    [(b"", b""), (b"GET / HTTP/1.1\r\nX: ", b""), (b"GET / HTTP/1.1\r\nX: ", b"x"), (HEAD, b""), (HEAD + b"a", b"")],
)
def test_half_a_request_ends_the_connection(monkeypatch: pytest.MonkeyPatch, first: bytes, drop: bytes) -> None:
    monkeypatch.setattr(module, "REQUEST_S", 0.05)
    assert asyncio.run(answer(first, drop)) == b""


def test_a_whole_request_may_wait_for_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_S", 0.05)
    assert asyncio.run(answer(HEAD + b"abc")).endswith(b"done\r\n0\r\n\r\n")

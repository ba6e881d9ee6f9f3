"""The door before the page: who may come in, from where, and what the browser may do with what it gets. Plain ASGI.

    request ─► Host is ours? ─► embedded elsewhere? ─► changes something: Origin is ours? ─► logged in? ─► the page, with the headers of security
                                                        login, logout, websocket

Knows nothing of assets. What it refuses, it refuses with one sentence and before anything else sees it.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from edge_ae.core.printable import printable
from edge_ae.core.timestamps import SECOND
from edge_ae.web import login_page, passwords
from edge_ae.web.login_limit import LoginLimit, RefusedGuess
from edge_ae.web.logins import LIFETIME_NS, Logins
from edge_ae.web.options import PageOptions
from edge_ae.web.served_hosts import is_same_origin, is_served, names_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LONGEST_FORM = 16 * 1024  # the longest password, percent-encoded
LONGEST_TARGET = 2_000
LIVE = "/_nicegui_ws"  # by websocket alone: its other way answers each origin that asks
STATIC = "/_nicegui"  # the library's scripts, which are no page to come back to after the login
HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with less, a browser sends "null" as the origin of the login form
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
# The library compiles templates in the browser: eval cannot be forbidden. Scripts that it has not written can be: each of
# its own in the page carries the nonce of this one answer.
POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self' {sockets}; manifest-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

log = logging.getLogger("edge_ae.web")


class Gate:
    """Wraps `app`. `clock`: monotonic nanoseconds."""

    def __init__(self, app: App, options: PageOptions, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.app = app
        self._options = options
        self._clock = clock
        self._names = names_of(options.host, options.names)
        self._cookie = f"edge_ae_{options.port}"  # cookies do not know ports: another page of this machine has its own
        self._logins = Logins()
        self._limit = LoginLimit()
        self._hashing = asyncio.Lock()  # one at a time: each takes memory, and a core from the daemon beside it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        host, path, method = _header(scope, "host"), scope["path"], scope["method"]
        if not is_served(host, self._names):
            await _answer(send, 421, f"{_shown(host)} is no name of this page; add it to names in [web] if it is\n")
        elif _is_embedded(scope):
            await _answer(send, 403, "this page is for nobody else's page to load\n")
        elif method == "POST" and path in ("/login", "/logout"):
            await self._change(path, scope, receive, send)
        elif method not in ("GET", "HEAD") or path.startswith(LIVE):
            await _answer(send, 405, "this page has nothing that takes this\n")
        elif path == "/login" and not self._comes_in(scope):
            await self._show_login(scope, send)
        elif path == "/login":
            await _redirect(send, "/")
        elif self._comes_in(scope):
            await self._page(scope, receive, send)
        elif path.startswith(STATIC):
            await _answer(send, 401, "log in first\n")
        else:
            await _redirect(send, f"/login?next={quote(_with_query(scope), safe='/')}")

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A handshake from elsewhere is refused; after a logout nothing more is taken or sent."""
        host = _header(scope, "host")
        refused = not (is_served(host, self._names) and is_same_origin(_header(scope, "origin"), host))
        if refused or not self._comes_in(scope):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return

        async def receive_logged_in() -> MutableMapping[str, Any]:
            message = await receive()
            return message if self._comes_in(scope) else {"type": "websocket.disconnect", "code": 1008}

        async def send_logged_in(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "websocket.send" and not self._comes_in(scope):
                message = {"type": "websocket.close", "code": 1008}
            await send(message)

        await self.app(scope, receive_logged_in, send_logged_in)

    def _comes_in(self, scope: Scope) -> bool:
        return self._options.password is None or self._token(scope) is not None

    def _token(self, scope: Scope) -> str | None:
        """The good one: other programs of this machine's may have set cookies of any form, and even of this name."""
        pairs = (one.strip().partition("=") for one in _cookies(scope).split(";"))
        mine = (value for name, _, value in pairs if name == self._cookie)
        return next((token for token in mine if self._logins.good(token, self._clock())), None)

    # -- the page ----------------------------------------------------------------------------------------------

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The app's answer, with the headers; its scripts get the nonce, which text of others cannot know."""
        nonce = secrets.token_urlsafe(16)
        policy = _policy(nonce, _header(scope, "host") or "")
        # By this header the library would write a foreign path into its page; a proxy gives us a host of our own.
        kept = [(name, value) for name, value in scope["headers"] if name != b"x-forwarded-prefix"]
        start: MutableMapping[str, Any] | None = None
        body = bytearray()

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_secured(policy)]
                if _is_html(message):
                    start = message
                    return
            elif start is not None:
                body.extend(message.get("body", b""))
                if message.get("more_body", False):
                    return
                whole = bytes(body).replace(b"<script", f'<script nonce="{nonce}"'.encode())
                await send(_of_length(start, len(whole)))
                message = {"type": "http.response.body", "body": whole}
            await send(message)

        await self.app({**scope, "headers": kept}, receive, with_headers)

    # -- login and logout --------------------------------------------------------------------------------------

    async def _change(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        form = await _form(receive)
        if not is_same_origin(_header(scope, "origin"), _header(scope, "host")):
            await _answer(send, 403, "this was not sent by this page\n")
        elif form is None:
            await _answer(send, 413, f"a form has {LONGEST_FORM} bytes at most\n")
        elif path == "/logout":
            self._logins.end(self._token(scope))
            await _redirect(send, "/login", self._set_cookie("", 0, scope))
        elif self._options.password is None:
            await _redirect(send, "/")
        else:
            await self._login(scope, send, form)

    async def _login(self, scope: Scope, send: Send, form: dict[str, str]) -> None:
        address = self._address(scope)
        guess = self._limit.begin(address, self._clock())
        if isinstance(guess, RefusedGuess):
            wait_s = -(-guess.wait_ns // SECOND)
            await self._show_login(scope, send, 429, f"Too many wrong passwords: try again in {wait_s} s.", form)
            return
        matched = False
        try:
            await asyncio.sleep(guess.delay_ns / SECOND)
            async with self._hashing:
                matched = await asyncio.to_thread(
                    passwords.matches, form.get("password", ""), self._options.password or ""
                )
        finally:
            wrong = self._limit.end(address, matched, self._clock())
        if wrong > 0:
            log.warning("wrong passwords: %d since this was last logged, the last from %s", wrong, _shown(address))
        if matched:
            token = self._logins.new(self._clock())
            cookie = self._set_cookie(token, LIFETIME_NS // SECOND, scope)
            await _redirect(send, _inner(form.get("next")), cookie)
        else:
            await self._show_login(scope, send, 403, "This is not the password.", form)

    async def _show_login(
        self, scope: Scope, send: Send, status: int = 200, fault: str = "", form: dict[str, str] | None = None
    ) -> None:
        asked = form if form is not None else _fields(scope.get("query_string", b""))
        text = login_page.html(_inner(asked.get("next")), fault)
        await _answer(send, status, text, "text/html; charset=utf-8")

    def _address(self, scope: Scope) -> str:
        """Who asks; behind a proxy, who asked it: the last entry is its own and cannot be made up by others."""
        peer = (scope.get("client") or ("?",))[0]
        forwarded = _header(scope, "x-forwarded-for") if self._options.behind_proxy else None
        return str(peer) if not forwarded else forwarded.rpartition(",")[2].strip()

    def _set_cookie(self, token: str, age_s: int, scope: Scope) -> tuple[bytes, bytes]:
        secure = self._options.behind_proxy and _header(scope, "x-forwarded-proto") == "https"
        words = f"{self._cookie}={token}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict{'; Secure' * secure}"
        return b"set-cookie", words.encode()


def _header(scope: Scope, name: str) -> str | None:
    """A header that came once; one that came twice is none."""
    found = [value for key, value in scope["headers"] if key == name.encode()]
    return found[0].decode("latin-1") if len(found) == 1 else None


def _cookies(scope: Scope) -> str:
    """All of them: behind HTTP/2 each may have a header of its own."""
    return "; ".join(value.decode("latin-1") for key, value in scope["headers"] if key == b"cookie")


def _is_embedded(scope: Scope) -> bool:
    """Whether a page of another origin loads this as a part of itself, and so would open pages here unseen."""
    elsewhere = _header(scope, "sec-fetch-site") in ("cross-site", "same-site")
    return elsewhere and _header(scope, "sec-fetch-dest") != "document"


def _policy(nonce: str, host: str) -> str:
    return POLICY.format(nonce=nonce, sockets=f"ws://{host} wss://{host}")


def _secured(policy: str) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode(), value.encode())
        for name, value in (HEADERS | {"Content-Security-Policy": policy}).items()
    ]


def _is_html(start: MutableMapping[str, Any]) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in start["headers"])


def _of_length(start: MutableMapping[str, Any], length: int) -> MutableMapping[str, Any]:
    kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    return {**start, "headers": [*kept, (b"content-length", str(length).encode())]}


async def _answer(
    send: Send, status: int, text: str, kind: str = "text/plain; charset=utf-8", *more: tuple[bytes, bytes]
) -> None:
    body = text.encode()
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *_secured(login_page.POLICY),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _redirect(send: Send, target: str, *more: tuple[bytes, bytes]) -> None:
    await _answer(send, 303, "", "text/plain", (b"location", target.encode()), *more)


async def _form(receive: Receive) -> dict[str, str] | None:
    """The fields of a form, each once; None where it is too long, or its sender has gone."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body.extend(message.get("body", b""))
        more = message.get("more_body", False)
        if len(body) > LONGEST_FORM or message["type"] == "http.disconnect":
            return None
    return _fields(bytes(body))


def _fields(encoded: bytes) -> dict[str, str]:
    try:
        found = parse_qs(encoded.decode("latin-1"), max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[0] for name, values in found.items()}


def _with_query(scope: Scope) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    return quote(scope["path"]) + (f"?{query}" if query else "")


def _inner(target: str | None) -> str:
    """Where to go after the login: a path of ours, whatever a link has asked for."""
    if not target or len(target) > LONGEST_TARGET or not target.isascii() or not target.isprintable():
        return "/"
    parts = urlsplit(target)
    ours = target.startswith("/") and not target.startswith(("//", "/\\", "/login", "/logout")) and not parts.netloc
    return target if ours else "/"


def _shown(text: str | None) -> str:
    return "a request without a name" if text is None else printable(text, 80)

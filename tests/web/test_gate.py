"""Who may come in: told by Host, Origin and the cookie of the login, before the page sees anything."""

import asyncio
import logging
import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest

from edge_ae.core.timestamps import SECOND
from edge_ae.web import passwords
from edge_ae.web.gate import LONGEST_FORM, Gate
from edge_ae.web.logins import LIFETIME_NS, MAX_LOGINS, Logins
from edge_ae.web.options import PageOptions
from edge_ae.web.passwords import LONGEST, hashed

PASSWORD = "correct horse"
LINE = hashed(PASSWORD)
PAGE = b"<!doctype html><script>ours()</script><p>page"
HOST = "127.0.0.1:8182"
SAME = {"origin": f"http://{HOST}"}


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Door:
    """A gate before a page that says "page"; time stands still until it is moved."""

    def __init__(self, options: PageOptions | None = None) -> None:
        self.now_ns = 1_000 * SECOND
        self.seen: dict[bytes, bytes] = {}
        self.gate = Gate(self._page, options or PageOptions(password=LINE), clock=lambda: self.now_ns)

    async def _page(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.seen = dict(scope["headers"])
            headers = [(b"content-type", b"text/html"), (b"content-length", b"1")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": PAGE[:20], "more_body": True})
            await send({"type": "http.response.body", "body": PAGE[20:]})
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    def ask(
        self,
        path: str,
        headers: dict[str, str] | None = None,
        method: str = "GET",
        body: bytes = b"",
        client: str = "10.0.0.1",
    ) -> Answer:
        scope = _scope("http", path, headers) | {"method": method, "client": (client, 5)}
        answer = Answer()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            answer.body += message.get("body", b"")

        asyncio.run(self.gate(scope, receive, send))
        return answer

    async def login_soon(self, client: str) -> None:
        """As `login` with a wrong password, beside others."""
        scope = _scope("http", "/login", SAME) | {"method": "POST", "client": (client, 5)}
        await self.gate(scope, lambda: _soon({"type": "http.request", "body": b"password=wrong"}), _unheard)

    def login(self, password: str = PASSWORD, target: str = "/", client: str = "10.0.0.1", **headers: str) -> Answer:
        body = urlencode({"password": password, "next": target}).encode()
        return self.ask("/login", SAME | headers, "POST", body, client)

    def cookie(self) -> dict[str, str]:
        return {"cookie": self.login().headers["set-cookie"].partition(";")[0]}

    def socket(self, headers: dict[str, str], later_ns: int = 0) -> list[str]:
        """What a websocket gets back, by type, that sends twice; time goes on between the two."""
        said = iter([{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "a"}])
        got: list[str] = []

        async def receive() -> dict[str, str]:
            message = next(said, None)
            if message is None:
                self.now_ns += later_ns
                return {"type": "websocket.receive", "text": "b"} if len(got) < 3 else {"type": "websocket.disconnect"}
            return message

        async def send(message: Any) -> None:
            got.append(message["type"].removeprefix("websocket."))

        asyncio.run(self.gate(_scope("websocket", "/_nicegui_ws/socket.io/", headers), receive, send))
        return got


def _scope(kind: str, path: str, headers: dict[str, str] | None) -> dict[str, Any]:
    given = {"host": HOST} | (headers or {})
    return {
        "type": kind,
        "path": path.partition("?")[0],
        "query_string": path.partition("?")[2].encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
    }


# -- login -----------------------------------------------------------------------------------------------------


def test_who_is_not_logged_in_is_asked_for_the_password_and_comes_back_to_where_they_were_going() -> None:
    door = Door()
    asked = door.ask("/asset/pi/pump 1?x=1")
    assert (asked.status, asked.headers["location"]) == (303, "/login?next=/asset/pi/pump%25201%3Fx%3D1")
    form = door.ask(asked.headers["location"])
    assert form.status == 200
    assert b'type="password"' in form.body
    done = door.login(target="/asset/pi/pump%201?x=1")
    assert (done.status, done.headers["location"]) == (303, "/asset/pi/pump%201?x=1")
    assert door.ask("/", {"cookie": done.headers["set-cookie"].partition(";")[0]}).status == 200


def test_scripts_of_the_library_are_not_for_those_who_are_not_logged_in() -> None:
    assert Door().ask("/_nicegui/3/static/nicegui.js").status == 401


def test_the_cookie_is_kept_from_scripts_and_other_sites() -> None:
    words = Door().login().headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=604800"} <= set(words.split("; "))
    assert "Secure" not in words
    proxied = Door(PageOptions(password=LINE, behind_proxy=True)).login(x_forwarded_proto="https")
    assert "Secure" in proxied.headers["set-cookie"].split("; ")


def test_a_wrong_password_is_refused_and_a_made_up_cookie_too() -> None:
    door = Door()
    assert door.login("wrong password").status == 403
    assert door.ask("/", {"cookie": "edge_ae_8182=x"}).status == 303
    assert door.ask("/", {"cookie": 'edge_ae_8182="'}).status == 303


def test_a_login_ends_by_logout_and_by_time() -> None:
    door = Door()
    cookie = door.cookie()
    assert door.ask("/logout", cookie | SAME, "POST").headers["location"] == "/login"
    assert door.ask("/", cookie).status == 303
    cookie = door.cookie()
    door.now_ns += LIFETIME_NS
    assert door.ask("/", cookie).status == 303


def test_of_more_logins_than_there_is_room_for_the_oldest_goes() -> None:
    logins = Logins()
    tokens = [logins.new(0) for _ in range(MAX_LOGINS + 1)]
    assert [logins.good(token, 1) for token in (tokens[0], tokens[1], tokens[-1])] == [False, True, True]


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "/logout",
        "/x\r\nSet-Cookie: a=b",
        "/" + "x" * 5_000,
        "",
    ],
)
def test_a_login_leads_to_this_page_alone(target: str) -> None:
    assert Door().login(target=target).headers["location"] == "/"


def test_what_a_link_brings_to_the_login_page_is_text() -> None:
    page = Door().ask('/login?next=/"><script>alert(1)</script>').body
    assert b"<script" not in page


# -- guesses ---------------------------------------------------------------------------------------------------


def test_a_thousand_wrong_passwords_are_one_line_of_log_and_keep_nobody_else_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = Door()
    with caplog.at_level(logging.WARNING):
        statuses = [door.login(f"wrong password {number}").status for number in range(1_000)]
    assert statuses == [403] * 6 + [429] * 994
    assert [record.getMessage() for record in caplog.records] == [
        "wrong passwords: 1 since this was last logged, the last from 10.0.0.1"
    ]
    assert door.login().status == 429
    assert door.login(client="10.0.0.2").status == 303
    door.now_ns += 2 * SECOND
    assert door.login().status == 303


def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_saw() -> None:
    door = Door(PageOptions(password=LINE, behind_proxy=True))
    for number in range(20):
        refused = door.login("wrong password", x_forwarded_for=f"1.2.3.{number}, 10.9.9.9")
    assert refused.status == 429
    assert door.login(x_forwarded_for="10.9.9.8").status == 303


def test_without_a_proxy_nobody_can_say_that_they_are_somebody_else() -> None:
    door = Door()
    assert [door.login("wrong password", x_forwarded_for=f"1.2.3.{number}").status for number in range(8)][-1] == 429


def test_a_form_that_is_too_long_is_not_read() -> None:
    assert Door().ask("/login", SAME, "POST", b"x" * (LONGEST_FORM + 1)).status == 413


# -- where a request comes from --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8182", "localhost:8182", "LOCALHOST", "[::1]:8182", "192.168.1.7:8182", "panel.example.org"]
)
def test_our_own_names_and_addresses_are_served(host: str) -> None:
    assert Door(PageOptions(names=("panel.example.org",))).ask("/", {"host": host}).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example:8182", "127.0.0.1.evil.example", "", "127.0.0.1@evil.example", "[::1", "localhost.evil.example"],
)
def test_another_name_that_leads_here_is_refused(host: str) -> None:
    """As a page does that lets its own name resolve to this machine."""
    door = Door(PageOptions())
    assert door.ask("/", {"host": host}).status == 421
    assert door.socket({"host": host, "origin": f"http://{host}"}) == ["close"]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "file://127.0.0.1:8182", "http://127.0.0.1:x"]
)
def test_what_another_page_sends_changes_nothing(origin: str) -> None:
    door = Door()
    cookie = door.cookie()
    assert door.login(origin=origin).status == 403
    assert door.ask("/logout", cookie | {"origin": origin}, "POST").status == 403
    assert door.ask("/logout", cookie, "POST").status == 403
    assert door.ask("/", cookie).status == 200
    assert door.socket(cookie | {"origin": origin}) == ["close"]
    assert door.socket(cookie) == ["close"]


def test_behind_tls_the_origin_has_no_port() -> None:
    assert Door().login(host="panel.local", origin="https://panel.local").status in (421, 403)
    assert (
        Door(PageOptions(password=LINE, names=("panel.local",)))
        .login(host="panel.local", origin="https://panel.local")
        .status
        == 303
    )


def test_a_websocket_needs_the_login_and_ends_with_it() -> None:
    door = Door()
    assert door.socket(SAME) == ["close"]
    cookie = door.cookie()
    assert door.socket(cookie | SAME) == ["accept", "send", "send"]
    assert door.socket(cookie | SAME, later_ns=LIFETIME_NS) == ["accept", "send"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_else_takes_anything(method: str) -> None:
    assert Door(PageOptions()).ask("/", SAME, method).status == 405


# -- what the browser may do -----------------------------------------------------------------------------------


def test_scripts_of_the_page_carry_the_nonce_of_the_answer_and_no_others_run() -> None:
    door = Door(PageOptions())
    one, other = door.ask("/"), door.ask("/")
    nonce = re.search(r"'nonce-([\w-]{20,})'", one.headers["content-security-policy"])
    assert nonce is not None
    assert one.body == PAGE.replace(b"<script", f'<script nonce="{nonce[1]}"'.encode())
    assert int(one.headers["content-length"]) == len(one.body)
    assert nonce[1] not in other.headers["content-security-policy"]
    policy = one.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]


@pytest.mark.parametrize("path", ["/", "/login"])
def test_every_answer_has_the_headers_of_security(path: str) -> None:
    headers = Door().ask(path).headers
    expected = {"x-frame-options": "DENY", "x-content-type-options": "nosniff", "referrer-policy": "same-origin"}
    assert {name: headers[name] for name in expected} == expected
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_path_that_somebody_puts_before_the_page_does_not_reach_it() -> None:
    door = Door(PageOptions())
    door.ask("/", {"x_forwarded_prefix": "//evil.example"})
    assert b"x-forwarded-prefix" not in door.seen


# -- what attackers try ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", [f"{HOST}; script-src *", "127.0.0.1:x", "evil@127.0.0.1", "127.0.0.1/x", "127.0.0.1?x", "127.0.0.1 x"]
)
def test_a_host_that_is_more_than_a_name_and_a_port_is_refused_and_does_not_come_into_the_policy(host: str) -> None:
    answer = Door(PageOptions()).ask("/", {"host": host})
    assert answer.status == 421
    assert "script-src *" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/_nicegui_ws/socket.io/?EIO=4&transport=polling", "/_nicegui_ws/x"])
def test_the_live_connection_is_a_websocket_and_nothing_else(path: str) -> None:
    """The library answers its other kind with leave for each origin to read it."""
    door = Door(PageOptions())
    assert door.ask(path, {"origin": "http://evil.example"}).status == 405
    assert door.seen == {}


def fetched(site: str, dest: str) -> dict[str, str]:
    return {"sec-fetch-site": site, "sec-fetch-dest": dest}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("dest", ["image", "iframe", "empty", "script"])
def test_a_page_of_another_origin_cannot_open_pages_here_unseen(site: str, dest: str) -> None:
    door = Door(PageOptions())
    assert door.ask("/asset/pi/pump", fetched(site, dest)).status == 403
    assert door.seen == {}


@pytest.mark.parametrize(
    ("site", "dest"), [("cross-site", "document"), ("none", "document"), ("same-origin", "script")]
)
def test_a_link_from_elsewhere_and_what_the_page_itself_loads_are_served(site: str, dest: str) -> None:
    assert Door(PageOptions()).ask("/", fetched(site, dest)).status == 200


@pytest.mark.parametrize("other", ['settings={"a":1}', "a=x y", "a", "x@y=1", 'a="', "edge_ae_8182=made-up"])
def test_cookies_of_other_programs_on_this_machine_do_not_end_the_login(other: str) -> None:
    door = Door()
    cookie = door.cookie()["cookie"]
    assert door.ask("/", {"cookie": f"{other}; {cookie}"}).status == 200
    assert door.ask("/logout", {"cookie": f"{other}; {cookie}"} | SAME, "POST").status == 303
    assert door.ask("/", {"cookie": cookie}).status == 303


def test_the_longest_password_of_the_widest_letters_can_be_sent() -> None:
    password = "\N{SNOWMAN}" * (LONGEST - 1) + "\N{GRINNING FACE}"
    assert Door(PageOptions(password=hashed(password))).login(password).status == 303


def test_guesses_of_many_addresses_are_tried_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes 16 MB and a core, of which the daemon beside the page needs one."""
    under_way, most = [], []

    def matches(_password: str, _line: str) -> bool:
        under_way.append(1)
        most.append(len(under_way))
        time.sleep(0.005)
        under_way.pop()
        return False

    monkeypatch.setattr(passwords, "matches", matches)
    door = Door()

    async def guesses() -> None:
        await asyncio.gather(*(door.login_soon(f"10.0.1.{number}") for number in range(8)))

    asyncio.run(guesses())
    assert most == [1] * 8


def test_a_form_whose_sender_has_gone_is_no_guess() -> None:
    door = Door()
    said = iter([{"type": "http.request", "body": b"password=a", "more_body": True}, {"type": "http.disconnect"}])
    asyncio.run(
        door.gate(
            _scope("http", "/login", SAME) | {"method": "POST", "client": ("10.0.0.1", 5)},
            lambda: _soon(next(said)),
            _unheard,
        )
    )
    assert [door.login("wrong password").status for _ in range(6)] == [403] * 6


async def _soon(message: Any) -> Any:
    return message


async def _unheard(_message: Any) -> None:
    pass

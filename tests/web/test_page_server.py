"""The page as a process: where it may be served, what it says where it cannot, and what it leaves behind."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from edge_ae.web.options import PageOptions
from edge_ae.web.pages import MAX_PAGES
from edge_ae.web.passwords import checked, hashed, matches
from tests.conftest import Broker, free_port, wait_for
from tests.web.scene import PageProcess


def web(folder: Path, *options: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_ae", "web", *options]
    return subprocess.run(
        command, cwd=folder, env=os.environ | env, input=stdin, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "pi-7.local"])
def test_where_others_can_reach_it_there_has_to_be_a_password(tmp_path: Path, host: str) -> None:
    done = web(tmp_path, "--bind", f"[{host}]:{free_port()}" if ":" in host else f"{host}:{free_port()}")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"web.host: {host} can be reached from elsewhere, and there is no password; set password_file" in done.stderr


def test_a_proxy_or_a_password_will_do() -> None:
    assert PageOptions(host="0.0.0.0", behind_proxy=True).guarded()
    assert PageOptions(host="0.0.0.0", password="hash").guarded()
    assert PageOptions(host="::1").guarded().url == "http://[::1]:8182/"


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = web(tmp_path, "--bind", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(
        f"web: cannot listen on 127.0.0.1:{port}: Address already in use; is another page running there? Set host and port in [web]\n"
    )


def test_the_password_is_kept_as_a_hash_that_nobody_else_may_read(tmp_path: Path) -> None:
    done = web(tmp_path, "--set-password", "kept", stdin="correct horse\n")
    assert (done.returncode, done.stderr) == (0, "")
    kept = tmp_path / "kept"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert matches("correct horse", checked(kept.read_text().strip()))
    assert 'password_file = "kept"' in done.stdout


@pytest.mark.parametrize(
    ("stdin", "file", "words"),
    [
        ("short\n", "kept", "5 characters"),
        ("correct horse\n", "gone/kept", "cannot be written: No such file or directory"),
    ],
)
def test_a_password_that_cannot_be_kept_is_one_sentence(tmp_path: Path, stdin: str, file: str, words: str) -> None:
    done = web(tmp_path, "--set-password", file, stdin=stdin)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert words in done.stderr


@pytest.mark.parametrize("content", [None, "correct horse"])
def test_a_password_file_without_a_hash_is_one_sentence(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "kept").write_text(content)
    done = web(tmp_path, "--bind", str(free_port()), EDGE_AE_WEB__PASSWORD_FILE=str(tmp_path / "kept"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("edge-ae: web.password_file: ")
    assert "correct horse" not in done.stderr


@pytest.mark.parametrize(("mode", "warnings"), [(0o644, 1), (0o640, 0), (0o600, 0)])
def test_a_password_file_that_every_user_may_read_is_one_line_of_warning(
    tmp_path: Path, mode: int, warnings: int
) -> None:
    kept = tmp_path / "kept"
    kept.write_text(hashed("correct horse"))
    kept.chmod(mode)
    page = PageProcess(tmp_path, free_port(), EDGE_AE_WEB__PASSWORD_FILE=str(kept)).start()
    assert page.stop() == 0
    assert page.text.count(f"web.password_file: every user of this machine may read {kept}") == warnings
    assert "scrypt" not in page.text


def test_without_a_broker_it_serves_and_goes_on_trying_and_leaves_nothing_behind(tmp_path: Path) -> None:
    directory = tmp_path / "broker"
    directory.mkdir()
    broker = Broker(directory)
    home = tmp_path / "home"
    home.mkdir()
    page = PageProcess(tmp_path, broker.port, HOME=str(home))
    try:
        page.start()
        assert urllib.request.urlopen(page.url(), timeout=10).status == 200
        wait_for(lambda: "cannot be reached" in page.text, "a line of log")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(
                urllib.request.Request(page.url("/_nicegui_ws/socket.io/?EIO=4&transport=polling"), b"x"), timeout=10
            )
        assert refused.value.code == 405
    finally:
        assert page.stop() == 0
        broker.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broker", "home", "page.log"]
    assert list(home.iterdir()) == []
    assert page.text.count("\n") <= 3
    assert "Traceback" not in page.text


def answer(page: PageProcess, request: bytes) -> bytes:
    """What comes back on a connection of its own, until it is closed."""
    with socket.create_connection(("127.0.0.1", page.port), 10) as plain, suppress(OSError):
        plain.sendall(request)  # the connection may be closed before all of it was sent
        return b"".join(iter(lambda: plain.recv(65_536), b""))
    return b""


def test_what_anybody_can_ask_for_is_bounded_and_is_not_logged(tmp_path: Path) -> None:
    page = PageProcess(tmp_path, free_port()).start()
    head = b"Host: 127.0.0.1\r\nConnection: close\r\n"
    try:
        for path in (b"/docs", b"/openapi.json", b"/nope"):
            assert answer(page, b"GET " + path + b" HTTP/1.1\r\n" + head + b"\r\n").endswith(b"there is no such page\n")
        assert b"200 OK" not in answer(page, b"GET / HTTP/1.1\r\n" + head + b"X: " + b"x" * 3_000_000 + b"\r\n\r\n")
        assert answer(page, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        asked = b"GET /asset/pi/pump HTTP/1.1\r\n" + head + b"\r\n"
        answers = [answer(page, asked).partition(b"\r\n")[0] for _ in range(MAX_PAGES + 5)]
        assert answers == [b"HTTP/1.1 200 OK"] * MAX_PAGES + [b"HTTP/1.1 503 Service Unavailable"] * 5
    finally:
        assert page.stop() == 0
    assert [line for line in page.text.splitlines() if "cannot be reached" not in line] == [
        f"edge-ae: the page is at {page.url()}"
    ]


def test_it_ends_by_a_signal_with_status_0(tmp_path: Path) -> None:
    page = PageProcess(tmp_path, free_port()).start()
    assert page.process is not None
    page.process.send_signal(signal.SIGINT)
    assert page.process.wait(15) == 0

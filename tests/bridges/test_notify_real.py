"""A real daemon that notifies people: it is killed, its services hang, and it goes on watching."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bridges.services import HttpService, http_service
from tests.conftest import PATIENCE_S, Broker, Subscriber, wait_for
from tests.models import hand_made

pytest.importorskip("apprise", reason="apprise is not installed: pip install apprise")

ROOT = Path(__file__).parents[2]
T0_MS = 1_790_000_000_000


class Notifying:
    """A daemon of a pump, as a process."""

    def __init__(self, folder: Path, model: Path, port: int, notify: str) -> None:
        self.state, self.log = folder / "state", folder / "node.log"
        self.notices = self.state / "notices.json"
        self._config = folder / "edge-ae.toml"
        self._config.write_text(
            f'node = "n1"\nstate_dir = "{self.state}"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
            f'[[streams]]\ntopic = "plant/{{asset}}/t"\ntime = "ts"\nmodel = "{model}"\n'
            f"[publish]\nstats_interval_s = 1\n[notify]\n{notify}"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Notifying":
        self.log.write_bytes(b"")
        command = [sys.executable, "-m", "edge_ae", "run", "--config", str(self._config)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": str(ROOT)}
            )
        wait_for(lambda: "ready: " in self.log.read_text(), "the daemon")
        return self

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE_S)
            self._process = None


@pytest.fixture
def http() -> Iterator[HttpService]:
    with http_service() as service:
        yield service


@pytest.fixture
def daemon(
    tmp_path: Path, broker: Broker, http: HttpService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Notifying]:
    urls = [http.url("/a"), http.url("/b")]
    process = Notifying(tmp_path, hand_made(tmp_path_factory), broker.port, f"urls = {urls}\ntimeout_s = 1\n")
    yield process.start()
    process.stop(signal.SIGKILL)


def rows(first: int, last: int, flow: float) -> list[dict[str, float]]:
    return [{"ts": T0_MS + 1000 * n, "flow": flow, "pressure": 2.5 + n % 7 / 100} for n in range(first, last)]


def titles(http: HttpService, path: str) -> list[str]:
    return [text.splitlines()[0] for text in http.texts(path)]


def counted(listener: Subscriber) -> dict[str, Any]:
    return dict((listener.last("/stats") or {}).get("notify", {}).get("json", {}))


@pytest.mark.usefixtures("daemon")
def test_an_alert_is_a_message_at_each_end_to_everybody(http: HttpService, listener: Subscriber) -> None:
    listener.publish_all("plant/p1/t", [*rows(0, 20, 5.0), *rows(20, 25, 50.0)])
    wait_for(lambda: len(titles(http, "/a")) == len(titles(http, "/b")) == 1, "the beginning")
    assert titles(http, "/a") == ["p1: alert, high"]
    assert "flow 50 m3/h, expected 5" in http.texts("/a")[0]
    listener.publish_all("plant/p1/t", rows(25, 60, 5.0))
    wait_for(lambda: titles(http, "/a") == titles(http, "/b") == ["p1: alert, high", "p1: alert is over"], "the end")
    wait_for(lambda: counted(listener) == {"sent": 4, "failed": 0, "dropped": 0, "pending": 0}, "the counters")


def test_a_kill_loses_no_message_and_doubles_none_that_was_confirmed(
    daemon: Notifying, http: HttpService, listener: Subscriber
) -> None:
    """The service of one is away; then the daemon is killed, and the file is as before the alert: as if the kill had come between."""
    wait_for(daemon.notices.exists, "the file")
    before = daemon.notices.read_bytes()
    http.answers["/a"] = 500
    listener.publish_all("plant/p1/t", [*rows(0, 20, 5.0), *rows(20, 25, 50.0)])
    wait_for(lambda: counted(listener) == {"sent": 1, "failed": 1, "dropped": 0, "pending": 1}, "one of the two")
    daemon.stop(signal.SIGKILL)
    http.answers["/a"] = 200
    daemon.start()
    daemon.stop()
    assert len(titles(http, "/b")) == 1
    daemon.notices.write_bytes(before)
    http.got.clear()
    daemon.start()
    wait_for(lambda: titles(http, "/a") == titles(http, "/b") == ["p1: alert, high"], "what the file does not know of")


def test_a_service_that_hangs_delays_no_score_and_no_alert(
    daemon: Notifying, http: HttpService, listener: Subscriber
) -> None:
    http.answers |= {"/a": None, "/b": None}
    listener.publish_all("plant/p1/t", [*rows(0, 20, 5.0), *rows(20, 25, 50.0)])
    wait_for(lambda: len(http.asked) == 1, "the service's being asked")
    listener.publish_all("plant/p2/t", [*rows(0, 20, 5.0), *rows(20, 25, 50.0)])
    wait_for(lambda: listener.bodies("p2/event"), "the second alert")
    assert len(http.asked) == 1
    wait_for(lambda: counted(listener).get("failed") == 2, "the counter")
    daemon.stop()
    assert "stopped" in daemon.log.read_text()


def test_nobody_who_is_notified_costs_nothing(
    tmp_path: Path, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What was kept goes, so that what is old by then is not sent to whoever is notified one day."""
    node = Notifying(tmp_path, hand_made(tmp_path_factory), broker.port, "")
    node.state.mkdir(mode=0o700)
    node.notices.write_text("{}")
    try:
        node.start()
        assert not node.notices.exists()
    finally:
        node.stop(signal.SIGKILL)

"""`edge-ae record` as a person and as a service manager meet it: real processes, a real broker."""

import gzip
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from edge_ae import wiring
from edge_ae.config.loading import load
from edge_ae.core.timestamps import SECOND
from edge_ae.store.recording_csv import read_csv
from tests.cli.processes import started
from tests.conftest import Broker, Subscriber, wait_for

T_S = 1_795_435_200


def edge_ae(*arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_ae", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def settings(directory: Path, port: int, more: str = "", stream: str = "") -> Path:
    config = directory / "edge-ae.toml"
    config.write_text(
        f'node = "n1"\nstate_dir = "state"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
        f'[[streams]]\ntopic = "plant/{{asset}}/t"\ntime = "ts"\n{stream}\n{more}'
    )
    return config


def recording(log: Path, listener: Subscriber, *arguments: Any, **env: str) -> subprocess.Popen[bytes]:
    """A recorder that has subscribed."""
    process = started(log, "record", *arguments, **env)
    wait_for(lambda: "recording" in log.read_text() and listener.on("n1/recorder"), "the recorder")
    return process


def ended(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(15)


def stored(folder: Path) -> bytes:
    return b"".join(gzip.decompress(file.read_bytes()) for file in folder.glob("*/*"))


def test_what_came_is_kept_without_a_model_and_the_end_is_a_table(
    tmp_path: Path, broker: Broker, listener: Subscriber
) -> None:
    config, log, out = settings(tmp_path, broker.port), tmp_path / "record.log", tmp_path / "rec"
    process = recording(log, listener, "--config", config, "--out", out)
    for second in range(40):
        listener.publish("plant/p1/t", {"ts": T_S + second, "flow": 5.0, "pressure": 2.5})
    listener.publish("plant/p2/t", "no JSON")
    listener.publish("plant/p1/t", {"ts": T_S + 59, "flow": 1.0}).wait_for_publish()
    wait_for(lambda: b"12:00:59" in stored(out), "all rows")
    assert ended(process) == 0
    wait_for(lambda: [m.payload for m in listener.on("n1/recorder")] == [b"online", b"offline"], "its last word")
    (path,) = out.glob("p1/*.csv.gz")
    table = read_csv(path)
    assert table.names == ("flow", "pressure")
    assert table.t_ns.tolist() == [(T_S + second) * SECOND for second in (*range(40), 59)]
    text = log.read_text()
    assert "plant/p2/t: payload not used (not_json)" in text
    assert f"p1     41    2026-11-23T12:00:00.000Z  2026-11-23T12:00:59.000Z  {out}/p1\n" in text
    assert "  flow 41 (100 %), pressure 40 (98 %)\n" in text
    assert "plant/p2/t  1         not_json" in text


def test_folder_of_the_settings_is_used_where_no_other_is_named(
    tmp_path: Path, broker: Broker, listener: Subscriber
) -> None:
    config, log = settings(tmp_path, broker.port, '[record]\ndir = "kept"\n'), tmp_path / "record.log"
    process = recording(log, listener, "--config", config)
    listener.publish("plant/p1/t", {"ts": T_S, "flow": 5.0})
    refused = edge_ae("record", "--config", config)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"edge-ae: the folder of recordings: {tmp_path}/kept is in use by another edge-ae; stop that one, or name another\n"
    )
    elsewhere = edge_ae(
        "run", "--config", settings(tmp_path, broker.port, '[record]\ndir = "kept"\n', "model = 'pump.onnx'")
    )
    assert elsewhere.returncode == 1
    assert f"record.dir: {tmp_path}/kept is in use by another edge-ae" in elsewhere.stderr
    wait_for(lambda: b"flow" in stored(tmp_path / "kept"), "the row")
    assert ended(process) == 0


def test_streams_that_bring_the_same_messages_are_warned_of_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings(tmp_path, 1883, '[[streams]]\ntopic = "plant/{asset}/#"\n[[streams]]\ntopic = "hall/{asset}"\n')
    wiring.recording(load(config), tmp_path / "rec", 10)
    assert caplog.messages == [
        "streams[1].topic, streams[2].topic: both bring the readings of the same assets, which are recorded twice; "
        "name the topics more closely"
    ]


def test_folder_that_is_named_nowhere_is_asked_for(tmp_path: Path, broker: Broker) -> None:
    done = edge_ae("record", "--config", settings(tmp_path, broker.port))
    assert done.returncode == 1
    assert done.stderr == "edge-ae: record.dir: is missing; name a folder with --out DIR, or add dir to [record]\n"


def test_folder_that_cannot_be_written_is_named_at_once(tmp_path: Path, broker: Broker) -> None:
    (tmp_path / "rec").write_text("a file where a folder should be")
    done = edge_ae("record", "--config", settings(tmp_path, broker.port), "--out", tmp_path / "rec")
    assert done.returncode == 1
    assert f"edge-ae: {tmp_path}/rec: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_that_record_only_are_no_settings_to_watch_with(tmp_path: Path, broker: Broker) -> None:
    done = edge_ae("run", "--config", settings(tmp_path, broker.port, '[record]\ndir = "kept"\n'))
    assert done.returncode == 1
    assert done.stderr.startswith(
        "edge-ae: streams: none has a model, so that there is nothing to watch yet; edge-ae record keeps readings"
    )


class Supervisor:
    """The socket that a service manager listens on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            self.lines += self._socket.recv(4096).decode().splitlines()

    def notified(self, words: str) -> bool:
        return any(line.startswith(words) for line in self.lines)


def test_service_manager_is_notified_and_what_comes_between_two_runs_is_recorded(
    tmp_path: Path, broker: Broker, listener: Subscriber
) -> None:
    config, log, out = settings(tmp_path, broker.port), tmp_path / "record.log", tmp_path / "rec"
    arguments = ("--config", config, "--out", out)
    supervisor = Supervisor(tmp_path / "notify")
    env = {"NOTIFY_SOCKET": str(supervisor.path)}
    process = recording(log, listener, *arguments, **env)
    wait_for(lambda: supervisor.notified("READY=1"), "READY")
    wait_for(lambda: supervisor.notified("WATCHDOG=1"), "the watchdog")
    wait_for(lambda: supervisor.notified("STATUS=connected; 0 assets"), "the status")
    assert ended(process) == 0
    wait_for(lambda: supervisor.notified("STOPPING=1"), "its last word")
    listener.publish("plant/p1/t", {"ts": T_S, "flow": 5.0}).wait_for_publish(10)
    process = started(log, "record", *arguments, **env)
    wait_for(lambda: supervisor.notified("STATUS=connected; 1 assets; 1 rows"), "the row that came between")
    assert ended(process) == 0
    assert b"flow" in stored(out)

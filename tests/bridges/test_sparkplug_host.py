"""A daemon as an edge node of Sparkplug on a real broker, as a host by the library pysparkplug sees it."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_ae.bridges.sparkplug_metrics import DEVICE
from tests.cli.processes import started
from tests.conftest import MOSQUITTO, Broker, Subscriber, wait_for
from tests.models import LENGTH, hand_made

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("SPARKPLUG_PYTHON") or ROOT / "out" / "sparkplug" / "bin" / "python")
T_MS = 1_790_000_000_000
pytestmark = [
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
    pytest.mark.skipif(not PYTHON.exists(), reason="pysparkplug is not installed: make sparkplug"),
]
Said = dict[str, Any]


class Host:
    """The host, a process of its own. `said`: what it has decoded, in order."""

    def __init__(self, port: int) -> None:
        command = [str(PYTHON), str(Path(__file__).with_name("sparkplug_host.py")), "127.0.0.1", str(port)]
        own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own)
        self.said: list[Said] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        wait_for(lambda: self.of("ready"), "the host")

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.said.extend(json.loads(line) for line in iter(self._process.stdout.readline, ""))

    def of(self, kind: str) -> list[Said]:
        return [one for one in self.said if one.get("kind") == kind]

    def ask_for_births(self, edge: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{edge}\n")
        self._process.stdin.flush()

    def value(self, name: str) -> Any:
        """The newest of a metric of the device, as a host keeps it."""
        known: Said = {}
        for one in self.said:
            known |= one["metrics"] if one.get("device") == "pump" else {}
        return known.get(f"anomaly/{name}")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)


@pytest.fixture
def host(broker: Broker) -> Iterator[Host]:
    one = Host(broker.port)
    yield one
    assert [said for said in one.said if "error" in said] == []
    one.close()


@pytest.fixture
def folder(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a daemon, with its model."""
    (tmp_path / "pump.onnx").write_bytes(hand_made(tmp_path_factory).read_bytes())
    return tmp_path


def daemon(directory: Path, port: int) -> subprocess.Popen[bytes]:
    """It is ready, and takes readings."""
    config = directory / "edge-ae.toml"
    config.write_text(
        f'node = "n1"\nstate_dir = "state"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
        '[publish]\nstats_interval_s = 1\nscore_interval_s = 0\n[sparkplug]\noutput = true\ngroup_id = "plant"\n'
        '[[streams]]\ntopic = "plant/{asset}/telemetry"\nmodel = "pump.onnx"\ntime = "ts"\n'
    )
    log = directory / "run.log"
    process = started(log, "run", "--config", config)
    wait_for(lambda: "ready: " in log.read_text(), "READY")
    return process


def rows(first: int, *flows: float) -> list[dict[str, float]]:
    return [{"ts": T_MS + 1000 * (first + n), "flow": flow, "pressure": 2.5} for n, flow in enumerate(flows)]


def test_host_sees_births_scores_an_alert_and_the_death_of_a_daemon_that_stops(
    folder: Path, broker: Broker, listener: Subscriber, host: Host
) -> None:
    process = daemon(folder, broker.port)
    wait_for(lambda: host.of("NBIRTH"), "the node's birth")
    listener.publish_all("plant/pump/telemetry", rows(0, *[5.0] * (LENGTH + 2)))
    wait_for(lambda: host.value("watched"), "a score")
    listener.publish_all("plant/pump/telemetry", rows(LENGTH + 2, *[90.0] * 3))
    wait_for(lambda: host.value("active"), "the alert")
    alert = wait_for(lambda: listener.last("/pump/alert"), "the alert's topic")
    assert {name: host.value(name) for name in ("severity", "reason", "top_channel")} == {
        name: alert[name] for name in ("severity", "reason", "top_channel")
    }
    assert host.value("ratio") == pytest.approx(host.value("score") / host.value("threshold"), rel=1e-5)
    stats = wait_for(lambda: (found := listener.last("/stats")) and found["sparkplug"].get("DDATA") and found, "stats")
    assert stats["sparkplug"].keys() >= {"connected", "NBIRTH", "DBIRTH", "DDATA"}
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    (death,) = wait_for(lambda: host.of("NDEATH"), "the death")
    (birth,) = host.of("NBIRTH")
    assert death["metrics"] == {"bdSeq": birth["metrics"]["bdSeq"]}
    sequence = [one["seq"] for one in host.said if one["kind"] not in ("ready", "NDEATH")]
    assert sequence == [number % 256 for number in range(len(sequence))]
    assert not any(one["retain"] for one in host.said if "retain" in one)


def test_births_name_every_metric_with_its_type_and_an_alias_of_its_own(
    folder: Path, broker: Broker, listener: Subscriber, host: Host
) -> None:
    process = daemon(folder, broker.port)
    listener.publish_all("plant/pump/telemetry", rows(0, 5.0))
    listener.publish_all("plant/fan/telemetry", rows(0, 5.0))
    wait_for(lambda: len(host.of("DBIRTH")) == 2, "the devices' births")
    process.kill()
    (node,) = host.of("NBIRTH")
    assert (node["types"]["bdSeq"], node["metrics"]["Node Control/Rebirth"]) == ("INT64", False)
    names = {8: "UINT64", 10: "DOUBLE", 11: "BOOLEAN", 12: "STRING"}
    for device in host.of("DBIRTH"):
        assert device["types"] == {name: names[datatype] for name, datatype in DEVICE}
        assert None not in device["times"].values()
    aliases = [alias for device in host.of("DBIRTH") for alias in device["aliases"].values()]
    assert len(set(aliases)) == len(aliases) == 2 * len(DEVICE)


def test_broker_says_the_death_of_a_daemon_that_is_killed_and_the_next_one_is_born_with_another_number(
    folder: Path, broker: Broker, host: Host
) -> None:
    first = daemon(folder, broker.port)
    (born,) = wait_for(lambda: host.of("NBIRTH"), "the birth")
    first.kill()
    (death,) = wait_for(lambda: host.of("NDEATH"), "the death")
    assert death["metrics"]["bdSeq"] == born["metrics"]["bdSeq"]
    again = daemon(folder, broker.port)
    wait_for(lambda: len(host.of("NBIRTH")) == 2, "the second birth")
    assert host.of("NBIRTH")[1]["metrics"]["bdSeq"] != born["metrics"]["bdSeq"]
    again.kill()


def test_host_that_asks_for_births_gets_them_with_the_same_number(
    folder: Path, broker: Broker, listener: Subscriber, host: Host
) -> None:
    process = daemon(folder, broker.port)
    listener.publish_all("plant/pump/telemetry", rows(0, 5.0))
    wait_for(lambda: host.of("DBIRTH"), "the birth")
    host.ask_for_births("n1")
    wait_for(lambda: len(host.of("DBIRTH")) == 2, "the second birth")
    first, second = host.of("NBIRTH")
    assert (first["metrics"]["bdSeq"], first["seq"]) == (second["metrics"]["bdSeq"], second["seq"])
    process.kill()


def test_broker_that_is_gone_for_a_while_is_born_to_again_and_neither_connection_ends_the_other(
    folder: Path, broker: Broker, host: Host
) -> None:
    process = daemon(folder, broker.port)
    wait_for(lambda: host.of("NBIRTH"), "the birth")
    broker.stop()
    broker.start()

    def numbers() -> set[int]:
        host.ask_for_births("n1")  # it may have come back later than the node
        return {birth["metrics"]["bdSeq"] for birth in host.of("NBIRTH")}

    wait_for(lambda: len(numbers()) == 2, "the birth on another connection")
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    log = (folder / "run.log").read_text()
    assert "Traceback" not in log
    assert "another client uses" not in log
    assert "Sparkplug: connected to the broker" in log

"""A node of the library pysparkplug on a real broker, and what `record`, `run` and `check --listen` make of it."""

import os
import signal
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_ae.core.model_spec import Channel
from edge_ae.store.recording_csv import read_csv
from tests.cli.processes import listened
from tests.cli.test_payload_shapes import running
from tests.conftest import MOSQUITTO, Broker, Subscriber, wait_for
from tests.models import write_model

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("SPARKPLUG_PYTHON") or ROOT / "out" / "sparkplug" / "bin" / "python")
NODE = ROOT / "tests" / "daemon" / "sparkplug_node.py"
pytestmark = [
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
    pytest.mark.skipif(not PYTHON.exists(), reason="pysparkplug is not installed: make sparkplug"),
]


class Sender:
    """The node, a process of its own. `births`: how often it was born."""

    def __init__(self, port: int) -> None:
        command = [str(PYTHON), str(NODE), "127.0.0.1", str(port)]
        own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=own
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        wait_for(lambda: self.births > 0, "the node's birth")

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.said.extend(line.strip() for line in iter(self._process.stdout.readline, ""))

    @property
    def births(self) -> int:
        return self.said.count("born")

    def data(self, flow: float) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"data {flow}\n")
        self._process.stdin.flush()

    def until(self, flow: float, happened: Callable[[], bool]) -> None:
        """Data again and again, until something comes of it."""

        def once() -> bool:
            self.data(flow)
            return happened()

        wait_for(once, "what comes of the data")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)


@pytest.fixture
def sender(broker: Broker) -> Iterator[Sender]:
    """It is born before anybody listens."""
    one = Sender(broker.port)
    yield one
    one.close()


def settings(directory: Path, port: int, model: str = "") -> Path:
    config = directory / "sparkplug.toml"
    config.write_text(
        f'node = "n1"\nstate_dir = "state"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n[publish]\nstats_interval_s = 1\n'
        f'[[streams]]\ntopic = "spBv1.0/plant/+/edge/{{asset}}"\nformat = "sparkplug"\n{model}\n'
    )
    return config


def test_recorder_asks_for_the_birth_that_it_missed_and_keeps_what_comes(
    tmp_path: Path, broker: Broker, sender: Sender
) -> None:
    log, out = tmp_path / "record.log", tmp_path / "rec"
    with running(log, "record", "--config", settings(tmp_path, broker.port), "--out", out) as process:
        sender.until(3.5, lambda: sender.births > 1)
        sender.until(4.5, lambda: (out / "pump").is_dir())
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    found = recorded(out / "pump")
    assert {1.0, 4.5} <= found.pop("flow") <= {1.0, 3.5, 4.5}  # some 3.5 came before the birth
    assert found == {"motor/speed": {-900.0}, "running": {1.0}}
    text = log.read_text()
    assert "spBv1.0/plant/DDATA/edge/pump: payload not used (no_birth): data of edge node 'edge' by aliases" in text
    assert text.count("edge node plant/edge is asked to be born again") == 1
    assert "Traceback" not in text


def recorded(folder: Path) -> dict[str, set[float]]:
    """Every value of each channel in an asset's files."""
    found: dict[str, set[float]] = defaultdict(set)
    for path in folder.glob("*.csv.gz"):
        table = read_csv(path)
        for name, column in zip(table.names, np.asarray(table.values).T, strict=True):
            found[name] |= set(column[np.isfinite(column)].tolist())
    return found


def test_daemon_asks_for_the_birth_and_watches_the_device(
    tmp_path: Path, broker: Broker, listener: Subscriber, sender: Sender
) -> None:
    names = ("flow", "motor/speed", "running")
    write_model(tmp_path / "pump.onnx", channels=tuple(Channel(name, "", -1000.0, 1000.0, 0.1) for name in names))
    log = tmp_path / "run.log"
    with running(log, "run", "--config", settings(tmp_path, broker.port, 'model = "pump.onnx"')) as process:
        wait_for(lambda: "ready" in log.read_text(), "READY")
        sender.until(4.5, lambda: sender.births > 1 and "pump" in (listener.last("n1/stats") or {"asset": {}})["asset"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert "Traceback" not in log.read_text()


def test_check_asks_for_the_birth_and_shows_the_channels(tmp_path: Path, broker: Broker, sender: Sender) -> None:
    done = listened(settings(tmp_path, broker.port), 5, lambda: sender.data(4.5))
    assert (done.returncode, done.stderr) == (0, "")
    assert "motor/speed" in done.stdout

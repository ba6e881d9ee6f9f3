"""Every message of the page on payloads through a real broker: what `record`, `check --listen` and `run` make of it."""

import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from edge_ae.core.model_spec import Channel
from edge_ae.store.recording_csv import read_csv
from tests.cli.processes import listened
from tests.conftest import Broker, Subscriber, wait_for
from tests.core.formats.test_recipes import RECIPES, given
from tests.models import write_model

MESSAGES = [message.partition(" ")[::2] for messages, *_ in RECIPES.values() for message in messages]
EXPECTED: dict[str, dict[str, set[float]]] = defaultdict(lambda: defaultdict(set))  # asset -> channel -> its values
for _, _, lines in RECIPES.values():
    for asset, values in given(lines):
        for name, value in values.items():
            EXPECTED[asset][name].add(value)


def settings(directory: Path, port: int, model: str = "") -> Path:
    config = directory / "all.toml"
    streams = "".join(f"[[streams]]\n{toml}{model}\n" for _, toml, _ in RECIPES.values())
    config.write_text(
        f'node = "n1"\nstate_dir = "state"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
        f"[publish]\nstats_interval_s = 1\n{streams}"
    )
    return config


@contextmanager
def running(log: Path, *arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        command = [sys.executable, "-m", "edge_ae", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


@pytest.fixture
def gateways(broker: Broker) -> Iterator[Subscriber]:
    """Who sends the messages, and hears what edge-ae publishes."""
    client = Subscriber(broker.port)
    yield client
    client.close()


def send(gateways: Subscriber) -> None:
    for topic, payload in MESSAGES:
        gateways.publish(topic, payload)


def test_recorder_keeps_what_the_page_says(tmp_path: Path, broker: Broker, gateways: Subscriber) -> None:
    log, out = tmp_path / "record.log", tmp_path / "rec"
    with running(log, "record", "--config", settings(tmp_path, broker.port), "--out", out) as process:
        wait_for(lambda: gateways.on("n1/recorder"), "the recorder")
        send(gateways)
        gateways.publish("the-last/weather", {"ts": "2026-11-23T01:00:00Z", "temp": 1})
        wait_for((out / "the-last").is_dir, "what was sent last")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert {asset: recorded(out / asset, EXPECTED[asset]) for asset in EXPECTED} == EXPECTED
    assert "Traceback" not in log.read_text()


def recorded(folder: Path, names: dict[str, set[float]]) -> dict[str, set[float]]:
    """The values of these channels in an asset's files, as far as they are expected."""
    found: dict[str, set[float]] = {name: set() for name in names}
    for path in folder.glob("*.csv.gz"):
        table = read_csv(path)
        for name in found.keys() & set(table.names):
            column = np.asarray(table.values)[:, table.names.index(name)]
            found[name] |= {float(f"{value:.9g}") for value in column} & names[name]
    return found


def test_check_shows_a_reading_of_every_stream(tmp_path: Path, broker: Broker, gateways: Subscriber) -> None:
    done = listened(settings(tmp_path, broker.port), 2, lambda: send(gateways))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("ok    readings  ") == len(RECIPES)


def test_daemon_watches_every_asset(tmp_path: Path, broker: Broker, gateways: Subscriber) -> None:
    names = sorted({name for values in EXPECTED.values() for name in values})
    write_model(tmp_path / "all.onnx", channels=tuple(Channel(name, "", 0.0, 1000.0, 0.1) for name in names))
    log = tmp_path / "run.log"
    with running(log, "run", "--config", settings(tmp_path, broker.port, 'model = "all.onnx"')) as process:
        wait_for(lambda: "ready" in log.read_text(), "READY")
        send(gateways)
        wait_for(lambda: EXPECTED.keys() <= (gateways.last("n1/stats") or {"asset": {}})["asset"].keys(), "the assets")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert "Traceback" not in log.read_text()

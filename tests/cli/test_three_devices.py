"""The worked example of the documents, docs/three-devices.md: its commands, in their order, with three daemons on a real broker."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_ae.core.timestamps import SECOND, rfc3339
from tests.cli.processes import recorded_rows, started
from tests.conftest import Broker, Subscriber, wait_for
from tests.train.learn.scene import signals

PAGE = Path(__file__).parents[2] / "docs" / "three-devices.md"
NODES = ("pi-1", "pi-2", "pi-3")
FIRST_ROWS, ROWS = 1500, 2500
SHADOW_S = 100.0
DEVICE = "--in /var/lib/edge-ae"  # a command that is given on a device
T0_NS = 1_790_000_000 * SECOND

pytestmark = pytest.mark.skipif(shutil.which("mosquitto_rr") is None, reason="install mosquitto-clients")


def time_of(row: int) -> str:
    return rfc3339(T0_NS + row * SECOND)


class Site:
    """A folder that stands for the box, with one below it for each device. `box`, `device`: the commands of the page that are
    given there; `settings`: those of a device."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        found = re.findall(r"^```(sh|toml)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        scripts = [text for kind, text in found if kind == "sh"]
        (self.device,) = [text for text in scripts if DEVICE in text]
        self.box = [text for text in scripts if DEVICE not in text]
        (self.settings,) = [text for kind, text in found if kind == "toml"]
        programs = folder / "bin"
        programs.mkdir()
        for name, module in (("edge-ae", "edge_ae"), ("edge-ae-train", "edge_ae_train")):
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
            (programs / name).chmod(0o755)
        self._env = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}

    def run(self, text: str, node: str = "pi-1") -> str:
        """A block of the page as it stands, but for the broker's address and the places on a device."""
        script = text.replace("--host broker.example", f"--host 127.0.0.1 --port {self.port}")
        script = script.replace("-h broker.example", f"-h 127.0.0.1 -p {self.port}")
        script = script.replace("/var/lib/edge-ae", str(self.folder / node))
        command = ["bash", "-e", "-c", script]
        done = subprocess.run(command, cwd=self.folder, env=self._env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, node: str) -> None:
        """The daemon of a device, with the settings of the page."""
        home = self.folder / node
        text = self.settings.replace("pi-1", node).replace("pump-1", node.replace("pi", "pump"))
        text = text.replace("/var/lib/edge-ae", str(home)).replace("/etc/edge-ae", str(self.folder))
        text = text.replace('"broker.example"', f'"127.0.0.1"\nport = {self.port}').replace("86400", str(SHADOW_S))
        config, log = home / "edge-ae.toml", home / "log"
        config.write_text(f'state_dir = "{home / "state"}"\n' + text.replace("[record]", "[record]\nflush_s = 1"))
        started(log, "run", "--config", config)
        wait_for(lambda: "ready: " in log.read_text(), "the daemon")


def test_the_worked_example_does_what_it_says(tmp_path: Path, broker: Broker, listener: Subscriber) -> None:
    site, made = Site(tmp_path, broker.port), [signals(FIRST_ROWS + ROWS, seed) for seed in (1, 2, 3)]
    (tmp_path / "first").mkdir()
    for pump, node in zip(made, NODES, strict=True):
        lines = [f"{time_of(row)},{flow},{speed}" for row, (flow, speed) in enumerate(pump[:FIRST_ROWS].tolist())]
        (tmp_path / "first" / f"{node}.csv").write_text("\n".join(["ts,flow,speed", *lines, ""]))
    keys, fetched, shipped, asked, promoted, back = site.box
    site.run(keys)
    for node in NODES:
        (tmp_path / node).mkdir()
        site.run(site.device, node)
        site.start(node)

    def send(first: int, last: int) -> None:
        for node, pump in zip(NODES, made, strict=True):
            rows = enumerate(pump[first:last].tolist(), first)
            payloads = [{"ts": time_of(row), "flow": flow, "speed": speed} for row, (flow, speed) in rows]
            listener.publish_all(f"plant/{node.replace('pi', 'pump')}/telemetry", payloads)

    def models(node: str) -> dict[str, Any]:
        (folder,) = listener.ask(f"edge-ae/{node}/cmd/models", b"")["folders"]
        return dict(folder)

    send(FIRST_ROWS, FIRST_ROWS + ROWS - 200)
    wait_for(lambda: all(recorded_rows(tmp_path / node / "recordings") >= ROWS - 201 for node in NODES), "recordings")
    site.run(fetched)
    old = models("pi-1")["running"]
    site.run(shipped)
    send(FIRST_ROWS + ROWS - 200, FIRST_ROWS + ROWS)
    wait_for(lambda: all(models(node)["beside"]["text"].endswith("0 more, 0 fewer") for node in NODES), "both to agree")
    answer = json.loads(site.run(asked))
    assert answer["folders"][0]["running"] == old
    site.run(promoted)
    new = models("pi-1")["running"]
    assert new != old
    assert [models(node)["running"] for node in NODES] == [new] * 3
    site.run(back)
    wait_for(lambda: models("pi-1")["running"] == old, "the old model")
    assert [models(node)["running"] for node in NODES[1:]] == [new] * 2

"""The flow in deploy, run in a real Node-RED: an alert, its end and a flood come out as sentences."""

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PATIENCE_S, Broker, Node, Subscriber, free_port, wait_for

ROOT = Path(__file__).parents[2]
FLOW = json.loads((ROOT / "deploy" / "node-red" / "flow.json").read_text())
NPM = Path(os.environ.get("EDGE_AE_NPM", ROOT / "out" / "npm")) / "node_modules"
RED = NPM / "node-red" / "red.js"
T0_MS = 1_790_000_000_000
NEEDS_NODE_RED = pytest.mark.skipif(
    shutil.which("node") is None or not RED.exists(), reason="Node-RED is missing: make node-red"
)


@contextmanager
def node_red(folder: Path, broker: int) -> Iterator[str]:
    """Running with the flow; the address of its pages. It differs from the one in deploy in the broker's port alone."""
    port, flow = free_port(), folder / "flow.json"
    flow.write_text(
        json.dumps([node | ({"port": str(broker)} if node["type"] == "mqtt-broker" else {}) for node in FLOW])
    )
    (folder / "settings.js").write_text("module.exports = { uiHost: '127.0.0.1', telemetry: { enabled: false } };\n")
    command = [
        "node",
        str(RED),
        "--port",
        str(port),
        "--userDir",
        str(folder),
        "--settings",
        str(folder / "settings.js"),
    ]
    log = folder / "node-red.log"
    with log.open("wb") as out:
        process = subprocess.Popen([*command, str(flow)], stdout=out, stderr=out)
    try:
        wait_for(lambda: "Connected to broker" in log.read_text(), "Node-RED", 2 * PATIENCE_S)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def notified(address: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{address}/edge-ae/messages", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def rows(first: int, last: int, value: float) -> list[dict[str, float]]:
    return [{"ts": T0_MS + 100 * n, "a": value, "b": 0.5} for n in range(first, last)]


@NEEDS_NODE_RED
def test_an_alert_its_end_and_a_flood_come_out_as_sentences(
    tmp_path: Path, broker: Broker, node: Node, listener: Subscriber
) -> None:
    folder = tmp_path / "node-red"
    folder.mkdir()
    with node_red(folder, broker.port) as address:
        node.start(options={"flood_limit": 1}).ready()
        for asset in ("p1", "p2"):
            listener.publish_all(f"plant/{asset}/telemetry", rows(0, 10, 1.0) + rows(10, 20, 50.0))
        listener.publish_all("plant/p1/telemetry", rows(20, 50, 1.0))
        wait_for(lambda: len(notified(address)) == 3, "the messages")
        texts = {(one["topic"].rpartition("/")[2], one["type"]): one["text"] for one in notified(address)}
    (new,) = (body for body in listener.bodies("/p1/event") if body["type"] == "new")
    assert texts == {
        ("event", "new"): f"p1: {new['reason']} (high, since {new['ts_onset']})",
        ("flood", "new"): "n1: many alerts at once; look at what the assets have in common (p2)",
        ("event", "end"): "p1: normal again, after 2 s",
    }


def test_every_wire_of_the_flow_leads_to_a_node_and_every_node_but_the_first_is_reached() -> None:
    ids = [node["id"] for node in FLOW]
    wired = {target for node in FLOW for output in node.get("wires", []) for target in output}
    assert len(ids) == len(set(ids))
    assert wired <= set(ids)
    entries = {node["id"] for node in FLOW if node["type"] in ("tab", "mqtt-broker", "mqtt in", "http in")}
    assert set(ids) - wired == entries


def test_flow_listens_to_events_and_floods() -> None:
    assert {node["topic"] for node in FLOW if node["type"] == "mqtt in"} == {"edge-ae/+/+/event", "edge-ae/+/flood"}

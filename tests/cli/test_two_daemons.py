"""Two daemons on one machine, as edge-ae@.service starts them: each with its own topics, name and state, at one broker."""

import signal
from pathlib import Path

from tests.cli.processes import started
from tests.conftest import Broker, Subscriber, wait_for

T0_S = 1_790_000_000


def settings(folder: Path, name: str, port: int) -> Path:
    """/etc/edge-ae/<name>.toml of the page on installing, but for the broker."""
    path = folder / f"{name}.toml"
    path.write_text(
        f'node = "pi-7-{name}"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
        f'[[streams]]\ntopic = "plant/{name}/{{asset}}/telemetry"\ntime = "ts"\nmodel = "pump.onnx"\n'
    )
    return path


def test_two_daemons_share_the_assets_by_topic_and_each_raises_its_own_alerts(tmp_path: Path, broker: Broker) -> None:
    listener = Subscriber(broker.port)
    daemons = []
    for name in ("north", "south"):
        state = tmp_path / f"edge-ae-nodes-{name}"
        state.mkdir()
        config = settings(tmp_path, name, broker.port)
        daemons.append(started(tmp_path / f"{name}.log", "run", "--config", config, STATE_DIRECTORY=str(state)))
    online = {"edge-ae/pi-7-north/status", "edge-ae/pi-7-south/status"}
    wait_for(lambda: {m.topic for m in listener.on("/status") if m.payload == b"online"} == online, "both daemons")
    for place, asset in (("north", "p1"), ("south", "p2")):
        rows = [{"ts": T0_S + i, "flow": 5.0 if i < 20 else 90.0, "pressure": 2.5} for i in range(40)]
        listener.publish_all(f"plant/{place}/{asset}/telemetry", rows)
    wait_for(lambda: len(listener.bodies("/event")) >= 2, "an alert of each")
    raised = {(body["node"], body["asset"]) for body in listener.bodies("/event") if body["type"] == "new"}
    assert raised == {("pi-7-north", "p1"), ("pi-7-south", "p2")}
    for daemon in daemons:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(10) == 0
    kept = sorted(path.parent.name for path in tmp_path.glob("edge-ae-nodes-*/edge-ae.db"))
    assert kept == ["edge-ae-nodes-north", "edge-ae-nodes-south"]
    listener.close()

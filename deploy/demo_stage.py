"""The real programs of the demo, as processes that end with it, and the client that plays the plant."""

import contextlib
import json
import math
import os
import queue
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from deploy.demo_verdict import Asset
from edge_ae.core.timestamps import rfc3339
from edge_ae.errors import EdgeError

NODE = "demo"
BROKER_S = 30.0


class DemoError(EdgeError):
    """The demo cannot go on; the text says why and where to look."""


def program(module: str) -> list[str]:
    return [sys.executable, "-m", module]


@contextlib.contextmanager
def process(
    name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs as long as the block; ended politely, and by force if that does not help."""
    with log.open("ab") as file:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=environment
        )
    try:
        yield child
        _check_alive(name, child, log)
    except DemoError:
        _check_alive(name, child, log)  # what a dead program said last is the better reason
        raise
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _check_alive(name: str, child: subprocess.Popen[bytes], log: Path) -> None:
    if child.poll() not in (None, 0):
        raise DemoError(f"{name} ended by itself: {_last_line(log)} (all of it in {log})") from None


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else f"it said nothing in {log}"


@contextlib.contextmanager
def broker(out: Path) -> Iterator[tuple[str, int]]:
    """mosquitto where it is installed, else the embedded amqtt, on a free loopback port."""
    port = free_port()
    mosquitto = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if mosquitto is not None:
        config = out / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
        command = [mosquitto, "-c", str(config)]
    else:
        config = out / "amqtt.yaml"
        config.write_text(json.dumps(_amqtt_settings(port)))  # JSON is YAML
        command = [str(Path(sys.executable).with_name("amqtt")), "-c", str(config)]
    with process("the broker", command, out / "broker.log") as child:
        wait_until(lambda: answers(port), BROKER_S, child, "the broker does not answer")
        yield Path(command[0]).name, port


def _amqtt_settings(port: int) -> dict[str, Any]:
    anonymous = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    return {"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}, "plugins": anonymous}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until(met: Callable[[], bool], limit_s: float, child: subprocess.Popen[bytes], complaint: str) -> None:
    """Waits for a condition, as long as the program that will bring it about is alive."""
    end = time.monotonic() + limit_s
    while not met():
        if child.poll() is not None or time.monotonic() > end:
            raise DemoError(complaint)
        time.sleep(0.05)


def write_settings(path: Path, port: int, assets: Sequence[Asset], state: Path, budget: str) -> None:
    """One stream for all assets of a model. Nothing is rationed by the clock: a day passes in half a minute."""
    lines = [f'node = "{NODE}"', f'state_dir = "{state.resolve()}"']
    lines += ["[mqtt]", 'host = "127.0.0.1"', f"port = {port}"]
    for model in dict.fromkeys(asset.model for asset in assets):
        watched = [asset.name for asset in assets if asset.model == model]
        lines += ["[[streams]]", 'time = "ts"', f'model = "{model.resolve()}"']
        if len(watched) == 1:
            lines += [f'topic = "plant/{watched[0]}/telemetry"', f'asset = "{watched[0]}"']
        else:
            lines += ['topic = "plant/{asset}/telemetry"']
    lines += ["[alerts]", f'budget = "{budget}"', "flood_limit = 100000", "[publish]", "score_interval_s = 0"]
    path.write_text("\n".join([*lines, ""]))


class Plant:
    """The MQTT client that plays the sensors and listens to what the daemon says."""

    def __init__(self, port: int) -> None:
        self.received: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self.status = ""
        # 3.1.1, because the embedded broker knows no other
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="demo-plant", protocol=mqtt.MQTTv311)
        self._client.max_inflight_messages_set(200)
        self._client.on_connect = lambda client, *_: client.subscribe(f"edge-ae/{NODE}/#", qos=1)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/status"):
            self.status = message.payload.decode()
        self.received.put((message.topic, bytes(message.payload)))

    def send(self, asset: Asset, row: int) -> mqtt.MQTTMessageInfo:
        values = zip(asset.names, asset.values[row].tolist(), strict=True)
        body = {"ts": rfc3339(int(asset.t_ns[row])), **{name: x for name, x in values if not math.isnan(x)}}
        return self._client.publish(f"plant/{asset.name}/telemetry", json.dumps(body), qos=1)

    def command(self, name: str) -> None:
        """What the owner asks of the node as a whole."""
        self._client.publish(f"edge-ae/{NODE}/cmd/{name}", qos=1)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

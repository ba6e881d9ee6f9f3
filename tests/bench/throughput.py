"""Messages a second, end to end: the daemon beside a bare subscriber that only counts, from the same flood.

Both are timed from the first packet after a warm-up to their own word that the last has been seen through.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.bench import packets
from tests.bench.packets import Packets
from tests.bench.parts import Ear, Node, Publisher, cpu_ns, said, started
from tests.bench.plant import SECOND, Plant

WARM = 500  # messages before the clock runs: windows fill, code is loaded
ASSET = "pump"


@dataclass(frozen=True)
class Speed:
    per_s: float  # messages
    cpu_us: float  # processor time for a message


@dataclass(frozen=True)
class Scene:
    """Where the bench takes place."""

    folder: Path
    port: int
    plant: Plant


def daemon(scene: Scene, name: str, qos: int, count: int, checkpoint_s: float = 90.0) -> Speed:
    """The daemon's speed; every message is used and scored, or this fails."""
    limits, state = {"inbox_messages": WARM + 2 * count}, {"checkpoint_s": checkpoint_s}
    node = Node(scene.folder, name, scene.port, scene.plant.model, qos=qos, limits=limits, state=state)
    what = flood(scene, node, qos, count)
    with Ear(scene.port, *node.says) as ear, node.run(ear) as process, Publisher(scene.port, what) as publisher:
        publisher.send(0, WARM + 1)
        node.answered(ear, WARM)
        before_ns = cpu_ns(process)
        begin_ns = publisher.send(WARM + 1, what.count)
        end_ns = node.answered(ear, what.count - 1)
        spent_ns = cpu_ns(process) - before_ns
        node.stats(ear, used=WARM + count)
    return _speed(count, end_ns - begin_ns, spent_ns)


def bare(scene: Scene, name: str, qos: int, count: int) -> Speed:
    """The bare subscriber's, of the same messages."""
    node = Node(scene.folder, name, scene.port, scene.plant.model)
    what = flood(scene, node, qos, count)
    marks = (str(WARM), str(WARM + count))
    command = [sys.executable, "-m", "tests.bench.bare", str(scene.port), node.topic("+"), str(qos), *marks]
    with started(command, stdout=subprocess.PIPE, bufsize=0) as process, Publisher(scene.port, what) as publisher:
        assert said(process) == b"ready"
        publisher.send(0, WARM + 1)
        _, before_ns = map(int, said(process).split())
        begin_ns = publisher.send(WARM + 1, what.count)
        end_ns, after_ns = map(int, said(process).split())
    return _speed(count, end_ns - begin_ns, after_ns - before_ns)


def flood(scene: Scene, node: Node, qos: int, count: int) -> Packets:
    """A warm-up, a probe, `count` messages, a probe; a window is scored for every one."""
    payloads = scene.plant.payloads(WARM + count)
    made = [packets.publish(node.topic(ASSET), payload, qos, number) for number, payload in enumerate(payloads)]
    warm, last = node.probe(ASSET, WARM, qos), node.probe(ASSET, WARM + 1 + count, qos)
    return packets.write(scene.folder / f"{node.name}.packets", [*made[:WARM], warm, *made[WARM:], last])


def _speed(count: int, wall_ns: int, cpu_ns: int) -> Speed:
    return Speed(count / (wall_ns / SECOND), cpu_ns / 1000 / count)

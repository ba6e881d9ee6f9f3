"""What the daemon costs the machine: time to start, memory, processor and disk."""

import time
from dataclasses import dataclass
from importlib.metadata import files, requires
from itertools import pairwise
from pathlib import Path

import psutil
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.bench import packets
from tests.bench.packets import Packets
from tests.bench.parts import ROOT, Ear, Node, Publisher, cpu_ns
from tests.bench.plant import SECOND
from tests.bench.throughput import Scene

ASSETS = 50
PARTS = 10  # memory is looked at after each tenth of the messages
LIGHT_RATE = 10  # messages a second
LIGHT_WARM_S = 10.0
DAY_S = 86_400
MB = 1e6


def start_s(scene: Scene, name: str) -> float:
    """From the start of the process to `online`."""
    node = Node(scene.folder, name, scene.port, scene.plant.model)
    with Ear(scene.port, *node.says) as ear, node.run(ear):
        return (node.online_ns - node.began_ns) / SECOND


@dataclass(frozen=True)
class Memory:
    """Resident, in MB: after each tenth of the messages."""

    rss: tuple[float, ...]

    @property
    def growth(self) -> float:
        """Since the first tenth, in which every asset's window has long been full."""
        return self.rss[-1] - self.rss[0]


def memory(scene: Scene, name: str, messages: int, assets: int = ASSETS) -> Memory:
    """Under as many messages as it can take."""
    node = Node(scene.folder, name, scene.port, scene.plant.model)
    what, ends = parts(scene, node, messages, assets)
    with Ear(scene.port, *node.says) as ear, node.run(ear) as process, Publisher(scene.port, what) as publisher:
        found = []
        for begin, end in pairwise([0, *ends]):
            publisher.send(begin, end)
            node.answered(ear, end - 1)
            found.append(process.memory_info().rss / MB)
        node.stats(ear, used=messages)
    return Memory(tuple(found))


def parts(scene: Scene, node: Node, messages: int, assets: int) -> tuple[Packets, list[int]]:
    """PARTS parts of the messages with a probe behind each, and where each part ends."""
    made: list[bytes] = []
    ends: list[int] = []
    rows = -(-messages // assets)
    for number, payload in enumerate(scene.plant.payloads(rows)):
        for asset in range(min(assets, messages - number * assets)):
            made.append(packets.publish(node.topic(f"pump-{asset}"), payload, 1, len(made)))
            sent = len(made) - len(ends)
            if sent * PARTS >= (len(ends) + 1) * messages:
                made.append(node.probe("pump-0", len(made), 1))
                ends.append(len(made))
    return packets.write(scene.folder / f"{node.name}.packets", made), ends


def installed_mb() -> float:
    """The files of the package, and of the libraries that it needs without any extra."""
    found: set[str] = set()
    wanted = {"edge-ae"}
    while wanted:
        name = wanted.pop()
        found.add(canonicalize_name(name))
        needs = (Requirement(line) for line in requires(name) or ())
        wanted |= {one.name for one in needs if one.marker is None or one.marker.evaluate({"extra": ""})}
        wanted = {one for one in wanted if canonicalize_name(one) not in found}
    libraries = (path.locate() for name in found - {"edge-ae"} for path in files(name) or ())
    own = (ROOT / "edge_ae").rglob("*")
    return sum(Path(str(path)).stat().st_size for path in (*libraries, *own) if Path(str(path)).is_file()) / MB


@dataclass(frozen=True)
class Light:
    """The load of a plant room: one message of all channels, LIGHT_RATE times a second."""

    cpu_percent: float  # of one core
    disk_mb_a_day: float


def light(scene: Scene, name: str, seconds: float) -> Light:
    """Processor time and bytes written to disk over a while, after a warm-up."""
    node = Node(scene.folder, name, scene.port, scene.plant.model)
    warm, rest = round(min(LIGHT_WARM_S, seconds) * LIGHT_RATE), round(seconds * LIGHT_RATE)
    payloads = scene.plant.payloads(warm + rest)
    made = [packets.publish(node.topic("pump"), payload, 1, number) for number, payload in enumerate(payloads)]
    what = packets.write(scene.folder / f"{name}.packets", made)
    with Ear(scene.port, *node.says) as ear, node.run(ear) as process, Publisher(scene.port, what) as publisher:
        publisher.send(0, warm, LIGHT_RATE)
        before = Spent.of(process)
        publisher.send(warm, what.count, LIGHT_RATE)
        after = Spent.of(process)
        node.stats(ear, used=what.count)
    return after.since(before)


@dataclass(frozen=True)
class Spent:
    at_ns: int
    cpu_ns: int
    written: int

    @classmethod
    def of(cls, process: psutil.Process) -> "Spent":
        return cls(time.monotonic_ns(), cpu_ns(process), process.io_counters().write_bytes)

    def since(self, before: "Spent") -> Light:
        took_s = (self.at_ns - before.at_ns) / SECOND
        cpu = (self.cpu_ns - before.cpu_ns) / SECOND / took_s
        return Light(100 * cpu, (self.written - before.written) / MB / took_s * DAY_S)

"""What it costs to keep state: bytes and syncs of a day, messages a second, and the time until a killed daemon is back.

    python -m tests.bench.store [--seconds 60] [--code DIR]

Everything is real: mosquitto, `edge-ae run`, files on a disk. A plant's load is sent several times as fast as the plant
sends it, and `checkpoint_s` is as many times shorter, so that minutes hold the commits of hours: a commit covers as many
messages as ever, and what is written for a message is what is written for it in a day. `--code` measures the `edge_ae`
that lies in another folder, such as a clone of an older version, by the same loads.

Syncs are counted by strace, and left out where it is not installed.
"""

import argparse
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import orjson
import psutil

from tests.bench import commit, packets
from tests.bench.bench import Say, show_progress
from tests.bench.footprint import DAY_S, MB
from tests.bench.grid import Grid
from tests.bench.packets import Packets
from tests.bench.parts import ROOT, Ear, Node, Publisher, mosquitto, started
from tests.bench.plant import LENGTH, SECOND, Plant, plant
from tests.conftest import MOSQUITTO, wait_for

SECONDS = 60.0  # of each load
WARM_S = 5.0  # before the count begins: windows fill, and the daemon learns what the broker allows
CHECKPOINT_S = 180.0  # as the settings have it
STARTS, ROUNDS = 5, 3
FASTER = 5.0  # than a plant sends; more, and the ten seconds for which input is remembered hold more than one commit's
COMMITTED_S = 3.0  # in which some rows are used and committed
WINDOWS = 2  # that fill, of each asset
FLOOD = 20_000  # messages
COMMITS = 500
SYNC = re.compile(rb"\bf(?:data)?sync\b.*<([\d.]+)>$", re.M)  # of a finished call; strace -T says how long it took


@dataclass(frozen=True)
class Load:
    """What a plant sends: `pumps` of eight channels for each asset, `rate` messages a second of all assets together."""

    name: str
    assets: int
    pumps: int
    rate: float
    faster: float


LOADS = (
    Load("16 channels x 10 Hz", assets=1, pumps=2, rate=10.0, faster=FASTER),
    Load("50 assets x 8 channels x 1 Hz", assets=50, pumps=1, rate=50.0, faster=FASTER),
)


@dataclass(frozen=True)
class Terms:
    """On which a broker delivers: how many messages it lets wait for acknowledgement, and in which version of MQTT.

    To a client of MQTT 5 mosquitto 2.0 grants the client's own receive maximum, whatever its settings say.
    """

    inflight: int
    protocol: str


DEPLOYED, DEFAULT = Terms(2000, "5"), Terms(20, "3.1.1")  # as deploy/mosquitto has it; as mosquitto comes


@dataclass(frozen=True)
class Site:
    """Where it is measured: a folder on a disk, a broker, and the folder of the code."""

    folder: Path
    port: int
    terms: Terms
    code: Path

    def node(self, name: str, what: Plant, **settings: Mapping[str, Any]) -> Node:
        mqtt = {"host": "127.0.0.1", "port": self.port, "protocol": self.terms.protocol}
        return Node(self.folder, name, self.port, what.model, qos=1, code=self.code, mqtt=mqtt, **settings)


# -- what is written -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """Of so many messages: bytes that went to the disk, bytes that were handed to the kernel, seconds of each sync."""

    messages: int
    disk: int
    handed: int
    syncs: Sequence[float] | None

    def a_day(self, amount: float, load: Load) -> float:
        return amount / self.messages * load.rate * DAY_S


def written(site: Site, load: Load, what: Plant, name: str, seconds: float) -> Written:
    """The load for `seconds`, after a warm-up."""
    node = site.node(name, what, state={"checkpoint_s": CHECKPOINT_S / load.faster})
    rate = load.rate * load.faster
    warm, count = round(WARM_S * rate), round(seconds * rate)
    sent = messages(load, what, node, warm + count)
    with Ear(site.port, *node.says) as ear, node.run(ear) as process, Publisher(site.port, sent) as publisher:
        publisher.send(0, warm, rate)
        node.stats(ear, used=warm)
        with traced(process) as syncs:
            before = process.io_counters()
            publisher.send(warm, warm + count, rate)
            node.stats(ear, used=warm + count)
            after = process.io_counters()
        return Written(
            count,
            after.write_bytes - before.write_bytes,
            after.write_chars - before.write_chars,
            syncs.seconds if syncs.counted else None,
        )


def messages(load: Load, what: Plant, node: Node, count: int) -> Packets:
    """Rows of all assets in turn, and behind them a command that the retained alert of the first shows to be obeyed."""
    made = [
        packets.publish(node.topic(f"pump-{asset}"), payload, 1, number)
        for number, (asset, payload) in enumerate(what.payloads_of(load.assets, -(-count // load.assets)))
    ]
    shelve = packets.publish(node.own("pump-0/cmd/shelve"), b'{"one_shot": true}', 1, count)
    return packets.write(node.folder / "packets", [*made[:count], shelve])


def shelved(topic: str, payload: bytes) -> bool | None:
    return (topic.endswith("/pump-0/alert") and bool(orjson.loads(payload)["shelved"])) or None


@dataclass
class Syncs:
    counted: bool
    seconds: list[float] = field(default_factory=list)


@contextmanager
def traced(process: psutil.Process) -> Iterator[Syncs]:
    """How often the process syncs a file in this block, and how long each takes; known once the block is left."""
    strace = shutil.which("strace")
    syncs = Syncs(strace is not None)
    if strace is None:
        yield syncs
        return
    with tempfile.TemporaryDirectory() as folder:
        calls, said = Path(folder) / "calls", Path(folder) / "said"
        command = [strace, "-f", "-T", "-e", "trace=fsync,fdatasync", "-o", str(calls), "-p", str(process.pid)]
        with said.open("wb") as stderr, started(command, stderr=stderr) as tracer:
            wait_for(lambda: b"attached" in said.read_bytes(), "strace")
            yield syncs
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
            syncs.seconds += map(float, SYNC.findall(calls.read_bytes()))


# -- speed and recovery ----------------------------------------------------------------------------------------


def speed(site: Site, load: Load, what: Plant, name: str) -> float:
    """Messages a second, each scored and its state kept, as fast as they can be had."""
    node = site.node(name, what, limits={"inbox_messages": 2 * FLOOD})
    sent = messages(load, what, node, FLOOD)
    alert = node.own("pump-0/alert")
    with Ear(site.port, *node.says, alert) as ear, node.run(ear), Publisher(site.port, sent) as publisher:
        began_ns = publisher.send(0, sent.count)
        end_ns, _ = ear.wait(shelved, "the alert that says that all has been seen through")
        node.stats(ear, used=FLOOD)
        return FLOOD / ((end_ns - began_ns) / SECOND)


def starts(site: Site, load: Load, what: Plant, name: str) -> list[float]:
    """Seconds from start to ready: the first time without state, then each time after a kill -9."""
    node = site.node(name, what, state={"checkpoint_s": 1.0})
    count = WINDOWS * LENGTH * load.assets
    sent = messages(load, what, node, count * (1 + STARTS))
    found = []
    for turn in range(1 + STARTS):
        with Ear(site.port, *node.says) as ear, node.run(ear) as process, Publisher(site.port, sent) as publisher:
            found.append((time.monotonic_ns() - node.began_ns) / SECOND)
            assert turn == 0 or f"state of {load.assets} assets restored" in node.log, node.log
            publisher.send(turn * count, (turn + 1) * count)
            time.sleep(COMMITTED_S)
            process.kill()
    return found


# -- all of it -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """One load at one broker: of each round what was written, the speed, the starts."""

    load: Load
    terms: Terms
    written: Written
    per_s: Sequence[float]
    starts: Sequence[float]

    def cells(self) -> list[str]:
        syncs, day = self.written.syncs, self.written.a_day
        return [
            f"{self.load.name}, {self.terms.inflight}",
            f"{day(self.written.disk, self.load) / MB:,.1f}",
            f"{day(self.written.handed, self.load) / MB:,.1f}",
            "" if syncs is None else f"{day(len(syncs), self.load):,.0f}",
            "" if not syncs else f"{1000 * np.percentile(syncs, 99):.1f}",
            f"{median(self.per_s):,.0f}",
            f"{self.starts[0]:.2f}",
            f"{median(self.starts[1:]):.2f}",
        ]


HEADER = (
    "load, messages in flight",
    "MB a day",
    "handed over",
    "syncs a day",
    "sync p99, ms",
    "messages/s",
    "start, s",
    "after kill, s",
)


def costs(folder: Path, code: Path, plants: Mapping[int, Plant], seconds: float, say: Say) -> Iterator[Cost]:
    for terms in (DEPLOYED, DEFAULT):
        place = folder / f"inflight-{terms.inflight}"
        place.mkdir()
        with mosquitto(place, terms.inflight) as port:
            site = Site(place, port, terms, code)
            for number, load in enumerate(LOADS):
                say(f"{load.name}, {terms.inflight} in flight")
                yield cost(site, load, plants[load.pumps], seconds, str(number))


def cost(site: Site, load: Load, what: Plant, seconds: float, name: str) -> Cost:
    """`name` tells the daemons of one cost from those of another."""
    return Cost(
        load,
        site.terms,
        written(site, load, what, f"written-{name}", seconds),
        [speed(site, load, what, f"speed-{name}-{turn}") for turn in range(ROUNDS)],
        starts(site, load, what, f"starts-{name}"),
    )


def grid(found: Sequence[Cost]) -> Grid:
    note = f"a day is extrapolated from {', '.join(f'{cost.written.messages:,}' for cost in found)} messages"
    return Grid("What it costs to keep state", HEADER, [cost.cells() for cost in found], note)


def commits(folder: Path, plants: Mapping[int, Plant], say: Say) -> Grid:
    """With as many messages a commit as either broker brings about: half of what it lets wait, and no more than a minute's."""
    rows: list[list[str]] = []
    for terms in (DEPLOYED, DEFAULT):
        for load in LOADS:
            messages = min(terms.inflight // 2, round(load.rate * CHECKPOINT_S))
            place = folder / f"commits-{len(rows)}"
            place.mkdir()
            say(f"commits of {messages} messages, {load.name}")
            found = commit.commits(place, plants[load.pumps], load.assets, messages, COMMITS)
            rows.append([f"{load.name}, {messages:,}", *found.cells()])
    return Grid("How long a commit and a restart's reading take", ("load, messages a commit", *commit.HEADER), rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each load (%(default)s)")
    parser.add_argument("--code", type=Path, default=ROOT, metavar="DIR", help="the folder that has edge_ae")
    options = parser.parse_args()
    if MOSQUITTO is None:
        print("bench: mosquitto is not installed; apt install mosquitto", file=sys.stderr)
        return 1
    base = ROOT / "out"  # on a disk: where /tmp is memory, nothing would be written
    base.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base, prefix="bench-store-") as name:
        folder = Path(name)
        plants = {pumps: plant(folder, f"pumps-{pumps}", pumps, "pca") for pumps in (1, 2)}
        grids = [grid(list(costs(folder, options.code, plants, options.seconds, show_progress)))]
        if options.code == ROOT:  # what is measured in this process is this version's
            grids.append(commits(folder, plants, show_progress))
    show_progress("")
    print("\n\n".join(each.as_text() for each in grids))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What may die: a mosquitto set up as `deploy/mosquitto` says, the daemon, its disk, its clock, and the wire between.

Nothing outlives the block: every process dies with the campaign, even where that is killed.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import orjson

from edge_ae.config.loading import load
from edge_ae.store.node_store import FILE
from tests.chaos.clock import set_clock
from tests.chaos.people import LATENESS_S, Gateway, Witness
from tests.chaos.plant import BUDGET, NODE, Plant
from tests.chaos.wire import Wire
from tests.conftest import MOSQUITTO, free_port, wait_for

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "out" / "chaos"  # where the trained model is kept
DOCUMENTED = ROOT / "deploy" / "mosquitto" / "edge-ae.conf"
OURS = ("listener", "allow_anonymous", "password_file", "acl_file", "persistence ")  # what a test's broker says itself
CHECKPOINT_S = 0.5  # as often as it may, so that faults meet many
GUEST_TOPIC = "guest/{asset}/telemetry"
UNDER_WAY = 2000  # readings, at most: as the documented broker lets be
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def started(command: list[str | Path], **options: int | IO[bytes]) -> "subprocess.Popen[bytes]":
    """A process that dies with this one."""

    def bind() -> None:
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)

    return subprocess.Popen(command, cwd=ROOT, preexec_fn=bind, **options)  # type: ignore[call-overload, no-any-return]


class Mortal:
    """A process that is killed, frozen, and started again."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "it has not been started"
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def end(self, number: int) -> None:
        if self.running:
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)
            self.process.wait(30)

    def freeze(self, seconds: float) -> None:
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.end(signal.SIGKILL)


class Broker(Mortal):
    """Saves its memory when `save` says so, in place of every five minutes; `end` with SIGKILL loses what came since,
    which `set_back_ns` notes.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.port = free_port()
        self.saved_ns = 0
        self.set_back_ns: list[int] = []
        self._folder = folder
        self.config, self._memory = folder / "mosquitto.conf", folder / "mosquitto.db"
        lines = [line for line in DOCUMENTED.read_text().splitlines() if line and not line.startswith(("#", *OURS))]
        lines += ["persistence true", f"persistence_location {folder}/", f"listener {self.port} 127.0.0.1"]
        lines += ["allow_anonymous true", *(["user root"] if os.geteuid() == 0 else [])]
        self.config.write_text("\n".join(lines) + "\n")

    def start(self) -> int:
        """Returns when it answered."""
        assert MOSQUITTO is not None, "mosquitto is not installed"
        said = self._folder / "mosquitto.log"
        with said.open("ab") as log:
            before = said.read_text().count(" running")
            self._process = started([MOSQUITTO, "-c", self.config], stderr=log)
        wait_for(lambda: said.read_text().count(" running") > before, "mosquitto")
        return time.monotonic_ns()

    def end(self, number: int) -> None:
        if number == signal.SIGKILL:
            self.set_back_ns.append(time.monotonic_ns())
        super().end(number)

    def save(self) -> None:
        before = self._memory.stat().st_mtime_ns if self._memory.exists() else 0
        now_ns = time.monotonic_ns()
        self.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: self._memory.exists() and self._memory.stat().st_mtime_ns > before, "mosquitto's save")
        self.saved_ns = now_ns

    def forget(self) -> None:
        self._memory.unlink(missing_ok=True)


class Node(Mortal):
    """`edge-ae run`. `clock`: the file of its clock's error; `guest`: whether the settings have the guest's stream.

    `learning`: settings of learning, with which the guest's models are those that are made here; empty: it has the plant's.
    """

    def __init__(
        self, folder: Path, model: Path, port: int, checkpoint_s: float = CHECKPOINT_S, learning: str = ""
    ) -> None:
        super().__init__()
        self.state = folder / "state"
        self.clock = folder / "clock"
        set_clock(self.clock, 0)
        self._log_path = folder / "edge-ae.log"
        self.config = folder / "edge-ae.toml"
        self._begin = 0  # of this start in the log
        self._model = model
        self._guest_model = "auto" if learning else str(model)
        self._settings = (
            f"node = {_toml(NODE)}\nstate_dir = {_toml(str(self.state))}\n"
            f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\nkeepalive_s = 5\nreceive_maximum = {UNDER_WAY}\n'
            f"[alerts]\nbudget = {_toml(BUDGET)}\nflood_limit = 1000000\n"
            f"[publish]\nscore_interval_s = 0\nstats_interval_s = 1\n[state]\ncheckpoint_s = {checkpoint_s}\n{learning}"
        )
        self.configure(guest=True)
        settings = load(self.config)
        self.learned = settings.learned_models(settings.streams[-1])  # where the guest's models lie that are made here

    def configure(self, *, guest: bool) -> None:
        """Write the settings with or without the guest's stream."""
        self.guest = guest
        models = {"plant/{asset}/telemetry": str(self._model), **({GUEST_TOPIC: self._guest_model} if guest else {})}
        streams = (
            f'[[streams]]\ntopic = {_toml(topic)}\ntime = "ts"\nmodel = {_toml(model)}\nlateness_s = {LATENESS_S}\n'
            for topic, model in models.items()
        )
        self.config.write_text(self._settings + "".join(streams))

    def reload(self, *, guest: bool) -> int:
        """Change the settings and make it read them. Returns when it has taken them up."""
        wait_for(lambda: "ready: " in self.log[self._begin :], "the daemon, which is told to reload")
        before = self.log.count("taken up: ")
        self.configure(guest=guest)
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.log.count("taken up: ") > before, "the settings to be taken up")
        return time.monotonic_ns()

    def start(self) -> int:
        """Returns when it was started."""
        self._begin = len(self.log)
        command: list[str | Path] = [sys.executable, "-m", "tests.chaos.clock", self.clock]
        self._process = started([*command, "run", "--config", self.config], stderr=subprocess.PIPE)
        assert self._process.stderr is not None
        threading.Thread(target=self._keep, args=(self._process.stderr,), daemon=True).start()
        return time.monotonic_ns()

    def _keep(self, said: IO[bytes]) -> None:
        """Through a pipe, for a full disk takes no log either."""
        with said, self._log_path.open("ab") as log:
            for line in said:
                log.write(line)
                log.flush()

    @property
    def log(self) -> str:
        return self._log_path.read_text() if self._log_path.exists() else ""

    def limit_disk(self, size: int) -> None:
        """No file of its may grow beyond `size`: what is written is cut off there, as where a disk is full."""
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def free_disk(self) -> None:
        self.limit_disk(resource.RLIM_INFINITY)

    @property
    def database(self) -> Path:
        return self.state / FILE

    @property
    def database_log(self) -> Path:
        return self.state / f"{FILE}-wal"


@dataclass(frozen=True)
class World:
    """`stuck`: what stayed though it should have gone, as the faults found it."""

    plant: Plant
    broker: Broker
    wire: Wire
    node: Node
    gateway: Gateway
    witness: Witness
    stuck: list[str] = field(default_factory=list)


@contextmanager
def world(
    plant: Plant, folder: Path, seed: int, learning: str = "", prepare: Callable[[Node, Path], None] | None = None
) -> Iterator[World]:
    """All of it running. `prepare`: what is done to a node before it is started, with the plant's model."""
    with ExitStack() as alive:
        broker = alive.enter_context(closing(Broker(folder)))
        broker.start()
        wire = alive.enter_context(closing(Wire(broker.port)))
        witness = alive.enter_context(closing(Witness(broker.port)))
        node = alive.enter_context(closing(Node(folder, plant.model, wire.port, learning=learning)))
        if prepare is not None:
            prepare(node, plant.model)
        node.start()
        wait_for(lambda: "ready: " in node.log, "the daemon")
        broker.save()
        gateway = alive.enter_context(closing(Gateway(plant, broker.port, seed)))
        yield World(plant, broker, wire, node, gateway, witness)


def _toml(text: str) -> str:
    return orjson.dumps(text).decode()

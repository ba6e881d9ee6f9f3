"""A whole daemon without a broker whose models are from a folder: fed rows and commands, killed, started again from what it kept.

What its models in use have said is in `outcomes`; rows that no checkpoint covers come again after a kill, as from a broker.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_ae.core.alert_events import AlertEvent, Outcome
from edge_ae.core.detector import Watch
from edge_ae.core.events import Scored
from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.model_spec import Floats, Model
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.folder_watches import FolderWatches
from edge_ae.daemon.ingest import Feed
from edge_ae.daemon.loop import Daemon
from edge_ae.daemon.options import DaemonOptions
from edge_ae.model.followed_folder import FollowedFolder, followed
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.model.registry import Registry
from edge_ae.mqtt.link import Message
from edge_ae.store.node_store import FILE, NodeStore
from tests.fuzz.daemon import T0_NS, Deaf
from tests.models import cached, write_model

CALM, FAULT = 5.0, 14.0
RULES = AlertRules(interval_ns=100 * SECOND)


def models_alike(factory: pytest.TempPathFactory) -> list[Path]:
    """Three, alike in all but the time of their training."""
    return [
        cached(factory, f"alike-{n}.onnx", lambda out, n=n: write_model(out, trained_at=f"2026-03-0{n + 1}"))  # type: ignore[misc]
        for n in range(3)
    ]


class Listening(Deaf):
    """Keeps the answers to commands; `commands` are acknowledged like rows."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Any] = []

    def publish(self, topic: str, payload: bytes, *_: Any, **__: Any) -> None:
        if topic == "answers":
            self.answers.append(json.loads(payload))

    def stop(self) -> None: ...


class Broken:
    """A model that passed every test, and whose scores are no numbers once it is in the field."""

    def __init__(self, model: Model) -> None:
        self.spec = model.spec
        self.explain = model.explain
        self.fails = False
        self._model = model

    def score(self, windows: Floats) -> Floats:
        return np.full(len(windows), np.nan, np.float32) if self.fails else self._model.score(windows)


class RolloutBox:
    """`files`: models of two channels, a row a second; the first is in use from the beginning. `load`: in place of the real one."""

    def __init__(self, directory: Path, files: Sequence[Path], **options: Any) -> None:
        self.directory = directory
        self.registry = Registry(directory / "pump")
        self.files = files
        self.shas = [self.registry.install(files[0])[0].sha256, *(OnnxModel.load(one).spec.sha256 for one in files[1:])]
        self.outcomes: list[Outcome] = []
        self.options = {"shadow_s": 1e6, "checkpoint_s": 1000, "install": "any", **options}
        self.load: Callable[[Path], Model] = OnnxModel.load
        self.verify: Any = None
        self.assets: tuple[str, ...] = ("p1",)
        self.row = 0
        self._unacknowledged: list[tuple[int, tuple[str, bytes]]] = []
        self._clock_ns = 0
        self._mid = 0
        self.start()

    def start(self) -> "RolloutBox":
        """As at the start of a process."""
        self.folder: FollowedFolder = followed(self.registry, lambda path: self.load(path), self.verify)
        watches = FolderWatches(self.folder, lambda model: Watch(model, RULES))
        decoder = Decoder(Stream("plant/{asset}/t", time="ts"), self.folder.current.spec.names)
        self.link = Listening()
        link: Any = self.link
        store = NodeStore(self.directory / FILE)
        options = DaemonOptions("n1", **self.options)
        self.daemon = Daemon(options, [Feed(decoder, watches)], link, store, clock=lambda: self._clock_ns)
        step = self.daemon.rollout.step

        def stepped() -> list[Outcome]:
            outcomes = step()
            self.outcomes += outcomes
            return outcomes

        self.daemon.rollout.step = stepped  # type: ignore[method-assign]
        self.daemon.checkpoints.load()
        return self

    def kill(self) -> "RolloutBox":
        """The process is gone; the next one is sent again what was not acknowledged."""
        self.daemon.store.close()
        given = set(self.link.given)
        again = [(mid, one) for mid, one in self._unacknowledged if (1, mid) not in given]
        self.start()
        self._unacknowledged = again
        self._put(again, dup=True)
        return self

    def stop(self) -> "RolloutBox":
        """A clean end, and a new start."""
        self.daemon._finish()
        self._unacknowledged = []
        return self.start()

    # -- what comes --------------------------------------------------------------------------------------------

    def feed(self, *flows: float) -> "RolloutBox":
        """A row for each asset and flow."""
        for flow in flows:
            body = json.dumps({"ts": T0_NS // 10**6 + 1000 * self.row, "flow": flow, "pressure": 2.5}).encode()
            self.send(*((f"plant/{asset}/t", body) for asset in self.assets))
            self.row += 1
        return self

    def ask(self, name: str, **fields: Any) -> dict[str, Any]:
        """A command to the node, and its answer."""
        self.send((f"edge-ae/n1/cmd/{name}", json.dumps(fields).encode()))
        answer: dict[str, Any] = self.link.answers[-1]
        return answer

    def send(self, *messages: tuple[str, bytes]) -> None:
        numbered = []
        for one in messages:
            self._mid = self._mid % 60_000 + 1
            numbered.append((self._mid, one))
        self._unacknowledged += numbered
        self._put(numbered, dup=False)

    def _put(self, numbered: Iterable[tuple[int, tuple[str, bytes]]], *, dup: bool) -> None:
        arrival_ns = T0_NS + 7 * 86_400 * SECOND
        self.link._inbox += [
            Message(arrival_ns, topic, payload, 1, mid, dup, 1, response_topic="answers")
            for mid, (topic, payload) in numbered
        ]
        while self.link.waiting:
            self.daemon.turn()

    def look(self, seconds: int = 5) -> "RolloutBox":
        """The clock on the wall goes on, and the links are looked at."""
        self._clock_ns += seconds * SECOND
        self.daemon._look_at_models(self._clock_ns)
        return self

    # -- what came of it ---------------------------------------------------------------------------------------

    @property
    def running(self) -> str:
        """The SHA-256 of the model that the first asset is watched with."""
        return self.daemon.fleet.detectors[self.assets[0]].spec.sha256

    def slots(self, asset: str = "p1") -> list[int]:
        """Of the windows that were judged, from 0 for the first row."""
        first = T0_NS // SECOND
        return [one.verdict.slot - first for one in self.outcomes if isinstance(one, Scored) and one.asset == asset]

    @property
    def events(self) -> list[AlertEvent]:
        return [one for one in self.outcomes if isinstance(one, AlertEvent)]

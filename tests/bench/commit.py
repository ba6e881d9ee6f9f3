"""How long a commit holds up the daemon, and how long a new daemon takes to read what was committed. In this process, without
a broker: what remains is the state, its packing, and the disk.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edge_ae.core.detector import Watch
from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.rules import AlertRules
from edge_ae.daemon.ingest import Feed, SameWatch
from edge_ae.daemon.loop import Daemon
from edge_ae.daemon.options import DaemonOptions
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.store.node_store import FILE, NodeStore
from tests.bench.plant import LENGTH, Plant
from tests.fuzz.daemon import Deaf

WEEK_NS = 7 * 86_400 * 10**9
NEVER_S = 1e6  # the daemon commits only when it is told to
RESTARTS = 20


@dataclass(frozen=True)
class Commits:
    """Of one load: ms of each commit and of each restart's reading."""

    commit_ms: Sequence[float]
    restore_ms: Sequence[float]

    def cells(self) -> list[str]:
        taken = [
            *np.percentile(self.commit_ms, (50, 99)),
            max(self.commit_ms),
            *np.percentile(self.restore_ms, (50, 100)),
        ]
        return [f"{ms:.2f}" for ms in taken]


HEADER = ("commit p50, ms", "p99", "longest", "restore p50, ms", "longest")


def commits(folder: Path, what: Plant, assets: int, messages: int, count: int) -> Commits:
    """`count` commits with so many messages of all assets in turn between two; then restarts."""
    model = OnnxModel.load(what.model)
    daemon, link = _daemon(folder, model)
    daemon.checkpoints.load()
    rows = what.payloads_of(assets, 2 * LENGTH + messages * count // assets + 2)
    sent = ((f"bench/pump-{asset}", payload) for asset, payload in rows)
    _use(daemon, link, islice(sent, LENGTH * assets))
    took = []
    for _ in range(count):
        _use(daemon, link, islice(sent, messages))
        took.append(_ms(lambda: daemon.checkpoints.write(time.monotonic_ns())))
        assert daemon.store.fault is None
    daemon.store.close()
    return Commits(took, [_restore_ms(folder, model, assets) for _ in range(RESTARTS)])


def _daemon(folder: Path, model: OnnxModel) -> tuple[Daemon, Deaf]:
    link: Any = Deaf()
    feed = Feed(
        Decoder(Stream("bench/{asset}", time="ts"), model.spec.names), SameWatch(Watch(model, AlertRules(WEEK_NS)))
    )
    store = NodeStore(folder / FILE)
    options = DaemonOptions("n1", checkpoint_s=NEVER_S, receive_maximum=2**30)
    return Daemon(options, [feed], link, store), link


def _use(daemon: Daemon, link: Deaf, messages: Iterable[tuple[str, bytes]]) -> None:
    some = list(messages)
    wanted = daemon.counts["received"] + len(some)
    link.put(some)
    while daemon.counts["received"] < wanted:
        daemon.turn()


def _restore_ms(folder: Path, model: OnnxModel, assets: int) -> float:
    daemon, _ = _daemon(folder, model)
    took = _ms(daemon.checkpoints.load)
    assert len(daemon.fleet.detectors) == assets
    daemon.store.close()
    return took


def _ms(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return (time.perf_counter() - begin) * 1e3

"""Models that change places under load: rows lost, alerts caused, how long a rollback takes, and what a shadow costs in memory.

    python -m tests.bench.swaps [--swaps 1000] [--rate 500] [--assets 20]

Everything is real: mosquitto, `edge-ae run`, two models trained on the same recording, commands over MQTT while rows come.
Fails where a window is lost, where alerts are others than without any swap, or where one rollback in a hundred takes longer than
ROLLBACK_S.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import orjson
from edge_ae_train.data.segments import Recording, Segment
from edge_ae_train.export import Origin, save
from edge_ae_train.fit import Options, fit
from edge_ae_train.synthetic.simulator import Simulation, simulate

from edge_ae.config.settings import Alerts
from edge_ae.core.alert_events import AlertEvent
from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings
from edge_ae.core.fleet import Fleet
from edge_ae.core.payloads import alert_payload
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.model.registry import Registry
from edge_ae.mqtt.dialogue import NodeDialogue
from edge_ae.mqtt.options import Broker
from tests.bench import packets
from tests.bench.parts import Ear, Node, Publisher, mosquitto
from tests.bench.plant import LENGTH, PERIOD_S, SECOND, STAGGER_ROWS, TRAIN_ROWS, Plant

ROLLBACK_S = 1.0
AT_ONCE = 16 * LENGTH  # rows of an asset, behind which the daemon is asked whether it has them all
SCORES = ("+/score",)
MB = 2**20


@dataclass(frozen=True)
class Swapped:
    """What came of it. `scored`, `expected`: windows of all assets. `alerts`: that one model raises which nobody touches;
    `alerts_apart`: that were raised here or there alone."""

    swaps: int
    rows: int
    scored: int
    expected: int
    alerts: int
    alerts_apart: int
    rollbacks_s: Sequence[float]
    alone_mb: float
    shadow_mb: float

    @property
    def rollback_s(self) -> tuple[float, float, float]:
        """Median, 99th percentile, longest."""
        p99 = sorted(self.rollbacks_s)[int(0.99 * (len(self.rollbacks_s) - 1))]
        return median(self.rollbacks_s), p99, max(self.rollbacks_s)

    @property
    def holds(self) -> bool:
        return (self.scored, self.alerts_apart) == (self.expected, 0) and self.rollback_s[1] <= ROLLBACK_S


class Changer(threading.Thread):
    """Puts a model to use and goes back, in turn, until somebody says enough, or so many times."""

    def __init__(self, dialogue: NodeDialogue, model: str, swaps: int) -> None:
        super().__init__()
        self.rollbacks_s: list[float] = []
        self.done = 0
        self._dialogue, self._model, self._swaps = dialogue, model, swaps

    def run(self) -> None:
        while self.done < self._swaps:
            began_s = time.monotonic()
            if self.done % 2 == 0:
                self._dialogue.ask("promote", {"model": self._model})
            else:
                self._dialogue.ask("rollback", {})
                self.rollbacks_s.append(time.monotonic() - began_s)
            self.done += 1


def measured(
    folder: Path, port: int, what: Plant, files: Sequence[Path], swaps: int, rate: float, assets: int
) -> Swapped:
    """Rows come at `rate` a second until all swaps are done."""
    registry = Registry(folder / "models")
    registry.install(files[0])
    other = registry.install(files[1])[0].sha256
    shown: dict[str, Any] = {"publish": {"score_interval_s": 0.0, "stats_interval_s": 1.0}, "models": {"shadow_s": 3e8}}
    node = Node(folder, "swaps", port, registry.folder, **shown)
    dialogue = NodeDialogue(Broker("127.0.0.1", port), "edge-ae/swaps")
    changer = Changer(dialogue, other, swaps)
    with Ear(port, *node.says, *map(node.own, SCORES)) as ear, node.run(ear):
        sent = _send(folder, port, what, node, ear, 0, 2 * LENGTH, rate, assets)
        alone_mb = _rss_mb(node, ear, sent * assets)
        dialogue.ask("shadow", {"model": other})
        sent = _send(folder, port, what, node, ear, sent, sent + 2 * LENGTH, rate, assets)
        shadow_mb = _rss_mb(node, ear, sent * assets)
        changer.start()
        while changer.is_alive():
            sent = _send(folder, port, what, node, ear, sent, sent + AT_ONCE, rate, assets)
        time.sleep(1.0)  # the scores of the last rows are on their way
        scored = {(topic, orjson.loads(body)["ts"]) for _, topic, body in ear.heard if topic.endswith("/score")}
        raised = {at for _, topic, body in ear.heard if topic.endswith("/event") for at in _raised(orjson.loads(body))}
    dialogue.close()
    expected = _alone(what, files[0], sent, assets)
    return Swapped(
        changer.done,
        sent * assets,
        len(scored),
        assets * (sent - LENGTH),
        len(expected),
        len(raised ^ expected),
        changer.rollbacks_s,
        alone_mb,
        shadow_mb,
    )


def _raised(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(body["asset"], body["ts_onset"])] if body["type"] == "new" else []


def _alone(what: Plant, model: Path, rows: int, assets: int) -> set[tuple[str, str]]:
    """Asset and onset of the alerts that one model raises which nobody touches."""
    fleet, watch = Fleet("alone", assets), Watch(OnnxModel.load(model), Alerts().rules)
    found = set()
    values = what.rows(rows + assets * STAGGER_ROWS)
    for row, t_ns in enumerate(what.times(rows)):
        for asset in range(assets):
            shown = orjson.loads(packets.payload(what.names, t_ns, values[row + asset * STAGGER_ROWS]))
            fleet.push(Readings(f"p{asset}", t_ns, {name: shown[name] for name in what.names}), watch)
        steps = (one for one in fleet.step() if isinstance(one, AlertEvent))
        found |= {at for one in steps for at in _raised(alert_payload(one.alert))}
    return found


def _send(
    folder: Path, port: int, what: Plant, node: Node, ear: Ear, first: int, last: int, rate: float, assets: int
) -> int:
    """The rows from `first` up to `last` of each asset, until the daemon has used them all. Gives `last`."""
    every = list(what.payloads_of(assets, last))[first * assets :]
    made = [packets.publish(node.topic(f"p{asset}"), body, 1, number) for number, (asset, body) in enumerate(every)]
    file = packets.write(folder / "rows.packets", made)
    with Publisher(port, file) as publisher:
        publisher.send(0, file.count, rate)
        node.stats(ear, last * assets)
    return last


def _rss_mb(node: Node, ear: Ear, used: int) -> float:
    ear.heard = [one for one in ear.heard if not one[1].endswith("/stats")]
    return float(node.stats(ear, used)["rss_bytes"]) / MB


def table(found: Swapped) -> str:
    """For people."""
    return "\n".join(
        [
            f"{found.swaps:,} swaps while {found.rows:,} rows came",
            f"windows scored  {found.scored:,} of {found.expected:,}",
            f"alerts          {found.alerts}, as without swaps; {found.alerts_apart} more or fewer",
            "rollback        {:.2f} s, p99 {:.2f} s (aim: {:g} s), {:.2f} s at most".format(
                *found.rollback_s[:2], ROLLBACK_S, found.rollback_s[2]
            ),
            f"memory          {found.alone_mb:.1f} MB alone, {found.shadow_mb:.1f} MB with a shadow",
        ]
    )


def pair(folder: Path, family: str) -> tuple[Simulation, list[Path]]:
    """A machine, and two models of it that differ in the time of their training alone: whatever comes of a swap, the swap has caused."""
    machine = simulate(TRAIN_ROWS, PERIOD_S, seed=0)
    rows = (Segment(machine.values.astype(np.float32)),)
    fitted = fit(rows, Options(family=family, length=LENGTH))
    recording = Recording(machine.names, round(PERIOD_S * SECOND), rows)
    units = dict(zip(machine.names, machine.units, strict=True))
    files = [folder / "first.onnx", folder / "second.onnx"]
    for number, file in enumerate(files, start=1):
        save(fitted, recording, Origin("pump", f"2026-01-0{number}T00:00:00Z", "d" * 64, units), file)
    return machine, files


def run(folder: Path, swaps: int, rate: float, assets: int, family: str = "pca") -> Swapped:
    """All of it in a folder."""
    machine, files = pair(folder, family)
    what = Plant(machine.names, machine.values, round(PERIOD_S * SECOND), files[0])
    with mosquitto(folder) as port:
        return measured(folder, port, what, files, swaps, rate, assets)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.swaps", description="Models that change places under load.")
    parser.add_argument("--swaps", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=500.0, help="rows a second, of all assets")
    parser.add_argument("--assets", type=int, default=20)
    parser.add_argument("--family", default="pca")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), options.swaps, options.rate, options.assets, options.family)
    print(table(found))
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())

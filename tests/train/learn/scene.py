"""A device on which a daemon has recorded assets for a while: its settings, its state and its recordings, without the daemon."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from edge_ae_train.learn.service import one_pass
from numpy.typing import NDArray

from edge_ae.config.loading import load
from edge_ae.config.settings import Settings
from edge_ae.core.timestamps import SECOND
from edge_ae.model.assignments import Assignments, read_assignments
from edge_ae.store.node_store import FILE, AssetState, Changes, NodeStore
from edge_ae.store.recording_csv import write_csv

FIRST_S, AGAIN_S = 600, 1200
T0_S = 1_790_000_000
SETTINGS = """
node = "n1"
state_dir = "state"
[[streams]]
topic = "plant/{asset}/t"
time = "ts"
model = "auto"
[learn]
first_s = 600
again_s = 1200
every_s = 1200
family = "pca"
"""


def signals(rows: int, seed: int = 0, gain: float = 2.0) -> NDArray[np.float64]:
    """Two coupled signals, a row a second."""
    rng, t = np.random.default_rng(seed), np.arange(rows)
    speed = 10.0 + 2.0 * np.sin(t / 17.0) + 0.05 * rng.normal(size=rows)
    return np.column_stack([gain * speed + 0.1 * rng.normal(size=rows), speed])


class Device:
    """`said`: what the learner has said so far."""

    def __init__(self, folder: Path, settings: str = SETTINGS) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.config = folder, folder / "edge-ae.toml"
        self.config.write_text(settings)
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.said: list[str] = []

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def settings(self) -> Settings:
        return load(self.config)

    @property
    def models(self) -> Path:
        """Of the first stream."""
        return self.settings.learned_models(self.settings.streams[0])

    @property
    def made(self) -> Assignments:
        return read_assignments(self.models)

    def record(
        self,
        asset: str,
        values: NDArray[np.float64],
        names: Sequence[str] = ("flow", "speed"),
        first_s: int = 0,
        step_s: int = 1,
    ) -> None:
        """One more file of an asset, as the recorder makes them."""
        folder = self.state / "recordings" / asset
        folder.mkdir(parents=True, exist_ok=True)
        times = [str(T0_S + first_s + step_s * n) for n in range(len(values))]
        write_csv(folder / f"20260921T{first_s:06d}.csv.gz", times, names, values)

    def count(self, learned_s: Mapping[str, int]) -> None:
        """What the daemon has counted, as its state says it."""
        store = NodeStore(self.state / FILE)
        store.load()
        states = {name: AssetState("plant/+/t", {"learned": [s * SECOND, None]}) for name, s in learned_s.items()}
        assert store.commit(Changes(states, (), {"base": "edge-ae", "name": "n1"}))
        store.close()

    def learn(self, sys: Path | None = None) -> list[str]:
        """One pass. Returns what was said in it."""
        before = len(self.said)
        one_pass(self.settings, self.said.append, self.folder / "sys" if sys is None else sys)
        return self.said[before:]

"""A library of faults, put into held-out normal rows: who finds most of them is chosen, without labels.

Each fault changes standardised rows [row, channel] of its span, by a strength in standard deviations of the channel.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_ae.core.model_spec import Floats

Rng = np.random.Generator
Change = Callable[[Floats, float, Rng], Floats]

STRIDE = 4  # every fourth window of a fault is looked at: enough to find what can be found
STRENGTHS = {"small": 1.0, "medium": 3.0, "large": 8.0}


def _one(rows: Floats, rng: Rng) -> int:
    return int(rng.integers(rows.shape[1]))


def _some(rows: Floats, rng: Rng) -> np.ndarray:
    """A third of the channels, one at least."""
    channels = rows.shape[1]
    return rng.permutation(channels)[: max(1, channels // 3)]


def _sign(rng: Rng) -> float:
    return float(rng.choice([-1.0, 1.0]))


def spike(rows: Floats, strength: float, rng: Rng) -> Floats:
    rows[: max(1, len(rows) // 20), _one(rows, rng)] += 2.0 * strength * _sign(rng)
    return rows


def step(rows: Floats, strength: float, rng: Rng) -> Floats:
    rows[:, _one(rows, rng)] += strength * _sign(rng)
    return rows


def drift(rows: Floats, strength: float, rng: Rng) -> Floats:
    rows[:, _one(rows, rng)] += np.linspace(0.0, strength * _sign(rng), len(rows))
    return rows


def stuck(rows: Floats, strength: float, rng: Rng) -> Floats:
    channel = _one(rows, rng)
    rows[:, channel] = rows[0, channel] + 0.5 * (strength - 1.0) * _sign(rng)
    return rows


def noise_burst(rows: Floats, strength: float, rng: Rng) -> Floats:
    rows[:, _one(rows, rng)] += strength * rng.standard_normal(len(rows))
    return rows


def gain_change(rows: Floats, strength: float, rng: Rng) -> Floats:
    rows[:, _some(rows, rng)] *= 1.0 + 0.5 * strength
    return rows


def lost_correlation(rows: Floats, strength: float, rng: Rng) -> Floats:
    """Some channels show another time's values: each by itself is normal, together they are not."""
    share = min(strength / STRENGTHS["large"], 1.0)
    for channel in _some(rows, rng):
        rows[:, channel] += share * (rng.permutation(rows[:, channel]) - rows[:, channel])
    return rows


def phase_change(rows: Floats, strength: float, rng: Rng) -> Floats:
    """Some channels run late."""
    late = max(1, round(strength * len(rows) / 64))
    for channel in _some(rows, rng):
        rows[:, channel] = np.roll(rows[:, channel], late)
    return rows


def frequency_change(rows: Floats, strength: float, rng: Rng) -> Floats:
    """Some channels run faster."""
    at = np.minimum(np.arange(len(rows)) * (1.0 + 0.25 * strength), len(rows) - 1)
    for channel in _some(rows, rng):
        rows[:, channel] = np.interp(at, np.arange(len(rows)), rows[:, channel])
    return rows


def regime_swap(rows: Floats, strength: float, rng: Rng) -> Floats:
    """All channels move to a place that training did not show, together."""
    direction = rng.standard_normal(rows.shape[1])
    return rows + (strength * direction / np.linalg.norm(direction)).astype(np.float32)


KINDS: dict[str, Change] = {
    "spike": spike,
    "step": step,
    "drift": drift,
    "stuck": stuck,
    "noise burst": noise_burst,
    "gain change": gain_change,
    "lost correlation": lost_correlation,
    "phase change": phase_change,
    "frequency change": frequency_change,
    "regime swap": regime_swap,
}
GROSS = ("spike", "step", "noise burst", "regime swap")  # that are, when they are large, far from normal in any data


@dataclass(frozen=True, slots=True)
class Injection:
    """Rows with a fault in them, from `start` on; `kind` and `strength` name it."""

    kind: str
    strength: str
    rows: Floats
    start: int
    first: int = 0
    """of the rows, among those that they were taken from; in a recording, its slot"""

    @property
    def is_gross(self) -> bool:
        """Whether it is far from normal, whatever the data."""
        return self.kind in GROSS and self.strength == "large"

    def clipped(self, limit: Floats) -> "Injection":
        """`limit` [channel]: no value is further from 0."""
        return replace(self, rows=np.clip(self.rows, -limit, limit))

    def less(self, course: Floats) -> "Injection":
        """As a graph takes it. `course` [row, channel]: what the time of day does to the rows."""
        return replace(self, rows=self.rows - course)

    def windows(self, length: int) -> Floats:
        """[window, length, channel]: every fourth of those that hold a row of the fault."""
        view = np.lib.stride_tricks.sliding_window_view(self.rows, length, axis=0)[self.start - length + 1 :: STRIDE]
        return np.ascontiguousarray(view.transpose(0, 2, 1), np.float32)


def span_of(rows: Floats, length: int) -> int:
    """Rows of a fault: two windows, or what there is behind one."""
    return 2 * length if len(rows) >= 3 * length else max(len(rows) - length, 1)


def inject(rows: Floats, length: int, repeats: int, rng: Rng, into: Sequence[int] | None = None) -> list[Injection]:
    """Each kind at each strength, `repeats` times: stretches of standardised rows, a window of normal before each fault.
    `into`: the features that faults are put into; None: all."""
    chosen = np.arange(rows.shape[1]) if into is None else np.asarray(into)
    span = span_of(rows, length)
    injections = []
    for kind, change in KINDS.items():
        for strength, size in STRENGTHS.items():
            for _ in range(repeats):
                first = int(rng.integers(0, len(rows) - length - span + 1))
                stretch = rows[first : first + length + span].copy()
                stretch[length:, chosen] = change(stretch[length:, chosen], size, rng)
                injections.append(Injection(kind, strength, stretch, length, first))
    return injections

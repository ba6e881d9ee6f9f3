"""What a window beyond its boundary looks like, whatever its size, and the few looks that an alert has had over its course.

    window, explanation ─ signature_of ─► Signature ─ Course.further ─► MOST_SIGNATURES an alert, each with how far it went

The direction is by channel: the root of each channel's part in the score, which is made of whitened residuals, as a vector of
length 1. It hardly depends on how strong a fault is, so that one that grows and one that is there at once look alike; noise of
normal data blurs it where the score is close to its boundary. The place in the latent space is no part of it: a fault comes in any
operating mode, and where places within twice the spread of each other were asked for, half as many repeats looked alike.
Knows nothing of what is made of likeness: that is the affair of `lessons`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import mul
from typing import Any

import numpy as np

from edge_ae.core.events import Share
from edge_ae.core.model_spec import Explanation, Floats, ModelSpec

MOST_SIGNATURES = 8  # of an alert: with more of them no more of its repeats were found
SAME_DIRECTION = math.radians(15.0)  # windows of an alert that are as close as this share a signature
DECAY = 0.9  # weight of each row against the one after it, in a channel's shift
DECIMALS = 3  # kept: what is on disk is what is in memory, and a restart changes no answer
LARGEST = float(np.finfo(np.float32).max)  # of a part, in place of one that is no number
LOOK_EVERY = 4  # windows of an alert that goes on, and a 64th of those that there were
AGE_SHARE = 64
OTHER_RATIO = 1.25  # a ratio that is another by this factor is worth a look at once


@dataclass(frozen=True, slots=True)
class Signature:
    """Of one window, or of those of an alert that point in one direction.

    direction [channel]: of length 1, by the parts in the score.
    ratio: the highest.
    blur: the part of the score that normal data has by itself, 0 to 1: so much noise is in the direction; the least.
    magnitude [channel]: the highest, in normal deviations; empty: the model is of an earlier version.
    low, high [channel]: how far each was from what was expected on the average of the newest rows, in normal deviations: the
        furthest to either side, 0 where it never was on that side.
    novel: values of discrete channels that training never saw, by channel.
    chief: the channel that was accused first: without it least of the score is left; empty: all are, or none is.
    accused: those that were, in any of the windows.
    """

    direction: tuple[float, ...]
    ratio: float
    blur: float
    magnitude: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    novel: tuple[tuple[str, float], ...] = ()
    chief: str = ""
    accused: tuple[str, ...] = ()

    def angle_to(self, other: "Signature") -> float:
        """Between the directions, 0 to pi / 2."""
        return math.acos(min(sum(map(mul, self.direction, other.direction)), 1.0))

    def joined(self, other: "Signature") -> "Signature":
        """Of both, in the direction of this one."""
        return replace(
            self,
            ratio=max(self.ratio, other.ratio),
            blur=min(self.blur, other.blur),
            magnitude=tuple(map(max, self.magnitude, other.magnitude)),
            low=tuple(map(min, self.low, other.low)),
            high=tuple(map(max, self.high, other.high)),
            novel=tuple(sorted({*self.novel, *other.novel})),
            accused=tuple(sorted({*self.accused, *other.accused})),
        )


def signature_of(
    spec: ModelSpec, window: Floats, explanation: Explanation, ratio: float, shares: Sequence[Share]
) -> Signature | None:
    """Of a window [length, channel] with this ratio; None where no channel has a part in its score."""
    parts = np.nan_to_num(explanation.channel_score.astype(np.float64), posinf=LARGEST, neginf=0.0).clip(0.0)
    score = float(parts.sum())
    if score <= 0.0:
        return None
    shift = _shift(spec, window, explanation)
    magnitude, few = explanation.magnitude, len(explanation.accused) < len(spec.channels)
    accused = [spec.names[index] for index in explanation.accused] if few else []
    return Signature(
        direction=_kept(np.sqrt(parts / score)),
        ratio=round(ratio, DECIMALS),
        blur=round(min(spec.typical / score, 1.0), DECIMALS),
        magnitude=() if magnitude is None else _kept(np.nan_to_num(magnitude)),
        low=_kept(np.minimum(shift, 0.0)),
        high=_kept(np.maximum(shift, 0.0)),
        novel=_novel(spec, shares),
        chief=accused[0] if accused else "",
        accused=tuple(sorted(accused)),
    )


def _novel(spec: ModelSpec, shares: Sequence[Share]) -> tuple[tuple[str, float], ...]:
    seen = {channel.name: channel.values for channel in spec.channels if channel.values}
    accused = [one for one in shares if one.accused and one.name in seen and math.isfinite(one.observed)]
    return tuple(sorted((one.name, one.observed) for one in accused if one.observed not in seen[one.name]))


def _shift(spec: ModelSpec, window: Floats, explanation: Explanation) -> Any:
    """The mean of the residuals [channel], the newest row's with the most weight, in normal deviations; 0 where those are not known.

    Of what the graph itself expected: where others stand in for the accused, the same fault has many faces.
    """
    expected = explanation.reconstruction if explanation.restored is None else explanation.restored
    weights = DECAY ** np.arange(spec.length, dtype=np.float64)[::-1]
    residual = weights @ np.nan_to_num(window - expected, posinf=0.0, neginf=0.0).astype(np.float64) / weights.sum()
    deviation = np.array([channel.deviation for channel in spec.channels])
    return np.where(deviation > 0.0, residual / np.where(deviation > 0.0, deviation, 1.0), 0.0)


def _kept(values: Any) -> tuple[float, ...]:
    return tuple(np.round(np.asarray(values, np.float64), DECIMALS).tolist())


@dataclass(frozen=True, slots=True)
class AlertSignatures:
    """What an alert looked like. model: the SHA-256 of its file. channels: the names, in the order of each signature's lists."""

    model: str
    channels: tuple[str, ...]
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """What an alert has looked like so far. Not every window is looked at: each costs a run of the graph.

    windows: beyond the boundary. looked: the number of the last one that was looked at, and `ratio`: what it had.
    """

    signatures: tuple[Signature, ...] = ()
    windows: int = 0
    looked: int = 0
    ratio: float = 0.0

    def wants(self, ratio: float) -> bool:
        """Whether the next window, with this ratio, is worth a look."""
        since = self.windows + 1 - self.looked
        return since >= max(LOOK_EVERY, self.windows // AGE_SHARE) or not (
            self.ratio / OTHER_RATIO < ratio < self.ratio * OTHER_RATIO
        )

    def further(self, ratio: float, signature: Signature | None) -> "Course":
        """One window further; `signature` None: it was not looked at."""
        windows = self.windows + 1
        if signature is None:
            return replace(self, windows=windows)
        return Course(_with(self.signatures, signature), windows, windows, ratio)


NO_COURSE = Course()


def _with(known: tuple[Signature, ...], new: Signature) -> tuple[Signature, ...]:
    """The new one joins the nearest where that is near, or where there is no room for more."""
    if not known:
        return (new,)
    angles = [one.angle_to(new) for one in known]
    nearest = angles.index(min(angles))
    if angles[nearest] > SAME_DIRECTION and len(known) < MOST_SIGNATURES:
        return (*known, new)
    return (*known[:nearest], known[nearest].joined(new), *known[nearest + 1 :])


# -- restarts --------------------------------------------------------------------------------------------------


def course_of(saved: Mapping[str, Any] | None) -> Course:
    """The course whose fields were kept; None: before version 0.3 there was none."""
    if saved is None:
        return Course()
    return Course(**(dict(saved) | {"signatures": tuple(map(restored_signature, saved["signatures"]))}))


def restored_signature(saved: Mapping[str, Any]) -> Signature:
    """The signature whose fields were kept."""
    lists = {name: tuple(saved[name]) for name in ("direction", "magnitude", "low", "high")}
    texts = {"accused": tuple(saved["accused"]), "novel": tuple((name, value) for name, value in saved["novel"])}
    return Signature(**(dict(saved) | lists | texts))

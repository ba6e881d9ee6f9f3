"""Which channels a window's deviation is of, and what they should have been: expected by those that are not accused of it.

A model restores a window from all of its values, the wrong ones among them, so that what it expects of healthy channels bends
towards the fault. The accused are the fewest channels without which the window is normal, found one by one: of those with the
largest parts in the score the one without which least of it is left, for a channel that the wrong one misleads may have a part as
large. Once they are taken for missing, the graph fills them from the others, and nothing bends.
"""

import math
from dataclasses import replace

import numpy as np

from edge_ae.core.events import Share
from edge_ae.core.model_spec import Channel, Explanation, Floats, Model, ModelSpec

TINY = 1e-300  # a sum of shares that is nothing
NEVER_SEEN = "a value never seen"
UNUSUAL = "never so long, so often, or beside the others as they are"
SUSPECTS = 3  # channels that are tried at a time
MOST_ACCUSED = 8  # channels, and half of all: where more deviate, it is the machine that is elsewhere


def expected_by_others(model: Model, window: Floats, explanation: Explanation, threshold: float) -> Explanation:
    """The `explanation` of a `window` [length, channel] beyond its `threshold`, with who is accused, and with what is expected of the
    channels where the accused have no part in that. Where no MOST_ACCUSED channels explain the deviation, all are accused and what is
    expected stays as it is."""
    masked, now = window.copy(), explanation
    accused: list[int] = []
    while float(now.channel_score.sum()) > threshold:
        if len(accused) >= _most_accused(window):
            return replace(explanation, accused=tuple(range(window.shape[1])))
        channel, now = _tried(model, masked, now, accused)
        accused.append(channel)
        masked[:, channel] = np.nan
    return replace(
        explanation,
        reconstruction=now.reconstruction,
        accused=tuple(accused),
        restored=explanation.reconstruction,
    )


class Suspicion:
    """The same of an asset that is looked at again and again: the accused of one look are taken over to the next, so that a look
    costs one call, two where one more is accused, and a deviation of k channels is explained with the k-th look."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """The newest score is within its threshold: nothing deviates."""
        self._accused: list[int] = []
        self._elsewhere = False  # more channels deviate than can be accused, and none is

    def expected(self, model: Model, window: Floats, threshold: float, *, at_once: bool = False) -> Floats:
        """What is expected [length, channel] of a window. `at_once`: with as many calls as it takes, up to twice MOST_ACCUSED and two."""
        while True:
            masked = window.copy()
            masked[:, self._accused] = np.nan
            (now,) = model.explain(masked[None])
            settled = self._elsewhere or float(now.channel_score.sum()) <= threshold
            if not settled:
                self._accuse(model, masked, now)
            if settled or not at_once:
                return now.reconstruction

    def _accuse(self, model: Model, masked: Floats, now: Explanation) -> None:
        if len(self._accused) < _most_accused(masked):
            self._accused.append(_tried(model, masked, now, self._accused)[0])
        else:
            self._accused, self._elsewhere = [], True


def _most_accused(window: Floats) -> int:
    return min(MOST_ACCUSED, len(window[0]) // 2)


def _tried(model: Model, masked: Floats, explanation: Explanation, accused: list[int]) -> tuple[int, Explanation]:
    """Of the SUSPECTS not accused yet the channel without which least of the score is left, and the window without it."""
    parts = np.nan_to_num(explanation.channel_score)
    parts[accused] = -1.0
    suspects = np.argsort(-parts, kind="stable")[: min(SUSPECTS, len(parts) - len(accused))].tolist()
    windows = np.repeat(masked[None], len(suspects), axis=0)
    for window, channel in zip(windows, suspects, strict=True):
        window[:, channel] = np.nan
    found = model.explain(windows)
    least = int(np.argmin([float(one.channel_score.sum()) for one in found]))
    return suspects[least], found[least]


def magnitude_of(explanation: Explanation) -> float | None:
    """Of the accused channel that is furthest from normal, in its normal deviations; None where the graph knows of none."""
    if explanation.magnitude is None:
        return None
    known = np.nan_to_num(explanation.magnitude)
    furthest = float(known[list(explanation.accused)].max() if explanation.accused else known.max())
    return furthest if furthest > 0.0 else None


def shares_of(spec: ModelSpec, window: Floats, explanation: Explanation) -> tuple[Share, ...]:
    """The channels by their part in the score, largest first; observed and expected at the newest value seen."""
    known = np.nan_to_num(explanation.channel_score).astype(np.float64)
    parts = known / max(known.sum(), TINY)
    newest = spec.length - 1 - np.argmax(~np.isnan(window[::-1]), axis=0)
    every = np.arange(len(spec.channels))
    found = (parts, window[newest, every], explanation.reconstruction[newest, every])
    shares = [
        _share(c, share, observed, expected, accused=index in explanation.accused)
        for index, (c, share, observed, expected) in enumerate(
            zip(spec.channels, *(f.tolist() for f in found), strict=True)
        )
    ]
    return tuple(sorted(shares, key=lambda share: -share.share))


def _share(channel: Channel, share: float, observed: float, expected: float, *, accused: bool) -> Share:
    """Of a discrete channel one of its values is expected, and what is unusual is no distance from it."""
    unusual = ""
    if channel.values and math.isfinite(expected):
        expected = min(channel.values, key=lambda value: abs(value - expected))
        unusual = UNUSUAL if observed in channel.values else NEVER_SEEN
    return Share(channel.name, channel.signal_unit, share, observed, expected, channel.turn, accused, unusual)

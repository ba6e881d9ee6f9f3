"""What discrete channels did in training, and how odd it is that they do something else. numpy alone.

    another value than any                        how often the channel changed
    two values that never came together           how often they would have, were they unrelated
    a longer stay in a value than any, by half    how often it was entered
    more switches in a window than ever           how many windows there are side by side

Each oddness is log(1 + occasions) on which it could have come and did not; fewer than LEAST_OCCASIONS tell nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Floats
from edge_ae_train.data.segments import episodes

MOST_VALUES = 10  # of a channel, the commonest
REACH = 0.25  # of the distance to the nearest other value: a reading so near to a value has it
LONGER = 1.5  # times the longest stay, and a row, are a longer one
LEAST_OCCASIONS = 3.0
BLOCK_ROWS = 50_000

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The values that discrete `channels` take: of each `value` [value] the place of its channel among them, its `owner`.

    `reach` [channel]: how near to a value a reading has it, in the channel's unit.
    """

    channels: tuple[int, ...]
    owner: NDArray[np.int64]
    value: Floats
    reach: Floats

    def has(self, rows: Floats) -> Flags:
        """[row, value] of rows [row, channel of all]: which value each channel has; none where one is missing."""
        own = rows[:, list(self.channels)][:, self.owner]
        found: Flags = np.abs(own - self.value) <= self.reach[self.owner]
        return found

    def switched(self, rows: Floats) -> Flags:
        """[row - 1, channel]: where a channel is not as in the row before."""
        found: Flags = np.abs(np.diff(rows[:, list(self.channels)], axis=0)) > self.reach
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Habits:
    """`longest` [value]: rows of the longest stay. `most` [channel]: switches in a window. And how odd it would be:

    `other` [channel]: another value. `together` [value, value]: both at once. `longer` [value]: a longer stay.
    `busier` [channel]: more switches.
    """

    vocabulary: Vocabulary
    longest: Floats
    most: Floats
    other: Floats
    together: Floats
    longer: Floats
    busier: Floats


def vocabulary(segments: Sequence[Floats], channels: Sequence[int]) -> Vocabulary:
    """Of rows [row, channel] in physical units, NaN where missing."""
    owners, values, reaches = [], [], []
    for place, channel in enumerate(channels):
        known = common_values(np.concatenate([segment[:, channel] for segment in segments]))
        values.append(known)
        owners += [place] * len(known)
        gaps = np.diff(known) if len(known) > 1 else np.maximum(np.abs(known), 1.0)
        reaches.append(REACH * float(gaps.min(initial=1.0 if len(known) == 0 else np.inf)))
    return Vocabulary(
        tuple(channels), np.array(owners, np.int64), np.concatenate(values), np.array(reaches, np.float32)
    )


def common_values(readings: Floats) -> Floats:
    """At most MOST_VALUES of the values [reading] that there are, the commonest, in their order."""
    values, counts = np.unique(readings[np.isfinite(readings)], return_counts=True)
    common: Floats = np.sort(values[np.argsort(-counts, kind="stable")[:MOST_VALUES]])
    return common


def fit_habits(known: Vocabulary, segments: Sequence[Floats], length: int) -> Habits:
    """`known`: values that may come; those that do not in these segments are odd. `length`: rows of a window."""
    count, channels = len(known.value), len(known.channels)
    rows, entered, longest, joint = 0, np.zeros(count), np.zeros(count), np.zeros((count, count))
    most = np.zeros(channels)
    for part in _blocks(segments):
        has = known.has(part)
        for value in range(count):
            first, end = episodes(has[:, value]).T
            entered[value] += len(first)
            longest[value] = max(longest[value], (end - first).max(initial=0))
        joint += has.T.astype(np.float32) @ has.astype(np.float32)
        most = np.maximum(most, _most_switches(known.switched(part), length))
        rows += len(part)
    share = joint.diagonal() / max(rows, 1)
    strangers = (joint == 0.0) & (known.owner[:, None] != known.owner)
    expected = np.outer(entered, share) + np.outer(share, entered)
    ends_in_sight = LONGER * longest + 1.0 < length - 1
    changes = np.zeros(channels)
    np.add.at(changes, known.owner, entered)
    parts = (
        longest,
        most,
        _oddness(changes),
        np.where(strangers, _oddness(expected), 0.0),
        np.where(ends_in_sight, _oddness(entered), 0.0),
        np.full(channels, _oddness(np.array(rows / length))),
    )
    return Habits(known, *(part.astype(np.float32) for part in parts))


def _oddness(occasions: Doubles) -> Doubles:
    return np.where(occasions >= LEAST_OCCASIONS, np.log1p(occasions), 0.0)


def _blocks(segments: Sequence[Floats]) -> Iterator[Floats]:
    for segment in segments:
        for first in range(0, len(segment), BLOCK_ROWS):
            yield segment[first : first + BLOCK_ROWS]


def _most_switches(switched: Flags, length: int) -> Doubles:
    """[channel], in a window of `length` rows."""
    sums = np.concatenate([np.zeros((1, switched.shape[1])), np.cumsum(switched, axis=0)])
    rows = min(length - 1, len(switched))
    most: Doubles = (sums[rows:] - sums[: len(sums) - rows]).max(axis=0)
    return most

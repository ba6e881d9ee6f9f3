"""The discrete channels of a recording, judged by themselves: habits of all rows, and ladders from blocks that were left out.

block 1  others ─► habits ─► oddness of the block's windows ─┐
block 2  ...                                                  ├─► ladders ─┐
all rows ─► habits ───────────────────────────────────────────────────────┴─► what ships

A ladder is made by counting: what is as odd as one held-out window in a thousand gets the score that one in a thousand has of
the other channels. What is odder than all that was held out is as rare as UNSEEN windows of them. So no switch, however rare,
moves the boundary, and none needs a distribution. What of the faults of such channels is found, `found` says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.model_spec import Tail
from edge_ae.core.rules import OFF_DELAY_HOPS
from edge_ae_train.candidates import MOST_CHUNKS, held_out_blocks, held_out_rows
from edge_ae_train.data import command_faults
from edge_ae_train.data.dataset import physical_chunks
from edge_ae_train.data.segments import Segment, cut, values_of
from edge_ae_train.material import Material
from edge_ae_train.scoring.calibrate import peaks
from edge_ae_train.scoring.habits import Vocabulary, fit_habits, vocabulary
from edge_ae_train.scoring.oddness import DiscreteScore, HabitOddness, Ladder

Doubles = NDArray[np.float64]

UNSEEN = 0.5  # of all windows held out
COUNTS = (1, 2, 4, 8, 16, 32)  # of held-out excursions as odd: the rungs
ABOVE, FAR_ABOVE = 0.05, 3.0  # all that was held out: odder, and so much that half of UNSEEN may do
REPEATS = 16  # of each kind of fault in each block
PARTS = 2  # of the budget: that of the discrete channels is as large as that of the others


def fit_ladders(material: Material, channels: Sequence[int], tail: Tail) -> list[Ladder]:
    """One for each kind of oddness. `channels`: the discrete ones. `tail`: of the others' score."""
    known = vocabulary(values_of(material.parts), channels)
    blocks = [
        oddness
        for block in held_out_blocks(material.rows)
        if (oddness := _left_out(material, known, block)).shape[1] > 0
    ]
    return [make_ladder([block[kind] for block in blocks], tail, OFF_DELAY_HOPS) for kind in range(HabitOddness.KINDS)]


def discrete_score(material: Material, channels: Sequence[int], ladders: Sequence[Ladder]) -> DiscreteScore:
    """What ships."""
    known = vocabulary(values_of(material.parts), channels)
    return DiscreteScore(_oddness(material, known, material.parts), ladders, material.standardise.channels)


def found(
    material: Material, channels: Sequence[int], ladders: Sequence[Ladder], boundary: float
) -> Mapping[str, float]:
    """Of faults put into the held-out blocks, the share that reaches a boundary, by kind, where habits are known from the other
    blocks alone."""
    known = vocabulary(values_of(material.parts), channels)
    rng, outcome = np.random.default_rng(material.seed), dict[str, list[bool]]()
    for block in held_out_blocks(material.rows):
        rows = max(values_of(held_out_rows(material.parts, block, material.length)), key=len, default=None)
        if rows is None or len(rows) <= material.length:
            continue
        oddness = _oddness(material, known, _all_but(material, block))
        score = DiscreteScore(oddness, ladders, material.standardise.channels)
        for fault in command_faults.inject(rows, channels, material.length, REPEATS, rng):
            scores, _ = score(fault.windows(material.length))
            outcome.setdefault(fault.kind, []).append(bool(scores.max() > boundary))
    return {kind: float(np.mean(hits)) for kind, hits in outcome.items()}


def tail_of_both(tail: Tail) -> Tail:
    """The tail of a score that is the higher of two: each has its part of a budget."""
    return replace(tail, rate=PARTS * tail.rate)


def _oddness(material: Material, known: Vocabulary, parts: Sequence[Segment]) -> HabitOddness:
    return HabitOddness(fit_habits(known, values_of(parts), material.length), material.length)


def _left_out(material: Material, known: Vocabulary, block: tuple[int, int]) -> Doubles:
    """[kind, window]: how odd a block's windows are to who knows all rows but the block's."""
    oddness = _oddness(material, known, _all_but(material, block))
    rows = held_out_rows(material.parts, block, material.length)
    chunks = physical_chunks(rows, material.length, material.hop, MOST_CHUNKS)
    found = [oddness(windows).max(axis=2).astype(np.float64) for windows in chunks]
    return np.concatenate([np.zeros((HabitOddness.KINDS, 0)), *found], axis=1)


def _all_but(material: Material, block: tuple[int, int]) -> list[Segment]:
    first, last = block
    return cut(material.parts, 0, first) + cut(material.parts, last, material.rows)


def make_ladder(blocks: Sequence[Doubles], tail: Tail, gap: int) -> Ladder:
    """`blocks`: one kind's oddness of held-out windows [window], in time. `tail`: of the other channels' score. `gap`: windows
    that part two excursions."""
    highest = np.sort(np.concatenate([peaks(block, 0.0, gap) for block in blocks]))[::-1]
    windows = sum(map(len, blocks))
    top = float(highest[0]) if len(highest) > 0 else 0.0
    counts = [count for count in COUNTS if count <= len(highest) and count / windows < tail.rate]
    rungs = {float(highest[count - 1]): tail.boundary(count / windows) for count in counts}  # the commonest stays
    rungs[top + ABOVE] = tail.boundary(UNSEEN / windows)
    rungs[top + FAR_ABOVE] = tail.boundary(0.5 * UNSEEN / windows)
    odd = sorted(rungs)
    return Ladder(np.array(odd), np.array([rungs[one] for one in odd]))

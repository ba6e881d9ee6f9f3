"""Whether a machine has shown all that it does: a model of its first rows is asked whether the last ones are new to it.

    rows in time  ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓░▒▒▒▒▒▒▒▒▒▒
                  a trial model is made of these  ╵ of these, the share whose score one in a hundred of the others reaches

A machine that repeats itself has about one in a hundred there. One that has begun something else has many, and a model of all the rows
would know its new mode by these few alone, and hold its limits against none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_ae.core.expression import Expression
from edge_ae.core.model_spec import Floats
from edge_ae.errors import BadData
from edge_ae.store.recording.table import Table
from edge_ae_train import fit
from edge_ae_train.data.dataset import physical_chunks
from edge_ae_train.data.prepare import RowOptions, recording_of
from edge_ae_train.data.segments import Segment, stretches
from edge_ae_train.fleet.serving import GraphModel, model_of

FIRST = 0.75  # of the rows: what the trial model is made of
FAMILY = "cva"  # quickly made everywhere
USUAL = 0.01  # of the first rows reach the score that the last ones are held against
MOST_NEW = 0.1  # of the last rows may
CHUNKS = 4  # of windows, spread over each part: some thousands


@dataclass(frozen=True, slots=True)
class ShownModes:
    """`new`: the share of the last windows that is new to a model of the first ones."""

    new: float

    @property
    def repeat(self) -> bool:
        """Whether the machine has shown all that it does, as far as the rows go."""
        return self.new <= MOST_NEW

    @property
    def text(self) -> str:
        return f"{self.new:.0%} of the last quarter of its rows is new to a model of the rest: it still shows new modes"


def shown_modes(table: Table, when: Expression | None) -> ShownModes:
    """Of one asset's lines in time. Raises BadData where they make no model."""
    recording = recording_of([table], RowOptions(when=when))
    first, last = parted(recording.segments)
    fitted = fit.fit(first, fit.Options(family=FAMILY, channels=recording.channels, alone=True))
    model = model_of(replace(recording, segments=tuple(first)), fitted)
    known, asked = (_scores(model, part) for part in (first, last))
    if len(known) == 0 or len(asked) == 0:
        raise BadData(
            f"no {model.spec.length} rows follow one another without a gap: they come too irregularly to learn from"
        )
    return ShownModes(float((asked > np.quantile(known, 1.0 - USUAL)).mean()))


def parted(segments: Sequence[Segment]) -> tuple[list[Segment], list[Segment]]:
    """The first rows of all segments, and the last; what each row is of hangs on its time alone."""
    slots = np.sort(np.concatenate([one.start_slot + np.arange(len(one)) for one in segments]))
    border = int(slots[int(len(slots) * FIRST)])
    first = [part for one in segments if len(part := one.part(0, border - one.start_slot)) > 0]
    last = [part for one in segments if len(part := one.part(border - one.start_slot, len(one))) > 0]
    return first, last


def _scores(model: GraphModel, part: Sequence[Segment]) -> Floats:
    length = model.spec.length
    chunks = physical_chunks(stretches(part, length), length, 1, CHUNKS)
    scores = [model.score(windows) for windows in chunks]
    return np.concatenate(scores) if scores else np.empty(0, np.float32)

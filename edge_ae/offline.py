"""The same core over a file: every line gets the score that the daemon would have had on reading it.

A line's score is that of the window which ends with the line's slot, made of that line and earlier ones alone. Where
several lines share a slot, each is answered from what the slot holds with it; the row itself closes with the last of them.
A line whose time may be wrong, on which later lines decide, is answered as if it were right.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from edge_ae.core.alert_events import Alert, AlertEvent
from edge_ae.core.detector import Detector, Watch
from edge_ae.core.events import Readings, Scored, Stretch, Verdict, Window, slot_of
from edge_ae.core.expectation import expected_by_others
from edge_ae.core.fleet import MAX_BATCH, Fleet, scored
from edge_ae.core.model_spec import Explanation, Floats, ModelSpec
from edge_ae.core.payloads import alert_payload
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.store.atomic import whole_text
from edge_ae.store.recording_csv import Table

Progress = Callable[[int, int], None]
Parts = tuple[Floats, Explanation]  # a window [length, channel], and what its score is made of
PROGRESS_LINES = 4096
FEW_INCOMPLETE = 0.1  # windows that are mostly missing, of all lines: any recording with gaps has some


@dataclass(frozen=True)
class Result:
    """What became of a table: arrays with an entry for each line, NaN before the first full window."""

    score: NDArray[np.float64]
    threshold: NDArray[np.float64]
    alert: NDArray[np.bool_]
    events: list[AlertEvent]
    counts: Counter[str]
    channel_score: Floats | None = None  # [line, channel], where asked for
    reconstruction: Floats | None = None  # [line, channel], the newest row of each window's
    note: str | None = None  # at which other pace the lines come, or why none has a score

    @property
    def scored(self) -> int:
        """How many lines have a score."""
        return int(np.isfinite(self.score).sum())

    def turned(self) -> "Result":
        """The answers in the order of the lines from the last one to the first."""
        arrays = ("score", "threshold", "alert", "channel_score", "reconstruction")
        known = {name: getattr(self, name) for name in arrays if getattr(self, name) is not None}
        return replace(self, **{name: values[::-1] for name, values in known.items()})

    def unused(self, path: Path) -> str:
        """A sentence on lines that were not used, or where none has a score; empty where there is nothing to say."""
        scored, lines, note = self.scored, len(self.score), [] if self.note is None else [self.note]
        few = {"window_incomplete": FEW_INCOMPLETE * lines}
        why = [f"{name} {number}" for name, number in sorted(self.counts.items()) if number > few.get(name, 0)]
        if scored > 0 and not why and not note:
            return ""
        return "; ".join([f"{path}: {scored} of {lines} lines have a score", *note, *why])


class _OutputKeeper:
    """A model that also keeps what each window's score was made of, in the order of scoring."""

    def __init__(self, model: OnnxModel) -> None:
        self.spec: ModelSpec = model.spec
        self._model = model
        self._parts: list[Parts] = []

    def score(self, windows: Floats) -> Floats:
        outputs = self._model.run(windows)
        explained = zip(*(outputs[name] for name in ("channel_score", "reconstruction", "latent")), strict=True)
        self._parts.extend((window, Explanation(*parts)) for window, parts in zip(windows, explained, strict=True))
        return outputs["score"]

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        return self._model.explain(windows)

    def take(self) -> list[Parts]:
        """What has been kept since the last call."""
        parts, self._parts = self._parts, []
        return parts


class _Run:
    """A table on its way through the core, and the answers as they come. `active` -1: as on the line before."""

    def __init__(self, table: Table, model: OnnxModel, watch: Watch, source: tuple[str, str], explained: bool) -> None:
        node, asset = source
        self._keeper = _OutputKeeper(model) if explained else None
        self._watch = watch if self._keeper is None else replace(watch, model=self._keeper)
        self._period_ns, self._names = model.spec.period_ns, model.spec.names
        self._fleet = Fleet(node)
        self._detector = self._fleet.add(asset, self._watch)
        self._line_of: dict[int, int] = {}  # slot that is not scored yet -> the line that it answers
        self._events: list[AlertEvent] = []
        self._score, self._threshold = np.full(len(table), np.nan), np.full(len(table), np.nan)
        self._active = np.full(len(table), -1, np.int8)
        shape = (len(table) if explained else 0, len(model.spec.channels))
        self._channel_score, self._reconstruction = (np.full(shape, np.nan, np.float32) for _ in range(2))

    def push(self, line: int, stretch: Stretch, *, slot_goes_on: bool) -> None:
        """Take the lines of a stretch, of which `line` is the first. `slot_goes_on`: it is the only one, and the next line is in its
        slot, too."""
        row, rows = 0, len(stretch)
        while row < rows:
            readings = stretch.readings(row, self._names)
            self._push_one(line + row, stretch.slot + row, readings, slot_goes_on)
            row += 1
            row += self._push_many(line + row, stretch.rows(row, row + MAX_BATCH))

    def _push_many(self, line: int, stretch: Stretch) -> int:
        """Take as many lines as can be taken in one go; how many."""
        taken = self._fleet.push_stretch(stretch) if len(stretch) > 0 else 0
        self._line_of.update(zip(range(stretch.slot, stretch.slot + taken), range(line, line + taken), strict=True))
        if self._fleet.due >= MAX_BATCH:
            self._step()
        return taken

    def _push_one(self, line: int, slot: int, readings: Readings, slot_goes_on: bool) -> None:
        self._fleet.push(readings, self._watch)
        if slot_goes_on or self._detector.doubts:
            self._step()
            self._answer_now(line, slot)
        elif not self._detector.is_closed(slot):  # else it came too late, and the answer is another line's
            self._line_of[slot] = line
        if self._fleet.due >= MAX_BATCH:
            self._step()

    def finish(self) -> Result:
        """The end of the table."""
        self._fleet.flush()
        self._step()
        parts = (None, None) if self._keeper is None else (self._channel_score, self._reconstruction)
        active = _carried(self._active)
        note = self._detector.pace_note if np.isfinite(self._score).any() else self._detector.unscored_reason
        return Result(
            self._score,
            self._threshold,
            active,
            self._events,
            self._detector.counts,
            channel_score=parts[0],
            reconstruction=parts[1],
            note=note,
        )

    def _step(self) -> None:
        results = self._fleet.step()
        for event in (one for one in results if isinstance(one, AlertEvent)):
            self._events.append(event)
            self._end(event.alert)
        found = [one for one in results if isinstance(one, Scored)]
        for one, parts in zip(found, self._parts(len(found)), strict=True):
            line = self._line_of.pop(one.verdict.slot, None)
            if line is not None:
                self._fill(line, one, parts)

    def _end(self, alert: Alert) -> None:
        """An alert may end with a line that has no score: the asset has left the state in which it is watched."""
        line = None if alert.cleared_ns is None else self._line_of.get(slot_of(alert.cleared_ns, self._period_ns))
        if line is not None:
            self._active[line] = False

    def _answer_now(self, line: int, slot: int) -> None:
        """The slot is still open: answer from a copy in which it closed now."""
        fork = self._detector.fork()
        for window in fork.flush():
            (score,) = scored(self._watch.model, fork.seen_by_model(window)[None])
            (parts,) = self._parts(1)
            for result in fork.judge(window, score, self._explanation(fork, window, score)):
                if isinstance(result, Scored) and window.slot == slot:
                    self._fill(line, result, parts)

    def _explanation(self, fork: Detector, window: Window, score: float) -> Explanation | None:
        """Where it decides whether there is an alert."""
        if not fork.turns_on_explanation(score):
            return None
        model = fork.model_at(self._watch.model, window.slot)
        (explanation,) = model.explain(window.values[None])
        return expected_by_others(model, window.values, explanation, fork.threshold)

    def _parts(self, windows: int) -> Sequence[Parts | None]:
        return [None] * windows if self._keeper is None else self._keeper.take()

    def _fill(self, line: int, scored: Scored, parts: Parts | None) -> None:
        self._score[line], self._threshold[line] = scored.verdict.score, scored.verdict.threshold
        self._active[line] = scored.active
        if parts is not None:
            explanation = self._explained(*parts, scored.verdict)
            self._channel_score[line] = explanation.channel_score
            self._reconstruction[line] = explanation.reconstruction[-1]

    def _explained(self, window: Floats, explanation: Explanation, verdict: Verdict) -> Explanation:
        """As in an alert: beyond the threshold, what is expected does not bend towards the fault."""
        if verdict.ratio < 1.0:
            return self._detector.as_it_comes(explanation, verdict.slot)
        found = expected_by_others(self._watch.model, window, explanation, verdict.threshold)
        return self._detector.as_it_comes(found, verdict.slot)


def score_table(
    table: Table,
    model: OnnxModel,
    watch: Watch,
    *,
    node: str = "offline",
    asset: str = "asset",
    explained: bool = False,
    progress: Progress = lambda _done, _all: None,
) -> Result:
    """Run a table through the core. Raises BadData where it lacks a column that the model names.

    `explained`: with what each score was made of. `progress` is called with lines done and all lines, now and then.
    """
    columns = _columns(table, model.spec)
    run = _Run(table, model, watch, (node, asset), explained)
    slots = slot_of(table.t_ns, model.spec.period_ns)
    goes_on = np.append(slots[1:] == slots[:-1], False)
    for first, last in pairwise(_ends(slots, goes_on)):
        t_ns, values = table.t_ns[first:last].tolist(), table.values[first:last, columns]
        progress(first, len(slots))
        run.push(first, Stretch(asset, int(slots[first]), t_ns, values), slot_goes_on=bool(goes_on[first]))
    return run.finish()


def _columns(table: Table, spec: ModelSpec) -> list[int]:
    missing = [name for name in spec.names if name not in table.names]
    if missing:
        raise BadData(
            f"{table.path}: lacks {', '.join(missing)}, which the model needs; it has {', '.join(table.names)}"
        )
    return [table.names.index(name) for name in spec.names]


def _ends(slots: NDArray[np.int64], goes_on: NDArray[np.bool_]) -> list[int]:
    """Where the lines' stretches begin, and where the last one ends: each has a slot a line, without a gap, and a line whose slot goes
    on with the next one is by itself."""
    parted = (np.diff(slots) != 1) | goes_on[1:]
    parted |= np.arange(1, len(slots)) % PROGRESS_LINES == 0
    return sorted({0, *(np.flatnonzero(parted) + 1).tolist(), len(slots)})


def _carried(active: NDArray[np.int8]) -> NDArray[np.bool_]:
    known = np.where(active >= 0, np.arange(len(active)), -1)
    last = np.maximum.accumulate(known)
    return np.asarray((last >= 0) & (active[last] == 1))


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files that `write_outputs` makes. `explain`: the scores have a column for each channel, too."""

    scores: Path
    explain: bool = False
    events: Path | None = None
    reconstruction: Path | None = None

    @property
    def explained(self) -> bool:
        """Whether the result has to say what each score was made of."""
        return self.explain or self.reconstruction is not None


def write_outputs(outputs: Outputs, table: Table, result: Result, spec: ModelSpec) -> None:
    """One line out for each line in, with the time exactly as it came. Raises BadData where a file cannot be written."""
    _write_scores(outputs.scores, table, result, spec.names if outputs.explain else ())
    if outputs.events is not None:
        with whole_text(outputs.events) as file:
            file.writelines(orjson.dumps(alert_payload(event.alert)).decode() + "\n" for event in result.events)
    if outputs.reconstruction is not None:
        assert result.reconstruction is not None
        rows = (map(_cell, row) for row in result.reconstruction.tolist())
        _write_lines(outputs.reconstruction, ["timestamp", *spec.names], table.times, rows)


def _write_scores(path: Path, table: Table, result: Result, channels: Sequence[str]) -> None:
    header = ["timestamp", "score", "threshold", "alert", *(f"score_{name}" for name in channels)]
    parts = result.channel_score.tolist() if channels and result.channel_score is not None else [[]] * len(table)
    columns = (result.score.tolist(), result.threshold.tolist(), result.alert.tolist(), parts)
    rows = (
        [_cell(score), _cell(threshold), "1" if alert else "0", *map(_cell, more)]
        for score, threshold, alert, more in zip(*columns, strict=True)
    )
    _write_lines(path, header, table.times, rows)


def _write_lines(path: Path, header: list[str], times: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    with whole_text(path) as file:
        file.write(",".join(header) + "\n")
        file.writelines(",".join([_quoted(time), *cells]) + "\n" for time, cells in zip(times, rows, strict=True))


def _quoted(text: str) -> str:
    """A time such as "Mar 2, 2026" stays one cell."""
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text


def _cell(value: float) -> str:
    return f"{value:.7g}" if value == value else ""

"""The same core over a file: every line gets the score that the daemon would have had on reading it.

A line's score is that of the window which ends with the line's slot, made of that line and earlier ones alone. Where
several lines share a slot, each is answered from what the slot holds so far; the row itself closes with the last of them.
A line whose time may be wrong, on which later lines decide, is answered as if it were right.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from edge_ae.core.detector import Detector, Watch
from edge_ae.core.events import AlertEvent, Readings, Scored, slot_of
from edge_ae.core.fleet import MAX_BATCH, Fleet, scored
from edge_ae.core.model_spec import Explanation, Floats, ModelSpec
from edge_ae.core.payloads import alert_payload
from edge_ae.errors import BadData
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.store.recording_csv import Table, read_csv, whole_text

Progress = Callable[[int, int], None]
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

    def unused(self, path: Path) -> str:
        """A sentence on lines that were not used, or where none has a score; empty where there is nothing to say."""
        scored, lines = int(np.isfinite(self.score).sum()), len(self.score)
        few = {"window_incomplete": FEW_INCOMPLETE * lines}
        why = [f"{name} {number}" for name, number in sorted(self.counts.items()) if number > few.get(name, 0)]
        if scored > 0 and not why:
            return ""
        return "; ".join([f"{path}: {scored} of {lines} lines have a score", *why])


class _OutputKeeper:
    """A model that also keeps what each window's score was made of, in the order of scoring."""

    def __init__(self, model: OnnxModel) -> None:
        self.spec: ModelSpec = model.spec
        self.parts: list[tuple[Floats, Floats]] = []
        self._model = model

    def score(self, windows: Floats) -> Floats:
        outputs = self._model.run(windows)
        self.parts.extend(zip(outputs["channel_score"], outputs["reconstruction"][:, -1], strict=True))
        return outputs["score"]

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        return self._model.explain(windows)


class _Lines:
    """The answers, filled in as the fleet gives them."""

    def __init__(self, lines: int, channels: int, explained: bool) -> None:
        shape = (lines, channels) if explained else (0, channels)
        self.score = np.full(lines, np.nan)
        self.threshold = np.full(lines, np.nan)
        self.active = np.full(lines, -1, np.int8)  # -1: as on the line before
        self.channel_score = np.full(shape, np.nan, np.float32)
        self.reconstruction = np.full(shape, np.nan, np.float32)

    def fill(self, line: int, scored: Scored, parts: tuple[Floats, Floats] | None) -> None:
        self.score[line] = scored.verdict.score
        self.threshold[line] = scored.verdict.threshold
        self.active[line] = scored.active
        if parts is not None:
            self.channel_score[line], self.reconstruction[line] = parts


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
    """Run a table through the core. The columns are matched by name; one that the model needs and is not there: BadData."""
    spec = model.spec
    columns = _columns(table, spec)
    keeper = _OutputKeeper(model) if explained else None
    watch = watch if keeper is None else Watch(keeper, watch.rules, watch.lateness_ns)
    fleet = Fleet(node)
    detector = fleet.add(asset, watch)
    lines = _Lines(len(table), len(spec.channels), explained)
    events: list[AlertEvent] = []
    slots = slot_of(table.t_ns, spec.period_ns).tolist()
    line_of: dict[int, int] = {}

    def step() -> None:
        scored_windows = 0
        for result in fleet.step():
            if isinstance(result, AlertEvent):
                events.append(result)
                continue
            line = line_of.pop(result.verdict.slot, None)
            if line is not None:
                lines.fill(line, result, None if keeper is None else keeper.parts[scored_windows])
            scored_windows += 1
        if keeper is not None:
            keeper.parts.clear()

    for line, readings in enumerate(_readings(table, columns, spec, asset)):
        fleet.push(readings, watch)
        if detector.doubts or (line + 1 < len(slots) and slots[line + 1] == slots[line]):
            step()
            _answer_so_far(lines, line, detector, watch, slots[line], keeper)
        else:
            if not detector.is_closed(slots[line]):  # else it came too late, and the answer is another line's
                line_of[slots[line]] = line
            if fleet.due >= MAX_BATCH:
                step()
        if line % PROGRESS_LINES == 0:
            progress(line, len(slots))
    fleet.flush()
    step()
    return Result(
        lines.score,
        lines.threshold,
        _carried(lines.active),
        events,
        detector.counts,
        lines.channel_score if explained else None,
        lines.reconstruction if explained else None,
    )


def _answer_so_far(
    lines: _Lines, line: int, detector: Detector, watch: Watch, slot: int, keeper: _OutputKeeper | None
) -> None:
    """The slot is still open: answer from a copy in which it closed now."""
    fork = detector.fork()
    for window in fork.flush():
        (score,) = scored(watch.model, window.values[None])
        for result in fork.judge(window, score, None):
            if isinstance(result, Scored) and window.slot == slot:
                lines.fill(line, result, None if keeper is None else keeper.parts[-1])
    if keeper is not None:
        keeper.parts.clear()


def _columns(table: Table, spec: ModelSpec) -> list[int]:
    missing = [name for name in spec.names if name not in table.names]
    if missing:
        raise BadData(
            f"{table.path}: lacks {', '.join(missing)}, which the model needs; it has {', '.join(table.names)}"
        )
    return [table.names.index(name) for name in spec.names]


def _readings(table: Table, columns: list[int], spec: ModelSpec, asset: str) -> Iterator[Readings]:
    values = table.values[:, columns]
    for first in range(0, len(table), PROGRESS_LINES):
        part = slice(first, first + PROGRESS_LINES)
        for t_ns, row in zip(table.t_ns[part].tolist(), values[part].tolist(), strict=True):
            yield Readings(asset, t_ns, dict(zip(spec.names, row, strict=True)))


def _carried(active: NDArray[np.int8]) -> NDArray[np.bool_]:
    known = np.where(active >= 0, np.arange(len(active)), -1)
    last = np.maximum.accumulate(known)
    return np.asarray((last >= 0) & (active[last] == 1))


def score_file(
    model_path: Path,
    data_path: Path,
    out_path: Path,
    watch_for: Callable[[OnnxModel], Watch],
    *,
    node: str = "offline",
    asset: str = "asset",
    ignore: Sequence[str] = (),
    label: str | None = None,
    explain: bool = False,
    events_path: Path | None = None,
    reconstruction_path: Path | None = None,
    progress: Progress = lambda _done, _all: None,
) -> Result:
    """`edge-ae score`: one line out for each line in, with the time exactly as it came."""
    model = OnnxModel.load(model_path)
    table = read_csv(data_path, ignore=ignore, label=label)
    explained = explain or reconstruction_path is not None
    watch = watch_for(model)
    result = score_table(table, model, watch, node=node, asset=asset, explained=explained, progress=progress)
    _write_scores(out_path, table, result, model.spec if explain else None)
    if events_path is not None:
        with whole_text(events_path) as file:
            file.writelines(orjson.dumps(alert_payload(event.alert)).decode() + "\n" for event in result.events)
    if reconstruction_path is not None:
        assert result.reconstruction is not None
        with whole_text(reconstruction_path) as file:
            file.write(",".join(["timestamp", *model.spec.names]) + "\n")
            rows = zip(table.times, result.reconstruction.tolist(), strict=True)
            file.writelines(",".join([time, *map(_cell, row)]) + "\n" for time, row in rows)
    return result


def _write_scores(path: Path, table: Table, result: Result, explained: ModelSpec | None) -> None:
    header = ["timestamp", "score", "threshold", "alert"]
    parts: list[list[float]] = [[]] * len(table)
    if explained is not None and result.channel_score is not None:
        header += [f"score_{name}" for name in explained.names]
        parts = result.channel_score.tolist()
    rows = zip(table.times, result.score.tolist(), result.threshold.tolist(), result.alert.tolist(), parts, strict=True)
    with whole_text(path) as file:
        file.write(",".join(header) + "\n")
        file.writelines(
            ",".join([time, _cell(score), _cell(threshold), "1" if alert else "0", *map(_cell, more)]) + "\n"
            for time, score, threshold, alert, more in rows
        )


def _cell(value: float) -> str:
    return f"{value:.7g}" if value == value else ""

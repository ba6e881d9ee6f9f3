"""Which rows of the past were normal, as far as anybody knows: what a model is trained on the next time.

    recordings ─ the current model, in the daemon's own pipeline ─► alerts, scores ─┐
    alerts.jsonl, feedback.jsonl, a label column ───────────────────────────────────┴─► what to leave out

Left out are alerts, faults that people confirmed or labelled, and rows so extreme that normal ones of their number would
hardly show them: a fault that nobody noticed must not teach the next model that it is normal. What people called a false
alarm is kept, unless it went too far to be one. What the health stage masks on a device, the values of a sick sensor, is missing here as well.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edge_ae.core.detector import Watch
from edge_ae.core.events import Row, slot_of
from edge_ae.core.expression import Expression
from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.payloads import alert_payload
from edge_ae.core.rules import AlertRules
from edge_ae.core.sensor_health import SensorHealth
from edge_ae.core.timestamps import SECOND, parse_time_ns
from edge_ae.errors import BadData, BadState
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import Result, score_table
from edge_ae.store.feedback import read_feedback
from edge_ae.store.node_store import FILE
from edge_ae.store.recording_csv import Table
from edge_ae_train.data import prepare
from edge_ae_train.data.recorded import Series
from edge_ae_train.data.segments import Flags, Segment, episodes, in_state, kept
from edge_ae_train.data.window_length import LENGTHS
from edge_ae_train.progress import SILENT, Reporter, in_parts

FEEDBACK = "feedback.jsonl"
FALSE_ALARM, TRUE_ALARM = "false_alarm", "true_alarm"
EXTREMES = 1.0  # times that normal rows reach, in recordings of that length, the score from which on rows are left out
# Normal deviations at the peak: three times what is called high; one tap must not make that normal.
FURTHEST_FALSE = 30.0
FURTHEST_RATIO = 8.0  # the same where the model knows of no deviations: twice what is called high
MOST_EXTREME = 0.1  # of the windows: where more look extreme, the machine has changed, and extremes are no longer it

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of an asset's time, both ends included; `id`: of the alert that it was, `name`: what that was, as people said.

    `too_far`: its peak was too far from normal to be taken for normal on anybody's word.
    """

    start_ns: int
    end_ns: int
    asset: str = ""
    id: str = ""
    name: str = ""
    too_far: bool = False

    def overlaps(self, others: Iterable["Span"]) -> bool:
        return any(self.start_ns <= other.end_ns and other.start_ns <= self.end_ns for other in others)


@dataclass(frozen=True, slots=True)
class SickSpan:
    """A stretch of time in which an asset's sensor was sick, as its daemon found out."""

    span: Span
    channel: str


@dataclass(frozen=True)
class Hindsight:
    """What is known beside the recordings: the alerts of a daemon on `node`, what people called them, by id, and its sick sensors.

    `names`: what those were that people have named, by id.
    """

    alerts: tuple[Span, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    node: str = "offline"
    sick: tuple[SickSpan, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AssetPast:
    """`alert`: what the current model says of each line. `normal`: the rows to learn from. `faults`: known to be real.

    `left_out`: rows by the reason for which they are left out; one with two reasons counts for both.
    """

    table: Table
    alert: Flags
    normal: tuple[Segment, ...]
    faults: tuple[Span, ...]
    rows: int
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Past:
    """What `current` says of recordings, under the rules that it is used with, and what there is to learn from them."""

    current: OnnxModel
    rules: AlertRules
    assets: tuple[AssetPast, ...]
    notes: tuple[str, ...]

    @property
    def normal(self) -> list[Segment]:
        return [segment for asset in self.assets for segment in asset.normal]


def recall(
    series: Sequence[Series],
    current: OnnxModel,
    rules: AlertRules,
    hindsight: Hindsight,
    length: int | None = None,
    reporter: Reporter = SILENT,
) -> Past:
    """`length`: rows of the next model's windows; None: not known yet."""
    assets, known = [], {span.id for span in hindsight.alerts}
    doubted: set[str] = set()
    sampling = prepare.sampling_of(current.spec, length or LENGTHS[-1])
    when = Expression.of(current.spec.when) if current.spec.when else None
    for one, part in zip(series, in_parts(reporter, [len(one.table) for one in series]), strict=True):
        said = part.counting(f"{one.asset}: scoring with the current model")
        watch = Watch(current, rules)
        result = score_table(one.table, current, watch, node=hindsight.node, asset=one.asset, progress=said)
        own = _alerts(result, one)
        known |= {span.id for span in own}
        alerts = [
            replace(span, name=hindsight.names.get(span.id, ""))
            for span in (*own, *(span for span in hindsight.alerts if span.asset == one.asset))
        ]
        doubted |= {span.id for span in alerts if span.too_far and hindsight.labels.get(span.id) == FALSE_ALARM}
        extremes = _runs(one.table, extreme(result, current.spec, rules))
        reasons = _reasons(alerts, extremes, _runs(one.table, one.table.labels), hindsight.labels)
        made = prepare.rows([one.table], sampling)
        watched = [part for segment in made for part in kept(segment, in_state(segment, when, current.spec.names))]
        sick = [found for found in hindsight.sick if found.span.asset == one.asset]
        segments = [_masked(_without_sick(segment, sick, current.spec), current.spec) for segment in watched]
        normal, left_out = _without(segments, reasons, current.spec)
        rows, faults = sum(map(len, made)), tuple(reasons["fault"])
        if when is not None:
            left_out[f"not {when.text}"] = rows - sum(map(len, watched))
        assets.append(AssetPast(one.table, result.alert, tuple(normal), faults, rows, left_out))
    return Past(current, rules, tuple(assets), (_summary(assets), *_doubts(doubted), *_strangers(hindsight, known)))


def _reasons(
    alerts: Sequence[Span], extremes: Sequence[Span], labelled: Sequence[Span], labels: Mapping[str, str]
) -> dict[str, Sequence[Span]]:
    """What to leave out, by the reason: suspects that no false alarm excuses, and what is known to be a fault."""
    false_alarms = [span for span in alerts if labels.get(span.id) == FALSE_ALARM and not span.too_far]
    confirmed = [span for span in alerts if labels.get(span.id) == TRUE_ALARM]
    suspects = {"alert": alerts, "extreme": extremes}
    excused = {why: [span for span in spans if not span.overlaps(false_alarms)] for why, spans in suspects.items()}
    return {**excused, "fault": [*confirmed, *labelled]}


def _without(
    segments: Iterable[Segment], reasons: Mapping[str, Sequence[Span]], spec: ModelSpec
) -> tuple[list[Segment], dict[str, int]]:
    """What is left of the segments without the rows in the spans, and the rows that each reason takes."""
    normal, counts = [], dict.fromkeys(reasons, 0)
    for segment in segments:
        masks = {why: _inside(segment, spans, spec) for why, spans in reasons.items()}
        normal += kept(segment, ~np.any(list(masks.values()), axis=0))
        counts = {why: counts[why] + int(mask.sum()) for why, mask in masks.items()}
    return normal, counts


def extreme(result: Result, spec: ModelSpec, rules: AlertRules) -> Flags:
    """Lines whose score, drift apart, is one that normal rows of their number reach EXTREMES times."""
    scored = np.isfinite(result.score)
    if not scored.any():
        return scored
    score = result.score / result.threshold * spec.tail.boundary(spec.hop * spec.period_ns / rules.interval_ns)
    boundary = max(
        spec.tail.boundary(EXTREMES / int(scored.sum())), float(np.quantile(score[scored], 1.0 - MOST_EXTREME))
    )
    return np.asarray(np.nan_to_num(score) > boundary)


def _alerts(result: Result, series: Series) -> list[Span]:
    last = {event.id: alert_payload(event.alert) for event in result.events}
    end_ns = int(series.table.t_ns[-1])
    return [
        replace(_span(body), end_ns=end_ns) if body["ts_cleared"] is None else _span(body) for body in last.values()
    ]


def _span(body: Mapping[str, Any]) -> Span:
    """An alert's, from its JSON."""
    start_ns, cleared = parse_time_ns(body["ts_onset"]), body["ts_cleared"]
    end_ns = start_ns + round(body["duration_s"] * SECOND) if cleared is None else parse_time_ns(cleared)
    magnitude, ratio = body.get("magnitude"), body.get("ratio") or 0.0
    too_far = ratio > FURTHEST_RATIO if magnitude is None else magnitude > FURTHEST_FALSE
    return Span(start_ns, end_ns, body["asset"], body["id"], too_far=too_far)


def _runs(table: Table, flags: Flags | None) -> list[Span]:
    if flags is None:
        return []
    return [Span(int(table.t_ns[first]), int(table.t_ns[end - 1])) for first, end in episodes(flags)]


def _masked(segment: Segment, spec: ModelSpec) -> Segment:
    """Without what sick sensors say; a device masks them once they are found out, here it is from their fault's start."""
    health = SensorHealth(spec.channels)
    seen = np.empty_like(segment.values)
    known = health.sick
    for index, values in enumerate(segment.values.tolist()):
        seen[index] = health.push(Row(segment.start_slot + index, tuple(values))).values
        for sick in health.sick if health.sick is not known else ():
            seen[max(sick.since_slot - segment.start_slot, 0) : index + 1, spec.names.index(sick.channel)] = np.nan
        known = health.sick
    return replace(segment, values=seen)


def _without_sick(segment: Segment, sick: Sequence[SickSpan], spec: ModelSpec) -> Segment:
    """Without what sensors said while they were marked as sick."""
    if not sick:
        return segment
    values = segment.values.copy()
    for one in sick:
        if one.channel in spec.names:
            first, last = (
                slot_of(t, spec.period_ns) - segment.start_slot for t in (one.span.start_ns, one.span.end_ns)
            )
            values[max(first, 0) : max(last + 1, 0), spec.names.index(one.channel)] = np.nan
    return replace(segment, values=values)


def _inside(segment: Segment, spans: Sequence[Span], spec: ModelSpec) -> Flags:
    """The segment's rows in the spans, and a window's length before each: a fault is there before it is noticed."""
    inside = np.zeros(len(segment), np.bool_)
    for span in spans:
        first, last = (slot_of(t, spec.period_ns) for t in (span.start_ns, span.end_ns))
        inside[max(first - spec.length - segment.start_slot, 0) : max(last + 1 - segment.start_slot, 0)] = True
    return inside


def _summary(assets: Sequence[AssetPast]) -> str:
    rows, normal = sum(asset.rows for asset in assets), sum(len(part) for asset in assets for part in asset.normal)
    whys = {why: sum(asset.left_out[why] for asset in assets) for why in assets[0].left_out}
    return f"{normal} of {rows} rows are taken for normal; left out: " + ", ".join(
        f"{n} {why}" for why, n in whys.items()
    )


def _doubts(ids: set[str]) -> list[str]:
    if not ids:
        return []
    return [
        f"{len(ids)} false alarms ({min(ids)} ...) went further than {FURTHEST_FALSE:g} normal deviations, or {FURTHEST_RATIO:g} times the "
        "boundary where those are not known: their rows are left out all the same, for one that was a fault would become normal; lessons "
        "withhold their like"
    ]


def _strangers(hindsight: Hindsight, known: set[str]) -> list[str]:
    unknown = sorted(set(hindsight.labels) - known)
    if not unknown:
        return []
    return [
        f"{len(unknown)} alerts that feedback is on ({unknown[0]} ...) are neither in the recordings nor in --alerts, "
        "or were raised on another node or by another model: that feedback is passed over"
    ]


# -- what was written down -------------------------------------------------------------------------------------


def read_hindsight(alerts: Iterable[Path], feedback: Iterable[Path], node: str) -> Hindsight:
    """Alerts as `edge-ae score --events` writes them or a subscriber to the event topic keeps them, and feedback.

    Of several words on one alert the last one counts. BadData names the file and the line.
    """
    spans = {span.id: span for path in alerts for span in _lines(path, _span)}
    words = {identity: (label, name) for path in feedback for identity, label, name in _words(path)}
    labels = {identity: label for identity, (label, _) in words.items()}
    names = {identity: name for identity, (label, name) in words.items() if name and label == TRUE_ALARM}
    return Hindsight(tuple(spans.values()), labels, node, names=names)


Word = tuple[str, str, str]
"""What people said of one alert: its id, the label, and the name, if any."""


def _words(path: Path) -> list[Word]:
    """Of a file of lines, or of a `state_dir`: its database, or what version 0.1 kept there."""
    database = path / FILE
    if not database.exists():
        return _lines(path / FEEDBACK if path.is_dir() else path, _word)
    try:
        lines = read_feedback(database)
    except BadState as fault:
        raise BadData(f"{database}: {fault}") from None
    return [_parsed(database, number, line, _word) for number, line in enumerate(lines, start=1)]


def _word(body: Mapping[str, Any]) -> Word:
    name = body.get("name") or ""
    if body["label"] not in (FALSE_ALARM, TRUE_ALARM) or not isinstance(body["id"], str) or not isinstance(name, str):
        raise ValueError(f"{body['label']!r} of {body['id']!r}")
    return body["id"], body["label"], name


def _lines(path: Path, parse: Callable[[Mapping[str, Any]], Found]) -> list[Found]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # a note within may hold what else parts lines
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"byte {error.start} is no UTF-8"
        raise BadData(f"{path}: cannot be read as text, one JSON object a line: {why}") from None
    return [_parsed(path, number, line, parse) for number, line in enumerate(lines, start=1) if line.strip()]


def _parsed(path: Path, number: int, line: str, parse: Callable[[Mapping[str, Any]], Found]) -> Found:
    try:
        return parse(json.loads(line))
    except json.JSONDecodeError:
        raise BadData(f"{path}, line {number}: is not what edge-ae writes there: no JSON object") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(f"{path}, line {number}: is not what edge-ae writes there ({error!r})") from None

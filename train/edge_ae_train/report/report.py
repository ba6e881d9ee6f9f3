"""A model and what it says of recordings, for the people at the plant: one HTML file, and Markdown and JSON beside it.

    files ─► the daemon's pipeline ─► Shown ─► pictures, tables, a sentence at each ─► Section ─► HTML | Markdown

The HTML file carries its pictures in itself, so that it can be sent by mail.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.alert import AlertRules
from edge_ae.core.detector import Watch
from edge_ae.core.events import AlertEvent, slot_of
from edge_ae.core.model_spec import Floats
from edge_ae.core.payloads import alert_payload
from edge_ae.core.timestamps import SECOND, parse_time_ns, rfc3339
from edge_ae.core.window import scored_ends
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import Result, score_table
from edge_ae.store.recording_csv import Table
from edge_ae_train.data import prepare, recorded
from edge_ae_train.data.recorded import Series
from edge_ae_train.data.segments import episodes
from edge_ae_train.evaluation import evaluate
from edge_ae_train.evaluation.evaluate import Evaluation, have_scores, series_of
from edge_ae_train.report import pictures
from edge_ae_train.report.page import Block, Grid, Picture, Section, make_folder, write
from edge_ae_train.report.pictures import Marks
from edge_ae_train.scoring.modes import ModeMap, mode_map

MOST_RECORDINGS = 12  # with pictures of their own; the tables hold all
MOST_CHANNELS = 10  # strips in one picture
MOST_ALERTS = 6  # looked at closely in each recording
MOST_LISTED = 50
CLOSE_CHANNELS = 3
LATENT_WINDOWS = 3000
BATCH = 256
STRENGTHS = ("all", "small", "medium", "large")  # these lines of the comparison first, then the kinds of fault
FACTS = {
    "trial_rate": "false alerts a window, in the comparison",
    "asked": "family asked for",
    "chosen": "family chosen",
}
BUDGETS = (("hour", 1), ("day", 24), ("week", 168), ("month", 730))  # hours in each
Say = Callable[[str], None]


@dataclass(frozen=True)
class Shown:
    """A recording with the daemon's answers; the columns are the model's channels in its order."""

    name: str
    table: Table
    result: Result
    alerts: list[dict[str, Any]]
    """the last word on each alert, as subscribers get it"""
    marks: Marks

    @property
    def channel_score(self) -> Floats:
        assert self.result.channel_score is not None
        return self.result.channel_score

    @property
    def reconstruction(self) -> Floats:
        assert self.result.reconstruction is not None
        return self.result.reconstruction


def report(
    model_path: Path,
    paths: Sequence[str | Path],
    out: Path,
    rules: AlertRules,
    *,
    ignore: Sequence[str] = (),
    label: str | None = None,
    asset_column: str | None = None,
    say: Say = lambda _text: None,
    note: Say = lambda _text: None,
) -> Path:
    """Writes report.html, report.md with its pictures, and report.json into `out`; returns the HTML file's path."""
    model = OnnxModel.load(model_path)
    make_folder(out)
    shown: list[Shown] = []
    if paths:
        for one in recorded.read(paths, model.spec, ignore=ignore, label=label, asset_column=asset_column, note=note):
            say(f"scoring {one.asset}")
            shown.append(_show(one, model, rules))
        shown = list(compress(shown, have_scores([(one.table, one.result) for one in shown], model.spec, note)))
    say("drawing")
    evaluation = _evaluate(model, rules, shown)
    sections = list(_sections(model, shown, evaluation))
    title = f"{model.spec.name}: what it learned" if evaluation is None else f"{model.spec.name}: what it saw"
    return write(out, title, sections, _facts(model, evaluation, shown))


def _show(one: Series, model: OnnxModel, rules: AlertRules) -> Shown:
    result = score_table(one.table, model, Watch(model, rules), asset=one.asset, explained=True)
    return Shown(one.asset, one.table, result, _last_words(result.events), _marks(one.table, result))


def _last_words(events: Iterable[AlertEvent]) -> list[dict[str, Any]]:
    return list({event.id: alert_payload(event.alert) for event in events}.values())


def _marks(table: Table, result: Result) -> Marks:
    labels = np.zeros(len(table), dtype=np.bool_) if table.labels is None else table.labels
    return Marks(_spans(table, result.alert), _spans(table, labels))


def _spans(table: Table, flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Begin and end in ns of each run."""
    last = len(table) - 1
    return [(int(table.t_ns[a]), int(table.t_ns[min(b, last)])) for a, b in episodes(flags)]


def _evaluate(model: OnnxModel, rules: AlertRules, shown: Sequence[Shown]) -> Evaluation | None:
    if not shown:
        return None
    series = [series_of(one.table, one.result, model.spec) for one in shown]
    return evaluate.summary(model, rules, series)


def _facts(model: OnnxModel, evaluation: Evaluation | None, shown: Sequence[Shown]) -> bytes:
    """What the pages say, for programs."""
    spec = model.spec
    facts = {
        "model": {"name": spec.name, "family": spec.family, "sha256": spec.sha256, "trained_at": spec.trained_at},
        "training": dict(model.report),
        "evaluation": None if evaluation is None else evaluate.as_dict(evaluation),
        "alerts": {one.name: one.alerts for one in shown},
    }
    return json.dumps(facts, indent=2).encode() + b"\n"


# -- sections ----------------------------------------------------------------------------------------------


def _sections(model: OnnxModel, shown: Sequence[Shown], evaluation: Evaluation | None) -> Iterable[Section]:
    if evaluation is not None:
        yield _summary_section(shown, evaluation)
        for number, one in enumerate(shown[:MOST_RECORDINGS]):
            yield _recording_section(one, model, f"recording{number + 1}")
        yield from _latent_section(model, shown)
    yield _model_section(model)
    yield from _training_section(model)


def _summary_section(shown: Sequence[Shown], evaluation: Evaluation) -> Section:
    told = evaluate.conclusion(evaluation)
    blocks: list[Block] = [told[0].upper() + told[1:], Grid(*evaluate.table_rows(evaluation))]
    if evaluation.labelled:
        blocks.append(
            "F1, false alarms (of the normal rows) and misses (of the labelled rows) are counted row by row at the "
            "model's own boundary; VUS-PR, AUC-PR and best F1 judge the score at every boundary. The delay runs from "
            "the beginning of an event to the alert."
        )
    else:
        blocks.append("A ratio is score over boundary: 1.0 raises an alert. The columns say how close rows came to it.")
    if len(shown) > MOST_RECORDINGS:
        blocks.append(f"Below are pictures of the first {MOST_RECORDINGS} recordings of {len(shown)}.")
    return Section("In short", tuple(blocks))


def _recording_section(one: Shown, model: OnnxModel, stem: str) -> Section:
    blocks: list[Block] = [
        f"{len(one.table):,} lines from {_moment(rfc3339(int(one.table.t_ns[0])))} to "
        f"{_moment(rfc3339(int(one.table.t_ns[-1])))} UTC. "
        "The curve is the distance from normal; where it stays above the dashed boundary, an alert is active (red).",
        _score_picture(one, f"{stem}_score.png"),
    ]
    blocks += _alert_blocks(one, model, stem)
    blocks += [
        "What each sensor contributed: a dark field means that this sensor behaved unlike the others would have it. "
        "A red bar on top marks an alert.",
        _contribution_picture(one, model, f"{stem}_parts.png"),
        _signals_sentence(len(model.spec.channels)),
        _signals_picture(one, model, f"{stem}_signals.png"),
    ]
    return Section(f"Recording {one.name}", tuple(blocks))


def _score_picture(one: Shown, file: str) -> Picture:
    return Picture(file, pictures.score_picture(one.table.t_ns, one.result.score, one.result.threshold, one.marks))


def _contribution_picture(one: Shown, model: OnnxModel, file: str) -> Picture:
    """Every channel's part in units of the boundary, so that 1.0 alone would raise an alert."""
    total = one.channel_score.sum(axis=1, keepdims=True)
    share = one.channel_score / np.where(total > 0, total, 1.0)
    part = share * (one.result.score / one.result.threshold)[:, None]
    return Picture(
        file, pictures.contribution_picture(one.table.t_ns, model.spec.names, part.astype(np.float64), one.marks)
    )


def _signals_sentence(channels: int) -> str:
    said = "Measured values in grey, what the model expected of them in blue: where the two part, something is unusual."
    return said if channels <= MOST_CHANNELS else f"{said} Shown are the {MOST_CHANNELS} sensors that stand out most."


def _signals_picture(one: Shown, model: OnnxModel, file: str) -> Picture:
    chosen = _outstanding(one, slice(None), MOST_CHANNELS)
    expected = one.reconstruction[:, chosen].astype(np.float64)
    titles = [_title(model, channel) for channel in chosen]
    return Picture(
        file,
        pictures.signals_picture(one.table.t_ns, titles, one.table.values[:, chosen], expected, one.marks),
    )


def _outstanding(one: Shown, lines: slice, most: int) -> list[int]:
    """The channels with the largest parts in the highest scores of these lines, in the model's order."""
    score = np.nan_to_num(one.result.score[lines])
    high = score >= np.quantile(score, 0.9)
    part = np.nan_to_num(one.channel_score[lines][high]).sum(axis=0)
    return sorted(np.argsort(-part, kind="stable")[:most].tolist())


def _title(model: OnnxModel, channel: int) -> str:
    known = model.spec.channels[channel]
    return f"{known.name} [{known.unit}]" if known.unit else known.name


def _alert_blocks(one: Shown, model: OnnxModel, stem: str) -> list[Block]:
    if not one.alerts:
        return ["No alert was raised."]
    header = ("raised", "since", "lasted", "peak / boundary", "severity", "nearest to", "reason")
    rows = [_alert_row(alert) for alert in one.alerts[:MOST_LISTED]]
    count = len(one.alerts)
    blocks: list[Block] = [
        f"{'One alert' if count == 1 else f'{count} alerts'}: since when, for how long, how far over the boundary, and "
        "the sensors that speak most.",
        Grid(header, rows),
    ]
    for number, alert in enumerate(one.alerts[:MOST_ALERTS]):
        blocks.append(f"The alert of {_moment(alert['ts_raised'])}, from before its onset to after its end.")
        blocks.append(_close_picture(one, model, alert, f"{stem}_alert{number + 1}.png"))
    return blocks


def _alert_row(alert: dict[str, Any]) -> tuple[str, ...]:
    lasted = prepare.duration(alert["duration_s"] * SECOND) if alert["ts_cleared"] is not None else "still active"
    raised, onset = _moment(alert["ts_raised"]), _moment(alert["ts_onset"])
    words = (raised, onset, lasted, f"{alert['ratio']:.3g}", alert["severity"], _nearest(alert), alert["reason"])
    return tuple(map(str, words))


def _nearest(alert: dict[str, Any]) -> str:
    """The operating mode whose middle is nearest, and how far out the alert's peak lies."""
    mode, radii = alert["similar_to"], alert["similar_distance"]
    if mode is None:
        return ""
    return f"{mode}, within it" if radii <= 1.0 else f"{mode}, {radii:.2g} radii off"


def _moment(rfc3339_text: str) -> str:
    return rfc3339_text[:19].replace("T", " ")


def _close_picture(one: Shown, model: OnnxModel, alert: dict[str, Any], file: str) -> Picture:
    """The sensors that speak most, from well before the onset to the end of the alert."""
    t_ns, onset = one.table.t_ns, parse_time_ns(alert["ts_onset"])
    end = int(t_ns[-1]) if alert["ts_cleared"] is None else parse_time_ns(alert["ts_cleared"])
    margin = max(end - onset, 2 * model.spec.length * model.spec.period_ns) // 2
    first = min(int(np.searchsorted(t_ns, onset - margin)), len(t_ns) - 2)
    lines = slice(first, max(int(np.searchsorted(t_ns, end + margin)), first + 2))
    names = [channel["name"] for channel in alert["channels"][:CLOSE_CHANNELS]]
    chosen = [model.spec.names.index(name) for name in names] or _outstanding(one, lines, CLOSE_CHANNELS)
    values = one.table.values[lines][:, chosen]
    expected = one.reconstruction[lines][:, chosen].astype(np.float64)
    titles = [_title(model, channel) for channel in chosen]
    return Picture(file, pictures.signals_picture(t_ns[lines], titles, values, expected, one.marks))


# -- the latent map ----------------------------------------------------------------------------------------


def _latent_section(model: OnnxModel, shown: Sequence[Shown]) -> Iterable[Section]:
    latent, alert = _latent(model, shown)
    if len(latent) < 2 or latent.shape[1] == 0:
        return
    found = mode_map(latent, ~alert, model.spec.modes)
    drawn = pictures.latent_picture(found.points, found.mode, alert, found.shares, found.explained)
    yield Section("Map of behaviour", (_latent_sentence(found, alert), Picture("map.png", drawn)))


def _latent_sentence(found: ModeMap, alert: NDArray[np.bool_]) -> str:
    count = len(found.shares)
    said = "Each dot is one window of rows as the model sees it: near dots behave alike. "
    said += "Normal operation is one cloud." if count == 1 else f"Normal operation falls into {count} modes."
    if not alert.any():
        return said
    nearest = int(np.bincount(found.mode[alert], minlength=count).argmax()) + 1
    return f"{said} Crosses are windows in alert; " + (
        "far from the cloud they are of a kind not seen in normal operation, inside it a known state with odd details."
        if count == 1
        else f"most of them lie nearest to mode {nearest}."
    )


def _latent(model: OnnxModel, shown: Sequence[Shown]) -> tuple[Floats, NDArray[np.bool_]]:
    """Latent vectors of windows spread evenly over the recordings, and whether each ended in an alert."""
    spec = model.spec
    ends: list[tuple[Floats, bool]] = []
    for one in shown:
        slots = slot_of(one.table.t_ns, spec.period_ns)
        step = max(1, len(one.table) * len(shown) // (LATENT_WINDOWS * spec.hop))
        for segment in prepare.rows([one.table], spec.period_ns, hold_rows=spec.hold_rows, length=spec.length):
            for end in scored_ends(segment.start_slot, segment.values, spec.length, spec.hop)[::step].tolist():
                line = int(np.searchsorted(slots, segment.start_slot + end, side="right")) - 1
                ends.append((segment.values[end + 1 - spec.length : end + 1], bool(one.result.alert[line])))
    if not ends:
        return np.zeros((0, 0), np.float32), np.zeros(0, np.bool_)
    windows = [window for window, _ in ends]
    parts = [model.run(np.stack(windows[i : i + BATCH]))["latent"] for i in range(0, len(windows), BATCH)]
    return np.concatenate(parts), np.array([active for _, active in ends])


# -- the model ---------------------------------------------------------------------------------------------


def _model_section(model: OnnxModel) -> Section:
    spec = model.spec
    hours = spec.hop * spec.period_ns / (3600 * SECOND)
    budgets = [(f"1 / {name}", f"{spec.tail.boundary(hours / length):.4g}") for name, length in BUDGETS]
    channels = [(c.name, c.unit, f"{c.low:.6g}", f"{c.high:.6g}", f"{c.resolution:.3g}") for c in spec.channels]
    window_s = spec.length * spec.period_ns / SECOND
    return Section(
        "The model",
        (
            f"{spec.name}, family {spec.family}, trained {spec.trained_at or 'at an unknown time'}; file {spec.sha256[:12]}. "
            f"It looks at {spec.length} rows of {spec.period_ns / SECOND:g} s ({window_s:g} s) at a time, "
            f"every {spec.hop} row{'s' if spec.hop > 1 else ''}.",
            "The owner chooses how many alerts are acceptable on normal data; the boundary of the score follows from it "
            f"(a usual score is {spec.typical:.3g}).",
            Grid(("budget", "boundary"), budgets),
            "The sensors, and what was seen of them in training.",
            Grid(("sensor", "unit", "smallest", "largest", "smallest step"), channels),
        ),
    )


def _training_section(model: OnnxModel) -> Iterable[Section]:
    """The comparison that chose the model, as the trainer wrote it into the file."""
    facts = [
        (FACTS.get(key, key), _plain(value))
        for key, value in model.report.items()
        if isinstance(value, str | int | float)
    ]
    found = _found(model.report.get("candidates"))
    blocks: list[Block] = []
    if found:
        families = list(found)
        kinds = dict.fromkeys([*STRENGTHS, *(kind for shares in found.values() for kind in shares)])
        rows = [[kind, *(_percent(found[family].get(kind)) for family in families)] for kind in kinds]
        blocks += [
            "Faults of many kinds and three strengths were added to normal rows that the candidates had not seen. "
            "The table says how many each found, all at the same rate of false alerts.",
            Grid(["fault", *families], rows),
        ]
    if facts:
        blocks.append(Grid(("fact", "value"), facts))
    if blocks:
        yield Section("How it was trained", tuple(blocks))


def _found(candidates: object) -> dict[str, dict[str, float]]:
    """Family -> kind of fault -> share found. A file made by another version may hold something else, or nothing."""
    if not isinstance(candidates, dict):
        return {}
    shares = {name: entry.get("found") for name, entry in candidates.items() if isinstance(entry, dict)}
    return {name: share for name, share in shares.items() if isinstance(share, dict)}


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""The sections on recordings: all in one table, and each with its score, its alerts, and its signals against what was expected."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_ae.core.timestamps import SECOND, duration_text, parse_time_ns
from edge_ae.model.onnx_model import OnnxModel
from edge_ae_train.evaluation import figures
from edge_ae_train.evaluation.evaluate import Evaluation
from edge_ae_train.report import pictures
from edge_ae_train.report.moments import moment, moment_of
from edge_ae_train.report.page import Block, Chapter, Grid, Picture
from edge_ae_train.report.shown import Shown

MOST_RECORDINGS = 12  # with pictures of their own; the tables hold all
MOST_CHANNELS = 10  # strips in one picture
MOST_ALERTS = 6  # looked at closely in each recording
MOST_LISTED = 50
CLOSE_CHANNELS = 3


def summary_section(shown: Sequence[Shown], evaluation: Evaluation) -> Chapter:
    conclusion = figures.conclusion(evaluation)
    blocks: list[Block] = [
        _look_first(shown[:MOST_RECORDINGS]),
        conclusion[0].upper() + conclusion[1:],
        Grid(*figures.table_rows(evaluation)),
    ]
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
    return Chapter("In short", tuple(blocks))


def _look_first(shown: Sequence[Shown]) -> str:
    """What to open of all that follows."""
    alerts = [(float(alert["ratio"]), one, alert) for one in shown for alert in one.alerts]
    if alerts:
        ratio, one, alert = max(alerts, key=lambda entry: entry[0])
        when = moment_of(alert["ts_raised"], one.zone)
        return f"Look first at “Recording {one.name}”: its alert of {when} went to {ratio:.3g} times the boundary."
    one = max(shown, key=_highest_ratio)
    return f"Look first at “Recording {one.name}”: no alert, and its score came nearest to the boundary, to {_highest_ratio(one):.2f} of it."


def _highest_ratio(one: Shown) -> float:
    return float(np.nanmax(one.result.score / one.result.threshold))


def recording_section(one: Shown, model: OnnxModel, stem: str) -> Chapter:
    blocks: list[Block] = [
        f"{len(one.table):,} lines from {moment(int(one.table.t_ns[0]), one.zone)} to "
        f"{moment(int(one.table.t_ns[-1]), one.zone)} ({one.zone}, as all times here). "
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
    return Chapter(f"Recording {one.name}", tuple(blocks))


def _score_picture(one: Shown, file: str) -> Picture:
    return Picture(
        file, pictures.score_picture(one.table.t_ns, one.result.score, one.result.threshold, one.marks, one.zone)
    )


def _contribution_picture(one: Shown, model: OnnxModel, file: str) -> Picture:
    """Every channel's part in units of the boundary, so that 1.0 alone would raise an alert."""
    total = one.channel_score.sum(axis=1, keepdims=True)
    share = one.channel_score / np.where(total > 0, total, 1.0)
    part = share * (one.result.score / one.result.threshold)[:, None]
    return Picture(
        file,
        pictures.contribution_picture(one.table.t_ns, model.spec.names, part.astype(np.float64), one.marks, one.zone),
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
        pictures.signals_picture(one.table.t_ns, titles, one.signals[:, chosen], expected, one.marks, one.zone),
    )


def _outstanding(one: Shown, lines: slice, most: int) -> list[int]:
    """The channels with the largest parts in the highest scores of these lines, in the model's order."""
    score = np.nan_to_num(one.result.score[lines])
    high = score >= np.quantile(score, 0.9)
    part = np.nan_to_num(one.channel_score[lines][high]).sum(axis=0)
    return sorted(np.argsort(-part, kind="stable")[:most].tolist())


def _title(model: OnnxModel, channel: int) -> str:
    known = model.spec.channels[channel]
    return f"{known.name} [{known.signal_unit}]" if known.signal_unit else known.name


def _alert_blocks(one: Shown, model: OnnxModel, stem: str) -> list[Block]:
    if not one.alerts:
        return ["No alert was raised."]
    header = ("raised", "since", "lasted", "peak / boundary", "severity", "nearest to", "reason")
    rows = [_alert_row(alert, one) for alert in one.alerts[:MOST_LISTED]]
    count = len(one.alerts)
    blocks: list[Block] = [
        f"{'One alert' if count == 1 else f'{count} alerts'}: since when, for how long, how far over the boundary, and "
        "the sensors that speak most.",
        Grid(header, rows),
    ]
    for number, alert in enumerate(one.alerts[:MOST_ALERTS]):
        blocks.append(
            f"The alert of {moment_of(alert['ts_raised'], one.zone)}, from before its onset to after its end."
        )
        blocks.append(_close_picture(one, model, alert, f"{stem}_alert{number + 1}.png"))
    return blocks


def _alert_row(alert: dict[str, Any], one: Shown) -> tuple[str, ...]:
    lasted = duration_text(alert["duration_s"] * SECOND) if alert["ts_cleared"] is not None else "still active"
    raised, onset = (moment_of(alert[key], one.zone) for key in ("ts_raised", "ts_onset"))
    words = (raised, onset, lasted, f"{alert['ratio']:.3g}", alert["severity"], _nearest(alert), alert["reason"])
    return tuple(map(str, words))


def _nearest(alert: dict[str, Any]) -> str:
    """The operating mode whose middle is nearest, and how far out the alert's peak lies."""
    mode, radii = alert["similar_to"], alert["similar_distance"]
    if mode is None:
        return ""
    return f"{mode}, within it" if radii <= 1.0 else f"{mode}, {radii:.2g} radii off"


def _close_picture(one: Shown, model: OnnxModel, alert: dict[str, Any], file: str) -> Picture:
    """The sensors that speak most, from well before the onset to the end of the alert."""
    t_ns, onset = one.table.t_ns, parse_time_ns(alert["ts_onset"])
    end = int(t_ns[-1]) if alert["ts_cleared"] is None else parse_time_ns(alert["ts_cleared"])
    margin = max(end - onset, 2 * model.spec.length * model.spec.period_ns) // 2
    first = min(int(np.searchsorted(t_ns, onset - margin)), len(t_ns) - 2)
    lines = slice(first, max(int(np.searchsorted(t_ns, end + margin)), first + 2))
    names = [channel["name"] for channel in alert["channels"][:CLOSE_CHANNELS]]
    chosen = [model.spec.names.index(name) for name in names] or _outstanding(one, lines, CLOSE_CHANNELS)
    values = one.signals[lines][:, chosen]
    expected = one.reconstruction[lines][:, chosen].astype(np.float64)
    titles = [_title(model, channel) for channel in chosen]
    return Picture(file, pictures.signals_picture(t_ns[lines], titles, values, expected, one.marks, one.zone))

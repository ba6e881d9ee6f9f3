"""How good it was: what was received of each asset, against what was wrong with it and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from edge_ae.core.timestamps import SECOND, parse_time_ns

SCORES_LATER = 3  # after the alert was raised: what is odd is then in full view
FOREVER = "2262-01-01T00:00:00Z"  # nearly the last time that fits into 64 bits of nanoseconds
AFTERMATH_NS = 1800 * SECOND  # an alert this soon after a fault belongs to it: tank and heat need time to come back


@dataclass(frozen=True)
class Span:
    """A fault, and the channels where it shows; none: the recording does not say."""

    what: str
    start_ns: int
    end_ns: int
    shows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asset:
    """What one asset will send, the model that watches it, and what is wrong when."""

    name: str
    model: Path
    names: tuple[str, ...]
    t_ns: NDArray[np.int64]
    values: NDArray[np.float64]
    spans: tuple[Span, ...]
    aftermath_ns: int = AFTERMATH_NS


@dataclass(frozen=True)
class Sick:
    """A sensor that the health topic called sick, and the event time at which it did."""

    channel: str
    fault: str
    since: str
    shown_ns: int


@dataclass
class Received:
    """What the daemon published of one asset: the newest body of each alert, its scores, and its sick sensors."""

    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    scores: list[tuple[int, float, float]] = field(default_factory=list)
    sick: list[Sick] = field(default_factory=list)

    def intervals(self) -> list[tuple[int, int]]:
        """Event times [raised, cleared) of all alerts; one still active has no end."""
        return [
            (parse_time_ns(body["ts_raised"]), parse_time_ns(body["ts_cleared"] or FOREVER))
            for body in self.alerts.values()
        ]

    def in_full_view(self) -> bool:
        """Whether an alert stands, and has stood for some scores."""
        raised = [parse_time_ns(body["ts_raised"]) for body in self.alerts.values() if body["ts_cleared"] is None]
        return any(sum(t_ns > raised_ns for t_ns, _, _ in self.scores) >= SCORES_LATER for raised_ns in raised)


def alerting(received: Mapping[str, Received]) -> str | None:
    """An asset whose alert is in full view; None: there is none now."""
    return next((name for name, got in received.items() if got.in_full_view()), None)


@dataclass(frozen=True)
class Finding:
    """One fault: the alert that found it, if any, and whether its first channel is one where the fault shows; else what
    the health topic showed of such a channel, for a sensor at fault is not the machine's."""

    asset: str
    span: Span
    alert: dict[str, Any] | None
    sick: Sick | None = None

    @property
    def found(self) -> bool:
        return self.alert is not None or self.sick is not None

    @property
    def row(self) -> tuple[str, ...]:
        if self.alert is not None:
            how, shown_ns, top = "found", parse_time_ns(self.alert["ts_raised"]), self.alert["top_channel"] or ""
        elif self.sick is not None:
            how, shown_ns, top = f"sensor {self.sick.fault}", self.sick.shown_ns, self.sick.channel
        else:
            return (escape(self.asset), escape(self.span.what), "[red]missed[/]", "", "", "")
        delay_s = max(shown_ns - self.span.start_ns, 0) / SECOND
        right = "" if len(self.span.shows) == 0 else "right" if top in self.span.shows else "[yellow]wrong[/]"
        named = escape(self.asset), escape(self.span.what)
        return (*named, f"[green]{how}[/]", f"{delay_s:.0f} s", escape(top), right)


def judge(asset: Asset, received: Received) -> tuple[list[Finding], int]:
    """What was found, and the number of alerts that belong to no fault."""
    bodies = list(received.alerts.values())
    within = [
        [b for b in bodies if s.start_ns <= parse_time_ns(b["ts_raised"]) < s.end_ns + asset.aftermath_ns]
        for s in asset.spans
    ]
    during = [
        [b for b in near if parse_time_ns(b["ts_raised"]) < s.end_ns]
        for s, near in zip(asset.spans, within, strict=True)
    ]
    explained = {body["id"] for near in within for body in near}
    findings = [
        Finding(asset.name, s, found[0] if found else None, _sick_in(s, received.sick))
        for s, found in zip(asset.spans, during, strict=True)
    ]
    return findings, len(bodies) - len(explained)


def _sick_in(span: Span, sick: Sequence[Sick]) -> Sick | None:
    inside = (one for one in sick if one.channel in span.shows and span.start_ns <= one.shown_ns < span.end_ns)
    return next(inside, None)


def rates(assets: Sequence[Asset], received: dict[str, Received]) -> str:
    """Row by row, over all assets: F1, false alarms among normal rows, misses among faulty rows."""
    truth = np.concatenate([_covered(a.t_ns, [(s.start_ns, s.end_ns) for s in a.spans]) for a in assets])
    alarm = np.concatenate([_covered(a.t_ns, received[a.name].intervals()) for a in assets])
    hit, false, missed = (truth & alarm).sum(), (~truth & alarm).sum(), (truth & ~alarm).sum()
    f1 = 2 * hit / max(2 * hit + false + missed, 1)
    far, mar = false / max((~truth).sum(), 1), missed / max(truth.sum(), 1)
    return f"by rows: F1 {f1:.2f}, false alarms {far:.1%} of the normal rows, {mar:.1%} of the faulty rows missed"


def _covered(t_ns: NDArray[np.int64], spans: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    covered = np.zeros(len(t_ns), bool)
    for start, end in spans:
        covered |= (t_ns >= start) & (t_ns < end)
    return covered


def table(findings: Sequence[Finding], false: dict[str, int]) -> Table:
    shown = Table("asset", "fault", "found", "delay", "named channel", "is that right")
    for finding in findings:
        shown.add_row(*finding.row)
    counts = ", ".join(f"{name} {count}" for name, count in false.items() if count > 0)
    counts = escape(counts) or "none"
    shown.caption = f"the delay is the machine's own time, standing included; false alerts: {counts}"
    return shown


def picture(assets: Sequence[Asset], received: dict[str, Received], path: Path) -> None:
    """Of the first two assets: some signals, and the score against its threshold; faults shaded, alerts as bars."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["text.parse_math"] = False  # a channel's name is no formula
    from matplotlib import pyplot

    shown = assets[:2]
    figure, axes = pyplot.subplots(5, len(shown), figsize=(9 * len(shown), 11), sharex="col", squeeze=False)
    for column, asset in enumerate(shown):
        times = asset.t_ns.astype("datetime64[ns]")
        wanted = [channel for span in asset.spans for channel in span.shows[:1]]
        for axis, channel in zip(axes[:4, column], [*dict.fromkeys([*wanted, *asset.names])][:4], strict=True):
            axis.plot(times, asset.values[:, asset.names.index(channel)], linewidth=0.6, color="#1f4e79")
            axis.set_ylabel(channel)
        _score_panel(axes[4, column], received[asset.name], times)
        for axis in axes[:, column]:
            for span in asset.spans:
                axis.axvspan(_date(span.start_ns), _date(span.end_ns), color="#f4b183", alpha=0.35, linewidth=0)
        axes[0, column].set_title(f"{asset.name}: " + ", ".join(span.what for span in asset.spans[:4]))
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def _score_panel(axis: Any, received: Received, times: NDArray[Any]) -> None:
    t_ns, scores, thresholds = (np.array(column) for column in zip(*received.scores, strict=True))
    axis.semilogy(_date(t_ns), scores, linewidth=0.6, color="#1f4e79", label="score")
    axis.semilogy(_date(t_ns), thresholds, linewidth=1.0, color="#c00000", label="threshold")
    for start, end in received.intervals():
        axis.axvspan(_date(start), min(_date(end), times[-1]), ymin=0, ymax=0.05, color="#c00000", linewidth=0)
    axis.yaxis.set_major_formatter("{x:g}")  # the default of a logarithmic axis is a formula
    axis.set_ylabel("score (bars: alerts)")
    axis.legend(loc="upper right")


def _date(t_ns: Any) -> Any:
    return np.asarray(t_ns).astype("datetime64[ns]")

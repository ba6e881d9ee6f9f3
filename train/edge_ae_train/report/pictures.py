"""Pictures for the report: arrays in, PNG bytes out. Knows nothing of models, files or HTML.

Grey is what was measured, blue what the model expected; a red field is an alert, an amber one a labelled event.
"""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cache
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import dates, font_manager, ticker
from matplotlib.figure import Figure
from numpy.typing import NDArray

Array = NDArray[np.float64]
Spans = Sequence[tuple[int, int]]  # begin and end in ns

MEASURED, EXPECTED, BOUNDARY, ALERT, LABEL = "#3d4451", "#1f77b4", "#c0392b", "#e74c3c", "#f5b041"
MODE_COLOURS = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#17becf", "#bcbd22")
WIDTH_INCH, DPI = 11.0, 110
MOST_POINTS = 4000  # a line: more would not show on so many pixels
LIMITS_QUANTILE = 0.999  # axes leave out what is rarer, so that one spike does not flatten the rest
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e8eb",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.parse_math": False,  # a channel's name is no formula, whatever signs are in it
}
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Arial Unicode MS",
)
LONGEST_NAME = 36  # characters on an axis; the tables have the whole of it
SHORTEST_INCH = 2.6  # of a picture beside which the title of a colour bar has to stand


@dataclass(frozen=True)
class Marks:
    """What is shaded behind every curve over time."""

    alerts: Spans = ()
    labels: Spans = ()


def score_picture(t_ns: NDArray[np.int64], score: Array, threshold: Array, marks: Marks, zone: tzinfo = UTC) -> bytes:
    """The score over time, its boundary, and the alerts."""
    with mpl.rc_context(_style()):
        figure = Figure((WIDTH_INCH, 3.0), layout="constrained")
        axes = figure.subplots()
        _line(axes, t_ns, score, color=MEASURED, label="score")
        _line(axes, t_ns, threshold, color=BOUNDARY, linestyle="--", label="boundary of normal")
        positive = score[np.isfinite(score) & (score > 0)]
        if len(positive) > 0 and positive.max() > 20 * np.median(positive):
            axes.set_yscale("log")
        axes.set_ylabel("distance from normal")
        _finish_time(axes, t_ns, marks, zone)
        _name_zone(axes, zone)
        _legend(figure, axes, marks)
        return _png(figure)


def signals_picture(
    t_ns: NDArray[np.int64], titles: Sequence[str], values: Array, expected: Array, marks: Marks, zone: tzinfo = UTC
) -> bytes:
    """One strip a channel: measured and expected."""
    with mpl.rc_context(_style()):
        figure = Figure((WIDTH_INCH, 0.9 + 1.25 * len(titles)), layout="constrained")
        strips = np.atleast_1d(figure.subplots(len(titles), 1, sharex=True))
        for index, (axes, title) in enumerate(zip(strips, titles, strict=True)):
            _line(axes, t_ns, values[:, index], color=MEASURED, label="measured", linewidth=0.9)
            _line(axes, t_ns, expected[:, index], color=EXPECTED, label="expected", linewidth=0.9)
            axes.set_title(title, loc="left", fontsize=9, pad=2)
            _finish_time(axes, t_ns, marks, zone)
        _name_zone(strips[-1], zone)
        _legend(figure, strips[0], marks)
        return _png(figure)


def contribution_picture(
    t_ns: NDArray[np.int64], titles: Sequence[str], part: Array, marks: Marks, zone: tzinfo = UTC
) -> bytes:
    """Channels over time; the darker, the larger the channel's part in the score."""
    with mpl.rc_context(_style() | {"axes.grid": False}):
        figure = Figure((WIDTH_INCH, max(1.2 + 0.24 * len(titles), SHORTEST_INCH)), layout="constrained")
        axes = figure.subplots()
        cells, left, right = _binned(t_ns, part)
        top = float(np.nanquantile(cells, LIMITS_QUANTILE)) if np.isfinite(cells).any() else 1.0
        extent = (left, right, len(titles) - 0.5, -0.5)
        image = axes.imshow(
            cells.T,
            aspect="auto",
            cmap="magma_r",
            vmin=0.0,
            vmax=max(top, 1e-9),
            extent=extent,
            interpolation="nearest",
        )
        axes.set_yticks(range(len(titles)), [_short(title) for title in titles])
        axes.xaxis_date()
        _time_ticks(axes, zone)
        _name_zone(axes, zone)
        for begin, end in marks.alerts:
            axes.hlines(-0.5, _date(begin), _date(end), color=ALERT, linewidth=5, clip_on=False)
        figure.colorbar(
            image, ax=axes, label="part in the score\n(1: the boundary)", pad=0.01, fraction=0.03, aspect=30
        )
        return _png(figure)


def found_picture(families: Sequence[str], kinds: Sequence[str], found: Array) -> bytes:
    """Who found which faults: `found` [kind, family] from 0 to 1, NaN where it was not looked for."""
    with mpl.rc_context(_style() | {"axes.grid": False}):
        size = (2.6 + 0.9 * len(families), 0.9 + 0.28 * len(kinds))
        figure = Figure(size, layout="constrained")
        axes = figure.subplots()
        axes.imshow(found, aspect="auto", cmap="Blues", vmin=0.0, vmax=1.0)
        axes.set_xticks(range(len(families)), [_short(family) for family in families])
        axes.set_yticks(range(len(kinds)), [_short(kind) for kind in kinds])
        axes.xaxis.tick_top()
        for (kind, family), share in np.ndenumerate(found):
            if np.isfinite(share):
                colour = "white" if share > 0.6 else MEASURED
                axes.text(family, kind, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=8)
        return _png(figure)


def latent_picture(
    points: Array, mode: NDArray[np.int64], alert: NDArray[np.bool_], shares: Array, explained: float
) -> bytes:
    """The map of all windows: dots of one colour behave alike, crosses are alerts."""
    with mpl.rc_context(_style()):
        figure = Figure((WIDTH_INCH * 0.9, 5.2), layout="constrained")
        axes = figure.subplots()
        for index, share in enumerate(shares):
            chosen = (mode == index) & ~alert
            colour = MODE_COLOURS[index % len(MODE_COLOURS)]
            name = f"mode {index + 1} ({share:.0%} of normal time)"
            axes.scatter(points[chosen, 0], points[chosen, 1], s=7, alpha=0.5, color=colour, label=name, linewidths=0)
        if alert.any():
            axes.scatter(
                points[alert, 0], points[alert, 1], s=16, marker="x", color=ALERT, label="in alert", linewidths=0.9
            )
        axes.set_xlabel(f"first axis (both show {explained:.0%} of the variation)")
        axes.set_ylabel("second axis")
        for axis in (axes.xaxis, axes.yaxis):
            _plain_numbers(axis)
        figure.legend(loc="outside right upper", fontsize=8)
        return _png(figure)


def _line(axes: mpl.axes.Axes, t_ns: NDArray[np.int64], values: Array, **how: Any) -> None:
    there = np.isfinite(values)  # a model with a hop has nothing to show for the rows between
    when, curve = _thinned(t_ns[there], _with_gaps(t_ns[there], values[there]))
    axes.plot(when, curve, **{"linewidth": 1.0} | how)


def _with_gaps(t_ns: NDArray[np.int64], values: Array) -> Array:
    """No line across a hole in the recording."""
    steps = np.diff(t_ns)
    curve = values.astype(np.float64)
    if len(steps) > 0:
        curve[1:][steps > 20 * max(float(np.median(steps)), 1.0)] = np.nan
    return curve


def _thinned(t_ns: NDArray[np.int64], values: Array) -> tuple[Array, Array]:
    """Smallest and largest value of each stretch: what is drawn looks as if every point were."""
    when = _date(t_ns)
    size = -(-2 * len(values) // MOST_POINTS)
    if size <= 2:
        return when, values
    firsts = np.arange(0, len(values), size)
    pairs = [np.fmin.reduceat(values, firsts), np.fmax.reduceat(values, firsts)]
    return np.repeat(when[firsts], 2), np.column_stack(pairs).ravel()


def _binned(t_ns: NDArray[np.int64], part: Array) -> tuple[Array, float, float]:
    """[column, channel] on even steps of time, the largest of each step; NaN where nothing was."""
    columns = min(600, max(1, int(np.isfinite(part).any(axis=1).sum())))
    edges = np.linspace(t_ns[0], t_ns[-1] + 1, columns + 1)
    column = np.clip(np.searchsorted(edges, t_ns, side="right") - 1, 0, columns - 1)
    cells = np.full((columns, part.shape[1]), np.nan)
    np.fmax.at(cells, column, part)
    return cells, float(_date(edges[0])), float(_date(edges[-1]))


def _date(t_ns: NDArray[np.int64] | float | int) -> Array:
    """matplotlib's dates are days since 1970 as floats."""
    return np.asarray(t_ns, dtype=np.float64) / 86_400e9


def _finish_time(axes: mpl.axes.Axes, t_ns: NDArray[np.int64], marks: Marks, zone: tzinfo) -> None:
    for spans, colour in ((marks.labels, LABEL), (marks.alerts, ALERT)):
        for begin, end in spans:
            axes.axvspan(float(_date(begin)), float(_date(end)), color=colour, alpha=0.22, linewidth=0)
    axes.set_xlim(float(_date(t_ns[0])), float(_date(t_ns[-1])))
    axes.margins(y=0.08)
    _time_ticks(axes, zone)
    _plain_numbers(axes.yaxis)


def _time_ticks(axes: mpl.axes.Axes, zone: tzinfo) -> None:
    locator: Any = dates.AutoDateLocator(tz=zone, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=zone))  # type: ignore[no-untyped-call]


def _name_zone(axes: mpl.axes.Axes, zone: tzinfo) -> None:
    axes.set_xlabel(str(zone), loc="left", fontsize=8)


def _plain_numbers(axis: Any) -> None:
    """Each tick says its whole value: no offset to be added, and no formula, as a logarithmic axis has by default."""
    axis.set_major_formatter("{x:.10g}")
    if axis.get_scale() == "log":
        first, last = np.log10(axis.get_view_interval())
        axis.set_minor_formatter("{x:.10g}" if last - first < 1.0 else ticker.NullFormatter())


def _short(name: str) -> str:
    """Without its middle, where it would take the room of the picture."""
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]} … {name[-half:]}"


@cache
def _fonts() -> tuple[str, ...]:
    """Those of FONTS that are installed, for names in signs that the first one lacks."""
    there = set(font_manager.fontManager.get_font_names())
    return tuple(name for name in FONTS if name in there)


def _style() -> Any:
    return STYLE | {"font.family": list(_fonts())}


def _legend(figure: Figure, axes: mpl.axes.Axes, marks: Marks) -> None:
    """Above the axes: inside, it would lie on the curves."""
    handles, names = axes.get_legend_handles_labels()
    for spans, colour, name in ((marks.alerts, ALERT, "alert"), (marks.labels, LABEL, "labelled event")):
        if spans:
            handles.append(mpl.patches.Patch(color=colour, alpha=0.3, linewidth=0))
            names.append(name)
    figure.legend(handles, names, loc="outside upper right", ncols=len(names), fontsize=8)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing"
        )  # the tables have the name in the reader's own fonts
        figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()

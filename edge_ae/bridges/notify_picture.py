"""The last hour as a picture for a telephone: the ratio against the boundary, and below it the accused channels.

A panel each, black on white; a gap in the data is a gap in the line. Drawn by Pillow, in a process of its own, which for that has no need of numpy.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from edge_ae.core.printable import printable

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

WIDTH, PANEL, HEAD, FOOT, SIDE = 720, 190, 34, 40, 14
"""Pixels: of the picture, of a panel and the line of text in it, of the times below, and beside the curves."""
INK, FAINT, CURVE, LEVEL = "#222222", "#dddddd", "#1f5fa8", "#c03020"
TITLE_CHARS = 48
FONT_PX = 22
COLOURS = 32
TICKS = 3
DASH = 12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Curves:
    """An hour, as plain values. `channels`: (name, unit, observed, expected at the alert), the most accused first."""

    t_s: tuple[int, ...]
    ratio: Values
    channels: tuple[tuple[str, str, Values, float | None], ...]


def png(curves: Curves, zone: tzinfo) -> bytes:
    """A PNG of a few kB. Raises ImportError where Pillow is not installed."""
    from PIL import Image, ImageDraw, ImageFont

    panels = [("times the boundary", "", curves.ratio, 1.0), *curves.channels]
    image = Image.new("RGB", (WIDTH, PANEL * len(panels) + FOOT), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(FONT_PX)
    for number, (name, unit, values, level) in enumerate(panels):
        _panel(draw, font, number * PANEL, _head(name, unit, values, level, is_ratio=number == 0), values, level)
    _times(draw, font, PANEL * len(panels), curves.t_s, zone)
    out = io.BytesIO()
    image.quantize(COLOURS).save(out, "PNG", optimize=True)
    return out.getvalue()


def _head(name: str, unit: str, values: Values, level: float | None, *, is_ratio: bool) -> str:
    """Such as "vibration 1.61 mm/s, expected 1.17"."""
    known = [value for value in values if value is not None]
    newest = "-" if not known else f"{known[-1]:.4g}"
    if is_ratio:
        return f"{newest} {name}"
    expected = "" if level is None else f", expected {level:.4g}"
    return f"{printable(name, TITLE_CHARS)} {newest} {printable(unit, TITLE_CHARS)}".rstrip() + expected


def _panel(draw: "ImageDraw", font: Any, top: int, head: str, values: Values, level: float | None) -> None:
    draw.text((SIDE, top + 6), head, INK, font)
    known = [value for value in (*values, level) if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    spread = (high - low) or abs(high) or 1.0
    first, last = top + HEAD, top + PANEL - 8

    def y(value: float) -> float:
        return last - (last - first) * ((value - low) / spread * 0.9 + 0.05)

    draw.rectangle((SIDE, first, WIDTH - SIDE, last), outline=FAINT)
    if level is not None:
        _dashed(draw, y(level))
    for points in _runs(values):
        draw.line([(x, y(value)) for x, value in points], CURVE, 3, "curve")


def _dashed(draw: "ImageDraw", y: float) -> None:
    for x in range(SIDE, WIDTH - SIDE, 2 * DASH):
        draw.line((x, y, min(x + DASH, WIDTH - SIDE), y), LEVEL, 2)


def _runs(values: Values) -> list[list[tuple[float, float]]]:
    """The stretches without a gap, as (x in pixels, value); a single point is as long as a dot."""
    step = (WIDTH - 2 * SIDE) / max(len(values) - 1, 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values):
        if value is not None:
            runs[-1].append((SIDE + index * step, value))
        elif runs[-1]:
            runs.append([])
    return [run if len(run) > 1 else [run[0], (run[0][0] + 2, run[0][1])] for run in runs if run]


def _times(draw: "ImageDraw", font: Any, top: int, t_s: Sequence[int], zone: tzinfo) -> None:
    for tick in range(TICKS):
        part = tick / (TICKS - 1)
        t = t_s[0] + part * (t_s[-1] - t_s[0])
        text = f"{(_EPOCH + timedelta(seconds=t)).astimezone(zone):%H:%M}"
        width = draw.textlength(text, font)
        draw.text((SIDE + part * (WIDTH - 2 * SIDE - width), top + 4), text, INK, font)

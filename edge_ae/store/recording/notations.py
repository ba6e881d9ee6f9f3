"""Notations of dates and times: where the digits of a text stand that is written alike in many lines.

A shape is a text with all its digits as zeros: "0000-00-00 00:00:00" or "0.0.0000 00:00". Where a shape is understood, all
texts of that shape are read at once, as columns of digits. What no shape here covers is left to `parse_time_ns`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edge_ae.core.timestamps import SECOND

Bytes = NDArray[np.uint8]
Whole = NDArray[np.int64]
Span = tuple[int, int]

DAY_NS = 86_400 * SECOND
MONTHS = {
    name: month
    for month, names in enumerate(
        (
            "jan january januar janv janvier ene enero",
            "feb february februar fev fevr fevrier febrero",
            "mar march mrz marz maerz mars marzo",
            "apr april avr avril abr abril",
            "may mai mayo maj",
            "jun june juni juin junio",
            "jul july juli juil juillet julio",
            "aug august aout ago agosto",
            "sep sept september septembre septiembre",
            "oct october okt oktober octobre octubre",
            "nov november novembre noviembre",
            "dec december dez dezember decembre dic diciembre",
        ),
        start=1,
    )
    for name in names.split()
}
_PLAIN = str.maketrans("äéûôèáíóú", "aeuoeaiou")
_LETTER = r"[A-Za-z\x80-\xff]"  # of a name, in the bytes of UTF-8
_CLOCK = r"(?P<H>0{1,2})[:.h](?P<M>00)(?:[:.](?P<S>00?)(?:[.,:](?P<f>0{1,9})0*)?)?(?:\s*(?P<half>[AaPp])\.?\s?[Mm]\.?)?"
_ZONE = r"\s*(?P<zone>Z|z|UTC|GMT|(?:UTC|GMT)?(?P<sign>[+-])(?P<oh>00):?(?P<om>00)?|(?<=\s)(?P<place>[A-Z]{3,5}))?"
_DATES = (
    r"(?P<a>0{1,2}|0000)(?P<sep>[-./ ])(?P<b>0{1,2})(?P=sep)(?P<c>0{1,2}|0000)\.?",
    rf"(?P<a>0{{1,2}}|0000)(?:\. ?|[-/ ]?)(?P<month>{_LETTER}{{3,10}})(?:\. ?|, ?|[-/ ]?)(?P<c>0000|0{{1,2}})",
    rf"(?P<month>{_LETTER}{{3,10}})\.? (?P<b>0{{1,2}}),? (?P<c>0000)",
    r"(?P<Y>0000)(?P<m>00)(?P<d>00)(?=[T _-])",
)
_WEEKDAY = rf"(?:{_LETTER}{{2,10}}\.?,? )?"
_MOMENTS = [re.compile(rf"{_WEEKDAY}{date}(?:,? ?T?|[T_:-]){_CLOCK}{_ZONE}", re.ASCII) for date in _DATES]
_DAYS = [re.compile(_WEEKDAY + date, re.ASCII) for date in _DATES]
_COMPACT = re.compile(
    rf"(?P<Y>0000)(?P<m>00)(?P<d>00)[T _-]?(?P<H>00)(?P<M>00)(?P<S>00)(?:[.,](?P<f>0{{1,9}})0*)?{_ZONE}", re.ASCII
)
_NUMBER = re.compile(r"(?P<whole>0{1,18})(?:[.,](?P<f>0{1,9})0*)?", re.ASCII)
_TIME_OF_DAY = re.compile(rf"{_CLOCK}{_ZONE}", re.ASCII)
DIGIT = re.compile(r"\d", re.ASCII)


@dataclass(frozen=True)
class Notation:
    """What a shape means. `spans`: where the digits of each part stand. `orders`: those that the date may be written in,
    first to last; none where the text is a number. `month`, `half`, `zone`: what its letters say. `place`: a zone by a
    name such as CET, which says no offset."""

    spans: dict[str, Span]
    orders: tuple[str, ...] = ()
    month: int = 0
    half: str = ""
    zone: str = ""
    place: str = ""

    @property
    def is_number(self) -> bool:
        return "whole" in self.spans


@lru_cache(maxsize=4096)
def notation_of(shape: str) -> Notation | None:
    """What texts of this shape say; None where nothing here knows it."""
    core = shape.strip()
    offset = shape.index(core) if core else 0
    if (number := _NUMBER.fullmatch(core)) and not _COMPACT.fullmatch(core):
        return Notation(_spans(number, offset))
    for pattern in (_COMPACT, *_MOMENTS, *_DAYS):
        match = pattern.fullmatch(core)
        if match and (notation := _notation(match, offset)):
            return notation
    return None


def shape_of(text: str) -> str:
    """The text with all its digits as zeros, a character for each of its bytes."""
    return DIGIT.sub("0", text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1"))


def is_date(text: str) -> bool:
    """Whether a text is a date, with a time of day or without."""
    notation = notation_of(shape_of(text)) if len(text) <= 64 else None
    return notation is not None and not notation.is_number


def is_day(text: str) -> bool:
    """Whether a text is a date without a time of day, such as 02.03.2026 or 20260302."""
    stripped = text.strip()
    notation = notation_of(shape_of(stripped)) if len(stripped) <= 64 else None
    if notation is not None and notation.is_number:
        return bool(re.fullmatch(r"(19|20)\d\d(0[1-9]|1[012])([012]\d|3[01])", stripped, re.ASCII))
    return notation is not None and "H" not in notation.spans


def is_time_of_day(text: str) -> bool:
    """Whether a text is a time of day without a date. 14.22 is none: it is a number first."""
    shape = shape_of(text.strip())
    return len(shape) <= 64 and _NUMBER.fullmatch(shape) is None and _TIME_OF_DAY.fullmatch(shape) is not None


def _spans(match: re.Match[str], offset: int) -> dict[str, Span]:
    numeric = ("a", "b", "c", "Y", "m", "d", "H", "M", "S", "f", "oh", "om", "whole")
    groups = match.groupdict()
    return {
        name: (match.start(name) + offset, match.end(name) + offset) for name in numeric if groups.get(name) is not None
    }


def _notation(match: re.Match[str], offset: int) -> Notation | None:
    groups, spans = match.groupdict(), _spans(match, offset)
    month = 0
    if groups.get("month") is not None:
        name = groups["month"].encode("latin-1").decode("utf-8", "replace")
        month = MONTHS.get(name.lower().translate(_PLAIN), 0)
        if month == 0:
            return None
    half = (groups.get("half") or "").lower()
    place = groups.get("place") or ""
    zone = groups.get("sign") or ("Z" if groups.get("zone") and not place else "")
    return Notation(spans, _orders(match), month, half, zone, place)


def _orders(match: re.Match[str]) -> tuple[str, ...]:
    groups = match.groupdict()
    if groups.get("Y"):
        return ("YMD",)
    if groups.get("month"):
        return ("ymd",) if len(groups.get("a") or "") == 4 else ("dmy",)
    if len(groups["a"]) == 4:
        return ("ymd",)
    if groups["sep"] == ".":
        return ("dmy",)
    return ("dmy", "mdy") if len(groups["c"]) == 4 else ("dmy", "mdy", "ymd")


# -- columns of digits -----------------------------------------------------------------------------------------


def number_at(digits: Bytes, span: Span) -> Whole:
    """The whole numbers that stand at `span` in texts [text, byte]."""
    total = np.zeros(len(digits), np.int64)
    for column in range(*span):
        total = total * 10 + (digits[:, column] - np.uint8(48))
    return total


def fraction_at(digits: Bytes, span: Span | None) -> Whole:
    """Billionths: what stands behind the point, to nine digits."""
    if span is None:
        return np.zeros(len(digits), np.int64)
    first, end = span
    scale: int = 10 ** max(0, 9 - (end - first))
    return number_at(digits, (first, min(end, first + 9))) * scale


def moments_at(digits: Bytes, notation: Notation, order: str) -> tuple[Whole, Whole | None, NDArray[np.bool_]]:
    """Of texts [text, byte] that are dates: local ns since the epoch, the offset from UTC in ns where they say one, and which
    of them exist (there is no 30 February)."""
    spans = notation.spans
    year, month, day = _date_at(digits, notation, order)
    hour, minute, second = (number_at(digits, spans[part]) if part in spans else 0 * day for part in "HMS")
    exists = (hour < 24) & (minute < 60) & (second < 60)
    if notation.half:
        exists &= (hour >= 1) & (hour <= 12)
        hour = hour % 12 + (12 if notation.half == "p" else 0)
    exists &= (year >= 1678) & (year <= 2261) & (month >= 1) & (month <= 12) & (day >= 1)
    months = (np.where(exists, year, 1970) - 1970) * 12 + np.where(exists, month, 1) - 1
    first, following = (_first_day(months + step) for step in (0, 1))
    exists &= day <= following - first
    seconds = (first + day - 1) * 86_400 + hour * 3600 + minute * 60 + second
    local_ns = np.where(exists, seconds, 0) * SECOND + fraction_at(digits, spans.get("f"))
    offset_ns = _offset_at(digits, notation)
    return local_ns, offset_ns, exists if offset_ns is None else exists & (np.abs(offset_ns) < DAY_NS)


def _date_at(digits: Bytes, notation: Notation, order: str) -> tuple[Whole, Whole, Whole]:
    spans = notation.spans
    if "Y" in spans:
        return number_at(digits, spans["Y"]), number_at(digits, spans["m"]), number_at(digits, spans["d"])
    parts = {place: number_at(digits, spans[place]) for place in "abc" if place in spans}
    if notation.month:
        month = np.full(len(digits), notation.month, np.int64)
        day, year = (parts["c"], parts["a"]) if order == "ymd" else (parts.get("a", parts.get("b")), parts["c"])
        assert day is not None
        width = np.diff(spans["a" if order == "ymd" else "c"])[0]
    else:
        named = dict(zip(order, (parts["a"], parts["b"], parts["c"]), strict=True))
        year, month, day = named["y"], named["m"], named["d"]
        width = np.diff(spans["abc"[order.index("y")]])[0]
    if width <= 2:
        year = year + np.where(year < 70, 2000, 1900)
    return year, month, day


def _first_day(months: Whole) -> Whole:
    """The day, counted from the epoch, on which a month, counted from the epoch, begins."""
    days: Whole = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return days


def _offset_at(digits: Bytes, notation: Notation) -> Whole | None:
    if not notation.zone:
        return None
    if notation.zone == "Z":
        return np.zeros(len(digits), np.int64)
    hours, minutes = (
        number_at(digits, notation.spans[part]) if part in notation.spans else np.zeros(len(digits), np.int64)
        for part in ("oh", "om")
    )
    return (hours * 60 + minutes) * (60 * SECOND) * (-1 if notation.zone == "-" else 1)

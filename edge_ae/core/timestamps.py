"""Times as people and machines write them -> integer nanoseconds since the epoch, UTC, and back.

Knows nothing of clocks. Numbers are epoch times whose unit their magnitude shows: seconds below 1e11,
milliseconds below 1e14, microseconds below 1e17, nanoseconds above (each unit covers 1973 to 5138). ISO 8601 without an
offset is UTC, or the local time of a zone where one is given. No float is ever multiplied into an epoch time: a double
holds epoch seconds to a quarter of a microsecond, and what a product adds below that would move readings over the edge of
their slot.
"""

import math
import re
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

SECOND = 1_000_000_000
MS, MINUTE, HOUR = SECOND // 1000, 60 * SECOND, 3600 * SECOND

_UNITS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))
_LARGEST = 2**63 - 1
_EPOCH = datetime(1970, 1, 1)  # naive on both sides: half the price
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MICROSECONDS_LONG = len("20261123T101433.123456")
_FINE = re.compile(r"^(.*:\d\d)[.,](\d{7,})(.*)$", re.ASCII)


def seconds_ns(seconds: float) -> int:
    """A length of time in nanoseconds."""
    return round(seconds * SECOND)


def time_ns(value: str | int | float, zone: tzinfo | None = None, near_ns: int = 0) -> int:
    """Nanoseconds since the epoch of a time in a payload; ValueError with a short reason.

    `zone`: of ISO 8601 without an offset. A local time that comes twice, or never, where clocks are changed, is the one of
    its two meanings that is nearer to `near_ns`.
    """
    if isinstance(value, str):
        return parse_time_ns(value, zone, near_ns)
    if isinstance(value, bool):
        raise ValueError("a truth value is no time")
    if isinstance(value, int):
        return _checked(value * _unit_ns(value))
    if isinstance(value, float):
        return _float_ns(value)
    raise ValueError(f"{type(value).__name__} is no time")


def parse_time_ns(text: str, zone: tzinfo | None = None, near_ns: int = 0) -> int:
    """Nanoseconds since the epoch of an epoch number or ISO 8601 text, as `time_ns`; ValueError with a short reason."""
    if text.isdecimal() and text.isascii():
        number = int(text)
        return _checked(number * _unit_ns(number))
    stripped = text.strip()
    if stripped[4:5] == "-" and stripped[7:8] == "-":  # 2026-11-23...: no need to ask whether it is a number
        return _iso_ns(stripped, zone, near_ns)
    if _NUMBER.fullmatch(stripped):
        return _decimal_ns(stripped)
    return _iso_ns(stripped, zone, near_ns)


def rfc3339(t_ns: int) -> str:
    """UTC with milliseconds, as every time that leaves the program is written."""
    return (_EPOCH + timedelta(milliseconds=t_ns // 1_000_000)).isoformat(timespec="milliseconds") + "Z"


def minute_text(t_ns: int) -> str:
    """Such as "2026-11-24 14:03 UTC", for sentences."""
    return f"{_EPOCH + timedelta(seconds=t_ns // SECOND):%Y-%m-%d %H:%M} UTC"


def duration_text(length_ns: float) -> str:
    """A length of time in the unit that suits it, such as "20 s", "1.5 h" or "250 ms"."""
    for unit_ns, name in ((24 * HOUR, "days"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        if length_ns >= unit_ns:
            return f"{length_ns / unit_ns:.4g} {name}"
    return f"{length_ns / MS:.4g} ms"


def _unit_ns(number: int | float | Decimal) -> int:
    for limit, unit_ns in _UNITS:
        if -limit < number < limit:
            return unit_ns
    return 1


def _float_ns(value: float) -> int:
    """Exact to the microsecond, which is all that a double of this size holds."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is no time")
    unit_ns = _unit_ns(value)
    whole = math.floor(value)
    fraction_us = round((value - whole) * (unit_ns // 1000))
    return _checked(whole * unit_ns + fraction_us * 1000)


def _decimal_ns(text: str) -> int:
    try:
        number = Decimal(text)
        if number.adjusted() > 20:
            raise ValueError("the time is outside 1678 to 2262")
        return _checked(math.floor(number * _unit_ns(number)))
    except ArithmeticError:  # an exponent beyond what a decimal holds
        raise ValueError("no time has such an exponent") from None


def _iso_ns(text: str, zone: tzinfo | None, near_ns: int) -> int:
    """datetime holds microseconds and drops what is finer: those digits are added by hand."""
    fine = _FINE.match(text) if len(text) > _MICROSECONDS_LONG else None
    if fine:
        digits = fine[2][:9].ljust(9, "0")
        return _checked(_iso_ns(fine[1] + fine[3], zone, near_ns) + int(digits))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("neither ISO 8601 nor an epoch time") from None
    if moment.tzinfo is not None:
        return _since_ns(moment - _EPOCH_UTC)
    if zone is None:
        return _since_ns(moment - _EPOCH)
    first, second = (_since_ns(moment - _EPOCH - _offset(moment.replace(tzinfo=zone, fold=fold))) for fold in (0, 1))
    return first if abs(first - near_ns) <= abs(second - near_ns) else second


def _offset(moment: datetime) -> timedelta:
    offset = moment.utcoffset()
    return timedelta() if offset is None else offset


def _since_ns(since: timedelta) -> int:
    return _checked(((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000)


def _checked(t_ns: int) -> int:
    if -_LARGEST <= t_ns <= _LARGEST:
        return t_ns
    raise ValueError("the time is outside 1678 to 2262")

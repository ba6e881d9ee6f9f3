"""What a value of the settings may be, beyond its type: each kind with its check, whose sentence says what it should be."""

from datetime import UTC
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, Field

from edge_ae.core.expression import Expression
from edge_ae.core.field_paths import path_fault
from edge_ae.core.formats.decoder import ASSET_NAME
from edge_ae.core.quiet_hours import QuietHours
from edge_ae.core.rules import budget_ns, min_deviation_of
from edge_ae.core.suppression import Maintenance
from edge_ae.core.topics import base_fault, topic_fault


def _budget(text: str) -> str:
    budget_ns(text)
    return text


def _min_deviation(value: float | str) -> float | str:
    min_deviation_of(value)
    return value


def _name(text: str) -> str:
    if ASSET_NAME.fullmatch(text) is None:
        raise ValueError("should be 1 to 64 letters, digits or _-.:@()= and begin with a letter or digit")
    return text


def _topic(text: str) -> str:
    fault = topic_fault(text)
    if fault is not None:
        raise ValueError(f'{fault}; write it like "plant/{{asset}}/telemetry"')
    return text


def _path(text: str) -> str:
    fault = path_fault(text)
    if fault is not None:
        raise ValueError(f'{fault}; write it like "motor.current" or "d[tag={{channel}}].value"')
    return text


def _base(text: str) -> str:
    fault = base_fault(text)
    if fault is not None:
        raise ValueError(fault)
    return text


def _level(text: str) -> str:
    if set("/+#\0") & set(text):
        raise ValueError('should be one level of a topic, without / + and #, such as "plant-1"')
    return text


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if not available_timezones():
            raise ValueError("is unknown, for this machine knows no time zones: install its package tzdata") from None
        raise ValueError('is no time zone that this machine knows; write it like "Europe/Berlin"') from None
    return name


def _quiet_hours(text: str) -> str:
    QuietHours.of(text, UTC)
    return text


def _when(text: str) -> str:
    return Expression.of(text).text if text else ""


def _days(days: tuple[str, ...]) -> tuple[str, ...]:
    Maintenance.of(days, None, UTC)
    return days


def _page(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or not url.isascii() or not url.isprintable():
        raise ValueError('should be the address of a page; write it like "http://pi-7:8182/asset/{node}/{asset}"')
    return url


Base = Annotated[str, AfterValidator(_base)]
Budget = Annotated[str, AfterValidator(_budget)]
Days = Annotated[tuple[str, ...], AfterValidator(_days)]
Duration = Annotated[float, Field(gt=0, le=10 * 365 * 86_400)]
FieldPath = Annotated[str, Field(min_length=1), AfterValidator(_path)]
Hours = Annotated[str, AfterValidator(_quiet_hours)]
LeastDeviation = Annotated[float | str, AfterValidator(_min_deviation)]
Name = Annotated[str, AfterValidator(_name)]
PageUrl = Annotated[str, AfterValidator(_page)]
Seconds = Annotated[float, Field(ge=0, le=10 * 365 * 86_400)]
WatchedState = Annotated[str, AfterValidator(_when)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Topic = Annotated[str, AfterValidator(_topic)]
TopicLevel = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_level)]

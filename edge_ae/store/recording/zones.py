"""The zone that the name of a column of times says: "Date Time, GMT+02:00", "Time (UTC-5)", "Zeit [Europe/Berlin]"."""

import re
from datetime import UTC, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_OFFSET = re.compile(
    r"(?:^|[\s,(\[_])(?:UTC|GMT)\s*(?:([+\u2212-])\s*(\d{1,2})(?::?([0-5]\d))?)?\s*(?:[)\],_]|$)", re.ASCII | re.I
)
_PLACE = re.compile(r"\b((?!Etc)[A-Z][A-Za-z]+/[A-Z][A-Za-z_]+)\b", re.ASCII)
_NAMED = re.compile(r"(?:^|[\s,(\[_/])(CES?T|MES?Z|EES?T|WES?T|BST|[ECMP][SD]T|JST|IST|AES?T)(?:[)\],_]|$)", re.ASCII)
FARTHEST_HOURS = 14


def zone_in(name: str) -> tzinfo | None:
    """None where the name says no zone that is one."""
    if offset := _OFFSET.search(name):
        sign, hours, minutes = offset.groups(default="0")
        east = timedelta(hours=int(hours), minutes=int(minutes)) * (1 if sign in "+0" else -1)
        far = int(hours) > FARTHEST_HOURS
        return None if far else timezone(east) if east else UTC
    return next(filter(None, map(_place, _PLACE.findall(name))), None)


def name_in(name: str) -> str | None:
    """A zone such as CET, whose name alone says no offset."""
    match = _NAMED.search(name)
    return match[1] if match else None


def _place(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None

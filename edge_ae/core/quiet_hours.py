"""The hours of the day in which people are not to be disturbed: by the wall clock of a zone, and over midnight where they are so."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from edge_ae.core.timestamps import SECOND

_CLOCK = r"([01]?\d|2[0-3]):([0-5]\d)"
_HOURS = re.compile(rf"\s*{_CLOCK}\s*-\s*{_CLOCK}\s*", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begin` to before `end`, in minutes since midnight; an end before the begin is on the next day."""

    begin: int
    end: int
    zone: tzinfo

    @classmethod
    def of(cls, text: str, zone: tzinfo) -> "QuietHours":
        """Of "22:00-06:00". Raises ValueError with what it should be."""
        found = _HOURS.fullmatch(text)
        if found is None:
            raise ValueError('should be two times of day; write it like "22:00-06:00"')
        from_hour, from_minute, to_hour, to_minute = map(int, found.groups())
        begin, end = 60 * from_hour + from_minute, 60 * to_hour + to_minute
        if begin == end:
            raise ValueError('should be two different times of day; write it like "22:00-06:00"')
        return cls(begin, end, zone)

    def covers(self, t_ns: int) -> bool:
        """Whether a moment, in ns since the epoch, is in them."""
        return self.weekday(t_ns) is not None

    def weekday(self, t_ns: int) -> int | None:
        """The day on which the hours that a moment is in began, 0 for Monday; None: it is in none."""
        local = (_EPOCH + timedelta(seconds=t_ns // SECOND)).astimezone(self.zone)
        minute = 60 * local.hour + local.minute
        if self.begin <= minute and (minute < self.end or self.end < self.begin):
            return local.weekday()
        return (local.weekday() - 1) % 7 if minute < self.end < self.begin else None

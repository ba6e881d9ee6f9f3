"""Which hours of a day and which days of a week the rows are of: who is taught a shift knows nothing of the night.

Pure: stretches of rows in, a sentence out.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from edge_ae.core.timestamps import MINUTE, SECOND
from edge_ae_train.data.segments import Segment

HOURS, DAYS = 24, 7
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LOOK_NS = 10 * MINUTE  # from one row that is looked at to the next
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def unseen_times(segments: Sequence[Segment], period_ns: int, zone: tzinfo) -> str | None:
    """A sentence; None where rows are of every hour of the day and of every day of the week, by the clock of the `zone`."""
    moments = [moment for segment in segments for moment in _moments(segment, period_ns, zone)]
    hours, days = {moment.hour for moment in moments}, {moment.weekday() for moment in moments}
    seen = []
    if len(hours) < HOURS:
        runs = ", ".join(f"{first:02}:00 to {(last + 1) % HOURS:02}:00" for first, last in _runs(hours, HOURS))
        seen.append(f"{len(hours)} of the 24 hours of a day ({runs}, {zone})")
    if len(days) < DAYS:
        runs = ", ".join(
            DAY_NAMES[first] if first == last else f"{DAY_NAMES[first]} to {DAY_NAMES[last]}"
            for first, last in _runs(days, DAYS)
        )
        seen.append(f"{len(days)} of the 7 days of a week ({runs})")
    if not moments or not seen:
        return None
    return (
        f"learned from {' and '.join(seen)}: what the machine does at other times is new to this model and may raise "
        "alerts; where it runs then too, record a whole week"
    )


def _moments(segment: Segment, period_ns: int, zone: tzinfo) -> list[datetime]:
    rows = [*range(0, len(segment), max(1, LOOK_NS // period_ns)), len(segment) - 1]
    seconds = [(segment.start_slot + row) * period_ns // SECOND for row in rows if row >= 0]
    return [(EPOCH + timedelta(seconds=one)).astimezone(zone) for one in seconds]


def _runs(seen: set[int], around: int) -> list[tuple[int, int]]:
    """First and last of each run of what was seen, on a clock that goes `around` so many."""
    firsts = [one for one in sorted(seen) if (one - 1) % around not in seen] or [0]
    return [(first, _last(first, seen, around)) for first in firsts]


def _last(first: int, seen: set[int], around: int) -> int:
    ahead = next((step for step in range(1, around) if (first + step) % around not in seen), around)
    return (first + ahead - 1) % around

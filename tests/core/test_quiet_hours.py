"""Quiet hours by the wall clock of a zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.quiet_hours import QuietHours
from edge_ae.core.timestamps import parse_time_ns

BERLIN = ZoneInfo("Europe/Berlin")
MINUTES = st.integers(0, 24 * 60 - 1)


@pytest.mark.parametrize(
    ("time", "quiet"),
    [
        ("2026-11-26T21:59:59+01:00", False),
        ("2026-11-26T22:00:00+01:00", True),
        ("2026-11-27T05:59:59+01:00", True),
        ("2026-11-27T06:00:00+01:00", False),
        ("2026-07-01T21:30:00Z", True),  # summer: 23:30 in Berlin
        ("2026-11-26T21:30:00Z", True),  # winter: 22:30
        ("2026-11-26T20:30:00Z", False),
    ],
)
def test_quiet_hours_reach_over_midnight_and_follow_summer_time(time: str, quiet: bool) -> None:
    assert QuietHours.of("22:00-06:00", BERLIN).covers(parse_time_ns(time)) is quiet


def test_hours_over_midnight_are_of_the_day_on_which_they_began() -> None:
    night = QuietHours.of("22:00-06:00", UTC)
    times = ("2026-11-27T21:59Z", "2026-11-27T22:00Z", "2026-11-28T05:59Z", "2026-11-28T06:00Z")
    assert [night.weekday(parse_time_ns(time)) for time in times] == [None, 4, 4, None]


@given(begin=MINUTES, length=st.integers(1, 24 * 60 - 1), day=st.integers(0, 20_000))
def test_quiet_hours_last_as_long_as_they_say_on_each_day(begin: int, length: int, day: int) -> None:
    end = (begin + length) % (24 * 60)
    hours = QuietHours.of(f"{begin // 60}:{begin % 60:02}-{end // 60:02}:{end % 60:02}", UTC)
    midnight_s = day * 86_400
    covered = [hours.covers((midnight_s + 60 * minute) * 10**9) for minute in range(24 * 60)]
    assert sum(covered) == length
    assert covered[begin]
    assert not covered[end]


@given(t=st.datetimes(datetime(1990, 1, 1), datetime(2080, 1, 1)))
def test_local_time_decides(t: datetime) -> None:
    local = t.replace(tzinfo=UTC).astimezone(BERLIN)
    t_ns = (t - datetime(1970, 1, 1)) // timedelta(seconds=1) * 10**9
    assert QuietHours.of("12:00-13:30", BERLIN).covers(t_ns) is (
        12 * 60 <= 60 * local.hour + local.minute < 13 * 60 + 30
    )


@pytest.mark.parametrize("text", ["", "22-6", "22:00", "24:00-06:00", "22:00-06:60", "06:00-06:00", "a:00-b:00"])
def test_what_is_no_two_times_of_day_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match='write it like "22:00-06:00"'):
        QuietHours.of(text, UTC)

"""What of the day and of the week a model was taught."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from edge_ae_train.data.hours import unseen_times
from edge_ae_train.data.segments import Segment

from edge_ae.core.timestamps import MINUTE, SECOND

HOUR_ROWS = 60
TEACHES = ": what the machine does at other times is new to this model"


def rows(first: str, hours: float) -> Segment:
    """A row a minute, from this time of 2026 on."""
    start_s = int(datetime.fromisoformat(f"2026-{first}").replace(tzinfo=UTC).timestamp())
    return Segment(np.zeros((int(hours * HOUR_ROWS), 1), np.float32), start_s * SECOND // MINUTE)


@pytest.mark.parametrize(
    ("segments", "seen"),
    [
        (
            [rows("01-05T06:00", 8)],
            "8 of the 24 hours of a day (06:00 to 14:00, UTC) and 1 of the 7 days of a week (Monday)",
        ),
        (
            [rows("01-05T22:30", 3), rows("01-07T12:00", 0.5)],
            "5 of the 24 hours of a day (12:00 to 13:00, 22:00 to 02:00, UTC) "
            "and 3 of the 7 days of a week (Monday to Wednesday)",
        ),
        ([rows("01-09T00:00", 96)], "4 of the 7 days of a week (Friday to Monday)"),
    ],
    ids=["a shift", "over midnight", "four whole days"],
)
def test_fit_says_which_hours_and_days_were_taught(segments: list[Segment], seen: str) -> None:
    sentence = unseen_times(segments, MINUTE, UTC)
    assert sentence is not None
    assert sentence.startswith(f"learned from {seen}{TEACHES}")


def test_a_whole_week_leaves_nothing_to_say() -> None:
    assert unseen_times([rows("01-05T00:00", 7 * 24)], MINUTE, UTC) is None
    assert unseen_times([rows(f"01-{day:02}T00:00", 24) for day in range(5, 12)], MINUTE, UTC) is None


def test_hours_are_those_of_the_zone() -> None:
    sentence = unseen_times([rows("07-05T22:00", 8)], MINUTE, ZoneInfo("Europe/Berlin"))
    assert sentence is not None
    assert "(00:00 to 08:00, Europe/Berlin)" in sentence


def test_rows_far_apart_are_all_looked_at_and_no_row_says_nothing() -> None:
    daily = Segment(np.zeros((7, 1), np.float32), 20_000)
    sentence = unseen_times([daily], 24 * 60 * MINUTE, UTC)
    assert sentence is not None
    assert "1 of the 24 hours of a day (00:00 to 01:00, UTC):" in sentence
    assert unseen_times([Segment(np.zeros((0, 1), np.float32))], MINUTE, UTC) is None

"""Of each hour the highest ratio is kept, with the budget that it was held against."""

from edge_ae.core.peak_hours import HOURS_KEPT, HourlyPeaks, PeakHour
from edge_ae.core.timestamps import HOUR, MINUTE

WEEK_NS = 168 * HOUR


def peaks_of(*scores: tuple[int, float]) -> HourlyPeaks:
    """Of minutes since the epoch and ratios."""
    peaks = HourlyPeaks()
    for minute, ratio in scores:
        peaks.push(minute * MINUTE, ratio, WEEK_NS)
    return peaks


def test_an_hour_that_is_over_is_given_once_with_its_highest_ratio() -> None:
    peaks = peaks_of((0, 0.5), (59, 0.9), (30, 0.7), (60, 0.1))
    assert peaks.take_over() == [PeakHour(0, 0.9, WEEK_NS)]
    assert peaks.take_over() == []
    assert peaks.now == PeakHour(1, 0.1, WEEK_NS)


def test_budget_is_that_of_the_highest_ratio() -> None:
    peaks = peaks_of((0, 0.5))
    peaks.push(MINUTE, 0.8, HOUR)
    peaks.push(2 * MINUTE, 0.6, WEEK_NS)
    assert peaks.now == PeakHour(0, 0.8, HOUR)


def test_clock_that_goes_back_begins_its_hour_again() -> None:
    assert peaks_of((70, 0.5), (10, 0.7), (75, 0.2)).take_over() == [
        PeakHour(1, 0.5, WEEK_NS),
        PeakHour(0, 0.7, WEEK_NS),
    ]


def test_hours_that_nobody_takes_are_bounded() -> None:
    assert len(peaks_of(*((60 * hour, 0.5) for hour in range(2 * HOURS_KEPT))).take_over()) == HOURS_KEPT


def test_present_hour_goes_on_over_a_restart() -> None:
    again = HourlyPeaks()
    again.restore(peaks_of((0, 0.9)).snapshot())
    again.push(MINUTE, 0.3, WEEK_NS)
    assert again.now == PeakHour(0, 0.9, WEEK_NS)
    again.restore(HourlyPeaks().snapshot())
    assert again.now is None

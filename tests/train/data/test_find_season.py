"""Whether the time of day does something to a machine, and what."""

from dataclasses import replace
from datetime import UTC
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from edge_ae_train.data.season import LEAST_DAYS, Season, find_season
from edge_ae_train.data.segments import Segment
from numpy.typing import NDArray

from edge_ae.core.model_spec import Channel, Kind
from edge_ae.core.season import DAY_WAVES, WEEK_WAVES
from edge_ae.core.timestamps import MINUTE, parse_time_ns

PERIOD_NS = 10 * MINUTE
DAY = 144  # rows
START = parse_time_ns("2026-03-23T00:00:00Z") // PERIOD_NS  # clocks in Berlin go forward on the 29th
BERLIN = ZoneInfo("Europe/Berlin")


def day(rows: int, zone_h: float = 0.0) -> NDArray[np.float64]:
    """A sine a day, whose beginning is at midnight in a zone so many hours ahead."""
    return np.sin(2.0 * np.pi * (np.arange(rows) / DAY + zone_h / 24.0))


def season(*columns: NDArray[np.float64], kinds: tuple[Kind, ...] = ()) -> Season | None:
    values = np.stack(columns, axis=1).astype(np.float32)
    channels = [Channel(str(n), kind=kinds[n] if kinds else Kind.ANALOG) for n in range(len(columns))]
    return find_season([Segment(values, START)], channels, PERIOD_NS, UTC)


def noise(rows: int, seed: int = 0, carry: float = 0.0) -> NDArray[np.float64]:
    rng, values = np.random.default_rng(seed), np.zeros(rows)
    for row in range(1, rows):
        values[row] = carry * values[row - 1] + rng.normal()
    return values


def test_a_day_that_comes_again_is_found_and_taken_off() -> None:
    rows = 8 * DAY
    found = season(5.0 + 3.0 * day(rows) + 0.1 * noise(rows), noise(rows, 1))
    assert found is not None
    assert found.gain[0] > 0.95
    assert found.weights[0][0] == pytest.approx(3.0, abs=0.1)
    (left,) = found.less([Segment(np.stack([3.0 * day(rows), np.zeros(rows)], axis=1).astype(np.float32), START)])
    assert np.abs(left.values[:, 0]).max() < 0.3
    assert left.start_slot == START


def test_fewer_days_than_a_week_have_no_course() -> None:
    assert season(day(LEAST_DAYS * DAY)) is not None
    assert season(day(LEAST_DAYS * DAY - 6)) is None  # of one hour there are only six


def test_a_machine_that_rests_for_the_hours_that_were_not_recorded_has_no_course() -> None:
    shifts = [Segment(day(DAY)[: DAY // 3, None].astype(np.float32), START + n * DAY) for n in range(20)]
    assert find_season(shifts, [Channel("flow")], PERIOD_NS, UTC) is None


@pytest.mark.parametrize("seed", range(6))
def test_what_wanders_with_no_regard_to_the_day_has_no_course(seed: int) -> None:
    assert season(noise(10 * DAY, seed, carry=0.98), noise(10 * DAY, seed + 100, carry=0.9)) is None


def test_a_course_that_does_not_hold_in_later_days_is_none() -> None:
    rows = 10 * DAY
    other = np.where(np.arange(rows) < 7 * DAY, day(rows), -day(rows))
    assert season(other + 0.1 * noise(rows)) is None


def weekly(rows: int) -> NDArray[np.float64]:
    """A machine that works by day from Monday, when the recording begins, to Friday."""
    works = np.arange(rows) // DAY % 7 < 5
    return np.where(works, 2.0 + day(rows), 0.0) + 0.1 * noise(rows)


def test_a_machine_that_rests_at_weekends_has_another_course_then() -> None:
    rows = 21 * DAY
    found = season(weekly(rows))
    assert found is not None
    assert len(found.weights[0]) == WEEK_WAVES
    assert found.gain[0] > 0.95
    assert found.text(["flow"]).startswith("knows the course of a day, and of one at the weekend, by the clock of UTC")
    (left,) = found.less([Segment(weekly(rows)[:, None].astype(np.float32), START)])
    assert np.std(left.values[DAY : 20 * DAY]) < 0.25


@pytest.mark.parametrize(
    "values", [day(28 * DAY) + 0.1 * noise(28 * DAY), weekly(14 * DAY)], ids=["no rest", "two weeks"]
)
def test_without_a_rest_at_weekends_or_enough_of_them_all_days_have_one_course(values: NDArray[np.float64]) -> None:
    found = season(values)
    assert found is None or len(found.weights[0]) == DAY_WAVES


def test_a_day_that_does_little_to_every_channel_has_no_course() -> None:
    rows = 28 * DAY
    assert season(0.6 * day(rows) + noise(rows), 0.6 * day(rows) + noise(rows, 1)) is None


def test_times_that_are_counted_from_some_beginning_have_no_hour_of_a_day() -> None:
    rows = Segment(day(8 * DAY)[:, None].astype(np.float32), start_slot=0)
    assert find_season([rows], [Channel("flow")], PERIOD_NS, UTC) is None


def test_angles_and_discrete_channels_are_left_as_they_are() -> None:
    rows = 8 * DAY
    found = season(day(rows), day(rows), day(rows), kinds=(Kind.ANALOG, Kind.ANGLE, Kind.DISCRETE))
    assert found is not None
    assert [len(weights) > 0 for weights in found.weights] == [True, False, False]
    assert season(day(rows), kinds=(Kind.DISCRETE,)) is None


def test_gaps_and_channels_that_never_come_are_no_hindrance() -> None:
    rows = 8 * DAY
    broken = day(rows)
    broken[::7] = np.nan
    found = season(broken, np.full(rows, np.nan), np.full(rows, 4.0))
    assert found is not None
    assert found.gain[0] > 0.9
    assert np.isfinite(found.weights).all()
    assert found.gain[1:] == (0.0, 0.0)


def test_by_the_clock_on_the_wall_a_day_goes_on_when_clocks_change() -> None:
    rows = 12 * DAY
    ahead = np.where(np.arange(rows) * PERIOD_NS + START * PERIOD_NS < parse_time_ns("2026-03-29T01:00:00Z"), 1.0, 2.0)
    values = np.sin(2.0 * np.pi * (np.arange(rows) / DAY + ahead / 24.0))[:, None].astype(np.float32)
    gains = []
    for zone in (BERLIN, UTC):
        found = find_season([Segment(values, START)], [Channel("flow")], PERIOD_NS, zone)
        assert found is not None
        gains.append(found.gain[0])
    assert gains[0] > 0.999 > gains[1]


def test_channels_that_follow_the_day_most_are_named() -> None:
    found = Season(((), ()), (0.05, 0.941), BERLIN, PERIOD_NS)
    text = "knows the course of a day, by the clock of Europe/Berlin: on later days it explains 94% of flow"
    assert found.text(["noise", "flow"]) == text
    by_utc = replace(found, zone=UTC).text(["noise", "flow"])
    assert by_utc.endswith("94% of flow; where clocks go forward in spring, give --time-zone")

"""A counter's rate is the signal: made in double precision, never a spike, the same after a restart."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest

from edge_ae.core.counters import CounterRates, readings_of
from edge_ae.core.events import Row
from edge_ae.core.model_spec import Channel, Kind
from edge_ae.core.timestamps import HOUR

NAN = math.nan
METER = Channel("energy", "kWh", kind=Kind.COUNTER)
CHANNELS = (Channel("flow"), METER)


def rates(readings: Sequence[float], first: int = 0, stage: CounterRates | None = None) -> list[float]:
    """Of rows an hour apart; the other channel is left as it is."""
    one = CounterRates(CHANNELS, HOUR) if stage is None else stage
    rows = [one.push(Row(first + slot, (7.0, value))) for slot, value in enumerate(readings)]
    assert all(row.values[0] == 7.0 for row in rows)
    return [row.values[1] for row in rows]


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ([10.0, 12.0, 12.0, 15.0], [NAN, 2.0, 0.0, 3.0]),
        ([10.0, NAN, NAN, 16.0], [NAN, NAN, NAN, 2.0]),
        ([10.0, 12.0, 0.5, 1.5], [NAN, 2.0, NAN, 1.0]),
        ([10.0, 12.0, 0.0, 14.0, 15.0], [NAN, 2.0, NAN, 1.0, 1.0]),
        ([10.0, math.inf, 12.0], [NAN, math.inf, 1.0]),
        ([0.0, 0.0], [NAN, 0.0]),
    ],
    ids=[
        "rises",
        "the rise is shared among the rows passed",
        "a reset",
        "a lone low value",
        "no number",
        "nothing yet",
    ],
)
def test_rate_is_the_rise_an_hour(readings: list[float], expected: list[float]) -> None:
    np.testing.assert_array_equal(rates(readings), expected)


def test_steps_that_single_precision_cannot_hold_are_seen_and_equal() -> None:
    readings = [round(123456.789 + 0.001 * n, 3) for n in range(1000)]
    assert set(rates(readings)[1:]) == {0.001}


def test_rate_is_in_units_an_hour_whatever_the_period() -> None:
    stage = CounterRates((METER,), HOUR // 12)
    assert [stage.push(Row(slot, (0.5 * slot,))).values[0] for slot in (0, 1, 3)][1:] == [6.0, 6.0]
    assert (METER.signal_unit, Channel("starts", kind=Kind.COUNTER).signal_unit, Channel("t", "K").signal_unit) == (
        "kWh/h",
        "1/h",
        "K",
    )


def test_clock_set_back_gives_no_rate() -> None:
    stage = CounterRates(CHANNELS, HOUR)
    rates([10.0, 11.0], first=100, stage=stage)
    np.testing.assert_array_equal(rates([12.0, 13.0], first=50, stage=stage), [NAN, 1.0])


def test_error_value_of_a_counter_is_no_reading() -> None:
    stage = CounterRates((CHANNELS[0], Channel("energy", kind=Kind.COUNTER, error_values=(65535.0,))), HOUR)
    np.testing.assert_array_equal(rates([10.0, 65535.0, 12.0], stage=stage), [NAN, NAN, 1.0])


@pytest.mark.parametrize("cut", range(6))
def test_restart_does_not_show(cut: int) -> None:
    readings = [10.0, 12.0, 0.0, 14.0, NAN, 20.0]
    before, after = CounterRates(CHANNELS, HOUR), CounterRates(CHANNELS, HOUR)
    first = rates(readings[:cut], stage=before)
    after.restore(json.loads(json.dumps(before.snapshot())))
    np.testing.assert_array_equal(first + rates(readings[cut:], first=cut, stage=after), rates(readings))


def test_readings_made_of_rates_have_these_rates() -> None:
    known = np.array([[1.0, NAN], [1.0, 2.0], [1.0, NAN], [1.0, 2.0], [1.0, 5.0]], np.float32)
    readings = readings_of(known, CHANNELS, HOUR)
    assert np.isnan(readings[:, 1]).tolist() == [True, False, True, False, False]
    np.testing.assert_array_equal(rates(readings[:, 1].tolist()), [NAN, NAN, NAN, 2.0, 5.0])

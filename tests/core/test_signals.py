"""What a person who looks at an asset sees of it."""

import math
from typing import Any

import numpy as np
import pytest

from edge_ae.core.detector import Watch
from edge_ae.core.events import Readings, Scored, Signals
from edge_ae.core.expectation import SUSPECTS
from edge_ae.core.fleet import Fleet
from edge_ae.core.model_spec import Channel, Kind
from edge_ae.core.payloads import signals_payload
from edge_ae.core.rules import AlertRules
from edge_ae.core.signals import AssetView
from edge_ae.core.timestamps import HOUR, SECOND, rfc3339
from tests.core.test_expectation import Mean
from tests.models import LENGTH, FakeModel

T0_NS = 1_790_000_000 * SECOND
CALM = 0.0


class Looked:
    """An asset, one row a second, and somebody who looks at it."""

    def __init__(self, model: FakeModel) -> None:
        self.model, self.fleet = model, Fleet("n1")
        self._row = 0
        self.view: AssetView | None = None

    def rows(self, *rows: tuple[float, ...]) -> "Looked":
        watch = Watch(self.model, AlertRules(100 * SECOND))
        for values in rows:
            named = dict(zip(self.model.spec.names, values, strict=True))
            self.fleet.push(Readings("p1", T0_NS + self._row * SECOND, named), watch)
            self._row += 1
        for result in self.fleet.step():
            if self.view is not None and isinstance(result, Scored):
                self.view.scored(result.verdict)
        return self

    def look(self, *, whole: bool = False) -> Signals | None:
        if self.view is None:
            self.view = AssetView(self.fleet.detectors["p1"], self.model)
        return self.view.look(whole=whole)


def seen(signals: Signals | None) -> Signals:
    assert signals is not None
    return signals


def rows_of(first: int, last: int) -> list[tuple[float, float]]:
    return [(0.1 * row, 0.01 * row) for row in range(first, last)]


def test_first_look_shows_the_newest_window_and_later_ones_the_rows_since() -> None:
    pump = Looked(FakeModel()).rows(*rows_of(0, 8))
    first = seen(pump.look())
    np.testing.assert_array_equal(first.observed, np.array(rows_of(8 - LENGTH - 1, 7), np.float32))
    assert first.t_ns == [T0_NS + row * SECOND for row in range(8 - LENGTH - 1, 7)]
    assert pump.look() is None
    since = seen(pump.rows(*rows_of(8, 10)).look())
    assert since.t_ns == [T0_NS + row * SECOND for row in (7, 8)]
    np.testing.assert_array_equal(since.expected, np.zeros((2, 2)))


def test_whole_window_is_shown_again_where_it_is_asked_for() -> None:
    pump = Looked(FakeModel()).rows(*rows_of(0, 8))
    first = seen(pump.look())
    assert seen(pump.look(whole=True)).t_ns == first.t_ns


def test_rows_have_the_scores_that_came_since_somebody_looks() -> None:
    pump = Looked(FakeModel()).rows(*rows_of(0, 8))
    assert seen(pump.look()).verdicts == [None] * LENGTH
    body = signals_payload(seen(pump.rows(*rows_of(8, 10)).look(whole=True)))
    assert body["score"] == [None, None, 0.7, 0.8]
    assert body["threshold"] == [None, None, pytest.approx(1.0, rel=0.01), pytest.approx(1.0, rel=0.01)]


def test_more_rows_than_a_window_since_the_last_look_show_the_newest_window() -> None:
    pump = Looked(FakeModel()).rows(*rows_of(0, 8))
    pump.look()
    assert len(seen(pump.rows(*rows_of(8, 8 + 3 * LENGTH)).look())) == LENGTH


def test_asset_that_warms_up_is_shown_without_what_is_expected_and_without_a_call_of_its_model() -> None:
    pump = Looked(FakeModel()).rows(*rows_of(0, 3))
    body = signals_payload(seen(pump.look()))
    assert [channel["observed"] for channel in body["channels"]] == [[0.0, 0.1], [0.0, 0.01]]
    assert [channel["expected"] for channel in body["channels"]] == [[None, None], [None, None]]
    assert pump.model.explained == 0


def test_asset_without_a_row_shows_nothing() -> None:
    assert Looked(FakeModel()).rows(rows_of(0, 1)[0]).look() is None


def test_clock_that_was_set_back_begins_the_picture_anew() -> None:
    pump = Looked(FakeModel()).rows(*rows_of(0, 8))
    pump.look()
    pump._row -= 1000
    again = seen(pump.rows(*rows_of(0, 40)).look())
    assert again.t_ns[-1] < T0_NS
    assert len(again) == LENGTH


def test_missing_value_is_null_and_so_is_what_is_not_known_of_a_channel() -> None:
    channels = (Channel("flow", deviation=0.25, low=-1.0, high=2.0), Channel("hours", "h", kind=Kind.COUNTER))
    pump = Looked(FakeModel(channels=channels)).rows((0.5, 1.0), (math.nan, 2.0), (0.5, 4.0))
    flow, hours = signals_payload(seen(pump.look()))["channels"]
    assert (flow["observed"], flow["deviation"], flow["low"], flow["high"]) == ([0.5, None], 0.25, -1.0, 2.0)
    assert (hours["unit"], hours["deviation"], hours["low"], hours["high"]) == ("h/h", None, None, None)
    assert hours["observed"] == [None, HOUR / SECOND]


def test_payload_has_the_rows_in_columns() -> None:
    body = signals_payload(seen(Looked(FakeModel()).rows(*rows_of(0, 8)).look()).newest(1))
    assert body == {
        "schema": 1,
        "ts": [rfc3339(T0_NS + 6 * SECOND)],
        "score": [None],
        "threshold": [None],
        "channels": [
            {"name": "flow", "unit": "m3/h", "observed": [0.6], "expected": [0.0], "deviation": None, "low": 0.0, "high": 10.0},
            {"name": "pressure", "unit": "bar", "observed": [0.06], "expected": [0.0], "deviation": None, "low": 0.0, "high": 5.0},
        ],
    }  # fmt: skip


# -- what is expected does not bend towards a fault ------------------------------------------------------------

FAULT = (8.0, -4.0, 0.0, 0.0)


class Scored8(Mean):
    """Scores what it explains."""

    def score(self, windows: Any) -> Any:
        return np.array([each.channel_score.sum() for each in self.explain(windows)], np.float32)


@pytest.fixture
def faulty() -> Looked:
    return Looked(Scored8()).rows(*[(CALM,) * 4] * 6)


def expected_now(pump: Looked) -> list[float]:
    return [round(value, 3) for value in seen(pump.look()).expected[-1].tolist()]


def test_first_look_at_a_fault_is_not_bent(faulty: Looked) -> None:
    assert expected_now(faulty.rows(*[FAULT] * 6)) == [CALM] * 4


def test_later_looks_cost_one_window_each_and_the_suspects_where_one_channel_more_is_accused(faulty: Looked) -> None:
    faulty.rows(FAULT).look()
    looks, calls = [], []
    for _ in range(4):
        faulty.rows(FAULT)
        before = faulty.model.explained
        looks.append(expected_now(faulty))
        calls.append(faulty.model.explained - before)
    assert calls == [1 + SUSPECTS, 1 + SUSPECTS, 1, 1]
    assert [look == [CALM] * 4 for look in looks] == [False, False, True, True]


def test_once_the_score_is_normal_nobody_is_accused_any_more(faulty: Looked) -> None:
    faulty.rows(*[FAULT] * 6).look()
    faulty.rows(*[(0.5, 0.25, 0.0, 0.0)] * 6)
    assert expected_now(faulty) == [0.188] * 4


def test_where_most_channels_are_elsewhere_the_window_is_expected_as_it_is_restored(faulty: Looked) -> None:
    everything = (8.0, 8.0, 8.0, 8.0)
    assert expected_now(faulty.rows(*[everything] * 6)) == [8.0] * 4
    assert expected_now(faulty.rows(everything)) == [8.0] * 4

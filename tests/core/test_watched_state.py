"""`when`: rows of another state are as if they had not been made, and nobody takes the rest for a silence or a fault."""

import math
from dataclasses import replace
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from edge_ae.core.alert_events import AlertEvent, Outcome
from edge_ae.core.detector import Detector, Watch
from edge_ae.core.events import Readings, Scored
from edge_ae.core.fleet import Fleet
from edge_ae.core.payloads import health_payload
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import MINUTE, SECOND
from tests.models import LENGTH, FakeModel

NAN = math.nan
RULES = AlertRules(interval_ns=100 * SECOND)
RUNNING, STANDING = 2.0, 0.5  # of the pressure
WHEN = "pressure > 1"


def watch(when: str | None = WHEN, model: FakeModel | None = None, **rules: Any) -> Watch:
    return Watch(FakeModel() if model is None else model, replace(RULES, when=when, **rules))


def row(second: int, flow: float, pressure: float) -> Readings:
    return Readings("pump", second * SECOND, {"flow": flow, "pressure": pressure})


def run(stream: list[Readings], watched: Watch, fleet: Fleet | None = None) -> list[Outcome]:
    fleet = Fleet("node") if fleet is None else fleet
    results: list[Outcome] = []
    for one in stream:
        fleet.push(one, watched)
        results += fleet.step()
    fleet.flush()
    return results + fleet.step()


def scored(results: list[Outcome]) -> list[int]:
    return [one.t_ns // SECOND for one in results if isinstance(one, Scored)]


def test_a_row_in_another_state_parts_the_rows_as_a_long_gap_does() -> None:
    stream = [row(s, 0.2, STANDING if s == 10 else RUNNING) for s in range(20)]
    gone = [one for one in stream if one.t_ns != 10 * SECOND]
    assert scored(run(stream, watch())) == [*range(LENGTH - 1, 10), *range(10 + LENGTH, 20)]
    assert scored(run(gone, watch())) == scored(run(stream, watch()))


def test_a_missing_value_is_no_state_and_another_state_is_no_missing_value() -> None:
    fleet, watched = Fleet("node"), watch()
    run([row(s, 0.2, RUNNING) for s in range(10)], watched, fleet)
    pump = fleet.detectors["pump"]
    assert health_payload(pump.health_now())["watching"] == "watched"
    run([row(10, 0.2, STANDING)], watched, fleet)
    body = health_payload(pump.health_now())
    assert [body[name] for name in ("watching", "watched", "reason", "when")] == [
        "not_watched", False, "pressure > 1 does not hold", WHEN
    ]  # fmt: skip
    run([row(11, 0.2, NAN)], watched, fleet)
    assert health_payload(pump.health_now())["reason"] == "pressure > 1 is not known, for there is no value of pressure"


def test_an_alert_ends_with_the_row_in_which_the_state_is_left() -> None:
    stream = [row(s, 0.2 if s < 10 else 3.0, RUNNING if s < 15 else STANDING) for s in range(20)]
    new, end = (one for one in run(stream, watch()) if isinstance(one, AlertEvent))
    assert (new.type, end.type, new.id) == ("new", "end", end.id)
    assert (new.alert.onset_ns, end.alert.cleared_ns) == (10 * SECOND, 15 * SECOND)


def test_an_alert_ends_with_the_last_row_of_a_file_too() -> None:
    stream = [row(s, 0.2 if s < 10 else 3.0, RUNNING if s < 11 else STANDING) for s in range(12)]
    assert [str(one.type) for one in run(stream, watch()) if isinstance(one, AlertEvent)] == ["new", "end"]


def test_an_on_delay_does_not_run_on_in_another_state() -> None:
    stream = [row(s, 3.0, STANDING if s == 8 else RUNNING) for s in range(14)]
    assert [one for one in run(stream, watch(on_delay_ns=6 * SECOND)) if isinstance(one, AlertEvent)] == []


def test_resting_is_not_to_be_unwatched_and_a_missing_value_is() -> None:
    def raised(pressure: float) -> list[str | None]:
        stream = [*(row(s, 0.2, RUNNING) for s in range(10)), *(row(s, 0.2, pressure) for s in range(10, 200))]
        results = run(stream, watch(unwatched_ns=MINUTE))
        return [one.alert.reason for one in results if isinstance(one, AlertEvent)]

    assert raised(STANDING) == []
    (reason,) = raised(NAN)
    assert (
        reason == "not watched since 1970-01-01 00:00 UTC: pressure > 1 is not known, for there is no value of pressure"
    )


def test_what_the_model_was_trained_in_holds_unless_the_settings_say_otherwise() -> None:
    model = FakeModel(when=WHEN)
    found = [Detector("node", "pump", watch(when, model)).health_now().when for when in (None, "flow > 1", "")]
    assert found == [WHEN, "flow > 1", None]


def test_a_restart_knows_that_the_asset_rests_before_the_next_row() -> None:
    fleet, watched = Fleet("node"), watch()
    run([row(s, 0.2, RUNNING if s < 10 else STANDING) for s in range(12)], watched, fleet)
    again = Detector("node", "pump", watched)
    again.restore(orjson.loads(orjson.dumps(fleet.snapshot()["pump"])))
    assert again.health_now().reason == "pressure > 1 does not hold"


values = st.lists(st.tuples(st.sampled_from([0.2, 3.0]), st.sampled_from([RUNNING, STANDING, NAN])), max_size=60)


@example(values=[(0.2, 0.5), *[(0.2, 2.0)] * 3, (3.0, 2.0), (0.2, 0.5)], cut=0, together=6)
@given(values=values, cut=st.integers(0, 60), together=st.integers(1, 20))
def test_a_restart_and_the_number_of_rows_at_once_make_no_difference(
    values: list[tuple[float, float]], cut: int, together: int
) -> None:
    stream, watched = [row(s, *one) for s, one in enumerate(values)], watch(unwatched_ns=20 * SECOND)
    whole = run(stream, watched)
    fleet, found = Fleet("node"), []
    fleet.add("pump", watched)
    for number, one in enumerate(stream):
        fleet.push(one, watched)
        if number % together == 0 or number == cut:
            found += fleet.step()
        if number == cut:
            saved = orjson.loads(orjson.dumps(fleet.snapshot()["pump"]))
            fleet = Fleet("node")
            fleet.add("pump", watched).restore(saved)
    fleet.flush()
    found += fleet.step()
    assert found == whole

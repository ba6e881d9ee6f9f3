"""An asset is never silently unwatched: it says how far its warm-up is, why it has no score, and raises an alert in the end."""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from edge_ae.core.alert import alert_id
from edge_ae.core.alert_events import AlertEvent, Outcome
from edge_ae.core.alert_state import AlertSource, Cause
from edge_ae.core.channel_profile import BLOCK
from edge_ae.core.detector import Detector, Watch
from edge_ae.core.events import Readings, Scored
from edge_ae.core.fleet import Fleet
from edge_ae.core.health_events import WarmUp
from edge_ae.core.model_spec import Channel
from edge_ae.core.payloads import alert_payload, health_payload
from edge_ae.core.rules import OFF_DELAY_HOPS, AlertRules
from edge_ae.core.timestamps import HOUR, MINUTE, SECOND, duration_text
from tests.models import FakeModel, spec_of

NAN = math.nan
RULES = AlertRules(interval_ns=100 * SECOND, unwatched_ns=None)
LENGTH, HOP = 64, 4
T0_NS = 1_790_000_000 * SECOND  # 14:13:20
CALM = 0.2


class Slow(FakeModel):
    """Windows of 64 rows, one each 4 rows."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.spec = spec_of(length=LENGTH, hop=HOP, **changes)


def watch_of(model: FakeModel | None = None, **rules: Any) -> Watch:
    return Watch(Slow() if model is None else model, replace(RULES, **rules))


def detector_of(model: FakeModel | None = None, **rules: Any) -> Detector:
    return Detector("node", "pump", watch_of(model, **rules))


def readings(rows: Iterable[int], flow: float = CALM, pressure: float = 1.0, step_ns: int = SECOND) -> list[Readings]:
    """Flow trembles a little, so that it stands still nowhere."""
    return [Readings("pump", T0_NS + k * step_ns, {"flow": flow + k % 7 / 100, "pressure": pressure}) for k in rows]


def run(stream: Iterable[Readings], watch: Watch, batch: int = 1, fleet: Fleet | None = None) -> list[Any]:
    fleet = Fleet("node") if fleet is None else fleet
    results: list[Outcome] = []
    for number, one in enumerate(stream, 1):
        fleet.push(one, watch)
        if number % batch == 0:
            results += fleet.step()
    return results + fleet.step()


def events(results: Iterable[Any]) -> list[AlertEvent]:
    return [one for one in results if isinstance(one, AlertEvent)]


def pushed(detector: Detector, stream: Iterable[Readings]) -> Detector:
    for one in stream:
        for window in detector.push(one):
            detector.judge(window, CALM, None)
    return detector


# -- warm-up ---------------------------------------------------------------------------------------------------


def test_an_asset_is_not_watched_before_its_first_score_and_says_when_that_will_be() -> None:
    body = health_payload(pushed(detector_of(), readings(range(13))).health_now())
    assert {key: body[key] for key in ("state", "watched", "reason", "rows", "rows_needed", "first_score")} == {
        "state": "ok",
        "watched": False,
        "reason": "12 of 64 rows, first score about 2026-09-21 14:14 UTC",
        "rows": 12,
        "rows_needed": 64,
        "first_score": "2026-09-21T14:14:24.000Z",
    }


def test_an_asset_whose_first_reading_has_come_does_not_say_that_nothing_comes() -> None:
    detector = detector_of()
    detector.push(readings(range(1))[0])
    assert detector.unwatched_reason == f"0 of {LENGTH} rows"


def test_the_first_score_comes_when_it_was_foreseen() -> None:
    detector = detector_of()
    foreseen: set[int | None] = set()
    for one in readings(range(LENGTH + 2 * HOP)):
        if detector.push(one):
            assert foreseen == {one.t_ns}
            return
        warm_up = detector.health_now().warm_up
        assert warm_up is not None
        foreseen |= {warm_up.first_score_ns} - {None}
    raise AssertionError("there was no score")


def test_a_watched_asset_says_nothing_of_its_warm_up() -> None:
    health = pushed(detector_of(), readings(range(80))).health_now()
    assert (health.watched, health.reason, health.warm_up) == (True, None, WarmUp(LENGTH, LENGTH, None))


def test_an_asset_whose_values_are_mostly_missing_is_not_watched_and_says_so() -> None:
    detector = pushed(detector_of(), readings(range(100)))
    pushed(
        detector, [Readings("pump", T0_NS + k * SECOND, {"flow": CALM if k % 3 == 0 else NAN}) for k in range(100, 290)]
    )
    assert detector.health_now().reason == "more than half of the values are missing"


# -- pace ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step_s", [2, 5, 20, 90])
def test_a_slower_pace_is_said_and_no_sensor_is_blamed(step_s: int) -> None:
    detector = pushed(detector_of(), readings(range(200), step_ns=step_s * SECOND))
    detector.tick(T0_NS + HOUR * 10)
    health = detector.health_now()
    assert health.pace == f"readings come every {duration_text(step_s * SECOND)}, the model takes one every 1 s"
    assert (health.fault, health.channels) == ("pace", ())
    assert (health.watched, health.reason) == (False, health.pace)


def test_a_faster_pace_is_a_note_and_no_fault() -> None:
    detector = pushed(detector_of(), readings(range(2000), step_ns=SECOND // 10))
    detector.tick(T0_NS + HOUR * 10)
    health = detector.health_now()
    assert health.pace == "readings come every 100 ms, the model takes one every 1 s"
    assert (health.fault, health.watched, health_payload(health)["state"]) == (None, True, "ok")


def test_a_pace_that_changes_is_followed() -> None:
    detector = pushed(detector_of(), readings(range(200)))
    assert detector.pace_note is None
    pushed(detector, [replace(one, t_ns=one.t_ns + 200 * SECOND) for one in readings(range(40), step_ns=5 * SECOND)])
    assert detector.pace_note == "readings come every 5 s, the model takes one every 1 s"


def test_a_pace_that_trembles_is_said_once() -> None:
    detector, said = detector_of(), set()
    for k in range(200):
        detector.push(Readings("pump", T0_NS + k * 20 * SECOND + k % 5 * SECOND, {"flow": CALM}))
        said.add(detector.pace_note)
    assert len(said - {None}) == 1


def test_channels_that_report_on_change_have_no_pace() -> None:
    detector = pushed(detector_of(Slow(hold_rows=600)), readings(range(200), step_ns=20 * SECOND))
    assert detector.pace_note is None


def test_a_pace_that_training_had_too_is_none_to_speak_of() -> None:
    channels = tuple(Channel(name, missing_share=0.8) for name in ("flow", "pressure"))
    detector = pushed(detector_of(Slow(channels=channels)), readings(range(200), step_ns=5 * SECOND))
    assert detector.pace_note is None


def test_slow_readings_are_no_silence() -> None:
    detector = detector_of()
    for one in readings(range(20), step_ns=MINUTE):
        for second in range(60):
            detector.tick(one.t_ns + second * SECOND - 59 * SECOND)
        detector.push(one)
    detector.tick(T0_NS + 19 * MINUTE + SECOND)
    assert detector.health_now().fault == "pace"


# -- an asset that is not watched ------------------------------------------------------------------------------


def test_an_asset_without_a_score_for_an_hour_has_an_alert_until_the_next_score() -> None:
    gone = [Readings("pump", one.t_ns, {"flow": NAN, "pressure": NAN}) for one in readings(range(200, 4000))]
    results = run([*readings(range(200)), *gone, *readings(range(4000, 4200))], watch_of())
    new, end = events(results)
    onset_ns = T0_NS + 199 * SECOND
    assert (new.type, end.type, new.id) == ("new", "end", end.id)
    assert new.id == alert_id(AlertSource("node", "pump", new.alert.model), onset_ns, Cause.UNWATCHED)
    body = alert_payload(new.alert)
    assert (body["cause"], body["severity"], body["ratio"], body["ts_onset"]) == (
        "unwatched",
        "medium",
        0.0,
        "2026-09-21T14:16:39.000Z",
    )
    assert body["reason"] == "not watched since 2026-09-21 14:16 UTC: no value comes"
    assert (new.alert.onset_ns, new.alert.raised_ns) == (onset_ns, onset_ns + HOUR)
    assert (end.alert.cleared_ns, end.alert.reason) == (T0_NS + 4031 * SECOND, body["reason"])


@pytest.mark.parametrize("batch", [7, 64, 10_000])
def test_it_makes_no_difference_how_many_windows_are_scored_at_once(batch: int) -> None:
    gone = [Readings("pump", one.t_ns, {"flow": NAN, "pressure": NAN}) for one in readings(range(200, 4000))]
    stream = [*readings(range(200)), *gone, *readings(range(4000, 4200)), *readings(range(4200, 4500), 3.0)]
    assert run(stream, watch_of(), batch) == run(stream, watch_of())


def test_silence_rests_where_the_owner_set_no_time() -> None:
    stream = [*readings(range(200)), *readings(range(20_000, 20_100))]
    detector = pushed(detector_of(), stream[:200])
    for minute in range(300):
        assert detector.tick(T0_NS + 200 * SECOND + minute * MINUTE) == []
    assert detector.health_now().fault == "stale"
    assert events(run(stream, watch_of())) == []


def test_silence_is_an_alert_where_the_owner_set_a_time() -> None:
    detector = pushed(detector_of(unwatched_ns=600 * SECOND), readings(range(200)))
    raised = [detector.tick(T0_NS + (200 + second) * SECOND) for second in range(700)]
    (new,) = [event for ticked in raised for event in ticked if isinstance(event, AlertEvent)]
    assert new.alert.reason == "not watched since 2026-09-21 14:16 UTC: nothing comes"
    assert new.alert.raised_ns == T0_NS + 795 * SECOND
    again = detector_of(unwatched_ns=600 * SECOND)
    again.restore(orjson.loads(orjson.dumps(detector.snapshot())))
    assert [again.tick(T0_NS + (900 + second) * SECOND) for second in range(700)] == [[]] * 700


@pytest.mark.parametrize("unwatched_ns", [0, None])
def test_no_alert_is_raised_where_the_owner_wants_none_nor_before_two_warm_ups(unwatched_ns: int | None) -> None:
    model = Slow(period_ns=HOUR) if unwatched_ns is None else Slow()
    stream = readings(range(100 if unwatched_ns is None else 5000), pressure=NAN, step_ns=model.spec.period_ns)
    stream = [replace(one, values={"flow": NAN, "pressure": NAN}) for one in stream]
    assert events(run(stream, watch_of(model, unwatched_ns=unwatched_ns))) == []


def test_a_warm_up_that_never_ends_is_an_alert() -> None:
    """The asset sends in bursts of 40 rows, half of an hour apart."""
    bursts = [one for n in range(5) for one in readings(range(n * 1700, n * 1700 + 40))]
    (new,) = events(run(bursts, watch_of()))
    assert new.alert.reason == "not watched since 2026-09-21 14:13 UTC: 64 rows never came without a long gap"


def test_an_asset_that_is_watched_at_another_pace_has_an_alert_that_says_so() -> None:
    (new,) = events(run(readings(range(400), step_ns=20 * SECOND), watch_of()))
    assert new.alert.reason == (
        "not watched since 2026-09-21 14:13 UTC: readings come every 20 s, the model takes one every 1 s"
    )


def test_a_fault_after_the_silence_is_an_alert_of_its_own() -> None:
    gone = [Readings("pump", one.t_ns, {"flow": NAN, "pressure": NAN}) for one in readings(range(200, 4000))]
    found = events(run([*readings(range(200)), *gone, *readings(range(4000, 4040), 3.0)], watch_of()))
    assert [(one.type, one.alert.cause) for one in found][:3] == [
        ("new", "unwatched"),
        ("end", "unwatched"),
        ("new", "score"),
    ]
    assert found[1].id != found[2].id


@pytest.mark.parametrize("stop", [5, 100, 230, 3900, 4010])
def test_a_restart_makes_no_alert_of_the_watch_twice(stop: int) -> None:
    gone = [Readings("pump", one.t_ns, {"flow": NAN, "pressure": NAN}) for one in readings(range(200, 4000))]
    stream = [*readings(range(200)), *gone, *readings(range(4000, 4200))]
    fleet, again = Fleet("node"), Fleet("node")
    first = run(stream[:stop], watch_of(), fleet=fleet)
    saved = orjson.loads(orjson.dumps(fleet.snapshot()))
    again.add("pump", watch_of()).restore(saved["pump"])
    assert first + run(stream[stop:], watch_of(), fleet=again) == run(stream, watch_of())


# -- channels that stop together -------------------------------------------------------------------------------


class Four(FakeModel):
    """Four channels that always move; the score is the first one's newest value."""

    def __init__(self) -> None:
        super().__init__()
        lively: dict[str, Any] = {"low": 0.0, "high": 10.0, "rail_rows": 1, "flat_rows": 3}
        self.spec = spec_of(channels=tuple(Channel(name, **lively) for name in "abcd"))


def rows_of_four(rows: Iterable[int], still: str = "", score: float = CALM) -> list[Readings]:
    return [
        Readings("pump", T0_NS + k * SECOND, {n: score + (0.0 if n in still else k % 7 / 100) for n in "abcd"})
        for k in rows
    ]


STREAM = [*rows_of_four(range(300)), *rows_of_four(range(300, 700), "bcd"), *rows_of_four(range(700, 900))]


def test_channels_that_stop_together_raise_an_alert_although_the_score_sees_nothing() -> None:
    results = run(STREAM, watch_of(Four()))
    new, end = events(results)
    assert (new.type, end.type, new.id) == ("new", "end", end.id)
    assert new.id == alert_id(AlertSource("node", "pump", new.alert.model), T0_NS + 300 * SECOND, Cause.STOPPED)
    assert (new.alert.cause, new.alert.severity) == ("stopped_together", "medium")
    assert new.alert.reason == "3 of 4 channels stopped moving together at 2026-09-21 14:18 UTC: b, c, d"
    assert new.alert.onset_ns == T0_NS + 300 * SECOND
    assert end.alert.cleared_ns is not None
    assert end.alert.cleared_ns - T0_NS < (700 + 2 * BLOCK + OFF_DELAY_HOPS + 1) * SECOND
    scores = [one for one in results if isinstance(one, Scored)]
    assert len(scores) == len(STREAM) - 4  # every window: nothing was masked


def test_an_alert_of_the_score_that_is_there_already_learns_the_cause() -> None:
    stream = [*rows_of_four(range(300)), *rows_of_four(range(300, 700), "bcd", 3.0)]
    new, *updates = events(run(stream, watch_of(Four())))
    named = [one for one in updates if one.alert.cause == "stopped_together"]
    assert (new.alert.cause, named[0].type, named[0].id) == ("score", "update", new.id)
    reason = named[0].alert.reason
    assert reason is not None
    assert reason.startswith("3 of 4 channels stopped moving together at 2026-09-21 14:18 UTC: b, c, d; ")


def test_an_alert_of_a_stop_costs_no_budget() -> None:
    fleet, calm = Fleet("node"), Fleet("node")
    run(STREAM, watch_of(Four()), fleet=fleet)
    run(rows_of_four(range(900)), watch_of(Four()), fleet=calm)
    assert fleet.detectors["pump"].threshold == pytest.approx(calm.detectors["pump"].threshold, rel=1e-3)


@pytest.mark.parametrize("batch", [7, 64, 1000])
def test_a_stop_is_judged_at_its_row_however_many_windows_are_scored_at_once(batch: int) -> None:
    assert run(STREAM, watch_of(Four()), batch) == run(STREAM, watch_of(Four()))


@pytest.mark.parametrize("stop", [290, 350, 384, 385, 500, 767, 769])
def test_a_restart_in_a_stop_makes_no_alert_twice(stop: int) -> None:
    fleet, again = Fleet("node"), Fleet("node")
    first = run(STREAM[:stop], watch_of(Four()), fleet=fleet)
    again.add("pump", watch_of(Four())).restore(orjson.loads(orjson.dumps(fleet.snapshot()))["pump"])
    assert first + run(STREAM[stop:], watch_of(Four()), fleet=again) == run(STREAM, watch_of(Four()))


def test_an_asset_of_which_everything_stands_is_frozen() -> None:
    detector = pushed(
        Detector("node", "pump", watch_of(Four())), [*STREAM[:300], *rows_of_four(range(300, 500), "abcd")]
    )
    detector.tick(T0_NS + 500 * SECOND)
    health = detector.health_now()
    assert (health.fault, health.channels, health.watched) == ("frozen", (), True)
    assert health.fault_since_ns == T0_NS + 300 * SECOND

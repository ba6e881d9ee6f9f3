"""One asset from readings to alerts: order of the stages, restarts, what may never raise an alert."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.alert_events import AlertEvent, EventType, Outcome
from edge_ae.core.align import USUAL_GAP_ROWS
from edge_ae.core.detector import Detector, Watch
from edge_ae.core.events import Readings, Scored
from edge_ae.core.expectation import shares_of
from edge_ae.core.fleet import Fleet
from edge_ae.core.health_events import Watching
from edge_ae.core.model_spec import Channel, Explanation, Kind, Modes, Similar
from edge_ae.core.payloads import alert_payload
from edge_ae.core.rules import OFF_DELAY_HOPS, AlertRules
from edge_ae.core.timestamps import SECOND
from edge_ae.core.usual import usual_gap_rows
from tests.models import CHANNELS, LENGTH, FakeModel, spec_of

NAN = math.nan
RULES = AlertRules(interval_ns=100 * SECOND)  # 1 in 100 windows: the boundary is 1
CALM, FAULT = 0.2, 3.0
WALL_NS = 1_800_000_000 * SECOND
NOWHERE = np.zeros(2, np.float32)


def readings(t_s: float, flow: float, pressure: float = 1.0) -> Readings:
    return Readings("pump", round(t_s * SECOND), {"flow": flow, "pressure": pressure})


def series(*flows: float, start_s: int = 0) -> list[Readings]:
    return [readings(start_s + t, flow) for t, flow in enumerate(flows)]


def run(stream: list[Readings], fleet: Fleet | None = None, **rules: Any) -> list[Outcome]:
    """The whole way, with a model whose score is the newest flow."""
    fleet = Fleet("node") if fleet is None else fleet
    watch = Watch(FakeModel(), replace(RULES, **rules))
    results = []
    for one in stream:
        fleet.push(one, watch)
        results += fleet.step()
    fleet.flush()
    return results + fleet.step()


def scored(results: list[Outcome]) -> list[Scored]:
    return [r for r in results if isinstance(r, Scored)]


def events(results: Sequence[Outcome]) -> list[AlertEvent]:
    return [r for r in results if isinstance(r, AlertEvent)]


def test_the_first_score_is_that_of_the_first_full_window() -> None:
    results = scored(run(series(*[CALM] * (LENGTH + 2))))
    assert [(r.t_ns // SECOND, r.verdict.slot, r.active) for r in results] == [
        (LENGTH - 1 + n, LENGTH - 1 + n, False) for n in range(3)
    ]
    assert run(series(*[CALM] * (LENGTH - 1))) == []


@pytest.mark.parametrize(("asked_s", "raised_s"), [(None, 12), (0, 10), (3, 13)])
def test_an_alert_waits_for_the_on_delay_of_the_model_where_the_owner_asks_for_none(
    asked_s: int | None, raised_s: int
) -> None:
    """It begins where its excursion does all the same."""
    model = FakeModel(tail=replace(spec_of().tail, on_delay=2))
    watch = Watch(model, replace(RULES, on_delay_ns=None if asked_s is None else asked_s * SECOND))
    fleet = Fleet("node")
    for one in series(*[CALM] * 10, *[FAULT] * 6):
        fleet.push(one, watch)
    fleet.flush()
    (new,) = (one for one in events(fleet.step()) if one.type is EventType.NEW)
    assert (new.alert.onset_ns, new.alert.raised_ns) == (10 * SECOND, raised_s * SECOND)


def test_an_excursion_shorter_than_the_on_delay_of_the_model_is_no_alert() -> None:
    watch, fleet = Watch(FakeModel(tail=replace(spec_of().tail, on_delay=1)), RULES), Fleet("node")
    for one in series(*[CALM] * 10, FAULT, CALM, FAULT, CALM):
        fleet.push(one, watch)
    fleet.flush()
    assert events(fleet.step()) == []


def test_an_alert_has_its_reason_its_times_and_its_end() -> None:
    calm = [CALM] * 10
    results = run(series(*calm, FAULT, FAULT, *[CALM] * (OFF_DELAY_HOPS + 1)))
    new, end = events(results)
    assert (new.type, end.type, new.id, new.seq, end.seq) == ("new", "end", end.id, 1, 2)
    assert new.alert.channels[0].name == "flow"
    assert new.alert.reason == "flow 3 m3/h, expected 0 (high, 100 % of the deviation)"
    assert (new.alert.onset_ns, new.alert.raised_ns) == (10 * SECOND, 10 * SECOND)
    assert end.alert.cleared_ns == 22 * SECOND
    active = [r.t_ns // SECOND for r in scored(results) if r.active]
    assert active == list(range(10, 22))


def test_scores_and_events_come_in_the_order_of_time() -> None:
    results = run(series(*[CALM] * 10, FAULT, CALM))
    kinds = [type(r).__name__ for r in results]
    assert kinds.index("AlertEvent") == kinds.index("Scored") + 10 - LENGTH + 2


def test_a_verdict_is_judged_before_it_is_learned() -> None:
    """Red if the two calls in `judge` are swapped: the last quiet window would judge itself."""
    flows = [0.3, 0.4] * 300
    results = scored(run(series(*flows)))
    apart = Detector("node", "pump", Watch(FakeModel(), RULES))
    thresholds = []
    for one in series(*flows):
        for window in apart.push(one):
            thresholds.append(apart.threshold)
            apart.judge(window, float(window.values[-1, 0]), None)
    assert [r.verdict.threshold for r in results][: len(thresholds)] == thresholds
    assert len(set(thresholds)) > 1


def test_dead_sensors_are_not_judged_and_raise_nothing() -> None:
    fleet = Fleet("node")
    results = run([readings(t, *((CALM, 1.0) if t < 20 else (NAN, NAN))) for t in range(60)], fleet)
    assert [r.t_ns // SECOND for r in scored(results)] == list(range(LENGTH - 1, 20))
    assert (events(results), fleet.detectors["pump"].counts["window_incomplete"]) == ([], 40)


def test_an_alert_says_what_part_of_the_sensors_works() -> None:
    results = run([readings(t, FAULT if t > 50 else CALM, 1.0 if t < 10 else NAN) for t in range(60)])
    assert [event.alert.quality for event in events(results)] == [0.5]


def test_a_value_that_no_sensor_sends_never_reaches_the_model() -> None:
    fleet = Fleet("node")
    results = run([readings(t, 1e35 if t == 10 else CALM) for t in range(20)], fleet)
    assert events(results) == []
    assert fleet.detectors["pump"].counts["not_finite"] == 1


@pytest.mark.parametrize("wrong", [NAN, math.inf])
def test_a_model_that_gives_no_number_is_far_from_normal_and_breaks_nothing(wrong: float) -> None:
    class Broken(FakeModel):
        def score(self, windows: Any) -> Any:
            return np.where(windows[:, -1, 0] > 1.0, wrong, windows[:, -1, 0]).astype(np.float32)

        def explain(self, windows: Any) -> Any:
            return [Explanation(np.full(2, wrong, np.float32), w * NAN, w[-1] * NAN) for w in windows]

    fleet = Fleet("node")
    watch = Watch(Broken(), RULES)
    for one in series(*[CALM] * 10, FAULT, *[CALM] * 40):
        fleet.push(one, watch)
    found = events(fleet.step())
    assert [e.type for e in found] == ["new", "end"]
    state = orjson.loads(orjson.dumps(fleet.snapshot()))
    again = Fleet("node")
    again.add("pump", watch).restore(state["pump"])
    assert again.detectors["pump"].threshold == fleet.detectors["pump"].threshold < 1e6


def test_shelving_goes_by_the_wall_clock_and_publishes_what_rose_meanwhile() -> None:
    fleet = Fleet("node")
    run(series(*[CALM] * 10), fleet)
    pump = fleet.detectors["pump"]
    pump.shelve(5 * SECOND, WALL_NS)
    assert pump.alert_now().shelved_until_ns == WALL_NS + 5 * SECOND
    assert events(run(series(*[FAULT] * 10, start_s=10), fleet)) == []
    assert fleet.tick(WALL_NS + 4 * SECOND) == []
    (new,) = events(fleet.tick(WALL_NS + 5 * SECOND))
    assert (new.type, new.alert.raised_ns, new.alert.shelved) == ("new", 10 * SECOND, False)
    assert fleet.tick(WALL_NS + 6 * SECOND) == []
    (update,) = events(pump.acknowledge())
    assert (update.type, update.alert.acked, update.seq) == ("update", True, 2)
    assert pump.acknowledge() == []


def test_shelving_before_the_first_window_holds_over_a_restart() -> None:
    """Red where it counted from the newest row judged: there is none yet, so that it had expired at once."""
    fleet, watch = Fleet("node"), Watch(FakeModel(), RULES)
    fleet.add("pump", watch).shelve(60 * SECOND, WALL_NS)
    again = Fleet("node")
    again.add("pump", watch).restore(orjson.loads(orjson.dumps(fleet.snapshot()["pump"])))
    assert events(run(series(*[FAULT] * 20, start_s=10**6), again)) == []
    assert again.tick(WALL_NS + 59 * SECOND) == []
    (new,) = events(again.tick(WALL_NS + 60 * SECOND))
    assert new.type == "new"


def test_an_asset_out_of_service_is_scored_and_silent() -> None:
    fleet = Fleet("node")
    run(series(*[CALM] * 10), fleet)
    fleet.detectors["pump"].set_service(False)
    results = run(series(*[FAULT] * 10, start_s=10), fleet)
    assert (len(scored(results)), events(results)) == (10, [])
    assert fleet.detectors["pump"].alert_now().state == "out_of_service"
    (new,) = events(fleet.detectors["pump"].set_service(True))
    assert new.type == "new"


def test_an_accepted_level_ends_the_alert_through_its_off_delay() -> None:
    fleet = Fleet("node")
    run(series(*[CALM] * 10, *[FAULT] * 100), fleet)
    fleet.detectors["pump"].accept_normal()
    (end,) = events(run(series(*[FAULT] * 20, start_s=110), fleet))
    assert (end.type, end.alert.cleared_ns) == ("end", 120 * SECOND)


def test_an_alert_that_is_clearing_ends_although_the_clock_was_set_back() -> None:
    fleet = Fleet("node")
    (new,) = events(run(series(*[CALM] * 10, *[FAULT] * 5, *[CALM] * 5, start_s=100_000), fleet))
    (end,) = events(run(series(*[CALM] * 60), fleet))
    assert (new.type, end.type, new.id) == ("new", "end", end.id)


def test_a_fork_is_independent() -> None:
    fleet = Fleet("node")
    run(series(*[CALM] * 10), fleet)
    pump = fleet.detectors["pump"]
    before = orjson.dumps(pump.snapshot())
    fork = pump.fork()
    for one in series(*[FAULT] * 10, start_s=10):
        for window in fork.push(one):
            fork.judge(window, 9.0, None)
    assert fork.alert.active
    assert orjson.dumps(pump.snapshot()) == before


flows = st.lists(st.one_of(st.floats(0, 0.9), st.floats(0, 9), st.just(NAN)), max_size=60)


@given(flows=flows, cut=st.integers(0, 60), on_delay_s=st.integers(0, 3), jitter=st.integers(0, 400))
def test_a_restart_at_any_point_is_not_noticed(flows: list[float], cut: int, on_delay_s: int, jitter: int) -> None:
    stream = [readings(t + (t * jitter % 400) / 1000, flow) for t, flow in enumerate(flows)]
    rules: dict[str, Any] = {"on_delay_ns": on_delay_s * SECOND}
    whole, first, second = Fleet("node"), Fleet("node"), Fleet("node")
    undisturbed = run(stream, whole, **rules)
    watch = Watch(FakeModel(), replace(RULES, **rules))
    found = []
    for one in stream[:cut]:
        first.push(one, watch)
        found += first.step()
    for asset, state in orjson.loads(orjson.dumps(first.snapshot())).items():
        second.add(asset, watch).restore(state)
    found += run(stream[cut:], second, **rules)
    assert found == undisturbed


def test_alert_in_which_a_sensor_is_silent_is_described_after_a_restart() -> None:
    fleet, watch = Fleet("node"), Watch(FakeModel(), RULES)
    flows = [*[CALM] * 10, FAULT, FAULT]
    (new,) = events(run([Readings("pump", t_s * SECOND, {"flow": flow}) for t_s, flow in enumerate(flows)], fleet))
    after = Fleet("node").add("pump", watch)
    after.restore(orjson.loads(orjson.dumps(fleet.snapshot()["pump"])))
    assert alert_payload(after.alert_now()) == alert_payload(fleet.detectors["pump"].alert_now())
    assert [channel["observed"] for channel in alert_payload(new.alert)["channels"]] == [FAULT, None]


def taken_over(by: FakeModel) -> tuple[Detector, str]:
    """A detector of another model with the state of one that has just had an alert, and the alert's id."""
    fleet = Fleet("node")
    (new,) = events(run(series(*[CALM] * 10, FAULT), fleet))
    other = Detector("node", "pump", Watch(by, RULES))
    other.restore(orjson.loads(orjson.dumps(fleet.snapshot()["pump"])))
    return other, new.id


def test_another_model_takes_over_the_alert_and_the_rows() -> None:
    other, identity = taken_over(FakeModel(sha256="6" * 64))
    assert other.alert.episode is not None
    assert other.alert.episode.id == identity
    assert other.is_warm


@pytest.mark.parametrize(
    "changes",
    [
        {"period_ns": 2 * SECOND},
        {"channels": CHANNELS[::-1]},
        {"hold_rows": 7},
        {"when": "flow > 0"},
        {"channels": (replace(CHANNELS[0], kind=Kind.COUNTER), CHANNELS[1])},
    ],
)
def test_a_model_that_makes_rows_otherwise_takes_over_the_alert_and_no_row(changes: dict[str, Any]) -> None:
    other, identity = taken_over(FakeModel(sha256="6" * 64, **changes))
    assert other.alert.episode is not None
    assert other.alert.episode.id == identity
    fresh = Detector("node", "pump", Watch(FakeModel(sha256="6" * 64, **changes), RULES))
    assert other.snapshot()["window"] == fresh.snapshot()["window"]


def test_an_alert_is_given_to_the_operating_mode_that_its_peak_is_nearest_to() -> None:
    modes = Modes((1.0, 1.0), ((0.0, 1.0), (4.0, 1.0)), (1.0, 0.5))  # in the fake model's latent: the newest row
    fleet, watch = Fleet("node"), Watch(FakeModel(modes=modes), RULES)
    for one in series(*[CALM] * 10, FAULT, *[CALM] * 40):
        fleet.push(one, watch)
    new, end = events(fleet.step())
    assert new.alert.similar == end.alert.similar == Similar("mode 2", 2.0)


@pytest.mark.parametrize(
    ("missing_rows", "hold_rows", "usual"), [(0, 0, USUAL_GAP_ROWS), (9, 0, 9), (0, 30, 30), (100, 0, 64)]
)
def test_a_usual_gap_is_what_training_showed_up_to_a_window(missing_rows: int, hold_rows: int, usual: int) -> None:
    channels = (Channel("flow", missing_rows=missing_rows), Channel("pressure", missing_rows=1000))
    assert usual_gap_rows(spec_of(channels=channels, hold_rows=hold_rows, length=64)) == usual


def test_shares_add_up_and_the_largest_is_first() -> None:
    window = np.array([[1, 5], [2, NAN], [3, NAN], [4, NAN]], np.float32)
    explanation = Explanation(np.array([1, 3], np.float32), np.full((4, 2), 7, np.float32), NOWHERE)
    first, second = shares_of(spec_of(), window, explanation)
    assert (first.name, first.share, first.observed, first.expected) == ("pressure", 0.75, 5.0, 7.0)
    assert (second.name, second.share, second.observed) == ("flow", 0.25, 4.0)


def test_shares_of_nothing_are_nothing() -> None:
    window = np.full((4, 2), NAN, np.float32)
    nothing = Explanation(np.zeros(2, np.float32), np.zeros((4, 2), np.float32), NOWHERE)
    shares = shares_of(spec_of(), window, nothing)
    assert [share.share for share in shares] == [0.0, 0.0]


def state_of(detector: Detector) -> Watching:
    return detector.health_now().watching


def test_state_of_watching_says_whether_an_alert_would_be_raised_now() -> None:
    fleet = Fleet("node")
    run(series(*[CALM] * (LENGTH - 1)), fleet)
    pump = fleet.detectors["pump"]
    pump.tick(WALL_NS)
    assert state_of(pump) is Watching.WARM_UP
    run(series(CALM, CALM, start_s=LENGTH - 1), fleet)
    assert state_of(pump) is Watching.WATCHED
    pump.set_service(False)
    assert state_of(pump) is Watching.OUT_OF_SERVICE
    pump.set_service(True)
    for second in range(60):
        pump.tick(WALL_NS + second * SECOND)
    assert state_of(pump) is Watching.NOT_WATCHED
    run(series(CALM, start_s=1000), fleet)
    pump.tick(WALL_NS + 60 * SECOND)
    assert state_of(pump) is Watching.WARM_UP


def test_budget_of_an_operator_is_kept_over_a_restart_with_another_model_too() -> None:
    pump = Detector("node", "pump", Watch(FakeModel(), RULES))
    usual = pump.threshold
    pump.set_budget("1/month")
    assert pump.threshold > usual
    state = orjson.loads(orjson.dumps(pump.snapshot()))
    for sha256 in (pump.spec.sha256, "another"):
        twin = Detector("node", "pump", Watch(FakeModel(), RULES))
        twin.restore(state | {"model": sha256})
        assert (twin.health_now().budget, twin.threshold) == ("1/month", pump.threshold)
    pump.set_budget(None)
    assert (pump.health_now().budget, pump.threshold, pump.interval_ns) == (None, usual, RULES.interval_ns)

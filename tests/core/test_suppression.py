"""What the owner's rules suppress: never announced, never lost, and an alert once nothing stands against it."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_ae.core.alert import alert_id
from edge_ae.core.alert_events import AlertEvent, EventType, ModelName, Outcome, Withheld
from edge_ae.core.alert_state import AlertSource
from edge_ae.core.asset_rules import AssetRules
from edge_ae.core.detector import Detector, Watch
from edge_ae.core.events import Readings, Scored
from edge_ae.core.fleet import Fleet
from edge_ae.core.model_spec import Explanation, Floats, ModelSpec
from edge_ae.core.payloads import alert_payload, health_payload
from edge_ae.core.rules import OFF_DELAY_HOPS, AlertRules, ChannelRule
from edge_ae.core.suppression import Maintenance, Silence
from edge_ae.core.timestamps import MINUTE, SECOND, parse_time_ns
from tests.models import spec_of

NAN = math.nan
MUTE, HIGH = ChannelRule(mute=True), ChannelRule(direction="high")
RULES = AlertRules(interval_ns=100 * SECOND)  # 1 in 100 windows: the boundary is 1
CALM, FAULT = 0.2, 3.0
Row = tuple[float, float]  # flow, pressure


class SumModel:
    """The score is the sum of the distances of the newest row from 0, which is expected of all; each channel's part is its own."""

    def __init__(self) -> None:
        self.spec: ModelSpec = spec_of()

    def score(self, windows: Floats) -> Floats:
        sums: Floats = np.nan_to_num(np.abs(windows[:, -1])).sum(axis=1)
        return sums

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        return [Explanation(np.nan_to_num(np.abs(w[-1])), np.zeros_like(w), w[-1]) for w in windows]


def watch(**rules: Any) -> Watch:
    return Watch(SumModel(), replace(RULES, **rules))


def rows(*values: Row, start_s: int = 0) -> list[Readings]:
    return [
        Readings("pump", (start_s + s) * SECOND, {"flow": flow, "pressure": pressure})
        for s, (flow, pressure) in enumerate(values)
    ]


def run(stream: Sequence[Readings], watched: Watch, fleet: Fleet | None = None) -> list[Outcome]:
    fleet = Fleet("node") if fleet is None else fleet
    results = []
    for one in stream:
        fleet.push(one, watched)
        results += fleet.step()
    fleet.flush()
    return results + fleet.step()


def steps(results: Sequence[Outcome]) -> list[tuple[str, str, int]]:
    """Of each step: what it was withheld by, or "" where it was published; its type; its number."""
    return [
        (one.reason, one.event.type, one.event.seq) if isinstance(one, Withheld) else ("", one.type, one.seq)
        for one in results
        if not isinstance(one, Scored)
    ]


def active(results: Sequence[Outcome]) -> list[int]:
    return [one.t_ns // SECOND for one in results if isinstance(one, Scored) and one.active]


CALMS = [(CALM, 0.0)] * 10
FAULTS = [(FAULT, 0.0)] * 5
AFTER = [(CALM, 0.0)] * (OFF_DELAY_HOPS + 2)


def test_an_alert_of_a_muted_channel_is_withheld_from_its_beginning_to_its_end() -> None:
    results = run(rows(*CALMS, *FAULTS, *AFTER), watch(channels={"flow": MUTE}))
    assert steps(results) == [("rule", "new", 0), ("rule", "end", 0)]
    assert active(results) == []
    (new, end) = (alert_payload(one.event.alert) for one in results if isinstance(one, Withheld))
    facts = ("state", "active", "suppressed", "suppressed_by", "severity_level", "ratio")
    assert [new[name] for name in facts] == ["suppressed", 0, True, "rule: flow is muted", 0, 2.9985]
    assert [end[name] for name in facts[:4]] == ["normal", 0, True, "rule: flow is muted"]


def test_score_and_id_are_those_of_a_run_without_rules() -> None:
    stream = rows(*CALMS, *FAULTS, *AFTER)
    plain, ruled = run(stream, watch()), run(stream, watch(channels={"flow": MUTE}))
    scores = [[one.verdict.score for one in found if isinstance(one, Scored)] for found in (plain, ruled)]
    assert scores[0] == scores[1]
    ids = {one.id for one in plain if isinstance(one, AlertEvent)}
    assert ids == {one.event.id for one in ruled if isinstance(one, Withheld)}


def test_a_channel_that_counts_makes_it_an_alert_from_then_on() -> None:
    stream = rows(*CALMS, *[(9.0, 0.0)] * 3, *[(9.0, 2.0)] * 3, *[(9.0, 0.0)] * 3, *AFTER)
    results = run(stream, watch(channels={"flow": MUTE}))
    assert steps(results) == [("rule", "new", 0), ("", "new", 1), ("", "end", 2)]
    (new, _) = (one for one in results if isinstance(one, AlertEvent))
    assert (new.alert.onset_ns, new.alert.raised_ns) == (10 * SECOND, 13 * SECOND)
    assert active(results)[0] == 13
    assert [share.name for share in new.alert.channels if share.accused] == ["flow", "pressure"]


def test_an_alert_is_of_the_window_that_made_it_one_however_high_the_excused_peak_was() -> None:
    stream = rows(*CALMS, *[(9.0, 0.0)] * 3, *[(0.0, 2.0)] * 3)
    (new,) = (one for one in run(stream, watch(channels={"flow": MUTE})) if isinstance(one, AlertEvent))
    assert new.alert.ratio is not None
    assert round(new.alert.ratio, 1) == 2.0
    assert new.alert.reason == "pressure 2 bar, expected 0 (high, 100 % of the deviation)"


def test_on_delay_is_that_of_windows_that_count() -> None:
    watched = watch(channels={"flow": MUTE}, on_delay_ns=2 * SECOND)
    blip = rows(*CALMS, *[(9.0, 0.0)] * 5, (0.0, 2.0), *[(9.0, 0.0)] * 5)
    assert [step for step in steps(run(blip, watched)) if step[0] == ""] == []
    lasting = rows(*CALMS, *[(9.0, 0.0)] * 5, *[(0.0, 2.0)] * 3)
    assert steps(run(lasting, watched)) == [("rule", "new", 0), ("", "new", 1)]


def test_only_the_wrong_direction_is_suppressed() -> None:
    watched = watch(channels={"flow": HIGH})
    assert steps(run(rows(*CALMS, *[(-FAULT, 0.0)] * 5), watched)) == [("rule", "new", 0)]
    assert steps(run(rows(*CALMS, *FAULTS), watched)) == [("", "new", 1)]


def test_a_suppressed_alert_spends_nothing_of_the_budget() -> None:
    fleets = Fleet("node"), Fleet("node")
    stream = rows(*CALMS, *[(1.5, 0.0)] * 5, *AFTER)
    run(stream, watch(), fleets[0])
    run(stream, watch(channels={"flow": MUTE}), fleets[1])
    spending, quiet = (fleet.detectors["pump"].threshold for fleet in fleets)
    assert spending > 1.05
    assert quiet <= 1.01


def test_the_mute_that_is_taken_back_makes_a_standing_alert_known_at_once() -> None:
    fleet = Fleet("node")
    run(rows(*CALMS), watch(), fleet)
    pump = fleet.detectors["pump"]
    assert pump.set_channel_rule("flow", MUTE) == []
    assert steps(run(rows(*FAULTS, start_s=10), watch(), fleet)) == [("rule", "new", 0)]
    assert steps(pump.set_channel_rule("flow", None)) == [("", "new", 1)]
    assert pump.suppressed == {"rule": 1}


def test_a_silence_withholds_what_rises_and_what_stands_at_its_end_is_an_alert_then() -> None:
    fleet = Fleet("node")
    run(rows(*CALMS), watch(), fleet)
    pump = fleet.detectors["pump"]
    assert pump.add_silence(Silence(0, 20 * SECOND, "cleaning")) == []
    results = run(rows(*[(FAULT, 0.0)] * 15, start_s=10), watch(), fleet)
    assert steps(results) == [("silence", "new", 0), ("", "new", 1)]
    (new,) = (one for one in results if isinstance(one, AlertEvent))
    assert (new.alert.onset_ns, new.alert.raised_ns) == (10 * SECOND, 20 * SECOND)
    assert active(results) == list(range(20, 25))
    assert pump.own_rules.silences == ()


def test_an_alert_that_was_known_before_a_silence_has_its_end_published_in_it() -> None:
    fleet = Fleet("node")
    run(rows(*CALMS, *FAULTS), watch(), fleet)
    pump = fleet.detectors["pump"]
    assert pump.add_silence(Silence(0, 1000 * SECOND)) == []
    assert pump.alert_now().state == "active"
    assert steps(run(rows(*AFTER, start_s=15), watch(), fleet)) == [("", "end", 2)]


def test_a_silence_that_is_taken_back_ends_at_once() -> None:
    fleet = Fleet("node")
    run(rows(*CALMS), watch(), fleet)
    pump = fleet.detectors["pump"]
    pump.add_silence(Silence(0, 1000 * SECOND))
    run(rows(*FAULTS, start_s=10), watch(), fleet)
    assert pump.alert_now().state == "suppressed"
    assert steps(pump.clear_silences()) == [("", "new", 1)]


def test_channels_that_stopped_together_are_no_matter_of_a_channel_s_rule() -> None:
    """A condition is nobody's deviation."""
    watched = watch(channels={"flow": MUTE, "pressure": MUTE}, unwatched_ns=60 * SECOND)
    stream = [*rows(*CALMS), *rows(*[(NAN, 0.0)] * 200, start_s=10)]
    found = steps(
        run([replace(one, values={"flow": NAN}) if one.t_ns > 12 * SECOND else one for one in stream], watched)
    )
    assert found == [("", "new", 1)]


def test_health_lists_what_is_in_force() -> None:
    pump = Detector("node", "pump", watch(channels={"flow": MUTE}))
    pump.set_channel_rule("pressure", HIGH)
    pump.add_silence(Silence(0, 60 * SECOND, "cleaning"))
    body = health_payload(pump.health_now())
    assert body["rules"] == [
        {"channel": "flow", "mute": True, "direction": "both", "min_deviation": None, "source": "settings"},
        {"channel": "pressure", "mute": False, "direction": "high", "min_deviation": None, "source": "command"},
    ]
    assert body["silences"] == [
        {"from": "1970-01-01T00:00:00.000Z", "until": "1970-01-01T00:01:00.000Z", "note": "cleaning"}
    ]


def test_after_an_alert_the_next_waits_for_the_cooldown_and_is_one_if_it_still_stands() -> None:
    watched = watch(cooldown_ns=30 * SECOND)
    short = [(FAULT, 0.0)] * 2
    lives = rows(*CALMS, *short, *AFTER, *short, *AFTER, *[(FAULT, 0.0)] * 20)
    results = run(lives, watched)
    assert steps(results) == [("", "new", 1), ("", "end", 2), *[("cooldown", one, 0) for one in ("new", "end")], *[
        ("cooldown", "new", 0), ("", "new", 1)
    ]]  # fmt: skip
    _, ended, again = (one.alert for one in results if isinstance(one, AlertEvent))
    assert ended.cleared_ns is not None
    assert again.raised_ns == ended.cleared_ns + 30 * SECOND


def test_a_suppressed_alert_begins_no_cooldown() -> None:
    watched = watch(cooldown_ns=3600 * SECOND, channels={"flow": MUTE})
    found = steps(run(rows(*CALMS, *FAULTS, *AFTER, *[(0.0, FAULT)] * 3), watched))
    assert found == [("rule", "new", 0), ("rule", "end", 0), ("", "new", 1)]


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("2026-11-28T05:59:59+01:00", None),
        ("2026-11-28T06:00:00+01:00", "maintenance window sat, sun 06:00-08:00"),
        ("2026-11-29T07:59:59+01:00", "maintenance window sat, sun 06:00-08:00"),
        ("2026-11-29T08:00:00+01:00", None),
        ("2026-11-27T07:00:00+01:00", None),
        ("2026-07-04T04:30:00Z", "maintenance window sat, sun 06:00-08:00"),  # summer: 6:30 in Berlin
    ],
)
def test_maintenance_comes_again_by_the_clock_of_its_zone(time: str, text: str | None) -> None:
    own = AssetRules(AlertRules(SECOND, maintenance=(Maintenance.of(["sat", "sun"], "06:00-08:00", BERLIN),)), ("a",))
    found = own.silenced(parse_time_ns(time))
    assert (None if found is None else found.text) == text


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 0), ("2026-03-28", 1), ("2026-10-25", 2), ("2026-10-24", 1)])
def test_an_hour_that_comes_twice_is_maintained_twice_and_one_that_never_comes_is_not(day: str, hours: int) -> None:
    nightly = Maintenance.of([], "02:00-03:00", BERLIN)
    midnight_ns = parse_time_ns(day, BERLIN)
    covered = sum(nightly.covers(midnight_ns + minute * MINUTE) for minute in range(25 * 60))
    assert covered == 60 * hours


def test_maintenance_over_midnight_is_of_the_day_on_which_it_begins() -> None:
    night = Maintenance.of(["fri"], "22:00-04:00", UTC)
    times = ("2026-11-27T03:00Z", "2026-11-27T22:00Z", "2026-11-28T03:59Z", "2026-11-28T22:00Z")
    assert [night.covers(parse_time_ns(time)) for time in times] == [False, True, True, False]


def test_maintenance_without_hours_is_all_day() -> None:
    sunday = Maintenance.of(["sun"], None, UTC)
    times = ("2026-11-28T23:59Z", "2026-11-29T00:00Z", "2026-11-29T23:59Z", "2026-11-30T00:00Z")
    assert [sunday.covers(parse_time_ns(time)) for time in times] == [False, True, True, False]
    with pytest.raises(ValueError, match="'someday' is no weekday; they are mon, tue"):
        Maintenance.of(["someday"], None, UTC)


def test_what_rises_in_maintenance_and_outlasts_it_is_an_alert_at_its_end() -> None:
    watched = watch(maintenance=(Maintenance.of([], "00:00-00:01", UTC),))
    found = run(rows(*CALMS, *[(FAULT, 0.0)] * 60), watched)
    assert steps(found) == [("maintenance", "new", 0), ("", "new", 1)]
    assert active(found) == list(range(60, 70))


# -- random lives ----------------------------------------------------------------------------------------------

value = st.sampled_from([0.0, 0.3, 0.9, 1.2, 3.0, 7.0, -2.0, NAN])
traces = st.lists(st.tuples(value, value), max_size=60)
commands = st.lists(
    st.tuples(
        st.integers(0, 60), st.sampled_from(["mute", "clear", "silence", "loud", "shelve", "unshelve", "service"])
    ),
    max_size=6,
)


def act(pump: Detector, what: str) -> list[Outcome]:
    match what:
        case "mute":
            return [*pump.set_channel_rule("flow", MUTE)]
        case "clear":
            known = any(one.channel == "flow" and one.source == "command" for one in pump.own_rules.in_force)
            return [*pump.set_channel_rule("flow", None)] if known else []
        case "silence":
            return [*pump.add_silence(Silence(pump.t_ns, pump.t_ns + 7 * SECOND))]
        case "loud":
            return [*pump.clear_silences()]
        case "shelve":
            pump.shelve(None, 0)
            return []
        case "unshelve":
            return [*pump.unshelve()]
    return [*pump.set_service(not pump.alert.in_service)]


def life(values: list[Row], acts: list[tuple[int, str]], cut: int | None, watched: Watch) -> list[Outcome]:
    """A whole run, with a restart behind row `cut`."""
    fleet = Fleet("node")
    fleet.add("pump", watched)
    results: list[Outcome] = []
    for n, one in enumerate(rows(*values)):
        fleet.push(one, watched)
        results += fleet.step()
        for at, what in acts:
            results += act(fleet.detectors["pump"], what) if at == n else []
        if n == cut:
            saved = orjson.loads(orjson.dumps(fleet.snapshot()["pump"]))
            fleet = Fleet("node")
            fleet.add("pump", watched).restore(saved)
    fleet.flush()
    return results + fleet.step()


@given(values=traces, acts=commands, cut=st.integers(0, 60), on_delay_s=st.integers(0, 2), high=st.booleans())
@example([(CALM, 0.0)] * 6 + [(FAULT, 0.0)] * 6, [(2, "mute")], 9, 0, False)
def test_a_restart_in_the_middle_of_a_suppression_is_not_noticed(
    values: list[Row], acts: list[tuple[int, str]], cut: int, on_delay_s: int, high: bool
) -> None:
    watched = watch(
        on_delay_ns=on_delay_s * SECOND, channels={"pressure": HIGH} if high else {}, cooldown_ns=5 * SECOND
    )
    assert life(values, acts, cut, watched) == life(values, acts, None, watched)


@given(values=traces, acts=commands, on_delay_s=st.integers(0, 2))
def test_subscribers_see_no_end_without_a_beginning_and_a_history_has_one_for_all(
    values: list[Row], acts: list[tuple[int, str]], on_delay_s: int
) -> None:
    known: str | None = None
    kept: dict[str, EventType] = {}
    watched = watch(on_delay_ns=on_delay_s * SECOND, channels={"flow": MUTE}, cooldown_ns=5 * SECOND)
    for one in life(values, acts, None, watched):
        if isinstance(one, AlertEvent):
            assert (known is None) if one.type is EventType.NEW else (known == one.id)
            known = None if one.type is EventType.END else one.id
        elif isinstance(one, Withheld):
            assert known is None
            assert (one.event.id in kept) == (one.event.type is not EventType.NEW)
            kept[one.event.id] = one.event.type


@given(
    values=traces,
    acts=st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["shelve", "unshelve", "service"])), max_size=4),
)
def test_without_rules_nothing_is_withheld_and_an_id_is_that_of_its_onset(
    values: list[Row], acts: list[tuple[int, str]]
) -> None:
    results = life(values, acts, None, watch())
    assert not any(isinstance(one, Withheld) for one in results)
    spec = spec_of()
    source = AlertSource("node", "pump", ModelName(spec.name, spec.trained_at, spec.sha256))
    assert all(one.id == alert_id(source, one.alert.onset_ns or 0) for one in results if isinstance(one, AlertEvent))

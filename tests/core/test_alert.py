"""The life of an alert: a table that is total, delays that are exact, and 100,000 random steps without a wrong one."""

import math
from dataclasses import replace
from itertools import product

import orjson
import pytest

from edge_ae.core import alert, alert_snapshot
from edge_ae.core.alert import NEXT, UPDATE_EVERY_NS, UPDATE_GROWTH
from edge_ae.core.alert_state import AlertState, Evidence, Level, Phase, Shelving
from edge_ae.core.events import Verdict
from edge_ae.core.model_spec import Similar
from edge_ae.core.signatures import NO_COURSE, Signature
from edge_ae.core.timestamps import SECOND
from tests.fuzz import lives
from tests.fuzz.lives import END, HIGH, LOW, MIDDLE, NEW, RULES, SHARES, SOURCE, UPDATE, Asset

# -- the table ----------------------------------------------------------------------------------------------


def test_table_is_total() -> None:
    assert set(NEXT) == set(product(Phase, Level))


@pytest.mark.parametrize(
    ("ratio", "found"),
    [(0.0, Level.LOW), (0.79999, Level.LOW), (0.8, Level.MIDDLE), (0.99999, Level.MIDDLE), (1.0, Level.HIGH)],
)
def test_the_boundary_is_high_and_the_end_of_the_deadband_is_not_low(ratio: float, found: Level) -> None:
    assert alert.level(Verdict(0, ratio, 1.0, ratio), deadband=0.2) is found


def test_without_a_deadband_there_is_no_middle() -> None:
    assert [alert.level(Verdict(0, r, 1.0, r), 0.0) for r in (0.999999, 1.0)] == [Level.LOW, Level.HIGH]


# -- one episode --------------------------------------------------------------------------------------------


def test_a_quiet_asset_publishes_nothing_and_stays_the_same_object() -> None:
    asset = Asset()
    before = asset.state
    assert asset.see(LOW, MIDDLE * 0.5, 0.0).state is before
    assert asset.events == []


def test_an_episode_has_one_id_a_beginning_and_an_end() -> None:
    asset = Asset(off_delay_s=2).see(LOW, HIGH, LOW, LOW, LOW, LOW)
    assert asset.events == [(1, NEW, 1), (4, END, 2)]
    (_, first), (_, last) = asset.published
    assert first.episode.id == last.episode.id == alert.alert_id(SOURCE, 1 * SECOND)
    assert (first.cleared_ns, last.cleared_ns) == (None, 4 * SECOND)


def test_the_same_excursion_has_the_same_id_and_another_has_another() -> None:
    ids = {
        alert.alert_id(source, t)
        for source in (
            SOURCE,
            replace(SOURCE, asset="pump2"),
            replace(SOURCE, model=replace(SOURCE.model, sha256="other")),
        )
        for t in (1, 2)
    }
    assert len(ids) == 6
    assert Asset().see(LOW, HIGH).published == Asset().see(LOW, HIGH).published


def test_on_delay_is_exact_at_its_border() -> None:
    asset = Asset(on_delay_ns=2 * SECOND).see(HIGH, HIGH)
    assert (asset.state.phase, asset.events) == (Phase.PENDING, [])
    assert asset.see(HIGH).events == [(2, NEW, 1)]
    assert asset.published[0][1].episode.onset_ns == 0
    assert asset.published[0][1].episode.raised_ns == 2 * SECOND


def test_a_low_verdict_within_the_on_delay_is_no_alert() -> None:
    assert Asset(on_delay_ns=2 * SECOND).see(HIGH, HIGH, LOW, HIGH, HIGH, LOW).events == []


def test_between_the_thresholds_the_on_delay_runs_but_only_high_raises() -> None:
    assert Asset(on_delay_ns=2 * SECOND).see(HIGH, MIDDLE, MIDDLE, MIDDLE).events == []
    assert Asset(on_delay_ns=2 * SECOND).see(HIGH, MIDDLE, MIDDLE, MIDDLE, HIGH).events == [(4, NEW, 1)]


def test_off_delay_is_exact_at_its_border() -> None:
    asset = Asset(off_delay_s=3).see(HIGH, LOW, LOW, LOW)
    assert (asset.state.phase, asset.state.active) == (Phase.CLEARING, True)
    assert asset.see(LOW).events == [(0, NEW, 1), (4, END, 2)]
    assert asset.state == AlertState(since_ns=4 * SECOND)


def test_high_within_the_off_delay_goes_on_with_the_same_episode() -> None:
    asset = Asset(off_delay_s=2).see(HIGH, LOW, LOW, HIGH, LOW, LOW, LOW)
    assert asset.events == [(0, NEW, 1), (6, END, 2)]


def test_between_the_thresholds_an_active_alert_stays() -> None:
    assert Asset(off_delay_s=1).see(HIGH, *[MIDDLE] * 50).events == [(0, NEW, 1)]


def test_onset_is_the_first_verdict_that_was_not_low() -> None:
    asset = Asset().see(MIDDLE, LOW, MIDDLE, MIDDLE, HIGH)
    assert asset.published[0][1].episode.onset_ns == 2 * SECOND


def test_the_peak_is_kept_with_its_time_and_its_shares() -> None:
    asset = Asset().see(2.0, 5.0, 3.0, LOW)
    episode = asset.published[-1][1].episode
    assert (episode.peak.ratio, episode.peak_ns, episode.shares) == (5.0, 1 * SECOND, SHARES)


def test_the_mode_and_the_magnitude_of_the_peak_are_kept_over_a_restart() -> None:
    state, places = AlertState(), (Similar("mode 1", 2.0), Similar("mode 2", 7.0), None)
    for t_s, (ratio, place) in enumerate(zip((2.0, 5.0, 3.0), places, strict=True)):
        shares = () if place is None else SHARES
        evidence = Evidence(shares, place, magnitude=2.0 * ratio)
        state, _ = alert.step(state, Verdict(t_s, ratio, 1.0, ratio), t_s * SECOND, RULES, SOURCE, evidence)
    assert state.episode is not None
    assert (state.episode.similar, state.episode.magnitude) == (Similar("mode 2", 7.0), 10.0)
    assert alert_snapshot.restore(orjson.loads(orjson.dumps(alert_snapshot.snapshot(state)))) == state


def test_an_active_alert_of_version_0_1_is_taken_up() -> None:
    state = Asset().see(HIGH).state
    saved = orjson.loads(orjson.dumps(alert_snapshot.snapshot(state)))
    for name in ("", "_ns", "_ratio"):
        saved["episode"][f"told{name}"] = saved["episode"].pop(f"published{name}")
    assert alert_snapshot.restore(saved) == state


def test_a_checkpoint_from_before_there_were_modes_and_magnitudes_is_taken_up() -> None:
    saved = orjson.loads(orjson.dumps(alert_snapshot.snapshot(Asset().see(HIGH).state)))
    del saved["episode"]["similar"], saved["episode"]["magnitude"]
    assert alert_snapshot.restore(saved).episode is not None


def test_updates_are_apart_and_show_growth() -> None:
    apart = UPDATE_EVERY_NS // SECOND
    grown = 2.0 * UPDATE_GROWTH
    asset = Asset().see(2.0, grown, *[2.0] * (apart - 2))
    assert asset.events == [(0, NEW, 1)]
    assert asset.see(2.0).events[1:] == [(apart, UPDATE, 2)]
    assert asset.see(*[grown] * 3 * apart).events[2:] == []


def test_evidence_is_wanted_where_an_alert_may_begin_or_peak() -> None:
    asset = Asset()
    high, higher, low = (Verdict(0, r, 1.0, r) for r in (1.5, 2.5, 0.5))
    assert [alert.wants_evidence(asset.state, v.ratio) for v in (high, low)] == [True, False]
    asset.see(2.0)
    assert [alert.wants_evidence(asset.state, v.ratio) for v in (higher, low)] == [True, False]


def test_windows_of_an_alert_that_goes_on_are_looked_at_now_and_then() -> None:
    looks = Signature((1.0,), 2.0, 0.1, (), (0.0,), (0.0,))
    course = NO_COURSE.further(2.0, looks)
    assert [course.wants(ratio) for ratio in (1.5, 1.9, 2.4, 2.6)] == [True, False, False, True]
    seen = []
    for window in range(2, 1000):
        seen += [window] if course.wants(2.0) else []
        course = course.further(2.0, looks if course.wants(2.0) else None)
    assert seen[:3] == [5, 9, 13]
    assert len(seen) < 200
    assert course.signatures == (looks,)


# -- what operators do --------------------------------------------------------------------------------------


def test_re_alarm_repeats_until_acknowledged() -> None:
    asset = Asset(re_alarm_ns=100 * SECOND).see(*[HIGH] * 250)
    assert asset.events == [(0, NEW, 1), (100, UPDATE, 2), (200, UPDATE, 3)]
    asset.note(alert.acknowledge(asset.state, asset.t_ns))
    assert asset.see(*[HIGH] * 300).events[3:] == [(249, UPDATE, 4)]
    assert asset.published[-1][1].episode.acked


def test_acknowledging_twice_or_nothing_publishes_nothing() -> None:
    asset = Asset()
    assert alert.acknowledge(asset.state, 0) == (asset.state, [])
    asset.see(HIGH)
    once, _ = alert.acknowledge(asset.state, 0)
    assert alert.acknowledge(once, 0) == (once, [])


def test_what_rises_while_shelved_is_published_when_the_shelving_ends() -> None:
    asset = Asset(off_delay_s=3)
    asset.shelve(6)
    asset.see(LOW, HIGH, HIGH, HIGH, HIGH)
    assert (asset.state.active, asset.events) == (True, [])
    assert asset.see(HIGH).events == [(5, NEW, 1)]


def test_what_rises_and_clears_while_shelved_is_never_published() -> None:
    asset = Asset()
    asset.shelve(60)
    assert asset.see(HIGH, HIGH, LOW, LOW).events == []


def test_the_end_of_a_published_alert_is_published_even_while_shelved() -> None:
    asset = Asset().see(HIGH)
    asset.shelve(60)
    assert asset.see(HIGH, LOW).events == [(0, NEW, 1), (2, END, 2)]


def test_shelving_lasts_through_a_silence_as_long_as_the_wall_clock_says() -> None:
    """Red where it counted from the asset's event time: after a silent weekend it had expired at once."""
    asset = Asset(max_shelve_ns=10**6 * SECOND).see(LOW)
    asset.wait(2 * 86_400)
    asset.shelve(3600)
    asset.t_s += 2 * 86_400
    assert asset.see(*[HIGH] * 10).events == []
    asset.wait(3600)
    assert [kind for _, kind, _ in asset.events] == [NEW]


def test_shelving_ends_by_the_wall_clock_though_no_reading_comes() -> None:
    asset = Asset().see(LOW)
    asset.shelve(60)
    asset.see(HIGH)
    asset.wait(58)
    assert (asset.state.shelving, asset.events) == (Shelving.TIMED, [])
    asset.wait(1)
    assert (asset.state.shelving, asset.events) == (Shelving.UNSHELVED, [(1, NEW, 1)])


def test_shelving_does_not_depend_on_the_asset_s_clock() -> None:
    asset = Asset().see(LOW)
    asset.shelve(60)
    until_ns = asset.state.shelved_until_ns
    asset.t_s = 10**8
    asset.see(HIGH)
    asset.state = alert.set_back(asset.state, 10**8 * SECOND)
    assert (asset.state.shelved_until_ns, asset.events) == (until_ns, [])


def test_a_wall_clock_set_back_leaves_no_longer_shelving_than_the_owner_allows() -> None:
    asset = Asset(max_shelve_ns=100 * SECOND).see(LOW)
    asset.shelve(80)
    asset.wall_s = 0
    asset.wait(1)
    assert asset.state.shelved_until_ns == 101 * SECOND
    assert (asset.state.shelving, asset.events) == (Shelving.TIMED, [])


def test_one_shot_shelving_ends_by_the_wall_clock_at_last() -> None:
    asset = Asset(max_shelve_ns=100 * SECOND)
    asset.shelve(None)
    asset.see(*[HIGH] * 99)
    assert asset.events == []
    asset.wait(1)
    assert asset.events == [(98, NEW, 1)]


def test_one_shot_shelving_ends_with_the_next_return_to_normal() -> None:
    asset = Asset()
    asset.shelve(None)
    asset.see(LOW, HIGH, LOW)
    assert (asset.state.shelving, asset.events) == (Shelving.UNSHELVED, [])
    assert asset.see(HIGH).events == [(3, NEW, 1)]


@pytest.mark.parametrize("duration_ns", [None, 10**18])
def test_no_shelving_is_longer_than_the_owner_allows(duration_ns: int | None) -> None:
    state = alert.shelve(AlertState(), 7, duration_ns, RULES)
    assert state.shelved_until_ns == 7 + RULES.max_shelve_ns


def test_out_of_service_is_silent_until_put_back() -> None:
    asset = Asset()
    asset.note(alert.set_service(asset.state, False, asset.t_ns))
    assert asset.see(HIGH, HIGH).events == []
    asset.note(alert.set_service(asset.state, True, asset.t_ns))
    assert asset.events == [(1, NEW, 1)]


# -- a clock set back ---------------------------------------------------------------------------------------


def test_delays_go_on_when_the_clock_is_set_back() -> None:
    asset = Asset(off_delay_s=3)
    asset.t_s = 999_999
    asset.see(HIGH, LOW, LOW)
    asset.state = alert.set_back(asset.state, 500_000 * SECOND)
    asset.t_s -= 500_000
    assert asset.see(LOW, LOW).events[1:] == [(500_004, END, 2)]


# -- random lives -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_no_random_life_is_illegal_or_stuck_and_every_new_has_its_end(seed: int) -> None:
    """More than 100,000 random steps; `make fuzz` takes 100,000 lives."""
    assert 8 * lives.run(260, seed) > 100_000


def test_a_ratio_that_is_no_number_changes_no_phase() -> None:
    asset = Asset(off_delay_s=5).see(math.nan)
    assert asset.state.phase is Phase.NORMAL
    assert asset.see(HIGH, math.nan, math.nan).state.phase is Phase.ACTIVE

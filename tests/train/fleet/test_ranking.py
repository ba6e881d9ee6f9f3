"""What needs a look stands first, with its reasons; the odd one among its like is named."""

from typing import Any

import numpy as np
from edge_ae_train.fleet.jobs import DONE, FAILED, JobRow
from edge_ae_train.fleet.places import places_of
from edge_ae_train.fleet.ranking import ranked

ALERT = {"raised": "2026-03-01T04:00:00.000Z", "cleared": None, "ratio": 3.0, "top_channel": "a", "reason": "a high"}


def test_place_of_a_channel_does_not_jump_with_the_time_at_one_of_two_speeds() -> None:
    speeds = np.array([1250.0] * 499 + [1350.0] * 501)[:, None]
    ((less,), _), ((more,), _) = places_of(speeds), places_of(speeds[:-4])
    assert abs(less - more) < 1.0


def test_error_values_and_silent_channels_move_no_place() -> None:
    values = np.column_stack([np.arange(1000.0), np.full(1000, np.nan)])
    values[5, 0] = 1e9
    (mean, silent), (moves, _) = places_of(values)
    assert abs(mean - 499.5) < 2.0
    assert abs(moves - 288.0) < 5.0
    assert silent == 0.0


def row(asset: str, middle: tuple[float, ...] = (10.0, 5.0), **facts: Any) -> JobRow:
    usual = {
        "model": "make",
        "channels": ["a", "b"],
        "middle": list(middle),
        "spread": [2.0, 1.0],
        "alerts": 0,
        "allowed": 4.0,
        "weeks": 4.0,
        "alert_share": 0.0,
        "active": False,
        "newest_alerts": [],
    }
    return JobRow(asset, DONE, facts=usual | facts)


def test_machine_in_alert_stands_before_one_with_many_alerts_and_that_before_a_quiet_one() -> None:
    rows = [
        row("quiet"),
        row("many", alerts=12, newest_alerts=[ALERT], alert_share=0.01),
        row("ill", alerts=3, newest_alerts=[ALERT], alert_share=0.3, active=True),
        row("usual", alerts=4, newest_alerts=[ALERT]),
        JobRow("unread", FAILED, "is empty"),
    ]
    found = ranked(rows)
    assert [one.asset for one in found] == ["ill", "many", "quiet", "usual"]
    assert found[0].reasons == ("in alert since 2026-03-01T04:00:00.000Z: a high", "30.0% of the time in alert")
    assert found[1].reasons == ("12 alerts in 4 weeks, the budget allows 4", "1.0% of the time in alert")
    assert found[2].reasons == found[3].reasons == ()


def test_machine_unlike_its_class_is_named_with_the_channel() -> None:
    like = [row(f"p{n}", (10.0 + 0.1 * n, 5.0 + 0.05 * n)) for n in range(6)]
    found = ranked([*like, row("odd", (10.2, 9.0))])
    assert found[0].asset == "odd"
    assert found[0].reasons[0].startswith("b lies ")
    assert found[0].reasons[0].endswith(" spreads above its class")
    assert all(one.reasons == () for one in found[1:])


def test_machines_of_another_model_are_another_class() -> None:
    ours = [row(f"p{n}", (10.0 + 0.1 * n, 5.0)) for n in range(4)]
    theirs = [row(f"q{n}", (90.0 + 0.1 * n, 5.0), model="other") for n in range(4)]
    assert all(one.reasons == () for one in ranked([*ours, *theirs]))


def test_models_of_their_own_are_compared_by_their_channels() -> None:
    rows = [row(f"p{n}", (10.0 + 0.1 * n, 5.0), model=f"p{n}") for n in range(5)]
    assert ranked([*rows, row("odd", (50.0, 5.0), model="odd")])[0].asset == "odd"


def test_nobody_is_odd_among_three() -> None:
    assert all(one.oddness is None for one in ranked([row("a"), row("b"), row("c", (90.0, 5.0))]))


def test_difference_small_beside_how_a_channel_moves_is_none() -> None:
    rows = [row(f"p{n}") for n in range(5)]
    assert ranked([*rows, row("near", (10.1, 5.0))])[0].reasons == ()

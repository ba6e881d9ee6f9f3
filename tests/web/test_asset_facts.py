"""What is said of an asset, whatever was published of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.published import Asset, View
from edge_ae.core.timestamps import HOUR, MINUTE, SECOND, rfc3339
from edge_ae.web.answers import TAPS, feedback_fields, rule_fields, sense_of
from edge_ae.web.asset_facts import (
    FIRST_LESSON,
    SILENCES,
    facts_of,
    in_force,
    now_of,
    ruled_channel,
    spans_of,
    unlearnt,
)
from edge_ae.web.live import WatchedAsset
from edge_ae.web.words import reason_of

KEY, NOW = ("pi", "pump"), 1_795_435_200 * SECOND
RULES = [
    {"channel": "a", "mute": True, "direction": None, "min_deviation": None, "source": "settings"},
    {"channel": "b", "mute": False, "direction": "high", "min_deviation": "5%", "source": "command"},
]


def facts(asset: Asset, stats: dict[str, Any] | None = None) -> dict[str, Any]:
    view = View("edge-ae")
    view.status["pi"], view.stats["pi"] = "online", stats or {}
    return facts_of(view, ("pi", "pump"), asset, WatchedAsset())


def now(asset: Asset, now_ns: int = NOW) -> dict[str, Any]:
    return now_of(View("edge-ae"), KEY, asset, now_ns)


def test_budget_asked_and_spent_are_said() -> None:
    asset = Asset(health={"budget": "1/day"})
    spent = {"asset": {"pump": {"budget_per_week": 7.0, "budget_interval_s": 86_400, "budget_spent": 2}}}
    assert ["budget", "1/day; spent in the last 24 h: 2 of 1 alert"] in facts(asset, spent)["facts"]
    assert ["budget", "1/day"] in facts(asset)["facts"]


def test_a_budget_of_the_settings_is_named() -> None:
    watched = WatchedAsset()
    asset = Asset(health={"budget": "default"})
    assert ["budget", "as in the settings"] in facts_of(View("edge-ae"), KEY, asset, watched)["facts"]
    watched.past.what_if = {"budget": "1/week"}
    assert ["budget", "1/week as in the settings"] in facts_of(View("edge-ae"), KEY, asset, watched)["facts"]


def test_rules_and_silences_are_said_and_only_those_of_a_command_can_be_taken_back() -> None:
    health = {"rules": RULES, "silences": [{"from": "10:00", "until": "18:00", "note": "cleaning"}]}
    assert list(in_force(health)) == [
        {"text": "a muted (by settings)", "clear": None},
        {"text": "b only high, from a deviation of 5% (by command)", "clear": 1},
        {"text": "silence 10:00 to 18:00, cleaning", "clear": SILENCES},
    ]


LESSONS = [
    {"id": "a1", "label": "false_alarm", "reason": "flow <high>", "ts_raised": "2026-11-02T09:00:00.000Z", "count": 3},
    {"id": "b2", "label": "true_alarm", "name": "closing valve", "ts_raised": 7, "idle": "no channel 'x'"},
]


def test_lessons_are_said_and_each_can_be_taken_back() -> None:
    assert list(in_force({"lessons": LESSONS})) == [
        {
            "text": "false alarm, its like is withheld, of 2026-11-02, 3 like it since: flow <high>",
            "clear": FIRST_LESSON,
        },
        {
            "text": "true alarm: closing valve, of 7, 0 like it since: ; says nothing now: no channel 'x'",
            "clear": FIRST_LESSON - 1,
        },
    ]
    numbers = (FIRST_LESSON, FIRST_LESSON - 1, FIRST_LESSON - 2, SILENCES, 0, "a1", None)
    assert [unlearnt({"lessons": LESSONS}, number) for number in numbers] == ["a1", "b2", *[None] * 5]
    assert unlearnt({"lessons": [{"id": 7}]}, FIRST_LESSON) is None


def test_a_named_alert_that_this_one_is_like_is_no_operating_mode() -> None:
    like = {"similar_to": "closing valve", "similar_count": 3, "similar_last": "2026-11-02T09:00:00.000Z"}
    found = dict(facts(Asset(alert=like))["facts"])
    assert (found["similar to"], "operating mode" in found) == ("closing valve (3 times, last 2026-11-02)", False)
    assert dict(facts(Asset(alert={"similar_to": "mode 1", "similar_count": 0}))["facts"])["operating mode"] == "mode 1"


def test_only_a_true_alarm_is_named() -> None:
    assert feedback_fields("a1", True, " closing valve ", "x") == {
        "id": "a1", "label": "true_alarm", "note": "x", "name": "closing valve"
    }  # fmt: skip
    assert feedback_fields("a1", False, "closing valve", "") == {"id": "a1", "label": "false_alarm", "note": ""}
    assert feedback_fields("a1", True, "  ", "") == {"id": "a1", "label": "true_alarm", "note": ""}


@pytest.mark.parametrize(
    ("number", "channel"), [(1, "b"), (2, None), (-2, None), ("1", None), (None, None), ({}, None)]
)
def test_a_browser_can_name_the_rules_that_it_was_shown(number: Any, channel: str | None) -> None:
    assert ruled_channel({"rules": RULES}, number) == channel


@pytest.mark.parametrize(
    ("kind", "below", "fields"),
    [
        ("below", " 0,5 ", {"channel": "a", "min_deviation": 0.5}),
        ("below", "5%", {"channel": "a", "min_deviation": "5%"}),
        ("high", "", {"channel": "a", "direction": "high"}),
        ("mute", "", {"channel": "a", "mute": True}),
        ("clear", "", {"channel": "a", "clear": True}),
    ],
)
def test_a_rule_is_the_payload_of_its_command(kind: str, below: str, fields: dict[str, Any]) -> None:
    assert rule_fields("a", kind, below) == fields


def test_warm_up_is_said_in_rows() -> None:
    warming = Asset(health={"watching": "warm_up", "rows": 12, "rows_needed": 64})
    assert now(warming)["warmUp"] == [12.0, 64.0]
    assert now(Asset(health={"watching": "watched", "rows": 64, "rows_needed": 64}))["warmUp"] is None


def after(alerts: list[dict[str, Any]]) -> Asset:
    view = View("edge-ae")
    for alert in alerts:
        view.take("edge-ae/pi/pump/alert", json.dumps(alert).encode(), NOW)
    return view.assets.get(KEY, Asset(alert=alerts[-1]))  # none of a body that is no JSON


NORMAL: dict[str, Any] = {"state": "normal", "ts_raised": None, "top_channel": None}
ACTIVE = {"state": "active", "ts_raised": rfc3339(NOW), "top_channel": "vibration", "acked": False}


@pytest.mark.parametrize(
    ("later_ns", "words"),
    [
        (0, "last alert: 0 min ago, vibration"),
        (119 * MINUTE, "last alert: 119 min ago, vibration"),
        (2 * HOUR, "last alert: 2 h ago, vibration"),
        (48 * HOUR, "last alert: 2 days ago, vibration"),
        (-HOUR, "last alert: 0 min ago, vibration"),  # a clock that is slow
    ],
)
def test_an_asset_without_an_alert_says_when_there_was_one(later_ns: int, words: str) -> None:
    assert now(after([ACTIVE, NORMAL]), NOW + later_ns)["past"] == words


def test_of_an_alert_that_stands_or_was_suppressed_nothing_is_said_as_of_a_past_one() -> None:
    assert now(after([ACTIVE]))["past"] == ""
    assert now(after([ACTIVE | {"state": "suppressed"}, NORMAL]))["past"] == ""
    assert now(after([ACTIVE | {"ts_raised": "soon"}, NORMAL]))["past"] == ""


def test_a_channel_without_a_share_is_not_drawn() -> None:
    channels = [{"name": name, "share": share} for name, share in (("a", 0.995), ("b", 0.005), ("c", 0.0049))]
    assert [one["name"] for one in now(after([ACTIVE | {"channels": channels}]))["shares"]] == ["a", "b"]


SHELVED = NORMAL | {"shelved": True}
OUT = NORMAL | {"state": "out_of_service"}


@pytest.mark.parametrize(
    ("alerts", "senseless"),
    [
        ([NORMAL], {"Acknowledge", "False alarm", "True alarm", "Unshelve", "In service"}),
        ([ACTIVE], {"Unshelve", "In service"}),
        ([ACTIVE | {"acked": True}], {"Acknowledge", "Unshelve", "In service"}),
        ([ACTIVE, NORMAL], {"Acknowledge", "Unshelve", "In service"}),
        ([SHELVED], {"Acknowledge", "False alarm", "True alarm", "In service"}),
        ([OUT], {"Acknowledge", "False alarm", "True alarm", "Unshelve", "Out of service"}),
    ],
)
def test_a_tap_that_makes_no_sense_now_cannot_be_had(alerts: list[dict[str, Any]], senseless: set[str]) -> None:
    sense = sense_of(after(alerts))
    assert {title for title, makes_sense in sense.items() if not makes_sense} == senseless
    assert set(sense) <= set(TAPS)


KEYS = [
    "state",
    "severity",
    "severity_level",
    "acked",
    "shelved",
    "shelved_until",
    "reason",
    "suppressed_by",
    "ts_onset",
    "ts_raised",
    "top_channel",
    "channels",
]
KEYS += [
    "model",
    "name",
    "share",
    "unit",
    "similar_to",
    "rules",
    "silences",
    "faults",
    "watching",
    "rows",
    "rows_needed",
    "pace",
    "note",
]
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["active", "suppressed", "warm_up"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
bodies = st.dictionaries(st.sampled_from(KEYS), anything, max_size=8)


@given(alert=bodies, health=bodies, stats=st.dictionaries(st.just("asset"), anything))
def test_nothing_that_is_published_can_break_the_page(
    alert: dict[str, Any], health: dict[str, Any], stats: dict[str, Any]
) -> None:
    asset = after([alert])
    asset.health = health
    said = facts(asset, stats)
    assert now(asset)["past"].isprintable()
    sense_of(asset)
    assert all(isinstance(word, str) and word.isprintable() for pair in said["facts"] for word in pair)
    assert all(one["text"].isprintable() for one in said["inForce"])
    spans_of(asset, WatchedAsset())
    assert reason_of(asset).isprintable()


def test_an_asset_that_has_no_model_yet_says_how_far_it_is() -> None:
    text = "learned from 3 of 168 hours; first model at 24 h"
    asset = Asset(health={"watching": "learning", "watched": False, "reason": text, "learning": text, "learned_h": 3})
    assert (now(asset)["state"], now(asset)["tone"], now(asset)["reason"]) == ("learning", "calm", text)
    assert ["learning", text] in facts(asset)["facts"]
    watched = Asset(
        alert={"state": "normal"},
        health={"watching": "watched", "reason": None, "learning": "learned from 31 of 168 hours"},
    )
    assert (now(watched)["state"], now(watched)["reason"]) == ("normal", "")
    assert ["learning", "learned from 31 of 168 hours"] in facts(watched)["facts"]

"""What is said of an asset, whatever was published of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.published import Asset, View
from edge_ae.web.answers import rule_fields
from edge_ae.web.asset_facts import SILENCES, facts_of, in_force, ruled_channel, spans_of
from edge_ae.web.live import WatchedAsset
from edge_ae.web.words import reason_of

RULES = [
    {"channel": "a", "mute": True, "direction": None, "min_deviation": None, "source": "settings"},
    {"channel": "b", "mute": False, "direction": "high", "min_deviation": "5%", "source": "command"},
]


def facts(asset: Asset, stats: dict[str, Any] | None = None) -> dict[str, Any]:
    view = View("edge-ae")
    view.status["pi"], view.stats["pi"] = "online", stats or {}
    return facts_of(view, ("pi", "pump"), asset, WatchedAsset())


def test_budget_asked_and_spent_are_said() -> None:
    asset = Asset(health={"budget": "1/day"})
    spent = {"asset": {"pump": {"budget_per_week": 7.0, "budget_interval_s": 86_400, "budget_spent": 2}}}
    assert ["budget", "1/day, 7 alerts a week are accepted, 2 in the last 1 days"] in facts(asset, spent)["facts"]
    assert ["budget", "1/day"] in facts(asset)["facts"]


def test_rules_and_silences_are_said_and_only_those_of_a_command_can_be_taken_back() -> None:
    health = {"rules": RULES, "silences": [{"from": "10:00", "until": "18:00", "note": "cleaning"}]}
    assert list(in_force(health)) == [
        {"text": "a muted (by settings)", "clear": None},
        {"text": "b only high, from a deviation of 5% (by command)", "clear": 1},
        {"text": "silence 10:00 to 18:00, cleaning", "clear": SILENCES},
    ]


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
    assert facts(warming)["warmUp"] == [12.0, 64.0]
    assert facts(Asset(health={"watching": "watched", "rows": 64, "rows_needed": 64}))["warmUp"] is None


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
    asset = Asset(alert=alert, health=health)
    said = facts(asset, stats)
    assert all(isinstance(word, str) and word.isprintable() for pair in said["facts"] for word in pair)
    assert all(one["text"].isprintable() for one in said["inForce"])
    spans_of(asset, WatchedAsset())
    assert reason_of(asset).isprintable()

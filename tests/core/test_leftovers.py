"""What is retained of nodes and assets that are gone is named, and nothing of anybody else."""

import json
from typing import Any

import pytest

from edge_ae.bridges.homeassistant_entities import asset_message, node_message, topic_of
from edge_ae.core import leftovers as module
from edge_ae.core.leftovers import Inventory, Leftovers, leftovers
from edge_ae.core.timestamps import HOUR, MINUTE, rfc3339

NOW = 1_795_435_200_000_000_000
DAY = 24 * HOUR
BASE = "site/edge-ae"


def text(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def stats(age_ns: int, *assets: str, count: int | None = None) -> dict[str, Any]:
    return {
        "ts": rfc3339(NOW - age_ns),
        "assets": len(assets) if count is None else count,
        "asset": {name: {} for name in assets},
    }


class Kept:
    """What a broker retains, given topic by topic below the base."""

    def __init__(self) -> None:
        self.inventory = Inventory(BASE, "homeassistant")

    def node(self, name: str, status: str, *assets: str, stats: Any = None) -> "Kept":
        self.put(f"{BASE}/{name}/status", status.encode())
        if stats is not None:
            self.put(f"{BASE}/{name}/stats", stats)
        for asset in assets:
            self.put(f"{BASE}/{name}/{asset}/alert", {"state": "normal"})
        return self

    def put(self, topic: str, value: Any, *, live: bool = False) -> "Kept":
        self.inventory.take(topic, text(value), live=live)
        return self

    def found(self, *named: str, days: int = 30) -> Leftovers:
        return leftovers(self.inventory, NOW, days * DAY, frozenset(named))

    def topics(self, *named: str) -> list[str]:
        return [one.topic.removeprefix(f"{BASE}/") for one in self.found(*named).items]


def test_node_that_is_offline_for_long_goes_with_all_that_it_has() -> None:
    kept = Kept().node("old", "offline", "pump", stats=stats(31 * DAY, "pump"))
    kept.put(f"{BASE}/old/outbox", ["a", 1]).put(f"{BASE}/old/recorder", b"offline").put(f"{BASE}/old/pump/health", {})
    assert kept.topics() == [
        "old/outbox",
        "old/recorder",
        "old/stats",
        "old/status",
        "old/pump/alert",
        "old/pump/health",
    ]
    assert {one.why for one in kept.found().items} == {"offline, its last stats are of 2026-10-23 12:00 UTC"}


@pytest.mark.parametrize(
    ("status", "last", "why"),
    [
        ("offline", stats(29 * DAY), "offline, its last stats are of 2026-10-25 12:00 UTC"),
        ("offline", None, "offline, nobody knows since when"),
        ("offline", {"ts": "yesterday"}, "offline, nobody knows since when"),
        ("offline", b"no JSON", "offline, nobody knows since when"),
        ("offline", stats(-DAY), "offline, its last stats are of 2026-11-24 12:00 UTC"),
    ],
)
def test_node_that_is_not_surely_gone_stays_until_it_is_named(status: str, last: Any, why: str) -> None:
    kept = Kept().node("n", status, "pump", stats=last)
    assert (kept.topics(), kept.found().kept) == ([], {"n": why})
    assert len(kept.topics("n")) == (2 if last is None else 3)


def test_node_that_is_online_stays_even_where_it_is_named_and_its_stats_are_of_today() -> None:
    kept = Kept().node("n", "online", "pump", stats=stats(MINUTE, "pump"))
    assert (kept.topics("n"), kept.found().kept) == ([], {})
    assert kept.found("n").kept == {"n": "online, its last stats are of 2026-11-23 11:59 UTC"}


def test_broker_that_calls_a_dead_node_online_is_believed_until_the_node_is_named() -> None:
    kept = Kept().node("n", "online", stats=stats(40 * DAY))
    assert kept.topics() == []
    assert kept.topics("n") == ["n/stats", "n/status"]


def test_node_whose_recorder_alone_is_online_stays() -> None:
    kept = Kept().node("n", "offline", stats=stats(40 * DAY)).put(f"{BASE}/n/recorder", b"online")
    assert kept.topics() == []
    kept.put(f"{BASE}/n/recorder", b"offline", live=True)
    assert len(kept.topics()) == 3


def test_asset_that_a_live_node_does_not_name_goes_once_its_stats_are_newer() -> None:
    kept = Kept().node("n", "online", "pump", "fan", stats=stats(MINUTE, "pump"))
    assert (kept.topics(), kept.found().unsure) == ([], frozenset({"n"}))
    kept.put(f"{BASE}/n/stats", stats(0, "pump"), live=True)
    assert kept.topics() == ["n/fan/alert"]
    assert kept.found().items[0].why == "n watches no such asset"
    assert kept.found().unsure == frozenset()


def test_node_that_has_just_begun_keeps_the_assets_that_its_stats_do_not_name_yet() -> None:
    kept = Kept().node("n", "online", "pump", stats=stats(MINUTE))
    kept.put(f"{BASE}/n/stats", stats(0) | {"uptime_s": 599}, live=True)
    assert (kept.topics(), kept.found().unsure, kept.found().settling) == ([], frozenset(), frozenset({"n"}))
    kept.put(f"{BASE}/n/stats", stats(0) | {"uptime_s": 600}, live=True)
    assert (kept.topics(), kept.found().settling) == (["n/pump/alert"], frozenset())


def test_stats_from_the_first_minutes_of_a_node_that_are_only_retained_are_waited_out() -> None:
    kept = Kept().node("n", "online", "pump", stats=stats(DAY) | {"uptime_s": 5})
    assert (kept.found().unsure, kept.found().settling) == (frozenset({"n"}), frozenset())


@pytest.mark.parametrize("topic", [f"{BASE}/n/fan/alert", f"{BASE}/n/fan/health", f"{BASE}/n/new/alert"])
def test_asset_of_which_something_came_after_the_stats_may_be_a_new_one(topic: str) -> None:
    kept = Kept().node("n", "online", "fan", stats=stats(MINUTE)).put(f"{BASE}/n/stats", stats(0), live=True)
    assert kept.topics() == ["n/fan/alert"]
    kept.put(topic, {}, live=True)
    assert (kept.topics(), kept.found().unsure) == ([], frozenset({"n"}))


def test_news_of_an_asset_that_is_watched_leave_the_stats_as_new_as_they_were() -> None:
    kept = Kept().node("n", "online", "fan", stats=stats(MINUTE)).put(f"{BASE}/n/stats", stats(0, "pump"), live=True)
    kept.put(f"{BASE}/n/pump/alert", {}, live=True)
    assert kept.topics() == ["n/fan/alert"]


def test_node_with_more_assets_than_its_stats_name_keeps_them_all() -> None:
    kept = Kept().node("n", "online", "fan").put(f"{BASE}/n/stats", stats(0, "pump", count=201), live=True)
    assert kept.topics() == []
    assert "do not name all" in kept.found().kept["n"]


def announced(node: str, asset: str | None = None, base: str = BASE) -> tuple[str, dict[str, Any]]:
    prefix = f"{base}/{node}"
    body = node_message(prefix, node) if asset is None else asset_message(prefix, asset, "m", 30)
    return topic_of("homeassistant", prefix, asset), body


def test_entities_of_home_assistant_go_with_their_node_and_asset() -> None:
    kept = Kept().node("old", "offline", stats=stats(31 * DAY)).node("n", "online", "pump")
    for owner in (("old",), ("old", "pump"), ("n",), ("n", "pump"), ("n", "fan")):
        kept.put(*announced(*owner))
    kept.put(f"{BASE}/n/stats", stats(0, "pump"), live=True)
    going = {announced(*owner)[0] for owner in (("old",), ("old", "pump"), ("n", "fan"))}
    assert {topic for topic in kept.topics() if topic.startswith("homeassistant")} == going


def changed(**changes: Any) -> tuple[str, Any]:
    topic, body = announced("old")
    return topic, body | changes


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        changed(o={"name": "zigbee2mqtt"}),
        changed(o=None),
        changed(cmps=[]),
        changed(cmps={"a": {"state_topic": "tele/old/STATE"}, "b": 1, "c": {"state_topic": {}}}),
        ("homeassistant/device/shelly_1/config", announced("old")[1]),
        ("homeassistant/sensor/edge_ae_old/config", announced("old")[1]),
        announced("old", base="other/edge-ae"),
        (announced("old")[0], b"[" * 100_000),
        (f"{BASE}/old/pump/speed", 1),
        (f"{BASE}/old/cmd", 1),
        (f"{BASE}/old/a/b/alert", 1),
        ("edge-ae/old/pump/alert", 1),
        ("te/device/other///a/anomaly", {"severity": "major"}),
        ("te/device/pump///a/temperature_high", {"severity": "major"}),
        ("te/device/pump///m/anomaly", {}),
        ("plant/old/status", b"offline"),
    ],
)
def test_what_is_not_ours_is_never_named(topic: str, body: Any) -> None:
    kept = Kept().node("old", "offline", "pump", stats=stats(31 * DAY)).put(topic, body)
    assert kept.topics("old") == ["old/stats", "old/status", "old/pump/alert"]


def test_alarm_goes_with_its_asset_unless_another_node_has_one_of_its_name() -> None:
    alarm = "te/device/pump///a/anomaly"
    kept = Kept().node("old", "offline", "pump", stats=stats(31 * DAY)).put(alarm, {"severity": "major"})
    assert alarm in kept.topics()
    kept.node("n", "online", stats=stats(MINUTE, "pump"))
    assert alarm not in kept.topics()


def test_topic_that_is_emptied_is_there_no_more() -> None:
    kept = Kept().node("old", "offline", "pump", stats=stats(31 * DAY)).put("te/device/pump///a/anomaly", {})
    for topic in [one.topic for one in kept.found().items]:
        kept.put(topic, b"", live=True)
    assert (kept.inventory.owners, kept.inventory.alarms) == ({}, {})


def test_no_more_topics_are_remembered_than_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOPICS", 3)
    kept = Kept().node("n", "online", "a", "b", "c", "d")
    kept.put(f"{BASE}/n/a/alert", {})
    assert (len(kept.inventory.owners), kept.inventory.more) == (3, 2)


def test_many_topics_are_looked_through_in_one_go() -> None:
    kept = Kept().node("n", "online", *(f"a{number}" for number in range(5_000)))
    kept.put(f"{BASE}/n/stats", stats(0, *(f"a{number}" for number in range(0, 5_000, 2))), live=True)
    assert len(kept.topics()) == 2_500

"""What has been published is held as it was last known, within bounds, and no message harms it."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.large_payloads import MAX_LARGE
from edge_ae.core.published import MAX_BYTES, MAX_NODES, Asset, View
from edge_ae.core.timestamps import SECOND

NOW = 1_795_435_200 * SECOND


def taken(view: View, **topics: Any) -> View:
    """`pi__pump__score={...}` is the topic pi/pump/score."""
    for topic, body in topics.items():
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        view.take("edge-ae/" + topic.replace("__", "/"), payload, NOW)
    return view


def test_scores_within_a_slot_are_one_and_the_highest_is_kept() -> None:
    view = View("edge-ae", slot_ns=30 * SECOND)
    for after_s, ratio in ((0, 0.1), (10, 0.7), (29, 0.2), (30, 0.3)):
        view.take("edge-ae/pi/pump/score", json.dumps({"ratio": ratio}).encode(), NOW + after_s * SECOND)
    assert list(view.assets["pi", "pump"].recent) == [0.7, 0.3]
    assert view.assets["pi", "pump"].ratio == 0.3


def test_the_slot_of_a_score_is_that_of_its_data_where_it_names_a_time() -> None:
    view = View("edge-ae", slot_ns=30 * SECOND)
    for ts in ("2026-11-23T17:00:00.000Z", "2026-11-23T17:00:29.000Z", "2026-11-23T17:00:30.000Z", "never", 5):
        view.take("edge-ae/pi/pump/score", json.dumps({"ts": ts, "ratio": 0.5}).encode(), NOW)
    assert len(view.assets["pi", "pump"].recent) == 3
    assert view.assets["pi", "pump"].slot == NOW // (30 * SECOND)


def test_an_asset_whose_alert_is_cleared_from_the_broker_is_no_more() -> None:
    view = taken(View("edge-ae"), pi__pump__alert={"state": "active"}, pi__pump__health={"watched": True})
    assert taken(view, pi__pump__health=b"").assets  # the alert still stands
    assert taken(view, pi__pump__alert=b"").assets == {}


def test_a_node_whose_status_is_cleared_is_no_more() -> None:
    assert taken(taken(View("edge-ae"), pi__status=b"offline"), pi__status=b"").status == {}


def test_an_asset_of_a_dead_node_makes_room_for_one_of_a_live_node_and_never_the_other_way() -> None:
    view = taken(View("edge-ae", max_assets=2), old__status=b"offline", pi__status=b"online")
    taken(view, old__a__score={"ratio": 1}, old__b__score={"ratio": 1}, pi__a__score={"ratio": 1})
    assert list(view.assets) == [("old", "b"), ("pi", "a")]
    taken(view, old__c__score={"ratio": 1})
    assert (list(view.assets), view.unused) == ([("old", "b"), ("pi", "a")], 2)


def test_what_finds_no_room_is_counted() -> None:
    view = View("edge-ae", max_assets=1)
    for number in range(MAX_NODES + 1):
        view.take(f"edge-ae/n{number}/status", b"online", NOW)
    assert (len(view.status), view.unused) == (MAX_NODES, 1)
    taken(view, n0__a__score={"ratio": 1}, n0__b__score={"ratio": 1})
    view.take(f"edge-ae/{'n' * 10_000}/status", b"online", NOW)
    view.take("edge-ae/n0/stats", b" " * (MAX_BYTES + 1), NOW)
    assert (list(view.assets), view.unused) == ([("n0", "a")], 4)


def test_large_payloads_have_one_bound_and_what_stood_where_one_finds_no_room_is_taken_away() -> None:
    view = taken(View("edge-ae"), pi__pump__alert={"state": "normal"}, pi__stats={"uptime_s": 5})
    large = b'{"state": "active", "junk": [' + b",".join([b"[]"] * 60_000) + b"]}"
    for number in range(40):
        taken(view, **{f"pi__a{number}__alert": large, f"pi__a{number}__health": large, f"n{number}__stats": large})
    held = [
        *(one.alert for one in view.assets.values()),
        *(one.health for one in view.assets.values()),
        *view.stats.values(),
    ]
    assert sum(60_000 * 56 for body in held if "junk" in body) < MAX_LARGE
    assert view.unused == 3 * 40 - sum("junk" in body for body in held)
    taken(view, pi__pump__alert=large, pi__stats=large)
    assert (view.assets["pi", "pump"].state, view.stats.get("pi")) == ("unknown", None)
    assert taken(view, pi__pump__alert={"state": "active"}).assets["pi", "pump"].state == "active"


def test_an_asset_that_is_no_more_leaves_its_room_to_others() -> None:
    view, large = View("edge-ae"), b'{"state": "active", "junk": "' + b"x" * 200_000 + b'"}'
    for number in range(200):
        taken(view, **{f"pi__a{number}__alert": large, f"pi__a{number}__health": large, f"n{number}__stats": large})
        taken(view, **{f"pi__a{number}__alert": b"", f"n{number}__stats": b""})
    assert (view.unused, view.assets, view.stats) == (0, {}, {})


@given(topic=st.text(max_size=40), payload=st.binary(max_size=40))
def test_no_message_can_break_it(topic: str, payload: bytes) -> None:
    for ending in ("status", "stats", "flood", "a/score", "a/alert", "a/health"):
        View("edge-ae").take(f"edge-ae/{topic}/{ending}", payload, NOW)


def test_a_hundred_thousand_assets_too_many_are_refused_without_a_look_at_those_that_are_held() -> None:
    """Each look would cost as much as there are assets, and the page would stand still."""

    class CountedAssets(dict[tuple[str, str], Asset]):
        looks = 0

        def __iter__(self) -> Iterator[tuple[str, str]]:
            self.looks += 1
            return super().__iter__()

    assets = CountedAssets()
    view = View("edge-ae", max_assets=2, assets=assets)
    for number in range(50):
        taken(view, **{f"pi__a{number}__alert": {"state": "normal"}})
    assert (len(assets), view.unused, assets.looks) == (2, 48, 1)
    taken(view, pi__status=b"offline", new__pump__alert={"state": "normal"})
    assert ("new", "pump") in assets

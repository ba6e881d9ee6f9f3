"""What an alert says, to programs and to people."""

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.alert_events import EventType, FloodSummary, ModelName
from edge_ae.core.alert_state import AlertSource, AlertState, Cause, Condition, Episode, Phase, Shelving, Transition
from edge_ae.core.description import describe, reason, severity
from edge_ae.core.events import Row, Share, Verdict
from edge_ae.core.model_spec import Similar
from edge_ae.core.payloads import (
    CHANNELS_LISTED,
    SEVERITY_LEVELS,
    alert_payload,
    denoised_payload,
    ended,
    flood_payload,
    score_payload,
    significant,
)
from edge_ae.core.timestamps import SECOND
from tests.models import spec_of

_CONTRACT = """schema id type asset node state active suppressed suppressed_by acked shelved shelved_until severity severity_level score threshold ratio magnitude quality ts_onset
    ts_raised ts_peak ts_cleared duration_s top_channel top_share reason cause similar_to
    similar_distance similar_count similar_last channels model seq"""
CONTRACT = set(_CONTRACT.split())
FLOW = Share("flow", "m3/h", 0.62, 3.1, 4.2)
VIBRATION = Share("vibration", "mm/s", 0.31, 9.0, 2.0)
SIMILAR = Similar("mode 2", 3.456789)
QUIET = Share("level", "m", 0.07, 1.0, 1.0)


def episode(**changes: Any) -> Episode:
    peak = Verdict(9, 2.5, 1.0, 2.5)
    facts: dict[str, Any] = {
        "id": "abc",
        "onset_ns": 10 * SECOND,
        "raised_ns": 12 * SECOND,
        "peak_ns": 15 * SECOND,
        "peak": peak,
    }
    return Episode(
        **(facts | {"shares": (FLOW, VIBRATION, QUIET), "similar": SIMILAR, "seq": 1, "published": True} | changes)
    )


def body_of(state: AlertState, transition: Transition | None = None) -> dict[str, Any]:
    spec = spec_of()
    source = AlertSource("pi", "pump", ModelName(spec.name, spec.trained_at, spec.sha256))
    return alert_payload(describe(source, state, transition))


def test_a_normal_asset_has_every_field_of_the_contract() -> None:
    body = body_of(AlertState())
    assert set(body) == CONTRACT
    assert (body["state"], body["id"], body["type"], body["seq"], body["channels"]) == ("normal", None, None, 0, [])


def test_an_alert_has_every_field_of_the_contract() -> None:
    state = AlertState(Phase.ACTIVE, episode=episode())
    body = body_of(state, Transition(EventType.NEW, episode()))
    assert set(body) == CONTRACT
    assert body | {"channels": None, "reason": None} == {
        "schema": 1,
        "id": "abc",
        "type": "new",
        "asset": "pump",
        "node": "pi",
        "state": "active",
        "active": 1,
        "suppressed": False,
        "suppressed_by": None,
        "acked": False,
        "shelved": False,
        "shelved_until": None,
        "severity": "medium",
        "severity_level": 2,
        "score": 2.5,
        "threshold": 1.0,
        "ratio": 2.5,
        "magnitude": None,
        "quality": 1.0,
        "ts_onset": "1970-01-01T00:00:10.000Z",
        "ts_raised": "1970-01-01T00:00:12.000Z",
        "ts_peak": "1970-01-01T00:00:15.000Z",
        "ts_cleared": None,
        "duration_s": 0.0,
        "top_channel": "flow",
        "top_share": 0.62,
        "reason": None,
        "cause": "score",
        "similar_to": "mode 2",
        "similar_distance": 3.45679,
        "similar_count": 0,
        "similar_last": None,
        "channels": None,
        "model": {"name": "pump", "version": "2026-01-01T00:00:00Z", "sha256": "5" * 64},
        "seq": 1,
    }
    assert body["channels"][0] == {
        "name": "flow",
        "unit": "m3/h",
        "share": 0.62,
        "observed": 3.1,
        "expected": 4.2,
        "direction": "low",
    }


def test_an_alert_that_is_like_a_named_one_says_so_in_its_keys_and_its_reason() -> None:
    like = Similar("closing valve", 0.4, 3, 1_793_610_000 * SECOND, "0badc0de")
    body = body_of(AlertState(Phase.ACTIVE, episode=episode(similar=like)))
    keys = ("similar_to", "similar_distance", "similar_count", "similar_last")
    assert [body[key] for key in keys] == ["closing valve", 0.4, 3, "2026-11-02T09:00:00.000Z"]
    assert body["reason"].endswith("; similar to: closing valve (3 times, last 2026-11-02)")


def test_an_end_says_when_and_how_long_it_was() -> None:
    body = body_of(AlertState(), Transition(EventType.END, episode(seq=3), 40 * SECOND))
    assert (body["type"], body["state"], body["ts_cleared"]) == ("end", "normal", "1970-01-01T00:00:40.000Z")
    assert (body["duration_s"], body["seq"]) == (30.0, 3)
    assert (body["active"], body["severity_level"]) == (0, 2)


def test_the_end_of_an_alert_can_be_made_from_what_was_published_of_it() -> None:
    body = body_of(AlertState(Phase.ACTIVE, episode=episode()), Transition(EventType.UPDATE, episode(seq=2)))
    end = body_of(AlertState(), Transition(EventType.END, episode(seq=3), 40 * SECOND))
    assert orjson.dumps(ended(orjson.loads(orjson.dumps(body)), 40 * SECOND)) == orjson.dumps(end)


def test_a_flood_is_summarised_in_one_payload() -> None:
    summary = FloodSummary("pi", EventType.UPDATE, "abc", 2, 10, 600 * SECOND, SECOND, 90 * SECOND, 3, ("p1", "p2"))
    assert orjson.dumps(flood_payload(summary)).decode() == (
        '{"schema":1,"id":"abc","type":"update","node":"pi","count":3,"assets":["p1","p2"],'
        '"ts_onset":"1970-01-01T00:00:01.000Z","ts":"1970-01-01T00:01:30.000Z",'
        '"reason":"more than 10 new alerts within 600 s: 3 not told one by one","seq":2}'
    )


def test_an_alert_that_is_clearing_is_active_to_others() -> None:
    assert body_of(AlertState(Phase.CLEARING, episode=episode()))["state"] == "active"
    assert body_of(AlertState(Phase.CLEARING, episode=episode()))["active"] == 1
    assert body_of(AlertState(Phase.PENDING))["state"] == "pending"


def test_out_of_service_and_shelving_are_in_the_payload() -> None:
    body = body_of(AlertState(in_service=False, shelving=Shelving.TIMED, shelved_until_ns=60 * SECOND))
    assert (body["state"], body["active"], body["shelved"]) == ("out_of_service", 0, True)
    assert body["shelved_until"] == "1970-01-01T00:01:00.000Z"


def test_the_reason_is_a_sentence_of_the_channels_that_matter() -> None:
    assert reason((FLOW, VIBRATION, QUIET)) == (
        "flow 3.1 m3/h, expected 4.2 (low, 62 % of the deviation); vibration 9 mm/s, expected 2 (high, 31 %)"
    )


@pytest.mark.parametrize(
    ("observed", "expected", "shown"),
    [
        (1_000_030.0, 1_000_000.0, "1000030, expected 1000000"),
        (50.011, 50.012, "50.011, expected 50.012"),
        (3.0, -3.0, "3, expected -3"),
        (2.0, 2.0, "2, expected 2"),
        (math.nan, 2.0, "nan, expected 2"),
        (math.inf, 2.0, "inf, expected 2"),
    ],
)
def test_observed_and_expected_differ_in_a_reason(observed: float, expected: float, shown: str) -> None:
    assert reason((Share("a", "", 1.0, observed, expected),)).startswith(f"a {shown} (")


def test_a_reason_without_a_leading_channel_names_the_first() -> None:
    assert reason(tuple(Share(f"c{n}", "", 0.05, 1.0, 1.0) for n in range(20))) == (
        "c0 1, expected 1 (changed pattern, 5 % of the deviation)"
    )
    assert reason(()) != ""


def test_no_alert_has_the_severity_level_0() -> None:
    assert body_of(AlertState())["severity_level"] == 0
    assert {severity(ratio) for ratio in (1.0, 2.0, 4.0)} == SEVERITY_LEVELS.keys() - {None}


@pytest.mark.parametrize(
    ("ratio", "word"), [(1.0, "low"), (1.999, "low"), (2.0, "medium"), (4.0, "high"), (1e9, "high")]
)
def test_severity_goes_by_the_peak(ratio: float, word: str) -> None:
    assert severity(ratio) == word


@pytest.mark.parametrize(("magnitude", "word"), [(4.99, "low"), (5.0, "medium"), (10.0, "high"), (1e9, "high")])
def test_severity_is_how_far_an_alert_is_and_not_how_rare(magnitude: float, word: str) -> None:
    body = body_of(AlertState(Phase.ACTIVE, episode=episode(magnitude=magnitude)))
    assert (body["magnitude"], body["ratio"], body["severity"]) == (magnitude, 2.5, word)


def test_what_raises_an_alert_whatever_the_score_says_is_medium_at_least() -> None:
    stopped = Condition(Cause.STOPPED, 10 * SECOND, "all stopped")
    near, far = (episode(magnitude=magnitude, condition=stopped) for magnitude in (1.0, 12.0))
    assert [body_of(AlertState(Phase.ACTIVE, episode=one))["severity"] for one in (near, far)] == ["medium", "high"]


def test_a_body_lists_so_many_channels_and_no_more() -> None:
    many = tuple(Share(f"c{n}", "", 0.01, 1.0, 0.0) for n in range(200))
    assert len(body_of(AlertState(Phase.ACTIVE, episode=episode(shares=many)))["channels"]) == CHANNELS_LISTED


def test_numbers_have_six_digits_and_what_is_none_is_null() -> None:
    assert [significant(v) for v in (1.23456789, 0.0, math.nan, math.inf)] == [1.23457, 0.0, None, None]
    assert score_payload(SECOND, Verdict(1, 0.5, 1.0, 0.5)) == {
        "ts": "1970-01-01T00:00:01.000Z",
        "score": 0.5,
        "threshold": 1.0,
        "ratio": 0.5,
    }


def test_a_denoised_row_is_flat_with_its_time() -> None:
    assert denoised_payload(spec_of(), Row(3, (1.23456789, math.nan))) == {
        "flow": 1.23457,
        "pressure": None,
        "ts": "1970-01-01T00:00:03.000Z",
    }


number = st.floats(allow_nan=True, allow_infinity=True)
shares = st.lists(
    st.builds(Share, st.text(max_size=8), st.text(max_size=3), st.floats(0, 1), number, number), max_size=20
)


@given(shares=shares, ratio=st.floats(1.0, 1e38))
def test_any_alert_is_json_of_a_few_kilobytes(shares: list[Share], ratio: float) -> None:
    one = episode(shares=tuple(shares), peak=Verdict(1, ratio, 1.0, ratio))
    data = orjson.dumps(body_of(AlertState(Phase.ACTIVE, episode=one), Transition(EventType.NEW, one)))
    assert len(data) < 8192

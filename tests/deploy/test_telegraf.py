"""Telegraf's settings in deploy: TOML, topics that there are, and paths that real payloads have."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from edge_ae.core.alert_events import AlertWord, EventType, FloodSummary
from edge_ae.core.events import Share, Verdict
from edge_ae.core.payloads import alert_payload, flood_payload, score_payload
from edge_ae.core.timestamps import SECOND, rfc3339
from tests.models import alert_of

SETTINGS = tomllib.loads((Path(__file__).parents[2] / "deploy" / "telegraf" / "edge-ae.conf").read_text())
INPUTS = SETTINGS["inputs"]["mqtt_consumer"]
KINDS = {"float": (int, float), "int": (int,), "string": (str,)}
STEP = alert_of(
    state=AlertWord.ACTIVE, id="abc", type=EventType.NEW, seq=1, severity="low", score=2.0, threshold=1.0, ratio=2.0,
    onset_ns=0, raised_ns=0, peak_ns=0, duration_ns=0, reason="flow", channels=(Share("flow", "", 1.0, 2.0, 1.0),),
)  # fmt: skip
FLOOD = FloodSummary("n", EventType.NEW, "abc", 1, 10, 600 * SECOND, 0, 0, 3, ("a",))
PAYLOADS: dict[str, dict[str, Any]] = {
    "score": score_payload(0, Verdict(0, 2.0, 1.0, 2.0)),
    "alert": alert_payload(STEP),
    "event": alert_payload(STEP),
    "flood": flood_payload(FLOOD),
}


def kind_of(block: dict[str, Any]) -> str:
    return str(block["topics"][0]).rpartition("/")[2]


def test_there_is_an_input_for_each_of_these_topics() -> None:
    assert [kind_of(block) for block in INPUTS] == list(PAYLOADS)


@pytest.mark.parametrize("block", INPUTS, ids=kind_of)
def test_every_path_is_in_a_real_payload_and_of_its_kind(block: dict[str, Any]) -> None:
    payload = PAYLOADS[kind_of(block)]
    (parser,) = block["json_v2"]
    for field in parser["field"]:
        assert isinstance(payload[field["path"]], KINDS[field["type"]]), field
    for tag in parser.get("tag", []):
        assert isinstance(payload[tag["path"]], str), tag


@pytest.mark.parametrize("block", INPUTS, ids=kind_of)
def test_times_are_written_as_the_settings_say(block: dict[str, Any]) -> None:
    (parser,) = block["json_v2"]
    if "timestamp_path" in parser:
        assert PAYLOADS[kind_of(block)][parser["timestamp_path"]] == rfc3339(0)
        assert (
            parser["timestamp_format"] == "2006-01-02T15:04:05Z07:00"
        )  # Go's RFC 3339, which takes milliseconds as well


@pytest.mark.parametrize("block", INPUTS, ids=kind_of)
def test_levels_of_the_topic_are_named(block: dict[str, Any]) -> None:
    (topic,), (parsing,) = block["topics"], block["topic_parsing"]
    assert parsing["topic"] == topic
    assert len(parsing["tags"].split("/")) == len(topic.split("/"))

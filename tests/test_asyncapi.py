"""The papers of the contract, docs/asyncapi.yaml, held to the document's own standard and to what a real daemon publishes."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7

from edge_ae.core.alert_events import AlertWord, EventType
from edge_ae.core.alert_state import Cause, Phase
from edge_ae.core.commands import (
    LABELS,
    LONGEST_SHELVE_S,
    LONGEST_VIEW_S,
    MAX_ALERT_NAME,
    MAX_NOTE,
    MAX_SILENCE_NOTE,
    MOST_ALERTS,
    MOST_DAYS,
    PARSERS,
)
from edge_ae.core.health_events import SensorFault, Watching
from edge_ae.core.lessons import MOST_LESSONS
from edge_ae.core.payloads import CHANNELS_LISTED, SCHEMA, SEVERITY_LEVELS
from edge_ae.daemon import fetch_command, model_commands
from edge_ae.daemon.stats import ASSETS_LISTED
from tests.conftest import Broker, Node, Subscriber, wait_for

ROOT = Path(__file__).parents[1]
PAPERS: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text())
SCHEMAS = PAPERS["components"]["schemas"]
REGISTRY: Any = Registry().with_resource("papers", DRAFT7.create_resource(PAPERS))
NPM = Path(os.environ.get("EDGE_AE_NPM", ROOT / "out" / "npm")) / "node_modules"
STANDARD = NPM / "@asyncapi" / "specs" / "schemas" / "3.0.0-without-$id.json"
T0_MS = 1_790_000_000_000
DAEMON_ONLY = {"recorder"}  # what another program says: `edge-ae record`
NODE_KEYS = {**model_commands.KEYS, "fetch": fetch_command.KEYS}
BRIDGES = {"home_assistant", "thin_edge_alarm", "thin_edge_event"}  # what is published for other systems


def validator(schema: str) -> Draft7Validator:
    return Draft7Validator({"$ref": f"papers#/components/schemas/{schema}"}, registry=REGISTRY)


def faults(schema: str, value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(schema).iter_errors(value)]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (text for key, text in value.items() if key == "$ref")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from references(inner)


def referred(reference: str) -> Any:
    found: Any = PAPERS
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


# -- the document ----------------------------------------------------------------------------------------------


def test_every_reference_leads_somewhere_and_everything_is_used() -> None:
    named = set(references(PAPERS))
    assert all(referred(one) is not None for one in named)
    offered = {f"#/components/{kind}/{name}" for kind, parts in PAPERS["components"].items() for name in parts}
    offered |= {f"#/channels/{name}" for name in PAPERS["channels"]}
    assert offered - named == set()


def test_every_channel_has_the_parameters_that_its_address_names() -> None:
    for name, channel in PAPERS["channels"].items():
        assert set(re.findall(r"{(\w+)}", channel["address"] or "")) == set(channel.get("parameters", {})), name


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_one(name: str) -> None:
    Draft7Validator.check_schema(SCHEMAS[name])


def test_papers_are_of_the_present_schema() -> None:
    assert (PAPERS["asyncapi"], PAPERS["info"]["version"]) == ("3.0.0", str(SCHEMA))


@pytest.mark.skipif(not STANDARD.exists(), reason="the standard's own schema is missing: make node-red")
def test_document_is_what_the_standard_asks_for() -> None:
    standard = json.loads(STANDARD.read_text())
    assert [f"{one.json_path}: {one.message}" for one in Draft7Validator(standard).iter_errors(PAPERS)] == []


def words(*kinds: Any) -> list[list[str]]:
    return [[str(word) for word in kind] for kind in kinds]


def test_words_and_limits_are_those_of_the_code() -> None:
    alert, health = SCHEMAS["alert"]["properties"], SCHEMAS["health"]["properties"]
    shown = [
        SCHEMAS["sensor_fault"]["enum"],
        health["watching"]["enum"],
        alert["state"]["enum"],
        SCHEMAS["step"]["enum"],
    ]
    assert shown == words(SensorFault, Watching, AlertWord, EventType)
    assert SCHEMAS["asset_stats"]["properties"]["alert"]["enum"] == [str(phase) for phase in Phase]
    assert set(alert["severity"]["enum"]) == set(SEVERITY_LEVELS)
    assert alert["severity_level"]["enum"] == list(SEVERITY_LEVELS.values())
    assert alert["channels"]["maxItems"] == CHANNELS_LISTED
    assert SCHEMAS["stats"]["properties"]["asset"]["maxProperties"] == ASSETS_LISTED
    assert SCHEMAS["shelve"]["properties"]["duration_s"]["maximum"] == LONGEST_SHELVE_S
    assert SCHEMAS["view"]["properties"]["for_s"]["maximum"] == LONGEST_VIEW_S
    asked = SCHEMAS["ask_history"]["properties"]
    assert (asked["days"]["maximum"], asked["limit"]["maximum"]) == (MOST_DAYS, MOST_ALERTS)
    assert SCHEMAS["history"]["properties"]["alerts"]["maxItems"] == MOST_ALERTS
    past = SCHEMAS["past_alert"]["properties"]
    assert [*past["cause"]["enum"], *past["label"]["enum"]] == [*map(str, Cause), *LABELS, None]
    feedback = SCHEMAS["feedback"]["properties"]
    assert (feedback["label"]["enum"], feedback["note"]["maxLength"]) == (list(LABELS), MAX_NOTE)
    assert feedback["name"]["maxLength"] == SCHEMAS["lesson"]["properties"]["name"]["maxLength"] == MAX_ALERT_NAME
    assert SCHEMAS["health"]["properties"]["lessons"]["maxItems"] == MOST_LESSONS
    assert SCHEMAS["silence"]["properties"]["note"]["maxLength"] == MAX_SILENCE_NOTE


@pytest.mark.parametrize(
    ("where", "keys"),
    [("{asset}/cmd/", {name: set(keys) for name, (_, keys) in PARSERS.items()}), ("{node}/cmd/", NODE_KEYS)],
)
def test_there_is_a_channel_for_every_command_and_its_keys_are_those_that_are_taken(
    where: str, keys: dict[str, set[str]]
) -> None:
    channels = {name: channel for name, channel in PAPERS["channels"].items() if where in (channel["address"] or "")}
    assert set(channels) == set(keys)
    for name, channel in channels.items():
        (message,) = (referred(one["$ref"]) for one in channel["messages"].values())
        assert set(referred(message["payload"]["$ref"]).get("properties", {})) == set(keys[name])


def test_examples_of_the_topics_page_are_as_the_papers_say() -> None:
    shown = re.findall(r"^```json\n(.*?)^```", (ROOT / "docs" / "topics.md").read_text(), re.M | re.S)
    bodies = [json.loads(text) for text in shown]
    schemas = ["alert" if "severity" in body else "signals" for body in bodies]
    assert [fault for schema, body in zip(schemas, bodies, strict=True) for fault in faults(schema, body)] == []


# -- real traffic ----------------------------------------------------------------------------------------------


def addresses() -> dict[str, re.Pattern[str]]:
    """Channel -> the topics that it has, of those that are sent."""
    return {
        name: re.compile(re.sub(r"{\w+}", "[^/]+", channel["address"]))
        for name, channel in PAPERS["channels"].items()
        if channel["address"] is not None and "/cmd/" not in channel["address"]
    }


def message_of(channel: str) -> Any:
    (message,) = PAPERS["channels"][channel]["messages"].values()
    return referred(message["$ref"])


def schema_of(part: Any) -> str:
    return str(part["$ref"]).rpartition("/")[2]


def body_of(channel: str, payload: bytes) -> Any:
    return payload.decode() if message_of(channel).get("contentType") == "text/plain" else json.loads(payload)


COMMANDS: dict[str, list[dict[str, Any]]] = {
    "ack": [{}, {"id": "wrong"}],
    "shelve": [{"duration_s": 60}, {"one_shot": True}, {"duration_s": -1}],
    "unshelve": [{}],
    "out_of_service": [{}],
    "in_service": [{"on": True}],
    "accept_normal": [{}],
    "budget": [{"budget": "1/day"}],
    "rule": [{"channel": "b", "direction": "low", "min_deviation": "5%"}, {"channel": "b", "clear": True}],
    "silence": [
        {"from": "2026-09-20T18:00:00Z", "until": "2026-09-20T19:00:00Z"},
        {"from": "2026-09-22T18:00:00Z", "until": "2026-09-22T19:00:00Z", "note": "cleaning"},
        {"clear": True},
    ],
    "feedback": [
        {"id": "abc", "label": "false_alarm", "note": "a test"},
        {"label": "true_alarm", "name": "closing valve"},
        {"label": "false_alarm", "until": "2100-01-01T00:00:00Z"},
    ],
    "unlearn": [{"id": "abc"}],
    "view": [{"for_s": 60, "whole": True}],
    "history": [{"days": 7, "limit": 10, "before": "2100-01-01T00:00:00Z"}, {}],
}


def rows(first: int, last: int, value: float, **changes: Any) -> list[dict[str, Any]]:
    whole = [{"ts": T0_MS + 100 * n, "a": value, "b": 0.5} | changes for n in range(first, last)]
    return [{name: value for name, value in row.items() if value is not ...} for row in whole]


def live_through_everything(node: Node, listener: Subscriber) -> list[dict[str, Any]]:
    """An episode, a suppressed one, a flood, a sick sensor, a payload that cannot be used, every command. Gives the answers."""
    node.start(options={"flood_limit": 1, "denoised": True, "stats_interval_s": 0.1}).ready()
    for asset in ("p1", "p2", "p3"):
        listener.publish_all(f"plant/{asset}/telemetry", [*rows(0, 10, 1.0), *rows(10, 20, 50.0)])
    listener.publish_all("plant/p4/telemetry", [*rows(0, 20, 1.0), *rows(20, 50, 1.0, b=...)])
    listener.publish_all("plant/p5/telemetry", rows(0, 10, 1.0))
    listener.ask("edge-ae/n1/p5/cmd/rule", {"channel": "a", "mute": True})
    listener.publish_all("plant/p5/telemetry", rows(10, 20, 50.0))
    wait_for(lambda: listener.last("/p5/alert")["suppressed"], "the suppressed alert")
    listener.publish("plant/p1/telemetry", b"no JSON")
    wait_for(lambda: listener.on("/flood"), "the flood")
    asked = [(name, payload) for name, payloads in COMMANDS.items() for payload in payloads]
    answers = [listener.ask(f"edge-ae/n1/p1/cmd/{name}", payload) for name, payload in asked]
    listener.publish_all("plant/p1/telemetry", rows(20, 70, 1.0))
    wait_for(lambda: "end" in [body["type"] for body in listener.bodies("/p1/event")], "the alert's end")
    wait_for(lambda: (listener.last("/p4/health") or {}).get("faults"), "the sensor's fault")
    wait_for(lambda: listener.last("/stats")["refusals"], "the refusal")
    node.stop()
    wait_for(lambda: listener.on("n1/status")[-1].payload == b"offline", "the end")
    return answers


def test_every_message_of_a_real_daemon_is_as_the_papers_say(node: Node, listener: Subscriber) -> None:
    answers = live_through_everything(node, listener)
    seen, wrong = set(), []
    for message in (
        one for one in listener.messages if one.topic.startswith("edge-ae/n1/") and "/cmd/" not in one.topic
    ):
        (channel,) = (name for name, pattern in addresses().items() if pattern.fullmatch(message.topic))
        if message.payload:
            seen.add(channel)
            wrong += faults(schema_of(message_of(channel)["payload"]), body_of(channel, bytes(message.payload)))
        if "headers" in message_of(channel):
            wrong += faults(schema_of(message_of(channel)["headers"]), properties_of(message))
    wrong += [fault for answer in answers for fault in faults("answer", answer)]
    assert sorted(set(wrong)) == []
    assert seen == set(addresses()) - DAEMON_ONLY - BRIDGES
    assert [answer["ok"] for answer in answers] == [
        *[True, False, True, True, False, *[True] * 7, False, True, True],
        *[False, True, True, False, True, True, True],  # what nobody remembers can be neither labelled nor unlearnt
    ]


def properties_of(message: Any) -> dict[str, str]:
    return dict(message.properties.UserProperty)


def test_quality_of_service_and_retention_are_as_the_papers_say(node: Node, listener: Subscriber) -> None:
    live_through_everything(node, listener)
    late = Subscriber(listener.port, client_id="late")
    wait_for(lambda: late.on("/health") and late.on("/stats") and late.on("/outbox"), "what is retained")
    kept = {name for name, pattern in addresses().items() for one in late.messages if pattern.fullmatch(one.topic)}
    late.close()
    qos = {
        (name, message.qos)
        for name, pattern in addresses().items()
        for message in listener.messages
        if pattern.fullmatch(message.topic) and not (name == "outbox" and not message.payload)
    }
    operations = {
        schema_of(one["channel"]): one["bindings"]["mqtt"]
        for one in PAPERS["operations"].values()
        if one["action"] == "send"
    }
    assert qos == {(name, operations[name]["qos"]) for name in operations if name not in DAEMON_ONLY | BRIDGES}
    assert kept == {name for name in operations if operations[name]["retain"] and name not in DAEMON_ONLY | BRIDGES}


@pytest.mark.parametrize(("name", "payload"), [(name, payload) for name, some in COMMANDS.items() for payload in some])
def test_commands_that_are_tried_are_as_the_papers_say(name: str, payload: dict[str, Any]) -> None:
    found = faults(schema_of(message_of(name)["payload"]), payload)
    assert (found == []) == (payload != {"duration_s": -1})


@pytest.fixture
def house(broker: Broker) -> Iterator[Subscriber]:
    """Everything else that is said on the broker."""
    one = Subscriber(broker.port, "#", "house")
    yield one
    one.close()


def test_messages_for_other_systems_are_as_the_papers_say(node: Node, house: Subscriber) -> None:
    node.start(thin_edge=True, homeassistant=True).ready()
    house.publish_all("plant/p1/telemetry", [*rows(0, 10, 1.0), *rows(10, 20, 50.0)])
    wait_for(lambda: house.on("/p1///e/anomaly") and house.last("/p1///a/anomaly"), "the alarm and its event")
    wait_for(lambda: len(house.on("/config")) == 2, "the node's device and the asset's")
    kept = retained(house)
    house.publish_all("plant/p1/telemetry", rows(20, 70, 1.0))
    wait_for(lambda: "end" in [body["type"] for body in house.bodies("e/anomaly")], "the event of the end")
    node.stop()
    found = [(name, one) for name in BRIDGES for one in house.messages if addresses()[name].fullmatch(one.topic)]
    filled = [(name, bytes(one.payload)) for name, one in found if one.payload]
    wrong = [
        fault
        for name, payload in filled
        for fault in faults(schema_of(message_of(name)["payload"]), body_of(name, payload))
    ]
    assert wrong == []
    assert {name for name, _ in filled} == BRIDGES
    said = {name: PAPERS["operations"][f"says_{name}"]["bindings"]["mqtt"] for name in BRIDGES}
    assert {(name, one.qos) for name, one in found} == {(name, binding["qos"]) for name, binding in said.items()}
    assert kept == {name for name, binding in said.items() if binding["retain"]}


def retained(house: Subscriber) -> set[str]:
    """Of the channels for other systems, those of which the broker keeps messages."""
    late = Subscriber(house.port, "#", "late")
    late.publish("end", b"x")
    wait_for(lambda: late.on("end"), "what is sent after it")
    topics = [message.topic for message in late.messages if message.retain]
    late.close()
    return {name for name in BRIDGES if any(addresses()[name].fullmatch(topic) for topic in topics)}

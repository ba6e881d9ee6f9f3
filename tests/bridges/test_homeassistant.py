"""Discovery without Home Assistant: what is announced, in its words; when, and how often; and what hostile names come to."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jinja2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.bridges.homeassistant import PER_TICK, HomeAssistant
from edge_ae.bridges.homeassistant_entities import (
    ASSET,
    BUDGETS,
    NODE,
    SICKNESSES,
    asset_message,
    cut,
    device_id,
    flag,
    node_message,
    slug,
    topic_of,
)
from edge_ae.core.alert_events import AlertWord, ModelName
from edge_ae.core.alert_state import AlertSource, AlertState
from edge_ae.core.commands import GiveFeedback, parse
from edge_ae.core.description import describe
from edge_ae.core.detector import Detector, Watch
from edge_ae.core.fleet import Fleet
from edge_ae.core.formats.decoder import ASSET_NAME
from edge_ae.core.payloads import alert_payload
from edge_ae.core.rules import budget_ns
from edge_ae.core.suppression import Suppression, WithheldBy
from edge_ae.daemon.bridge import Bridges
from tests.bridges.home import KNOWN, ROOT
from tests.daemon.node_process import PeakModel, watch
from tests.models import spec_of

PREFIX = "edge-ae/pi-7"
OF_A_TOPIC = re.compile("[a-zA-Z0-9_-]+")  # what Home Assistant takes as the id in a discovery topic
names = st.from_regex(ASSET_NAME, fullmatch=True)


def announced(asset: str = "pump-1") -> dict[str, Any]:
    return asset_message(PREFIX, asset, "pump", 30)


# -- what is announced -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [announced(), node_message(PREFIX, "pi-7")], ids=["asset", "node"])
def test_every_key_is_one_that_home_assistant_knows(message: Mapping[str, Any]) -> None:
    assert message.keys() == {"dev", "o", "cmps"}
    assert message["dev"].keys() <= KNOWN["device"]
    assert message["o"].keys() <= KNOWN["origin"]
    for component in message["cmps"].values():
        assert component.keys() - {"p"} <= KNOWN[component["p"]]
        assert {"p", "name", "unique_id", "default_entity_id"} <= component.keys()


def test_no_two_entities_have_an_id_in_common_and_keys_are_what_home_assistant_makes_of_names() -> None:
    entities = [*announced()["cmps"].values(), *announced("pump-2")["cmps"].values()]
    entities += node_message(PREFIX, "pi-7")["cmps"].values()
    for key in ("unique_id", "default_entity_id"):
        assert len({one[key] for one in entities}) == len(entities)
    assert announced()["cmps"].keys() == {slug(entity.name) for entity in ASSET}
    assert announced()["cmps"]["anomaly"]["default_entity_id"] == "binary_sensor.pump_1_anomaly"


def test_asset_is_shown_below_its_node() -> None:
    node = node_message(PREFIX, "pi-7")
    assert announced()["dev"]["via_device"] == node["dev"]["identifiers"][0] == device_id(PREFIX)


def test_what_is_true_only_while_the_asset_is_watched_is_unavailable_without_that() -> None:
    components = announced()["cmps"]
    online = {"topic": f"{PREFIX}/status"}
    health = f"{PREFIX}/pump-1/health"
    both = {key for key, one in components.items() if health in [each["topic"] for each in one["availability"]]}
    assert both == {"anomaly", "ratio", "top_channel", "reason"}
    assert all(one["availability"][0] == online and one["availability_mode"] == "all" for one in components.values())


def test_each_sickness_of_a_sensor_is_a_problem_of_its_own() -> None:
    problems = {key for key, one in announced()["cmps"].items() if one.get("device_class") == "problem"}
    assert problems == {"anomaly", "sensor_fault"} | {slug(name) for name in SICKNESSES.values()}


def test_every_button_and_switch_sends_a_command_that_the_daemon_takes() -> None:
    sent = [
        (one["command_topic"].rpartition("/")[2], one[key])
        for one in announced()["cmps"].values()
        for key in ("payload_press", "payload_on", "payload_off")
        if key in one
    ]
    sent += [("budget", json.dumps({"budget": budget})) for budget in BUDGETS]
    assert len([parse(name, payload.encode()) for name, payload in sent]) == 5 + 2 + len(BUDGETS)
    assert [budget_ns(budget) for budget in BUDGETS[1:]]


# -- templates ---------------------------------------------------------------------------------------------------


def rendered(template: str, body: Any) -> str:
    """As Home Assistant does, whose filter to_json is jinja2's tojson by another name."""
    environment = jinja2.Environment()
    environment.filters["to_json"] = environment.filters["tojson"]
    return environment.from_string(template).render(value_json=body)


def templates(message: Any) -> set[str]:
    if isinstance(message, dict):
        own = {str(value) for key, value in message.items() if key.endswith("template")}
        return own.union(*(templates(value) for value in message.values()))
    return set().union(*map(templates, message)) if isinstance(message, list) else set()


def test_templates_hold_nothing_of_any_asset() -> None:
    assert templates(announced("{{ 1 }}")) == templates(announced("pump-1"))


def test_text_that_is_too_long_for_a_state_is_cut_and_none_is_unknown() -> None:
    assert rendered(cut("reason"), {"reason": "ü" * 300}) == "ü" * 255
    assert rendered(cut("reason"), {"reason": None}) == "None"
    assert rendered(cut("reason"), {"reason": "{{ 7 * 7 }}"}) == "{{ 7 * 7 }}"
    reason = announced()["cmps"]["reason"]["json_attributes_template"]
    assert json.loads(rendered(reason, {"id": "a", "reason": '"' * 300})) == {"id": "a", "full_text": '"' * 300}


@pytest.mark.parametrize(
    ("fault", "body", "state"),
    [
        ("stale", {"channels": [{"name": "values", "fault": "stale"}], "asset_fault": None}, "ON"),
        ("stale", {"channels": [], "asset_fault": "stale"}, "ON"),
        ("flat", {"channels": [{"name": "flat", "fault": "stale"}], "asset_fault": None}, "OFF"),
        ("pace", {"channels": [], "asset_fault": None}, "OFF"),
        ("clock_jump", {"channels": [], "asset_fault": "clock_jump"}, "ON"),
    ],
)
def test_sickness_is_on_for_a_channel_and_for_all_of_them(fault: str, body: Any, state: str) -> None:
    assert rendered(announced()["cmps"][slug(SICKNESSES[fault])]["value_template"], body) == state


@pytest.mark.parametrize(
    ("watching", "available"), [("watched", "online"), ("warm_up", "offline"), ("out_of_service", "offline")]
)
def test_anomaly_is_available_only_while_it_would_be_raised(watching: str, available: str) -> None:
    _, watched = announced()["cmps"]["anomaly"]["availability"]
    assert rendered(watched["value_template"], {"watching": watching}) == available


def test_a_suppressed_alert_is_no_anomaly_and_says_what_withholds_it() -> None:
    source = AlertSource("pi-7", "pump-1", ModelName("pump", "2026-01-01T00:00:00Z", "ab" * 32))
    calm = describe(source, AlertState(), None)
    muted = Suppression(WithheldBy.RULE, "rule: flow is muted")
    active = replace(calm, state=AlertWord.ACTIVE, id="00c0ffee00c0ffee", reason="flow 20 (expected 5)")
    bodies = [alert_payload(one) for one in (active, replace(active, state=AlertWord.SUPPRESSED, suppression=muted))]
    anomaly = announced()["cmps"]["anomaly"]
    assert [rendered(anomaly["value_template"], body) for body in bodies] == ["ON", "OFF"]
    assert anomaly["json_attributes_topic"] == f"{PREFIX}/pump-1/alert"
    assert (bodies[1]["suppressed"], bodies[1]["suppressed_by"]) == (True, "rule: flow is muted")


def test_flag_is_one_of_two_words() -> None:
    assert [rendered(flag("value_json.x"), {"x": x}) for x in (True, False)] == ["ON", "OFF"]


# -- hostile names -----------------------------------------------------------------------------------------------


@given(names, names)
def test_ids_are_safe_for_any_name_and_differ_where_names_do(one: str, other: str) -> None:
    found = [device_id(PREFIX, asset) for asset in (one, other)]
    assert all(OF_A_TOPIC.fullmatch(identity) for identity in found)
    assert (found[0] == found[1]) == (one == other)
    for component in announced(one)["cmps"].values():
        assert re.fullmatch("[a-z_]+[.][a-z0-9_]+", component["default_entity_id"])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("edge-ae/a", "b_c"), ("edge-ae/a_b", "c")),
        (("edge-ae/a", "b c"), ("edge-ae/a", "b_c")),
        (("edge-ae/a", "B"), ("edge-ae/a", "b")),
        (("edge-ae/a", "泵"), ("edge-ae/a", "阀")),
        (("edge-ae/a",), ("other/a",)),
    ],
)
def test_names_that_look_alike_have_ids_of_their_own(first: tuple[str, ...], second: tuple[str, ...]) -> None:
    assert device_id(*first) != device_id(*second)


# -- when --------------------------------------------------------------------------------------------------------


class Site:
    """The bridge with a fleet, and a broker that may be away."""

    def __init__(self, assets: int = 1, prefix: str = "homeassistant", delay_s: int = 2) -> None:
        self.fleet = Fleet("pi-7", 10_000)
        for number in range(assets):
            self.fleet.add(f"p{number}", watch())
        self.sent: list[tuple[str, bytes]] = []
        self.reachable = True
        self.bridge = HomeAssistant("pi-7", PREFIX, prefix, 1.0, self._send, lambda _low, _high: delay_s)

    def _send(self, topic: str, payload: bytes, qos: int, retain: bool) -> int | None:
        assert (qos, retain) == (1, True)
        if self.reachable:
            self.sent.append((topic, payload))
        return 1 if self.reachable else None

    def tick(self, seconds: int = 1) -> list[str]:
        """The topics of what is sent in so many seconds."""
        self.sent.clear()
        for second in range(seconds):
            self.bridge.tick(self.fleet.detectors, dict, second)
        return [topic for topic, _ in self.sent]


def topic(asset: str | None, prefix: str = "homeassistant") -> str:
    return topic_of(prefix, PREFIX, asset)


def test_node_and_assets_are_announced_once_the_node_first() -> None:
    site = Site(2)
    assert site.tick() == [topic(None), topic("p0"), topic("p1")]
    assert site.tick(10) == []
    site.bridge.connected(site.fleet.detectors)
    assert site.tick() == [topic(None), topic("p0"), topic("p1")]


def test_asset_that_comes_or_has_another_model_is_announced_alone() -> None:
    site = Site(1)
    site.tick()
    site.fleet.add("p1", watch())
    assert site.tick() == [topic("p1")]
    other: Any = PeakModel("1" * 64)
    site.fleet.add("p0", Watch(other, watch().rules))
    assert site.tick() == [topic("p0")]


def test_what_could_not_be_sent_is_sent_later() -> None:
    site = Site(1)
    site.reachable = False
    site.tick()
    site.reachable = True
    assert site.tick() == [topic(None), topic("p0")]


def test_thousand_assets_are_announced_in_seconds_and_never_all_at_once() -> None:
    site = Site(1000)
    counts = [len(site.tick()) for _ in range(12)]
    assert max(counts) == PER_TICK
    assert sum(counts) == 1001


@pytest.mark.parametrize("delay_s", [0, 1, 5])
def test_home_assistant_that_comes_online_gets_everything_anew_after_its_delay(delay_s: int) -> None:
    site = Site(1, delay_s=delay_s)
    site.tick()
    site.bridge.received("homeassistant/status", b"online", False)
    assert site.tick(delay_s) == []
    assert len(site.tick()) == 2
    assert site.tick(10) == []


@pytest.mark.parametrize(("payload", "retained"), [(b"offline", False), (b"online", True), (b"\xff", False)])
def test_other_words_on_its_status_and_old_ones_change_nothing(payload: bytes, retained: bool) -> None:
    site = Site(1)
    site.tick()
    site.bridge.received("homeassistant/status", payload, retained)
    assert site.tick(10) == []


def test_another_prefix_is_used_and_the_usual_status_is_listened_to_as_well() -> None:
    site = Site(1, prefix="home/ha")
    assert [name for name, _ in site.bridge.filters] == ["homeassistant/status", "home/ha/status"]
    assert site.tick() == [topic(None, "home/ha"), topic("p0", "home/ha")]


def test_what_is_retained_goes_with_its_asset() -> None:
    site = Site(2)
    bridges = Bridges([site.bridge])
    bridges.settle(site.fleet.detectors)
    del site.fleet.detectors["p1"]
    assert bridges.settle(site.fleet.detectors) == (frozenset(), frozenset({topic("p1")}))


@pytest.mark.parametrize(("hop_s", "expiry_s"), [(1, 30), (60, 180), (3600, 10_800)])
def test_ratio_expires_when_three_scores_did_not_come(hop_s: int, expiry_s: int) -> None:
    class Slow(PeakModel):
        def __init__(self) -> None:
            self.spec = spec_of(hop=hop_s)

    site = Site(0)
    site.fleet.detectors["p0"] = Detector("pi-7", "p0", Watch(Slow(), watch().rules))
    site.tick()
    assert json.loads(site.sent[-1][1])["cmps"]["ratio"]["expire_after"] == expiry_s


def test_nothing_of_it_is_loaded_where_it_is_switched_off() -> None:
    code = "import sys, edge_ae.wiring, edge_ae.daemon.loop; print(any(m.startswith('edge_ae.bridges') for m in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout == "False\n"


# -- the blueprint -----------------------------------------------------------------------------------------------


class Blueprint(yaml.SafeLoader):
    """YAML with Home Assistant's !input, which becomes (input, name)."""


def _input(_loader: Any, node: Any) -> tuple[str, str]:
    return "input", str(node.value)


Blueprint.add_constructor("!input", _input)
BLUEPRINT = ROOT / "deploy" / "homeassistant" / "alert.yaml"


def inputs(part: Any) -> set[str]:
    if isinstance(part, tuple):
        return {part[1]}
    parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return set().union(*map(inputs, parts))


def test_blueprint_uses_what_it_asks_for_and_entities_that_there_are() -> None:
    body = yaml.load(BLUEPRINT.read_text(), Blueprint)  # a safe loader
    asked = body["blueprint"]["input"]
    assert asked.keys() == inputs({key: part for key, part in body.items() if key != "blueprint"})
    known = {entity.name: entity.platform for entity in ASSET}
    for one in asked.values():
        if "entity" in one["selector"]:
            (wanted,) = one["selector"]["entity"]["filter"]
            assert known[one["name"]] == wanted["domain"]


def test_a_text_names_the_alarm_in_the_words_of_the_command() -> None:
    (text,) = (entity for entity in ASSET if entity.platform == "text")
    template = jinja2.Environment(autoescape=False).from_string(
        text.facts["command_template"].replace("to_json", "tojson")
    )
    given = parse("feedback", template.render(value='closing "valve"').encode())
    assert given == GiveFeedback(None, "true_alarm", "", 'closing "valve"')


def test_node_has_an_entity_for_each_of_its_topics_that_people_care_for() -> None:
    assert {entity.facts["state_topic"] for entity in NODE} == {"status", "stats", "flood"}

"""A real Home Assistant, a real broker, a real `edge-ae run`: what a person sees there, and what a tap does."""

import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_ae.bridges.homeassistant_entities import device_id
from edge_ae.store.feedback import read_feedback
from edge_ae.store.node_store import FILE
from tests.bridges.home import HASS, KNOWN, ROOT, SINCE_2025_10, Home
from tests.conftest import MOSQUITTO, Broker, Subscriber, wait_for
from tests.models import hand_made

pytestmark = [
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
    pytest.mark.skipif(HASS is None, reason="Home Assistant is not installed: make homeassistant"),
    pytest.mark.timeout(600),
]

T0_MS = 1_790_000_000_000
CALM, FAULT = 5.0, 20.0
SETTINGS = """
node = "n1"
state_dir = "{folder}/state"
[mqtt]
port = {port}
[homeassistant]
discovery = {discovery}
[publish]
stats_interval_s = 1
score_interval_s = 0
[[streams]]
topic = "plant/{{asset}}/t"
time = "ts"
model = "{model}"
[alerts]
off_delay_s = 2
"""
EXTRA = """
automation:
  - use_blueprint:
      path: edge-ae/alert.yaml
      input:
        alert: event.pump_1_alert
        acknowledge: button.pump_1_acknowledge
        false_alarm: button.pump_1_false_alarm
        notify: script.phone
script:
  phone:
    mode: parallel
    sequence:
      - action: mqtt.publish
        data:
          topic: phone
          payload: "{{ {'title': title, 'message': message, 'data': data} | to_json }}"
"""
TRICKY = "Pumpe Süd (2)"


class House:
    """Home Assistant, the broker, the daemon, and a sensor of one pump that sends a row a second of event time."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self._model = folder, model
        (folder / "broker").mkdir()
        self.broker = Broker(folder / "broker").start()
        self.listener = Subscriber(self.broker.port, "#")
        self.home = Home(folder / "home", self.broker.port, EXTRA, ROOT / "deploy" / "homeassistant")
        self._daemon: subprocess.Popen[bytes] | None = None
        self._second = 0

    def run_daemon(self, discovery: bool = True) -> None:
        config = self.folder / "edge-ae.toml"
        facts = {"folder": self.folder, "port": self.broker.port, "model": self._model}
        config.write_text(SETTINGS.format(discovery=str(discovery).lower(), **facts))
        command = [sys.executable, "-m", "edge_ae", "run", "--config", str(config)]
        with (self.folder / "run.log").open("ab") as log:
            self._daemon = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: [m.payload for m in self.listener.on("n1/status")][-1:] == [b"online"], "the daemon")

    def stop_daemon(self) -> None:
        if self._daemon is not None:
            self._daemon.send_signal(signal.SIGTERM)
            assert self._daemon.wait(20) == 0
            self._daemon = None

    def feedback(self) -> list[Any]:
        """What people said of alerts."""
        return [json.loads(line) for line in read_feedback(self.folder / "state" / FILE)]

    def notified(self, alert: str) -> Any:
        """What came to the telephone of an alert; None: nothing."""
        return next((one for one in self.listener.bodies("phone") if one["data"]["tag"] == alert), None)

    def ratio(self) -> float:
        """NaN where it is not known."""
        state = self.home.entity("sensor.pump_1_ratio")["state"]
        return math.nan if state in ("unknown", "unavailable") else float(state)

    def send(self, flow: float, rows: int, asset: str = "pump 1", **changes: Any) -> None:
        """Rows that differ a little, for no sensor that works stands still."""
        bodies = []
        for _ in range(rows):
            wobble = self._second % 5 / 100
            row = {"ts": T0_MS + 1000 * self._second, "flow": flow + wobble, "pressure": 2.5 + wobble}
            bodies.append({name: value for name, value in (row | changes).items() if value is not ...})
            self._second += 1
        self.listener.publish_all(f"plant/{asset}/t", bodies)

    def shows(self, entity: str, state: str) -> None:
        """Wait until it does."""
        wait_for(lambda: (self.home.entity(entity) or {}).get("state") == state, f"{entity} to be {state}")

    def has(self, entity: str, **attributes: Any) -> None:
        """Wait until its attributes are these."""

        def found() -> bool:
            shown = (self.home.entity(entity) or {}).get("attributes", {})
            return all(shown.get(name) == value for name, value in attributes.items())

        wait_for(found, f"{entity} to have {attributes}")

    def close(self) -> None:
        self.stop_daemon()
        self.home.stop()
        self.listener.close()
        self.broker.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"), hand_made(tmp_path_factory))
    try:
        made.home.start()
        made.run_daemon()
        yield made
    finally:
        made.close()


SCHEMAS = """
import importlib, json
from homeassistant.components.mqtt.abbreviations import ORIGIN_ABBREVIATIONS
from homeassistant.components.mqtt.schemas import MQTT_ENTITY_DEVICE_INFO_SCHEMA

def keys(schema):
    if hasattr(schema, "validators"):
        return set().union(*map(keys, schema.validators))
    return {str(key) for key in schema.schema} if isinstance(getattr(schema, "schema", None), dict) else set()

found = {"device": keys(MQTT_ENTITY_DEVICE_INFO_SCHEMA), "origin": {"name", *ORIGIN_ABBREVIATIONS}}
for platform in ("binary_sensor", "sensor", "event", "button", "select", "switch", "text"):
    found[platform] = keys(importlib.import_module(f"homeassistant.components.mqtt.{platform}").DISCOVERY_SCHEMA)
print(json.dumps({name: sorted(known) for name, known in found.items()}))
"""


def test_keys_that_the_fast_tests_allow_are_home_assistants_own() -> None:
    assert HASS is not None
    python = Path(HASS).with_name("python")
    printed = subprocess.run([python, "-c", SCHEMAS], capture_output=True, check=True, timeout=60).stdout
    schemas = json.loads(printed)
    assert {name: known - set(schemas[name]) - SINCE_2025_10 for name, known in KNOWN.items() if known} == {
        name: set() for name in KNOWN
    }


# A house is built once, and its facts follow from each other.


def entities_appear_and_say_nothing_before_the_asset_is_watched(house: House) -> None:
    house.send(CALM, 2)
    house.shows("sensor.pump_1_watching", "warm_up")
    house.shows("binary_sensor.pump_1_anomaly", "unavailable")
    house.shows("binary_sensor.edge_ae_n1_online", "on")
    house.send(CALM, 10)
    house.shows("sensor.pump_1_watching", "watched")
    house.shows("binary_sensor.pump_1_anomaly", "off")
    house.shows("sensor.pump_1_reason", "unknown")
    house.shows("binary_sensor.pump_1_sensor_fault", "off")
    house.shows("switch.pump_1_in_service", "on")
    house.shows("select.pump_1_budget", "default")
    house.shows("sensor.edge_ae_n1_assets", "1")


def anomaly_turns_on_with_its_reason_and_event(house: House) -> None:
    house.send(FAULT, 5)
    house.shows("binary_sensor.pump_1_anomaly", "on")
    house.shows("sensor.pump_1_top_channel", "flow")
    reason = house.home.entity("sensor.pump_1_reason")
    assert reason["state"].startswith("flow 20")
    assert reason["attributes"]["full_text"] == reason["state"]
    wait_for(lambda: house.ratio() > 1.0, "a high ratio")
    event = house.home.entity("event.pump_1_alert")["attributes"]
    assert (event["event_type"], event["reason"]) == ("new", event["reason"])
    assert event["reason"].startswith("flow 20")


def button_acknowledges_and_others_give_feedback_and_shelve(house: House) -> None:
    house.home.call("button.press", "button.pump_1_acknowledge")
    house.has("binary_sensor.pump_1_anomaly", acked=True)
    house.home.call("button.press", "button.pump_1_true_alarm")
    wait_for(house.feedback, "feedback")
    (given,) = house.feedback()
    alert = house.home.entity("binary_sensor.pump_1_anomaly")["attributes"]
    assert (given["id"], given["label"]) == (alert["id"], "true_alarm")
    house.home.call("button.press", "button.pump_1_shelve_1_h")
    house.has("binary_sensor.pump_1_anomaly", shelved=True)
    house.home.call("button.press", "button.pump_1_unshelve")
    house.has("binary_sensor.pump_1_anomaly", shelved=False)


def anomaly_turns_off_and_the_ratio_does_not_stay_high(house: House) -> None:
    house.send(CALM, 20)
    house.shows("binary_sensor.pump_1_anomaly", "off")
    house.shows("sensor.pump_1_reason", "unknown")
    wait_for(lambda: house.ratio() < 1.0, "a low ratio")
    assert house.home.entity("event.pump_1_alert")["attributes"]["event_type"] == "end"


def budget_is_selected_and_taken_back(house: House) -> None:
    for budget in ("1/day", "default"):
        house.home.call("select.select_option", "select.pump_1_budget", option=budget)
        house.shows("select.pump_1_budget", budget)


def switch_takes_out_of_service_and_back(house: House) -> None:
    house.home.call("switch.turn_off", "switch.pump_1_in_service")
    house.shows("sensor.pump_1_watching", "out_of_service")
    house.shows("switch.pump_1_in_service", "off")
    house.shows("binary_sensor.pump_1_anomaly", "unavailable")
    house.home.call("switch.turn_on", "switch.pump_1_in_service")
    house.shows("binary_sensor.pump_1_anomaly", "off")


def dead_sensor_is_a_problem_of_its_own_and_with_too_many_nothing_is_called_sound(house: House) -> None:
    house.send(CALM, 30, pressure=...)
    house.shows("binary_sensor.pump_1_sensor_stale", "on")
    house.shows("binary_sensor.pump_1_sensor_fault", "on")
    house.shows("binary_sensor.pump_1_sensor_flat", "off")
    assert house.home.entity("binary_sensor.pump_1_sensor_fault")["attributes"]["faults"] == {"pressure": "stale"}
    house.send(math.nan, 30, pressure=math.nan)
    house.shows("sensor.pump_1_watching", "not_watched")
    house.shows("binary_sensor.pump_1_anomaly", "unavailable")
    house.send(CALM, 40)
    house.shows("binary_sensor.pump_1_anomaly", "off")
    house.shows("binary_sensor.pump_1_sensor_fault", "off")


def blueprint_sends_the_reason_and_a_tap_on_it_acknowledges(house: House) -> None:
    house.send(FAULT, 5)
    house.shows("binary_sensor.pump_1_anomaly", "on")
    alert = house.home.entity("binary_sensor.pump_1_anomaly")["attributes"]["id"]
    sent = wait_for(lambda: house.notified(alert), "a notification")
    assert sent["title"] == "pump 1: high"
    assert sent["message"].startswith("flow 20")
    acknowledge, false_alarm = sent["data"]["actions"]
    assert (acknowledge["title"], false_alarm["title"]) == ("Acknowledge", "False alarm")
    house.home.fire("mobile_app_notification_action", action=acknowledge["action"])
    house.has("binary_sensor.pump_1_anomaly", acked=True)
    house.send(CALM, 20)
    house.shows("binary_sensor.pump_1_anomaly", "off")


def flood_is_an_event_of_the_node_and_every_machine_shows_what_is_true(house: House) -> None:
    crowd = [f"{TRICKY} {number}" for number in range(12)]
    for asset in crowd:
        house.send(CALM, 10, asset)
        house.send(FAULT, 3, asset)
    house.has("event.edge_ae_n1_flood", event_type="new")
    for number in range(12):
        house.shows(f"binary_sensor.pumpe_sud_2_{number}_anomaly", "on")
    house.shows("sensor.edge_ae_n1_assets", "13")


def without_the_daemon_all_is_unavailable_and_nothing_is_stuck(house: House) -> None:
    notified = len(house.listener.bodies("phone"))
    house.stop_daemon()
    house.shows("binary_sensor.pump_1_anomaly", "unavailable")
    house.shows("switch.pump_1_in_service", "unavailable")
    house.shows("binary_sensor.edge_ae_n1_online", "off")
    house.run_daemon()
    house.shows("binary_sensor.pumpe_sud_2_0_anomaly", "on")
    house.send(CALM, 20, f"{TRICKY} 0")
    house.shows("binary_sensor.pumpe_sud_2_0_anomaly", "off")
    assert len(house.listener.bodies("phone")) == notified


def home_assistant_restarts_and_gets_everything_anew(house: House) -> None:
    before = house.home.states()
    config = "device/" + device_id("edge-ae/n1", "pump 1") + "/config"
    announced = len(house.listener.on(config))
    house.home.stop()
    house.home.start()
    house.shows("binary_sensor.pump_1_anomaly", "off")
    ours = {entity for entity in before if "pump" in entity or "edge_ae" in entity}
    wait_for(lambda: ours <= house.home.states().keys(), "all entities")
    wait_for(lambda: len(house.listener.on(config)) > announced, "the announcement once more")


def switched_off_discovery_leaves_no_entity_behind(house: House) -> None:
    house.stop_daemon()
    house.run_daemon(discovery=False)
    wait_for(lambda: not [e for e in house.home.states() if "pump" in e or "edge_ae_n1" in e], "the entities to go")


def home_assistant_had_nothing_to_complain_of(house: House) -> None:
    complaints = [line for line in house.home.log.splitlines() if "mqtt" in line or "automation" in line]
    assert [line for line in complaints if "WARNING" in line or "ERROR" in line] == []


STORY = (
    entities_appear_and_say_nothing_before_the_asset_is_watched,
    anomaly_turns_on_with_its_reason_and_event,
    button_acknowledges_and_others_give_feedback_and_shelve,
    anomaly_turns_off_and_the_ratio_does_not_stay_high,
    budget_is_selected_and_taken_back,
    switch_takes_out_of_service_and_back,
    dead_sensor_is_a_problem_of_its_own_and_with_too_many_nothing_is_called_sound,
    blueprint_sends_the_reason_and_a_tap_on_it_acknowledges,
    flood_is_an_event_of_the_node_and_every_machine_shows_what_is_true,
    without_the_daemon_all_is_unavailable_and_nothing_is_stuck,
    home_assistant_restarts_and_gets_everything_anew,
    switched_off_discovery_leaves_no_entity_behind,
    home_assistant_had_nothing_to_complain_of,
)


def test_what_a_person_sees_in_a_real_home_assistant_is_true_and_what_a_tap_does_is_done(house: House) -> None:
    """One test, for tests that run side by side would each build a house of their own. The traceback names the fact."""
    for fact in STORY:
        fact(house)

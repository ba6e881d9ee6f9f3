"""The discovery messages of Home Assistant: which entities an asset and a node have, as tables, and the JSON that announces them.

Names, units and texts of the outside never become part of a template: every template here is a constant, and Home Assistant
fills it from the messages that the daemon publishes anyway.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from edge_ae import __version__
from edge_ae.core.alert_events import EventType
from edge_ae.core.commands import LABELS, MAX_ALERT_NAME, TRUE_ALARM
from edge_ae.core.detector import FROZEN, PACE
from edge_ae.core.health_events import SensorFault, Watching
from edge_ae.core.liveness import CLOCK_JUMP
from edge_ae.core.payloads import DEFAULT_BUDGET

LONGEST_STATE = 255  # Home Assistant refuses a longer state.
SAFE_ID = 48  # characters of a name that are readable in an id; the digest behind them makes it unique
DIGEST = 12
SHELVE_S = 3600
BUDGETS = (DEFAULT_BUDGET, "1/month", "1/week", "1/day", "1/hour")
SICKNESSES = {str(fault): f"Sensor {fault.replace('_', ' ')}" for fault in SensorFault} | {
    CLOCK_JUMP: "Clock jump",
    FROZEN: "Frozen",
    PACE: "Another pace",
}
TOPICS = ("state_topic", "command_topic", "json_attributes_topic")


@dataclass(frozen=True, slots=True)
class Entity:
    """One component of a device.

    name: as people see it; its slug is the component's key.
    platform: Home Assistant's word for its sort.
    facts: the rest of its configuration; topics stand without what all topics of the device begin with.
    watched_only: it says nothing true, and is shown as unavailable, while the asset is not watched.
    """

    name: str
    platform: str
    facts: Mapping[str, Any]
    watched_only: bool = False

    @property
    def key(self) -> str:
        """Unique in its device."""
        return slug(self.name)


def slug(text: str) -> str:
    """ASCII letters, digits and `_`, as Home Assistant makes ids of names; empty where nothing is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "_", plain).strip("_")


def cut(key: str) -> str:
    """A template: a text of the message, no longer than a state may be; unknown where there is none."""
    return f"{{{{ value_json.{key}[:{LONGEST_STATE}] if value_json.{key} else None }}}}"


def flag(condition: str) -> str:
    """A template: whether a condition on the message holds."""
    return f"{{{{ 'ON' if {condition} else 'OFF' }}}}"


def picked(*keys: str, **named: str) -> str:
    """A template: a JSON object of some keys of the message, under their own names or others."""
    pairs = {key: key for key in keys} | named
    return "{{ {" + ", ".join(f"'{name}': value_json.{key}" for name, key in pairs.items()) + "} | to_json }}"


def _button(name: str, command: str, payload: str) -> Entity:
    return Entity(name, "button", {"command_topic": f"cmd/{command}", "payload_press": payload, "qos": 1})


def _sickness(fault: str, name: str) -> Entity:
    condition = (
        f"'{fault}' in value_json.channels | map(attribute='fault') | list or value_json.asset_fault == '{fault}'"
    )
    facts = {"device_class": "problem", "state_topic": "health", "value_template": flag(condition)}
    return Entity(name, "binary_sensor", facts | {"entity_category": "diagnostic"})


def _event(name: str, topic: str, *keys: str) -> Entity:
    facts = {"state_topic": topic, "event_types": [str(one) for one in EventType], "qos": 1}
    return Entity(name, "event", facts | {"value_template": picked(*keys, event_type="type")})


ASSET = (
    Entity(
        "Anomaly",
        "binary_sensor",
        {
            "device_class": "problem",
            "state_topic": "alert",
            "value_template": flag("value_json.state == 'active'"),
            "json_attributes_topic": "alert",
        },
        watched_only=True,
    ),
    Entity(
        "Ratio",
        "sensor",
        {
            "state_topic": "score",
            "value_template": "{{ value_json.ratio }}",
            "state_class": "measurement",
            "suggested_display_precision": 2,
            "icon": "mdi:chart-bell-curve",
        },
        watched_only=True,
    ),
    Entity(
        "Top channel",
        "sensor",
        {"state_topic": "alert", "value_template": cut("top_channel"), "icon": "mdi:podium"},
        watched_only=True,
    ),
    Entity(
        "Reason",
        "sensor",
        {
            "state_topic": "alert",
            "value_template": cut("reason"),
            "json_attributes_topic": "alert",
            "json_attributes_template": picked("id", full_text="reason"),
            "icon": "mdi:text-box-search",
        },
        watched_only=True,
    ),
    Entity(
        "Watching",
        "sensor",
        {
            "device_class": "enum",
            "options": [str(one) for one in Watching],
            "state_topic": "health",
            "value_template": "{{ value_json.watching }}",
            "json_attributes_topic": "health",
            "json_attributes_template": picked("reason", "rows", "rows_needed", "first_score", "pace"),
            "icon": "mdi:eye",
        },
    ),
    Entity(
        "Sensor fault",
        "binary_sensor",
        {
            "device_class": "problem",
            "state_topic": "health",
            "value_template": flag("value_json.state != 'ok'"),
            "json_attributes_topic": "health",
            "json_attributes_template": picked("faults", "asset_fault"),
        },
    ),
    *(_sickness(*one) for one in SICKNESSES.items()),
    _event("Alert", "event", "id", "seq", "severity", "ratio", "top_channel", "reason", "acked"),
    _button("Acknowledge", "ack", "{}"),
    *(_button(label.replace("_", " ").capitalize(), "feedback", f'{{"label": "{label}"}}') for label in LABELS),
    Entity(
        "Name of the alarm",
        "text",
        {
            "command_topic": "cmd/feedback",
            "command_template": f"{{{{ {{'label': '{TRUE_ALARM}', 'name': value}} | to_json }}}}",
            "max": MAX_ALERT_NAME,
            "qos": 1,
            "icon": "mdi:tag-text",
        },
    ),
    _button("Shelve 1 h", "shelve", f'{{"duration_s": {SHELVE_S}}}'),
    _button("Unshelve", "unshelve", "{}"),
    Entity(
        "In service",
        "switch",
        {
            "state_topic": "alert",
            "value_template": flag("value_json.state != 'out_of_service'"),
            "command_topic": "cmd/in_service",
            "payload_on": '{"on": true}',
            "payload_off": '{"on": false}',
            "state_on": "ON",
            "state_off": "OFF",
            "qos": 1,
        },
    ),
    Entity(
        "Budget",
        "select",
        {
            "state_topic": "health",
            "value_template": f"{{{{ value_json.budget if value_json.budget in {[*BUDGETS]} else None }}}}",
            "command_topic": "cmd/budget",
            "command_template": "{{ {'budget': value} | to_json }}",
            "options": [*BUDGETS],
            "entity_category": "config",
            "qos": 1,
        },
    ),
)


def _counter(name: str, key: str, **facts: str) -> Entity:
    diagnostic = {
        "state_topic": "stats",
        "value_template": f"{{{{ value_json.{key} }}}}",
        "entity_category": "diagnostic",
    }
    return Entity(name, "sensor", diagnostic | facts)


ONLINE = Entity(
    "Online",
    "binary_sensor",
    {
        "device_class": "connectivity",
        "state_topic": "status",
        "payload_on": "online",
        "payload_off": "offline",
        "entity_category": "diagnostic",
    },
)
NODE = (
    ONLINE,
    _counter("Assets", "assets", state_class="measurement"),
    _counter("Outbox", "outbox", state_class="measurement"),
    _counter("Refused messages", "refused", state_class="total_increasing"),
    _counter("Alerts withheld in floods", "withheld_in_flood", state_class="total_increasing"),
    Entity(
        "Fault",
        "binary_sensor",
        {
            "device_class": "problem",
            "state_topic": "stats",
            "value_template": flag("value_json.fault is not none"),
            "json_attributes_topic": "stats",
            "json_attributes_template": picked("fault"),
            "entity_category": "diagnostic",
        },
    ),
    _event("Flood", "flood", "id", "seq", "count", "assets", "reason"),
)


# -- ids and messages --------------------------------------------------------------------------------------------


def device_id(prefix: str, asset: str | None = None) -> str:
    """Safe as a level of a topic, and another one for each node (`prefix`: what its topics begin with) and asset."""
    names = [prefix] if asset is None else [prefix, asset]
    digest = sha256("\n".join(names).encode()).hexdigest()[:DIGEST]
    readable = slug(f"{prefix.rpartition('/')[2]} {asset or ''}")[:SAFE_ID]
    return f"edge_ae_{readable}_{digest}"


def asset_message(prefix: str, asset: str, model: str, expire_after_s: int) -> dict[str, Any]:
    """What announces an asset. `model`: the name of its model; `expire_after_s`: a ratio that old says nothing any more."""
    identity, own = device_id(prefix, asset), f"{prefix}/{asset}"
    device = {"name": asset, "model": model, "via_device": device_id(prefix)}
    online = {"topic": f"{prefix}/status"}
    watched = {
        "topic": f"{own}/health",
        "value_template": f"{{{{ 'online' if value_json.watching == '{Watching.WATCHED}' else 'offline' }}}}",
    }
    components = {
        entity.key: _component(entity, identity, own, slug(asset))
        | {"availability": [online, watched] if entity.watched_only else [online], "availability_mode": "all"}
        for entity in ASSET
    }
    components["ratio"]["expire_after"] = expire_after_s
    return _message(identity, device, components)


def node_message(prefix: str, node: str) -> dict[str, Any]:
    """What announces the daemon itself."""
    identity = device_id(prefix)
    components = {entity.key: _component(entity, identity, prefix, slug(f"edge-ae {node}")) for entity in NODE}
    for key in components.keys() - {ONLINE.key}:
        components[key]["availability"] = [{"topic": f"{prefix}/status"}]
    return _message(identity, {"name": f"edge-ae {node}", "model": "edge-ae"}, components)


def _component(entity: Entity, identity: str, own: str, named: str) -> dict[str, Any]:
    facts = {key: f"{own}/{value}" if key in TOPICS else value for key, value in entity.facts.items()}
    return {
        "p": entity.platform,
        "name": entity.name,
        "unique_id": f"{identity}_{entity.key}",
        "default_entity_id": f"{entity.platform}.{'_'.join(filter(None, (named, entity.key)))}",
        **facts,
    }


def _message(identity: str, device: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "dev": {"identifiers": [identity], "manufacturer": "edge-ae", "sw_version": __version__, **device},
        "o": {"name": "edge-ae", "sw": __version__},
        "cmps": components,
    }


def topic_of(discovery: str, prefix: str, asset: str | None) -> str:
    """Where the message of an asset, or of the node, None, is retained. `discovery`: Home Assistant's own prefix."""
    return f"{discovery}/device/{device_id(prefix, asset)}/config"

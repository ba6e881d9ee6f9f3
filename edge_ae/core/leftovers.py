"""What the broker still retains of nodes and assets that are gone. Pure: it is given messages, and names the topics that may be emptied.

    topic, payload ─ Inventory.take ─► Inventory ─ leftovers(inventory, now_ns, after_ns, named) ─► Leftovers

Ours is what has the form of our topics below the base, a discovery message of Home Assistant whose origin is edge-ae and whose
entities live on such topics, and an alarm of thin-edge.io for an asset that one of these names. All else is not looked at.
"""

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from edge_ae.core.timestamps import minute_text, parse_time_ns

TOPICS = 100_000  # that are remembered
SETTLED_S = 600  # A daemon without saved state names an asset only once something has come of it.
ONLINE = "online"
ORIGIN = "edge-ae"
ALARM = re.compile("te/device/([^/]+)///a/anomaly")

Owner = tuple[str, str | None]  # node, asset; no asset: the node itself


@dataclass(slots=True)
class NodeTraces:
    """What a node has said of itself.

    online: by its `status`, or that of its recorder.
    stats_ns: wall time of its newest stats; None: there are none.
    watched: its assets; None: not known, or more than stats name.
    fresh: these stats came live, and after all else that is here of assets which they do not name: those are gone.
    settling: it has run for less than SETTLED_S by stats that came live: what they do not name may be about to come.
    """

    online: set[str] = field(default_factory=set)
    stats_ns: int | None = None
    watched: frozenset[str] | None = None
    fresh: bool = False
    settling: bool = False

    @property
    def last(self) -> str:
        """When there was a sign of it, as a clause."""
        if self.stats_ns is None:
            return "nobody knows since when"
        return f"its last stats are of {minute_text(self.stats_ns)}"


class Inventory:
    """Everything of ours that is retained below `base`, and below Home Assistant's prefix `discovery`. `more`: beyond TOPICS."""

    def __init__(self, base: str, discovery: str) -> None:
        self.nodes: dict[str, NodeTraces] = {}
        self.owners: dict[str, Owner] = {}
        self.alarms: dict[str, str] = {}  # topic -> asset
        self.more = 0
        self.filters = (
            *(f"{base}/+/{kind}" for kind in ("status", "recorder", "stats", "outbox")),
            *(f"{base}/+/+/{kind}" for kind in ("alert", "health")),
            f"{discovery}/device/+/config",
            "te/device/+///a/anomaly",
        )
        self._of_node = re.compile(f"{re.escape(base)}/([^/]+)/(status|recorder|stats|outbox)")
        self._of_asset = re.compile(f"{re.escape(base)}/([^/]+)/([^/]+)/(?:alert|health)")
        self._of_device = re.compile(f"{re.escape(discovery)}/device/edge_ae_[a-z0-9_]+/config")

    def holds(self, topic: str) -> bool:
        """Whether something is retained there."""
        return topic in self.owners or topic in self.alarms

    def take(self, topic: str, payload: bytes, *, live: bool) -> None:
        """A message on one of `filters`. `live`: it was sent just now, and not kept from before. Raises nothing."""
        if payload == b"":
            self.owners.pop(topic, None)
            self.alarms.pop(topic, None)
        elif len(self.owners) + len(self.alarms) >= TOPICS and not self.holds(topic):
            self.more += 1
        elif (alarm := ALARM.fullmatch(topic)) is not None:
            self.alarms[topic] = alarm[1]
        else:
            self._take_ours(topic, payload, live)

    def _take_ours(self, topic: str, payload: bytes, live: bool) -> None:
        of_device = self._of_device.fullmatch(topic) is not None
        owner = self._announced(payload) if of_device else self._owner(topic)
        if owner is None:
            return
        self.owners[topic] = owner
        node, asset = owner
        traces = self.nodes.setdefault(node, NodeTraces())
        if asset is not None:
            traces.fresh = traces.fresh and traces.watched is not None and asset in traces.watched
        elif not of_device:
            self._take_word(traces, topic.rpartition("/")[2], payload, live)

    def _owner(self, topic: str) -> Owner | None:
        found = self._of_asset.fullmatch(topic) or self._of_node.fullmatch(topic)
        if found is None:
            return None
        return (found[1], found[2]) if found.re is self._of_asset else (found[1], None)

    def _announced(self, payload: bytes) -> Owner | None:
        """Whose entities a discovery message of ours announces: those on our topics, all of one owner."""
        body = _object(payload)
        origin, components = body.get("o"), body.get("cmps")
        if not isinstance(origin, dict) or origin.get("name") != ORIGIN or not isinstance(components, dict):
            return None
        topics = (one.get("state_topic") for one in components.values() if isinstance(one, dict))
        owners = (self._owner(topic) for topic in topics if isinstance(topic, str))
        return next((owner for owner in owners if owner is not None), None)

    def _take_word(self, traces: NodeTraces, kind: str, payload: bytes, live: bool) -> None:
        if kind in ("status", "recorder"):
            (traces.online.add if payload == ONLINE.encode() else traces.online.discard)(kind)
        elif kind == "stats":
            body = _object(payload)
            traces.stats_ns, traces.watched = _when(body), _watched(body)
            traces.settling = live and _is_young(body)
            traces.fresh = live and not traces.settling


def _object(payload: bytes) -> Mapping[str, Any]:
    try:
        body = orjson.loads(payload)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _when(stats: Mapping[str, Any]) -> int | None:
    try:
        return parse_time_ns(str(stats.get("ts")))
    except ValueError:
        return None


def _watched(stats: Mapping[str, Any]) -> frozenset[str] | None:
    named, count = stats.get("asset"), stats.get("assets")
    return frozenset(named) if isinstance(named, dict) and len(named) == count else None


def _is_young(stats: Mapping[str, Any]) -> bool:
    uptime_s = stats.get("uptime_s")
    return isinstance(uptime_s, int | float) and uptime_s < SETTLED_S


# -- what may go -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leftover:
    """A retained message that may go.

    topic: where it is.
    node, asset: whose it was; no asset: the node's.
    why: why it is left over, as a clause.
    with_node: all of its node goes.
    """

    topic: str
    node: str
    asset: str | None
    why: str
    with_node: bool


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What may go, and what stays although it may look left over.

    items: by node, asset and topic.
    kept: node -> why what is there of it stays, as a clause.
    unsure: nodes that are online and retain what their stats do not name, of which newer stats must come to know that it is gone.
    settling: nodes that are online and retain what their stats do not name, but have begun too lately to name all that they watch.
    """

    items: tuple[Leftover, ...]
    kept: Mapping[str, str]
    unsure: frozenset[str]
    settling: frozenset[str]


def leftovers(inventory: Inventory, now_ns: int, after_ns: int, named: Set[str] = frozenset()) -> Leftovers:
    """`now_ns`: wall time; `after_ns`: a node is gone that is offline and whose last stats are so old, and so is one that is
    `named`, but for one that is online and whose stats are younger.
    """
    gone = {
        node: why
        for node, traces in inventory.nodes.items()
        if (why := _why_gone(traces, now_ns, after_ns, node in named)) is not None
    }
    items = [
        Leftover(topic, node, asset, why, node in gone)
        for topic, (node, asset) in inventory.owners.items()
        if (why := gone.get(node) or _why_unwatched(inventory.nodes[node], node, asset)) is not None
    ]
    items += _alarms(inventory, items, gone)
    rest = {node: traces for node, traces in inventory.nodes.items() if node not in gone}
    kept = {node: why for node, traces in rest.items() if (why := _why_kept(traces, node in named)) is not None}
    unlisted = {node for node, asset in inventory.owners.values() if node in rest and _is_unlisted(rest[node], asset)}
    settling = {node for node in unlisted if rest[node].settling}
    unsure = {node for node in unlisted - settling if not rest[node].fresh}
    ordered = sorted(items, key=lambda one: (one.node, one.asset or "", one.topic))
    return Leftovers(tuple(ordered), dict(sorted(kept.items())), frozenset(unsure), frozenset(settling))


def _why_gone(traces: NodeTraces, now_ns: int, after_ns: int, named: bool) -> str | None:
    old = traces.stats_ns is None or now_ns - traces.stats_ns >= after_ns
    if traces.online:
        return f"said to be online, but {traces.last}" if named and old else None
    return f"offline, {traces.last}" if named or (old and traces.stats_ns is not None) else None


def _is_unlisted(traces: NodeTraces, asset: str | None) -> bool:
    listed = traces.watched
    return len(traces.online) > 0 and asset is not None and listed is not None and asset not in listed


def _why_unwatched(traces: NodeTraces, node: str, asset: str | None) -> str | None:
    return f"{node} watches no such asset" if _is_unlisted(traces, asset) and traces.fresh else None


def _why_kept(traces: NodeTraces, named: bool) -> str | None:
    if traces.online and named:
        return f"online, {traces.last}"
    if traces.online and traces.stats_ns is not None and traces.watched is None:
        return "its stats do not name all of its assets, so that those which are gone cannot be told"
    return None if traces.online else f"offline, {traces.last}"


def _alarms(inventory: Inventory, items: list[Leftover], gone: Mapping[str, str]) -> Iterator[Leftover]:
    """Alarms name no node: they go with an asset that is left over, and that nobody else has."""
    going = {one.topic for one in items}
    stays = {asset for topic, (_, asset) in inventory.owners.items() if topic not in going}
    stays |= {asset for node, traces in inventory.nodes.items() if node not in gone for asset in traces.watched or ()}
    owners = {one.asset: one for one in items if one.asset is not None and one.asset not in stays}
    for topic, asset in inventory.alarms.items():
        owner = owners.get(asset)
        if owner is not None:
            yield replace(owner, topic=topic)

"""What has been published of the nodes and assets below one base, as those who look on last knew it: bounded, whatever comes.

    (topic, payload) ─ View.take ─► View: nodes, assets

Knows the topics of the contract and nothing of the daemon. A payload of another program changes nothing; what finds no
room is counted. An asset of a node that is offline makes room for one of a node that is not.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from edge_ae.core.large_payloads import LargePayloads
from edge_ae.core.timestamps import SECOND, parse_time_ns

TOPICS = ("+/status", "+/stats", "+/flood", "+/+/score", "+/+/alert", "+/+/health")
NODE_KINDS, ASSET_KINDS = ("status", "stats", "flood"), ("score", "alert", "health")
HISTORY = 240
LONGEST_NAME = 128  # characters; the daemon's own names have 64 at most
LONGEST_STATUS = 64
MAX_NODES = 500
MAX_ASSETS = 2_000
MAX_BYTES = 256 * 1024  # of a payload; the stats of 200 assets need a tenth of that
QUIET_NS = 60 * SECOND  # no score for so long: what stands there is old
OFFLINE = "offline"


@dataclass(slots=True)
class Asset:
    """The newest of what was published of an asset; `recent`: its latest ratios, `slot` the time slot of the newest.

    `last_alert`: when the newest alert was raised, in ns, and its first channel; it stays when the alert has ended.
    """

    ratio: float | None = None
    scored_ns: int = 0  # when the score came, by this machine's clock
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    slot: int = -1
    alert: Mapping[str, Any] = field(default_factory=dict)
    health: Mapping[str, Any] = field(default_factory=dict)
    last_alert: tuple[int, str] | None = None

    @property
    def state(self) -> str:
        """The alert's state; "unknown" before the first."""
        return str(self.alert.get("state", "unknown"))

    def quiet(self, now_ns: int) -> bool:
        """Whether no score has come for a while."""
        return now_ns - self.scored_ns > QUIET_NS


@dataclass(slots=True)
class View:
    """All that has come on the topics below `base`.

    `slot_ns`: of scores within one such time by the time of the data, only the highest ratio is kept in `Asset.recent`; 0: all are.
    """

    base: str
    slot_ns: int = 0
    max_assets: int = MAX_ASSETS
    status: dict[str, str] = field(default_factory=dict)
    stats: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    floods: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    assets: dict[tuple[str, str], Asset] = field(default_factory=dict)
    unused: int = 0  # messages that are none of the contract's, or found no room
    _large: LargePayloads = field(default_factory=LargePayloads, compare=False)
    _crowded: bool = False  # no node that is offline has an asset; to look for one at each message would take all day

    def take(self, topic: str, payload: bytes, now_ns: int) -> None:
        """Take a message in. Raises nothing."""
        node, *rest = topic.removeprefix(f"{self.base}/").split("/")
        if len(payload) > MAX_BYTES or max(map(len, (node, *rest))) > LONGEST_NAME:
            self.unused += 1
        elif len(rest) == 1 and rest[0] in NODE_KINDS:
            self._take_node(node, rest[0], payload)
        elif len(rest) == 2 and rest[1] in ASSET_KINDS:
            self._take_asset(node, rest[0], rest[1], payload, now_ns)

    def offline(self, node: str) -> bool:
        """Whether a node is known to be gone."""
        return self.status.get(node) == OFFLINE

    def _take_node(self, node: str, kind: str, payload: bytes) -> None:
        nodes: dict[str, dict[str, Any]] = {"status": self.status, "stats": self.stats, "flood": self.floods}
        held = nodes[kind]
        self._crowded = self._crowded and kind != "status"
        if not payload:  # somebody has cleared the retained message
            held.pop(node, None)
            self._large.release((node, kind))
            return
        body = payload.decode(errors="replace")[:LONGEST_STATUS] if kind == "status" else _object(payload)
        if body is None or (node not in held and len(held) >= MAX_NODES):
            self.unused += 1
        elif kind == "status" or self._large.admits((node, kind), payload):
            held[node] = body
        else:
            held.pop(node, None)
            self.unused += 1

    def _take_asset(self, node: str, name: str, kind: str, payload: bytes, now_ns: int) -> None:
        if not payload:
            if kind == "alert":  # the asset is no more
                self._forget(node, name)
            return
        body = _object(payload)
        if body is None or not self._has_room(node, name):
            self.unused += 1
            return
        asset = self.assets.setdefault((node, name), Asset())
        ratio = body.get("ratio")
        if kind == "alert":
            asset.alert = self._held(node, name, kind, payload, body)
            self._keep_alert(asset, body)
        elif kind == "health":
            asset.health = self._held(node, name, kind, payload, body)
        elif isinstance(ratio, int | float):
            self._take_ratio(asset, float(ratio), now_ns, body.get("ts"))

    def _held(self, node: str, name: str, kind: str, payload: bytes, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """What has no room leaves nothing in its place: what stood there before would pass for what is so now."""
        if self._large.admits((node, name, kind), payload):
            return body
        self.unused += 1
        return {}

    def _forget(self, node: str, name: str) -> None:
        self.assets.pop((node, name), None)
        for kind in ("alert", "health"):
            self._large.release((node, name, kind))

    def _keep_alert(self, asset: Asset, body: Mapping[str, Any]) -> None:
        raised_ns = _time_ns(body.get("ts_raised"), 0) if asset.state == "active" else 0
        if raised_ns > 0:
            asset.last_alert = raised_ns, str(body.get("top_channel") or "")[:LONGEST_NAME]

    def _take_ratio(self, asset: Asset, ratio: float, now_ns: int, ts: Any) -> None:
        slot = _time_ns(ts, now_ns) // self.slot_ns if self.slot_ns > 0 else asset.slot + 1
        if slot == asset.slot and asset.recent:
            asset.recent[-1] = max(asset.recent[-1], ratio)
        else:
            asset.recent.append(ratio)
        asset.ratio, asset.scored_ns, asset.slot = ratio, now_ns, slot

    def _has_room(self, node: str, name: str) -> bool:
        if (node, name) in self.assets or len(self.assets) < self.max_assets:
            return True
        if self._crowded or self.offline(node):
            return False
        gone = next((key for key in self.assets if self.offline(key[0])), None)
        if gone is None:
            self._crowded = True
            return False
        self._forget(*gone)
        self.unused += 1
        return True


def _time_ns(ts: Any, otherwise_ns: int) -> int:
    """The time of the data, which a replay has of its own; that of the message where there is none."""
    try:
        return parse_time_ns(ts)
    except (ValueError, AttributeError, TypeError):
        return otherwise_ns


def _object(payload: bytes) -> Mapping[str, Any] | None:
    try:
        body = orjson.loads(payload)  # which takes neither NaN nor a depth without end
    except ValueError:
        return None
    return body if isinstance(body, dict) else None

"""Sparkplug B: the daemon as an edge node, whose devices are its assets, on a connection of its own, as the standard asks.

    the connection opens, a host asks for births ─► NBIRTH, then a DBIRTH for each asset, so many a second
    a score, a step of an alert, watched or not  ─► DDATA: what has changed, by alias
    an asset is watched no more                  ─► DDEATH
    the daemon stops, or its connection breaks   ─► NDEATH, the connection's will

Nothing is kept for a host that is away: it asks for births, which say how everything stands. What happened meanwhile is
in the topic `event`.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol

from edge_ae.bridges.sparkplug_metrics import (
    ALIASES,
    SCORED,
    WATCHED,
    EdgeIdentity,
    Values,
    asks_for_births,
    device_payload,
    values_of,
)
from edge_ae.core.alert_events import Happening
from edge_ae.core.detector import Detector
from edge_ae.core.events import Scored
from edge_ae.core.formats.sparkplug import SEQUENCE
from edge_ae.core.formats.sparkplug_writing import payload_bytes
from edge_ae.core.timestamps import MS, seconds_ns
from edge_ae.errors import BadPayload

log = logging.getLogger(__name__)

PER_TICK = 500
"""Messages in a second; the others wait for the next one."""

COMMANDS_PER_TICK = 100


class EdgeSession(Protocol):
    """A connection that has become ready: the `number` of it."""

    @property
    def number(self) -> int: ...


class HostMessage(Protocol):
    """What a host sends. `mid`: of the packet on the connection of that number, by which it is acknowledged where `qos` is 1."""

    @property
    def payload(self) -> bytes: ...

    @property
    def qos(self) -> int: ...

    @property
    def connection(self) -> int: ...

    @property
    def mid(self) -> int: ...


class EdgeConnection(Protocol):
    """What is asked of the connection; its will is the NDEATH. Nothing of it waits."""

    @property
    def counts(self) -> Mapping[str, int]: ...

    @property
    def connected(self) -> bool: ...

    def start(self, filters: Sequence[tuple[str, int]], /) -> None: ...

    def opened(self) -> EdgeSession | None: ...

    def take(self, max_items: int, timeout_s: float, /) -> Sequence[HostMessage]: ...

    def ack(self, messages: Iterable[tuple[int, int]], /) -> None: ...

    def acked(self) -> Sequence[int]: ...

    def publish(self, topic: str, payload: bytes, /, *, json: bool) -> object | None: ...

    def stop(self) -> None: ...


@dataclass(slots=True)
class EdgeDevice:
    """One asset. `sent`: the values that hosts know of; None: it is not born. `due_ns`: when its next score may be said, monotonic."""

    first_alias: int
    sent: Values | None = None
    scored: Scored | None = None
    due_ns: int = 0

    def values(self, detector: Detector) -> Values:
        """How the asset stands now."""
        return values_of(detector, None if self.scored is None else self.scored.verdict)

    @property
    def scored_ms(self) -> int:
        """Event time of its newest score."""
        return 0 if self.scored is None else self.scored.t_ns // MS


@dataclass(frozen=True, slots=True)
class DeviceChanges:
    """What hosts do not know of an asset yet: its values, and the places of those that have changed, in order."""

    asset: str
    device: EdgeDevice
    values: Values
    places: Sequence[int]


class SparkplugEdgeNode:
    """`counts`: messages by kind, and what was not sent or not understood. A score of an asset is said each `interval_s` at most."""

    filters: Sequence[tuple[str, int]] = ()

    def __init__(
        self,
        identity: EdgeIdentity,
        interval_s: float,
        connection: EdgeConnection,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._identity, self._connection, self._clock = identity, connection, clock
        self._interval_ns = seconds_ns(interval_s)
        self._started = False
        self._number: int | None = None  # of the present connection
        self._seq = 0  # of the next message
        self._born = False
        self._rebirth = False  # a host asks for it
        self._aliases = 1
        self._devices: dict[str, EdgeDevice] = {}
        self._dead: dict[str, None] = {}  # devices that hosts are still to learn of, in order

    def report(self) -> dict[str, int]:
        """What `stats` says of it: its own counts, and those of its connection."""
        return {"connected": int(self._connection.connected), **self.counts, **self._connection.counts}

    # -- what the loop says ------------------------------------------------------------------------------------

    def retained(self, _assets: Iterable[str]) -> set[str]:
        """Sparkplug retains nothing."""
        return set()

    def connected(self, _detectors: Mapping[str, Detector]) -> None:
        """The daemon's own connection is another one."""

    def received(self, _topic: str, _payload: bytes, _retained: bool) -> None:
        """Hosts speak on the edge node's own connection."""

    def happened(self, happenings: Sequence[Happening]) -> None:
        """The newest score of each asset is said with the next tick; its alert is looked at then."""
        for one in happenings:
            if isinstance(one, Scored):
                self._device(one.asset).scored = one

    def withdrawn(self, asset: str) -> None:
        """Its device dies, where it was born."""
        device = self._devices.pop(asset, None)
        if device is not None and device.sent is not None:
            self._dead[asset] = None

    def close(self) -> None:
        """The node dies."""
        if self._started:
            self._connection.stop()

    def tick(self, detectors: Mapping[str, Detector], _stats: Callable[[], Mapping[str, Any]], now_ns: int) -> None:
        """Send what is due."""
        if not self._started:
            self._started = True
            self._connection.start([(self._identity.topic("NCMD"), 1)])
        session = self._connection.opened()
        if session is not None:
            self._number, self._born, self._rebirth = session.number, False, False
        self._connection.acked()  # nothing is made of it, and it is not to pile up
        self._take_commands()
        if self._connection.connected and self._number is not None:
            self._say(detectors, self._number, now_ns)

    # -- births, data and deaths -------------------------------------------------------------------------------

    def _take_commands(self) -> None:
        """A broker sends no more once as many wait for their acknowledgement as the connection lets be under way."""
        messages = self._connection.take(COMMANDS_PER_TICK, 0.0)
        for message in messages:
            self._command(message.payload)
        self._connection.ack([(message.connection, message.mid) for message in messages if message.qos > 0])

    def _command(self, payload: bytes) -> None:
        try:
            self._rebirth |= asks_for_births(payload)
        except BadPayload as fault:
            self.counts["bad_commands"] += 1
            if self.counts["bad_commands"] == 1:
                log.warning("Sparkplug: a command that cannot be used: %s", fault)

    def _say(self, detectors: Mapping[str, Detector], number: int, now_ns: int) -> None:
        """As far as the connection takes it, and no more than PER_TICK; the rest is due the next time."""
        devices = [self._device(asset) for asset in detectors]
        all_born = all(device.sent is not None for device in devices)
        if (not self._born or (self._rebirth and all_born)) and not self._bear_node(number):
            return  # a host that asks while births are under way gets them
        for send in islice(self._due(detectors, now_ns), PER_TICK):
            if not send():
                return

    def _due(self, detectors: Mapping[str, Detector], now_ns: int) -> Iterator[Callable[[], bool]]:
        """Deaths, births, then what has changed: alerts before scores, and of these those that wait longest."""
        yield from (partial(self._bury, asset) for asset in list(self._dead))
        yield from (
            partial(self._bear, asset, detector)
            for asset, detector in detectors.items()
            if self._devices[asset].sent is None
        )
        changes = [self._changes(asset, detector, now_ns) for asset, detector in detectors.items()]
        changes = [one for one in changes if one.places]
        changes.sort(key=lambda one: (one.places[-1] < SCORED, one.device.due_ns))
        yield from (partial(self._say_changes, one, now_ns) for one in changes)

    def _changes(self, asset: str, detector: Detector, now_ns: int) -> DeviceChanges:
        device = self._devices[asset]
        values = device.values(detector)
        sent = values if device.sent is None else device.sent
        if values[WATCHED] and now_ns < device.due_ns:
            values = (*sent[:SCORED], *values[SCORED:])
        places = [place for place, pair in enumerate(zip(values, sent, strict=True)) if pair[0] != pair[1]]
        return DeviceChanges(asset, device, values, places)

    def _say_changes(self, changes: DeviceChanges, now_ns: int) -> bool:
        device, now_ms = changes.device, self._now_ms
        body = device_payload(
            changes.values, changes.places, device.first_alias, now_ms, device.scored_ms, self._seq, birth=False
        )
        if not self._send("DDATA", changes.asset, body):
            return False
        device.sent = changes.values
        if changes.places[0] < SCORED:
            device.due_ns = now_ns + self._interval_ns
        return True

    def _bear_node(self, number: int) -> bool:
        self._seq = 0
        self._born = self._send("NBIRTH", None, self._identity.birth(number, self._now_ms))
        if self._born:
            self._rebirth = False
            self._dead.clear()
            for device in self._devices.values():
                device.sent = None
        return self._born

    def _bear(self, asset: str, detector: Detector) -> bool:
        device, now_ms = self._devices[asset], self._now_ms
        values = device.values(detector)
        places = range(len(values))
        body = device_payload(values, places, device.first_alias, now_ms, device.scored_ms, self._seq, birth=True)
        if not self._send("DBIRTH", asset, body):
            return False
        device.sent = values
        return True

    def _bury(self, asset: str) -> bool:
        sent = self._send("DDEATH", asset, payload_bytes(self._now_ms, (), self._seq))
        if sent:
            del self._dead[asset]
        return sent

    def _send(self, kind: str, device: str | None, payload: bytes) -> bool:
        """False: the connection takes nothing more, or is gone; hosts see no gap in `seq` then."""
        sent = self._connection.publish(self._identity.topic(kind, device), payload, json=False) is not None
        self.counts[kind if sent else "not_sent"] += 1
        self._seq = (self._seq + sent) % SEQUENCE
        return sent

    @property
    def _now_ms(self) -> int:
        return self._clock() // MS

    def _device(self, asset: str) -> EdgeDevice:
        """Aliases differ over the whole node, and never come back."""
        device = self._devices.get(asset)
        if device is None:
            device = self._devices[asset] = EdgeDevice(self._aliases)
            self._aliases += ALIASES
        return device

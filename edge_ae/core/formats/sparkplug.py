"""Sparkplug B: messages of edge nodes and their devices -> records, by the names and types that their births have given.

    spBv1.0/<group>/NBIRTH/<edge node>              the node is born: all its metrics, with name, alias and type
    spBv1.0/<group>/DBIRTH/<edge node>/<device>     one of its devices is
    spBv1.0/<group>/NDATA or DDATA/...              what has changed, by alias
    spBv1.0/<group>/NDEATH or DDEATH/...            gone, and what was known of it with it

Births are not retained: of data that comes before one, the edge node is `wanted` to be born again. Whoever owns the connection
asks it. A listener needs no session of its own with a node; that it hears each node from its birth on is enough.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edge_ae.core.formats.omissions import quoted
from edge_ae.core.formats.record import ARRIVAL, FormatOptions, Reader, Record
from edge_ae.core.formats.sparkplug_payload import UINT64, SparkplugMetric, SparkplugPayload, payload_of, value_of
from edge_ae.errors import BadPayload

EdgeName = tuple[str, str]  # group, edge node
Definition = tuple[str, int]  # a metric's name and datatype

NAMESPACE = "spBv1.0"
EDGE_NODES = 1_000  # that are known at a time; the one that was silent longest goes first
DEFINITIONS = 100_000  # of metrics of all of them
SEQUENCE = 256
KINDS = frozenset({"NBIRTH", "DBIRTH", "NDATA", "DDATA", "NDEATH", "DDEATH"})
BD_SEQ = "bdSeq"
LONGEST_NAME = 256  # characters of a metric's name; what is longer could be no channel
CONTROLS = ("Node Control/", "Device Control/")  # metrics that are there to be written


def sparkplug_fault(topic: str, time: str | None) -> str | None:
    """Why a stream of Sparkplug cannot be read as it is set, as a sentence that begins with the setting; None: it can."""
    levels = topic.split("/")
    form = len(levels) in (4, 5) and levels[0] == NAMESPACE and levels[2] == "+" and levels[3] != "#"
    if not form or "{channel}" in levels:
        return (
            f'topic: of Sparkplug is "{NAMESPACE}/plant/+/{{asset}}/#", where edge nodes are assets, or '
            f'"{NAMESPACE}/plant/+/edge-1/{{asset}}", where devices are; + stands for births and data'
        )
    return None if time is None else "time: is not used with Sparkplug, whose metrics bring their own; leave it out"


@dataclass(slots=True)
class BirthTable:
    """What a birth said of a node's or a device's metrics."""

    by_alias: dict[int, Definition] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, metrics: Iterable[SparkplugMetric]) -> "BirthTable":
        """The metrics of a birth."""
        table = cls()
        for metric in metrics:
            if metric.name and len(metric.name) <= LONGEST_NAME:
                table.types[metric.name] = metric.datatype
                if metric.alias is not None:
                    table.by_alias[metric.alias] = metric.name, metric.datatype
        return table

    def definition(self, metric: SparkplugMetric) -> Definition | None:
        """Name and type of a metric of data; None: only a birth can say them."""
        if metric.name:
            datatype = metric.datatype or self.types.get(metric.name)
            return (metric.name, datatype) if datatype else None
        return None if metric.alias is None else self.by_alias.get(metric.alias)


@dataclass(slots=True)
class EdgeNode:
    """`seq`: of its newest message. `tables`: of each device, and of the node itself, whose device is None."""

    bd_seq: int | None = None
    seq: int | None = None
    tables: dict[str | None, BirthTable] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Definitions that it holds."""
        return sum(max(len(table.types), len(table.by_alias)) for table in self.tables.values())


def sparkplug_reader(options: FormatOptions) -> Reader:
    """Reads messages of Sparkplug, in the order in which they come."""
    return SparkplugReader(options).read


class SparkplugReader:
    """Of one stream. Metrics of devices bear the device's name where the stream's topic leaves the device open.

    Whether messages were lost is seen only where the stream takes all of a node's: they share one sequence.
    """

    def __init__(self, options: FormatOptions) -> None:
        device_level = options.topic.split("/")[4:]
        self._named_by_device = device_level in (["#"], ["+"])
        self._takes_all = device_level == ["#"]
        self._options, self._omissions = options, options.omissions
        self._nodes: OrderedDict[EdgeName, EdgeNode] = OrderedDict()

    def read(self, topic: str, data: bytes) -> list[Record]:
        """The records of a message, the oldest first; none where it holds no reading. Raises BadPayload."""
        _, group, kind, edge, *rest = levels = topic.split("/")
        if kind not in KINDS:  # commands, our own among them
            self._omissions.counts["other_messages"] += 1
            return []
        if len(levels) != (4 if kind[0] == "N" else 5):
            raise BadPayload("bad_topic", f"a topic of Sparkplug with {kind} does not have {len(levels)} levels")
        name, device, payload = (group, edge), rest[0] if rest else None, payload_of(data)
        if payload.more > 0:
            self._omissions.counts["too_many_metrics"] += payload.more
        if kind.endswith("DEATH"):
            self._bury(name, device, payload)
            return []
        node = self._node(name)
        if kind == "NBIRTH":
            node.tables.clear()
            node.bd_seq, node.seq = _bd_seq(payload), payload.seq
        elif self._takes_all:
            self._follow(node, payload)
        if kind.endswith("BIRTH"):
            node.tables[device] = BirthTable.of(payload.metrics)
            self._make_room()
        return self._records(name, device, kind, topic, payload)

    # -- edge nodes ----------------------------------------------------------------------------------------

    def _node(self, name: EdgeName) -> EdgeNode:
        """An edge node, which is now the one that sent last."""
        node = self._nodes.setdefault(name, EdgeNode())
        self._nodes.move_to_end(name)
        if len(self._nodes) > EDGE_NODES:
            self._nodes.popitem(last=False)
        return node

    def _make_room(self) -> None:
        """Births are rare: what they said is counted anew at each."""
        while len(self._nodes) > 1 and sum(node.size for node in self._nodes.values()) > DEFINITIONS:
            self._nodes.popitem(last=False)
        (newest,) = deque(self._nodes.values(), maxlen=1)
        while newest.size > DEFINITIONS:
            del newest.tables[next(iter(newest.tables))]

    def _follow(self, node: EdgeNode, payload: SparkplugPayload) -> None:
        """A message that is lost or late is counted, and no more: readings have times of their own, and names stay."""
        if node.seq is not None and payload.seq is not None and payload.seq != (node.seq + 1) % SEQUENCE:
            self._omissions.counts["out_of_order"] += 1
        node.seq = payload.seq

    def _bury(self, name: EdgeName, device: str | None, payload: SparkplugPayload) -> None:
        """The broker may publish the death of a connection after the birth on the next one; `bdSeq` tells them apart."""
        node = self._nodes.get(name)
        if node is None:
            return
        if device is not None:
            node.tables.pop(device, None)
            self._follow(node, payload)
            return
        died = _bd_seq(payload)
        if None not in (died, node.bd_seq) and died != node.bd_seq:
            self._omissions.counts["former_death"] += 1
        else:
            del self._nodes[name]

    # -- metrics -------------------------------------------------------------------------------------------

    def _records(
        self, name: EdgeName, device: str | None, kind: str, topic: str, payload: SparkplugPayload
    ) -> list[Record]:
        """A record for each time in the message. Of data, what is no channel is left out: it is what happened to change."""
        table = self._nodes[name].tables.get(device, BirthTable())
        prefix = f"{device}/" if device is not None and self._named_by_device else ""
        all_count = kind == "DBIRTH" and not prefix
        records: dict[Any, dict[str, Any]] = {}
        unborn = used = 0
        for metric in payload.metrics:
            definition = table.definition(metric)
            if definition is None:
                unborn += 1
                continue
            used += 1
            channel = prefix + definition[0]
            if definition[0] == BD_SEQ or definition[0].startswith(CONTROLS):
                continue
            if not all_count and not self._options.is_channel(channel):
                self._omissions.counts["unknown_channel"] += 1
                continue
            self._take(records, channel, metric, definition[1], payload.stamp, topic)
        if unborn > 0:
            self._ask(name, unborn, used)
        return [(fields, stamp) for stamp, fields in sorted(records.items(), key=_by_time)]

    def _take(
        self,
        records: dict[Any, dict[str, Any]],
        channel: str,
        metric: SparkplugMetric,
        datatype: int,
        stamp: int | None,
        topic: str,
    ) -> None:
        """One more value, in the record of its time."""
        try:
            if metric.is_bad:
                raise BadPayload("bad_quality", "is marked as bad or stale")
            value = value_of(metric, datatype)
        except BadPayload as fault:
            self._omissions.counts[fault.reason] += 1
            self._omissions.name(topic, channel, fault.reason, partial("{} {}".format, quoted(channel), fault))
            return
        own = metric.stamp or stamp
        records.setdefault(ARRIVAL if own is None else own, {})[channel] = value

    def _ask(self, name: EdgeName, unborn: int, used: int) -> None:
        """Metrics came that no birth has named. Raises BadPayload where there were no others."""
        if len(self._options.wanted) < EDGE_NODES:
            self._options.wanted.add(name)
        if used == 0:
            text = (
                f"data of edge node {quoted(name[1])} by aliases that no birth has named; it is asked to be born again"
            )
            raise BadPayload("no_birth", text)
        self._omissions.counts["no_birth"] += unborn


def _bd_seq(payload: SparkplugPayload) -> Any:
    """The number of the connection that a birth or a death belongs to."""
    found = next((metric for metric in payload.metrics if metric.name == BD_SEQ), None)
    return None if found is None else value_of(found, UINT64)


def _by_time(record: tuple[Any, dict[str, Any]]) -> tuple[bool, int]:
    """What has no time came now."""
    stamp = record[0]
    return (True, 0) if stamp is ARRIVAL else (False, stamp)

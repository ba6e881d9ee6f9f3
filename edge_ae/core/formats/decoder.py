"""(topic, payload, arrival time) -> Readings: what sensors send in the field, in the names of a model's channels.

    topic ─ route: the asset, and what picks the channels ─┐
    payload ─ format: records, each with its stamp ────────┴─ values and time of each ─► Readings

    plant/{asset}/telemetry   {"ts": ..., "flow": 4.2}       all channels a topic, in one of the formats
    plant/{asset}/{channel}   4.2, or {"value": 4.2}         one channel a topic

A payload gives at least one Readings, or raises BadPayload, or is a sensor's "I am online", which is no reading.
A value that cannot be used is left out, counted, and said once; the rest of its payload is used. What is a number is the
law of `values`. An object with a time of its own in which none of its channels has a value is a row all the same: time went on.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import partial
from typing import Any

from edge_ae.core.events import Readings
from edge_ae.core.field_paths import leads_to_many, path_fault, places_of
from edge_ae.core.formats.json import document_of, json_reader
from edge_ae.core.formats.line_protocol import line_reader
from edge_ae.core.formats.number import number_reader
from edge_ae.core.formats.omissions import Omission, Omissions, quoted, sentence
from edge_ae.core.formats.picking import Found, Leaves, Paths, is_name
from edge_ae.core.formats.record import ARRIVAL, FormatOptions, Reader, Record
from edge_ae.core.formats.refusals import DEFAULT_VALUE, listed, missing_time, with_likeness
from edge_ae.core.formats.sparkplug import sparkplug_fault, sparkplug_reader
from edge_ae.core.formats.unfolding import Part, Unfolding, is_unfolded, unfolding_fault
from edge_ae.core.formats.values import TopicValues
from edge_ae.core.timestamps import SECOND, time_ns
from edge_ae.core.topics import topic_filter, topic_regex
from edge_ae.core.words import word_table
from edge_ae.errors import BadConfig, BadPayload

Route = tuple[str, Paths | Leaves, TopicValues]  # a topic's asset, what picks the channels, and what their values are

FORMATS: Mapping[str, Callable[[FormatOptions], Reader]] = {
    "json": json_reader,
    "number": number_reader,
    "influx": line_reader,
    "sparkplug": sparkplug_reader,
}
YEAR_2000_NS = 946_684_800 * SECOND
MAX_ROUTES = 8192  # topics remembered; a broker with more pays for the regular expression again
ASSET_NAME = re.compile(r"\w(?:[\w .:@()=-]{0,62}[\w)])?")  # a topic level and a folder: no / + # .. and no control
AVAILABILITY_LEVELS = frozenset({"availability", "LWT"})
AVAILABILITY_WORDS = frozenset({b"online", b"offline", b"Online", b"Offline"})


@dataclass(frozen=True, slots=True)
class Stream:
    """What comes on a topic. `channels`: model channel -> its path in the payload, or its {channel} in the topic."""

    topic: str
    format: str = "json"
    time: str | None = None  # path of the event time; None: the time of arrival
    channels: Mapping[str, str] = field(default_factory=dict)
    # Path of the value where the topic names the channel, or of values that the payload names.
    value: str = DEFAULT_VALUE
    quality: str | None = None  # path of a flag or code that says whether the value is good
    strict: bool = False  # only numbers are numbers: no text, no word, no true or false
    words: Mapping[str, float] = field(default_factory=dict)  # texts that stand for numbers, beside the known ones
    asset: str | None = None  # the asset where the topic does not name one
    max_bytes: int = 256 * 1024
    max_future_ns: int = 24 * 3600 * SECOND
    clock_set_ns: int = YEAR_2000_NS  # our clock, while it says less, has not been set and finds no time in the future
    time_zone: tzinfo | None = None  # of times without an offset; None: UTC

    @property
    def unfolded(self) -> bool:
        """Whether a payload holds several assets, times or named values, as the path of the value says."""
        return is_unfolded(self.value, self.quality)

    @property
    def fault(self) -> str | None:
        """Why the stream cannot be read as it is set, as a sentence that begins with the setting; None: it can."""
        paths = {"value": self.value, "time": self.time, "quality": self.quality}
        wrong = ((name, path_fault(path)) for name, path in paths.items() if path is not None)
        name, fault = next(((name, fault) for name, fault in wrong if fault is not None), ("", None))
        if fault is not None:
            return f"{name}: {fault}"
        if self.unfolded and self.format != "json":
            return f"value: leads through a document of JSON, and the format is {self.format}; set format to json"
        if self.unfolded:
            fault = unfolding_fault(self.topic, self.value, self.time, self.quality)
            return None if fault is None else f"value: {fault}"
        if self.format == "sparkplug":
            return sparkplug_fault(self.topic, self.time)
        if self.time is not None and leads_to_many(self.time):
            return 'time: leads to many places; set value to the way to their values, such as value = "readings[].{channel}"'
        many = next((path for path in self.channels.values() if leads_to_many(path)), None)
        if many is None:
            return None
        return f'channels: {quoted(many)} leads to many places; set value to the way there, such as value = "d[tag={{channel}}].value"'


class Decoder:
    """One stream's payloads. `names`: the model's channels; None takes every number that comes.

    `counts` holds the values, and the elements of batches, that were not used, by reason; whole payloads are counted
    by whoever catches BadPayload. Raises BadConfig where stream and model cannot go together.
    """

    def __init__(self, stream: Stream, names: Sequence[str] | None) -> None:
        self._omissions = Omissions()
        self.counts: Counter[str] = self._omissions.counts
        self.stream = stream
        self._words = None if stream.strict else word_table(stream.words)
        self.filter = topic_filter(stream.topic)
        self._topic = topic_regex(stream.topic)
        self._max_future_ns, self._clock_set_ns = stream.max_future_ns, stream.clock_set_ns
        self._zone = stream.time_zone
        self._newest: dict[str, int] = {}  # asset -> its time before, where local times have a zone
        self._routes: dict[str, Route | None] = {}
        self._assets_inside = "{asset}" in places_of(stream.value)
        self._by_channel = "{channel}" in stream.topic
        self._names = None if names is None else frozenset(names)
        self._paths = {name: stream.channels.get(name, name) for name in (stream.channels if names is None else names)}
        self._by_path = {path: name for name, path in self._paths.items()}
        _check_fit(stream, self._names)
        self._unfold = Unfolding(stream.topic, stream.value, stream.time, stream.quality) if stream.unfolded else None
        self._whole = self._whole_payload()
        self._wanted: set[tuple[str, str]] = set()
        self._read = FORMATS[stream.format](
            FormatOptions(stream.time, self._by_channel, self._is_channel, stream.topic, self._omissions, self._wanted)
        )

    def matches(self, topic: str) -> bool:
        """Whether a topic is one of the stream's."""
        return self._topic.fullmatch(topic) is not None

    def new_omissions(self) -> list[Omission]:
        """What was left out of payloads that were used, or used with a remark: the first of each topic, channel and reason,
        since the last call. Not more than a thousand are named; `counts` has them all.
        """
        return self._omissions.drain()

    def wanted_births(self) -> set[tuple[str, str]]:
        """Group and name of the Sparkplug edge nodes that are to be asked for their births, new since the last call."""
        wanted = self._wanted.copy()
        self._wanted.clear()
        return wanted

    def decode(self, topic: str, payload: bytes, arrival_ns: int, *, retained: bool = False) -> list[Readings]:
        """The readings of one message, in the order of the payload. Raises BadPayload.

        `retained`: the broker had kept it, nobody knows for how long; without a time of its own it is of no use.
        """
        try:
            route = self._routes[topic]
        except KeyError:
            route = self._find_route(topic)
        if route is None or (len(payload) < 8 and payload in AVAILABILITY_WORDS):
            self.counts["availability"] += 1
            return []
        if len(payload) > self.stream.max_bytes:
            raise BadPayload("too_large", f"{len(payload)} bytes, where {self.stream.max_bytes} are allowed")
        if not payload:
            raise BadPayload("empty", "nothing in it")
        if self._unfold is not None:
            return self._unfolded(self._unfold, route, payload, arrival_ns, retained)
        try:
            records = self._read(topic, payload)
        except BadPayload as fault:
            raise with_likeness(fault, topic, payload, self.stream.format) from None
        if retained:
            records = [_dated(record) for record in records]
        if not records and self.stream.format == "sparkplug":  # a death, or what tells of the node alone
            return []
        if len(records) == 1:
            return [self._readings(route, records[0], arrival_ns)]
        return self._batch([(route, record) for record in records], arrival_ns)

    def _unfolded(
        self, unfold: Unfolding, route: Route, payload: bytes, arrival_ns: int, retained: bool
    ) -> list[Readings]:
        """The readings of a message that holds several assets, times or named values."""
        own, pick, topic = route
        try:
            document = document_of(payload, bare=self._by_channel)
        except BadPayload as fault:
            raise with_likeness(fault, topic.topic, payload, self.stream.format) from None
        parts = unfold(document, topic)
        timeless = self.stream.time is not None and any(part.stamp is None for part in parts)
        no_time = missing_time(str(self.stream.time), document) if timeless else None
        records: list[tuple[Route, Record]] = []
        for part in parts:
            record = _of_part(part, no_time)
            records.append(((part.asset or own, pick, topic), _dated(record) if retained else record))
        return self._batch(records, arrival_ns)

    # -- routes --------------------------------------------------------------------------------------------

    def _whole_payload(self) -> Paths | Leaves:
        """What picks the channels where the topic does not name one."""
        if self._names is None and self.stream.format != "number":
            return Leaves(self._by_path, self.stream.time)
        return Paths(self._paths or {"value": "value"}, self.stream.time, nested=self.stream.format == "json")

    def _find_route(self, topic: str) -> Route | None:
        route = self._new_route(topic)
        if len(self._routes) >= MAX_ROUTES:
            self._routes.clear()
        self._routes[topic] = route
        return route

    def _new_route(self, topic: str) -> Route | None:
        match = self._topic.fullmatch(topic)
        if match is None:
            raise BadPayload("bad_topic", f"the topic is not of the form {self.stream.topic}")
        if topic.rpartition("/")[2] in AVAILABILITY_LEVELS:
            return None
        parts = match.groupdict()
        asset = parts.get("asset", "payload" if self._assets_inside else self.stream.asset)
        if asset is None or ASSET_NAME.fullmatch(asset) is None:
            raise BadPayload("bad_topic", _no_asset(asset))
        pick = self._one_channel(parts["channel"]) if self._by_channel else self._whole
        return asset, pick, TopicValues(topic, self._omissions, self._words)

    def _one_channel(self, level: str) -> Paths:
        name = self._by_path.get(level, level if self._names is None else None)
        if name is None:
            there = listed(list(self._by_path))
            raise BadPayload("unknown_channel", f"the model has no channel for {quoted(level)}; it has {there}")
        if not is_name(name):
            raise BadPayload("bad_topic", f"{name!r} cannot be the name of a channel")
        return Paths({name: self.stream.value}, self.stream.time, nested=self.stream.format == "json")

    def _is_channel(self, full: str) -> bool:
        return full in self._by_path or (self._names is None and not self._by_channel)

    # -- records -------------------------------------------------------------------------------------------

    def _batch(self, records: Sequence[tuple[Route, Record]], arrival_ns: int) -> list[Readings]:
        """What the records of a batch give; a faulty one is counted and left out."""
        readings: list[Readings] = []
        faults: list[BadPayload] = []
        for route, record in records:
            try:
                readings.append(self._readings(route, record, arrival_ns))
            except BadPayload as error:
                faults.append(error)
        if not readings:
            raise faults[0] if faults else BadPayload("empty", "no readings in it")
        topic = records[0][0][2]
        for fault in faults:
            self.counts[fault.reason] += 1
            topic.say("", fault.reason, partial("a part of it is not used: {}".format, fault))
        return readings

    def _readings(self, route: Route, record: Record, arrival_ns: int) -> Readings:
        if isinstance(record, BadPayload):
            raise record
        asset, pick, topic = route
        fields, stamp = record
        t_ns = arrival_ns if stamp is ARRIVAL else self._time_of(stamp, fields, asset, arrival_ns)
        if type(fields) is not dict:
            return Readings(asset, t_ns, self._bare(pick, fields, topic))
        return Readings(asset, t_ns, pick(fields, topic, stamp is not ARRIVAL))

    def _bare(self, pick: Paths | Leaves, value: Any, topic: TopicValues) -> dict[str, float]:
        """The value of the one channel that there is. Not finite: the sensor sends, and is sick."""
        assert isinstance(pick, Paths)
        if type(value) is float:
            return {pick.only: value}
        found = Found(sick=True)
        found.take(topic, pick.only, value)
        if not found.values:
            raise BadPayload(found.left[0].reason, sentence(found.left[0]))
        found.close(topic)
        return found.values

    def _time_of(self, stamp: Any, fields: Any, asset: str, arrival_ns: int) -> int:
        try:
            t_ns = time_ns(stamp) if self._zone is None else self._local_ns(stamp, self._zone, asset, arrival_ns)
        except ValueError as error:
            if stamp is None and self.stream.time is not None:
                raise missing_time(self.stream.time, fields) from None
            raise BadPayload("bad_time", f"its time {quoted(stamp)} cannot be used: {error}") from None
        if t_ns < YEAR_2000_NS:
            raise BadPayload("before_2000", f"its time {quoted(stamp)} is before the year 2000: is the clock set?")
        if t_ns > arrival_ns + self._max_future_ns and arrival_ns >= self._clock_set_ns:
            raise BadPayload("future", f"its time {quoted(stamp)} is in the future: is the clock set?")
        return t_ns

    def _local_ns(self, stamp: Any, zone: tzinfo, asset: str, arrival_ns: int) -> int:
        """An hour that comes twice goes on from the asset's time before; the first time of all is the one nearer to its arrival."""
        t_ns = time_ns(stamp, zone, self._newest.get(asset, arrival_ns))
        if len(self._newest) >= MAX_ROUTES:
            self._newest.clear()
        self._newest[asset] = t_ns
        return t_ns


def _no_asset(name: str | None) -> str:
    return f"{quoted(name)} cannot be the name of an asset; it takes 1 to 64 letters, digits, blanks or _-.:@()=, a letter or digit first"


def _of_part(part: Part, no_time: BadPayload | None) -> Record:
    """`no_time`: why a part without a time of its own is of no use."""
    if part.asset is not None and ASSET_NAME.fullmatch(part.asset) is None:
        return BadPayload("bad_asset", _no_asset(part.asset))
    if part.stamp is None and no_time is not None:
        return no_time
    return part.fields, part.stamp


def _dated(record: Record) -> Record:
    """A record of a retained message, which is of no use without a time of its own."""
    if isinstance(record, BadPayload) or record[1] is not ARRIVAL:
        return record
    return BadPayload("retained", "the broker had kept it, and it has no time of its own")


def _check_fit(stream: Stream, names: frozenset[str] | None) -> None:
    if stream.fault is not None:
        raise BadConfig(f"{stream.topic}: {stream.fault}")
    if names is None:
        return
    unknown = sorted(set(stream.channels) - names)
    if unknown:
        raise BadConfig(
            f"{stream.topic}: channels names {', '.join(unknown)}, which the model does not have; "
            f"it has {', '.join(sorted(names))}"
        )
    if stream.format == "number" and "{channel}" not in stream.topic and len(names) > 1:
        raise BadConfig(
            f"{stream.topic}: a bare number cannot serve a model of {len(names)} channels; "
            "put {channel} in place of the topic's level that names the channel"
        )

"""(topic, payload, arrival time) -> Readings: what sensors say in the field, in the words of a model's channels.

    plant/{asset}/telemetry   {"ts": ..., "flow": 4.2, "motor": {"current": 7.1}}      an object, flat or nested
                              [{"ts": ..., "flow": 4.2}, {"ts": ..., "flow": 4.3}]     a batch
                              {"ts": [..., ...], "flow": [4.2, 4.3]}                   columns
                              pump,site=a flow=4.2,current=7.1 1790000000000000000     Influx line protocol
    plant/{asset}/{channel}   4.2        or   {"ts": ..., "value": 4.2}                one channel a topic

A payload gives at least one Readings, or raises BadPayload, or is a sensor's "I am online", which is no reading.
A value that cannot be used is left out and counted; the rest of its payload is used. A string that looks like a
number is not a number: whoever sends one may send "n/a" next. An object with a time of its own in which none of its
channels has a value is a row all the same: time went on.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from edge_ae.core.events import Readings
from edge_ae.core.field_paths import NOT_FINITE, Leaves, Paths, fault_of, find, is_name
from edge_ae.core.timestamps import SECOND, time_ns
from edge_ae.core.topics import topic_filter, topic_regex
from edge_ae.errors import BadConfig, BadPayload

Part = TypeVar("Part")
Route = tuple[str, Paths | Leaves]  # a topic's asset, and what picks its channels

FORMATS = ("json", "number", "influx")
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
    value: str = "value"  # path of the value where the topic names the channel and the payload is an object
    asset: str | None = None  # the asset where the topic does not name one
    max_bytes: int = 256 * 1024
    max_future_ns: int = 24 * 3600 * SECOND


class Decoder:
    """One stream's payloads. `names`: the model's channels; None takes every number that comes.

    `counts` holds the values, and the elements of batches, that were not used, by reason; whole payloads are counted
    by whoever catches BadPayload. Raises BadConfig where stream and model cannot go together.
    """

    def __init__(self, stream: Stream, names: Sequence[str] | None) -> None:
        self.counts: Counter[str] = Counter()
        self.stream = stream
        self.filter = topic_filter(stream.topic)
        self._topic = topic_regex(stream.topic)
        self._time = stream.time
        self._max_future_ns = stream.max_future_ns
        self._routes: dict[str, Route | None] = {}
        self._by_channel = "{channel}" in stream.topic
        self._names = None if names is None else frozenset(names)
        self._paths = {name: stream.channels.get(name, name) for name in (stream.channels if names is None else names)}
        self._by_path = {path: name for name, path in self._paths.items()}
        _check_fit(stream, self._names)
        self._whole = self._whole_payload()
        self._read = {"json": self._json, "number": self._number, "influx": self._influx}[stream.format]

    def matches(self, topic: str) -> bool:
        return self._topic.fullmatch(topic) is not None

    def decode(self, topic: str, payload: bytes, arrival_ns: int, *, retained: bool = False) -> list[Readings]:
        """The readings of one message, in the order of the payload. Raises BadPayload.

        `retained`: the broker had kept it, nobody knows for how long; without a time of its own it says nothing of now.
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
        if retained and self._time is None and self.stream.format != "influx":
            raise BadPayload("retained", "the broker had kept it, and it has no time of its own")
        return self._read(route, payload, arrival_ns)

    # -- topics --------------------------------------------------------------------------------------------

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
        asset = parts.get("asset", self.stream.asset)
        if asset is None or ASSET_NAME.fullmatch(asset) is None:
            raise BadPayload("bad_topic", f"{asset!r} cannot be the name of an asset")
        return asset, self._one_channel(parts["channel"]) if self._by_channel else self._whole

    def _one_channel(self, level: str) -> Paths:
        name = self._by_path.get(level, level if self._names is None else None)
        if name is None:
            raise BadPayload("unknown_channel", f"the model has no channel for {level!r}")
        if not is_name(name):
            raise BadPayload("bad_topic", f"{name!r} cannot be the name of a channel")
        return Paths({name: self.stream.value}, self.stream.time, nested=self.stream.format == "json")

    # -- formats -------------------------------------------------------------------------------------------

    def _json(self, route: Route, payload: bytes, arrival_ns: int) -> list[Readings]:
        try:
            document = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            document = _json_of_python(payload, str(error))
        if type(document) is dict:
            times = None if self._time is None else document.get(self._time)
            if type(times) is not list:
                return [self._record(route, document, arrival_ns)]
            document = _transposed(document, len(times))
        if type(document) is list:
            return self._all(document, lambda element: self._record(route, element, arrival_ns))
        if self._by_channel:
            return [_single(route, document, arrival_ns)]
        raise BadPayload("wrong_type", f"a bare {_kind(document)} where an object or an array of objects is expected")

    def _number(self, route: Route, payload: bytes, arrival_ns: int) -> list[Readings]:
        return [_single(route, _number_of(payload), arrival_ns)]

    def _influx(self, route: Route, payload: bytes, arrival_ns: int) -> list[Readings]:
        try:
            lines = payload.decode().split("\n")
        except UnicodeDecodeError:
            raise BadPayload("wrong_type", "no text, as lines of the Influx protocol are") from None
        lines = [line.strip() for line in lines]
        return self._all(
            [line for line in lines if line and line[0] != "#"], lambda line: self._influx_line(route, line, arrival_ns)
        )

    def _influx_line(self, route: Route, line: str, arrival_ns: int) -> Readings:
        match = LINE.fullmatch(line)
        if match is None:
            raise BadPayload("wrong_type", f"{line[:80]!r} is no line of the Influx protocol")
        measurement, fields, stamp = match.groups()
        prefix = _unescaped(measurement)
        record = {self._influx_key(prefix, _unescaped(key)): _influx_value(text) for key, text in FIELD.findall(fields)}
        asset, pick = route
        values = pick(record, self.counts)
        if not values:
            raise BadPayload("unknown_channel", f"{line[:80]!r} has no value of a known channel")
        return Readings(asset, arrival_ns if stamp is None else self._checked(int(stamp), arrival_ns), values)

    def _influx_key(self, measurement: str, key: str) -> str:
        """A field goes by its own name, or with the measurement before it where that is what the settings say."""
        full = f"{measurement}.{key}"
        return full if full in self._by_path or (self._names is None and not self._by_channel) else key

    # -- records -------------------------------------------------------------------------------------------

    def _all(self, parts: Iterable[Part], read: Callable[[Part], Readings]) -> list[Readings]:
        """What the parts of a batch give; a faulty one is counted and left out."""
        readings: list[Readings] = []
        fault = BadPayload("empty", "no readings in it")
        for part in parts:
            try:
                readings.append(read(part))
            except BadPayload as error:
                self.counts[error.reason] += 1
                fault = error
        if not readings:
            raise fault
        return readings

    def _record(self, route: Route, record: Any, arrival_ns: int) -> Readings:
        if type(record) is not dict:
            raise BadPayload("wrong_type", f"a {_kind(record)} where an object is expected")
        asset, pick = route
        time = self._time
        t_ns = arrival_ns if time is None else self._checked(find(record, time), arrival_ns)
        values = pick(record, self.counts)
        if not values and (time is None or not pick.at_home_in(record)):
            raise BadPayload("unknown_channel" if record else "empty", "no value of a known channel in it")
        return Readings(asset, t_ns, values)

    def _checked(self, time: Any, arrival_ns: int) -> int:
        try:
            t_ns = time_ns(time)
        except ValueError as error:
            raise BadPayload("bad_time", f"its time {str(time)[:40]!r} cannot be used: {error}") from None
        if t_ns < YEAR_2000_NS:
            raise BadPayload("before_2000", f"its time {str(time)[:40]!r} is before the year 2000: is the clock set?")
        if t_ns > arrival_ns + self._max_future_ns:
            raise BadPayload("future", f"its time {str(time)[:40]!r} is in the future: is the clock set?")
        return t_ns


def _check_fit(stream: Stream, names: frozenset[str] | None) -> None:
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


def _single(route: Route, value: Any, arrival_ns: int) -> Readings:
    asset, pick = route
    assert isinstance(pick, Paths)
    fault = fault_of(value)
    if fault is not None:
        raise BadPayload(fault, f"a {_kind(value)} where a number is expected")
    return Readings(asset, arrival_ns, {pick.only: float(value)})


def _kind(value: Any) -> str:
    return "value that is not finite" if value is NOT_FINITE else type(value).__name__


def _transposed(columns: Mapping[str, Any], rows: int) -> list[dict[str, Any]]:
    """{"ts": [1, 2], "a": [3, 4]} -> [{"ts": 1, "a": 3}, {"ts": 2, "a": 4}]; what is no array says nothing of a row."""
    arrays = {name: values for name, values in columns.items() if type(values) is list}
    uneven = [name for name, values in arrays.items() if len(values) != rows]
    if uneven:
        raise BadPayload("wrong_type", f"column {uneven[0][:40]!r} is not as long as the column of times")
    return [dict(zip(arrays, row, strict=True)) for row in zip(*arrays.values(), strict=True)]


def _json_of_python(payload: bytes, fault: str) -> Any:
    """The same text once more, now with NaN and Infinity allowed, so that one sick channel costs only itself."""
    try:
        return json.loads(payload, parse_constant=lambda _: NOT_FINITE, parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise BadPayload("too_deep", "nested too deep to be read") from None
    except ValueError:
        raise BadPayload("not_json", f"no JSON: {fault}") from None


def _finite(text: str) -> Any:
    value = float(text)
    return value if math.isfinite(value) else NOT_FINITE


def _whole(text: str) -> Any:
    return int(text) if len(text) < 20 else _finite(text)


def _number_of(payload: bytes) -> Any:
    try:
        value = float(payload)
    except ValueError:
        value = None
    if value is None or b"_" in payload:
        raise BadPayload("wrong_type", f"{payload[:40]!r} is no number")
    return value if math.isfinite(value) else NOT_FINITE


# -- Influx line protocol: measurement[,tag=value...] field=value[,field=value...] [time] -----------------------

_KEY = r"(?:[^,=\s\\]|\\.)+"
_VALUE = r'(?:"(?:[^"\\]|\\.)*"|[^,\s"]+)'
FIELD = re.compile(rf"({_KEY})=({_VALUE})")
LINE = re.compile(
    rf"((?:[^,\s\\]|\\.)+)(?:,(?:[^\s\\]|\\.)*)? +({_KEY}={_VALUE}(?:,{_KEY}={_VALUE})*)(?: +(-?\d{{1,19}}))?"
)
TRUTH = {"t": True, "true": True, "f": False, "false": False}


def _unescaped(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)


def _influx_value(text: str) -> Any:
    if text[0] == '"':
        return text
    if text.lower() in TRUTH:
        return TRUTH[text.lower()]
    try:
        return _number_of(text.rstrip("iu").encode())
    except BadPayload:
        return text

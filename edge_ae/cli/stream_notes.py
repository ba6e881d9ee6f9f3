"""What came on one stream while somebody listened, and what was understood of it. Pure: messages come in, facts are kept.

Each payload is read twice: with the channels of the stream's model, as the daemon reads it, and with all numbers that are in it,
as the recorder does. What only the second finds is left over.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta, timezone
from typing import Any

import orjson

from edge_ae.core.events import Readings
from edge_ae.core.field_paths import find, leaves_of
from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.pace import Pace
from edge_ae.core.printable import printable
from edge_ae.core.timestamps import SECOND, time_ns
from edge_ae.errors import BadPayload
from edge_ae.mqtt.link import Message

ASSETS = 1_000  # that are counted one by one; and as many topics
NAMES = 1_000  # of channels, of an asset, and of what is left over
REMARKS = 50
TEXT_CHARS = 300
NO_NUMBER = frozenset({"string", "wrong_type"})  # reasons for which a value is left out by whoever takes every number
DAY_NS = 86_400 * SECOND
AN_HOUR_EAST = timezone(timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class ExpectedChannels:
    """What a stream's model takes: its channels with their units, and the period of its rows."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    period_ns: int


@dataclass(slots=True)
class AssetNotes:
    """What came of one asset: the newest value of each channel, and the event times of its first one."""

    values: dict[str, float] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)
    times: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # channel: first, last, how many

    def push(self, readings: Readings) -> None:
        """Take readings that have just come."""
        self.pace.push(readings.t_ns, readings.values)
        for name, value in readings.values.items():
            if name in self.values or len(self.values) < NAMES:
                self.values[name] = value
                first, last, count = self.times.get(name, (readings.t_ns, readings.t_ns - 1, 0))
                self.times[name] = min(first, readings.t_ns), max(last, readings.t_ns), count + (readings.t_ns != last)

    @property
    def readings(self) -> int:
        """How many, of the channel that came most often."""
        return max((count for *_, count in self.times.values()), default=0)

    @property
    def step_ns(self) -> float | None:
        """The time from one reading to the next: what is known for sure, else what two readings and more show."""
        if self.pace.step_ns is not None:
            return self.pace.step_ns
        steps = [(last - first) / (count - 1) for first, last, count in self.times.values() if count > 1]
        return min(steps, default=None)


@dataclass(frozen=True, slots=True)
class Example:
    """A payload, and what was made of it: `readings` None: nothing. `has_offset`: whether its time names its own offset."""

    message: Message
    readings: Readings | None
    has_offset: bool = True

    @property
    def rank(self) -> tuple[bool, bool]:
        """The one that shows more is the better example."""
        return self.readings is not None, not self.message.retain

    def renews(self, before: "Example") -> bool:
        """Whether it is a later one of the same: the newest values are shown, and the payload beside them is to hold them."""
        if self.readings is None or before.readings is None or self.rank != before.rank:
            return False
        same = (self.message.topic, self.readings.asset) == (before.message.topic, before.readings.asset)
        return same and len(self.readings.values) >= len(before.readings.values)


@dataclass(slots=True)
class RefusedPayloads:
    """Of one reason: how many, and the first."""

    topic: str
    text: str
    count: int = 0


class StreamNotes:
    """`assets`: what came of each. `left_over`: names of numbers that no channel takes; `left_text`: sentences on what is left
    over and no number.
    """

    def __init__(self, stream: Stream, expected: ExpectedChannels | None) -> None:
        self.stream, self.expected = stream, expected
        self.messages = self.retained = 0
        self.topics: set[str] = set()
        self.assets: dict[str, AssetNotes] = {}
        self.refused: dict[str, RefusedPayloads] = {}
        self.remarks: dict[str, str] = {}  # what was left out, or used with a remark -> its topic
        self.left_over: dict[str, None] = {}
        self.left_text: dict[str, None] = {}
        self.example: Example | None = None
        self.decoder = Decoder(stream, None if expected is None else expected.names)
        self._open = Decoder(stream, None)
        self._zoned = Decoder(replace(stream, time_zone=AN_HOUR_EAST), None)

    @property
    def filter(self) -> str:
        """The MQTT filter that brings the stream's messages."""
        return self.decoder.filter

    def push(self, message: Message) -> bool:
        """Take a message. False: it is of no topic of the stream."""
        if not self.decoder.matches(message.topic):
            return False
        self.messages += 1
        self.retained += message.retain
        if len(self.topics) < ASSETS:
            self.topics.add(message.topic)
        many = self._decoded(message)
        for readings in many if not message.retain else ():
            self._note(readings)
        self._note_left_over(message, many)
        self._note_remarks()
        self._keep_example(message, many)
        return True

    def _decoded(self, message: Message) -> list[Readings]:
        try:
            return self.decoder.decode(message.topic, message.payload, message.arrival_ns, retained=message.retain)
        except BadPayload as fault:
            text = printable(str(fault), TEXT_CHARS)
            self.refused.setdefault(fault.reason, RefusedPayloads(message.topic, text)).count += 1
            return []

    def _note(self, readings: Readings) -> None:
        asset = self.assets.get(readings.asset)
        if asset is None and len(self.assets) < ASSETS:
            asset = self.assets[readings.asset] = AssetNotes()
        if asset is not None:
            asset.push(readings)

    def _note_left_over(self, message: Message, many: Sequence[Readings]) -> None:
        """Numbers that no channel of the model takes. A bare number has no name that could be another."""
        if self.expected is None or (self.stream.format == "number" and "{channel}" not in self.stream.topic):
            return
        taken = {name for readings in many for name in readings.values}
        for readings in _attempt(self._open, message):
            for name in readings.values:
                if name not in taken and name not in self.expected.names and len(self.left_over) < NAMES:
                    self.left_over[name] = None

    def _note_remarks(self) -> None:
        for omission in self.decoder.new_omissions():
            if len(self.remarks) < REMARKS:
                self.remarks.setdefault(omission.text, omission.topic)
        for omission in self._open.new_omissions():
            of_channel = self.expected is None or omission.text in self.remarks
            if omission.reason in NO_NUMBER and not of_channel and len(self.left_text) < REMARKS:
                self.left_text[omission.text] = None

    def _keep_example(self, message: Message, many: Sequence[Readings]) -> None:
        shown = next((readings for readings in many if readings.values), many[0] if many else None)
        example = Example(message, shown)
        if self.example is None or example.rank > self.example.rank:
            self.example = replace(example, has_offset=self._has_offset(example))
        elif example.renews(self.example):
            self.example = replace(example, has_offset=self.example.has_offset)

    def _has_offset(self, example: Example) -> bool:
        """Whether the time of an example is the same in whatever zone it is read."""
        if example.readings is None or self.stream.time is None:
            return True
        elsewhere = next(iter(_attempt(self._zoned, example.message)), None)
        here = next(iter(_attempt(self._open, example.message)), None)
        zone = self.stream.time_zone
        return zone is None and elsewhere is not None and here is not None and elsewhere.t_ns == here.t_ns

    @property
    def missing(self) -> list[str]:
        """Channels of the model that came of no asset."""
        came = {name for asset in self.assets.values() for name in asset.values}
        return [] if self.expected is None else [name for name in self.expected.names if name not in came]

    @property
    def usable(self) -> bool:
        """Whether a sensor sent a number that is of a channel."""
        return any(map(math.isfinite, (value for asset in self.assets.values() for value in asset.values.values())))

    @property
    def enough(self) -> bool:
        """Whether nothing more is to be learned by listening on: all that is expected came, and the pace is known."""
        known = all(asset.pace.step_ns is not None for asset in self.assets.values())
        return self.usable and known and not self.missing


def _attempt(decoder: Decoder, message: Message) -> Iterable[Readings]:
    try:
        return decoder.decode(message.topic, message.payload, message.arrival_ns)
    except BadPayload:
        return ()


def time_path(payload: bytes, arrival_ns: int) -> str | None:
    """Where in a JSON object there is a time of about now; None where nowhere."""
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    paths = leaves_of(document) if isinstance(document, dict) else ()
    return next((path for path in paths if _is_about(find(document, path), arrival_ns)), None)


def _is_about(value: Any, now_ns: int) -> bool:
    try:
        return abs(time_ns(value) - now_ns) < DAY_NS
    except ValueError:
        return False

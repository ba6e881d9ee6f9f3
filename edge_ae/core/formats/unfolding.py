"""A JSON document that holds several assets, times or named values -> records, as if each had come in a message of its own.

    value = "d[tag={channel}].value"    {"d": [{"tag": "flow", "value": 1.2}, {"tag": "p", "value": 3}]}
    value = "{asset}.{channel}"         {"pump-1": {"flow": 1.2}, "pump-2": {"flow": 1.3}}

The paths of time and quality share their first steps with that of the value, as far as they go the same way: the time in an
element belongs to that element, one at the top to all of the document.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from edge_ae.core.field_paths import AnyKey, Each, Key, Position, Step, find, follow, leads_to_many, places_of, steps_of
from edge_ae.core.formats.omissions import Left, sentence
from edge_ae.core.formats.record import ARRIVAL
from edge_ae.core.formats.refusals import DEFAULT_VALUE, nothing_there
from edge_ae.core.formats.values import TopicValues
from edge_ae.errors import BadPayload

MAX_VALUES = 10_000  # of one message; what is beyond is left out
CHANNEL = AnyKey("{channel}")


def is_unfolded(value: str, quality: str | None) -> bool:
    """Whether payloads are read by these paths, place by place."""
    return leads_to_many(value) or quality is not None


def unfolding_fault(topic: str, value: str, time: str | None, quality: str | None) -> str | None:
    """Why the paths of a stream cannot go together, as a clause."""
    twice = [place for place in places_of(value) if place in topic]
    if twice:
        return f"names {twice[0]}, which the topic names, too; take it out of one of them"
    ways = {"time": time, "quality": quality}
    lost = [name for name, path in ways.items() if path is not None and _way(_steps(topic, value), path).leads_to_many]
    if lost:
        return f"does not go through what {lost[0]} goes through: begin both with the same steps"
    return None


@dataclass(frozen=True, slots=True)
class Way:
    """How to come to a time or quality: back to the node at `depth` of the value's way, and on by `rest`."""

    depth: int
    rest: tuple[Step, ...]

    @property
    def leads_to_many(self) -> bool:
        """It cannot be said which of them belongs to a value."""
        return any(isinstance(step, AnyKey) or (isinstance(step, Each) and step.text is None) for step in self.rest)

    def reserved_at(self, depth: int) -> set[str]:
        """The key at a depth that leads here, and is therefore no channel."""
        return {self.rest[0].name} if self.depth == depth and self.rest and isinstance(self.rest[0], Key) else set()

    def end(self, trail: Sequence[Any]) -> Any:
        """What is there."""
        return follow(trail[self.depth], self.rest) if self.depth < len(trail) else None


def _way(value: Sequence[Step], path: str) -> Way:
    steps = steps_of(path)
    if isinstance(value[0], Each) and steps and not isinstance(steps[0], Each):
        return Way(1, steps)  # an array has no keys: an element is meant
    shared = 0
    while shared < min(len(value), len(steps)) and _same(value[shared], steps[shared]):
        shared += 1
    return Way(shared, steps[shared:])


def _same(value: Step, other: Step) -> bool:
    return value == other or (isinstance(value, Each) and isinstance(other, Each) and other.place is other.text is None)


def _steps(topic: str, value: str) -> tuple[Step, ...]:
    """The value's; where nothing names the channel, the keys do that stand at the end."""
    if "{channel}" in topic or "{channel}" in places_of(value):
        return steps_of(value)
    return (CHANNEL,) if value == DEFAULT_VALUE else (*steps_of(value), CHANNEL)


@dataclass(slots=True)
class Part:
    """One record of a document. `asset` None: the topic or the settings name it."""

    asset: str | None
    stamp: Any
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the path of the values leads. `trail`: the nodes on the way there."""

    asset: str | None
    channel: str
    value: Any
    trail: Sequence[Any]


class Unfolding:
    """`__call__` gives the records of a document. A value whose channel the topic names is called like its path."""

    def __init__(self, topic: str, value: str, time: str | None, quality: str | None) -> None:
        self._path = value
        self._named = {"{channel}": value} if "{channel}" in topic else {}
        self._steps = _steps(topic, value)
        self._time = None if time is None else _way(self._steps, time)
        self._quality = None if quality is None else _way(self._steps, quality)
        self._zero_is_bad = quality is not None and not _is_status(quality)
        self._lost = 0  # places of the document at hand from which the path does not lead on
        self._reserved = [self._reserved_at(depth) for depth in range(len(self._steps))]

    def _reserved_at(self, depth: int) -> set[str]:
        """Keys of an object there that are no channels and no assets."""
        ways = [way for way in (self._time, self._quality) if way is not None]
        keys = {key for way in ways for key in way.reserved_at(depth)}
        before = self._steps[depth - 1] if depth > 0 else None
        return keys | ({before.key.partition(".")[0]} if isinstance(before, Each) and before.key is not None else set())

    def __call__(self, document: Any, topic: TopicValues) -> list[Part]:
        """Values of one asset and time come together, in the order of the document; the same channel once more begins another
        part. Raises BadPayload where there is none.
        """
        parts: list[Part] = []
        newest: dict[tuple[str | None, Any], Part] = {}
        bad: list[Left] = []
        self._lost = 0
        places = self._walk([document], self._named)
        for place in islice(places, MAX_VALUES):
            quality = None if self._quality is None else self._quality.end(place.trail)
            if self._is_bad(quality):
                bad.append(Left(place.channel, "bad_quality", quality))
            else:
                self._add(place, parts, newest)
        if not parts:
            raise BadPayload("bad_quality", sentence(bad[0])) if bad else nothing_there(self._path, document)
        if next(places, None) is not None:
            bad.append(Left("", "too_many_values", MAX_VALUES))
        topic.leave_out(bad)
        if self._lost > 0:
            topic.counts["unknown_channel"] += self._lost
        return parts

    def _add(self, place: Place, parts: list[Part], newest: dict[tuple[str | None, Any], Part]) -> None:
        stamp = ARRIVAL if self._time is None else self._time.end(place.trail)
        key = (place.asset, stamp if isinstance(stamp, str | int | float) else id(stamp))
        part = newest.get(key)
        if part is None or place.channel in part.fields:
            part = newest[key] = Part(place.asset, stamp)
            parts.append(part)
        part.fields[place.channel] = place.value

    def _walk(self, trail: list[Any], names: Mapping[str, str]) -> Iterator[Place]:
        """Every place that the path leads to. `trail`: the nodes on the way so far. `names`: what they stand for."""
        depth, node = len(trail) - 1, trail[-1]
        bare = "{channel}" in names and type(node) not in (dict, list)
        if depth == len(self._steps) or bare:  # a bare value may stand in place of an object with a value in it
            yield Place(names.get("{asset}"), names["{channel}"], node, trail)
            return
        self._lost += 1
        for number, (place, name, child) in enumerate(self._children(self._steps[depth], node, depth)):
            self._lost -= number == 0
            yield from self._walk([*trail, child], names if place is None else {**names, place: name})

    def _children(self, step: Step, node: Any, depth: int) -> Iterator[tuple[str | None, str, Any]]:
        """(a place or None, its name, the node) of where a step leads."""
        match step:
            case AnyKey(place) if type(node) is dict:
                reserved = self._reserved[depth]
                yield from ((place, key, child) for key, child in node.items() if key not in reserved)
            case Each(key, place, text) if type(node) in (dict, list):
                for element in node if type(node) is list else [node]:
                    name = "" if key is None else _name(find(element, key))
                    if name is not None and (text is None or name == text):
                        yield place, name, element
            case Key(name) if type(node) is dict and name in node:
                yield None, "", node[name]
            case Position(index) if type(node) is list and index < len(node):
                yield None, "", node[index]

    def _is_bad(self, quality: Any) -> bool:
        """Of OPC UA: a status code whose two highest bits are not zero; of classic OPC: below 192; of others: false, or a word
        that does not begin like "good". What says nothing is good.
        """
        if type(quality) is dict:
            quality = quality.get("Code", quality.get("Symbol"))
        if isinstance(quality, str) and quality.strip().isdecimal():
            quality = int(quality.strip()[:12])
        if quality is None or isinstance(quality, bool):
            return quality is False
        if isinstance(quality, str):
            return not quality.strip().casefold().startswith(GOOD)
        if isinstance(quality, int | float):
            return not (quality == 1 or 192 <= quality < 2**30 or (quality == 0 and not self._zero_is_bad))
        return True


GOOD = ("good", "ok", "valid", "true", "measured")


def _is_status(path: str) -> bool:
    """Whether a quality is an OPC UA status code, of which 0 is good, as its name says."""
    last = steps_of(path)[-1]
    return isinstance(last, Key) and ("status" in last.name.casefold() or last.name.casefold() == "code")


def _name(value: Any) -> str | None:
    """The name that an element gives itself."""
    return value if type(value) is str else str(value) if type(value) is int else None

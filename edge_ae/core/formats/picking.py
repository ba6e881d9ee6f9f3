"""A record -> channel values: which keys of a decoded object are channels, by their paths."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from edge_ae.core.field_paths import MAX_DEPTH, Key, find, leaves_of, steps_of, way_through
from edge_ae.core.formats.omissions import Left, reads, sentence
from edge_ae.core.formats.refusals import no_known_channel, not_all_there
from edge_ae.core.formats.values import NUMBERS, TopicValues
from edge_ae.errors import BadPayload

MAX_LEAVES = 1024  # channels that one record may bring
MAX_NAME = 128
FLOATS = frozenset({float})
NO_NUMBERS = frozenset({"string", "wrong_type", "boolean"})  # reasons for which a value that is there is none


def is_name(text: str) -> bool:
    """Whether a channel may be called so: it becomes a column of a file and a word in an alert."""
    return 0 < len(text) <= MAX_NAME and text.isprintable()


class Found:
    """What a record gave so far: values by channel, values with a remark, and what is left out.

    `sick`: a value that is not finite, or text that is no number, is handed on as infinity: the sensor is not silent, and
    must not be taken for it.
    """

    __slots__ = ("_remarks", "_sick", "left", "values")  # one is made for each record

    def __init__(self, *, sick: bool) -> None:
        self._sick = sick
        self.values: dict[str, float] = {}
        self.left: list[Left] = []
        self._remarks: list[Left] = []

    def take(self, topic: TopicValues, name: str, value: Any) -> None:
        """One more value, if it is a number."""
        number, remark = topic.number(name, value)
        finite = remark != "not_finite"
        if number is not None and (finite or self._sick):
            self.values[name] = number
        if remark is not None:
            (self.left if number is None or not finite else self._remarks).append(Left(name, remark, value))

    def close(self, topic: TopicValues) -> None:
        """The record is used: count and say what is not."""
        if self._remarks:
            topic.remark(self._remarks)
        if self.left:
            topic.leave_out(self.left)
        if self._sick and self.left:
            self.values |= {one.channel: math.inf for one in self.left if one.reason in NO_NUMBERS}


def _first_fault(left: Sequence[Left]) -> BadPayload | None:
    """The refusal of a record in which something is, and no number: text rather than words that say "no value"."""
    worst = min(left, key=lambda one: one.reason == "missing_channel", default=None)
    return None if worst is None else BadPayload(worst.reason, partial(sentence, worst))


def _head(path: str) -> str:
    """The key at which a path begins."""
    first = next(iter(steps_of(path)), None)
    return first.name if isinstance(first, Key) else path


class Paths:
    """Picks named channels at their paths."""

    def __init__(self, paths: Mapping[str, str], time: str | None, *, nested: bool) -> None:
        self._path_of = dict(paths)
        split = {name: tuple(path.split(".")) if nested else (path,) for name, path in paths.items()}
        heads = {_head(path) if nested else path for path in paths.values()}
        self._ours = heads | set(paths.values())
        self._known = self._ours | (set() if time is None else {time, time.partition(".")[0]})
        self._width = len(heads | (set() if time is None else {time.partition(".")[0]}))
        self._names, self._pick = _picker(split)

    @property
    def only(self) -> str:
        """The channel's name where there is just one."""
        (name,) = self._path_of
        return name

    def __call__(self, record: Mapping[str, Any], topic: TopicValues, timed: bool) -> dict[str, float]:
        """All channels at once, as long as each is there and a number; one by one otherwise.

        `timed`: the record has a time of its own, so that it says something without any value. Raises BadPayload.
        """
        try:
            values = self._pick(record)
        except (KeyError, TypeError):
            return self._one_by_one(record, topic, timed)
        kinds = set(map(type, values))
        if not kinds <= NUMBERS:
            return self._one_by_one(record, topic, timed)
        if len(record) > self._width:
            topic.counts["unknown_channel"] += len(record) - self._width
        return dict(zip(self._names, values if kinds == FLOATS else map(float, values), strict=True))

    def _one_by_one(self, record: Mapping[str, Any], topic: TopicValues, timed: bool) -> dict[str, float]:
        found, absent = Found(sick=True), []
        for name, path in self._path_of.items():
            value = find(record, path)
            if value is None:
                absent.append(path)
            else:
                found.take(topic, name, value)
        if not found.values and not (timed and self._at_home_in(record)):
            raise self._refusal(record, found.left, absent)
        found.close(topic)
        unknown = sum(key not in self._known for key in record)
        if absent:
            topic.counts["missing_channel"] += len(absent)
        if unknown > 0:
            topic.counts["unknown_channel"] += unknown
        if absent and unknown > 0:
            topic.say(
                "", "missing_channel", lambda: not_all_there(absent, [one for one in record if one not in self._known])
            )
        return found.values

    def _at_home_in(self, record: Mapping[str, Any]) -> bool:
        """Whether a record without values is one of ours: it names our channels, or nothing but the time."""
        return any(key in self._ours for key in record) or all(key in self._known for key in record)

    def _refusal(self, record: Mapping[str, Any], left: Sequence[Left], absent: Sequence[str]) -> BadPayload:
        there = leaves_of(record) if not left else ()
        nulls = [Left(path, "missing_channel", None) for path in absent if path in there]
        return _first_fault(left or nulls) or no_known_channel(tuple(self._path_of.values()), record)


def _picker(
    split: Mapping[str, tuple[str, ...]],
) -> tuple[tuple[str, ...], Callable[[Mapping[str, Any]], tuple[Any, ...]]]:
    """Names, and what takes their values out of a record; paths with the same parents are taken together."""
    groups: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for name, (*parents, key) in split.items():
        groups.setdefault(tuple(parents), []).append((name, key))
    names = tuple(name for group in groups.values() for name, _ in group)
    pickers = [(parents, _items([key for _, key in group])) for parents, group in groups.items()]
    if len(pickers) == 1 and pickers[0][0] == ():
        return names, pickers[0][1]

    def pick(record: Mapping[str, Any]) -> tuple[Any, ...]:
        values: tuple[Any, ...] = ()
        for parents, items in pickers:
            node: Any = record
            for parent in parents:
                node = node[parent]
            values += items(node)
        return values

    return names, pick


def _items(keys: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(keys) > 1:
        return itemgetter(*keys)
    (key,) = keys
    return lambda record: (record[key],)


class Leaves:
    """Picks every number of a record, named by its path, or as `names` has it for that path."""

    def __init__(self, names: Mapping[str, str], time: str | None) -> None:
        self._names = dict(names)
        self._indexed = [
            (path, name) for path, name in names.items() if "[" in path
        ]  # in arrays, which are not gone into
        self._time = time

    def __call__(self, record: Mapping[str, Any], topic: TopicValues, _timed: bool) -> dict[str, float]:
        """Raises BadPayload where there is no value at all, or objects are nested too deep."""
        found = Found(sick=False)
        self._gather(record, "", 0, found, topic)
        for path, name in self._indexed:
            found.take(topic, name, find(record, path))
        if not found.values:
            raise _first_fault(found.left) or no_known_channel((), record)
        found.close(topic)
        way = way_through("", [record]) if found.left else None
        if way is not None:
            topic.say("", "named_values", lambda: f"a name stands beside its value{reads(way)}")
        return found.values

    def _gather(self, record: Mapping[str, Any], prefix: str, depth: int, found: Found, topic: TopicValues) -> None:
        if depth >= MAX_DEPTH:
            raise BadPayload("too_deep", f"objects nested more than {MAX_DEPTH} deep")
        for key, value in record.items():
            path = prefix + key
            if type(value) is dict:
                self._gather(value, f"{path}.", depth + 1, found, topic)
            elif path != self._time:
                self._take(self._names.get(path, path), value, found, topic)

    def _take(self, name: str, value: Any, found: Found, topic: TopicValues) -> None:
        values = found.values
        if not is_name(name):
            found.left.append(Left(name, "unknown_channel", value))
        elif len(values) >= MAX_LEAVES:
            found.left.append(Left(name, "too_many_channels", value))
        elif type(value) in NUMBERS:
            values[name] = float(value)
        else:
            found.take(topic, name, value)

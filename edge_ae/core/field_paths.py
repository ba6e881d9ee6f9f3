"""A record -> channel values: which keys of a decoded object are channels, and which of their values are numbers.

A path is a key, or keys with dots between them (`motor.current`); a key that itself holds the dots comes first.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from types import NoneType
from typing import Any

from edge_ae.errors import BadPayload

MAX_DEPTH = 16  # of nested objects that are searched for numbers
MAX_LEAVES = 1024  # channels that one record may bring
MAX_NAME = 128
NOT_FINITE = object()  # stands for NaN and Infinity, which some write into JSON and JSON does not know
FLOATS = frozenset({float})
NUMBERS = frozenset({float, int})  # and not bool, whose type is its own
FAULTS: Mapping[type, str] = {bool: "boolean", str: "string", NoneType: "missing_channel", object: "not_finite"}


def fault_of(value: Any) -> str | None:
    """Why a value is no number, as the name of a counter."""
    kind = type(value)
    return None if kind in NUMBERS else FAULTS.get(kind, "wrong_type")


def is_name(text: str) -> bool:
    """Whether a channel may be called so: it becomes a column of a file and a word in an alert."""
    return 0 < len(text) <= MAX_NAME and text.isprintable()


def find(record: Mapping[str, Any], path: str) -> Any:
    """What is at a path; None where nothing is."""
    if path in record:
        return record[path]
    node: Any = record
    for key in path.split("."):
        if type(node) is not dict or key not in node:
            return None
        node = node[key]
    return node


class Paths:
    """Picks named channels at their paths."""

    def __init__(self, paths: Mapping[str, str], time: str | None, *, nested: bool) -> None:
        self._paths = tuple(paths.items())
        split = {name: tuple(path.split(".")) if nested else (path,) for name, path in paths.items()}
        heads = {keys[0] for keys in split.values()}
        self._ours = heads | set(paths.values())
        self._known = self._ours | (set() if time is None else {time, time.partition(".")[0]})
        self._width = len(heads | (set() if time is None else {time.partition(".")[0]}))
        self._names, self._pick = _picker(split)

    @property
    def only(self) -> str:
        """The channel's name where there is just one."""
        ((name, _),) = self._paths
        return name

    def __call__(self, record: Mapping[str, Any], counts: Counter[str]) -> dict[str, float]:
        """All channels at once, as long as each is there and a number; one by one otherwise."""
        try:
            values = self._pick(record)
        except (KeyError, TypeError):
            return self._one_by_one(record, counts)
        kinds = set(map(type, values))
        if not kinds <= NUMBERS:
            return self._one_by_one(record, counts)
        if len(record) > self._width:
            counts["unknown_channel"] += len(record) - self._width
        return dict(zip(self._names, values if kinds == FLOATS else map(float, values), strict=True))

    def _one_by_one(self, record: Mapping[str, Any], counts: Counter[str]) -> dict[str, float]:
        values: dict[str, float] = {}
        for name, path in self._paths:
            value = find(record, path)
            fault = fault_of(value)
            if fault is None:
                values[name] = float(value)
            else:
                counts[fault] += 1
                if value is NOT_FINITE:
                    values[name] = math.inf  # Not missing: the sensor sends, and is sick.
        unknown = sum(key not in self._known for key in record)
        if unknown > 0:
            counts["unknown_channel"] += unknown
        return values

    def at_home_in(self, record: Mapping[str, Any]) -> bool:
        """Whether a record without values is one of ours: it names our channels, or nothing but the time."""
        return any(key in self._ours for key in record) or all(key in self._known for key in record)


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
        self._time = time

    def __call__(self, record: Mapping[str, Any], counts: Counter[str]) -> dict[str, float]:
        """Raises BadPayload where objects are nested too deep; single values that cannot be used are counted."""
        values: dict[str, float] = {}
        self._gather(record, "", 0, values, counts)
        return values

    def _gather(
        self, record: Mapping[str, Any], prefix: str, depth: int, values: dict[str, float], counts: Counter[str]
    ) -> None:
        if depth >= MAX_DEPTH:
            raise BadPayload("too_deep", f"objects nested more than {MAX_DEPTH} deep")
        for key, value in record.items():
            path = prefix + key
            if path == self._time:
                continue
            if type(value) is dict:
                self._gather(value, f"{path}.", depth + 1, values, counts)
            else:
                self._take(path, value, values, counts)

    def _take(self, path: str, value: Any, values: dict[str, float], counts: Counter[str]) -> None:
        name = self._names.get(path, path)
        fault = fault_of(value)
        if fault is None and not is_name(name):
            fault = "unknown_channel"
        if fault is None and len(values) >= MAX_LEAVES:
            fault = "too_many_channels"
        if fault is None:
            values[name] = float(value)
        else:
            counts[fault] += 1

    def at_home_in(self, _: Mapping[str, Any]) -> bool:
        """A record without numbers is nobody's."""
        return False

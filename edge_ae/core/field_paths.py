"""Paths into decoded payloads.

    motor.current            keys with dots between them; a key that itself holds the dots comes first
    phases[0].current        the first element of an array
    d[tag=flow].value        of the elements of an array, that whose `tag` is flow

Only where a payload holds several values, times or assets, a path may lead to many places:

    readings[].flow          every element of an array; an object in the array's place is taken for its only element
    d[tag={channel}].value   every element; its `tag` names the channel
    {asset}.{channel}        every key of an object, which names the asset; in it every key, which names the channel
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

MAX_DEPTH = 16  # of nested objects that are searched
MAX_SHOWN = 500  # paths of a payload that are looked at for a sentence
PLACES = ("{asset}", "{channel}")


@dataclass(frozen=True, slots=True)
class Key:
    """A key of an object."""

    name: str


@dataclass(frozen=True, slots=True)
class AnyKey:
    """Every key of an object; it is what `place` stands for."""

    place: str


@dataclass(frozen=True, slots=True)
class Position:
    """An element of an array, counted from 0."""

    index: int


@dataclass(frozen=True, slots=True)
class Each:
    """Elements of an array. `key`: of what they say of themselves; `place`: what that stands for, or `text`: what it must be."""

    key: str | None = None
    place: str | None = None
    text: str | None = None


Step = Key | AnyKey | Position | Each

_TOKEN = re.compile(
    r"(?P<each>\[\])|\[(?P<index>\d{1,5})\]|\[(?P<key>[^\[\]={}]+)=(?P<of>[^\[\]]+)\]|(?P<name>(?:[^.\[]|\[(?!\]|\d{1,5}\]|[^\[\]={}]+=[^\[\]]+\]))+)|(?P<dot>\.)"
)


@lru_cache(maxsize=4096)
def steps_of(path: str) -> tuple[Step, ...]:
    """The steps of a path; whatever is not of the language is a key."""
    return tuple(_step(match) for match in _TOKEN.finditer(path) if match["dot"] is None)


def _step(match: re.Match[str]) -> Step:
    if match["each"] is not None:
        return Each()
    if match["index"] is not None:
        return Position(int(match["index"]))
    if match["key"] is not None:
        chosen = match["of"]
        return Each(match["key"], place=chosen) if chosen in PLACES else Each(match["key"], text=chosen)
    return AnyKey(match["name"]) if match["name"] in PLACES else Key(match["name"])


def places_of(path: str) -> list[str]:
    """The places {asset} and {channel} that a path names, in its order."""
    return [place for step in steps_of(path) if (place := getattr(step, "place", None)) is not None]


def leads_to_many(path: str) -> bool:
    """Whether a path leads through every element of an array, or every key of an object."""
    return any(isinstance(step, AnyKey) or (isinstance(step, Each) and step.text is None) for step in steps_of(path))


def path_fault(path: str) -> str | None:
    """What is wrong with a path, as a clause; None if nothing is."""
    places = places_of(path)
    faults = {
        "names no key": not steps_of(path),
        f"has more than {MAX_DEPTH} steps": len(steps_of(path)) > MAX_DEPTH,
        "has braces other than a whole {asset} or {channel}": len(places) != max(path.count("{"), path.count("}")),
        "names {asset} or {channel} twice": len(places) != len(set(places)),
        "has brackets other than [], [0], [key=text] or [key={channel}]": leads_to_many(path)
        and any(isinstance(step, Key) and set(step.name) & set("[]") for step in steps_of(path)),
    }
    return next((fault for fault, found in faults.items() if found), None)


def find(record: Any, path: str) -> Any:
    """What is at a path that leads to one place; None where nothing is."""
    if type(record) is dict and path in record:
        return record[path]
    return follow(record, steps_of(path)) if "." in path or "[" in path else None


def follow(node: Any, steps: Sequence[Step]) -> Any:
    """What is behind some steps; None where nothing is."""
    for step in steps:
        match step:
            case Key(name) if type(node) is dict:
                node = node.get(name)
            case Position(index) if type(node) is list and index < len(node):
                node = node[index]
            case Each(str(key), None, str(text)) if type(node) is list:
                node = next((one for one in node if str(find(one, key)) == text), None)
            case _:
                return None
    return node


def is_there(record: Mapping[str, Any], path: str) -> bool:
    """Whether a path leads to something, and be it a null."""
    return find(record, path) is not None or path in leaves_of(record)


def leaves_of(record: Any) -> list[str]:
    """The paths of what stands in a payload, in its order; of an array, those of its first element. Not more than MAX_SHOWN."""
    return list(islice(_leaves(record, "", 0), MAX_SHOWN))


def _leaves(node: Any, prefix: str, depth: int) -> Iterator[str]:
    if type(node) is dict and node and depth < MAX_DEPTH:
        for key, value in node.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else key, depth + 1)
    elif type(node) is list and node and type(node[0]) is dict and depth < MAX_DEPTH:
        yield from _leaves(node[0], f"{prefix}[]", depth + 1)
    elif prefix:
        yield prefix


TAG_KEYS = ("tag", "name", "id", "channel", "key", "n", "sensor", "signal", "variable", "node", "code")
VALUE_KEYS = ("value", "v", "val", "Value")


def way_through(path: str, array: Any) -> str | None:
    """The path that would read an array of tags, such as `d[tag={channel}].value`; None where it does not look like one."""
    if type(array) is not list or not array or type(array[0]) is not dict:
        return None
    first = array[0]
    tags = [key for key in TAG_KEYS if type(first.get(key)) is str]
    values = [key for key in VALUE_KEYS if key in first and type(first[key]) not in (dict, list)]
    return f"{path}[{tags[0]}={{channel}}].{values[0]}" if tags and values else None


def way_into(record: Any, prefix: str = "", depth: int = 0) -> str | None:
    """The same of the first array of tags in a payload."""
    if type(record) is not dict or depth >= MAX_DEPTH:
        return way_through(prefix, record)
    inner = ((f"{prefix}.{key}" if prefix else key, value) for key, value in islice(record.items(), MAX_SHOWN))
    return next((way for path, value in inner if (way := way_into(value, path, depth + 1)) is not None), None)

"""Paths into decoded payloads: a key, or keys with dots between them (`motor.current`); a key that itself holds the dots comes first."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

MAX_DEPTH = 16  # of nested objects that are searched
MAX_SHOWN = 500  # paths of a payload that are looked at for a sentence


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

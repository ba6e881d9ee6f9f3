"""What is left out of payloads that are otherwise used, and what is used with a remark: said once each, and counted."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_ae.core.field_paths import way_through
from edge_ae.core.words import number_of_text

MAX_NAMED = 1000  # omissions that are named one by one, of all topics of a stream
MAX_NAMED_OF_TOPIC = 50
LONGEST_WAY = 160  # characters of a path that is proposed
SHOWN = 40  # characters of a name or value in a sentence


@dataclass(frozen=True, slots=True)
class Omission:
    """A value that was left out of a payload, or used with a remark: `text` is a sentence about the topic's channel."""

    topic: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Left:
    """A value that is not used as it came. `reason`: a counter's name where it is left out."""

    channel: str
    reason: str
    value: Any


def quoted(name: object) -> str:
    """A name or value of a payload, for a sentence: cut, in quotes, without anything that could not be printed."""
    text = str(name)
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")


def sentence(left: Left) -> str:
    """What is the matter with a value, for people."""
    channel = left.channel if left.channel.isprintable() and len(left.channel) <= SHOWN else quoted(left.channel)
    shown = quoted(left.value)
    if left.reason == "string":
        return f"{channel} comes as text ({shown}){_advice(left)}"
    if left.reason == "wrong_type":
        way = way_through(left.channel, left.value)
        return f"{channel} is {_structure(left.value)}, not a number" + ("" if way is None else reads(way))
    return SENTENCES[left.reason].format(channel=channel, shown=shown)


SENTENCES: Mapping[str, str] = {
    "text_as_number": "{channel} comes as text ({shown}); its number is used",
    "number_with_unit": "{channel} comes as text with a unit ({shown}); its number is used",
    "word_as_number": "{channel} comes as a word ({shown}); its number by `words` is used, or 1 and 0 for words of two states",
    "boolean_as_number": "{channel} comes as true or false; 1 and 0 are used",
    "boolean": "{channel} comes as true or false, and the stream is strict",
    "unit_changed": "{channel} comes with another unit than before ({shown}); it is left out",
    "bad_quality": "{channel} is marked as bad by `quality` ({shown}) and left out; without that setting it is used",
    "too_many_values": "a message leads to more than {shown} values; what is beyond is left out",
    "missing_channel": "{channel} has no value ({shown})",
    "not_finite": "{channel} is NaN or infinite",
    "unknown_channel": "{channel} cannot be the name of a channel",
    "too_many_channels": "more channels came in one record than are taken; {channel} is the first that is left out",
}


def reads(way: str) -> str:
    """What would read an array of tags."""
    return f"; value = {way[:LONGEST_WAY]!r} would read it"


def _advice(left: Left) -> str:
    """What would make a number of a text."""
    text = left.value.strip()
    if number_of_text(text) is not None:
        return ", and the stream is strict"
    if re.fullmatch(r"[^\W\d]\w{0,19}", text, re.ASCII):
        return f", which is no number; words = {{ {text} = 1 }} would make it one"
    if re.fullmatch(r"[+-]?[\d,]+", text):
        return "; whether its comma is a decimal one cannot be told"
    return ", which is no number"


def _structure(value: Any) -> str:
    if type(value) is dict:
        return "an object"
    if type(value) is not list:
        return f"a {type(value).__name__}"
    return f"an array of {'objects' if value and type(value[0]) is dict else 'values'}"


_NOTHING: frozenset[tuple[str, str]] = frozenset()


class Omissions:
    """Of a stream. `counts`: values that were left out, by reason; `drain` gives the first of each topic, channel and reason."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._named = 0
        self._seen: dict[str, set[tuple[str, str]]] = {}
        self._new: list[Omission] = []

    def drain(self) -> list[Omission]:
        """Those that are new since the last call."""
        new, self._new = self._new, []
        return new

    def name(self, topic: str, channel: str, reason: str, text: Callable[[], str]) -> None:
        """Say it, unless it was said, or too much was."""
        seen = self._seen.get(topic, _NOTHING)
        key = (channel[:SHOWN], reason)
        if key in seen or self._named >= MAX_NAMED or len(seen) >= MAX_NAMED_OF_TOPIC:
            return
        self._named += 1
        self._seen.setdefault(topic, set()).add(key)
        self._new.append(Omission(topic, reason, text()))

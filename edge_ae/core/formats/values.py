"""Which values of a payload are numbers.

    21.5, 7                  a number
    "21.5", "21.5 °C"        text: its number is used, and that is said once for the topic
    true, "ON", "closed"     1 or 0, by the table of words; said once
    null, "n/a"              no value
    "pump-1", [1, 2]         left out, counted by reason, and said once

`strict`: only numbers are numbers.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import NoneType
from typing import Any

from edge_ae.core.formats.omissions import Left, Omissions, sentence
from edge_ae.core.words import number_of_text, number_with_unit

NOT_FINITE = object()  # stands for NaN and Infinity, which some write into JSON and JSON does not know
NUMBERS = frozenset({float, int})  # and not bool, whose type is its own
FAULTS: Mapping[type, str] = {bool: "boolean", str: "string", NoneType: "missing_channel", object: "not_finite"}
MAX_UNITS = 1024  # channels of a topic whose unit is remembered


class TopicValues:
    """The values of one topic of a stream. `words`: as `words.word_table` makes them; None: the stream is strict."""

    __slots__ = ("_omissions", "_units", "_words", "counts", "topic")  # there is one for each topic

    def __init__(self, topic: str, omissions: Omissions, words: Mapping[str, float] | None) -> None:
        self.counts = omissions.counts
        self.topic = topic
        self._omissions = omissions
        self._words = words
        self._units: dict[str, str] = {}

    def number(self, channel: str, value: Any) -> tuple[float | None, str | None]:
        """(the number, None or how it was found), or (None, why there is none). Not finite: infinity, and why."""
        kind = type(value)
        if kind in NUMBERS:
            return float(value), None
        if value is NOT_FINITE:
            return math.inf, "not_finite"
        if self._words is None:
            return None, FAULTS.get(kind, "wrong_type")
        if kind is bool:
            return float(value), "boolean_as_number"
        if kind is str:
            return self._of_text(channel, value, self._words)
        return None, FAULTS.get(kind, "wrong_type")

    def _of_text(self, channel: str, text: str, words: Mapping[str, float]) -> tuple[float | None, str | None]:
        number = number_of_text(text, words)
        if number is None:
            return self._of_unit(channel, text)
        if math.isnan(number):
            return None, "missing_channel"
        if math.isinf(number):
            return math.inf, "not_finite"
        return number, "word_as_number" if text.strip().casefold() in words else "text_as_number"

    def _of_unit(self, channel: str, text: str) -> tuple[float | None, str | None]:
        """A display may go from 950 mV to 1.02 V: only the unit that came first is taken."""
        found = number_with_unit(text)
        if found is None:
            return None, "string"
        number, unit = found
        if len(self._units) < MAX_UNITS:
            self._units.setdefault(channel, unit)
        return (number, "number_with_unit") if self._units.get(channel) == unit else (None, "unit_changed")

    def remark(self, left: Iterable[Left]) -> None:
        """Say how values were found that are used."""
        for one in left:
            self._omissions.name(self.topic, one.channel, one.reason, partial(sentence, one))

    def leave_out(self, left: Iterable[Left]) -> None:
        """Count values that are not used, and say so; a null is nothing to talk about."""
        for one in left:
            self.counts[one.reason] += 1
            if one.reason != "missing_channel":
                self._omissions.name(self.topic, one.channel, one.reason, partial(sentence, one))

    def say(self, channel: str, reason: str, text: Callable[[], str]) -> None:
        """Say something else about the topic, once."""
        self._omissions.name(self.topic, channel, reason, text)

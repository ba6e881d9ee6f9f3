"""What could not be used, by topic and reason: the first of each is logged at once, a line a minute sums up the rest.

Bounded in what it remembers and in what it logs: a plant full of wrong payloads, or a sender of endless topics, costs neither
memory nor a disk full of logs. A topic whose line did not fit is named with its next payload, once there is room.
"""

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from edge_ae.core.printable import printable
from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.errors import BadPayload

log = logging.getLogger(__name__)

REMEMBERED = 1_000
"""Pairs of topic and reason, and as many omissions; those that were met longest ago are forgotten."""

SHOWN = 50
"""Of them in `stats`, the newest first."""

LINES = 200
"""Lines in the log at once, and as many more in an hour."""

LINE_NS = 3600 * SECOND // LINES

BUSIEST = 3
"""Topics that the summary names."""

TOPIC_CHARS = 200
TEXT_CHARS = 300


class LeftOut(Protocol):
    """A value that was left out of a payload of which the rest was used; `text` says which and why."""

    @property
    def topic(self) -> str: ...

    @property
    def reason(self) -> str: ...

    @property
    def text(self) -> str: ...


@dataclass(slots=True)
class Refusal:
    """What is refused of one topic for one reason. `unlogged`: payloads of which no line has been written yet."""

    topic: str
    reason: str
    text: str
    count: int = 0
    unlogged: int = 0
    named: bool = False
    last_ns: int = 0


class LineBudget:
    """How many lines may be written: `LINES` at once, then one each `LINE_NS`."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._full_ns = clock()  # when the budget is whole again

    def spend(self) -> bool:
        """Whether one more line may be written."""
        now_ns = self._clock()
        full_ns = max(self._full_ns, now_ns) + LINE_NS
        if full_ns - now_ns > LINES * LINE_NS:
            return False
        self._full_ns = full_ns
        return True


class Refusals:
    """`counts`: payloads that were not used, by reason. Times are wall time."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.counts: Counter[str] = Counter()
        self._lines = LineBudget(clock)
        self._refused: OrderedDict[tuple[str, str], Refusal] = OrderedDict()
        self._omitted: OrderedDict[tuple[str, str], Refusal] = OrderedDict()
        self._forgotten = 0  # payloads whose topic was forgotten before they were summed up

    def refuse(self, topic: str, fault: BadPayload, now_ns: int) -> None:
        """Count a payload that is not used; the first of its topic and reason is logged."""
        self.counts[fault.reason] += 1
        met = self._met(self._refused, (topic, fault.reason), fault.reason)
        met.text = printable(str(fault), TEXT_CHARS)
        met.count, met.unlogged, met.last_ns = met.count + 1, met.unlogged + 1, now_ns
        if not met.named and self._lines.spend():
            met.named, met.unlogged = True, met.unlogged - 1
            log.warning("%s: payload not used (%s): %s", met.topic, met.reason, met.text)

    def omit(self, omissions: Iterable[LeftOut], now_ns: int) -> None:
        """Log values that were left out of payloads; each comes once from the decoder that left it out."""
        for omission in omissions:
            met = self._met(self._omitted, (omission.topic, omission.text), omission.reason)
            met.text, met.last_ns = printable(omission.text, TEXT_CHARS), now_ns
            if not met.named and self._lines.spend():
                met.named = True
                log.warning("%s: %s", met.topic, met.text)

    def _met(self, known: OrderedDict[tuple[str, str], Refusal], key: tuple[str, str], reason: str) -> Refusal:
        """The record of a key, which becomes the newest; the oldest goes where there are too many."""
        met = known.get(key)
        if met is None:
            met = known[key] = Refusal(printable(key[0], TOPIC_CHARS), reason, "")
            if len(known) > REMEMBERED:
                self._forgotten += known.popitem(last=False)[1].unlogged
        known.move_to_end(key)
        return met

    def log_summary(self) -> None:
        """One line on what came since the last one beyond what was logged one by one; none where nothing did."""
        busy = sorted((met for met in self._refused.values() if met.unlogged > 0), key=lambda met: -met.unlogged)
        total = sum(met.unlogged for met in busy) + self._forgotten
        if total == 0:
            return
        parts = [f"{met.unlogged} of {met.topic} ({met.reason})" for met in busy[:BUSIEST]]
        rest = total - sum(met.unlogged for met in busy[:BUSIEST])
        log.warning(
            "%d more payloads not used: %s", total, ", ".join([*parts, *([f"{rest} of others"] if rest else [])])
        )
        for met in busy:
            met.unlogged = 0
        self._forgotten = 0

    def refusals(self) -> list[Refusal]:
        """What was refused, by topic and reason, the newest first."""
        return [*reversed(self._refused.values())]

    def omissions(self) -> list[Refusal]:
        """What was left out of payloads, the newest first."""
        return [*reversed(self._omitted.values())]

    def shown(self) -> dict[str, list[dict[str, Any]]]:
        """The newest of both, as `stats` has them."""
        return {
            "refusals": [
                _named(met) | {"count": met.count, "last": rfc3339(met.last_ns)} for met in self.refusals()[:SHOWN]
            ],
            "omissions": [_named(met) for met in self.omissions()[:SHOWN]],
        }


def _named(met: Refusal) -> dict[str, Any]:
    return {"topic": met.topic, "reason": met.reason, "text": met.text}

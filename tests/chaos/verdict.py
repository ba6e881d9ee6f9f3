"""What subscribers ended up with, beside what an undisturbed run over the same rows says: lost, doubled, stuck.

Of an asset whose stream comes and goes no undisturbed run tells, nor of one that people silence; but what was heard to begin must be heard to end, what was to be announced must be heard, and
what was withheld must end, too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

Key = tuple[str, int]
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Heard:
    """A delivery of an event. `dup`: the broker says that it may have delivered this one before."""

    at_ns: int
    dup: bool
    event: Event


@dataclass(frozen=True, slots=True)
class PastAlert:
    """One of the daemon's own history. `announced`: not withheld; `over`: it has come to its end."""

    id: str
    announced: bool
    over: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """Keys of events, and assets whose retained alert is not over. `repeated`: deliveries beyond the first, which QoS 1
    allows and (id, seq) tells; `sent_twice`: those that the daemon sent again though the broker had forgotten nothing.
    """

    expected: int
    lost: list[Key]
    doubled: list[Key]
    stuck: list[str]
    repeated: int
    sent_twice: Sequence[Key] = ()

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.stuck)


def key(event: Event) -> Key:
    return event["id"], event["seq"]


def judge(expected: Sequence[Event], heard: Sequence[Event], retained: Mapping[str, Event]) -> Verdict:
    """Doubled: told though the undisturbed run does not, or told twice in different words."""
    wanted = {key(event): _text(event) for event in expected}
    got: dict[Key, set[bytes]] = {}
    for event in heard:
        got.setdefault(key(event), set()).add(_text(event))
    return Verdict(
        expected=len(wanted),
        lost=[one for one in wanted if one not in got],
        doubled=[one for one, texts in got.items() if texts != {wanted.get(one)}],
        stuck=[asset for asset, alert in retained.items() if alert["state"] != "normal"],
        repeated=len(heard) - len(got),
    )


def never_ended(heard: Sequence[Event]) -> list[str]:
    """The alerts of which the last that was heard is not the end."""
    last: dict[str, Event] = {}
    for event in heard:
        if event["id"] not in last or event["seq"] >= last[event["id"]]["seq"]:
            last[event["id"]] = event
    return [f"{event['asset']}'s {event['id']}" for event in last.values() if event["type"] != "end"]


def never_told(past: Sequence[PastAlert], heard: Sequence[Event]) -> list[Key]:
    """The alerts that were to be announced, by the daemon's own history, and of which nothing was heard."""
    known = {event["id"] for event in heard}
    return [(one.id, 1) for one in past if one.announced and one.id not in known]


def still_suppressed(past: Sequence[PastAlert]) -> list[str]:
    """The alerts that were withheld and never came to an end."""
    return [f"{one.id}, which is suppressed" for one in past if not one.announced and not one.over]


def sent_twice(heard: Sequence[Heard], set_back_ns: Sequence[int]) -> list[Key]:
    """What a subscriber who looks at no id would take for two, by no fault of the broker: it neither says that it
    delivers again, nor was it set back (`set_back_ns`: when it was) since the delivery before.
    """
    before_ns: dict[Key, int] = {}
    found = []
    for one in heard:
        name = key(one.event)
        since_ns = before_ns.get(name)
        forgotten = since_ns is not None and any(since_ns < at_ns < one.at_ns for at_ns in set_back_ns)
        if since_ns is not None and not one.dup and not forgotten:
            found.append(name)
        before_ns[name] = one.at_ns
    return found


def _text(event: Event) -> bytes:
    return orjson.dumps(event, option=orjson.OPT_SORT_KEYS)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of them does not exceed."""
    return sorted(values)[math.ceil(len(values) * share) - 1]

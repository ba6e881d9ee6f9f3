"""What subscribers ended up with, beside what an undisturbed run over the same rows says: lost, doubled, stuck."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

Key = tuple[str, int]
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Keys of events, and assets whose retained alert is not over. `repeated`: deliveries beyond the first, which QoS 1
    allows and (id, seq) tells."""

    expected: int
    lost: list[Key]
    doubled: list[Key]
    stuck: list[str]
    repeated: int

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


def _text(event: Event) -> bytes:
    return orjson.dumps(event, option=orjson.OPT_SORT_KEYS)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of them does not exceed."""
    return sorted(values)[math.ceil(len(values) * share) - 1]

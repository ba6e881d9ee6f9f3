"""Payloads of `base/node/asset/cmd/...` -> frozen commands. Their sender has the broker's leave; they are checked all the same.

An empty payload is an empty object, for most commands need nothing more; unknown keys are refused, so that a
misspelt one does not go unnoticed.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import orjson

from edge_ae.core.payloads import DEFAULT_BUDGET
from edge_ae.core.rules import BUDGET, DIRECTIONS, RULE, ChannelRule, budget_ns, min_deviation_of
from edge_ae.core.timestamps import SECOND, parse_time_ns
from edge_ae.errors import BadPayload

MAX_BYTES = 4096
MAX_NOTE = 1000
MAX_SILENCE_NOTE = 200  # Health, which is retained, repeats those of all silences each time.
LABELS = FALSE_ALARM, TRUE_ALARM = ("false_alarm", "true_alarm")
MAX_ALERT_NAME = 80
MODE_NAME = re.compile(r"mode \d+", re.I)
VIEW_S, LONGEST_VIEW_S = 60, 3600  # a view that is not renewed ends; the default, and the longest
MOST_DAYS, MOST_ALERTS = 30, 100  # of a history
LONGEST_SHELVE_S = 366 * 86_400  # the owner's own limit, max_shelve_s, is applied where it is carried out
LONGEST_SILENCE_NS = 366 * 86_400 * SECOND
MAX_NAME = 256  # of a channel


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Somebody has seen the alert; `id`: that one and no later one."""

    id: str | None = None


@dataclass(frozen=True, slots=True)
class Shelve:
    """Silence; `duration_ns` None: until the next return to normal."""

    duration_ns: int | None


@dataclass(frozen=True, slots=True)
class Unshelve:
    """End the silence now."""


@dataclass(frozen=True, slots=True)
class SetService:
    """Out of service: watched and silent; back in service."""

    in_service: bool


@dataclass(frozen=True, slots=True)
class AcceptNormal:
    """What the asset does now is normal."""


@dataclass(frozen=True, slots=True)
class SetBudget:
    """So many alerts are accepted of the asset, such as "1/day"; `budget` None: as many as the settings say."""

    budget: str | None


@dataclass(frozen=True, slots=True)
class SetRule:
    """A channel's rule from now on; `rule` None: what the settings say of it."""

    channel: str
    rule: ChannelRule | None


@dataclass(frozen=True, slots=True)
class AddSilence:
    """Announce nothing new until `until_ns`, of event time; `from_ns` None: from now on."""

    from_ns: int | None
    until_ns: int
    note: str


@dataclass(frozen=True, slots=True)
class ClearSilences:
    """No silence is set any more."""


@dataclass(frozen=True, slots=True)
class GiveFeedback:
    """What a person found out about an alert; kept for the next training, and a lesson from now on.

    `id` None: the active one, else the newest. `name`: of a true alarm, what it was; empty: not said. `until_ns`: of a false one, the
    event time up to which its like is withheld; None: for good.
    """

    id: str | None
    label: str
    note: str
    name: str = ""
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Unlearn:
    """The lesson on this alert is taken back."""

    id: str


@dataclass(frozen=True, slots=True)
class ViewSignals:
    """Somebody looks at the asset, for so long from now. `whole`: all rows of the newest window are wanted, as in the beginning."""

    for_ns: int
    whole: bool


@dataclass(frozen=True, slots=True)
class AskHistory:
    """The alerts of so many days, the newest first: `limit` of them, those raised before `before_ns` (event time; None: all).
    With them goes what another budget would have raised in those days."""

    days: float
    before_ns: int | None
    limit: int


Operation = (
    Acknowledge | Shelve | Unshelve | SetService | AcceptNormal | SetBudget | SetRule | AddSilence | ClearSilences
)
"""What people do to an asset's alert, and to what is asked of it."""
Action = Operation | GiveFeedback | Unlearn
"""What changes something, so that it needs a checkpoint."""
Question = ViewSignals | AskHistory
"""What is asked, and changes nothing."""
Command = Action | Question


def parse(name: str, payload: bytes) -> Command:
    """The command `name` with its payload. Raises BadPayload with a sentence that is sent back to the operator."""
    if name not in PARSERS:
        raise BadPayload("bad_command", f"{name[:40]!r} is no command; there are {', '.join(PARSERS)}")
    parser, keys = PARSERS[name]
    return parser(fields_of(name, payload, keys))


def fields_of(name: str, payload: bytes, keys: Sequence[str], most_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The JSON object of a command that knows these keys. Raises BadPayload with a sentence."""
    fields = _object(payload, most_bytes)
    unknown = sorted(set(fields) - set(keys))
    if unknown:
        known = ", ".join(keys) or "none"
        raise BadPayload("bad_command", f"{name} does not know {', '.join(unknown)[:80]}; it takes {known}")
    return fields


def _object(payload: bytes, most_bytes: int) -> dict[str, Any]:
    if len(payload) > most_bytes:
        raise BadPayload("bad_command", f"a command has {most_bytes} bytes at most, this one has {len(payload)}")
    if not payload.strip():
        return {}
    try:
        fields = orjson.loads(payload)
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        raise BadPayload("bad_command", 'a command is a JSON object, such as {"duration_s": 3600}')
    return fields


def _acknowledge(fields: Mapping[str, Any]) -> Acknowledge:
    return Acknowledge(_identity(fields))


def _identity(fields: Mapping[str, Any]) -> str | None:
    return None if fields.get("id") is None else _text(fields, "id", 64)


def _in_service(fields: Mapping[str, Any]) -> SetService:
    on = fields.get("on", True)
    if not isinstance(on, bool):
        raise BadPayload("bad_command", "on must be true or false")
    return SetService(on)


def _budget(fields: Mapping[str, Any]) -> SetBudget:
    text = _text(fields, "budget", 64)
    if text == DEFAULT_BUDGET:
        return SetBudget(None)
    try:
        budget_ns(text)
    except ValueError as error:
        raise BadPayload("bad_command", f'budget {error}, or "{DEFAULT_BUDGET}" for that of the settings') from None
    match = BUDGET.fullmatch(text)
    assert match is not None
    return SetBudget(f"{match[1]}/{match[2].lower()}")


def _shelve(fields: Mapping[str, Any]) -> Shelve:
    one_shot, duration_s = fields.get("one_shot"), fields.get("duration_s")
    if one_shot is True and duration_s is None:
        return Shelve(None)
    if one_shot in (None, False) and _is_number(duration_s) and 0 < duration_s <= LONGEST_SHELVE_S:
        return Shelve(round(duration_s * SECOND))
    raise BadPayload("bad_command", "shelve takes a positive duration_s of a year at most, or one_shot: true")


def _rule(fields: Mapping[str, Any]) -> SetRule:
    channel = _text(fields, "channel", MAX_NAME)
    asked = {name: fields[name] for name in RULE if name in fields}
    if (fields.get("clear", False) is True) == bool(asked):
        raise BadPayload("bad_command", f"rule takes a channel and {', '.join(RULE)}, or clear: true alone")
    return SetRule(channel, _channel_rule(**asked) if asked else None)


def _channel_rule(mute: Any = None, direction: Any = None, min_deviation: Any = None) -> ChannelRule:
    if not isinstance(mute, bool | None):
        raise BadPayload("bad_command", "mute must be true or false")
    if direction is not None and direction not in DIRECTIONS:
        raise BadPayload("bad_command", f"direction must be {' or '.join(DIRECTIONS)}")
    try:
        least = None if min_deviation is None else min_deviation_of(min_deviation)
    except ValueError as error:
        raise BadPayload("bad_command", f"min_deviation {error}") from None
    return ChannelRule(mute, direction, least)


def _silence(fields: Mapping[str, Any]) -> AddSilence | ClearSilences:
    if fields.get("clear", False) is True and len(fields) == 1:
        return ClearSilences()
    if "clear" in fields or "until" not in fields:
        raise BadPayload("bad_command", 'silence takes until, such as "2026-11-26T18:00:00Z", or clear: true alone')
    from_ns = None if fields.get("from") is None else _moment(fields, "from")
    note = _text(fields, "note", MAX_SILENCE_NOTE) if "note" in fields else ""
    return AddSilence(from_ns, _moment(fields, "until"), note)


def _moment(fields: Mapping[str, Any], key: str) -> int:
    try:
        return parse_time_ns(_text(fields, key, 64))
    except ValueError as error:
        raise BadPayload("bad_command", f'{key}: {error}; write it like "2026-11-26T18:00:00Z"') from None


def _feedback(fields: Mapping[str, Any]) -> GiveFeedback:
    label = fields.get("label")
    if label not in LABELS:
        raise BadPayload("bad_command", f"feedback takes a label: {' or '.join(LABELS)}")
    note = _text(fields, "note", MAX_NOTE) if "note" in fields else ""
    name = "" if fields.get("name") is None else _alert_name(fields)
    until_ns = None if fields.get("until") is None else _moment(fields, "until")
    if name and label != TRUE_ALARM:
        raise BadPayload("bad_command", f"only a {TRUE_ALARM} has a name; what a false one was belongs into its note")
    if until_ns is not None and label != FALSE_ALARM:
        raise BadPayload("bad_command", f"until is for a {FALSE_ALARM}: the time up to which its like is withheld")
    return GiveFeedback(_identity(fields), label, note, name, until_ns)


def _alert_name(fields: Mapping[str, Any]) -> str:
    """What stands in sentences, on pages and in messages of others: one line that can be read."""
    name = _text(fields, "name", MAX_ALERT_NAME).strip()
    if not name or not name.isprintable():
        raise BadPayload(
            "bad_command", "name must be a text that can be read, without line breaks and control characters"
        )
    if MODE_NAME.fullmatch(name):
        raise BadPayload("bad_command", f"name must not be that of an operating mode, such as {name}")
    return name


def _unlearn(fields: Mapping[str, Any]) -> Unlearn:
    identity = _identity(fields)
    if not identity:
        raise BadPayload("bad_command", "unlearn takes the id of a lesson, which is that of its alert")
    return Unlearn(identity)


def _view(fields: Mapping[str, Any]) -> ViewSignals:
    for_s, whole = fields.get("for_s", VIEW_S), fields.get("whole", False)
    if not _is_number(for_s) or not 1 <= for_s <= LONGEST_VIEW_S:
        raise BadPayload("bad_command", f"for_s must be a number of seconds from 1 to {LONGEST_VIEW_S}")
    if not isinstance(whole, bool):
        raise BadPayload("bad_command", "whole must be true or false")
    return ViewSignals(round(for_s * SECOND), whole)


def _history(fields: Mapping[str, Any]) -> AskHistory:
    days, limit, before = fields.get("days", MOST_DAYS), fields.get("limit", MOST_ALERTS), fields.get("before")
    if not _is_number(days) or not 0 < days <= MOST_DAYS:
        raise BadPayload("bad_command", f"days must be a number above 0, and {MOST_DAYS} at most")
    if not _is_number(limit) or not isinstance(limit, int) or not 1 <= limit <= MOST_ALERTS:
        raise BadPayload("bad_command", f"limit must be a whole number from 1 to {MOST_ALERTS}")
    try:
        before_ns = None if before is None else parse_time_ns(_text(fields, "before", 64))
    except ValueError as error:
        raise BadPayload("bad_command", f"before must be a time such as 2026-11-26T10:00:00Z: {error}") from None
    return AskHistory(days, before_ns, limit)


def _text(fields: Mapping[str, Any], key: str, longest: int) -> str:
    text = fields.get(key)
    if not isinstance(text, str) or len(text) > longest:
        raise BadPayload("bad_command", f"{key} must be a text of {longest} characters at most")
    return text


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


PARSERS: Mapping[str, tuple[Callable[[Mapping[str, Any]], Command], tuple[str, ...]]] = {
    "ack": (_acknowledge, ("id",)),
    "shelve": (_shelve, ("duration_s", "one_shot")),
    "unshelve": (lambda _: Unshelve(), ()),
    "out_of_service": (lambda _: SetService(False), ()),
    "in_service": (_in_service, ("on",)),
    "accept_normal": (lambda _: AcceptNormal(), ()),
    "budget": (_budget, ("budget",)),
    "rule": (_rule, ("channel", *RULE, "clear")),
    "silence": (_silence, ("from", "until", "note", "clear")),
    "feedback": (_feedback, ("id", "label", "note", "name", "until")),
    "unlearn": (_unlearn, ("id",)),
    "view": (_view, ("for_s", "whole")),
    "history": (_history, ("days", "before", "limit")),
}

"""Rows of evaluations, read again from the folder of their run, and checked: a report and a roll-out rely on what they say.

Files are edited, merged and taken for one another; what is not as `fleet evaluate` writes it is refused in one sentence.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge_ae.errors import BadData
from edge_ae_train.fleet.jobs import JobRow
from edge_ae_train.fleet.ledger import rows_of

MOST = 1e300  # of a number: not a number and infinity are not below it, and JSON has integers that no float holds


def judged_rows(folder: Path) -> list[JobRow]:
    """Those of the folder's newest run. BadData where one that is done does not say what an evaluation says."""
    rows = rows_of(folder)
    for row in rows:
        if row.is_done and (lacking := _lacking(row.facts)):
            raise BadData(
                f"{folder}: is not what fleet evaluate or fleet backtest writes: {row.key} has no valid {lacking[0]}; give "
                "that command again, with another folder"
            )
    return rows


def _lacking(facts: Mapping[str, Any]) -> list[str]:
    """The names of facts that are not there, or not what they should be."""
    wrong = [name for name, holds in NEEDED.items() if not holds(facts.get(name))]
    wrong += [name for name, holds in WHERE_KNOWN.items() if facts.get(name) is not None and not holds(facts[name])]
    if not wrong and ("events" in facts) != ("events_found" in facts):
        wrong.append("events_found")
    if not wrong and not len(facts["channels"]) == len(facts["middle"]) == len(facts["spread"]):
        wrong.append("channels")
    return wrong


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < MOST


def _is_amount(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_time(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and _is_amount(value)


def _list_of(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(holds, value))


def _is_alert(value: Any) -> bool:
    return isinstance(value, dict) and _is_text(value.get("raised")) and _is_text(value.get("reason"))


def _is_what_if(value: Any) -> bool:
    counts = ("alerts", "events_found", "false_alerts")
    return (
        isinstance(value, dict)
        and _is_text(value.get("rule"))
        and all(_is_count(value.get(name, 0)) for name in counts)
    )


NEEDED: Mapping[str, Callable[[Any], bool]] = {
    "model": _is_text,
    "model_sha256": _is_text,
    "alerts": _is_count,
    "weeks": _is_time,
    "allowed": _is_amount,
    "budget_per_week": _is_amount,
    "alert_share": _is_amount,
    "active": _is_flag,
    "newest": _is_text,
    "newest_alerts": _list_of(_is_alert),
    "what_if": _list_of(_is_what_if),
    "channels": _list_of(_is_text),
    "middle": _list_of(_is_number),
    "spread": _list_of(_is_amount),
}
WHERE_KNOWN: Mapping[str, Callable[[Any], bool]] = {
    "alerts_per_week": _is_amount,
    "events": _is_count,
    "events_found": _is_count,
    "median_delay_s": _is_number,
}

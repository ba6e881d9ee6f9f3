"""Of an asset, what the page calls its state, how bad that is, and why: one table for all views.

Everything that has been published is another's text: it leaves this module printable and cut to a length.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from edge_ae.core.printable import printable
from edge_ae.core.published import Asset
from edge_ae.core.timestamps import SECOND

LONGEST_NAME = 80
LONGEST_TEXT = 400
DURATIONS = ((7_200, 60, "min"), (172_800, 3_600, "h"))  # below so many seconds, in this unit


@dataclass(frozen=True, slots=True)
class StateWord:
    """`tone`: the colour, which never stands alone; `rank`: where it stands in the list, the worst is 0."""

    word: str
    tone: str
    rank: int


STATES: Mapping[str, StateWord] = {
    "active": StateWord("alert", "bad", 0),
    "acked": StateWord("alert, seen", "bad", 10),
    "pending": StateWord("pending", "warn", 20),
    "not_watched": StateWord("not watched", "warn", 30),
    "shelved": StateWord("shelved", "warn", 40),
    "suppressed": StateWord("suppressed", "warn", 50),
    "warm_up": StateWord("warm-up", "calm", 60),
    "learning": StateWord("learning", "calm", 65),
    "sensor_fault": StateWord("normal, sensor fault", "warn", 70),
    "normal": StateWord("normal", "good", 80),
    "out_of_service": StateWord("out of service", "calm", 90),
    "unknown": StateWord("nothing known", "calm", 95),
    "offline": StateWord("node offline", "calm", 99),
}


def state_of(asset: Asset, offline: bool) -> str:
    """A key of STATES."""
    alert, health = asset.alert, asset.health
    if offline:
        return "offline"
    if asset.state == "active":
        return "shelved" if alert.get("shelved") is True else "acked" if alert.get("acked") is True else "active"
    if asset.state in ("pending", "suppressed", "out_of_service"):
        return asset.state
    if health.get("watching") in ("warm_up", "not_watched", "out_of_service", "learning"):
        return str(health["watching"])
    if alert.get("shelved") is True:
        return "shelved"
    if health.get("state") == "fault":
        return "sensor_fault"
    return "normal" if asset.state == "normal" else "unknown"


def reason_of(asset: Asset) -> str:
    """Why it is in its state, in a sentence; empty: nothing is amiss."""
    alert, health = asset.alert, asset.health
    if asset.state in ("active", "pending", "suppressed") and alert.get("reason"):
        why = text(alert["reason"])
        by = alert.get("suppressed_by")
        return f"{why} ({text(by)})" if by and asset.state == "suppressed" else why
    notes = [text(health[key]) for key in ("reason", "pace", "advice") if health.get(key)][:1]
    if health.get("asset_fault"):
        notes.append(text(health["asset_fault"]))
    faults = health.get("faults")
    if isinstance(faults, dict) and faults:
        notes.append(text("sensors: " + ", ".join(f"{channel} {fault}" for channel, fault in faults.items())))
    return text(", ".join(notes))


def last_alert_of(asset: Asset, now_ns: int) -> str:
    """When there was an alert, and of which channel, as a clause; empty: none is known, or it still stands."""
    if asset.last_alert is None or asset.state == "active":
        return ""
    raised_ns, channel = asset.last_alert
    when = duration((now_ns - raised_ns) / SECOND)
    return text(f"last alert: {when} ago" + (f", {channel}" if channel else ""))


def duration(length_s: float) -> str:
    """So long, as people say it."""
    for longest_s, unit_s, unit in DURATIONS:
        if length_s < longest_s:
            return f"{max(length_s, 0) // unit_s:.0f} {unit}"
    return f"{length_s // 86_400:.0f} days"


def rank_of(asset: Asset, state: str) -> int:
    """Of two alerts that nobody has seen the more severe one is the worse."""
    level = number(asset.alert.get("severity_level"))
    return STATES[state].rank + (3 - min(max(int(level), 0), 3) if state == "active" and level is not None else 0)


def text(value: Any, longest: int = LONGEST_TEXT) -> str:
    """Another's text, as it may be shown."""
    return "" if value is None else printable(str(value)[: longest + 1], longest)


def number(value: Any) -> float | None:
    """Another's number; None: there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def path_of(node: str, asset: str) -> str:
    """Where the page of an asset is; a name may hold anything but a slash."""
    return f"/asset/{quote(node, safe='')}/{quote(asset, safe='')}"


def mode_of(alert: Mapping[str, Any]) -> str:
    """The operating mode that an alert is nearest to; empty where it is like a named alert, or nothing is known."""
    return "" if number(alert.get("similar_count")) else text(alert.get("similar_to"), LONGEST_NAME)

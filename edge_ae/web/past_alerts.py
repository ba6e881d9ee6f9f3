"""What the topic `history` brings of one asset: its alerts of the past days, and how many there would be at other budgets.

Every answer is merged, whoever asked: alerts by their id, the what-if of the newest answer.
"""

from collections.abc import Mapping
from typing import Any

from edge_ae.core.timestamps import MS, parse_time_ns, rfc3339
from edge_ae.web.words import LONGEST_NAME, number, text

MAX_ALERTS = 500
MAX_BUDGETS = 12
MAX_HOURS = 31 * 24
TIMES = ("ts_onset", "ts_raised", "ts_cleared")
NUMBERS = ("duration_s", "ratio", "severity_level")
FLAGS = ("announced", "suppressed")
TEXTS = {"id": 64, "severity": 20, "top_channel": LONGEST_NAME, "cause": 40, "label": 20} | {
    "reason": 400,
    "suppressed_by": 200,
    "note": 1_000,
    "name": 80,
}

Fields = dict[str, Any]


class PastAlerts:
    """The alerts of an asset, as far as they were asked for."""

    def __init__(self) -> None:
        self.answers = 0
        self.more = False  # there are earlier ones
        self.what_if: Fields | None = None
        self._alerts: dict[str, Fields] = {}

    def take(self, body: Mapping[str, Any]) -> bool:
        """Take a message in. False: it is none of this topic."""
        alerts = body.get("alerts")
        if not isinstance(alerts, list):
            return False
        cleaned = [_alert(one) for one in alerts if isinstance(one, dict)]
        before = self.oldest_ms
        self._alerts |= {one["id"]: one for one in cleaned if one["id"] and _when(one) is not None}
        kept = sorted(self._alerts.values(), key=_order)[:MAX_ALERTS]
        self._alerts = {one["id"]: one for one in kept}
        if before is None or self.oldest_ms != before or not cleaned:
            self.more = body.get("more") is True and len(kept) < MAX_ALERTS
        if isinstance(body.get("what_if"), dict):
            self.what_if = _what_if(body["what_if"])
        self.answers += 1
        return True

    @property
    def alerts(self) -> list[Fields]:
        """The newest first."""
        return list(self._alerts.values())

    @property
    def newest_announced(self) -> Fields | None:
        """The newest that anybody was alerted by."""
        return next((one for one in self.alerts if one["announced"] and one["ts_raised"] is not None), None)

    @property
    def oldest_ms(self) -> int | None:
        """Of the oldest alert that is known, the time; None: none is."""
        return min((_when(one) or 0 for one in self._alerts.values()), default=None)

    @property
    def before(self) -> str | None:
        """What to ask for the ones before as, in the words of the command."""
        oldest_ms = self.oldest_ms
        return None if oldest_ms is None else rfc3339(oldest_ms * MS)

    def alert(self, alert_id: str) -> Fields | None:
        """One of them."""
        return self._alerts.get(alert_id)


def _alert(one: Mapping[str, Any]) -> Fields:
    cleaned: Fields = {key: text(one.get(key), longest) for key, longest in TEXTS.items()}
    cleaned |= {key: number(one.get(key)) for key in NUMBERS}
    cleaned |= {key: one.get(key) is True for key in FLAGS}
    return cleaned | {key: _ms(one.get(key)) for key in TIMES}


def _when(alert: Fields) -> int | None:
    """An alert that was never raised has its onset."""
    found = alert["ts_raised"] if alert["ts_raised"] is not None else alert["ts_onset"]
    return None if found is None else int(found)


def _order(alert: Fields) -> int:
    return -(_when(alert) or 0)


def _what_if(body: Mapping[str, Any]) -> Fields:
    """The budgets, the one in force among them, from the highest boundary to the lowest."""
    named = {"budget": body.get("budget"), "boundary": body.get("boundary")}
    cleaned = map(_budget, [named, *_list(body.get("budgets"))[:MAX_BUDGETS]])
    budgets = {one["budget"]: one for one in cleaned if one is not None}
    hours = map(_hour, _list(body.get("hours"))[-MAX_HOURS:])
    return {
        "budget": text(body.get("budget"), 20),
        "budgets": sorted(budgets.values(), key=lambda one: -float(one["boundary"])),
        "hours": [hour for hour in hours if hour is not None],
        "others": number(body.get("other_alerts")),
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _budget(one: Any) -> Fields | None:
    if not isinstance(one, dict):
        return None
    budget, boundary, alerts = text(one.get("budget"), 20), number(one.get("boundary")), number(one.get("alerts"))
    return None if not budget or boundary is None else {"budget": budget, "boundary": boundary, "alerts": alerts}


def _hour(one: Any) -> list[float] | None:
    if not isinstance(one, list) or len(one) != 2:
        return None
    t_ms, peak = _ms(one[0]), number(one[1])
    return None if t_ms is None or peak is None else [t_ms, peak]


def _ms(value: Any) -> int | None:
    try:
        return parse_time_ns(value) // MS
    except (ValueError, TypeError, AttributeError):
        return None

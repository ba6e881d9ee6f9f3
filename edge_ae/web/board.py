"""The overview as rows of plain values: what a browser gets at first, and then only what has changed.

View ─ Board.step(now) ─► changes: fields of rows, rows that are gone, notices
"""

from collections.abc import Iterator, Sequence
from typing import Any

from edge_ae.core.published import Asset, View
from edge_ae.core.timestamps import SECOND, parse_time_ns
from edge_ae.web.words import LONGEST_NAME, STATES, last_alert_of, number, path_of, rank_of, reason_of, state_of, text

SLOT_NS = 30 * SECOND
SPARK = 120  # slots: the last hour
FLOOD_NS = 3600 * SECOND  # a flood whose end was missed is no longer shown after so long
NODES_NAMED = 3

Fields = dict[str, Any]


class Board:
    """The rows as the browsers last got them, by node and asset."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._rows: dict[tuple[str, str], Fields] = {}
        self.notices: list[str] = []

    def step(self, now_ns: int, notices: Sequence[str] = ()) -> Fields:
        """Brings the rows up to date. Returns what has changed; empty: nothing has."""
        view = self._view
        rows = {key: row(view, key, asset, now_ns) for key, asset in view.assets.items()}
        changed = []
        for key, new in rows.items():
            old = self._rows.get(key)
            fields = new | _spark(view.assets[key]) if old is None else _difference(old, new)
            if fields:
                changed.append({"key": "/".join(key), **fields})
        changes: Fields = {
            "rows": changed,
            "gone": ["/".join(key) for key in self._rows if key not in rows],
            "notices": [*notices, *notices_of(view, now_ns)],
        }
        if changes["notices"] == self.notices:
            del changes["notices"]
        self._rows, self.notices = rows, changes.get("notices", self.notices)
        return {name: value for name, value in changes.items() if value or name == "notices"}

    def whole(self) -> Fields:
        """All of it as of the last step, for a browser that has nothing yet."""
        rows = [
            {"key": "/".join(key), **fields, **_spark(self._view.assets[key])}
            for key, fields in self._rows.items()
            if key in self._view.assets
        ]
        return {"rows": rows, "notices": self.notices}


def row(view: View, key: tuple[str, str], asset: Asset, now_ns: int) -> Fields:
    """The fields of an asset in the overview; `last`: of its sparkline, the newest point."""
    node, name = key
    state = state_of(asset, view.offline(node))
    return {
        "node": text(node, LONGEST_NAME),
        "name": text(name, LONGEST_NAME),
        "path": path_of(node, name),
        "state": STATES[state].word,
        "tone": STATES[state].tone,
        "rank": rank_of(asset, state),
        "severity": text(asset.alert.get("severity"), 20) if asset.state == "active" else "",
        "ratio": None if asset.ratio is None else number(round(asset.ratio, 2)),
        "old": asset.quiet(now_ns),
        "reason": reason_of(asset),
        "past": last_alert_of(asset, now_ns),
        "slot": asset.slot,
        "last": round(asset.recent[-1], 3) if asset.recent else None,
    }


def _spark(asset: Asset) -> Fields:
    """The ratios of the last hour."""
    return {"spark": [round(ratio, 3) for ratio in list(asset.recent)[-SPARK:]]}


def _difference(old: Fields, new: Fields) -> Fields:
    return {name: value for name, value in new.items() if old[name] != value}


def notices_of(view: View, now_ns: int) -> Iterator[str]:
    """What is to be said above the list, a sentence each."""
    down = sorted(node for node in view.status if view.offline(node))
    for node in down[:NODES_NAMED]:
        yield f"Node {text(node, LONGEST_NAME)} is offline: what stands here of its assets is old."
    if len(down) > NODES_NAMED:
        yield f"{len(down) - NODES_NAMED} more nodes are offline."
    for node, flood in sorted(view.floods.items())[:NODES_NAMED]:
        if flood.get("type") != "end" and _is_recent(flood.get("ts"), now_ns):
            yield f"Flood of alerts on node {text(node, LONGEST_NAME)}: {text(flood.get('reason'))}."
    if view.unused > 0:
        yield f"{view.unused} messages are not shown: more than this page holds, or not in the form of its topics."


def _is_recent(t: Any, now_ns: int) -> bool:
    try:
        return now_ns - parse_time_ns(str(t)) < FLOOD_NS
    except ValueError:
        return False

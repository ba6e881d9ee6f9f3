"""Alerts that were told and then forgotten: they are ended, so that none is stuck ON.

After a crash the restored state may be older than the outbox: an alert was told that it knows nothing of. Where the broker
delivers the readings again, the same alert rises again under the same id, and nothing is amiss. Where it cannot, the
asset's event time passes the alert's without it, and its end is told.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from edge_ae.core.events import EventType
from edge_ae.core.payloads import ended

Told = tuple[str, int, Mapping[str, Any]]  # asset, event time, body
End = tuple[str, dict[str, Any]]  # asset, body


class Orphans:
    """`told`: the events of the outbox; `present`: an asset's alert id in the restored state."""

    def __init__(self, told: Iterable[Told], present: Callable[[str], str | None]) -> None:
        last: dict[str, Told] = {}
        for asset, t_ns, body in told:
            if body["id"] not in last or last[body["id"]][2]["seq"] <= body["seq"]:
                last[body["id"]] = (asset, t_ns, body)
        self._open: dict[str, dict[str, Told]] = {}
        for identity, event in last.items():
            asset, _, body = event
            if body["type"] != EventType.END and present(asset) != identity:
                self._open.setdefault(asset, {})[identity] = event

    def __len__(self) -> int:
        return len(self._open)

    def told_again(self, asset: str, identity: str) -> None:
        """The same alert has risen again: it has a life of its own now."""
        of_asset = self._open.get(asset, {})
        of_asset.pop(identity, None)
        if not of_asset:
            self._open.pop(asset, None)

    def passed(self, asset: str, t_ns: int) -> list[End]:
        """A window of `asset` has been judged: the ends of the alerts that it has passed."""
        return self._end([told for told in self._open.get(asset, {}).values() if told[1] < t_ns], t_ns)

    def abandoned(self, asset: str, t_ns: int) -> list[End]:
        """Nobody watches `asset` any more: the ends of all its alerts."""
        return self._end(list(self._open.get(asset, {}).values()), t_ns)

    def _end(self, alerts: list[Told], t_ns: int) -> list[End]:
        ends = [(asset, ended(body, t_ns)) for asset, _, body in alerts]
        for asset, body in ends:
            self.told_again(asset, body["id"])
        return ends

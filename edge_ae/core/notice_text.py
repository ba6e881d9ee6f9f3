"""What a person reads of an alert, from its JSON: plain text of few lines, for a telephone.

Names and reasons come from outside: what is no printable character stands as an escape, so that no name begins a line or
another header, and a mention such as "@everyone" calls nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import quote

from edge_ae.core.alert_events import EventType, FloodSummary
from edge_ae.core.notices import HIGH, NoticeText
from edge_ae.core.printable import printable, some_of
from edge_ae.core.timestamps import SECOND, duration_text, parse_time_ns

NAME_CHARS = 64
REASON_CHARS = 400
LINE_CHARS = 200
ASSETS_NAMED = 8
WORD_JOINER = "\u2060"  # Seen by no reader; behind an @, it ends what a chat takes for a name.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wording:
    """`zone`: of the times. `page_url`: where more is to be seen; {node} and {asset} in it stand for their names."""

    zone: tzinfo = UTC
    page_url: str | None = None

    def alert(self, body: Mapping[str, Any], step: EventType) -> NoticeText:
        """Of an `alert_payload`, at its beginning or its end."""
        return self._ended(body) if step is EventType.END else self._begun(body)

    def _begun(self, body: Mapping[str, Any]) -> NoticeText:
        asset, severity, reason = _name(body["asset"]), str(body["severity"]), _said(body["reason"], REASON_CHARS)
        since = self._minute(parse_time_ns(body["ts_onset"]))
        facts = f"Since {since}, severity {severity}, {_times(body['ratio'])}."
        return NoticeText(
            f"{asset}: alert, {severity}",
            self._lines(body, reason, facts),
            f"{asset}, since {since}, {severity}: {_said(body['reason'], LINE_CHARS)}",
            severity,
        )

    def _ended(self, body: Mapping[str, Any]) -> NoticeText:
        asset, severity, reason = _name(body["asset"]), str(body["severity"]), _said(body["reason"], REASON_CHARS)
        onset, over = (self._minute(parse_time_ns(body[key])) for key in ("ts_onset", "ts_cleared"))
        lasted = duration_text(body["duration_s"] * SECOND)
        facts = f"From {onset} to {over}, {lasted}; severity {severity}, {_times(body['ratio'])}."
        return NoticeText(
            f"{asset}: alert is over",
            self._lines(body, facts, f"It was: {reason}"),
            f"{asset}, over since {over} after {lasted}: {_said(body['reason'], LINE_CHARS)}",
            severity,
        )

    def flood(self, summary: FloodSummary) -> NoticeText:
        """Of the summary with which a flood begins or ends: that so many alerts are new at once is serious by itself."""
        node, when = _name(summary.node), self._minute(summary.t_ns)
        assets = some_of([_name(asset) for asset in summary.assets], ASSETS_NAMED)
        if summary.type is EventType.END:
            title = f"{node}: flood of alerts is over"
            text = f"{summary.count} alerts had no message of their own. Assets: {assets}."
        else:
            title = f"{node}: flood of alerts"
            text = f"More than {summary.limit} new alerts in {duration_text(summary.window_ns)}; more have no message of their own."
        return NoticeText(title, f"{text}\nAt {when}.", f"{title}, {when}", HIGH)

    def summary(self, texts: Sequence[NoticeText], node: str) -> tuple[str, str]:
        """Title and text of one message in place of many."""
        lines = [text.line for text in texts[:LINES]]
        more = len(texts) - len(lines)
        return f"{_name(node)}: {len(texts)} messages in one", "\n".join(
            [*lines, *([f"and {more} more"] if more > 0 else [])]
        )

    def _lines(self, body: Mapping[str, Any], *lines: str) -> str:
        node, asset = str(body["node"]), str(body["asset"])
        link = [] if self.page_url is None else [_filled(self.page_url, node, asset)]
        return "\n".join([*lines, f"Node {_name(node)}.", *link])

    def _minute(self, t_ns: int) -> str:
        local = (_EPOCH + timedelta(seconds=t_ns // SECOND)).astimezone(self.zone)
        return f"{local:%Y-%m-%d %H:%M %Z}"


LINES = 30
"""Of a summary: what a telephone still shows, and the services still take."""


def _name(text: str) -> str:
    return _said(text, NAME_CHARS)


def _said(text: str | None, most: int) -> str:
    return printable(text or "no reason is known", most).replace("@", f"@{WORD_JOINER}")


def _times(ratio: float | None) -> str:
    return "its size is not known" if ratio is None else f"{ratio:.3g} times the boundary"


def _filled(page_url: str, node: str, asset: str) -> str:
    return page_url.replace("{node}", quote(node, safe="")).replace("{asset}", quote(asset, safe=""))

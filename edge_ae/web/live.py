"""What the page knows and asks for, between the broker's thread and the pages: one state for all browsers.

    offer(topic, payload) ─► inbox ─ step(now), once a second ─► View, Board, WatchedAsset ─► pages draw what has changed
    commands ─► link                                             answers ─► whoever waits for them

While a browser looks at an asset, its node is asked for the asset's signals again and again; nobody else asks.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from edge_ae.core.published import TOPICS, View
from edge_ae.core.timestamps import MS, SECOND
from edge_ae.web.board import SLOT_NS, Board, Fields
from edge_ae.web.past_alerts import PastAlerts
from edge_ae.web.signal_rows import SignalRows
from edge_ae.web.words import mode_of, text

FILTERS = (*TOPICS, "+/+/event", "+/+/signals", "+/+/history")
MAX_INBOX = 20_000  # messages that wait for the next step
MAX_BYTES = 512 * 1024
MAX_INBOX_BYTES = 32 * 2**20  # of all that wait, which are forty times as much as a thousand assets send in a second
MAX_WATCHED = 40
VIEW_S, VIEW_AGAIN_NS = 60, 30 * SECOND
HISTORY_DAYS, HISTORY_LIMIT = 30, 50
ANSWER_S = 8.0
MAX_QUESTIONS = 200  # commands whose answers are waited for

Key = tuple[str, str]


class OperatorConnection(Protocol):
    """What sends commands to the nodes; `replies`: the topic below which their answers come, `fault`: why there is no broker."""

    replies: str
    fault: str

    @property
    def connected(self) -> bool:
        """Whether there is a broker."""

    @property
    def has_answers(self) -> bool:
        """Whether the broker's version of MQTT has them."""

    def command(self, topic: str, payload: bytes) -> int | None:
        """Send; the number of the answer, None: not sent."""


@dataclass(slots=True)
class WatchedAsset:
    """An asset that browsers look at; `viewers`: how many."""

    viewers: int = 0
    asked_ns: int = 0  # for its signals
    history_due: bool = True
    signals: SignalRows = field(default_factory=SignalRows)
    past: PastAlerts = field(default_factory=PastAlerts)
    mode: str = ""  # the operating mode of the newest event


class Live:
    """The state. `attach` names the connection; all but `offer` is called on the loop of the pages."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.view = View(base, slot_ns=SLOT_NS)
        self.board = Board(self.view)
        self.watched: dict[Key, WatchedAsset] = {}
        self.lost_ns: int | None = time.time_ns()  # since when there is no broker; None: there is one
        self._link: OperatorConnection | None = None
        self._inbox: deque[tuple[str, bytes]] = deque()
        self._taken_bytes = 0  # of the payloads that came in since the last step
        self._questions: dict[int, asyncio.Future[str]] = {}
        self.dropped = 0

    def attach(self, link: OperatorConnection) -> None:
        """The connection that commands go to."""
        self._link = link

    @property
    def filters(self) -> list[str]:
        """What to subscribe to."""
        return [f"{self.base}/{topic}" for topic in FILTERS]

    def offer(self, topic: str, payload: bytes) -> None:
        """A message, from any thread."""
        waiting = self._taken_bytes + len(payload)
        if len(self._inbox) < MAX_INBOX and len(payload) <= MAX_BYTES and waiting <= MAX_INBOX_BYTES:
            self._taken_bytes = waiting
            self._inbox.append((topic, payload))
        else:
            self.dropped += 1

    # -- once a second ------------------------------------------------------------------------------------------

    def step(self, now_ns: int) -> Fields:
        """Takes in what has come, asks for what is looked at. Returns what has changed in the overview."""
        connected = self._link is not None and self._link.connected
        self.lost_ns = None if connected else self.lost_ns or now_ns
        for _ in range(len(self._inbox)):
            self._take(*self._inbox.popleft(), now_ns)
        self._taken_bytes = 0
        if connected:
            for key, asset in self.watched.items():
                self._ask(key, asset, now_ns)
        return self.board.step(now_ns, self._notices())

    def _take(self, topic: str, payload: bytes, now_ns: int) -> None:
        if self._link is not None and topic.startswith(f"{self._link.replies}/"):
            self._answered(topic.rpartition("/")[2], payload)
            return
        node, _, rest = topic.removeprefix(f"{self.base}/").partition("/")
        name, _, kind = rest.partition("/")
        if kind in ("event", "signals", "history"):
            asset = self.watched.get((node, name))
            if asset is not None and not self._take_watched(asset, kind, payload):
                self.dropped += 1
            if asset is not None and kind == "history":
                self._keep_newest((node, name), asset.past)
            return
        self.view.take(topic, payload, now_ns)

    def _take_watched(self, asset: WatchedAsset, kind: str, payload: bytes) -> bool:
        try:
            body = orjson.loads(payload)
        except ValueError:
            return False
        if not isinstance(body, dict):
            return False
        if kind == "signals":
            return asset.signals.take(body)
        if kind == "history":
            return asset.past.take(body)
        asset.history_due, asset.mode = True, mode_of(body)
        return True

    def _keep_newest(self, key: Key, past: PastAlerts) -> None:
        """The last alert was perhaps over before this page began."""
        asset, newest = self.view.assets.get(key), past.newest_announced
        if asset is not None and asset.last_alert is None and newest is not None:
            asset.last_alert = newest["ts_raised"] * MS, newest["top_channel"]

    def _ask(self, key: Key, asset: WatchedAsset, now_ns: int) -> None:
        if now_ns - asset.asked_ns >= VIEW_AGAIN_NS:
            self._send(key, "view", {"for_s": VIEW_S} | ({"whole": True} if asset.asked_ns == 0 else {}))
            asset.asked_ns = now_ns
        if asset.history_due:
            asset.history_due = False
            self.ask_history(key)

    def _notices(self) -> list[str]:
        found = []
        if self.lost_ns is None and not self.view.status:
            found.append(f"No node has said anything below {text(self.base)}/ yet: is a daemon running at this broker?")
        if self.dropped > 0:
            found.append(f"{self.dropped} messages were dropped: too long, too many at once, or not understood.")
        return found

    @property
    def is_asked(self) -> bool:
        """Whether somebody waits for an answer, and the next step had better be soon."""
        return len(self._questions) > 0

    @property
    def connection_note(self) -> tuple[int, str] | None:
        """Since when there is no broker, and why; None: there is one."""
        return (
            None if self.lost_ns is None else (self.lost_ns // MS, "" if self._link is None else text(self._link.fault))
        )

    # -- what browsers look at ----------------------------------------------------------------------------------

    def look_at(self, key: Key) -> WatchedAsset | None:
        """A browser begins to look at an asset. None: too many are looked at."""
        if key not in self.watched and len(self.watched) >= MAX_WATCHED:
            return None
        asset = self.watched.setdefault(key, WatchedAsset())
        asset.viewers += 1
        return asset

    def look_away(self, key: Key) -> None:
        """A browser has gone."""
        asset = self.watched[key]
        asset.viewers -= 1
        if asset.viewers == 0:
            del self.watched[key]

    # -- commands -----------------------------------------------------------------------------------------------

    def ask_history(self, key: Key, before: str | None = None) -> None:
        """Ask the node for alerts of the past days; `before`: for those earlier than that time."""
        body: dict[str, Any] = {"days": HISTORY_DAYS, "limit": HISTORY_LIMIT}
        self._send(key, "history", body if before is None else body | {"before": before})

    async def command(self, key: Key, name: str, fields: Mapping[str, Any]) -> str:
        """Send a command. Returns why it was not carried out, as a sentence; empty: it was, or the broker has no answers."""
        number = self._send(key, name, fields)
        if number is None:
            return "not sent: there is no connection to the broker"
        if self._link is None or not self._link.has_answers:
            return ""
        if len(self._questions) >= MAX_QUESTIONS:
            return "sent; too many answers are waited for to wait for this one"
        self._questions[number] = answer = asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(answer, ANSWER_S)
        except TimeoutError:
            return f"sent, but the node has not answered within {ANSWER_S:.0f} s; a broker that keeps its session will deliver it"
        finally:
            self._questions.pop(number, None)

    def _send(self, key: Key, name: str, fields: Mapping[str, Any]) -> int | None:
        if self._link is None:
            return None
        node, asset = key
        return self._link.command(f"{self.base}/{node}/{asset}/cmd/{name}", orjson.dumps(fields))

    def _answered(self, number: str, payload: bytes) -> None:
        question = self._questions.get(int(number)) if number.isdecimal() and len(number) < 12 else None
        if question is not None and not question.done():
            question.set_result(_refusal(payload))


def _refusal(payload: bytes) -> str:
    try:
        body = orjson.loads(payload)
    except ValueError:
        return "the node's answer cannot be read"
    if isinstance(body, dict) and body.get("ok") is True:
        return ""
    return text(body.get("error") if isinstance(body, dict) else body) or "refused without a reason"

"""The two pages: all assets, and one of them.

    once a second: Live.step ─► changes ─► every page that is open

Each browser has its own elements; what they show is the one `Live`.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from fastapi import Depends, HTTPException
from nicegui import ui
from nicegui.client import Client
from nicegui.events import GenericEventArguments

from edge_ae.core.published import Asset
from edge_ae.web.answers import Answers
from edge_ae.web.asset_facts import SILENCES, channels_of, facts_of, now_of, ruled_channel, spans_of, unlearnt
from edge_ae.web.board import Fields
from edge_ae.web.components import AlertList, BoardList, Facts, Now, Shell, Trend, WhatIf
from edge_ae.web.gone import GoneLine, GoneTopics
from edge_ae.web.live import Key, Live, WatchedAsset
from edge_ae.web.words import LONGEST_NAME, text

STEP_S, SOON_S = 1.0, 0.2
MAX_BROWSERS = 20
MAX_PAGES = 120
STYLE = (Path(__file__).parent / "static" / "style.css").read_text()

log = logging.getLogger("edge_ae.web")


class OpenPage(Protocol):
    """A page that somebody looks at."""

    def show(self, changes: Fields) -> None:
        """Draw what has changed; `changes`: of the overview."""


class Pages:
    """Registers the pages with the library, and draws those that are open."""

    def __init__(self, live: Live, gone: GoneTopics, alive: Callable[[], None], *, logout: bool) -> None:
        self._live, self._gone, self._alive, self._logout = live, gone, alive, logout
        self._open: dict[str, OpenPage] = {}
        ui.add_head_html(f"<style>{STYLE}</style>", shared=True)
        room = [Depends(_room)]
        ui.page("/", title="All assets - edge-ae", dependencies=room)(self.overview)
        ui.page("/asset/{node}/{name}", title="edge-ae", dependencies=room)(self.asset)

    async def run(self) -> None:
        """Draws, for as long as the server runs."""
        while True:
            self.step()
            self._alive()
            await asyncio.sleep(SOON_S if self._live.is_asked else STEP_S)

    def step(self) -> None:
        """One drawing of all pages."""
        changes = self._live.step(time.time_ns())
        for page in list(self._open.values()):
            page.show(changes)

    def overview(self) -> None:
        """All assets."""
        if self._is_full():
            return
        with ui.element("main").classes("ea-page"):
            shell = Shell("All assets", inner=False, logout=self._logout)
            self._opened(OverviewPage(self._live, self._gone, shell))

    def asset(self, node: str, name: str) -> None:
        """One asset."""
        if self._is_full():
            return
        watched = self._live.look_at((node, name))
        if watched is None:
            _sentence("Too many assets are looked at already: close a page, and load this one again.")
            return
        ui.context.client.on_delete(lambda: self._live.look_away((node, name)))
        title = text(name, LONGEST_NAME)
        ui.page_title(f"{title} - edge-ae")
        with ui.element("main").classes("ea-page"):
            shell = Shell(title, inner=True, logout=self._logout)
            self._opened(AssetPage(self._live, (node, name), watched, shell))

    def _opened(self, page: OpenPage) -> None:
        client = ui.context.client
        self._open[client.id] = page
        client.on_delete(lambda: self._open.pop(client.id, None))
        page.show({})

    def _is_full(self) -> bool:
        connected = sum(client.has_socket_connection for client in Client.instances.values())
        if connected < MAX_BROWSERS:
            return False
        _sentence(f"{MAX_BROWSERS} browsers look at this page already: close one, and load it again.")
        return True


def _room() -> None:
    """Refuses before a page is made: what asks for pages and never connects leaves each to the library for a minute."""
    if len(Client.instances) >= MAX_PAGES:
        raise HTTPException(503, "Too many pages were asked for at once; load this one again in a minute.")


def _sentence(words: str) -> None:
    with ui.element("main").classes("ea-page"):
        ui.label(words).classes("ea-notice").props('role="status"')


class OverviewPage:
    """All assets."""

    def __init__(self, live: Live, gone: GoneTopics, shell: Shell) -> None:
        self._live, self._shell = live, shell
        self._list = BoardList(live.board.whole())
        GoneLine(gone)

    def show(self, changes: Fields) -> None:
        self._shell.show(self._live.connection_note)
        if changes:
            self._list.apply(changes)


class AssetPage:
    """One asset."""

    def __init__(self, live: Live, key: Key, watched: WatchedAsset, shell: Shell) -> None:
        self._live, self._key, self._watched, self._shell = live, key, watched, shell
        self._now = Now()
        with self._now:
            self._answers = Answers(live, key)
        rows = watched.signals.since(0)
        self._cursor = watched.signals.generation, watched.signals.rows
        self._trend = Trend(rows)
        self._facts = Facts().on("clear", self._clear)
        self._what_if = WhatIf().on("use", self._use)
        self._history = AlertList().on("act", self._act)

    def show(self, _changes: Fields) -> None:
        live, watched = self._live, self._watched
        asset = live.view.assets.get(self._key, Asset())
        self._shell.show(live.connection_note)
        self._now.show(**now_of(live.view, self._key, asset, time.time_ns()))
        self._answers.show(asset)
        self._facts.show(**facts_of(live.view, self._key, asset, watched))
        self._show_signals(asset)
        self._history.show(watched.past.alerts, more=watched.past.more, known=watched.past.answers > 0)
        self._what_if.show(watched.past.what_if)

    def _show_signals(self, asset: Asset) -> None:
        signals = self._watched.signals
        generation, cursor = self._cursor
        if (signals.generation, signals.rows) != self._cursor:
            self._trend.apply(signals.since(cursor if signals.generation == generation else 0))
            self._cursor = signals.generation, signals.rows
        top = [text(one.get("name"), LONGEST_NAME) for one in channels_of(asset.alert)]
        left = max(signals.channels - signals.shown, 0)
        self._trend.show(spans_of(asset, self._watched), top, left, self._waiting(asset))

    def _waiting(self, asset: Asset) -> str:
        if self._live.view.offline(self._key[0]):
            return "The node is offline."
        if not asset.alert and not asset.health:
            return "Nothing has been published of an asset of this name."
        return "Waiting for the node to send the signals; versions before 0.3 do not."

    async def _use(self, event: GenericEventArguments) -> None:
        budgets = (self._watched.past.what_if or {}).get("budgets", ())
        if any(one["budget"] == event.args for one in budgets):
            await self._answers.send("budget", {"budget": event.args})
            self._watched.history_due = True

    async def _clear(self, event: GenericEventArguments) -> None:
        """Take back a rule that was set by a command, a lesson, or the silences."""
        if event.args == SILENCES:
            await self._answers.send("silence", {"clear": True})
            return
        asset = self._live.view.assets.get(self._key, Asset())
        lesson = unlearnt(asset.health, event.args)
        if lesson is not None:
            await self._answers.send("unlearn", {"id": lesson})
            return
        channel = ruled_channel(asset.health, event.args)
        if channel is not None:
            await self._answers.send("rule", {"channel": channel, "clear": True})

    async def _act(self, event: GenericEventArguments) -> None:
        """A tap on an alert; only what this page has shown is taken."""
        said: Any = event.args if isinstance(event.args, dict) else {}
        action, past = said.get("action"), self._watched.past
        if action == "earlier":
            self._live.ask_history(self._key, past.before)
            return
        alert = past.alert(str(said.get("id")))
        if alert is None:
            return
        if action in ("false_alarm", "true_alarm"):
            await self._answers.send("feedback", {"id": alert["id"], "label": action})
            self._watched.history_due = True
        elif action == "note":
            self._answers.ask_name(alert)
        elif action == "rule" and alert["top_channel"]:
            self._answers.ask_rule(alert["top_channel"])

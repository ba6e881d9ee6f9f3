"""The line below the list: what the broker still retains of nodes and assets that are gone, to look at and to remove.

    a tap ─► GoneTopics.look ─► so many topics, whose, why ─ a tap ─► GoneTopics.remove ─► what came of it

What is gone is decided as `edge-ae purge` decides it. Nothing is asked of the broker before somebody taps.
"""

import asyncio
from collections.abc import Callable, Sequence, Set
from itertools import groupby, islice
from typing import Protocol

from nicegui import ui

from edge_ae.core.leftovers import Leftover, Leftovers
from edge_ae.errors import BadConfig
from edge_ae.web.answers import plain_button
from edge_ae.web.components import put
from edge_ae.web.words import LONGEST_NAME, text

SHOWN = 100  # owners; more are counted


class GoneTopics(Protocol):
    """Looks for them on a connection of its own. Both block, and raise BadConfig with a sentence."""

    def look(self) -> Leftovers:
        """What is left over."""

    def remove(self, topics: Set[str]) -> int:
        """Take those of them back that are left over still; how many."""


class GoneLine:
    """The line of one browser."""

    def __init__(self, source: GoneTopics) -> None:
        self._source = source
        self._topics: frozenset[str] = frozenset()
        with ui.element("section").classes("ea-tools").props('aria-label="Nodes and assets that are gone"'):
            self._look = plain_button("Nodes and assets that are gone \u2026").on("click", self._show)
            self._remove = plain_button("Remove them").on("click", self._take_back)
            self._said = ui.label().classes("ea-faint").props('role="status" data-test="gone"')
        self._list = ui.element("ul").classes("ea-alerts")
        self._say("", ())

    async def _show(self) -> None:
        await self._while_busy("Looking at what the broker retains \u2026", self._look_for)

    async def _take_back(self) -> None:
        await self._while_busy("Removing \u2026", self._remove_shown)

    def _look_for(self) -> tuple[str, Sequence[Leftover]]:
        items = self._source.look().items
        if not items:
            return "Nothing is left over of nodes and assets that are gone.", ()
        return f"{len(items):,} topics of nodes and assets that are gone.", items

    def _remove_shown(self) -> tuple[str, Sequence[Leftover]]:
        return f"{self._source.remove(self._topics):,} topics removed.", ()

    async def _while_busy(self, meanwhile: str, work: Callable[[], tuple[str, Sequence[Leftover]]]) -> None:
        """A tap amid the work finds no button."""
        put(self._look, disabled=True)
        put(self._remove, disabled=True)
        self._said.text = meanwhile
        try:
            said, items = await asyncio.to_thread(work)
        except BadConfig as fault:
            said, items = text(fault), ()
        self._say(said, items)

    def _say(self, words: str, items: Sequence[Leftover]) -> None:
        self._topics = frozenset(one.topic for one in items)
        put(self._look, disabled=False)
        put(self._remove, disabled=not items)
        self._said.text = words
        self._list.clear()
        owners = groupby(items, key=lambda one: (one.node if one.with_node else f"{one.node}/{one.asset}", one.why))
        with self._list:
            for (owner, why), topics in islice(owners, SHOWN):
                with ui.element("li"):
                    ui.label(f"{text(owner, 2 * LONGEST_NAME)}: {text(why)} ({sum(1 for _ in topics)})")

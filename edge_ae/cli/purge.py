"""`edge-ae purge`: takes back what the broker still retains of nodes and assets that are gone.

What is left over is decided by `core.leftovers`. Here messages are collected until no more come, and topics are emptied; that an
empty message comes back shows that the broker has taken it.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby, islice
from typing import TYPE_CHECKING

from edge_ae.cli.options import broker, broker_options, count, topic_base
from edge_ae.core.printable import printable
from edge_ae.core.timestamps import HOUR
from edge_ae.errors import BadConfig

if TYPE_CHECKING:
    from edge_ae.core.leftovers import Inventory, Leftover, Leftovers
    from edge_ae.mqtt.inbox import Message
    from edge_ae.mqtt.topic_listener import TopicListener

WHAT = "take back what the broker retains of nodes and assets that are gone"
EXAMPLE = "edge-ae purge --host localhost --days 30"

QUIET_S = 1.0  # The broker sends what it retains in one go: after so long without any of it all is here.
STATS_S = 70.0  # Stats come each minute where nothing else is set.
CONFIRM_S = 3.0  # The broker is asked to empty topics, and for so long has emptied none.
MOST_S = 60.0  # The same, however much comes.
AT_ONCE = 500  # topics that are emptied before their empty messages are waited for
LOOK_S = 0.05  # Before each of these lots, for who has come back.
NAME_CHARS = 120


def add_options(parser: ArgumentParser) -> None:
    broker_options(parser)
    parser.add_argument(
        "--base", type=topic_base, help="first level of the topics (default: the settings', else edge-ae)"
    )
    parser.add_argument(
        "--days",
        type=count,
        default=30,
        metavar="N",
        help="a node is gone that is offline and has sent no stats for so many days (default: 30)",
    )
    parser.add_argument(
        "--node",
        action="append",
        default=[],
        metavar="NAME",
        help="this node is gone, however short a time; repeatable",
    )
    parser.add_argument("--yes", action="store_true", help="remove it; without, what would be removed is shown")


def execute(options: Namespace) -> int:
    from edge_ae.config.loading import load
    from edge_ae.core.leftovers import Inventory
    from edge_ae.mqtt.topic_listener import TopicListener

    settings = load(options.config)
    inventory = Inventory(options.base or settings.mqtt.base, settings.homeassistant.prefix)
    source = TopicListener(broker(options))
    try:
        found = _collect(source, inventory, options.days * 24 * HOUR, frozenset(options.node))
        _show(found)
        problems = _problems(inventory, found, options.node, source.dropped)
        if problems:
            raise BadConfig("\n".join(problems))
        return _remove(source, inventory, found.items) if options.yes else _propose(found.items)
    finally:
        source.close()


# -- what there is ---------------------------------------------------------------------------------------------


def _collect(source: "TopicListener", inventory: "Inventory", after_ns: int, named: frozenset[str]) -> "Leftovers":
    from edge_ae.core.leftovers import leftovers

    source.subscribe(inventory.filters)
    _take_until(source, inventory, lambda: False, quiet_s=QUIET_S, counts=lambda message: message.retain)

    def look() -> "Leftovers":
        return leftovers(inventory, time.time_ns(), after_ns, named)

    unsure = look().unsure
    if unsure:
        print(f"waiting for the stats of {_names(unsure)}, to see what is watched", file=sys.stderr)
        _take_until(source, inventory, lambda: not look().unsure, most_s=STATS_S)
    return look()


def _take_until(
    source: "TopicListener",
    inventory: "Inventory",
    done: Callable[[], bool],
    most_s: float = MOST_S,
    quiet_s: float = MOST_S,
    counts: Callable[["Message"], bool] = lambda _: True,
    note: Callable[["Message"], object] = lambda _: None,
) -> None:
    """Take messages in until `done`, or for `quiet_s` none has come that `counts`, or the time is over; `note` each."""
    now_s = time.monotonic()
    end_s, quiet_end_s = now_s + most_s, now_s + quiet_s
    while not done() and now_s < min(end_s, quiet_end_s):
        messages = source.take(min(end_s, quiet_end_s) - now_s)
        for message in messages:
            inventory.take(message.topic, message.payload, live=not message.retain)
            note(message)
        now_s = time.monotonic()
        if any(map(counts, messages)):
            quiet_end_s = now_s + quiet_s


def _problems(inventory: "Inventory", found: "Leftovers", named: Sequence[str], dropped: int) -> list[str]:
    """Why nothing may be removed, or not what was asked for, a sentence each."""
    problems = []
    if inventory.more > 0 or dropped > 0:
        problems.append(
            f"{inventory.more + dropped:,} more retained messages came than can be looked at; nothing is removed"
        )
    for node in named:
        name = printable(node, NAME_CHARS)
        if node not in inventory.nodes:
            problems.append(f"--node {name}: nothing is retained of a node of this name")
        elif node in found.kept:
            problems.append(f"--node {name}: it is {found.kept[node]}; stop it first")
    return problems


def _show(found: "Leftovers") -> None:
    for (owner, why), items in groupby(found.items, key=lambda one: (_owner(one), one.why)):
        print(f"{owner}: {printable(why, NAME_CHARS)}")
        for one in items:
            print(f"    {printable(one.topic, 2 * NAME_CHARS)}")
    for node, why in found.kept.items():
        print(f"note: {printable(node, NAME_CHARS)} stays: {why}")
    for node in sorted(found.unsure):
        print(f"note: {printable(node, NAME_CHARS)} sent no stats while they were waited for: its assets stay")


def _owner(one: "Leftover") -> str:
    """The node, where all of it goes; else the asset."""
    return printable(one.node if one.with_node else f"{one.node}/{one.asset}", NAME_CHARS)


def _names(nodes: Iterable[str]) -> str:
    return ", ".join(printable(node, NAME_CHARS) for node in sorted(nodes))


# -- what goes -------------------------------------------------------------------------------------------------


def _propose(items: Sequence["Leftover"]) -> int:
    if not items:
        print("nothing is left over")
    else:
        print(f"{len(items):,} retained messages would be removed, each by an empty one on its topic; --yes does it")
    return 0


class _Returned:
    """Who has published since it was decided what goes: that is not gone. `taken`: what of it an empty message of ours took."""

    def __init__(self, inventory: "Inventory") -> None:
        self.taken: dict[str, bytes] = {}
        self._inventory = inventory
        self._nodes: set[str] = set()
        self._assets: set[tuple[str, str | None]] = set()
        self._published: dict[str, bytes] = {}

    def note(self, message: "Message") -> None:
        """Messages come in the order in which the broker had them: what stands before our empty one is gone with it."""
        topic, payload = message.topic, message.payload
        if message.retain:
            return
        if not payload:
            if topic in self._published:
                self.taken[topic] = self._published.pop(topic)
            return
        self._published[topic] = payload
        owner = self._inventory.owners.get(topic)
        if owner is not None:
            self._nodes.add(owner[0])
            self._assets.add(owner)

    def has(self, one: "Leftover") -> bool:
        """Whether what would have gone is there again."""
        whole = one.node in self._nodes if one.with_node else (one.node, one.asset) in self._assets
        return whole or one.topic in self._published or one.topic in self.taken


def _remove(source: "TopicListener", inventory: "Inventory", items: Sequence["Leftover"]) -> int:
    """Raises BadConfig with what the broker keeps all the same."""
    left, returned = iter(items), _Returned(inventory)
    while some := list(islice(left, AT_ONCE)):
        _take_until(source, inventory, lambda: False, most_s=LOOK_S, note=returned.note)
        _empty(source, inventory, {one.topic for one in some if not returned.has(one)}, returned)
    back = [one for one in items if returned.has(one)]
    stays = [one.topic for one in items if inventory.holds(one.topic) and not returned.has(one)]
    removed = len(items) - len(stays) - len(back)
    print(f"{removed:,} retained messages removed" if items else "nothing is left over")
    if back:
        print(f"note: {len(back):,} stay, for {_names({_owner(one) for one in back})} has come back meanwhile")
    if stays:
        shown = ", ".join(printable(topic, NAME_CHARS) for topic in stays[:3])
        raise BadConfig(f"the broker keeps {len(stays):,} of them, such as {shown}; allow us to write there in its ACL")
    return 0


def _empty(source: "TopicListener", inventory: "Inventory", topics: set[str], returned: _Returned) -> None:
    """What somebody published just before our empty message is given back."""
    for topic in topics:
        source.publish(topic, b"", qos=1, retain=True)
    _take_until(
        source,
        inventory,
        lambda: not any(map(inventory.holds, topics)),
        quiet_s=CONFIRM_S,
        counts=lambda message: message.topic in topics,
        note=returned.note,
    )
    taken = topics & returned.taken.keys()
    for topic in taken:
        source.publish(topic, returned.taken[topic], qos=1, retain=True)
    _take_until(source, inventory, lambda: all(map(inventory.holds, taken)), quiet_s=CONFIRM_S)

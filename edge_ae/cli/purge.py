"""`edge-ae purge`: takes back what the broker still retains of nodes and assets that are gone, as `mqtt.leftover_topics` finds it."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from edge_ae.cli.options import broker, broker_options, count, topic_base
from edge_ae.core.printable import printable
from edge_ae.core.timestamps import HOUR
from edge_ae.errors import BadConfig

if TYPE_CHECKING:
    from edge_ae.core.leftovers import Inventory, Leftover, Leftovers
    from edge_ae.mqtt.topic_listener import TopicListener

WHAT = "take back what the broker retains of nodes and assets that are gone"
EXAMPLE = "edge-ae purge --host localhost --days 30"

DAYS = 30  # without stats, where nobody says another number
NAME_CHARS = 120


def add_options(parser: ArgumentParser) -> None:
    broker_options(parser)
    parser.add_argument(
        "--base", type=topic_base, help="first level of the topics (default: the settings', else edge-ae)"
    )
    parser.add_argument(
        "--days",
        type=count,
        default=DAYS,
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
    from edge_ae.mqtt.leftover_topics import collect, not_looked_at
    from edge_ae.mqtt.topic_listener import TopicListener

    settings = load(options.config)
    inventory = Inventory(options.base or settings.mqtt.base, settings.homeassistant.prefix)
    source = TopicListener(broker(options))
    try:
        found = collect(source, inventory, options.days * 24 * HOUR, frozenset(options.node), _say_waiting)
        _show(found)
        problems = _problems(inventory, found, options.node, not_looked_at(source, inventory))
        if problems:
            raise BadConfig("\n".join(problems))
        return _remove(source, inventory, found.items) if options.yes else _propose(found.items)
    finally:
        source.close()


# -- what there is ---------------------------------------------------------------------------------------------


def _say_waiting(nodes: Iterable[str]) -> None:
    print(f"waiting for the stats of {_names(nodes)}, to see what is watched", file=sys.stderr)


def _problems(inventory: "Inventory", found: "Leftovers", named: Sequence[str], more: int) -> list[str]:
    """Why nothing may be removed, or not what was asked for, a sentence each."""
    problems = []
    if more > 0:
        problems.append(f"{more:,} more retained messages came than can be looked at; nothing is removed")
    for node in named:
        name = printable(node, NAME_CHARS)
        if node not in inventory.nodes:
            problems.append(f"--node {name}: nothing is retained of a node of this name")
        elif node in found.kept:
            problems.append(f"--node {name}: it is {found.kept[node]}; stop it first")
    return problems


def _show(found: "Leftovers") -> None:
    from edge_ae.core.leftovers import SETTLED_S

    for (owner, why), items in groupby(found.items, key=lambda one: (_owner(one), one.why)):
        print(f"{owner}: {printable(why, NAME_CHARS)}")
        for one in items:
            print(f"    {printable(one.topic, 2 * NAME_CHARS)}")
    for node, why in found.kept.items():
        print(f"note: {printable(node, NAME_CHARS)} stays: {why}")
    for node in sorted(found.unsure):
        print(f"note: {printable(node, NAME_CHARS)} sent no stats while they were waited for: its assets stay")
    for node in sorted(found.settling):
        print(
            f"note: {printable(node, NAME_CHARS)} has been running for less than {SETTLED_S // 60} minutes and may not know "
            "all of its assets yet: they stay"
        )


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


def _remove(source: "TopicListener", inventory: "Inventory", items: Sequence["Leftover"]) -> int:
    """Raises BadConfig with what the broker keeps all the same."""
    from edge_ae.mqtt.leftover_topics import remove

    done = remove(source, inventory, items)
    print(
        f"{len(items) - len(done.kept) - len(done.back):,} retained messages removed"
        if items
        else "nothing is left over"
    )
    if done.back:
        owners = _names({_owner(one) for one in done.back})
        print(f"note: {len(done.back):,} stay, for {owners} has come back meanwhile")
    if done.kept:
        shown = ", ".join(printable(topic, NAME_CHARS) for topic in done.kept[:3])
        raise BadConfig(
            f"the broker keeps {len(done.kept):,} of them, such as {shown}; allow us to write there in its ACL"
        )
    return 0

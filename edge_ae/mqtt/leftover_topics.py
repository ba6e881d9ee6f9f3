"""What a broker retains of nodes and assets that are gone, looked for and taken back: for `edge-ae purge` and the live page.

    collect ─► Leftovers          remove ─► Removal: what stays all the same

What is left over is decided by `core.leftovers`. Here messages are collected until no more come, and topics are emptied; that an
empty message comes back shows that the broker has taken it.
"""

import time
from collections.abc import Callable, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from edge_ae.core.leftovers import Inventory, Leftover, Leftovers, leftovers
from edge_ae.errors import BadConfig
from edge_ae.mqtt.inbox import Message
from edge_ae.mqtt.options import Broker
from edge_ae.mqtt.topic_listener import TopicListener

QUIET_S = 1.0  # The broker sends what it retains in one go: after so long without any of it all is here.
STATS_S = 70.0  # Stats come each minute where nothing else is set.
CONFIRM_S = 3.0  # The broker is asked to empty topics, and for so long has emptied none.
MOST_S = 60.0  # The same, however much comes.
AT_ONCE = 500  # topics that are emptied before their empty messages are waited for
LOOK_S = 0.05  # Before each of these lots, for who has come back.


class LeftoverTopics:
    """For one who looks now and then: a connection each time. `after_ns`: as `leftovers` has it. Both raise BadConfig."""

    def __init__(self, broker: Broker, base: str, discovery: str, after_ns: int) -> None:
        self._broker, self._base, self._discovery, self._after_ns = broker, base, discovery, after_ns

    def look(self) -> Leftovers:
        """What is left over. Takes a second, and more than a minute where stats have to be waited for."""
        with closing(TopicListener(self._broker)) as source:
            return self._collect(source)[1]

    def remove(self, topics: Set[str]) -> int:
        """Take back those of `topics` that are left over still: what has come to life meanwhile stays. Returns how many."""
        with closing(TopicListener(self._broker)) as source:
            inventory, found = self._collect(source)
            going = [one for one in found.items if one.topic in topics]
            done = remove(source, inventory, going)
            if done.kept:
                raise BadConfig(f"the broker keeps {len(done.kept):,} of them; allow us to write there in its ACL")
            return len(going) - len(done.back)

    def _collect(self, source: TopicListener) -> tuple[Inventory, Leftovers]:
        inventory = Inventory(self._base, self._discovery)
        found = collect(source, inventory, self._after_ns)
        if not_looked_at(source, inventory) > 0:
            raise BadConfig("more retained messages came than can be looked at; nothing is removed")
        return inventory, found


def not_looked_at(source: TopicListener, inventory: Inventory) -> int:
    """How many messages came that found no room: what is left over is then not known."""
    return inventory.more + source.dropped


def collect(
    source: TopicListener,
    inventory: Inventory,
    after_ns: int,
    named: Set[str] = frozenset(),
    waiting: Callable[[Set[str]], None] = lambda _nodes: None,
) -> Leftovers:
    """Fill the inventory. `after_ns`, `named`: as `leftovers` has them; `waiting` is called with nodes whose stats are waited for."""
    source.subscribe(inventory.filters)
    _take_until(source, inventory, lambda: False, quiet_s=QUIET_S, counts=lambda message: message.retain)

    def look() -> Leftovers:
        return leftovers(inventory, time.time_ns(), after_ns, named)

    unsure = look().unsure
    if unsure:
        waiting(unsure)
        _take_until(source, inventory, lambda: not look().unsure, most_s=STATS_S)
    return look()


@dataclass(frozen=True, slots=True)
class Removal:
    """What was not removed. back: what somebody has published again meanwhile; kept: topics that the broker did not empty."""

    back: tuple[Leftover, ...]
    kept: tuple[str, ...]


def remove(source: TopicListener, inventory: Inventory, items: Sequence[Leftover]) -> Removal:
    """Empty the topics of those items that have not come back since they were looked at."""
    left, returned = iter(items), _Returned(inventory)
    while some := list(islice(left, AT_ONCE)):
        _take_until(source, inventory, lambda: False, most_s=LOOK_S, note=returned.note)
        _empty(source, inventory, {one.topic for one in some if not returned.has(one)}, returned)
    back = tuple(one for one in items if returned.has(one))
    kept = tuple(one.topic for one in items if inventory.holds(one.topic) and not returned.has(one))
    return Removal(back, kept)


class _Returned:
    """Who has published since it was decided what goes: that is not gone. `taken`: what of it an empty message of ours took."""

    def __init__(self, inventory: Inventory) -> None:
        self.taken: dict[str, bytes] = {}
        self._inventory = inventory
        self._nodes: set[str] = set()
        self._assets: set[tuple[str, str | None]] = set()
        self._published: dict[str, bytes] = {}

    def note(self, message: Message) -> None:
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

    def has(self, one: Leftover) -> bool:
        """Whether what would have gone is there again."""
        whole = one.node in self._nodes if one.with_node else (one.node, one.asset) in self._assets
        return whole or one.topic in self._published or one.topic in self.taken


def _empty(source: TopicListener, inventory: Inventory, topics: set[str], returned: _Returned) -> None:
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


def _take_until(
    source: TopicListener,
    inventory: Inventory,
    done: Callable[[], bool],
    most_s: float = MOST_S,
    quiet_s: float = MOST_S,
    counts: Callable[[Message], bool] = lambda _: True,
    note: Callable[[Message], object] = lambda _: None,
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

"""Faults by kind. Each strikes, puts right again what it broke, and says since when all is back, as monotonic ns."""

import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.chaos.clock import set_clock
from tests.chaos.people import REMEMBERED_S, command
from tests.chaos.plant import ASSETS, BREAKING, GUEST, time_of
from tests.chaos.world import World
from tests.conftest import wait_for

DAY_NS = 86_400 * 10**9
JUMPS_DAYS = 20.0
OLDEST_SAVE_S = REMEMBERED_S / 2  # a broker is never set back by more
ALERT_S = 10.0  # in which the guest raises an alert, as a rule
WITHDRAWN_S = 15.0  # in which an asset that is watched no more is withdrawn, at the latest
NEVER = 10**8  # a row that no campaign comes to
Strike = Callable[[World, random.Random], int]


@dataclass(frozen=True, slots=True)
class Kind:
    """`weight`: how often it comes, beside the others."""

    weight: float
    strike: Strike


def _now() -> int:
    return time.monotonic_ns()


# -- processes -------------------------------------------------------------------------------------------------


def kill_daemon(world: World, dice: random.Random) -> int:
    world.node.end(signal.SIGKILL)
    time.sleep(dice.uniform(0.0, 0.3))
    return world.node.start()


def stop_daemon(world: World, dice: random.Random) -> int:
    world.node.end(signal.SIGTERM)
    time.sleep(dice.uniform(0.0, 0.3))
    return world.node.start()


def freeze_daemon(world: World, dice: random.Random) -> int:
    world.node.freeze(dice.uniform(0.05, 0.8))
    return _now()


def kill_broker(world: World, dice: random.Random) -> int:
    """It comes back with what it had saved: seconds ago, or just now."""
    if dice.random() < 0.3 or _now() - world.broker.saved_ns > OLDEST_SAVE_S * 1e9:
        world.broker.save()
    world.broker.end(signal.SIGKILL)
    time.sleep(dice.uniform(0.0, 0.3))
    return world.broker.start()


def restart_broker(world: World, dice: random.Random) -> int:
    world.broker.end(signal.SIGTERM)
    world.broker.saved_ns = _now()
    time.sleep(dice.uniform(0.0, 0.3))
    return world.broker.start()


def wipe_broker(world: World, _dice: random.Random) -> int:
    """It comes back without sessions and retained messages. What it held for the daemon only the gateway still has, and no
    longer than it remembers. What is published while nobody listens nobody hears: so the witness is back first, and the
    daemon's wire is plugged in then."""
    kept_since = world.gateway.row_after(_now() - round(OLDEST_SAVE_S * 1e9))
    wait_for(lambda: world.witness.newest >= kept_since, "the daemon to catch up")
    world.wire.unplug()
    world.broker.end(signal.SIGKILL)
    world.broker.forget()
    wait_for(lambda: not world.witness.connected, "the witness, who should have noticed")
    world.broker.start()
    wait_for(lambda: world.witness.connected, "the witness")
    world.broker.save()
    world.wire.plug_in()
    return _now()


def freeze_broker(world: World, dice: random.Random) -> int:
    world.broker.freeze(dice.uniform(0.05, 0.8))
    return _now()


def kill_both(world: World, dice: random.Random) -> int:
    """As when the power goes."""
    world.node.end(signal.SIGKILL)
    kill_broker(world, dice)
    return world.node.start()


# -- wire, disk, clock -----------------------------------------------------------------------------------------


def cut_wire(world: World, dice: random.Random) -> int:
    world.wire.unplug()
    time.sleep(dice.uniform(0.0, 0.3))
    world.wire.plug_in()
    return _now()


def cut_packet(world: World, dice: random.Random) -> int:
    """In the middle of one, wherever that is."""
    world.wire.cut_after(dice.randrange(2000))
    time.sleep(dice.uniform(0.0, 0.2))
    return _now()


def fill_disk(world: World, dice: random.Random) -> int:
    _fill(world, dice)
    world.node.free_disk()
    return _now()


def fill_disk_and_kill(world: World, dice: random.Random) -> int:
    _fill(world, dice)
    return kill_daemon(world, dice)


def _fill(world: World, dice: random.Random) -> None:
    """So that nothing, or only a part of a commit can be written."""
    sizes = [path.stat().st_size for path in (world.node.database, world.node.database_log) if path.exists()]
    world.node.limit_disk(dice.choice([0, 100, *sizes, *(size + 5_000 for size in sizes)]))
    time.sleep(dice.uniform(0.1, 1.2))


def jump_clock(world: World, dice: random.Random) -> int:
    set_clock(world.node.clock, round(dice.uniform(-JUMPS_DAYS, JUMPS_DAYS) * DAY_NS))
    return _now()


# -- files -----------------------------------------------------------------------------------------------------


def tear_commit(world: World, dice: random.Random) -> int:
    """A commit that was being written when the power went: the end of the write-ahead log is rubbish."""
    world.node.end(signal.SIGKILL)
    with world.node.database_log.open("ab") as file:
        file.write(dice.randbytes(dice.randrange(1, 9_000)))
    return world.node.start()


def lose_index(world: World, dice: random.Random) -> int:
    """What SQLite keeps in shared memory is gone after a power cut."""
    world.node.end(signal.SIGKILL)
    world.node.database.with_name(world.node.database.name + "-shm").unlink(missing_ok=True)
    time.sleep(dice.uniform(0.0, 0.2))
    return world.node.start()


# -- settings --------------------------------------------------------------------------------------------------


def take_stream_out_and_restart(world: World, dice: random.Random) -> int:
    """The guest's stream goes while the daemon is down."""
    if not world.node.guest:
        _see_change(world, world.node.reload(guest=True))
    _await_alert(world, dice)
    return _restart(world, dice, guest=False)


def change_streams(world: World, dice: random.Random) -> int:
    """The guest's stream goes by a reload, and comes back by a restart."""
    if not world.node.guest:
        return _restart(world, dice, guest=True)
    _await_alert(world, dice)
    back_ns = world.node.reload(guest=False)
    _see_change(world, back_ns)
    return back_ns


def _restart(world: World, dice: random.Random, *, guest: bool) -> int:
    world.node.end(dice.choice([signal.SIGKILL, signal.SIGTERM]))
    world.node.configure(guest=guest)
    back_ns = world.node.start()
    _see_change(world, back_ns)
    return back_ns


def _await_alert(world: World, dice: random.Random) -> None:
    """Most streams are to go in the middle of an alert. One that has broken down for an hour raises none any more."""
    deadline = time.monotonic() + (ALERT_S if dice.random() < 0.7 else 0.0)
    while world.witness.alerts.get(GUEST, {}).get("state") != "active" and time.monotonic() < deadline:
        time.sleep(0.01)


def _see_change(world: World, since_ns: int) -> None:
    """A stream that has come is scored; of one that has gone nothing is left on the broker."""
    if world.node.guest:
        row = world.gateway.row_after(since_ns)
        wait_for(lambda: world.witness.guest >= row, "a row of the guest to be used")
        return
    left: Mapping[str, Callable[[], bool]] = {
        "retained alert": lambda: GUEST in world.witness.alerts,
        "subscription": lambda: world.gateway.unheard_ns <= since_ns,
    }
    deadline = time.monotonic() + WITHDRAWN_S
    while any(is_left() for is_left in left.values()) and time.monotonic() < deadline:
        time.sleep(0.01)
    world.stuck.extend(f"{GUEST}'s {what}" for what, is_left in left.items() if is_left())


# -- readings --------------------------------------------------------------------------------------------------


def shuffle(world: World, dice: random.Random) -> int:
    world.gateway.shuffle(dice.randrange(1, 6))
    return _now()


def repeat(world: World, dice: random.Random) -> int:
    world.gateway.repeat(dice.randrange(1, 60))
    return _now()


# -- people ----------------------------------------------------------------------------------------------------


def rule(world: World, dice: random.Random) -> int:
    """Of the guest what breaks does not count any more, or does again. To the others it is said that all of it counts."""
    asked: dict[str, Any] = dice.choice(
        [{"mute": True}, {"direction": "low"}, {"min_deviation": "900%"}, {"clear": True}, {"clear": True}]
    )
    nothing: dict[str, Any] = dice.choice([{"mute": False}, {"direction": "both"}, {"min_deviation": 0}])
    for channel in BREAKING:
        command(world.broker.port, GUEST, "rule", {"channel": channel, **asked})
        command(world.broker.port, dice.choice(ASSETS), "rule", {"channel": channel, **nothing})
    return _now()


def silence(world: World, dice: random.Random) -> int:
    """The guest is silent for a while, or no longer; of the others somebody thinks of a time that never comes."""
    newest = len(world.gateway.sent_ns)
    begin = newest + dice.randrange(-50, 50)
    planned = {"from": time_of(begin), "until": time_of(newest + dice.randrange(60, 300)), "note": "cleaning"}
    command(world.broker.port, GUEST, "silence", dice.choice([planned, planned, {"clear": True}]))
    far = {"from": time_of(NEVER), "until": time_of(NEVER + 60)}
    command(world.broker.port, dice.choice(ASSETS), "silence", dice.choice([far, {"clear": True}]))
    return _now()


KINDS: Mapping[str, Kind] = {
    "daemon killed": Kind(4, kill_daemon),
    "daemon stopped": Kind(1, stop_daemon),
    "daemon frozen": Kind(2, freeze_daemon),
    "broker killed, back with an older save": Kind(4, kill_broker),
    "broker restarted": Kind(2, restart_broker),
    "broker's memory lost": Kind(1, wipe_broker),
    "broker frozen": Kind(2, freeze_broker),
    "both killed": Kind(2, kill_both),
    "wire cut": Kind(3, cut_wire),
    "wire cut within a packet": Kind(4, cut_packet),
    "disk full": Kind(3, fill_disk),
    "disk full, then daemon killed": Kind(1.5, fill_disk_and_kill),
    "clock set": Kind(2, jump_clock),
    "commit torn": Kind(2, tear_commit),
    "index of the database lost": Kind(1, lose_index),
    "stream taken out by a restart": Kind(1.5, take_stream_out_and_restart),
    "stream put back, or taken out by a reload": Kind(1.5, change_streams),
    "rule for a channel set or taken back": Kind(3, rule),
    "silence set or taken back": Kind(3, silence),
    "readings out of order": Kind(2, shuffle),
    "readings repeated": Kind(2, repeat),
}

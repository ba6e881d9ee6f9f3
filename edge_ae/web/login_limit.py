"""How soon somebody may guess a password again: later after each wrong one of their address, and, where many are wrong, slowly.

    begin(address, now) ─► Refused(wait), or Held(delay) ─ after the delay, look at it ─► end(address, matched, now)

What comes too soon is not looked at and changes nothing, so that nobody can be kept out by one who only hammers: another
address is never refused for it, its guess is only held for some seconds. One guess of an address at a time, and so many of
all. Pure: time comes in. Bounded: of more addresses than there is room for, the one that failed longest ago goes.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

from edge_ae.core.timestamps import SECOND

FREE = 5  # wrong ones of an address before it has to wait
LONGEST_NS = 900 * SECOND
FREE_OVERALL = 30  # wrong ones of all addresses before guesses are held
STEP_OVERALL = 10  # further ones that double the time for which they are
LONGEST_HELD_NS = 8 * SECOND
MAX_HELD = 20  # guesses at once
FORGOTTEN_NS = 3600 * SECOND  # after the last wrong one
MAX_ADDRESSES = 1_000
LOG_NS = 60 * SECOND


@dataclass(frozen=True, slots=True)
class RefusedGuess:
    """It is not looked at; the next one may be after `wait_ns`."""

    wait_ns: int


@dataclass(frozen=True, slots=True)
class HeldGuess:
    """It is looked at after `delay_ns`, which ends with `LoginLimit.end`."""

    delay_ns: int


@dataclass(slots=True)
class Failures:
    """Wrong passwords, and how long they make the next one wait."""

    count: int = 0
    last_ns: int = 0
    wait_ns: int = 0

    def add(self, now_ns: int, free: int, step: int, longest_ns: int) -> None:
        """One more; beyond `free` the wait doubles with each `step`."""
        self.count = self.count + 1 if now_ns - self.last_ns < FORGOTTEN_NS else 1
        self.last_ns = now_ns
        beyond = self.count - free
        self.wait_ns = min(SECOND << min((beyond - 1) // step, 40), longest_ns) if beyond > 0 else 0

    def left_ns(self, now_ns: int) -> int:
        """How much of the wait is still to come."""
        return max(self.last_ns + self.wait_ns - now_ns, 0)


class LoginLimit:
    """The wrong passwords of all addresses."""

    def __init__(self) -> None:
        self._by_address: OrderedDict[str, Failures] = OrderedDict()
        self._overall = Failures()
        self._held: set[str] = set()
        self._logged_ns: int | None = None
        self._unlogged = 0

    def __len__(self) -> int:
        return len(self._by_address)

    def begin(self, address: str, now_ns: int) -> RefusedGuess | HeldGuess:
        """Somebody guesses. What is held has to be ended."""
        group = _group(address)
        left_ns = self._by_address.get(group, Failures()).left_ns(now_ns)
        if left_ns > 0:
            return RefusedGuess(left_ns)
        if group in self._held or len(self._held) >= MAX_HELD:
            return RefusedGuess(max(self._delay_ns(now_ns), SECOND))
        self._held.add(group)
        return HeldGuess(self._delay_ns(now_ns))

    def end(self, address: str, matched: bool, now_ns: int) -> int:
        """A guess was looked at. Returns of how many wrong ones to log a line now, at most one a minute; 0: of none."""
        group = _group(address)
        self._held.discard(group)
        if matched:
            self._by_address.pop(group, None)
            return 0
        self._by_address.setdefault(group, Failures()).add(now_ns, FREE, 1, LONGEST_NS)
        self._by_address.move_to_end(group)
        self._overall.add(now_ns, FREE_OVERALL, STEP_OVERALL, LONGEST_HELD_NS)
        while len(self._by_address) > MAX_ADDRESSES:
            self._by_address.popitem(last=False)
        return self._to_log(now_ns)

    def _delay_ns(self, now_ns: int) -> int:
        return self._overall.wait_ns if now_ns - self._overall.last_ns < FORGOTTEN_NS else 0

    def _to_log(self, now_ns: int) -> int:
        self._unlogged += 1
        if self._logged_ns is not None and now_ns - self._logged_ns < LOG_NS:
            return 0
        count, self._unlogged, self._logged_ns = self._unlogged, 0, now_ns
        return count


def _group(address: str) -> str:
    """A subscriber of IPv6 has 2**64 addresses, which count as one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped is not None else str(ipaddress.ip_network((parsed, 64), strict=False))

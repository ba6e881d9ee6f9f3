"""When to connect again: how long to wait, and whether somebody else uses our client id. No socket, no clock.

A broker ends the connection of whoever connected before with the same client id. Two devices with one id thus end each
other's connections for ever; each then has to slow down, although it is accepted each time.
"""

import random
from dataclasses import dataclass

FIRST_S, LONGEST_S = 0.25, 4.0  # a broker that is back is found within 5 s
FIRST_RIVAL_S, LONGEST_RIVAL_S = 1.0, 60.0
SETTLED_S = 5.0  # a connection that lasted so long was a whole one

CUT_SHORT = 8
"""So many connections in a row that were accepted and soon ended without a reason are the work of a rival.

MQTT 3.1.1 has no reason for it, and mosquitto 2.0 does not send the one of MQTT 5. A network that breaks so often would
look the same, so it is many.
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended. `lasted_s`: since it was accepted, None if it never was; `taken_over` None: no reason was given."""

    lasted_s: float | None
    taken_over: bool | None


class Retry:
    """Counts what went wrong since all was well."""

    def __init__(self) -> None:
        self.rival = False  # whether another client ended the last connection, or seems to have
        self.rivalries = 0  # how often in a row
        self._failures = 0
        self._cut_short = 0
        self._waited_s = 0.0

    def ended(self, ending: Ending) -> float:
        """How long to wait after such an ending; with jitter, so that a plant's devices do not all come back at once."""
        self._count(ending)
        first, longest = (FIRST_RIVAL_S, LONGEST_RIVAL_S) if self.rival else (FIRST_S, LONGEST_S)
        doubled = self.rivalries if self.rival else self._failures
        self._waited_s = min(first * 2.0 ** min(doubled, 10), longest) * random.uniform(0.5, 1.0)
        return self._waited_s

    def _count(self, ending: Ending) -> None:
        self.rival = False
        if ending.lasted_s is None:
            self._failures += 1
            self._cut_short = 0
            return
        # A rival that waits as long as we do leaves us alone for so long.
        if ending.lasted_s > max(SETTLED_S, 2 * self._waited_s):
            self._failures = self._cut_short = self.rivalries = 0
        else:
            self._failures += 1
            self._cut_short += 1
        self.rival = self._cut_short >= CUT_SHORT if ending.taken_over is None else ending.taken_over
        self.rivalries += self.rival

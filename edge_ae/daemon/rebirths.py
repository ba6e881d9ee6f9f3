"""Sparkplug edge nodes whose births were missed are asked to be born again, each once in a while."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from edge_ae.core.formats.decoder import Decoder
from edge_ae.core.formats.sparkplug_writing import rebirth_command
from edge_ae.core.printable import printable
from edge_ae.core.timestamps import MINUTE, MS

log = logging.getLogger(__name__)

PAUSE_NS = MINUTE
"""A birth is large, and others hear it, too."""

AT_ONCE = 50
REMEMBERED = 1_000
NAME_CHARS = 100


class Rebirths:
    """`publish`: topic and payload, with QoS 0; gives None where it could not be sent."""

    def __init__(self, publish: Callable[[str, bytes], object | None]) -> None:
        self._publish = publish
        self._asked: OrderedDict[tuple[str, str], int] = OrderedDict()  # edge node -> when

    def ask(self, decoders: Iterable[Decoder], now_ns: int) -> None:
        """Ask those that are wanted and were not asked lately; others ask for themselves with their next data. `now_ns`: monotonic."""
        wanted = set().union(*(decoder.wanted_births() for decoder in decoders))
        for name in sorted(wanted)[:AT_ONCE]:
            asked_ns = self._asked.get(name)
            if asked_ns is None or now_ns - asked_ns >= PAUSE_NS:
                self._ask_one(*name, now_ns)

    def _ask_one(self, group: str, edge: str, now_ns: int) -> None:
        command = rebirth_command(time.time_ns() // MS)
        if self._publish(f"spBv1.0/{group}/NCMD/{edge}", command) is None:
            return
        if (group, edge) not in self._asked:
            log.info("Sparkplug edge node %s is asked to be born again", printable(f"{group}/{edge}", NAME_CHARS))
        self._asked[group, edge] = now_ns
        self._asked.move_to_end((group, edge))
        if len(self._asked) > REMEMBERED:
            self._asked.popitem(last=False)

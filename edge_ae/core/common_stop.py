"""Channels that stand still -> whether they have one cause.

    channel   last change                     stands
    a         ─╲╱─╲╱─╲╱┐──────────────────────►      │◄ the moment of the stop: the latest of the last changes
    b         ──┐__┌───┐──────────────────────►      │  each lies before it by no more rows than the channel
    c         ─╱╲╱╲╱╲╱╲│╱╲╱╲╱╲╱╲╱╲╱╲╱╲╱╲╱╲╱╲╱╲►      │  ever stood still in training, or than TOGETHER

Sensors fail one by one; many that stop in the same few rows were stopped by one thing: the machine, or what brings the
readings. A few of many that stop together share a cable or an input card more likely than a machine: they are the
sensors' fault. Judged by when the channels stopped, not by when that is noticed, for each is given another time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from edge_ae.core.channel_profile import Flags, Ints
from edge_ae.core.health_events import CommonStop

TOGETHER = 3  # rows within which what happens has one cause
SHARE = 3  # One in so many channels, or more of them, are the machine's.
LEAST, LEAST_OF_FEW = 3, 2  # Never fewer than these; the second where an asset has few channels that could stop.
FEW = 6


def are_many(channels: Ints, of: int) -> Flags:
    """Whether these numbers of channels, `of` all that could stop, are the machine's matter and no single sensors'."""
    least = LEAST_OF_FEW if of < FEW else LEAST
    return np.asarray((channels >= least) & (SHARE * channels >= of))


def companies(since: Ints, leeway: Ints, standing: Flags) -> tuple[Ints, Flags]:
    """The moments [moment] at which standing channels stopped, in order, and which [moment, channel] can have stopped then.

    `since` [channel]: slot of the last change; `leeway` [channel]: rows by which it may lie before the moment.
    """
    moments = np.unique(since[standing])
    behind = moments[:, None] - since
    return moments, standing & (behind >= 0) & (behind <= leeway)


def in_company(since: Ints, leeway: Ints, standing: Flags, of: int) -> Flags:
    """The channels [channel] that stopped with many others."""
    _, company = companies(since, leeway, standing)
    return np.asarray(company[are_many(company.sum(axis=1), of)].any(axis=0))


class StopWatch:
    """The stop that one asset is in. `names`, `leeway`: of its channels; `of`: how many of them could stop.

    `stop`: None: there is none. It lasts as long as half of its channels stand.
    """

    def __init__(self, names: Sequence[str], leeway: Ints, of: int) -> None:
        self.stop: CommonStop | None = None
        self._names = tuple(names)
        self._leeway = leeway
        self._of = of

    def push(self, since: Ints, standing: Flags) -> None:
        """How it is at the end of a block: slot of the last change, and whether it stands for longer than ever, by channel."""
        if self.stop is None:
            self.stop = self._begun(since, standing)
            return
        stood = [self._names.index(name) for name in self.stop.channels]
        if 2 * int((since[stood] <= self.stop.since_slot).sum()) < len(stood):
            self.stop = None

    def _begun(self, since: Ints, standing: Flags) -> CommonStop | None:
        """At the moment at which most of them stopped; of several the first."""
        moments, company = companies(since, self._leeway, standing)
        sizes = company.sum(axis=1)
        if not are_many(sizes, self._of).any():
            return None
        most = int(sizes.argmax())
        stopped = tuple(name for name, there in zip(self._names, company[most].tolist(), strict=True) if there)
        return CommonStop(int(moments[most]), stopped, len(self._names))

    def snapshot(self) -> dict[str, Any] | None:
        """What a restart must know, as plain values."""
        return None if self.stop is None else asdict(self.stop)

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Take up where `snapshot` was made."""
        self.stop = None if state is None else CommonStop(**(dict(state) | {"channels": tuple(state["channels"])}))

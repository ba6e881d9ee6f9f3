"""An asset's newest rows in memory, as doubles side by side: an eighth of what dictionaries would take.

Readings of one time that come one after the other, as from topics that bring a channel each, are one row.
"""

from array import array
from collections.abc import Mapping
from math import isnan

import numpy as np

from edge_ae.store.columnar.block import MOST_CHANNELS, Rows

_NAN = float("nan")


class RowBuffer:
    """Rows since the last `take`. `left_out`: values of channels beyond MOST_CHANNELS."""

    def __init__(self) -> None:
        self.left_out = 0
        self._places: dict[str, int] = {}
        self._times = array("q")
        self._cells = array("d")

    def __len__(self) -> int:
        return len(self._times)

    @property
    def cells(self) -> int:
        """Values that there is room for."""
        return len(self._cells)

    def push(self, t_ns: int, values: Mapping[str, float]) -> None:
        places = self._places
        if values.keys() != places.keys():
            self._push_some(t_ns, values)
            return
        self._times.append(t_ns)
        self._cells.extend([values[name] for name in places])

    def take(self) -> Rows | None:
        """The rows, which are here no longer; None: there are none. Only channels that have a value are in them."""
        if len(self._times) == 0:
            return None
        values = np.array(self._cells).reshape(len(self), len(self._places))
        there = ~np.isnan(values).all(axis=0)
        names = tuple(name for name, kept in zip(self._places, there, strict=True) if kept)
        rows = Rows(names, np.array(self._times), values[:, there])
        self._places = {name: place for place, name in enumerate(names)}
        self._times, self._cells = array("q"), array("d")
        return rows

    def _push_some(self, t_ns: int, values: Mapping[str, float]) -> None:
        """A row with other channels than the last one, or a part of one."""
        new = [name for name in values if name not in self._places]
        if new:
            self._widen(new)
        width = len(self._places)
        places = [(self._places[name], value) for name, value in values.items() if name in self._places]
        self.left_out += len(values) - len(places)
        if not places:
            return
        start = len(self._cells) - width
        joins = len(self._times) > 0 and self._times[-1] == t_ns
        if not joins or any(not isnan(self._cells[start + place]) for place, _ in places):
            self._times.append(t_ns)
            self._cells.extend([_NAN] * width)
            start += width
        for place, value in places:
            self._cells[start + place] = value

    def _widen(self, new: list[str]) -> None:
        """Room for more channels in each row: as seldom as a channel is new."""
        before = len(self._places)
        for name in new[: MOST_CHANNELS - before]:
            self._places[name] = len(self._places)
        cells = np.full((len(self), len(self._places)), np.nan)
        cells[:, :before] = np.array(self._cells).reshape(len(self), before)
        self._cells = array("d", cells.tobytes())

"""How often readings come, from their event times alone, and a sentence where a model takes them at another pace.

    Readings ─ push ─► the last event times of a few channels ─► the median step between two of them

By channel and not by reading, for channels may come on topics of their own. What comes twice, late, shuffled or in bursts
changes nothing: a channel's last event times are kept in order, each once. One law for devices and trainer.
"""

from bisect import insort
from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from typing import Any

from edge_ae.core.timestamps import duration_text

TIMES = 16  # of a channel, so that the last 15 steps are looked at
FEWEST_STEPS = 5  # of one channel; fewer show no pace
FOLLOWED = 3  # The channels that came first stand for all of them; always the same ones, so that one that is absent has no part.
ANY: Mapping[str, float] = {"": 0.0}  # stands for all channels
ANOTHER_PACE = 1.5  # Readings that come so many times slower or faster than a model's rows have another pace.
TIMES_BEHIND = 16  # So many times in a row older than all that is kept of a channel: its clock was set back.


class Pace:
    """The pace of one asset's readings; bounded memory."""

    def __init__(self) -> None:
        self._times: dict[str, list[int]] = {}
        self._behind: set[int] = set()  # times older than all that is kept, since the last one that was newer
        self._step_ns: int | None = None
        self._is_found = False  # Whether that is of all that has come: it is asked for more often than readings come.

    def push(self, t_ns: int, values: Mapping[str, float] = ANY) -> None:
        """Take the event time of a reading. `values`: of its channels, NaN where missing; where they are not given, it stands
        for them all."""
        self._is_found = False
        times_of = self._times
        if len(times_of) < FOLLOWED:
            self._follow(values)
        for name, times in times_of.items():
            value = values.get(name)
            if value is not None and value == value:
                self._add(times, t_ns)

    def push_all(self, t_ns: Sequence[int]) -> None:
        """Take the times, in order, of readings of all channels that are followed."""
        self._is_found = False
        for times in self._times.values():
            if t_ns[0] > times[-1]:
                self._behind.clear()
                times[:] = [*times, *t_ns[-TIMES:]][-TIMES:]
            else:
                for one in t_ns:
                    self._add(times, one)

    def _follow(self, values: Mapping[str, float]) -> None:
        """The channels that are there and not followed yet, as far as there is room."""
        new = (name for name, value in values.items() if value == value and name not in self._times)
        for name in islice(new, FOLLOWED - len(self._times)):
            self._times[name] = []

    def _add(self, times: list[int], t_ns: int) -> None:
        if not times or t_ns > times[-1]:
            self._behind.clear()
            times.append(t_ns)
        elif t_ns < times[0] and len(times) == TIMES:
            self._set_back(t_ns)
        elif t_ns not in times:
            insort(times, t_ns)
        if len(times) > TIMES:
            del times[0]

    def _set_back(self, t_ns: int) -> None:
        self._behind.add(t_ns)
        if len(self._behind) >= TIMES_BEHIND:
            self._times, self._behind = {}, set()

    @property
    def step_ns(self) -> int | None:
        """The median time after which the same channel comes again; None while it is not known.

        Of an even number of steps the lower one of the middle, so that of two channels the one that is whole counts.
        """
        if not self._is_found:
            known = [times for times in self._times.values() if len(times) > FEWEST_STEPS]
            steps = sorted(after - before for times in known for before, after in pairwise(times))
            self._step_ns, self._is_found = steps[(len(steps) - 1) // 2] if steps else None, True
        return self._step_ns

    def snapshot(self) -> dict[str, Any]:
        """What a restart must know, as plain values."""
        return {"times": {name: list(times) for name, times in self._times.items()}, "behind": sorted(self._behind)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up where `snapshot` was made."""
        self._times = {name: list(times) for name, times in state["times"].items()}
        self._behind, self._is_found = set(state["behind"]), False


def has_another_pace(step_ns: float, period_ns: int) -> bool:
    """Whether what comes every `step_ns` differs by more than half from rows of `period_ns`."""
    return not 1 / ANOTHER_PACE < step_ns / period_ns < ANOTHER_PACE


def pace_fault(step_ns: float | None, period_ns: int) -> str | None:
    """Such as "readings come every 20 s, the model takes one every 1 s"; None where they agree or nothing is known yet."""
    if step_ns is None or not has_another_pace(step_ns, period_ns):
        return None
    return f"readings come every {duration_text(step_ns)}, the model takes one every {duration_text(period_ns)}"

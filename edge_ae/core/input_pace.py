"""An asset's readings -> their pace beside that of its model's rows, and a sentence where the two differ."""

from collections.abc import Sequence

from edge_ae.core.events import Readings
from edge_ae.core.model_spec import ModelSpec
from edge_ae.core.pace import ANOTHER_PACE, Pace, pace_fault
from edge_ae.core.usual import usual_step_ns

SAME_PACE = 1.25  # A pace is said anew where it has changed by more than this.


class InputPace:
    """The pace of an asset's readings beside that of its model's rows."""

    def __init__(self, spec: ModelSpec) -> None:
        self._pace = Pace()
        self._said_ns: int | None = None
        self._period_ns, self._usual_ns = spec.period_ns, usual_step_ns(spec)
        self._has_pace = spec.hold_rows == 0  # Channels that report on change have none.

    def push(self, readings: Readings) -> None:
        """Take what came."""
        if self._has_pace:
            self._pace.push(readings.t_ns, readings.values)

    def push_all(self, t_ns: Sequence[int]) -> None:
        """Take the times, in order, of readings of all channels."""
        if self._has_pace:
            self._pace.push_all(t_ns)

    @property
    def step_ns(self) -> int | None:
        """How often readings come; while that changes by little, as it was said before."""
        step_ns, said_ns = self._pace.step_ns, self._said_ns
        if step_ns is not None and (said_ns is None or not 1 / SAME_PACE < step_ns / said_ns < SAME_PACE):
            self._said_ns = step_ns
        return self._said_ns

    @property
    def note(self) -> str | None:
        """A sentence where readings come at another pace than the rows, and than they did in training."""
        step_ns = self.step_ns
        if step_ns is None or self._period_ns <= step_ns < ANOTHER_PACE * self._usual_ns:
            return None
        return pace_fault(step_ns, self._period_ns)

    @property
    def is_too_slow(self) -> bool:
        """Whether rows lack values because of the pace. Readings that come too often become means, and that is no fault."""
        return self.note is not None and (self.step_ns or 0) >= self._period_ns

    def snapshot(self) -> int | None:
        """What a restart must know: the pace as it was said. What it was found in comes again with the next few readings, and
        a checkpoint of every asset would be a tenth larger with it.
        """
        return self._said_ns

    def restore(self, said_ns: int | None) -> None:
        """Take up where `snapshot` was made."""
        self._said_ns = said_ns

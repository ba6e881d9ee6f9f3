"""Rows -> whether the asset is watched in them, by its owner's expression: `when = "speed > 100"`.

Where it does not hold, or a value that it needs is missing, a row counts as if it had never been made: for windows that is a long gap, in
training and on the device. Where it does not hold the asset rests; where that is unknown nobody watches, which is another thing.
"""

from collections.abc import Sequence

from edge_ae.core.events import Row
from edge_ae.core.expression import FAILS, HOLDS, UNKNOWN, Expression


class WatchedState:
    """One asset's. `when`: "": it is watched whatever it does. Raises ValueError for what is no expression."""

    def __init__(self, when: str, channels: Sequence[str]) -> None:
        self.truth = HOLDS  # in the newest row
        self._channels = tuple(channels)
        self._expression = Expression.of(when) if when else None

    def push(self, row: Row) -> bool:
        """Whether the asset is watched in this row."""
        if self._expression is not None:
            self.truth = int(self._expression.truth(self._channels, [row.values])[0])
        return self.truth == HOLDS

    @property
    def rests(self) -> bool:
        """Whether it is in another state than that in which it is to be watched."""
        return self.truth == FAILS

    @property
    def when(self) -> str | None:
        """As the owner wrote it; None: any state will do."""
        return None if self._expression is None else self._expression.text

    @property
    def note(self) -> str | None:
        """Why it is not watched, such as "speed > 100 does not hold"; None: it is in the state in which it is watched."""
        if self._expression is None or self.truth == HOLDS:
            return None
        lacking = f"is not known, for there is no value of {' or '.join(self._expression.names)}"
        return f"{self.when} {lacking if self.truth == UNKNOWN else 'does not hold'}"

"""How many commands are carried out in a time: whoever floods the node with them keeps none of its alerts waiting.

Each command costs a checkpoint, or a look into the state on disk, and alerts stand behind it in the same queue. A person or a page
that asks something of every asset at once has what it asks; what goes on and on is refused, which costs next to nothing.
"""

from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadPayload

AT_ONCE = 1000
PER_SECOND = 20


class CommandRate:
    """AT_ONCE commands, and PER_SECOND more with each second that goes by."""

    def __init__(self) -> None:
        self._left = float(AT_ONCE)
        self._since_ns: int | None = None

    def spend(self, now_ns: int) -> None:
        """One command; `now_ns`: monotonic. Raises BadPayload with a sentence for whoever sent it where it is one too many."""
        gone_ns = 0 if self._since_ns is None else now_ns - self._since_ns
        self._since_ns = now_ns
        self._left = min(self._left + gone_ns * PER_SECOND / SECOND, AT_ONCE)
        if self._left < 1.0:
            raise BadPayload(
                "too_many_commands",
                f"too many commands: {AT_ONCE:,} at once, and then {PER_SECOND} a second are carried out; try again later",
            )
        self._left -= 1.0

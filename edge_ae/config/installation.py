"""When this program came to the machine: a clock that says less has not been set since power on, as on a board without a battery."""

from pathlib import Path

from edge_ae.core.timestamps import SECOND

DAY_NS = 86_400 * SECOND  # Files carry the time of wherever they were packed.


def earliest_ns() -> int:
    """The earliest time, in nanoseconds since the epoch, that a clock that has been set can say here."""
    return Path(__file__).stat().st_mtime_ns - DAY_NS

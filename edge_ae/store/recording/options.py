"""What the user says of a file beforehand; whatever is not said is found out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

DATE_ORDERS = ("dmy", "mdy", "ymd")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Which columns are no channels, and how cells are written, where the file does not show it.

    `ignore`: columns to leave out. `label`: the column of 0 and 1. `asset`: the column that names the asset of a line.
    `time`: the column of the times, or those of date and time of day. `time_zone`: of times that say no offset (UTC where
    None). `date_order`: one of DATE_ORDERS, for dates such as 02/03/2026. `missing`: more words for "no value"; `words`:
    more words for numbers. `long`: the columns of name and value, in a file that has a line for each value.
    """

    ignore: Sequence[str] = ()
    label: str | None = None
    asset: str | None = None
    time: Sequence[str] = ()
    time_zone: tzinfo | None = None
    date_order: str | None = None
    missing: Sequence[str] = ()
    words: Mapping[str, float] = field(default_factory=dict)
    long: tuple[str, str] | None = None


AS_IT_IS = ReadOptions()

"""What every format makes of a payload: records, each with its stamp, for the decoder to pick channels from.

A format is a function from a payload to its records; the factory that makes it is an entry of `decoder.FORMATS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_ae.core.formats.omissions import Omissions
from edge_ae.core.formats.values import NOT_FINITE
from edge_ae.errors import BadPayload

ARRIVAL = object()  # the stamp of a record that has none: its time is that of its arrival

# (fields, stamp), or why a part of a batch is none. Fields: an object, or a bare value where the topic or the settings
# name its channel. A stamp: what stands where the time should be, whatever it is, or ARRIVAL.
Record = tuple[Any, Any] | BadPayload
Reader = Callable[[str, bytes], list[Record]]  # of topic and payload; raises BadPayload where all of it cannot be read


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """What a format has to know of its stream.

    `time`: path of the time in a record, None: there is none. `bare`: the topic names the channel, so that a payload may be
    its value alone. `is_channel`: whether a name is what the settings call a channel. `topic`: the stream's pattern.
    `omissions`: where to say what is left out. `wanted`: group and name of each Sparkplug edge node whose births are wanted;
    the format adds to them.
    """

    time: str | None
    bare: bool
    is_channel: Callable[[str], bool]
    topic: str
    omissions: Omissions
    wanted: set[tuple[str, str]]


def kind_of(value: Any) -> str:
    """What a value is, for a sentence."""
    return "value that is not finite" if value is NOT_FINITE else type(value).__name__

"""Commands to the node as a whole, `base/node/cmd/NAME`: a table of names, each with what carries it out and answers.

Their sender has the broker's leave, as that of an asset's command has. What a command raises as BadPayload is its answer, a
sentence; where it holds more than JSON, its answer is bytes and goes out as it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from edge_ae.errors import BadPayload

TOPIC_LEVEL = "cmd"

Answer = Mapping[str, Any] | bytes
"""What is sent back beside `"ok": true`, or all of it."""


@dataclass(frozen=True, slots=True)
class NodeCommand:
    """`carry_out`: from a payload and the monotonic time to the answer. Raises BadPayload.

    `once`: carried out twice it would do something else than once, so that no message of it is used again after a crash, be it that
    it was not used at all; whoever got no answer asks what has become of it.
    """

    carry_out: Callable[[bytes, int], Answer]
    once: bool = False


NodeCommands = Mapping[str, NodeCommand]


def name_of(topic: str, prefix: str) -> str | None:
    """The node's command that a topic names; None: it is of an asset, or none. `prefix`: of all topics of the node."""
    name = topic.removeprefix(f"{prefix}/{TOPIC_LEVEL}/")
    return None if name == topic or "/" in name else name


def named(table: NodeCommands, name: str) -> NodeCommand:
    """Raises BadPayload for a name that is none of the table's."""
    if name not in table:
        raise BadPayload("bad_command", f"{name[:40]!r} is no command of a node; there are {', '.join(sorted(table))}")
    return table[name]


def encoded(answer: Answer) -> bytes:
    """What goes to the response topic."""
    return answer if isinstance(answer, bytes) else orjson.dumps({"ok": True, **answer})

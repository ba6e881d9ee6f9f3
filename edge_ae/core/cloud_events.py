"""An event of ours as a CloudEvent 1.0, in the binary mode of its MQTT binding: attributes beside the payload, which stays as it is.

The binding puts `datacontenttype` into the message's content type, and every other attribute into a user property of its name.
"""

from typing import Any
from urllib.parse import quote

import orjson

from edge_ae.core.timestamps import rfc3339

SPEC_VERSION = "1.0"

Attributes = tuple[tuple[str, str], ...]


def attributes(topic: str, identity: str, seq: int, t_ns: int, payload: bytes) -> Attributes:
    """Those of the message that (`identity`, `seq`) names: `<prefix>/<asset>/event` or `<prefix>/flood`, at event time `t_ns`.

    `id` is unique among all of one `source`, for the pair never changes its meaning. Empty: the payload is no event's.
    """
    body: Any = orjson.loads(payload)
    if not isinstance(body, dict) or "type" not in body:
        return ()
    whole, _, kind = topic.rpartition("/")
    prefix, _, asset = whole.rpartition("/") if kind == "event" else (whole, "", "")
    subject = (("subject", asset),) if asset else ()
    return (
        ("specversion", SPEC_VERSION),
        ("id", f"{identity}-{seq}"),
        ("source", "/" + quote(prefix)),
        ("type", f"edge-ae.{'alert' if kind == 'event' else kind}.{body['type']}"),
        ("time", rfc3339(t_ns)),
        *subject,
    )

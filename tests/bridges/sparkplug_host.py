"""A host of Sparkplug by the library pysparkplug, run by its own Python: `HOST PORT`; a line of JSON for each message of an edge node.

A line on standard input with the name of an edge node asks it for its births. Whatever the library cannot decode, such as an
alias that no birth has named, is a line with `error`.
"""

import json
import sys
from contextlib import suppress
from typing import Any

import pysparkplug as sp

GROUP = "plant"
KINDS = ("NBIRTH", "DBIRTH", "DDATA", "DDEATH", "NDEATH")


def shown(message: Any) -> dict[str, Any]:
    payload = message.payload
    metrics = [payload.bd_seq_metric] if hasattr(payload, "bd_seq_metric") else getattr(payload, "metrics", ())
    return {
        "kind": str(message.topic.message_type.value),
        "edge": message.topic.edge_node_id,
        "device": message.topic.device_id,
        "seq": getattr(payload, "seq", None),
        "qos": int(message.qos),
        "retain": message.retain,
        "metrics": {metric.name: metric.value for metric in metrics},
        "types": {metric.name: metric.datatype.name for metric in metrics},
        "times": {metric.name: metric.timestamp for metric in metrics},
        "aliases": {metric.name: metric.alias for metric in metrics},
    }


class Host(sp.Client):  # type: ignore[misc]
    """Says what it cannot decode."""

    def _handle_message(self, mqtt_message: Any) -> Any:
        try:
            return super()._handle_message(mqtt_message)
        except Exception as error:
            print(json.dumps({"error": f"{mqtt_message.topic}: {error!r}"}), flush=True)
            raise


def main(host: str, port: int) -> None:
    client = Host("host")
    for kind in KINDS:
        device = None if kind[0] == "N" else "+"
        topic = sp.Topic(message_type=sp.MessageType(kind), group_id=GROUP, edge_node_id="+", device_id=device)
        client.subscribe(
            topic, sp.QoS.AT_LEAST_ONCE, lambda _client, message: print(json.dumps(shown(message)), flush=True)
        )
    client.connect(host, port=port)
    print(json.dumps({"kind": "ready"}), flush=True)
    for line in sys.stdin:
        edge = sp.Topic(message_type=sp.MessageType.NCMD, group_id=GROUP, edge_node_id=line.strip())
        now = int(sp.get_current_timestamp())
        wish = sp.Metric(now, "Node Control/Rebirth", sp.DataType.BOOLEAN, value=True)
        payload = sp.NCmd(now, (wish,))
        with suppress(sp.MQTTError):  # while there is no connection
            client.publish(sp.Message(edge, payload, sp.QoS.AT_MOST_ONCE, False), include_dtypes=True)
    client.disconnect()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

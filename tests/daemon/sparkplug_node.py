"""An edge node of Sparkplug by the library pysparkplug, run by its own Python: `HOST PORT`; a line on standard input makes it send.

    data 4.5     DDATA of the device `pump`, by alias alone     quit     the node says that it dies

It is born again when it is asked to be.
"""

import sys
from typing import Any

import pysparkplug as sp

GROUP, EDGE, DEVICE = "plant", "edge", "pump"


def now() -> int:
    return int(sp.get_current_timestamp())


def metrics(flow: float) -> list[Any]:
    return [
        sp.Metric(now(), "flow", sp.DataType.DOUBLE, value=flow, alias=11),
        sp.Metric(now(), "motor/speed", sp.DataType.INT32, value=-900, alias=12),
        sp.Metric(now(), "running", sp.DataType.BOOLEAN, value=True, alias=13),
        sp.Metric(now(), "serial", sp.DataType.STRING, value="pump-1", alias=14),
    ]


def topic(kind: Any, device: str | None = None) -> Any:
    return sp.Topic(message_type=kind, group_id=GROUP, edge_node_id=EDGE, device_id=device)


def send(client: Any, where: Any, payload: Any) -> None:
    message = sp.Message(topic=where, payload=payload, qos=sp.QoS.AT_MOST_ONCE, retain=False)
    client.publish(message, include_dtypes=payload.__class__.__name__.endswith("Birth"))


class Births:
    """The node's births, and its `seq`."""

    def __init__(self, client: Any) -> None:
        self.client, self.seq = client, 0

    def again(self, *_: Any) -> None:
        node = sp.Metric(now(), "Node Control/Rebirth", sp.DataType.BOOLEAN, value=False)
        session = sp.Metric(now(), "bdSeq", sp.DataType.INT64, value=0)
        self.seq = 1
        send(self.client, topic(sp.MessageType.NBIRTH), sp.NBirth(now(), 0, (node, session)))
        send(self.client, topic(sp.MessageType.DBIRTH, DEVICE), sp.DBirth(now(), 1, tuple(metrics(1.0))))
        print("born", flush=True)

    def data(self, flow: float) -> None:
        self.seq = (self.seq + 1) % 256
        changed = sp.Metric(now(), None, sp.DataType.DOUBLE, value=flow, alias=11)
        send(self.client, topic(sp.MessageType.DDATA, DEVICE), sp.DData(now(), self.seq, (changed,)))


def main(host: str, port: int) -> None:
    client = sp.Client()
    births = Births(client)
    client.subscribe(topic(sp.MessageType.NCMD), sp.QoS.AT_LEAST_ONCE, births.again)
    client.connect(host, port=port, callback=births.again)
    for line in sys.stdin:
        if line.startswith("data"):
            births.data(float(line.split()[1]))
        else:
            break
    client.disconnect()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

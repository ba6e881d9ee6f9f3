"""A bare paho-mqtt subscriber that only counts: the ceiling of any daemon on this client.

    python -m tests.bench.bare PORT FILTER QOS COUNT...

Says `ready`, then at each COUNT of messages the time and the processor time spent, in ns.
"""

import sys
import time
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion


def main() -> None:
    port, topic, qos = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    marks = {int(word) for word in sys.argv[4:]}
    count, last = 0, max(marks)

    def on_message(client: mqtt.Client, _data: Any, _message: mqtt.MQTTMessage) -> None:
        nonlocal count
        count += 1
        if count in marks:
            print(time.monotonic_ns(), time.process_time_ns(), flush=True)
            if count == last:
                client.disconnect()

    client = mqtt.Client(CallbackAPIVersion.VERSION2, "bench-bare", protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = on_message
    client.on_connect = lambda c, *_: c.subscribe(topic, qos)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect("127.0.0.1", port)
    client.loop_forever()


if __name__ == "__main__":
    main()

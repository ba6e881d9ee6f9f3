"""A recording, published as a sensor would: one JSON object for each line, at the pace of its times.

    plant/{asset}/telemetry   {"ts": "2026-11-23T10:15:00Z", "flow": 4.2}     missing values are left out
    plant/{asset}/{channel}   4.2                                               a bare number on each channel's topic

The time is sent exactly as the file has it, so that the daemon's rows are the file's. Drops nothing: QoS 1, and what
the broker has not confirmed holds the rest back.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import orjson
import paho.mqtt.client as mqtt

from edge_ae.core.times import rfc3339
from edge_ae.core.types import SECOND
from edge_ae.errors import BadConfig
from edge_ae.table import Table

UNDER_WAY = 500  # messages that the broker has not confirmed yet
PATIENCE_S = 60.0  # a broker that confirms nothing for so long is gone

Message = tuple[int, str, bytes]  # event time, topic, payload
Progress = Callable[[int, int], None]


def messages(table: Table, topic: str, *, time_name: str = "ts", shift_ns: int = 0) -> Iterator[Message]:
    """What a sensor would have sent, line by line."""
    by_channel = "{channel}" in topic
    lines = zip(table.times, table.t_ns.tolist(), table.values.tolist(), strict=True)
    for text, t_ns, values in lines:
        at_ns = t_ns + shift_ns
        present = {name: value for name, value in zip(table.names, values, strict=True) if value == value}
        if by_channel:
            for name, value in present.items():
                yield at_ns, topic.replace("{channel}", name), orjson.dumps(value)
        else:
            yield at_ns, topic, orjson.dumps({time_name: text if shift_ns == 0 else _exact(at_ns), **present})


def shift_to_now(table: Table, speed: float, now_ns: int) -> int:
    """What brings the last time to the moment at which it is sent: whole sample periods, so that rows stay rows."""
    first_ns, last_ns = int(table.t_ns.min()), int(table.t_ns.max())
    steps = np.diff(table.t_ns)
    period_ns = int(np.median(steps[steps > 0])) if np.any(steps > 0) else 1
    takes_ns = round((last_ns - first_ns) / speed) if speed > 0 else 0
    return (now_ns + takes_ns - last_ns) // period_ns * period_ns


def _exact(t_ns: int) -> str | int:
    return rfc3339(t_ns) if t_ns % 1_000_000 == 0 else t_ns


def replay(
    client: mqtt.Client,
    sent: Sequence[Message],
    speed: float,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda _done, _all: None,
) -> int:
    """Publishes `sent`, `speed` times as fast as it was (0: as fast as the broker takes it). Returns how many went out."""
    under_way: deque[mqtt.MQTTMessageInfo] = deque()
    began_s, first_ns = time.monotonic(), min((t_ns for t_ns, _, _ in sent), default=0)
    done = 0
    for t_ns, topic, payload in sent:
        if speed > 0 and not _wait_until(began_s + (t_ns - first_ns) / SECOND / speed, stop):
            break
        if stop():
            break
        under_way.append(client.publish(topic, payload, qos=1))
        if len(under_way) >= UNDER_WAY:
            _confirm(under_way.popleft())
        done += 1
        progress(done, len(sent))
    while under_way:
        _confirm(under_way.popleft())
    return done


def _wait_until(due_s: float, stop: Callable[[], bool]) -> bool:
    """False where the wait was broken off."""
    while not stop():
        left_s = due_s - time.monotonic()
        if left_s <= 0:
            return True
        time.sleep(min(left_s, 0.5))
    return False


def _confirm(info: mqtt.MQTTMessageInfo) -> None:
    try:
        info.wait_for_publish(PATIENCE_S)
        confirmed = info.is_published()
    except (RuntimeError, ValueError):
        confirmed = False
    if not confirmed:
        raise BadConfig(f"the broker has confirmed nothing for {PATIENCE_S:.0f} s; is it still there?")

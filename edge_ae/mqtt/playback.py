"""Messages made beforehand -> the broker, at their own pace. Drops nothing: QoS 1, and what is not confirmed holds the rest back."""

import time
from collections import deque
from collections.abc import Callable, Sequence

import paho.mqtt.client as mqtt

from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadConfig

UNDER_WAY = 500  # messages that the broker has not confirmed yet
PATIENCE_S = 60.0  # a broker that confirms nothing for so long is gone

Publication = tuple[int, str, bytes]  # event time, topic, payload
Progress = Callable[[int, int], None]


def publish(
    client: mqtt.Client,
    sent: Sequence[Publication],
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

"""What the broker allows a connected client: asked, not guessed."""

import threading
from collections.abc import Sequence

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

ANSWER_S = 5.0


def permissions(client: mqtt.Client, filters: Sequence[str], own_topic: str) -> list[str]:
    """What a connected client may not do: read the sensors' topics, write its own. (MQTT 3.1.1 cannot say the latter.)"""
    problems: list[str] = []
    answers = threading.Semaphore(0)
    asked = iter(filters)  # answers come in the order of the questions

    def on_subscribe(_c: mqtt.Client, _u: object, _mid: int, reasons: Sequence[ReasonCode], _p: object) -> None:
        name = next(asked, "what we asked for")
        if any(reason.is_failure for reason in reasons):
            problems.append(f"the broker does not let us read {name}: {reasons[0]}; allow it in its ACL")
        answers.release()

    def on_publish(_c: mqtt.Client, _u: object, _mid: int, reason: ReasonCode, _p: object) -> None:
        if reason.is_failure:
            problems.append(f"the broker does not let us write {own_topic}: {reason}; allow it in its ACL")
        answers.release()

    client.on_subscribe, client.on_publish = on_subscribe, on_publish
    for name in filters:
        client.subscribe(name, 0)
    client.publish(own_topic, b"", qos=1)
    silent = [None for _ in range(len(filters) + 1) if not answers.acquire(timeout=ANSWER_S)]
    return [*problems, *(["the broker leaves questions unanswered; is it overloaded?"] if silent else [])]

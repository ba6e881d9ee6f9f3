"""Questions to a node, each asked again until it is answered: a link that is gone for a while costs time and nothing else.

    ask(command, fields) ─► publish ─ wait for its answer ─ publish again … ─► the answer

What is asked so must do no harm when it is carried out twice. It is `operator_link`'s connection, for a program that waits for each answer.
"""

import queue
import time
from collections.abc import Mapping
from typing import Any

import orjson

from edge_ae.errors import BadConfig
from edge_ae.mqtt.operator_link import OperatorLink
from edge_ae.mqtt.options import Broker

ANSWER_S = 10.0
"""What is waited for an answer before the question is asked again."""

PATIENCE_S = 60.0
"""Without any answer for so long, the node is given up."""

POLL_S = 0.2


class Refused(BadConfig):
    """The node answered that it does not do it; the text is its sentence."""


class NodeDialogue:
    """With one node, or an asset of it. `prefix`: what all of its topics begin with. Raises BadConfig with one sentence where nobody answers."""

    def __init__(self, broker: Broker, prefix: str, patience_s: float = PATIENCE_S) -> None:
        self._broker, self._prefix, self._patience_s = broker, prefix, patience_s
        self._answers: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._link = OperatorLink(broker, (), lambda topic, payload: self._answers.put((topic, payload)))

    def ask(self, command: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What the node answers to a command of its own. Raises Refused where it answers that it does not."""
        answer = _answer(self.ask_for_bytes(command, fields))
        if answer.get("ok") is not True:
            raise Refused(f"{self._prefix}: {answer.get('error', 'it does not say why')}")
        return answer

    def ask_for_bytes(self, command: str, fields: Mapping[str, Any]) -> bytes:
        """Likewise, as it came: of a command whose answers are not all JSON."""
        topic, payload = f"{self._prefix}/cmd/{command}", orjson.dumps(fields)
        until = time.monotonic() + self._patience_s
        while time.monotonic() < until:
            answer = self._asked_once(topic, payload, until)
            if answer is not None:
                return answer
        raise BadConfig(self._silence())

    def close(self) -> None:
        """End the connection."""
        self._link.close()

    def _asked_once(self, topic: str, payload: bytes, until: float) -> bytes | None:
        number = self._link.command(topic, payload)
        if number is None:
            time.sleep(POLL_S)  # there is no broker now
            return None
        if not self._link.has_answers:
            raise BadConfig(f"mqtt: the broker at {self._broker} speaks MQTT 3.1.1, with which nothing is answered")
        wait_until = min(time.monotonic() + ANSWER_S, until)
        while (left_s := wait_until - time.monotonic()) > 0:
            try:
                came_on, body = self._answers.get(timeout=min(left_s, POLL_S))
            except queue.Empty:
                if not self._link.connected:
                    return None  # asked again as soon as it is back
                continue
            if came_on == f"{self._link.replies}/{number}":
                return body
        return None

    def _silence(self) -> str:
        if self._link.fault:
            return self._link.fault
        return (
            f"{self._prefix}: has not answered for {self._patience_s:g} s; is the node's name right, does it run, "
            "and may this user write its commands?"
        )


def _answer(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    return found if isinstance(found, dict) else {}

"""Questions to nodes over MQTT, one after the other, for commands that wait for the answer: asked again until it comes."""

import queue
import time

from edge_ae.errors import BadConfig
from edge_ae.mqtt.operator_link import OperatorLink
from edge_ae.mqtt.options import Broker

ANSWER_S = 5.0  # then it is asked again: the broker or the node may have begun anew
LOOK_S = 0.2
KEPT = 1_000  # answers; those to earlier askings of a question are passed over


class NodeQuestions:
    """`patience_s`: for one answer, however often it must be asked for. A question must do no harm where it is heard twice."""

    def __init__(self, broker: Broker, patience_s: float) -> None:
        self._broker, self._patience_s = broker, patience_s
        self._answers: queue.Queue[tuple[str, bytes]] = queue.Queue(KEPT)
        self._link = OperatorLink(broker, (), lambda topic, payload: self._answers.put((topic, payload)))

    def ask(self, topic: str, payload: bytes) -> bytes:
        """The answer. Raises BadConfig where none comes."""
        deadline_s = time.monotonic() + self._patience_s
        while time.monotonic() < deadline_s:
            number = self._link.command(topic, payload)
            if number is None:
                time.sleep(LOOK_S)
                continue
            if not self._link.has_answers:
                raise BadConfig(
                    f"the broker at {self._broker} speaks MQTT 3.1.1, in which nobody is answered; it takes MQTT 5"
                )
            answer = self._answer(number, min(deadline_s, time.monotonic() + ANSWER_S))
            if answer is not None:
                return answer
        raise BadConfig(
            self._link.fault or f"no answer on {topic} within {self._patience_s:g} s; does a daemon run there?"
        )

    def close(self) -> None:
        """Ask no more."""
        self._link.close()

    def _answer(self, number: int, deadline_s: float) -> bytes | None:
        wanted = f"{self._link.replies}/{number}"
        while (left_s := deadline_s - time.monotonic()) > 0:
            try:
                topic, payload = self._answers.get(timeout=left_s)
            except queue.Empty:
                return None
            if topic == wanted:
                return payload
        return None

"""What a page that stays open has of a broker: it comes when the broker does, sends operators' commands, and brings the answers.

    filters ─► offer(topic, payload)          command(topic, payload) ─► a number, under which the answer is offered

It is simple_client's connection, for programs that wait where that one fails.
"""

import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import orjson
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_ae.errors import BadConfig
from edge_ae.mqtt import simple_client
from edge_ae.mqtt.options import Broker
from edge_ae.mqtt.paho_client import V5, PlainClient

RETRY_S = 3.0

log = logging.getLogger(__name__)


class OperatorLink:
    """Begins to connect at once, on a thread of its own; `offer` is called on threads of this class.

    `replies`: the topic below which the answers come, a level with the command's number behind it.
    """

    def __init__(self, broker: Broker, filters: Sequence[str], offer: Callable[[str, bytes], None]) -> None:
        self.replies = f"reply/edge-ae-{secrets.token_hex(6)}"
        self.fault = ""
        self._broker, self._offer = broker, offer
        self._filters = [*filters, f"{self.replies}/+"]
        self._client: PlainClient | None = None
        self._commands = 0
        # Both by packet id, of which there are 65,535: a refusal may come before `publish` has said which id it took.
        self._unconfirmed: dict[int, int] = {}
        self._refused: dict[int, str] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._connect, name="operator-link", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether there is a broker now."""
        return self._client is not None and self._client.is_connected()

    @property
    def has_answers(self) -> bool:
        """Whether commands are answered: not with MQTT 3.1.1."""
        return self._client is not None and self._client.protocol == V5

    def command(self, topic: str, payload: bytes) -> int | None:
        """Send one, and ask for an answer where the broker's version has them. None: not sent, nor kept for later."""
        client = self._client
        if client is None or not client.is_connected():
            return None
        self._commands += 1
        properties = None
        if client.protocol == V5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ResponseTopic = f"{self.replies}/{self._commands}"
        with suppress(ValueError):  # a topic that cannot be published to
            sent = client.publish(topic, payload, 1, properties=properties)
            if sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._unconfirmed[sent.mid] = self._commands
                self._answer_refused(sent.mid)
                return self._commands
        return None

    def close(self) -> None:
        """End it, at once."""
        self._closed.set()
        self._thread.join(simple_client.HANDSHAKE_S)
        if self._client is not None:
            simple_client.close(self._client)

    def _confirmed(self, _client: object, _data: object, mid: int, reason: ReasonCode, _details: object) -> None:
        if reason.is_failure:
            self._refused[mid] = str(reason)
            self._answer_refused(mid)
        else:
            self._unconfirmed.pop(mid, None)

    def _answer_refused(self, mid: int) -> None:
        """What the broker refuses reaches no node that could answer: the refusal is the answer."""
        reason = self._refused.pop(mid, None) if mid in self._unconfirmed else None
        if reason is not None:
            number = self._unconfirmed.pop(mid)
            error = f"the broker refused the command: {reason}; allow this user to write it in the broker's ACL"
            self._offer(f"{self.replies}/{number}", orjson.dumps({"ok": False, "error": error}))

    def _connect(self) -> None:
        while not self._closed.is_set():
            try:
                client = simple_client.connect(self._broker, self._filters, self._offer)
                client.on_publish = self._confirmed
                self._client, self.fault = client, ""
                return  # paho comes back by itself from here on
            except BadConfig as fault:
                if str(fault) != self.fault:
                    log.warning("%s; trying again every %.0f s", fault, RETRY_S)
                self.fault = str(fault)
            self._closed.wait(RETRY_S)

"""paho's client, as we need it. The one place that knows names which paho calls its own.

    PlainClient   paho through its public names: works with any version
    FastClient    reads and decodes by itself: half of paho's price, and no message can end the connection

`client_class` gives the second where this version of paho has what it overrides, and else the first.
"""

import inspect
import ssl
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from edge_ae.mqtt import tls
from edge_ae.mqtt.inbox import Message
from edge_ae.mqtt.publish_packet import MalformedPublish, answer_address, properties_end

READ_BYTES = 64 * 1024  # from the socket at once
WRITE_BYTES = 256 * 1024  # that wait for a broker which does not read
PUBLISH, DISCONNECT = 0x30, 0xE0  # packets' types, in their first byte
PUBACK = b"\x40\x02"  # before the packet's id, which is all that follows
AT_ONCE = 64  # messages that are read behind another without asking paho
V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311


class PlainClient(mqtt.Client):
    """`connect` raises TlsFault where there is no TLS with the broker.

    `on_publication` is called with each message, `on_refused` with the reason for which one was dropped, or a part of it:
    `bad_packet`, `bad_properties`, `bad_topic`. `number`: what messages name as their connection. `tls_fault`: why the last
    connection ended, if TLS was the reason.
    """

    number = 0
    speaks_tls = False
    tls_fault: tls.TlsFault | None = None
    on_publication: Callable[[Message], None] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.on_refused: Callable[[str], None] = lambda _reason: None
        self.on_message = self._translate
        self.on_socket_close = self._closed

    def reconnect(self) -> MQTTErrorCode:
        """Connect; paho's `connect` ends in this, too."""
        try:
            return super().reconnect()
        except (ssl.SSLError, ConnectionResetError) as error:
            if not self.speaks_tls:
                raise
            raise tls.fault(error) from None

    def use_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS on the connections to come."""
        self.speaks_tls = True
        self.tls_set_context(context)

    @property
    def has_unread(self) -> bool:
        """Whether there is something to read of which `select` on the socket knows nothing."""
        sock: Any = self.socket()
        return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0

    def acknowledge(self, mids: Iterable[int]) -> None:
        """Confirm messages of QoS 1, in their order."""
        for mid in mids:
            self.ack(mid, 1)

    def _closed(self, _client: mqtt.Client, _data: Any, sock: Any) -> None:
        self.tls_fault = getattr(sock, "fault", None)

    def _translate(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._refuse("bad_topic", message.qos, message.mid)
            return
        response = getattr(message.properties, "ResponseTopic", None)
        correlation = getattr(message.properties, "CorrelationData", None)
        facts = topic, bytes(message.payload), message.qos, message.mid, message.dup, self.number, message.retain
        if self.on_publication is not None:
            self.on_publication(Message(time.time_ns(), *facts, response, correlation))

    def _refuse(self, reason: str, qos: int, mid: int) -> None:
        """Drop a message, and acknowledge it: the broker would send it again and again."""
        self.on_refused(reason)
        if qos > 0:
            self.ack(mid, qos)


class FastClient(PlainClient):
    """For a loop that asks `has_unread` before it waits, and calls `loop_read`: paho's own know nothing of what is in memory."""

    _unread = b""
    _position = 0
    _outgoing = b""

    def _sock_recv(self, bufsize: int) -> bytes:
        """paho reads the first bytes of each packet one by one, a system call each: here they come from memory."""
        if self._position >= len(self._unread):
            self._unread, self._position = super()._sock_recv(READ_BYTES), 0
        start = self._position
        self._position = min(start + bufsize, len(self._unread))
        return self._unread[start : self._position]

    @property
    def has_unread(self) -> bool:
        return self._position < len(self._unread) or super().has_unread

    def _sock_send(self, buf: bytes | bytearray) -> int:
        """paho sends packet by packet, a system call each: here all that waits goes out in one.

        It is cheaper, and a process that is killed has sent the packets of one `loop_write` all, or none of them.
        """
        if buf[0] & 0xF0 == DISCONNECT:  # paho closes the socket behind it
            if self._flush() != MQTTErrorCode.MQTT_ERR_SUCCESS or self._outgoing:
                raise BlockingIOError
            return super()._sock_send(buf)
        if len(self._outgoing) >= WRITE_BYTES:
            raise BlockingIOError
        self._outgoing += buf
        return len(buf)

    def acknowledge(self, mids: Iterable[int]) -> None:
        """paho keeps 400 bytes of each packet that waits to be written: tens of thousands of PUBACKs have four each here."""
        self._outgoing += b"".join([PUBACK + mid.to_bytes(2, "big") for mid in mids])

    def loop_write(self) -> MQTTErrorCode:
        result = super().loop_write()
        return self._flush() if result == MQTTErrorCode.MQTT_ERR_SUCCESS else result

    def want_write(self) -> bool:
        return len(self._outgoing) > 0 or super().want_write()

    def _flush(self) -> MQTTErrorCode:
        try:
            while self._outgoing:
                self._outgoing = self._outgoing[super()._sock_send(self._outgoing) :]
        except BlockingIOError:
            pass
        except (OSError, AttributeError):  # the connection is gone, and with it perhaps the socket
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Read a packet as paho does, and the messages that came with it: paho has a dozen calls for each."""
        result = super().loop_read(max_packets)
        if result == MQTTErrorCode.MQTT_ERR_SUCCESS and self._in_packet["command"] == 0:  # it is between two packets
            for _ in range(AT_ONCE):
                if not self._read_message():
                    break
        return result

    def _read_message(self) -> bool:
        """The next packet, if it is a message that is whole in memory. All else is left to paho, such as one of 16 kB or more."""
        data, start = self._unread, self._position
        if self.on_publication is None or len(data) < start + 3 or data[start] & 0xF4 != PUBLISH:
            return False
        length, begin = data[start + 1], start + 2
        if length > 127:
            length, begin = length & 127 | data[begin] << 7, begin + 1
        end = begin + length
        if length > 0x3FFF or end > len(data):
            return False
        self._position = end
        self._publication(data[start], data[begin:end])
        return True

    def _handle_publish(self) -> MQTTErrorCode:
        command = self._in_packet["command"]
        if self.on_publication is None or command & 4 > 0:  # nothing is subscribed to with QoS 2
            return super()._handle_publish()
        self._publication(command, self._in_packet["packet"])
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _publication(self, command: int, packet: bytes | bytearray) -> None:
        """paho makes a dozen objects of each message, and ends the connection over a property that it does not like."""
        qos = command >> 1 & 3
        topic_end = 2 + int.from_bytes(packet[:2])
        start = topic_end + 2 * qos
        mid = int.from_bytes(packet[topic_end:start])
        response = correlation = None
        if start > len(packet):  # without an id that could be acknowledged
            self.on_refused("bad_packet")
            return
        try:
            topic = packet[2:topic_end].decode()
            if self._protocol is V5:
                if start < len(packet) and packet[start] == 0:  # no properties, as nearly always
                    start += 1
                else:
                    response, correlation, start = self._properties(packet, start)
        except ValueError as error:
            self._refuse("bad_packet" if isinstance(error, MalformedPublish) else "bad_topic", qos, mid)
            return
        flags = qos, mid, command & 8 > 0, self.number, command & 1 > 0
        assert self.on_publication is not None
        self.on_publication(Message(time.time_ns(), topic, bytes(packet[start:]), *flags, response, correlation))

    def _properties(self, packet: bytes | bytearray, start: int) -> tuple[str | None, bytes | None, int]:
        """Response topic, correlation data, and where the payload begins. Properties that are none cost only themselves."""
        begin, end = properties_end(packet, start)
        try:
            topic, correlation = answer_address(bytes(packet[begin:end]))
            return None if topic is None else topic.decode(), correlation, end
        except ValueError:
            self.on_refused("bad_properties")
            return None, None, end


OVERRIDDEN = {"_sock_recv": ["bufsize"], "_sock_send": ["buf"], "_handle_publish": []}  # and its arguments


def fits(base: Callable[..., Any]) -> bool:
    """Whether paho's client has what FastClient overrides and reads, in the shape that it knows."""
    one = base(CallbackAPIVersion.VERSION2, protocol=V5)
    for name, arguments in OVERRIDDEN.items():
        method = getattr(one, name, None)
        if method is None or list(inspect.signature(method).parameters) != arguments:
            return False
    packet = getattr(one, "_in_packet", None)
    return (
        isinstance(packet, dict)
        and {"command", "packet"} <= packet.keys()
        and packet["command"] == 0
        and getattr(one, "_protocol", None) is V5
    )


@lru_cache(maxsize=1)
def client_class() -> type[PlainClient]:
    """The fast client, where the paho that is installed allows it."""
    return FastClient if fits(mqtt.Client) else PlainClient

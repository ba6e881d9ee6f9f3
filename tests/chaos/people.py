"""Who else is on the broker: the gateway that sends readings, and the witness who notes what is said of them.

The gateway does what a broker that may lose its newest memory asks of one: whenever its connection breaks it sends the
readings of the last `REMEMBERED_S` once more, in order, before it goes on; and it goes on only once the broker confirms
that somebody listens, for a broker without memory has forgotten who does. Of the guest's rows it only notes that nobody
listened. The witness is a subscriber with a session of its own that comes back at once.
"""

import random
import socket
import sqlite3
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.bench import packets
from tests.chaos.plant import ASSETS, GUEST, NODE, Plant, number_of
from tests.chaos.verdict import Heard, PastAlert
from tests.conftest import wait_for

ROWS_A_SECOND = 25.0  # of each asset
REMEMBERED_S = 20.0  # more than a broker is ever set back by
SHUFFLED_ROWS = 4  # rows leave in blocks of so many; within one they may be in any order
LATENESS_S = 4.0  # which is as late as they come
WINDOW = 100  # readings under way
PUBACK, NOBODY_LISTENS = 0x40, 0x10
RETRY_S = 0.02
SILENCE_S = 30.0  # a broker that confirms nothing for so long


class Gateway:
    """Publishes rows at their pace, each with QoS 1, on a thread of its own. `sent_ns`: when each first went out;
    `unheard_ns`: when the broker last said that nobody listens to the guest.
    """

    def __init__(self, plant: Plant, port: int, seed: int, rows_a_second: float = ROWS_A_SECOND) -> None:
        self.plant = plant
        self.sent_ns: list[int] = []  # of row 0, 1, 2, ...
        self.unheard_ns = 0
        self.counts: Counter[str] = Counter()
        self._port, self._rows_a_second = port, rows_a_second
        self._dice = random.Random(seed)
        self._shuffled = self._repeated = 0
        self._confirmed = 0  # rows
        self._to_send: int | None = None  # rows, once the end is near; then
        self._last: int | None = None  # is known
        self._stop = threading.Event()
        self._start_ns = time.monotonic_ns()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def shuffle(self, blocks: int) -> None:
        """Send so many blocks out of order."""
        self._shuffled += blocks

    def repeat(self, rows: int) -> None:
        """Send the last rows once more."""
        self._repeated = rows

    def row_after(self, t_ns: int) -> int:
        """The first row that went out after `t_ns`, which may still be to come."""
        return bisect_left(self.sent_ns, t_ns)

    def finish(self, rows: int) -> int:
        """Repair the machine, send so many more rows, and stop. How many rows there were in all."""
        self._to_send = rows
        wait_for(lambda: not self._thread.is_alive(), "the gateway, which has rows to send", 120.0)
        return len(self.sent_ns)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5.0)

    # -- on its thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set() and not self._done:
            try:
                with socket.create_connection(("127.0.0.1", self._port), 1.0) as sock:
                    self._converse(Talk(sock))
            except OSError:
                self._stop.wait(RETRY_S)

    @property
    def _done(self) -> bool:
        return self._last is not None and self._confirmed >= self._last

    def _converse(self, talk: "Talk") -> None:
        self._again(talk)
        while not self._stop.is_set():
            if self._repeated > 0:
                again = range(max(len(self.sent_ns) - self._repeated, 0), len(self.sent_ns))
                self._repeated = 0
                self._send(talk, list(again))
            if self._last is None and self._to_send is not None:
                self.plant = replace(self.plant, repaired_from=len(self.sent_ns))
                self._last = len(self.sent_ns) + self._to_send
            if self._last is not None and len(self.sent_ns) >= self._last:
                talk.settle()
                self._confirmed = len(self.sent_ns)
                return
            if self._due() - len(self.sent_ns) >= SHUFFLED_ROWS:
                self._send(talk, self._block())
            else:
                talk.listen(0.02)
            self.unheard_ns = max(self.unheard_ns, talk.unheard_ns)
            if talk.under_way == 0:
                self._confirmed = len(self.sent_ns)

    def _due(self) -> int:
        return int((time.monotonic_ns() - self._start_ns) / 1e9 * self._rows_a_second)

    def _again(self, talk: "Talk") -> None:
        """What the broker may have forgotten, in order, and what it has not confirmed."""
        if not self.sent_ns:
            return
        remembered = bisect_left(self.sent_ns, self.sent_ns[-1] - round(REMEMBERED_S * 1e9))
        first = min(remembered, self._confirmed)
        self.counts["rows sent again"] += len(self.sent_ns) - first
        self._send(talk, range(first, len(self.sent_ns)))

    def _block(self) -> list[int]:
        first = len(self.sent_ns)
        rows = list(range(first, first + SHUFFLED_ROWS))
        if self._shuffled > 0:
            self._shuffled -= 1
            self._dice.shuffle(rows)
        self.sent_ns += [time.monotonic_ns()] * SHUFFLED_ROWS
        return rows

    def _send(self, talk: "Talk", rows: "list[int] | range") -> None:
        for row in rows:
            for asset in ASSETS:
                talk.publish(f"plant/{asset}/telemetry", self.plant.payload(asset, row))
            talk.publish(f"guest/{GUEST}/telemetry", self.plant.payload(GUEST, row), for_whom_it_may_concern=True)


class Talk:
    """One connection: what is published on it, and how much of that is confirmed. The first message goes alone.

    `unheard_ns`: when the broker last confirmed that nobody listens to a message that need not be heard.
    """

    def __init__(self, sock: socket.socket, client_id: str = "gateway") -> None:
        self.under_way = 0
        self.unheard_ns = 0
        self._unconcerned: set[int] = set()  # packet ids of what need not be heard
        self._sock = sock
        self._number = 0
        self._unread = b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(SILENCE_S)
        sock.sendall(packets.connect(client_id))
        if len(sock.recv(256)) < 4:
            raise ConnectionError

    def publish(self, topic: str, payload: bytes, *, for_whom_it_may_concern: bool = False) -> None:
        while self.under_way >= WINDOW:
            self.listen(SILENCE_S)
        packet_id = self._number % packets.PACKET_IDS + 1
        (self._unconcerned.add if for_whom_it_may_concern else self._unconcerned.discard)(packet_id)
        self._sock.settimeout(SILENCE_S)
        self._sock.sendall(packets.publish(topic, payload, 1, self._number))
        self._number += 1
        self.under_way += 1
        if self._number == 1:
            self.settle()

    def settle(self) -> None:
        while self.under_way > 0:
            self.listen(SILENCE_S)

    def listen(self, patience_s: float) -> None:
        """Take note of what the broker confirms, if anything comes in that time."""
        self._sock.settimeout(patience_s)
        try:
            data = self._sock.recv(4096)
        except TimeoutError:
            if patience_s >= SILENCE_S:
                raise
            return
        if not data:
            raise ConnectionError
        self._unread += data
        while len(self._unread) >= 2 and len(self._unread) >= 2 + self._unread[1]:
            packet, self._unread = self._unread[: 2 + self._unread[1]], self._unread[2 + self._unread[1] :]
            if packet[0] == PUBACK:
                self.under_way -= 1
                self._confirm(int.from_bytes(packet[2:4]), packet[4:5] == bytes([NOBODY_LISTENS]))

    def _confirm(self, packet_id: int, unheard: bool) -> None:
        if unheard and packet_id not in self._unconcerned:
            raise ConnectionError("nobody listens")
        if unheard:
            self.unheard_ns = time.monotonic_ns()


def command(port: int, asset: str, name: str, fields: Mapping[str, Any]) -> None:
    """What an operator asks of an asset. Where the broker has forgotten the daemon, nobody hears it."""
    with socket.create_connection(("127.0.0.1", port), SILENCE_S) as sock:
        talk = Talk(sock, "operator")
        talk.publish(f"edge-ae/{NODE}/{asset}/cmd/{name}", orjson.dumps(fields), for_whom_it_may_concern=True)
        talk.settle()


class Witness:
    """Hears all that the node says. `heard`: every delivery of an event, in order; `newest`: the latest row known to be
    scored, of all assets but the guest; `guest`: that of the guest; `alerts`: what is retained of each asset.
    """

    def __init__(self, port: int) -> None:
        self.heard: list[Heard] = []
        self.guest = -1
        self._rows: list[int] = []  # each newer than those before,
        self._rows_ns: list[int] = []  # and when it was heard of
        self.alerts: dict[str, dict[str, Any]] = {}
        self.connected = False
        self._stop = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "witness", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe(f"edge-ae/{NODE}/+/+", 1)
        self._client.on_subscribe = lambda *_: setattr(self, "connected", True)
        self._client.on_message = self._note
        self._client.connect_timeout = 1.0
        self._port = port
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        wait_for(lambda: self.connected, "the witness")

    def _run(self) -> None:
        properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 86_400
        while not self._stop.is_set():
            try:
                self._client.connect("127.0.0.1", self._port, clean_start=False, properties=properties)
                while self._client.loop(0.5) == MQTTErrorCode.MQTT_ERR_SUCCESS and not self._stop.is_set():
                    pass
            except OSError:
                pass
            self.connected = False
            self._stop.wait(RETRY_S)

    def _note(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        asset, kind = message.topic.split("/")[-2:]
        if kind == "event":
            self.heard.append(Heard(time.monotonic_ns(), message.dup, orjson.loads(message.payload)))
        elif kind == "alert" and message.payload:
            self.alerts[asset] = orjson.loads(message.payload)
        elif kind == "alert":
            self.alerts.pop(asset, None)
        elif kind == "score":
            self._note_row(asset, number_of(orjson.loads(message.payload)["ts"]))

    def _note_row(self, asset: str, row: int) -> None:
        if asset == GUEST:
            self.guest = max(self.guest, row)
        elif row > self.newest:
            self._rows_ns.append(time.monotonic_ns())
            self._rows.append(row)

    @property
    def newest(self) -> int:
        return self._rows[-1] if self._rows else -1

    def used_ns(self, row: int) -> int:
        """When this row or a newer one was first known to be scored; one was."""
        return self._rows_ns[bisect_left(self._rows, row)]

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5.0)


def retained_alerts(port: int) -> dict[str, dict[str, Any]]:
    """What somebody who comes now is told of each asset."""
    found: dict[str, dict[str, Any]] = {}
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    told_all = threading.Event()
    last = f"edge-ae/{NODE}/status"  # a broker sends what it retains in the order of the filters

    def note(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic == last:
            told_all.set()
        else:
            found[message.topic.split("/")[2]] = orjson.loads(message.payload)

    client.on_connect = lambda client, *_: client.subscribe([(f"edge-ae/{NODE}/+/alert", 1), (last, 1)])
    client.on_message = note
    client.connect("127.0.0.1", port)
    client.loop_start()
    wait_for(lambda: told_all.is_set() and found.keys() >= set(ASSETS), "the retained alerts")
    client.disconnect()
    client.loop_stop()
    return found


def past_alerts(database: Path, asset: str) -> list[PastAlert]:
    """What the daemon, which is stopped, remembers of an asset."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT id, announced, cleared_ns FROM alert WHERE asset = ?", (asset,)).fetchall()
    return [PastAlert(name, announced == 1, cleared_ns is not None) for name, announced, cleared_ns in rows]

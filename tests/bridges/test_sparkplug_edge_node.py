"""The daemon as an edge node of Sparkplug: what is published, in which order, read by our own reader of Sparkplug."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_ae import wiring
from edge_ae.bridges import sparkplug
from edge_ae.bridges.sparkplug import SparkplugEdgeNode
from edge_ae.bridges.sparkplug_metrics import ALIASES, DEVICE, WATCHED, EdgeIdentity, values_of
from edge_ae.config.settings import Settings
from edge_ae.core.events import Readings, Scored, Verdict
from edge_ae.core.fleet import Fleet
from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.formats.sparkplug_payload import payload_of, value_of
from edge_ae.core.formats.sparkplug_writing import rebirth_command
from edge_ae.core.suppression import Silence
from edge_ae.core.timestamps import MS, SECOND
from edge_ae.mqtt.link import Link
from edge_ae.mqtt.options import Broker as MqttBroker
from edge_ae.mqtt.options import LinkOptions
from tests.conftest import PATIENCE_S, Broker, Subscriber, wait_for
from tests.daemon.node_process import PERIOD_NS, watch

T_NS = 1_790_000_000 * SECOND
NOW_MS = 1_790_000_100_000


@dataclass(frozen=True)
class Heard:
    """Something that a host sent, or a connection that has opened."""

    payload: bytes = b""
    number: int = 1
    qos: int = 1
    connection: int = 1
    mid: int = 7


class Hall:
    """The edge node with a fleet of its own, and a broker that may be away."""

    def __init__(self, *assets: str, interval_s: float = 1.0) -> None:
        self.fleet = Fleet("pi-7", 10_000)
        for asset in assets:
            self.fleet.add(asset, watch())
        self.counts: Counter[str] = Counter()
        self.connected = False
        self.sent: list[tuple[str, bytes]] = []
        self.said: list[Heard] = []
        self.room = 10**6
        self.filters: Any = None
        self.stopped = False
        self._opened: Heard | None = None
        self.now_ns = 0
        self.node = SparkplugEdgeNode(EdgeIdentity("plant", "pi-7", 41), interval_s, self, lambda: NOW_MS * MS)

    # what the node asks of its connection

    def start(self, filters: Any) -> None:
        self.filters = filters

    def opened(self) -> Heard | None:
        opened, self._opened = self._opened, None
        return opened

    def take(self, _most: int, _timeout_s: float) -> list[Heard]:
        said, self.said = self.said, []
        return said

    def ack(self, messages: Any) -> None:
        assert all(message == (1, 7) for message in messages)

    def acked(self) -> list[int]:
        return []

    def publish(self, topic: str, payload: bytes, *, json: bool) -> int | None:
        assert not json
        if not self.connected or self.room <= 0:
            return None
        self.room -= 1
        self.sent.append((topic, payload))
        return 1

    def stop(self) -> None:
        self.stopped = True

    # what a test does

    def open(self, number: int = 1) -> None:
        self.connected, self._opened = True, Heard(number=number)

    def tick(self, seconds: float = 1.0) -> list[tuple[str, bytes]]:
        self.now_ns += round(seconds * SECOND)
        self.sent = []
        self.node.tick(self.fleet.detectors, dict, self.now_ns)
        return self.sent

    def read(self, asset: str, *values: float, first: int = 0) -> None:
        """Rows of readings, a tenth of a second apart, until scored."""
        for number, value in enumerate(values, start=first):
            self.fleet.push(Readings(asset, T_NS + number * PERIOD_NS, {"a": value, "b": 0.0}), watch())
        self.node.happened(self.fleet.step())

    def score(self, asset: str, score: float, row: int = 5) -> None:
        self.node.happened([Scored(asset, T_NS + row * PERIOD_NS, Verdict(0, score, 10.0, score / 10), False)])


def kinds(sent: list[tuple[str, bytes]]) -> list[str]:
    """Such as "DDATA pump"."""
    parts = [topic.split("/") for topic, _ in sent]
    assert all(one[:2] == ["spBv1.0", "plant"] and one[3] == "pi-7" for one in parts)
    return [" ".join([one[2], *one[4:]]) for one in parts]


def metrics(payload: bytes) -> dict[Any, Any]:
    """By name, or by alias where there is none."""
    found = payload_of(payload).metrics
    types = {place: datatype for place, (_, datatype) in enumerate(DEVICE)}
    return {
        one.name or one.alias: value_of(one, one.datatype or types[((one.alias or 0) - 1) % ALIASES]) for one in found
    }


def seqs(sent: list[tuple[str, bytes]]) -> list[int | None]:
    return [payload_of(payload).seq for _, payload in sent]


def test_connection_begins_with_the_births_of_the_node_and_of_its_devices() -> None:
    hall = Hall("fan", "pump")
    hall.read("pump", *[1.0] * 5)
    assert (hall.tick(), hall.filters) == ([], [("spBv1.0/plant/NCMD/pi-7", 1)])
    hall.open(7)
    sent = hall.tick()
    assert kinds(sent) == ["NBIRTH", "DBIRTH fan", "DBIRTH pump"]
    assert seqs(sent) == [0, 1, 2]
    node, fan, pump = (metrics(payload) for _, payload in sent)
    assert (node["bdSeq"], node["Node Control/Rebirth"], node["Properties/Program"]) == (48, False, "edge-ae")
    assert [*fan] == [*pump] == [name for name, _ in DEVICE]
    assert list(fan.values()) == [None, None, None, False, None, None, None, False]
    assert list(pump.values()) == [1.0, 0.1, 10.0, False, None, None, None, True]


def test_aliases_differ_over_the_whole_node() -> None:
    hall = Hall("fan", "pump")
    hall.open()
    aliases = [one.alias for _, payload in hall.tick()[1:] for one in payload_of(payload).metrics]
    assert len(set(aliases)) == 2 * len(DEVICE)


def test_death_bears_the_number_of_its_connection_and_no_seq() -> None:
    found = payload_of(EdgeIdentity("plant", "pi-7", 254).death(3, NOW_MS))
    assert (found.seq, metrics(EdgeIdentity("plant", "pi-7", 254).death(3, NOW_MS))) == (None, {"bdSeq": 1})


def test_what_changes_is_said_by_alias_and_nothing_else_is() -> None:
    hall = Hall("fan", "pump")
    hall.read("pump", *[1.0] * 5)
    hall.open()
    hall.tick()
    assert hall.tick() == []
    hall.score("pump", 2.0)
    ((topic, payload),) = hall.tick()
    assert topic == "spBv1.0/plant/DDATA/pi-7/pump"
    assert payload_of(payload).seq == 3
    assert metrics(payload) == {1: 2.0, 2: 0.2}
    assert {one.stamp for one in payload_of(payload).metrics} == {(T_NS + 5 * PERIOD_NS) // MS}


def test_alert_is_said_with_its_reason_and_its_end() -> None:
    hall = Hall("pump")
    hall.open()
    hall.tick()
    hall.read("pump", *[1.0] * 4, *[50.0] * 2)
    said = metrics(hall.tick()[0][1])
    assert [said[alias] for alias in (4, 5, 7, 8)] == [True, "high", "a", True]
    assert said[6].startswith("a 50 bar")
    hall.read("pump", *[1.0] * 20, first=6)
    over = metrics(hall.tick()[0][1])
    assert [over[alias] for alias in (4, 5, 6, 7)] == [False, None, None, None]


def test_a_suppressed_alert_is_none() -> None:
    hall = Hall("pump")
    hall.open()
    hall.read("pump", *[1.0] * 4)
    hall.fleet.detectors["pump"].add_silence(Silence(0, 2**62))
    hall.read("pump", *[50.0] * 2, first=4)
    assert hall.fleet.detectors["pump"].alert_now().state == "suppressed"
    assert values_of(hall.fleet.detectors["pump"], None)[3:7] == (False, None, None, None)


def test_score_is_said_at_its_pace_and_an_alert_at_once() -> None:
    hall = Hall("pump", interval_s=10.0)
    hall.read("pump", *[1.0] * 5)
    hall.open()
    hall.tick()
    hall.score("pump", 2.0)
    assert kinds(hall.tick()) == ["DDATA pump"]
    hall.score("pump", 3.0)
    assert hall.tick() == []
    hall.read("pump", 50.0, 50.0, first=5)
    assert set(metrics(hall.tick()[0][1])) == {4, 5, 6, 7}
    assert set(metrics(hall.tick(8.0)[0][1])) == {1, 2}


def test_score_of_an_asset_that_is_watched_no_more_is_null_at_once() -> None:
    hall = Hall("pump", interval_s=1000.0)
    hall.read("pump", *[1.0] * 5)
    hall.open()
    hall.tick()
    hall.score("pump", 2.0)
    hall.tick()
    hall.fleet.detectors["pump"].set_service(False)
    assert metrics(hall.tick()[0][1]) == {1: None, 2: None, 3: None, 1 + WATCHED: False}


def test_asset_that_appears_is_born_and_one_that_goes_dies() -> None:
    hall = Hall("pump")
    hall.open()
    hall.tick()
    hall.fleet.add("fan", watch())
    assert kinds(hall.tick()) == ["DBIRTH fan"]
    del hall.fleet.detectors["pump"]
    hall.node.withdrawn("pump")
    sent = hall.tick()
    assert (kinds(sent), seqs(sent), metrics(sent[0][1])) == (["DDEATH pump"], [3], {})
    hall.fleet.add("pump", watch())
    assert kinds(hall.tick()) == ["DBIRTH pump"]


def test_asset_that_no_host_knows_of_dies_in_silence() -> None:
    hall = Hall()
    hall.open()
    hall.tick()
    hall.score("pump", 1.0)
    hall.node.withdrawn("pump")
    assert hall.tick() == []


def test_host_that_asks_gets_the_births_of_the_same_connection_again() -> None:
    hall = Hall("pump")
    hall.open(3)
    hall.tick()
    hall.said = [Heard(rebirth_command(NOW_MS))]
    sent = hall.tick()
    assert (kinds(sent), seqs(sent)) == (["NBIRTH", "DBIRTH pump"], [0, 1])
    assert metrics(sent[0][1])["bdSeq"] == 44
    assert hall.tick() == []


def test_new_connection_begins_anew_with_the_next_number() -> None:
    hall = Hall("pump")
    hall.open(3)
    hall.tick()
    hall.connected = False
    hall.score("pump", 5.0)
    assert hall.tick() == []
    hall.open(4)
    sent = hall.tick()
    assert (kinds(sent), seqs(sent)) == (["NBIRTH", "DBIRTH pump"], [0, 1])
    assert metrics(sent[0][1])["bdSeq"] == 45


@pytest.mark.parametrize("payload", [b"", b"\xff" * 40, b"{}", EdgeIdentity("g", "e").death(1, NOW_MS)])
def test_other_commands_change_nothing(payload: bytes) -> None:
    hall = Hall("pump")
    hall.open()
    hall.tick()
    hall.said = [Heard(payload)]
    assert hall.tick() == []
    assert hall.node.report().get("bad_commands", 0) == (payload not in (b"", EdgeIdentity("g", "e").death(1, NOW_MS)))


def test_hosts_that_ask_again_and_again_do_not_keep_the_last_assets_from_their_births(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sparkplug, "PER_TICK", 2)
    hall = Hall("a", "b", "c", "d", "e")
    hall.open()
    born: list[str] = []
    for _ in range(3):
        hall.said = [Heard(rebirth_command(NOW_MS))]
        born += kinds(hall.tick())
    assert born == ["NBIRTH", *(f"DBIRTH {name}" for name in "abcde")]


def test_what_the_connection_does_not_take_leaves_no_gap_in_the_sequence() -> None:
    hall = Hall("a", "b", "c")
    hall.open()
    hall.room = 2
    first = hall.tick()
    hall.room = 10
    assert seqs(first) + seqs(hall.tick()) == [0, 1, 2, 3]
    assert hall.node.report()["not_sent"] == 1


def test_node_whose_birth_was_not_taken_is_born_later() -> None:
    hall = Hall("a")
    hall.open()
    hall.room = 0
    assert hall.tick() == []
    hall.room = 10
    assert kinds(hall.tick()) == ["NBIRTH", "DBIRTH a"]


def test_alerts_go_before_scores_and_scores_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    hall = Hall("a", "b", "c", "z")
    for asset in ("a", "b", "c", "z"):
        hall.read(asset, *[1.0] * 5)
    hall.open()
    hall.tick()
    monkeypatch.setattr(sparkplug, "PER_TICK", 2)
    turns = []
    for value in (2.0, 3.0):
        for asset in ("a", "b", "c"):
            hall.score(asset, value)
        turns.append(kinds(hall.tick()))
    assert turns == [["DDATA a", "DDATA b"], ["DDATA c", "DDATA a"]]
    hall.score("b", 4.0)
    hall.read("z", 50.0, 50.0, first=5)
    assert kinds(hall.tick())[0] == "DDATA z"


def test_sequence_goes_from_255_to_0() -> None:
    hall = Hall(*(f"a{number}" for number in range(300)))
    hall.open()
    assert seqs(hall.tick()) == [number % 256 for number in range(301)]


def test_our_own_reader_of_sparkplug_reads_it() -> None:
    hall = Hall("pump")
    hall.read("pump", *[1.0] * 5)
    hall.open()
    own = Decoder(Stream("spBv1.0/plant/+/pi-7/{asset}", "sparkplug"), None)
    *_, (topic, payload) = hall.tick()
    born = own.decode(topic, payload, NOW_MS * MS)
    assert {name: value for one in born for name, value in one.values.items() if not math.isnan(value)} == {
        "anomaly/score": 1.0,
        "anomaly/ratio": 0.1,
        "anomaly/threshold": 10.0,
        "anomaly/active": 0.0,
        "anomaly/watched": 1.0,
    }
    hall.score("pump", 2.0)
    ((topic, payload),) = hall.tick()
    (data,) = own.decode(topic, payload, NOW_MS * MS)
    assert (data.asset, data.t_ns, dict(data.values)) == (
        "pump",
        T_NS + 5 * PERIOD_NS,
        {"anomaly/score": 2.0, "anomaly/ratio": 0.2},
    )


def test_hosts_are_listened_to_however_many_commands_they_have_sent(broker: Broker, listener: Subscriber) -> None:
    most = 2  # unacknowledged
    own = LinkOptions(MqttBroker("127.0.0.1", broker.port), "edge", "status", receive_maximum=most, clean=True)
    node = SparkplugEdgeNode(EdgeIdentity("plant", "pi-7"), 1.0, Link(own, most))
    births = Subscriber(broker.port, "spBv1.0/plant/NBIRTH/pi-7", "host")

    def is_born(times: int) -> bool:
        node.tick({}, dict, 0)
        return len(births.messages) >= times

    wait_for(lambda: is_born(1), "the birth")
    for payload in [b"x"] * 2 * most:
        listener.publish("spBv1.0/plant/NCMD/pi-7", payload).wait_for_publish(PATIENCE_S)
    listener.publish("spBv1.0/plant/NCMD/pi-7", rebirth_command(NOW_MS))
    wait_for(lambda: is_born(2), "the birth that a host asks for", 3.0)
    node.close()
    births.close()


def test_stop_ends_the_connection_where_there_was_one() -> None:
    hall = Hall()
    hall.node.close()
    assert not hall.stopped
    hall.tick()
    hall.node.close()
    assert hall.stopped


def test_report_has_the_counts_of_node_and_connection() -> None:
    hall = Hall("pump")
    hall.counts["bad_packet"] = 2
    hall.open()
    hall.tick()
    assert hall.node.report() == {"connected": 1, "NBIRTH": 1, "DBIRTH": 1, "bad_packet": 2}


def settings(directory: Path, **sparkplug: Any) -> Settings:
    return Settings.model_validate({"node": "n1", "state_dir": directory, "sparkplug": sparkplug})


def test_setting_switches_it(tmp_path: Path) -> None:
    assert wiring._sparkplug(settings(tmp_path)) is None
    assert wiring._sparkplug(settings(tmp_path, group_id="plant")) is None
    assert wiring._sparkplug(settings(tmp_path, group_id="plant", output=True)) is not None

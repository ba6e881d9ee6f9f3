"""Replay: the broker gets the file, line by line, as a sensor would have sent it."""

import json
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge_ae.cli.replay import messages, shift_to_now
from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadConfig
from edge_ae.mqtt import simple_client
from edge_ae.mqtt.options import Broker as Address
from edge_ae.mqtt.playback import publish
from edge_ae.mqtt.simple_client import close, connect
from edge_ae.store.recording.options import ReadOptions
from edge_ae.store.recording_csv import Table, read_csv
from tests.conftest import Broker, Subscriber, free_port, wait_for

START = 1_795_435_200 * SECOND


def recording(directory: Path, lines: int = 3) -> Table:
    path = directory / "r.csv"
    body = "".join(f"2026-11-23T12:00:{n:02d}Z,{n},{'' if n == 1 else n + 0.5}\n" for n in range(lines))
    path.write_text(f"time,a,b\n{body}")
    return read_csv(path)


def test_a_line_is_an_object_with_its_time_as_it_stood_and_no_missing_values(tmp_path: Path) -> None:
    assert list(messages(recording(tmp_path), "p/x")) == [
        (START, "p/x", b'{"ts":"2026-11-23T12:00:00Z","a":0.0,"b":0.5}'),
        (START + SECOND, "p/x", b'{"ts":"2026-11-23T12:00:01Z","a":1.0}'),
        (START + 2 * SECOND, "p/x", b'{"ts":"2026-11-23T12:00:02Z","a":2.0,"b":2.5}'),
    ]


def test_a_topic_with_a_channel_gets_bare_numbers(tmp_path: Path) -> None:
    sent = [(topic, payload) for _, topic, payload in messages(recording(tmp_path, 2), "p/{channel}")]
    assert sent == [("p/a", b"0.0"), ("p/b", b"0.5"), ("p/a", b"1.0")]


def test_time_that_only_files_have_is_sent_as_payloads_have_it(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("time;a\n23.11.2026 13:00:00;1,5\n23.11.2026 12:00:00;2\n")
    table = read_csv(path, ReadOptions(time_zone=ZoneInfo("Europe/Berlin")))
    assert [payload for _, _, payload in messages(table, "p")] == [
        b'{"ts":"2026-11-23T12:00:00.000Z","a":1.5}',
        b'{"ts":"2026-11-23T11:00:00.000Z","a":2.0}',
    ]


def test_times_are_shifted_by_whole_periods_up_to_now(tmp_path: Path) -> None:
    table = recording(tmp_path)
    now_ns = START + 1000 * SECOND + 123
    shift_ns = shift_to_now(table, 2.0, now_ns)
    assert shift_ns == 999 * SECOND  # the last line is sent one second from now
    times = [json.loads(payload)["ts"] for _, _, payload in messages(table, "p", shift_ns=shift_ns)]
    assert times == ["2026-11-23T12:16:39.000Z", "2026-11-23T12:16:40.000Z", "2026-11-23T12:16:41.000Z"]


def test_everything_arrives_in_order(broker: Broker, listener: Subscriber) -> None:
    sent = [(START + n, "edge-ae/t", str(n).encode()) for n in range(2_000)]
    connection = connect(Address(port=broker.port))
    assert publish(connection, sent, 0) == 2_000
    close(connection)
    wait_for(lambda: len(listener.on("/t")) == 2_000)
    assert [int(message.payload) for message in listener.on("/t")] == list(range(2_000))
    assert {message.qos for message in listener.on("/t")} == {1}


def test_the_pace_is_that_of_the_times(broker: Broker) -> None:
    connection = connect(Address(port=broker.port))
    began_s = time.monotonic()
    publish(connection, [(START, "t", b"1"), (START + 2 * SECOND, "t", b"2")], 10.0)
    close(connection)
    assert time.monotonic() - began_s >= 0.2


def test_what_is_stopped_sends_no_more(broker: Broker) -> None:
    connection = connect(Address(port=broker.port))
    assert publish(connection, [(START, "t", b"1"), (START + 3600 * SECOND, "t", b"2")], 1.0, stop=lambda: True) == 0
    close(connection)


def test_a_broker_that_is_not_there_is_one_sentence() -> None:
    port = free_port()
    with pytest.raises(BadConfig, match=f"^mqtt: the broker at localhost:{port} cannot be reached: .*is it running"):
        connect(Address(port=port))


def test_a_broker_that_refuses_us_is_one_sentence(tmp_path: Path, broker: Broker) -> None:
    (tmp_path / "passwd").write_text("")
    broker.close()
    closed = Broker(tmp_path, f"password_file {tmp_path}/passwd\n")
    closed._config.write_text(closed._config.read_text().replace("allow_anonymous true", "allow_anonymous false"))
    closed.start()
    try:
        with pytest.raises(BadConfig, match="refused: Not authorized; check username and password_file"):
            connect(Address(port=closed.port, username="u", password="hunter2"))
    finally:
        closed.close()


def test_the_password_is_not_shown() -> None:
    assert "hunter2" not in repr(Address(password="hunter2"))


def test_both_versions_of_mqtt_are_spoken(broker: Broker) -> None:
    for protocol in simple_client.VERSIONS:
        close(connect(Address(port=broker.port, protocol=protocol)))

"""Bytes that nobody meant for us: as payloads, commands, settings, kept states, rows of the outbox. No crash; counters add up.

What one parser does with them is stated beside its facts (decoder, commands, model, settings, database, outbox); here it is
the daemon as a whole, and files whose checksum is right and whose contents are not.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_ae.config.loading import inspect
from edge_ae.mqtt.link import Message, Session
from edge_ae.store.node_store import FILE, AssetState, Changes, NodeStore
from edge_ae.store.outbox import OutgoingMessage
from tests.fuzz import packets, payloads
from tests.fuzz.daemon import T0_NS, daemon

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8)
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)
FOLDER_STAYS = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("seed", [1, 2])
def test_hostile_payloads_are_used_or_dropped_by_reason(seed: int) -> None:
    counts = payloads.run(400_000, seed)
    assert counts["used"] > 500
    assert {"not_json", "wrong_type", "bad_topic", "bad_command", "unknown_channel", "empty"} <= set(counts)


def test_hostile_packets_cost_nothing_but_themselves() -> None:
    counts = packets.run(4_000, 1)
    assert {"bad_topic", "bad_packet", "bad_properties", "bad_response_topic", "answers", "commands"} <= set(+counts)


def rows(first: int, number: int, value: float) -> list[tuple[str, bytes]]:
    times = range(first, first + number)
    return [
        ("plant/p1/telemetry", json.dumps({"ts": T0_NS // 10**6 + 100 * i, "a": value, "b": 1.0}).encode())
        for i in times
    ]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a daemon in the middle of an alert writes down: its assets and the parts of the node."""
    tried, link = daemon(tmp_path_factory.mktemp("state"), checkpoint_s=1.0)
    tried.store.load()
    link.put(rows(0, 30, 1.0) + rows(30, 10, 50.0))
    tried.turn()
    saved = tried.store.load()
    assert saved is not None
    state = {"assets": {name: asset.state for name, asset in saved.assets.items()}, "node": saved.node}
    assert state["assets"]["p1"]["alert"]["episode"] is not None
    return orjson.loads(orjson.dumps(state))  # type: ignore[no-any-return]


def save(directory: Path, state: Mapping[str, Any]) -> None:
    (directory / FILE).unlink(missing_ok=True)
    store = NodeStore(directory / FILE)
    store.load()
    assets = state["assets"] if isinstance(state["assets"], dict) else {}
    assert store.commit(
        Changes({name: AssetState("plant/+/telemetry", one) for name, one in assets.items()}, node=state["node"])
    )
    store.close()


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every part of a JSON value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, inner in parts for path in paths(inner, (*here, key)))]


@FOLDER_STAYS
@given(data=st.data())
def test_state_of_another_shape_is_taken_up_or_logged_and_left(
    tmp_path: Path, snapshot: dict[str, Any], data: st.DataObject
) -> None:
    """Its checksum is right: another version wrote it. A crash would meet it again at every start."""
    state = copy.deepcopy(snapshot)
    *way, last = data.draw(st.sampled_from([path for path in paths(state) if len(path) > 1]))
    holder = state
    for key in way:
        holder = holder[key]
    if data.draw(st.booleans()):
        del holder[last]
    else:
        holder[last] = data.draw(JSON)
    save(tmp_path, state)
    tried, _ = daemon(tmp_path, checkpoint_s=1.0)
    tried.checkpoints.load()
    tried.store.close()


@pytest.mark.parametrize("filters", [None, 7, [None], [["plant/+"]]])
def test_subscriptions_of_another_shape_are_logged_and_left(
    tmp_path: Path, snapshot: dict[str, Any], filters: object, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, snapshot | {"node": snapshot["node"] | {"subscribed": filters}})
    tried, _ = daemon(tmp_path, checkpoint_s=1.0)
    tried.checkpoints.load()
    assert "state: that of subscribed does not fit this version" in caplog.text
    assert tried.checkpoints.subscriptions == set()


def test_state_that_does_not_fit_is_logged_and_that_asset_begins_anew(
    tmp_path: Path, snapshot: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    state = copy.deepcopy(snapshot)
    del state["assets"]["p1"]["window"]
    save(tmp_path, state)
    tried, link = daemon(tmp_path, checkpoint_s=1.0)
    tried.checkpoints.load()
    assert caplog.text.count("that of p1 does not fit this version (KeyError('window')) and begins anew") == 1
    link.put(rows(0, 30, 1.0) + rows(30, 10, 50.0))
    tried.turn()
    assert [one.id for one in tried.store.outbox.pending(9)] == [snapshot["assets"]["p1"]["alert"]["episode"]["id"]]


VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=8) | st.binary(max_size=8)


@FOLDER_STAYS
@given(row=st.tuples(*[VALUES] * 9))
def test_row_of_the_outbox_of_another_shape_costs_only_itself(tmp_path: Path, row: tuple[Any, ...]) -> None:
    (tmp_path / FILE).unlink(missing_ok=True)
    store = NodeStore(tmp_path / FILE)
    store.load()
    good = OutgoingMessage("id", 1, 2, 3, "edge-ae/n1/p1/event", b"{}")
    store.outbox.append([good])
    assert store.commit(Changes())
    store.database.commit(
        lambda connection: connection.execute(
            "INSERT OR IGNORE INTO event (id, seq, t_ns, at_ns, topic, payload, retain, acknowledged, checksum) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
    )
    store.close()
    again = NodeStore(tmp_path / FILE)
    again.load()
    assert good in again.outbox.pending(9)
    again.outbox.send_again(10**18, 0)
    again.outbox.send_again_between(("id", 1), ("id", 1))
    again.close()


@FOLDER_STAYS
@given(mark=st.binary(max_size=40) | JSON.map(orjson.dumps), retain=st.booleans())
def test_mark_that_somebody_else_wrote_changes_nothing(tmp_path: Path, mark: bytes, retain: bool) -> None:
    tried, _ = daemon(tmp_path)
    tried.store.load()
    tried.publisher.reconnected(Session(1, True, "5"), tried.fleet, 0)
    topic = tried.publisher.mark_topic
    tried.publisher.mark_received(Message(0, topic, mark, 0, 0, False, 1, retain))
    assert len(tried.store.outbox) == 0


NAMES = (
    "node",
    "state_dir",
    "model_key",
    "log_level",
    "mqtt",
    "streams",
    "alerts",
    "publish",
    "state",
    "limits",
    "record",
)
KEYS = (
    "host",
    "port",
    "tls",
    "topic",
    "model",
    "time",
    "channels",
    "budget",
    "deadband",
    "checkpoint_s",
    "payload_bytes",
    "dir",
)
TOML = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(width=32) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


@FOLDER_STAYS
@given(tables=st.dictionaries(st.sampled_from(NAMES), TOML, max_size=5))
def test_settings_of_any_shape_are_settings_or_sentences(tmp_path: Path, tables: dict[str, Any]) -> None:
    file = tmp_path / "edge-ae.toml"
    file.write_text("".join(f"{name} = {toml(value)}\n" for name, value in tables.items()))
    found, problems, _ = inspect(file, {"HOME": str(tmp_path)})
    assert found is not None or problems
    assert all("\n" not in problem and "Traceback" not in problem for problem in problems)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value).replace("e", ".0e") if "." not in repr(value) and "e" in repr(value) else repr(value)
    return json.dumps(value).replace("\x7f", "\\u007f")

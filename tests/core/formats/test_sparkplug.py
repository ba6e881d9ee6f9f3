"""Sparkplug B: births, data by alias, deaths; what is missed, lost or hostile is counted, and the birth asked for."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.formats import sparkplug
from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.formats.sparkplug_payload import payload_of, value_of
from edge_ae.core.formats.sparkplug_writing import rebirth_command
from edge_ae.core.timestamps import SECOND
from edge_ae.errors import BadConfig, BadPayload
from tests.core.formats.sparkplug_bytes import (
    BOOLEAN,
    DATASET,
    DATETIME,
    DOUBLE,
    FLOAT,
    INT8,
    INT32,
    INT64,
    STRING,
    T_MS,
    TEMPLATE,
    UINT64,
    bd_seq,
    block,
    metric,
    payload,
)

T_NS = T_MS * 1_000_000
NOW = T_NS + SECOND
NODES, DEVICES = "spBv1.0/plant/+/{asset}/#", "spBv1.0/plant/+/edge/{asset}"
FLOW, SPEED = metric("flow", DOUBLE, 4.2, alias=1), metric("motor/speed", INT32, 900, alias=2)


class Plant:
    """A decoder, and messages of the edge node `edge` of the group `plant` for it."""

    def __init__(self, topic: str = DEVICES, names: tuple[str, ...] | None = None, **stream: Any) -> None:
        self.decoder = Decoder(Stream(topic, "sparkplug", **stream), names)

    def send(
        self, kind: str, *metrics: bytes, device: str = "", node: str = "edge", **more: Any
    ) -> list[tuple[str, int, dict[str, float]]]:
        topic = f"spBv1.0/plant/{kind}/{node}" + (f"/{device}" if device else "")
        many = self.decoder.decode(topic, payload(*metrics, **more), NOW)
        return [(one.asset, one.t_ns, dict(one.values)) for one in many]

    def refused(self, kind: str, *metrics: bytes, **more: Any) -> str:
        with pytest.raises(BadPayload) as caught:
            self.send(kind, *metrics, **more)
        return f"{caught.value.reason}: {caught.value}"


def test_birth_of_a_device_is_a_reading_and_its_data_are_read_by_alias() -> None:
    plant = Plant()
    born = plant.send("DBIRTH", FLOW, SPEED, device="pump")
    data = plant.send("DDATA", metric(datatype=DOUBLE, value=4.3, alias=1, typed=False), device="pump", t_ms=T_MS + 500)
    assert born == [("pump", T_NS, {"flow": 4.2, "motor/speed": 900.0})]
    assert data == [("pump", T_NS + 500_000_000, {"flow": 4.3})]
    assert plant.decoder.wanted_births() == set()


def test_data_before_a_birth_is_refused_and_the_birth_wanted_once() -> None:
    plant = Plant()
    said = plant.refused("DDATA", metric(datatype=DOUBLE, value=4.3, alias=1, typed=False), device="pump")
    assert said == "no_birth: data of edge node 'edge' by aliases that no birth has named; it is asked to be born again"
    assert (plant.decoder.wanted_births(), plant.decoder.wanted_births()) == ({("plant", "edge")}, set())


def test_data_with_names_and_types_need_no_birth() -> None:
    assert Plant().send("DDATA", metric("flow", DOUBLE, 4.3), device="pump") == [("pump", T_NS, {"flow": 4.3})]


def test_metric_that_no_birth_has_named_is_left_out_and_the_birth_wanted() -> None:
    plant = Plant()
    plant.send("DBIRTH", FLOW, device="pump")
    late = metric(datatype=DOUBLE, value=1.0, alias=9, typed=False)
    known = metric(datatype=DOUBLE, value=4.3, alias=1, typed=False)
    assert plant.send("DDATA", known, late, device="pump") == [("pump", T_NS, {"flow": 4.3})]
    assert plant.decoder.counts["no_birth"] == 1
    assert plant.decoder.wanted_births() == {("plant", "edge")}


@pytest.mark.parametrize(
    ("datatype", "sent", "found"),
    [
        (INT8, -1, -1.0), (INT32, -900, -900.0), (INT64, -(2**40), -(2.0**40)), (UINT64, 2**63, 2.0**63), (FLOAT, 0.5, 0.5),
        (DOUBLE, 4.2, 4.2), (BOOLEAN, 1, 1.0), (STRING, "21.5", 21.5),
    ],
)  # fmt: skip
def test_value_is_that_of_its_type(datatype: int, sent: Any, found: float) -> None:
    assert Plant().send("DBIRTH", metric("a", datatype, sent), device="pump") == [("pump", T_NS, {"a": found})]


def test_int8_is_negative_whether_its_sender_extended_the_sign_or_not() -> None:
    short = block(2, block(1, b"a") + b"\x20\x01" + b"\x50\xff\x01")
    assert Plant().send("DBIRTH", short, device="pump") == [("pump", T_NS, {"a": -1.0})]


@pytest.mark.parametrize(
    ("datatype", "value", "called"),
    [(DATASET, "x", "DataSet"), (TEMPLATE, "x", "Template"), (DATETIME, T_MS, "DateTime")],
)
def test_type_that_holds_no_number_is_left_out_counted_and_said_once(datatype: int, value: Any, called: str) -> None:
    plant = Plant()
    for _ in range(2):
        assert plant.send("DBIRTH", FLOW, metric("x", datatype, value), device="pump") == [
            ("pump", T_NS, {"flow": 4.2})
        ]
    said = [one.text for one in plant.decoder.new_omissions()]
    assert said == [f"'x' is of the type {called}, which is no number"]
    assert plant.decoder.counts["datatype"] == 2


def test_text_that_is_no_number_is_left_out() -> None:
    plant = Plant()
    assert plant.send("DBIRTH", FLOW, metric("serial", STRING, "pump-1"), device="pump") == [
        ("pump", T_NS, {"flow": 4.2})
    ]
    assert plant.decoder.counts["string"] == 1


def test_null_is_missing_and_the_row_of_its_time_stays() -> None:
    plant = Plant(names=("flow", "motor/speed"))
    plant.send("DBIRTH", FLOW, SPEED, device="pump")
    assert plant.send("DDATA", metric("flow", DOUBLE, None), device="pump") == [("pump", T_NS, {})]
    assert plant.decoder.counts["missing_channel"] == 2


def test_value_of_bad_quality_is_left_out() -> None:
    plant = Plant()
    values = (
        metric("flow", DOUBLE, 4.2, quality=192),
        metric("level", DOUBLE, 0.0, quality=0),
        metric("p", DOUBLE, 1.0, quality=500),
    )
    assert plant.send("DBIRTH", *values, device="pump") == [("pump", T_NS, {"flow": 4.2})]
    assert plant.decoder.counts["bad_quality"] == 2


def test_historical_values_come_by_their_own_times_the_oldest_first() -> None:
    values = (
        metric("flow", DOUBLE, 3.0),
        metric("flow", DOUBLE, 2.0, t_ms=T_MS - 1000),
        metric("flow", DOUBLE, 1.0, t_ms=T_MS - 2000),
    )
    times = [T_NS - 2 * SECOND, T_NS - SECOND, T_NS]
    found = Plant().send("DDATA", *values, device="pump")
    assert found == [("pump", t_ns, {"flow": value}) for t_ns, value in zip(times, (1.0, 2.0, 3.0), strict=True)]


def test_message_without_a_time_came_now() -> None:
    assert Plant().send("DDATA", metric("flow", DOUBLE, 1.0), device="pump", t_ms=None) == [
        ("pump", NOW, {"flow": 1.0})
    ]


def test_edge_node_as_an_asset_names_its_devices_metrics_by_device() -> None:
    plant = Plant(NODES)
    born = plant.send(
        "NBIRTH", bd_seq(0), metric("Node Control/Rebirth", BOOLEAN, 0), metric("load", DOUBLE, 0.5), seq=0
    )
    assert born == [("edge", T_NS, {"load": 0.5})]
    assert plant.send("DBIRTH", FLOW, device="pump", seq=1) == [("edge", T_NS, {"pump/flow": 4.2})]


def test_lost_message_is_counted_and_the_next_one_read() -> None:
    plant = Plant(NODES)
    plant.send("NBIRTH", bd_seq(0), seq=0)
    plant.send("DBIRTH", FLOW, device="pump", seq=1)
    for seq in (2, 3, 5, 255, 0):
        assert plant.send("DDATA", metric("flow", DOUBLE, 4.2), device="pump", seq=seq)
    assert plant.decoder.counts["out_of_order"] == 2


def test_sequence_is_not_looked_at_where_the_stream_takes_a_part_of_the_node() -> None:
    plant = Plant(DEVICES)
    for seq in (2, 7, 3):
        plant.send("DDATA", metric("flow", DOUBLE, 4.2), device="pump", seq=seq)
    assert plant.decoder.counts["out_of_order"] == 0


BY_ALIAS = metric(datatype=DOUBLE, value=4.3, alias=1, typed=False)


def test_death_of_a_node_takes_its_names_with_it() -> None:
    plant = Plant(NODES)
    plant.send("NBIRTH", bd_seq(3), seq=0)
    plant.send("DBIRTH", FLOW, device="pump", seq=1)
    assert plant.send("NDEATH", bd_seq(3)) == []
    assert plant.refused("DDATA", BY_ALIAS, device="pump", seq=2).startswith("no_birth: ")


def test_death_of_a_connection_before_the_birth_changes_nothing() -> None:
    plant = Plant(NODES)
    plant.send("NBIRTH", bd_seq(4), seq=0)
    plant.send("DBIRTH", FLOW, device="pump", seq=1)
    assert plant.send("NDEATH", bd_seq(3)) == []
    assert plant.send("DDATA", BY_ALIAS, device="pump", seq=2) == [("edge", T_NS, {"pump/flow": 4.3})]
    assert plant.decoder.counts["former_death"] == 1


def test_death_of_a_device_leaves_the_others() -> None:
    plant = Plant()
    for device in ("pump", "fan"):
        plant.send("DBIRTH", FLOW, device=device)
    assert plant.send("DDEATH", device="pump") == []
    assert plant.send("DDATA", BY_ALIAS, device="fan") == [("fan", T_NS, {"flow": 4.3})]
    assert plant.refused("DDATA", BY_ALIAS, device="pump").startswith("no_birth: ")


def test_data_in_which_no_channel_of_the_model_changed_are_no_fault() -> None:
    plant = Plant(names=("flow",))
    plant.send("DBIRTH", FLOW, SPEED, device="pump")
    assert plant.send("DDATA", metric("motor/speed", INT32, 901), device="pump") == []


def test_birth_without_a_channel_of_the_model_says_what_is_there() -> None:
    said = Plant(names=("Flow",)).refused("DBIRTH", FLOW, device="pump")
    assert (
        said == "unknown_channel: no value of a known channel in it: sought 'Flow'; there is 'flow'; is 'flow' meant?"
    )


@pytest.mark.parametrize("kind", ["NCMD", "DCMD"])
def test_command_is_no_reading(kind: str) -> None:
    plant = Plant(NODES)
    assert plant.send(kind, metric("Node Control/Rebirth", BOOLEAN, 1)) == []
    assert plant.decoder.counts["other_messages"] == 1


def test_json_in_a_stream_of_sparkplug_is_called_so() -> None:
    with pytest.raises(BadPayload, match=r'no protobuf.*; it looks like JSON; set format = "json"'):
        Plant().decoder.decode("spBv1.0/plant/DDATA/edge/pump", b'{"flow": 4.2}', NOW)


def test_compressed_payload_is_refused_with_the_way_out() -> None:
    with pytest.raises(BadPayload, match="let the edge node send them uncompressed"):
        Plant().decoder.decode("spBv1.0/plant/DDATA/edge/pump", block(4, b"SPBV1.0_COMPRESSED") + block(5, b"x"), NOW)


@pytest.mark.parametrize(
    ("topic", "more"),
    [
        ("plant/{asset}/t", {}),
        ("spBv1.0/plant/DDATA/edge/{asset}", {}),
        ("spBv1.0/plant/+/#", {}),
        ("spBv1.0/plant/+/{asset}/{channel}", {}),
        (DEVICES, {"time": "ts"}),
    ],
)
def test_setting_that_sparkplug_cannot_be_read_by_is_refused(topic: str, more: dict[str, str]) -> None:
    with pytest.raises(BadConfig, match=r"of Sparkplug is|is not used with Sparkplug"):
        Decoder(Stream(topic, "sparkplug", **more), None)  # type: ignore[arg-type]  # a path each


def test_nodes_without_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparkplug, "EDGE_NODES", 3)
    plant = Plant(NODES)
    for number in range(10):
        plant.send("NBIRTH", metric("load", DOUBLE, 1.0, alias=1), node=f"edge-{number}")
    assert plant.send("NDATA", BY_ALIAS, node="edge-9") == [("edge-9", T_NS, {"load": 4.3})]
    assert plant.refused("NDATA", BY_ALIAS, node="edge-0").startswith("no_birth: ")


def test_metrics_without_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparkplug, "DEFINITIONS", 10)
    plant = Plant()
    for number in range(10):
        plant.send("DBIRTH", *(metric(f"m{one}", DOUBLE, 1.0, alias=one) for one in range(4)), device=f"d{number}")
    assert plant.send("DDATA", BY_ALIAS, device="d9") == [("d9", T_NS, {"m1": 4.3})]
    assert plant.refused("DDATA", BY_ALIAS, device="d0").startswith("no_birth: ")


@given(data=st.binary(max_size=200), kind=st.sampled_from(sorted(sparkplug.KINDS)), tail=st.binary(max_size=20))
def test_hostile_bytes_are_readings_or_a_refusal(data: bytes, kind: str, tail: bytes) -> None:
    plant = Plant(NODES)
    topic = f"spBv1.0/plant/{kind}/edge" + ("/pump" if kind[0] == "D" else "")
    for one in (data, payload(FLOW, SPEED, seq=0) + tail, block(2, data), block(2, block(9, data))):
        with suppress(BadPayload):
            plant.decoder.decode(topic, one, NOW)


def test_rebirth_command_is_a_payload_that_can_be_read() -> None:
    (one,) = payload_of(rebirth_command(T_MS)).metrics
    assert (one.name, one.stamp, value_of(one, one.datatype)) == ("Node Control/Rebirth", T_MS, True)

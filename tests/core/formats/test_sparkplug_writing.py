"""Payloads that are written: byte for byte what the standard's protobuf asks for, and what our own reader reads."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.formats.sparkplug_payload import payload_of, value_of
from edge_ae.core.formats.sparkplug_writing import metric_bytes, payload_bytes
from tests.core.formats.sparkplug_bytes import (
    BOOLEAN,
    DOUBLE,
    INT64,
    STRING,
    T_MS,
    block,
    payload,
    value_field,
    whole,
)

VALUES = [
    (INT64, 255),
    (DOUBLE, -1.5),
    (BOOLEAN, True),
    (BOOLEAN, False),
    (STRING, "Zähler\n"),
    (STRING, ""),
    (DOUBLE, None),
]


@pytest.mark.parametrize(("datatype", "value"), VALUES)
def test_metric_of_a_birth_has_name_alias_time_type_and_value(datatype: int, value: Any) -> None:
    written = metric_bytes(datatype, value, T_MS, name="a/b", alias=300)
    said = whole(7, 1) if value is None else value_field(datatype, value)
    assert written == block(1, b"a/b") + whole(2, 300) + whole(3, T_MS) + whole(4, datatype) + said


def test_metric_of_data_has_its_alias_and_neither_name_nor_type() -> None:
    written = metric_bytes(DOUBLE, 2.0, T_MS, alias=3, typed=False)
    assert written == whole(2, 3) + whole(3, T_MS) + value_field(DOUBLE, 2.0)


@pytest.mark.parametrize("seq", [None, 0, 255])
def test_payload_has_its_time_metrics_and_sequence(seq: int | None) -> None:
    one = metric_bytes(DOUBLE, 1.0, T_MS, name="a")
    assert payload_bytes(T_MS, [one, one], seq) == payload(block(2, one), block(2, one), seq=seq)
    assert payload_bytes(T_MS, [], seq) == payload(seq=seq)


values = (
    st.tuples(st.just(DOUBLE), st.none() | st.floats(allow_nan=False, allow_infinity=False))
    | st.tuples(st.just(BOOLEAN), st.none() | st.booleans())
    | st.tuples(st.just(STRING), st.none() | st.text(st.characters(codec="utf-8")))
    | st.tuples(st.just(INT64), st.none() | st.integers(0, 2**63 - 1))
)


@given(st.lists(st.tuples(values, st.integers(0, 2**40)), max_size=5), st.integers(0, 255))
def test_what_is_written_is_read_again(metrics: list[tuple[tuple[int, Any], int]], seq: int) -> None:
    written = payload_bytes(T_MS, [metric_bytes(*one, T_MS, alias=alias) for one, alias in metrics], seq)
    found = payload_of(written)
    assert (found.stamp, found.seq) == (T_MS, seq)
    assert [(value_of(one, one.datatype), one.alias) for one in found.metrics] == [
        (value, alias) for (_, value), alias in metrics
    ]

"""Values of payloads: what is used as a number, with which remark; what is left out; and that it is said once."""

import json
import math
from typing import Any

import pytest

from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.formats.omissions import MAX_NAMED, MAX_NAMED_OF_TOPIC, Omission

NOW = 1_795_435_200 * 10**9


def taken(one: Decoder, payload: Any, topic: str = "p/pump") -> dict[str, float]:
    (readings,) = one.decode(topic, json.dumps(payload).encode(), NOW)
    return dict(readings.values)


def decoder(names: tuple[str, ...] | None = ("temp", "on"), **stream: Any) -> Decoder:
    return Decoder(Stream("p/{asset}", **stream), names)


def said(one: Decoder) -> list[str]:
    return [f"{omission.reason}: {omission.text}" for omission in one.new_omissions()]


@pytest.mark.parametrize(
    ("payload", "values", "remark"),
    [
        ({"temp": "55.1"}, {"temp": 55.1}, "text_as_number: temp comes as text ('55.1'); its number is used"),
        ({"temp": " 7,21 "}, {"temp": 7.21}, "text_as_number: temp comes as text (' 7,21 '); its number is used"),
        ({"temp": "21.5 °C"}, {"temp": 21.5}, "number_with_unit: temp comes as text with a unit ('21.5 °C'); its number is used"),
        ({"on": True}, {"on": 1.0}, "boolean_as_number: on comes as true or false; 1 and 0 are used"),
        ({"on": "OFF"}, {"on": 0.0}, "word_as_number: on comes as a word ('OFF'); its number by `words` is used, or 1 and 0 for words of two states"),
    ],
)  # fmt: skip
def test_text_and_truth_are_used_as_numbers_and_that_is_said_once(
    payload: Any, values: dict[str, float], remark: str
) -> None:
    one = decoder()
    assert [taken(one, payload) for _ in range(3)] == [values] * 3
    assert said(one) == [remark]
    assert said(one) == []
    assert not one.counts.keys() - {"missing_channel"}


@pytest.mark.parametrize(
    ("value", "reason", "text"),
    [
        ("sick", "string", "temp comes as text ('sick'), which is no number; words = { sick = 1 } would make it one"),
        ("02:10", "string", "temp comes as text ('02:10'), which is no number"),
        ([1], "wrong_type", "temp is an array of values, not a number"),
        ([{"v": 1}], "wrong_type", "temp is an array of objects, not a number"),
        (
            [{"n": "x", "v": 1}],
            "wrong_type",
            "temp is an array of objects, not a number; value = 'temp[n={channel}].v' would read it",
        ),
        ({"v": 1}, "wrong_type", "temp is an object, not a number"),
    ],
)
def test_value_that_is_left_out_is_counted_and_said_once(value: Any, reason: str, text: str) -> None:
    one = decoder()
    assert [taken(one, {"temp": value, "on": 1}) for _ in range(3)] == [{"temp": math.inf, "on": 1.0}] * 3
    assert one.new_omissions() == [Omission("p/pump", reason, text)]
    assert one.counts == {reason: 3}


@pytest.mark.parametrize("value", [None, "", "n/a", "unavailable", "NaN", "Unknown"])
def test_value_that_says_there_is_none_is_missing_and_nothing_to_talk_about(value: Any) -> None:
    one = decoder()
    assert taken(one, {"temp": value, "on": 1}) == {"on": 1.0}
    assert one.counts == {"missing_channel": 1}
    assert said(one) == []


@pytest.mark.parametrize(
    ("value", "reason"), [("55.1", "string"), ("on", "string"), (True, "boolean"), ("n/a", "string")]
)
def test_strict_stream_takes_numbers_alone(value: Any, reason: str) -> None:
    one = decoder(strict=True)
    assert taken(one, {"temp": value, "on": 1}) == {"temp": math.inf, "on": 1.0}
    assert one.counts == {reason: 1}
    assert said(one)[0].endswith("and the stream is strict")


def test_own_words_are_numbers() -> None:
    one = decoder(words={"auto": 1, "Manual": 2})
    assert [taken(one, {"on": word}) for word in ("AUTO", "manual", "off")] == [{"on": 1.0}, {"on": 2.0}, {"on": 0.0}]


def test_value_whose_unit_changes_is_left_out() -> None:
    one = decoder()
    assert taken(one, {"temp": "950 mV", "on": 1}) == {"temp": 950.0, "on": 1.0}
    assert taken(one, {"temp": "1.02 V", "on": 1}) == {"on": 1.0}
    assert taken(one, {"temp": "951 mV", "on": 1}) == {"temp": 951.0, "on": 1.0}
    assert one.counts == {"unit_changed": 1}


@pytest.mark.parametrize(
    ("format_name", "payload", "value"),
    [
        ("number", b"ON", 1.0), ("number", b"21.5 \xc2\xb0C", 21.5), ("number", b"7,21", 7.21),
        ("json", b"OFF", 0.0), ("json", b'"ON"', 1.0), ("json", b"true", 1.0), ("json", b'{"value": "ON"}', 1.0),
    ],
)  # fmt: skip
def test_word_alone_in_a_message_is_a_value_where_the_topic_names_the_channel(
    format_name: str, payload: bytes, value: float
) -> None:
    one = Decoder(Stream("p/{asset}/{channel}", format=format_name), ("a",))
    assert [dict(each.values) for each in one.decode("p/x/a", payload, NOW)] == [{"a": value}]


def test_quoted_field_of_an_influx_line_is_text() -> None:
    one = Decoder(Stream("p/{asset}", format="influx"), ("temp", "on"))
    (readings,) = one.decode("p/x", b'm temp="55.1",on=t', NOW)
    assert readings.values == {"temp": 55.1, "on": 1.0}


def test_channel_that_is_called_otherwise_is_named_beside_what_is_there() -> None:
    one = decoder()
    assert taken(one, {"Temp": 1, "on": 1, "lq": 7}) == {"on": 1.0}
    assert said(one) == [
        "missing_channel: nothing at 'temp'; no channels of the model are 'Temp', 'lq'; is 'Temp' meant?"
    ]


def test_recorder_is_told_of_a_name_that_stands_beside_its_value() -> None:
    one = decoder(None)
    assert taken(one, {"sensor": "flow", "value": 1}) == {"value": 1.0}
    assert said(one)[1:] == [
        "named_values: a name stands beside its value; value = '[sensor={channel}].value' would read it"
    ]
    named = decoder(None, value="[sensor={channel}].value")
    assert taken(named, {"sensor": "flow", "value": 1}) == {"flow": 1.0}


def test_element_of_a_batch_that_is_not_used_is_named() -> None:
    one = decoder(time="ts")
    assert len(one.decode("p/x", b'[{"ts": 1790000000, "on": 1}, {"ts": "soon", "on": 1}]', NOW)) == 1
    assert said(one) == [
        "bad_time: a part of it is not used: its time 'soon' cannot be used: neither ISO 8601 nor an epoch time"
    ]


def test_omissions_are_bounded_and_counted_beyond() -> None:
    one = decoder(None)
    for n in range(MAX_NAMED + 10):
        taken(one, {"a": 1, **{f"t{k}": "x" for k in range(60)}}, f"p/{n}")
    named = one.new_omissions()
    assert len(named) == MAX_NAMED
    assert max(sum(each.topic == f"p/{n}" for each in named) for n in range(5)) == MAX_NAMED_OF_TOPIC
    assert one.counts == {"string": 60 * (MAX_NAMED + 10)}

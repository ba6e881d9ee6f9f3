"""What is said of payloads that cannot be used: what was sought, what is there, and what the payload looks like."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.formats.refusals import looks_like
from edge_ae.errors import BadPayload

NOW = 1_795_435_200 * 10**9


def refusal(
    payload: Any, names: tuple[str, ...] | None = ("flow", "pressure"), topic: str = "p/{asset}/t", **stream: Any
) -> str:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    with pytest.raises(BadPayload) as caught:
        Decoder(Stream(topic, **stream), names).decode("p/pump/t", data, NOW)
    return f"{caught.value.reason}: {caught.value}"


@pytest.mark.parametrize(
    ("payload", "options", "expected"),
    [
        (
            {"time": 1790000000, "temp": 1, "flow": 2},
            {"time": "ts"},
            "bad_time: its time is sought at 'ts', which is not there; there are 'time', 'temp', 'flow'; is 'time' meant?",
        ),
        (
            {"d": {"TS": 1790000000}, "flow": 2},
            {"time": "ts"},
            "bad_time: its time is sought at 'ts', which is not there; there are 'd.TS', 'flow'; is 'd.TS' meant?",
        ),
        ({"ts": None, "flow": 2}, {"time": "ts"}, "bad_time: its time at 'ts' is null"),
        (
            {"ts": "02.03.2026 10:00:00", "flow": 2},
            {"time": "ts"},
            "bad_time: its time '02.03.2026 10:00:00' cannot be used: neither ISO 8601 nor an epoch time",
        ),
        (
            {"Flow": 1, "p": 2},
            {},
            "unknown_channel: no value of a known channel in it: sought 'flow', 'pressure'; there are 'Flow', 'p'; is 'Flow' meant?",
        ),
        (
            {"d": [{"tag": "flow", "value": 1}]},
            {},
            "unknown_channel: no value of a known channel in it: sought 'flow', 'pressure'; there are 'd[].tag', 'd[].value'; "
            "value = 'd[tag={channel}].value' would read it",
        ),
        (
            {"v": 1.5},
            {"topic": "p/pump/{channel}", "names": ("t",), "asset": "pump"},
            "unknown_channel: no value of a known channel in it: sought 'value'; there is 'v'",
        ),
        (
            [{"n": "flow", "v": 1}],
            {},
            "unknown_channel: no value of a known channel in it: sought 'flow', 'pressure'; there are 'n', 'v'; "
            "value = '[n={channel}].v' would read it",
        ),
        ({"flow": "sick", "x": 1}, {}, "string: flow comes as text ('sick'), which is no number; words = { sick = 1 } would make it one"),
        ({"flow": "1,234"}, {}, "string: flow comes as text ('1,234'); whether its comma is a decimal one cannot be told"),
        ({"flow": "unavailable"}, {}, "missing_channel: flow has no value ('unavailable')"),
        ({"flow": None}, {}, "missing_channel: flow has no value ('None')"),
        ({"flow": [1, 2]}, {}, "wrong_type: flow is an array of values, not a number"),
        ({"flow": "1.5"}, {"strict": True}, "string: flow comes as text ('1.5'), and the stream is strict"),
        ({"flow": True}, {"strict": True}, "boolean: flow comes as true or false, and the stream is strict"),
        ({"name": "n"}, {"names": None}, "string: name comes as text ('n'), which is no number; words = { n = 1 } would make it one"),
        ({}, {"names": None}, "empty: nothing in it"),
    ],
)  # fmt: skip
def test_refusal_names_what_was_sought_and_what_is_there(payload: Any, options: dict[str, Any], expected: str) -> None:
    assert refusal(payload, **options) == expected


def test_names_in_a_refusal_are_few_short_and_printable() -> None:
    said = refusal({f"{n}\n\x07" + "x" * 90: n for n in range(2000)})
    assert said.isprintable()
    assert "and 492 more" in said
    assert len(said) < 700


def test_topic_whose_channel_is_unknown_is_refused_with_those_that_are_known() -> None:
    assert refusal(b"1", topic="p/pump/{channel}", asset="pump") == (
        "unknown_channel: the model has no channel for 't'; it has 'flow', 'pressure'"
    )


@pytest.mark.parametrize("asset", ["A&B", "50%", "capteur d'eau"])
def test_asset_that_cannot_be_one_is_refused_with_what_it_may_be(asset: str) -> None:
    with pytest.raises(BadPayload, match="it takes 1 to 64 letters, digits, blanks or ") as caught:
        Decoder(Stream("p/{asset}/t"), ("flow",)).decode(f"p/{asset}/t", b'{"flow": 1}', NOW)
    assert caught.value.reason == "bad_topic"


SPARKPLUG = b"\x08\xc4\x89\x89\x83\xd30\x12\x17\n\x08Node/fow\x18\xea\xf2\xf5\xa8\xa0+ \n"


@pytest.mark.parametrize(
    ("payload", "likeness"),
    [
        (SPARKPLUG, 'Sparkplug B; set format = "sparkplug", and topic as in docs/payloads.md'),
        (gzip.compress(b'{"flow": 1}', mtime=0), "compressed data (gzip), which cannot be read; let the sender leave it uncompressed"),
        (b"\x82\xa4flow\xcb?\xf8\x00\x00\x00\x00\x00\x00\xa1p\x02", "MessagePack, which cannot be read; let the sender write JSON"),
        (b"\xa2dflow\xfb?\xf8\x00\x00\x00\x00\x00\x00ap\x02", "CBOR, which cannot be read; let the sender write JSON"),
        (b"\x00\x01\x02\x03", "binary data, which cannot be read; let the sender write JSON"),
        (b"2026-11-23T12:00:00Z,1.5,2", "CSV, which cannot be read; let the sender write JSON"),
        (b"1.5;2.5", "CSV, which cannot be read; let the sender write JSON"),
        (b'<?xml version="1.0"?><flow>1</flow>', "XML or HTML, which cannot be read; let the sender write JSON"),
        (b"flow=1.5&p=2", "pairs of key=value, which cannot be read; let the sender write JSON"),
        (b"Flow: 1.5, P: 2", "pairs of key: value, which cannot be read; let the sender write JSON"),
        (b"{'flow': 1.5}", "a Python dict; JSON has double quotes"),
        (b'{"flow": 1}\n{"flow": 2}\n', "JSON documents, one a line; let the sender write an array"),
        (b'{"flow": 1, "p": ', "JSON that is cut off or damaged"),
        (b"m,host=a flow=1.5,p=2i 1790000000000000000", 'lines of the Influx protocol; set format = "influx"'),
        (b"hello", "text"),
    ],
)  # fmt: skip
def test_payload_that_is_no_json_is_refused_with_what_it_looks_like(payload: bytes, likeness: str) -> None:
    assert f"; it looks like {likeness} (" in refusal(payload)


@pytest.mark.parametrize("format_name", ["number", "influx"])
def test_json_in_a_stream_of_another_format_is_called_so(format_name: str) -> None:
    said = refusal({"flow": 1.5, "list": list(range(500))}, ("flow",), format=format_name)
    assert 'it looks like JSON; set format = "json"' in said


def test_topic_of_sparkplug_says_what_its_payload_is() -> None:
    assert looks_like("spBv1.0/plant/DDATA/edge/pump", b"\x12\x07", "json") == SPARKPLUG_SAID


SPARKPLUG_SAID = 'Sparkplug B; set format = "sparkplug", and topic as in docs/payloads.md'


@given(payload=st.binary(max_size=80) | st.text(alphabet="a1 ,;:={}[]'\"\n.-", max_size=60).map(str.encode))
def test_any_bytes_look_like_something(payload: bytes) -> None:
    assert looks_like("p/x", payload, "json").isprintable()

"""Payloads: every shape of the field gives its readings, and whatever cannot be used has a reason with a name."""

import json
import math
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ae.core.detector import Detector, Watch
from edge_ae.core.events import Readings
from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.formats.picking import MAX_LEAVES
from edge_ae.core.health_events import SensorFault
from edge_ae.core.rules import AlertRules
from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.core.topics import topic_fault, topic_filter, topic_regex
from edge_ae.errors import BadConfig, BadPayload
from tests.models import FakeModel

NOW = 1_795_435_200 * SECOND  # 2026-11-23T12:00:00Z
THEN = NOW - 5 * SECOND
TS = "2026-11-23T11:59:55Z"
TOPIC = "plant/pump/telemetry"
REASONS = {
    "availability", "bad_time", "bad_topic", "before_2000", "boolean", "empty", "future", "missing_channel", "not_finite", "not_json",
    "string", "unit_changed", "too_deep", "too_large", "too_many_channels", "unknown_channel", "wrong_type",
}  # fmt: skip


def decoder(
    names: tuple[str, ...] | None = ("a", "b"), topic: str = "plant/{asset}/telemetry", **stream: Any
) -> Decoder:
    return Decoder(Stream(topic, **stream), names)


def decode(payload: Any, **options: Any) -> list[Readings]:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return decoder(**options).decode(TOPIC, data, NOW)


def reason(payload: Any, topic: str = TOPIC, **options: Any) -> str:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    with pytest.raises(BadPayload) as caught:
        decoder(**options).decode(topic, data, NOW)
    assert caught.value.reason in REASONS
    return caught.value.reason


def pump(t_ns: int, **values: float) -> Readings:
    return Readings("pump", t_ns, values)


# -- shapes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "options", "expected"),
    [
        ({"a": 1.5, "b": 2}, {}, [pump(NOW, a=1.5, b=2.0)]),
        ({"ts": TS, "a": 1.5, "b": 2}, {"time": "ts"}, [pump(THEN, a=1.5, b=2.0)]),
        ({"ts": THEN // 10**6, "a": 1.5, "b": 2}, {"time": "ts"}, [pump(THEN, a=1.5, b=2.0)]),
        ({"h": {"t": TS}, "a": 1}, {"time": "h.t"}, [pump(THEN, a=1.0)]),
        ({"d": {"p": 1.5, "q": {"r": 2}}}, {"channels": {"a": "d.p", "b": "d.q.r"}}, [pump(NOW, a=1.5, b=2.0)]),
        ({"d.p": 1.5, "b": 2}, {"channels": {"a": "d.p"}}, [pump(NOW, a=1.5, b=2.0)]),
        (
            [{"ts": TS, "a": 1}, {"ts": "2026-11-23T11:59:56Z", "b": 2}],
            {"time": "ts"},
            [pump(THEN, a=1.0), pump(THEN + SECOND, b=2.0)],
        ),
        (
            {"ts": [TS, "2026-11-23T11:59:56Z"], "a": [1, 2], "b": [3, None], "unit": "bar"},
            {"time": "ts"},
            [pump(THEN, a=1.0, b=3.0), pump(THEN + SECOND, a=2.0)],
        ),
        (b" 4.25\n", {"format": "number", "names": ("a",)}, [pump(NOW, a=4.25)]),
        (
            b"m,site=x a=1.5,b=2i 1795435195000000000\nm a=3 1795435196000000000",
            {"format": "influx"},
            [pump(THEN, a=1.5, b=2.0), pump(THEN + SECOND, a=3.0)],
        ),
        (b'm\\ x s="a b,c=1",a=1.5,on=true', {"format": "influx"}, [pump(NOW, a=1.5)]),
        (b"hydraulics a=7,b=8", {"format": "influx", "channels": {"a": "hydraulics.a"}}, [pump(NOW, a=7.0, b=8.0)]),
    ],
)  # fmt: skip
def test_every_shape_of_the_field_is_read(payload: Any, options: dict[str, Any], expected: list[Readings]) -> None:
    assert decode(payload, **options) == expected


@pytest.mark.parametrize("payload", [b'{"a": 1, "b": 2}', b'{"a": 1, "b": 2.5}', b'{"a": 1}'])
def test_a_whole_number_is_a_float_like_any_other(payload: bytes) -> None:
    (readings,) = decoder().decode(TOPIC, payload, NOW)
    assert {type(value) for value in readings.values.values()} == {float}


@pytest.mark.parametrize(
    ("payload", "options", "expected"),
    [
        (b"4.5", {"format": "number"}, Readings("p1", NOW, {"a": 4.5})),
        (b"4.5", {}, Readings("p1", NOW, {"a": 4.5})),
        (b'{"value": 4.5, "ts": "2026-11-23T11:59:55Z"}', {"time": "ts"}, Readings("p1", THEN, {"a": 4.5})),
        (b'{"v": {"x": 4.5}}', {"value": "v.x"}, Readings("p1", NOW, {"a": 4.5})),
    ],
)
def test_the_topic_may_name_the_channel(payload: bytes, options: dict[str, Any], expected: Readings) -> None:
    one = decoder(topic="spBv/{asset}/x/{channel}", **options)
    assert one.decode("spBv/p1/x/a", payload, NOW) == [expected]


def test_a_channel_of_the_topic_goes_by_the_name_of_the_settings() -> None:
    one = decoder(("Pressure",), topic="s/{asset}/{channel}", channels={"Pressure": "p"})
    assert one.decode("s/x/p", b"1", NOW) == [Readings("x", NOW, {"Pressure": 1.0})]
    with pytest.raises(BadPayload, match="no channel for 'q'"):
        one.decode("s/x/q", b"1", NOW)


def test_a_topic_without_an_asset_has_the_asset_of_the_settings() -> None:
    one = decoder(topic="home/+/state", asset="boiler")
    assert one.decode("home/kitchen/state", b'{"a": 1, "b": 2}', NOW) == [Readings("boiler", NOW, {"a": 1.0, "b": 2.0})]


def test_without_a_model_every_number_is_taken_under_its_path() -> None:
    payload = {"ts": TS, "a": 1, "d": {"x": 2.5, "name": "n", "on": True}, "list": [1]}
    one = decoder(None, time="ts", channels={"Depth": "d.x"})
    assert one.decode(TOPIC, orjson.dumps(payload), NOW) == [
        Readings("pump", THEN, {"a": 1.0, "Depth": 2.5, "d.on": 1.0})
    ]
    assert one.counts == {"string": 1, "wrong_type": 1}


def test_without_a_model_the_number_of_channels_is_bounded() -> None:
    one = decoder(None)
    (readings,) = one.decode(TOPIC, orjson.dumps({f"c{n}": n for n in range(MAX_LEAVES + 5)}), NOW)
    assert len(readings.values) == MAX_LEAVES
    assert one.counts == {"too_many_channels": 5}


def test_a_row_with_a_time_and_no_values_says_that_time_went_on() -> None:
    assert decode({"ts": TS}, time="ts") == [pump(THEN)]
    assert decode({"ts": TS, "a": None, "x": 1}, time="ts") == [pump(THEN)]


# -- values that cannot be used --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ('"auto"', "string"), ('"n/a"', "missing_channel"), ("null", "missing_channel"), ("[1]", "wrong_type"), ("{}", "wrong_type"),
    ],
)  # fmt: skip
def test_a_value_that_is_no_number_costs_only_itself(value: str, fault: str) -> None:
    """What is there and no number is handed on as infinity: the sensor is not silent."""
    one = decoder()
    (readings,) = one.decode(TOPIC, f'{{"a": {value}, "b": 2}}'.encode(), NOW)
    assert readings == (pump(NOW, b=2.0) if fault == "missing_channel" else pump(NOW, a=math.inf, b=2.0))
    assert one.counts == {fault: 1}


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", "9" * 400])
def test_a_value_that_is_not_finite_is_counted_and_handed_on_as_infinity(value: str) -> None:
    """The sensor was heard: it is sick, and not silent."""
    one = decoder()
    assert one.decode(TOPIC, f'{{"a": {value}, "b": 2}}'.encode(), NOW) == [pump(NOW, a=math.inf, b=2.0)]
    assert one.counts == {"not_finite": 1}


@pytest.mark.parametrize("payload", [b"nan", b"-inf", b"1e999"])
def test_a_bare_number_that_is_not_finite_is_counted_and_handed_on_as_infinity(payload: bytes) -> None:
    one = decoder(("a",), format="number")
    assert one.decode(TOPIC, payload, NOW) == [pump(NOW, a=math.inf)]
    assert one.counts == {"not_finite": 1}


@pytest.mark.parametrize(
    ("format_name", "payload"), [("number", b"NaN"), ("json", b"NaN"), ("json", b'{"value": NaN}')]
)
def test_a_sensor_that_sends_no_number_on_a_topic_of_its_own_is_sick_and_not_silent(
    format_name: str, payload: bytes
) -> None:
    """Red where a bare NaN was refused, or lost in the mean of its slot: the channel became stale."""
    one = decoder(("flow", "pressure"), topic="p/{asset}/{channel}", format=format_name)
    watch = Watch(FakeModel(), AlertRules(interval_ns=100 * SECOND), lateness_ns=SECOND)
    detector = Detector("node", "pump", watch)
    for second in range(60):
        for channel, text in (("flow", payload), ("pressure", str(second % 5).encode())):
            for readings in one.decode(f"p/pump/{channel}", text, NOW + second * SECOND):
                detector.push(readings)
    assert [(one.channel, one.fault) for one in detector.health_now().channels] == [("flow", SensorFault.NOT_A_NUMBER)]


# -- local times -----------------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> int:
    return round(datetime.fromisoformat(text + "+00:00").timestamp()) * SECOND


def local(*times: str, arrival: str = "2026-11-24T00:00:00", zone: ZoneInfo | None = BERLIN) -> list[str]:
    """The UTC times of readings whose local times these are, one message each."""
    one = decoder(time="ts", time_zone=zone)
    found = [one.decode(TOPIC, json.dumps({"ts": t, "a": 1}).encode(), utc(arrival))[0].t_ns for t in times]
    return [rfc3339(t_ns)[:19] for t_ns in found]


def test_a_time_without_an_offset_is_the_zone_s_and_one_with_an_offset_its_own() -> None:
    assert local("2026-11-23T12:00:00", "2026-07-01T12:00:00", "2026-11-23T12:00:00Z", "2026-11-23T12:00:00+05:00") == [
        "2026-11-23T11:00:00",
        "2026-07-01T10:00:00",
        "2026-11-23T12:00:00",
        "2026-11-23T07:00:00",
    ]
    assert local("2026-11-23T12:00:00", zone=None) == ["2026-11-23T12:00:00"]


def test_an_hour_that_comes_twice_goes_on_from_the_time_before() -> None:
    """Daylight saving ended on 2026-10-25 at 01:00 UTC, which local clocks call 03:00 and then 02:00."""
    times = [f"2026-10-25T0{hour}:{minute:02}:00" for hour in (1, 2, 2, 3) for minute in range(60)]
    start = utc("2026-10-24T23:00:00")
    assert local(*times) == [rfc3339(start + 60 * n * SECOND)[:19] for n in range(len(times))]


@pytest.mark.parametrize(
    ("arrival", "meant"),
    [("2026-10-25T00:30:01", "2026-10-25T00:30:00"), ("2026-10-25T01:30:01", "2026-10-25T01:30:00")],
)
def test_the_first_time_of_an_hour_that_comes_twice_is_the_one_nearer_to_its_arrival(arrival: str, meant: str) -> None:
    assert local("2026-10-25T02:30:00", arrival=arrival) == [meant]


def test_an_hour_that_never_comes_is_that_of_a_clock_not_yet_put_forward() -> None:
    assert local("2026-03-29T01:59:00", "2026-03-29T02:00:00", "2026-03-29T03:01:00") == [
        "2026-03-29T00:59:00",
        "2026-03-29T01:00:00",
        "2026-03-29T01:01:00",
    ]


def test_fine_digits_of_a_local_time_are_kept() -> None:
    one = decoder(time="ts", time_zone=BERLIN)
    (readings,) = one.decode(TOPIC, b'{"ts": "2026-11-23T12:00:00.123456789", "a": 1}', NOW)
    assert readings.t_ns == utc("2026-11-23T11:00:00") + 123_456_789


# -- counters ----------------------------------------------------------------------------------------------------


def test_unknown_and_missing_channels_are_counted() -> None:
    one = decoder()
    assert one.decode(TOPIC, b'{"a": 1, "b": 2, "linkquality": 7, "x": 1}', NOW) == [pump(NOW, a=1.0, b=2.0)]
    assert one.counts == {"unknown_channel": 2}
    assert one.decode(TOPIC, b'{"a": 1, "linkquality": 7}', NOW) == [pump(NOW, a=1.0)]
    assert one.counts == {"unknown_channel": 3, "missing_channel": 1}


def test_a_bad_element_of_a_batch_costs_only_itself() -> None:
    one = decoder(time="ts")
    batch = [{"ts": TS, "a": 1, "b": 2}, {"ts": "soon", "a": 1, "b": 2}, 7]
    assert one.decode(TOPIC, orjson.dumps(batch), NOW) == [pump(THEN, a=1.0, b=2.0)]
    assert one.counts == {"bad_time": 1, "wrong_type": 1}


# -- payloads that cannot be used ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "options", "expected"),
    [
        (b"", {}, "empty"),
        (b"{}", {}, "empty"),
        (b"[]", {}, "empty"),
        (b"{", {}, "not_json"),
        (b"\xff\xfe\x00", {}, "not_json"),
        (b"4.5", {}, "wrong_type"),
        (b'"text"', {}, "wrong_type"),
        (b"[1, 2]", {}, "wrong_type"),
        (b"[" * 5000 + b"]" * 5000, {}, "too_deep"),
        ({"d": {"e": 1}}, {"names": None, "max_bytes": 5}, "too_large"),
        (orjson.loads(b'{"d":' * 20 + b"1" + b"}" * 20), {"names": None}, "too_deep"),
        ({"x": 1}, {}, "unknown_channel"),
        ({"ts": TS, "x": 1}, {"time": "ts"}, "unknown_channel"),
        ({"a": 1}, {"time": "ts"}, "bad_time"),
        ({"ts": True, "a": 1}, {"time": "ts"}, "bad_time"),
        ({"ts": "1999-12-31T23:59:59Z", "a": 1}, {"time": "ts"}, "before_2000"),
        ({"ts": 0, "a": 1}, {"time": "ts"}, "before_2000"),
        ({"ts": "2026-11-25T00:00:00Z", "a": 1}, {"time": "ts"}, "future"),
        ({"ts": [TS, TS], "a": [1]}, {"time": "ts"}, "wrong_type"),
        ({"a": None}, {}, "missing_channel"),
        (b"n/a", {"format": "number", "names": ("a",)}, "missing_channel"),
        (b"1_0", {"format": "number", "names": ("a",)}, "string"),
        (b'{"value": 1}', {"format": "number", "names": ("a",)}, "wrong_type"),
        (b"no line", {"format": "influx"}, "wrong_type"),
        (b"m x=1", {"format": "influx"}, "unknown_channel"),
        (b"\xff a=1", {"format": "influx"}, "wrong_type"),
    ],
)
def test_a_payload_that_cannot_be_used_has_a_reason(payload: Any, options: dict[str, Any], expected: str) -> None:
    assert reason(payload, **options) == expected


def test_clock_that_has_not_been_set_finds_no_time_in_the_future() -> None:
    payload = json.dumps({"ts": TS, "a": 1}).encode()
    day_ns = 86_400 * SECOND
    assert decoder(time="ts").decode(TOPIC, payload, 100 * SECOND) == [pump(THEN, a=1.0)], "a board without a battery"
    installed: dict[str, Any] = {"time": "ts", "clock_set_ns": NOW - 60 * day_ns}
    assert decoder(**installed).decode(TOPIC, payload, NOW - 61 * day_ns) == [pump(THEN, a=1.0)], (
        "it says when it was built"
    )
    with pytest.raises(BadPayload, match="in the future"):
        decoder(**installed).decode(TOPIC, payload, NOW - 59 * day_ns)


@pytest.mark.parametrize("asset", ["..", "", "a\x07b", ".hidden", "x" * 65, "a+b", "a#"])
def test_what_cannot_be_a_folder_is_no_asset(asset: str) -> None:
    assert reason({"a": 1}, topic=f"plant/{asset}/telemetry") == "bad_topic"


@pytest.mark.parametrize(
    ("topic", "payload"),
    [("plant/pump/availability", b"{}"), ("plant/pump/x", b"offline"), ("plant/pump/LWT", b"Online")],
)
def test_a_sensor_that_says_it_is_there_is_no_reading(topic: str, payload: bytes) -> None:
    one = decoder(topic="plant/{asset}/+")
    assert one.decode(topic, payload, NOW) == []
    assert one.counts == {"availability": 1}


def test_a_stream_that_does_not_fit_the_model_is_refused_with_the_fix() -> None:
    with pytest.raises(BadConfig, match="channels names c, which the model does not have; it has a, b"):
        decoder(channels={"c": "x"})
    with pytest.raises(BadConfig, match=r"put \{channel\} in place"):
        decoder(format="number")


# -- topics ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "topics", "others"),
    [
        ("a/{asset}/b", ["a/x/b", "a//b"], ["a/x/b/c", "a/b", "A/x/b"]),
        ("{asset}/#", ["x", "x/y/z", "x/"], ["", "/x"][:0]),
        ("+/{channel}", ["x/y"], ["x", "x/y/z"]),
        ("a.b/+", ["a.b/c"], ["aXb/c"]),
        ("#", ["a", "a/b"], ["$SYS/uptime"]),
    ],
)
def test_a_pattern_matches_what_its_filter_brings(pattern: str, topics: list[str], others: list[str]) -> None:
    regex = topic_regex(pattern)
    assert [topic for topic in topics if regex.fullmatch(topic) is None] == []
    assert [topic for topic in others if regex.fullmatch(topic) is not None] == []


def test_the_filter_of_a_pattern_has_plus_for_every_place() -> None:
    assert topic_filter("plant/{asset}/+/{channel}/#") == "plant/+/+/+/#"


@pytest.mark.parametrize(
    "pattern", ["", "a/#/b", "a#", "a/b+", "a/{x}", "{asset}/{asset}", "x{asset}", "$share/g/a", "a\0"]
)
def test_a_pattern_that_mqtt_does_not_know_is_refused(pattern: str) -> None:
    assert topic_fault(pattern) is not None


# -- whatever comes --------------------------------------------------------------------------------------------

STREAMS = [
    Stream("p/{asset}/t"), Stream("p/{asset}/t", time="ts"), Stream("p/{asset}/t", time="a.b", channels={"a": "x.y"}),
    Stream("p/{asset}/{channel}"), Stream("p/{asset}/{channel}", "number"), Stream("p/{asset}/t", "influx"), Stream("#", asset="x"),
]  # fmt: skip
leaf = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([TS, "NaN", "", "12"])
    | st.text(max_size=5)
)
key = st.sampled_from(["a", "b", "ts", "x", "y", "value"]) | st.text(max_size=3)
document = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(key, inner, max_size=5), max_leaves=12
)
influx = st.from_regex(rb"\A[a-z\\ ,]{1,8} ?[ab]=[0-9tif\"\\.e-]{1,6}(,[ab]=[0-9]{1,3})?( -?[0-9]{1,21})?\n?\Z")
payloads = st.binary(max_size=60) | document.map(lambda value: json.dumps(value).encode()) | influx


@settings(max_examples=1_000, deadline=None)
@given(
    stream=st.sampled_from(STREAMS),
    known=st.booleans(),
    messages=st.lists(st.tuples(st.sampled_from(["p/m/t", "p/m/a", "p/../t", "q"]), payloads), max_size=4),
)
def test_any_bytes_give_readings_or_a_reason(stream: Stream, known: bool, messages: list[tuple[str, bytes]]) -> None:
    one = Decoder(stream, ("a", "b") if known else None)
    used = ignored = 0
    refused: list[BadPayload] = []
    for topic, payload in messages:
        try:
            readings = one.decode(topic, payload, NOW)
        except BadPayload as fault:
            refused.append(fault)
            continue
        used, ignored = used + bool(readings), ignored + (not readings)
        for each in readings:
            assert 0 < each.t_ns <= NOW + stream.max_future_ns
            assert all(type(value) is float and not math.isnan(value) for value in each.values.values())
            assert not known or set(each.values) <= {"a", "b"}
    assert used + ignored + len(refused) == len(messages)
    assert {fault.reason for fault in refused} <= REASONS
    assert not any("\n" in str(fault) for fault in refused)
    assert one.counts["availability"] == ignored
    assert set(one.counts) <= REASONS


@pytest.mark.parametrize(
    ("stream", "topic", "payload", "used"),
    [
        (Stream("p/{asset}"), "p/x", b'{"a": 1.0}', 0),
        (Stream("p/{asset}", time="ts"), "p/x", b'{"ts": 1790000000, "a": 1.0}', 1),
        (Stream("p/{asset}/{channel}", format="number"), "p/x/a", b"1.0", 0),
        (Stream("p/{asset}", format="influx"), "p/x", b"m a=1.0", 0),
        (Stream("p/{asset}", format="influx"), "p/x", b"m a=1.0\nm a=2.0 1790000000000000000", 1),
    ],
)
def test_retained_record_without_a_time_of_its_own_says_nothing_of_now(
    stream: Stream, topic: str, payload: bytes, used: int
) -> None:
    decoder = Decoder(stream, ["a"])
    now_ns = 1_790_000_001 * SECOND
    if used > 0:
        assert len(decoder.decode(topic, payload, now_ns, retained=True)) == used
    else:
        with pytest.raises(BadPayload, match="the broker had kept it") as fault:
            decoder.decode(topic, payload, now_ns, retained=True)
        assert fault.value.reason == "retained"
    assert decoder.decode(topic, payload, now_ns)

"""Documents that hold several assets, times or named values, and the paths that lead to them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ae.core.events import Readings
from edge_ae.core.field_paths import AnyKey, Each, Key, Position, find, path_fault, steps_of
from edge_ae.core.formats.decoder import Decoder, Stream
from edge_ae.core.formats.unfolding import MAX_VALUES
from edge_ae.errors import BadConfig, BadPayload

NOW = 1_795_435_200 * 10**9
T1, T2 = 1_790_000_000, 1_790_000_001
SECOND = 10**9


def decode(
    document: Any,
    names: tuple[str, ...] | None = ("flow", "p"),
    topic: str = "p/{asset}",
    at: str = "p/pump",
    **stream: Any,
) -> list[Readings]:
    return Decoder(Stream(topic, **stream), names).decode(at, json.dumps(document).encode(), NOW)


# -- paths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("motor.current", (Key("motor"), Key("current"))),
        ("switch:0.apower", (Key("switch:0"), Key("apower"))),
        ("a[].b", (Key("a"), Each(), Key("b"))),
        ("[tag={channel}].v", (Each("tag", place="{channel}"), Key("v"))),
        ("m[tags.host={asset}].f.{channel}", (Key("m"), Each("tags.host", place="{asset}"), Key("f"), AnyKey("{channel}"))),
        ("a[0][12].b", (Key("a"), Position(0), Position(12), Key("b"))),
        ("a[tag=flow 1].v", (Key("a"), Each("tag", text="flow 1"), Key("v"))),
        ("temp[C]", (Key("temp[C]"),)),
    ],
)  # fmt: skip
def test_path_has_its_steps(path: str, steps: tuple[object, ...]) -> None:
    assert steps_of(path) == steps
    assert path_fault(path) is None


@pytest.mark.parametrize(
    ("path", "clause"),
    [
        ("{chanel}.v", "braces other than"), ("x{channel}", "braces other than"), ("d[tag={channel].v", "braces other than"),
        ("{asset}.{asset}", "twice"), ("d[tag].{channel}", "brackets other than"), ("d[].a[x]", "brackets other than"),
        (".", "names no key"), (".".join("a" * 17), "more than 16 steps"),
    ],
)  # fmt: skip
def test_path_that_is_none_has_a_clause(path: str, clause: str) -> None:
    assert clause in str(path_fault(path))


RECORD = {
    "a": [1, {"b": 2}],
    "t": [{"n": "x", "v": 3}, {"n": "y", "v": 4}],
    "k[0]": 5,
    "d.e": 6,
    "d": {"e": 7},
    "temp[C]": 8,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a[0]", 1), ("a[1].b", 2), ("a[2]", None), ("t[n=y].v", 4), ("t[n=z].v", None), ("k[0]", 5), ("d.e", 6), ("temp[C]", 8),
        ("a.b", None), ("t[]", None),
    ],
)  # fmt: skip
def test_what_is_at_a_path_is_found(path: str, value: Any) -> None:
    assert find(RECORD, path) == value


def test_channel_may_be_at_a_place_of_an_array() -> None:
    channels = {"flow": "phases[1].power", "p": "tags[name=p].value"}
    document = {"phases": [{"power": 1}, {"power": 2}], "tags": [{"name": "q", "value": 3}, {"name": "p", "value": 4}]}
    assert decode(document, channels=channels) == [Readings("pump", NOW, {"flow": 2.0, "p": 4.0})]
    (recorded,) = decode(document, None, channels=channels)
    assert recorded.values == {"flow": 2.0, "p": 4.0}


# -- documents -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "stream", "expected"),
    [
        (
            {"ts": T1, "d": [{"tag": "flow", "value": 1.2}, {"tag": "p", "value": "3"}, {"tag": "x", "value": 1}]},
            {"value": "d[tag={channel}].value", "time": "ts"},
            [Readings("pump", T1 * SECOND, {"flow": 1.2, "p": 3.0})],
        ),
        (
            [{"tag": "flow", "value": 1.2, "ts": T1}, {"tag": "flow", "value": 1.3, "ts": T2}, {"tag": "p", "value": 3, "ts": T1}],
            {"value": "[tag={channel}].value", "time": "[].ts"},
            [Readings("pump", T1 * SECOND, {"flow": 1.2, "p": 3.0}), Readings("pump", T2 * SECOND, {"flow": 1.3})],
        ),
        (
            [{"tag": "flow", "value": 1.2, "ts": T1}],
            {"value": "[tag={channel}].value", "time": "ts"},
            [Readings("pump", T1 * SECOND, {"flow": 1.2})],
        ),
        (
            {"readings": [{"ts": T1, "flow": 1, "p": 2}, {"ts": T2, "flow": 3, "p": 4}]},
            {"value": "readings[]", "time": "readings[].ts"},
            [Readings("pump", T1 * SECOND, {"flow": 1.0, "p": 2.0}), Readings("pump", T2 * SECOND, {"flow": 3.0, "p": 4.0})],
        ),
        (
            {"readings": {"ts": T1, "flow": 1, "p": 2}},
            {"value": "readings[].{channel}", "time": "readings[].ts"},
            [Readings("pump", T1 * SECOND, {"flow": 1.0, "p": 2.0})],
        ),
        ({"d": {"flow": 1, "p": None}}, {"value": "d.{channel}"}, [Readings("pump", NOW, {"flow": 1.0})]),
        ({"flow": {"v": 1}, "p": 2}, {"value": "{channel}.v"}, [Readings("pump", NOW, {"flow": 1.0, "p": 2.0})]),
        ({"flow": {"v": None}, "p": 2}, {"value": "{channel}.v"}, [Readings("pump", NOW, {"p": 2.0})]),
        (
            {"v": [{"n": "flow", "x": 1}, {"n": "flow", "x": 2}]},
            {"value": "v[n={channel}].x"},
            [Readings("pump", NOW, {"flow": 1.0}), Readings("pump", NOW, {"flow": 2.0})],
        ),
        ({"v": [{"n": 40001, "x": 1}]}, {"value": "v[n={channel}].x", "channels": {"flow": "40001"}}, [Readings("pump", NOW, {"flow": 1.0})]),
    ],
)  # fmt: skip
def test_document_gives_a_record_for_each_time(document: Any, stream: dict[str, Any], expected: list[Readings]) -> None:
    assert decode(document, **stream) == expected


@pytest.mark.parametrize(
    ("document", "stream"),
    [
        ({"ts": T1, "a": {"flow": 1}, "b": {"flow": 2}}, {"value": "{asset}.{channel}", "time": "ts"}),
        ({"a": {"ts": T1, "flow": 1}, "b": {"ts": T1, "flow": 2}}, {"value": "{asset}.{channel}", "time": "{asset}.ts"}),
        ({"a": [{"ts": T1, "v": {"flow": 1}}], "b": [{"ts": T1, "v": {"flow": 2}}]}, {"value": "{asset}[].v", "time": "{asset}[].ts"}),
        ([{"id": "a", "ts": T1, "flow": 1}, {"id": "b", "ts": T1, "flow": 2}], {"value": "[id={asset}].{channel}", "time": "[].ts"}),
        (
            {"m": [{"h": {"n": "a"}, "f": {"flow": 1}, "ts": T1}, {"h": {"n": "b"}, "f": {"flow": 2}, "ts": T1}]},
            {"value": "m[h.n={asset}].f.{channel}", "time": "m[].ts"},
        ),
        (
            {"ts": T1, "d": [{"a": "a", "c": "flow", "v": 1}, {"a": "b", "c": "flow", "v": 2}]},
            {"value": "d[a={asset}][c={channel}].v", "time": "ts"},
        ),
    ],
)  # fmt: skip
def test_payload_may_name_its_assets(document: Any, stream: dict[str, Any]) -> None:
    assert decode(document, ("flow",), "gateway", "gateway", **stream) == [
        Readings("a", T1 * SECOND, {"flow": 1.0}),
        Readings("b", T1 * SECOND, {"flow": 2.0}),
    ]


def test_object_may_name_the_asset_that_it_is_of() -> None:
    found = decode({"node": "a", "v": {"flow": 1}}, ("flow",), "gateway", "gateway", value="[node={asset}].v.{channel}")
    assert found == [Readings("a", NOW, {"flow": 1.0})]


def test_asset_of_a_payload_that_cannot_be_one_costs_only_itself() -> None:
    one = Decoder(Stream("gateway", value="{asset}.{channel}"), ("flow",))
    found = one.decode("gateway", b'{"../etc": {"flow": 1}, "a": {"flow": 2}}', NOW)
    assert found == [Readings("a", NOW, {"flow": 2.0})]
    assert one.counts == {"bad_asset": 1}
    assert [omission.text for omission in one.new_omissions()] == [
        "a part of it is not used: '../etc' cannot be the name of an asset; it takes 1 to 64 letters, digits, blanks or _-.:@()=, "
        "a letter or digit first"
    ]


def test_what_leads_nowhere_is_counted() -> None:
    one = Decoder(Stream("p/{asset}", value="d[t={channel}].v"), ("flow",))
    document = {"d": [{"t": "flow", "v": 1}, {"t": "p"}, {"x": 1}, 7, {"t": "q", "v": 2}]}
    assert one.decode("p/x", json.dumps(document).encode(), NOW) == [Readings("x", NOW, {"flow": 1.0})]
    assert one.counts == {"unknown_channel": 2}  # p, which has no value, and q, which the model does not know


def test_retained_document_counts_only_with_times_of_its_own() -> None:
    payload = json.dumps({"flow": {"v": 1, "t": T1}}).encode()
    with_time = Decoder(Stream("g", value="{channel}.v", time="{channel}.t", asset="x"), ("flow",))
    assert len(with_time.decode("g", payload, NOW, retained=True)) == 1
    with pytest.raises(BadPayload, match="the broker had kept it"):
        Decoder(Stream("g", value="{channel}.v", asset="x"), ("flow",)).decode("g", payload, NOW, retained=True)


@pytest.mark.parametrize(
    ("document", "stream", "sentence"),
    [
        ({"e": []}, {"value": "d[tag={channel}].v"}, "its values are sought at 'd[tag={channel}].v', where nothing is; there is 'e'"),
        ({"d": [{"name": "x"}]}, {"value": "d[tag={channel}].v"}, "where nothing is; there is 'd[].name'"),
        ({"d": [{"tag": "x", "v": 1}]}, {"value": "d[].v"}, "nothing names a channel; there are 'd[].tag', 'd[].v'; value = 'd[tag={channel}].v' would read it"),
        ({"d": [{"tag": "Flow", "v": 1}]}, {"value": "d[tag={channel}].v"}, "sought 'flow', 'p'; there is 'Flow'; is 'Flow' meant?"),
        ({"d": [{"tag": "flow", "v": "sick"}]}, {"value": "d[tag={channel}].v"}, "flow comes as text ('sick')"),
        ({"d": [{"tag": "flow", "v": 1}]}, {"value": "d[tag={channel}].v", "time": "d[].t"}, "its time is sought at 'd[].t', which is not there"),
    ],
)  # fmt: skip
def test_document_without_values_is_refused_with_what_was_sought(
    document: Any, stream: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadPayload) as caught:
        decode(document, **stream)
    assert sentence in str(caught.value)


def test_values_of_one_message_are_bounded() -> None:
    one = Decoder(Stream("p/{asset}", value="d[t={channel}].v", max_bytes=10**7), None)
    document = {"d": [{"t": f"c{n % 900}", "v": n} for n in range(MAX_VALUES + 5)]}
    found = one.decode("p/x", json.dumps(document).encode(), NOW)
    assert sum(len(readings.values) for readings in found) == MAX_VALUES
    assert one.counts == {"too_many_values": 1}


# -- quality ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("q", [True, None, 1, 192, 216, "192", "good", "GOOD", "Good, local override"], [False, 0, 64, 24, "0", "²", "bad", "Uncertain", []]),
        ("StatusCode", [0, 192, None, {"Code": 0}, {}, "Good"], [2147483648, {"Code": 2147483648, "Symbol": "Bad"}, 1073741824, "Bad"]),
    ],
)  # fmt: skip
def test_value_of_bad_quality_is_left_out_and_counted(key: str, good: list[Any], bad: list[Any]) -> None:
    stream = Stream("p/{asset}", value="d[t={channel}].v", quality=f"d[].{key}")
    for quality, flow in [*((one, {"flow": 1.0}) for one in good), *((one, {}) for one in bad)]:
        one = Decoder(stream, ("flow", "p"))
        document = {"d": [{"t": "flow", "v": 1, key: quality}, {"t": "p", "v": 2}]}
        (readings,) = one.decode("p/x", json.dumps(document).encode(), NOW)
        assert readings.values == {"p": 2.0, **flow}, quality
        assert one.counts["bad_quality"] == (0 if flow else 1)


@pytest.mark.parametrize(("payload", "values"), [(b'{"value": 4, "q": true}', {"a": 4.0}), (b"4", {"a": 4.0})])
def test_quality_may_stand_beside_the_value_of_a_topic_s_channel(payload: bytes, values: dict[str, float]) -> None:
    one = Decoder(Stream("p/{asset}/{channel}", quality="q"), ("a",))
    assert one.decode("p/x/a", payload, NOW) == [Readings("x", NOW, values)]
    with pytest.raises(BadPayload, match="value is marked as bad") as caught:
        one.decode("p/x/a", b'{"value": 4, "q": false}', NOW)
    assert caught.value.reason == "bad_quality"


def test_quality_may_be_that_of_the_whole_object() -> None:
    one = Decoder(Stream("p/{asset}", quality="ok"), ("flow", "p"))
    assert one.decode("p/x", b'{"flow": 1, "p": 2, "ok": true}', NOW) == [Readings("x", NOW, {"flow": 1.0, "p": 2.0})]
    with pytest.raises(BadPayload, match="flow is marked as bad"):
        one.decode("p/x", b'{"flow": 1, "p": 2, "ok": false}', NOW)


# -- settings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "sentence"),
    [
        (Stream("p/{asset}", value="{asset}.{channel}"), "value: names {asset}, which the topic names, too"),
        (Stream("p/{asset}/{channel}", value="{channel}.v"), "value: names {channel}, which the topic names, too"),
        (Stream("p/{asset}", value="d[t={channel}].v", time="e[].ts"), "value: does not go through what time goes through"),
        (Stream("p/{asset}", value="d[t={channel}].v", quality="e[].q"), "value: does not go through what quality goes through"),
        (Stream("p/{asset}", "influx", value="d[t={channel}].v"), "value: leads through a document of JSON"),
        (Stream("p/{asset}/{channel}", value=".", quality="q"), "value: names no key"),
        (Stream("p/{asset}", time="d[].ts"), "time: leads to many places; set value"),
        (Stream("p/{asset}", channels={"flow": "d[].v"}), r"channels: 'd[].v' leads to many places; set value"),
    ],
)  # fmt: skip
def test_paths_that_cannot_go_together_are_refused_at_the_start(stream: Stream, sentence: str) -> None:
    with pytest.raises(BadConfig) as caught:
        Decoder(stream, ("flow",))
    assert sentence in str(caught.value)


# -- whatever comes --------------------------------------------------------------------------------------------

PATHS = [
    "d[k={channel}].v", "{asset}.{channel}", "{channel}.v", "[k={channel}].v", "[].{channel}", "d[].e[].{channel}",
    "{asset}[k={channel}]", "[k={asset}].d[].{channel}.v", "d[0].{channel}", "d[k=a].{channel}",
]  # fmt: skip
keys = st.sampled_from(["a", "b", "d", "e", "k", "v", "ts", "q"])
leaf = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["a", "b", T1, "on", "1.5", "x" * 70, "\n"])
)
document = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5), max_leaves=20
)


@settings(max_examples=500, deadline=None)
@given(
    value=st.sampled_from(PATHS),
    time=st.sampled_from([None, "ts", "d[].ts", "[].ts", "{channel}.ts"]),
    quality=st.sampled_from([None, "q", "d[].q"]),
    known=st.booleans(),
    document=document,
)
def test_any_document_gives_readings_or_a_reason(
    value: str, time: str | None, quality: str | None, known: bool, document: Any
) -> None:
    stream = Stream("g" if "{asset}" in value else "{asset}", value=value, time=time, quality=quality)
    if stream.fault is not None:
        return
    one = Decoder(stream, ("a", "b") if known else None)
    found: list[Readings] = []
    refusals: list[str] = []
    try:
        found = one.decode("g", json.dumps(document).encode(), NOW)
    except BadPayload as fault:
        refusals.append(str(fault))
    assert all(text.isprintable() for text in refusals)
    assert len(refusals) == (0 if found else 1)
    assert all(readings.asset.isprintable() and readings.t_ns > 0 for readings in found)
    assert all(type(number) is float for readings in found for number in readings.values.values())
    assert not known or {name for readings in found for name in readings.values} <= {"a", "b"}
    assert all(omission.text.isprintable() for omission in one.new_omissions())


@given(st.text(alphabet="ab.[]{}=0", max_size=12) | st.text(max_size=20))
def test_any_text_is_a_path_or_has_a_fault(text: str) -> None:
    assert path_fault(text) is None or str(path_fault(text))
    find(RECORD, text)

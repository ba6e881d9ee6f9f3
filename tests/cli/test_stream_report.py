"""What `check --listen` says of a stream: each fact on a line of its own, and what asks for a change marked."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge_ae.cli.nearby_topics import NearbyTopics, difference, wider
from edge_ae.cli.stream_notes import ExpectedChannels, StreamNotes, time_path
from edge_ae.cli.stream_report import lines, payload_text
from edge_ae.core.formats.decoder import Stream
from edge_ae.core.timestamps import SECOND, rfc3339
from edge_ae.mqtt.link import Message

NOW_NS = 1_790_000_000 * SECOND  # 2026-09-21T14:13:20Z
MODEL = ExpectedChannels(("flow", "pressure"), ("m3/h", "bar"), SECOND)
STREAM = Stream("plant/{asset}/t", time="ts")


def message(payload: str | bytes, topic: str = "plant/p1/t", after_s: float = 0, *, retain: bool = False) -> Message:
    data = payload if isinstance(payload, bytes) else payload.encode()
    return Message(NOW_NS + round(after_s * SECOND), topic, data, 0, 0, False, 1, retain)


def report(
    messages: Sequence[Message], stream: Stream = STREAM, model: ExpectedChannels | None = MODEL
) -> dict[str, tuple[str, str]]:
    """What a line is about -> its mark and text; of several lines the last."""
    notes = StreamNotes(stream, model)
    for one in messages:
        notes.push(one)
    return {line.about: (line.mark, line.text) for line in lines(notes, 30.0)}


def steady(step_s: int, count: int = 8, late_s: float = 2.1) -> list[Message]:
    times = [NOW_NS // SECOND + n * step_s for n in range(count)]
    body = '{{"ts": {}, "flow": 61.25, "pressure": 4}}'
    return [message(body.format(t), after_s=n * step_s + late_s) for n, t in enumerate(times)]


def test_reading_that_is_understood_is_shown_whole() -> None:
    assert report(steady(1)) == {
        "readings": ("ok", "plant/{asset}/t: 8 messages, 1 topic, 1 asset: p1"),
        "payload": ("", 'plant/p1/t {"ts": 1790000007, "flow": 61.25, "pressure": 4}'),
        "asset": ("", "p1"),
        "time": ("", "2026-09-21T14:13:27.000Z, 2.1 s ago"),
        "channels": ("", "flow 61.25 m3/h, pressure 4 bar"),
        "pace": ("", "a reading each 1 s (p1); the model takes one each 1 s"),
    }


def test_payload_that_is_shown_holds_the_values_that_are_shown() -> None:
    flows = [message(f'{{"ts": {NOW_NS // SECOND + n}, "flow": {60 + n}, "pressure": 4}}', after_s=n) for n in range(4)]
    said = report([*flows, message(f'{{"ts": {NOW_NS // SECOND + 4}, "flow": 64}}', topic="plant/p2/t", after_s=4)])
    assert '"flow": 63' in said["payload"][1]
    assert said["channels"][1].startswith("flow 63 m3/h")


def test_example_in_the_documents_is_what_is_printed() -> None:
    notes = StreamNotes(Stream("plant/{asset}/telemetry", time="ts"), None)
    for second in range(0, 14, 2):
        for asset in ("pump-1", "pump-2"):
            body = f'{{"ts":"2026-11-26T07:15:{second:02d}Z","flow":61.2,"pressure":"4.1","fw":"v1.2"}}'
            arrival_ns = 1_795_677_300 * SECOND + second * SECOND + 23 * SECOND // 10
            notes.push(Message(arrival_ns, f"plant/{asset}/telemetry", body.encode(), 0, 0, False, 1))
    text = (Path(__file__).parents[2] / "docs" / "first-model.md").read_text()
    shown = text[text.index("ok    readings") :].split("```")[0].splitlines()
    assert shown == [str(line) for line in lines(notes, 30.0)]


def test_pace_that_is_not_the_models_is_said() -> None:
    assert report(steady(20))["pace"] == ("note", "readings come every 20 s, the model takes one every 1 s (p1)")


def test_two_readings_show_a_pace_and_one_does_not() -> None:
    assert report(steady(20, 2))["pace"][1].startswith("readings come every 20 s")
    assert report(steady(20, 1))["pace"] == ("", "a single reading does not show how often they come; listen longer")


def test_what_no_channel_takes_and_what_did_not_come_is_named() -> None:
    found = report([message('{"ts": 1790000000, "flow": 1, "rssi": -60, "state": "v1.2"}')])
    assert found["missing"] == ("note", "of the model's channels, pressure did not come")
    notes = StreamNotes(STREAM, MODEL)
    notes.push(message('{"ts": 1790000000, "flow": 1, "pressure": 1, "rssi": -60, "fw": "v1.2"}'))
    left = [line.text for line in lines(notes, 30.0) if line.about == "left over"]
    assert left[0] == "rssi"
    assert left[1].startswith("fw comes as text ('v1.2')")


def test_channel_that_is_no_number_is_shown_as_such() -> None:
    found = report([message('{"ts": 1790000000, "flow": 1, "pressure": "broken"}')])
    assert found["channels"] == ("", "flow 1 m3/h, pressure no number")
    assert found["values"][1].startswith("plant/p1/t: pressure comes as text ('broken')")
    assert report([message('{"ts": 1790000000, "flow": "broken"}')])["readings"][0] == "FAULT"


def test_without_a_model_every_number_is_a_channel() -> None:
    found = report([message('{"ts": 1790000000, "flow": 1, "rssi": -60}')], model=None)
    assert found["channels"] == ("", "flow 1, rssi -60")
    assert found["model"] == ("", "none yet: edge-ae record keeps every number")
    assert "left over" not in found


@pytest.mark.parametrize(
    ("stamp", "hint"),
    [
        ('"2026-09-21T16:13:20"', "it names no offset and is taken for UTC; if it is local time, set time_zone"),
        ('"2026-09-21T16:13:20Z"', "it says itself that it is UTC, or names its offset; is the sensor's clock"),
        ("1790007200", "it says itself that it is UTC, or names its offset; is the sensor's clock"),
    ],
)
def test_time_that_is_whole_hours_off_is_a_question_of_its_zone(stamp: str, hint: str) -> None:
    mark, text = report([message(f'{{"ts": {stamp}, "flow": 1}}')])["time"]
    assert mark == "note"
    assert text.startswith(f"2026-09-21T16:13:20.000Z, 2 h ahead of this machine's clock: {hint}")


def test_zone_that_is_set_and_does_not_fit_is_asked_about() -> None:
    stream = replace(STREAM, time_zone=ZoneInfo("UTC"))
    found = report([message('{"ts": "2026-09-21T12:13:20", "flow": 1}')], stream)
    assert found["time"] == ("note", "2026-09-21T12:13:20.000Z, 2 h ago: is time_zone the sensor's?")


def test_time_that_is_off_by_no_zone_is_left_as_it_is() -> None:
    assert report([message('{"ts": 1789999000, "flow": 1}')])["time"] == ("", "2026-09-21T13:56:40.000Z, 16.67 min ago")


def test_time_in_the_payload_that_the_settings_do_not_name_is_found() -> None:
    stream = Stream("plant/{asset}/t")
    found = report([message('{"at": {"t": "2026-09-21T14:13:19Z"}, "flow": 1}')], stream)
    assert found["time"][0] == "note"
    assert found["time"][1].endswith('there is a time in the payload: set time = "at.t"')
    assert report([message('{"flow": 1}')], stream)["time"][0] == ""
    assert time_path(b"[1]", NOW_NS) is time_path(b"{", NOW_NS) is None


def test_payload_that_cannot_be_used_is_shown_with_the_reason() -> None:
    found = report([message('{"data": {"ts": 1790000000, "flow": 1}}')] * 3)
    assert found["readings"] == (
        "FAULT",
        "plant/{asset}/t: 3 messages, 1 topic, and no reading could be made of any",
    )
    assert found["payload"][1].endswith('{"data": {"ts": 1790000000, "flow": 1}}')
    assert found["not used"][1].startswith("3 payloads (bad_time): plant/p1/t: its time is sought at 'ts'")
    assert "'data.ts'" in found["not used"][1]


def test_stream_on_which_only_retained_messages_come_is_at_fault_and_shows_them() -> None:
    found = report([message('{"ts": 1790000000, "flow": 1}', retain=True)])
    assert found["readings"][0] == "FAULT"
    assert "only retained messages came in 30 s" in found["readings"][1]
    assert found["channels"] == ("", "flow 1 m3/h")


def test_stream_on_which_nothing_comes_is_at_fault() -> None:
    ((about, (mark, text)),) = report([]).items()
    assert (about, mark) == ("readings", "FAULT")
    assert text.startswith("plant/{asset}/t: nothing came in 30 s")


def test_message_that_shows_more_takes_the_place_of_the_first() -> None:
    found = report([message("no JSON"), message('{"ts": 1790000000, "flow": 1}')])
    assert found["payload"][1].endswith('"flow": 1}')


def test_listening_has_shown_enough_once_all_channels_came_and_the_pace_is_known() -> None:
    notes = StreamNotes(STREAM, MODEL)
    enough = []
    for one in steady(1):
        notes.push(one)
        enough.append(notes.enough)
    assert enough == [False] * 5 + [True] * 3


def test_payload_is_shown_printable_and_cut() -> None:
    assert payload_text(b"\x08\x01\xff") == "3 bytes that are no text: 08 01 ff"
    assert payload_text(b"") == "(empty)"
    assert payload_text(b"\x1b[2J") == r"\x1b[2J"
    assert len(payload_text(b"x" * 10_000)) == 300


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("plant/p1/T", "level 3 is T, not t; upper and lower case differ"),
        ("plant/p1/data", "level 3 is data, not t"),
        ("plant/p1/t/v2", "it has 4 levels, plant/{asset}/t has 3 levels"),
        ("/plant/p1/t", "level 1 is empty, not plant"),
    ],
)
def test_topic_nearby_says_what_is_other_than_in_the_settings(topic: str, why: str) -> None:
    assert difference("plant/{asset}/t", topic) == why


def test_nearest_topics_come_first_and_those_that_are_ours_never() -> None:
    nearby = NearbyTopics("edge-ae/")
    for topic in ("weather/x", "plant/p1/data", "edge-ae/n/status", "plant/p1/t/v2", "plants/p1/t"):
        nearby.push(topic, retained=False)
    nearby.push("plant/p2/old", retained=True)
    assert [line.partition(":")[0] for line in nearby.lines("plant/{asset}/t")] == [
        "plant/p1/t/v2 (1 message)",
        "plant/p1/data (1 message)",
        "plant/p2/old (a retained message, nothing new)",
        "2 other topics",
    ]


@pytest.mark.parametrize(("pattern", "filter_"), [("a/{asset}", "a/#"), ("{asset}/t", "#"), ("+/t", "#"), ("#", "#")])
def test_filter_around_a_stream_is_its_first_level_or_everything(pattern: str, filter_: str) -> None:
    assert wider(pattern) == filter_


def test_rfc3339_of_arrival_is_shown_where_there_is_no_other_time() -> None:
    stream = Stream("plant/{asset}/{channel}", format="number")
    found = report([message("4.2", "plant/p1/flow"), message("5", "plant/p1/hum")], stream)
    assert found["time"] == ("", f"{rfc3339(NOW_NS)}, that of its arrival")
    assert found["left over"] == ("", "hum")

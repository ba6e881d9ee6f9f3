"""What was understood of a stream, as lines for a person: one for each question, those that ask for a change marked `note`.

ok    readings  plant/{asset}/t: 42 messages, 3 topics, 3 assets: pump-1, pump-2, pump-3
      payload   plant/pump-1/t {"ts":"2026-11-26T07:15:00Z","flow":4.2,"rssi":-60}
      asset     pump-1
      time      2026-11-26T07:15:00.000Z, 2.1 s ago
      channels  flow 4.2 m3/h
      left over rssi
note  pace      readings come every 20 s, the model takes one every 1 s
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from edge_ae.cli.stream_notes import TEXT_CHARS, Example, StreamNotes, time_path
from edge_ae.core.pace import pace_fault
from edge_ae.core.printable import printable, some_of
from edge_ae.core.timestamps import SECOND, duration_text, rfc3339

PAYLOAD_CHARS = 300
LISTED = 30  # channels, and other names
LISTED_ASSETS = 10
LISTED_REMARKS = 10
TENTH_NS = SECOND // 10
HALF_HOUR_NS = 1_800 * SECOND
ZONE_TOLERANCE_NS = 90 * SECOND  # by which a time that is wrong by its zone alone may be off besides


@dataclass(frozen=True, slots=True)
class ReportLine:
    """`mark`: "ok", "note", "FAULT" or none. `about`: what the line is about."""

    mark: str
    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.mark:5} {self.about:9} {self.text}"


def lines(notes: StreamNotes, listened_s: float) -> Iterator[ReportLine]:
    """Everything about one stream. The first line is a FAULT where no reading came of it."""
    yield _summary(notes, listened_s)
    example = notes.example
    if example is not None:
        yield ReportLine(
            "", "payload", f"{printable(example.message.topic, TEXT_CHARS)} {payload_text(example.message.payload)}"
        )
        if example.readings is not None:
            yield ReportLine("", "asset", example.readings.asset)
            yield _time(notes, example)
    yield from _channels(notes)
    yield from _pace(notes)
    for text, topic in [*notes.remarks.items()][:LISTED_REMARKS]:
        yield ReportLine("note", "values", f"{printable(topic, TEXT_CHARS)}: {text}")
    for reason, refused in notes.refused.items():
        text = (
            f"{_counted(refused.count, 'payload')} ({reason}): {printable(refused.topic, TEXT_CHARS)}: {refused.text}"
        )
        yield ReportLine("note", "not used", text)


def payload_text(payload: bytes) -> str:
    """A payload as far as it can be shown: text that is cut, or the first of its bytes."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return f"{len(payload)} bytes that are no text: {payload[:32].hex(' ')}"
    return printable(text, PAYLOAD_CHARS) if text else "(empty)"


def _summary(notes: StreamNotes, listened_s: float) -> ReportLine:
    topic = notes.stream.topic
    if notes.messages == 0:
        text = (
            f"{topic}: nothing came in {listened_s:.0f} s; do the sensors publish to this broker, "
            "and may we read there by its ACL?"
        )
        return ReportLine("FAULT", "readings", text)
    if notes.messages == notes.retained:
        text = (
            f"{topic}: only retained messages came in {listened_s:.0f} s, which the broker has kept nobody knows how long; "
            "is the sensor on, or does it send more seldom than that?"
        )
        return ReportLine("FAULT", "readings", text)
    came = f"{topic}: {_counted(notes.messages, 'message')}, {_counted(len(notes.topics), 'topic')}"
    if not notes.usable:
        return ReportLine("FAULT", "readings", f"{came}, and no reading could be made of any")
    assets = f"{_counted(len(notes.assets), 'asset')}: {some_of([*notes.assets], LISTED_ASSETS)}"
    return ReportLine("ok", "readings", f"{came}, {assets}")


def _time(notes: StreamNotes, example: Example) -> ReportLine:
    assert example.readings is not None
    t_ns, arrival_ns = example.readings.t_ns, example.message.arrival_ns
    if t_ns == arrival_ns:
        return _arrival(notes, example)
    late_ns = arrival_ns - t_ns
    text = f"{rfc3339(t_ns)}, {_ago(late_ns)}"
    hint = None if example.message.retain else zone_hint(late_ns, example, notes.stream.time_zone is not None)
    return ReportLine("", "time", text) if hint is None else ReportLine("note", "time", f"{text}: {hint}")


def _arrival(notes: StreamNotes, example: Example) -> ReportLine:
    text = f"{rfc3339(example.message.arrival_ns)}, that of its arrival"
    if notes.stream.time is not None or notes.stream.format != "json":
        return ReportLine("", "time", text)
    path = time_path(example.message.payload, example.message.arrival_ns)
    if path is None:
        return ReportLine("", "time", f"{text}, for the settings name no time in the payload")
    return ReportLine(
        "note", "time", f'{text}, but there is a time in the payload: set time = "{printable(path, TEXT_CHARS)}"'
    )


def _ago(late_ns: int) -> str:
    off_ns = round(abs(late_ns) / TENTH_NS) * TENTH_NS
    if off_ns == 0:
        return "now"
    return f"{duration_text(off_ns)} ago" if late_ns > 0 else f"{duration_text(off_ns)} ahead of this machine's clock"


def zone_hint(late_ns: int, example: Example, has_zone: bool) -> str | None:
    """What may be wrong with a time that is off by whole or half hours; None where it is not."""
    off_ns = round(late_ns / HALF_HOUR_NS) * HALF_HOUR_NS
    if off_ns == 0 or abs(late_ns - off_ns) > ZONE_TOLERANCE_NS or abs(off_ns) > 28 * HALF_HOUR_NS:
        return None
    if has_zone:
        return "is time_zone the sensor's?"
    if not example.has_offset:
        return "it names no offset and is taken for UTC; if it is local time, set time_zone"
    return "it says itself that it is UTC, or names its offset; is the sensor's clock, or its offset, wrong?"


def _channels(notes: StreamNotes) -> Iterator[ReportLine]:
    expected = notes.expected
    units = {} if expected is None else dict(zip(expected.names, expected.units, strict=True))
    shown = next((asset.values for asset in notes.assets.values() if asset.values), {})
    if notes.example is not None and notes.example.readings is not None:
        name = notes.example.readings.asset
        shown = notes.assets[name].values if name in notes.assets else dict(notes.example.readings.values)
    if shown:
        values = [_value(name, value, units.get(name, "")) for name, value in shown.items()]
        yield ReportLine("", "channels", some_of(values, LISTED))
    if expected is None:
        yield ReportLine("", "model", "none yet: edge-ae record keeps every number")
    elif notes.missing and notes.usable:
        yield ReportLine("note", "missing", f"of the model's channels, {some_of(notes.missing, LISTED)} did not come")
    if notes.left_over:
        yield ReportLine("", "left over", some_of([*notes.left_over], LISTED))
    for text in [*notes.left_text][:LISTED_REMARKS]:
        yield ReportLine("", "left over", text)


def _value(name: str, value: float, unit: str) -> str:
    return f"{name} {value:.6g} {unit}".rstrip() if math.isfinite(value) else f"{name} no number"


def _pace(notes: StreamNotes) -> Iterator[ReportLine]:
    steps = {name: asset.step_ns for name, asset in notes.assets.items()}
    known = {name: step_ns for name, step_ns in steps.items() if step_ns is not None}
    if not known:
        if notes.usable:
            yield ReportLine("", "pace", "a single reading does not show how often they come; listen longer")
        return
    period_ns = None if notes.expected is None else notes.expected.period_ns
    faults = {} if period_ns is None else {name: pace_fault(step, period_ns) for name, step in known.items()}
    odd = {name: fault for name, fault in faults.items() if fault is not None}
    if odd:
        fault = next(iter(odd.values()))
        yield ReportLine("note", "pace", f"{fault} ({some_of([*odd], LISTED_ASSETS)})")
        return
    name, step_ns = next(iter(known.items()))
    takes = "" if period_ns is None else f"; the model takes one each {duration_text(period_ns)}"
    yield ReportLine("", "pace", f"a reading each {duration_text(step_ns)} ({name}){takes}")


def _counted(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"

"""Influx line protocol, a record a line: measurement[,tag=value...] field=value[,field=value...] [time in ns]."""

import re
from typing import Any

from edge_ae.core.formats.number import number_of
from edge_ae.core.formats.omissions import quoted
from edge_ae.core.formats.record import ARRIVAL, FormatOptions, Reader, Record
from edge_ae.errors import BadPayload

_KEY = r"(?:[^,=\s\\]|\\.)+"
_VALUE = r'(?:"(?:[^"\\]|\\.)*"|[^,\s"]+)'
FIELD = re.compile(rf"({_KEY})=({_VALUE})")
LINE = re.compile(
    rf"((?:[^,\s\\]|\\.)+)(?:,(?:[^\s\\]|\\.)*)? +({_KEY}={_VALUE}(?:,{_KEY}={_VALUE})*)(?: +(-?\d{{1,19}}))?"
)
TRUTH = {"t": True, "true": True, "f": False, "false": False}


def line_reader(options: FormatOptions) -> Reader:
    """Reads payloads of lines. A field goes by its own name, or with the measurement before it where the settings say so."""

    def read(_topic: str, payload: bytes) -> list[Record]:
        try:
            lines = payload.decode().split("\n")
        except UnicodeDecodeError:
            raise BadPayload("wrong_type", "no text, as lines of the Influx protocol are") from None
        stripped = (line.strip() for line in lines)
        records = [_record(line, options) for line in stripped if line and line[0] != "#"]
        first = records[0] if records else None
        if isinstance(first, BadPayload) and all(isinstance(record, BadPayload) for record in records):
            raise first
        return records

    return read


def _record(line: str, options: FormatOptions) -> Record:
    match = LINE.fullmatch(line)
    if match is None:
        return BadPayload("wrong_type", f"{quoted(line)} is no line of the Influx protocol")
    measurement, fields, stamp = match.groups()
    prefix, record = _unescaped(measurement), {}
    for key, text in FIELD.findall(fields):
        name = _unescaped(key)
        full = f"{prefix}.{name}"
        record[full if options.is_channel(full) else name] = _value(text)
    return record, ARRIVAL if stamp is None else int(stamp)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)


def _value(text: str) -> Any:
    if text[0] == '"':
        return re.sub(r'\\(["\\])', r"\1", text[1:-1])
    if text.lower() in TRUTH:
        return TRUTH[text.lower()]
    try:
        return number_of(text.rstrip("iu").encode())
    except BadPayload:
        return text

"""Payloads that nobody would send, and many that somebody does: whole ones broken in every way that bytes can be."""

import json
import random
from collections.abc import Callable, Iterator

FIELD = (
    ("plant/p1/telemetry", b'{"ts": @, "a": 1.5, "b": 2}'),
    ("plant/p1/telemetry", b'{"ts": @, "a": 99.5, "b": 2}'),
    ("plant/p2/telemetry", b'{"ts": @, "a": -0.0, "motor": {"b": 7.1}}'),
    ("plant/p2/telemetry", b'[{"ts": @, "a": 1}, {"ts": @, "a": 2, "b": null}]'),
    ("plant/p1/telemetry", b'{"ts": [@, @], "a": [1, 2], "b": [3, 4]}'),
    ("deep/p1", b'{"Time": "@", "DS18B20": {"Temperature": 20.6}}'),
    ("deep/p1", b'{"Time": "@", "DS18B20": {"Temperature": "20.6 C"}, "phases": [{"power": 1}, {"power": 2}]}'),
    (
        "tags/p1",
        b'{"d": [{"tag": "a", "value": 1.5, "t": @, "q": true}, {"tag": "b", "value": "2,5", "t": @, "q": 192}]}',
    ),
    ("gateway", b'{"ts": @, "p1": {"a": 1.5, "b": "auto"}, "p2": {"a": true, "b": {"b": 1}}}'),
    ("number/p1/a", b"4.2"),
    ("number/p1/a", b"ON"),
    ("plant/p1/a", b'{"a": 4.2, "motor": {"b": 1e3}}'),
    ("line/x", b"pump,site=a a=4.2,b=7.1 @000000\npump b=1i @000000"),
    ("plant/p1/telemetry", b"online"),
    ("plant/p1/telemetry", b'{"ts": @, "a": NaN, "b": Infinity}'),
    ("plant/p2/telemetry", b'{"ts": @, "a": true, "b": "3.2"}'),
    ("edge-ae/n1/p1/cmd/shelve", b'{"duration_s": 3600}'),
    ("edge-ae/n1/p1/cmd/ack", b""),
    ("edge-ae/n1/p1/cmd/unshelve", b""),
    ("edge-ae/n1/p1/cmd/view", b'{"for_s": 60, "whole": true}'),
    ("edge-ae/n1/p1/cmd/history", b'{"days": 7, "limit": 10, "before": "2026-11-26T10:00:00Z"}'),
)  # @: the time, in ms, which goes on
STEP_MS = 40
TOKENS = (
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"\\",
        b"\n",
        b" ",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
    ),
    *(
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-1e-999",
        b"1e308",
        b"9" * 400,
        b"-9223372036854775809",
        b"0x10",
        b"1_000",
        b".5",
    ),
    *(b"true", b"null", b'"ts":', b'"a":', b'{"a":' * 40, b"[" * 3000, b"\\u0000", b"\\ud800", b"1790000000000", b"-1"),
    *(b"9999-12-31T23:59:59.999999999Z", b"2026-02-30", b"1970-01-01", b"=", b" a=1 ", b"pump", b"i ", b'\\"'),
    *(b'"tag"', b'"on"', b'"n/a"', b'"1,234"', b'"4 bar"', b'"t":', b'"q": 0', b"[]", b'{"d": [{"tag":' * 30),
)
ELSEWHERE = (
    *(
        "plant/../telemetry",
        "plant//telemetry",
        "plant/p1/LWT",
        "plant/\u202ep/telemetry",
        "number/p1/zz",
        "other/topic",
    ),
    *("plant/" + "x" * 65 + "/telemetry", "edge-ae/n1/p1/event", "edge-ae/n1/p1/cmd/dance", "number/p1/b"),
)


def payloads(dice: random.Random, total: int, t0_ms: int) -> Iterator[tuple[str, bytes]]:
    """(topic, payload), until so many bytes of payload were given."""
    number = 0
    while total > 0:
        number += 1
        topic, whole = dice.choice(FIELD)
        if dice.random() < 0.1:
            topic = dice.choice(ELSEWHERE)
        whole = whole.replace(b"@", b"%d" % (t0_ms + number * STEP_MS))
        payload = _payload(dice, whole)[:total]
        total -= len(payload)
        yield topic, payload


def _payload(dice: random.Random, whole: bytes) -> bytes:
    kind = dice.random()
    if kind < 0.3:
        return whole
    if kind < 0.4:
        return dice.randbytes(dice.randrange(300))
    if kind < 0.55:
        return json.dumps(_value(dice, 5)).encode()
    for _ in range(dice.randrange(1, 6)):
        whole = dice.choice(BREAK)(dice, whole)
    return whole


def _flip(dice: random.Random, data: bytes) -> bytes:
    at = dice.randrange(len(data) + 1)
    return data[:at] + dice.randbytes(1) + data[at + 1 :]


def _insert(dice: random.Random, data: bytes) -> bytes:
    at = dice.randrange(len(data) + 1)
    return data[:at] + dice.choice(TOKENS) + data[at:]


def _replace(dice: random.Random, data: bytes) -> bytes:
    first, last = sorted(dice.randrange(len(data) + 1) for _ in range(2))
    return data[:first] + dice.choice(TOKENS) + data[last:]


def _double(dice: random.Random, data: bytes) -> bytes:
    first, last = sorted(dice.randrange(len(data) + 1) for _ in range(2))
    return data[:last] + data[first:]


def _cut(dice: random.Random, data: bytes) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def _splice(dice: random.Random, data: bytes) -> bytes:
    return _cut(dice, data) + dice.choice(FIELD)[1][dice.randrange(4) :]


BREAK: tuple[Callable[[random.Random, bytes], bytes], ...] = (_flip, _insert, _replace, _double, _cut, _splice)


def _value(dice: random.Random, depth: int) -> object:
    """Any JSON that knows our names."""
    kind = dice.randrange(8 if depth > 0 else 6)
    if kind == 6:
        return [_value(dice, depth - 1) for _ in range(dice.randrange(4))]
    if kind == 7:
        names = ("ts", "a", "b", "motor", "value", "Time", "")
        return {dice.choice(names): _value(dice, depth - 1) for _ in range(dice.randrange(5))}
    number = dice.uniform(-1, 1) * 10.0 ** dice.randrange(-20, 300)
    scalars = (None, True, number, dice.randrange(-(2**64), 2**64), 1_790_000_000_000 + dice.randrange(10**7), "a")
    return scalars[kind]

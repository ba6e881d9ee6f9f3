"""Every part of a PUBLISH, as nobody would send it, through socket, link and daemon: topic, flags, and all its properties.

    packets ──► a broker written by hand ──► Link ──► Daemon ──► answers

No crash, the connection lasts, what has an id is acknowledged, the counters add up, and answers go where they may.

python -m tests.fuzz.packets --packets 200000 --seed 1
"""

import argparse
import logging
import random
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

from edge_ae.daemon.stats import node_stats
from edge_ae.mqtt.link import Link
from edge_ae.mqtt.options import Broker, LinkOptions
from tests.conftest import wait_for
from tests.fuzz.daemon import T0_NS, daemon
from tests.fuzz.hostile import payloads
from tests.mqtt.packets import HandWritten, Property, properties, publish, text, variable

BATCH = 200
BRANCH = b"edge-ae/n1/"
COMMANDS = (
    (b"edge-ae/n1/p1/cmd/ack", b"{}"),
    (b"edge-ae/n1/p1/cmd/unshelve", b""),
    (b"edge-ae/n1/p1/cmd/shelve", b'{"duration_s": 60}'),
    (b"edge-ae/n1/p1/cmd/dance", b"{}"),
)
NO_TOPICS = (b"", b"\xff\xfe", b"a\0b", b"plant/\xed\xa0\x80/telemetry", b"$SYS/x", b"a/+", b"#")
MAY_BE_ANSWERED = (b"reply/7", "r\u00e9ponse/\ufeff".encode(), b"/", b"edge-ae/n2/x", b"x" * 65_535)
RESPONSES = (*MAY_BE_ANSWERED, *NO_TOPICS, BRANCH + b"p1/alert", BRANCH + b"p1/cmd/ack", BRANCH)
# Of each property: values that may be, that may not, and that are none.
VALUES: dict[int, tuple[bytes, ...]] = {
    1: (b"\0", b"\1", b"\xff", b""),
    2: (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0"),
    3: (text(b"application/json"), text(b""), text(b"\xff"), text("\ufeff".encode()), b"\xff\xff"),
    8: tuple(map(text, RESPONSES)),
    9: (text(b"question"), text(b""), text(b"\0\xff" * 30_000), b"\0"),
    11: (variable(1), variable(2**28 - 1), b"\0", b"\xff\xff\xff\xff\xff"),
    35: (b"\0\1", b"\0\0", b"\xff\xff", b"\0"),
    38: (text(b"a") + text(b"b"), text("\ufeff".encode()) + text(b""), text(b"\xff") + text(b"\0"), text(b"a"), b""),
    17: (b"\0\0\0\1",),  # of a CONNECT
    0: (b"",),  # of nothing
}


def _properties(dice: random.Random) -> bytes:
    kinds = dice.sample(sorted(VALUES), dice.randrange(1, 4))
    each: list[Property] = [(kind, dice.choice(VALUES[kind])) for kind in kinds]
    if dice.random() < 0.1:
        each.append(dice.choice(each))
    whole = properties(each)
    kind = dice.random()
    if kind < 0.1:
        return variable(dice.randrange(2**28)) + whole  # a length that is not theirs
    return dice.randbytes(dice.randrange(1, 9)) if kind < 0.2 else whole


def packets(dice: random.Random, total: int) -> "list[tuple[bytes, bool]]":
    """PUBLISH packets, and whether they have to be acknowledged."""
    plain = payloads(dice, 10**12, T0_NS // 1_000_000)
    made = []
    for number in range(total):
        topic, payload = dice.choice(COMMANDS) if dice.random() < 0.5 else _encoded(next(plain))
        if dice.random() < 0.1:
            topic = dice.choice((*NO_TOPICS, *MAY_BE_ANSWERED))
        qos, mid, retain = dice.randrange(2), number % 65_535 + 1, dice.random() < 0.1
        how = b"\0" if dice.random() < 0.2 else _properties(dice)
        if dice.random() < 0.3:  # an answer is asked for, in due form
            how = properties([(9, text(struct.pack("!I", number))), (8, text(dice.choice(RESPONSES)))])
        made.append((publish(topic, payload, qos, mid, retain=retain, raw_properties=how), qos > 0))
    return made


def _encoded(message: tuple[str, bytes]) -> tuple[bytes, bytes]:
    return message[0].encode(), message[1]


def run(total: int, seed: int) -> Counter[str]:
    """What became of so many packets. Raises AssertionError where they do not add up."""
    dice, broker = random.Random(seed), HandWritten()
    link = Link(LinkOptions(Broker("127.0.0.1", broker.port), "c", f"{BRANCH.decode()}status"))
    with tempfile.TemporaryDirectory() as folder:
        tried, _ = daemon(Path(folder), link=link)
        link.start([("#", 1)])
        _turn_until(tried.turn, lambda: link.connected)
        sent = due = 0
        while sent < total:
            batch = packets(dice, min(BATCH, total - sent))
            batch.append((publish(b"other/topic", b"", 1, 1), True))  # behind all the others
            broker.send(b"".join(data for data, _ in batch))
            sent, due = sent + len(batch), due + sum(acknowledged for _, acknowledged in batch)
            _turn_until(tried.turn, lambda: len(broker.acknowledged) >= due)  # noqa: B023
        stats, counts = node_stats(tried.parts, 0), link.counts
        link.stop()
        broker.close()
    lost = counts["bad_topic"] + counts["bad_packet"]
    accounted = sum(stats[name] for name in ("used", "refused", "other_topics", "commands"))
    assert broker.connections == 1, "a packet has cost the connection"
    assert len(broker.acknowledged) == due
    assert stats["received"] == accounted == sent - lost, (stats, counts, sent)
    answers = [topic for topic, payload in map(_split, broker.published) if _is_answer(payload)]
    elsewhere = set(answers) - set(MAY_BE_ANSWERED)
    assert not elsewhere, f"answers went where none may go: {elsewhere}"
    return counts + Counter(packets=sent, commands=stats["commands"], answers=len(answers), used=stats["used"])


def _turn_until(turn: Callable[[], None], condition: Callable[[], bool]) -> None:
    def turned() -> bool:
        turn()
        return condition()

    wait_for(turned)


def _split(body: bytes) -> tuple[bytes, bytes]:
    """Topic and payload of what the daemon has published; all it says is JSON, online or offline."""
    end = 2 + struct.unpack("!H", body[:2])[0]
    return body[2:end], body[body.find(b'{"ok"', end) :] if b'{"ok"' in body[end:] else b""


def _is_answer(payload: bytes) -> bool:
    return payload != b"" and isinstance(orjson.loads(payload)["ok"], bool)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="tests.fuzz.packets", description="Hostile PUBLISH packets through the daemon."
    )
    parser.add_argument("--packets", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    logging.disable(logging.ERROR)  # the daemon's own words about each reason
    began = time.monotonic()
    counts = run(options.packets, options.seed)
    for name, count in counts.most_common():
        print(f"{name:24} {count:10,}")
    print(f"no crash, one connection, all acknowledged, {time.monotonic() - began:.0f} s, seed {options.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

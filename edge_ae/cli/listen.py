"""`edge-ae check --listen S`: a real payload of each stream, and what is understood of it.

A connection of its own with a clean session: what the daemon has with the broker is left alone. Where a stream gets nothing in
half of the time, topics around it are listened to as well, to show what carries messages there.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge_ae.cli.nearby_topics import NearbyTopics, wider
from edge_ae.cli.progress import stopping
from edge_ae.cli.stream_notes import ExpectedChannels, StreamNotes
from edge_ae.cli.stream_report import ReportLine, lines
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.rebirths import Rebirths
from edge_ae.errors import BadConfig

if TYPE_CHECKING:
    from edge_ae.config.settings import Settings
    from edge_ae.mqtt.link import Message

LEAST_S = 3.0  # so that not only the fastest of several assets is met
LOOK_S = 0.2
AROUND = 10_000  # messages of other topics that are looked at
EVERYTHING = "#"


class TopicSource(Protocol):
    """What is asked of the connection."""

    def subscribe(self, filters: Iterable[str]) -> None: ...

    def unsubscribe(self, filters: Iterable[str]) -> None: ...

    def publish(self, topic: str, payload: bytes) -> object | None: ...

    def take(self, timeout_s: float) -> list["Message"]: ...


def listen(settings: "Settings", expected: Mapping[Path, ExpectedChannels], listen_s: float) -> int:
    """Listens for up to `listen_s`, and prints what was understood. Returns of how many streams no reading came.

    `expected`: of each model file that could be loaded.
    """
    from edge_ae import wiring
    from edge_ae.mqtt.topic_listener import TopicListener

    streams = _streams(settings, expected)
    if not streams:
        return 0
    nearby = NearbyTopics(f"{settings.mqtt.base}/")
    try:
        source = TopicListener(wiring.broker_of(settings))
    except BadConfig:  # the reason is a fault of its own in the check
        print(ReportLine("FAULT", "readings", "nobody can be listened to without a connection to the broker"))
        return 1
    print(f"listening for up to {listen_s:.0f} s; Ctrl+C ends it", flush=True)
    began_s = time.monotonic()
    try:
        with stopping() as stop:
            collect(streams, nearby, source, listen_s, stop)
    finally:
        source.close()
    if source.dropped > 0:
        print(ReportLine("note", "readings", f"{source.dropped:,} more messages came faster than they could be read"))
    return _print(streams, nearby, time.monotonic() - began_s)


def _streams(settings: "Settings", expected: Mapping[Path, ExpectedChannels]) -> list[StreamNotes]:
    """A stream that cannot be read as it is set, which is reported already, is left out; one that its model does not fit is
    listened to without it.
    """
    streams = []
    for stream in settings.streams:
        if settings.stream(stream).fault is not None:
            continue
        model = None if stream.model_file is None else expected.get(stream.model_file)
        try:
            streams.append(StreamNotes(settings.stream(stream), model))
        except BadConfig:
            streams.append(StreamNotes(settings.stream(stream), None))
    return streams


def collect(
    streams: Sequence[StreamNotes],
    nearby: NearbyTopics,
    source: TopicSource,
    listen_s: float,
    stop: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Until every stream has shown enough, or the time is over, or `stop`."""
    source.subscribe(notes.filter for notes in streams)
    began_s, around, rebirths = clock(), set[str](), Rebirths(source.publish)
    while (past_s := clock() - began_s) < listen_s and not stop():
        for message in source.take(min(LOOK_S, listen_s - past_s)):
            taken = [notes.push(message) for notes in streams]
            if around and not any(taken):
                nearby.push(message.topic, retained=message.retain)
        rebirths.ask((notes.decoder for notes in streams), round(clock() * SECOND))
        if past_s >= LEAST_S and all(notes.enough for notes in streams):
            break
        wanted = around if EVERYTHING in around else _around(streams, nearby, past_s / listen_s)
        wanted = wanted if nearby.messages < AROUND else set()
        source.subscribe(wanted - around)
        source.unsubscribe(around - wanted)
        around = wanted


def _around(streams: Sequence[StreamNotes], nearby: NearbyTopics, part: float) -> set[str]:
    """What else to listen to, when a part of the time has passed: nothing as long as all streams get messages."""
    silent = [notes.stream.topic for notes in streams if notes.messages == 0]
    if part < 0.5 or not silent:
        return set()
    near = {wider(topic) for topic in silent} - {notes.filter for notes in streams}
    return {EVERYTHING} if not near or (part >= 0.75 and nearby.messages == 0) else near


def _print(streams: Sequence[StreamNotes], nearby: NearbyTopics, listened_s: float) -> int:
    for notes in streams:
        for line in lines(notes, listened_s):
            print(line)
        if notes.messages == 0:
            for text in nearby.lines(notes.stream.topic):
                print(ReportLine("note", "nearby", text))
    return sum(not notes.usable for notes in streams)

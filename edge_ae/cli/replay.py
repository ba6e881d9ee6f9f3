"""`edge-ae replay`: a recording, published as a sensor would, one JSON object for each line, at the pace of its times.

    plant/{asset}/telemetry   {"ts": "2026-11-23T10:15:00Z", "flow": 4.2}     missing values are left out
    plant/{asset}/{channel}   4.2                                               a bare number on each channel's topic

The time is sent exactly as the file has it, if payloads have such times, so that the daemon's rows are the file's.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edge_ae.cli.options import broker, broker_options, data_options, read_options, seconds, stem
from edge_ae.cli.progress import progress, stopping
from edge_ae.core.timestamps import parse_time_ns, rfc3339
from edge_ae.errors import BadConfig

if TYPE_CHECKING:
    from edge_ae.mqtt.playback import Publication
    from edge_ae.store.recording_csv import Table

WHAT = "publish a recording as a sensor would"
EXAMPLE = "edge-ae replay --data week.csv --topic plant/pump-1/telemetry --speed 10 --now"


def add_options(parser: ArgumentParser) -> None:
    data_options(parser, time=("--time-column",))  # --time is of the payload
    parser.add_argument("--topic", required=True, help="{channel}: a topic for each channel; {asset}: filled in")
    parser.add_argument("--asset", help="for {asset} (default: the recording's name)")
    parser.add_argument(
        "--time", default="ts", metavar="NAME", help="key of the time in the payload (default: %(default)s)"
    )
    parser.add_argument(
        "--speed",
        type=seconds,
        default=1.0,
        metavar="N",
        help="N times as fast as recorded; 0: as fast as possible (default: 1)",
    )
    parser.add_argument(
        "--now", action="store_true", help="shift the times so that the last one is reached as it is sent"
    )
    broker_options(parser)


def execute(options: Namespace) -> int:
    from edge_ae.core.topics import topic_fault
    from edge_ae.mqtt import playback, simple_client
    from edge_ae.store.recording.table import BACKWARDS, newest_first, one_asset, take
    from edge_ae.store.recordings import read_recording

    fault = topic_fault(options.topic)
    if fault is not None or "+" in options.topic or "#" in options.topic:
        raise BadConfig(f"--topic: {options.topic!r} {fault or 'has a wildcard, and nothing can be published to one'}")
    table = one_asset(read_recording(options.data, read_options(options)), options.asset)
    for note in table.notes:
        print(note, file=sys.stderr)
    if newest_first(table):
        table = take(table, BACKWARDS)
    topic = options.topic.replace("{asset}", options.asset or stem(options.data))
    shift_ns = shift_to_now(table, options.speed, time.time_ns()) if options.now else 0
    sent = list(messages(table, topic, time_name=options.time, shift_ns=shift_ns))
    connection = simple_client.connect(broker(options))
    try:
        with stopping() as stop, progress("messages") as draw:
            playback.publish(connection, sent, options.speed, stop=stop, progress=draw)
    finally:
        simple_client.close(connection)
    return 0


def messages(table: "Table", topic: str, *, time_name: str = "ts", shift_ns: int = 0) -> Iterator["Publication"]:
    """What a sensor would have sent, line by line."""
    import orjson

    by_channel = "{channel}" in topic
    lines = zip(table.times, table.t_ns.tolist(), table.values.tolist(), strict=True)
    for text, t_ns, values in lines:
        at_ns = t_ns + shift_ns
        present = {name: value for name, value in zip(table.names, values, strict=True) if value == value}
        if by_channel:
            for name, value in present.items():
                yield at_ns, topic.replace("{channel}", name), orjson.dumps(value)
        else:
            yield at_ns, topic, orjson.dumps({time_name: text if _says(text, at_ns) else _exact(at_ns), **present})


def shift_to_now(table: "Table", speed: float, now_ns: int) -> int:
    """What brings the last time to the moment at which it is sent: whole sample periods, so that rows stay rows."""
    import numpy as np

    first_ns, last_ns = int(table.t_ns.min()), int(table.t_ns.max())
    steps = np.diff(table.t_ns)
    period_ns = int(np.median(steps[steps > 0])) if np.any(steps > 0) else 1
    takes_ns = round((last_ns - first_ns) / speed) if speed > 0 else 0
    return (now_ns + takes_ns - last_ns) // period_ns * period_ns


def _says(text: str, t_ns: int) -> bool:
    """Whether the text of a file is this time in a payload too; 02.03.2026 is none, nor is the local time of a zone."""
    try:
        return parse_time_ns(text) == t_ns
    except ValueError:
        return False


def _exact(t_ns: int) -> str | int:
    return rfc3339(t_ns) if t_ns % 1_000_000 == 0 else t_ns

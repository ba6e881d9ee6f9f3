"""The command line: parses, wires settings to the shell, and turns every fault of the world into one sentence.

Heavy modules are imported by the command that needs them: `--help` is there at once.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ae import arguments
from edge_ae.errors import BadConfig
from edge_ae.terminal import progress, stopping

if TYPE_CHECKING:
    from edge_ae.client import Broker

EXAMPLES = {
    "run": "edge-ae run --config /etc/edge-ae/edge-ae.toml",
    "score": "edge-ae score --model pump.onnx --data week.csv --out scores.csv",
    "replay": "edge-ae replay --data week.csv --topic plant/pump-1/telemetry --speed 10 --now",
    "record": "edge-ae record --config /etc/edge-ae/edge-ae.toml --out recordings",
    "check": "edge-ae check --config /etc/edge-ae/edge-ae.toml",
    "watch": "edge-ae watch --host localhost",
}


def main(argv: Sequence[str] | None = None) -> int:
    """0 done; 1 the input or the model is at fault, said on stderr; 2 usage."""
    return arguments.run("edge-ae", _parser().parse_args(argv))


# -- what can be asked -----------------------------------------------------------------------------------------

Parser = argparse.ArgumentParser


def _parser() -> Parser:
    parser = Parser(
        prog="edge-ae", description="Watches sensor readings over MQTT and tells when a machine stops looking normal."
    )
    parser.add_argument("--version", action="version", version=f"edge-ae {version('edge-ae')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: arguments.Command, what: str) -> Parser:
        return arguments.add_command(commands, name, what, EXAMPLES[name], run)

    _config(add("run", _run, "watch: the daemon"), required=True)
    _score_options(add("score", _score, "score a recording with the daemon's own pipeline"))
    _replay_options(add("replay", _replay, "publish a recording as a sensor would"))
    record = add("record", _record, "keep readings for training; needs no model")
    _config(record, required=True)
    record.add_argument("--out", type=Path, required=True, metavar="DIR", help="for DIR/<asset>/<time>.csv.gz")
    record.add_argument(
        "--max-mb", type=arguments.count, default=1_000, help="the oldest files go beyond this (default: %(default)s)"
    )
    _config(
        add("check", _check, "check settings, model, machine and broker; every problem at once, each with its fix"),
        required=True,
    )
    watch = add("watch", _watch, "show what is going on, live, in the terminal")
    _broker_options(watch)
    watch.add_argument("--base", help="first level of the topics (default: the settings', else edge-ae)")
    return parser


def _config(parser: Parser, *, required: bool) -> None:
    parser.add_argument("--config", type=Path, required=required, metavar="FILE", help="the settings, TOML")


def _broker_options(parser: Parser) -> None:
    _config(parser, required=False)
    parser.add_argument("--host", help="the broker (default: the settings', else localhost)")
    parser.add_argument("--port", type=arguments.port, help="its port (default: the settings', else 1883)")


def _data_options(parser: Parser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help="the recording; .csv.gz will do")
    arguments.column_options(parser)


def _score_options(parser: Parser) -> None:
    parser.add_argument("--model", type=Path, required=True, metavar="ONNX", help="the model file")
    _data_options(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="CSV", help="one line for each line of the recording"
    )
    parser.add_argument("--explain", action="store_true", help="add score_<channel> columns")
    parser.add_argument("--events", type=Path, metavar="JSONL", help="write the alerts too, one JSON object a line")
    parser.add_argument("--reconstruction", type=Path, metavar="CSV", help="write what the model expected, too")
    arguments.rules_options(parser)
    parser.add_argument("--node", default="offline", help="for the alerts' ids and texts (default: %(default)s)")
    parser.add_argument("--asset", help="likewise (default: the recording's name)")


def _replay_options(parser: Parser) -> None:
    _data_options(parser)
    parser.add_argument("--topic", required=True, help="{channel}: a topic for each channel; {asset}: filled in")
    parser.add_argument("--asset", help="for {asset} (default: the recording's name)")
    parser.add_argument(
        "--time", default="ts", metavar="NAME", help="key of the time in the payload (default: %(default)s)"
    )
    parser.add_argument(
        "--speed",
        type=arguments.seconds,
        default=1.0,
        metavar="N",
        help="times as fast; 0: as fast as possible (default: 1)",
    )
    parser.add_argument(
        "--now", action="store_true", help="shift the times so that the last one is reached as it is sent"
    )
    _broker_options(parser)


# -- what is done ----------------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    from edge_ae import build
    from edge_ae.settings import load

    settings = load(options.config)
    _log_to_stderr(settings.log_level)
    build.daemon(settings, options.config).run()
    return 0


def _score(options: argparse.Namespace) -> int:
    from edge_ae.core.detector import Watch
    from edge_ae.offline import score_file

    rules = arguments.alert_rules(options)
    arguments.spare((options.model, options.data), (options.out, options.events, options.reconstruction))
    with progress("lines") as say:
        result = score_file(
            options.model,
            options.data,
            options.out,
            lambda model: Watch(model, rules),
            node=options.node,
            asset=options.asset or _stem(options.data),
            ignore=options.ignore,
            label=options.label,
            explain=options.explain,
            events_path=options.events,
            reconstruction_path=options.reconstruction,
            progress=say,
        )
    if text := result.unused(options.data):
        print(text, file=sys.stderr)
    return 0


def _replay(options: argparse.Namespace) -> int:
    from edge_ae import client, replay
    from edge_ae.core.topics import topic_fault
    from edge_ae.table import read_csv

    fault = topic_fault(options.topic)
    if fault is not None or "+" in options.topic or "#" in options.topic:
        raise BadConfig(f"--topic: {options.topic!r} {fault or 'has a wildcard, and nothing can be published to one'}")
    table = read_csv(options.data, ignore=options.ignore, label=options.label)
    topic = options.topic.replace("{asset}", options.asset or _stem(options.data))
    shift_ns = replay.shift_to_now(table, options.speed, time.time_ns()) if options.now else 0
    sent = list(replay.messages(table, topic, time_name=options.time, shift_ns=shift_ns))
    connection = client.connect(_broker(options))
    try:
        with stopping() as stop, progress("messages") as say:
            replay.replay(connection, sent, options.speed, stop=stop, progress=say)
    finally:
        client.close(connection)
    return 0


def _record(options: argparse.Namespace) -> int:
    from edge_ae import build
    from edge_ae.record import record
    from edge_ae.recorder import Recorder
    from edge_ae.settings import load

    settings = load(options.config)
    _log_to_stderr(settings.log_level)
    recorder = Recorder(options.out, options.max_mb * 2**20)
    link, decoders, most_owed = build.recording(settings)
    with stopping(link.wake) as stop, progress("readings recorded") as say:
        counts = record(link, decoders, recorder, most_owed, stop, lambda so_far: say(so_far["readings"], 0))
    recorder.close()
    link.stop(keep_session=False)  # nobody may ever come back for what a broker would keep for a day
    logging.getLogger("edge_ae").info(
        "stopped: %s", ", ".join(f"{n} {what}" for what, n in counts.items()) or "nothing came"
    )
    if recorder.counts["rows_lost"] > 0:
        raise BadConfig(f"{options.out}: {recorder.counts['rows_lost']} rows were lost, see above")
    return 0


def _check(options: argparse.Namespace) -> int:
    from edge_ae import build

    faults = 0
    for title, problems in build.checks(options.config):
        for problem in problems:
            print(f"FAULT {problem}", flush=True)
        if not problems:
            print(f"ok    {title}", flush=True)
        faults += len(problems)
    return 1 if faults > 0 else 0


def _watch(options: argparse.Namespace) -> int:
    from edge_ae import client, watch
    from edge_ae.settings import load

    broker, base = _broker(options), options.base or load(options.config).mqtt.base
    with stopping() as stop, ExitStack() as connections:

        def connect(filters: Sequence[str], offer: Callable[[str, bytes], None]) -> None:
            connections.callback(client.close, client.connect(broker, filters, offer))

        watch.watch(base, connect, sys.stdout, stop)
    return 0


def _broker(options: argparse.Namespace) -> "Broker":
    """The settings' broker, or the one that the command line names."""
    from edge_ae import build
    from edge_ae.settings import load

    broker = build.broker_of(load(options.config))
    return replace(broker, host=options.host or broker.host, port=options.port or broker.port)


def _log_to_stderr(level: str) -> None:
    """The journal adds the time itself."""
    when = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(level=level.upper(), format=f"{when}%(levelname)s %(message)s", stream=sys.stderr)


def _stem(path: Path) -> str:
    return path.name.split(".")[0]


if __name__ == "__main__":
    sys.exit(main())

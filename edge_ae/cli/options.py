"""What the command lines of device and workstation have in common: commands, options, values, and how a command ends.

Imports nothing heavy.
"""

import logging
import math
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge_ae.core.timestamps import seconds_ns
from edge_ae.core.topics import base_fault
from edge_ae.errors import BadConfig, EdgeError
from edge_ae.store.atomic import is_special
from edge_ae.store.recording.options import DATE_ORDERS, ReadOptions

if TYPE_CHECKING:
    from edge_ae.core.rules import AlertRules
    from edge_ae.mqtt.options import Broker

Command = Callable[[Namespace], int]
TIME_COLUMN = ("--time-column", "--time")


def run(program: str, options: Namespace) -> int:
    """Runs `options.command`. 1: the input or the model is at fault, printed on stderr, a line for each problem."""
    command: Command = options.command
    try:
        return command(options)
    except EdgeError as error:
        for line in str(error).splitlines():
            print(f"{program}: {line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def add_command(commands: Any, name: str, what: str, example: str, command: Command) -> ArgumentParser:
    """`commands`: what `add_subparsers` gave."""
    parser: ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=f"example: {example}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=command)
    return parser


def config_option(parser: ArgumentParser, *, required: bool) -> None:
    parser.add_argument("--config", type=Path, required=required, metavar="FILE", help="the settings, TOML")


def broker_options(parser: ArgumentParser) -> None:
    """What `broker` reads."""
    config_option(parser, required=False)
    parser.add_argument("--host", help="the broker (default: the settings', else localhost)")
    parser.add_argument("--port", type=port, help="its port (default: the settings', else 1883)")


def broker(options: Namespace) -> "Broker":
    """The settings' broker, or the one that the command line names."""
    from edge_ae import wiring
    from edge_ae.config.loading import load

    known = wiring.broker_of(load(options.config))
    return replace(known, host=options.host or known.host, port=known.port if options.port is None else options.port)


def data_options(parser: ArgumentParser, time: Sequence[str] = TIME_COLUMN, *, several: bool = False) -> None:
    """--data, and what `column_options` adds. `several`: it is a list of recordings."""
    what = "the recordings" if several else "the recording"
    number = {"nargs": "+"} if several else {}
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help=f"{what}; .csv.gz will do", **number)
    column_options(parser, time)


def stem(path: Path) -> str:
    """What an asset is called whose recording names none: the file's name up to its first dot."""
    return path.name.split(".")[0]


def log_to_stderr(level: str) -> None:
    """The journal adds the time itself."""
    when = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(level=level.upper(), format=f"{when}%(levelname)s %(message)s", stream=sys.stderr)


def column_options(parser: ArgumentParser, time: Sequence[str] = TIME_COLUMN) -> None:
    """What `read_options` reads. `time`: what the option for the column of times is called."""
    parser.add_argument("--ignore", type=names, default=[], metavar="A,B", help="columns to leave out")
    parser.add_argument("--label", metavar="NAME", help="the column that holds 0/1 labels")
    parser.add_argument("--asset-column", metavar="NAME", help="the column that names the asset of a line")
    parser.add_argument(
        *time, dest="time_column", metavar="NAME", help="the column of the times, or DATE+TIME (default: found out)"
    )
    parser.add_argument(
        "--time-zone", type=time_zone, metavar="ZONE", help="of times without an offset, such as Europe/Berlin"
    )
    parser.add_argument(
        "--date-order", choices=DATE_ORDERS, help="of dates such as 02/03/2026, where the file does not show it"
    )
    parser.add_argument("--missing", type=names, default=[], metavar="W,W", help="more words for a missing value")
    parser.add_argument(
        "--words", type=words, default={}, metavar="W=N,W=N", help='more words for numbers, such as "auto=1,manual=0"'
    )
    parser.add_argument(
        "--long", type=name_and_value, metavar="NAME,VALUE", help="the columns of a file with a line for each value"
    )


def read_options(options: Namespace) -> ReadOptions:
    """What the options of `column_options` say of a recording."""
    return ReadOptions(
        ignore=options.ignore,
        label=options.label,
        asset=options.asset_column,
        time=options.time_column.split("+") if options.time_column else (),
        time_zone=options.time_zone,
        date_order=options.date_order,
        missing=options.missing,
        words=options.words,
        long=options.long,
    )


def rules_options(parser: ArgumentParser) -> None:
    """What `alert_rules` reads."""
    parser.add_argument(
        "--budget", type=budget, default="1/week", help="alerts accepted on normal data (default: %(default)s)"
    )
    parser.add_argument(
        "--on-delay",
        type=seconds,
        metavar="S",
        help="seconds above the threshold before an alert (default: that of the model)",
    )
    parser.add_argument(
        "--off-delay",
        type=seconds,
        metavar="S",
        help="seconds below it before the end (default: ten hops of the model)",
    )
    parser.add_argument(
        "--deadband",
        type=fraction,
        default=0.2,
        metavar="PART",
        help="part of the threshold to fall below it by for the end (default: 0.2)",
    )


def alert_rules(options: Namespace) -> "AlertRules":
    """The rules that the options of `rules_options` ask for."""
    from edge_ae.core.rules import AlertRules

    on_delay_ns = None if options.on_delay is None else seconds_ns(options.on_delay)
    off_delay_ns = None if options.off_delay is None else seconds_ns(options.off_delay)
    return AlertRules(options.budget, on_delay_ns, off_delay_ns, options.deadband)


def spare(inputs: Iterable[Path], outputs: Iterable[Path | None]) -> None:
    """BadConfig where an output would take the place of an input, or of another output. Pipes and devices may come twice."""
    taken = {path.resolve(): "is read from" for path in inputs}
    for path in outputs:
        if path is None or is_special(path):
            continue
        if path.resolve() in taken:
            raise BadConfig(f"{path}: {taken[path.resolve()]}, and would be written over; name another file")
        taken[path.resolve()] = "is written to already"


# -- values ----------------------------------------------------------------------------------------------------


def names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def words(text: str) -> dict[str, float]:
    """Of "open=1,closed=0"."""
    found = {}
    for pair in names(text):
        word, equals, number = (part.strip() for part in pair.rpartition("="))
        try:
            found[word] = float(number)
        except ValueError:
            equals = ""
        if not equals or not word or not math.isfinite(found[word]):
            raise ArgumentTypeError(f"{pair!r} should be a word, an equals sign, and its number")
    return found


def name_and_value(text: str) -> tuple[str, str]:
    found = names(text)
    if len(found) != 2:
        raise ArgumentTypeError(f"{text!r} should be the column of the names, a comma, and that of the values")
    return found[0], found[1]


def time_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ArgumentTypeError(f"{text!r} is no time zone that this machine knows; Europe/Berlin is one") from None


def budget(text: str) -> int:
    from edge_ae.core.rules import budget_ns

    try:
        return budget_ns(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} {error}") from None


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise ArgumentTypeError(f"{text!r} should be zero or more, and less than 1,000,000,000")
    return value


def topic_base(text: str) -> str:
    fault = base_fault(text)
    if fault is not None:
        raise ArgumentTypeError(f"{text!r} {fault}")
    return text


def port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ArgumentTypeError(f"{text!r} should be from 1 to 65535")
    return int(text)


def bind_address(text: str) -> tuple[str, int]:
    """Of "127.0.0.1:8182", "[::1]:8182" or "8182"."""
    host, _, number = text.rpartition(":")
    return host.strip("[]") or "127.0.0.1", port(number)


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} should be a whole number, 1 or more")
    return int(text)


def fraction(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise ArgumentTypeError(f"{text!r} should be at least 0 and below 1")
    return value

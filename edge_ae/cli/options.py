"""What the command lines of device and workstation have in common: commands, options, values, and how a command ends.

Imports nothing heavy.
"""

import logging
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ae.core.timestamps import seconds_ns
from edge_ae.errors import BadConfig, EdgeError
from edge_ae.store.atomic import is_special

if TYPE_CHECKING:
    from edge_ae.core.alert import AlertRules
    from edge_ae.mqtt.options import Broker

Command = Callable[[Namespace], int]


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


def data_options(parser: ArgumentParser) -> None:
    """--data, and what `column_options` adds."""
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help="the recording; .csv.gz will do")
    column_options(parser)


def stem(path: Path) -> str:
    """What an asset is called whose recording names none: the file's name up to its first dot."""
    return path.name.split(".")[0]


def log_to_stderr(level: str) -> None:
    """The journal adds the time itself."""
    when = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(level=level.upper(), format=f"{when}%(levelname)s %(message)s", stream=sys.stderr)


def column_options(parser: ArgumentParser) -> None:
    """Which columns of a recording are no channels."""
    parser.add_argument("--ignore", type=names, default=[], metavar="A,B", help="columns to leave out")
    parser.add_argument("--label", metavar="NAME", help="the column that holds 0/1 labels")


def rules_options(parser: ArgumentParser) -> None:
    """What `alert_rules` reads."""
    parser.add_argument(
        "--budget", type=budget, default="1/week", help="alerts accepted on normal data (default: %(default)s)"
    )
    parser.add_argument(
        "--on-delay",
        type=seconds,
        default=0,
        metavar="S",
        help="seconds above the threshold before an alert (default: 0)",
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
    from edge_ae.core.alert import AlertRules

    off_delay_ns = None if options.off_delay is None else seconds_ns(options.off_delay)
    return AlertRules(options.budget, seconds_ns(options.on_delay), off_delay_ns, options.deadband)


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


def budget(text: str) -> int:
    from edge_ae.core.alert import budget_ns

    try:
        return budget_ns(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} {error}") from None


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise ArgumentTypeError(f"{text!r} should be zero or more")
    return value


def port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ArgumentTypeError(f"{text!r} should be from 1 to 65535")
    return int(text)


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} should be a whole number, 1 or more")
    return int(text)


def fraction(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise ArgumentTypeError(f"{text!r} should be at least 0 and below 1")
    return value

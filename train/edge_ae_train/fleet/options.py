"""What can be asked of `edge-ae-train fleet`: its commands, their options, and what the values must be. Imports nothing heavy."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from edge_ae.cli.options import add_command, column_options, count
from edge_ae_train.fleet.cli import COMMANDS
from edge_ae_train.training_options import period, training_options

EXAMPLES = {
    "fit": "edge-ae-train fleet fit --data recordings --out models",
}

Parser = argparse.ArgumentParser


def fleet_options(parser: Parser) -> None:
    """The commands of the group."""
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (what, add_options) in OPTIONS.items():
        add_options(add_command(subparsers, name, what, EXAMPLES[name], COMMANDS[name]))


def _fit_options(parser: Parser) -> None:
    _data_options(parser)
    parser.add_argument(
        "--by",
        default="asset",
        metavar="asset|class|FILE",
        help="one model for each asset (default), for each class of like assets that is found, or for each class of FILE, a "
        "CSV with the columns asset and class",
    )
    _out_option(parser, "a model for each asset or class, and the table of them")
    training_options(parser, None)
    parser.add_argument("--period", type=period, metavar="S", help="seconds between rows (default: found in the data)")
    parser.add_argument(
        "--hold", type=period, metavar="S", help="seconds for which a value stands, where channels report on change"
    )
    parser.add_argument("--units", metavar="A=U,...", help='the channels\' units, such as "pressure=bar,flow=m3/h"')
    parser.add_argument(
        "--kind", metavar="A=KIND,...", help='what channels are, where it is found wrongly: "energy=counter"'
    )
    parser.add_argument("--hop", type=count, default=1, help="a window is scored every HOP rows (default: %(default)s)")
    _engine_options(parser)


def _data_options(parser: Parser) -> None:
    parser.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="PLACE",
        help="folders, files or a Parquet dataset, here or in an object store (s3://...): a file or folder for each asset, or "
        "--asset-column",
    )
    column_options(parser)


def _out_option(parser: Parser, what: str) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=f"{what}; what is done in it stays done")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON, too")


def _engine_options(parser: Parser) -> None:
    parser.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="processes at a time (default: one for each core that memory is free for)",
    )
    parser.add_argument(
        "--memory", type=_gigabytes, metavar="GB", help="of a process (default: its share of what is free)"
    )


def _gigabytes(text: str) -> int:
    value = float(text)
    if not 0.1 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} should be gigabytes, from 0.1 to 10000")
    return round(value * 1e9)


OPTIONS: Mapping[str, tuple[str, Callable[[Parser], None]]] = {
    "fit": ("train a model for each asset or class of assets, on all cores or a cluster", _fit_options),
}

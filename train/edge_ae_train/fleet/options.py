"""What can be asked of `edge-ae-train fleet`: its commands, their options, and what the values must be. Imports nothing heavy."""

import argparse
import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

from edge_ae.cli.options import add_command, column_options, count, rules_options
from edge_ae_train.fleet.cli import COMMANDS, STOPPED
from edge_ae_train.training_options import past_alerts_options, period, seed, state_option, training_options

EXAMPLES = {
    "fit": "edge-ae-train fleet fit --data recordings --out models",
    "evaluate": "edge-ae-train fleet evaluate --models models --data months --out evaluation",
    "backtest": "edge-ae-train fleet backtest --models models --data months --out backtest",
    "compare": "edge-ae-train fleet compare --models models --other models-2 --data months --out comparison",
    "retrain": "edge-ae-train fleet retrain --models models --data months --out models-2",
    "report": "edge-ae-train fleet report --judged backtest --out report",
    "rollout": "edge-ae-train fleet rollout --models models-2 --out rollout",
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
    state_option(parser)
    parser.add_argument("--hop", type=count, default=1, help="a window is scored every HOP rows (default: %(default)s)")
    _engine_options(parser)


def _judge_options(parser: Parser) -> None:
    _models_option(parser)
    _data_options(parser)
    rules_options(parser)
    _out_option(parser, "a row for each asset, for fleet report")
    _engine_options(parser)


def _compare_options(parser: Parser) -> None:
    _models_option(parser)
    parser.add_argument("--other", type=Path, required=True, metavar="DIR", help="the folder of the candidates")
    _data_options(parser)
    rules_options(parser)
    parser.add_argument("--seed", type=seed, default=0, help="of the injected faults (default: %(default)s)")
    _out_option(parser, "a row for each asset")
    _engine_options(parser)


def _retrain_options(parser: Parser) -> None:
    _models_option(parser)
    _data_options(parser)
    rules_options(parser)
    training_options(parser, None)
    past_alerts_options(parser)
    _out_option(parser, "the better model for each asset or class")
    _engine_options(parser)


def _report_options(parser: Parser) -> None:
    parser.add_argument(
        "--judged", type=Path, required=True, metavar="DIR", help="what fleet evaluate or fleet backtest wrote"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="for report.html, .md, .json and .parquet"
    )
    parser.add_argument(
        "--singles",
        type=count,
        metavar="N",
        help="with --models and --data: a report of its own for the first N machines",
    )
    _models_option(parser, required=False)
    _data_options(parser, required=False)
    rules_options(parser)
    _engine_options(parser)


def _rollout_options(parser: Parser) -> None:
    _models_option(parser, required=False)
    parser.add_argument(
        "--devices",
        type=Path,
        metavar="FILE",
        help="a CSV of device and asset or class (default: a device for each asset)",
    )
    parser.add_argument("--key", type=Path, metavar="FILE.key", help="sign the models with this private key")
    parser.add_argument(
        "--waves",
        type=_shares,
        default="5,25,100",
        metavar="%,%,...",
        help="part of the devices (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the roll-out's folder")
    parser.add_argument("--next", action="store_true", help="say whether the next wave of the roll-out in DIR may go")
    parser.add_argument("--gone", type=_gone, default=0, metavar="N", help="with --next: how many waves have gone")
    for name, what in (("before", "with the old models"), ("since", "with the new models")):
        parser.add_argument(
            f"--{name}",
            type=Path,
            metavar="PATH",
            help=f"with --next: what fleet evaluate wrote of the devices {what}, or a JSON file of their alerts and weeks",
        )
    parser.epilog = f"{parser.epilog}; exit status of --next: 0 go, {STOPPED} stop"


def _models_option(parser: Parser, *, required: bool = True) -> None:
    parser.add_argument(
        "--models", type=Path, required=required, metavar="DIR", help="a folder of models, or one for all assets"
    )


def _data_options(parser: Parser, *, required: bool = True) -> None:
    parser.add_argument(
        "--data",
        nargs="+",
        required=required,
        default=[],
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
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="run on this Ray cluster; local: on one that Ray makes of this machine"
    )


def _gigabytes(text: str) -> int:
    value = _number(text)
    if not 0.1 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} should be gigabytes, from 0.1 to 10000")
    return round(value * 1e9)


def _gone(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} should be how many waves have gone, 0 or more")
    return int(text)


def _number(text: str) -> float:
    """NaN where it is none: no bound holds for it."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _shares(text: str) -> tuple[float, ...]:
    shares = tuple(_number(part) / 100 for part in text.split(","))
    rising = all(later > sooner for sooner, later in pairwise((0.0, *shares)))
    if not rising or shares[-1] != 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} should be rising parts in %, the last 100, such as 5,25,100")
    return shares


OPTIONS: Mapping[str, tuple[str, Callable[[Parser], None]]] = {
    "fit": ("train a model for each asset or class of assets, on all cores or a cluster", _fit_options),
    "evaluate": ("judge the models on recordings of their assets: alerts, events found, delay", _judge_options),
    "backtest": ("evaluate, and say what other budgets and delays would have done", _judge_options),
    "compare": ("hold the models of two folders against each other, asset by asset", _compare_options),
    "retrain": ("train on recent recordings and keep the better model of each", _retrain_options),
    "report": ("rank machines by what needs a look, on one page", _report_options),
    "rollout": ("write folders for devices in waves, or say whether the next wave may go", _rollout_options),
}

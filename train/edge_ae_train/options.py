"""What can be asked of `edge-ae-train`: commands, options, and what their values must be. Imports nothing heavy."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from edge_ae import __version__
from edge_ae.cli.options import Command, add_command, column_options, config_option, count, rules_options
from edge_ae_train.fleet.options import fleet_options
from edge_ae_train.training_options import FAMILIES, past_alerts_options, period, seed, state_option, training_options

__all__ = ["COMMANDS", "EXAMPLES", "FAMILIES", "KEPT", "parser"]

EXAMPLES = {
    "fit": "edge-ae-train fit --data normal.csv --out pump.onnx",
    "evaluate": "edge-ae-train evaluate --model pump.onnx --data week.csv --label anomaly",
    "report": "edge-ae-train report --model pump.onnx --data week.csv --out report",
    "retrain": "edge-ae-train retrain --current pump.onnx --data recordings --out pump-2.onnx",
    "learn": "edge-ae-train learn --config /etc/edge-ae/edge-ae.toml",
    "fleet": "edge-ae-train fleet fit --data recordings --out models",
    "generate": "edge-ae-train generate --model vae.onnx --rows 10000 --out synthetic.csv",
    "keygen": "edge-ae-train keygen --out model.key",
    "sign": "edge-ae-train sign --model pump.onnx --key model.key",
}
KEPT = 3  # exit status of `retrain` when the current model stays

Parser = argparse.ArgumentParser


def parser(commands: Mapping[str, Command]) -> Parser:
    """`commands`: what each name of EXAMPLES runs."""
    whole = Parser(prog="edge-ae-train", description="Train, judge and show models of normal operation.")
    whole.add_argument("--version", action="version", version=f"edge-ae-train {__version__}")
    subparsers = whole.add_subparsers(required=True, metavar="COMMAND")
    for name, (what, add_options) in COMMANDS.items():
        sub = add_command(subparsers, name, what, EXAMPLES[name], commands[name])
        add_options(sub)
    return whole


def _fit_options(parser: Parser) -> None:
    _data_options(parser)
    parser.add_argument("--period", type=period, metavar="S", help="seconds between rows (default: found in the data)")
    parser.add_argument(
        "--hold", type=period, metavar="S", help="seconds for which a value stands, where channels report on change"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="M.onnx", help="the model file to write")
    training_options(parser, "the file's")
    parser.add_argument("--units", metavar="A=U,...", help='the channels\' units, such as "pressure=bar,flow=m3/h"')
    parser.add_argument(
        "--kind",
        metavar="A=KIND,...",
        help='what channels are, where it is found wrongly: "energy=counter,wind_dir=angle:360,level=analog"',
    )
    state_option(parser)
    parser.add_argument("--hop", type=count, default=1, help="a window is scored every HOP rows (default: %(default)s)")


def _evaluate_options(parser: Parser) -> None:
    parser.add_argument("--model", type=Path, required=True, metavar="M.onnx", help="the model file")
    _data_options(parser)
    rules_options(parser)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures as JSON, too")


def _report_options(parser: Parser) -> None:
    parser.add_argument("--model", type=Path, required=True, metavar="M.onnx", help="the model file")
    _data_options(parser, required=False)
    rules_options(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="for report.html, .md, .json and pictures"
    )


def _retrain_options(parser: Parser) -> None:
    parser.add_argument("--current", type=Path, required=True, metavar="M.onnx", help="the model in use")
    _data_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="M2.onnx", help="written if it is no worse")
    training_options(parser, "the current model's")
    rules_options(parser)
    past_alerts_options(parser)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the comparison as JSON, too")
    parser.epilog = f"{parser.epilog}; exit status: 0 replaced, {KEPT} the current model stays"


def _learn_options(parser: Parser) -> None:
    config_option(parser, required=True)
    parser.add_argument("--once", action="store_true", help="look at each asset once, make what is due, and end")


def _generate_options(parser: Parser) -> None:
    parser.add_argument("--model", type=Path, required=True, metavar="M.onnx", help="a model of the family vae")
    parser.add_argument("--rows", type=count, required=True, metavar="N", help="how many rows")
    parser.add_argument("--out", type=Path, required=True, metavar="CSV", help="the recording to write")
    parser.add_argument("--seed", type=seed, default=0, help="default: %(default)s")


def _keygen_options(parser: Parser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.key", help="FILE.pub is made beside it")


def _sign_options(parser: Parser) -> None:
    parser.add_argument("--model", type=Path, required=True, metavar="M.onnx", help="M.onnx.sig is made beside it")
    parser.add_argument("--key", type=Path, required=True, metavar="FILE.key", help="the private key")


def _data_options(parser: Parser, *, required: bool = True) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=required,
        default=[],
        metavar="FILE",
        help="CSV, CSV.gz, Parquet files or directories of them",
    )
    column_options(parser)


COMMANDS: Mapping[str, tuple[str, Callable[[Parser], None]]] = {
    "fit": ("train on recordings of normal operation, calibrate, export one ONNX file", _fit_options),
    "evaluate": ("judge a model on recordings, with labels or without", _evaluate_options),
    "report": ("draw what a model learned and what it says of recordings", _report_options),
    "retrain": ("train on recent recordings and keep the better model", _retrain_options),
    "learn": ('on a device: make the models of streams with model = "auto" as they become due', _learn_options),
    "fleet": ("train, judge, compare and roll out models of many machines at once", fleet_options),
    "generate": ("write a synthetic recording of normal operation", _generate_options),
    "keygen": ("make a pair of keys for signing models", _keygen_options),
    "sign": ("sign a model file, for devices that take no other", _sign_options),
}

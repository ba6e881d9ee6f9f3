"""Options of every command that trains, and what their values must be. Imports nothing heavy."""

import argparse
import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_ae.core.expression import Expression

AUTO = "auto"  # the family that finds most
FAMILIES = ("cva", "pca", "hybrid", "cae", "ae", "dae", "vae")


def training_options(parser: argparse.ArgumentParser, named_after: str | None) -> None:
    """`named_after`: what a model is called without --name; None: there is no such option."""
    parser.add_argument("--family", default=AUTO, choices=[AUTO, *FAMILIES], help="default: the one that finds most")
    parser.add_argument(
        "--thorough",
        action="store_true",
        help="train every family whole, those too that lag behind early (default: no longer than one may still win)",
    )
    if named_after is not None:
        parser.add_argument("--name", help=f"the model's name in alerts (default: {named_after})")
    parser.add_argument(
        "--length", type=window_length, help="rows of a window, a multiple of 4 (default: from the data)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="default: %(default)s")


def state_option(parser: argparse.ArgumentParser) -> None:
    """The state to learn from."""
    parser.add_argument(
        "--when",
        type=_state,
        metavar="EXPR",
        help='learn from this state alone, and watch in it alone: "speed > 100 and load >= 0.5"',
    )


def past_alerts_options(parser: argparse.ArgumentParser) -> None:
    """The alerts that the models in use have raised, and what people said of them."""
    parser.add_argument(
        "--alerts", type=Path, nargs="+", default=[], metavar="JSONL", help="alerts that were raised, one event a line"
    )
    parser.add_argument(
        "--feedback",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="what edge-ae feedback printed, or a state_dir",
    )
    parser.add_argument(
        "--node", default=platform.node(), help="that watched, for the ids in its feedback (default: this host's name)"
    )


def _state(text: str) -> "Expression":
    from edge_ae.core.expression import Expression

    try:
        return Expression.of(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None


def window_length(text: str) -> int:
    value = int(text)
    if value < 8 or value % 4 > 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} should be a multiple of 4, and 8 at least: convolutions halve it twice"
        )
    return value


def seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} should be from 0 to {2**32 - 1}")
    return value


def period(text: str) -> float:
    value = float(text)
    if not 1e-9 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} should be seconds, from 1e-9 to 1e9")
    return value

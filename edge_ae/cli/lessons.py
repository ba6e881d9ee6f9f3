"""`edge-ae lessons`: what the assets have been taught, as it is in force, and one taken back."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ae.cli.feedback import DEVICE
from edge_ae.cli.label import ask
from edge_ae.cli.options import broker_options
from edge_ae.core.printable import printable
from edge_ae.core.timestamps import rfc3339
from edge_ae.errors import BadConfig

if TYPE_CHECKING:
    from edge_ae.store.lessons import KeptLesson

WHAT = "list what people have taught of alerts, and take a lesson back"
EXAMPLE = "edge-ae lessons --config /etc/edge-ae/edge-ae.toml --asset pump-1"

NAME_CHARS, REASON_CHARS = 80, 160


def add_options(parser: ArgumentParser) -> None:
    broker_options(parser)
    parser.add_argument("--asset", metavar="NAME", help="of this asset alone")
    parser.add_argument("--remove", metavar="ID", help="take this one back: what it withheld is an alert again")


def execute(options: Namespace) -> int:
    found = [one for one in _kept(options) if options.asset in (None, one.asset)]
    if options.remove is None:
        print("\n".join(map(_line, found)) if found else "nothing has been taught")
        return 0
    for one in found:
        if one.lesson.id == options.remove:
            ask(options, one.asset, "unlearn", {"id": one.lesson.id})
            print(f"{printable(one.asset, NAME_CHARS)}: the lesson {one.lesson.id} is taken back")
            return 0
    there = ", ".join(one.lesson.id for one in found[:8]) or "none"
    raise BadConfig(f"--remove {printable(options.remove, NAME_CHARS)}: there is no such lesson; there are {there}")


def _kept(options: Namespace) -> "list[KeptLesson]":
    from edge_ae.config.loading import load
    from edge_ae.errors import BadState
    from edge_ae.store.lessons import read_lessons
    from edge_ae.store.node_store import FILE

    path: Path = load(options.config).state_dir / FILE
    try:
        return read_lessons(path)
    except BadState as fault:
        raise BadConfig(
            f"{path}: {fault}; begin the command with {DEVICE} where "
            "the daemon is a unit, else name the settings that it runs with"
        ) from None


def _line(one: "KeptLesson") -> str:
    lesson, use = one.lesson, one.use
    what = "false alarm, withheld" if lesson.false_alarm else f"true alarm, {lesson.name or 'without a name'}"
    until = "" if lesson.until_ns is None else f" until {rfc3339(lesson.until_ns)}"
    often = f"{use.count} like it since" + ("" if use.last_ns is None else f", last {rfc3339(use.last_ns)[:10]}")
    asset, reason = printable(one.asset, NAME_CHARS), printable(lesson.reason, REASON_CHARS)
    return f"{asset}  {lesson.id}  {what}{until}  of {rfc3339(lesson.raised_ns)[:10]}, {often}: {reason}"

"""The command line of the device: which commands there are, and how one ends.

A command's module is imported where it is the one that is asked for, and heavy ones where it is carried out: the daemon has no
memory for what it never uses, and `--help` is there at once.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module

from edge_ae import __version__
from edge_ae.cli import options

COMMANDS = (
    "run",
    "score",
    "replay",
    "record",
    "export",
    "fetch",
    "check",
    "doctor",
    "watch",
    "web",
    "model",
    "feedback",
    "label",
    "lessons",
    "purge",
    "notify",
)
"""In the order of the help; each is a module beside this one."""


def main(argv: Sequence[str] | None = None) -> int:
    """0 done; 1 the input or the model is at fault, as stderr shows; 2 usage."""
    words = sys.argv[1:] if argv is None else argv
    asked = words[:1] if words and words[0] in COMMANDS else COMMANDS
    return options.run("edge-ae", parser(asked).parse_args(words))


def parser(names: Iterable[str] = COMMANDS) -> argparse.ArgumentParser:
    """One that knows these commands."""
    made = argparse.ArgumentParser(
        prog="edge-ae", description="Watches sensor readings over MQTT and tells when a machine stops looking normal."
    )
    made.add_argument("--version", action="version", version=f"edge-ae {__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for name in names:
        module = import_module(f"edge_ae.cli.{name}")
        module.add_options(options.add_command(commands, name, module.WHAT, module.EXAMPLE, module.execute))
    return made

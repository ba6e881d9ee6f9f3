"""The command line of the device: which commands there are, and how one ends.

Heavy modules are imported by the command that needs them, where it is carried out: `--help` is there at once.
"""

import argparse
from collections.abc import Sequence

from edge_ae import __version__
from edge_ae.cli import (
    check,
    doctor,
    export,
    feedback,
    model,
    notify,
    options,
    purge,
    record,
    replay,
    run,
    score,
    watch,
    web,
)

COMMANDS = {
    "run": run,
    "score": score,
    "replay": replay,
    "record": record,
    "export": export,
    "check": check,
    "doctor": doctor,
    "watch": watch,
    "web": web,
    "model": model,
    "feedback": feedback,
    "purge": purge,
    "notify": notify,
}


def main(argv: Sequence[str] | None = None) -> int:
    """0 done; 1 the input or the model is at fault, as stderr shows; 2 usage."""
    return options.run("edge-ae", parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="edge-ae", description="Watches sensor readings over MQTT and tells when a machine stops looking normal."
    )
    made.add_argument("--version", action="version", version=f"edge-ae {__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        module.add_options(options.add_command(commands, name, module.WHAT, module.EXAMPLE, module.execute))
    return made

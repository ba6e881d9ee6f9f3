"""`edge-ae feedback`: people's feedback on alerts, for the next training."""

import sys
from argparse import ArgumentParser, Namespace

from edge_ae.cli.options import config_option
from edge_ae.errors import BadConfig

WHAT = "print what people said of alerts, one JSON object a line, for edge-ae-train retrain"
DEVICE = "sudo STATE_DIRECTORY=/var/lib/edge-ae"
EXAMPLE = "edge-ae feedback --config /etc/edge-ae/edge-ae.toml > feedback.jsonl"


def add_options(parser: ArgumentParser) -> None:
    config_option(parser, required=True)


def execute(options: Namespace) -> int:
    from edge_ae.config.loading import load
    from edge_ae.errors import BadState
    from edge_ae.store.feedback import read_feedback
    from edge_ae.store.node_store import FILE

    path = load(options.config).state_dir / FILE
    try:
        lines = read_feedback(path)
    except BadState as fault:
        raise BadConfig(
            f"{path}: {fault}; begin the command with {DEVICE} where "
            "the daemon is a unit, else name the settings that it runs with"
        ) from None
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0

"""`edge-ae fetch`: the recordings of devices to this machine, over MQTT; begun again, it goes on where it was."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from functools import partial
from pathlib import Path

from edge_ae.cli.options import broker, broker_options, seconds, topic_base
from edge_ae.cli.progress import progress_line
from edge_ae.errors import BadConfig, EdgeError

WHAT = "bring the recordings of devices to this machine, over MQTT"
EXAMPLE = "edge-ae fetch --host localhost --node pi-7 --node pi-8 --out recordings"

MOST_KB = 600.0  # a second: no more questions than a node answers beside those of people
KB = 1_000


def add_options(parser: ArgumentParser) -> None:
    broker_options(parser)
    parser.add_argument(
        "--base", type=topic_base, help="first level of the topics (default: the settings', else edge-ae)"
    )
    parser.add_argument("--node", action="append", required=True, metavar="N", help="whose; may be given several times")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for DIR/<node>/<asset>/<time>.rows")
    parser.add_argument("--rate", type=_rate, default=256.0, metavar="KB", help="a second, at most (default: 256)")
    parser.add_argument(
        "--patience", type=seconds, default=60.0, metavar="S", help="seconds to wait for an answer (default: 60)"
    )


def execute(options: Namespace) -> int:
    from edge_ae import wiring
    from edge_ae.cli.node_fetching import fetch_node
    from edge_ae.config.loading import load
    from edge_ae.mqtt.dialogue import NodeDialogue

    for node in options.node:
        if {"/", "+", "#", "\0"} & set(node) or node in ("", ".", ".."):
            raise BadConfig(f"--node: {node!r} is no name of a node")
    address, base = broker(options), options.base or load(options.config).mqtt.base
    wiring.claim_folder("--out", options.out)
    failed = False
    with progress_line() as line:
        for node in dict.fromkeys(options.node):
            dialogue = NodeDialogue(address, f"{base}/{node}", options.patience)
            ask = partial(dialogue.ask_for_bytes, "fetch")
            try:
                found = fetch_node(ask, options.out / node, options.rate * KB, lambda what, share: line.at(what, share))
                line.note(f"{node}: {found}")
            except EdgeError as fault:
                failed = True
                line.note(f"edge-ae: {node}: {fault}")
            finally:
                dialogue.close()
    return 1 if failed else 0


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value <= MOST_KB:
        raise ArgumentTypeError(f"{text!r} should be above 0, and {MOST_KB:g} at most")
    return value

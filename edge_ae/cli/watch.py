"""`edge-ae watch`: what is going on, live, in the terminal."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from edge_ae.cli.options import broker, broker_options, topic_base
from edge_ae.cli.progress import stopping

WHAT = "show what is going on, live, in the terminal"
EXAMPLE = "edge-ae watch --host localhost"


def add_options(parser: ArgumentParser) -> None:
    broker_options(parser)
    parser.add_argument(
        "--base", type=topic_base, help="first level of the topics (default: the settings', else edge-ae)"
    )


def execute(options: Namespace) -> int:
    from edge_ae.cli import monitor
    from edge_ae.config.loading import load
    from edge_ae.mqtt import simple_client

    address, base = broker(options), options.base or load(options.config).mqtt.base
    with stopping() as stop, ExitStack() as connections:

        def connect(filters: Sequence[str], offer: Callable[[str, bytes], None]) -> None:
            connections.callback(simple_client.close, simple_client.connect(address, filters, offer))

        monitor.watch(base, connect, sys.stdout, stop)
    return 0

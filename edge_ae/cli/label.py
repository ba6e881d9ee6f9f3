"""`edge-ae label`: says of an alert whether it was one, and what it was, to the daemon that watches, and prints what comes of it."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from edge_ae.cli.options import broker, broker_options
from edge_ae.errors import BadConfig

WHAT = "say that an alert was false, or true and what it was; it is in force at once"
EXAMPLE = 'edge-ae label --config edge-ae.toml --asset pump-1 --alert newest true --name "closing valve"'

NEWEST = "newest"
PATIENCE_S = 20.0
"""What is waited for the daemon's answer, the broker's absence included."""


def add_options(parser: ArgumentParser) -> None:
    broker_options(parser)
    parser.add_argument("label", choices=("false", "true"), help="was it an alert?")
    parser.add_argument("--asset", required=True, metavar="NAME", help="whose alert it is")
    parser.add_argument("--alert", required=True, metavar="ID", help="the alert's id, or newest")
    parser.add_argument("--name", metavar="NAME", help="of a true one, what it was: later ones like it say so")
    parser.add_argument("--note", metavar="TEXT", help="for those who read of it later")
    parser.add_argument("--until", metavar="TIME", help="of a false one, up to when what is like it is withheld")


def execute(options: Namespace) -> int:
    fields = {"label": f"{options.label}_alarm", "id": None if options.alert == NEWEST else options.alert}
    fields |= {key: getattr(options, key) for key in ("name", "note", "until") if getattr(options, key) is not None}
    print(ask(options, options.asset, "feedback", fields).get("note", "done"))
    return 0


def ask(options: Namespace, asset: str, command: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the daemon of the settings' node answers to a command of an asset. Raises BadConfig with its refusal, or with who is silent."""
    from edge_ae.config.loading import load
    from edge_ae.mqtt.dialogue import NodeDialogue

    if not asset or set("/+#\0") & set(asset):
        raise BadConfig(f"--asset {asset!r}: is no name of an asset; edge-ae watch shows those that there are")
    settings = load(options.config)
    node = NodeDialogue(broker(options), f"{settings.mqtt.base}/{settings.node}/{asset}", PATIENCE_S)
    try:
        return node.ask(command, fields)
    finally:
        node.close()

"""`edge-ae notify`: whether messages to people arrive."""

from argparse import ArgumentParser, Namespace

from edge_ae.cli.options import config_option
from edge_ae.errors import BadConfig

WHAT = "send a test message to everybody whom [notify] names, and say which services took it"
EXAMPLE = "edge-ae notify --test --config /etc/edge-ae/edge-ae.toml"
BY_HAND = "sudo EDGE_AE_NOTIFY__URLS_FILE=/etc/credstore/edge-ae.notify-urls"


def add_options(parser: ArgumentParser) -> None:
    config_option(parser, required=True)
    parser.add_argument("--test", action="store_true", required=True, help="send it; nothing else can be done here yet")


def execute(options: Namespace) -> int:
    from edge_ae import wiring
    from edge_ae.config.loading import load

    settings = load(options.config)
    if not settings.notify_urls:
        raise BadConfig(
            f"notify.urls: there are none; add some, or begin the command with {BY_HAND} where systemd hands them over"
        )
    faults = []
    for who, fault in wiring.send_test_messages(settings):
        print(f"{who}: {'sent' if fault is None else f'not sent: {fault}'}", flush=True)
        faults += [] if fault is None else [fault]
    return 1 if faults else 0

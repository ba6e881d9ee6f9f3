"""`edge-ae run`: the daemon."""

from argparse import ArgumentParser, Namespace

from edge_ae.cli.options import config_option, log_to_stderr

WHAT = "watch: the daemon"
EXAMPLE = "edge-ae run --config /etc/edge-ae/edge-ae.toml"


def add_options(parser: ArgumentParser) -> None:
    config_option(parser, required=True)


def execute(options: Namespace) -> int:
    from edge_ae import wiring
    from edge_ae.config.loading import load

    settings = load(options.config)
    log_to_stderr(settings.log_level)
    wiring.daemon(settings, options.config).run()
    return 0

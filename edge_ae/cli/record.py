"""`edge-ae record`: readings kept for training, no model needed."""

import logging
from argparse import ArgumentParser, Namespace
from pathlib import Path

from edge_ae.cli.options import config_option, count, log_to_stderr
from edge_ae.cli.progress import progress, stopping
from edge_ae.errors import BadConfig

WHAT = "keep readings for training; needs no model"
EXAMPLE = "edge-ae record --config /etc/edge-ae/edge-ae.toml --out recordings"


def add_options(parser: ArgumentParser) -> None:
    config_option(parser, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for DIR/<asset>/<time>.csv.gz")
    parser.add_argument(
        "--max-mb",
        type=count,
        default=1_000,
        metavar="MB",
        help="megabytes in all; the oldest files go first (default: %(default)s)",
    )


def execute(options: Namespace) -> int:
    from edge_ae import wiring
    from edge_ae.config.loading import load
    from edge_ae.daemon.record_loop import record
    from edge_ae.store.recorder import Recorder

    settings = load(options.config)
    log_to_stderr(settings.log_level)
    recorder = Recorder(options.out, options.max_mb * 2**20)
    link, decoders, limit = wiring.recording(settings)
    log = logging.getLogger("edge_ae")
    topics = ", ".join(stream.topic for stream in settings.streams)
    log.info("recording %s into %s until it is interrupted (Ctrl+C)", topics, options.out)
    with stopping(link.wake) as stop, progress("readings recorded") as draw:
        counts = record(link, decoders, recorder, limit, stop, lambda counts: draw(counts["readings"], 0))
    recorder.close()
    link.stop(keep_session=False)  # nobody may ever come back for what a broker would keep for a day
    log.info("stopped: %s", ", ".join(f"{n} {what}" for what, n in counts.items()) or "nothing came")
    if recorder.counts["rows_lost"] > 0:
        raise BadConfig(f"{options.out}: {recorder.counts['rows_lost']} rows were lost, see above")
    return 0

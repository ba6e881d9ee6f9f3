"""`edge-ae record`: readings kept for training, no model needed. By hand until Ctrl+C, or as a service."""

import logging
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ae.cli.options import config_option, count, log_to_stderr
from edge_ae.cli.progress import progress, stopping
from edge_ae.errors import BadConfig

if TYPE_CHECKING:
    from edge_ae.config.settings import Settings
    from edge_ae.daemon.refusals import Refusals

WHAT = "keep readings for training; needs no model"
EXAMPLE = "edge-ae record --config /etc/edge-ae/edge-ae.toml --out recordings"

LISTED = 50  # refusals, and as many omissions, below the table


def add_options(parser: ArgumentParser) -> None:
    config_option(parser, required=True)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="for DIR/<asset>/<time>.csv.gz (default: dir of [record]; where both are given, this one)",
    )
    parser.add_argument(
        "--max-mb",
        type=count,
        metavar="MB",
        help="megabytes in all; the oldest files go first (default: max_mb of [record], 1000)",
    )


def execute(options: Namespace) -> int:
    from edge_ae import wiring
    from edge_ae.config.loading import load
    from edge_ae.daemon import systemd

    settings = load(options.config)
    log_to_stderr(settings.log_level)
    folder = _folder(options.out, settings)
    parts = wiring.recording(settings, folder, options.max_mb or settings.record.max_mb)
    log = logging.getLogger("edge_ae")
    topics = ", ".join(stream.topic for stream in settings.streams)
    log.info("recording %s into %s until it is interrupted (Ctrl+C)", topics, folder)
    if settings.record.dir not in (None, folder):
        log.info("--out goes before dir of [record], which is %s", settings.record.dir)
    parts.link.start(parts.filters)
    with stopping(parts.link.wake) as stop, progress("readings recorded") as draw:
        parts.loop.run(stop, lambda rows: draw(rows, 0))
    parts.recorder.close()
    # Nobody may ever come back for what a broker would keep for a day, but a service does.
    parts.link.stop(keep_session=systemd.supervised())
    for line in [*parts.loop.tally.table(folder), *_unused(parts.loop.refusals)]:
        print(line)
    if parts.recorder.counts["rows_lost"] > 0:
        raise BadConfig(f"{folder}: {parts.recorder.counts['rows_lost']} rows were lost, see above")
    return 0


def _folder(out: Path | None, settings: "Settings") -> Path:
    """Where to record: what the command line says, else the settings."""
    if out is not None:
        return out
    if settings.record.dir is None:
        raise BadConfig("record.dir: is missing; name a folder with --out DIR, or add dir to [record]")
    return settings.record.dir


def _unused(refusals: "Refusals") -> list[str]:
    """What was not used, by topic and reason, and what was left out."""
    from edge_ae.daemon.recording_tally import columns

    refused = sorted(refusals.refusals(), key=lambda met: -met.count)
    lines: list[str] = []
    if refused:
        cells = [("not used", "payloads", "reason", "the last one")]
        cells += [(met.topic, f"{met.count:,}", met.reason, met.text) for met in refused[:LISTED]]
        lines += ["", *columns(cells)]
    omitted = refusals.omissions()
    if omitted:
        lines += ["", "left out of payloads that were used, or used with a remark"]
        lines += [f"{met.topic}  {met.text}" for met in reversed(omitted[:LISTED])]
    more = max(len(refused) - LISTED, 0) + max(len(omitted) - LISTED, 0)
    return [*lines, *([f"and {more} more"] if more > 0 else [])]

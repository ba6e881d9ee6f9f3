"""`edge-ae doctor`: what this machine is, what is wrong with it, and what to send with a bug report.

    diagnoses of the machine ─┐
    check, of the settings ───┼─► redacted ─► a line each, or JSON
    examination of the state ─┘

Whatever is printed has gone through `redaction`: a report is sent to strangers.
"""

import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ae.cli import check, diagnoses
from edge_ae.cli.diagnoses import Diagnosis, Gravity
from edge_ae.cli.redaction import masked, redacted, secrets_in
from edge_ae.errors import BadConfig

if TYPE_CHECKING:
    from edge_ae.config.loading import Inspection

WHAT = "find out what is wrong with this machine, and what to send with a bug report"
EXAMPLE = "edge-ae doctor --config /etc/edge-ae/edge-ae.toml --json > report.json"

INSTALLED = Path("/etc/edge-ae/edge-ae.toml")
FEW_FILES = 100  # so many more files are all that the file system takes
LEAST_DISK_MB = 50
SET_ASIDE = "edge-ae sets a damaged one aside when it starts, and goes on; keep that file for the report"


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"the settings, TOML (default: {INSTALLED}, if it is there)"
    )
    parser.add_argument(
        "--json", action="store_true", help="all of it as JSON, with the settings: the file for a bug report"
    )


def execute(options: Namespace) -> int:
    from edge_ae.config.loading import inspect

    config = options.config or (INSTALLED if INSTALLED.exists() else None)
    inspection = None if config is None else inspect(config)
    tables = _tables(config)
    secrets = frozenset(_secrets(tables, inspection))
    found = []
    for one in _diagnoses(config, inspection):
        found.append(replace(one, text=redacted(one.text, secrets), advice=redacted(one.advice, secrets)))
        if not options.json:
            print(_line(found[-1]), flush=True)
    print(json.dumps(_report(found, tables, secrets), indent=2, default=str) if options.json else _end(found, config))
    return 1 if any(one.level == Gravity.FAULT for one in found) else 0


def _diagnoses(config: Path | None, inspection: "Inspection | None") -> Iterator[Diagnosis]:
    yield from diagnoses.of_machine()
    if config is None or inspection is None:
        yield Diagnosis("settings", f"there are none at {INSTALLED}", Gravity.NOTE, "name them with --config FILE")
        return
    for title, problems in check.checks(config, inspection, {}):
        topic, _, subject = title.removeprefix("note  ").partition(" ")
        if topic == "clock":  # what is said of the machine says more
            continue
        yield from (diagnoses.fault(topic, problem) for problem in problems)
        if not problems:
            yield Diagnosis(topic, subject.strip(), Gravity.NOTE if title.startswith("note") else Gravity.OK)
    if inspection.settings is not None and not inspection.settings.records_only:
        yield disk(inspection.settings.state_dir)
        yield state(inspection.settings.state_dir)


def disk(folder: Path) -> Diagnosis:
    """The file system that a folder is on, or will be: its room, in MB and in files, and whether it outlives a restart."""
    place = next(path for path in (folder, *folder.parents) if os.access(path, os.F_OK))
    try:
        room = os.statvfs(place)
    except OSError as error:
        return diagnoses.fault("disk", f"{place}: {error.strerror}; see dmesg for what the disk says")
    free_mb = room.f_bavail * room.f_frsize // 2**20
    text = f"{place}: {free_mb:,} MB free"
    if room.f_flag & os.ST_RDONLY:
        return Diagnosis("disk", f"{text}, read-only", Gravity.FAULT, "dmesg says why; a worn SD card ends like this")
    if free_mb < LEAST_DISK_MB or (room.f_files > 0 and room.f_favail < FEW_FILES):
        return Diagnosis(
            "disk", f"{text}, {room.f_favail:,} more files", Gravity.FAULT, "make room: alerts wait in memory alone"
        )
    if _in_memory(place):
        return Diagnosis(
            "disk", f"{text}, in memory", Gravity.NOTE, "a restart loses the state: put state_dir on a disk"
        )
    return Diagnosis("disk", text)


def _in_memory(place: Path) -> bool:
    """Whether the mount that holds it is a tmpfs, by the longest mount point above it."""
    best = ("", "")
    for line in diagnoses.read(Path("/proc/self/mounts")).splitlines():
        _, point, kind, *_ = line.split(" ")
        if place.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1] in ("tmpfs", "ramfs")


def state(folder: Path) -> Diagnosis:
    """What the state file holds, and whether it is whole."""
    from edge_ae.store.examination import examine
    from edge_ae.store.node_store import FILE

    facts = examine(folder / FILE)
    if facts is None:
        return Diagnosis("state", f"{folder / FILE}: there is none yet")
    if facts.fault is not None:
        advice = SET_ASIDE if facts.damaged else "begin the command with sudo, for the state is the service's alone"
        return Diagnosis("state", f"{folder / FILE}: {facts.fault}", Gravity.FAULT, advice)
    kept = f"{facts.assets} assets, {facts.alerts} alerts, {facts.pending} events not yet published"
    return Diagnosis("state", f"{facts.size_bytes / 2**20:.1f} MB, {kept}")


# -- what is shown ----------------------------------------------------------------------------------------------


def _line(one: Diagnosis) -> str:
    return f"{one.level:<5} {one.topic:<10}{one.text}" + (f"; {one.advice}" if one.advice else "")


def _end(found: list[Diagnosis], config: Path | None) -> str:
    faults = sum(one.level == Gravity.FAULT for one in found)
    if faults == 0:
        first = "Nothing is at fault here. Does a stream bring nothing? edge-ae check --config FILE --listen 30 shows what comes."
    else:
        first = f"{faults} at fault: do what stands behind each, the first first, then ask again."
    given = "" if config is None else f" --config {config}"
    return (
        f"{first}\nFor a bug report, send what these write; passwords, keys and URLs are masked in the first, look through the second:"
        f"\n  edge-ae doctor{given} --json > report.json\n  journalctl -u edge-ae -n 300 > journal.txt"
    )


def _report(found: list[Diagnosis], tables: Mapping[str, Any], secrets: frozenset[str]) -> dict[str, Any]:
    """What was found, the settings without secrets, and the names of the variables that are set for us."""
    settings = masked(tables, secrets)
    variables = sorted(name for name in os.environ if name.startswith("EDGE_AE_") or name == "STATE_DIRECTORY")
    return {"schema": 1, "diagnoses": [asdict(one) for one in found], "settings": settings, "variables": variables}


# -- what is not ------------------------------------------------------------------------------------------------


def _tables(config: Path | None) -> dict[str, Any]:
    """The settings file as it is written; nothing where it cannot be read, which `check` says."""
    from edge_ae.config import sources

    try:
        return {} if config is None else sources.toml(config)
    except BadConfig:
        return {}


def _secrets(tables: Mapping[str, Any], inspection: "Inspection | None") -> Iterator[str]:
    """All that must not be shown: of the file, of the variables, and what the settings have read from other files."""
    yield from secrets_in(tables)
    yield from secrets_in({name: value for name, value in os.environ.items() if name.startswith("EDGE_AE_")})
    settings = None if inspection is None else inspection.settings
    if settings is None:
        return
    if settings.password is not None:
        yield settings.password.get_secret_value()
    yield from (one.url.get_secret_value() for one in settings.notify_urls)

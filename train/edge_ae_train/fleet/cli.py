"""The commands of `edge-ae-train fleet`: from options to jobs, and from rows to what is printed.

Heavy modules are imported by the command that needs them, and most of them by the processes of the jobs alone.
"""

import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ae.cli.options import Command, read_options
from edge_ae.core.timestamps import seconds_ns
from edge_ae.errors import BadData
from edge_ae_train.progress import reporting

if TYPE_CHECKING:
    from edge_ae_train.fleet.fitting import FitOptions
    from edge_ae_train.fleet.jobs import Engine, JobRow

MOST_SHOWN = 60  # rows of a table that a person reads to the end; of more, those that failed


def _fit(options: Namespace) -> int:
    from edge_ae_train.fleet import classes, sources
    from edge_ae_train.fleet.fitting import fit_job
    from edge_ae_train.fleet.ledger import ledger
    from edge_ae_train.fleet.run import run

    if options.hold is not None and options.period is None:
        raise BadData("--hold needs --period: channels that report on change show none")
    chosen = _fit_options(options)
    with reporting() as reporter, ledger(options.out) as book:
        found = sources.find(options.data, options.asset_column, chosen.columns, book.parts)
        grouped = classes.by_asset(found) if options.by == "asset" else classes.of_file(Path(options.by), found)
        for text in grouped.notes:
            reporter.note(text)
        rows = run(grouped.jobs(fit_job, chosen), book, _engine(options), reporter)
        rows = [*rows, *classes.left_out(rows), *grouped.rows]
        book.write_table(rows)
        classes.write(options.out, rows)
    _show(rows, ("family", "rows", "length", "found"))
    return _end(options, rows)


# -- what commands share ---------------------------------------------------------------------------------------


def _fit_options(options: Namespace) -> "FitOptions":
    from edge_ae_train.data.prepare import RowOptions
    from edge_ae_train.fleet.fitting import FitOptions

    period_ns = None if options.period is None else seconds_ns(options.period)
    hold_ns = seconds_ns(0.0 if options.hold is None else options.hold)
    asked = RowOptions(period_ns, hold_ns, options.length, options.kind)
    units = tuple(sorted(_units(options.units).items()))
    return FitOptions(read_options(options), asked, options.family, options.hop, options.seed, units)


def _units(text: str | None) -> dict[str, str]:
    """Of "pressure=bar,flow=m3/h"; which channels there are, each asset's recording says."""
    units = {}
    for pair in text.split(",") if text else ():
        name, equals, unit = (part.strip() for part in pair.partition("="))
        if not equals or not name:
            raise BadData(f"--units: {pair!r} should be a channel, an equals sign, and its unit")
        units[name] = unit
    return units


def _engine(options: Namespace) -> "Engine":
    from edge_ae_train.fleet.processes import Processes, machine

    return Processes(machine(options.workers, options.memory))


def _show(rows: Sequence["JobRow"], figures: Sequence[str]) -> None:
    """The table, plain: a row for each job, its figures and, where it failed, the reason. Of many rows those that failed."""
    shown = rows if len(rows) <= MOST_SHOWN else [row for row in rows if not row.is_done]
    width = max((len(row.key) for row in shown), default=0)
    for row in shown:
        facts = "  ".join(f"{name} {_cell(row.facts.get(name))}" for name in figures) if row.is_done else row.reason
        print(f"{row.key:<{width}}  {row.state:<6}  {facts}")


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _end(options: Namespace, rows: Sequence["JobRow"]) -> int:
    """The last line, and the exit status: 1 where something failed."""
    failed = [row for row in rows if not row.is_done]
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    print(f"{options.out}: {len(rows) - len(failed)} done, {len(failed)} failed")
    if failed:
        print(f"edge-ae-train: {len(failed)} of {len(rows)} failed, the first is {failed[0].key}", file=sys.stderr)
    return 1 if failed else 0


COMMANDS: Mapping[str, Command] = {
    "fit": _fit,
}

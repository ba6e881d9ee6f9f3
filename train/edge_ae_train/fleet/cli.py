"""The commands of `edge-ae-train fleet`: from options to jobs, and from rows to what is printed.

Heavy modules are imported by the command that needs them, and most of them by the processes of the jobs alone.
"""

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ae.cli.options import Command, alert_rules, read_options
from edge_ae.core.timestamps import seconds_ns
from edge_ae.errors import BadData
from edge_ae_train.progress import reporting

if TYPE_CHECKING:
    from edge_ae_train.fleet.classes import Grouping
    from edge_ae_train.fleet.jobs import Engine, FleetJob, JobRow
    from edge_ae_train.fleet.ledger import Ledger
    from edge_ae_train.fleet.sources import AssetSource
    from edge_ae_train.fleet.work import FitOptions
    from edge_ae_train.progress import Reporter

    Plan = Callable[[Sequence[AssetSource]], tuple[list[FleetJob], Mapping[str, str]]]

STOPPED = 3  # exit status of `rollout --next` where the next wave must not go
MOST_SHOWN = 60  # rows of a table that a person reads to the end; of more, those that failed


def _fit(options: Namespace) -> int:
    from edge_ae_train.fleet import classes, sources
    from edge_ae_train.fleet.ledger import ledger
    from edge_ae_train.fleet.run import run
    from edge_ae_train.fleet.work import FIT

    if options.hold is not None and options.period is None:
        raise BadData("--hold needs --period: channels that report on change show none")
    chosen, engine = _fit_options(options), _engine(options)
    with reporting() as reporter, ledger(options.out) as book:
        found = sources.find(options.data, options.asset_column, chosen.columns, book.parts)
        grouped = _grouped(options.by, found, chosen, book, engine, reporter)
        for text in grouped.notes:
            reporter.note(text)
        rows = run(grouped.jobs(FIT, chosen), book, engine, reporter)
        rows = [*rows, *classes.left_out(rows), *grouped.rows]
        book.write_table(rows)
        classes.write(options.out, rows)
    _show(rows, ("family", "rows", "length", "found"))
    return _end(options, rows)


def _evaluate(options: Namespace) -> int:
    return _judge(options, what_if=False)


def _backtest(options: Namespace) -> int:
    return _judge(options, what_if=True)


def _judge(options: Namespace, *, what_if: bool) -> int:
    from edge_ae_train.fleet.models import model_folder, with_models
    from edge_ae_train.fleet.work import JUDGE, JudgeOptions

    folder, rules, columns = model_folder(options.models), alert_rules(options), read_options(options)

    def plan(found: Sequence["AssetSource"]) -> tuple[list["FleetJob"], dict[str, str]]:
        models, faults = with_models(folder, found)
        chosen = {asset: JudgeOptions(model, rules, columns, what_if) for asset, model in models.items()}
        return [_job(source, JUDGE, chosen) for source in found if source.asset in chosen], faults

    rows = _run(options, plan)
    _show(rows, ("alerts", "allowed", "alert_share", "events_found", "median_delay_s"))
    return _end(options, rows)


def _compare(options: Namespace) -> int:
    from edge_ae_train.fleet.models import model_folder, with_models
    from edge_ae_train.fleet.work import COMPARE, CompareOptions

    folder, other = model_folder(options.models), model_folder(options.other)
    rules, columns = alert_rules(options), read_options(options)

    def plan(found: Sequence["AssetSource"]) -> tuple[list["FleetJob"], dict[str, str]]:
        (models, faults), (others, lacking) = with_models(folder, found), with_models(other, found)
        chosen = {
            asset: CompareOptions(model, others[asset], rules, columns, options.seed)
            for asset, model in models.items()
            if asset in others
        }
        return [_job(source, COMPARE, chosen) for source in found if source.asset in chosen], faults | lacking

    rows = _run(options, plan)
    _show(rows, ("replaced", "worse"))
    better = sum(row.is_done and bool(row.facts.get("replaced")) for row in rows)
    print(f"of {len(rows)} assets, {options.other} is no worse for {better}")
    return _end(options, rows)


def _retrain(options: Namespace) -> int:
    from edge_ae_train.data.history import read_hindsight
    from edge_ae_train.data.recorded_marks import with_marks
    from edge_ae_train.fleet import classes
    from edge_ae_train.fleet.jobs import FleetJob
    from edge_ae_train.fleet.models import by_model, model_folder
    from edge_ae_train.fleet.work import RETRAIN, RetrainOptions

    folder, rules, columns = model_folder(options.models), alert_rules(options), read_options(options)
    if options.out.resolve() == options.models.resolve():
        raise BadData(f"{options.out}: is the folder of the models in use; name another, to be rolled out from")
    hindsight = with_marks(read_hindsight(options.alerts, options.feedback, options.node), options.data)
    asked = (options.family, options.length, options.seed, options.thorough)

    def plan(found: Sequence["AssetSource"]) -> tuple[list["FleetJob"], Mapping[str, str]]:
        grouped, models = by_model(folder, found)
        jobs = [
            FleetJob(key, RETRAIN, sources, RetrainOptions(models[key], rules, hindsight, columns, *asked))
            for key, sources in grouped.members.items()
        ]
        return jobs, grouped.faults

    rows = _run(options, plan)
    rows += classes.left_out(rows)
    classes.write(options.out, rows)
    _show(rows, ("replaced", "worse"))
    return _end(options, rows)


def _report(options: Namespace) -> int:
    from edge_ae_train.fleet.judged import judged_rows
    from edge_ae_train.fleet.overview import overview
    from edge_ae_train.fleet.ranking import ranked

    if options.singles is not None and (options.models is None or not options.data):
        raise BadData("--singles needs --models and --data: single reports are drawn from the recordings")
    rows = judged_rows(options.judged)
    first = [machine.asset for machine in ranked(rows)[: options.singles or 0]]
    print(f"open {overview(rows, options.out, _singles(options, first) if first else {})}")
    return 0


def _singles(options: Namespace, assets: Sequence[str]) -> dict[str, str]:
    """Draws the report of each asset, and gives their addresses from the page of all."""
    from edge_ae_train.fleet.models import model_folder, with_models
    from edge_ae_train.fleet.work import DRAW, JudgeOptions

    folder, rules, columns = model_folder(options.models), alert_rules(options), read_options(options)

    def plan(found: Sequence["AssetSource"]) -> tuple[list["FleetJob"], dict[str, str]]:
        wanted = [source for source in found if source.asset in assets]
        models, faults = with_models(folder, wanted)
        chosen = {asset: JudgeOptions(model, rules, columns) for asset, model in models.items()}
        return [_job(source, DRAW, chosen) for source in wanted if source.asset in chosen], faults

    rows = _run(Namespace(**{**vars(options), "out": options.out / "singles"}), plan)
    return {row.key: f"singles/{row.facts['report']}" for row in rows if row.is_done}


def _rollout(options: Namespace) -> int:
    from edge_ae_train.fleet import rollout
    from edge_ae_train.fleet.models import devices_of, model_folder

    if not options.next:
        if options.models is None:
            raise BadData("--models: name the folder of the new models")
        models = devices_of(model_folder(options.models), options.devices)
        for number, wave in enumerate(rollout.plan(models, options.out, options.key, options.waves), start=1):
            print(f"{options.out / f'wave-{number}'}: {len(wave)} devices")
        return 0
    before, since = ({} if path is None else rollout.records(path) for path in (options.before, options.since))
    decision = rollout.decide(rollout.read_plan(options.out), options.gone, before, since)
    what = "done" if decision.wave is None else f"{'go' if decision.go else 'stop'}: wave {decision.wave}"
    print(f"{what}: {decision.reason}")
    return 0 if decision.go else STOPPED


# -- what commands share ---------------------------------------------------------------------------------------


def _fit_options(options: Namespace) -> "FitOptions":
    from edge_ae_train.data.prepare import RowOptions
    from edge_ae_train.fleet.work import FitOptions

    period_ns = None if options.period is None else seconds_ns(options.period)
    hold_ns = seconds_ns(0.0 if options.hold is None else options.hold)
    asked = RowOptions(period_ns, hold_ns, options.length, options.kind, options.when)
    units = tuple(sorted(_units(options.units).items()))
    columns = read_options(options)
    return FitOptions(columns, asked, options.family, options.hop, options.seed, units, thorough=options.thorough)


def _units(text: str | None) -> dict[str, str]:
    """Of "pressure=bar,flow=m3/h"; which channels there are, each asset's recording says."""
    units = {}
    for pair in text.split(",") if text else ():
        name, equals, unit = (part.strip() for part in pair.partition("="))
        if not equals or not name:
            raise BadData(f"--units: {pair!r} should be a channel, an equals sign, and its unit")
        units[name] = unit
    return units


def _grouped(
    by: str,
    found: Sequence["AssetSource"],
    chosen: "FitOptions",
    book: "Ledger",
    engine: "Engine",
    reporter: "Reporter",
) -> "Grouping":
    """The assets of each model, as `--by` asks."""
    from edge_ae_train.fleet import classes

    if by == "asset":
        return classes.by_asset(found)
    if by != "class":
        return classes.of_file(Path(by), found)
    from edge_ae_train.fleet.like import found_classes

    return found_classes(found, chosen, book, engine, reporter)


def _job(source: "AssetSource", work: str, options: Mapping[str, Any]) -> "FleetJob":
    from edge_ae_train.fleet.jobs import FleetJob

    return FleetJob(source.asset, work, (source,), options[source.asset])


def _run(options: Namespace, plan: "Plan") -> list["JobRow"]:
    """A row for each job that `plan` makes of the assets, and for each asset that it gives a fault."""
    from edge_ae_train.fleet import sources
    from edge_ae_train.fleet.jobs import FAILED, JobRow
    from edge_ae_train.fleet.ledger import ledger
    from edge_ae_train.fleet.run import run

    engine = _engine(options)
    with reporting() as reporter, ledger(options.out) as book:
        found = sources.find(options.data, options.asset_column, read_options(options), book.parts)
        jobs, faults = plan(found)
        rows = run(jobs, book, engine, reporter)
        rows += [JobRow(asset, FAILED, reason) for asset, reason in faults.items()]
        book.write_table(rows)
    return rows


def _engine(options: Namespace) -> "Engine":
    """What runs the jobs; whatever the command cannot do is said before it begins."""
    from edge_ae_train.fleet.datasets import SUFFIXES

    table: Path | None = getattr(options, "json", None)
    if table is not None and (table.is_dir() or not os.access(table.parent, os.W_OK)):
        raise BadData(f"{table}: cannot be written; name a file in a directory that exists and is yours")
    if table is not None and table.name.endswith((*SUFFIXES, ".onnx")):  # a slip here would cost a recording
        raise BadData(f"{table}: is called as a recording or a model is; name a file that ends in .json")
    from edge_ae_train.fleet.processes import Processes, capacity
    from edge_ae_train.fleet.ray_cluster import RayCluster

    if options.ray is not None:
        return RayCluster(options.ray, options.workers, options.memory)
    return Processes(capacity(options.workers, options.memory))


def _show(rows: Sequence["JobRow"], figures: Sequence[str]) -> None:
    """The table, plain: a row for each job, its figures and, where it failed, the reason. Of many rows those that failed."""
    shown = rows if len(rows) <= MOST_SHOWN else [row for row in rows if not row.is_done]
    width = max((len(row.key) for row in shown), default=0)
    for row in shown:
        there = [name for name in figures if row.facts.get(name) is not None]
        facts = "  ".join(f"{name} {_cell(row.facts[name])}" for name in there) if row.is_done else row.reason
        print(f"{row.key:<{width}}  {row.state:<6}  {facts}")


def _cell(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "-"
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
    "evaluate": _evaluate,
    "backtest": _backtest,
    "compare": _compare,
    "retrain": _retrain,
    "report": _report,
    "rollout": _rollout,
}

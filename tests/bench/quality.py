"""`make bench-quality`: our detector and the classics in one run, same rows, same protocol; tables, Markdown and JSON.

    python -m tests.bench.quality [--data DIR] [--seeds N] [--workers N] [--out FILE] [--only PART ...] [--afresh]

The parts: cost is the time of a score, sensors breaks sensors, share asks whether an alert names the channel that is off;
skab, smd, simulated and plants are leaderboards, budget holds alerts on normal rows against those asked for. A run that was cut
off goes on where it was: what the same code has made of the same rows is taken from beside the output.
"""

import argparse
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import numpy as np

from edge_ae.cli.progress import progress_line
from tests.bench import answers, cost, health, series, shares
from tests.bench.aims import AIMS, KEYS, OURS, Aim
from tests.bench.answers import BUDGETS
from tests.bench.baselines import BASELINES, SEEDED
from tests.bench.grid import Grid
from tests.bench.jobs import Job, Results, Runner, fingerprint, kept_results
from tests.bench.random_plants import quiet_plants, random_plants
from tests.bench.series import Case

DATA = Path("../shared/data")
PARTS = ("cost", "sensors", "share", "skab", "smd", "budget", "simulated", "plants")  # short ones first
Table = tuple[dict[str, Any], Grid]  # what goes into the JSON file, and what people read
PLANTS = 12  # most of whose channels are commands
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # a process a core
BUDGET_HOLDS = (0.5, 2.0)  # realised over asked
LEAST_HOLDING = 0.9  # of the recordings
QUIET_PLANTS, QUIET_TRAIN_DAYS, QUIET_DAYS = 8, 4, 35
WORK = {OURS: 12.0, "plain conv-AE": 2.5}  # seconds of a detector on a case, about; of any other, as good as none
INTERRUPTED = 130  # exit status, as a shell has it


@dataclass(frozen=True)
class Part:
    """`table`: what the results of its jobs come to."""

    title: str
    jobs: Sequence[Job]
    table: Callable[[Results], Table]


def leaderboard(title: str, cases: Iterable[Case], seeds: int, aims: Sequence[Aim] = ()) -> Part:
    """Every detector on every case, with each seed where it has one."""
    every = list(cases)
    jobs = {
        (name, seed, case.name): Job(
            f"{title}, {case.name}, {name}, seed {seed}, {case.digest}",
            answers.figures_of,
            (name, case, seed),
            WORK.get(name, 0.3),
        )
        for case in every
        for name in (OURS, *BASELINES)
        for seed in range(seeds if name == OURS or name in SEEDED else 1)
    }

    def table(results: Results) -> Table:
        done: dict[str, dict[int, list[dict[str, Any]]]] = {}
        for (name, seed, _), job in jobs.items():
            done.setdefault(name, {}).setdefault(seed, []).append(results[job.key])
        summary = {name: [pooled(found) for found in by_seed.values()] for name, by_seed in done.items()}
        grid = Grid(
            f"{title}: {len(every)} recordings, {seeds} seeds (mean, and +- half the range over seeds)",
            ("detector", *KEYS.values()),
            [(name, *(_spread([run[key] for run in runs]) for key in KEYS)) for name, runs in summary.items()],
            "; ".join(aim.kept(summary) for aim in aims),
        )
        return {"pooled": summary, "cases": done}, grid

    return Part(title, list(jobs.values()), table)


def pooled(found: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Counts pooled over the recordings; figures of a whole curve averaged."""
    tp, fp, fn, tn = (sum(entry[key] for entry in found) for key in ("tp", "fp", "fn", "tn"))
    means = {
        key: float(np.nanmean([e[key] for e in found])) for key in ("vus_pr", "auc_pr", "best_f1", "affiliation_f1")
    }
    return {
        "f1": 2 * tp / max(2 * tp + fp + fn, 1),
        "far": 100 * fp / max(fp + tn, 1),
        "mar": 100 * fn / max(fn + tp, 1),
        "event_recall": sum(e["found"] for e in found) / max(sum(e["events"] for e in found), 1),
        **means,
    }


def _spread(values: Sequence[float]) -> str:
    half = (max(values) - min(values)) / 2
    return f"{np.mean(values):.3f}" + (f" +-{half:.3f}" if len(values) > 1 else "")


def budget(cases: Iterable[Case]) -> Part:
    """Alerts raised on normal rows that nothing was learned from, against those asked for."""
    jobs = [Job(f"budget, {case.name}, {case.digest}", answers.budget_of, (case,), WORK[OURS]) for case in cases]
    return Part("budget", jobs, lambda results: budget_table([results[job.key] for job in jobs]))


def budget_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """A recording that is too short for one alert says nothing of that budget."""
    lines: list[tuple[str, ...]] = [(entry["case"], f"{entry['rows']:,}") for entry in found]
    last: tuple[str, ...] = ("within half to twice", "")
    holding = []
    for index, per in enumerate(BUDGETS):
        pairs = [(entry["raised"][index], entry["rows"] / per) for entry in found]
        lines = [(*line, f"{raised} / {asked:.1f}") for line, (raised, asked) in zip(lines, pairs, strict=True)]
        kept = [holds(raised, asked) for raised, asked in pairs if asked >= 1.0]
        holding.append({"rows_per_alert": per, "holding": sum(kept), "series": len(kept)})
        last = (*last, f"{sum(kept)} of {len(kept)}: {'yes' if sum(kept) >= LEAST_HOLDING * len(kept) else 'NO'}")
    header = ("recording, family", "normal rows", *(f"1 per {rows:,}" for rows in BUDGETS))
    note = (
        f"a recording in which less than one alert was asked for does not count; aim {LEAST_HOLDING:.0%} of the others"
    )
    grid = Grid("budget on normal rows: alerts raised / asked", header, [*lines, last], note)
    return {"series": list(found), "holding": holding}, grid


def holds(raised: int, asked: float) -> bool:
    """Whether a count keeps to half to twice of what was asked for; a count is whole, so the ends are rounded outwards."""
    return math.floor(BUDGET_HOLDS[0] * asked) <= raised <= math.ceil(BUDGET_HOLDS[1] * asked)


def sensors() -> Part:
    """Sensors broken in eight ways: called so, and no alert of the asset where data is merely missing."""
    job = Job("sensors", answers.broken_sensors, work=60.0)
    return Part("sensors", [job], lambda results: sensors_table(results[job.key]))


def sensors_table(found: Sequence[Mapping[str, Any]]) -> Table:
    called, of = sum(one["called"] for one in found), sum(one["series"] for one in found)
    missing = sum(one["alerts"] for one in found if one["fault"] in health.MISSING)
    rows = [
        (one["fault"], f"{one['called']} of {one['series']}", str(one["by_name"]), str(one["alerts"])) for one in found
    ]
    note = f"called a sensor's fault: {called / of:.1%} of {of} (aim 95 %); asset alerts from missing data: {missing} (aim 0)"
    grid = Grid("sensor faults", ("fault", "called", "by its name", "asset alerts"), rows, note)
    return {"faults": found, "called": called / of, "alerts_from_missing_data": missing}, grid


def share() -> Part:
    """One channel reads wrongly, the others are normal: it should be among the first that the alert names."""
    jobs = [Job(f"share, pump {number}", shares.outcomes, (number,), 30.0) for number in range(shares.PUMPS)]
    return Part("share", jobs, lambda results: share_table([one for job in jobs for one in results[job.key]]))


def share_table(outcomes: Sequence[Mapping[str, Any]]) -> Table:
    found = shares.counts([shares.Outcome(**one) for one in outcomes])
    alerts, named = (sum(one[key] for one in found) for key in ("alerts", "named"))
    rows = [
        (f"{one['shape']} of {one['size']:g} deviations", *(str(one[key]) for key in ("cases", "alerts", "named")))
        for one in found
    ]
    note = f"named in {named / max(alerts, 1):.1%} of {alerts} alerts (aim 80 %)"
    grid = Grid(
        f"the wrong channel in the alert's first {shares.TOP}", ("wrong by", "cases", "alerts", "named"), rows, note
    )
    return {"cases": found, "named": named / max(alerts, 1)}, grid


def scoring() -> Part:
    """Microseconds a window, beside a plain convolutional autoencoder in the same runtime."""
    job = Job("cost", cost.cost, work=60.0)
    return Part("cost", [job], lambda results: scoring_table(results[job.key]))


def scoring_table(found: Sequence[Mapping[str, Any]]) -> Table:
    by_detector = {one["detector"]: [e for e in found if e["detector"] == one["detector"]] for one in found}
    rows = [
        (name, *(f"{e['us']:.0f} us, {e['ratio']:.2f}" for e in entries), f"{entries[0]['bytes'] / 1000:.0f} kB")
        for name, entries in by_detector.items()
    ]
    header = ("detector", *(f"{batch} in a call" for batch in cost.CALLS), "file")
    note = f"time of a window, and over that of the {cost.PLAIN} (aim {cost.AT_MOST:g})"
    return {"cost": found}, Grid("what a score costs, one thread", header, rows, note)


def parts(data: Path | None, seeds: int, wanted: Sequence[str]) -> dict[str, Part]:
    """By name, in the order of PARTS. `data`: where skab and smd are; None: the parts that need them are left out."""
    makers: dict[str, Callable[[], Part]] = {
        "cost": scoring,
        "sensors": sensors,
        "share": share,
        "simulated": lambda: leaderboard("simulated pumps", series.simulated(), seeds),
        "plants": lambda: leaderboard("random plants", random_plants(range(PLANTS)), seeds, AIMS["plants"]),
        "budget": lambda: budget(chain(series.normal(data), _quiet())),
    }
    if data is not None:
        makers["skab"] = lambda: leaderboard("SKAB", series.skab(data), seeds, AIMS["skab"])
        makers["smd"] = lambda: leaderboard("SMD", series.smd(data), seeds, AIMS["smd"])
    return {name: makers[name]() for name in PARTS if name in makers and name in wanted}


def _quiet() -> Iterator[Case]:
    day = 24 * 60  # rows, of a minute each
    return quiet_plants(range(QUIET_PLANTS), QUIET_TRAIN_DAYS * day, QUIET_DAYS * day)


def run(every: Mapping[str, Part], runner: Runner, out: Path) -> None:
    """A part's table is shown and written as soon as its last job is done."""
    tables: dict[str, Table] = {}
    for name, part in every.items():
        tables[name] = part.table(runner.run(part.title, part.jobs))
        print(f"\n{tables[name][1].as_text()}", flush=True)
        write(tables, out)


def write(tables: Mapping[str, Table], out: Path) -> None:
    """The figures as JSON, and the tables as Markdown beside them."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({name: figures for name, (figures, _) in tables.items()}, indent=1, default=float))
    out.with_suffix(".md").write_text("\n".join(grid.as_markdown() for _, grid in tables.values()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        type=Path,
        help=f"folder with skab/ and smd/ (default: {DATA}; where there is none, the simulator alone)",
    )
    parser.add_argument("--seeds", type=int, default=3, help="of each fit (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes at work (default: one a core)")
    parser.add_argument("--out", type=Path, default=Path("out/quality.json"))
    parser.add_argument("--only", choices=PARTS, nargs="*", default=PARTS)
    parser.add_argument("--afresh", action="store_true", help="take nothing from an earlier run")
    options = parser.parse_args()
    data = options.data or (DATA if DATA.is_dir() else None)
    if data is not None and not (data / "skab").is_dir():
        parser.error(f"{data} has no folder skab")
    os.environ |= ONE_THREAD
    every = parts(data, options.seeds, options.only)
    ledger = options.out.with_suffix(".kept.jsonl")
    if options.afresh:
        ledger.unlink(missing_ok=True)
    pool = ProcessPoolExecutor(options.workers, get_context("spawn"), initializer=_leave_interrupts)
    try:
        with kept_results(ledger, fingerprint()) as kept, progress_line() as line:
            run(every, Runner(pool, kept, line, [job for part in every.values() for job in part.jobs]), options.out)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough
        for worker in active_children():
            worker.terminate()
        print(f"stopped; what is done is kept in {ledger}: the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    finally:
        pool.shutdown(cancel_futures=True)
    print(f"\n{options.workers} processes; everything in {options.out}, the tables in {options.out.with_suffix('.md')}")
    return 0


def _leave_interrupts() -> None:
    """A terminal interrupts all processes; the one that began them ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())

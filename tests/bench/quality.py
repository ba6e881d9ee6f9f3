"""`make bench-quality`: our detector and the classics in one run, same rows, same protocol; tables, Markdown and JSON.

    python -m tests.bench.quality [--data DIR] [--seeds N] [--workers N] [--out FILE] [--only PART ...]

The parts: cost is the time of a score, sensors breaks sensors, share asks whether an alert names the channel that is off;
skab, smd, simulated and plants are leaderboards, budget holds alerts on normal rows against those asked for. Ours goes the whole way:
fit with every default, export, and the daemon's own pipeline over the rows. Labels are looked at once, for the figures. What a
baseline needs to be chosen (its boundary) comes from the rows that it learned from.
"""

import argparse
import json
import math
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from edge_ae_train.evaluation.metrics import affiliation, average_precision, best_f1, match_events, vus_pr
from numpy.typing import NDArray

from edge_ae.core.alert_events import AlertEvent, EventType
from edge_ae.core.detector import Watch
from edge_ae.core.rules import AlertRules
from edge_ae.model.onnx_model import OnnxModel
from edge_ae.offline import score_table
from tests.bench import cost, health, series, shares
from tests.bench.aims import AIMS, KEYS, OURS, Aim
from tests.bench.baselines import BASELINES, QUANTILE
from tests.bench.grid import Grid
from tests.bench.random_plants import quiet_plants, random_plants
from tests.bench.series import Case

DATA = Path("../shared/data")
PARTS = ("cost", "sensors", "share", "skab", "smd", "budget", "simulated", "plants")  # short ones first
Part = tuple[dict[str, Any], Grid]  # what goes into the JSON file, and what people read
PLANTS = 12  # most of whose channels are commands
ROWS_PER_ALERT = 1000  # the budget of the leaderboards: one alert in as many rows
BUDGETS = (1000, 10_000)  # rows
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # a process a core
BUDGET_HOLDS = (0.5, 2.0)  # realised over asked
LEAST_HOLDING = 0.9  # of the recordings
QUIET_PLANTS, QUIET_TRAIN_DAYS, QUIET_DAYS = 8, 4, 35


@dataclass(frozen=True)
class Answer:
    """What a detector says of the judged rows: how unusual, and whether it alerts."""

    score: NDArray[np.float64]
    alert: NDArray[np.bool_]
    note: str = ""


def ours(case: Case, seed: int, rows_per_alert: int = ROWS_PER_ALERT) -> tuple[Answer, int]:
    """The answer, and the number of alerts raised in the judged rows that are normal."""
    model = trained(case, seed)
    return judged(case, model, rows_per_alert)


def trained(case: Case, seed: int) -> OnnxModel:
    """Fit with every default, and export."""
    from edge_ae_train import fit
    from edge_ae_train.data.prepare import recording_of
    from edge_ae_train.export import Origin, save

    with tempfile.TemporaryDirectory() as folder:
        table = series.part(case.table, 0, case.start)
        recording = recording_of([table])
        fitted = fit.fit(recording.segments, fit.Options(seed=seed, channels=recording.channels))
        return save(fitted, recording, Origin(case.name), Path(folder) / "model.onnx")


def judged(case: Case, model: OnnxModel, rows_per_alert: int) -> tuple[Answer, int]:
    rules = AlertRules(interval_ns=rows_per_alert * model.spec.period_ns)
    result = score_table(case.table, model, Watch(model, rules), asset=case.name)
    score, threshold = (np.nan_to_num(rows)[case.start :] for rows in (result.score, result.threshold))
    raised = sum(_raised_on_normal(event, case) for event in result.events)
    return Answer(score, (score >= threshold) & (threshold > 0), model.spec.family), raised


def _raised_on_normal(event: AlertEvent, case: Case) -> bool:
    if event.type is not EventType.NEW or event.alert.raised_ns is None:
        return False
    row = int(np.searchsorted(case.table.t_ns, event.alert.raised_ns))
    return row >= case.start and not case.label[min(row, len(case.label) - 1)]


def baseline(name: str, case: Case, seed: int) -> Answer:
    scores = BASELINES[name](case.train, np.nan_to_num(case.table.values), seed)
    boundary = float(np.quantile(scores[: case.start], QUANTILE))
    judged_scores = scores[case.start :]
    return Answer(judged_scores, judged_scores > boundary)


def figures(case: Case, answer: Answer) -> dict[str, Any]:
    label = case.label[case.start :]
    events = match_events(answer.alert, label)
    return {
        "case": case.name,
        "tp": int((answer.alert & label).sum()),
        "fp": int((answer.alert & ~label).sum()),
        "fn": int((~answer.alert & label).sum()),
        "tn": int((~answer.alert & ~label).sum()),
        "vus_pr": vus_pr(answer.score, label),
        "auc_pr": average_precision(answer.score, label),
        "best_f1": best_f1(answer.score, label),
        "affiliation_f1": affiliation(answer.alert, label).f1,
        "events": events.events,
        "found": events.found,
        "note": answer.note,
    }


def one(job: tuple[str, Case, int]) -> tuple[str, int, dict[str, Any]]:
    """A job of the pool: a detector on a case with a seed."""
    detector, case, seed = job
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = ours(case, seed)[0] if detector == OURS else baseline(detector, case, seed)
        return detector, seed, figures(case, answer)


def leaderboard(
    title: str, cases: Iterable[Case], seeds: int, pool: ProcessPoolExecutor, aims: Sequence[Aim] = ()
) -> Part:
    jobs = [(name, case, seed) for case in cases for seed in range(seeds) for name in (OURS, *BASELINES)]
    done: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for number, (name, seed, found) in enumerate(pool.map(one, jobs)):
        done.setdefault(name, {}).setdefault(seed, []).append(found)
        _progress(f"{title}: {number + 1} of {len(jobs)}")
    summary = {name: [pooled(found) for found in by_seed.values()] for name, by_seed in done.items()}
    recordings = len(jobs) // seeds // (1 + len(BASELINES))
    grid = Grid(
        f"{title}: {recordings} recordings, {seeds} seeds (mean, and +- half the range over seeds)",
        ("detector", *KEYS.values()),
        [(name, *(_spread([run[key] for run in runs]) for key in KEYS)) for name, runs in summary.items()],
        "; ".join(aim.kept(summary) for aim in aims),
    )
    return {"pooled": summary, "cases": done}, grid


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


def one_budget(case: Case) -> tuple[str, int, list[int]]:
    """The normal rows judged, and the alerts raised in them at each budget."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = trained(case, 0)
        rows = int((~case.label[case.start :]).sum())
        return f"{case.name}, {model.spec.family}", rows, [judged(case, model, per)[1] for per in BUDGETS]


def budget(cases: Iterable[Case], pool: Executor) -> Part:
    """Alerts raised on normal rows that nothing was learned from, against those asked for.

    A recording that is too short for one alert says nothing of that budget.
    """
    found: list[dict[str, Any]] = []
    for name, rows, raised in pool.map(one_budget, list(cases)):
        found.append({"case": name, "rows": rows, "raised": raised})
        _progress(f"budget: {name}")
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
    return {"series": found, "holding": holding}, grid


def holds(raised: int, asked: float) -> bool:
    """Whether a count keeps to half to twice of what was asked for; a count is whole, so the ends are rounded outwards."""
    return math.floor(BUDGET_HOLDS[0] * asked) <= raised <= math.ceil(BUDGET_HOLDS[1] * asked)


def broken_sensors() -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(health.sensor_faults())


def sensors(pool: ProcessPoolExecutor) -> Part:
    """Sensors broken in eight ways: called so, and no alert of the asset where data is merely missing."""
    found = pool.submit(broken_sensors).result()
    called, of = sum(one["called"] for one in found), sum(one["series"] for one in found)
    missing = sum(one["alerts"] for one in found if one["fault"] in health.MISSING)
    rows = [
        (one["fault"], f"{one['called']} of {one['series']}", str(one["by_name"]), str(one["alerts"])) for one in found
    ]
    note = f"called a sensor's fault: {called / of:.1%} of {of} (aim 95 %); asset alerts from missing data: {missing} (aim 0)"
    grid = Grid("sensor faults", ("fault", "called", "by its name", "asset alerts"), rows, note)
    return {"faults": found, "called": called / of, "alerts_from_missing_data": missing}, grid


def share(pool: ProcessPoolExecutor) -> Part:
    """One channel reads wrongly, the others are normal: it should be among the first that the alert names."""
    found = shares.share(pool)
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


def scoring(pool: ProcessPoolExecutor) -> Part:
    """Microseconds a window, beside a plain convolutional autoencoder in the same runtime."""
    found = pool.submit(cost.cost).result()
    by_detector = {one["detector"]: [e for e in found if e["detector"] == one["detector"]] for one in found}
    rows = [
        (name, *(f"{e['us']:.0f} us, {e['ratio']:.2f}" for e in entries), f"{entries[0]['bytes'] / 1000:.0f} kB")
        for name, entries in by_detector.items()
    ]
    header = ("detector", *(f"{batch} in a call" for batch in cost.CALLS), "file")
    note = f"time of a window, and over that of the {cost.PLAIN} (aim {cost.AT_MOST:g})"
    return {"cost": found}, Grid("what a score costs, one thread", header, rows, note)


class Progress:
    """A line that is rewritten on a terminal; elsewhere, such as a job's log, a line each minute."""

    EVERY_S = 60.0

    def __init__(self) -> None:
        self._start = self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif text and now - self._last >= self.EVERY_S:
            print(f"{(now - self._start) / 60:.0f} min: {text}", file=sys.stderr, flush=True)
            self._last = now


_progress = Progress()


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
    parser.add_argument("--only", choices=PARTS, nargs="*")
    options = parser.parse_args()
    data = options.data or (DATA if DATA.is_dir() else None)
    if data is not None and not (data / "skab").is_dir():
        parser.error(f"{data} has no folder skab")
    os.environ |= ONE_THREAD
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        parts: dict[str, Callable[[], Part]] = {
            "cost": lambda: scoring(pool),
            "simulated": lambda: leaderboard("simulated pumps", series.simulated(), options.seeds, pool),
            "plants": lambda: leaderboard(
                "random plants", random_plants(range(PLANTS)), options.seeds, pool, AIMS["plants"]
            ),
            "budget": lambda: budget(chain(series.normal(data), _quiet()), pool),
            "sensors": lambda: sensors(pool),
            "share": lambda: share(pool),
        }
        if data is not None:
            parts["skab"] = lambda: leaderboard("SKAB", series.skab(data), options.seeds, pool, AIMS["skab"])
            parts["smd"] = lambda: leaderboard("SMD", series.smd(data), options.seeds, pool, AIMS["smd"])
        wanted = [name for name in PARTS if name in parts and (options.only is None or name in options.only)]
        _run({name: parts[name] for name in wanted}, options.out)
    print(f"\n{options.workers} processes; everything in {options.out}, the tables in {options.out.with_suffix('.md')}")
    return 0


def _quiet() -> Iterator[Case]:
    day = 24 * 60  # rows, of a minute each
    return quiet_plants(range(QUIET_PLANTS), QUIET_TRAIN_DAYS * day, QUIET_DAYS * day)


def _run(parts: Mapping[str, Callable[[], Part]], out: Path) -> None:
    """What is done is written after each part: who stops a long run keeps it."""
    results: dict[str, Part] = {}
    for name, run in parts.items():
        start = time.monotonic()
        results[name] = run()
        _progress("")
        print(f"\n{results[name][1].as_text()}\n  ({(time.monotonic() - start) / 60:.1f} min)", flush=True)
        write(results, out)


def write(results: Mapping[str, Part], out: Path) -> None:
    """The figures as JSON, and the tables as Markdown beside them."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({name: figures for name, (figures, _) in results.items()}, indent=1, default=float))
    out.with_suffix(".md").write_text("\n".join(grid.as_markdown() for _, grid in results.values()))


if __name__ == "__main__":
    sys.exit(main())

"""What a fleet of ten thousand costs beside its jobs: the table, the report, what is done already, the folders of a roll-out.

python -m tests.bench.fleet_many [--assets 10000]

Rows and recordings are made up; no model is trained. CPU seconds, and the most memory of the process so far.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from edge_ae_train.fleet.classes import by_asset
from edge_ae_train.fleet.jobs import DONE, FleetJob, JobRow, Product
from edge_ae_train.fleet.ledger import ledger, rows_of
from edge_ae_train.fleet.like import proposed
from edge_ae_train.fleet.models import ModelFile
from edge_ae_train.fleet.overview import overview
from edge_ae_train.fleet.rollout import plan
from edge_ae_train.fleet.run import run
from edge_ae_train.fleet.sources import find
from edge_ae_train.fleet.work import JUDGE, FitOptions

from edge_ae.store.recording.options import AS_IT_IS

CHANNELS = 8
MODEL_BYTES = 50_000

Made = TypeVar("Made")


class AtOnce:
    """An engine whose jobs are done at once."""

    workers = 2

    def run(self, jobs: Sequence[FleetJob]) -> Iterator[tuple[FleetJob, Product, int]]:
        for number, job in enumerate(jobs):
            yield job, Product(judged(number), {f"{job.key}.onnx": b"x" * MODEL_BYTES}), 1


def judged(number: int) -> dict[str, Any]:
    """What fleet backtest says of an asset, in its usual size."""
    rng = np.random.default_rng(number)
    alert = {"raised": "2026-03-01T04:00:00.000Z", "cleared": None, "ratio": 3.0, "top_channel": "c1"}
    what_if = [{"rule": f"rule {n}", "alerts": 3, "events_found": 0, "false_alerts": 3} for n in range(7)]
    return {
        "model": f"class-{number % 50}",
        "model_sha256": "a" * 64,
        "budget_per_week": 1.0,
        "weeks": 12.0,
        "allowed": 12.0,
        "alerts": 12,
        "alert_share": 0.01,
        "active": number % 20 == 0,
        "newest": "2026-03-01T00:00:00.000Z",
        "newest_alerts": [alert | {"reason": "c1 is 3.2 bar, expected 2.1 bar"}] * 12,
        "channels": [f"c{n}" for n in range(CHANNELS)],
        "period_ns": 10**9,
        "middle": rng.normal(size=CHANNELS).tolist(),
        "spread": [1.0] * CHANNELS,
        "what_if": what_if,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What a fleet of ten thousand costs beside its jobs.")
    parser.add_argument("--assets", type=int, default=10_000)
    assets = parser.parse_args().assets
    with tempfile.TemporaryDirectory() as scratch:
        measure(Path(scratch), assets)


def measure(base: Path, assets: int) -> None:
    (base / "data").mkdir()
    for number in range(assets):
        (base / "data" / f"pump-{number:05d}.csv").touch()
    print(f"{assets:,} assets")
    found = costs("find them", lambda: find([str(base / "data")], None, AS_IT_IS, base))
    jobs = by_asset(found).jobs(JUDGE, FitOptions())
    with ledger(base / "out") as book:
        costs("write models and rows", lambda: run(jobs, book, AtOnce()))
        costs("see that all is done already", lambda: run(jobs, book, AtOnce()))
    rows = costs("read the table", lambda: rows_of(base / "out"))
    costs("report", lambda: overview(rows, base / "report", {}))
    costs("propose classes", lambda: proposed([JobRow(row.key, DONE, facts=row.facts) for row in rows]))
    models = {row.key: ModelFile(row.key, str(base / "out" / f"{row.key}.onnx"), "a" * 64) for row in rows}
    costs("folders of a roll-out", lambda: plan(models, base / "rollout", None))
    for path in (base / "out" / "fleet.json", *sorted((base / "report").glob("report.*"))):
        print(f"  {path.name:<28}{path.stat().st_size / 1e6:8.1f} MB")


def costs(what: str, work: Callable[[], Made]) -> Made:
    cpu_s, wall_s = time.process_time(), time.monotonic()
    made = work()
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"  {what:<28}{cpu_s:8.1f} s of CPU {wall_s:8.1f} s  peak {peak_mb:6.0f} MB", flush=True)
    return made


if __name__ == "__main__":
    main()

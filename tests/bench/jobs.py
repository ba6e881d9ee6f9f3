"""Jobs of a long bench: some side by side, each kept as it ends, so that a run that was cut off goes on where it was.

    jobs ─┬─ made before, by the same code of the same rows ───────────────────────► results, by the jobs' keys
          └─ the others ─► processes, the longest first ─► a line each in a file ─►

What makes a result is in its line's fingerprint: nothing is shown that other sources, libraries or rows have made.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from edge_ae.cli.progress import ProgressLine
from edge_ae.store.atomic import write_whole

ROOT = Path(__file__).parents[2]
SOURCES = (
    "edge_ae/core",
    "edge_ae/model",
    "edge_ae/store/recording",
    "edge_ae/offline.py",
    "train/edge_ae_train",
    *(
        f"tests/bench/{name}.py"
        for name in ("answers", "baselines", "cost", "health", "random_plants", "series", "shares")
    ),
)
LIBRARIES = ("numpy", "onnxruntime", "torch", "scikit-learn", "river")

Results = Mapping[str, Any]
"""What each job made, by its key, as JSON reads it."""


@dataclass(frozen=True)
class Job:
    """`function` of `arguments`, which another process can be given; what it returns, JSON can hold. `key`: no other job has it.
    `work`: seconds, about, by which the longest begin first and the time left is told."""

    key: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    work: float = 1.0


class KeptResults:
    """Of the jobs that are done, in a file that is open."""

    def __init__(self, lines: IO[str], known: dict[str, Any], made_by: str) -> None:
        self._lines, self._known, self._made_by = lines, known, made_by

    def has(self, job: Job) -> bool:
        return job.key in self._known

    def keep(self, job: Job, result: Any) -> None:
        """On the disk before the next job ends."""
        text = json.dumps({"made_by": self._made_by, "key": job.key, "result": result}, default=float)
        print(text, file=self._lines, flush=True)
        self._known[job.key] = json.loads(text)["result"]

    def of(self, jobs: Iterable[Job]) -> Results:
        return {job.key: self._known[job.key] for job in jobs}


@contextmanager
def kept_results(path: Path, made_by: str) -> Iterator[KeptResults]:
    """Those of a file that `made_by` has made; the others go, so that the file holds one run's at most."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {one["key"]: one["result"] for one in _lines_of(path) if one["made_by"] == made_by}
    kept = "".join(
        json.dumps({"made_by": made_by, "key": key, "result": result}) + "\n" for key, result in known.items()
    )
    write_whole(path, kept.encode())
    with path.open("a", encoding="utf-8") as lines:
        yield KeptResults(lines, known, made_by)


def _lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """But for the last of a run that was killed while it wrote it."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def fingerprint(root: Path = ROOT, sources: Sequence[str] = SOURCES) -> str:
    """Of the sources that make results, and of the libraries below them."""
    digest = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in LIBRARIES).encode())
    for path in sorted(path for source in sources for path in _modules(root / source)):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _modules(source: Path) -> Iterable[Path]:
    return source.rglob("*.py") if source.is_dir() else [source]


class Runner:
    """All jobs of a bench, part by part."""

    def __init__(self, pool: Executor, kept: KeptResults, line: ProgressLine, jobs: Iterable[Job]) -> None:
        """`jobs`: of all parts, for the time that is left."""
        self._pool, self._kept, self._line = pool, kept, line
        self._left = self._all = sum(job.work for job in jobs if not kept.has(job))

    def run(self, title: str, jobs: Sequence[Job]) -> Results:
        """What the jobs of a part make; of those that are done already, what they made. Raises what a job raises, once those
        that are running have ended and are kept; no other begins then."""
        ahead = sorted((job for job in jobs if not self._kept.has(job)), key=lambda job: -job.work)
        running = {self._pool.submit(job.function, *job.arguments): job for job in ahead}
        self._tell(title, jobs, len(running))
        for number, future in enumerate(as_completed(running), start=1):
            if future.cancelled() or future.exception() is not None:
                for other in running:
                    other.cancel()
                continue
            self._kept.keep(running[future], future.result())
            self._left -= running[future].work
            self._tell(title, jobs, len(running) - number)
        for fault in (future.exception() for future in running if not future.cancelled()):
            if fault is not None:
                raise fault
        return self._kept.of(jobs)

    def _tell(self, title: str, jobs: Sequence[Job], left: int) -> None:
        share = 1.0 - self._left / self._all if self._all > 0 else 1.0
        self._line.at(f"{title}: {len(jobs) - left} of {len(jobs)}", share)

"""Jobs on the cores of this machine: each in a process of its own making, one thread each, with a bound on its memory.

A process that dies (killed, out of memory) takes one job with it and no other: each has its own executor, so that it is
known whose job it was. That job is tried once more.
"""

import os
import resource
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from edge_ae.cli.workers import cores, end_with_parent
from edge_ae_train.fleet.jobs import FleetJob, Product, performed
from edge_ae_train.threads import THREAD_SETTINGS

ATTEMPTS = 2
LEAST_BYTES = 1_000_000_000  # of a process: the libraries take 0.4 GB, training on 50,000 rows of 8 channels twice that
SPARE = 0.9  # of the memory that is free, for all processes together
DIED = f"its process died {ATTEMPTS} times, killed or out of memory; give it more with --memory, or fewer --workers"


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many processes at a time, and the memory of each in bytes."""

    workers: int
    memory_bytes: int


def capacity(workers: int | None, memory_bytes: int | None) -> Capacity:
    """What is asked for, and for the rest as many processes as there are cores that memory is free for."""
    free = SPARE * free_bytes()
    count = workers or max(1, min(cores(), int(free // (memory_bytes or LEAST_BYTES))))
    return Capacity(count, memory_bytes or max(int(free / count), LEAST_BYTES))


def free_bytes() -> int:
    """Of this machine, or of the control group that holds us to less."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    limit, used = (Path("/sys/fs/cgroup", name) for name in ("memory.max", "memory.current"))
    if limit.exists() and (text := limit.read_text().strip()) != "max":
        free = min(free, int(text) - int(used.read_text()))
    return free


@dataclass(slots=True)
class _Worker:
    """One process. It is made with its first job, and again where it has died."""

    memory_bytes: int
    executor: ProcessPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self.executor = ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=_begin, initargs=(self.memory_bytes,)
        )


@dataclass(frozen=True, slots=True)
class Processes:
    """An engine for the jobs of a fleet."""

    capacity: Capacity

    @property
    def workers(self) -> int:
        return self.capacity.workers

    def run(self, jobs: Sequence[FleetJob]) -> Iterator[tuple[FleetJob, Product, int]]:
        """Each job, its product, and the attempts that it took."""
        waiting = deque((job, 1) for job in jobs)
        idle = [_Worker(self.capacity.memory_bytes) for _ in range(min(self.workers, len(jobs)))]
        workers, running = list(idle), dict[Future[Product], tuple[_Worker, FleetJob, int]]()
        try:
            while waiting or running:
                while idle and waiting:
                    worker, (job, attempt) = idle.pop(), waiting.popleft()
                    running[worker.executor.submit(performed, job)] = (worker, job, attempt)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    worker, job, attempt = running.pop(future)
                    idle.append(worker)
                    try:
                        yield job, future.result(), attempt
                    except BrokenProcessPool:
                        worker.renew()
                        if attempt < ATTEMPTS:
                            waiting.append((job, attempt + 1))
                        else:
                            yield job, Product(reason=DIED), attempt
        finally:
            for worker in workers:
                worker.executor.shutdown(wait=False, cancel_futures=True)


def _begin(memory_bytes: int) -> None:
    """In a new process, before it loads what reads these settings."""
    end_with_parent()
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, "1"))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, hard))

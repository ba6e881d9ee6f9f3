"""The same work on several things, on the cores of this machine: a process each, results in the order of the things."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import TypeVar

from edge_ae.errors import BadData

Thing = TypeVar("Thing")
Done = TypeVar("Done")


def cores() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0))


def each(work: Callable[[Thing], Done], things: Sequence[Thing], workers: int | None = None) -> Iterator[Done]:
    """What `work` makes of each, `workers` at a time, or as many as there are cores. Raises what it raises, and BadData where a process dies."""
    pool = ProcessPoolExecutor(
        min(workers or cores(), len(things)), mp_context=get_context("spawn"), initializer=end_with_parent
    )
    try:
        yield from pool.map(work, things)
    except BrokenProcessPool:
        raise BadData(
            "a process that was at work on a file was killed, maybe for want of memory; fewer --workers take less"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def end_with_parent() -> None:
    """In a new process: it ends at once with Ctrl-C, and with its parent, where otherwise it would wait for its next work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)

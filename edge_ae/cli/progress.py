"""What commands have in common on a terminal: progress while there is someone to see it, and a way to be stopped."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

EVERY_S = 0.1


@contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """Gives `draw(done, all)`, which draws one line on stderr; in a pipe it draws nothing. `all` 0: not known."""
    if not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    drawn_s = 0.0

    def draw(done: int, total: int) -> None:
        nonlocal drawn_s
        if time.monotonic() - drawn_s < EVERY_S:
            return
        drawn_s = time.monotonic()
        part = f"{100 * done // total:3d} %  " if total > 0 else ""
        print(f"\r{part}{done:,} {unit}\x1b[K", end="", file=sys.stderr, flush=True)

    try:
        yield draw
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextmanager
def stopping(wake: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Gives `stop()`, true once SIGTERM or SIGINT has come; `wake` is called then."""
    stopped = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        wake()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

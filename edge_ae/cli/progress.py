"""What long commands have in common: progress on stderr, and a way to be stopped."""

import math
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

TERMINAL_S, PIPE_S = 0.2, 30.0  # between two drawings
SHARE_THAT_TELLS, SECONDS_THAT_TELL = 0.03, 3.0  # less of the work says nothing of how long the rest takes


class ProgressLine:
    """Where long work is, in one line on stderr: on a terminal redrawn in its place, elsewhere a line each PIPE_S.

    It is drawn by a thread of its own, so that work that gives no sign for minutes is seen as well.
    """

    def __init__(self, *, terminal: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.terminal = terminal
        self._clock, self._began_s = clock, clock()
        self._stage, self._share = "", 0.0
        self._endless = False
        self._lock = threading.Lock()

    def at(self, stage: str, share: float = 0.0, *, endless: bool = False) -> None:
        """The work is at `stage`, and `share` of all of it is done. `endless`: it ends when it is stopped."""
        self._stage, self._share, self._endless = stage, share, endless

    def text(self) -> str:
        """Such as "42 %, about 3 min left: scoring pump-1"; without figures while nothing can be foretold."""
        stage, share = self._stage, self._share
        if share <= 0.0:
            return stage
        passed_s = self._clock() - self._began_s
        left_s = passed_s * (1.0 - share) / share
        known = share >= SHARE_THAT_TELLS and passed_s >= SECONDS_THAT_TELL
        return f"{math.floor(100 * share)} %{f', about {_rounded(left_s)} left' if known else ''}: {stage}"

    def note(self, text: str) -> None:
        """A line that stays."""
        with self._lock:
            self._clear()
            print(text, file=sys.stderr, flush=True)

    def draw(self) -> None:
        """Say it now."""
        with self._lock:
            if self.terminal:
                width = shutil.get_terminal_size().columns - 1
                print(f"\r{self.text()[:width]}\x1b[K", end="", file=sys.stderr, flush=True)
            elif self._stage and not self._endless:
                print(self.text(), file=sys.stderr, flush=True)

    def end(self) -> None:
        """Nothing is left of it on a terminal."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        if self.terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _rounded(seconds: float) -> str:
    """No more exact than it can be known."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def progress_line() -> Iterator[ProgressLine]:
    """One for the time of the work."""
    line = ProgressLine(terminal=sys.stderr.isatty())
    every_s = TERMINAL_S if line.terminal else PIPE_S
    over = threading.Event()

    def draw() -> None:
        while not over.wait(every_s):
            line.draw()

    thread = threading.Thread(target=draw, name="progress", daemon=True)
    thread.start()
    try:
        yield line
    finally:
        over.set()
        thread.join()
        line.end()


@contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """Gives `count(done, all)`, which a progress line shows; `all` 0: not known, and without a terminal nothing is said."""
    with progress_line() as line:

        def count(done: int, total: int) -> None:
            line.at(f"{done:,} {unit}", done / total if total > 0 else 0.0, endless=total == 0)

        yield count


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

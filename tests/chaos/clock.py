"""`edge-ae` under a clock that may jump: what it reads of the wall clock is off by what a file says.

    python -m tests.chaos.clock FILE run --config edge-ae.toml

FILE holds the error in nanoseconds, 8 bytes; `set_clock` changes it under the running program. The monotonic clock goes
on as ever, which is what a machine's does when its wall clock is set.
"""

import mmap
import sys
import time
from pathlib import Path

from edge_ae.cli.main import main

BYTES = 8


def set_clock(path: Path, error_ns: int) -> None:
    with path.open("r+b" if path.exists() else "wb") as file:  # in place: the file is mapped
        file.write(error_ns.to_bytes(BYTES, "little", signed=True))


def live_by(path: Path) -> None:
    with path.open("rb") as file:
        error = mmap.mmap(file.fileno(), BYTES, access=mmap.ACCESS_READ)
    true_ns = time.time_ns

    def wrong_ns() -> int:
        return true_ns() + int.from_bytes(error[:BYTES], "little", signed=True)

    time.time_ns, time.time = wrong_ns, lambda: wrong_ns() / 1e9


if __name__ == "__main__":
    live_by(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))

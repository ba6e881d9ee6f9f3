"""Commands as processes of their own."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_ae.store.columnar.block import ROWS
from edge_ae.store.columnar.rows_file import RowsFile

RUNNING: list[subprocess.Popen[bytes]] = []


def started(log: Path, *arguments: Any, **env: str) -> subprocess.Popen[bytes]:
    """A command that goes on until somebody ends it; at the latest, the end of the test does."""
    command = [sys.executable, "-m", "edge_ae", *map(str, arguments)]
    with log.open("wb") as file:
        RUNNING.append(subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | env))
    return RUNNING[-1]


def listened(config: Path, seconds: int, send: Callable[[], object]) -> subprocess.CompletedProcess[str]:
    """`check --listen` while messages are sent again and again."""
    over = threading.Event()

    def publish() -> None:
        while not over.wait(0.2):
            send()

    thread = threading.Thread(target=publish)
    thread.start()
    command = [sys.executable, "-m", "edge_ae", "check", "--listen", str(seconds), "--config", str(config)]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60)
    finally:
        over.set()
        thread.join()


def recorded_rows(folder: Path) -> int:
    """How many rows of a daemon are on the disk."""
    blocks = (head for path in folder.rglob("*.rows") for head, _ in RowsFile(path).blocks())
    return sum(head.lines for head in blocks if head.kind == ROWS)

"""Disks that are full, read-only, slow, or give a file back only later. Each is whole again when its block is left.

Mounting needs root, which ignores modes of files; where it cannot be had, or strace is missing, the test is skipped.
"""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import wait_for

PAGE = 4096


def _mount(*words: str | Path) -> None:
    """Skips the test where it is not allowed."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting needs root")
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", folder], check=True)  # lazy: a file of it may be open still


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """`folder` is a disk of `size` bytes."""
    folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    try:
        yield folder
    finally:
        _unmount(folder)


def fill(folder: Path) -> Path:
    """Take up all room that is left on the disk of `folder`. Gives the file that does; without it there is room again."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for piece in (256 * PAGE, PAGE):
            _write_while_there_is_room(file.fileno(), bytes(piece))
    return filler


def _write_while_there_is_room(descriptor: int, piece: bytes) -> None:
    try:
        while os.write(descriptor, piece) > 0:
            pass
    except OSError:
        return


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing below `folder` can be written, not even by root; files that are open for writing already can."""
    _mount("--bind", folder, folder)
    try:
        _mount("-o", "remount,ro,bind", folder)
        yield
    finally:
        _unmount(folder)


@contextmanager
def files_no_longer_than(size: int, pid: int = 0) -> Iterator[None]:
    """No file of a process (0: this one) may grow beyond `size`: what is written is cut off there, without root."""
    before, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (before, hard))


@contextmanager
def slow_syncs(pid: int, seconds: float, scratch: Path) -> Iterator[None]:
    """Every sync of a process takes so much longer, as on a worn SD card."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    trace = scratch / "strace.log"
    what = f"inject=fsync,fdatasync:delay_enter={round(seconds * 1e6)}"
    command = [strace, "-f", "-e", "trace=fsync,fdatasync", "-e", what, "-o", "/dev/null", "-p", str(pid)]
    with trace.open("wb") as log:
        tracer = subprocess.Popen(command, stderr=log)
    try:
        wait_for(lambda: b"attached" in trace.read_bytes(), "strace")
        yield
    finally:
        tracer.terminate()
        tracer.wait(10)


@contextmanager
def cannot_be_opened(path: Path) -> Iterator[None]:
    """A file that is there and gives an error when it is opened, as with a bad sector or a wrong owner."""
    aside = path.with_name(path.name + ".aside")
    path.rename(aside)
    path.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(path)
        aside.rename(path)

"""Files that are there whole or not at all, and readable by their owner alone where nobody else is to read them."""

import contextlib
import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from edge_ae.errors import BadData

PRIVATE = 0o600  # for its owner alone


def write_whole(
    path: Path, data: bytes, *, mode: int = PRIVATE, check: Callable[[Path], object] = lambda _written: None
) -> None:
    """Replace a file so that it is the old one or the new one after any power cut. Raises OSError, and what `check` raises.

    `check` is given the new file before it takes the old one's place. `mode`: of the new file, less the umask.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        check(temporary)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    settle(path.parent)


def settle(directory: Path) -> None:
    """What was put into a directory, or renamed in it, is so after a power cut. Raises OSError."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextlib.contextmanager
def whole_text(path: Path) -> Iterator[IO[str]]:
    """A text file, gzipped where its name says so, that is there once it is complete; BadData where it cannot be written.

    A pipe or a device, such as /dev/stdout, is written to and not replaced.
    """
    try:
        if is_special(path):
            with path.open("w", encoding="utf-8", newline="") as text:
                yield text
            return
        target = path.resolve()  # behind a link
        scratch = target.with_name(f".{target.name}.tmp{os.getpid()}{''.join(target.suffixes)}")
        try:
            with _create_text(scratch) as text:
                yield text
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise BadData(f"{path}: cannot be written ({error.strerror or error})") from None


def reason_of(error: OSError) -> str:
    """Why, in the system's words, without the path."""
    return error.strerror or type(error).__name__


def is_special(path: Path) -> bool:
    """Whether a path is a pipe, a device or a folder: what can be written to, but must not be replaced by a file."""
    return path.exists() and not path.is_file()


def _create_text(path: Path) -> IO[str]:
    if path.name.endswith(".gz"):
        return gzip.open(path, "wt", encoding="utf-8", newline="")
    return path.open("w", encoding="utf-8", newline="")

"""Files that are there whole or not at all, and readable by their owner alone where nobody else is to read them."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

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
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def reason_of(error: OSError) -> str:
    """Why, in the system's words, without the path."""
    return error.strerror or type(error).__name__


def is_special(path: Path) -> bool:
    """Whether a path is a pipe, a device or a folder: what can be written to, but must not be replaced by a file."""
    return path.exists() and not path.is_file()

"""Files that are there whole or not at all, and readable by their owner alone."""

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file so that it is the old one or the new one after any power cut. Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with os.fdopen(open_private(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def open_private(path: Path, flags: int) -> int:
    """A descriptor; a file that this makes is its owner's alone. Raises OSError."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def reason_of(error: OSError) -> str:
    """Why, in the system's words, without the path."""
    return error.strerror or type(error).__name__

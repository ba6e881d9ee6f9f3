"""What long work says of itself: the step it is at, on one line that is rewritten, and notes, which stay."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


def _unsaid(_text: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Reporter:
    """`step`: what is being done, shown until the next step. `note`: a sentence on what is odd about the input."""

    step: Callable[[str], None] = _unsaid
    note: Callable[[str], None] = _unsaid


SILENT = Reporter()


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Notes go to stderr; steps go to a terminal alone."""
    if not sys.stderr.isatty():
        yield Reporter(note=_note)
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status("starting") as status:
        yield Reporter(lambda text: status.update(Text(text)), _note)  # brackets in a name are no markup


def _note(text: str) -> None:
    print(text, file=sys.stderr)

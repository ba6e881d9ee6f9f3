"""What long work says of itself: the step it is at and how far it is, on the progress line, and notes, which stay."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from edge_ae.cli.progress import progress_line


def _unshown(_text: str, _share: float) -> None:
    pass


def _unsaid(_text: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Reporter:
    """`show`: what is being done, and the share of all work that is done. `note`: a sentence on what is odd about the input.

    `first`, `last`: the shares at which the work that this reporter is for begins and ends.
    """

    show: Callable[[str, float], None] = _unshown
    note: Callable[[str], None] = _unsaid
    first: float = 0.0
    last: float = 1.0

    def step(self, text: str, share: float = 0.0) -> None:
        """`share`: of the work of this reporter, that is done."""
        self.show(text, self.first + share * (self.last - self.first))

    def part(self, first: float, last: float) -> "Reporter":
        """For a part of this reporter's work, by shares of it."""
        width = self.last - self.first
        return replace(self, first=self.first + first * width, last=self.first + last * width)

    def counting(self, text: str) -> Callable[[int, int], None]:
        """Takes how many of how many things are done."""
        return lambda done, total: self.step(text, done / max(total, 1))


SILENT = Reporter()


def in_parts(reporter: Reporter, weights: Sequence[float]) -> Iterator[Reporter]:
    """A reporter for each piece of work, by how much work each is."""
    total, done = sum(weights), 0.0
    for weight in weights:
        yield reporter.part(done / total, (done + weight) / total)
        done += weight


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Notes and progress go to stderr."""
    with progress_line() as line:
        line.at("reading")
        yield Reporter(line.at, line.note)

"""A table of figures, for the terminal and as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

FIRST, OTHERS = 28, 16  # characters of the columns in a terminal


@dataclass(frozen=True)
class Grid:
    """`note`: what the figures come to, in a sentence."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def as_text(self) -> str:
        lines = [_line(cells) for cells in (self.header, *self.rows)]
        return "\n".join([self.title, *lines, *([f"  {self.note}"] if self.note else [])])

    def as_markdown(self) -> str:
        rule = ["---", *["---:"] * (len(self.header) - 1)]
        lines = ["| " + " | ".join(cells) + " |" for cells in (self.header, rule, *self.rows)]
        return "\n".join([f"## {self.title}", "", *lines, *(["", self.note] if self.note else [])]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"  {cells[0]:<{FIRST}}" + "".join(f"{cell:>{OTHERS}}" for cell in cells[1:])

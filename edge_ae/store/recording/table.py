"""A recording in memory: texts as bytes side by side, numbers as arrays. Knows no file."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from edge_ae.errors import BadData

BACKWARDS = slice(None, None, -1)
TEXTS_AT_ONCE = 8192  # that are strings of Python at a time
LABEL_NAME = re.compile(
    r"(^|_|\b)(is_?)?(anomal(y|ies|ous)|labels?|change_?points?|outliers?|faults?|attack)(_|\b|$)", re.I
)


class TextColumn(Sequence[str]):
    """A text for each line, in the bytes of the longest one: 3 million times take 60 MB, not 210 as strings."""

    def __init__(self, encoded: NDArray[np.bytes_]) -> None:
        self.encoded = encoded

    @classmethod
    def of(cls, texts: Iterable[str]) -> "TextColumn":
        """From any texts; one that is such a column already is taken as it is."""
        if isinstance(texts, TextColumn):
            return texts
        known = list(texts)
        try:
            return cls(np.array(known, dtype=np.bytes_))
        except UnicodeEncodeError:
            return cls(np.array([text.encode("utf-8", "surrogateescape") for text in known], dtype=np.bytes_))

    @classmethod
    def joined(cls, columns: Sequence[Sequence[str]]) -> "TextColumn":
        """One column after the other."""
        return cls(np.concatenate([cls.of(column).encoded for column in columns]))

    def take(self, lines: NDArray[np.int64] | slice) -> "TextColumn":
        """The texts of these lines."""
        return TextColumn(self.encoded[lines])

    def __len__(self) -> int:
        return len(self.encoded)

    @overload
    def __getitem__(self, line: int) -> str: ...

    @overload
    def __getitem__(self, line: slice) -> "TextColumn": ...

    def __getitem__(self, line: int | slice) -> "str | TextColumn":
        return self.take(line) if isinstance(line, slice) else _text(self.encoded[line])

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), TEXTS_AT_ONCE):
            yield from map(_text, self.encoded[first : first + TEXTS_AT_ONCE].tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment] # as of any sequence that is not a tuple

    def __repr__(self) -> str:
        return repr(list(self))


def _text(encoded: bytes) -> str:
    return encoded.decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Table:
    """One recording: `values` [line, channel] is NaN where missing; `times` is the text as it came.

    `units`: of the channels whose file says them. `notes`: a sentence on what was found out or left out in reading.
    """

    path: Path
    times: Sequence[str]
    t_ns: NDArray[np.int64]
    names: tuple[str, ...]
    values: NDArray[np.float64]
    labels: NDArray[np.bool_] | None = None
    assets: Sequence[str] | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.t_ns)


def text_of_times(t_ns: NDArray[np.int64]) -> TextColumn:
    """RFC 3339 with milliseconds, as `rfc3339` writes one; where that is not exact, all of them with nanoseconds."""
    if (t_ns % 1_000_000 == 0).all():
        texts = np.datetime_as_string((t_ns // 1_000_000).astype("datetime64[ms]"), unit="ms", timezone="UTC")
    else:
        texts = np.datetime_as_string(t_ns.astype("datetime64[ns]"), unit="ns", timezone="UTC")
    return TextColumn(texts.astype(np.bytes_))


def take(table: Table, lines: NDArray[np.int64] | slice) -> Table:
    """The table of these lines, in this order."""
    return replace(
        table,
        times=TextColumn.of(table.times).take(lines),
        t_ns=table.t_ns[lines],
        values=table.values[lines],
        labels=None if table.labels is None else table.labels[lines],
        assets=None if table.assets is None else TextColumn.of(table.assets).take(lines),
    )


def newest_first(table: Table) -> bool:
    """Whether the lines go back in time from one to the next."""
    steps = np.diff(table.t_ns)
    return bool(len(steps) > 0 and (steps <= 0).all() and (steps < 0).any())


def one_asset(table: Table, asset: str | None) -> Table:
    """The lines of `asset`, of a table whose lines name theirs; any other table as it is. BadData where it is not clear whose."""
    if table.assets is None:
        return table
    encoded = TextColumn.of(table.assets).encoded
    there = [name.decode("utf-8", "surrogateescape") for name in np.unique(encoded).tolist()]
    if asset not in there and (asset is not None or len(there) > 1):
        raise BadData(f"{table.path}: has lines of {', '.join(there[:10])}; say which to take with --asset")
    return take(table, np.flatnonzero(encoded == (asset or there[0]).encode("utf-8", "surrogateescape")))


def suspicious_labels(table: Table) -> list[str]:
    """Channels that look like a label column left in: a telling name, and nothing but 0 and 1."""
    return [
        name
        for index, name in enumerate(table.names)
        if LABEL_NAME.search(name) and np.isin(table.values[:, index], (0.0, 1.0)).all()
    ]

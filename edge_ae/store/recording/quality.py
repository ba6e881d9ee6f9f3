"""What the quality column beside a value says: whether the value is bad, and so is missing.

Historians write words ("Bad", "Bad: not connected") or numbers: of OPC (192 and more is good, less than 64 bad), WinCC's
validity (0 is bad), OPC UA's status codes (2147483648 and more is bad). A number whose scale is not known says nothing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ae.store.recording.layout import Layout

BAD_WORDS = frozenset({"invalid", "ungültig", "schlecht", "not good", "mauvais"})
OPC_GOOD, OPC_BAD_BELOW, OPC_HIGHEST = 192, 64, 255
OPC_UA_BAD = 1 << 31
SAYS_GOOD = frozenset({"good"})  # names of columns that answer with true and false


class QualityColumn:
    """Judges the quality column of one file, block by block, and counts the values that it calls bad."""

    def __init__(self, layout: Layout) -> None:
        self._column = layout.quality
        self._place = layout.place(layout.quality) if layout.quality >= 0 else ""
        self._name = layout.header[layout.quality].casefold() if layout.quality >= 0 else ""
        self._is_opc = self._name in ("qualitydetail", "quality_detail", "opcquality")
        self._bad: Counter[str] = Counter()

    def bad(self, columns: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
        """Which lines of a block hold a bad value."""
        if self._column < 0:
            return np.zeros(len(columns[0]), np.bool_)
        cells = columns[self._column]
        counts = Counter(cells)
        self._is_opc |= any(text.strip().isdecimal() and OPC_GOOD <= int(text) <= OPC_HIGHEST for text in counts)
        judged = {text: self._is_bad(text.strip().casefold()) for text in counts}
        self._bad.update({text: count for text, count in counts.items() if judged[text]})
        return np.fromiter(map(judged.__getitem__, cells), np.bool_, len(cells))

    def notes(self) -> Iterator[str]:
        """A part of a sentence, where values were bad."""
        if self._bad:
            words = ", ".join(repr(word[:40]) for word, _ in self._bad.most_common(3))
            yield f"{self._bad.total():,} values taken for missing that {self._place} calls bad ({words})"

    def _is_bad(self, text: str) -> bool:
        if not text.isdecimal():
            return text.startswith("bad") or text in BAD_WORDS or (self._name in SAYS_GOOD and text in ("false", "no"))
        code = int(text[:20])
        if self._name in ("validity", *SAYS_GOOD):
            return code == 0
        return code >= OPC_UA_BAD or (self._is_opc and code < OPC_BAD_BELOW)

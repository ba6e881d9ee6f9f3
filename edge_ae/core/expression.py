"""The state in which an asset is watched, as its owner writes it: `speed > 100 and not ("Door open" == 1)`.

    or      and {"or" and}                 names stand as they are, or in quotes where they are no single word
    and     not {"and" not}                numbers as everywhere; what is compared is a channel as the model takes it
    not     "not" not | "(" or ")" | comparison
    comparison   operand  < <= > >= == !=  operand

Trainer and device ask one function, `Expression.truth`, of rows in single precision, so that both leave out the same rows. A value that is
missing makes a comparison unknown, and an unknown part matters where the others do not decide (Kleene's three values).
"""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LONGEST = 1000
"""Characters of an expression."""

DEEPEST = 20
"""Parentheses and nots within each other."""

HOLDS, FAILS, UNKNOWN = 1, -1, 0

Truth = NDArray[np.int8]
"""[row] of HOLDS, FAILS, UNKNOWN: of several parts `and` is the least, `or` the greatest, and `not` the opposite."""

Columns = Callable[[str], Any]

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
TOKEN = re.compile(
    r"""\s*(?: (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
          | (?P<name>[^\W\d][\w.]*) | "(?P<double>[^"]+)" | '(?P<single>[^']+)'
          | (?P<sign><=|>=|==|!=|[<>()]) )""",
    re.VERBOSE,
)
EXAMPLE = 'write it like "speed > 100 and load >= 0.5"'


class _Token(NamedTuple):
    """`kind`: number, name, sign, or a word: and, or, not. `at`: its first character, from 0."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class _Comparison:
    left: float | str
    sign: str
    right: float | str

    def truth(self, column: Columns) -> Truth:
        left, right = (column(side) if isinstance(side, str) else side for side in (self.left, self.right))
        known = ~(np.isnan(left) | np.isnan(right))
        found: Truth = np.where(known, np.where(COMPARISONS[self.sign](left, right), HOLDS, FAILS), UNKNOWN)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(side for side in (self.left, self.right) if isinstance(side, str))


@dataclass(frozen=True, slots=True)
class _Joined:
    """`join`: np.minimum of all, or np.maximum of any; of a single part np.negative is its opposite."""

    join: Any
    parts: "tuple[_Comparison | _Joined, ...]"

    def truth(self, column: Columns) -> Truth:
        found: Truth = self.join(*(part.truth(column) for part in self.parts))
        return found

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.names)


_Part = _Comparison | _Joined


@dataclass(frozen=True, slots=True)
class Expression:
    """`text`: as it was written. `names`: the channels that it asks for, each once."""

    text: str
    names: tuple[str, ...]
    _whole: _Part

    @classmethod
    def of(cls, text: str) -> "Expression":
        """Raises ValueError with a sentence that points at the place."""
        if len(text) > LONGEST:
            raise ValueError(f"has {len(text)} characters, {LONGEST} are the most")
        whole = _Parser(text).whole()
        names = tuple(dict.fromkeys(whole.names))
        if not names:
            raise ValueError(f"names no channel; {EXAMPLE}")
        return cls(" ".join(text.split()), names, whole)

    def unknown(self, channels: Sequence[str]) -> str | None:
        """A sentence where it asks for what is no channel; None: it does not."""
        unknown = [name for name in self.names if name not in channels]
        if not unknown:
            return None
        return f"{unknown[0]!r} is no channel of the model; there are {', '.join(channels)[:400]}"

    def truth(self, channels: Sequence[str], rows: ArrayLike) -> Truth:
        """Whether it holds in rows [row, channel], NaN where missing: HOLDS, FAILS or UNKNOWN [row]."""
        values = np.asarray(rows, np.float32)
        return self._whole.truth(lambda name: values[:, channels.index(name)])


class _Parser:
    """One descent through one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [*_tokens(text), _Token("end", "", len(text.rstrip()))]
        self._next = 0
        self._depth = 0

    def whole(self) -> _Part:
        found = self._any()
        if self._here.kind != "end":
            raise self._fault("and, or, or the end")
        return found

    def _any(self) -> _Part:
        return self._joined("or", np.maximum, self._all)

    def _all(self) -> _Part:
        return self._joined("and", np.minimum, self._opposite)

    def _joined(self, word: str, join: Any, part: Callable[[], _Part]) -> _Part:
        found = part()
        while self._take(word):
            found = _Joined(join, (found, part()))
        return found

    def _opposite(self) -> _Part:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._fault(f"no more than {DEEPEST} parentheses and nots within each other")
        if self._take("not"):
            found: _Part = _Joined(np.negative, (self._opposite(),))
        elif self._take("("):
            found = self._any()
            if not self._take(")"):
                raise self._fault("and, or, or a closing parenthesis")
        else:
            found = self._comparison()
        self._depth -= 1
        return found

    def _comparison(self) -> _Comparison:
        left, sign = self._operand(), self._here
        if sign.text not in COMPARISONS or sign.kind != "sign":
            raise self._fault(f"one of {' '.join(COMPARISONS)}")
        self._next += 1
        return _Comparison(left, sign.text, self._operand())

    def _operand(self) -> float | str:
        token = self._here
        if token.kind not in ("number", "name"):
            raise self._fault("a channel or a number")
        self._next += 1
        return float(token.text) if token.kind == "number" else token.text

    @property
    def _here(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, what: str) -> bool:
        """Whether a word or a sign comes now; then it is behind us."""
        there = self._here.text == what and self._here.kind in (what, "sign")
        self._next += there
        return there

    def _fault(self, wanted: str) -> ValueError:
        return _fault(self._text, self._here.at, wanted)


def _tokens(text: str) -> list[_Token]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = TOKEN.match(text, at)
        if match is None:
            raise _fault(text, at + len(text[at:]) - len(text[at:].lstrip()), "a channel, a number or a comparison")
        kind = str(match.lastgroup)
        word = match[kind]
        if kind == "name" and word in ("and", "or", "not"):
            kind = word
        found.append(_Token("name" if kind in ("double", "single") else kind, word, match.start(match.lastgroup or 0)))
        at = match.end()
    return found


def _fault(text: str, at: int, wanted: str) -> ValueError:
    """With a look at what stands there."""
    there = f"at {text[at : at + 20]!r}" if at < len(text.rstrip()) else "at its end"
    return ValueError(f"{there}, character {at + 1}: {wanted} is expected; {EXAMPLE}")

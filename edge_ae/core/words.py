"""What a text says where a number is meant: the one law of payloads and of files.

"55.1", " 55.1 ", "7,21"      a number
"ON", "closed", "yes"         1 or 0, by a table; whoever has other words adds them
"", "n/a", "unavailable"      no value: the same as a null
"pump-1", "1,234"             text, which is left out; nobody knows whether that comma is a decimal one
"""

import math
import re
from collections.abc import Mapping

LONGEST = 64  # characters; what is longer is text and no number

_PAIRS = (
    ("on", "off"),
    ("true", "false"),
    ("yes", "no"),
    ("open", "closed"),
    ("opened", "close"),
    ("running", "stopped"),
    ("started", "not running"),
    ("start", "stop"),
    ("active", "inactive"),
    ("enabled", "disabled"),
    ("detected", "clear"),
    ("present", "absent"),
    ("occupied", "unoccupied"),
    ("connected", "disconnected"),
    ("locked", "unlocked"),
    ("wet", "dry"),
    ("up", "down"),
    ("ein", "aus"),
    ("ja", "nein"),
    ("wahr", "falsch"),
    ("oui", "non"),
    ("vrai", "faux"),
)
WORDS: Mapping[str, float] = {word: value for pair in _PAIRS for word, value in zip(pair, (1.0, 0.0), strict=True)}
"""Words of two states, in small letters: 1 for what is on, open, running, there."""

MISSING = frozenset({
    *("", "-", "--", "---", ".", "?", "n/a", "na", "n.a.", "#n/a", "nan", "-nan", "nan(ind)", "1.#qnan", "-1.#ind"),
    *("null", "nil", "none", "undefined", "unavailable", "unknown", "missing", "invalid", "not available"),
    *("no data", "nodata", "no good data", "bad", "bad input", "i/o timeout", "#value!", "#div/0!", "#num!", "#ref!"),
})  # fmt: skip
"""Words that say that there is no value, in small letters."""

_DECIMAL_COMMA = re.compile(r"[+-]?(?:0?,\d+|\d+,(?:\d{1,2}|\d{4,}))", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}([ .,'\u00a0\u202f])\d{3}(?:\1\d{3})*(?!\1)[.,]\d+", re.ASCII)
_WITH_UNIT = re.compile(
    r"([+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?)\s?([^\d\s.,;:_+*()\[\]{}'\"-]\S{0,11})", re.ASCII
)
UNITS = frozenset({
    *("%", "%rh", "‰", "°", "°c", "° c", "℃", "°f", "℉", "c", "f", "k", "deg", "rad"),
    *("bar", "bara", "barg", "mbar", "pa", "hpa", "kpa", "mpa", "psi", "mmhg", "atm"),
    *("v", "mv", "kv", "a", "ma", "ka", "w", "mw", "kw", "va", "kva", "var", "kvar", "wh", "kwh", "mwh", "ah", "mah"),
    *("hz", "khz", "mhz", "rpm", "1/min", "u/min", "ohm", "ω", "kω", "s", "ms", "min", "h", "d"),
    *("m", "mm", "cm", "km", "µm", "um", "m/s", "mm/s", "km/h", "mph", "m/s2", "m/s²", "g", "mg", "kg", "t", "n", "kn", "nm"),
    *("l", "ml", "l/s", "l/min", "l/h", "m3", "m³", "m3/h", "m³/h", "m3/s", "m³/s", "kg/h", "kg/s", "t/h", "gpm"),
    *("lx", "lux", "ppm", "ppb", "db", "dbm", "dba", "ph", "µg/m³", "ug/m3", "µs/cm", "us/cm", "mg/l", "ntu", "w/m2", "w/m²"),
})  # fmt: skip
"""Units that may stand behind a number, in small letters: a table, for "4f" and "2b" are names."""


def word_table(own: Mapping[str, float]) -> Mapping[str, float]:
    """The table of words with one's own before them; letter case says nothing."""
    return {**WORDS, **{word.strip().casefold(): float(value) for word, value in own.items()}}


def number_of_text(text: str, words: Mapping[str, float] = WORDS) -> float | None:
    """The number that a text says; NaN: it says that there is no value; None: it is no number. Infinity is itself.

    `words`: by their small letters, as `word_table` makes them. A comma is decimal where it can be nothing else: alone,
    and not before three digits, which may be thousands (unless a zero is before it), or behind groups of three.
    """
    if len(text) > LONGEST:
        return None
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        pass
    word = text.strip().casefold()
    if word in words:
        return words[word]
    if word in MISSING:
        return math.nan
    if _GROUPED.fullmatch(word):
        whole, decimals = re.sub(r"[^\d.,+-]", "", word).rsplit("," if word.rfind(",") > word.rfind(".") else ".", 1)
        return float(f"{re.sub('[.,]', '', whole)}.{decimals}")
    return float(word.replace(",", ".")) if _DECIMAL_COMMA.fullmatch(word) else None


def number_with_unit(text: str) -> tuple[float, str] | None:
    """The number of a text such as "21.5 °C" or "55%", and its unit; None where it is none."""
    match = _WITH_UNIT.fullmatch(text.strip()) if len(text) <= LONGEST else None
    if match is None or match[2].casefold() not in UNITS:
        return None
    value = number_of_text(match[1], {})
    return None if value is None else (value, match[2])

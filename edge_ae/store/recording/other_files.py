"""Text files that are no tables: what each of them is, by its first lines, and what to do with it."""

import re
from collections.abc import Sequence

EXPORT = "export the recording as CSV"
BEGINNINGS = {
    '{"': f"is JSON; {EXPORT}",
    "[{": f"is JSON; {EXPORT}",
    "<?xml": f"is XML; {EXPORT}",
    "<html": f"is a web page; {EXPORT}",
    "<!DOCTYPE": f"is a web page; {EXPORT}",
}
LOG = "is a log of messages and no table; record the topics with edge-ae record"
RELATIVE = (
    "is a LabVIEW measurement file whose times count from a moment that its preamble names; "
    "write it with absolute times, or export it as CSV with a column of the time of the clock"
)
YEAR_2000_LABVIEW_S = 3_029_529_600  # from 1904

# mosquitto_sub -v writes "plant/pump/flow 4.2", with a time before it where one is asked for; a topic has a letter first.
_MESSAGE = re.compile(r"(?:[^\s,;]*\d[^\s,;]*\s){0,2}[A-Za-z$_][^\s,;]*/[^\s,;]*\s\S.*")
_TASMOTA = re.compile(r"\d\d:\d\d:\d\d(?:\.\d+)?(?:-\d+)? (?:MQT|CMD|RSL|WIF|APP|RUL|CFG|QPC|HTP|UDP|SRC)[: ].*")


def what_else(lines: Sequence[str]) -> str | None:
    """Parts of a sentence; None where the lines may be those of a table."""
    first = lines[0].lstrip() if lines else ""
    for beginning, what in BEGINNINGS.items():
        if first.startswith(beginning):
            return what
    filled = [line for line in lines if line.strip()]
    if any(filled and _are_most(filled, kind) for kind in (_MESSAGE, _TASMOTA)):
        return LOG
    return RELATIVE if first.startswith("LabVIEW Measurement") and _is_relative(lines) else None


def _are_most(lines: Sequence[str], kind: re.Pattern[str]) -> bool:
    return 5 * sum(kind.fullmatch(line) is not None for line in lines) >= 4 * len(lines)


def _is_relative(lines: Sequence[str]) -> bool:
    """Whether the number below X_Value is no time of this century."""
    names = next((place for place, line in enumerate(lines) if line.startswith("X_Value")), len(lines))
    for line in lines[names + 1 :][:1]:
        number = re.match(r"-?\d+", line)
        return number is not None and int(number[0]) < YEAR_2000_LABVIEW_S
    return False

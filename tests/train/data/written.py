"""Recordings for tests, written as text. Times that are small numbers are seconds since T0, a midnight: 1970 is no time of ours."""

import re
from pathlib import Path

T0 = 1_600_041_600


def make(tmp_path: Path, text: str, name: str = "r.csv") -> Path:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(since_t0(text), encoding="utf-8")
    return path


def since_t0(text: str) -> str:
    return re.sub(r"^(\d{1,8})(?=[.,;\t])", lambda match: str(T0 + int(match[1])), text, flags=re.M)


def lines(seconds: list[float], cells: str = "{i},{j}") -> str:
    return "".join(f"{s},{cells.format(i=i, j=-i)}\n" for i, s in enumerate(seconds))

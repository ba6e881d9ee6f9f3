"""Recordings for tests, written as text."""

from pathlib import Path


def make(tmp_path: Path, text: str, name: str = "r.csv") -> Path:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def lines(seconds: list[float], cells: str = "{i},{j}") -> str:
    return "".join(f"{s},{cells.format(i=i, j=-i)}\n" for i, s in enumerate(seconds))

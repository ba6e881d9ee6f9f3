"""People's feedback on alerts, read from the database while a daemon may be writing it."""

from collections.abc import Sequence
from pathlib import Path

import orjson

from edge_ae.core.timestamps import rfc3339
from edge_ae.store.database import read_beside

NAMES = ("asset", "id", "label", "note", "name")


def read_feedback(path: Path) -> list[str]:
    """Lines of JSON, oldest first: {"at", "asset", "id", "label", "note"}, and "name" where it has one. Raises BadState with a clause.

    A file of an earlier version, which has no names, is read as well.
    """
    with read_beside(path, "the feedback") as database:
        there = {column[1] for column in database.execute("PRAGMA table_info(feedback)")}
        columns = ", ".join(name for name in NAMES if name in there or name != "name")
        rows = database.execute(f"SELECT at_ns, {columns} FROM feedback ORDER BY position").fetchall()
    return [orjson.dumps({"at": rfc3339(at_ns), **_said(rest)}).decode() for at_ns, *rest in rows]


def _said(row: Sequence[str]) -> dict[str, str]:
    said = dict(zip(NAMES, row, strict=False))
    return said if said.get("name") else {key: value for key, value in said.items() if key != "name"}

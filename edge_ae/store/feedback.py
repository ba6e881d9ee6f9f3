"""People's feedback on alerts, read from the database while a daemon may be writing it."""

import contextlib
import sqlite3
from pathlib import Path

import orjson

from edge_ae.core.timestamps import rfc3339
from edge_ae.errors import BadState

QUERY = "SELECT at_ns, asset, id, label, note FROM feedback ORDER BY position"


def read_feedback(path: Path) -> list[str]:
    """Lines of JSON, oldest first: {"at", "asset", "id", "label", "note"}. Raises BadState with a clause."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute(QUERY).fetchall()
    except sqlite3.Error as error:
        raise BadState(f"the feedback in it cannot be read ({error})") from None
    names = ("at", "asset", "id", "label", "note")
    return [orjson.dumps(dict(zip(names, (rfc3339(at_ns), *rest), strict=True))).decode() for at_ns, *rest in rows]

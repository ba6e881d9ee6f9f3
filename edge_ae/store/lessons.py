"""What people have taught, read from the database while a daemon may be writing it."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_ae.core.lesson_events import Lesson, Use
from edge_ae.store.database import read_beside
from edge_ae.store.lesson_table import DAMAGED, restored_lesson
from edge_ae.store.node_store import unpack


@dataclass(frozen=True, slots=True)
class KeptLesson:
    """A lesson of an asset, as whoever looks into the file finds it."""

    asset: str
    lesson: Lesson
    use: Use


def read_lessons(path: Path) -> list[KeptLesson]:
    """All that a file has, while a daemon may be writing it, by asset and age. Raises BadState with a clause.

    How often each was of use is as of the asset's last checkpoint.
    """
    with read_beside(path, "the lessons") as database:
        rows = database.execute("SELECT asset, lesson FROM lesson").fetchall()
        states = dict(database.execute("SELECT name, state FROM asset").fetchall())
    found = []
    for asset, packed in rows:
        with contextlib.suppress(*DAMAGED):
            lesson = restored_lesson(packed)
            found.append(KeptLesson(asset, lesson, _uses(states.get(asset)).get(lesson.id, Use())))
    return sorted(found, key=lambda one: (one.asset, one.lesson.raised_ns, one.lesson.id))


def _uses(state: Any) -> dict[str, Use]:
    with contextlib.suppress(*DAMAGED):
        return {identity: Use(**use) for identity, use in unpack(state)["lessons"]["uses"].items()}
    return {}

"""The room of recordings: the oldest go, of whatever kind, and never what is still being written."""

import os
from collections import Counter
from pathlib import Path

from edge_ae.store.recording_room import DONE, PART, ROWS, RecordingRoom


def put(folder: Path, name: str, age: int) -> Path:
    path = folder / "pump" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(100))
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def test_the_oldest_go_but_for_one_that_is_being_written(tmp_path: Path) -> None:
    being_written, oldest, older, newest = (
        put(tmp_path, f"{age}{end}", age) for age, end in ((9, PART), (8, DONE), (7, ROWS), (1, ROWS))
    )
    stray = put(tmp_path, "notes.txt", 10)
    counts: Counter[str] = Counter()
    assert RecordingRoom(tmp_path, 250, counts).make()
    assert [path.exists() for path in (being_written, oldest, older, newest, stray)] == [True, False, False, True, True]
    assert counts == {"files_dropped": 2}


def test_where_only_what_is_being_written_is_left_it_says_so(tmp_path: Path) -> None:
    put(tmp_path, f"1{PART}", 1)
    assert not RecordingRoom(tmp_path, 50, Counter()).make()

"""As much of an asset's recordings as a small machine can hold, the newest: by their rows, whichever kind of file they are in."""

from pathlib import Path

import pytest
from edge_ae_train.fleet.datasets import StoredFile
from edge_ae_train.learn.recorded import DENSER, newest


@pytest.mark.parametrize(("end", "kept"), [("csv.gz", 6), ("rows", 6 // DENSER)])
def test_the_newest_files_that_memory_holds_are_kept_in_their_order(tmp_path: Path, end: str, kept: int) -> None:
    paths = [tmp_path / f"2026112{day}T000000.{end}" for day in range(9)]
    for path in paths:
        path.write_bytes(bytes(100))
    found = newest(tuple(StoredFile(str(path)) for path in reversed(paths)), most_bytes=650)
    assert [file.path for file in found] == [str(path) for path in paths[-kept:]]

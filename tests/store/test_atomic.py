"""Files written whole: the old one or the new one, and never over what is no file."""

import os
from pathlib import Path

import pytest

from edge_ae.store.atomic import is_special, write_whole


def test_a_file_that_fails_its_check_never_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"old")

    def refuse(written: Path) -> None:
        assert (written.read_bytes(), path.read_bytes()) == (b"new", b"old")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        write_whole(path, b"new", check=refuse)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_its_owners_alone_unless_it_is_for_others_to_read(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        write_whole(tmp_path / "state", b"")
        write_whole(tmp_path / "model", b"", mode=0o666)
    finally:
        os.umask(mask)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("state", "model")] == [0o600, 0o644]


def test_pipes_and_folders_are_not_replaced_and_files_and_what_is_not_there_are(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    special = {name: is_special(tmp_path / name) for name in ("pipe", "file", "nothing")}
    assert special == {"pipe": True, "file": False, "nothing": False}
    assert is_special(tmp_path)

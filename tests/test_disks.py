"""The disks that tests break do break, and are whole again afterwards."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import disks

SYNC = """
import os, sys, time
sys.stdin.readline()
began = time.monotonic()
os.fsync(os.open(sys.argv[1], os.O_RDWR))
print(time.monotonic() - began)
"""


def test_full_disk_takes_nothing_until_there_is_room(tmp_path: Path) -> None:
    with disks.small_disk(tmp_path / "disk", 64 * disks.PAGE) as disk:
        filler = disks.fill(disk)
        with pytest.raises(OSError, match="No space left"):
            (disk / "a").write_bytes(b"1")
        filler.unlink()
        (disk / "a").write_bytes(b"1")
    assert list((tmp_path / "disk").iterdir()) == []


def test_read_only_folder_is_that_for_root_too(tmp_path: Path) -> None:
    with disks.read_only(tmp_path), pytest.raises(OSError, match="Read-only"):
        (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "a").write_bytes(b"1")


def test_file_is_cut_off_at_the_limit(tmp_path: Path) -> None:
    file = (tmp_path / "a").open("wb", buffering=0)
    with file, disks.files_no_longer_than(10):
        assert file.write(bytes(20)) == 10
        with pytest.raises(OSError, match="too large"):
            file.write(b"1")
    (tmp_path / "a").write_bytes(bytes(20))


def test_sync_is_as_slow_as_is_asked(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    command = [sys.executable, "-c", SYNC, str(tmp_path / "a")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process, disks.slow_syncs(process.pid, 0.3, tmp_path):
        printed, _ = process.communicate(b"\n")
    assert float(printed) >= 0.3


def test_file_that_cannot_be_opened_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    with disks.cannot_be_opened(path), pytest.raises(OSError, match="directory"):
        os.open(path, os.O_RDWR)
    assert path.read_bytes() == b"1"

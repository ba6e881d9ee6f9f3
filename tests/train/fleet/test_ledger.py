"""The folder of a run: what is done is not done again, what is torn or altered is, and what cannot be written is said."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from edge_ae_train.fleet.jobs import FleetJob, Product, file_name, performed
from edge_ae_train.fleet.ledger import ledger, rows_of
from edge_ae_train.fleet.run import run
from edge_ae_train.progress import Reporter

from edge_ae.errors import BadData
from tests.conftest import wait_for
from tests.disks import fill, small_disk
from tests.train.fleet import works

ROOT = Path(__file__).parents[3]
JOBS = [works.job("a", works.echo, 1), works.job("b", works.echo, 2)]


class Here:
    """An engine that does the jobs itself, and remembers which."""

    workers = 1

    def __init__(self) -> None:
        self.did: list[str] = []

    def run(self, jobs: Sequence[FleetJob]) -> Iterator[tuple[FleetJob, Product, int]]:
        for job in jobs:
            self.did.append(job.key)
            yield job, performed(job), 1


def did(folder: Path, jobs: Sequence[FleetJob] = JOBS) -> list[str]:
    engine = Here()
    with ledger(folder) as book:
        run(jobs, book, engine)
    return engine.did


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    assert did(tmp_path) == ["a", "b"]
    assert did(tmp_path) == []
    assert [row.facts for row in rows_of(tmp_path)] == [{"said": 1}, {"said": 2}]


def test_run_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "from tests.train.fleet.test_ledger import JOBS, Here, works, run, ledger, Path\n"
        f"with ledger(Path({str(out)!r})) as book:\n"
        f"    run([JOBS[0], works.job('c', works.begin, {str(tmp_path / 'pid')!r})], book, Here())\n"
    )
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'train'}"}
    killed = subprocess.Popen([sys.executable, "-c", code], env=env)
    wait_for((tmp_path / "pid").exists, "the second job", 60)
    killed.kill()
    killed.wait()
    assert did(out) == ["b"]


@pytest.mark.parametrize("spoilt", ["a.txt", "rows/a.json"])
@pytest.mark.parametrize(
    "content",
    [None, b"", b"{}", b'{"key": "a", "state": "done", "files": null}', b'{"a":' * 9000],
    ids=["gone", "empty", "other", "edited", "deep"],
)
def test_file_or_row_that_is_not_as_it_was_written_is_made_again(
    spoilt: str, content: bytes | None, tmp_path: Path
) -> None:
    did(tmp_path)
    (tmp_path / spoilt).unlink() if content is None else (tmp_path / spoilt).write_bytes(content)
    assert did(tmp_path) == ["a"]
    assert (tmp_path / "a.txt").read_bytes() == b"1"


def test_other_options_are_another_job(tmp_path: Path) -> None:
    did(tmp_path)
    assert did(tmp_path, [works.job("a", works.echo, 3), JOBS[1]]) == ["a"]


def test_failed_job_is_tried_in_the_next_run_and_leaves_what_was_there(tmp_path: Path) -> None:
    did(tmp_path)
    failing = [works.job("a", works.refuse)]
    assert did(tmp_path, failing) == ["a"]
    assert (tmp_path / "a.txt").read_bytes() == b"1"
    assert rows_of(tmp_path)[0].reason == "a: is empty"
    assert did(tmp_path, failing) == ["a"]


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with ledger(tmp_path), pytest.raises(BadData, match="another run is writing to it"), ledger(tmp_path):
        pass


def test_full_disk_is_said_with_the_asset_and_harms_nothing_that_was_written(tmp_path: Path) -> None:
    large = [JOBS[0], works.job("large", works.echo, "x" * 300_000)]
    with small_disk(tmp_path / "disk", 2_000_000) as disk:
        did(disk, [JOBS[0]])
        filler = fill(disk)
        with pytest.raises(BadData, match=r"large cannot be written \(No space left on device\)"):
            did(disk, large)
        filler.unlink()
        assert did(disk, large) == ["large"]


def test_folder_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadData, match=r"file: cannot be written \(Not a directory\)"), ledger(tmp_path / "file"):
        pass


def test_table_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"fleet.json: cannot be read \(No such file or directory\)"):
        rows_of(tmp_path)


def test_progress_says_what_is_done_running_and_failed(tmp_path: Path) -> None:
    shown: list[str] = []
    with ledger(tmp_path) as book:
        jobs = [*JOBS, works.job("c", works.refuse)]
        run(jobs, book, Here(), Reporter(lambda text, share: shown.append(f"{share:.2f} {text}")))
    assert shown == [
        "0.00 0 of 3 done, 1 running, 0 failed",
        "0.33 1 of 3 done, 1 running, 0 failed",
        "0.67 2 of 3 done, 1 running, 0 failed",
        "1.00 2 of 3 done, 0 running, 1 failed",
    ]


@pytest.mark.parametrize("key", ["pump 1", "..", "a/b", ".hidden", "x" * 300, "Pumpe Süd", "a\x00b"])
def test_any_name_makes_a_file_name_within_its_folder(key: str, tmp_path: Path) -> None:
    path = tmp_path / f"{file_name(key)}.onnx"
    path.touch()
    assert path.parent.samefile(tmp_path)
    assert not path.name.startswith(".")
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_differ_late_or_in_a_blank_have_files_of_their_own() -> None:
    assert file_name("x" * 300 + "1") != file_name("x" * 300 + "2")
    assert file_name(" a") != file_name("a")

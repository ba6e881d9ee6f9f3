"""Jobs of a long bench: what is done is not done again, and nothing is shown that other code has made."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edge_ae.cli.progress import ProgressLine
from tests.bench.jobs import Job, Runner, fingerprint, kept_results


def jobs(done: list[str], fails: str = "") -> list[Job]:
    """Three, each of which says that it was done."""

    def made(name: str) -> dict[str, Any]:
        if name == fails:
            raise RuntimeError(f"{name} is cut off")
        done.append(name)
        return {"of": name, "pair": (1, 2)}

    return [Job(name, made, (name,), work) for name, work in (("short", 1.0), ("long", 3.0), ("middle", 2.0))]


def run(path: Path, every: Sequence[Job], made_by: str = "code") -> Any:
    with ThreadPoolExecutor(1) as pool, kept_results(path, made_by) as kept:
        return Runner(pool, kept, ProgressLine(terminal=False), every).run("pumps", every)


def test_the_longest_begin_first_and_all_that_was_made_is_given(tmp_path: Path) -> None:
    done: list[str] = []
    found = run(tmp_path / "kept.jsonl", jobs(done))
    assert done == ["long", "middle", "short"]
    assert found == {name: {"of": name, "pair": [1, 2]} for name in ("short", "long", "middle")}


def test_a_run_that_was_cut_off_goes_on_where_it_was_and_says_the_same(tmp_path: Path) -> None:
    path, done = tmp_path / "new" / "kept.jsonl", list[str]()
    with pytest.raises(RuntimeError, match="middle is cut off"):
        run(path, jobs(done, fails="middle"))
    assert "long" in done
    found = run(path, jobs(done))
    assert sorted(done) == ["long", "middle", "short"]
    assert found == run(tmp_path / "whole.jsonl", jobs([]))


def test_what_other_code_has_made_is_made_anew_and_forgotten(tmp_path: Path) -> None:
    path, done = tmp_path / "kept.jsonl", list[str]()
    run(path, jobs(done))
    run(path, jobs(done), made_by="other code")
    assert sorted(done) == sorted(2 * ["long", "middle", "short"])
    assert len(path.read_text().splitlines()) == 3


def test_a_line_that_was_cut_in_writing_is_a_job_that_is_not_done(tmp_path: Path) -> None:
    path, done = tmp_path / "kept.jsonl", list[str]()
    run(path, jobs(done))
    path.write_text(path.read_text()[:-9])
    done.clear()
    run(path, jobs(done))
    assert done == ["short"]


def test_progress_is_of_the_work_and_not_of_the_number_of_jobs(tmp_path: Path) -> None:
    every, said = jobs([]), list[str]()
    line = ProgressLine(terminal=False)
    with ThreadPoolExecutor(1) as pool, kept_results(tmp_path / "kept.jsonl", "code") as kept:
        runner = Runner(pool, kept, line, every)
        runner.run("some", [job for job in every if job.key == "long"])
        said.append(line.text())
        runner.run("others", every)
        said.append(line.text())
    assert said == ["50 %: some: 1 of 1", "100 %: others: 3 of 3"]


def test_code_has_another_fingerprint_after_a_change_and_its_own_when_it_is_taken_back(tmp_path: Path) -> None:
    module = tmp_path / "package" / "score.py"
    module.parent.mkdir()
    module.write_text("LIMIT = 1\n")
    (tmp_path / "alone.py").write_text("")
    marks = []
    for text in ("LIMIT = 1\n", "LIMIT = 2\n", "LIMIT = 1\n"):
        module.write_text(text)
        marks.append(fingerprint(tmp_path, ("package", "alone.py")))
    assert marks[0] == marks[2] != marks[1]


def test_every_source_of_the_fingerprint_is_there() -> None:
    from tests.bench.jobs import ROOT, SOURCES

    assert [source for source in SOURCES if not (ROOT / source).exists()] == []

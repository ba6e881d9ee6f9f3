"""The same jobs on a local Ray cluster of two workers: one that dies is replaced by Ray, and no cluster is said in a line."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from edge_ae_train.fleet import ray_cluster
from edge_ae_train.fleet.jobs import FleetJob, Product
from edge_ae_train.fleet.ledger import ledger
from edge_ae_train.fleet.processes import DIED
from edge_ae_train.fleet.ray_cluster import LOCAL, RayCluster
from edge_ae_train.fleet.run import run

from edge_ae.errors import BadData
from tests.conftest import wait_for
from tests.train.fleet import works
from tests.train.fleet.test_ledger import Here

pytest.importorskip("ray", reason="ray is not installed: pip install '.[ray]'")

pytestmark = pytest.mark.timeout(180)


def outcome(jobs: list[FleetJob]) -> dict[str, tuple[Product, int]]:
    return {job.key: (product, attempts) for job, product, attempts in RayCluster(LOCAL, 2).run(jobs)}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Product, int]]:
    """One cluster for all: to start it takes most of the time."""
    marker = str(tmp_path_factory.mktemp("ray") / "died")
    jobs = [works.job("mortal", works.die_once, marker), works.job("doomed", works.die)]
    jobs += [works.job("bad", works.refuse), works.job("threads", works.settings)]
    return outcome([*jobs, *(works.job(f"other-{n}", works.echo, n) for n in range(9))])


def test_worker_that_dies_takes_its_own_job_with_it_and_that_is_tried_once_more(
    found: dict[str, tuple[Product, int]],
) -> None:
    assert found["mortal"][0].facts == {"alive": True}
    assert found["doomed"][0].reason == DIED
    assert [found[f"other-{n}"][0].facts for n in range(9)] == [{"said": n} for n in range(9)]


def test_job_fails_in_one_line_and_has_one_thread(found: dict[str, tuple[Product, int]]) -> None:
    assert found["bad"][0].reason == "bad: is empty"
    assert set(found["threads"][0].facts.values()) == {"1"}


def test_cluster_that_is_not_there_is_said() -> None:
    with pytest.raises(BadData, match=r"--ray 127.0.0.1:1: no cluster can be joined there"):
        list(RayCluster("127.0.0.1:1").run([works.job("a", works.echo, 1)]))


def test_cluster_that_goes_away_ends_the_run_with_what_is_done_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ray says it where the process that holds a node together was killed."""
    from ray.exceptions import LocalRayletDiedError

    def results(_cluster: RayCluster, _ray: Any, jobs: Sequence[FleetJob]) -> Iterator[tuple[FleetJob, Product, int]]:
        yield jobs[0], Product(), 1
        raise LocalRayletDiedError

    monkeypatch.setattr(RayCluster, "_results", results)
    monkeypatch.setattr(ray_cluster, "_join", lambda *_: None)
    found = RayCluster(LOCAL, 1).run([works.job("first", works.echo, 1), works.job("second", works.echo, 2)])
    assert next(found)[0].key == "first"
    with pytest.raises(BadData, match=r"the cluster local went away .* what is done is kept"):
        next(found)


def test_run_on_a_cluster_that_is_killed_goes_on_elsewhere(tmp_path: Path) -> None:
    """Its only node is gone: Ray itself would wait for ever. What was done is not done again."""
    done, out = works.job("done", works.echo, 1), tmp_path / "out"
    jobs = [done, works.job("long", works.begin, str(tmp_path / "pid"))]
    killed: list[int] = []

    def kill() -> None:
        wait_for(lambda: (tmp_path / "pid").exists() and (out / "rows" / "done.json").exists(), "the second job", 120)
        ours = psutil.Process().children(recursive=True)
        killed.extend(one.pid for one in ours if one.name() == "raylet")
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with ledger(out) as book, pytest.raises(BadData, match=r"the cluster local went away"):
        run(jobs, book, RayCluster(LOCAL, 2))
    killer.join()
    assert killed
    here = Here()
    with ledger(out) as book:
        rows = run([done, works.job("long", works.echo, 2)], book, here)
    assert here.did == ["long"]
    assert all(row.is_done for row in rows)


def test_models_are_those_of_processes_to_the_bit(tmp_path: Path) -> None:
    from edge_ae_train.cli import main

    from tests.train.fleet.test_fleet_fit import QUICK, record

    record(tmp_path / "data" / "p1.csv")
    words = ["fleet", "fit", "--data", str(tmp_path / "data"), *QUICK, "--workers", "1"]
    assert main([*words, "--out", str(tmp_path / "here")]) == 0
    assert main([*words, "--out", str(tmp_path / "there"), "--ray", LOCAL]) == 0
    assert (tmp_path / "here" / "p1.onnx").read_bytes() == (tmp_path / "there" / "p1.onnx").read_bytes()

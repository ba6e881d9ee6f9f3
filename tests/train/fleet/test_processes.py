"""The engine of processes: one dies and no other job is harmed; each has one thread, a bound on memory, and ends with its parent."""

import os
import signal
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest
from edge_ae_train.fleet.jobs import FleetJob, Product
from edge_ae_train.fleet.processes import DIED, Capacity, Processes, capacity, free_bytes

from tests.conftest import wait_for
from tests.train.fleet import works

ROOT = Path(__file__).parents[3]
GB = 1_000_000_000


def outcome(jobs: list[FleetJob], workers: int = 2, memory_bytes: int = 2 * GB) -> dict[str, tuple[Product, int]]:
    engine = Processes(Capacity(workers, memory_bytes))
    return {job.key: (product, attempts) for job, product, attempts in engine.run(jobs)}


def test_process_that_dies_takes_its_own_job_with_it_and_that_is_tried_once_more(tmp_path: Path) -> None:
    marker = str(tmp_path / "died")
    jobs = [works.job("mortal", works.die_once, marker), works.job("doomed", works.die)]
    jobs += [works.job(f"other-{number}", works.echo, number) for number in range(3)]
    found = outcome(jobs)
    assert found["mortal"] == (Product({"alive": True}), 2)
    assert found["doomed"] == (Product(reason=DIED), 2)
    assert [found[f"other-{number}"][0].facts for number in range(3)] == [{"said": number} for number in range(3)]


def test_job_fails_in_one_line_and_ends_no_other() -> None:
    jobs = [works.job("bad", works.refuse), works.job("ours", works.break_down), works.job("good", works.echo, 1)]
    found = {key: product for key, (product, _) in outcome(jobs, workers=1).items()}
    assert found["bad"].reason == "bad: is empty"
    assert found["ours"].reason == "ZeroDivisionError: ours (a fault of this program: please report it)"
    assert "break_down" in found["ours"].facts["traceback"]
    assert found["good"].reason == ""


def test_process_has_one_thread_and_no_more_memory_than_it_may_have() -> None:
    jobs = [
        works.job("threads", works.settings),
        works.job("huge", works.devour, GB),
        works.job("small", works.devour, 9),
    ]
    found = {key: product for key, (product, _) in outcome(jobs, workers=1).items()}
    assert set(found["threads"].facts.values()) == {"1"}
    assert "needs more memory than a process may have" in found["huge"].reason
    assert found["small"].facts == {"sum": 9.0}


def test_as_many_processes_as_memory_is_free_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert free_bytes() > 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)))
    monkeypatch.setattr("edge_ae_train.fleet.processes.free_bytes", lambda: 5 * GB)
    assert capacity(None, None) == Capacity(4, 1_125_000_000)
    assert capacity(None, 4 * GB) == Capacity(1, 4 * GB)
    assert capacity(2, None) == Capacity(2, 2_250_000_000)


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    said = tmp_path / "pid"
    code = (
        "from tests.train.fleet import works\n"
        "from edge_ae_train.fleet.processes import Capacity, Processes\n"
        "if __name__ == '__main__':\n"
        f"    list(Processes(Capacity(1, 2 * 10**9)).run([works.job('long', works.begin, {str(said)!r})]))\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'train'}"}
    parent = subprocess.Popen([sys.executable, script], env=env)
    wait_for(lambda: said.exists() and said.read_text() != "", "the job", 60)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not Path("/proc", said.read_text(), "cmdline").exists(), "the process's end", 20)


def test_process_that_plans_and_writes_loads_nothing_that_trains() -> None:
    """It would take 200 MB, and two seconds before the first worker begins."""
    modules = ("cli", "work", "like", "classes", "run", "processes", "ray_cluster", "ledger", "overview", "rollout")
    code = f"import sys, importlib as i; [i.import_module('edge_ae_train.fleet.' + m) for m in {modules}]; print([*sys.modules])"
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'train'}"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert not {"torch", "onnxruntime", "sklearn", "pyarrow", "matplotlib"} & set(literal_eval(done.stdout))

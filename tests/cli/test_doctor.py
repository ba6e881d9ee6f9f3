"""Doctor: what a machine is and lacks, each with what to do next; and a report that may be sent to strangers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_ae.cli import diagnoses, doctor
from edge_ae.cli.diagnoses import Diagnosis, Gravity
from tests.cli.test_check import settings
from tests.conftest import Broker, free_port
from tests.store.test_examination import state_file

NOW_S = 4_000_000_000.0  # in 2096: parametrised tests have the same names in each process


def run(*options: Any, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_ae", "doctor", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ | env)


def a_machine(root: Path, **files: str) -> Path:
    """A root with these files; of a name, __ is a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_where_all_is_well_it_says_what_it_looked_at_and_what_to_send(tmp_path: Path, broker: Broker) -> None:
    config = settings(tmp_path, broker.port)
    done = run("--config", config)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, first, _, command, _ = done.stdout.splitlines()
    topics = (
        "packages system processor runtime clock memory limits service settings model stream folder broker disk state"
    )
    assert [line.split()[1] for line in lines] == topics.split()
    assert first.startswith("Nothing is at fault here.")
    assert command == f"  edge-ae doctor --config {config} --json > report.json"


def test_faults_end_with_one_and_each_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "edge-ae.db").write_text("no database, but longer than the header of one is" * 50)
    done = run("--config", settings(tmp_path, free_port()), "--json")
    assert (done.returncode, done.stderr) == (1, "")
    report = json.loads(done.stdout)
    faults = {one["topic"]: one for one in report["diagnoses"] if one["level"] == "FAULT"}
    assert list(faults) == ["broker", "state"]
    assert faults["broker"]["advice"] == "is it running, and are host, port and tls right?"
    assert faults["state"]["text"].endswith("edge-ae.db: is damaged: file is not a database")
    assert all(one["advice"] for one in faults.values())


def test_no_secret_is_in_the_report_wherever_it_was_written(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden-in-file\n")
    config = tmp_path / "edge-ae.toml"
    config.write_text(f"""
node = "n"
state_dir = "state"
[mqtt]
host = "mqtt://me:hidden-in-host@127.0.0.1"
port = {free_port()}
username = "me"
password = "hidden-as-setting"
key = "hidden-key"
password_file = "secret"
[notify]
urls = ["mailto://me:hidden-in-url@example.org", "json://127.0.0.1/?token=hidden-in-query", "hidden-url"]
[web]
password_file = "hidden-in-place-of-a-file"
[[streams]]
topic = "a/{{asset}}"
api_token = "hidden-token"
""")
    variables = {"EDGE_AE_MQTT__PASSWORD": "hidden-in-variable", "EDGE_AE_NOTIFY__URLS_FILE": "hidden-in-path"}
    for options in ([], ["--json"]):
        done = run("--config", config, *options, **variables)
        assert done.returncode == 1
        assert "hidden" not in done.stdout + done.stderr
        assert "***" in done.stdout
    report = json.loads(done.stdout)
    assert set(variables) <= set(report["variables"])
    assert report["settings"]["mqtt"]["password"] == "***"
    assert report["settings"]["streams"][0]["topic"] == "a/{asset}"


def test_without_settings_the_machine_alone_is_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "INSTALLED", tmp_path / "none.toml")
    found = list(doctor._diagnoses(None, None))
    assert found[-1].topic == "settings"
    assert found[-1].advice == "name them with --config FILE"


PI = "processor: 0\nFeatures\t: fp asimd evtstrm crc32\nCPU part\t: 0xd08\n"
OLD = "model name\t: Pentium\nflags\t\t: fpu sse sse2 ssse3\n"


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "level", "part"),
    [
        ("aarch64", PI, Gravity.OK, "x Cortex-A72, without asimddp or avx2"),
        ("aarch64", "processor: 0\n", Gravity.FAULT, "/proc/cpuinfo names no features"),
        ("x86_64", OLD, Gravity.FAULT, "x Pentium, without popcnt, sse4_2"),
    ],
)
def test_processor_is_named_and_what_it_lacks(
    machine: str, cpuinfo: str, level: Gravity, part: str, tmp_path: Path
) -> None:
    found = diagnoses.processor(a_machine(tmp_path, proc__cpuinfo=cpuinfo), machine)
    assert (found.level, part in found.text) == (level, True), found.text


@pytest.mark.parametrize(
    ("now_s", "synchronized", "battery", "level", "advice"),
    [
        (0.0, False, False, Gravity.FAULT, "set it (timedatectl set-ntp true)"),
        (NOW_S, False, True, Gravity.NOTE, "have it set: sudo timedatectl set-ntp true"),
        (NOW_S, True, False, Gravity.NOTE, "readings with times of their own, streams.time, do not depend on it"),
        (NOW_S, True, True, Gravity.OK, ""),
    ],
)
def test_clock_is_right_set_and_kept(
    now_s: float, synchronized: bool, battery: bool, level: Gravity, advice: str, tmp_path: Path
) -> None:
    if battery:
        (tmp_path / "sys/class/rtc/rtc0").mkdir(parents=True)
    found = diagnoses.clock(tmp_path, now_s, synchronized)
    assert (found.level, found.advice) == (level, advice)
    assert ("1970-01-01" in found.text) == (now_s == 0)


def test_memory_that_is_short_or_cannot_be_limited_is_said(tmp_path: Path) -> None:
    short = a_machine(tmp_path / "a", proc__meminfo="MemTotal: 512000 kB\nMemAvailable: 51200 kB\n")
    assert diagnoses.memory(short).level == Gravity.FAULT
    assert diagnoses.memory(short).text == "50 MB of 500 MB available"
    second = a_machine(tmp_path / "b", sys__fs__cgroup__cgroup_controllers="cpu pids\n")
    (second / "sys/fs/cgroup/cgroup_controllers").rename(second / "sys/fs/cgroup/cgroup.controllers")
    assert "cgroup_enable=memory" in diagnoses.memory_limit(second).advice
    (second / "sys/fs/cgroup/cgroup.controllers").write_text("cpu memory pids\n")
    assert diagnoses.memory_limit(second).level == Gravity.OK


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("import os; os.kill(os.getpid(), 4)", "died of SIGILL"),
        ("raise ImportError('no such library')", "cannot be loaded: ImportError: no such library"),
    ],
)
def test_runtime_that_does_not_load_is_a_sentence(code: str, part: str) -> None:
    found = diagnoses.runtime(code)
    assert (found.level, part in found.text) == (Gravity.FAULT, True)


@pytest.mark.parametrize(
    ("shown", "level"),
    [
        ({"LoadState": "not-found"}, Gravity.NOTE),
        ({"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "NRestarts": "0"}, Gravity.OK),
        ({"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "NRestarts": "3"}, Gravity.NOTE),
        ({"LoadState": "loaded", "ActiveState": "failed", "SubState": "failed", "Result": "oom-kill"}, Gravity.FAULT),
    ],
)
def test_service_is_judged_by_what_systemd_says(shown: dict[str, str], level: Gravity) -> None:
    found = diagnoses.service_diagnosis(shown)
    assert found.level == level
    assert (found.advice == "") == (level == Gravity.OK)


def test_state_says_what_waits_for_the_broker(tmp_path: Path) -> None:
    size = state_file(tmp_path).stat().st_size
    kept = f"{size / 2**20:.1f} MB, 0 assets, 0 alerts, 2 events not yet published"
    assert doctor.state(tmp_path) == Diagnosis("state", kept)


def test_disk_in_memory_and_one_that_is_not_there_yet_are_told_apart(tmp_path: Path) -> None:
    if Path("/dev/shm").is_mount():
        assert doctor.disk(Path("/dev/shm/edge-ae")).level == Gravity.NOTE
    assert doctor.disk(tmp_path / "not" / "yet").text.startswith(f"{tmp_path}: ")

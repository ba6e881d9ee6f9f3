"""The units load, wait for what they need, and may do no more than they must."""

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from edge_ae_train.cli import COMMANDS
from edge_ae_train.options import parser as train_parser

from edge_ae.cli.main import parser

UNITS = Path(__file__).parents[2] / "systemd"
NAMES = [
    "edge-ae.service",
    "edge-ae@.service",
    "edge-ae-record.service",
    "edge-ae-web.service",
    "edge-ae-retrain.service",
    "edge-ae-retrain.timer",
    "edge-ae-learn.service",
    "edge-ae-learn.timer",
    "edge-ae-learn@.service",
    "edge-ae-learn@.timer",
]
LOOSEST_EXPOSURE = 1.5

# What MemoryDenyWriteExecute=yes does to a process (PR_SET_MDWE, Linux 6.3); then a convolution, as in a model file.
SCORE_WITHOUT_EXECUTABLE_DATA = """
import ctypes, mmap, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0:
    sys.exit(77)
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    sys.exit(78)
except PermissionError:
    pass
import numpy as np, onnx.helper as h, onnxruntime
value = lambda name, shape: h.make_tensor_value_info(name, 1, shape)
kernel = h.make_tensor("k", 1, [16, 8, 5], np.ones(640, "f"))
conv = h.make_node("Conv", ["x", "k"], ["y"])
graph = h.make_graph([conv], "g", [value("x", ["b", 8, 64])], [value("y", None)], [kernel])
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=9)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
assert session.run(None, {"x": np.ones((2, 8, 64), "f")})[0].shape == (2, 16, 60)
"""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


def service(name: str) -> dict[str, str]:
    """The [Service] section; of repeated keys the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNITS / name)
    return dict(parser["Service"])


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_systemd_finds_nothing_wrong(name: str) -> None:
    done = subprocess.run(["systemd-analyze", "verify", str(UNITS / name)], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".service")])
def test_exposure_is_low(name: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / name)],
        capture_output=True,
        text=True,
    )
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert float(exposure[1]) <= LOOSEST_EXPOSURE


def test_daemon_is_restarted_watched_and_reloaded() -> None:
    unit = service("edge-ae.service")
    expected = {
        "Type": "notify",  # notify-reload hangs on systemd >= 257
        "NotifyAccess": "main",
        "WatchdogSec": "30",
        "Restart": "on-failure",
        "ExecReload": "/bin/sh -c 'kill -HUP $MAINPID'",
        "DynamicUser": "yes",
        "StateDirectory": "edge-ae",
        "UMask": "0077",
    }
    assert {key: unit.get(key) for key in expected} == expected


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".service")])
def test_unit_runs_nothing_that_a_minimal_image_lacks(name: str) -> None:
    programs = {value.split()[0] for key, value in service(name).items() if key.startswith("Exec")}
    assert programs <= {"/usr/bin/env", "/bin/sh"}, "procps, with /bin/kill, is not in every image"


def test_recorder_is_restarted_and_watched_and_writes_where_it_may() -> None:
    unit = service("edge-ae-record.service")
    expected = {
        "Type": "notify",
        "NotifyAccess": "main",
        "WatchdogSec": "30",
        "Restart": "on-failure",
        "DynamicUser": "yes",
        "StateDirectory": "edge-ae-record",
        "UMask": "0077",
    }
    assert {key: unit.get(key) for key in expected} == expected
    assert unit["ExecStart"].endswith(f"--out /var/lib/{unit['StateDirectory']}")


def test_page_is_restarted_and_watched_and_keeps_nothing() -> None:
    unit = service("edge-ae-web.service")
    expected = {"Type": "notify", "WatchdogSec": "30", "Restart": "on-failure", "DynamicUser": "yes", "UMask": "0077"}
    assert {key: unit.get(key) for key in expected} == expected
    assert "StateDirectory" not in unit


@pytest.mark.parametrize("unit", ["edge-ae.service", "edge-ae-record.service", "edge-ae-web.service"])
def test_command_of_a_unit_is_one_of_ours_and_takes_these_options(unit: str) -> None:
    _, program, *arguments = service(unit)["ExecStart"].split()
    assert program == "/opt/edge-ae/bin/edge-ae"
    parser().parse_args(arguments)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".service")])
def test_journal_calls_a_service_by_its_own_name(name: str) -> None:
    assert service(name)["SyslogIdentifier"].removesuffix("%i") == name.removesuffix(".service")


def credentials(unit: str) -> dict[str, str]:
    """The name of each credential, and the file that it comes from."""
    return dict(re.findall(r"^LoadCredential=([\w-]+):(.+)$", (UNITS / unit).read_text(), re.M))


@pytest.mark.parametrize(
    ("unit", "names"),
    [
        ("edge-ae.service", ["mqtt-password", "notify-urls"]),
        ("edge-ae-record.service", ["mqtt-password"]),
        ("edge-ae-web.service", ["mqtt-password", "web-password"]),
    ],
)
def test_missing_credential_does_not_keep_the_daemon_from_starting(unit: str, names: list[str]) -> None:
    """systemd fails a unit whose absolute credential path is missing, and skips a relative one."""
    found = credentials(unit)
    assert list(found) == names
    assert [source for source in found.values() if source.startswith("/")] == []


def test_onnxruntime_scores_where_data_may_not_become_code() -> None:
    assert service("edge-ae.service")["MemoryDenyWriteExecute"] == "yes"
    done = subprocess.run([sys.executable, "-c", SCORE_WITHOUT_EXECUTABLE_DATA], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("alone", "commands"),
    [("edge-ae.service", ["ExecStart"]), ("edge-ae-learn.service", ["ExecCondition", "ExecStart"])],
)
def test_one_of_several_is_as_one_alone_but_for_its_settings_and_its_state(alone: str, commands: list[str]) -> None:
    one, many = ((UNITS / name).read_text().splitlines() for name in (alone, alone.replace(".", "@.")))
    differ = [line for line in many if line not in one and not line.startswith("#")]
    assert [line.partition("=")[0] for line in differ] == [
        *("Description", "Documentation", "SyslogIdentifier", *commands, "StateDirectory")
    ]
    assert all("%i" in line for line in differ)
    assert len(many) == len(one) + 1, "and one more line of comment"


def test_learner_beside_one_of_several_daemons_has_the_state_and_the_settings_of_that() -> None:
    learner, daemon = service("edge-ae-learn@.service"), service("edge-ae@.service")
    assert learner["StateDirectory"] == daemon["StateDirectory"]
    assert [one["ExecStart"].split()[-1] for one in (learner, daemon)] == ["/etc/edge-ae/%i.toml"] * 2


def test_a_candidate_that_is_not_better_is_no_failure() -> None:
    assert service("edge-ae-retrain.service")["SuccessExitStatus"] == "3"


def test_what_learns_is_the_daemons_own_user_and_everything_else_goes_before_it() -> None:
    """systemd gives two units the same dynamic user where they name the same one; unnamed, it is called as its unit."""
    unit, daemon = service("edge-ae-learn.service"), service("edge-ae.service")
    assert (unit["User"], unit["DynamicUser"], "User" in daemon) == ("edge-ae", "yes", False)
    assert [unit[key] for key in ("StateDirectory", "StateDirectoryMode", "UMask")] == [
        daemon[key] for key in ("StateDirectory", "StateDirectoryMode", "UMask")
    ]
    expected = {"Type": "oneshot", "Nice": "19", "CPUWeight": "10", "CPUQuota": "80%", "IOSchedulingClass": "idle"}
    assert {key: unit.get(key) for key in expected} == expected
    assert {"MemoryMax", "PrivateNetwork"} <= unit.keys()
    _, program, *arguments = unit["ExecStart"].split()
    assert program == "/opt/edge-ae/bin/edge-ae-train"
    train_parser(COMMANDS).parse_args(arguments)


@pytest.mark.parametrize(
    ("line", "starts"),
    [
        ('model = "auto"', True),
        ("  model='auto'", True),
        ('#model = "auto"', False),
        ('model = "models/auto.onnx"', False),
    ],
)
def test_what_learns_is_started_only_where_a_stream_learns(tmp_path: Path, line: str, starts: bool) -> None:
    settings = tmp_path / "edge-ae.toml"
    settings.write_text(f"[[streams]]\n{line}\n")
    command = service("edge-ae-learn.service")["ExecCondition"].replace("/etc/edge-ae/edge-ae.toml", str(settings))
    assert (subprocess.run(shlex.split(command), check=False).returncode == 0) is starts


@pytest.mark.parametrize("name", NAMES)
def test_no_unit_names_a_home_or_a_user(name: str) -> None:
    text = (UNITS / name).read_text().replace("User=edge-ae\nDynamicUser=yes\n", "")
    assert not re.search(r"%h|/home/|^User=", text, re.M)

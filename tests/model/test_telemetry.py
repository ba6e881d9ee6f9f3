"""onnxruntime says nothing to anybody: no file below the home, no thread, no descriptor, no name looked up.

Each process here has a fresh home. The same measurement on onnxruntime alone shows that it would find something.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.models import write_model

ROOT = Path(__file__).parents[2]
# The vendor's name is looked up between 5 and 9 seconds after the import.
LONG_S = 11.0
OURS = "from edge_ae.model.onnx_model import OnnxModel; OnnxModel.load(sys.argv[1])"
TRAINER = "import edge_ae_train; import onnxruntime"
BARE = "import onnxruntime"
LOOK = """
import json, os, socket, sys, time
resolver = socket.socket(type=socket.SOCK_DGRAM)
if sys.argv[3] == "resolver":
    resolver.bind(("127.0.0.1", 53))
import numpy
threads = len(os.listdir("/proc/self/task"))
{imports}
time.sleep(float(sys.argv[2]))
resolver.setblocking(False)
try:
    asked = resolver.recv(512).hex()
except BlockingIOError:
    asked = ""
files = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.exists(entry.path)]
print(json.dumps({{
    "threads": len(os.listdir("/proc/self/task")) - threads,
    "files": [name for name in files if name.startswith(os.environ["HOME"])],
    "asked": asked,
}}))
"""
# A namespace with the loopback alone, and the child's own socket as the resolver.
ALONE = 'ip link set lo up && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "pump.onnx"
    write_model(path)
    return path


def look(home: Path, imports: str, model: Path, wait_s: float = 0.3, alone: bool = False) -> dict[str, Any]:
    """What a process that imports so has left behind after a while; `home`: the files below its home."""
    home.mkdir()
    arguments = [sys.executable, "-c", LOOK.format(imports=imports), str(model), str(wait_s)]
    command = [*arguments, "resolver" if alone else "none"]
    if alone:
        resolv = home.parent / "resolv.conf"
        resolv.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        command = ["unshare", "--net", "--mount", "sh", "-c", ALONE, "sh", str(resolv), *command]
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found | {"home": [path.name for path in home.rglob("*")]}


NOTHING = {"threads": 0, "files": [], "asked": "", "home": []}


@pytest.mark.parametrize("imports", [OURS, TRAINER], ids=["device", "trainer"])
def test_a_fresh_home_stays_empty_and_no_thread_or_descriptor_is_left(
    tmp_path: Path, model: Path, imports: str
) -> None:
    assert look(tmp_path / "home", imports, model) == NOTHING


def test_the_measurement_finds_what_onnxruntime_leaves_by_itself(tmp_path: Path, model: Path) -> None:
    found = look(tmp_path / "home", BARE, model)
    if found == NOTHING:
        pytest.skip("this version of onnxruntime has no telemetry")
    assert "deviceid" in found["home"]
    assert found["threads"] > 0


def test_no_name_is_looked_up_while_the_vendor_would_be_tried(tmp_path: Path, model: Path) -> None:
    try:
        subprocess.run(["unshare", "--net", "--mount", "ip", "link"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may make no namespaces")
    with ThreadPoolExecutor() as side_by_side:
        bare = side_by_side.submit(look, tmp_path / "bare", BARE, model, LONG_S, alone=True)
        assert look(tmp_path / "home", OURS, model, LONG_S, alone=True) == NOTHING
    if bare.result() == NOTHING:
        pytest.skip("this version of onnxruntime has no telemetry")
    assert b"microsoft" in bytes.fromhex(bare.result()["asked"])


@pytest.mark.parametrize("file", ["systemd/edge-ae.service", "systemd/edge-ae-retrain.service", "deploy/Containerfile"])
def test_unit_and_container_say_so_too(file: str) -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in (ROOT / file).read_text()

"""wheels.sh: what a device without a network needs is fetched for the device's processor and Python, not for those of the workstation."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "wheels.sh"
NEEDS = "Requires-Dist: runtime>=1\nProvides-Extra: signed\nRequires-Dist: signer; extra == 'signed'\n"
TAGS = ["cp311-cp311-manylinux_2_28_{}", "cp312-cp312-manylinux_2_28_{}", "cp311-cp311-musllinux_1_2_{}"]


def wheel(folder: Path, name: str, tag: str, more: str = "") -> Path:
    """A distribution with nothing in it but its metadata."""
    path = folder / f"{name}-1.0-{tag}.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{more}")
        file.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        file.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """A folder that pip takes for one: a runtime for many machines, and a signer for one alone."""
    folder = tmp_path / "registry"
    folder.mkdir()
    for processor in ("aarch64", "x86_64"):
        for tag in TAGS:
            wheel(folder, "runtime", tag.format(processor))
    wheel(folder, "signer", "cp311-abi3-manylinux2014_aarch64")
    return folder


def fetch(folder: Path, registry: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": "/usr/bin:/bin",
        "PYTHON": sys.executable,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(registry),
        "PIP_CONFIG_FILE": "/dev/null",
    }
    ours = wheel(folder, "edge_ae", "py3-none-any", NEEDS)
    command = ["sh", str(SCRIPT), "--from", str(ours), "--out", str(folder / "out"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env)


def fetched(folder: Path) -> set[str]:
    return {path.name for path in (folder / "out").glob("*")}


@pytest.mark.parametrize("processor", ["aarch64", "x86_64"])
@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_wheels_are_those_of_the_device(processor: str, python: str, tmp_path: Path, registry: Path) -> None:
    done = fetch(tmp_path, registry, "--arch", processor, "--python", python)
    assert (done.returncode, done.stderr) == (0, "")
    cp = f"cp{python.replace('.', '')}"
    assert fetched(tmp_path) == {
        "edge_ae-1.0-py3-none-any.whl",
        f"runtime-1.0-{cp}-{cp}-manylinux_2_28_{processor}.whl",
    }
    assert f"sudo deploy/install.sh --wheels {tmp_path}/out" in done.stdout


def test_wheels_of_an_extra_come_with_it(tmp_path: Path, registry: Path) -> None:
    assert fetch(tmp_path, registry, "--arch", "aarch64", "--python", "3.11", "--extra", "signed").returncode == 0
    assert "signer-1.0-cp311-abi3-manylinux2014_aarch64.whl" in fetched(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["--python", "3.11"], 2, "--arch is missing: uname -m says it on the device"),
        (["--arch", "aarch64"], 2, "--python is missing: python3 --version says it on the device"),
        (["--arch", "armv7l", "--python", "3.11"], 1, "there is no onnxruntime for armv7l"),
        (["--arch", "aarch64", "--python", "3.9"], 1, "--python 3.9: 3.11 or newer is needed"),
        (["--arch", "aarch64", "--python", "3.13"], 1, "could not fetch all packages for aarch64 and Python 3.13"),
        (["--arch"], 2, "--arch needs a value"),
        (["--no-such"], 2, "unknown argument --no-such"),
    ],
)
def test_what_cannot_be_fetched_is_said(
    arguments: list[str], status: int, complaint: str, tmp_path: Path, registry: Path
) -> None:
    done = fetch(tmp_path, registry, *arguments)
    assert done.returncode == status
    assert complaint in done.stderr
    assert fetched(tmp_path) <= {"edge_ae-1.0-py3-none-any.whl"}


def test_help_shows_an_example() -> None:
    done = subprocess.run(["sh", str(SCRIPT), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "example: deploy/wheels.sh --arch aarch64 --python 3.11" in done.stdout

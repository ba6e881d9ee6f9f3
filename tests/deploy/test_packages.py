"""What is handed out: the same bytes from the same checkout; a Debian package that comes, takes over, goes, and leaves nothing.

The package here is whole but for its libraries, which are empty; it is installed into a copy of this machine's own file system
that is thrown away.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from deploy import packages
from tests.deploy.test_install import NO_NETWORK
from tests.deploy.test_wheels import wheel

WHEN = "1767225600"
SETTINGS = Path("etc/edge-ae/edge-ae.toml")
UNIT = "# The daemon on the device. Installed by deploy/install.sh; local changes\n[Service]\nExecStart=/opt/edge-ae/bin/edge-ae\n"

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not here: apt-get install dpkg")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("source", "parts"),
    [(packages.ROOT, packages.PARTS), (packages.ROOT / "train", packages.TRAINER)],
    ids=["device", "trainer"],
)
def test_two_wheels_of_a_checkout_are_the_same_to_the_byte(
    source: Path, parts: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", WHEN)
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")  # pip's 0 means yes
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for part in parts:
        subprocess.run(["cp", "-R", str(source / part), str(copy)], check=True)  # with other times
    subprocess.run(["chmod", "-R", "go-rwx", str(copy)], check=True)
    once, again = tmp_path / "once", tmp_path / "again"
    for out, place in ((once, source), (again, copy)):
        out.mkdir()
        packages.wheel(place, parts, out)
    assert [sha256(path) for path in once.iterdir()] == [sha256(path) for path in again.iterdir()]


def package(folder: Path) -> Path:
    """Of wheels with nothing in them, for this processor and Debian's Python."""
    registry = folder / "registry"
    registry.mkdir(parents=True)
    ours = wheel(registry, "edge_ae", "py3-none-any", "Requires-Dist: runtime\nProvides-Extra: signed\n")
    for machine in packages.PROCESSORS.values():
        wheel(registry, "runtime", f"cp311-cp311-manylinux_2_28_{machine}")
    return packages.package(ours, "amd64", "3.11", "signed", folder)


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("package")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", WHEN)
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder / "one" / "registry"))
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        made = package(folder / "one")
        patch.setenv("PIP_FIND_LINKS", str(folder / "two" / "registry"))
        old = os.umask(0o077)
        try:
            assert sha256(package(folder / "two")) == sha256(made), "two builds are the same to the byte"
        finally:
            os.umask(old)
        yield made


def shown(deb: Path, *command: str) -> str:
    return subprocess.run(["dpkg-deb", *command, str(deb)], capture_output=True, text=True, check=True).stdout


@needs_dpkg
def test_package_has_its_program_and_units_in_debians_places(deb: Path) -> None:
    listed = {line.split()[5]: line.split()[0] for line in shown(deb, "--contents").splitlines()}
    assert not [path for path in listed if path.startswith("./opt")]
    assert {path for path in listed if path.startswith("./usr/lib/systemd/system/edge")} == {
        f"./usr/lib/systemd/system/{name}" for name in packages.UNITS
    }
    assert listed["./usr/lib/edge-ae/bin/edge-ae"] == "-rwxr-xr-x"
    assert "./usr/lib/edge-ae/lib/python3.11/site-packages/runtime-1.0.dist-info/METADATA" in listed
    fields = shown(deb, "--field")
    assert "Architecture: amd64\n" in fields
    # Before it is unpacked: of a Python that is not there it must not have moved anything.
    assert "Pre-Depends: python3 (>= 3.11), python3 (<< 3.12)\n" in fields


@needs_dpkg
@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_scripts_of_the_package_know_its_units(deb: Path, script: str, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "--control", str(deb), str(tmp_path / "control")], check=True)
    text = (tmp_path / "control" / script).read_text()
    assert [name for name in packages.UNITS if "@" not in name and name not in text] == []
    assert "@units@" not in text


@pytest.mark.parametrize("name", packages.UNITS)
def test_unit_of_the_package_runs_the_packages_program(name: str) -> None:
    text = packages.unit(name)
    assert "/opt/" not in text
    assert "install.sh" not in text
    program = "edge-ae-train" if name in packages.LEARN else "edge-ae"
    assert name.endswith(".timer") or f"ExecStart=/usr/bin/env /usr/lib/edge-ae/bin/{program} " in text


@needs_dpkg
@pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is not here: apt-get install lintian")
def test_lintian_has_no_error(deb: Path) -> None:
    done = subprocess.run(["lintian", "--fail-on", "error", str(deb)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# -- a life on a machine ----------------------------------------------------------------------------------------


class Copy:
    """This machine's file system, in which what is written goes to a folder: an overlay, with a chroot into it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        for name in ("root", "upper", "work"):
            (folder / name).mkdir()
        layers = f"lowerdir=/,upperdir={folder}/upper,workdir={folder}/work"
        subprocess.run(
            ["mount", "-t", "overlay", "overlay", "-o", layers, str(self.root)], check=True, capture_output=True
        )
        subprocess.run(["mount", "--rbind", "/dev", str(self.root / "dev")], check=True)
        subprocess.run(["mount", "--make-rslave", str(self.root / "dev")], check=True)

    def run(self, *command: str) -> str:
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        done = subprocess.run(
            ["chroot", str(self.root), *command], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def close(self) -> None:
        subprocess.run(["umount", "-R", str(self.root)], check=True)


@pytest.fixture
def machine(deb: Path) -> Iterator[Copy]:
    has_python = Path("/usr/bin/python3.11").exists() and Path("/usr/bin/py3compile").exists()
    if os.geteuid() != 0 or shutil.which("deb-systemd-helper") is None or not has_python:
        pytest.skip("only root of a Debian 12 with python3 and init-system-helpers can install the package")
    if Path("/usr/lib/edge-ae").exists() or Path("/opt/edge-ae").exists() or Path("/etc/edge-ae").exists():
        pytest.skip("edge-ae is installed on this machine")
    place = Path("/var/tmp") / f"edge-ae-test-{os.getpid()}"  # not in memory, where an overlay may not be
    place.mkdir()
    try:
        try:
            copy = Copy(place)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no overlay can be mounted here: {error.stderr}")
        shutil.copyfile(deb, copy.root / "edge-ae.deb")
        yield copy
        copy.close()
    finally:
        shutil.rmtree(place, ignore_errors=True)


def named_ours(machine: Copy) -> list[str]:
    """Every path of ours that is left in the places where packages put things."""
    found = machine.run(
        "find", "/etc", "/usr/lib/systemd", "/usr/bin", "/usr/share/doc", "/opt", "/var/lib", "-name", "*edge-ae*"
    )
    return [line for line in found.splitlines() if "/dpkg/" not in line]


def test_package_comes_goes_and_is_purged_without_a_trace(machine: Copy) -> None:
    before = named_ours(machine)
    machine.run("dpkg", "--force-depends", "-i", "/edge-ae.deb")
    wants = machine.root / "etc/systemd/system/multi-user.target.wants/edge-ae.service"
    assert wants.is_symlink()
    assert machine.run("dpkg", "--verify", "edge-ae") == ""
    (machine.root / SETTINGS).write_text('node = "mine"\n')
    machine.run("dpkg", "--force-depends", "-i", "/edge-ae.deb")  # an upgrade
    assert (machine.root / SETTINGS).read_text() == 'node = "mine"\n'
    (machine.root / "var/lib/edge-ae").mkdir()
    machine.run("dpkg", "-r", "edge-ae")
    assert (machine.root / SETTINGS).read_text() == 'node = "mine"\n'
    assert not (machine.root / "usr/lib/edge-ae").exists()
    machine.run("dpkg", "-P", "edge-ae")
    assert named_ours(machine) == before


def test_package_takes_over_from_the_installer_and_keeps_what_is_the_owners(machine: Copy) -> None:
    system = machine.root / "etc/systemd/system"
    wants = system / "multi-user.target.wants/edge-ae-record.service"
    for name in ("edge-ae", "edge-ae-record"):
        (system / f"{name}.service").write_text(UNIT)
    wants.symlink_to("/etc/systemd/system/edge-ae-record.service")
    for path, text in {
        SETTINGS: 'node = "mine"\n',
        Path("etc/edge-ae/models/pump.onnx"): "a model",
        Path("opt/edge-ae/pyvenv.cfg"): "",
        Path("var/lib/private/edge-ae/edge-ae.db"): "alerts",
    }.items():
        (machine.root / path).parent.mkdir(parents=True, exist_ok=True)
        (machine.root / path).write_text(text)
    machine.run("dpkg", "--force-depends", "-i", "/edge-ae.deb")
    assert (machine.root / SETTINGS).read_text() == 'node = "mine"\n'
    assert not (system / "edge-ae.service").exists(), "else it would go before the package's"
    assert not (machine.root / "opt/edge-ae").exists()
    assert "/systemd/system/edge-ae-record.service" in str(wants.readlink())
    assert not str(wants.readlink()).startswith("/etc/")
    assert (machine.root / "etc/edge-ae/models/pump.onnx").exists()
    assert (machine.root / "var/lib/private/edge-ae/edge-ae.db").exists()


def test_package_leaves_what_was_made_by_hand_and_names_it(machine: Copy) -> None:
    by_hand = {
        "etc/systemd/system/edge-ae.service": "[Service]\nExecStart=/opt/edge-ae/bin/edge-ae run\n",
        "opt/edge-ae/pyvenv.cfg": "home = /usr/bin\n",
    }
    for name, text in by_hand.items():
        (machine.root / name).parent.mkdir(parents=True, exist_ok=True)
        (machine.root / name).write_text(text)
    said = machine.run("sh", "-c", "dpkg --force-depends -i /edge-ae.deb 2>&1")
    assert {name: (machine.root / name).read_text() for name in by_hand} == by_hand
    assert (
        "edge-ae: /etc/systemd/system/edge-ae.service was written by hand and goes before the package's: it stays"
        in said
    )
    assert "edge-ae: /opt/edge-ae was not made by install.sh: it stays, and the package does not use it\n" in said


def test_package_that_was_never_configured_gives_the_settings_back(machine: Copy) -> None:
    (machine.root / SETTINGS).parent.mkdir(parents=True)
    (machine.root / SETTINGS).write_text('node = "mine"\n')
    machine.run("dpkg", "--force-depends", "--unpack", "/edge-ae.deb")
    machine.run("dpkg", "--remove", "edge-ae")
    assert (machine.root / SETTINGS).read_text() == 'node = "mine"\n'


def test_tool_that_is_missing_is_a_sentence(tmp_path: Path) -> None:
    env = os.environ | NO_NETWORK | {"PATH": "/no/such", "SOURCE_DATE_EPOCH": WHEN}
    command = [sys.executable, "-m", "deploy.packages", "--out", str(tmp_path), "--only", "amd64"]
    done = subprocess.run(command, cwd=packages.ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "packages: sh is not installed: apt-get install dpkg; make packages has the rest\n"


def test_trainer_lies_beside_the_daemon_with_a_command_of_its_own(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "edge_ae_train-1.0-py3-none-any.whl", "w") as made:
        made.writestr("edge_ae_train/__main__.py", "")
    home = tmp_path / "tree" / packages.HOME
    (home / "bin").mkdir(parents=True)
    packages.learns(tmp_path / "tree", tmp_path / "edge_ae_train-1.0-py3-none-any.whl", "3.11")
    assert (home / "lib/python3.11/site-packages/edge_ae_train/__main__.py").exists()
    assert "from edge_ae_train.__main__ import main\n" in (home / "bin/edge-ae-train").read_text()
    assert (home / "bin/edge-ae-train").stat().st_mode & 0o111 == 0o111

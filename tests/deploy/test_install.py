"""install.sh in a scratch root: what it makes, that it makes it once, and that nothing stays."""

import stat
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

CHECKOUT = Path(__file__).parents[2]
SCRIPT = CHECKOUT / "deploy" / "install.sh"


def install(*arguments: str | Path, umask: int = -1, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(SCRIPT), *(str(argument) for argument in arguments)]
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHON": sys.executable}
    return subprocess.run(command, capture_output=True, text=True, env=path | environment, umask=umask)


def tree(root: Path) -> dict[str, tuple[str, bytes]]:
    """Every path below root: its mode, and what a file holds."""
    return {
        str(path.relative_to(root)): (stat.filemode(path.stat().st_mode), path.read_bytes() if path.is_file() else b"")
        for path in root.rglob("*")
    }


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_installing_twice_makes_the_same_tree_and_uninstalling_leaves_none(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    root = tmp_path / "root"
    arguments = ("--root", root, "--skip-packages", "--password-file", secret)
    assert install(*arguments).returncode == 0
    once = tree(root)
    assert files(root) == [
        "etc/credstore/edge-ae.mqtt-password",
        "etc/edge-ae/edge-ae.toml",
        "etc/systemd/system/edge-ae.service",
    ]
    assert (root / "etc/edge-ae/models").is_dir()
    assert install(*arguments).returncode == 0
    assert tree(root) == once
    assert install("uninstall", "--root", root).returncode == 0
    assert list(root.rglob("*")) == []


def test_recorder_is_a_service_where_it_is_asked_for_and_goes_with_the_rest(tmp_path: Path) -> None:
    root = tmp_path / "root"
    unit = root / "etc/systemd/system/edge-ae-record.service"
    done = install("--root", root, "--skip-packages", "--record")
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        f"2. {root}/opt/edge-ae/bin/edge-ae check --config {root}/etc/edge-ae/edge-ae.toml --listen 30" in done.stdout
    )
    assert unit.read_bytes() == (CHECKOUT / "systemd" / unit.name).read_bytes()
    unit.write_text("an older one")
    install("--root", root, "--skip-packages")
    assert unit.read_bytes() == (CHECKOUT / "systemd" / unit.name).read_bytes()
    (root / "var/lib/edge-ae-record").mkdir(parents=True)
    assert install("uninstall", "--root", root).returncode == 0
    assert list(root.rglob("*")) == []


# What systemctl is called with, one call a line: here it does nothing else.
SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$CALLS"
[ "$1" != is-active ]
"""


@pytest.mark.parametrize(("options", "enabled"), [([], "edge-ae.service"), (["--record"], "edge-ae-record.service")])
def test_service_that_starts_with_the_machine_is_the_one_that_can_work(
    options: list[str], enabled: str, tmp_path: Path
) -> None:
    (tmp_path / "systemctl").write_text(SYSTEMCTL)
    (tmp_path / "systemctl").chmod(0o755)
    calls = tmp_path / "calls"
    script = SCRIPT.read_text().replace("    trial=yes\n", "    trial=no\n")  # below --root, and yet with systemctl
    copy = tmp_path / "checkout" / "deploy" / "install.sh"
    copy.parent.mkdir(parents=True)
    copy.write_text(script)
    (tmp_path / "checkout" / "systemd").symlink_to(CHECKOUT / "systemd")
    (copy.parent / "edge-ae.toml").symlink_to(CHECKOUT / "deploy" / "edge-ae.toml")
    env = {"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin", "CALLS": str(calls), "PYTHON": sys.executable}
    command = ["sh", str(copy), "--root", str(tmp_path / "root"), "--skip-packages", *options]
    subprocess.run(command, env=env, check=True, capture_output=True)
    assert [line for line in calls.read_text().splitlines() if line.startswith("enable")] == [
        f"enable --quiet {enabled}"
    ]


def test_password_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    secret.chmod(0o644)
    assert install("--root", tmp_path / "root", "--skip-packages", "--password-file", secret).returncode == 0
    kept = tree(tmp_path / "root")
    assert kept["etc/credstore"][0] == "drwx------"
    assert kept["etc/credstore/edge-ae.mqtt-password"] == ("-rw-------", b"hush\n")


def test_next_steps_name_a_check_that_has_the_password_and_the_folder(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    root = tmp_path / "root"
    done = install("--root", root, "--skip-packages", "--password-file", secret)
    given = (
        f"STATE_DIRECTORY={root}/var/lib/edge-ae EDGE_AE_MQTT__PASSWORD_FILE={root}/etc/credstore/edge-ae.mqtt-password"
    )
    assert f"3. {given} {root}/opt/edge-ae/bin/edge-ae check" in done.stdout


def test_settings_of_the_owner_outlive_an_upgrade_and_may_outlive_the_program(tmp_path: Path) -> None:
    install("--root", tmp_path, "--skip-packages")
    settings = tmp_path / "etc/edge-ae/edge-ae.toml"
    settings.write_text('node = "mine"\n')
    install("--root", tmp_path, "--skip-packages")
    assert settings.read_text() == 'node = "mine"\n'
    assert install("uninstall", "--root", tmp_path, "--keep-settings").returncode == 0
    assert files(tmp_path) == ["etc/edge-ae/edge-ae.toml"]


def test_uninstalling_leaves_the_files_of_others_alone(tmp_path: Path) -> None:
    other = tmp_path / "etc/systemd/system/other.service"
    other.parent.mkdir(parents=True)
    other.write_text("[Unit]\n")
    install("--root", tmp_path, "--skip-packages")
    install("uninstall", "--root", tmp_path)
    assert files(tmp_path) == ["etc/systemd/system/other.service"]


def test_uninstalling_where_nothing_is_installed_is_no_error(tmp_path: Path) -> None:
    assert install("uninstall", "--root", tmp_path).returncode == 0


def test_program_comes_from_a_wheel_or_a_checkout_and_is_the_same_to_the_byte_when_installed_again(
    tmp_path: Path,
) -> None:
    source, root = _copy(tmp_path / "source"), tmp_path / "root"
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(tmp_path), str(_copy(tmp_path / "built"))], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    no_network = {"PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}  # 0 means yes
    packages = no_network | {"PYTHONPATH": str(Path(numpy.__file__).parents[1])}
    done = install("--root", root, "--from", wheel, umask=0o077, **packages)
    assert done.returncode == 0, done.stderr
    assert (root / "opt/edge-ae/bin/edge-ae").exists()
    assert install("--root", root, "--from", source, umask=0o077, **packages).returncode == 0
    once = tree(root)
    assert [path for path, (mode, _) in once.items() if mode[7] != "r"] == [], "the daemon's own user reads the program"
    assert install("--root", root, "--from", source, umask=0o022, **packages).returncode == 0
    assert tree(root) == once
    (root / "var/lib/edge-ae").mkdir(parents=True)  # as a check makes it
    assert install("uninstall", "--root", root).returncode == 0
    assert list(root.rglob("*")) == []


def _copy(target: Path) -> Path:
    """What a package is built from; setuptools leaves files where it builds."""
    target.mkdir()
    parts = [name for name in ("pyproject.toml", "README.md", "edge_ae", "train") if (CHECKOUT / name).exists()]
    subprocess.run(["cp", "-R", *(str(CHECKOUT / name) for name in parts), str(target)], check=True)
    return target


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["--no-such"], 2, "unknown argument --no-such"),
        (["--root"], 2, "--root needs a value"),
        (["--root", "/"], 2, "--root / is the machine itself"),
        (["--root", "ROOT", "--keep-settings"], 2, "--keep-settings belongs to uninstall"),
        (["uninstall", "--root", "ROOT", "--record"], 2, "--record belongs to install"),
        (["--root", "ROOT", "--from", "/no/such"], 1, "/no/such is neither a wheel nor a checkout"),
        (["--root", "ROOT", "--wheels", "/no/such"], 1, "there is no folder /no/such"),
        (["--root", "ROOT", "--skip-packages", "--password-file", "/no/such"], 1, "cannot read the password file"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_made(
    arguments: list[str], status: int, complaint: str, tmp_path: Path
) -> None:
    done = install(*(str(tmp_path) if argument == "ROOT" else argument for argument in arguments))
    assert done.returncode == status
    assert complaint in done.stderr
    assert files(tmp_path) == []


def test_old_or_missing_python_is_named(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)
    root = tmp_path / "root"
    assert "Python 3.9.2 is too old" in install("--root", root, "--skip-packages", PYTHON=str(old)).stderr
    assert "there is no /no/python" in install("--root", root, "--skip-packages", PYTHON="/no/python").stderr


def test_help_shows_an_example() -> None:
    done = install("--help")
    assert done.returncode == 0
    assert "example: sudo deploy/install.sh" in done.stdout

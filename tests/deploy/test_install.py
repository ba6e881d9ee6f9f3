"""install.sh in a scratch root: what it makes, that it makes it once, and that nothing stays."""

import re
import shutil
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
        "etc/systemd/system/edge-ae@.service",
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
    unit.write_text("# The recorder on the device. Installed by deploy/install.sh --record; an older one\n")
    install("--root", root, "--skip-packages")
    assert unit.read_bytes() == (CHECKOUT / "systemd" / unit.name).read_bytes()
    (root / "var/lib/edge-ae-record").mkdir(parents=True)
    assert install("uninstall", "--root", root).returncode == 0
    assert list(root.rglob("*")) == []


def test_unit_that_was_written_by_hand_is_kept(tmp_path: Path) -> None:
    unit = tmp_path / "etc/systemd/system/edge-ae.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/home/pi/edge-ae\n")
    for _ in range(2):
        done = install("--root", tmp_path, "--skip-packages")
        assert done.returncode == 0
    assert "was not made by this installer" not in done.stdout, "the second time it was"
    assert unit.read_bytes() == (CHECKOUT / "systemd" / unit.name).read_bytes()
    assert Path(f"{unit}.yours").read_text() == "[Service]\nExecStart=/home/pi/edge-ae\n"


def test_live_page_is_a_service_where_it_is_asked_for_and_goes_with_the_rest(tmp_path: Path) -> None:
    root = tmp_path / "root"
    unit = root / "etc/systemd/system/edge-ae-web.service"
    assert install("--root", root, "--skip-packages").returncode == 0
    assert not unit.exists()
    done = install("--root", root, "--skip-packages", "--web")
    assert (done.returncode, done.stderr) == (0, "")
    assert unit.read_bytes() == (CHECKOUT / "systemd" / unit.name).read_bytes()
    unit.write_text("# Installed by deploy/install.sh: an older one\n")
    install("--root", root, "--skip-packages")
    assert unit.read_bytes() == (CHECKOUT / "systemd" / unit.name).read_bytes()
    assert install("uninstall", "--root", root).returncode == 0
    assert list(root.rglob("*")) == []


def test_what_learns_is_installed_where_it_is_asked_for_and_goes_with_the_rest(tmp_path: Path) -> None:
    root = tmp_path / "root"
    names = ("edge-ae-learn.service", "edge-ae-learn.timer", "edge-ae-learn@.service", "edge-ae-learn@.timer")
    units = [root / "etc/systemd/system" / name for name in names]
    assert install("--root", root, "--skip-packages").returncode == 0
    assert not units[0].exists()
    done = install("--root", root, "--skip-packages", "--learn")
    assert (done.returncode, done.stderr) == (0, "")
    for unit in units:
        assert unit.read_bytes() == (CHECKOUT / "systemd" / unit.name).read_bytes()
        unit.write_text("# Installed by deploy/install.sh: an older one\n")
    install("--root", root, "--skip-packages")
    assert units[1].read_bytes() == (CHECKOUT / "systemd" / units[1].name).read_bytes()
    assert install("uninstall", "--root", root).returncode == 0
    assert list(root.rglob("*")) == []


def test_timer_of_what_learns_is_enabled_and_started_with_the_machine(tmp_path: Path) -> None:
    assert as_on_the_machine(tmp_path, "--learn", path=with_systemctl(tmp_path)).returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert "enable --quiet edge-ae-learn.timer" in calls
    assert "restart edge-ae-learn.timer" in calls


# What systemctl is called with, one call a line: here it does nothing else.
SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$CALLS"
[ "$1" != is-active ]
"""


def as_on_the_machine(
    tmp_path: Path, *options: str, path: str, booted: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs the installer below a root, and yet as where it is no trial; `booted`: as where systemd runs."""
    script = SCRIPT.read_text().replace("    trial=yes\n", "    trial=no\n")
    script = script.replace("booted=/run/systemd/system ", f"booted={tmp_path if booted else '/no/such'} ")
    copy = tmp_path / "checkout" / "deploy" / "install.sh"
    copy.parent.mkdir(parents=True)
    copy.write_text(script)
    (tmp_path / "checkout" / "systemd").symlink_to(CHECKOUT / "systemd")
    (copy.parent / "edge-ae.toml").symlink_to(CHECKOUT / "deploy" / "edge-ae.toml")
    env = {"PATH": path, "CALLS": str(tmp_path / "calls"), "PYTHON": sys.executable}
    command = ["/bin/sh", str(copy), "--root", str(tmp_path / "root"), "--skip-packages", *options]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def with_systemctl(tmp_path: Path) -> str:
    """A PATH on which there is one that only keeps what it is called with."""
    (tmp_path / "systemctl").write_text(SYSTEMCTL)
    (tmp_path / "systemctl").chmod(0o755)
    return f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"


def without_systemctl(tmp_path: Path) -> str:
    """A PATH with what the installer uses, and no systemctl."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("basename", "cp", "dirname", "grep", "head", "id", "install", "mkdir", "rm", "find"):
        (tools / name).symlink_to(shutil.which(name) or name)
    return str(tools)


@pytest.mark.parametrize("options", [[], ["--record"]])
def test_without_systemctl_it_says_what_to_start(options: list[str], tmp_path: Path) -> None:
    done = as_on_the_machine(tmp_path, *options, path=without_systemctl(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    command = "record" if options else "run"
    assert "there is no systemctl here: have what starts services here start" in done.stdout
    assert f"/opt/edge-ae/bin/edge-ae {command} --config" in done.stdout


@pytest.mark.parametrize(("options", "enabled"), [([], "edge-ae.service"), (["--record"], "edge-ae-record.service")])
def test_service_that_starts_with_the_machine_is_the_one_that_can_work(
    options: list[str], enabled: str, tmp_path: Path
) -> None:
    assert as_on_the_machine(tmp_path, *options, path=with_systemctl(tmp_path)).returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [line for line in calls if line.startswith("enable")] == [f"enable --quiet {enabled}"]
    assert "try-restart edge-ae.service edge-ae@*.service" in calls


def test_image_that_is_built_has_its_service_enabled_and_none_started(tmp_path: Path) -> None:
    done = as_on_the_machine(tmp_path, path=with_systemctl(tmp_path), booted=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "calls").read_text() == "enable --quiet edge-ae.service\n"


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


NO_NETWORK = {  # pip's 0 means yes
    "PIP_NO_DEPS": "1",
    "PIP_NO_BUILD_ISOLATION": "0",
    "PYTHONPATH": str(Path(numpy.__file__).parents[1]),
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _copy(tmp_path_factory.mktemp("of") / "source")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Path:
    return _wheel(checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    root = tmp_path_factory.mktemp("installed")
    assert install("--root", root, "--from", wheel, umask=0o022, **NO_NETWORK).returncode == 0
    return root


@pytest.fixture
def root(tmp_path: Path, installed: Path) -> Path:
    """A root of one's own with the program in it, for making an environment takes seconds."""
    subprocess.run(["cp", "-a", str(installed), str(tmp_path / "root")], check=True)
    return tmp_path / "root"


def test_program_comes_from_a_wheel_or_a_checkout_and_is_the_same_to_the_byte_when_installed_again(
    tmp_path: Path, root: Path
) -> None:
    source = _copy(tmp_path / "source")
    assert (root / "opt/edge-ae/bin/edge-ae").exists()
    assert install("--root", root, "--from", source, umask=0o077, **NO_NETWORK).returncode == 0
    once = tree(root)
    assert [path for path, (mode, _) in once.items() if mode[7] != "r"] == [], "the daemon's own user reads the program"
    assert install("--root", root, "--from", source, umask=0o022, **NO_NETWORK).returncode == 0
    assert tree(root) == once
    assert [
        path for path, (_, held) in once.items() if b"edge-ae.next" in held and path.endswith((".cfg", "edge-ae"))
    ] == []
    (root / "var/lib/edge-ae").mkdir(parents=True)  # as a check makes it
    assert install("uninstall", "--root", root).returncode == 0
    assert list(root.rglob("*")) == []


def test_wheel_of_the_same_version_takes_the_place_of_the_old_and_a_wheel_that_fails_does_not(
    tmp_path: Path, root: Path
) -> None:
    source = _copy(tmp_path / "source")
    entry = source / "edge_ae" / "__main__.py"
    entry.write_text(entry.read_text().replace("import sys\n", 'import sys\n\nprint("the new one")\n', 1))
    assert install("--root", root, "--from", _wheel(source, tmp_path), umask=0o022, **NO_NETWORK).returncode == 0
    command = [str(root / "opt/edge-ae/bin/edge-ae"), "--help"]
    assert "the new one" in subprocess.run(command, capture_output=True, text=True, env=NO_NETWORK).stdout
    before = tree(root)
    entry.write_text("raise SystemExit('does not start')\n")
    done = install("--root", root, "--from", _wheel(source, tmp_path), umask=0o022, **NO_NETWORK)
    assert done.returncode == 1
    assert done.stderr.endswith("the new program does not start on this machine, see above; the old program stays\n")
    assert tree(root) == before


def test_half_an_installation_is_made_whole(root: Path, wheel: Path) -> None:
    program = root / "opt/edge-ae"
    shutil.rmtree(program / "lib")  # amid pip's work, as before 0.3.0
    (program / "source").mkdir()
    program.rename(f"{program}.former")  # the power was cut between the two renames
    (root / "opt/edge-ae.next").mkdir()
    done = install("--root", root, "--from", wheel, umask=0o022, **NO_NETWORK)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in (root / "opt").iterdir()) == ["edge-ae"]
    command = [str(program / "bin/edge-ae"), "--version"]
    assert subprocess.run(command, capture_output=True, env=NO_NETWORK).returncode == 0


def test_half_an_installation_does_not_take_the_room_of_the_whole_one(tmp_path: Path, root: Path, wheel: Path) -> None:
    half = root / "opt/edge-ae.next"
    half.mkdir()
    df = tmp_path / "bin" / "df"
    df.parent.mkdir()
    df.write_text(f"#!/bin/sh\nprintf 'x\\nx 1 1 %d 90%%%% /\\n' $([ -e {half} ] && echo 1024 || echo 1024000)\n")
    df.chmod(0o755)
    path = {"PATH": f"{df.parent}:/usr/sbin:/usr/bin:/sbin:/bin"}
    done = install("--root", root, "--from", wheel, umask=0o022, **NO_NETWORK, **path)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_never_runs_here_takes_no_room(installed: Path) -> None:
    (site,) = installed.glob("opt/edge-ae/lib/python3*/site-packages")
    compiled = {path.relative_to(site).parts[0] for path in site.rglob("*.pyc")}
    assert "edge_ae" in compiled, "the daemon may not write there, and would compile at each start"
    assert "pip" not in compiled
    assert not (site / "setuptools").exists()


def test_what_others_made_where_the_program_goes_is_theirs(tmp_path: Path) -> None:
    theirs = tmp_path / "opt/edge-ae/README.md"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("a checkout\n")
    done = install("--root", tmp_path)
    assert done.returncode == 1
    assert f"{theirs.parent} holds what this installer did not make: move it away" in done.stderr
    assert "it stays" in install("uninstall", "--root", tmp_path).stdout
    assert files(tmp_path) == ["opt/edge-ae/README.md"]


def test_wheels_for_another_machine_are_named_and_nothing_is_left(tmp_path: Path, wheel: Path) -> None:
    root = tmp_path / "root"
    done = install("--root", root, "--wheels", wheel.parent, PIP_CONFIG_FILE="/dev/null")
    assert done.returncode == 1
    assert re.fullmatch(
        rf"install.sh: {wheel.parent} lacks [a-z-]+[0-9.,<>=!~]* for this machine: deploy/wheels.sh --arch \w+ --python [0-9.]+ "
        r"fetches them all; nothing was installed\n",
        done.stderr,
    )
    assert files(root) == []


def test_registry_that_cannot_be_reached_is_named_and_the_old_program_stays(root: Path, wheel: Path) -> None:
    before = tree(root)
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:1/simple", "PIP_CONFIG_FILE": "/dev/null"}
    done = install("--root", root, "--from", wheel, umask=0o022, **nowhere)
    assert done.returncode == 1
    assert done.stderr == (
        "install.sh: no package registry can be reached: connect this machine to a network, "
        "or bring the packages with --wheels; the old program stays\n"
    )
    assert tree(root) == before


@pytest.mark.parametrize(
    ("tool", "answer", "complaint"),
    [
        (
            "df",
            "x\nx 1000 900 102400 90%% /",
            "has 100 MB left, and 300 are needed while the program is made: make room",
        ),
        ("date", "1970", "the clock says 1970: set it (timedatectl set-ntp true)"),
    ],
    ids=["full", "1970"],
)
def test_full_disk_and_a_clock_in_the_past_are_named_before_anything_is_made(
    tool: str, answer: str, complaint: str, tmp_path: Path
) -> None:
    fake = tmp_path / "bin" / tool
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\nprintf '{answer}\\n'\n")
    fake.chmod(0o755)
    done = install("--root", tmp_path / "root", PATH=f"{fake.parent}:/usr/sbin:/usr/bin:/sbin:/bin")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert complaint in done.stderr
    assert files(tmp_path / "root") == []


def _wheel(source: Path, target: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    subprocess.run([*pip, "--wheel-dir", str(target), str(source)], check=True)
    (wheel,) = target.glob("*.whl")
    return wheel


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


def test_processor_without_a_runtime_is_named(tmp_path: Path) -> None:
    odd = tmp_path / "python3"
    odd.write_text("#!/bin/sh\ncase $2 in *machine*) echo riscv64 ;; esac\n")
    odd.chmod(0o755)
    done = install("--root", tmp_path / "root", "--skip-packages", PYTHON=str(odd))
    assert (done.returncode, done.stderr) == (
        1,
        "install.sh: there is no onnxruntime for riscv64: edge-ae runs on 64-bit ARM (aarch64) and x86_64\n",
    )


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

"""All that can be handed out: wheels, a Debian package for each processor, checksums, a bill of materials.

    checkout ─► wheel ─► with those that it needs (wheels.sh) ─► a tree ─► dpkg-deb
                                                               └─► CycloneDX

The same checkout gives the same bytes: every file has one time, SOURCE_DATE_EPOCH, and modes that no umask has touched. The
environment of the package is written by hand, for one for arm64 is made on x86_64: nothing of it is run here.
"""

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]
PARTS = ("pyproject.toml", "README.md", "LICENSE", "edge_ae")
TRAINER = ("pyproject.toml", "edge_ae_train")
PROCESSORS = {"amd64": "x86_64", "arm64": "aarch64"}
LEARN = ("edge-ae-learn.timer", "edge-ae-learn.service", "edge-ae-learn@.timer", "edge-ae-learn@.service")
UNITS = ("edge-ae.service", "edge-ae@.service", "edge-ae-record.service", "edge-ae-web.service", *LEARN)
EXTRAS = "signed,metrics,notify,web"  # no pip adds them on a device that has the package
HOME = "usr/lib/edge-ae"
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
EXAMPLES = ("mosquitto", "node-red", "prometheus", "telegraf", "grafana", "homeassistant")
CYCLONE = Path(os.environ.get("CYCLONEDX", "cyclonedx-py"))
ENTRY = "#!/usr/lib/edge-ae/bin/python3\nimport sys\n\nfrom {module}.__main__ import main\n\nsys.exit(main())\n"


def main() -> int:
    """Makes them all into a folder. 1: a tool failed, as it has said."""
    options = parser().parse_args()
    out: Path = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    try:
        wheels = [wheel(ROOT, PARTS, out), wheel(ROOT / "train", TRAINER, out)]
        made = [
            *wheels,
            *(package(wheels[0], name, options.python, options.extras, out, wheels[1]) for name in options.only),
        ]
        made += [bill(path, out) for path in made if path.suffix == ".deb" and not options.no_bill]
    except subprocess.CalledProcessError as error:
        print(f"packages: {error.cmd[0]} ended with {error.returncode}, see above", file=sys.stderr)
        return 1
    except FileNotFoundError as error:
        print(
            f"packages: {error.filename} is not installed: apt-get install dpkg; make packages has the rest",
            file=sys.stderr,
        )
        return 1
    sums = out / "SHA256SUMS"
    sums.write_text("".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(made)))
    for path in (*made, sums):
        print(f"{path.stat().st_size / 2**20:7.1f} MB  {path}")
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="packages.py", description="Wheels, Debian packages, checksums, bills of materials."
    )
    made.add_argument("--out", type=Path, default=ROOT / "out" / "packages", help="(default: out/packages)")
    made.add_argument("--python", default="3.11", help="of the Debian it is for: 3.11 is Debian 12's, 3.13 Debian 13's")
    made.add_argument(
        "--extras", default=EXTRAS, help="what is in the Debian package beside the daemon (default: %(default)s)"
    )
    made.add_argument(
        "--only", nargs="*", default=list(PROCESSORS), choices=PROCESSORS, help="Debian's names of processors"
    )
    made.add_argument("--no-bill", action="store_true", help="no bill of materials")
    return made


def epoch() -> int:
    """The one time of every file: as set, else that of the newest commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    return int(given or subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def wheel(source: Path, parts: tuple[str, ...], out: Path) -> Path:
    """The wheel of a distribution, from a copy: setuptools leaves files where it builds, and takes times and modes as they are."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "source"
        copy.mkdir()
        for part in parts:
            if (source / part).is_dir():
                shutil.copytree(source / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif (source / part).exists():
                shutil.copyfile(source / part, copy / part)
        settle(copy)
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
        environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch()), "PYTHONHASHSEED": "0"}
        subprocess.run(
            [*command, "--no-cache-dir", "--wheel-dir", folder, copy], check=True, env=environment, umask=0o022
        )
        (made,) = Path(folder).glob("*.whl")
        return Path(shutil.copyfile(made, out / made.name))


def package(ours: Path, architecture: str, python: str, extras: str, out: Path, trainer: Path | None = None) -> Path:
    """The Debian package for a processor. `ours`: the wheel of edge-ae; `trainer`: that of edge-ae-train, which learns on the device."""
    version = ours.name.split("-")[1]
    with TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        environment(tree, ours, PROCESSORS[architecture], python, extras, Path(folder) / "wheels")
        if trainer is not None:
            learns(tree, trainer, python)
        files(tree, version)
        values = {
            "version": version,
            "architecture": architecture,
            "maintainer": maintainer(),
            "python": python,
            "next_python": following(python),
        }
        control(tree, values)
        settle(tree)
        target = out / f"edge-ae_{version}_{architecture}.deb"
        stamp = os.environ | {"SOURCE_DATE_EPOCH": str(epoch())}
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "-z2", "--build", tree, target], check=True, env=stamp, stdout=2
        )
    return target


def following(python: str) -> str:
    """3.11 -> 3.12: the wheels are for one minor version."""
    major, minor = python.split(".")
    return f"{major}.{int(minor) + 1}"


def environment(tree: Path, ours: Path, machine: str, python: str, extras: str, wheels: Path) -> None:
    """A virtual environment below `tree`, of wheels for another machine: what venv and pip would write there."""
    site = tree / HOME / "lib" / f"python{python}" / "site-packages"
    bin_folder = tree / HOME / "bin"
    bin_folder.mkdir(parents=True)
    choose = ["--arch", machine, "--python", python, "--extra", extras]
    fetch = ["sh", str(ROOT / "deploy" / "wheels.sh"), *choose, "--from", str(ours), "--out", str(wheels)]
    subprocess.run(fetch, check=True, env=os.environ | {"PYTHON": sys.executable}, stdout=subprocess.DEVNULL)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-deps",
        "--no-compile",
    ]
    foreign = ["--platform", f"manylinux2014_{machine}", "--python-version", python, "--only-binary", ":all:"]
    glibc = [word for minor in range(17, 37) for word in ("--platform", f"manylinux_2_{minor}_{machine}")]
    # By name, for of a file pip writes down where it was, on this machine.
    named = ["==".join(path.name.split("-")[:2]) for path in sorted(wheels.glob("*.whl"))]
    here = ["--no-index", "--find-links", str(wheels), "--target", str(site)]
    subprocess.run([*pip, *here, *foreign, *glibc, *named], check=True, umask=0o022)
    shutil.rmtree(site / "bin", ignore_errors=True)  # commands of the libraries, with the path of this machine's Python
    (bin_folder / "python3").symlink_to(f"/usr/bin/python{python}")
    (bin_folder / "python").symlink_to("python3")
    command(bin_folder / "edge-ae", "edge_ae")
    (tree / HOME / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {python}\n"
    )


def command(path: Path, module: str) -> None:
    path.write_text(ENTRY.format(module=module))
    path.chmod(0o755)


def learns(tree: Path, trainer: Path, python: str) -> None:
    """The trainer beside the daemon, without what only a workstation has room for: it needs no library of its own."""
    with ZipFile(trainer) as wheel_file:
        wheel_file.extractall(tree / HOME / "lib" / f"python{python}" / "site-packages")
    command(tree / HOME / "bin" / "edge-ae-train", "edge_ae_train")


def maintainer() -> str:
    """Whoever makes the package, in the variables that Debian's tools take it from."""
    name, mail = os.environ.get("DEBFULLNAME"), os.environ.get("DEBEMAIL")
    return f"{name or 'edge-ae maintainers'} <{mail or 'edge-ae@localhost.localdomain'}>"


def files(tree: Path, version: str) -> None:
    """All that stands outside the environment: units, settings, the command, documents."""
    place(tree, "usr/lib/systemd/system", {name: unit(name) for name in UNITS})
    place(tree, "etc/edge-ae", {"edge-ae.toml": (ROOT / "deploy" / "edge-ae.toml").read_text()})
    (tree / "etc/edge-ae/models").mkdir()
    (tree / "usr/bin").mkdir()
    (tree / "usr/bin/edge-ae").symlink_to("../lib/edge-ae/bin/edge-ae")
    overrides = (ROOT / "deploy/debian/lintian-overrides").read_text()
    place(tree, "usr/share/lintian/overrides", {"edge-ae": overrides})
    documents = tree / "usr/share/doc/edge-ae"
    place(tree, "usr/share/doc/edge-ae", {"copyright": (ROOT / "deploy/debian/copyright").read_text()})
    when = formatdate(epoch())
    entry = f"edge-ae ({version}) unstable; urgency=medium\n\n  * See CHANGELOG.md.gz.\n\n -- {maintainer()}  {when}\n"
    texts = {"changelog.gz": entry.encode(), "CHANGELOG.md.gz": (ROOT / "CHANGELOG.md").read_bytes()}
    for name, text in texts.items():
        (documents / name).write_bytes(gzip.compress(text, 9, mtime=0))
    for name in EXAMPLES:
        if (ROOT / "deploy" / name).is_dir():
            shutil.copytree(ROOT / "deploy" / name, documents / "examples" / name)


def place(tree: Path, folder: str, texts: Mapping[str, str]) -> None:
    (tree / folder).mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (tree / folder / name).write_text(text)


def unit(name: str) -> str:
    """A unit as the package has it: another folder, and another word on where it came from."""
    text = (ROOT / "systemd" / name).read_text().replace("/opt/edge-ae/", f"/{HOME}/")
    return re.sub(r"Installed by deploy/install\.sh[^;\n]*;?", "Of the package edge-ae;", text, count=1)


def control(tree: Path, values: Mapping[str, str]) -> None:
    """What dpkg reads and runs."""
    folder = tree / "DEBIAN"
    folder.mkdir()
    size = sum(path.lstat().st_size for path in tree.rglob("*") if path.is_file()) // 1024
    filled = {**values, "size": str(size), "units": " ".join(name for name in UNITS if "@" not in name)}
    for name in ("control", *SCRIPTS):
        text = (ROOT / "deploy/debian" / name).read_text()
        for word, value in filled.items():
            text = text.replace(f"@{word}@", value)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755 if name in SCRIPTS else 0o644)
    (folder / "conffiles").write_text("/etc/edge-ae/edge-ae.toml\n")
    (folder / "md5sums").write_text("".join(sums(tree)))


def sums(tree: Path) -> Iterator[str]:
    """What `dpkg --verify` compares with: all files but those of dpkg's own folder and the conffile."""
    for path in sorted(tree.rglob("*")):
        inner = path.relative_to(tree)
        if path.is_file() and not path.is_symlink() and inner.parts[0] not in ("DEBIAN", "etc"):
            yield f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {inner}\n"


def settle(tree: Path) -> None:
    """One time and the plainest modes for all below, so that neither the hour nor a umask is in what is made of them."""
    when = epoch()
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or (path.parent.name in ("bin", "DEBIAN") and os.access(path, os.X_OK))
            path.chmod(0o755 if executable else 0o644)
        os.utime(path, (when, when), follow_symlinks=False)


def bill(deb: Path, out: Path) -> Path:
    """What is in a Debian package, in CycloneDX, by the field's own tool."""
    target = out / f"{deb.stem}.cdx.json"
    with TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "--extract", deb, folder], check=True)
        (site,) = Path(folder).glob(f"{HOME}/lib/python*/site-packages")
        # The environment's own may be of another processor; only its sys.path is asked for.
        look = Path(folder) / "python"
        look.write_text(f"#!/bin/sh\necho '[\"{site}\"]'\n")
        look.chmod(0o755)
        tool = [str(CYCLONE), "environment", "--output-reproducible", "--of", "JSON"]
        subprocess.run([*tool, "--pyproject", str(ROOT / "pyproject.toml"), "-o", str(target), str(look)], check=True)
    return target


if __name__ == "__main__":
    sys.exit(main())

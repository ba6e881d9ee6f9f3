"""`make roots`: the Debian packages in clean roots: they come, take over, stand aside for what is not theirs, and go.

clean root ─► a life: dpkg -i, an upgrade, --remove, --purge          of either processor
           ─► over 0.1 by install.sh, over what was made by hand
           ─► on a full disk, of another processor: refused, and nothing is lost

`--short` is the life alone, on amd64, of a package with the libraries of the daemon: in minutes, for each change.
"""

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.packages import EXTRAS
from tests.machines import base_root
from tests.machines.arm_root import CPUINFO
from tests.machines.base_root import CHECKOUT, KEPT
from tests.machines.findings import Finding, clean_up_on_sigterm, closed, guarded

CORE = "cortex-a72"
WHEN = "1767225600"  # of every file, whatever is committed meanwhile
SETTINGS = "etc/edge-ae/edge-ae.toml"
UNIT = "etc/systemd/system/edge-ae.service"
WANTS = "etc/systemd/system/multi-user.target.wants/edge-ae.service"
TIMER = "etc/systemd/system/timers.target.wants/edge-ae-learn.timer"
LEARN = f"/usr/lib/edge-ae/bin/edge-ae-train learn --once --config /{SETTINGS}"
TRACES = "find /etc /opt /usr/lib /usr/bin /usr/share /var/lib -name '*edge-ae*' ! -path '/var/lib/dpkg/*'"
OWNERS = {  # what no package may touch
    SETTINGS: 'node = "mine"\n',
    "etc/edge-ae/models/pump.onnx": "a model",
    "etc/credstore/edge-ae.mqtt-password": "hush\n",
    "var/lib/private/edge-ae/edge-ae.db": "alerts",
}
BY_HAND = {UNIT: "[Service]\nExecStart=/opt/edge-ae/run\n", "opt/edge-ae/run": "#!/bin/sh\n"}


@dataclass(frozen=True)
class Root:
    """A clean one, with the packages in its top folder."""

    path: Path
    cpuinfo: str | None = None

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        return base_root.run(self.path, script, {} if self.cpuinfo is None else {"QEMU_CPU": CORE})

    def must(self, script: str) -> str:
        done = self.run(script)
        assert done.returncode == 0, f"{script} ended with {done.returncode}: {done.stdout[-600:]}"
        return done.stdout

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(text)

    def lost(self, files: dict[str, str]) -> list[str]:
        """Of these files what is not there as it was."""
        return [name for name, text in files.items() if not self._has(name, text)]

    def _has(self, name: str, text: str) -> bool:
        path = self.path / name
        return path.exists() and path.read_text() == text

    @property
    def traces(self) -> str:
        return self.must(TRACES)


Kind = Callable[[Root], Iterator[Finding]]


def lacking() -> str | None:
    return base_root.lacking("dpkg-deb")


def packages(folder: Path, *architectures: str, extras: str = EXTRAS) -> dict[str, Path]:
    """As `make packages` builds them."""
    command = [sys.executable, "-m", "deploy.packages", "--no-bill", "--extras", extras]
    command += ["--out", str(folder), "--only", *architectures]
    environment = os.environ | {"SOURCE_DATE_EPOCH": WHEN}
    subprocess.run(command, check=True, cwd=CHECKOUT, env=environment, stdout=subprocess.DEVNULL)
    return {name: next(folder.glob(f"*_{name}.deb")) for name in architectures}


@contextmanager
def root(folder: Path, architecture: str, debs: dict[str, Path]) -> Iterator[Root]:
    """A new one, which is gone afterwards."""
    with TemporaryDirectory(dir=folder) as place:
        path = base_root.unpacked(architecture, Path(place) / "root")
        for name, deb in debs.items():
            os.link(deb, path / f"{name}.deb")
        cpuinfo = CPUINFO[CORE] if architecture == "arm64" else None
        with base_root.entered(path, cpuinfo):
            yield Root(path, cpuinfo)


def short() -> Iterator[Finding]:
    KEPT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=KEPT, prefix="roots-") as scratch:
        debs = packages(Path(scratch) / "once", "amd64", extras="signed")
        yield from guarded(_in_a_clean_root(life, Path(scratch), "amd64", debs))


def checks() -> Iterator[Finding]:
    KEPT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=KEPT, prefix="roots-") as scratch:
        folder = Path(scratch)
        arm = base_root.lacking_arm()
        debs = packages(folder / "once", "amd64", *(() if arm else ("arm64",)))
        yield from guarded(twice(folder, debs))
        kinds: list[Kind] = [life, over_an_older, over_a_hand_made, refused]
        for kind in kinds:
            yield from guarded(_in_a_clean_root(kind, folder, "amd64", debs))
        if arm is not None:
            yield Finding("arm64", f"left out: {arm}")
            return
        arm_found = guarded(_in_a_clean_root(life, folder, "arm64", {"amd64": debs["arm64"]}))
        yield from (replace(found, what=f"{CORE}: {found.what}") for found in arm_found)


def _in_a_clean_root(kind: Kind, folder: Path, architecture: str, debs: dict[str, Path]) -> Iterator[Finding]:
    with root(folder, architecture, debs) as clean:
        yield from kind(clean)


def twice(folder: Path, debs: dict[str, Path]) -> Iterator[Finding]:
    again = packages(folder / "again", "amd64")["amd64"]
    sums = [hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in (debs["amd64"], again)]
    yield Finding("the package built twice", " ".join(sums), sums[0] == sums[1])


def life(clean: Root) -> Iterator[Finding]:
    before = clean.traces
    clean.must("dpkg -i /amd64.deb")
    verified = clean.must("dpkg --verify edge-ae")
    yield Finding("installed in a clean root", verified or "every file as packed", verified == "")
    program = clean.run("edge-ae doctor --json")
    yield Finding("edge-ae doctor runs", f"status {program.returncode}", '"runtime"' in program.stdout)
    yield Finding("starts with the machine", "enabled", (clean.path / WANTS).is_symlink())
    learner = clean.run(
        f"sed -i 's/^model = .*/model = \"auto\"/' /{SETTINGS}; STATE_DIRECTORY=/var/lib/edge-ae {LEARN}"
    )
    said = learner.stdout.strip()[-200:]
    yield Finding("it learns, without torch", said, learner.returncode == 0 and (clean.path / TIMER).is_symlink())
    clean.write(OWNERS)
    clean.must("dpkg -i /amd64.deb")
    yield _kept("installed over itself", clean, OWNERS)
    clean.must("dpkg --remove edge-ae")
    gone = not (clean.path / "usr/lib/edge-ae").exists()
    yield _kept("removed", clean, OWNERS, gone)
    clean.must("dpkg --purge edge-ae")
    yield Finding("purged", clean.traces or "nothing is left", clean.traces == before)


def _kept(what: str, clean: Root, files: dict[str, str], also: bool = True) -> Finding:
    lost = clean.lost(files)
    return Finding(what, f"lost: {', '.join(lost)}" if lost else "kept: what is the owner's", also and not lost)


def over_an_older(clean: Root) -> Iterator[Finding]:
    """As 0.1 left it: an environment of pip's, one unit, enabled."""
    clean.write({**OWNERS, UNIT: (CHECKOUT / "systemd/edge-ae.service").read_text()})
    clean.must(f"python3 -m venv /opt/edge-ae && mkdir -p $(dirname /{WANTS}) && ln -s /{UNIT} /{WANTS}")
    clean.must("dpkg -i /amd64.deb")
    yield _kept("over 0.1's install.sh", clean, OWNERS)
    left = clean.run(f"ls -d /opt/edge-ae /{UNIT}")
    target = str((clean.path / WANTS).readlink())
    yield Finding(
        "  its program and its unit", f"gone; enabled is {target}", left.returncode != 0 and "/etc/" not in target
    )


def over_a_hand_made(clean: Root) -> Iterator[Finding]:
    clean.write({**OWNERS, **BY_HAND})
    out = clean.must("dpkg -i /amd64.deb")
    yield _kept("over what was made by hand", clean, {**OWNERS, **BY_HAND})
    yield _sentence("  it says", out, "edge-ae: ")
    clean.must("dpkg --purge edge-ae")
    yield _kept("  and purged", clean, BY_HAND)


def _sentence(what: str, out: str, begin: str) -> Finding:
    lines = [line.strip() for line in out.splitlines() if line.strip().startswith(begin)]
    return Finding(what, " ".join(lines), bool(lines))


def refused(clean: Root) -> Iterator[Finding]:
    """What cannot be installed is said, changes nothing, and can be made good."""
    clean.write(OWNERS)
    other = clean.run("dpkg -i /arm64.deb")
    yield _sentence("of another processor", other.stdout, "package architecture")
    place = clean.path / "usr/lib/edge-ae"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(place)], check=True)
    full = clean.run("dpkg -i /amd64.deb")
    subprocess.run(["umount", str(place)], check=True)
    yield Finding("on a full disk", _last_error(full.stdout), full.returncode != 0 and "No space left" in full.stdout)
    yield _kept("  and then", clean, OWNERS)
    clean.must("dpkg -i /amd64.deb && edge-ae --help")
    yield _kept("installed once there is room", clean, OWNERS)


def _last_error(out: str) -> str:
    return next((line.strip() for line in out.splitlines() if "No space" in line), out[-200:])


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.machines.roots", description="The Debian packages in clean roots.")
    parser.add_argument("--short", action="store_true", help="one life on amd64 alone")
    options = parser.parse_args()
    clean_up_on_sigterm()
    return closed("roots", lacking() or base_root.unmade("amd64"), short if options.short else checks)


if __name__ == "__main__":
    sys.exit(main())

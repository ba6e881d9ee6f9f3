"""A Debian of either processor as a folder, and commands in it: mmdebstrap makes it, chroot goes into it, qemu-user runs it where it
is another processor's. What is made is kept as an archive in a folder that git ignores.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
KEPT = CHECKOUT / "out" / "machines"
SUITE, PYTHON = "bookworm", "3.11"
PACKAGES = "python3,python3-venv"
PATH = "/opt/edge-ae/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BINFMT = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
DEVICES = ("null", "urandom")


def lacking(*tools: str) -> str | None:
    """Why no root can be made and entered here, and what to do; None: it can. `tools`: what else is needed, Debian's names."""
    if os.geteuid() != 0:
        return "only root can go into a root of its own"
    missing = [tool for tool in ("mmdebstrap", *tools) if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} missing: apt-get install {' '.join(missing)}"
    may = subprocess.run(["unshare", "--mount", "--net", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True)
    return (
        None if may.returncode == 0 else "this root may not mount: run it outside a container, or in a privileged one"
    )


def lacking_arm() -> str | None:
    """Likewise, why none for arm64 can be run here."""
    if shutil.which("qemu-aarch64-static") is None:
        return "qemu-user-static missing: apt-get install qemu-user-static"
    if not BINFMT.exists():
        return "the kernel does not know qemu-aarch64: mount binfmt_misc, then systemctl restart systemd-binfmt"
    return None


def archive(architecture: str) -> Path:
    """The root, made once."""
    made = KEPT / f"{architecture}.tar"
    if not made.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        half = made.with_suffix(".half.tar")
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--arch={architecture}", f"--include={PACKAGES}"]
        subprocess.run([*command, SUITE, str(half)], check=True)
        half.rename(made)
    return made


def unmade(architecture: str) -> str | None:
    """Why there is no root of this processor, and what to do; None: there is one, made now if need be."""
    try:
        archive(architecture)
    except subprocess.CalledProcessError:
        return "mmdebstrap could not make a Debian root, as it says above: it needs a mirror of Debian"
    return None


def unpacked(architecture: str, root: Path) -> Path:
    """A new root in this folder."""
    root.mkdir(parents=True)
    subprocess.run(["tar", "-C", str(root), "-xf", str(archive(architecture)), "--exclude=./dev/*"], check=True)
    return root


@contextmanager
def entered(root: Path, cpuinfo: str | None = None) -> Iterator[None]:
    """With /proc and the devices that programs cannot do without; `cpuinfo`: what stands there in place of this machine's."""
    mounts = [("proc", root / "proc")] + [(f"/dev/{name}", root / "dev" / name) for name in DEVICES]
    if cpuinfo is not None:
        (root / "cpuinfo").write_text(cpuinfo)
        mounts.append((str(root / "cpuinfo"), root / "proc/cpuinfo"))
    for name in DEVICES:
        (root / "dev" / name).touch()
    done: list[Path] = []
    try:
        for source, place in mounts:
            how = ["-t", "proc"] if source == "proc" else ["--bind"]
            subprocess.run(["mount", *how, source, str(place)], check=True)
            done.append(place)
        yield
    finally:
        for place in reversed(done):
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def command(root: Path, words: Sequence[str], **environment: str) -> list[str]:
    """What runs `words` in the root."""
    known = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"} | environment
    return ["chroot", str(root), "env", "-i", *(f"{name}={value}" for name, value in known.items()), *words]


def run(root: Path, script: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A shell's work in the root, which has no network; both its outputs are `stdout`."""
    words = ["unshare", "-n", *command(root, ["sh", "-c", script], **(environment or {}))]
    return subprocess.run(words, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

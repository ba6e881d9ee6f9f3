"""A Debian for arm64 on a machine of another kind: mmdebstrap makes it, qemu-user runs it, chroot goes into it.

The root is made once, into a folder that git ignores; a copy of it, with edge-ae installed by install.sh from wheels alone and
without a network, is kept beside it and made anew for every version of the checkout.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
KEPT = CHECKOUT / "out" / "machines"
TOOLS = {"mmdebstrap": "mmdebstrap", "qemu-aarch64-static": "qemu-user-static"}
BINFMT = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
PYTHON = "3.11"  # of Debian 12

# What /proc/cpuinfo says on these boards: qemu-user shows the host's, and onnxruntime dies of a processor that it cannot name.
CPUINFO = {
    "cortex-a72": "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n"
    "CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n",
    "cortex-a76": "processor\t: 0\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm "
    "lrcpc dcpop asimddp\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: 0xd0b\nCPU revision\t: 1\n\n",
}


def lacking() -> str | None:
    """Why this machine cannot do it, and what to do; None: it can."""
    if os.geteuid() != 0:
        return "only root can go into a root of its own"
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} missing: apt-get install {' '.join(missing)}"
    if not BINFMT.exists():
        return "the kernel does not know qemu-aarch64: mount binfmt_misc, then systemctl restart systemd-binfmt"
    return None


def installed() -> Path:
    """A root in which edge-ae is installed as on a device without a network."""
    base, root = KEPT / "arm64.tar", KEPT / "arm64"
    KEPT.mkdir(parents=True, exist_ok=True)
    if not base.exists():
        half = base.with_suffix(".half.tar")
        command = ["mmdebstrap", "--quiet", "--variant=minbase", "--arch=arm64", "--include=python3,python3-venv"]
        subprocess.run([*command, "bookworm", str(half)], check=True)
        half.rename(base)
    if not (root / "usr").exists():
        root.mkdir(exist_ok=True)
        subprocess.run(["tar", "-C", str(root), "-xf", str(base), "--exclude=./dev/*"], check=True)
    fetch = [
        "sh",
        str(CHECKOUT / "deploy/wheels.sh"),
        "--arch",
        "aarch64",
        "--python",
        PYTHON,
        "--out",
        str(root / "wheels"),
    ]
    subprocess.run(fetch, check=True)
    for part in ("deploy", "systemd"):
        shutil.copytree(CHECKOUT / part, root / "checkout" / part, dirs_exist_ok=True)
    with entered(root, "cortex-a72"):
        # A network of its own, with nothing in it.
        run(root, "cortex-a72", ["sh", "/checkout/deploy/install.sh", "--wheels", "/wheels"], around=["unshare", "-n"])
    return root


@contextmanager
def entered(root: Path, core: str) -> Iterator[None]:
    """With /proc, a /dev/null, and the cpuinfo of a board with this core."""
    (root / "cpuinfo").write_text(CPUINFO[core])
    for name in ("null", "urandom"):
        (root / "dev" / name).touch()
    mounts = [root / "proc", root / "proc/cpuinfo", root / "dev/null", root / "dev/urandom"]
    done: list[Path] = []
    try:
        for place, source in zip(mounts, ("proc", str(root / "cpuinfo"), "/dev/null", "/dev/urandom"), strict=True):
            how = ["-t", "proc"] if source == "proc" else ["--bind"]
            subprocess.run(["mount", *how, source, str(place)], check=True)
            done.append(place)
        yield
    finally:
        for place in reversed(done):
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def command(root: Path, core: str, words: Sequence[str]) -> list[str]:
    """What runs `words` in the root, on this core."""
    env = ["env", "-i", "PATH=/opt/edge-ae/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", f"QEMU_CPU={core}"]
    return ["chroot", str(root), *env, *words]


def run(root: Path, core: str, words: Sequence[str], around: Sequence[str] = ()) -> str:
    """What a command in the root prints; the machine's own fault where it fails."""
    done = subprocess.run([*around, *command(root, core, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} on {core} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout

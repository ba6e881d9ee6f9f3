"""A Debian for arm64 on a machine of another kind, in which edge-ae is installed by install.sh from wheels alone and without a
network. The root is kept in a folder that git ignores, and edge-ae in it is made anew for every version of the checkout.
"""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.machines import base_root
from tests.machines.base_root import CHECKOUT, KEPT, PYTHON

# What /proc/cpuinfo says on these boards: qemu-user shows the host's, and onnxruntime dies of a processor that it cannot name.
CPUINFO = {
    "cortex-a72": "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n"
    "CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n",
    "cortex-a76": "processor\t: 0\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm "
    "lrcpc dcpop asimddp\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: 0xd0b\nCPU revision\t: 1\n\n",
}


def lacking() -> str | None:
    """Why this machine cannot do it, and what to do; None: it can."""
    return base_root.lacking() or base_root.lacking_arm()


def installed() -> Path:
    """A root in which edge-ae is installed as on a device without a network."""
    root = KEPT / "arm64"
    if not root.exists():
        base_root.unpacked("arm64", root)
    arguments = ["--arch", "aarch64", "--python", PYTHON, "--out", str(root / "wheels")]
    subprocess.run(["sh", str(CHECKOUT / "deploy/wheels.sh"), *arguments], check=True)
    for part in ("deploy", "systemd"):
        shutil.copytree(CHECKOUT / part, root / "checkout" / part, dirs_exist_ok=True)
    with entered(root, "cortex-a72"):
        run(root, "cortex-a72", "sh /checkout/deploy/install.sh --wheels /wheels")
    return root


@contextmanager
def entered(root: Path, core: str) -> Iterator[None]:
    """With the cpuinfo of a board with this core."""
    with base_root.entered(root, CPUINFO[core]):
        yield


def command(root: Path, core: str, words: Sequence[str]) -> list[str]:
    """What runs `words` in the root, on this core."""
    return base_root.command(root, words, QEMU_CPU=core)


def run(root: Path, core: str, script: str) -> str:
    """What a script in the root, which has no network, prints; the machine's own fault where it fails."""
    done = base_root.run(root, script, {"QEMU_CPU": core})
    if done.returncode != 0:
        raise RuntimeError(f"{script} on {core} ended with {done.returncode}: {done.stdout}")
    return done.stdout

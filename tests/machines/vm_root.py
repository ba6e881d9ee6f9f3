"""A Debian with kernel and systemd as an image of a disk, and what is carried to it on a stick.

mmdebstrap makes the root once, into a folder that git ignores; virtual machines write to overlays of it. Its network is that of a
plant without one: an address, no gateway and no name server, so that of all the world it reaches this machine alone.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conftest import MOSQUITTO
from tests.machines import base_root
from tests.machines.base_root import CHECKOUT, KEPT, PYTHON, SUITE

PACKAGES = "systemd,systemd-sysv,udev,dbus,libnss-systemd,python3,python3-venv,qemu-guest-agent,linux-image-cloud-amd64,initramfs-tools"
WITHOUT = ("doc", "man", "locale")  # below /usr/share: nobody reads there
DISK_MB, STATE_MB, STICK_MB = 2500, 48, 400
FILES = {
    "etc/hostname": "device\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 device\n",
    "etc/resolv.conf": "",
    # The state has a partition of its own, as on devices whose root is read-only.
    "etc/fstab": "/dev/vda / ext4 errors=remount-ro 0 1\n/dev/vdb /var/lib/private ext4 defaults 0 2\n",
    "etc/systemd/network/wired.network": "[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\nLinkLocalAddressing=no\n",
}
IDLE = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_reap.service", "fstrim.timer")
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mkfs.ext4": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "dpkg-deb": "dpkg",
}


@dataclass(frozen=True, slots=True)
class Kit:
    """The images of the root, of an empty state partition and of the stick; edge-ae's package; and what boots them."""

    root: Path
    state: Path
    stick: Path
    deb: Path
    kernel: Path
    initrd: Path


def lacking() -> str | None:
    """Why this machine cannot do it, and what to do; None: it can."""
    if os.geteuid() != 0:
        return "only root can make the root of another machine"
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if missing:
        return f"{', '.join(missing)} missing: apt-get install {' '.join(missing)}"
    if MOSQUITTO is None:
        return "mosquitto missing: apt-get install mosquitto"
    return None


def kit(folder: Path, files: Mapping[str, Path | str]) -> Kit:
    """All that a virtual machine needs, with these files on its stick, below `folder` but for the root, which is kept."""
    recipe = hashlib.sha256(repr((SUITE, PACKAGES, WITHOUT, DISK_MB, FILES, IDLE)).encode()).hexdigest()[:12]
    kept = KEPT / f"vm-{recipe}"
    if not kept.exists():
        print("a Debian for the virtual machine is made, once", flush=True)
        for older in KEPT.glob("vm-*"):
            shutil.rmtree(older)
        with TemporaryDirectory(dir=_made(KEPT)) as half:
            _make_root(Path(half))
            Path(half).chmod(0o755)
            shutil.copytree(half, kept, ignore=shutil.ignore_patterns("tree"))
    state = image({}, folder / "state.img", STATE_MB)
    program = _program(folder)
    stick = image({**program, **files}, folder / "stick.img", STICK_MB)
    return Kit(kept / "root.img", state, stick, program["edge-ae.deb"], kept / "vmlinuz", kept / "initrd")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _make_root(folder: Path) -> None:
    tree = folder / "tree"
    less = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in WITHOUT]
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", *less]
    subprocess.run([*command, SUITE, str(tree)], check=True)
    for name, text in FILES.items():
        (tree / name).unlink(missing_ok=True)
        (tree / name).write_text(text)
    _made(tree / "var/lib/private").chmod(0o700)
    subprocess.run(["systemctl", "--root", str(tree), "--quiet", "enable", "systemd-networkd"], check=True)
    subprocess.run(["systemctl", "--root", str(tree), "--quiet", "mask", *IDLE], check=True)
    for name, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
        (found,) = (tree / "boot").glob(pattern)
        shutil.copyfile(found, folder / name)
    _filled(folder / "root.img", tree, DISK_MB)


def _program(folder: Path) -> dict[str, Path]:
    """edge-ae as it is handed out: the installer with its wheels, and the Debian package."""
    wheels, packages = folder / "wheels", folder / "packages"
    arguments = ["--arch", "x86_64", "--python", PYTHON, "--out", str(wheels)]
    fetch = ["sh", str(CHECKOUT / "deploy/wheels.sh"), *arguments]
    subprocess.run(fetch, check=True, env=os.environ | {"PYTHON": sys.executable}, stdout=subprocess.DEVNULL)
    command = [sys.executable, "-m", "deploy.packages", "--out", str(packages), "--only", "amd64"]
    subprocess.run([*command, "--no-bill", "--extras", "signed"], check=True, cwd=CHECKOUT, stdout=subprocess.DEVNULL)
    (deb,) = packages.glob("*.deb")
    parts = {f"checkout/{part}": CHECKOUT / part for part in ("deploy", "systemd")}
    return {"wheels": wheels, "edge-ae.deb": deb, **parts}


def installed(kit: Kit, folder: Path, files: Mapping[str, Path | str]) -> Kit:
    """The kit with edge-ae's package in its root already, and these files, by this machine's own processor: emulated it takes minutes."""
    root, place = folder / "installed.img", folder / "mounted"
    subprocess.run(["cp", "--sparse=always", str(kit.root), str(root)], check=True)
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", str(root), str(place)], check=True)
    try:
        with base_root.entered(place):
            shutil.copyfile(kit.deb, place / "edge-ae.deb")
            done = base_root.run(place, "dpkg -i /edge-ae.deb && rm /edge-ae.deb")
        assert done.returncode == 0, done.stdout[-600:]
        _laid(place, files)
    finally:
        subprocess.run(["umount", str(place)], check=True)
    return replace(kit, root=root)


def image(files: Mapping[str, Path | str], target: Path, megabytes: int) -> Path:
    """A file system with these files: paths on this machine, or texts."""
    with TemporaryDirectory(dir=target.parent) as folder:
        _laid(Path(folder), files)
        return _filled(target, Path(folder), megabytes)


def _laid(folder: Path, files: Mapping[str, Path | str]) -> None:
    for name, what in files.items():
        place = folder / name
        _made(place.parent)
        if isinstance(what, str):
            place.write_text(what)
        else:
            (shutil.copytree if what.is_dir() else shutil.copyfile)(what, place)


def _filled(target: Path, tree: Path, megabytes: int) -> Path:
    with target.open("wb") as file:
        file.truncate(megabytes * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-d", str(tree), str(target)], check=True)
    return target

"""What keeps a machine from training just now, each as one sentence: on battery, hot, no room on the disk.

Read from the kernel's own files (Documentation/ABI/testing/sysfs-class-power and sysfs-class-thermal); a machine that has none of
them is hindered by none.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# On the disk of the models: a round writes some megabytes, and the daemon's own state needs room.
LEAST_FREE_BYTES = 64 * 2**20
MILLI = 1000.0  # of a degree: the unit of the kernel


@dataclass(frozen=True, slots=True)
class Hindrances:
    """`folder`: where models are written. `on_battery`: it is trained there, too. `sys`: where the kernel's files are."""

    folder: Path
    on_battery: bool
    max_celsius: float
    sys: Path = Path("/sys")

    def now(self) -> str | None:
        """The first that there is; None: nothing hinders."""
        return next(self._found(), None)

    def _found(self) -> Iterator[str]:
        supplies = self.sys / "class" / "power_supply"
        if not self.on_battery and is_on_battery(supplies):
            yield "the machine runs on battery (learn.on_battery)"
        hottest = celsius(self.sys / "class" / "thermal")
        if hottest is not None and hottest > self.max_celsius:
            yield f"the machine is at {hottest:.0f} °C, and {self.max_celsius:.0f} are allowed (learn.max_celsius)"
        free = free_bytes(self.folder)
        if free < LEAST_FREE_BYTES:
            yield f"the disk of {self.folder} has {free // 2**20} MB left, and {LEAST_FREE_BYTES // 2**20} are needed: make room"


def is_on_battery(supplies: Path) -> bool:
    """A battery of the machine's own is discharging, and no mains is there. One of a mouse or a pen is of its device alone."""
    known = [_facts(folder) for folder in sorted(supplies.glob("*"))]
    own = [facts for facts in known if facts["scope"] != "Device"]
    mains = any(facts["type"] != "Battery" and facts["online"] == "1" for facts in own)
    return not mains and any(facts["type"] == "Battery" and facts["status"] == "Discharging" for facts in own)


def _facts(folder: Path) -> dict[str, str]:
    return {name: _text(folder / name) for name in ("type", "online", "status", "scope")}


def celsius(zones: Path) -> float | None:
    """The hottest of the machine's thermal zones; None: it has none that can be read."""
    found = [_text(zone / "temp") for zone in zones.glob("thermal_zone*")]
    return max((int(text) / MILLI for text in found if text.lstrip("-").isdecimal()), default=None)


def free_bytes(folder: Path) -> int:
    """On the disk that a folder is on, or will be."""
    place = next(one for one in (folder, *folder.parents) if one.exists())
    return shutil.disk_usage(place).free


def _text(path: Path) -> str:
    """Empty where there is no such file, or a driver refuses to be asked."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""

"""What a machine is, as far as it decides whether edge-ae runs on it: one question a function, each answered by a diagnosis.

It reads what the kernel shows below /proc and /sys and starts what may die in a process of its own. Settings are not known here.
"""

import ctypes
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edge_ae import __version__
from edge_ae.cli import check

MACHINE = Path("/")
PACKAGES = ("onnxruntime", "numpy", "orjson", "paho-mqtt", "pydantic", "pydantic-settings")
EXTRAS = ("cryptography", "prometheus-client", "apprise", "nicegui")
SPOILT_RUNTIME = "1.21.0"  # Its wheel for aarch64 dies of SIGILL on a Cortex-A72.
CORES = {
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd42": "Cortex-A78AE",
}
NEEDED = {"aarch64": {"asimd"}, "x86_64": {"sse4_2", "popcnt", "ssse3"}}  # of numpy's and onnxruntime's wheels
RUNTIME_S = 60.0
LEAST_MB = 150  # the daemon with one asset, and what it needs to start
IMPORT = "import onnxruntime; print(*onnxruntime.get_available_providers(), sep=', ')"
UNSYNCHRONIZED = 5  # TIME_ERROR of adjtimex(2)


class Gravity(StrEnum):
    """OK: as it should be; NOTE: runs, and is worth knowing; FAULT: does not run, or will lose something."""

    OK = "ok"
    NOTE = "note"
    FAULT = "FAULT"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was looked at, what was found, how bad it is, and what to do next (empty: nothing)."""

    topic: str
    text: str
    level: Gravity = Gravity.OK
    advice: str = ""


def fault(topic: str, sentence: str) -> Diagnosis:
    """Of a sentence such as those of `check`: what is wrong; what to do."""
    text, _, advice = sentence.rpartition("; ")
    return Diagnosis(topic, text or advice, Gravity.FAULT, advice if text else "")


def of_machine(root: Path = MACHINE) -> Iterator[Diagnosis]:
    """All that can be found out of this machine; `root` is another for tests."""
    yield packages()
    yield system(root)
    yield processor(root)
    yield runtime()
    yield clock(root)
    yield memory(root)
    yield memory_limit(root)
    yield service()


def packages() -> Diagnosis:
    """The program and what it stands on, by version."""
    found = {name: _version(name) for name in (*PACKAGES, *EXTRAS)}
    known = ", ".join(f"{name} {number}" for name, number in found.items() if number is not None)
    text = f"edge-ae {__version__}, Python {platform.python_version()}, {known}"
    missing = [name for name in PACKAGES if found[name] is None]
    if missing:
        return Diagnosis("packages", f"{', '.join(missing)} missing", Gravity.FAULT, "install edge-ae again")
    if found["onnxruntime"] == SPOILT_RUNTIME and platform.machine() == "aarch64":
        advice = "pip install 'onnxruntime!=1.21.0'"
        return Diagnosis("packages", f"{text}; this onnxruntime dies on a Raspberry Pi 4", Gravity.FAULT, advice)
    return Diagnosis("packages", text)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def system(root: Path) -> Diagnosis:
    """Distribution, kernel, C library, board."""
    names = re.findall(r'^PRETTY_NAME="?([^"\n]+)', read(root / "etc/os-release"), re.M) or ["an unnamed system"]
    board = read(root / "proc/device-tree/model").rstrip("\0\n")
    parts = [names[0], f"Linux {platform.release()}", platform.machine(), " ".join(platform.libc_ver()), board]
    text = ", ".join(filter(None, parts))
    if sys.maxsize < 2**32:
        advice = "install the 64-bit system; there is no onnxruntime for this one"
        return Diagnosis("system", f"{text}, 32 bit", Gravity.FAULT, advice)
    return Diagnosis("system", text)


def processor(root: Path, machine: str = "") -> Diagnosis:
    """The cores, and whether they have the instructions that the wheels are built with."""
    machine = machine or platform.machine()
    cpuinfo = read(root / "proc/cpuinfo")
    has = set(" ".join(re.findall(r"^(?:Features|flags)\s*: (.*)", cpuinfo, re.M)).split())
    part = re.findall(r"^CPU part\s*: (\w+)", cpuinfo, re.M)
    name = (re.findall(r"^model name\s*: (.*)", cpuinfo, re.M) or [CORES.get(part[0], part[0]) if part else machine])[0]
    text = f"{os.cpu_count()} x {name}"
    if not has:
        advice = "show /proc/cpuinfo to the service: ProcSubset=pid in a drop-in hides it"
        return Diagnosis("processor", f"{text}, /proc/cpuinfo names no features", Gravity.FAULT, advice)
    lacking = NEEDED.get(machine, set()) - has
    if lacking:
        advice = "edge-ae needs another machine"
        return Diagnosis("processor", f"{text}, without {', '.join(sorted(lacking))}", Gravity.FAULT, advice)
    return Diagnosis("processor", f"{text}, {'with' if has & {'asimddp', 'avx2'} else 'without'} asimddp or avx2")


def runtime(code: str = IMPORT) -> Diagnosis:
    """Whether onnxruntime can be loaded; it may die of an instruction that this processor does not have."""
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=RUNTIME_S)
    except subprocess.TimeoutExpired:
        text = f"onnxruntime is not loaded after {RUNTIME_S:.0f} s"
        return Diagnosis("runtime", text, Gravity.FAULT, "see what keeps the machine busy (top)")
    if done.returncode < 0:
        text = f"onnxruntime died of {signal.Signals(-done.returncode).name} while it was loaded"
        return Diagnosis("runtime", text, Gravity.FAULT, "install another version of onnxruntime")
    if done.returncode > 0:
        last = done.stderr.strip().rpartition("\n")[2]
        return Diagnosis("runtime", f"onnxruntime cannot be loaded: {last}", Gravity.FAULT, "install edge-ae again")
    return Diagnosis("runtime", f"onnxruntime loads, with {done.stdout.strip()}")


def clock(root: Path, now_s: float | None = None, synchronized: bool | None = None) -> Diagnosis:
    """The time, who sets it, and whether it goes on without power. None: as it is here."""
    now_s = time.time() if now_s is None else now_s
    synchronized = _synchronized() if synchronized is None else synchronized
    today = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now_s))
    wrong = check.clock(now_s)
    if wrong is not None:
        return fault("clock", wrong)
    if not synchronized:
        advice = "have it set: sudo timedatectl set-ntp true"
        return Diagnosis("clock", f"{today}, set by no time server", Gravity.NOTE, advice)
    if not any((root / "sys/class/rtc").glob("rtc*")):
        advice = "readings with times of their own, streams.time, do not depend on it"
        return Diagnosis(
            "clock", f"{today}, set by a time server; wrong after power on, until it is", Gravity.NOTE, advice
        )
    return Diagnosis("clock", f"{today}, set by a time server")


def _synchronized() -> bool:
    """The kernel's own word, whichever program sets the clock; nothing is changed by asking."""
    timex = (ctypes.c_char * 512)()  # struct timex of 208 bytes, modes 0
    return bool(ctypes.CDLL(None).adjtimex(timex) not in (-1, UNSYNCHRONIZED))


def memory(root: Path) -> Diagnosis:
    """What is free, of what there is."""
    found = {name: int(kb) // 1024 for name, kb in re.findall(r"^(\w+):\s+(\d+) kB", read(root / "proc/meminfo"), re.M)}
    available, total = found.get("MemAvailable", 0), found.get("MemTotal", 0)
    text = f"{available:,} MB of {total:,} MB available"
    if available < LEAST_MB:
        return Diagnosis("memory", text, Gravity.FAULT, f"edge-ae needs {LEAST_MB} MB: end what else runs, or add swap")
    return Diagnosis("memory", text)


def memory_limit(root: Path) -> Diagnosis:
    """Whether the kernel can hold the service to MemoryMax: Raspberry Pi OS comes with that switched off."""
    groups = root / "sys/fs/cgroup"
    first = re.search(r"^memory\s+\d+\s+\d+\s+1$", read(root / "proc/cgroups"), re.M) is not None
    if "memory" in read(groups / "cgroup.controllers").split() or (first and (groups / "memory").is_dir()):
        return Diagnosis("limits", "memory can be limited")
    advice = "add cgroup_enable=memory cgroup_memory=1 to the line in /boot/firmware/cmdline.txt, then start anew"
    return Diagnosis("limits", "the kernel limits no memory: MemoryMax of the unit does nothing", Gravity.NOTE, advice)


def service() -> Diagnosis:
    """What systemd says of the unit."""
    if shutil.which("systemctl") is None or not Path("/run/systemd/system").is_dir():
        return Diagnosis(
            "service", "no systemd runs here", Gravity.NOTE, "see that something starts edge-ae run again when it ends"
        )
    names = ("LoadState", "ActiveState", "SubState", "NRestarts", "Result")
    command = ["systemctl", "show", "edge-ae.service", *(f"--property={name}" for name in names)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUNTIME_S, check=False)
    return service_diagnosis(dict(re.findall(r"^(\w+)=(.*)$", done.stdout, re.M)))


def service_diagnosis(shown: dict[str, str]) -> Diagnosis:
    """Of what `systemctl show` prints."""
    if shown.get("LoadState") != "loaded":
        return Diagnosis("service", "there is no unit edge-ae.service", Gravity.NOTE, "sudo deploy/install.sh makes it")
    restarts = int(shown.get("NRestarts") or 0)
    text = f"{shown.get('ActiveState')} ({shown.get('SubState')}), restarted {restarts} times"
    if shown.get("ActiveState") == "failed" or shown.get("Result", "success") != "success":
        advice = "journalctl -u edge-ae -n 100 says why"
        return Diagnosis("service", f"{text}, last result {shown.get('Result')}", Gravity.FAULT, advice)
    if restarts > 0:
        return Diagnosis("service", text, Gravity.NOTE, "journalctl -u edge-ae says why")
    return Diagnosis("service", text)


def read(path: Path) -> str:
    """Empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

"""Will it run here? One question a function, each answered by sentences that say what is wrong and what to do.

The model is loaded in a process of its own: a runtime that was built for another processor dies of SIGILL, and that
too must become a sentence.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

MODEL_S = 60.0
ANSWER_S = 5.0
DAY_S = 86_400
UNIT = Path("/etc/systemd/system/edge-ae.service")
LOAD = """
import sys, orjson
from pathlib import Path
from edge_ae import signature
from edge_ae.errors import EdgeError
from edge_ae.model import OnnxModel
try:
    verify = signature.verifier(Path(sys.argv[2])) if len(sys.argv) > 2 else None
    model = OnnxModel.load(sys.argv[1], verify)
except EdgeError as error:
    sys.exit(str(error))
spec = model.spec
print(orjson.dumps({"name": spec.name, "names": spec.names, "provider": model.provider}).decode())
"""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    name: str
    names: tuple[str, ...]
    provider: str


def model(path: Path, key: Path | None = None) -> ModelFacts | str:
    """Loads a model file and runs its golden vectors, as the daemon will. What it is, or what is wrong."""
    try:
        command = [sys.executable, "-c", LOAD, *map(str, (path,) if key is None else (path, key))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=MODEL_S, check=False)
    except subprocess.TimeoutExpired:
        return f"{path}: is not loaded after {MODEL_S:.0f} s; this machine is too slow or too busy for it"
    if done.returncode == 0:
        facts: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
        return ModelFacts(facts["name"], tuple(facts["names"]), facts["provider"])
    if done.returncode < 0:
        return _killed(path, -done.returncode)
    return done.stderr.strip().rpartition("\n")[2] or f"{path}: cannot be loaded"


def _killed(path: Path, number: int) -> str:
    name = signal.Signals(number).name
    if number == signal.SIGILL:
        return (
            "onnxruntime uses instructions that this processor does not have (SIGILL); "
            "install another version of onnxruntime (1.21.0 is known for this on a Raspberry Pi 4)"
        )
    if number == signal.SIGKILL:
        return f"{path}: the system killed the process that loaded it; there is too little memory"
    return f"{path}: onnxruntime died of {name} while loading it; install another version of onnxruntime"


def directory(path: Path, needed_mb: int) -> str | None:
    """Whether a folder can be written to, and has room."""
    trial = path / f".edge-ae-check-{os.getpid()}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        trial.write_bytes(b"x")
        trial.unlink()
        free_mb = shutil.disk_usage(path).free // 2**20
    except OSError as error:
        return f"{path}: cannot be written: {error.strerror}; give it to the user that runs edge-ae, or name another"
    if free_mb < needed_mb:
        return f"{path}: has {free_mb} MB left and may need {needed_mb}; make room, or set lower limits"
    return None


def by_hand(env: Mapping[str, str], *, has_password: bool, state_dir: Path, unit: Path = UNIT) -> str | None:
    """What systemd hands to the service does not reach a person who runs a command: then another thing is checked."""
    lacking = {}
    if not has_password:
        lacking["EDGE_AE_MQTT__PASSWORD_FILE"] = "/etc/credstore/edge-ae.mqtt-password"
    if "STATE_DIRECTORY" not in env and state_dir.is_relative_to(Path.home()):
        lacking["STATE_DIRECTORY"] = "/var/lib/edge-ae"
    if not unit.exists() or not lacking:
        return None
    words = " ".join(f"{name}={value}" for name, value in lacking.items())
    return (
        f"systemd hands the service more than this check, run by hand, was given; begin the command with sudo {words}"
    )


def clock(now_s: float) -> str | None:
    """A machine without a battery-backed clock starts in the past: before this program was installed."""
    if now_s > Path(__file__).stat().st_mtime - DAY_S:
        return None
    today = time.strftime("%Y-%m-%d", time.gmtime(now_s))
    return f"the clock says {today}, which was before this program was installed; set it (timedatectl set-ntp true)"


def permissions(client: mqtt.Client, filters: Sequence[str], own_topic: str) -> list[str]:
    """What a connected client may not do: read the sensors' topics, write its own. (MQTT 3.1.1 cannot say the latter.)"""
    problems: list[str] = []
    answers = threading.Semaphore(0)
    asked: dict[int | None, str] = {}

    def on_subscribe(_c: mqtt.Client, _u: object, mid: int, reasons: list[ReasonCode], _p: object) -> None:
        if any(reason.is_failure for reason in reasons):
            problems.append(f"the broker does not let us read {asked.get(mid)}: {reasons[0]}; allow it in its ACL")
        answers.release()

    def on_publish(_c: mqtt.Client, _u: object, _mid: int, reason: ReasonCode, _p: object) -> None:
        if reason.is_failure:
            problems.append(f"the broker does not let us write {own_topic}: {reason}; allow it in its ACL")
        answers.release()

    client.on_subscribe, client.on_publish = on_subscribe, on_publish
    for name in filters:
        _, mid = client.subscribe(name, 0)
        asked[mid] = name
    client.publish(own_topic, b"", qos=1)
    silent = [None for _ in range(len(filters) + 1) if not answers.acquire(timeout=ANSWER_S)]
    return [*problems, *(["the broker leaves questions unanswered; is it overloaded?"] if silent else [])]

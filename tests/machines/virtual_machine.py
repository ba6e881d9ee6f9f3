"""A virtual machine under qemu: its disks, its power switch, and a shell in it by qemu's own guest agent.

The agent answers on a serial port of its own, so nothing depends on what the machine's network or its daemon do.
"""

import base64
import json
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.world import Mortal, started
from tests.machines.vm_root import Kit

BOOT_S = 1500.0  # some 45 s emulated, far more where others want the processors
COMMAND_S = 3000.0
HOST = "10.0.2.2"  # by which the machine reaches this one
MEMORY_MB = 512
# A start costs enough without these. logind stays: a shutdown goes through it.
UNWATCHED = ("getty@tty1", "serial-getty@ttyS0", "systemd-binfmt", "systemd-update-utmp")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended in the machine."""

    status: int
    out: str


class VirtualMachine(Mortal):
    """Off, at first. Its disks are overlays: of the root `on` or the kit's, and of an empty state partition.

    `cache`: what qemu does with a write, as its -drive has it. An overlay's own tables are written when the machine flushes, so a cut
    takes from it what was not flushed; with `unsafe` no flush is ever heard.
    """

    def __init__(self, kit: Kit, folder: Path, cache: str = "none", accelerator: str = "tcg") -> None:
        super().__init__()
        folder.mkdir(parents=True)
        self.console = folder / "console.log"
        self.root, self.state = folder / "root.qcow2", folder / "state.qcow2"
        for path, backing in ((self.root, kit.root), (self.state, kit.state)):
            make = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(backing), str(path)]
            subprocess.run(make, check=True)
        self._kit, self._cache, self._accelerator = kit, cache, accelerator
        self._port = folder / "agent"
        self._talk: Talk | None = None

    def start(self, rtc: str = "utc") -> None:
        """Power on, and wait until the agent answers. `rtc`: the time of its clock, as qemu's -rtc has it."""
        self._process = started(self._command(rtc))
        deadline = time.monotonic() + BOOT_S
        while not self._answers():
            assert self.running, f"qemu has ended by itself, see {self.console}"
            assert time.monotonic() < deadline, f"the machine does not come up, see {self.console}"

    def _command(self, rtc: str) -> list[str | Path]:
        processor = {"tcg": "max", "kvm": "host"}[self._accelerator]
        disks = [f"file={path},format=qcow2,if=virtio,cache={self._cache}" for path in (self.root, self.state)]
        disks.append(f"file={self._kit.stick},format=raw,if=virtio,readonly=on")
        masked = " ".join(f"systemd.mask={unit}.service" for unit in UNWATCHED)
        words = f"root=/dev/vda ro console=ttyS0 net.ifnames=0 panic=-1 quiet no_timer_check {masked}"
        return [
            *("qemu-system-x86_64", "-accel", self._accelerator, "-cpu", processor, "-smp", "1", "-m", str(MEMORY_MB)),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-rtc", f"base={rtc}"),
            *("-kernel", str(self._kit.kernel), "-initrd", str(self._kit.initrd), "-append", words),
            *("-chardev", f"file,id=console,path={self.console},append=on", "-serial", "chardev:console"),
            *(word for disk in disks for word in ("-drive", disk)),
            *("-nic", "user,model=virtio-net-pci"),
            *("-device", "virtio-serial", "-chardev", f"socket,id=agent,path={self._port},server=on,wait=off"),
            *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
        ]

    def cut(self) -> None:
        """Pull the plug."""
        self.end(signal.SIGKILL)
        self._hang_up()

    def off(self) -> None:
        """Shut down as a person does."""
        assert self._talk is not None, "it is off"
        self._talk.send("guest-shutdown", {"mode": "powerdown"})  # which nobody answers
        self.process.wait(BOOT_S)
        self._hang_up()

    # -- inside --------------------------------------------------------------------------------------------

    def run(self, script: str, patience_s: float = COMMAND_S) -> Done:
        """A shell's work, by root. What it prints on either output is `out`."""
        words = ["-c", f"exec 2>&1\n{script}"]
        began = self._ask("guest-exec", path="/bin/sh", arg=words, env=[f"PATH={PATH}"], **{"capture-output": True})
        deadline = time.monotonic() + patience_s
        while not (now := self._ask("guest-exec-status", pid=began["pid"]))["exited"]:
            assert time.monotonic() < deadline, f"it takes too long in the machine: {script}"
            time.sleep(0.2)
        out = base64.b64decode(now.get("out-data", "")).decode(errors="replace")
        return Done(now.get("exitcode", -1), out.strip())

    def must(self, script: str) -> str:
        """What a command prints that may not fail."""
        done = self.run(script)
        assert done.status == 0, f"{script} ended with {done.status}: {done.out[-600:]}"
        return done.out

    def wait_until(self, script: str, patience_s: float = BOOT_S) -> str:
        """Again and again, until it does not fail. What it then prints."""
        deadline = time.monotonic() + patience_s
        while (done := self.run(script)).status != 0:
            assert time.monotonic() < deadline, f"waited in vain in the machine for {script}: {done.out[-600:]}"
            time.sleep(1.0)
        return done.out

    def _answers(self) -> bool:
        try:
            self._ask("guest-ping", 2.0)
        except OSError:
            time.sleep(0.5)
            return False
        return True

    def _ask(self, name: str, patience_s: float = 60.0, **arguments: Any) -> Any:
        """One question and its answer."""
        try:
            if self._talk is None:
                self._talk = Talk(self._port, patience_s)
            return self._talk.ask(name, arguments)
        except OSError:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        if self._talk is not None:
            self._talk.close()
            self._talk = None


class Talk:
    """A connection to the agent, begun by a number that it gives back: what lies in the wire from before is passed over."""

    def __init__(self, port: Path, patience_s: float) -> None:
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(patience_s)
        self._sock.connect(str(port))
        self._answers = self._sock.makefile("rb")
        number = time.monotonic_ns() // 1000
        self.send("guest-sync", {"id": number})
        while self._next().get("return") != number:
            pass
        self._sock.settimeout(60.0)

    def ask(self, name: str, arguments: Mapping[str, Any]) -> Any:
        self.send(name, arguments)
        answer = self._next()
        assert "return" in answer, f"qemu's agent does not do {name}: {answer}"
        return answer["return"]

    def send(self, name: str, arguments: Mapping[str, Any]) -> None:
        question = {"execute": name, **({"arguments": arguments} if arguments else {})}
        self._sock.sendall(json.dumps(question).encode() + b"\n")

    def _next(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise ConnectionError("qemu has hung up")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        self._answers.close()
        self._sock.close()

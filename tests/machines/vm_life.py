"""A device's life under systemd, from a stick without a network to the last file gone: what is done, and what is seen."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.plant import NODE
from tests.conftest import Broker, Subscriber, wait_for
from tests.machines.findings import Finding
from tests.machines.virtual_machine import BOOT_S, HOST, VirtualMachine
from tests.machines.vm_root import Kit

USER, SECRET = "edge-ae", "hush"
INSTALL = "sh /stick/checkout/deploy/install.sh --wheels /stick/wheels"
FIRST_DYNAMIC = 61184  # systemd.exec(5)
SHOW = "systemctl show edge-ae -P"
PID = f"$({SHOW} MainPID)"
STARTED = "systemctl is-active edge-ae"
TRACES = "find /etc /opt /usr/lib /usr/bin /usr/share/doc /var/lib -name '*edge-ae*' ! -path '/var/lib/dpkg/*'"
WATCHDOG_S = 30  # of the unit
INSTALLED_MB = 180  # wanted at most, libraries and all
SETTINGS = """node = "{node}"
[mqtt]
host = "{host}"
port = {port}
keepalive_s = 5
{more}
[[streams]]
topic = "plant/{{asset}}/telemetry"
time = "ts"
model = "models/pump.onnx"
lateness_s = 4
[alerts]
budget = "1/week"
flood_limit = 1000000
[publish]
score_interval_s = 0
stats_interval_s = 1
[state]
checkpoint_s = 0.5
"""


def settings(port: int, more: str = "") -> str:
    """A device's, with the broker on this machine. `more`: lines of [mqtt]."""
    return SETTINGS.format(node=NODE, host=HOST, port=port, more=more)


@dataclass
class Device:
    """The machine, and who hears it from outside."""

    machine: VirtualMachine
    listener: Subscriber

    def state(self) -> str:
        """What `systemctl show` has of the service in one line: state, restarts."""
        return self.machine.must(f"echo $({SHOW} ActiveState) $({SHOW} NRestarts)")

    def comes_online(self) -> None:
        wait_for(self._online, "the daemon's online", BOOT_S)

    def _online(self) -> bool:
        heard = self.listener.on(f"{NODE}/status")
        return bool(heard) and heard[-1].payload == b"online"

    def settings_and_state(self) -> str:
        """Sums of what is the owner's, and the inode of what the daemon keeps."""
        return self.machine.must(
            "sha256sum /etc/edge-ae/edge-ae.toml /etc/edge-ae/models/* | cut -c1-12; stat -Lc %i /var/lib/private/edge-ae/edge-ae.db"
        )


def life(kit: Kit, folder: Path, accelerator: str) -> Iterator[Finding]:
    """Everything in turn, each step on what the one before has left."""
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), USER, SECRET], check=True, capture_output=True)
    broker = Broker(folder, extra=f"password_file {passwords}\n").start()
    listener = Subscriber(broker.port)
    device = Device(VirtualMachine(kit, folder / "life", accelerator=accelerator), listener)
    try:
        device.machine.start()
        device.machine.must("mkdir -p /stick && mount -o ro /dev/vdc /stick")
        yield from _arrives(device, broker.port)
        yield from _is_looked_after(device)
        yield from _is_upgraded(device)
        yield from _goes(device)
    finally:
        device.machine.close()
        listener.close()
        broker.close()


def _arrives(device: Device, port: int) -> Iterator[Finding]:
    machine = device.machine
    done = machine.run("python3 -c \"import socket; socket.create_connection(('192.0.2.1', 443), 5)\"")
    yield Finding("no way to any network", done.out.splitlines()[-1], done.status != 0)
    machine.must(f"umask 077; echo {SECRET} > /root/secret")
    yield _done(device, "install.sh --wheels, offline", f"{INSTALL} --password-file /root/secret")
    size = int(machine.must("du -sm /opt/edge-ae").split()[0])
    yield Finding("  takes", f"{size} MB", size <= INSTALLED_MB)
    written = settings(port, f'username = "{USER}"')
    machine.must(f"cat > /etc/edge-ae/edge-ae.toml << 'END'\n{written}END\ncp /stick/pump.onnx /etc/edge-ae/models/")
    machine.must("systemctl start edge-ae")
    status = machine.must(f"{SHOW} StatusText")
    device.comes_online()
    yield Finding("systemctl start returns at READY", f"{device.state()}, {status}", device.state() == "active 0")
    user = machine.must(f"stat -c '%U %u' /proc/{PID}")
    yield Finding("DynamicUser", user, user.startswith("edge-ae ") and int(user.split()[1]) >= FIRST_DYNAMIC)
    modes = machine.must("cd /var/lib/private/edge-ae && stat -c '%a %U' . edge-ae.db").split()
    yield Finding("the state is the daemon's alone", " ".join(modes), modes == ["700", "edge-ae", "600", "edge-ae"])
    # The broker has let this user in, who has no other password.
    modes = machine.must("stat -c '%a' /etc/credstore/edge-ae.mqtt-password /run/credentials/edge-ae.service").split()
    yield Finding("the password comes as a credential", f"modes {' '.join(modes)}", modes == ["600", "500"])


def _done(device: Device, what: str, script: str, *, holds: bool = True) -> Finding:
    """A command that must succeed, and how long it took."""
    began = time.monotonic()
    done = device.machine.run(script)
    seen = f"{time.monotonic() - began:.0f} s" if done.status == 0 else f"status {done.status}: {done.out[-300:]}"
    return Finding(what, seen, holds and done.status == 0)


def _is_looked_after(device: Device) -> Iterator[Finding]:
    machine = device.machine
    pid = machine.must(f"echo {PID}")
    machine.must("sed -i 's|^budget = .*|budget = \"2/week\"|' /etc/edge-ae/edge-ae.toml")
    done = machine.run("systemctl reload edge-ae")
    took = machine.run(
        "for i in $(seq 30); do journalctl -u edge-ae | grep 'taken up' && exit 0; sleep 1; done; exit 1"
    )
    same = machine.must(f"echo {PID}") == pid
    yield Finding("reload", done.out or took.out.split("]: ")[-1], done.status == took.status == 0 and same)
    yield _killed(device, "SIGKILL", "KILL", 1)
    yield _killed(device, f"SIGSTOP: the watchdog after {WATCHDOG_S} s", "STOP", 2)
    machine.must("dpkg --remove libnss-systemd")
    machine.must("systemctl restart edge-ae")
    yield Finding("starts without libnss-systemd", device.state(), device.state() == "active 0")


def _killed(device: Device, what: str, signal: str, restarts: int) -> Finding:
    """systemd starts it again, and it is ready."""
    machine = device.machine
    machine.must(f"kill -{signal} {PID}")
    machine.wait_until(f'[ "$({SHOW} NRestarts)" -ge {restarts} ] && {STARTED}')
    device.comes_online()
    why = machine.must("journalctl -u edge-ae | grep -o 'Failed with result.*' | tail -n 1")
    return Finding(what, f"{why} {device.state()}", device.state() == f"active {restarts}")


def _is_upgraded(device: Device) -> Iterator[Finding]:
    machine = device.machine
    before = device.settings_and_state()
    yield _done(device, "upgrade by install.sh", INSTALL)
    yield _still(device, "  settings, models, state, service", before, "/opt/edge-ae/")
    yield _done(device, "the Debian package over it", "dpkg -i /stick/edge-ae.deb")
    yield _still(device, "  settings, models, state, service", before, "/usr/lib/edge-ae/")
    gone = machine.run("ls -d /opt/edge-ae /etc/systemd/system/edge-ae.service")
    yield Finding("  of install.sh is left", gone.out if gone.status == 0 else "nothing", gone.status != 0)
    machine.off()
    machine.start()
    machine.wait_until(STARTED)
    device.comes_online()
    yield _still(device, "starts with the machine", before, "/usr/lib/edge-ae/")


def _still(device: Device, what: str, before: str, program: str) -> Finding:
    """The daemon runs, of this program, with what it had."""
    device.comes_online()
    runs = device.machine.must(f"tr '\\0' ' ' < /proc/{PID}/cmdline")
    kept = device.settings_and_state() == before
    holds = kept and program in runs and device.state() == "active 0"
    return Finding(what, f"{'kept' if kept else 'CHANGED'}, {device.state()}, {runs.split()[1]}", holds)


def _goes(device: Device) -> Iterator[Finding]:
    machine = device.machine
    machine.must("dpkg --remove edge-ae")
    rest = machine.must(TRACES)
    kept = "/etc/edge-ae/models" not in rest and "/etc/edge-ae" in rest and "/var/lib/private/edge-ae" in rest
    yield Finding("dpkg --remove keeps what is the owner's", "settings, models, state", kept)
    machine.must("dpkg --purge edge-ae")
    rest = machine.must(TRACES)
    yield Finding("dpkg --purge leaves", rest or "nothing", rest == "")
    machine.must("mkdir -p /stick && mount -o ro /dev/vdc /stick")
    machine.must(f"{INSTALL} --skip-packages && sh /stick/checkout/deploy/install.sh uninstall")
    rest = machine.must(TRACES)
    failed = machine.must("systemctl list-units --all --no-legend 'edge-ae*'")
    yield Finding("install.sh uninstall leaves", rest or failed or "nothing", rest + failed == "")

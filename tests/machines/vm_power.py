"""Power cuts, a full disk and a clock without a battery, while alerts are active: what subscribers ended up with.

gateway ─► broker ◄── slirp ── the machine: edge-ae on a state partition of its own
             │
             └──► witness, which counts: it stands outside what is cut
"""

import random
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from edge_ae.store.node_store import FILE
from tests.chaos import verdict
from tests.chaos.campaign import settle
from tests.chaos.people import Gateway, Witness, retained_alerts
from tests.chaos.plant import Plant, undisturbed
from tests.chaos.world import Broker
from tests.conftest import wait_for
from tests.machines.findings import Finding
from tests.machines.virtual_machine import BOOT_S, VirtualMachine
from tests.machines.vm_life import settings
from tests.machines.vm_root import Kit, installed

# Of each asset. An emulated processor has to catch up with what came while it started, and after some 4,000 rows of a machine that
# breaks down every minute its alerts become rare.
ROWS_A_SECOND = 3.0
END_ROWS = 60  # in which every alert ends
UP_S = 4.0  # from the first row used to a cut, at most
AMID_S = 1.5  # from the moment that an alert is active to a cut, at most
ALERT_S = 900.0  # within which one begins, also where the emulated processor is behind
FULL_S = 30.0  # in which alerts begin and end
# Seconds since 1970 at which such a board starts: more than the root has inodes, for a deletion at an earlier time is a link in the list
# of orphans for e2fsck, and a fault.
NO_BATTERY_S = 30 * 86_400
PID = "$(systemctl show edge-ae -P MainPID)"


@dataclass
class Scene:
    """The world round the machine. `cuts`: what was found on the disk after each."""

    machine: VirtualMachine
    gateway: Gateway
    witness: Witness
    dice: random.Random
    cuts: list["Found"] = field(default_factory=list)

    def comes_back(self) -> None:
        """A row is used that had not been sent by now."""
        row = self.gateway.row_after(time.monotonic_ns())
        wait_for(lambda: self.witness.newest >= row, "a new row to be used", BOOT_S)

    @property
    def active(self) -> list[str]:
        return [asset for asset, alert in self.witness.alerts.items() if alert["state"] != "normal"]


@dataclass(frozen=True, slots=True)
class Found:
    """After a cut. `repaired`: what e2fsck says beyond the journal; `waiting`: events that the broker had not confirmed."""

    active: int
    repaired: str
    database: str
    waiting: int


def power(kit: Kit, plant: Plant, folder: Path, accelerator: str, cache: str, cuts: int) -> Iterator[Finding]:
    """So many cuts at random moments amid alerts, and with a cache that keeps what is flushed the other faults, too."""
    folder.mkdir()
    kept = cache != "unsafe"
    with ExitStack() as alive:
        broker = alive.enter_context(closing(Broker(folder)))
        broker.start()
        witness = alive.enter_context(closing(Witness(broker.port)))
        files: dict[str, Path | str] = {
            "etc/edge-ae/edge-ae.toml": settings(broker.port),
            "etc/edge-ae/models/pump.onnx": plant.model,
        }
        ready = installed(kit, folder, files)
        machine = alive.enter_context(closing(VirtualMachine(ready, folder / "machine", cache, accelerator)))
        machine.start()
        machine.wait_until("systemctl is-active edge-ae")
        gateway = alive.enter_context(closing(Gateway(plant, broker.port, seed=1, rows_a_second=ROWS_A_SECOND)))
        scene = Scene(machine, gateway, witness, random.Random(1))
        scene.comes_back()
        yield from _cut(scene, cache, cuts, folder, holds=True if kept else None)
        if kept:
            yield _full_disk(scene)
            yield _clock(scene)
        yield _counted(scene, broker, folder, f"cache={cache}: ", kept)
        if kept:
            machine.off()
            yield _checked("the root after all of it", machine.root, folder)


# -- faults ------------------------------------------------------------------------------------------------------


def _cut(scene: Scene, cache: str, cuts: int, folder: Path, holds: bool | None) -> Iterator[Finding]:
    for number in range(1, cuts + 1):
        time.sleep(scene.dice.uniform(0.0, UP_S))
        wait_for(lambda: scene.active, "an alert", ALERT_S)
        time.sleep(scene.dice.uniform(0.0, AMID_S))
        active = len(scene.active)
        scene.machine.cut()
        found = _read_back(scene.machine.state, folder, active)
        scene.cuts.append(found)
        began = time.monotonic()
        scene.machine.start()
        scene.comes_back()
        whole = (found.repaired, found.database) == ("clean", "ok")
        yield Finding(
            f"cache={cache}: power cut {number} of {cuts}",
            f"{active} alerts active, {found.waiting} events pending; file system {found.repaired}, database {found.database}; "
            f"rows are used after {time.monotonic() - began:.0f} s",
            None if holds is None else whole,
        )


def _full_disk(scene: Scene) -> Finding:
    """For as long as some alerts take that cannot be kept; then there is room again."""
    machine, before = scene.machine, len(scene.witness.heard)
    machine.run("cat /dev/zero > /var/lib/private/fill; sync")
    left = machine.must("df --output=avail /var/lib/private | tail -n 1").strip()
    time.sleep(FULL_S)
    heard = len(scene.witness.heard) - before
    said = machine.must("journalctl -u edge-ae -o cat --since -60s | grep -m 1 -i -E 'disk|full' || echo nothing")
    machine.must("rm /var/lib/private/fill; sync")
    scene.comes_back()
    same = machine.must("systemctl show edge-ae -P NRestarts") == "0"
    seen = f"{left} kB left for {FULL_S:.0f} s, {heard} events heard meanwhile; the daemon says: {said[:200]}"
    return Finding("state partition full, then freed", seen, same)


def _clock(scene: Scene) -> Finding:
    """The daemon starts in 1970, as on a board without a battery; then the network's time comes."""
    machine = scene.machine
    machine.must(f"systemctl stop edge-ae && date -s @{NO_BATTERY_S} && systemctl start edge-ae")
    began = machine.must("date +%Y")
    scene.comes_back()
    pid = machine.must(f"echo {PID}")
    wait_for(lambda: scene.active, "an alert", ALERT_S)
    machine.must(f"date -s @{int(time.time())}")
    scene.comes_back()
    now = machine.must("date +%Y")
    same = machine.must(f"echo {PID}") == pid
    seen = f"{began} to {now}, {'the same process' if same else 'RESTARTED'}"
    return Finding("clock set amid an alert", seen, same and began == "1970")


# -- what is read back ---------------------------------------------------------------------------------------------


def _read_back(overlay: Path, folder: Path, active: int) -> Found:
    """The state partition as the cut has left it, on this machine."""
    raw, copy = folder / "cut.img", folder / "cut"
    copy.mkdir(exist_ok=True)
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(overlay), str(raw)], check=True)
    repaired = _fsck(raw, "-p")
    for old in copy.iterdir():
        old.unlink()
    for name in (FILE, f"{FILE}-wal"):
        subprocess.run(
            ["debugfs", "-R", f"dump /edge-ae/{name} {copy / name}", str(raw)], capture_output=True, check=True
        )
    try:
        with closing(sqlite3.connect(copy / FILE)) as connection:
            ((word,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
            ((waiting,),) = connection.execute("SELECT count(*) FROM event WHERE acknowledged = 0").fetchall()
    except sqlite3.Error as error:
        return Found(active, repaired, str(error), 0)
    return Found(active, repaired, word, waiting)


def _fsck(raw: Path, how: str) -> str:
    """`clean`: what the journal and the counts that ext4 writes late leave to mend, as each start of the machine mends it, too."""
    done = subprocess.run(["e2fsck", "-f", how, str(raw)], capture_output=True, text=True)
    return (
        "clean"
        if done.returncode in (0, 1)
        else f"NOT CLEAN ({done.returncode}): {' '.join(done.stdout.split())[:200]}"
    )


def _checked(what: str, overlay: Path, folder: Path) -> Finding:
    raw = folder / "whole.img"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(overlay), str(raw)], check=True)
    word = _fsck(raw, "-n")
    raw.unlink()
    return Finding(what, word, word == "clean")


def _counted(scene: Scene, broker: Broker, folder: Path, prefix: str, kept: bool) -> Finding:
    """Every event, beside those of an undisturbed run over the same rows."""
    rows = scene.gateway.finish(END_ROWS)
    expected = undisturbed(scene.gateway.plant, rows, folder)
    # The newest rows wait for late ones, and an emulated processor may be behind.
    wait_for(lambda: scene.witness.newest >= rows - END_ROWS // 2, "the last rows to be used", BOOT_S)
    settle(scene.witness, {verdict.key(event) for event in expected})
    heard = [one.event for one in scene.witness.heard]
    found = verdict.judge(expected, heard, retained_alerts(broker.port))
    counts = f"{len(found.lost)} lost, {len(found.doubled)} doubled, {len(found.stuck)} stuck"
    examples = "" if found.clean else f", such as {[*found.lost, *found.doubled, *found.stuck][:3]}"
    seen = f"{counts} of {found.expected} events{examples}; {found.repeated} delivered again under their id"
    return Finding(f"{prefix}{len(scene.cuts)} cuts", seen, found.clean if kept else None)

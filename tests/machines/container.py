"""`make container`: the image, built without a registry on a Debian root of our own, for both processors, and run.

The base is what mmdebstrap makes, the libraries are wheels from a folder: nothing is fetched while the image is built. Images are
kept in a store of their own, which is gone afterwards.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.chaos.plant import plant
from tests.chaos.world import MODEL
from tests.conftest import MOSQUITTO, Broker, Subscriber, wait_for
from tests.machines import base_root
from tests.machines.base_root import CHECKOUT, KEPT, PYTHON
from tests.machines.findings import Finding, clean_up_on_sigterm, closed, guarded
from tests.machines.vm_life import settings

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
PIP = "[global]\nno-index = true\nfind-links = /wheels\n"
UNIFIED = Path(
    "/sys/fs/cgroup/cgroup.controllers"
).exists()  # crun takes control groups of the first version alone for a fault
LIMITS = (
    "--ulimit=nofile=4096:4096",
    "--ulimit=nproc=4096:4096",
)  # podman asks for more, which not every root may give
NO_TIMERS = {"DISABLE_HC_SYSTEMD": "true"}  # podman's health checks are run by hand here: not everywhere is a systemd


@dataclass(frozen=True)
class Store:
    """podman with images and containers of its own below a folder. `run`: of a path that is short, for podman takes 50 letters."""

    folder: Path
    run: Path

    def podman(self, *words: str | Path, around: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        places = ("--root", self.folder / "images", "--runroot", self.run, "--storage-driver", "vfs")
        how = ["--cgroup-manager", "cgroupfs", *([] if UNIFIED else ["--runtime", "runc"])]
        command = [*around, "podman", *map(str, places), *how, *map(str, words)]
        return subprocess.run(
            command,
            env=os.environ | NO_TIMERS,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def must(self, *words: str | Path, around: Sequence[str] = ()) -> str:
        done = self.podman(*words, around=around)
        assert done.returncode == 0, f"podman {words[0]} ended with {done.returncode}: {done.stdout[-600:]}"
        return done.stdout.strip()


def lacking() -> str | None:
    tools = ("podman",) if UNIFIED else ("podman", "runc")
    return base_root.lacking(*tools) or (None if MOSQUITTO else "mosquitto missing: apt-get install mosquitto")


def checks() -> Iterator[Finding]:
    KEPT.mkdir(parents=True, exist_ok=True)
    kept, short = TemporaryDirectory(dir=KEPT, prefix="container-"), TemporaryDirectory(dir="/tmp")
    with kept as scratch, short as run, ExitStack() as alive:
        folder = Path(scratch)
        store = Store(folder, Path(run))
        alive.callback(store.podman, "rm", "--all", "--force")
        alive.callback(store.podman, "rmi", "--all", "--force")
        (folder / "pip.conf").write_text(PIP)
        yield from guarded(built(store, "amd64", "docker"))
        yield from guarded(looks_after_itself(store))
        yield from guarded(built(store, "amd64", "oci"))
        arm = base_root.lacking_arm()
        if arm is not None:
            yield Finding("arm64", f"left out: {arm}")
            return
        yield from guarded(built(store, "arm64", "docker"))


def built(store: Store, architecture: str, form: str) -> Iterator[Finding]:
    base, image = f"localhost/debian-{architecture}", f"localhost/edge-ae-{architecture}-{form}"
    if store.podman("image", "exists", base).returncode != 0:
        store.must("import", "--arch", architecture, base_root.archive(architecture), base)
    wheels = _wheels(store.folder, architecture)
    volumes = ["-v", f"{wheels}:/wheels:ro", "-v", f"{store.folder / 'pip.conf'}:/etc/pip.conf:ro"]
    words = ["build", "--format", form, "--isolation", "chroot", "--network", "host", "--arch", architecture, *volumes]
    words += ["--build-arg", f"BASE={base}", "-t", image, "-f", str(CHECKOUT / "deploy/Containerfile")]
    store.must(*words, CHECKOUT, around=["unshare", "-n"])  # the host's network is then one with nothing in it
    (facts,) = json.loads(store.must("image", "inspect", image))
    check = (facts.get("Healthcheck") or {}).get("Test", [])
    seen = f"{facts['Size'] / 1e6:.0f} MB, {facts['Architecture']}, HEALTHCHECK {' '.join(check[1:3]) or 'dropped'}"
    yield Finding(f"built for {architecture}, format {form}", seen, (form == "docker") == bool(check))


def _wheels(folder: Path, architecture: str) -> Path:
    """All libraries, and what builds our own wheel."""
    out = folder / f"wheels-{architecture}"
    if not out.exists():
        environment = os.environ | {"PYTHON": sys.executable}
        arguments = ["--arch", MACHINES[architecture], "--python", PYTHON, "--out", str(out)]
        fetch: Sequence[str] = ["sh", str(CHECKOUT / "deploy/wheels.sh"), *arguments]
        subprocess.run(fetch, check=True, env=environment, stdout=subprocess.DEVNULL)
        tools = [
            sys.executable,
            "-m",
            "pip",
            "--quiet",
            "download",
            "--no-deps",
            "--dest",
            str(out),
            "setuptools",
            "wheel",
            "packaging",
        ]
        subprocess.run(tools, check=True)
    return out


def looks_after_itself(store: Store) -> Iterator[Finding]:
    """It runs by the lines of the documents, and its health check sees what is wrong."""
    place = store.folder / "etc"
    (place / "models").mkdir(parents=True)
    (place / "models/pump.onnx").write_bytes(plant(MODEL).model.read_bytes())
    broker = Broker(store.folder).start()
    listener = Subscriber(broker.port)
    try:
        (place / "edge-ae.toml").write_text(settings(broker.port).replace("10.0.2.2", "127.0.0.1"))
        volumes = [
            "-v",
            f"{place}/edge-ae.toml:/etc/edge-ae/edge-ae.toml:ro",
            "-v",
            f"{place}/models:/etc/edge-ae/models:ro",
        ]
        image = "localhost/edge-ae-amd64-docker"
        store.must(
            "run",
            "-d",
            "--name",
            "edge-ae",
            "--network",
            "host",
            *LIMITS,
            *volumes,
            "-v",
            "state:/var/lib/edge-ae",
            image,
        )
        wait_for(lambda: [m for m in listener.on("/status") if m.payload == b"online"], "the daemon's online", 60)
        user = store.must("exec", "edge-ae", "id", "-un")
        yield Finding("it runs", f"online, as {user}", user == "edge-ae")
        well = store.podman("healthcheck", "run", "edge-ae")
        yield Finding("healthy", f"status {well.returncode}", well.returncode == 0)
        broker.stop()
        ill = store.podman("healthcheck", "run", "edge-ae")
        yield Finding("without a broker", f"status {ill.returncode}", ill.returncode != 0)
        store.must("stop", "--time", "20", "edge-ae")
        status = store.must("inspect", "--format", "{{.State.ExitCode}}", "edge-ae")
        yield Finding("podman stop", f"status {status}", status == "0")
    finally:
        listener.close()
        broker.close()


def main() -> int:
    clean_up_on_sigterm()
    return closed("container", lacking(), checks)


if __name__ == "__main__":
    sys.exit(main())

"""Jobs on a Ray cluster, or on one that Ray makes on this machine: the engine for more cores than a machine has.

Ray schedules, retries a job whose process died, and spills; nothing of that is done here. The nodes have this package
installed and see recordings and models under the same paths or addresses. Nothing is reported to Ray's vendor.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge_ae.errors import BadData
from edge_ae_train.fleet.jobs import FleetJob, Product, performed
from edge_ae_train.fleet.processes import ATTEMPTS, DIED
from edge_ae_train.threads import THREAD_SETTINGS

LOCAL = "local"  # in place of an address: a cluster of this machine's cores
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
CONNECT_S = 10.0
LOOK_S = 5.0  # between two looks at whether the cluster is still there: Ray itself would wait for ever
AHEAD = 4  # jobs for each core that are handed in before their turn


@dataclass(frozen=True, slots=True)
class RayCluster:
    """An engine for the jobs of a fleet. `address`: as `ray.init` takes it; `asked`: workers at a time, None: as many as
    the cluster has cores. `memory_bytes`: of a worker, for Ray's scheduling; None: not considered."""

    address: str
    asked: int | None = None
    memory_bytes: int | None = None

    @property
    def workers(self) -> int:
        return self.asked or os.cpu_count() or 1

    def run(self, jobs: Sequence[FleetJob]) -> Iterator[tuple[FleetJob, Product, int]]:
        """Each job, its product, and the attempts that Ray does not count: 1. BadData where the cluster goes away."""
        ray = _ray()
        from ray.exceptions import RayError

        _join(ray, self.address, self.asked)
        try:
            yield from self._results(ray, jobs)
        except (RayError, ConnectionError) as error:
            raise BadData(
                f"the cluster {self.address} went away ({_first_line(error)}); what is done is kept: give the same command "
                "again, there or on another machine"
            ) from None
        finally:
            ray.shutdown()

    def _results(self, ray: Any, jobs: Sequence[FleetJob]) -> Iterator[tuple[FleetJob, Product, int]]:
        from ray.exceptions import OutOfMemoryError, WorkerCrashedError

        needs = {} if self.memory_bytes is None else {"memory": self.memory_bytes}
        remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1, **needs)(performed)
        most = AHEAD * max(int(ray.cluster_resources().get("CPU", 1)), 1)
        left, pending = iter(jobs), dict[Any, FleetJob]()
        while True:
            while len(pending) < most and (job := next(left, None)) is not None:
                pending[remote.remote(job)] = job
            if not pending:
                return
            ended, _ = ray.wait(list(pending), num_returns=1, timeout=LOOK_S)
            if not ended:
                _require_alive(ray)
                continue
            (done,) = ended
            job = pending.pop(done)
            try:
                yield job, ray.get(done), 1
            except (WorkerCrashedError, OutOfMemoryError):
                yield job, Product(reason=DIED), ATTEMPTS


def _ray() -> Any:
    """The package, told to be quiet before it is imported."""
    os.environ.update(QUIET)
    try:
        import ray
    except ImportError:
        raise BadData("--ray: the package is not installed; pip install '.[ray]' in the checkout") from None
    return ray


def _join(ray: Any, address: str, workers: int | None) -> None:
    _require_reachable(address)
    threads = {"env_vars": dict.fromkeys(THREAD_SETTINGS, "1")}
    from ray.exceptions import RayError

    own = {"num_cpus": workers, "include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address, runtime_env=threads, log_to_driver=False, logging_level="ERROR", **own)
    except (RayError, ConnectionError, ValueError, RuntimeError, OSError, TimeoutError) as error:
        raise BadData(f"--ray {address}: no cluster can be joined there ({_first_line(error)})") from None


def _require_alive(ray: Any) -> None:
    if not any(node["Alive"] for node in ray.nodes()):
        raise ConnectionError("none of its nodes is alive")


def _require_reachable(address: str) -> None:
    """Ray itself waits for minutes where nobody listens."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except OSError as error:
        raise BadData(
            f"--ray {address}: no cluster can be joined there ({error.strerror or error}); ray start --head prints the address"
        ) from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

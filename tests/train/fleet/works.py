"""Work for the jobs of these tests, which other processes find by name; and jobs that need no recordings."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
from edge_ae_train.fleet.jobs import FleetJob, Product

from edge_ae.errors import BadData


def job(key: str, work: Callable[[FleetJob], Product], options: object = None) -> FleetJob:
    return FleetJob(key, f"{__name__}:{work.__name__}", (), options)


def echo(asked: FleetJob) -> Product:
    """What it was asked, and a file that says so."""
    return Product({"said": asked.options}, {f"{asked.key}.txt": f"{asked.options}".encode()})


def refuse(asked: FleetJob) -> Product:
    raise BadData(f"{asked.key}: is\nempty")


def break_down(asked: FleetJob) -> Product:
    raise ZeroDivisionError(asked.key)


def settings(_asked: FleetJob) -> Product:
    return Product({name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")})


def devour(asked: FleetJob) -> Product:
    return Product({"sum": float(np.ones(asked.options).sum())})


def die(_asked: FleetJob) -> Product:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def die_once(asked: FleetJob) -> Product:
    """`options`: a file that is there from the first time on."""
    marker = Path(asked.options)
    if not marker.exists():
        marker.touch()
        die(asked)
    return Product({"alive": True})


def begin(asked: FleetJob) -> Product:
    """Says in a file whose process it is, and goes on for long."""
    Path(asked.options).write_text(str(os.getpid()))
    signal.pause()
    raise AssertionError

"""What there is to do for a fleet, as data: a job for each asset or class, and what became of it.

Knows neither processes nor clusters: an engine takes jobs and gives products, whichever it is. A job carries all that its
work needs, and a product all that it made, so that either may travel to another machine.
"""

import hashlib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any, Protocol
from urllib.parse import quote

from edge_ae import __version__
from edge_ae.errors import EdgeError
from edge_ae_train.fleet.sources import AssetSource

DONE, FAILED = "done", "failed"
LONGEST_NAME = 120  # characters of a file's name, less its ending


@dataclass(frozen=True, slots=True)
class Product:
    """What a job made: what there is to say of it, JSON-ready, and files by name. `reason`: why it failed; empty: it is done."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FleetJob:
    """`work`: "module:function", by which the process that does it finds it; others need not load what it loads. The function
    takes the job and gives a Product. `options`: frozen; their repr says all of them."""

    key: str
    work: str
    sources: tuple[AssetSource, ...]
    options: Any

    @property
    def fingerprint(self) -> str:
        """Of inputs, options and version: the same fingerprint, the same product."""
        inputs = [(source.asset, source.inputs) for source in self.sources]
        return hashlib.sha256(repr((__version__, self.work, self.key, inputs, self.options)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class JobRow:
    """A line of the table. `files`: their digests by name. `attempts`: 2 where the first one's process died."""

    key: str
    state: str
    reason: str = ""
    fingerprint: str = ""
    attempts: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return self.state == DONE


class Engine(Protocol):
    """What runs jobs. `workers`: how many at a time."""

    @property
    def workers(self) -> int: ...

    def run(self, jobs: Sequence[FleetJob]) -> Iterator[tuple[FleetJob, Product, int]]:
        """Each job once, as they end, with its product and the attempts that it took."""


def performed(job: FleetJob) -> Product:
    """The job's product; what goes wrong in it is its own, and ends no other's work."""
    try:
        product: Product = resolve_name(job.work)(job)
        return product
    except EdgeError as error:
        return Product(reason=job_reason(job, str(error)))
    except MemoryError:
        return Product(
            reason="needs more memory than a process may have: give it more with --memory, or fewer --workers"
        )
    except OSError as error:
        return Product(reason=job_reason(job, f"{error.filename or 'a file'}: {error.strerror or error}"))
    except Exception as error:  # ours; one asset of a thousand must not end the run, and nothing of it is lost
        fault = f"{type(error).__name__}: {error} (a fault of this program: please report it)"
        return Product({"traceback": traceback.format_exc()}, reason=fault)


def job_reason(job: FleetJob, text: str) -> str:
    """In one line, with the names of files as the user knows them."""
    for source in job.sources:
        text = source.named(text)
    return " ".join(text.split())


def file_name(key: str) -> str:
    """What files of an asset or class are called: any name may come from a column, `..` and `a/b` among them."""
    name = quote(key, safe=" ()+,@")
    if name.startswith((".", " ")):  # hidden, or taken for another's where a person types it
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"

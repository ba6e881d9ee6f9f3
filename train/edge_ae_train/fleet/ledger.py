"""The folder of a run: what each job made, and a row that says so, both written whole. What is done is not done again.

    models/pump-1.onnx             what the job made
    models/rows/pump-1.json        its row of the table: state, fingerprint of inputs and options, digests of its files
    models/fleet.json              the table of the newest run

A job is done where its row is there with the fingerprint that the job has now, and its files with the digests of the row.
"""

import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from shutil import rmtree
from typing import IO, Any

from edge_ae.errors import BadData
from edge_ae.store.atomic import reason_of, write_whole
from edge_ae_train.fleet.jobs import DONE, FAILED, FleetJob, JobRow, Product, file_name

ROWS, TABLE, STEPS, PARTS, LOCK = "rows", "fleet.json", "steps", ".parts", ".lock"
READABLE = 0o666  # less the umask
UNREADABLE = (OSError, ValueError, TypeError, RecursionError)  # what reading JSON as rows may raise
KINDS = {"key": str, "state": str, "reason": str, "fingerprint": str, "attempts": int, "facts": dict, "files": dict}


class Ledger:
    """Of one folder, which it has for itself while it is open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def below(self, name: str) -> "Ledger":
        """For a step on the way to what the folder is for: its rows and files stay, so that a run goes on within it."""
        (self.folder / STEPS / name / ROWS).mkdir(parents=True, exist_ok=True)
        return Ledger(self.folder / STEPS / name)

    @property
    def parts(self) -> Path:
        """Scratch for the time of the run."""
        return self.folder / PARTS

    def done(self, job: FleetJob) -> JobRow | None:
        """The row of a job that is done already."""
        row = self._read(job.key)
        if row is None or not row.is_done or row.fingerprint != job.fingerprint:
            return None
        return row if all(self._digest(name) == digest for name, digest in row.files.items()) else None

    def keep(self, job: FleetJob, product: Product, attempts: int) -> JobRow:
        """Writes what a job made, its files before the row that names them. Of a job that failed, no file is touched:
        what an earlier run made of it stays. BadData where the disk is full."""
        state = FAILED if product.reason else DONE
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in product.files.items()}
        row = JobRow(job.key, state, product.reason, job.fingerprint, attempts, product.facts, digests)
        try:
            for name, data in product.files.items():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                write_whole(self.folder / name, data, mode=READABLE)
            write_whole(self._row_path(job.key), _json(_facts(row)), mode=READABLE)
        except OSError as error:
            raise BadData(
                f"{self.folder}: {job.key} cannot be written ({reason_of(error)}); what was written before is whole: mend that "
                "and give the same command again"
            ) from None
        return row

    def write_table(self, rows: Sequence[JobRow]) -> None:
        """All rows of a run, in one file."""
        write_whole(self.folder / TABLE, _json([_facts(row) for row in rows]), mode=READABLE)

    def _read(self, key: str) -> JobRow | None:
        """None: there is none, or a file that we have not written."""
        try:
            return _row(json.loads(self._row_path(key).read_bytes()))
        except UNREADABLE:
            return None

    def _digest(self, name: str) -> str | None:
        try:
            return hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
        except OSError:
            return None

    def _row_path(self, key: str) -> Path:
        return self.folder / ROWS / f"{file_name(key)}.json"


@contextmanager
def ledger(folder: Path) -> Iterator[Ledger]:
    """BadData where the folder cannot be written, and where another run has it."""
    with _locked(folder):
        rmtree(folder / PARTS, ignore_errors=True)  # of a run that was killed
        try:
            yield Ledger(folder)
        finally:
            rmtree(folder / PARTS, ignore_errors=True)


def _locked(folder: Path) -> IO[str]:
    """The folder's lock, for as long as it is open."""
    try:
        (folder / ROWS).mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BadData(f"{folder}: another run is writing to it; wait for its end, or name another folder") from None
    except OSError as error:
        raise BadData(f"{folder}: cannot be written ({reason_of(error)}); name a folder that is yours") from None
    return lock


def rows_of(folder: Path) -> list[JobRow]:
    """The table of a folder's newest run. BadData where there is none."""
    try:
        return [_row(facts) for facts in json.loads((folder / TABLE).read_bytes())]
    except UNREADABLE as error:
        why = reason_of(error) if isinstance(error, OSError) else "it is not what a run writes"
        raise BadData(f"{folder / TABLE}: cannot be read ({why}); name the folder that a fleet command wrote") from None


def _row(facts: Any) -> JobRow:
    """As it was written. TypeError where it is no row: whoever edits files by hand may write anything."""
    row = JobRow(**facts)
    if wrong := [name for name, kind in KINDS.items() if not isinstance(getattr(row, name), kind)]:
        raise TypeError(f"{wrong[0]} is no {KINDS[wrong[0]].__name__}")
    return row


def _facts(row: JobRow) -> dict[str, Any]:
    """As `asdict`, but for what is in them: a copy of the facts of ten thousand rows takes seconds, and memory."""
    return {one.name: getattr(row, one.name) for one in fields(row)}


def _json(facts: Any) -> bytes:
    return json.dumps(facts, indent=1).encode() + b"\n"

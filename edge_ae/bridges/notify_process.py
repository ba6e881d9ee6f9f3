"""Sends one message, in a process of its own: `python -m edge_ae.bridges.notify_process`.

    stdin: a Job as JSON ─► drawn, sent ─► stdout: an Delivery as JSON

Apprise takes 40 MB of memory and half a second of a fast processor, and a service may hang in any of a hundred ways: the daemon
neither holds the one nor waits for the other. The URL comes on stdin, for others can read command lines.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from edge_ae.bridges.notify_picture import Curves

START_S = 30.0
"""What a small machine takes to load the libraries."""
ROUNDS = 4
"""A service is asked more than once for a message with a picture; each may take the time that is set."""


@dataclass(frozen=True, slots=True)
class Job:
    """`zone`: a name, None: UTC; of the times in the picture. `curves` None: a message without one."""

    url: str
    timeout_s: float
    title: str
    text: str
    zone: str | None = None
    curves: Curves | None = None

    @property
    def limit_s(self) -> float:
        """The process takes no longer."""
        return START_S + ROUNDS * self.timeout_s


@dataclass(frozen=True, slots=True)
class Delivery:
    """`fault` None: the service has confirmed it; else why not, as a clause. `hint`: what else a person should know."""

    fault: str | None = None
    hint: str | None = None


class Sending:
    """A process that sends a job; `cancel` from another thread ends it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._process: subprocess.Popen[bytes] | None = None

    def outcome(self) -> Delivery:
        """Waits for it, and no longer than a service may take."""
        limit_s, pipe = self._job.limit_s, subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "edge_ae.bridges.notify_process",
                ],  # -P: what lies in the folder is not ours.
                stdin=pipe,
                stdout=pipe,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                start_new_session=True,
            )
            answer, _ = self._process.communicate(orjson.dumps(asdict(self._job)), limit_s)
            return Delivery(**orjson.loads(answer))
        except subprocess.TimeoutExpired:
            return Delivery(f"the service does not answer within {limit_s:g} s")
        except OSError as error:
            return Delivery(f"no process for it can be started: {error.strerror}")
        except (ValueError, TypeError):
            return Delivery("the process that sends it died")
        finally:
            self.cancel()

    def cancel(self) -> None:
        """End it, if it runs."""
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()


def carry_out(job: Job) -> Delivery:
    """Send it here."""
    from edge_ae.bridges.notify_services import MISSING, AppriseService

    try:
        service = AppriseService(job.url, job.timeout_s)
    except ImportError:
        return Delivery(MISSING)
    except ValueError as unusable:
        return Delivery(str(unusable))
    picture, hint = (None, None) if job.curves is None or not service.takes_pictures else _picture(job)
    return Delivery(service.send(job.title, job.text, picture), hint)


def _picture(job: Job) -> tuple[bytes | None, str | None]:
    from edge_ae.bridges.notify_picture import png

    assert job.curves is not None
    try:
        return png(job.curves, UTC if job.zone is None else ZoneInfo(job.zone)), None
    except ImportError:
        return None, "messages have no picture: pip install pillow"


def job_of(body: dict[str, Any]) -> Job:
    """Of what `asdict` made of one, and JSON of that."""
    curves = body["curves"]
    return Job(**(body | {"curves": None if curves is None else Curves(**curves)}))


def main(argv: Sequence[str] = ()) -> int:
    """One job."""
    assert not argv
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # A unit that stops is a message that arrives, and is known to have.
    answer = os.dup(1)  # What a library prints goes where nobody reads.
    os.dup2(2, 1)
    job = job_of(orjson.loads(sys.stdin.buffer.read()))
    signal.alarm(math.ceil(job.limit_s))  # Where the daemon was killed, nobody else ends it.
    outcome = carry_out(job)
    os.write(answer, orjson.dumps(asdict(outcome)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

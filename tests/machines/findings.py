"""What a check on a machine has found, as lines of a table: what | seen | yes or NO."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

LEFT_OUT = 77  # the exit status of a check that this machine cannot do, as automake has it


@dataclass(frozen=True, slots=True)
class Finding:
    """`holds` None: only to be seen, nothing is asked of it."""

    what: str
    seen: str
    holds: bool | None = None


def guarded(findings: Iterable[Finding]) -> Iterator[Finding]:
    """A check that fails amid its work is a NO, and the end of its kind alone."""
    try:
        yield from findings
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        yield Finding("the rest of these", str(error), False)


def line(found: Finding, width: int = 0) -> str:
    word = {None: "", True: "yes", False: "NO"}[found.holds]
    return f"  {found.what:<{width}} | {found.seen} | {word}".rstrip(" |")


def table(findings: Sequence[Finding]) -> str:
    width = max(len(found.what) for found in findings)
    return "\n".join(line(found, width) for found in findings)


def clean_up_on_sigterm() -> None:
    """Folders, mounts and machines go with the process, also where it is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def closed(name: str, reason: str | None, check: Callable[[], Iterator[Finding]]) -> int:
    """Runs a check to its table. 0: all holds; 1: something does not; LEFT_OUT, with the reason."""
    if reason is not None:
        print(f"{name}: left out: {reason}")
        return LEFT_OUT
    findings = []
    for found in guarded(check()):
        findings.append(found)
        print(line(found), flush=True)  # as it comes, for such a check takes minutes
    print(f"\n{table(findings)}")
    return int(any(found.holds is False for found in findings))

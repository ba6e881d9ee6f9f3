"""Commands of operators, carried out on an asset's detector and answered. What people say of alerts is kept in a file.

`feedback.jsonl`, one object a line, for the next training: {"at", "asset", "id", "label", "note"}.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from edge_ae.core import commands
from edge_ae.core.detector import Detector
from edge_ae.core.events import AlertEvent
from edge_ae.core.timestamps import rfc3339
from edge_ae.errors import BadPayload
from edge_ae.store.atomic import open_private, reason_of, write_whole

FEEDBACK = "feedback.jsonl"
FEEDBACK_BYTES = 2**20  # some thousand lines; the older half goes when it is full


class Orders:
    """`directory`: where feedback is kept; None: it is refused."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def carry_out(self, name: str, payload: bytes, detector: Detector) -> list[AlertEvent]:
        """Raises BadPayload with a sentence for the operator."""
        command = commands.parse(name, payload)
        match command:
            case commands.Acknowledge(identity):
                _check_present(detector, identity)
                return detector.acknowledge()
            case commands.Shelve(duration_ns):
                detector.shelve(duration_ns, time.time_ns())
                return []
            case commands.Unshelve():
                return detector.unshelve()
            case commands.SetService(in_service):
                return detector.set_service(in_service)
            case commands.AcceptNormal():
                detector.accept_normal()
                return []
            case commands.Feedback(identity, label, note):
                self._keep(
                    {
                        "at": rfc3339(time.time_ns()),
                        "asset": detector.asset,
                        "id": identity,
                        "label": label,
                        "note": note,
                    }
                )
                return []

    def _keep(self, feedback: Mapping[str, Any]) -> None:
        if self._directory is None:
            raise BadPayload("bad_command", "feedback cannot be kept, for there is no state_dir")
        path = self._directory / FEEDBACK
        try:
            if path.exists() and path.stat().st_size > FEEDBACK_BYTES:
                lines = path.read_bytes().splitlines(keepends=True)
                write_whole(path, b"".join(lines[len(lines) // 2 :]))
            descriptor = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            with os.fdopen(descriptor, "ab") as file:
                file.write(orjson.dumps(feedback) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise BadPayload("bad_command", f"feedback cannot be kept in {path}: {reason_of(error)}") from error


def _check_present(detector: Detector, identity: str | None) -> None:
    episode = detector.alert.episode
    if episode is None:
        raise BadPayload("bad_command", f"{detector.asset} has no active alert")
    if identity is not None and identity != episode.id:
        raise BadPayload("bad_command", f"the active alert of {detector.asset} is {episode.id}, not {identity}")


def answer(fault: str | None) -> bytes:
    """The reply on the response topic."""
    return orjson.dumps({"ok": True} if fault is None else {"ok": False, "error": fault})

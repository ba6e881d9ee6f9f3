"""What was sent to people of which alerts, over any restart: one JSON file, written whole.

    load() ─► LedgerState, or None where there are none: then old alerts are not to be sent
    save(LedgerState) ─► on disk, or False with `fault`

Which alerts there were is the affair of `node_store`; here stands only what has become of the messages about them.
"""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from edge_ae.core.alert_events import EventType
from edge_ae.core.notice_ledger import LedgerState
from edge_ae.core.notices import Notice, NoticeText
from edge_ae.core.payloads import SEVERITY_LEVELS
from edge_ae.store.atomic import reason_of, write_whole

log = logging.getLogger(__name__)

SCHEMA = 1
MAX_BYTES = 64 * 2**20
"""More than all recipients' notices take; what is longer is not ours, and would only fill the memory."""
TYPES = {"alert": str, "recipient": str, "due_ns": int, "tries": int, "failing_ns": int | None, "held": bool}
"""Of a notice; a value of another type would stop the daemon at each start."""


class NoticeFile:
    """`path` None keeps nothing. `fault`: why the file cannot be written at present, as a sentence."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.fault: str | None = None

    def load(self) -> LedgerState | None:
        """None: there is none, or none that can be read: then it begins anew, and a line in the log says why."""
        if self.path is None:
            return None
        try:
            return _saved(orjson.loads(_bytes_of(self.path)))
        except FileNotFoundError:
            return None
        except OSError as error:
            log.error("notify: %s cannot be read: %s; what waited in it is not sent", self.path, reason_of(error))
        except (ValueError, LookupError, TypeError) as damage:
            log.error("notify: %s is damaged (%s); what waited in it is not sent", self.path, damage)
        return None

    def save(self, state: LedgerState) -> bool:
        """Replace the file."""
        if self.path is None:
            return True
        body = {
            "schema": SCHEMA,
            "known": state.known,
            "begun": state.begun,
            "notices": list(map(asdict, state.notices)),
        }
        try:
            write_whole(self.path, orjson.dumps(body))
        except OSError as error:
            self.fault = f"{self.path} cannot be written: {reason_of(error)}"
            return False
        self.fault = None
        return True


def _saved(body: dict[str, Any]) -> LedgerState:
    """Raises ValueError, LookupError or TypeError for what `save` did not write."""
    if body["schema"] != SCHEMA:
        raise ValueError(f"it has schema {body['schema']}, this program reads {SCHEMA}")
    begun = {str(alert): tuple(map(str, names)) for alert, names in dict(body["begun"]).items()}
    known = {str(alert): bool(ended) for alert, ended in dict(body["known"]).items()}
    return LedgerState(known, begun, tuple(map(_notice, body["notices"])))


def _bytes_of(path: Path) -> bytes:
    """Raises OSError, and ValueError where the file is too long."""
    with path.open("rb") as file:
        found = file.read(MAX_BYTES + 1)
    if len(found) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES >> 20} MB")
    return found


def _notice(saved: dict[str, Any]) -> Notice:
    text = NoticeText(**saved["text"])
    notice = Notice(**(saved | {"step": EventType(saved["step"]), "text": text}))
    own = all(isinstance(getattr(notice, name), kind) for name, kind in TYPES.items()) and notice.tries >= 0
    if (
        not own
        or text.severity not in SEVERITY_LEVELS
        or not all(isinstance(one, str) for one in asdict(text).values())
    ):
        raise ValueError("what stands in it as a message is none")
    return notice

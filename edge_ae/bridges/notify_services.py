"""The services that Apprise knows, one URL each. The only module that knows Apprise.

An URL holds passwords, and Apprise's own messages may hold the URL: none of them leaves this module. Why something was not sent
is found out from what in them can be no secret: the status of an answer, and whether there was one.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any

MISSING = "the library for it is missing: pip install 'apprise>=1.9' pillow"
UNKNOWN = "unknown"
LOGGERS = ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib")
"""Libraries whose log lines may hold an URL."""
_SCHEMA = re.compile(r"[a-z][a-z0-9]{1,15}", re.ASCII)
_STATUS = re.compile(r"\berror=(\d{3})\b")


def schema_of(url: str) -> str:
    """What an URL begins with, such as "mailtos", without asking Apprise; "unknown" where that can be no schema."""
    schema, colon, _ = url.partition("://")
    return schema.lower() if colon and _SCHEMA.fullmatch(schema.lower()) else UNKNOWN


def fault_of(url: str) -> str | None:
    """What is wrong with an URL, without a part of it that may be secret; None: Apprise can use it. Raises ImportError."""
    with _unlogged():
        if _opened(url) is not None:
            return None
        return _unusable(schema_of(url))


def _unusable(schema: str) -> str:
    import apprise

    details: Any = apprise.Apprise().details()
    known = sorted({one for service in details["schemas"] for one in _schemas(service)})
    if schema in known:
        return f"begins with {schema}:// but is not complete; https://appriseit.com/services/ says what belongs to it"
    near = get_close_matches(schema, known, n=1)
    meant = f" (did you mean {near[0]}://?)" if near else ""
    return f"begins with no service that Apprise knows{meant}; https://appriseit.com/services/ lists them"


def _schemas(service: dict[str, Any]) -> Iterator[str]:
    for kind in ("protocols", "secure_protocols"):
        yield from service.get(kind) or ()


class AppriseService:
    """One URL's service. Raises ImportError, and ValueError where Apprise cannot use the URL."""

    def __init__(self, url: str, timeout_s: float) -> None:
        with _unlogged():
            service = _opened(url)
        if service is None:
            raise ValueError("Apprise cannot use its URL: edge-ae check says why")
        service.socket_connect_timeout = service.socket_read_timeout = timeout_s
        self._service = service
        self._timeout_s = timeout_s

    @property
    def takes_pictures(self) -> bool:
        """Whether it sends attachments."""
        return bool(self._service.attachment_support)

    def send(self, title: str, text: str, picture: bytes | None) -> str | None:
        """None: the service has confirmed it; else why not, as a clause. `picture`: a PNG."""
        import apprise

        sender = apprise.Apprise(asset=_asset())
        sender.add(self._service)
        with _unlogged() as lines:
            attached = None if picture is None else _attachment(picture)
            sent = sender.notify(body=text, title=title, body_format=apprise.NotifyFormat.TEXT, attach=attached)
        return None if sent else self._why(lines)

    def _why(self, lines: list[str]) -> str:
        status = next((int(found[1]) for line in lines if (found := _STATUS.search(line))), None)
        if status is not None:
            names = {int(one): one.phrase for one in HTTPStatus}
            return f"the service answers {status} {names.get(status, '')}".rstrip()
        return f"the service cannot be reached, refuses it, or does not answer within {self._timeout_s:g} s"


def _asset() -> Any:
    import apprise

    return apprise.AppriseAsset(app_id="edge-ae", app_desc="edge-ae", async_mode=False, secure_logging=True)


def _opened(url: str) -> Any:
    """None where Apprise cannot use it."""
    import apprise

    try:
        return apprise.Apprise.instantiate(url, asset=_asset(), suppress_exceptions=True)
    except Exception:  # of any of its hundred services, and its text may hold the URL
        return None


def _attachment(picture: bytes) -> Any:
    import apprise
    from apprise.attachment.memory import AttachMemory

    in_memory: Any = AttachMemory  # it leaves parts of itself untyped
    attachment = apprise.AppriseAttachment()
    attachment.add(in_memory(content=picture, name="last-hour.png", mimetype="image/png"))
    return attachment


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def _unlogged() -> Iterator[list[str]]:
    """What the libraries log meanwhile goes into the list that this gives, and nowhere else."""
    kept = _Lines()
    before = []
    for name in LOGGERS:
        logger = logging.getLogger(name)
        before.append((logger, logger.handlers[:], logger.propagate, logger.level))
        logger.handlers, logger.propagate = [kept], False
        logger.setLevel(logging.INFO)
    try:
        yield kept.lines
    finally:
        for logger, handlers, propagate, level in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)

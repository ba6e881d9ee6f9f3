"""What may be shown of settings and sentences to somebody else: no password, key or URL with a secret in it.

Both ways: a value is masked by the name of its setting, and what was masked, or is known to be secret, is taken out of every
sentence, for a sentence may cite what stands in the wrong place, such as a password where the name of its file belongs.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

MASK = "***"
SECRET_NAME = re.compile(r"pass|secret|token|credential|key|url|auth|pin\b", re.I)
USER_INFO = re.compile(r"(?<![\w.+-])([a-z][a-z0-9+.-]*://)?[^\s/@'\"]*:[^\s@'\"]+@", re.I)
"""user:password@ in front of a host, with or without a scheme."""
QUERY = re.compile(r"([a-z][a-z0-9+.-]*://[^\s?'\"]*)\?[^\s'\"]+", re.I)
SHORTEST = 4  # Shorter words are in every text; what is taken out of it would be found by the holes.


def masked(value: Any, secrets: Collection[str], name: str = "") -> Any:
    """Settings as they may be shown: the same tables, with a mask for each value whose name says that it is secret.

    A path to a file that is there stays: it names a secret and holds none. Of all else what `redacted` takes out goes.
    """
    if isinstance(value, Mapping):
        return {key: masked(inner, secrets, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner, secrets, name) for inner in value]
    if not isinstance(value, str):
        return value
    return MASK if _is_secret(name, value) else redacted(value, secrets)


def secrets_in(value: Any, name: str = "") -> Iterator[str]:
    """The values that `masked` masks."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from secrets_in(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from secrets_in(inner, name)
    elif isinstance(value, str) and _is_secret(name, value):
        yield value


def redacted(text: str, secrets: Collection[str]) -> str:
    """A sentence without them, and without user:password@ and queries of URLs."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, MASK)
    return QUERY.sub(rf"\1?{MASK}", USER_INFO.sub(rf"\1{MASK}@", text))


def _is_secret(name: str, value: str) -> bool:
    return SECRET_NAME.search(name) is not None and not _is_file(value)


def _is_file(value: str) -> bool:
    try:
        return Path(value).is_absolute() and Path(value).is_file()
    except (OSError, ValueError):
        return False

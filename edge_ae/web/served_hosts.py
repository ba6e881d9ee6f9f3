"""Under which names the page is served, and whether a request came from the page itself: both are read from its headers.

Against DNS rebinding: a page of somebody else's that resolves its own name to our address sends that name as Host. An
address, which no such page can send, and the names of this machine and of the settings are served, others are not.
"""

import ipaddress
import platform
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

LOOPBACK = ("localhost",)
# Nothing else may stand there: the header is repeated in the policy that the browser gets.
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?", re.ASCII | re.IGNORECASE)


def names_of(host: str, names: Iterable[str]) -> frozenset[str]:
    """The names that are served: loopback's, this machine's, the one that is listened on, those of the settings."""
    machine = platform.node().partition(".")[0]
    own = (machine, f"{machine}.local", platform.node()) if machine else ()
    return frozenset(name.lower().rstrip(".") for name in (*LOOPBACK, *own, host, *names))


def is_served(host: str | None, names: frozenset[str]) -> bool:
    """Whether the header `Host` names us."""
    name = _name(host)
    return name is not None and (name in names or _is_address(name))


def is_same_origin(origin: str | None, host: str | None) -> bool:
    """Whether the header `Origin` is the page that `Host` names; a browser sends both with what changes something."""
    if origin is None or host is None:
        return False
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and _with_port(parts.netloc, parts.scheme) in {
        _with_port(host, parts.scheme)
    }


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _name(host: str | None) -> str | None:
    found = _HOST.fullmatch(host or "")
    return None if found is None else (found[1] or found[2]).lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _with_port(netloc: str, scheme: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(f"//{netloc}")
        port = parts.port
    except ValueError:
        return None, None
    return parts.hostname, port if port is not None else {"http": 80, "https": 443}[scheme]

"""Who is logged in: random tokens, each with its end. In memory alone: a restart of the page asks for the password again."""

import secrets
from collections import OrderedDict

from edge_ae.core.timestamps import SECOND

LIFETIME_NS = 7 * 86_400 * SECOND
MAX_LOGINS = 100  # browsers at once; of more, the one that came first must log in again


class Logins:
    """The tokens that are good."""

    def __init__(self) -> None:
        self._ends: OrderedDict[str, int] = OrderedDict()

    def new(self, now_ns: int) -> str:
        """A token for one browser."""
        token = secrets.token_urlsafe(32)
        self._ends[token] = now_ns + LIFETIME_NS
        while len(self._ends) > MAX_LOGINS:
            self._ends.popitem(last=False)
        return token

    def good(self, token: str | None, now_ns: int) -> bool:
        """Whether a token was given out, and neither its time nor a logout has ended it."""
        return token is not None and self._ends.get(token, 0) > now_ns

    def end(self, token: str | None) -> None:
        """Log out."""
        self._ends.pop(token or "", None)

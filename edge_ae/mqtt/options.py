"""Where the broker is and who we are to it, as plain values. The one place for what every connection needs to know."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and who we are to it. `repr` never shows the password."""

    host: str = "localhost"
    port: int = 1883
    tls: bool = False
    ca: str | None = None  # None: the system's certificate authorities
    cert: str | None = None
    key: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    protocol: str = "auto"  # "auto", "5" or "3.1.1"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What the daemon's connection needs on top of that: a session that the broker keeps for it.

    `status_topic`, of the form BRANCH/NAME, carries `online` and `offline`, retained; everything that we publish is
    below BRANCH.
    """

    broker: Broker
    client_id: str
    status_topic: str
    session_expiry_s: int = 86_400
    keepalive_s: int = 30
    receive_maximum: int = 2_000

    @property
    def branch(self) -> str:
        """What our own topics begin with, the last `/` included."""
        return self.status_topic.rpartition("/")[0] + "/"

"""Where the broker is and who we are to it, as plain values. The one place for what every connection needs to know."""

from collections.abc import Callable
from dataclasses import dataclass, field

WILL_DELAY_S = 10  # a restart shorter than this goes unseen


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
class Will:
    """What the broker publishes, with QoS 1, once our connection has ended without a word, and we ourselves before we leave.

    `delay_s`: a connection that is made anew in this time goes unseen; MQTT 5 alone knows it.
    """

    topic: str
    payload: bytes
    retain: bool = False
    delay_s: int = 0


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What a connection needs on top of that.

    `status_topic`, of the form BRANCH/NAME, carries `online` and `offline`, retained, unless there is a `will`; everything
    that we publish is below BRANCH.
    `clean`: the broker keeps no session for us, neither an earlier one nor this one.
    `will`: of the connection of that number, in place of `offline`; `online` is not published then.
    `label`: what lines of the log begin with, where a process has several connections.
    """

    broker: Broker
    client_id: str
    status_topic: str
    session_expiry_s: int = 86_400
    keepalive_s: int = 30
    receive_maximum: int = 65_535
    clean: bool = False
    will: Callable[[int], Will] | None = None
    label: str = ""

    @property
    def branch(self) -> str:
        """What our own topics begin with, the last `/` included."""
        return self.status_topic.rpartition("/")[0] + "/"

    def will_of(self, number: int) -> Will:
        """The will of the connection of that number."""
        return Will(self.status_topic, b"offline", True, WILL_DELAY_S) if self.will is None else self.will(number)

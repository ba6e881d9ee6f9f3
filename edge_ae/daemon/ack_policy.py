"""When to write a checkpoint, after which the input it covers is acknowledged. Pure: time and counts come in.

    due       anything is new, and the last checkpoint is `checkpoint_s` old
    full      three quarters of what may wait for acknowledgement do: the broker can go on sending while it is written
    stalled   the broker sends nothing, perhaps for want of our acknowledgements

An alert does not wait for any of these: the loop writes a checkpoint before it publishes one.
"""

import logging
from dataclasses import dataclass

from edge_ae.core.timestamps import SECOND

log = logging.getLogger(__name__)

RETRY_NS = SECOND
"""A disk that fails is tried again after this."""

STALLED_MESSAGES = 10
"""A broker that lets fewer wait for acknowledgement than these is not served any better by looking closer."""


@dataclass(frozen=True, slots=True)
class Patience:
    """With a broker that is silent: `first_ns` of silence are suspicious; one that sends within `answer_ns` of what it was given
    had waited for it; with one that did not, patience doubles, up to `longest_ns`.
    """

    first_ns: int
    answer_ns: int
    longest_ns: int


PATIENCE = Patience(first_ns=2 * SECOND, answer_ns=SECOND // 10, longest_ns=600 * SECOND)
"""The daemon's, whose checkpoints are dear."""


class StallDetector:
    """Finds out how many messages the broker lets wait for acknowledgement, where it allows fewer than we asked for.

    No message names that number. A broker that sends nothing, while messages are not acknowledged, is given the acknowledgements;
    if it sends again soon, it was waiting for them, and `limit` is what it allows. If not, its silence was its own.
    """

    def __init__(self, limit: int, patience: Patience, now_ns: int) -> None:
        self.limit = limit
        self._patience = patience
        self._patience_ns = patience.first_ns
        self._received_ns = now_ns
        self._asked_ns = 0
        self._asked: int | None = None  # How many waited when the broker seemed to.

    def received(self, now_ns: int) -> bool:
        """Messages have come. True: `limit` has become smaller."""
        asked, self._asked = self._asked, None
        self._received_ns = now_ns
        if asked is None or asked >= self.limit or now_ns - self._asked_ns >= self._patience.answer_ns:
            return False
        self.limit, self._patience_ns = asked, self._patience.first_ns
        return True

    def stalled(self, now_ns: int, unacknowledged: int) -> bool:
        """Whether the broker may be waiting for us; the caller acknowledges at once."""
        if unacknowledged < STALLED_MESSAGES or now_ns - self._received_ns < self._patience_ns:
            return False
        self._asked_ns, self._asked = now_ns, unacknowledged
        self._patience_ns = min(2 * self._patience_ns, self._patience.longest_ns)
        return True


class AckPolicy:
    """`checkpoint_ns`: how old a checkpoint may become. `receive_maximum`: how many messages may wait for acknowledgement."""

    def __init__(self, checkpoint_ns: int, receive_maximum: int, now_ns: int) -> None:
        self.tried_ns = now_ns
        self._checkpoint_ns = checkpoint_ns
        self._stall = StallDetector(receive_maximum, PATIENCE, now_ns)

    def received(self, now_ns: int) -> None:
        """Messages have come."""
        if self._stall.received(now_ns):
            log.info(
                "the broker lets %d messages wait for acknowledgement, so that checkpoints come more often than set; "
                "mosquitto's max_inflight_messages raises it",
                self._stall.limit,
            )

    def tried(self, now_ns: int) -> None:
        """A checkpoint was written, or could not be."""
        self.tried_ns = now_ns

    def due(self, now_ns: int, unacknowledged: int, *, changed: bool, failing: bool) -> bool:
        """Whether a checkpoint is to be written now. `changed`: there is something new; `failing`: the last one could not be."""
        age_ns = now_ns - self.tried_ns
        if failing and age_ns < RETRY_NS:
            return False
        return 4 * unacknowledged > 3 * self._stall.limit or (changed and age_ns >= self._checkpoint_ns)

    def stalled(self, now_ns: int, unacknowledged: int) -> bool:
        """Whether the broker may be waiting for us: it may allow fewer messages under way than we do."""
        return self._stall.stalled(now_ns, unacknowledged)

    def pressed(self, unacknowledged: int) -> bool:
        """Whether the broker can send little more until it is answered."""
        return 8 * unacknowledged > 7 * self._stall.limit

    def exhausted(self, unacknowledged: int) -> bool:
        """Whether the broker sends nothing more until it is answered."""
        return unacknowledged >= self._stall.limit

"""When to write a checkpoint, after which the input it covers is acknowledged. Pure: time and counts come in.

    due       anything is new, and the last checkpoint is `checkpoint_s` old
    full      half of what may wait for acknowledgement does
    stalled   the broker sends nothing, perhaps for want of our acknowledgements

An alert does not wait for any of these: the loop writes a checkpoint before it publishes one.
"""

import logging

from edge_ae.core.timestamps import SECOND

log = logging.getLogger(__name__)

RETRY_NS = SECOND
"""A disk that fails is tried again after this."""

STALLED_MESSAGES = 10
"""A broker that lets fewer wait for acknowledgement than these is not served any better by looking closer."""


class StallDetector:
    """Finds out how many messages the broker lets wait for acknowledgement, where it allows fewer than we asked for.

    It does not say how many those are. One that sends nothing for `patience_ns`, while messages are not acknowledged, is given
    the acknowledgements; if it sends again within `answer_ns` of that, it was waiting for them, and `limit` is what it allows.
    If not, its silence was its own, and it is asked after twice the time next, `longest_ns` at most.
    """

    def __init__(self, limit: int, patience_ns: int, answer_ns: int, longest_ns: int, now_ns: int) -> None:
        self.limit = limit
        self._shortest_ns = self._patience_ns = patience_ns
        self._answer_ns = answer_ns
        self._longest_ns = longest_ns
        self._received_ns = now_ns
        self._asked_ns = 0
        self._asked: int | None = None  # How many waited when the broker seemed to.

    def received(self, now_ns: int) -> bool:
        """Messages have come. True: `limit` has become smaller."""
        asked, self._asked = self._asked, None
        self._received_ns = now_ns
        if asked is None or asked >= self.limit or now_ns - self._asked_ns >= self._answer_ns:
            return False
        self.limit, self._patience_ns = asked, self._shortest_ns
        return True

    def stalled(self, now_ns: int, unacknowledged: int) -> bool:
        """Whether the broker may be waiting for us; the caller acknowledges at once."""
        if unacknowledged < STALLED_MESSAGES or now_ns - self._received_ns < self._patience_ns:
            return False
        self._asked_ns, self._asked = now_ns, unacknowledged
        self._patience_ns = min(2 * self._patience_ns, self._longest_ns)
        return True


class AckPolicy:
    """`checkpoint_ns`: how old a checkpoint may become. `receive_maximum`: how many messages may wait for acknowledgement."""

    def __init__(self, checkpoint_ns: int, receive_maximum: int, now_ns: int) -> None:
        self.tried_ns = now_ns
        self._checkpoint_ns = checkpoint_ns
        self._stall = StallDetector(receive_maximum, 2 * SECOND, SECOND // 10, 600 * SECOND, now_ns)

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
        return 2 * unacknowledged > self._stall.limit or (changed and age_ns >= self._checkpoint_ns)

    def stalled(self, now_ns: int, unacknowledged: int) -> bool:
        """Whether the broker may be waiting for us: it may allow fewer messages under way than we do."""
        return self._stall.stalled(now_ns, unacknowledged)

    def exhausted(self, unacknowledged: int) -> bool:
        """Whether the broker sends nothing more until it is answered."""
        return unacknowledged >= self._stall.limit

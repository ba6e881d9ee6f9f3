"""Input -> acknowledged, once both checkpoint files cover it. What broker and disk allow sets the pace of checkpoints.

    due       anything is new, and the last one is `checkpoint_s` old
    urgent    an alert began or ended; the last one is a second old
    full      a third of what may be under way is not covered
    stalled   the broker sends nothing, perhaps for want of our acknowledgements

Where the disk fails, input stays owed as long as the broker can send more: a crash until then loses nothing.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from edge_ae.core.deduplication import Seen
from edge_ae.core.timestamps import SECOND
from edge_ae.mqtt.link import Link, Message, Session
from edge_ae.store.checkpoint import Checkpoint
from edge_ae.store.outbox import Outbox

log = logging.getLogger(__name__)

EARLY_NS = SECOND  # checkpoints that an alert asks for are so far apart
OWED_SHARE = 3  # a checkpoint comes after a third of what may be under way; the one before is owed as much, at worst
STALL_NS = 2 * SECOND  # a broker that sends nothing for so long, and to which we owe
STALL_OWED = 10  # so many acknowledgements, may be waiting for them,
STALL_ANSWER_NS = SECOND // 10  # and was, if it sends this soon after getting them;
STALL_LONGEST_NS = 600 * SECOND  # if not, it is asked after twice the time next

State = Mapping[str, Any]


class Ledger:
    """`state`: makes everything that a restart must know, as it is now. `counts`: acknowledged_unsaved.

    `checkpoint_s` 0: nothing is kept, and input is acknowledged at once.
    """

    def __init__(
        self,
        link: Link,
        outbox: Outbox,
        checkpoint: Checkpoint,
        state: Callable[[], State],
        checkpoint_s: float,
        receive_maximum: int,
        now_ns: int,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.seen = Seen()
        self.saved_ns = now_ns  # or tried to
        self._link, self._outbox, self._checkpoint = link, outbox, checkpoint
        self._state = state
        self._checkpoint_ns = round(checkpoint_s * SECOND)
        self._most_owed = receive_maximum
        self._dirty = self._urgent = False
        self._input_ns = now_ns
        self._stall_ns, self._asked_ns, self._asked_owed = STALL_NS, 0, 0

    @property
    def durable(self) -> bool:
        return self._checkpoint_ns > 0

    @property
    def fault(self) -> str | None:
        """What keeps the state from being written."""
        return self._checkpoint.fault or self._outbox.fault

    # -- what happens --------------------------------------------------------------------------------------

    def input(self, now_ns: int) -> None:
        """Messages have come."""
        self._learn_stall(now_ns)
        self._dirty = True
        self._input_ns = now_ns

    def is_known(self, message: Message) -> bool:
        """Note a message. True: it has been used before, and is not to be used again."""
        if message.qos == 0:
            return False
        return self.seen.is_known(message.connection, message.mid, message.dup, message.topic, message.payload)

    def hurry(self) -> None:
        """Something has changed that is worth a checkpoint soon."""
        self._dirty = self._urgent = True

    def reconnected(self, session: Session) -> None:
        self.seen.reconnected(session.number, session.present)

    # -- checkpoints ---------------------------------------------------------------------------------------

    def keep(self, now_ns: int) -> None:
        """Checkpoint where one is due, then acknowledge what it covers."""
        if not self.durable:
            self._acknowledge_all()
            return
        age_ns = now_ns - self.saved_ns
        soon = age_ns >= EARLY_NS
        full = self.seen.uncovered > self._most_owed // OWED_SHARE and (soon or self.fault is None)
        if full or (self._urgent and soon) or (self._dirty and age_ns >= self._checkpoint_ns):
            self._save(now_ns)
        elif self._stalled(now_ns) and not self.save_both(now_ns):
            self._acknowledge_unsaved()
        if self.fault is not None and self.seen.owed >= self._most_owed:
            self._acknowledge_unsaved()

    def _save(self, now_ns: int) -> bool:
        self.saved_ns = now_ns
        state = self._state()
        self._outbox.retry()  # an event that is in memory alone is not covered by the checkpoint that knows it as told
        saved = self._outbox.fault is None and self._checkpoint.save(state)
        if saved:
            self._dirty = self.seen.uncovered > 0  # then there is something to cover a second time
            self._urgent = False
            self._link.ack(self.seen.settle())
        return saved

    def save_both(self, now_ns: int) -> bool:
        """Both files, so that all can be acknowledged. False: the disk fails, and nothing is lost by waiting."""
        return self._save(now_ns) and self._save(now_ns)

    def _acknowledge_unsaved(self) -> None:
        """The broker stops sending if it is never answered: going on without a net beats going blind."""
        self.counts["acknowledged_unsaved"] += self.seen.owed
        self._acknowledge_all()

    def _acknowledge_all(self) -> None:
        while self.seen.owed > 0:
            self._link.ack(self.seen.settle())

    # -- a broker that allows less than we do --------------------------------------------------------------

    def _stalled(self, now_ns: int) -> bool:
        """Whether the broker may be waiting for us: it may allow fewer messages under way than we do."""
        owed = self.seen.owed
        if owed < STALL_OWED or now_ns - self._input_ns < self._stall_ns or not self._link.connected:
            return False
        self._asked_ns, self._asked_owed = now_ns, owed
        self._stall_ns = min(2 * self._stall_ns, STALL_LONGEST_NS)
        return True

    def _learn_stall(self, now_ns: int) -> None:
        """Input that comes the moment we acknowledge was waiting for that: from now on it need not."""
        waited = now_ns - self._asked_ns < STALL_ANSWER_NS
        if waited and 0 < self._asked_owed < self._most_owed:
            self._most_owed, self._stall_ns = self._asked_owed, STALL_NS
            log.info(
                "the broker lets %d messages wait for acknowledgement, so that checkpoints come more often than set; "
                "mosquitto's max_inflight_messages raises it",
                self._asked_owed,
            )
        self._asked_owed = 0

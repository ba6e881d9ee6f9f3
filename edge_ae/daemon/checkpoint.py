"""Checkpoints: the state of the node to disk, and then, to the broker, the acknowledgement of the input that it covers.

Where the disk fails, input stays unacknowledged as long as the broker can send more: a crash until then loses nothing. Then it
is acknowledged all the same, for going on without a net beats going blind.
"""

from collections import Counter
from collections.abc import Callable

from edge_ae.core.deduplication import Deduplicator
from edge_ae.core.timestamps import SECOND
from edge_ae.daemon.ack_policy import AckPolicy
from edge_ae.mqtt.link import Link, Message, Session
from edge_ae.store.node_store import Changes, NodeStore


class Checkpoints:
    """`changes`: makes what is to be written, with all input taken into account; `saved`: is given it once it is on disk.
    `counts`: acknowledged_unsaved.

    `checkpoint_s` 0: no state is kept, and input is acknowledged at once.
    """

    def __init__(
        self,
        store: NodeStore,
        link: Link,
        changes: Callable[[], Changes],
        saved: Callable[[Changes], None],
        checkpoint_s: float,
        receive_maximum: int,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.received = Deduplicator(receive_maximum)
        self.keeps_state = checkpoint_s > 0
        self._store = store
        self._link = link
        self._changes = changes
        self._saved = saved
        self._policy = AckPolicy(round(checkpoint_s * SECOND), receive_maximum, 0)
        self._changed = False

    def began(self, now_ns: int) -> None:
        """The first checkpoint is due `checkpoint_s` from now."""
        self._policy.tried(now_ns)

    def age_s(self, now_ns: int) -> int:
        return (now_ns - self._policy.tried_ns) // SECOND

    def receive(self, message: Message) -> bool:
        """Note a message. False: it has been used before, and is not to be used again."""
        if message.qos == 0:
            return True
        return not self.received.is_duplicate(
            message.connection, message.mid, message.dup, message.topic, message.payload
        )

    def input(self, now_ns: int) -> None:
        """Messages have come."""
        self._policy.received(now_ns)
        self._changed = True

    def reconnected(self, session: Session) -> None:
        self.received.reconnected(session.number, session.present)

    def keep(self, now_ns: int) -> None:
        """Once a turn: write a checkpoint where one is due."""
        waiting = self.received.unacknowledged
        if not self.keeps_state:
            self._acknowledge(now_ns)
            return
        if self._link.connected and self._policy.stalled(now_ns, waiting):
            if not self.write(now_ns):
                self._acknowledge_unsaved(now_ns)
        elif self._policy.due(now_ns, waiting, changed=self._changed, failing=self._store.fault is not None):
            self.write(now_ns)
        if self._store.fault is not None and self._policy.exhausted(self.received.unacknowledged):
            self._acknowledge_unsaved(now_ns)

    def write(self, now_ns: int) -> bool:
        """Write a checkpoint now. False: the disk fails, and nothing is acknowledged."""
        self._policy.tried(now_ns)
        changes = self._changes()
        if not self._store.commit(changes):
            return False
        self._saved(changes)
        self._changed = False
        self._acknowledge(now_ns)
        return True

    def _acknowledge_unsaved(self, now_ns: int) -> None:
        self.counts["acknowledged_unsaved"] += self.received.unacknowledged
        self._acknowledge(now_ns)

    def _acknowledge(self, now_ns: int) -> None:
        self._link.ack(self.received.settle(now_ns))

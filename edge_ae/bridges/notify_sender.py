"""Sends messages one after the other in a thread of its own, so that the loop waits for none.

offer(recipient, job) ─► bounded queue ─► the thread: a process for each job ─► done() gives (recipient, Delivery)
"""

import queue
import threading
import time
from collections import deque

from edge_ae.bridges.notify_process import Delivery, Job, Sending


class Sender:
    """`most`: jobs that wait. One thread offers them. The thread that sends begins with the first of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: queue.Queue[tuple[str, Job] | None] = queue.Queue(most + 1)
        self._done: deque[tuple[str, Delivery]] = deque()
        self._thread: threading.Thread | None = None
        self._now: Sending | None = None
        self._closed = False

    def offer(self, recipient: str, job: Job) -> bool:
        """False: too many wait."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="notify", daemon=True)
            self._thread.start()
        if self._jobs.qsize() >= self._most:
            return False
        self._jobs.put((recipient, job))
        return True

    def done(self) -> list[tuple[str, Delivery]]:
        """What has come of jobs since the last call."""
        return [self._done.popleft() for _ in range(len(self._done))]

    def close(self, patience_s: float) -> None:
        """Begin no other job; wait so long for the one under way, and then end it."""
        self._closed = True
        thread, deadline = self._thread, time.monotonic() + patience_s
        if thread is None:
            return
        self._jobs.put(None)  # There is room for it; the thread looks at `_closed` before each job.
        thread.join(max(deadline - time.monotonic(), 0.0))
        sending = self._now
        if thread.is_alive() and sending is not None:
            sending.cancel()
            thread.join(1.0)

    def _work(self) -> None:
        while True:
            taken = self._jobs.get()
            if taken is None or self._closed:
                return
            recipient, job = taken
            self._now = Sending(job)
            delivery = self._now.outcome()
            self._now = None
            if delivery.fault is None or not self._closed:  # What was cut off is no failure.
                self._done.append((recipient, delivery))

"""An asset that somebody looks at -> its rows as people see them: each channel's signal beside what is expected of it, the score
beside its boundary.

    Scored ─► scored         once a second ─► look ─► Signals        the first time the newest window, later the rows since

Signals are what the model is given: values at its own pace, of a counter its rate, and none of a sensor that is at fault. What
is expected of them is what an alert says of them. Of an asset that nobody looks at, nothing of this is done.
"""

import numpy as np

from edge_ae.core.detector import Detector
from edge_ae.core.events import Signals, Verdict
from edge_ae.core.expectation import Suspicion
from edge_ae.core.model_spec import Floats, Model


class AssetView:
    """Looks at one asset, and remembers up to which row."""

    def __init__(self, detector: Detector, model: Model) -> None:
        self.detector = detector
        self._model = model
        self._suspicion = Suspicion()
        self._verdicts: dict[int, Verdict] = {}  # By the slots of the newest window's rows.
        self._shown: int | None = None  # The slot of the newest row that was looked at.

    def scored(self, verdict: Verdict) -> None:
        """Take note of the score of a row."""
        self._verdicts.pop(verdict.slot, None)
        self._verdicts[verdict.slot] = verdict
        if len(self._verdicts) > self.detector.spec.length:
            del self._verdicts[next(iter(self._verdicts))]
        if verdict.ratio < 1.0:
            self._suspicion.clear()

    def look(self, *, whole: bool = False) -> Signals | None:
        """The rows since the last look, as far as they are in the newest window; None: there are none. `whole`: all of that."""
        recent = self.detector.recent
        if recent is None or (self._shown == recent.slot and not whole):
            return None
        rows, first_look = len(recent.values), self._shown is None
        if self._shown is not None and self._shown < recent.slot and not whole:
            rows = min(rows, recent.slot - self._shown)
        self._shown = recent.slot
        slots = range(recent.slot + 1 - rows, recent.slot + 1)
        period_ns = self.detector.spec.period_ns
        return Signals(
            self.detector.spec.channels,
            [slot * period_ns for slot in slots],
            [self._verdicts.get(slot) for slot in slots],
            recent.values[-rows:],
            self._expected(recent.values, at_once=first_look)[-rows:],
        )

    def _expected(self, values: Floats, *, at_once: bool) -> Floats:
        window = self.detector.newest
        if window is None:
            return np.full_like(values, np.nan)
        model = self.detector.model_at(self._model, window.slot)
        return self._suspicion.expected(model, window.values, self.detector.threshold, at_once=at_once)

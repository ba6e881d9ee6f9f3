"""Asset -> Detector. Takes readings of any asset, scores all windows that are due in one call a model, and
returns what came of it, each asset's in order.
"""

from collections import Counter
from typing import Any

import numpy as np

from edge_ae.core.alert_events import AlertStep, Outcome
from edge_ae.core.detector import Detector, Watch
from edge_ae.core.events import Readings, Row, Stretch, Window
from edge_ae.core.expectation import expected_by_others
from edge_ae.core.model_spec import Explanation, Floats, Model

LARGEST_SCORE = float(np.finfo(np.float32).max)  # Stands for a score that is no number: far from normal, never normal.
MAX_BATCH = 64  # windows in one call: past this a larger batch is no faster, and latency grows


class Fleet:
    """All assets of a node; at most `max_assets`, for a topic can name any number of them."""

    def __init__(self, node: str, max_assets: int = 1000) -> None:
        self.counts: Counter[str] = Counter()
        self.detectors: dict[str, Detector] = {}
        self.node = node
        self.max_assets = max_assets
        self._models: dict[str, Model] = {}
        self._due: list[tuple[Detector, Window]] = []
        self._unscored: dict[str, Detector] = {}  # assets whose rows have shown something without a window

    def add(self, asset: str, watch: Watch) -> Detector:
        """Watch an asset from its beginning, also where it was watched before."""
        detector = Detector(self.node, asset, watch)
        self.detectors[asset] = detector
        self._models[watch.model.spec.sha256] = watch.model
        return detector

    def push(self, readings: Readings, watch: Watch | None) -> None:
        """Take readings. A new asset is watched as `watch` says, and passed over without; one that is known keeps the model it has."""
        detector = self.detectors.get(readings.asset)
        if detector is None:
            if watch is None:
                return
            if len(self.detectors) >= self.max_assets:
                self.counts["too_many_assets"] += 1
                return
            detector = self.add(readings.asset, watch)
        for window in detector.push(readings):
            self._due.append((detector, window))
        if detector.has_unscored:
            self._unscored[detector.asset] = detector

    def push_stretch(self, stretch: Stretch) -> int:
        """Take the first so many readings of a known asset that are nothing special in one go; how many, maybe none."""
        detector = self.detectors[stretch.asset]
        taken, windows = detector.push_stretch(stretch)
        self._due.extend((detector, window) for window in windows)
        if detector.has_unscored:
            self._unscored[detector.asset] = detector
        return taken

    def flush(self) -> None:
        """Close the rows still open, of every asset: the end of a file."""
        for detector in self.detectors.values():
            self._due.extend((detector, window) for window in detector.flush())

    def tick(self, now_ns: int, listening: bool = True) -> list[AlertStep]:
        """Look after every asset, by the wall clock; the alerts that became known because a silence ended."""
        return [event for detector in self.detectors.values() for event in detector.tick(now_ns, listening)]

    @property
    def due(self) -> int:
        """How many windows `step` would score, and assets of which it would look at more than these."""
        return len(self._due) + len(self._unscored)

    def step(self) -> list[Outcome]:
        """Score and judge every window that is due."""
        due, self._due = self._due, []
        results: list[Outcome] = []
        for first in range(0, len(due), MAX_BATCH):
            batch = due[first : first + MAX_BATCH]
            for (detector, window), score in zip(batch, self._score(batch), strict=True):
                explanation: Explanation | None = None
                if detector.wants_explanation(score):
                    model = self.model_of(detector)
                    (explanation,) = model.explain(window.values[None])
                    explanation = expected_by_others(model, window.values, explanation, detector.threshold)
                results.extend(detector.judge(window, score, explanation))
        unscored, self._unscored = self._unscored, {}
        for detector in unscored.values():
            results.extend(detector.unscored())
        return results

    def _score(self, batch: list[tuple[Detector, Window]]) -> list[float]:
        by_model: dict[str, list[int]] = {}
        for index, (detector, _) in enumerate(batch):
            by_model.setdefault(detector.spec.sha256, []).append(index)
        scores = [0.0] * len(batch)
        for sha256, indices in by_model.items():
            windows: Floats = np.stack([batch[i][1].values for i in indices])
            for index, score in zip(indices, scored(self._models[sha256], windows), strict=True):
                scores[index] = score
        return scores

    def model_of(self, detector: Detector) -> Model:
        """The model that one of its assets is scored with."""
        return self._models[detector.spec.sha256]

    def denoised(self, asset: str) -> Row | None:
        """The newest row of an asset as its model restores it: without the noise, and with what was missing."""
        detector = self.detectors[asset]
        window = detector.newest
        if window is None:
            return None
        (explanation,) = self.model_of(detector).explain(window.values[None])
        return Row(window.slot, tuple(explanation.reconstruction[-1].tolist()))

    def snapshot(self) -> dict[str, Any]:
        """Everything that a restart must know. Call it with nothing due."""
        assert not self._due
        return {asset: detector.snapshot() for asset, detector in self.detectors.items()}


def scored(model: Model, windows: Floats) -> list[float]:
    """The model's scores of windows [batch, length, channel], every one a number."""
    return [score if score < LARGEST_SCORE else LARGEST_SCORE for score in model.score(windows).tolist()]

"""Asset -> Detector. Takes readings of any asset, scores all windows that are due in one call a model, and
returns what came of it, each asset's in order.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from edge_ae.core.alert_events import AlertStep, Outcome
from edge_ae.core.detector import Detector, Watch
from edge_ae.core.events import Readings, Row, Stretch, Window
from edge_ae.core.expectation import expected_by_others
from edge_ae.core.model_spec import Explanation, Floats, Model, ModelSpec
from edge_ae.errors import ModelFails

LARGEST_SCORE = float(np.finfo(np.float32).max)  # Stands for a score that is no number: far from normal, never normal.
USUAL_WIDTHS = 10.0  # A value is like those of training up to so many of their ranges beyond.
MAX_BATCH = 64  # windows in one call: past this a larger batch is no faster, and latency grows


class Fleet:
    """All assets of a node; at most `max_assets`, for a topic can name any number of them.

    `on_probation`: models, by SHA-256, that are not believed yet: see `step`. `follows_drift`: see whether assets move away from
    their models, which costs an explanation now and then.
    """

    def __init__(self, node: str, max_assets: int = 1000, *, follows_drift: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self.detectors: dict[str, Detector] = {}
        self.on_probation: frozenset[str] = frozenset()
        self.node = node
        self.max_assets = max_assets
        self._follows_drift = follows_drift
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

    def remove(self, asset: str) -> None:
        """Watch an asset no more, also where windows of it are due; a model that no other asset has is let go."""
        detector = self.detectors.pop(asset)
        self._due = [one for one in self._due if one[0] is not detector]
        self._unscored.pop(asset, None)
        self._forget_models()

    def exchange(self, assets: Iterable[str], other: "Fleet") -> None:
        """Give the detectors of assets to another fleet for those that it has of them, each with its windows that are due."""
        for asset in assets:
            mine, others = self.detectors[asset], other.detectors[asset]
            self.detectors[asset], other.detectors[asset] = others, mine
            for fleet, detector, before in ((self, others, other), (other, mine, self)):
                fleet._models[detector.spec.sha256] = before._models[detector.spec.sha256]
                fleet._unscored.pop(asset, None)
                if detector.has_unscored:
                    fleet._unscored[asset] = detector
        due = self._due + other._due
        for fleet in (self, other):
            fleet._due = [one for one in due if fleet.detectors.get(one[0].asset) is one[0]]
            fleet._forget_models()

    def _forget_models(self) -> None:
        used = {detector.spec.sha256 for detector in self.detectors.values()}
        self._models = {sha256: model for sha256, model in self._models.items() if sha256 in used}

    def flush(self) -> None:
        """Close the rows still open, of every asset: the end of a file."""
        for detector in self.detectors.values():
            self._due.extend((detector, window) for window in detector.flush())
            if detector.has_unscored:
                self._unscored[detector.asset] = detector

    def tick(self, now_ns: int, listening: bool = True) -> list[AlertStep]:
        """Look after every asset, by the wall clock; the alerts that became known because a silence ended."""
        return [event for detector in self.detectors.values() for event in detector.tick(now_ns, listening)]

    @property
    def due(self) -> int:
        """How many windows `step` would score, and assets of which it would look at more than these."""
        return len(self._due) + len(self._unscored)

    def step(self) -> list[Outcome]:
        """Score and judge every window that is due.

        Raises ModelFails where a model that is on probation gives a usual window a score that is no number: nothing is judged then, and
        all that was due still is.
        """
        scores = [score for first in range(0, len(self._due), MAX_BATCH) for score in self._score(first)]
        due, self._due = self._due, []
        results: list[Outcome] = []
        for (detector, window), score in zip(due, scores, strict=True):
            explanation: Explanation | None = None
            if detector.wants_explanation(score):
                model = detector.model_at(self.model_of(detector), window.slot)
                (explanation,) = model.explain(window.values[None])
                explanation = expected_by_others(model, window.values, explanation, detector.threshold)
            elif self._follows_drift and detector.wants_look(window, score):
                model = detector.model_at(self.model_of(detector), window.slot)
                detector.look(window, *model.explain(window.values[None]))
            results.extend(detector.judge(window, score, explanation))
        unscored, self._unscored = self._unscored, {}
        for detector in unscored.values():
            results.extend(detector.unscored())
        return results

    def _score(self, first: int) -> list[float]:
        """Those of the batch of windows that begins with one."""
        batch = self._due[first : first + MAX_BATCH]
        by_model: dict[str, list[int]] = {}
        for index, (detector, _) in enumerate(batch):
            by_model.setdefault(detector.spec.sha256, []).append(index)
        scores = [0.0] * len(batch)
        for sha256, indices in by_model.items():
            windows: Floats = np.stack([batch[i][0].seen_by_model(batch[i][1]) for i in indices])
            found = self._models[sha256].score(windows)
            if sha256 in self.on_probation and _fails(self._models[sha256].spec, windows, found):
                raise ModelFails(sha256, "the score of a window that is like those of training is no number")
            for index, score in zip(indices, _numbers(found), strict=True):
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
        model = detector.model_at(self.model_of(detector), window.slot)
        (explanation,) = model.explain(window.values[None])
        return Row(window.slot, tuple(explanation.reconstruction[-1].tolist()))

    def snapshot(self) -> dict[str, Any]:
        """Everything that a restart must know. Call it with nothing due."""
        assert not self._due
        return {asset: detector.snapshot() for asset, detector in self.detectors.items()}


def scored(model: Model, windows: Floats) -> list[float]:
    """The model's scores of windows [batch, length, channel], every one a number."""
    return _numbers(model.score(windows))


def _numbers(scores: Floats) -> list[float]:
    return [score if score < LARGEST_SCORE else LARGEST_SCORE for score in scores.tolist()]


def _fails(spec: ModelSpec, windows: Floats, scores: Floats) -> bool:
    """Whether a score is no number though its window is no excuse: an absurd value may well overflow a sound model."""
    odd = ~np.isfinite(scores)
    if not odd.any():
        return False
    low, high = (np.array([getattr(one, side) for one in spec.channels]) for side in ("low", "high"))
    margin = USUAL_WIDTHS * np.maximum(high - low, np.maximum(np.abs(low), np.abs(high)))
    values = windows[odd].astype(np.float64)
    usual = np.isnan(values) | (np.isfinite(values) & (values >= low - margin) & (values <= high + margin))
    return bool(usual.all(axis=(1, 2)).any())

"""A model whose calls are timed, and that is the same in all else."""

import time
from collections.abc import Callable, Sequence

from edge_ae.core.model_spec import Explanation, Floats, Model, ModelSpec


class TimedModel:
    """`observe` gets the seconds of each call."""

    def __init__(self, model: Model, observe: Callable[[float], None]) -> None:
        self._model = model
        self._observe = observe

    @property
    def spec(self) -> ModelSpec:
        """What its file holds about it."""
        return self._model.spec

    @property
    def provider(self) -> str | None:
        """What runs it, where that is known."""
        return getattr(self._model, "provider", None)

    def score(self, windows: Floats) -> Floats:
        """Scores [batch] of windows [batch, length, channel]."""
        began = time.perf_counter()
        scores = self._model.score(windows)
        self._observe(time.perf_counter() - began)
        return scores

    def explain(self, windows: Floats) -> Sequence[Explanation]:
        """One explanation a window."""
        began = time.perf_counter()
        explanations = self._model.explain(windows)
        self._observe(time.perf_counter() - began)
        return explanations

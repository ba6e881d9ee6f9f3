"""What the leaderboards' figures are called, and which of ours are to be reached: by a number, or beside the best baseline."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

OURS = "edge-ae"
KEYS = {
    "f1": "F1",
    "far": "FAR %",
    "mar": "missed %",
    "vus_pr": "VUS-PR",
    "auc_pr": "AUC-PR",
    "best_f1": "best F1",
    "affiliation_f1": "affil. F1",
    "event_recall": "recall",
}


@dataclass(frozen=True)
class Aim:
    """Of a leaderboard: what our figure is to be, as a number or as so many times the best baseline's."""

    key: str
    least: float = -math.inf
    most: float = math.inf
    times_best: float | None = None

    def kept(self, summary: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
        """What was reached of what was aimed at, with yes or NO. `summary`: figures a seed, of each detector."""
        means = {name: float(np.mean([run[self.key] for run in runs])) for name, runs in summary.items()}
        own = means.pop(OURS)
        word, least = KEYS[self.key], self.least
        if self.times_best is not None:
            best = max(means, key=lambda name: means[name])
            least = self.times_best * means[best]
            text = f"{word} {own:.3f}, aim {self.times_best:g} times the {means[best]:.3f} of {best}"
        else:
            text = f"{word} {own:.3f}, aim " + (
                f"{least:g} at least" if self.most == math.inf else f"{self.most:g} at most"
            )
        return f"{text}: {'yes' if least <= own <= self.most else 'NO'}"


AIMS = {
    "skab": (Aim("vus_pr", times_best=1.0), Aim("f1", least=0.82), Aim("far", most=15.0)),
    "smd": (Aim("vus_pr", times_best=1.0),),
    "plants": (Aim("auc_pr", times_best=1.2),),
}

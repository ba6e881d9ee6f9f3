"""Which features networks see and the score judges: all but those of discrete channels, where there are any others.

Whitened as if it were a temperature, a switch that is thrown twice in training is the oddest thing in it: the boundary goes
beyond any fault, and nobody watches the machine. So a discrete channel is shown as it is, with nothing expected of it, and what
it does is judged by itself, see `habits`. A variational network sees and restores all features, for it is to make rows of all;
it judges as few. To give networks the switches as an input, or to take off what they do to the others, found no more faults.
"""

from collections.abc import Callable, Sequence

import numpy as np

from edge_ae.core.model_spec import Floats


def judged_features(features: int, discrete: Sequence[int]) -> tuple[int, ...] | None:
    """Of so many, all but the `discrete` ones; None where that leaves none, or nothing out: all are judged."""
    judged = tuple(index for index in range(features) if index not in discrete)
    return judged if 0 < len(judged) < features else None


class Sight:
    """On arrays whose last axis is the feature; where not all are judged."""

    def __init__(self, features: int, judged: Sequence[int], *, sees_all: bool = False) -> None:
        """`judged`: of so many `features`. `sees_all`: the networks see and restore all of them."""
        place = {feature: index for index, feature in enumerate(judged)}
        self.sees_all = sees_all
        self._judged = np.array(judged)
        self._place = np.array([place.get(feature, 0) for feature in range(features)])
        self._is_judged = np.array([feature in place for feature in range(features)])

    def __call__(self, features: Floats) -> Floats:
        """What networks see [..., seen] of [..., feature]."""
        return features if self.sees_all else self.of_judged(features)

    def judge(self, seen: Floats) -> Floats:
        """[..., judged] of [..., seen]."""
        return self.of_judged(seen) if self.sees_all else seen

    def of_judged(self, features: Floats) -> Floats:
        """[..., judged] of [..., feature]."""
        return np.take(features, self._judged, axis=-1)

    def by_feature(self, judged: Floats) -> Floats:
        """[..., feature] of [..., judged]: 0 of those that are not."""
        return np.where(self._is_judged, np.take(judged, self._place, axis=-1), 0.0)

    def restored(self, seen: Floats, features: Floats) -> Floats:
        """[..., feature] of what a network restored [..., seen]; what it did not see is as it is in `features`."""
        if self.sees_all:
            return seen
        return np.where(self._is_judged, np.take(seen, self._place, axis=-1), features)

    def shown(self, expected: Floats, window: Floats) -> Floats:
        """What is expected [..., channel]; of a discrete channel what the window holds: standardised, it may have been cut."""
        if self.sees_all:
            return expected
        as_it_is = ~self._is_judged[: window.shape[-1]] & ~np.isnan(window)
        return np.where(as_it_is, window, expected)


class Seen:
    """Physical windows -> what networks see of them, and where that was present; as `Standardise` gives it where all are seen."""

    def __init__(self, standardise: Callable[[Floats], tuple[Floats, Floats]], sight: Sight) -> None:
        self.standardise = standardise
        self.sight = sight

    def __call__(self, physical: Floats) -> tuple[Floats, Floats]:
        """[batch, row, seen], both."""
        values, present = self.standardise(physical)
        return self.sight(values), self.sight(present)

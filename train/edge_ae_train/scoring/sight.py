"""Which features networks see and the score judges: all but those of discrete channels, where there are any others.

Whitened as if it were a temperature, a switch that is thrown twice in training is the oddest thing in it: the boundary goes
beyond any fault, and nobody watches the machine. So a discrete channel is shown as it is, with nothing expected of it, and what
it does is judged by itself, see `habits`. A variational network sees and restores all features, for it is to make rows of all;
it judges as few. To give networks the switches as an input, or to take off what they do to the others, found no more faults.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def judged_features(features: int, discrete: Sequence[int]) -> tuple[int, ...] | None:
    """Of so many, all but the `discrete` ones; None where that leaves none, or nothing out: all are judged."""
    judged = tuple(index for index in range(features) if index not in discrete)
    return judged if 0 < len(judged) < features else None


class Sight(nn.Module):
    """On tensors whose last axis is the feature; where not all are judged."""

    def __init__(self, features: int, judged: Sequence[int], *, sees_all: bool = False) -> None:
        """`judged`: of so many `features`. `sees_all`: the networks see and restore all of them."""
        super().__init__()
        place = {feature: index for index, feature in enumerate(judged)}
        self.sees_all = sees_all
        self.register_buffer("judged", torch.tensor(judged))
        self.register_buffer("place", torch.tensor([place.get(feature, 0) for feature in range(features)]))
        self.register_buffer("is_judged", torch.tensor([feature in place for feature in range(features)]))

    judged: Tensor
    place: Tensor
    is_judged: Tensor

    def forward(self, features: Tensor) -> Tensor:
        """What networks see [..., seen] of [..., feature]."""
        return features if self.sees_all else self.of_judged(features)

    def judge(self, seen: Tensor) -> Tensor:
        """[..., judged] of [..., seen]."""
        return self.of_judged(seen) if self.sees_all else seen

    def of_judged(self, features: Tensor) -> Tensor:
        """[..., judged] of [..., feature]."""
        return torch.index_select(features, -1, self.judged)

    def by_feature(self, judged: Tensor) -> Tensor:
        """[..., feature] of [..., judged]: 0 of those that are not."""
        return torch.where(self.is_judged, torch.index_select(judged, -1, self.place), 0.0)

    def restored(self, seen: Tensor, features: Tensor) -> Tensor:
        """[..., feature] of what a network restored [..., seen]; what it did not see is as it is in `features`."""
        if self.sees_all:
            return seen
        return torch.where(self.is_judged, torch.index_select(seen, -1, self.place), features)

    def shown(self, expected: Tensor, window: Tensor) -> Tensor:
        """What is expected [..., channel]; of a discrete channel what the window holds: standardised, it may have been cut."""
        if self.sees_all:
            return expected
        as_it_is = ~self.is_judged[: window.shape[-1]] & ~torch.isnan(window)
        return torch.where(as_it_is, window, expected)


class Seen(nn.Module):
    """Physical windows -> what networks see of them, and where that was present; as `Standardise` gives it where all are seen."""

    def __init__(self, standardise: nn.Module, sight: Sight) -> None:
        super().__init__()
        self.standardise = standardise
        self.sight = sight

    def forward(self, physical: Tensor) -> tuple[Tensor, Tensor]:
        """[batch, row, seen], both."""
        values, present = self.standardise(physical)
        return self.sight(values), self.sight(present)

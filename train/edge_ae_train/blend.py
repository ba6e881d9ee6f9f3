"""The hybrid as a candidate: made of two others, a linear family's and a network's, block by block. Nothing is trained.

As with the whitening, what is decided for a block is decided by the other blocks: the shares with which its windows are
restored come from windows that neither it nor the two networks that restore them have seen.
"""

import numpy as np

from edge_ae.core.model_spec import Floats
from edge_ae_train.candidates import Candidate, HeldOutBlock, Trained, calibrated, held_out, held_out_windows
from edge_ae_train.data.dataset import spread_over
from edge_ae_train.material import Material
from edge_ae_train.models.families import HYBRID
from edge_ae_train.models.hybrid import Hybrid, errors, shares
from edge_ae_train.scoring.graph import Views

WINDOWS = 1024  # of each block, that the shares are found on


def blended(linear: Candidate, network: Candidate, material: Material) -> Candidate:
    """`linear` and `network`: trained on the same rows, with the same blocks held out."""
    pairs = list(zip(linear.blocks, network.blocks, strict=True))
    found = np.stack([_errors(ours, theirs, material) for ours, theirs in pairs])
    blocks: list[HeldOutBlock] = []
    for (ours, theirs), own in zip(pairs, found, strict=True):
        mixed = _mixed(ours.trained, theirs.trained, shares(found.sum(0) - own))
        blocks += held_out(mixed, material, ours.span)
    trained = _mixed(linear.trained, network.trained, shares(found.sum(0)))
    return calibrated(HYBRID, trained, blocks, material)


def _errors(ours: HeldOutBlock, theirs: HeldOutBlock, material: Material) -> Floats:
    windows = held_out_windows(material, ours.span)
    values, present = windows.take(spread_over(len(windows), WINDOWS))
    views = ours.trained.views
    if views.sight is not None:
        values, present = views.sight(values), views.sight(present)
    return errors(views.network, theirs.trained.views.network, [(values, present)], views.weights.mean(axis=0))


def _mixed(ours: Trained, theirs: Trained, share: Floats) -> Trained:
    """The linear one as it is, where no channel has a share."""
    if not share.any():
        return ours
    views = ours.views
    network = Hybrid(views.network, theirs.views.network, share)
    return Trained(Views(network, views.forecaster, views.weights.shape[1], views.sight), ours.latent)

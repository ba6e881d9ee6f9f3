"""A torch network in the place of array code: the score's description takes it as it takes a linear family's, and knows no torch."""

from typing import cast

import torch
from torch import nn

from edge_ae.core.model_spec import Floats
from edge_ae_train.graphs.trace import traced
from edge_ae_train.models.network_graph import network_graph


class TorchNetwork:
    """Of a trained `module` that gives the latent and the restored window."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module.eval()

    def __call__(self, window: Floats) -> tuple[Floats, Floats]:
        """Latent [batch, latent] and restored window, of a standardised window [batch, length, channel] without holes."""
        if (value := traced(window)) is not None:
            latent, restored = value.tape.embed(
                network_graph(self.module, *value.shape[1:]), [value], self(value.example)
            )
            return cast(Floats, latent), cast(Floats, restored)
        with torch.no_grad():
            codes, windows = self.module(torch.from_numpy(window))
        return codes.numpy(), windows.numpy()

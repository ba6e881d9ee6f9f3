"""A network's graph is the same to the bit whether its structure was traced for it or for another network."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from edge_ae_train.graphs.onnx_file import OnnxGraph, model_bytes
from edge_ae_train.models import network_graph as graphs
from edge_ae_train.models.autoencoders import Shape, build
from edge_ae_train.models.families import NEURAL
from edge_ae_train.models.network_graph import network_graph
from torch import Tensor, nn

LENGTH = 8


def traces(network: nn.Module, *others: nn.Module) -> int:
    """How many traces the graphs of these networks take."""
    graphs._traced.cache_clear()
    for one in (network, *others):
        network_graph(one, 4, 2)
    return graphs._traced.cache_info().misses


def with_other_values(network: nn.Module) -> nn.Module:
    other = deepcopy(network)
    for tensor in other.state_dict().values():
        if tensor.is_floating_point():
            tensor.mul_(1.0 + 0.01 * torch.rand(tensor.shape, generator=torch.Generator().manual_seed(1)))
    return other


def bytes_of(network: nn.Module) -> bytes:
    return model_bytes(network_graph(network, LENGTH, 2))


@pytest.mark.parametrize("family", NEURAL)
def test_graph_is_the_same_from_the_trace_of_another_network(family: str) -> None:
    network = build(family, Shape(LENGTH, 2, latent=3, width=4)).eval()
    other = with_other_values(network)
    graphs._traced.cache_clear()
    own = bytes_of(network)
    graphs._traced.cache_clear()
    others = bytes_of(other)
    assert bytes_of(network) == own
    assert graphs._traced.cache_info().misses == 1
    assert others != own
    assert bytes_of(other) == others


class Shifted(nn.Module):
    """Has a tensor, an attribute, and a tensor that is registered nowhere."""

    def __init__(self, times: int, shift: float) -> None:
        super().__init__()
        self.register_buffer("gain", torch.tensor([1.5, 2.5]))
        self.times = times
        self.shift = torch.tensor([shift, 0.0])

    gain: Tensor

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        restored = (window * self.gain + self.shift) * self.times
        return restored[:, -1], restored


def test_networks_of_one_structure_share_a_trace() -> None:
    assert traces(Shifted(1, 2.0), with_other_values(Shifted(1, 2.0))) == 1


def test_other_attribute_or_unregistered_tensor_is_another_structure() -> None:
    assert traces(Shifted(1, 2.0), Shifted(2, 2.0), Shifted(1, 3.0)) == 3


def constants(graph: OnnxGraph) -> set[tuple[float, ...]]:
    return {tuple(value.ravel().tolist()) for value in graph.constants.values()}


def test_networks_own_values_are_in_its_graph() -> None:
    network = Shifted(1, 2.0)
    other = with_other_values(network)
    network_graph(network, 4, 2)
    wanted = tuple(np.asarray(other.state_dict()["gain"]).tolist())
    assert wanted in constants(network_graph(other, 4, 2))
    assert wanted not in constants(network_graph(network, 4, 2))

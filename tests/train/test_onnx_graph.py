"""A graph is the same to the bit whether its structure was traced for it or for another network."""

from copy import deepcopy

import numpy as np
import onnx
import pytest
import torch
from edge_ae_train import onnx_graph as graphs
from edge_ae_train.candidates import FAMILIES
from edge_ae_train.data.segments import Segment
from edge_ae_train.fit import Options, fit
from edge_ae_train.models.autoencoders import NEURAL, Shape, build
from edge_ae_train.models.linear import fit_linear
from edge_ae_train.onnx_graph import onnx_graph
from torch import Tensor, nn

from edge_ae.core.model_spec import Channel, Kind
from tests.models import CHANNELS, DistanceGraph

LENGTH = 8
KINDS = (Channel("level"), Channel("direction", kind=Kind.ANGLE, turn=360.0), Channel("valve", kind=Kind.DISCRETE))


def traces(network: nn.Module, *others: nn.Module) -> int:
    """How many traces the graphs of these networks take."""
    graphs._traced.cache_clear()
    for one in (network, *others):
        onnx_graph(one, 4, 2)
    return graphs._traced.cache_info().misses


def with_other_values(network: nn.Module) -> nn.Module:
    other = deepcopy(network)
    for tensor in other.state_dict().values():
        if tensor.is_floating_point():
            tensor.mul_(1.0 + 0.01 * torch.rand(tensor.shape, generator=torch.Generator().manual_seed(1)))
    return other


class Bare(nn.Module):
    """A family's network alone, with the outputs of a model file."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        latent, restored = self.network(window)
        squares = (window - restored).square().mean(1)
        return squares.sum(1), squares, restored, latent


def bare(family: str) -> nn.Module:
    if family in NEURAL:
        return Bare(build(family, Shape(LENGTH, 2, latent=3, width=4))).eval()
    rows = np.random.default_rng(0).normal(size=(200, 2)).cumsum(axis=0).astype(np.float32)
    return Bare(fit_linear(family, [rows])).eval()


def whole() -> nn.Module:
    """All that a score can be made of: an angle and a discrete channel among the others."""
    rng, steps = np.random.default_rng(0), np.arange(240)
    values = np.column_stack([np.sin(steps / 9), steps * 7 % 360, steps // 40 % 2])
    values[:, :2] += rng.normal(0.0, 0.1, (240, 2))
    return fit((Segment(values.astype(np.float32)),), Options("pca", LENGTH, channels=KINDS)).graph


def require_one_trace(network: nn.Module, channels: int) -> None:
    """The network's graph is the same from its own trace and from that of another, whose graph differs."""
    other = with_other_values(network)
    graphs._traced.cache_clear()
    own = onnx_graph(network, LENGTH, channels)
    graphs._traced.cache_clear()
    others = onnx_graph(other, LENGTH, channels)
    assert onnx_graph(network, LENGTH, channels) == own
    assert graphs._traced.cache_info().misses == 1
    assert others != own
    assert onnx_graph(other, LENGTH, channels) == others


@pytest.mark.parametrize("family", FAMILIES)
def test_network_s_graph_is_the_same_from_the_trace_of_another(family: str) -> None:
    require_one_trace(bare(family), 2)


def test_whole_score_s_graph_is_the_same_from_the_trace_of_another() -> None:
    require_one_trace(whole(), len(KINDS))


class Shifted(DistanceGraph):
    """Has an attribute, and a tensor that is registered nowhere."""

    def __init__(self, times: int, shift: float) -> None:
        super().__init__(CHANNELS)
        self.times = times
        self.shift = torch.tensor([shift, 0.0])

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return super().forward((window + self.shift) * self.times)


def test_networks_of_one_structure_share_a_trace() -> None:
    assert traces(Shifted(1, 2.0), with_other_values(Shifted(1, 2.0))) == 1


def test_other_attribute_or_unregistered_tensor_is_another_structure() -> None:
    assert traces(Shifted(1, 2.0), Shifted(2, 2.0), Shifted(1, 3.0)) == 3


def test_network_s_own_values_are_in_its_graph() -> None:
    network = DistanceGraph(CHANNELS)
    onnx_graph(network, 4, 2)
    other = with_other_values(network)
    found = {tuple(onnx.numpy_helper.to_array(one).ravel()) for one in onnx_graph(other, 4, 2).graph.initializer}
    assert {tuple(tensor.numpy()) for tensor in other.state_dict().values()} <= found

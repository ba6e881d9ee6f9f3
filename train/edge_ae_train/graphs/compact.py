"""Large constants in fewer bytes, to the bit the same once the file is loaded: half of a symmetric matrix, in half precision where that holds
it. What makes the whole of it again are nodes of constants alone, which a runtime computes on loading.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from edge_ae_train.graphs.onnx_file import ELEMENTS, Array, Attribute, OnnxGraph, OnnxNode

LARGE = 64  # rows and columns of the smallest matrix that is worth it: below that a file is small


def compact(graph: OnnxGraph) -> OnnxGraph:
    """The same graph with its large matrices, and those of its branches, written smaller."""
    nodes: list[OnnxNode] = []
    constants: dict[str, Array] = {}
    for name, value in graph.constants.items():
        parts = list(_parts(name, value))
        nodes += [part for part in parts if isinstance(part, OnnxNode)]
        constants |= dict(part for part in parts if isinstance(part, tuple))
    inner = tuple(replace(node, attributes=_within(node)) for node in graph.nodes)
    return replace(graph, nodes=(*nodes, *inner), constants=constants)


def _within(node: OnnxNode) -> dict[str, Attribute]:
    return {key: compact(value) if isinstance(value, OnnxGraph) else value for key, value in node.attributes.items()}


def _parts(name: str, value: Array) -> Iterator[OnnxNode | tuple[str, Array]]:
    """Constants and nodes that make the constant."""
    if value.dtype != np.float32 or value.ndim < 2 or min(value.shape[-2:]) < LARGE:
        yield name, value
        return
    symmetric = value.shape[-1] == value.shape[-2] and np.array_equal(value, np.swapaxes(value, -1, -2))
    kept, whole = (value[..., *np.tril_indices(value.shape[-1])], f"{name}_half") if symmetric else (value, name)
    if np.array_equal(kept, half := kept.astype(np.float16)):
        yield f"{whole}_kept", half
        yield OnnxNode("Cast", (f"{whole}_kept",), (whole,), {"to": ELEMENTS[np.dtype(np.float32)]})
    else:
        yield whole, kept
    if symmetric:
        yield from _mirrored(name, whole, value.shape[-1])


def _mirrored(name: str, half: str, size: int) -> Iterator[OnnxNode | tuple[str, Array]]:
    """The matrix of the lower half of it, row by row: its entry [i, j] is at i (i + 1) / 2 + j, where i is the larger."""
    row = np.arange(size)
    yield f"{name}_row", row[:, None]
    yield f"{name}_column", row[None]
    yield f"{name}_first", row * (row + 1) // 2
    yield OnnxNode("Max", (f"{name}_row", f"{name}_column"), (f"{name}_larger",))
    yield OnnxNode("Min", (f"{name}_row", f"{name}_column"), (f"{name}_smaller",))
    yield OnnxNode("Gather", (f"{name}_first", f"{name}_larger"), (f"{name}_begin",))
    yield OnnxNode("Add", (f"{name}_begin", f"{name}_smaller"), (f"{name}_place",))
    yield OnnxNode("Gather", (half, f"{name}_place"), (name,), {"axis": -1})

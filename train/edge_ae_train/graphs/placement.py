"""Constants where they are read: what one branch alone reads becomes a part of it. Whatever a branch reads from outside a runtime hands in
at every run, one by one: with its constants outside, a branch costs as much as the nodes in it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from edge_ae_train.graphs.onnx_file import OnnxGraph, OnnxNode

Scope = tuple[int, str] | None
"""A branch: the place of its node, and the attribute. None: outside of all branches."""


def placed(graph: OnnxGraph) -> OnnxGraph:
    """The same graph, whose branches have no branches, with each constant, and what is made of constants alone, in the one branch that
    reads it."""
    made_once = _made_once(graph)
    others = [node for node in graph.nodes if node not in made_once]
    scopes = _scopes(others, made_once)

    def filled(inner: OnnxGraph, scope: Scope) -> OnnxGraph:
        own = tuple(node for node in made_once if scopes[node.outputs[0]] == scope)
        constants = {name: value for name, value in graph.constants.items() if scopes[name] == scope}
        return replace(inner, nodes=own + inner.nodes, constants=constants)

    nodes = []
    for place, node in enumerate(others):
        branches = {key: filled(branch, (place, key)) for key, branch in _branches(node).items()}
        nodes.append(replace(node, attributes={**node.attributes, **branches}))
    return filled(replace(graph, nodes=tuple(nodes)), None)


def _made_once(graph: OnnxGraph) -> list[OnnxNode]:
    """Nodes of constants, and of such nodes, alone."""
    fixed, found = graph.constants.keys() - {port.name for port in graph.inputs}, []
    for node in graph.nodes:
        if fixed.issuperset(node.inputs):
            found.append(node)
            fixed |= set(node.outputs)
    return found


def _scopes(nodes: Sequence[OnnxNode], made_once: Sequence[OnnxNode]) -> Mapping[str, Scope]:
    """The one scope in which a value is read, or None."""
    readers: dict[str, set[Scope]] = defaultdict(set)
    for place, node in enumerate(nodes):
        for name in node.inputs:
            readers[name].add(None)
        for key, branch in _branches(node).items():
            for name in (name for inner in branch.nodes for name in inner.inputs):
                readers[name].add((place, key))
    for node in reversed(made_once):
        for name in node.inputs:
            readers[name] |= readers[node.outputs[0]]
    return defaultdict(lambda: None, {name: scopes.pop() for name, scopes in readers.items() if len(scopes) == 1})


def _branches(node: OnnxNode) -> dict[str, OnnxGraph]:
    return {key: value for key, value in node.attributes.items() if isinstance(value, OnnxGraph)}

"""Array code -> the graph of what it computes. The code is plain numpy, and knows nothing of this.

    score(windows)            windows an array:  numbers, at once
    trace(score, shape, ...)  windows a Traced:  the same code, and each thing that numpy is asked to do is a node

So there is one description of a score, and no second one that could differ. numpy itself hands its work over (`__array_ufunc__`,
`__array_function__`: NEP 13 and 18) wherever an operand is Traced; what no operand of is Traced it computes, and the result is a
constant of the graph. What of numpy is known here is in the two tables at the end; the rest is refused with a TypeError.

Each Traced value carries an example of itself, for a batch of no windows, computed by numpy from the examples of what it is made
of: shape and kind of every value are numpy's own word, and the batch is the axis whose size is 0. That size is not to be asked for:
it would become a constant.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from edge_ae.core.model_spec import Floats
from edge_ae_train.graphs.onnx_file import ELEMENTS, Array, Attribute, OnnxGraph, OnnxNode, Port
from edge_ae_train.graphs.placement import placed

Values = tuple[Any, ...]
"""Arrays, or Traced in their place."""


def trace(
    compute: Callable[[Floats], Sequence[Any]],
    shape: tuple[int, ...],
    window: str,
    outputs: Sequence[str],
    option: str = "option",
) -> OnnxGraph:
    """The graph of `compute`, which takes a batch of windows of this `shape` and gives as many values as there are names in
    `outputs`, or fewer; each with the batch as its first axis. `option`: the name of the input that `where_asked` asks for."""
    tape = Tape(option)
    example = np.zeros((0, *shape), np.float32)
    with np.errstate(all="ignore"):
        found = compute(cast(Floats, Traced(tape, window, example)))
    return tape.graph(Port(window, example.dtype, (None, *shape)), dict(zip(outputs, found, strict=False)))


def choose(condition: Any, yes: Callable[[], Values], no: Callable[[], Values]) -> Values:
    """`yes()` if the condition [] holds, else `no()`; both give values of the same shapes."""
    if isinstance(condition, Traced):
        return condition.tape.branch(condition, yes, no)
    return yes() if condition else no()


def held(like: Any, constant: Floats) -> Floats:
    """The constant; in the graph of a value what is made of it is made by the runtime, on loading, and the file has it once."""
    return (
        cast(Floats, like.tape.constant(constant))
        if isinstance(like, Traced) and traced(constant) is None
        else constant
    )


def where_asked(window: Any, compute: Callable[[], Values]) -> Values:
    """`compute()`; in the graph of the window only where its optional input [] is true, as it is where it is not given: else values
    of no windows."""
    return window.tape.optional(compute) if isinstance(window, Traced) else compute()


def traced(value: Any) -> "Traced | None":
    """The value, if it is one of a graph."""
    return value if isinstance(value, Traced) else None


class Traced(NDArrayOperatorsMixin):
    """A value of a graph in the place of an array."""

    def __init__(self, tape: "Tape", name: str, example: Array) -> None:
        self.tape = tape
        self.name = name
        self.example = example

    @property
    def shape(self) -> tuple[int, ...]:
        return self.example.shape

    @property
    def ndim(self) -> int:
        return self.example.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.example.dtype

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        operator = UFUNCS.get(ufunc)
        if operator is None or method != "__call__" or options:
            return NotImplemented
        if ufunc is np.square:
            inputs = inputs * 2
        operands, found = _alike(inputs) if len(inputs) > 1 else inputs, ufunc(*map(_example, inputs[: ufunc.nin]))
        return self.tape.note(operator, operands if ufunc is np.matmul else _along(operands, found), found)

    def __array_function__(self, function: Any, _types: Any, args: Any, kwargs: Any) -> Any:
        return FUNCTIONS[function](*args, **kwargs) if function in FUNCTIONS else NotImplemented

    def astype(self, dtype: Any) -> "Traced":
        found = self.example.astype(dtype)
        return self.tape.note("Cast", [self], found, to=ELEMENTS[found.dtype])

    def reshape(self, *shape: int) -> "Traced":
        """With -1 in the place of the batch, or of what it has become a part of."""
        return self.tape.note("Reshape", [self, np.array(shape, np.int64)], self.example.reshape(shape))

    def __getitem__(self, index: Any) -> "Traced":
        """Of slices with a step of 1, numbers, None and one Ellipsis, as in numpy."""
        index = index if isinstance(index, tuple) else (index,)
        value, axis = self, 0
        for place, one in enumerate(index):
            if one is Ellipsis:
                axis = value.ndim - sum(later is not None for later in index[place + 1 :])
            elif one is None:
                value, axis = _expand_dims(value, axis), axis + 1
            elif isinstance(one, slice):
                value, axis = _sliced(value, one, axis), axis + 1
            else:
                value = _take(value, one if one >= 0 else value.shape[axis] + one, axis)
        return value


class Tape:
    """What has been noted: nodes, those of a branch by themselves, and constants. What is asked for twice is computed once."""

    def __init__(self, option: str) -> None:
        self._option = option
        self._constants: dict[str, Array] = {}
        self._names: dict[tuple[Any, ...], str] = {}
        self._count = 0
        self._first: list[OnnxNode] = []  # of constants alone
        self._nodes: list[OnnxNode] = []
        self._made: dict[tuple[Any, ...], str] = {}  # the value that an operator makes of these inputs

    def note(self, operator: str, operands: Sequence[Any], example: Array, **attributes: Attribute) -> Traced:
        """The value that the operator makes of operands, Traced or constant."""
        assert example.dtype in ELEMENTS, f"{operator} gives {example.dtype}, which no graph here holds"
        inputs = tuple(map(self._named, operands))
        made = (operator, inputs, *attributes.items())
        if made not in self._made:
            self._made[made] = self._node(operator, inputs, attributes)
        return Traced(self, self._made[made], np.asarray(example))

    def _node(self, operator: str, inputs: tuple[str, ...], attributes: Mapping[str, Attribute]) -> str:
        """The name of what it makes."""
        output = self._new()
        self._nodes.append(OnnxNode(operator, inputs, (output,), attributes))
        return output

    def embed(self, graph: OnnxGraph, inputs: Sequence[Traced], examples: Sequence[Array]) -> tuple[Traced, ...]:
        """The outputs of another graph, which becomes a part of this one; `examples`: of them."""
        names = {"": ""} | {port.name: one.name for port, one in zip(graph.inputs, inputs, strict=True)}
        names |= {name: self._constant(value) for name, value in graph.constants.items()}

        def own(name: str) -> str:
            return names[name] if name in names else names.setdefault(name, self._new())

        self._nodes += [_renamed(node, own) for node in graph.nodes]
        outputs = [names[port.name] for port in graph.outputs]
        return tuple(Traced(self, name, example) for name, example in zip(outputs, examples, strict=True))

    def branch(self, condition: Traced, yes: Callable[[], Values], no: Callable[[], Values]) -> Values:
        """What `choose` gives."""
        (then, found), (otherwise, others) = self._apart(yes), self._apart(no)
        assert [one.shape for one in found] == [one.shape for one in others], "branches of two shapes"
        return self._either(condition, then, otherwise, found)

    def optional(self, compute: Callable[[], Values]) -> Values:
        """What `where_asked` gives. The input has a value in the file, which makes it optional."""
        self._constants[self._option] = np.array(True)
        then, found = self._apart(compute)
        nothing, _ = self._apart(lambda: tuple(self._copied(np.zeros_like(one.example)) for one in found))
        return self._either(Traced(self, self._option, self._constants[self._option]), then, nothing, found)

    def _either(self, condition: Traced, then: OnnxGraph, otherwise: OnnxGraph, found: Values) -> Values:
        outputs = tuple(Traced(self, self._new(), one.example) for one in found)
        branches: dict[str, Attribute] = {"then_branch": then, "else_branch": otherwise}
        self._nodes.append(OnnxNode("If", (condition.name,), tuple(one.name for one in outputs), branches))
        return outputs

    def _apart(self, code: Callable[[], Values]) -> tuple[OnnxGraph, Values]:
        """What the code does, as a graph of its own, which may use every value noted so far."""
        before, self._nodes, made, self._made = self._nodes, [], self._made, dict(self._made)
        found = self._own(code())
        nodes, self._nodes, self._made = self._nodes, before, made
        return OnnxGraph(tuple(nodes), {}, (), tuple(Port(one.name, one.dtype) for one in found)), found

    def _own(self, values: Values) -> tuple[Traced, ...]:
        """A graph may not give what it was given, nor a value twice, but values of its own."""
        free = {name for node in self._nodes for name in node.outputs}
        found: list[Traced] = []
        for value in values:
            found.append(value if value.name in free else self._copied(value))
            free.discard(value.name)
        return tuple(found)

    def _copied(self, value: Any) -> Traced:
        return Traced(self, self._node("Identity", (self._named(value),), {}), _example(value))

    def graph(self, window: Port, outputs: Mapping[str, Traced]) -> OnnxGraph:
        """All that has been noted; `outputs`: values, by the names that they are to have."""
        names = {one.name: name for name, one in zip(outputs, self._own(tuple(outputs.values())), strict=True)}
        nodes = tuple(_renamed(node, lambda name: names.get(name, name)) for node in (*self._first, *self._nodes))
        ports = tuple(Port(name, one.dtype, (None, *one.shape[1:])) for name, one in outputs.items())
        options = [Port(name, one.dtype, ()) for name, one in self._constants.items() if name == self._option]
        return placed(OnnxGraph(nodes, self._constants, (window, *options), ports))

    def constant(self, value: Array) -> Traced:
        """What `held` gives."""
        return Traced(self, self._constant(value), value)

    def _named(self, value: Any) -> str:
        return value.name if isinstance(value, Traced) else self._constant(np.asarray(value))

    def _constant(self, value: Array) -> str:
        """The same one for all that are equal to the bit. A view that repeats itself is made of what it repeats."""
        if 0 in value.strides and value.size > 1:
            return self._repeated(value)
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._names:
            self._names[key] = f"c{len(self._names)}"
            self._constants[self._names[key]] = value
        return self._names[key]

    def _repeated(self, value: Array) -> str:
        """By a node, which a runtime computes once, on loading the file."""
        once = value[tuple(slice(None, 1 if stride == 0 else None) for stride in value.strides)].copy()
        inputs = (self._constant(once), self._constant(np.array(value.shape, np.int64)))
        if inputs not in self._names:
            self._names[inputs] = f"c{len(self._names)}"
            self._first.append(OnnxNode("Expand", inputs, (self._names[inputs],)))
        return self._names[inputs]

    def _new(self) -> str:
        self._count += 1
        return f"v{self._count}"


def _renamed(node: OnnxNode, name_of: Callable[[str], str]) -> OnnxNode:
    """The node with other names of values, in its branches too."""
    attributes = {
        key: _renamed_graph(value, name_of) if isinstance(value, OnnxGraph) else value
        for key, value in node.attributes.items()
    }
    return OnnxNode(node.operator, tuple(map(name_of, node.inputs)), tuple(map(name_of, node.outputs)), attributes)


def _renamed_graph(graph: OnnxGraph, name_of: Callable[[str], str]) -> OnnxGraph:
    nodes = tuple(_renamed(node, name_of) for node in graph.nodes)
    constants = {name_of(name): value for name, value in graph.constants.items()}
    inputs, outputs = (
        tuple(replace(port, name=name_of(port.name)) for port in ports) for ports in (graph.inputs, graph.outputs)
    )
    return OnnxGraph(nodes, constants, inputs, outputs)


# -- what of numpy is known ------------------------------------------------------------------------------------


def _example(value: Any) -> Any:
    return value.example if isinstance(value, Traced) else value


def _tape(*values: Any) -> Tape:
    return next(one.tape for one in values if isinstance(one, Traced))


def _alike(operands: Sequence[Any]) -> list[Any]:
    """A constant beside a Traced value is of its kind, as a Python number is beside an array."""
    kind = next(one.dtype for one in operands if isinstance(one, Traced))
    return [one if isinstance(one, Traced) else np.asarray(one, kind) for one in operands]


def _along(operands: Sequence[Any], found: Array) -> list[Any]:
    """Constants as large as what is `found` of each window, so that they repeat with the batch alone: a runtime takes seven times as
    long where it repeats rows. In the file they stay as small as they are, see `Tape._constant`."""
    own = found.shape[found.shape.index(0) + 1 :] if 0 in found.shape else ()
    return [one if isinstance(one, Traced) else _stretched(one, own) for one in operands]


def _stretched(constant: Array, own: tuple[int, ...]) -> Array:
    """A view of it, which repeats rows of several values."""
    kept = max(constant.ndim - len(own), 0)
    repeats = constant.ndim > 0 and constant.shape[-1] > 1 and math.prod(constant.shape[kept:]) < math.prod(own)
    return np.broadcast_to(constant, constant.shape[:kept] + own) if repeats else constant


def _where(condition: Any, yes: Any, no: Any) -> Traced:
    found = np.where(*map(_example, (condition, yes, no)))
    operands = [one if isinstance(one, Traced) else np.asarray(one, found.dtype) for one in (yes, no)]
    return _tape(condition, yes, no).note("Where", _along([condition, *operands], found), found)


def _clip(value: Any, low: Any, high: Any) -> Any:
    """The operator has one limit for all."""
    if np.ptp(low) > 0.0 or np.ptp(high) > 0.0:
        return np.minimum(np.maximum(value, low), high)
    limits = [np.asarray(limit, value.dtype).reshape(-1)[0] for limit in (low, high)]
    return value.tape.note("Clip", [value, *limits], np.clip(value.example, low, high))


def _concatenate(parts: Sequence[Any], axis: int = 0) -> Traced:
    return _tape(*parts).note(
        "Concat", _alike(parts), np.concatenate([_example(one) for one in parts], axis), axis=axis
    )


def _stack(parts: Sequence[Any], axis: int = 0) -> Any:
    return np.concatenate([np.expand_dims(one, axis) for one in parts], axis)


def _expand_dims(value: Traced, axis: int) -> Traced:
    return value.tape.note("Unsqueeze", [value, np.array([axis])], np.expand_dims(value.example, axis))


def _take(value: Traced, indices: Any, axis: int) -> Traced:
    places = np.asarray(indices, np.int64)
    return value.tape.note("Gather", [value, places], np.take(value.example, places, axis), axis=axis)


def _sliced(value: Traced, part: slice, axis: int) -> Traced:
    if part == slice(None):
        return value
    assert part.step is None
    first, end = part.start or 0, LAST if part.stop is None else part.stop
    found = value.example[(slice(None),) * axis + (part,)]
    return value.tape.note("Slice", [value, *(np.array([one], np.int64) for one in (first, end, axis))], found)


def _swapaxes(value: Traced, one: int, other: int) -> Traced:
    order = list(range(value.ndim))
    order[one], order[other] = order[other], order[one]
    return _transpose(value, order)


def _transpose(value: Traced, axes: Sequence[int]) -> Traced:
    return value.tape.note("Transpose", [value], np.transpose(value.example, axes), perm=tuple(axes))


def _reduction(operator: str, function: Callable[..., Array]) -> Callable[..., Traced]:
    def reduced(value: Traced, axis: int | None = None, *, keepdims: bool = False) -> Traced:
        axes = np.array(range(value.ndim) if axis is None else [axis], np.int64)
        found = np.asarray(function(value.example, axis=axis, keepdims=keepdims))
        return value.tape.note(operator, [value, axes], found, keepdims=int(keepdims))

    return reduced


LAST = 2**63 - 1  # of a slice that goes to the end

UFUNCS: Mapping[Any, str] = {
    np.absolute: "Abs",
    np.add: "Add",
    np.arctan: "Atan",
    np.bitwise_and: "And",
    np.cos: "Cos",
    np.divide: "Div",
    np.equal: "Equal",
    np.greater: "Greater",
    np.greater_equal: "GreaterOrEqual",
    np.invert: "Not",
    np.isnan: "IsNaN",
    np.less: "Less",
    np.less_equal: "LessOrEqual",
    np.matmul: "MatMul",
    np.maximum: "Max",
    np.minimum: "Min",
    np.multiply: "Mul",
    np.negative: "Neg",
    np.sqrt: "Sqrt",
    np.square: "Mul",  # with itself
    np.subtract: "Sub",
}
FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.clip: _clip,
    np.concatenate: _concatenate,
    np.expand_dims: _expand_dims,
    np.max: _reduction("ReduceMax", np.max),
    np.min: _reduction("ReduceMin", np.min),
    np.stack: _stack,
    np.sum: _reduction("ReduceSum", np.sum),
    np.swapaxes: _swapaxes,
    np.take: _take,
    np.transpose: _transpose,
    np.where: _where,
}

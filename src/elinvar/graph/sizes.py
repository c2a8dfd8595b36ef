"""Symbolic sizes: find them from arrays' shapes, and put them into a graph.

One graph serves all sizes. The interpreter and StableHLO, which know static shapes only, work on
`specialize(graph, sizes)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from elinvar.core.errors import ElinvarError, ShapeError, fail
from elinvar.core.shapes import LARGEST, Dim, DimLike, format_shape, is_static, size
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Graph, Node, Value
from elinvar.ops.record import Op


def resolve_sizes(
    types: Sequence[TensorType],
    shapes: Sequence[Sequence[int]],
    sizes: Mapping[str, int] | None = None,
    names: Sequence[Any] | None = None,
) -> dict[str, int]:
    """The sizes under which `types` have these `shapes`.

    Args:
        types: the input types of a graph.
        shapes: as many shapes.
        sizes: what is known already.
        names: of the inputs, for errors.

    Raises:
        ShapeError: a rank or a dimension differs, one name would need two values, or a dimension
            such as `B*T` cannot be solved for its names.
    """
    found = dict(sizes or {})
    names = range(len(types)) if names is None else names
    pending: list[tuple[Dim, int, int]] = []
    for position, (kind, shape) in enumerate(zip(types, shapes, strict=True)):
        if len(kind.shape) != len(shape):
            _refuse(names[position], kind, shape)
        for dim, given in zip(kind.shape, shape, strict=True):
            if isinstance(dim, Dim):
                pending.append((dim, int(given), position))
            elif dim != given:
                _refuse(names[position], kind, shape)
    progress = True
    while pending and progress:
        waiting = [item for item in pending if not solve(item[0], item[1], found)]
        progress, pending = len(waiting) < len(pending), waiting
    for dim, given, position in pending:
        text = f"input {names[position]}: {dim} = {given} does not give its sizes"
        fail(ShapeError, "graph", text)
    for position, (kind, shape) in enumerate(zip(types, shapes, strict=True)):
        if tuple(evaluate(dim, found) for dim in kind.shape) != tuple(shape):
            _refuse(names[position], kind, shape, found)
    return found


def _refuse(
    name: Any, kind: TensorType, shape: Sequence[int], sizes: Mapping[str, int] | None = None
) -> None:
    given = f" with {', '.join(f'{k} = {v}' for k, v in sizes.items())}" if sizes else ""
    text = f"input {name}: expected {kind}{given}, received the shape {format_shape(shape)}"
    fail(ShapeError, "graph", text)


def solve(dim: Dim, value: int, sizes: dict[str, int]) -> bool:
    """Learn the only unknown name of a dim that is linear in it; True when none is left."""
    unknown = sorted(dim.names() - set(sizes))
    if not unknown:
        return True
    if len(unknown) > 1:
        return False
    slope, rest = 0, -value
    for monomial, factor in dim.terms.items():
        degree = monomial.count(unknown[0])
        for name in monomial:
            factor *= sizes.get(name, 1)
        if degree > 1:
            return False
        slope, rest = (slope + factor, rest) if degree else (slope, rest + factor)
    if not slope or rest % slope or -rest // slope < 0:
        return False
    sizes[unknown[0]] = -rest // slope
    return True


# ops that refuse sizes for other reasons than that a result would be negative
_PARTICULAR = frozenset("slice gather windows convolution fold top_k max min argmax argmin".split())


class Limits:
    """The dims of a graph that sizes may make impossible: negative ones, and arrays beyond 64 bits.

    Example:
        >>> graph = Builder().graph([], "empty")
        >>> Limits(graph).check("f", {})
    """

    def __init__(self, graph: Graph) -> None:
        # in the order of the graph
        self._dims: dict[Dim, None] = {}
        self._nodes: dict[Any, Node] = {}
        self._types: dict[TensorType, None] = {}
        self._collect(graph)

    def _collect(self, graph: Graph) -> None:
        values = [*graph.inputs, *(value for node in graph.nodes for value in node.results)]
        for value in values:
            if not is_static(value.shape):
                self._types[value.type] = None
                dims = [dim for dim in value.shape if isinstance(dim, Dim)]
                falling = [d for d in dims if any(c < 0 for c in d.terms.values())]
                self._dims.update(dict.fromkeys(falling))
        for node in graph.nodes:
            types = tuple(operand.type for operand in node.operands)
            if node.op_name in _PARTICULAR and not all(is_static(kind.shape) for kind in types):
                self._nodes[node.op_name, types, tuple(node.params.items())] = node
            for param in node.params.values():
                for item in param if isinstance(param, tuple) else (param,):
                    if isinstance(item, Graph):
                        self._collect(item)

    def check(self, op: str, sizes: Mapping[str, int]) -> None:
        """Refuse sizes for which some array of the graph cannot exist.

        Raises:
            ShapeError: a size would be negative, an array would have more than 2**63-1 bytes, or
                an operation refuses the sizes: an index outside, the largest of no elements.
        """
        for dim in self._dims:
            value = dim.evaluate(sizes)
            if value < 0:
                text = f"a size is negative: {dim} = {value} where {_shown(dim.names(), sizes)}"
                least = ", ".join(f"el.Dim({name!r}, min=…)" for name in sorted(dim.names()))
                fail(ShapeError, op, text, f"let the specification say it: {least}")
        for node in self._nodes.values():
            assert node.op is not None
            types = tuple(specialize_type(operand.type, sizes) for operand in node.operands)
            params = {key: specialize_param(value, sizes) for key, value in node.params.items()}
            refusal = _refusal(node.op, types, params)
            if refusal is not None:
                text = str(refusal).split("\n", 1)[0].removeprefix(f"[{node.op_name}] ")
                names = _names(dim for operand in node.operands for dim in operand.shape)
                text = f"{text} where {_shown(names, sizes)}"
                fail(type(refusal), node.op_name, text, None, node.source)
        for kind in self._types:
            nbytes = size(evaluate(dim, sizes) for dim in kind.shape) * kind.dtype.itemsize
            if nbytes > LARGEST:
                names = set().union(*(d.names() for d in kind.shape if isinstance(d, Dim)))
                text = f"{kind} would have {nbytes} bytes where {_shown(names, sizes)}"
                fail(ShapeError, op, f"{text}: more than 2**63-1")


def _refusal(op: Op, types: tuple[TensorType, ...], params: Any) -> ElinvarError | None:
    """Why an operation refuses its operands, if it does."""
    try:
        op.result_types(types, params)
    except ElinvarError as error:
        return error
    return None


def _shown(names: set[str], sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {sizes[name]}" for name in sorted(names))


def evaluate(dim: DimLike, sizes: Mapping[str, int]) -> int:
    """A dim's value; a name without a size is an error that says so."""
    if not isinstance(dim, Dim):
        return dim
    missing = sorted(dim.names() - set(sizes))
    if missing:
        fail(ShapeError, "graph", f"no size is known for {', '.join(missing)} in {dim}")
    return dim.evaluate(sizes)


def specialize_type(kind: TensorType, sizes: Mapping[str, int]) -> TensorType:
    """The type with its symbolic dims evaluated."""
    return kind.with_shape(tuple(evaluate(dim, sizes) for dim in kind.shape))


def specialize(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The graph with every symbolic dim evaluated, in types, params and sub-graphs."""
    builder = Builder(capture_source=False)
    new: dict[Value, Value] = {}
    for value in graph.inputs:
        new[value] = builder.input(specialize_type(value.type, sizes), value.node.name)
    for node in graph.nodes:
        assert node.op is not None
        params = {key: specialize_param(value, sizes) for key, value in node.params.items()}
        operands = tuple(new[operand] for operand in node.operands)
        new.update(
            zip(node.results, builder.add(node.op, operands, params, node.source), strict=True)
        )
    return builder.graph([new[value] for value in graph.outputs], graph.name)


def specialize_param(value: Any, sizes: Mapping[str, int]) -> Any:
    """A node's param with its symbolic dims evaluated, in sub-graphs too."""
    if isinstance(value, Dim):
        return evaluate(value, sizes)
    if isinstance(value, tuple):
        return tuple(specialize_param(item, sizes) for item in value)
    return specialize(value, sizes) if isinstance(value, Graph) else value


def symbols(graph: Graph) -> set[str]:
    """The names of all symbolic sizes in a graph's types and params."""
    found: set[str] = set()
    for value in graph.inputs:
        found |= _names(value.shape)
    for node in graph.nodes:
        found |= _names(node.params.values())
        for value in node.results:
            found |= _names(value.shape)
    return found


def _names(values: Iterable[Any]) -> set[str]:
    found: set[str] = set()
    for value in values:
        if isinstance(value, Dim):
            found |= value.names()
        elif isinstance(value, tuple):
            found |= _names(value)
        elif isinstance(value, Graph):
            found |= symbols(value)
    return found

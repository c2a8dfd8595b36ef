"""Symbolic sizes: find them from arrays' shapes, and put them into a graph.

One graph serves all sizes. The interpreter and StableHLO, which know static shapes only, work on
`specialize(graph, sizes)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from elinvar.core.errors import ShapeError, fail
from elinvar.core.shapes import Dim, DimLike, format_shape
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Graph, Value


def resolve_sizes(
    types: Sequence[TensorType],
    shapes: Sequence[Sequence[int]],
    sizes: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """The sizes under which `types` have these `shapes`.

    Args:
        types: the input types of a graph.
        shapes: as many shapes.
        sizes: what is known already.

    Raises:
        ShapeError: a rank or a dimension differs, one name would need two values, or a dimension
            such as `B*T` cannot be solved for its names.
    """
    found = dict(sizes or {})
    pending: list[tuple[Dim, int, int]] = []
    for position, (kind, shape) in enumerate(zip(types, shapes, strict=True)):
        if len(kind.shape) != len(shape):
            _refuse(position, kind, shape)
        for dim, size in zip(kind.shape, shape, strict=True):
            if isinstance(dim, Dim):
                pending.append((dim, int(size), position))
            elif dim != size:
                _refuse(position, kind, shape)
    progress = True
    while pending and progress:
        waiting = [item for item in pending if not _solve(item[0], item[1], found)]
        progress, pending = len(waiting) < len(pending), waiting
    for dim, size, position in pending:
        fail(ShapeError, "graph", f"input {position}: {dim} = {size} does not give its sizes")
    for position, (kind, shape) in enumerate(zip(types, shapes, strict=True)):
        if tuple(evaluate(dim, found) for dim in kind.shape) != tuple(shape):
            _refuse(position, kind, shape, found)
    return found


def _refuse(
    position: int, kind: TensorType, shape: Sequence[int], sizes: Mapping[str, int] | None = None
) -> None:
    given = f" with {', '.join(f'{k} = {v}' for k, v in sizes.items())}" if sizes else ""
    text = f"input {position}: expected {kind}{given}, received the shape {format_shape(shape)}"
    fail(ShapeError, "graph", text)


def _solve(dim: Dim, size: int, sizes: dict[str, int]) -> bool:
    """Learn the only unknown name of a dim that is linear in it; True when none is left."""
    unknown = sorted(dim.names() - set(sizes))
    if not unknown:
        return True
    if len(unknown) > 1:
        return False
    slope, rest = 0, -size
    for monomial, factor in dim.terms.items():
        degree = monomial.count(unknown[0])
        for name in monomial:
            factor *= sizes.get(name, 1)
        if degree > 1:
            return False
        slope, rest = (slope + factor, rest) if degree else (slope, rest + factor)
    if not slope or rest % slope:
        return False
    sizes[unknown[0]] = -rest // slope
    return True


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
        params = {key: _specialize_param(value, sizes) for key, value in node.params.items()}
        operands = tuple(new[operand] for operand in node.operands)
        new.update(
            zip(node.results, builder.add(node.op, operands, params, node.source), strict=True)
        )
    return builder.graph([new[value] for value in graph.outputs], graph.name)


def _specialize_param(value: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(value, Dim):
        return evaluate(value, sizes)
    if isinstance(value, tuple):
        return tuple(_specialize_param(item, sizes) for item in value)
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

"""The slow truth: run a graph with the numpy references of its ops.

It shares no code with the compiler, so that one can be tested against the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from elinvar.core.errors import GraphError, fail
from elinvar.graph.ir import Graph, Node, Value
from elinvar.graph.reference import Array, run_reference, stored, stored_dtype
from elinvar.graph.sizes import resolve_sizes, specialize


def interpret(
    graph: Graph, inputs: Sequence[Any], sizes: Mapping[str, int] | None = None
) -> list[Array]:
    """The outputs of a graph for given inputs.

    Args:
        graph: any graph. Its symbolic dims take their sizes from the inputs' shapes.
        inputs: one array for each input; bfloat16 as such or as float32.
        sizes: sizes of symbolic dims that no input's shape tells.

    Returns:
        One numpy array for each output; bfloat16 comes as float32.

    Raises:
        ShapeError: the inputs' shapes do not fit.
        GraphError: the inputs' number is wrong, or a reference breaks its own type rule.
    """
    if len(inputs) != len(graph.inputs):
        text = f"expected {len(graph.inputs)} inputs, received {len(inputs)}"
        fail(GraphError, "interpreter", text)
    kinds = [value.dtype for value in graph.inputs]
    arrays = [stored(given, dtype) for given, dtype in zip(inputs, kinds, strict=True)]
    found = resolve_sizes(graph.input_types, [array.shape for array in arrays], sizes)
    return list(_run(specialize(graph, found), arrays))


def _run(graph: Graph, arrays: Sequence[Array]) -> tuple[Array, ...]:
    values: dict[Value, Array] = dict(zip(graph.inputs, arrays, strict=True))
    for node in graph.nodes:
        operands = [values[operand] for operand in node.operands]
        values.update(zip(node.results, _run_node(node, operands), strict=True))
    return tuple(values[value] for value in graph.outputs)


def _run_node(node: Node, operands: list[Array]) -> tuple[Array, ...]:
    assert node.op is not None
    control = _CONTROL.get(node.op.name)
    if control is not None:
        return control(operands, **node.params)
    types = [value.type for value in node.results]
    return run_reference(node.op, operands, node.params, types)


def _cond(operands: list[Array], *, true: Graph, false: Graph) -> tuple[Array, ...]:
    predicate, *rest = operands
    return _run(true if bool(predicate) else false, rest)


def _while_loop(
    operands: list[Array], *, condition: Graph, body: Graph, carry: int
) -> tuple[Array, ...]:
    state, constants = tuple(operands[:carry]), tuple(operands[carry:])
    while bool(_run(condition, state + constants)[0]):
        state = _run(body, state + constants)
    return state


def _scan(
    operands: list[Array], *, body: Graph, carry: int, sequences: int, length: int, reverse: bool
) -> tuple[Array, ...]:
    state = tuple(operands[:carry])
    stacked, constants = operands[carry : carry + sequences], operands[carry + sequences :]
    shapes: list[Any] = [(length, *kind.shape) for kind in body.output_types[carry:]]
    kinds = [stored_dtype(kind.dtype) for kind in body.output_types[carry:]]
    columns = [np.zeros(shape, kind) for shape, kind in zip(shapes, kinds, strict=True)]
    for step in reversed(range(length)) if reverse else range(length):
        found = _run(body, (*state, *(x[step] for x in stacked), *constants))
        state = found[:carry]
        for column, value in zip(columns, found[carry:], strict=True):
            column[step] = value
    return (*state, *columns)


def _custom(
    operands: list[Array],
    *,
    body: Graph,
    derivative: Graph,
    mode: str,
    moving: int,
    kernel: str | None = None,
) -> tuple[Array, ...]:
    return _run(body, operands)


_CONTROL: dict[str, Callable[..., tuple[Array, ...]]] = {
    "cond": _cond,
    "while_loop": _while_loop,
    "scan": _scan,
    "custom": _custom,
}

"""Replaying: a graph that gave a NaN runs again operation by operation, to find where it was born.

A NaN that reaches no result is nobody's business (`where` may have left it out): from the bad
results the search goes back through bad operands only, to the births that they come from; the
first in the order of the program is reported. Loops are run again step by step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from elinvar.core.errors import BadValueError, fail
from elinvar.graph.ir import Graph, Node, Value
from elinvar.graph.sizes import resolve_sizes, specialize_param
from elinvar.graph.walk import is_graph
from elinvar.ops.record import Op
from elinvar.tensor import eager
from elinvar.tensor.cell import concrete
from elinvar.tensor.layout import dense, layout
from elinvar.tensor.memory import read_number
from elinvar.tensor.views import slice_
from elinvar.tensor.watching import Birth, any_bad, bad, born, here, report, watch

Sizes = Mapping[str, int]


class Found(NamedTuple):
    """The results of a graph, and the birth that their bad values come from, if they do."""

    results: list[Any]
    birth: Birth | None


def replay(name: str, graph: Graph, operands: Sequence[Any]) -> Birth | None:
    """The first birth of bad values that reach the results of a graph on concrete operands; None
    where they come from operands or constants that were bad before.

    Raises:
        BadValueError: the results are good this time.
    """
    sizes = resolve_sizes(graph.input_types, [x.shape for x in operands])
    results, birth = _run(graph, operands, sizes)
    if birth is None and not any_bad(results):
        text = "gives NaN that does not come again when its operations run one by one"
        hint = 'a program with `numerics="fast"` adds in another order; try without'
        fail(BadValueError, name, text, hint)
    return birth


def _run(graph: Graph, operands: Sequence[Any], sizes: Sizes) -> Found:
    values: dict[Value, Any] = dict(zip(graph.inputs, operands, strict=True))
    births: dict[Node, Birth] = {}
    spoiled: set[Value] = {v for v, x in values.items() if bad(x) is not None}
    last = _last_uses(graph)
    for node in graph.nodes:
        given = [values[operand] for operand in node.operands]
        results, birth = _run_node(node, given, sizes)
        if birth is not None:
            births[node] = birth if birth.source is not None else _placed(birth, node)
        for value, result in zip(node.results, results, strict=True):
            values[value] = result
            if bad(result) is not None:
                spoiled.add(value)
        for value in last.get(node, ()):
            values.pop(value, None)
    first = _first(graph, births, spoiled)
    return Found([values[value] for value in graph.outputs], first)


def _placed(birth: Birth, node: Node) -> Birth:
    """The birth with the line and the origin of its node."""
    return birth._replace(source=node.source, origin=watch.origins.get(node))


def _last_uses(graph: Graph) -> dict[Node, list[Value]]:
    """The values that nobody reads after each node."""
    kept = set(graph.outputs)
    found: dict[Value, Node] = {}
    for node in graph.nodes:
        for value in (*node.operands, *node.results):
            if value not in kept:
                found[value] = node
    result: dict[Node, list[Value]] = {}
    for value, node in found.items():
        result.setdefault(node, []).append(value)
    return result


def _first(graph: Graph, births: dict[Node, Birth], spoiled: set[Value]) -> Birth | None:
    """The first birth whose bad values reach a result."""
    seen: set[Value] = set()
    stack = [value for value in graph.outputs if value in spoiled]
    found: set[Node] = set()
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        if value.node in births:
            found.add(value.node)
        stack += [operand for operand in value.node.operands if operand in spoiled]
    return births[min(found, key=lambda node: node.serial)] if found else None


def _run_node(node: Node, operands: list[Any], sizes: Sizes) -> Found:
    """The results of one node. A control op goes into its sub-graphs if they are bad."""
    op, params = node.op, node.params
    assert op is not None
    known = {name: specialize_param(value, sizes) for name, value in params.items()}
    # a program clamps indices that point outside of their axis, and so must this
    results = eager.find(op, tuple(operands), known).unchecked(operands)
    if not any(is_graph(value) for value in params.values()):
        return Found(results, born(op, operands, results))
    birth = None
    if any_bad(results):
        regions = {name: value for name, value in params.items() if is_graph(value)}
        birth = _INSIDE[op.name](operands, sizes, **(known | regions))
    return Found(list(results), birth)


def examine(op: Op, operands: Sequence[Any], params: dict[str, Any], results: Any) -> None:
    """Refuse bad values that an operation made which ran at once."""
    if op.family != "control":
        birth = born(op, operands, results)
    else:
        birth = _INSIDE[op.name](list(operands), {}, **params) if any_bad(results) else None
    if birth is not None:
        report(birth)


def examine_program(
    name: str, graph: Graph, operands: Sequence[Any], results: Sequence[Any], own_lines: bool
) -> None:
    """Refuse bad values that the program of a composite made, or that of a derivative.

    Args:
        name: the composite's; empty for a derivative, which the running backward names.
        graph: what the program computes.
        operands, results: of the run that was.
        own_lines: whether the lines in the graph are of the user's code.
    """
    if not any_bad(results):
        return
    birth = replay(name, graph, operands)
    if birth is not None:
        now, inner = here(), birth.origin.composites if birth.origin is not None else ()
        composites = (*now.composites, *((name,) if name else ()), *inner)
        source = birth.source if own_lines else None
        report(birth._replace(source=source, origin=now._replace(composites=composites)))


def _cond(operands: list[Any], sizes: Sizes, *, true: Graph, false: Graph) -> Birth | None:
    predicate, *rest = operands
    holds = bool(read_number(predicate))
    birth = _run(true if holds else false, rest, sizes).birth
    return birth and birth.inside(f"the {'true' if holds else 'false'} branch of cond")


def _while_loop(
    operands: list[Any], sizes: Sizes, *, condition: Graph, body: Graph, carry: int
) -> Birth | None:
    state, constants = operands[:carry], operands[carry:]
    step = 0
    while bool(read_number(_run(condition, [*state, *constants], sizes).results[0])):
        state, birth = _run(body, [*state, *constants], sizes)
        if birth is not None:
            return birth.inside(f"iteration {step} of while_loop")
        step += 1
    return None


def _scan(
    operands: list[Any],
    sizes: Sizes,
    *,
    body: Graph,
    carry: int,
    sequences: int,
    length: int,
    reverse: bool,
) -> Birth | None:
    state = operands[:carry]
    stacked, constants = operands[carry : carry + sequences], operands[carry + sequences :]
    for step in reversed(range(length)) if reverse else range(length):
        rows = [_row(x, step) for x in stacked]
        found, birth = _run(body, [*state, *rows, *constants], sizes)
        if birth is not None:
            return birth.inside(f"iteration {step} of scan")
        state = found[:carry]
    return None


def _row(x: Any, step: int) -> Any:
    """Element `step` of the leading axis, without a copy."""
    kind = x._layout
    rest = kind.shape[1:]
    view = slice_(kind, (step, *(0 for _ in rest)), (1, *rest), (1,) * kind.ndim)
    assert view is not None
    offset, cut = view
    row = layout(kind.dtype, rest, cut.strides[1:]) if cut.size else dense(kind.dtype, rest)
    return concrete(x._buffer, x._address + offset * kind.dtype.itemsize, row)


def _custom(
    operands: list[Any],
    sizes: Sizes,
    *,
    body: Graph,
    derivative: Graph,
    mode: str,
    moving: int,
    kernel: str | None = None,
) -> Birth | None:
    return _run(body, operands, sizes).birth


_INSIDE: dict[str, Any] = {
    "cond": _cond,
    "while_loop": _while_loop,
    "scan": _scan,
    "custom": _custom,
}

"""Reverse mode through control operations: conditionals and scans of vector-Jacobian products.

    cond        the cotangents are a cond whose branches are the branches' own derivatives
    scan        a scan the other way round: step t runs the body again on the carry it had (a second
                forward scan stacks the carries; sharing merges it with the first) and passes the
                carry's cotangent on; cotangents of constants are summed in carries of their own
    while_loop  has no derivative in reverse: how many steps to undo is not known

`derivative_of_graph` comes as an argument, because it in turn meets control operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from elinvar.core.errors import GradientError, fail
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Graph, inline, reachable
from elinvar.ops.record import Namespace, ValueLike

DerivativeOfGraph = Callable[[Graph, Sequence[int], Sequence[int]], Graph]
Cotangents = Sequence[Any]  # a value, or None where nothing flows


@dataclass(frozen=True, slots=True)
class Application:
    """One use of a control op: operands, the results' cotangents, params, the operands to serve."""

    name: str
    operands: Sequence[Any]
    cotangents: Cotangents
    params: dict[str, Any]
    needed: frozenset[int]


def influenced(graph: Graph, positions: Sequence[int] | frozenset[int]) -> set[int]:
    """The positions of floating outputs that depend smoothly on the inputs at `positions`."""
    active = {graph.inputs[position] for position in positions}
    for node in reachable(graph.outputs):
        if node.op_name != "stop_gradient" and any(v in active for v in node.operands):
            active.update(value for value in node.results if value.dtype.is_floating)
    return {position for position, value in enumerate(graph.outputs) if value in active}


def differentiate_control(
    f: Namespace, use: Application, derivative_of_graph: DerivativeOfGraph
) -> list[Any]:
    """The cotangents of the operands of a control op (None where nothing flows).

    Args:
        f: the primitives, over graph values or tensors.
        use: the application to differentiate.
        derivative_of_graph: `(graph, wrt, outputs) -> graph`, see `differentiate.vjp_graph`.

    Raises:
        GradientError: a `while_loop` is differentiated.
    """
    if use.name == "while_loop":
        fail(
            GradientError,
            "while_loop",
            "reverse mode needs a fixed trip count",
            "use `scan` with the largest number of steps, or `stop_gradient` before the loop",
        )
    rule = {"cond": _cond, "scan": _scan}[use.name]
    return rule(f, use, derivative_of_graph)


def _as_tuple(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def _cond(f: Namespace, use: Application, derivative_of_graph: DerivativeOfGraph) -> list[Any]:
    predicate, *operands = use.operands
    wanted = [position - 1 for position in sorted(use.needed) if position > 0]
    flowing = [position for position, value in enumerate(use.cotangents) if value is not None]
    result: list[Any] = [None] * len(use.operands)
    if wanted and flowing:
        branches = {
            name: derivative_of_graph(use.params[name], wanted, flowing)
            for name in ("true", "false")
        }
        seeds = [use.cotangents[position] for position in flowing]
        found = _as_tuple(f.cond(predicate, *operands, *seeds, **branches))
        for position, value in zip(wanted, found, strict=True):
            result[position + 1] = value
    return result


@dataclass(frozen=True, slots=True)
class _Flow:
    """Which parts of a scan carry cotangents: positions among carries, sequences, constants, ys."""

    carries: list[int]
    sequences: list[int]
    constants: list[int]
    results: list[int]


def _scan_flow(use: Application) -> _Flow:
    body, carry = use.params["body"], use.params["carry"]
    stop = carry + use.params["sequences"]
    active = set(use.needed)
    while True:  # a carry may become active through another one, a step later
        reached = influenced(body, frozenset(active))
        more = active | {position for position in reached if position < carry}
        if more == active:
            break
        active = more
    return _Flow(
        carries=[position for position in range(carry) if position in active],
        sequences=[position for position in range(carry, stop) if position in active],
        constants=[position for position in range(stop, len(use.operands)) if position in active],
        results=[
            position
            for position in sorted(reached)
            if position >= carry and use.cotangents[position] is not None
        ],
    )


def _scan(f: Namespace, use: Application, derivative_of_graph: DerivativeOfGraph) -> list[Any]:
    params, operands = use.params, list(use.operands)
    carry, stop = params["carry"], params["carry"] + params["sequences"]
    flow = _scan_flow(use)
    result: list[Any] = [None] * len(operands)
    if not use.needed:
        return result
    seeds = [use.cotangents[i] for i in flow.carries]
    state = [
        f.zeros_like(operands[i]) if seed is None else seed
        for i, seed in zip(flow.carries, seeds, strict=True)
    ]
    state += [f.zeros_like(operands[i]) for i in flow.constants]
    saved = _stacked_carries(f, operands, params)
    sequences = [*saved, *operands[carry:stop], *(use.cotangents[i] for i in flow.results)]
    constants = operands[stop:]
    found = _as_tuple(
        f.scan(
            *state,
            *sequences,
            *constants,
            body=_reverse_body(params["body"], carry, stop, flow, derivative_of_graph),
            carry=len(state),
            sequences=len(sequences),
            length=params["length"],
            reverse=not params["reverse"],
        )
    )
    for position, value in zip(
        (*flow.carries, *flow.constants, *flow.sequences), found, strict=True
    ):
        if position in use.needed:
            result[position] = value
    return result


def _stacked_carries(f: Namespace, operands: list[Any], params: dict[str, Any]) -> tuple[Any, ...]:
    """The carries that entered each step, stacked along a new leading axis."""
    body, carry = params["body"], params["carry"]
    if not carry:
        return ()
    stacking = Graph(body.inputs, body.outputs[:carry] + body.inputs[:carry], body.name)
    found = _as_tuple(f.scan(*operands, **(params | {"body": stacking})))
    return found[carry:]


def _reverse_body(
    body: Graph, carry: int, stop: int, flow: _Flow, derivative_of_graph: DerivativeOfGraph
) -> Graph:
    """(cotangents of carries, sums of constants' cotangents; carries, slices, cotangents of ys;
    constants) → the new cotangents and sums, and the cotangents of the slices."""
    builder = Builder(capture_source=False)

    def inputs(values: Sequence[ValueLike]) -> list[Any]:
        return [builder.input(TensorType(value.dtype, value.shape)) for value in values]

    carried = inputs([body.inputs[i] for i in flow.carries])
    sums = inputs([body.inputs[i] for i in flow.constants])
    entering = inputs(body.inputs[:stop])
    seeds = inputs([body.outputs[i] for i in flow.results])
    constants = inputs(body.inputs[stop:])
    wanted = (*flow.carries, *flow.constants, *flow.sequences)
    step = derivative_of_graph(body, wanted, (*flow.carries, *flow.results))
    found = inline(builder, step, (*entering, *constants, *carried, *seeds))
    middle = len(flow.carries)
    last = middle + len(flow.constants)
    new = found[middle:last]
    totals = [builder.f.add(total, more) for total, more in zip(sums, new, strict=True)]
    return builder.graph([*found[:middle], *totals, *found[last:]], f"{body.name}_reverse")

"""Forward mode through control operations: each carries its tangents along.

    cond        a cond whose branches are the branches' own Jacobian-vector products
    scan        a scan whose body steps values and tangents together
    while_loop  likewise, under the same condition; the number of steps need not be known
    custom      its own derivative, transposed where that goes in reverse

A carry has a tangent if it starts with one or if a step gives it one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Graph, inline
from elinvar.ops.record import Namespace
from elinvar.transforms.control import influenced
from elinvar.transforms.transpose import through_custom

JvpOfGraph = Callable[[Graph, Sequence[int], Sequence[int], bool], Graph]


@dataclass(frozen=True, slots=True)
class ControlUse:
    """One use of a control op: its operands, their tangents (None: zero) and its params."""

    name: str
    operands: Sequence[Any]
    tangents: Sequence[Any]
    params: dict[str, Any]


def push_control(
    f: Namespace, use: ControlUse, jvp_of_graph: JvpOfGraph, vjp_of_graph: Any
) -> list[Any]:
    """The tangents of the results of a control op (None where they are zero).

    Args:
        f: the primitives, over graph values or tensors.
        use: the application to push tangents through.
        jvp_of_graph: `(graph, wrt, outputs, values) -> graph`, see `forward.jvp_graph`.
        vjp_of_graph: `differentiate.vjp_graph`.
    """
    if use.name == "custom":
        return through_custom(f, use.operands, use.tangents, use.params, "jvp", vjp_of_graph)
    rule = {"cond": _cond, "scan": _scan, "while_loop": _while_loop}[use.name]
    return rule(f, use, jvp_of_graph)


def _as_tuple(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def _cond(f: Namespace, use: ControlUse, jvp_of_graph: JvpOfGraph) -> list[Any]:
    predicate, *operands = use.operands
    true, false = use.params["true"], use.params["false"]
    wrt = [n for n, tangent in enumerate(use.tangents[1:]) if tangent is not None]
    flowing = sorted(influenced(true, wrt) | influenced(false, wrt))
    result: list[Any] = [None] * len(true.outputs)
    if flowing:
        branches = {
            name: jvp_of_graph(graph, wrt, flowing, False)
            for name, graph in (("true", true), ("false", false))
        }
        seeds = [use.tangents[n + 1] for n in wrt]
        found = _as_tuple(f.cond(predicate, *operands, *seeds, **branches))
        for position, value in zip(flowing, found, strict=True):
            result[position] = value
    return result


def _active_carries(body: Graph, carry: int, tangents: Sequence[Any]) -> tuple[set[int], set[int]]:
    """(the body's inputs that have tangents, its outputs that have): a carry may get one through
    another, a step later."""
    active = {n for n, tangent in enumerate(tangents) if tangent is not None}
    while True:
        reached = influenced(body, frozenset(active))
        more = active | {position for position in reached if position < carry}
        if more == active:
            return active, reached
        active = more


@dataclass(frozen=True, slots=True)
class _Loop:
    """A loop with tangents: operand positions that have them, by kind, and the results that do."""

    carries: list[int]
    sequences: list[int]
    constants: list[int]
    results: list[int]

    @classmethod
    def of(cls, use: ControlUse) -> _Loop:
        """What flows in a use of scan or while_loop."""
        carry = use.params["carry"]
        stop = carry + use.params.get("sequences", 0)
        active, reached = _active_carries(use.params["body"], carry, use.tangents)
        return cls(
            carries=[n for n in sorted(active) if n < carry],
            sequences=[n for n in sorted(active) if carry <= n < stop],
            constants=[n for n in sorted(active) if n >= stop],
            results=[n for n in sorted(reached) if n >= carry],
        )

    @property
    def wrt(self) -> list[int]:
        """The body's inputs that have tangents."""
        return [*self.carries, *self.sequences, *self.constants]


def _scan(f: Namespace, use: ControlUse, jvp_of_graph: JvpOfGraph) -> list[Any]:
    return _stepped_scan(f, use, jvp_of_graph, False)[1]


def _while_loop(f: Namespace, use: ControlUse, jvp_of_graph: JvpOfGraph) -> list[Any]:
    return _stepped_while(f, use, jvp_of_graph)[1]


def loop_with_tangents(
    f: Namespace, use: ControlUse, jvp_of_graph: JvpOfGraph
) -> tuple[list[Any], list[Any]] | None:
    """The results of a scan or while_loop and their tangents (None: zero), by one loop that steps
    both; None where nothing flows."""
    if use.name == "scan":
        results, tangents = _stepped_scan(f, use, jvp_of_graph, True)
    else:
        results, tangents = _stepped_while(f, use, jvp_of_graph)
    return (results, tangents) if results else None


def _stepped_scan(
    f: Namespace, use: ControlUse, jvp_of_graph: JvpOfGraph, whole: bool
) -> tuple[list[Any], list[Any]]:
    """(carries, and stacked results if `whole`; tangents of all results); ([], …) for zeros."""
    params, operands, tangents = use.params, use.operands, use.tangents
    body, carry = params["body"], params["carry"]
    stop = carry + params["sequences"]
    loop = _Loop.of(use)
    result: list[Any] = [None] * len(body.outputs)
    if not loop.carries and not loop.results:
        return [], result
    step = _body(body, carry, stop, loop, jvp_of_graph, whole)
    state = [*operands[:carry], *_filled(f, operands, tangents, loop.carries)]
    rows = [*operands[carry:stop], *(tangents[n] for n in loop.sequences)]
    constants = [*operands[stop:], *(tangents[n] for n in loop.constants)]
    changed = {"body": step, "carry": len(state), "sequences": len(rows)}
    found = list(_as_tuple(f.scan(*state, *rows, *constants, **(params | changed))))
    last, stacked = found[: len(state)], found[len(state) :]
    plain = stacked[: len(body.outputs) - carry] if whole else []
    pushed = [*last[carry:], *stacked[len(plain) :]]
    for position, value in zip([*loop.carries, *loop.results], pushed, strict=True):
        result[position] = value
    return [*last[:carry], *plain], result


def _stepped_while(
    f: Namespace, use: ControlUse, jvp_of_graph: JvpOfGraph
) -> tuple[list[Any], list[Any]]:
    """(carries; their tangents); ([], …) for zeros."""
    params, operands, tangents = use.params, use.operands, use.tangents
    body, carry = params["body"], params["carry"]
    loop = _Loop.of(use)
    result: list[Any] = [None] * carry
    if not loop.carries:
        return [], result
    step = _body(body, carry, carry, loop, jvp_of_graph, False)
    state = [*operands[:carry], *_filled(f, operands, tangents, loop.carries)]
    constants = [*operands[carry:], *(tangents[n] for n in loop.constants)]
    builder = Builder(capture_source=False)
    inputs = [builder.input(TensorType(v.dtype, v.shape)) for v in step.inputs]
    plain = [*inputs[:carry], *inputs[len(state) : len(state) + len(operands) - carry]]
    condition = params["condition"]
    test = builder.graph(inline(builder, condition, plain), condition.name)
    changed = {"body": step, "condition": test, "carry": len(state)}
    found = _as_tuple(f.while_loop(*state, *constants, **(params | changed)))
    for position, value in zip(loop.carries, found[carry:], strict=True):
        result[position] = value
    return list(found[:carry]), result


def _filled(f: Namespace, operands: Any, tangents: Any, positions: list[int]) -> list[Any]:
    """The tangents with which carries start."""
    return [f.zeros_like(operands[n]) if tangents[n] is None else tangents[n] for n in positions]


def _body(
    body: Graph, carry: int, stop: int, loop: _Loop, jvp_of_graph: JvpOfGraph, whole: bool
) -> Graph:
    """(carries, their tangents; slices, their tangents; constants, their tangents) → (the new
    carries and tangents; if `whole` the results of the step; their tangents)."""
    step = jvp_of_graph(body, loop.wrt, [*loop.carries, *loop.results], True)
    builder = Builder(capture_source=False)

    def inputs(values: Sequence[Any]) -> list[Any]:
        return [builder.input(TensorType(v.dtype, v.shape)) for v in values]

    def of(positions: list[int]) -> list[Any]:
        return inputs([body.inputs[n] for n in positions])

    values, by_carry = inputs(body.inputs[:carry]), of(loop.carries)
    rows, by_row = inputs(body.inputs[carry:stop]), of(loop.sequences)
    constants, by_constant = inputs(body.inputs[stop:]), of(loop.constants)
    arguments = [*values, *rows, *constants, *by_carry, *by_row, *by_constant]
    found = inline(builder, step, arguments)
    count = len(body.outputs)
    pushed, moving = found[count:], len(loop.carries)
    plain = found[carry:count] if whole else ()
    outputs = [*found[:carry], *pushed[:moving], *plain, *pushed[moving:]]
    return builder.graph(outputs, f"{body.name}_jvp")

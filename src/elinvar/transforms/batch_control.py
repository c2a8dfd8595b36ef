"""Batching of control operations: their sub-graphs are batched, and what examples do not share is
chosen by `where`.

    cond        a predicate for all: a cond of the batched branches. One for each example: both
                branches run for all examples, and each example takes its own
    while_loop  a condition for all: a loop of the batched body. One for each example: the loop goes
                on while any example goes on, and those that have ended keep what they have
    scan        a scan of the batched body
    custom      body and derivative are batched, with all that moves carrying the batch

A carry is batched if it is at the start or becomes so in some step: the least set that is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from elinvar.core.dtypes import bool_
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Graph, Value, inline
from elinvar.ops.rules import batched, expanded

Batched = tuple[Sequence[Any], Sequence[bool]]
BatchGraph = Callable[..., Any]


def batch_control(
    f: Any, axis: Any, node: Any, operands: Any, mapped: Any, batch_graph: BatchGraph
) -> Batched:
    """The results of a control operation for many examples, and which of them carry the batch.

    Args:
        f: the primitives.
        axis: the mapped axis (`batch.Axis`).
        operands, mapped: the new operands, and which of them carry the batch in front.
        batch_graph: see `batch.batch_graph`, which in turn meets control operations.
    """
    rule = {"cond": _cond, "while_loop": _while, "scan": _scan, "custom": _custom}[node.op.name]
    return rule(f, axis, node.params, operands, mapped, batch_graph)


def _as_tuple(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def chosen(f: Any, mask: Any, x: Any, y: Any) -> Any:
    """x where an example's flag is set, else y; all carry the batch in front."""
    axes = tuple(range(1, len(x.shape)))
    return f.where(expanded(f, mask, tuple(x.shape), axes), x, y)


# ---- cond ---------------------------------------------------------------------------------------


def _cond(
    f: Any, axis: Any, params: Any, operands: Any, mapped: Any, batch_graph: BatchGraph
) -> Batched:
    predicate, *given = operands
    inner = mapped[1:]
    names = ("true", "false")
    flags = [batch_graph(params[name], inner, axis)[1] for name in names]
    if not mapped[0]:
        wanted = [a or b for a, b in zip(*flags, strict=True)]
        branches = {name: batch_graph(params[name], inner, axis, wanted)[0] for name in names}
        return _as_tuple(f.cond(predicate, *given, **branches)), wanted
    wanted = [True] * len(flags[0])
    both = []
    for name in names:
        graph, _ = batch_graph(params[name], inner, axis, wanted)
        both.append(inlined(f, graph, given))
    results = [chosen(f, predicate, x, y) for x, y in zip(*both, strict=True)]
    return results, wanted


def inlined(f: Any, graph: Graph, arguments: Sequence[Any]) -> list[Any]:
    """The nodes of a graph, applied to arguments."""
    new = dict(zip(graph.inputs, arguments, strict=True))
    for node in graph.nodes:
        found = _as_tuple(f.apply(node.op, *(new[v] for v in node.operands), **node.params))
        new.update(zip(node.results, found, strict=True))
    return [new[value] for value in graph.outputs]


# ---- while_loop ---------------------------------------------------------------------------------


def _while(
    f: Any, axis: Any, params: Any, operands: Any, mapped: Any, batch_graph: BatchGraph
) -> Batched:
    condition, body, carry = params["condition"], params["body"], params["carry"]
    flags = list(mapped)
    while True:
        by_example = batch_graph(condition, flags, axis)[1][0]
        found = [True] * carry if by_example else batch_graph(body, flags, axis)[1]
        wider = [a or b for a, b in zip(flags, found, strict=False)] + flags[carry:]
        if wider == flags:
            break
        flags = wider
    carried = flags[:carry]
    given = [
        batched(f, axis.size, x, is_mapped) if wants else x
        for x, is_mapped, wants in zip(operands, mapped, flags, strict=True)
    ]
    many_body, _ = batch_graph(body, flags, axis, carried)
    many_condition, _ = batch_graph(condition, flags, axis)
    if not by_example:
        graphs = {"condition": many_condition, "body": many_body}
        return _as_tuple(f.while_loop(*given, carry=carry, **graphs)), carried
    return _while_any(f, many_condition, many_body, given, carry), carried


def _while_any(
    f: Any, condition: Graph, body: Graph, given: Sequence[Any], carry: int
) -> tuple[Any, ...]:
    """A loop whose first carry says which examples go on."""
    kinds = [TensorType(x.dtype, tuple(x.shape)) for x in given]
    going_on = inlined(f, condition, given)[0]
    flags = TensorType(bool_, tuple(going_on.shape))
    test = Builder(capture_source=False)
    going = test.input(flags)
    for kind in kinds:
        test.input(kind)
    any_goes_on = test.graph([test.f.any(going, axes=(0,))], condition.name)
    step = Builder(capture_source=False)
    going = step.input(flags)
    values = [step.input(kind) for kind in kinds]
    moved = inline(step, body, values)
    kept = [chosen(step.f, going, new, old) for new, old in zip(moved, values, strict=False)]
    after: Value = inline(step, condition, [*kept, *values[carry:]])[0]
    following = step.f.bitwise_and(going, after)
    graphs = {"condition": any_goes_on, "body": step.graph([following, *kept], body.name)}
    found = _as_tuple(f.while_loop(going_on, *given, carry=carry + 1, **graphs))
    return found[1:]


# ---- scan ---------------------------------------------------------------------------------------


def _scan(
    f: Any, axis: Any, params: Any, operands: Any, mapped: Any, batch_graph: BatchGraph
) -> Batched:
    body, carry = params["body"], params["carry"]
    stop = carry + params["sequences"]
    flags = list(mapped)
    while True:
        found = batch_graph(body, flags, axis)[1]
        wider = [a or b for a, b in zip(flags[:carry], found, strict=False)] + flags[carry:]
        if wider == flags:
            break
        flags = wider
    wanted = [*flags[:carry], *found[carry:]]
    many, wanted = batch_graph(body, flags, axis, wanted)
    given = []
    for place, (x, is_mapped) in enumerate(zip(operands, mapped, strict=True)):
        if place < carry and flags[place]:
            x = batched(f, axis.size, x, is_mapped)
        elif carry <= place < stop and is_mapped:
            x = swapped(f, x)  # (B, steps, …) → (steps, B, …)
        given.append(x)
    results = list(_as_tuple(f.scan(*given, **(params | {"body": many}))))
    for place in range(carry, len(results)):
        if wanted[place]:
            results[place] = swapped(f, results[place])
    return results, wanted


def swapped(f: Any, x: Any) -> Any:
    """x with its first two axes exchanged."""
    return f.permute(x, axes=(1, 0, *range(2, len(x.shape))))


# ---- custom -------------------------------------------------------------------------------------


def _custom(
    f: Any, axis: Any, params: Any, operands: Any, mapped: Any, batch_graph: BatchGraph
) -> Batched:
    body, derivative, moving = params["body"], params["derivative"], params["moving"]
    results = len(body.outputs)
    if not any(mapped):
        return _as_tuple(f.custom(*operands, **params)), [False] * results
    flags = [True] * moving + list(mapped[moving:])
    given = [
        batched(f, axis.size, x, is_mapped) if wants else x
        for x, is_mapped, wants in zip(operands, mapped, flags, strict=True)
    ]
    many, _ = batch_graph(body, flags, axis, [True] * results)
    how = many
    if params["mode"] != "none":
        flowing = [True] * (len(derivative.inputs) - len(operands))
        wanted = [True] * len(derivative.outputs)
        how, _ = batch_graph(derivative, [*flags, *flowing], axis, wanted)
    found = f.custom(*given, **(params | {"body": many, "derivative": how}))
    return _as_tuple(found), [True] * results

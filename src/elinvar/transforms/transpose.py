"""Graphs that are linear in some of their inputs: their transposes; and running graphs over a
namespace, node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elinvar.core.errors import GradientError, GraphError, fail
from elinvar.graph.ir import Graph, Value, reachable
from elinvar.ops.record import Namespace


def transposed(graph: Graph, linear: Sequence[int], name: str, vjp_of_graph: Any) -> Graph:
    """The transpose of a graph that is linear in some of its inputs.

    Args:
        graph: (others, linear inputs) → outputs, all of the latter floating.
        linear: the positions of the linear inputs.
        name: for errors.
        vjp_of_graph: `differentiate.vjp_graph`.

    Shape:
        inputs: the others, then one for each output of the graph.
        outputs: one for each linear input.

    Raises:
        GraphError: the graph is not linear in them, as its transpose still reads them.
    """
    backward = vjp_of_graph(graph, list(linear))
    gone = {backward.inputs[i].node for i in linear}
    if any(node in gone for node in reachable(backward.outputs)):
        fail(GraphError, name, "the derivative is not linear in what it is given")
    inputs = [v for i, v in enumerate(backward.inputs) if i not in set(linear)]
    return Graph(inputs, backward.outputs, f"{graph.name}_transpose")


def replayed(f: Namespace, graph: Graph, values: dict[Value, Any]) -> list[Any]:
    """The outputs of a graph whose nodes are applied one by one over a namespace.

    `values`: what stands for its inputs.
    """
    for node in graph.nodes:
        assert node.op is not None
        made = f.apply(node.op, *[values[v] for v in node.operands], **node.params)
        results = made if isinstance(made, tuple) else (made,)
        values.update(zip(node.results, results, strict=True))
    return [values[value] for value in graph.outputs]


def through_custom(
    f: Namespace,
    operands: Sequence[Any],
    given: Sequence[Any],
    params: dict[str, Any],
    wanted: str,
    vjp_of_graph: Any,
) -> list[Any]:
    """What a `custom` makes of cotangents of its results (`wanted`: "vjp") or of tangents of its
    operands ("jvp"): a value for each operand or result, None where there can be none.

    A derivative that was given the other way is transposed.
    """
    derivative, mode = params["derivative"], params["mode"]
    if mode == "none":
        text = "has no derivative: none was given, or no more of those that its own rule asks for"
        hint = "call `.defvjp(…)` or `.defjvp(…)`"
        fail(GradientError, params["body"].name, text, hint)
    if mode != wanted:
        linear = range(len(operands), len(derivative.inputs))
        derivative = transposed(derivative, linear, params["body"].name, vjp_of_graph)
    results, moving = params["body"].outputs, list(operands[: params["moving"]])
    rest = len(operands) - len(moving)
    if wanted == "vjp":
        sources, targets = results, moving
    else:
        sources, targets, given, rest = moving, results, given[: len(moving)], 0
    filled = [
        f.zeros_like(value) if g is None else g
        for value, g in zip(sources, given, strict=True)
        if value.dtype.is_inexact
    ]
    arguments = dict(zip(derivative.inputs, (*operands, *filled), strict=True))
    found = iter(replayed(f, derivative, arguments))
    return [next(found) if v.dtype.is_inexact else None for v in targets] + [None] * rest

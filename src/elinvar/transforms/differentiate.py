"""Reverse-mode differentiation, graph to graph.

For y = g(x) and a cotangent ȳ of y's shape, the vector-Jacobian product is x̄ = ȳ · ∂g/∂x. The
derivative rules of the op records are applied from the outputs back to the inputs; the
contributions of several users are summed, the latest user's first. The result is a graph of the
same primitives, so it can be differentiated again.

Source: Griewank and Walther, "Evaluating Derivatives", second edition (SIAM 2008), chapter 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elinvar.core.errors import GradientError, GraphError, fail
from elinvar.core.source import Source
from elinvar.graph.ir import Builder, Graph, Node, Value, inline, reachable
from elinvar.ops.record import Absent, Namespace
from elinvar.ops.table import BY_NAME
from elinvar.transforms.control import Application, differentiate_control


def vjp_graph(graph: Graph, wrt: Sequence[int], outputs: Sequence[int] | None = None) -> Graph:
    """The graph of x̄ = ȳ · ∂g/∂x.

    Args:
        graph: the function g.
        wrt: positions of the inputs whose cotangents are wanted.
        outputs: positions of the outputs that have cotangents; None: all floating ones.

    Shape:
        inputs: the inputs of g, then one cotangent for each of `outputs`, of its type.
        outputs: one cotangent for each of `wrt`, of the input's type; zeros where nothing flows.

    Raises:
        GradientError: a `wrt` input or a chosen output is not floating, or an op on the way between
            them cannot be differentiated.
    """
    builder, _, cotangents = _differentiated(graph, wrt, outputs)
    return builder.graph(cotangents, f"{graph.name}_vjp")


def value_and_vjp(graph: Graph, wrt: Sequence[int], outputs: Sequence[int] | None = None) -> Graph:
    """One graph that gives the outputs of g, then the cotangents as in `vjp_graph`."""
    builder, values, cotangents = _differentiated(graph, wrt, outputs)
    return builder.graph([*values, *cotangents], f"{graph.name}_value_and_vjp")


def _differentiated(
    graph: Graph, wrt: Sequence[int], outputs: Sequence[int] | None
) -> tuple[Builder, tuple[Value, ...], list[Value]]:
    if outputs is None:
        outputs = [i for i, value in enumerate(graph.outputs) if value.dtype.is_inexact]
    for what, values, positions in (
        ("input", graph.inputs, wrt),
        ("output", graph.outputs, outputs),
    ):
        for i in positions:
            if not values[i].dtype.is_inexact:
                text = f"{what} {i} is {values[i].type}; only floating values have derivatives"
                fail(GradientError, "vjp", text)
    builder = Builder(capture_source=False)
    inputs = [builder.input(value.type, value.node.name) for value in graph.inputs]
    values = inline(builder, graph, inputs)
    seeds = [builder.input(values[i].type, f"cotangent_{i}") for i in outputs]
    chosen = [inputs[i] for i in wrt]
    found = backpropagate(builder, [values[i] for i in outputs], seeds, chosen)
    given = zip(chosen, found, strict=True)
    return builder, values, [builder.f.zeros_like(x) if c is None else c for x, c in given]


def backpropagate(
    builder: Builder, outputs: Sequence[Value], cotangents: Sequence[Value], wrt: Sequence[Value]
) -> list[Value | None]:
    """Add the nodes of the derivative to a builder that already holds the function.

    Args:
        builder: made the nodes of `outputs`.
        outputs: floating values, with their `cotangents`.
        wrt: the values whose cotangents are wanted.

    Returns:
        One cotangent for each of `wrt`; None where nothing flows.
    """
    place = Place(builder)
    nodes = list(reachable(outputs))
    active = _active_values(nodes, wrt)
    total: dict[Value, Value] = {}
    for value, cotangent in zip(outputs, cotangents, strict=True):
        place.accumulate(total, value, cotangent)
    for node in reversed(nodes):
        if node.is_input or not any(value in active and value in total for value in node.results):
            continue
        needed = frozenset(i for i, v in enumerate(node.operands) if v in active)
        if not needed:
            continue  # one of `wrt` itself: its own operands are not asked for
        place.source = node.source
        found = _operand_cotangents(place.f, node, needed, total)
        for i, (operand, part) in enumerate(zip(node.operands, found, strict=True)):
            if i in needed and part is not None:
                if part.type != operand.type:
                    text = f"the derivative gives {part.type} for operand {i}: {operand.type}"
                    fail(GraphError, node.op_name, text, where=node.source)
                place.accumulate(total, operand, part)
    return [total.get(value) for value in wrt]


class Place:
    """The builder's primitives, which give new nodes the source of the node they differentiate."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self.source: Source | None = None
        self.f = Namespace(BY_NAME, self._apply)

    def _apply(self, op: Any, operands: tuple[Value, ...], params: dict[str, Any]) -> Any:
        results = self._builder.add(op, tuple(operands), params, self.source)
        return results[0] if len(results) == 1 else results

    def accumulate(self, total: dict[Value, Value], value: Value, cotangent: Value) -> None:
        known = total.get(value)
        total[value] = cotangent if known is None else self.f.add(known, cotangent)


def _active_values(nodes: list[Node], wrt: Sequence[Value]) -> set[Value]:
    """The floating values that depend on `wrt`, other than through stop_gradient."""
    active = {value for value in wrt if value.dtype.is_inexact}
    for node in nodes:
        if node.op_name != "stop_gradient" and any(v in active for v in node.operands):
            active.update(value for value in node.results if value.dtype.is_inexact)
    return active


def _operand_cotangents(
    f: Namespace, node: Node, needed: frozenset[int], total: dict[Value, Value]
) -> Sequence[Value | None]:
    op = node.op
    assert op is not None
    cotangents = [total.get(value) for value in node.results]
    if op.family == "control":
        use = Application(op.name, node.operands, cotangents, node.params, needed)
        return differentiate_control(f, use, vjp_graph)
    if isinstance(op.derivative, Absent):
        text = f"has no derivative: {op.derivative.reason}"
        fail(GradientError, op.name, text, "put `stop_gradient` around it", where=node.source)
    filled = [
        f.zeros_like(value) if cotangent is None and value.dtype.is_inexact else cotangent
        for value, cotangent in zip(node.results, cotangents, strict=True)
    ]
    found: Sequence[Value | None] = op.derivative(
        f, node.operands, node.results, tuple(filled), **node.params
    )
    return found

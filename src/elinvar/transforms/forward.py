"""Forward-mode differentiation: tangents go through a graph node by node.

For y = g(x) and a tangent ẋ of x's shape, the Jacobian-vector product is ẏ = ∂g/∂x · ẋ. What one
primitive does to tangents follows from its record: the derivative there maps cotangents of the
results to those of the operands, linearly; so its transpose, which backpropagation of the rule with
respect to the cotangents gives, maps tangents of the operands to those of the results, and what it
does not read falls away. Operations that are linear themselves (movement, sums, products in each
operand) are applied to the tangents as they are. Control operations: `forward_control.py`.

Tangents that are None stand for zeros and cost nothing.

Source: Radul, Paszke, Frostig, Johnson and Maclaurin, "You only linearize once" (POPL 2023), the
other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from elinvar.core.errors import GradientError, GraphError, fail
from elinvar.core.source import Source
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Graph, Value, inline, reachable, result_types
from elinvar.ops.complex_rules import parts_rule
from elinvar.ops.record import Absent, Namespace, Op
from elinvar.transforms.differentiate import Place, vjp_graph
from elinvar.transforms.forward_control import ControlUse, push_control
from elinvar.transforms.transpose import replayed, transposed

MOST_KEPT = 8192
Tangents = Sequence[Any]  # a value, or None where it is zero
_drawings: dict[Any, ForwardDrawing] = {}


def jvp_graph(
    graph: Graph, wrt: Sequence[int], outputs: Sequence[int] | None = None, values: bool = False
) -> Graph:
    """The graph of ẏ = ∂g/∂x · ẋ.

    Args:
        graph: the function g.
        wrt: positions of the inputs that have tangents.
        outputs: positions of the outputs whose tangents are wanted; None: all floating ones.
        values: whether the outputs of g come first.

    Shape:
        inputs: the inputs of g, then one tangent for each of `wrt`, of its type.
        outputs: one tangent for each of `outputs`, of its type; zeros where nothing flows.

    Raises:
        GradientError: a `wrt` input or a chosen output is not floating, or an op on the way between
            them cannot be differentiated.
    """
    if outputs is None:
        outputs = [i for i, value in enumerate(graph.outputs) if value.dtype.is_inexact]
    for what, found, positions in (
        ("input", graph.inputs, wrt),
        ("output", graph.outputs, outputs),
    ):
        for i in positions:
            if not found[i].dtype.is_inexact:
                text = f"{what} {i} is {found[i].type}; only floating values have tangents"
                fail(GradientError, "jvp", text)
    builder = Builder(capture_source=False)
    inputs = [builder.input(value.type, value.node.name) for value in graph.inputs]
    given = inline(builder, graph, inputs)
    seeds = [builder.input(graph.inputs[i].type, f"tangent_{i}") for i in wrt]
    chosen = [given[i] for i in outputs]
    pushed = push_through(builder, [inputs[i] for i in wrt], seeds, chosen)
    tangents = [
        builder.f.zeros_like(value) if tangent is None else tangent
        for value, tangent in zip(chosen, pushed, strict=True)
    ]
    made = [*given, *tangents] if values else tangents
    return builder.graph(made, f"{graph.name}_jvp")


def push_through(
    builder: Builder, inputs: Sequence[Value], tangents: Tangents, outputs: Sequence[Value]
) -> list[Value | None]:
    """Add the nodes of the tangents to a builder that already holds the function.

    Args:
        builder: made the nodes of `outputs`.
        inputs: floating values, with their `tangents`.
        outputs: the values whose tangents are wanted.

    Returns:
        One tangent for each of `outputs`; None where it is zero.
    """
    known: dict[Value, Any] = dict(zip(inputs, tangents, strict=True))
    place = Place(builder)
    for node in list(reachable(outputs)):
        if node.is_input or not any(known.get(v) is not None for v in node.operands):
            continue
        if all(value in known for value in node.results):
            continue  # one of `inputs` itself
        assert node.op is not None
        place.source = node.source
        pushed = tangents_of(
            place.f,
            node.op,
            node.operands,
            node.results,
            [known.get(v) for v in node.operands],
            node.params,
            node.source,
        )
        for value, tangent in zip(node.results, pushed, strict=True):
            if tangent is not None:
                if tangent.type != value.type:
                    text = f"the tangent of {value.type} is {tangent.type}"
                    fail(GraphError, node.op_name, text, where=node.source)
                known.setdefault(value, tangent)
    return [known.get(value) for value in outputs]


def tangents_of(
    f: Namespace,
    op: Op,
    operands: Sequence[Any],
    results: Sequence[Any],
    tangents: Tangents,
    params: dict[str, Any],
    source: Source | None = None,
) -> Sequence[Any]:
    """The tangents of an operation's results, from those of its operands (None: zero).

    `f` is the namespace of graph values or of tensors; `results` may be anything with the right
    types where the rule does not read them.
    """
    still = all(tangent is None for tangent in tangents)
    if still or not any(y.dtype.is_inexact for y in results):
        return [None] * len(results)
    if op.family == "control":
        use = ControlUse(op.name, operands, tangents, params)
        return push_control(f, use, jvp_graph, vjp_graph)
    rule = LINEAR.get(op.name)
    if rule is not None:
        return [rule(f, operands, tangents, params)]
    types = tuple([TensorType(x.dtype, tuple(x.shape)) for x in operands])
    mask = tuple([tangent is not None for tangent in tangents])
    return forward_drawing(op, params, types, mask, source).replay(f, operands, results, tangents)


# ---- operations that are linear in operands ------------------------------------------------------

Linear = Callable[[Any, Sequence[Any], Tangents, dict[str, Any]], Any]


def _same(name: str) -> Linear:
    """Linear in all floating operands together: zeros stand for those without a tangent."""

    def rule(f: Any, operands: Any, tangents: Any, params: Any) -> Any:
        given = [
            (f.zeros_like(x) if x.dtype.is_inexact else x) if t is None else t
            for x, t in zip(operands, tangents, strict=True)
        ]
        return getattr(f, name)(*given, **params)

    return rule


def _bilinear(name: str) -> Linear:
    """Linear in each of two operands."""

    def rule(f: Any, operands: Any, tangents: Any, params: Any) -> Any:
        (x, y), (by_x, by_y) = operands, tangents
        op = getattr(f, name)
        parts = []
        if by_x is not None:
            parts.append(op(by_x, y, **params))
        if by_y is not None:
            parts.append(op(x, by_y, **params))
        return parts[0] if len(parts) == 1 else f.add(*parts)

    return rule


def _add(f: Any, operands: Any, tangents: Any, params: Any) -> Any:
    by_x, by_y = tangents
    if by_x is None or by_y is None:
        return by_y if by_x is None else by_x
    return f.add(by_x, by_y)


def _subtract(f: Any, operands: Any, tangents: Any, params: Any) -> Any:
    by_x, by_y = tangents
    if by_y is None:
        return by_x
    return f.negative(by_y) if by_x is None else f.subtract(by_x, by_y)


def _cast(f: Any, operands: Any, tangents: Any, params: Any) -> Any:
    return f.cast(tangents[0], **params) if params["dtype"].is_inexact else None


def _nothing(f: Any, operands: Any, tangents: Any, params: Any) -> Any:
    return None


_MOVED = (
    "reshape", "permute", "broadcast", "concatenate", "flip", "slice", "pad", "windows", "fold",
    "gather", "scatter", "where", "sum", "cumsum", "negative", "barrier", "complex", "real", "imag",
)  # fmt: skip
LINEAR: dict[str, Linear] = {
    **{name: _same(name) for name in _MOVED},
    **{name: _bilinear(name) for name in ("multiply", "contract", "convolution")},
    "add": _add,
    "subtract": _subtract,
    "cast": _cast,
    "stop_gradient": _nothing,
}


# ---- rules by transposition ----------------------------------------------------------------------


class ForwardDrawing:
    """What a primitive does to tangents, as a graph for operands of given types.

    Attributes:
        graph: reads some of (operands, results, tangents) and gives the tangents of some results.
        used: which of (operands, results, one tangent for each operand) its inputs are.
        places: the results whose tangents it gives; those of the others are zero.
    """

    __slots__ = ("count", "graph", "places", "used")

    def __init__(
        self, op: Op, params: dict[str, Any], types: tuple[TensorType, ...], mask: Sequence[bool]
    ) -> None:
        made = result_types(op, types, params)
        self.count = len(made)
        wanted = [n for n, flag in enumerate(mask) if flag and types[n].dtype.is_inexact]
        builder = Builder(capture_source=False)
        operands = tuple(builder.input(kind) for kind in types)
        results = tuple(builder.input(kind) for kind in made)
        tangents = [builder.input(types[n]) if n in wanted else None for n in range(len(types))]
        self.places: list[int] = []
        outputs: list[Value] = []
        if op.name in LINEAR:
            found = LINEAR[op.name](builder.f, operands, tangents, params)
            if found is not None:
                self.places, outputs = [0], [found]
        elif parts_rule(op, operands, params) is not None:
            computed = builder.add(op, operands, params)  # complex numbers, by way of real ones
            flowing = [(x, t) for x, t in zip(operands, tangents, strict=True) if t is not None]
            sources, seeds = [x for x, _ in flowing], [t for _, t in flowing]
            pushed = push_through(builder, sources, seeds, computed)
            self.places = [n for n, tangent in enumerate(pushed) if tangent is not None]
            outputs = [tangent for tangent in pushed if tangent is not None]
        else:
            self._transpose(builder, op, params, wanted, operands, results, tangents, outputs)
        reached = {node for node in reachable(outputs) if node.is_input}
        given = [*operands, *results, *tangents]
        self.used = [n for n, v in enumerate(given) if v is not None and v.node in reached]
        builder.inputs = [given[n] for n in self.used]  # type: ignore[misc]
        self.graph = builder.graph(outputs, f"{op.name}_tangent")

    def _transpose(
        self,
        builder: Builder,
        op: Op,
        params: dict[str, Any],
        wanted: list[int],
        operands: Any,
        results: Any,
        tangents: Any,
        outputs: list[Value],
    ) -> None:
        """Add the transposed derivative of the op's record."""
        drawn = Builder(capture_source=False)
        xs = tuple(drawn.input(v.type) for v in operands)
        ys = tuple(drawn.input(v.type) for v in results)
        seeds = tuple(drawn.input(v.type) if v.dtype.is_inexact else None for v in results)
        found = op.derivative(drawn.f, xs, ys, seeds, **params)  # type: ignore[operator]
        pairs = [(n, v) for n, v in enumerate(found) if n in wanted and v is not None]
        places = [n for n, seed in enumerate(seeds) if seed is not None]
        if not pairs or not places:
            return
        backward = drawn.graph([v for _, v in pairs], f"{op.name}_derivative")
        first = len(xs) + len(ys)
        linear = range(first, first + len(places))
        forward = transposed(backward, linear, op.name, vjp_graph)
        arguments = [*operands, *results, *(tangents[n] for n, _ in pairs)]
        pushed = inline(builder, forward, arguments)
        carried = _depending(pushed, [t for t in tangents if t is not None])
        for place, value in zip(places, pushed, strict=True):
            if value in carried:
                self.places.append(place)
                outputs.append(value)

    def replay(
        self, f: Namespace, operands: Sequence[Any], results: Sequence[Any], tangents: Tangents
    ) -> list[Any]:
        """Run the graph over the namespace: the tangents of all results (None: zero)."""
        given = [*operands, *results, *tangents]
        values = {v: given[n] for v, n in zip(self.graph.inputs, self.used, strict=True)}
        found: list[Any] = [None] * self.count
        outputs = replayed(f, self.graph, values)
        for place, value in zip(self.places, outputs, strict=True):
            found[place] = value
        return found


def _depending(outputs: Sequence[Value], inputs: Sequence[Value]) -> set[Value]:
    """The outputs that depend on any of the inputs; the others are zeros."""
    found = set(inputs)
    for node in reachable(outputs):
        if any(value in found for value in node.operands):
            found.update(node.results)
    return found.intersection(outputs)


def forward_drawing(
    op: Op,
    params: dict[str, Any],
    types: tuple[TensorType, ...],
    mask: tuple[bool, ...],
    source: Source | None = None,
) -> ForwardDrawing:
    """The drawing for these operand types, of which those in `mask` have tangents; kept."""
    if isinstance(op.derivative, Absent):
        text = f"has no derivative: {op.derivative.reason}"
        fail(GradientError, op.name, text, "put `stop_gradient` around it", where=source)
    key = (op, tuple(params.items()), types, mask)
    found = _drawings.get(key)
    if found is None:
        if len(_drawings) >= MOST_KEPT:
            _drawings.clear()
        found = _drawings[key] = ForwardDrawing(op, params, types, mask)
    return found

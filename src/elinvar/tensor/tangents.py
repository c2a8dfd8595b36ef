"""Forward mode for users: jvp and linearize."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

from elinvar.core import tree
from elinvar.core.errors import GradientError, fail
from elinvar.graph.ir import Graph, Value
from elinvar.tensor.cell import traces
from elinvar.tensor.dispatch import F
from elinvar.tensor.forward import push_forward
from elinvar.tensor.function import TracedFunction
from elinvar.tensor.trace import Trace
from elinvar.tensor.walk import Walk, like, need_function

R = TypeVar("R")
Aux = TypeVar("Aux")


def _directions(op: str, primals: tuple[Any, ...], tangents: Any, inputs: list[Any]) -> list[Any]:
    """One tangent for each tensor among the primals."""
    if not isinstance(tangents, tuple | list):
        text = f"expected a tuple with one tangent for each primal, received {type(tangents)!r:.60}"
        fail(GradientError, op, text)
    if len(tangents) != len(primals):
        text = f"expected {len(primals)} tangents, one for each primal, received {len(tangents)}"
        fail(GradientError, op, text)
    found: list[Any] = []
    for number, (primal, tangent) in enumerate(zip(primals, tangents, strict=True)):
        expected = tree.flatten(primal)[1]
        leaves, structure = tree.flatten(tangent)
        if structure != expected:
            text = f"tangent {number} must have the structure of its primal"
            shown = f"expected {tree.describe(expected)}, received {tree.describe(structure)}"
            fail(GradientError, op, f"{text}: {shown}")
        for leaf in leaves:
            found.append(like(op, f"tangent {number}", leaf, inputs[len(found)]))
    return found


@overload
def jvp(
    function: Callable[..., R],
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    has_aux: Literal[False] = False,
) -> tuple[R, R]: ...
@overload
def jvp(
    function: Callable[..., tuple[R, Aux]],
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    has_aux: Literal[True],
) -> tuple[R, R, Aux]: ...
def jvp(
    function: Callable[..., Any],
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    has_aux: bool = False,
) -> Any:
    """f(primals), and its derivative in the direction of the tangents: J · t.

    Forward mode: tangents go through the operations of f in the order in which they ran. So it
    costs about as much again as f, however many results there are, and works through a
    `while_loop` of any number of steps. The matrix of second derivatives times a vector is `jvp`
    of `grad`.

    Args:
        function: of tensors or containers of them; gives a tensor or a container (with `has_aux` a
            pair of it and anything).
        primals: a tuple of arguments; all tensors in them floating.
        tangents: a tuple of the same structure: the direction.
        has_aux: whether the function returns (value, aux).

    Returns:
        (value, tangent), or (value, tangent, aux).

    Raises:
        GradientError: a primal is not floating, or the structures differ.
        ShapeError: a tangent has another shape than its primal.

    Example:
        >>> import elinvar as el
        >>> y, t = el.jvp(lambda x: x * x, (el.asarray([1.0, 2.0]),), (el.asarray([1.0, 10.0]),))
        >>> t.tolist()
        [2.0, 40.0]
        >>> loss = lambda x: (x**4).sum()
        >>> x, v = el.asarray([1.0, 2.0]), el.asarray([1.0, 0.5])
        >>> el.jvp(el.grad(loss), (x,), (v,))[1].tolist()        # the Hessian times v
        [12.0, 24.0]
    """
    need_function("jvp", function)
    if not isinstance(primals, tuple | list):
        text = f"expected a tuple of primals, received {type(primals).__name__}"
        fail(GradientError, "jvp", text, "write `(x,)` for a function of one argument")
    primals = tuple(primals)
    walk = Walk("jvp", has_aux)
    given = [walk.link(primal, f"primal {n}") for n, primal in enumerate(primals)]
    directions = _directions("jvp", primals, tangents, walk.inputs)
    walk.run(function, given, {}, directions)
    assert walk.directions is not None
    tangent = walk.tangents(walk.directions)
    result = walk.values()
    return (result, tangent, walk.aux) if has_aux else (result, tangent)


@overload
def linearize(
    function: Callable[..., R], *primals: Any, has_aux: Literal[False] = False
) -> tuple[R, Callable[..., R]]: ...
@overload
def linearize(
    function: Callable[..., tuple[R, Aux]], *primals: Any, has_aux: Literal[True]
) -> tuple[R, Callable[..., R], Aux]: ...
def linearize(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """f(primals), and the linear function t ↦ J · t that f is near them.

    The linear function keeps what it needs of f's inner values, so it may be called often without
    computing f again; from the second call on it is one compiled program. It takes one tangent for
    each primal.

    Args:
        function: as for `jvp`.
        primals: the point.
        has_aux: whether the function returns (value, aux).

    Returns:
        (value, linear), or (value, linear, aux).

    Raises:
        GradientError: a primal is not floating, or a tangent has another structure.

    Example:
        >>> import elinvar as el
        >>> y, linear = el.linearize(lambda x: el.exp(x) * 2.0, el.asarray([0.0, 1.0]))
        >>> linear(el.asarray([1.0, 0.0])).tolist(), linear(el.asarray([3.0, 0.0])).tolist()
        ([2.0, 0.0], [6.0, 0.0])
    """
    need_function("linearize", function)
    walk = Walk("linearize", has_aux)
    given = [walk.link(primal, f"primal {n}") for n, primal in enumerate(primals)]
    walk.run(function, given, {})

    calls, compiled = 0, None

    def linear(*tangents: Any) -> Any:
        nonlocal calls, compiled
        directions = _directions("linearize", primals, tangents, walk.inputs)
        if traces.active or walk.is_recorded(walk.outputs, directions):
            return walk.tangents(directions)
        calls += 1
        if calls == 1:
            return walk.tangents(directions)
        compiled = compiled or linear_program(walk)
        return tree.unflatten(walk.structure, compiled(directions))

    result = walk.values()
    return (result, linear, walk.aux) if has_aux else (result, linear)


def linear_program(walk: Walk) -> TracedFunction:
    """The tangents of a walk's results as a function of those of its inputs.

    What does not depend on the tangents is computed here, once.
    """
    with Trace("linearize") as trace:
        seeds = [trace.input(x._type, "tangent") for x in walk.inputs]
        pushed = push_forward(walk.inputs, seeds, walk.outputs, False)
        outputs = [
            trace.read(F.zeros_like(y) if tangent is None else tangent)
            for y, tangent in zip(walk.outputs, pushed, strict=True)
        ]
        held = trace.inputs
        graph = Graph(trace.builder.inputs, outputs)
        kept = _known_values(graph, [seed._value for seed in seeds])
        stand_ins = [trace.wrap(value) for value in kept]
        known = TracedFunction("linearize", trace, [one.tensor for one in held], stand_ins, [])
    cells = [one.cell for one in held]
    found = dict(zip(kept, known(cells), strict=True)) if kept else {}
    found |= {one.tensor._value: one.cell for one in held}
    with Trace("linear") as trace:
        inputs = [trace.input(x._type, "tangent") for x in walk.inputs]
        new: dict[Value, Value] = {
            old._value: fresh._value for old, fresh in zip(seeds, inputs, strict=True)
        }
        new |= {value: trace.read(found[value]) for value in _frontier(graph, found)}
        for node in graph.nodes:
            if node.results[0] not in new and all(v in new for v in node.operands):
                results = trace.builder.copy(node, tuple(new[v] for v in node.operands))
                new.update(zip(node.results, results, strict=True))
        tangents = [trace.wrap(new[value]) for value in outputs]
        rest = trace.inputs
    inputs += [one.tensor for one in rest]
    return TracedFunction("linear", trace, inputs, tangents, [one.cell for one in rest])


def _known_values(graph: Graph, seeds: list[Value]) -> list[Value]:
    """What the nodes that depend on the seeds read of those that depend on other inputs alone."""
    moving, fixed = set(seeds), {v for v in graph.inputs if v not in seeds}
    found: dict[Value, None] = {}
    for node in graph.nodes:
        if any(v in moving for v in node.operands):
            moving.update(node.results)
            found.update((v, None) for v in node.operands if v in fixed and not v.node.is_input)
        elif any(v in fixed for v in node.operands):
            fixed.update(node.results)
    found.update((v, None) for v in graph.outputs if v in fixed and not v.node.is_input)
    return list(found)


def _frontier(graph: Graph, known: dict[Value, Any]) -> list[Value]:
    """The known values that the outputs need when these need not be computed."""
    found: dict[Value, None] = {}
    stack, seen = list(graph.outputs), set()
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        if value in known:
            found[value] = None
        else:
            stack += value.node.operands
    return list(found)

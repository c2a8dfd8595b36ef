"""Backward: walk the tape from results to leaves.

The walk sorts nodes by serial number, newest first, so it needs no recursion and every node is met
after all that use it. Derivative rules run through `F`; with `create_graph` they are recorded too.
"""

from __future__ import annotations

import heapq
from typing import Any

from elinvar.core.errors import ElinvarError, GradientError, ShapeError, extended, fail
from elinvar.core.shapes import format_shape
from elinvar.core.source import derived
from elinvar.ops.complex_rules import parts_rule
from elinvar.ops.record import Absent, Op
from elinvar.tensor.cell import current_trace, detached, restore, state, traces
from elinvar.tensor.derivative import Drawing, Rule, replayed_drawing
from elinvar.tensor.dispatch import F, apply, packed
from elinvar.tensor.tape import Boundary, TapeNode, no_derivative
from elinvar.tensor.watching import watch
from elinvar.transforms.control import Application, differentiate_control
from elinvar.transforms.differentiate import vjp_graph

Gradients = dict[Any, list[Any]]


def backward(
    outputs: list[Any],
    cotangents: list[Any],
    retain_graph: bool = False,
    create_graph: bool = False,
    wanted: list[Any] | None = None,
) -> list[Any] | None:
    """Add the gradients of `outputs` to the `.grad` of all leaves; or return those of `wanted`.

    `wanted` are tensors on the tape, leaves or not; their gradients come back (None where nothing
    flows) and no `.grad` is touched.
    """
    before = state.grad_enabled, state.autocast
    state.grad_enabled, state.autocast = create_graph, None
    try:
        return _walk(outputs, cotangents, retain_graph, create_graph, wanted)
    finally:
        state.grad_enabled, state.autocast = before


def _walk(outputs: Any, cotangents: Any, retain: bool, create: bool, wanted: Any) -> Any:
    gradients: Gradients = {}
    heap: list[tuple[int, Any]] = []
    for output, cotangent in zip(outputs, cotangents, strict=True):
        _push(gradients, heap, output._node, output._slot, cotangent)
    if wanted is not None:
        return _walk_to(wanted, outputs, gradients, heap, retain, create)
    while heap:
        node = heapq.heappop(heap)[1]
        found = gradients.pop(node)
        if node.hooks is not None:
            _run_hooks(node, found)
        if node.is_leaf:
            accumulate(node, found[0], create)
        else:
            _pass_through(node, found, gradients, heap, retain, create)
    return None


def _walk_to(
    wanted: Any, outputs: Any, gradients: Gradients, heap: Any, retain: bool, create: bool
) -> list[Any]:
    """The gradients of `wanted`, which count as independent: nothing passes through them."""
    # places as they are now: a trace that reads one of `wanted` on the way moves its tape
    places = [None if w._node is None else (w._node, w._slot) for w in wanted]
    stops: dict[Any, Any] = {place: None for place in places if place is not None}
    useful = _leading_to(stops, outputs)
    while heap:
        node = heapq.heappop(heap)[1]
        found = gradients.pop(node)
        if node.hooks is not None:
            _run_hooks(node, found)
        for slot, gradient in enumerate(found):
            if (node, slot) in stops:
                stops[node, slot] = gradient
                found[slot] = None
        if node in useful and any(gradient is not None for gradient in found):
            _pass_through(node, found, gradients, heap, retain, create)
    return [None if place is None else stops[place] for place in places]


def _pass_through(
    node: Any, found: list[Any], gradients: Gradients, heap: Any, retain: bool, create: bool
) -> None:
    rule = node.rule
    operands = node.operands
    if operands is not None and type(rule) is Rule and rule.passes is not None:
        for place, number in rule.passes:
            if found[number] is not None:
                source = operands[place]
                _push(gradients, heap, source[4], source[5], found[number])
    else:
        if traces.active:
            passed = _differentiate_slowly(node, found, create)
        else:
            passed = _differentiate(node, found, create)
        for held, gradient in zip(node.operands, passed, strict=True):
            if gradient is not None and held[4] is not None:
                _push(gradients, heap, held[4], held[5], gradient)
    if not retain and not create:
        node.release()


def _differentiate_slowly(node: Any, found: list[Any], create: bool) -> Any:
    """The same under a trace, or while somebody watches for NaN: both want to know what for."""
    trace, outer = state.trace, state.derivative_of
    line = None if trace is None else trace.line
    if trace is not None:
        trace.line = derived(node.source, "backward") or line
    state.derivative_of = ("backward", node) if watch.on else None
    try:
        return _differentiate(node, found, create)
    finally:
        state.derivative_of = outer
        if trace is not None:
            trace.line = line


def _push(gradients: Gradients, heap: Any, node: Any, slot: int, gradient: Any) -> None:
    held = gradients.get(node)
    if held is None:
        held = gradients[node] = [None] * node.count
        heapq.heappush(heap, (-node.serial, node))
    held[slot] = gradient if held[slot] is None else F.add(held[slot], gradient)


def _leading_to(stops: dict[Any, Any], outputs: list[Any]) -> set[Any]:
    """The nodes through which a gradient can reach one of the stops."""
    seen: set[Any] = set()
    stack = [output._node for output in outputs]
    while stack:
        node = stack.pop()
        if node in seen or node.is_leaf:
            continue
        seen.add(node)
        for held in node.operands or ():
            if held[4] is not None and (held[4], held[5]) not in stops:
                stack.append(held[4])
    useful: set[Any] = set()
    for node in sorted(seen, key=lambda node: node.serial):
        if node.operands is None:
            useful.add(node)  # its tape was freed; differentiating it says so
            continue
        for held in node.operands:
            if held[4] in useful or (held[4], held[5]) in stops:
                useful.add(node)
                break
    return useful


def _run_hooks(node: Any, gradients: list[Any]) -> None:
    for slot, hook in list(node.hooks.values()):
        if gradients[slot] is not None:
            changed = hook(gradients[slot])
            if changed is not None:
                gradients[slot] = changed


def _differentiate(node: TapeNode, gradients: list[Any], create: bool) -> Any:
    """The cotangents of the operands."""
    if node.operands is None or node.results is None:
        text = f"the tape of {node.name} was freed by an earlier backward"
        hint = "call the first backward with `retain_graph=True`"
        fail(GradientError, "backward", text, hint, node.source)
    try:
        rule = node.rule
        operands, results = node.operands, node.results
        if isinstance(rule, Rule) and rule.drawing is not None:
            for slot, gradient in enumerate(gradients):
                if gradient is None and results[slot][2].dtype.kind in "fc":
                    gradients[slot] = F.zeros_like(restore(results[slot]))
            if not (create or rule.is_direct or traces.active):
                return rule.run(operands, results, gradients)
            given = [*map(restore, operands), *restored_results(node, create), *gradients]
            return rule.replay(apply, given)
        if isinstance(rule, Rule):
            rule = rule.op
        found = tuple([restore(held) for held in operands])
        return _apply_rule(node, rule, found, tuple(restored_results(node, create)), gradients)
    except ElinvarError as error:
        source = node.source
        if source is None or "in the backward of" in str(error):
            raise
        line = f"in the backward of {node.name} at {source.describe()}"
        raise extended(error, line) from error


def restored_results(node: TapeNode, create: bool) -> Any:
    for slot, held in enumerate(node.results or ()):
        result = restore(held)
        if create and result.dtype.kind in "fc":
            result._node, result._slot = node, slot
        yield result


def _apply_rule(node: TapeNode, rule: Any, operands: Any, results: Any, gradients: Any) -> Any:
    if not isinstance(rule, Op):
        return rule(operands, results, tuple(gradients))
    if rule.family == "control":
        needed = frozenset(n for n, x in enumerate(operands) if x._node is not None)
        use = Application(rule.name, operands, gradients, node.params, needed)
        return differentiate_control(F, use, vjp_graph)
    if isinstance(rule.derivative, Absent):
        no_derivative(rule.derivative, rule.name, node.source)
    cotangents = tuple(
        F.zeros_like(result) if gradient is None and result.dtype.kind in "fc" else gradient
        for gradient, result in zip(gradients, results, strict=True)
    )
    if parts_rule(rule, operands, node.params) is not None:
        types = [x._type for x in operands]
        drawing = Drawing(rule, node.params, types, tuple([x._node is not None for x in operands]))
        given = [*operands, *results, *cotangents]
        return replayed_drawing(drawing, apply, given, len(operands))
    return rule.derivative(F, operands, results, cotangents, **node.params)  # type: ignore[operator]


def accumulate(leaf: Any, gradient: Any, create: bool) -> None:
    """Add a gradient to the `.grad` of the leaf's tensor."""
    cell = leaf.cell()
    if cell is None:
        return
    if isinstance(leaf, Boundary):
        text = f"backward inside of a trace reaches {cell._type}, which was computed outside of it"
        fail(GradientError, "backward", text, "call backward outside, or compute it inside too")
    if not create:
        gradient = detached(gradient)
    trace = current_trace()
    if trace is not None:
        trace.note_gradient(cell, True)
    held = cell._grad
    if held is None:
        cell.grad = gradient if create else packed(gradient)
    elif create:
        cell.grad = F.add(held, gradient)
    else:
        held._rebind(F.add(held, gradient))


def start(output: Any, gradient: Any) -> Any:
    """The cotangent with which backward starts at `output`."""
    if output._node is None:
        text = f"{output._type} does not require a gradient"
        hint = "set `requires_grad=True` on what it is computed from"
        fail(GradientError, "backward", text, hint)
    if gradient is None:
        if output._type.size != 1:
            text = f"a gradient can start at one number only, received {output._type}"
            fail(GradientError, "backward", text, "reduce with `.sum()`, or pass `gradient=`")
        return F.full(1, output)
    if gradient.shape != output.shape:
        found = format_shape(gradient.shape)
        fail(ShapeError, "backward", f"the gradient of {output._type} must have its shape: {found}")
    return gradient if gradient.dtype is output.dtype else F.cast(gradient, dtype=output.dtype)

"""Forward mode: tangents walk the tape from inputs to results.

The tape that backward walks down is walked up: a node is numbered above all that it depends on, so
in the order of their numbers each node finds the tangents of its operands. Only nodes between the
inputs and the outputs are met, so tangents of other functions, or of other levels of nesting, are
never mixed up. With `create` what is computed is recorded, and can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from elinvar.core.errors import ElinvarError, GradientError, extended, fail
from elinvar.core.source import derived
from elinvar.ops.record import Op
from elinvar.tensor.backward import backward, restored_results
from elinvar.tensor.cell import plain, restore, state, traces
from elinvar.tensor.derivative import Rule
from elinvar.tensor.dispatch import F, apply
from elinvar.tensor.tape import Leaf, TapeNode, enable_grad
from elinvar.tensor.watching import watch
from elinvar.transforms.forward import tangents_of

Key = tuple[Any, int]  # a node of the tape and the number of its result


def push_forward(
    inputs: Sequence[Any],
    tangents: Sequence[Any],
    outputs: Sequence[Any],
    create: bool,
    known: dict[Key, Any] | None = None,
) -> list[Any]:
    """The tangents of `outputs`, given those of `inputs`; None where one is zero.

    Args:
        inputs: tensors on the tape, which count as independent.
        tangents: one for each input, or None.
        outputs: tensors that were computed from the inputs.
        create: whether the tangents are recorded.
        known: tangents that were found before; those of `outputs` are added.
    """
    known = {} if known is None else known
    for x, tangent in zip(inputs, tangents, strict=True):
        if x._node is not None:
            known[x._node, x._slot] = tangent
    wanted = [(y._node, y._slot) for y in outputs if y._node is not None]
    nodes = _between(known, wanted)
    uses = _uses(nodes, wanted)
    stops = set(known)
    before = state.grad_enabled
    state.grad_enabled = create
    try:
        for node in nodes:
            _step(node, known, stops, uses, create)
    finally:
        state.grad_enabled = before
    return [None if y._node is None else known.get((y._node, y._slot)) for y in outputs]


def _step(
    node: TapeNode, known: dict[Key, Any], stops: set[Key], uses: dict[Key, int], create: bool
) -> None:
    """Push the tangents of a node's operands to its results; drop what nobody reads any more."""
    if node.operands is None or node.results is None:
        text = f"the tape of {node.name} was freed by an earlier backward"
        hint = "call the first backward with `retain_graph=True`"
        fail(GradientError, "jvp", text, hint, node.source)
    given = []
    for held in node.operands:
        key = (held[4], held[5])
        given.append(None if held[4] is None else known.get(key))
        if key in uses:
            uses[key] -= 1
            if not uses[key] and key not in stops:
                known.pop(key, None)
    if all(tangent is None for tangent in given):
        return
    trace, outer = state.trace if traces.active else None, state.derivative_of
    before = None if trace is None else trace.line
    if trace is not None:
        trace.line = derived(node.source, "tangent") or before
    if watch.on:
        state.derivative_of = ("tangent", node)
    try:
        pushed = _push(node, given, create)
    except ElinvarError as error:
        source = node.source
        if source is None or "in the tangent of" in str(error):
            raise
        line = f"in the tangent of {node.name} at {source.describe()}"
        raise extended(error, line) from error
    finally:
        state.derivative_of = outer
        if trace is not None:
            trace.line = before
    for slot, tangent in enumerate(pushed):
        key = (node, slot)
        if tangent is not None and key not in stops and key in uses:
            known[key] = tangent


def _between(starts: dict[Key, Any], wanted: list[Key]) -> list[TapeNode]:
    """The nodes on the way from the starts to what is wanted, in the order in which they ran."""
    seen: set[Any] = set()
    stack = [key[0] for key in wanted if key not in starts]
    while stack:
        node = stack.pop()
        if node in seen or node.is_leaf:
            continue
        seen.add(node)
        for held in node.operands or ():
            if held[4] is not None and (held[4], held[5]) not in starts:
                stack.append(held[4])
    useful: set[Any] = set()
    found = []
    for node in sorted(seen, key=lambda node: node.serial):
        operands = node.operands
        if operands is None or any(
            held[4] in useful or (held[4], held[5]) in starts for held in operands
        ):
            useful.add(node)  # one whose tape was freed says so when it is met
            found.append(node)
    return found


def _uses(nodes: list[TapeNode], wanted: list[Key]) -> dict[Key, int]:
    """How often each tangent is read."""
    found: dict[Key, int] = dict.fromkeys(wanted, 1)
    for node in nodes:
        for held in node.operands or ():
            if held[4] is not None:
                key = (held[4], held[5])
                found[key] = found.get(key, 0) + 1
    return found


def _push(node: TapeNode, tangents: list[Any], create: bool) -> Sequence[Any]:
    """The tangents of a node's results."""
    rule, operands, results = node.rule, node.operands, node.results
    assert operands is not None and results is not None
    if isinstance(rule, Rule):
        if rule.drawing is not None:
            forward = rule.forward(tuple([t is not None for t in tangents]))
            if not (create or forward.is_direct or traces.active):
                return forward.run(operands, results, tangents)
            given = [*map(restore, operands), *restored_results(node, create), *tangents]
            return forward.replay(apply, given)
        rule = rule.op
    found = [restore(held) for held in operands]
    made = list(restored_results(node, create))
    if isinstance(rule, Op):
        return tangents_of(F, rule, found, made, tangents, node.params, node.source)
    push = getattr(rule, "push", None)
    if push is not None:
        pushed: Sequence[Any] = push(found, made, tangents)
        return pushed
    return pushed_by_transposing(rule, found, made, tangents, node.count)


def pushed_by_transposing(
    derive: Callable[..., Any],
    operands: Sequence[Any],
    results: Sequence[Any],
    tangents: Sequence[Any],
    count: int,
) -> list[Any]:
    """The tangents of results of which only the way of cotangents is known.

    That way is linear in the cotangents, so its own derivative with respect to them is its
    transpose: what it makes of zeros is recorded, and backward from there starts at the tangents.
    """
    create = state.grad_enabled
    seeds = [_seed(y) if y.dtype.kind in "fc" else None for y in results]
    with enable_grad():
        taped = [_with_tape(x, t is not None) for x, t in zip(operands, tangents, strict=True)]
        found = derive(tuple(taped), tuple(results), tuple(seeds))
        pairs = [
            (c, t)
            for c, t in zip(found, tangents, strict=True)
            if c is not None and t is not None and c._node is not None
        ]
    chosen = [seed for seed in seeds if seed is not None]
    pushed: Any = [None] * len(chosen)
    if pairs:
        pushed = backward([c for c, _ in pairs], [t for _, t in pairs], True, create, chosen)
    parts = iter(pushed)
    return [None if seed is None else next(parts) for seed in seeds] or [None] * count


def _seed(like: Any) -> Any:
    """A zero cotangent at which backward stops."""
    seed = plain(F.zeros_like(like))
    seed._node, seed._slot = Leaf(seed), 0
    return seed


def _with_tape(x: Any, wanted: bool) -> Any:
    """The operand as `derive` looks at it: one that wants a gradient is on the tape."""
    if not wanted or x._node is not None:
        return x
    fresh = plain(x)
    fresh._node, fresh._slot = Leaf(fresh), 0
    return fresh

"""Sums over all examples, taken where they are cheapest.

What a batched function does not map (the weights of a model) receives the sum of all examples'
cotangents. To make each of them and add them up would take memory for as many copies of the
weights as there are examples. So a sum goes up through what is linear, until it meets

    a product of two mapped values     whose contracted axes are joined by the batch
    a convolution of two mapped values likewise: the batch joins the channels that are summed
    a sum                              which has the batch among its axes
    a scatter-add into zeros           of all examples' updates, one after the other

and only what is none of these is computed for every example and added up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from elinvar.ops.convolution import merged_batch
from elinvar.ops.rules import moved_axis, next_axes
from elinvar.transforms.batch_named import times


def sum_over_examples(work: Any, value: Any) -> Any:
    """Σ over the examples of a value of the old graph, in the new one (see `batch.Batching`)."""
    sums: dict[Any, Any] = work.sums
    stack = [value]
    while stack:
        current = stack[-1]
        if current in sums:
            stack.pop()
            continue
        parts = _parts(work, current)
        waiting = [part for part in parts if part not in sums]
        if waiting:
            stack += reversed(waiting)
        else:
            sums[current] = _sum_of(work, current, parts)
            stack.pop()
    return sums[value]


def _parts(work: Any, value: Any) -> Sequence[Any]:
    """The operands whose sums give that of a value; none where it is computed by itself."""
    if value not in work.mapped:
        return ()
    node = value.node
    if node.op_name in ("add", "subtract"):
        return node.operands
    if node.op_name in _MOVING or (node.op_name == "cast" and _is_product(work, value)):
        return node.operands[:1]
    if node.op_name == "multiply":
        mapped = [operand for operand in node.operands if operand in work.mapped]
        return mapped if len(mapped) == 1 else ()
    if node.op_name == "divide" and node.operands[1] not in work.mapped:
        return node.operands[:1]
    return ()


def _sum_of(work: Any, value: Any, parts: Sequence[Any]) -> Any:
    f, node = work.f, value.node
    if value not in work.mapped:
        return times(f, work.new[value], work.axis.size)
    if parts:
        operands = [
            work.sums[operand] if operand in parts else work.new[operand]
            for operand in node.operands
        ]
        return f.apply(node.op, *operands, **node.params)
    rule = _RULES.get(node.op_name)
    found = None if rule is None else rule(work, node)
    return f.sum(work.new[value], axes=(0,)) if found is None else found


_MOVING = frozenset(("permute", "reshape", "flip", "negative", "stop_gradient"))


def _is_product(work: Any, value: Any) -> bool:
    """Whether a value is a product of mapped values, cast or moved about: the sum is rounded to
    its dtype once, as that of a batch written by hand would be."""
    node = value.node
    while node.op_name in _MOVING or node.op_name == "cast":
        if node.op_name == "cast" and not node.operands[0].dtype.is_floating:
            return False
        node = node.operands[0].node
    return node.op_name in ("contract", "convolution") and _both(work, node) is not None


def _both(work: Any, node: Any) -> Any:
    """The new operands, if all of them are mapped."""
    if not all(operand in work.mapped for operand in node.operands):
        return None
    return [work.new[operand] for operand in node.operands]


def _sum(work: Any, node: Any) -> Any:
    x = work.new[node.operands[0]]
    return work.f.sum(x, axes=(0, *next_axes(node.params["axes"])))


def _contract(work: Any, node: Any) -> Any:
    operands = _both(work, node)
    if operands is None:
        return None
    params = node.params
    batch = tuple(next_axes(axes) for axes in params["batch"])
    axes = tuple((0, *next_axes(side)) for side in params["axes"])
    return work.f.contract(*operands, **(params | {"batch": batch, "axes": axes}))


def _convolution(work: Any, node: Any) -> Any:
    operands = _both(work, node)
    if operands is None or not _is_gradient_of_kernel(node):
        return None
    x, w = operands
    groups = node.params["groups"]
    return work.f.convolution(
        merged_batch(work.f, x, 1, groups), merged_batch(work.f, w, 1, 1), **node.params
    )


def _is_gradient_of_kernel(node: Any) -> bool:
    """Whether samples stand where channels are summed; there a sum of many is at home."""
    return not node.params["channels_inner"] and not node.params["channels_last"]


def _scatter(work: Any, node: Any) -> Any:
    x, i, u = node.operands
    if node.params["mode"] != "add" or i not in work.mapped or not _is_zero(x):
        return None
    f, axis = work.f, node.params["axis"]
    places, updates = work.new[i], work.in_front(u)
    return f.scatter(work.new[x], places, moved_axis(f, updates, 0, axis), **node.params)


def _is_zero(value: Any) -> bool:
    node = value.node
    while node.op_name in ("broadcast", "reshape"):
        node = node.operands[0].node
    return node.op_name == "constant" and node.params["value"] == 0


_RULES: dict[str, Callable[[Any, Any], Any]] = {
    "contract": _contract,
    "convolution": _convolution,
    "scatter": _scatter,
    "sum": _sum,
}

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

from typing import Any

from elinvar.ops.convolution import merged_batch
from elinvar.ops.rules import moved_axis, next_axes
from elinvar.transforms.batch_named import times

MOST_STEPS = 64  # how far a sum goes up


def sum_over_examples(work: Any, value: Any, depth: int = 0) -> Any:
    """Σ over the examples of a value of the old graph, in the new one (see `batch.Batching`)."""
    f = work.f
    if value not in work.mapped:
        return times(f, work.new[value], work.axis.size)
    node = value.node
    rule = _RULES.get(node.op_name) if depth < MOST_STEPS else None
    found = None if rule is None else rule(work, node, depth + 1)
    return f.sum(work.new[value], axes=(0,)) if found is None else found


def _add(work: Any, node: Any, depth: int) -> Any:
    x, y = (sum_over_examples(work, operand, depth) for operand in node.operands)
    return work.f.add(x, y)


def _moved(work: Any, node: Any, depth: int) -> Any:
    inner = sum_over_examples(work, node.operands[0], depth)
    return work.f.apply(node.op, inner, **node.params)


def _sum(work: Any, node: Any, depth: int) -> Any:
    x = work.new[node.operands[0]]
    return work.f.sum(x, axes=(0, *next_axes(node.params["axes"])))


def _both(work: Any, node: Any) -> Any:
    """The new operands, if all of them are mapped."""
    if not all(operand in work.mapped for operand in node.operands):
        return None
    return [work.new[operand] for operand in node.operands]


def _contract(work: Any, node: Any, depth: int) -> Any:
    operands = _both(work, node)
    if operands is None:
        return None
    params = node.params
    batch = tuple(next_axes(axes) for axes in params["batch"])
    axes = tuple((0, *next_axes(side)) for side in params["axes"])
    return work.f.contract(*operands, **(params | {"batch": batch, "axes": axes}))


def _convolution(work: Any, node: Any, depth: int) -> Any:
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


def _scatter(work: Any, node: Any, depth: int) -> Any:
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


_RULES = {
    "add": _add,
    "contract": _contract,
    "convolution": _convolution,
    "permute": _moved,
    "reshape": _moved,
    "scatter": _scatter,
    "sum": _sum,
}

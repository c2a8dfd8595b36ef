"""Batching of operations along named axes: at their own axis they become ordinary operations.

At another one (an inner `vmap` of nested ones) they stay what they are, for the outer axis, on
values that carry the inner batch dimension in front.
"""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import int64
from elinvar.ops import named
from elinvar.ops.record import Op
from elinvar.ops.rules import batched, dim_value, expanded, filled, moved_axis

Batched = tuple[tuple[Any, ...], tuple[bool, ...]]


def is_named(op: Op) -> bool:
    """Whether the op is one along a named axis."""
    return op in named.OPS


def batch_named(f: Any, axis: Any, node: Any, operands: Any, mapped: Any) -> Batched:
    """The results of a named operation for many examples, and which of them carry the batch."""
    if node.params["axis"] != axis.number:
        return _of_outer_axis(f, node, operands, mapped)
    rule = {
        "named_index": _index,
        "named_sum": _sum,
        "named_gather": _gather,
        "named_permute": _permute,
    }[node.op.name]
    found, carries = rule(f, axis, operands, mapped, node.params)
    return (found,), (carries,)


def _of_outer_axis(f: Any, node: Any, operands: Any, mapped: Any) -> Batched:
    found = f.apply(node.op, *operands, **node.params)
    carries = any(mapped)
    if node.op is named.NAMED_GATHER and carries:  # (outer, this, …) → (this, outer, …)
        found = moved_axis(f, found, 1, 0)
    return (found,), (carries,)


def _index(f: Any, axis: Any, operands: Any, mapped: Any, params: Any) -> Any:
    return f.iota(size=axis.size, dtype=int64), True


def _sum(f: Any, axis: Any, operands: Any, mapped: Any, params: Any) -> Any:
    (x,) = operands
    if mapped[0]:
        return f.sum(x, axes=(0,)), False
    return times(f, x, axis.size), False


def times(f: Any, x: Any, size: Any) -> Any:
    """The sum of `size` values x."""
    count = f.cast(dim_value(f, size), dtype=x.dtype)
    return f.multiply(x, filled(f, count, tuple(x.shape)))


def _gather(f: Any, axis: Any, operands: Any, mapped: Any, params: Any) -> Any:
    (x,) = operands
    return (x if mapped[0] else f.broadcast(x, shape=(axis.size, *x.shape))), False


def _permute(f: Any, axis: Any, operands: Any, mapped: Any, params: Any) -> Any:
    """Rows in another order, and zeros for those that receive none."""
    x, source, _ = operands
    rows = batched(f, axis.size, x, mapped[0])
    none = f.zeros_like(source)
    found = f.gather(rows, f.maximum(source, none), axis=0)
    others = tuple(range(1, len(found.shape)))
    receives = expanded(f, f.greater_equal(source, none), tuple(found.shape), others)
    return f.where(receives, found, f.zeros_like(found)), True

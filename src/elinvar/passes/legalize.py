"""Rewrite operations that the kernel generator does not know into those that it does.

argmax/argmin become a reduction and a search for its first place; fold a sum of padded windows;
padding of a convolution a `pad` before it, dilation of its input phases; 16-bit contractions and
convolutions sum in f32 and round once, as scatter-adds do; small integers are summed as int32.
Fourier transforms of real numbers are those of complex ones where pairs do not do.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from elinvar.core import dtypes
from elinvar.core.dtypes import DType
from elinvar.core.shapes import DimLike
from elinvar.graph.ir import Builder, Graph, Node, Value, rewrite
from elinvar.ops.fourier import in_pairs
from elinvar.passes.phases import has_phases, in_phases


def legalize(graph: Graph) -> Graph:
    """Apply the rewrites until none applies, sub-graphs included."""
    for _ in range(4):
        changed = [False]

        def rule(
            builder: Builder, node: Node, operands: tuple[Value, ...], changed: list[bool] = changed
        ) -> Any:
            found = _rewrite_node(builder, node, operands)
            changed[0] |= found is not None
            return found

        fresh = rewrite(graph, rule)
        if not changed[0]:
            break
        graph = fresh
    return graph


def _rewrite_node(b: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
    handler = _RULES.get(node.op_name)
    if handler is not None:
        return handler(b, node, operands)
    params = {k: legalize(v) if isinstance(v, Graph) else v for k, v in node.params.items()}
    if all(params[k] is node.params[k] for k in params):
        return None
    assert node.op is not None
    return b.add(node.op, operands, params, node.source)


def _computes_wide(dtype: DType) -> DType | None:
    """The type in which products of `dtype` are carried, None when it is the type itself."""
    if dtype.kind == "f":
        return dtypes.float32 if dtype.bits == 16 else None
    return dtypes.int32 if dtype.bits < 32 else None


def _contract(b: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
    """Products of narrow operands are left wide by the kernel, which reads the operands as they
    are, and rounded (integers: cut off) by whoever reads them."""
    dtype = node.results[0].dtype
    wide = _computes_wide(dtype)
    if wide is None:
        return None
    result = b.apply(node.op, operands, {**node.params, "dtype": wide})  # type: ignore[arg-type]
    return (b.f.cast(result, dtype=dtype),)


def _convolution(b: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
    wide = _contract(b, node, operands)
    if wide is not None:
        return wide
    params = node.params
    rank = len(params["stride"])
    zeros, ones = (0,) * rank, (1,) * rank
    if params["low"] == zeros and params["high"] == zeros and params["input_dilation"] == ones:
        return None
    if params["channels_last"]:
        first = b.apply(node.op, operands, {**params, "channels_last": False})  # type: ignore[arg-type]
        return (b.f.permute(first, axes=(0, *range(2, rank + 2), 1)),)
    if has_phases(operands, params):
        return (in_phases(b, node.op, operands, node.results[0], params),)
    x, w = operands
    x = padded(b, x, params["low"], params["high"], params["input_dilation"])
    fresh = {**params, "low": zeros, "high": zeros, "input_dilation": ones}
    return (b.apply(node.op, (x, w), fresh),)  # type: ignore[arg-type]


def padded(b: Builder, x: Value, low: Any, high: Any, dilation: Any) -> Value:
    """Spread the spatial dims of x[N,C,*S] by `dilation` and pad them; negative padding crops."""
    zero = b.f.constant(value=0.0 if x.dtype.kind == "f" else 0, dtype=x.dtype)
    grow_low = (0, 0, *(max(0, n) for n in low))
    grow_high = (0, 0, *(max(0, n) for n in high))
    interior = (0, 0, *(n - 1 for n in dilation))
    if any(grow_low) or any(grow_high) or any(interior):
        x = b.f.pad(x, zero, low=grow_low, high=grow_high, interior=interior)
    if any(n < 0 for n in (*low, *high)):
        start = (0, 0, *(max(0, -n) for n in low))
        lost = (0, 0, *(max(0, -a) + max(0, -c) for a, c in zip(low, high, strict=True)))
        size = tuple(n - gone for n, gone in zip(x.shape, lost, strict=True))
        x = b.f.slice(x, start=start, size=size, step=(1,) * len(size))
    return x


def _fold(b: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...]:
    """Σ over window offsets k of y[k] spread by the stride and moved by k·dilation."""
    (y,) = operands
    p = node.params
    shape, axes = p["shape"], p["axes"]
    count = len(axes)
    counts = y.shape[count:]
    if p["sizes"] == p["strides"] and all(n == 1 for n in p["dilations"]):
        return (_side_by_side(b, y, shape, axes, p["sizes"]),)
    zero = b.f.constant(value=False if y.dtype.kind == "b" else 0, dtype=y.dtype)
    wide = dtypes.accumulator(y.dtype)
    total = None
    for offset in itertools.product(*(range(n) for n in p["sizes"])):
        start = (*offset, *(0 for _ in counts))
        size = (*(1 for _ in offset), *counts)
        part = b.f.reshape(
            b.f.slice(y, start=start, size=size, step=(1,) * len(size)), shape=counts
        )
        low = [0] * len(shape)
        high: list[DimLike] = [0] * len(shape)
        interior = [0] * len(shape)
        for k, axis, stride, dilation in zip(
            offset, axes, p["strides"], p["dilations"], strict=True
        ):
            low[axis], interior[axis] = k * dilation, stride - 1
            high[axis] = shape[axis] - low[axis] - ((counts[axis] - 1) * stride + 1)
        part = b.f.pad(part, zero, low=tuple(low), high=tuple(high), interior=tuple(interior))
        part = b.f.cast(part, dtype=wide) if wide is not part.dtype else part
        total = part if total is None else b.f.add(total, part)
    if total is None:
        return (b.f.zeros_like(node.results[0]),)
    return (b.f.cast(total, dtype=y.dtype) if wide is not y.dtype else total,)


def _side_by_side(b: Builder, y: Value, shape: Any, axes: Any, sizes: Any) -> Value:
    """Windows that do not overlap: nothing is added, each element moves to its place."""
    count, order = len(axes), []
    grown: list[DimLike] = list(y.shape[count:])
    for axis in range(len(grown)):
        order.append(count + axis)
        if axis in axes:
            order.append(axes.index(axis))
            grown[axis] = grown[axis] * sizes[axes.index(axis)]
    result = b.f.reshape(b.f.permute(y, axes=tuple(order)), shape=tuple(grown))
    high = tuple(whole - part for whole, part in zip(shape, grown, strict=True))
    if all(isinstance(n, int) and n == 0 for n in high):
        return result
    zero = b.f.constant(value=False if y.dtype.kind == "b" else 0, dtype=y.dtype)
    none = (0,) * len(high)
    return b.f.pad(result, zero, low=none, high=high, interior=none)


def _arg_extreme(reduction: str) -> Callable[..., tuple[Value, ...]]:
    def rule(b: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...]:
        (x,) = operands
        axis = node.params["axis"]
        if x.dtype.kind == "b":
            x = b.f.cast(x, dtype=dtypes.uint8)
        extent = x.shape[axis]
        kept = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
        best = getattr(b.f, reduction)(x, axes=(axis,))
        best = b.f.broadcast(b.f.reshape(best, shape=kept), shape=x.shape)
        hit = b.f.equal(x, best)
        if x.dtype.kind == "f":
            hit = b.f.bitwise_or(hit, b.f.not_equal(x, x))
        line = tuple(extent if i == axis else 1 for i in range(len(x.shape)))
        places = b.f.reshape(b.f.iota(size=extent, dtype=dtypes.int64), shape=line)
        places = b.f.broadcast(places, shape=x.shape)
        far = b.f.full(2**62, places)
        return (b.f.min(b.f.where(hit, places, far), axes=(axis,)),)

    return rule


def _scatter(b: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
    x, i, u = operands
    if node.params["mode"] == "add" and x.dtype.kind == "f" and x.dtype.bits == 16:
        wide = [b.f.cast(v, dtype=dtypes.float32) for v in (x, u)]
        result = b.apply(node.op, (wide[0], i, wide[1]), node.params)  # type: ignore[arg-type]
        return (b.f.cast(result, dtype=x.dtype),)
    if i.dtype is not dtypes.int64:
        return (b.apply(node.op, (x, b.f.cast(i, dtype=dtypes.int64), u), node.params),)  # type: ignore[arg-type]
    return None


def _sort(b: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...]:
    """The values in the order of argsort."""
    (x,) = operands
    axis = node.params["axis"]
    order = b.f.argsort(x, axis=axis, descending=node.params["descending"])
    return (take_along(b, x, order, axis),)


def _argsort(b: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
    """Sort along the last axis."""
    (x,) = operands
    rank, axis = len(x.shape), node.params["axis"]
    if axis == rank - 1:
        return None
    order = tuple(i for i in range(rank) if i != axis) + (axis,)
    back = tuple(order.index(i) for i in range(rank))
    moved = b.f.permute(x, axes=order)
    sorted_ = b.f.argsort(moved, axis=rank - 1, descending=node.params["descending"])
    return (b.f.permute(sorted_, axes=back),)


def take_along(b: Builder, x: Value, order: Value, axis: int) -> Value:
    """x at the positions `order` along an axis: gather on the flat array."""
    strides: list[DimLike] = []
    step: DimLike = 1
    for extent in reversed(x.shape):
        strides.insert(0, step)
        step = step * extent
    shape = order.shape
    flat = b.f.multiply(order, _size(b, strides[axis], order))
    for i, extent in enumerate(shape):
        if i != axis and extent != 1:
            line = tuple(extent if j == i else 1 for j in range(len(shape)))
            places = b.f.reshape(b.f.iota(size=extent, dtype=dtypes.int64), shape=line)
            places = b.f.broadcast(places, shape=shape)
            flat = b.f.add(flat, b.f.multiply(places, _size(b, strides[i], order)))
    return b.f.gather(b.f.reshape(x, shape=(step,)), flat, axis=0)


def _size(b: Builder, dim: DimLike, like: Value) -> Value:
    if isinstance(dim, int):
        return b.f.full(dim, like)
    return b.f.broadcast(b.f.size_of(dim=dim), shape=like.shape)


def _gather(b: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
    x, i = operands
    if i.dtype is not dtypes.int64:
        return (b.f.gather(x, b.f.cast(i, dtype=dtypes.int64), axis=node.params["axis"]),)
    return None


def _rfft(b: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
    (x,) = operands
    axis, scale = node.params["axis"], node.params["scale"]
    if in_pairs(x.shape[axis]):
        return None
    whole = b.f.fft(b.f.complex(x, b.f.zeros_like(x)), axis=axis, inverse=False, scale=scale)
    rank = len(x.shape)
    return (b.f.slice(whole, start=(0,) * rank, size=node.results[0].shape, step=(1,) * rank),)


def _irfft(b: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
    """The mirror images are written behind the half that is there."""
    (x,) = operands
    axis, length = node.params["axis"], node.params["length"]
    if in_pairs(length):
        return None
    missing = (length - 1) // 2
    if missing:
        rank = len(x.shape)
        start = tuple(int(n == axis) for n in range(rank))
        size = tuple(missing if n == axis else dim for n, dim in enumerate(x.shape))
        behind = b.f.slice(x, start=start, size=size, step=(1,) * rank)
        behind = b.f.flip(behind, axes=(axis,))
        behind = b.f.complex(b.f.real(behind), b.f.negative(b.f.imag(behind)))
        x = b.f.concatenate(x, behind, axis=axis)
    whole = b.f.fft(x, axis=axis, inverse=True, scale=node.params["scale"])
    return (b.f.real(whole),)


_RULES: dict[str, Callable[..., tuple[Value, ...] | None]] = {
    "contract": _contract,
    "convolution": _convolution,
    "fold": _fold,
    "irfft": _irfft,
    "rfft": _rfft,
    "argmax": _arg_extreme("max"),
    "argmin": _arg_extreme("min"),
    "scatter": _scatter,
    "sort": _sort,
    "argsort": _argsort,
    "gather": _gather,
}

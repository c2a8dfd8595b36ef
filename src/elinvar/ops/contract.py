"""Contractions: sums of products over shared dimensions, and convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import accumulator
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.types import TensorType
from elinvar.ops.record import Op, absent
from elinvar.ops.rules import (
    check_axes,
    check_ints,
    known_negative,
    narrowed,
    need_equal_dtypes,
    need_numeric,
    quotient,
    widened,
)

_LATER = absent("follows")
Pairs = tuple[tuple[int, ...], tuple[int, ...]]


def _check_pairs(x: TensorType, y: TensorType, name: str, what: str, pairs: Any) -> None:
    if not isinstance(pairs, tuple) or len(pairs) != 2:
        fail(ValueRangeError, "contract", f"{name} must be a pair of tuples, received {pairs!r}")
    for operand, dims in zip((x, y), pairs, strict=True):
        check_axes("contract", operand, dims, in_order=False)
    if len(pairs[0]) != len(pairs[1]):
        fail(ValueRangeError, "contract", f"{name} must pair dimensions, received {pairs}")
    for i, j in zip(*pairs, strict=True):
        if x.shape[i] != y.shape[j]:
            text = f"{what} dimensions differ: {x} @ {y}, {x.shape[i]} ≠ {y.shape[j]}"
            fail(ShapeError, "contract", text)


def free_dims(rank: int, batch: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The dims that are neither batch dims nor contracted, in order."""
    return tuple(dim for dim in range(rank) if dim not in batch and dim not in axes)


def _contract_type(x: TensorType, y: TensorType, *, batch: Pairs, axes: Pairs) -> TensorType:
    need_equal_dtypes("contract", x, y)
    need_numeric("contract", x)
    _check_pairs(x, y, "batch", "batch", batch)
    _check_pairs(x, y, "axes", "contracted", axes)
    for operand, shared, summed in zip((x, y), batch, axes, strict=True):
        if set(shared) & set(summed):
            text = f"a dim of {operand} is both batch and contracted: {shared} and {summed}"
            fail(ValueRangeError, "contract", text)
    return TensorType(
        x.dtype,
        tuple(x.shape[dim] for dim in batch[0])
        + tuple(x.shape[dim] for dim in free_dims(x.rank, batch[0], axes[0]))
        + tuple(y.shape[dim] for dim in free_dims(y.rank, batch[1], axes[1])),
    )


def _contract(x: Any, y: Any, *, batch: Pairs, axes: Pairs) -> Any:
    x_free = free_dims(x.ndim, batch[0], axes[0])
    y_free = free_dims(y.ndim, batch[1], axes[1])
    shared = tuple(x.shape[dim] for dim in batch[0])
    rows = tuple(x.shape[dim] for dim in x_free)
    columns = tuple(y.shape[dim] for dim in y_free)
    count = int(np.prod([x.shape[dim] for dim in axes[0]], dtype=np.int64))
    groups, m, n = (int(np.prod(dims, dtype=np.int64)) for dims in (shared, rows, columns))
    left = np.transpose(widened(x), (*batch[0], *x_free, *axes[0])).reshape(groups, m, count)
    right = np.transpose(widened(y), (*batch[1], *axes[1], *y_free)).reshape(groups, count, n)
    return narrowed(np.matmul(left, right).reshape(shared + rows + columns), x.dtype)


def _convolution_type(x: TensorType, w: TensorType, **params: Any) -> TensorType:
    op = "convolution"
    need_equal_dtypes(op, x, w)
    need_numeric(op, x)
    spatial = x.rank - 2
    if spatial < 0 or w.rank != x.rank:
        fail(ShapeError, op, f"expected input [N,C,…] and kernel [O,C,…] of one rank: {x}, {w}")
    for name in ("stride", "dilation", "input_dilation"):
        check_ints(op, name, params[name], spatial, 1)
    for name in ("low", "high"):
        check_ints(op, name, params[name], spatial)
    groups, batch_groups = params["groups"], params["batch_groups"]
    if groups < 1 or batch_groups < 1 or (groups > 1 and batch_groups > 1):
        text = "groups and batch_groups must be positive and one of them 1, received"
        fail(ValueRangeError, op, f"{text} {groups} and {batch_groups}")
    if w.shape[1] * groups != x.shape[1]:
        text = f"channels differ: {x} with kernel {w} in {groups} groups"
        fail(ShapeError, op, f"{text}, {x.shape[1]} ≠ {w.shape[1] * groups}")
    parts = max(groups, batch_groups)
    for name, count, by in (("output channels", w.shape[0], parts), ("batch", x.shape[0], batch_groups)):
        if isinstance(count, int) and count % by:
            fail(ShapeError, op, f"{name} {count} is not divisible by {by}: {x} with kernel {w}")
    batch = quotient(op, x.shape[0], batch_groups)
    return TensorType(x.dtype, (batch, w.shape[0], *_output_spatial(x, w, params)))


def _output_spatial(x: TensorType, w: TensorType, params: dict[str, Any]) -> tuple[Any, ...]:
    result = []
    for axis in range(x.rank - 2):
        n, k = x.shape[axis + 2], w.shape[axis + 2]
        spread = (n - 1) * params["input_dilation"][axis] + 1 if n != 0 else 0
        padded = spread + params["low"][axis] + params["high"][axis]
        span = (k - 1) * params["dilation"][axis] + 1 if k != 0 else 0
        room = padded - span
        if known_negative(room) and not (padded == 0 and room == -1):
            text = f"kernel {w} (spanning {span}) does not fit into the padded input ({padded}) of {x}"
            fail(ShapeError, "convolution", f"{text} in spatial dimension {axis}")
        result.append(quotient("convolution", room, params["stride"][axis]) + 1)
    return tuple(result)


def _dilated_and_padded(x: Any, low: Any, high: Any, input_dilation: Any) -> Any:
    """x with zeros between and around its elements; negative padding crops."""
    spans = [(n - 1) * d + 1 if n else 0 for n, d in zip(x.shape[2:], input_dilation, strict=True)]
    total = [max(a, 0) + n + max(b, 0) for a, n, b in zip(low, spans, high, strict=True)]
    wide = np.zeros((*x.shape[:2], *total), x.dtype)
    places = [
        slice(max(a, 0), max(a, 0) + n, d)
        for a, n, d in zip(low, spans, input_dilation, strict=True)
    ]
    wide[(slice(None), slice(None), *places)] = x
    kept = [
        slice(max(-a, 0), n - max(-b, 0)) for a, n, b in zip(low, total, high, strict=True)
    ]
    return wide[(slice(None), slice(None), *kept)]


def _convolution(x: Any, w: Any, **params: Any) -> Any:
    groups, batch_groups = params["groups"], params["batch_groups"]
    kind = accumulator_of(x)
    wide = _dilated_and_padded(
        x.astype(kind), params["low"], params["high"], params["input_dilation"]
    )
    kernel = w.astype(kind)
    xs = np.split(wide, batch_groups, 0) if batch_groups > 1 else np.split(wide, groups, 1)
    ws = np.split(kernel, max(groups, batch_groups), 0)
    parts = [
        _correlate(a, b, params["stride"], params["dilation"]) for a, b in zip(xs, ws, strict=True)
    ]
    return narrowed(np.concatenate(parts, 1), x.dtype)


def accumulator_of(x: Any) -> Any:
    """The numpy dtype in which the reference sums products of x."""
    return widened(np.zeros((), x.dtype)).dtype


def _correlate(x: Any, w: Any, stride: Any, dilation: Any) -> Any:
    """Cross-correlation of x[N,C,*S] with w[O,C,*K], window by window."""
    spatial = x.ndim - 2
    spans = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilation, strict=True)]
    if any(n < span for n, span in zip(x.shape[2:], spans, strict=True)):
        counts = [(n - s) // t + 1 for n, s, t in zip(x.shape[2:], spans, stride, strict=True)]
        return np.zeros((x.shape[0], w.shape[0], *counts), x.dtype)
    seen = x
    if spatial:
        seen = np.lib.stride_tricks.sliding_window_view(x, spans, tuple(range(2, x.ndim)))
    steps = [slice(None, None, step) for step in stride]
    inside = [slice(None, None, step) for step in dilation]
    seen = seen[(slice(None), slice(None), *steps, *inside)]  # (N, C, *O, *K)
    summed = tuple(range(2 + spatial, 2 + 2 * spatial))
    found = np.tensordot(seen, w, ((1, *summed), (1, *range(2, w.ndim))))  # (N, *O, O)
    return np.moveaxis(found, -1, 1)


def _op(name: str, rule: Any, reference: Any, params: tuple[str, ...]) -> Op:
    return Op(
        name=name,
        family="contract",
        doc=name,
        type_rule=rule,
        reference=reference,
        derivative=_LATER,
        batching=_LATER,
        lowering=absent("the kernel generator knows it by name"),
        stablehlo=_LATER,
        samples=list,
        bad_samples=list,
        params=params,
    )


OPS: tuple[Op, ...] = (
    _op("contract", _contract_type, _contract, ("batch", "axes")),
    _op(
        "convolution",
        _convolution_type,
        _convolution,
        ("stride", "low", "high", "dilation", "input_dilation", "groups", "batch_groups"),
    ),
)

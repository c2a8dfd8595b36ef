"""Movement: operations that only rearrange, repeat or embed elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import Shape, format_shape, size
from elinvar.core.types import TensorType
from elinvar.ops.record import Op, absent
from elinvar.ops.rules import (
    check_axes,
    check_axis,
    check_dims,
    check_ints,
    known_negative,
    need_equal_dtypes,
    quotient,
    replaced,
)

_LATER = absent("follows")


def _reshape_type(x: TensorType, *, shape: Shape) -> TensorType:
    check_dims("reshape", "shape", shape)
    if x.size != size(shape):
        text = f"sizes differ: {x} to {format_shape(shape)}, {x.size} ≠ {size(shape)}"
        fail(ShapeError, "reshape", text)
    return x.with_shape(shape)


def _permute_type(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    check_axes("permute", x, axes, in_order=False)
    if len(axes) != x.rank:
        fail(ShapeError, "permute", f"axes {axes} must name each dimension of {x} once")
    return x.with_shape(tuple(x.shape[axis] for axis in axes))


def _broadcast_type(x: TensorType, *, shape: Shape) -> TensorType:
    check_dims("broadcast", "shape", shape)
    extra = len(shape) - x.rank
    if extra < 0:
        fail(ShapeError, "broadcast", f"{x} has more dimensions than {format_shape(shape)}")
    for old, new in zip(x.shape, shape[extra:], strict=True):
        if old != 1 and old != new:
            text = f"{x} does not broadcast to {format_shape(shape)}: {old} ≠ {new}"
            fail(ShapeError, "broadcast", text)
    return x.with_shape(shape)


def _slice_type(x: TensorType, *, start: Any, size: Any, step: Any) -> TensorType:
    for name, values in (("start", start), ("size", size), ("step", step)):
        check_ints("slice", name, values, x.rank, 1 if name == "step" and False else None)
    check_dims("slice", "size", size)
    for axis, (first, count, stride) in enumerate(zip(start, size, step, strict=True)):
        if stride == 0:
            fail(ValueRangeError, "slice", f"step must not be 0, received {step}")
        if count == 0:
            continue
        last = first + (count - 1) * stride
        for end in (first, last):
            if known_negative(end) or known_negative(x.shape[axis] - 1 - end):
                text = f"axis {axis} of {x} is read at {end}: start {first}, size {count}, step {stride}"
                fail(ShapeError, "slice", text)
    return x.with_shape(size)


def _slice(x: Any, *, start: Any, size: Any, step: Any) -> Any:
    index = [
        first + stride * np.arange(count)
        for first, count, stride in zip(start, size, step, strict=True)
    ]
    return x[np.ix_(*index)] if index else x


def _pad_type(x: TensorType, value: TensorType, *, low: Any, high: Any, interior: Any) -> TensorType:
    need_equal_dtypes("pad", x, value)
    if value.rank:
        fail(ShapeError, "pad", f"the padding value must have no dimensions, received {value}")
    for name, values in (("low", low), ("high", high), ("interior", interior)):
        check_ints("pad", name, values, x.rank, 0)
    dims = [
        (n + (n - 1) * inside if n != 0 else 0) + before + after
        for n, before, after, inside in zip(x.shape, low, high, interior, strict=True)
    ]
    return x.with_shape(tuple(dims))


def _pad(x: Any, value: Any, *, low: Any, high: Any, interior: Any) -> Any:
    spans = [max(0, (n - 1) * (k + 1) + 1) for n, k in zip(x.shape, interior, strict=True)]
    total = [a + n + b for a, n, b in zip(low, spans, high, strict=True)]
    result = np.full(total, value, x.dtype)
    result[
        tuple(slice(a, a + n, k + 1) for a, n, k in zip(low, spans, interior, strict=True))
    ] = x
    return result


def _concatenate_type(*xs: TensorType, axis: int) -> TensorType:
    if not xs:
        fail(ShapeError, "concatenate", "expected at least one operand")
    check_axis("concatenate", xs[0], axis)
    need_equal_dtypes("concatenate", *xs)
    for x in xs[1:]:
        if x.rank != xs[0].rank or replaced(x.shape, axis) != replaced(xs[0].shape, axis):
            fail(ShapeError, "concatenate", f"shapes differ beside axis {axis}: {xs[0]} and {x}")
    total = xs[0].shape[axis]
    for x in xs[1:]:
        total = total + x.shape[axis]
    return xs[0].with_shape(replaced(xs[0].shape, axis, total))


def _flip_type(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    check_axes("flip", x, axes)
    return x


def _window_counts(op: str, shape: Shape, axes: Any, sizes: Any, strides: Any, dilations: Any) -> Shape:
    """The shape in which each windowed axis is replaced by its number of windows."""
    result = list(shape)
    for axis, n, stride, dilation in zip(axes, sizes, strides, dilations, strict=True):
        room = shape[axis] - dilation * (n - 1) - 1
        if known_negative(room) and not (shape[axis] == 0 and room == -1):
            text = f"a window of {n} with dilation {dilation} does not fit into axis {axis} of"
            fail(ShapeError, op, f"{text} {format_shape(shape)}")
        result[axis] = quotient(op, room, stride) + 1
    return tuple(result)


def _check_windows(op: str, x: TensorType, axes: Any, sizes: Any, strides: Any, dilations: Any) -> None:
    check_axes(op, x, axes)
    for name, values in (("sizes", sizes), ("strides", strides), ("dilations", dilations)):
        check_ints(op, name, values, len(axes), 1)


def _windows_type(x: TensorType, *, axes: Any, sizes: Any, strides: Any, dilations: Any) -> TensorType:
    _check_windows("windows", x, axes, sizes, strides, dilations)
    return x.with_shape(sizes + _window_counts("windows", x.shape, axes, sizes, strides, dilations))


def _window_slices(shape: Any, axes: Any, sizes: Any, strides: Any, dilations: Any) -> Any:
    """(window index, slices of x that hold this element of every window), row-major."""
    counts = _window_counts("windows", shape, axes, sizes, strides, dilations)
    for window in np.ndindex(*sizes):
        index = [slice(None)] * len(shape)
        for axis, k, stride, dilation in zip(axes, window, strides, dilations, strict=True):
            first = k * dilation
            index[axis] = slice(first, first + (counts[axis] - 1) * stride + 1, stride)
            if counts[axis] == 0:
                index[axis] = slice(0, 0)
        yield window, tuple(index)


def _windows(x: Any, *, axes: Any, sizes: Any, strides: Any, dilations: Any) -> Any:
    counts = _window_counts("windows", x.shape, axes, sizes, strides, dilations)
    result = np.empty(sizes + counts, x.dtype)
    for window, index in _window_slices(x.shape, axes, sizes, strides, dilations):
        result[window] = x[index]
    return result


def _fold_type(
    y: TensorType, *, shape: Shape, axes: Any, sizes: Any, strides: Any, dilations: Any
) -> TensorType:
    check_dims("fold", "shape", shape)
    x = y.with_shape(shape)
    _check_windows("fold", x, axes, sizes, strides, dilations)
    expected = sizes + _window_counts("fold", shape, axes, sizes, strides, dilations)
    if y.shape != expected:
        text = f"windows of {format_shape(shape)} have the shape {format_shape(expected)}"
        fail(ShapeError, "fold", f"{text}, received {y}")
    return x


def _fold(y: Any, *, shape: Any, axes: Any, sizes: Any, strides: Any, dilations: Any) -> Any:
    result = np.zeros(shape, np.float32 if y.dtype == np.float16 else y.dtype)
    for window, index in _window_slices(shape, axes, sizes, strides, dilations):
        result[index] += y[window]
    return result.astype(y.dtype)


def _op(name: str, rule: Any, reference: Any, params: tuple[str, ...]) -> Op:
    return Op(
        name=name,
        family="movement",
        doc=name,
        type_rule=rule,
        reference=reference,
        derivative=_LATER,
        batching=_LATER,
        lowering=_LATER,
        stablehlo=_LATER,
        samples=list,
        bad_samples=list,
        params=params,
    )


OPS: tuple[Op, ...] = (
    _op("reshape", _reshape_type, lambda x, *, shape: np.reshape(x, shape), ("shape",)),
    _op("permute", _permute_type, lambda x, *, axes: np.transpose(x, axes), ("axes",)),
    _op(
        "broadcast", _broadcast_type,
        lambda x, *, shape: np.array(np.broadcast_to(x, shape)), ("shape",),
    ),
    _op("slice", _slice_type, _slice, ("start", "size", "step")),
    _op("pad", _pad_type, _pad, ("low", "high", "interior")),
    _op(
        "concatenate", _concatenate_type,
        lambda *xs, axis: np.concatenate(xs, axis), ("axis",),
    ),
    _op("flip", _flip_type, lambda x, *, axes: np.flip(x, axes), ("axes",)),
    _op("windows", _windows_type, _windows, ("axes", "sizes", "strides", "dilations")),
    _op("fold", _fold_type, _fold, ("shape", "axes", "sizes", "strides", "dilations")),
)  # fmt: skip

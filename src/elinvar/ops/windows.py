"""Windows and fold: overlapping pieces of an array and their sum, each other's adjoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from elinvar.core.dtypes import accumulator
from elinvar.core.errors import ShapeError, fail
from elinvar.core.shapes import Shape, format_shape
from elinvar.core.types import TensorType
from elinvar.ops.indexing import Read
from elinvar.ops.record import Decompose, Op, Sample, absent
from elinvar.ops.rules import (
    check_axes,
    check_dims,
    check_ints,
    known_negative,
    moved_axis,
    narrowed,
    need_numeric,
    next_axes,
    replaced,
    reshaped,
    whole_steps,
    widened,
)
from elinvar.ops.sampling import bad, brain_floats, floats, integers

Ints = tuple[int, ...]


def window_counts(
    op: str, shape: Shape, axes: Ints, sizes: Ints, strides: Ints, dilations: Ints
) -> Shape:
    """The shape in which each windowed axis is replaced by its number of windows."""
    result = list(shape)
    for axis, n, stride, dilation in zip(axes, sizes, strides, dilations, strict=True):
        room = shape[axis] - dilation * (n - 1) - 1
        if known_negative(room) and not (shape[axis] == 0 and n == 1):
            text = f"a window of {n} with dilation {dilation} does not fit into axis {axis} of"
            fail(ShapeError, op, f"{text} {format_shape(shape)}")
        result[axis] = whole_steps(op, room, stride) + 1
    return tuple(result)


def _check(op: str, x: TensorType, axes: Any, sizes: Any, strides: Any, dilations: Any) -> None:
    check_axes(op, x, axes)
    for name, values in (("sizes", sizes), ("strides", strides), ("dilations", dilations)):
        check_ints(op, name, values, len(axes), 1)


def _places(
    shape: Any, axes: Ints, sizes: Ints, strides: Ints, dilations: Ints
) -> Iterator[tuple[Ints, tuple[slice, ...]]]:
    """(window index, slices of x with this element of every window), in row-major order."""
    counts = window_counts("windows", shape, axes, sizes, strides, dilations)
    for window in np.ndindex(*sizes):
        index = [slice(None)] * len(shape)
        for axis, k, stride, dilation in zip(axes, window, strides, dilations, strict=True):
            first = k * dilation
            last = first + (counts[axis] - 1) * stride
            index[axis] = slice(first, last + 1, stride) if counts[axis] else slice(0, 0)
        yield window, tuple(index)


# ---- windows ------------------------------------------------------------------------------------


def _windows_type(
    x: TensorType, *, axes: Ints, sizes: Ints, strides: Ints, dilations: Ints
) -> TensorType:
    _check("windows", x, axes, sizes, strides, dilations)
    return x.with_shape(sizes + window_counts("windows", x.shape, axes, sizes, strides, dilations))


def _windows(x: Any, *, axes: Ints, sizes: Ints, strides: Ints, dilations: Ints) -> Any:
    counts: Any = window_counts("windows", x.shape, axes, sizes, strides, dilations)
    result = np.empty(sizes + counts, x.dtype)
    for window, index in _places(x.shape, axes, sizes, strides, dilations):
        result[window] = x[index]
    return result


def _windows_derivative(f: Any, operands: Any, results: Any, cotangents: Any, **params: Any) -> Any:
    return (f.fold(cotangents[0], shape=tuple(operands[0].shape), **params),)


def _windows_map(
    ix: Any, index: Any, types: Any, *, axes: Ints, sizes: Ints, strides: Ints, dilations: Ints
) -> list[Read]:
    found = list(index[len(sizes) :])
    for position, axis in enumerate(axes):
        found[axis] = found[axis] * strides[position] + index[position] * dilations[position]
    return [Read(0, tuple(found))]


def _windows_batching(f: Any, size: Any, operands: Any, mapped: Any, **params: Any) -> Any:
    wide = params | {"axes": next_axes(params["axes"])}
    return moved_axis(f, f.windows(operands[0], **wide), len(params["axes"]), 0)


def _windows_decomposition(
    f: Any, x: Any, *, axes: Ints, sizes: Ints, strides: Ints, dilations: Ints
) -> Any:
    """Axis by axis, the last one first: one strided slice for each element of the window."""
    counts = window_counts("windows", x.shape, axes, sizes, strides, dilations)
    for done, position in enumerate(reversed(range(len(axes)))):
        axis = axes[position] + done
        rank = len(x.shape)
        shape = replaced(tuple(x.shape), axis, counts[axes[position]])
        step = replaced((1,) * rank, axis, strides[position])
        pieces = []
        for k in range(sizes[position]):
            start = replaced((0,) * rank, axis, k * dilations[position])
            piece = f.slice(x, start=start, size=shape, step=step)
            pieces.append(f.reshape(piece, shape=(1, *shape)))
        x = f.concatenate(*pieces, axis=0)
    return x


def _rows() -> list[tuple[Any, ...]]:
    """(shape, axes, sizes, strides, dilations)"""
    return [
        ((6,), (0,), (3,), (1,), (1,)), ((6,), (0,), (2,), (2,), (1,)),
        ((7,), (0,), (3,), (2,), (1,)), ((7,), (0,), (2,), (3,), (3,)),
        ((2, 5, 4), (1, 2), (2, 3), (2, 1), (1, 1)), ((2, 5, 4), (1, 2), (2, 2), (1, 2), (3, 1)),
        ((4, 3, 2), (0, 2), (3, 1), (1, 1), (1, 1)), ((5, 2), (0,), (5,), (1,), (1,)),
        ((3, 2), (), (), (), ()), ((0, 4), (1,), (2,), (1,), (1,)), ((8,), (0,), (2,), (5,), (1,)),
        ((1, 4), (0, 1), (1, 2), (1, 2), (1, 1)), ((0,), (0,), (1,), (1,), (1,)),
    ]  # fmt: skip


def _named(axes: Ints, sizes: Ints, strides: Ints, dilations: Ints) -> dict[str, Any]:
    return {"axes": axes, "sizes": sizes, "strides": strides, "dilations": dilations}


WINDOWS = Op(
    name="windows",
    family="movement",
    doc="""All windows of x along some axes: y[k…, i…] = x[i·stride + k·dilation].

    Args:
        axes: the axes along which windows move, increasing.
        sizes: the elements of a window along each of them.
        strides: the distance from one window to the next.
        dilations: the distance between neighbours within a window.

    Shape:
        `sizes`, then x with each of the axes replaced by its number of windows,
        (n - dilation·(size - 1) - 1) // stride + 1.

    Raises:
        ShapeError: a window does not fit.

    Example:
        >>> windows(array([1, 2, 3, 4]), axes=(0,), sizes=(2,), strides=(1,), dilations=(2,))
        array([[1, 2],
               [3, 4]])
    """,
    type_rule=_windows_type,
    reference=_windows,
    derivative=_windows_derivative,
    batching=_windows_batching,
    lowering=_windows_map,
    stablehlo=Decompose(_windows_decomposition),
    samples=lambda: [
        *(Sample((floats(*row[0]),), _named(*row[1:])) for row in _rows()),
        Sample((integers(5),), _named((0,), (2,), (1,), (2,)), differentiable=False),
        Sample((brain_floats(5),), _named((0,), (2,), (2,), (2,)), False, bfloat16=True),
    ],
    bad_samples=lambda: [
        bad(
            "f32[2,4]", "[windows] a window of 3 with dilation 2 does not fit into axis 1 of [2,4]",
            **_named((1,), (3,), (1,), (2,)),
        ),
        bad("f32[4]", "strides must be at least 1", **_named((0,), (2,), (0,), (1,))),
        bad("f32[4]", "sizes must have 1 entries", **_named((0,), (2, 2), (1,), (1,))),
        bad("f32[4]", "axis 1 is out of range for f32[4]", **_named((1,), (2,), (1,), (1,))),
        bad("f32[T]", "T-2 is not known to be divisible by 2", **_named((0,), (2,), (2,), (1,))),
    ],
    params=("axes", "sizes", "strides", "dilations"),
)  # fmt: skip


# ---- fold ---------------------------------------------------------------------------------------


def _fold_type(
    y: TensorType, *, shape: Shape, axes: Ints, sizes: Ints, strides: Ints, dilations: Ints
) -> TensorType:
    check_dims("fold", "shape", shape)
    need_numeric("fold", y)
    x = y.with_shape(shape)
    _check("fold", x, axes, sizes, strides, dilations)
    expected = sizes + window_counts("fold", shape, axes, sizes, strides, dilations)
    if y.shape != expected:
        text = f"windows of {format_shape(shape)} have the shape {format_shape(expected)}"
        fail(ShapeError, "fold", f"{text}, received {y}")
    return x


def _fold(y: Any, *, shape: Any, axes: Ints, sizes: Ints, strides: Ints, dilations: Ints) -> Any:
    values = widened(y)
    result = np.zeros(shape, values.dtype)
    for window, index in _places(shape, axes, sizes, strides, dilations):
        result[index] += values[window]
    return narrowed(result, y.dtype)


def _fold_derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, *, shape: Any, **params: Any
) -> Any:
    return (f.windows(cotangents[0], **params),)


def _fold_batching(
    f: Any, size: Any, operands: Any, mapped: Any, *, shape: Any, **params: Any
) -> Any:
    y = moved_axis(f, operands[0], 0, len(params["axes"]))
    return f.fold(y, shape=(size, *shape), **(params | {"axes": next_axes(params["axes"])}))


def _fold_decomposition(
    f: Any, y: Any, *, shape: Any, axes: Ints, sizes: Ints, strides: Ints, dilations: Ints
) -> Any:
    """Axis by axis: the sum of the window's elements, each embedded between zeros."""
    wide = accumulator(y.dtype)
    x = f.cast(y, dtype=wide) if wide is not y.dtype else y
    zero = f.scalar(0, wide)
    for position in range(len(axes)):
        axis = axes[position] + len(axes) - 1 - position
        none = (0,) * (len(x.shape) - 1)
        total = None
        for k in range(sizes[position]):
            start, size = (k, *none), (1, *x.shape[1:])
            piece = f.slice(x, start=start, size=size, step=(1,) * len(start))
            piece = reshaped(f, piece, tuple(x.shape[1:]))
            low = k * dilations[position]
            count = piece.shape[axis]
            span = (count - 1) * strides[position] + 1 if count else 0
            piece = f.pad(
                piece, zero, low=replaced(none, axis, low),
                high=replaced(none, axis, shape[axes[position]] - low - span),
                interior=replaced(none, axis, strides[position] - 1),
            )  # fmt: skip
            total = piece if total is None else f.add(total, piece)
        x = total
    return f.cast(x, dtype=y.dtype) if wide is not y.dtype else x


def _fold_samples() -> list[Sample]:
    found = []
    for shape, axes, sizes, strides, dilations in _rows():
        named = _named(axes, sizes, strides, dilations)
        y = sizes + window_counts("fold", shape, **named)
        found.append(Sample((floats(*y),), {"shape": shape, **named}))
    named = {"shape": (5,), **_named((0,), (3,), (1,), (1,))}
    return [
        *found,
        Sample((integers(3, 3),), named, differentiable=False),
        Sample((floats(3, 3, dtype=np.float16),), named, differentiable=False),
        Sample((brain_floats(3, 3),), named, differentiable=False, bfloat16=True),
    ]


FOLD = Op(
    name="fold",
    family="movement",
    doc="""The sum of overlapping windows, the adjoint of `windows`.

    Each element of the result is the sum of the windows' elements that `windows` would have read
    from its place, in row-major order of the index within the window.

    Args:
        shape: the shape of the result.
        axes, sizes, strides, dilations: as in `windows`.

    Shape:
        `shape`; y has the shape that `windows` gives for it.

    Example:
        >>> fold(array([[1, 2], [3, 4]]), shape=(3,), axes=(0,), sizes=(2,), strides=(1,),
        ...      dilations=(1,))
        array([1, 5, 4])
    """,
    type_rule=_fold_type,
    reference=_fold,
    derivative=_fold_derivative,
    batching=_fold_batching,
    lowering=absent("the kernel generator knows it by name"),
    stablehlo=Decompose(_fold_decomposition),
    samples=_fold_samples,
    bad_samples=lambda: [
        bad(
            "f32[2,4]", "[fold] windows of [4] have the shape [2,3], received f32[2,4]",
            shape=(4,), **_named((0,), (2,), (1,), (1,)),
        ),
        bad(
            "f32[5,1]", "a window of 5 with dilation 1 does not fit into axis 0 of [4]",
            shape=(4,), **_named((0,), (5,), (1,), (1,)),
        ),
    ],
    params=("shape", "axes", "sizes", "strides", "dilations"),
)  # fmt: skip


OPS: tuple[Op, ...] = (WINDOWS, FOLD)

"""Arguments of Fourier transforms: axes, lengths, norms; and the complex transform of any axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from elinvar.core.dtypes import complex_of, default_float
from elinvar.core.errors import AxisError, DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import DimLike, normalize_axis
from elinvar.tensor.convert import cast, constant, floating
from elinvar.tensor.dispatch import F
from elinvar.tensor.manipulation import sliced

NORMS = ("backward", "ortho", "forward")


def complex_of_any(op: str, x: Any) -> Any:
    x = floating(op, x)
    return x if x.dtype.kind == "c" else cast(x, complex_of(x.dtype))


def real_of_any(op: str, x: Any) -> Any:
    x = floating(op, x)
    if x.dtype.kind == "c":
        text = f"expected real numbers, received {x._type}"
        fail(DTypeError, op, text, "take `fft` or `ifft` of complex numbers")
    return x if x.dtype.bits > 16 else cast(x, default_float)


def axis_of(op: str, x: Any, axis: Any) -> int:
    if isinstance(axis, bool) or not hasattr(axis, "__index__"):
        fail(AxisError, op, f"axis must be an int, received {axis!r}")
    return normalize_axis(op, axis.__index__(), x.ndim)


def length_of(op: str, n: Any) -> int:
    if isinstance(n, bool) or not hasattr(n, "__index__") or n.__index__() < 1:
        fail(ShapeError, op, f"expected a length of at least 1, received {n!r}")
    found: int = n.__index__()
    return found


def axes_of(op: str, x: Any, s: Any, axes: Any) -> tuple[tuple[int, ...], tuple[int | None, ...]]:
    """The axes, and the lengths that are asked for along them."""
    if axes is None:
        count = x.ndim if s is None else len(s)
        if count > x.ndim:
            fail(ShapeError, op, f"{count} lengths for the {x.ndim} axes of {x._type}")
        axes = range(x.ndim - count, x.ndim)
    found = tuple(axis_of(op, x, axis) for axis in axes)
    if len(set(found)) != len(found):
        fail(AxisError, op, f"an axis is named twice in {tuple(axes)}")
    if not found:
        fail(AxisError, op, f"expected an axis at least, received none of {x._type}")
    if s is None:
        return found, (None,) * len(found)
    if len(s) != len(found):
        fail(ShapeError, op, f"{len(s)} lengths for {len(found)} axes: {tuple(s)}, {found}")
    return found, tuple(None if n == -1 else length_of(op, n) for n in s)


def scale_of(op: str, norm: Any, length: int, inverse: bool) -> float:
    """What the sums are multiplied by."""
    if norm not in NORMS:
        text = f'norm must be "backward", "ortho" or "forward", received {norm!r}'
        fail(ValueRangeError, op, text)
    if norm == "ortho":
        return 1.0 / math.sqrt(length)
    return 1.0 / length if (norm == "backward") is inverse else 1.0


def resized(x: Any, axis: int, n: DimLike | None) -> Any:
    """x cut, or padded with zeros, to n elements along an axis; x itself if n is None."""
    size = x.shape[axis]
    if n is None or size == n:
        return x
    if isinstance(size, int) and isinstance(n, int) and size > n:
        return sliced(x, axis, 0, n)
    none = (0,) * x.ndim
    high = tuple(n - size if k == axis else 0 for k in range(x.ndim))
    zero = constant("fft", 0, x.dtype)
    return F.pad(x, zero, low=none, high=high, interior=none)


def size_of_axis(op: str, x: Any, axis: int) -> int:
    """The size of an axis that is transformed."""
    size = x.shape[axis]
    if not isinstance(size, int):
        text = f"the length of a transform must be a number, received {size} of {x._type}"
        fail(ShapeError, op, text, "leave only the other axes open, or give `n`")
    if size < 1:
        fail(ShapeError, op, f"axis {axis} of {x._type} has nothing to transform")
    return size


def count_of_reals(op: str, n: Any, x: Any, axis: int) -> int:
    """How many real numbers half a spectrum stands for."""
    if n is not None:
        return length_of(op, n)
    size = 2 * (size_of_axis(op, x, axis) - 1)
    if size < 1:
        text = f"one number of {x._type} along axis {axis} stands for one real number, or for two"
        fail(ShapeError, op, text, "say how many by `n`")
    return size


def transformed(
    op: str, x: Any, axes: Sequence[int], s: Sequence[int | None], norm: Any, inverse: bool
) -> Any:
    """A complex transform along some axes, last axis first; the scale goes with the last one."""
    for axis, n in zip(axes, s, strict=True):
        x = resized(x, axis, n)
    total = math.prod(size_of_axis(op, x, axis) for axis in axes)
    scale = scale_of(op, norm, total, inverse)
    for place, axis in enumerate(reversed(axes)):
        own = scale if place == len(axes) - 1 else 1.0
        x = F.fft(x, axis=axis, inverse=inverse, scale=own)
    return x

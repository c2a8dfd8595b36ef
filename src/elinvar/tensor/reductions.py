"""Reductions and cumulative functions of the Array API standard.

`axis` is None (all axes), an int or a tuple; `keepdims` keeps reduced axes with size 1. Sums and
products of bool and small integers are int64 (uint64 for unsigned ones); 16-bit floats accumulate
in float32 and round once; means of integers are float32.
"""

from __future__ import annotations

import math
from typing import Any

from elinvar.core.dtypes import DType, accumulator, as_dtype, int64, uint64
from elinvar.core.dtypes import bool_ as bool_dtype
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import Shape, normalize_axes, normalize_axis
from elinvar.tensor import elementwise as ew
from elinvar.tensor.autocasting import low_dtype
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import (
    cast,
    count_of,
    expand,
    floating,
    tensor_of,
)
from elinvar.tensor.dispatch import F, apart

Axis = int | tuple[int, ...] | None


def kept_shape(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """The shape in which reduced axes stay with size 1."""
    return tuple(1 if axis in axes else dim for axis, dim in enumerate(shape))


def keep(x: Any, shape: Shape, axes: tuple[int, ...], keepdims: bool = True) -> Any:
    """Put reduced axes back with size 1, if `keepdims`. `shape` is that before the reduction."""
    return F.reshape(x, shape=kept_shape(shape, axes)) if keepdims and axes else x


def spread(x: Any, shape: Shape, axes: tuple[int, ...]) -> Any:
    """Broadcast a reduced value back to the shape before the reduction."""
    return expand(keep(x, shape, axes), shape)


def _sum_dtype(dtype: DType) -> DType:
    if dtype.kind == "u":
        return uint64
    return int64 if dtype.kind in "bi" else dtype


def _accumulate(op: str, primitive: Any, x: Any, axis: Axis, dtype: Any, keepdims: bool) -> Any:
    x = tensor_of(op, x)
    axes = normalize_axes(op, axis, x.ndim)
    if low_dtype() is not None and x.dtype.is_floating:
        x = cast(x, accumulator(x.dtype))
    result = _sum_dtype(x.dtype) if dtype is None else as_dtype(dtype)
    x = cast(x, result)
    if not axes:
        return ew.positive(x)
    wide = accumulator(result)
    if wide is not result:
        return keep(_wide_reduce(x, op=op, axes=axes), x.shape, axes, keepdims)
    return keep(primitive(x, axes=axes), x.shape, axes, keepdims)


@composite
def _wide_reduce(x: Any, *, op: str, axes: tuple[int, ...]) -> Any:
    total = getattr(F, op)(cast(x, accumulator(x.dtype)), axes=axes)
    return cast(total, x.dtype)


def sum(x: Any, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum of elements along axes.

    Args:
        x: a tensor.
        axis: the axes to reduce; None means all.
        dtype: the dtype of the result; by default integers give int64 (unsigned: uint64).
        keepdims: keep reduced axes with size 1.

    Example:
        >>> import elinvar as el
        >>> el.sum(el.asarray([[1, 2], [3, 4]]), axis=0).tolist()
        [4, 6]
    """
    return _accumulate("sum", F.sum, x, axis, dtype, keepdims)


def prod(x: Any, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product of elements along axes. Arguments as for `sum`.

    Example:
        >>> import elinvar as el
        >>> el.prod(el.asarray([2, 3, 4])).item()
        24
    """
    return _accumulate("prod", F.prod, x, axis, dtype, keepdims)


def _extreme(op: str, primitive: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    x = tensor_of(op, x)
    axes = normalize_axes(op, axis, x.ndim)
    if not axes:
        return ew.positive(x)
    for item in axes:
        if x.shape[item] == 0:
            fail(ShapeError, op, f"axis {item} of {x._type} is empty and has no {op}")
    if x.dtype.kind == "b":
        found = (F.any if op == "max" else F.all)(x, axes=axes)
    else:
        found = primitive(x, axes=axes)
    return keep(found, x.shape, axes, keepdims)


def max(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The greatest element along axes; NaN if one is NaN.

    Raises:
        ShapeError: a reduced axis is empty.

    Example:
        >>> import elinvar as el
        >>> el.max(el.asarray([[1, 5], [3, 4]]), axis=1).tolist()
        [5, 4]
    """
    return _extreme("max", F.max, x, axis, keepdims)


def min(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The least element along axes; NaN if one is NaN.

    Raises:
        ShapeError: a reduced axis is empty.

    Example:
        >>> import elinvar as el
        >>> el.min(el.asarray([[1, 5], [3, 4]]), axis=1).tolist()
        [1, 3]
    """
    return _extreme("min", F.min, x, axis, keepdims)


def _truth(op: str, primitive: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    x = cast(tensor_of(op, x), bool_dtype)
    axes = normalize_axes(op, axis, x.ndim)
    return keep(primitive(x, axes=axes), x.shape, axes, keepdims) if axes else apart(x, x)


def any(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """True where at least one element along axes is True (or not zero).

    Example:
        >>> import elinvar as el
        >>> el.any(el.asarray([[True, False], [False, False]]), axis=1).tolist()
        [True, False]
    """
    return _truth("any", F.any, x, axis, keepdims)


def all(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """True where every element along axes is True (or not zero).

    Example:
        >>> import elinvar as el
        >>> el.all(el.asarray([[True, False], [True, True]]), axis=1).tolist()
        [False, True]
    """
    return _truth("all", F.all, x, axis, keepdims)


def count_nonzero(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The number of elements along axes that are not zero (or not False).

    Example:
        >>> import elinvar as el
        >>> el.count_nonzero(el.asarray([0, 3, 0, 4])).item()
        2
    """
    return sum(cast(tensor_of("count_nonzero", x), bool_dtype), axis=axis, keepdims=keepdims)


def mean(x: Any, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """The arithmetic mean along axes; integers give float32. With `dtype`, x is converted first.

    Example:
        >>> import elinvar as el
        >>> el.mean(el.asarray([[1.0, 2.0], [3.0, 4.0]]), axis=1).tolist()
        [1.5, 3.5]
    """
    x = floating("mean", x if dtype is None else cast(tensor_of("mean", x), as_dtype(dtype)))
    axes = normalize_axes("mean", axis, x.ndim)
    return keep(_mean(x, axes=axes), x.shape, axes, keepdims)


@composite
def _mean(x: Any, *, axes: tuple[int, ...]) -> Any:
    return cast(wide_mean(cast(x, accumulator(x.dtype)), axes), x.dtype)


def wide_mean(x: Any, axes: tuple[int, ...]) -> Any:
    """The mean along axes (at least one may be empty: NaN), reduced axes dropped."""
    total = F.sum(x, axes=axes) if axes else x
    count = count_of(x.shape, axes, x.dtype.part)
    return F.divide(total, expand(count, total.shape))


def moments(x: Any, axes: tuple[int, ...], correction: float = 0.0) -> tuple[Any, Any]:
    """Mean and variance along axes in the dtype of x, by the two-pass formula.

    mean = Σ x / n,  variance = Σ (x - mean)² / max(0, n - correction)
    """
    mean_ = wide_mean(x, axes)
    deviation = F.subtract(x, spread(mean_, x.shape, axes))
    squares = F.multiply(deviation, deviation)
    total = F.sum(squares, axes=axes) if axes else squares
    count = count_of(x.shape, axes, x.dtype)
    if correction:
        count = ew.maximum(ew.subtract(count, float(correction)), 0.0)
    return mean_, F.divide(total, expand(count, total.shape))


@composite
def _var(x: Any, *, axes: tuple[int, ...], correction: float) -> Any:
    return cast(moments(cast(x, accumulator(x.dtype)), axes, correction)[1], x.dtype)


@composite
def _std(x: Any, *, axes: tuple[int, ...], correction: float) -> Any:
    variance = moments(cast(x, accumulator(x.dtype)), axes, correction)[1]
    # no gradient, rather than 0 · ∞, where all elements are equal
    is_zero = F.equal(variance, F.zeros_like(variance))
    root = F.sqrt(F.where(is_zero, F.stop_gradient(variance), variance))
    return cast(F.where(is_zero, F.zeros_like(root), root), x.dtype)


def var(x: Any, /, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The variance along axes: Σ (x - mean)² / (n - correction).

    Args:
        correction: 0 for the variance of a population, 1 for the unbiased estimate of a sample.

    Example:
        >>> import elinvar as el
        >>> el.var(el.asarray([1.0, 2.0, 3.0])).item() == el.asarray(2 / 3).item()
        True
    """
    x = floating("var", x)
    axes = normalize_axes("var", axis, x.ndim)
    return keep(_var(x, axes=axes, correction=float(correction)), x.shape, axes, keepdims)


def std(x: Any, /, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The standard deviation along axes, √var. Arguments as for `var`.

    Example:
        >>> import elinvar as el
        >>> el.std(el.asarray([1.0, 3.0, 5.0, 7.0]), correction=0).item() ** 2 > 4.99
        True
    """
    x = floating("std", x)
    axes = normalize_axes("std", axis, x.ndim)
    return keep(_std(x, axes=axes, correction=float(correction)), x.shape, axes, keepdims)


def logsumexp(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """log Σ exp(x) along axes without overflow.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.logsumexp(el.asarray([1000.0, 1000.0])).item():.3f}")
        1000.693
    """
    x = floating("logsumexp", x)
    axes = normalize_axes("logsumexp", axis, x.ndim)
    return keep(_logsumexp(x, axes=axes), x.shape, axes, keepdims) if axes else apart(x, x)


@composite
def _logsumexp(x: Any, *, axes: tuple[int, ...]) -> Any:
    return cast(wide_logsumexp(cast(x, accumulator(x.dtype)), axes), x.dtype)


def wide_logsumexp(x: Any, axes: tuple[int, ...]) -> Any:
    """log Σ exp(x) along axes, reduced axes dropped; -∞ where all are, ∞ where one is."""
    top = F.stop_gradient(F.max(x, axes=axes))
    shift = ew.where(F.isfinite(top), top, 0.0)
    powers = F.exp(F.subtract(x, spread(shift, x.shape, axes)))
    return F.add(F.log(F.sum(powers, axes=axes)), shift)


def _arg(op: str, primitive: Any, x: Any, axis: int | None, keepdims: bool) -> Any:
    x = tensor_of(op, x)
    if x.dtype.kind == "b":
        x = F.cast(x, dtype=int64)
    shape = x.shape
    if axis is None:
        axes = tuple(range(x.ndim))
        x, axis = F.reshape(x, shape=(x._type.size,)), 0
    else:
        axis = normalize_axis(op, axis, x.ndim)
        axes = (axis,)
        if not x.ndim:
            x, axes = F.reshape(x, shape=(1,)), ()
    if x.shape[axis] == 0:
        fail(ShapeError, op, f"axis {axis} of {x._type} is empty and has no {op}")
    return keep(primitive(x, axis=axis), shape, axes, keepdims)


def argmax(x: Any, /, axis: int | None = None, *, keepdims: bool = False) -> Any:
    """The index of the greatest element along an axis (of the flattened tensor if None).

    The first of equal elements counts; NaN counts as the greatest.

    Example:
        >>> import elinvar as el
        >>> el.argmax(el.asarray([[1, 5, 2], [7, 0, 7]]), axis=1).tolist()
        [1, 0]
    """
    return _arg("argmax", F.argmax, x, axis, keepdims)


def argmin(x: Any, /, axis: int | None = None, *, keepdims: bool = False) -> Any:
    """The index of the least element along an axis (of the flattened tensor if None).

    The first of equal elements counts; NaN counts as the least.

    Example:
        >>> import elinvar as el
        >>> el.argmin(el.asarray([[1, 5, 2], [7, 0, 7]]), axis=1).tolist()
        [0, 1]
    """
    return _arg("argmin", F.argmin, x, axis, keepdims)


def _cumulative(
    op: str, primitive: Any, x: Any, axis: int | None, dtype: Any, include_initial: bool, first: int
) -> Any:
    x = tensor_of(op, x)
    if axis is None:
        if x.ndim != 1:
            text = f"axis must be given for a tensor that is not 1-D, received {x._type}"
            fail(ValueRangeError, op, text)
        axis = 0
    axis = normalize_axis(op, axis, x.ndim)
    result = _sum_dtype(x.dtype) if dtype is None else as_dtype(dtype)
    wide = accumulator(result)
    found = cast(primitive(cast(x, wide), axis=axis, reverse=False), result)
    if include_initial:
        low = tuple(1 if item == axis else 0 for item in range(x.ndim))
        none = (0,) * x.ndim
        value = F.constant(value=float(first) if result.kind == "f" else first, dtype=result)
        found = F.pad(found, value, low=low, high=none, interior=none)
    return found


def cumulative_sum(
    x: Any, /, axis: int | None = None, *, dtype: Any = None, include_initial: bool = False
) -> Any:
    """Running sums along an axis.

    Args:
        axis: the axis; may be left out for 1-D tensors.
        include_initial: put a 0 in front, so that the axis grows by one.

    Example:
        >>> import elinvar as el
        >>> el.cumulative_sum(el.asarray([1, 2, 3]), include_initial=True).tolist()
        [0, 1, 3, 6]
    """
    return _cumulative("cumulative_sum", F.cumsum, x, axis, dtype, include_initial, 0)


def cumulative_prod(
    x: Any, /, axis: int | None = None, *, dtype: Any = None, include_initial: bool = False
) -> Any:
    """Running products along an axis. Arguments as for `cumulative_sum`.

    Example:
        >>> import elinvar as el
        >>> el.cumulative_prod(el.asarray([1, 2, 3])).tolist()
        [1, 2, 6]
    """
    return _cumulative("cumulative_prod", F.cumprod, x, axis, dtype, include_initial, 1)


def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    """The n-th difference of neighbours along an axis: x[i + 1] - x[i].

    Example:
        >>> import elinvar as el
        >>> el.diff(el.asarray([1, 4, 9, 16])).tolist()
        [3, 5, 7]
    """
    given = x = tensor_of("diff", x)
    axis = normalize_axis("diff", axis, x.ndim)
    if n < 0:
        fail(ValueRangeError, "diff", f"n must not be negative, received {n}")
    parts = [part for part in (prepend, x, append) if part is not None]
    if len(parts) > 1:
        x = F.concatenate(*(cast(tensor_of("diff", part), x.dtype) for part in parts), axis=axis)
    for _ in range(n):
        count = x.shape[axis] - 1 if x.shape[axis] != 0 else 0
        size = tuple(count if item == axis else dim for item, dim in enumerate(x.shape))
        step = (1,) * x.ndim
        zero = (0,) * x.ndim
        one = tuple(int(item == axis) for item in range(x.ndim))
        later = F.slice(x, start=one if count != 0 else zero, size=size, step=step)
        earlier = F.slice(x, start=zero, size=size, step=step)
        primitive = F.not_equal if x.dtype.kind == "b" else F.subtract
        x = primitive(later, earlier)
    return apart(x, given)


def vector_norm(
    x: Any, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2
) -> Any:
    """The norm of vectors along axes: (Σ |x|^ord)^(1/ord); ∞, -∞ and 0 as in the standard.

    Example:
        >>> import elinvar as el
        >>> el.linalg.vector_norm(el.asarray([3.0, 4.0])).item()
        5.0
    """
    x = floating("vector_norm", x)
    if ord == math.inf:
        return max(F.abs(x), axis=axis, keepdims=keepdims)
    if ord == -math.inf:
        return min(F.abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        count = count_nonzero(x, axis=axis, keepdims=keepdims)
        return cast(count, x.dtype.part)
    if ord == 1:
        return sum(F.abs(x), axis=axis, keepdims=keepdims)
    axes = normalize_axes("vector_norm", axis, x.ndim)
    return keep(_power_norm(x, axes=axes, ord=float(ord)), x.shape, axes, keepdims)


@composite
def _power_norm(x: Any, *, axes: tuple[int, ...], ord: float) -> Any:
    wide = cast(x, accumulator(x.dtype))
    powers = _squares(wide) if ord == 2 else ew.pow(F.abs(wide), ord)
    total = F.sum(powers, axes=axes) if axes else powers
    root = F.sqrt(total) if ord == 2 else ew.pow(total, 1 / ord)
    return cast(root, x.dtype.part)


def _squares(x: Any) -> Any:
    """|x|² of each element."""
    if x.dtype.kind != "c":
        return F.multiply(x, x)
    return F.add(_squares(F.real(x)), _squares(F.imag(x)))

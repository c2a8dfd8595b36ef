"""Reductions that leave NaN out: NumPy's nan… family."""

from __future__ import annotations

import math
from typing import Any

from elinvar.core.dtypes import accumulator, as_dtype, int64
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import normalize_axes
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions as red
from elinvar.tensor.cell import current_trace
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, floating, tensor_of
from elinvar.tensor.dispatch import F

Axis = Any


def _filled(x: Any, value: float) -> Any:
    return ew.where(F.not_equal(x, x), value, x) if x.dtype.kind == "f" else x


def nansum(x: Any, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum of the elements that are not NaN.

    Example:
        >>> import elinvar as el
        >>> el.nansum(el.asarray([1.0, el.nan, 2.0])).item()
        3.0
    """
    return red.sum(_filled(tensor_of("nansum", x), 0.0), axis=axis, dtype=dtype, keepdims=keepdims)


def nanprod(x: Any, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product of the elements that are not NaN.

    Example:
        >>> import elinvar as el
        >>> el.nanprod(el.asarray([3.0, el.nan, 2.0])).item()
        6.0
    """
    filled = _filled(tensor_of("nanprod", x), 1.0)
    return red.prod(filled, axis=axis, dtype=dtype, keepdims=keepdims)


def _extreme(op: str, x: Any, axis: Axis, keepdims: bool, largest: bool) -> Any:
    x = tensor_of(op, x)
    function = red.max if largest else red.min
    if x.dtype.kind != "f":
        return function(x, axis=axis, keepdims=keepdims)
    axes = normalize_axes(op, axis, x.ndim)
    for item in axes:
        if x.shape[item] == 0:
            fail(ShapeError, op, f"axis {item} of {x._type} is empty and has no extreme")
    return red.keep(_nan_extreme(x, axes=axes, largest=largest), x.shape, axes, keepdims)


@composite
def _nan_extreme(x: Any, *, axes: tuple[int, ...], largest: bool) -> Any:
    missing = F.not_equal(x, x)
    filled = ew.where(missing, -math.inf if largest else math.inf, x)
    if not axes:
        return x
    found = (F.max if largest else F.min)(filled, axes=axes)
    return ew.where(F.all(missing, axes=axes), math.nan, found)


def nanmax(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The greatest of the elements that are not NaN; NaN where there is none.

    Example:
        >>> import elinvar as el
        >>> el.nanmax(el.asarray([1.0, el.nan, 2.0])).item()
        2.0
    """
    return _extreme("nanmax", x, axis, keepdims, True)


def nanmin(x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The least of the elements that are not NaN; NaN where there is none.

    Example:
        >>> import elinvar as el
        >>> el.nanmin(el.asarray([1.0, el.nan, 2.0])).item()
        1.0
    """
    return _extreme("nanmin", x, axis, keepdims, False)


def _place(op: str, x: Any, axis: int | None, keepdims: bool, largest: bool) -> Any:
    x = tensor_of(op, x)
    function = red.argmax if largest else red.argmin
    if x.dtype.kind != "f":
        return function(x, axis=axis, keepdims=keepdims)
    missing = F.not_equal(x, x)
    if current_trace() is None and bool(red.any(red.all(missing, axis=axis))):
        fail(ValueRangeError, op, f"a slice of {x._type} is all NaN")
    # a missing element must not win, not even over infinities: those come first in order
    filled = ew.where(missing, -math.inf if largest else math.inf, x)
    found = function(filled, axis=axis, keepdims=True)
    if axis is None:
        flat = F.reshape(missing, shape=(x._type.size,))
        best = F.reshape(filled, shape=(x._type.size,))
        place = _first_present(best, flat, largest=largest)
        return F.reshape(place, shape=(1,) * x.ndim if keepdims else ())
    moved = _first_along(filled, missing, axis=axis % x.ndim, largest=largest)
    return F.reshape(moved, shape=found.shape if keepdims else red.max(x, axis=axis).shape)


def _first_present(x: Any, missing: Any, *, largest: bool) -> Any:
    return _first_along(x, missing, axis=0, largest=largest)


@composite
def _first_along(x: Any, missing: Any, *, axis: int, largest: bool) -> Any:
    """The first place of the extreme among the elements that are present."""
    extreme = (F.max if largest else F.min)(x, axes=(axis,))
    wanted = F.equal(x, red.spread(extreme, x.shape, (axis,)))
    wanted = F.bitwise_and(wanted, F.bitwise_invert(missing))
    return F.argmax(cast(wanted, int64), axis=axis)


def nanargmax(x: Any, /, axis: int | None = None, *, keepdims: bool = False) -> Any:
    """The index of the greatest element that is not NaN.

    Raises:
        ValueRangeError: a slice is all NaN (in eager mode; under `jit` it gives 0).

    Example:
        >>> import elinvar as el
        >>> el.nanargmax(el.asarray([1.0, el.nan, 2.0])).item()
        2
    """
    return _place("nanargmax", x, axis, keepdims, True)


def nanargmin(x: Any, /, axis: int | None = None, *, keepdims: bool = False) -> Any:
    """The index of the least element that is not NaN. As `nanargmax`.

    Example:
        >>> import elinvar as el
        >>> el.nanargmin(el.asarray([el.nan, 1.0, 2.0])).item()
        1
    """
    return _place("nanargmin", x, axis, keepdims, False)


def nanmean(
    x: Any, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False
) -> Any:
    """The mean of the elements that are not NaN; NaN where there is none.

    `dtype`: what to convert to first.

    Example:
        >>> import elinvar as el
        >>> el.nanmean(el.asarray([1.0, el.nan, 2.0])).item()
        1.5
    """
    x = _converted("nanmean", x, dtype)
    axes = normalize_axes("nanmean", axis, x.ndim)
    return red.keep(_nanmean(x, axes=axes), x.shape, axes, keepdims)


@composite
def _nanmean(x: Any, *, axes: tuple[int, ...]) -> Any:
    return cast(_wide_mean(cast(x, accumulator(x.dtype)), axes)[0], x.dtype)


def _wide_mean(x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    missing = F.not_equal(x, x)
    present = cast(F.bitwise_invert(missing), x.dtype)
    filled = ew.where(missing, 0.0, x)
    if not axes:
        return x, present
    count = F.sum(present, axes=axes)
    return F.divide(F.sum(filled, axes=axes), count), count


def _converted(op: str, x: Any, dtype: Any) -> Any:
    x = floating(op, x)
    return x if dtype is None else floating(op, cast(x, as_dtype(dtype)))


def _spread(
    op: str, x: Any, axis: Axis, dtype: Any, correction: float, keepdims: bool, root: bool
) -> Any:
    x = _converted(op, x, dtype)
    axes = normalize_axes(op, axis, x.ndim)
    found = _nanvar(x, axes=axes, correction=float(correction), root=root)
    return red.keep(found, x.shape, axes, keepdims)


@composite
def _nanvar(x: Any, *, axes: tuple[int, ...], correction: float, root: bool) -> Any:
    wide = cast(x, accumulator(x.dtype))
    mean, count = _wide_mean(wide, axes)
    gap = F.subtract(wide, red.spread(mean, x.shape, axes) if axes else mean)
    gap = ew.where(F.not_equal(wide, wide), 0.0, gap)
    total = F.multiply(gap, gap)
    total = F.sum(total, axes=axes) if axes else total
    freedom = ew.subtract(count, correction)
    variance = ew.where(ew.greater(freedom, 0), F.divide(total, freedom), math.nan)
    return cast(F.sqrt(variance) if root else variance, x.dtype)


def nanvar(
    x: Any,
    /,
    axis: Axis = None,
    *,
    dtype: Any = None,
    correction: float = 0.0,
    keepdims: bool = False,
    ddof: float | None = None,
) -> Any:
    """The variance of the elements that are not NaN: Σ (x - mean)² / (n - correction).

    `dtype`: what to convert to first; `ddof`: NumPy's other name for `correction`.

    Example:
        >>> import elinvar as el
        >>> el.nanvar(el.asarray([1.0, el.nan, 3.0])).item()
        1.0
    """
    correction = correction if ddof is None else ddof
    return _spread("nanvar", x, axis, dtype, correction, keepdims, False)


def nanstd(
    x: Any,
    /,
    axis: Axis = None,
    *,
    dtype: Any = None,
    correction: float = 0.0,
    keepdims: bool = False,
    ddof: float | None = None,
) -> Any:
    """The standard deviation of the elements that are not NaN; arguments as of `nanvar`.

    Example:
        >>> import elinvar as el
        >>> el.nanstd(el.asarray([1.0, el.nan, 3.0])).item()
        1.0
    """
    correction = correction if ddof is None else ddof
    return _spread("nanstd", x, axis, dtype, correction, keepdims, True)


def nancumsum(x: Any, /, axis: int | None = None, *, dtype: Any = None) -> Any:
    """Running sums in which NaN counts as 0 (of the flattened tensor if the axis is None).

    Example:
        >>> import elinvar as el
        >>> el.nancumsum(el.asarray([1.0, el.nan, 2.0])).tolist()
        [1.0, 1.0, 3.0]
    """
    return _cumulative("nancumsum", x, axis, dtype, 0.0)


def nancumprod(x: Any, /, axis: int | None = None, *, dtype: Any = None) -> Any:
    """Running products in which NaN counts as 1 (of the flattened tensor if the axis is None).

    Example:
        >>> import elinvar as el
        >>> el.nancumprod(el.asarray([3.0, el.nan, 2.0])).tolist()
        [3.0, 3.0, 6.0]
    """
    return _cumulative("nancumprod", x, axis, dtype, 1.0)


def _cumulative(op: str, x: Any, axis: int | None, dtype: Any, value: float) -> Any:
    x = _filled(tensor_of(op, x), value)
    if axis is None:
        x, axis = F.reshape(x, shape=(x._type.size,)), 0
    function = red.cumulative_prod if value else red.cumulative_sum
    return function(x, axis=axis, dtype=dtype)



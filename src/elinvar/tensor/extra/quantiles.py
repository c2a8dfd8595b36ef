"""Medians, quantiles and percentiles: sorted once, then read between neighbours.

The place of quantile q among n sorted elements is h = q·(n - 1) for method "linear" (others:
Hyndman, Fan, "Sample quantiles in statistical packages", The American Statistician 50, 1996). It is
computed in float64, whatever the dtype of the elements.
"""

from __future__ import annotations

import math
from typing import Any

from elinvar.core.dtypes import accumulator, default_float, float64, int64
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import normalize_axes, size
from elinvar.tensor import elementwise as ew
from elinvar.tensor import manipulation as man
from elinvar.tensor import reductions as red
from elinvar.tensor import searching as find
from elinvar.tensor.cell import current_trace
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, expand, size_tensor, tensor_of
from elinvar.tensor.dispatch import F

METHODS = {  # (alpha, beta): h = n·q + alpha + q·(1 - alpha - beta) - 1
    "linear": (1.0, 1.0), "weibull": (0.0, 0.0), "hazen": (0.5, 0.5),
    "interpolated_inverted_cdf": (0.0, 1.0),
    "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8),
    "lower": (1.0, 1.0), "higher": (1.0, 1.0), "nearest": (1.0, 1.0), "midpoint": (1.0, 1.0),
}  # fmt: skip


def _rows(x: Any, axes: tuple[int, ...]) -> Any:
    """x with the axes made one, which stands last."""
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    moved = man.permuted(x, (*kept, *axes))
    count = size(x.shape[axis] for axis in axes)
    return F.reshape(moved, shape=(*(x.shape[axis] for axis in kept), count))


def _checked_probability(op: str, q: Any, top: float) -> Any:
    """q in units of 1 as float64; values that are known are checked."""
    if isinstance(q, (int, float)) and not 0 <= q <= top:
        fail(ValueRangeError, op, f"q must be between 0 and {top:g}, received {q}")
    given = tensor_of(op, q, float64)
    if current_trace() is None and given.size:
        inside = ew.logical_and(ew.greater_equal(given, 0), ew.less_equal(given, top))
        if not bool(red.all(inside)):
            fail(ValueRangeError, op, f"q must be between 0 and {top:g}, received {q!r:.100}")
    wide = cast(given, float64)
    return wide if top == 1 else ew.divide(wide, top)


def _quantiles(
    op: str, x: Any, q: Any, axis: Any, method: str, keepdims: bool, nan: bool, top: float = 1.0
) -> Any:
    x = tensor_of(op, x)
    if x.dtype.kind != "f":
        x = cast(x, default_float if x.dtype.kind == "b" or x.dtype.bits < 32 else float64)
    if method not in METHODS:
        known = ", ".join(METHODS)
        fail(ValueRangeError, op, f"method must be one of {known}, received {method!r}")
    axes = normalize_axes(op, axis, x.ndim)
    probability = _checked_probability(op, q, top)
    rows = _rows(x, axes)
    if rows.shape[-1] == 0:
        fail(ShapeError, op, f"axes {axes} of {x._type} are empty and have no {op}")
    flat = F.reshape(probability, shape=(probability._type.size,))
    found = _of_rows(rows, flat, method=method, nan=nan)  # (…, q)
    found = man.moveaxis(found, -1, 0)
    rest = red.kept_shape(x.shape, axes) if keepdims else found.shape[1:]
    return F.reshape(found, shape=(*probability.shape, *rest))


@composite
def _of_rows(x: Any, q: Any, *, method: str, nan: bool) -> Any:
    last = x.ndim - 1
    ordered = F.sort(x, axis=last, descending=False)  # NaN last
    missing = F.not_equal(x, x)
    total = x.shape[last]
    lead = x.shape[:last]
    if nan:
        present = F.sum(cast(F.bitwise_invert(missing), int64), axes=(last,))
        count = F.reshape(cast(present, float64), shape=(*lead, 1))
    else:
        count = expand(size_tensor(total, float64), (1,) * x.ndim)
    alpha, beta = METHODS[method]
    shape = (*(lead if nan else (1,) * last), q.shape[0])
    n, p = expand(count, shape), expand(q, shape)
    if (alpha, beta) == (1.0, 1.0):
        place = F.multiply(ew.subtract(n, 1.0), p)
    else:
        place = ew.add(F.multiply(n, p), ew.add(ew.multiply(p, 1 - alpha - beta), alpha - 1))
    last_place = ew.maximum(ew.subtract(n, 1.0), 0.0)
    place = F.minimum(ew.maximum(place, 0.0), last_place)
    low = _rounded(place, method)
    high = F.minimum(ew.add(low, 1.0), last_place) if method in _BETWEEN else low
    target = (*lead, q.shape[0])
    below = find.gather_elements(ordered, expand(cast(low, int64), target), last)
    found = below
    if method in _BETWEEN:
        above = find.gather_elements(ordered, expand(cast(high, int64), target), last)
        share = F.subtract(place, low)
        if method == "midpoint":
            share = ew.where(ew.greater(share, 0), 0.5, 0.0)
        found = _between(below, above, expand(share, target))
    lost = ew.equal(n, 0.0) if nan else F.reshape(F.any(missing, axes=(last,)), shape=(*lead, 1))
    return ew.where(expand(lost, target), math.nan, found)


_BETWEEN = {*METHODS} - {"lower", "higher", "nearest"}


def _rounded(place: Any, method: str) -> Any:
    if method == "higher":
        return F.ceil(place)
    return F.round(place) if method == "nearest" else F.floor(place)


def _between(low: Any, high: Any, share: Any) -> Any:
    """low + share · (high - low), from the nearer end; exact at both and between equal ones."""
    wide = accumulator(low.dtype)
    a, b, t = cast(low, wide), cast(high, wide), cast(share, wide)
    step = F.subtract(b, a)
    late = F.subtract(b, F.multiply(step, ew.subtract(1.0, t)))
    mixed = F.where(ew.less(t, 0.5), F.add(a, F.multiply(step, t)), late)
    # ∞ - ∞ is no reason for NaN between equal neighbours, nor at an end
    mixed = F.where(F.bitwise_or(F.equal(a, b), ew.equal(t, 0.0)), a, mixed)
    return cast(mixed, low.dtype)


def quantile(
    x: Any, /, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False
) -> Any:
    """The q-quantiles along axes: the values that a share q of the elements does not exceed.

    Args:
        q: a number or a tensor of numbers in 0 … 1; its axes come first in the result.
        axis: an axis, several, or None for all.
        method: "linear", "lower", "higher", "nearest", "midpoint", "hazen", "weibull",
            "median_unbiased", "normal_unbiased" or "interpolated_inverted_cdf".

    Raises:
        ValueRangeError: q is not in 0 … 1.

    Example:
        >>> import elinvar as el
        >>> el.quantile(el.asarray([1.0, 2.0, 3.0, 4.0]), 0.5).item()
        2.5
    """
    return _quantiles("quantile", x, q, axis, method, keepdims, False)


def percentile(
    x: Any, /, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False
) -> Any:
    """`quantile` with q in percent.

    Example:
        >>> import elinvar as el
        >>> el.percentile(el.asarray([1.0, 2.0, 3.0]), 50).item()
        2.0
    """
    return _quantiles("percentile", x, q, axis, method, keepdims, False, 100.0)


def median(x: Any, /, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The middle of the sorted elements; the mean of the two middle ones of an even number.

    The method `x.median(dim)` is PyTorch's: the lower of the two, and its index.

    Example:
        >>> import elinvar as el
        >>> el.median(el.asarray([3.0, 1.0, 10.0, 2.0])).item()
        2.5
    """
    return _quantiles("median", x, 0.5, axis, "midpoint", keepdims, False)


def nanquantile(
    x: Any, /, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False
) -> Any:
    """`quantile` of the elements that are not NaN; NaN where there is none.

    Example:
        >>> import elinvar as el
        >>> el.nanquantile(el.asarray([1.0, el.nan, 3.0]), 0.5).item()
        2.0
    """
    return _quantiles("nanquantile", x, q, axis, method, keepdims, True)


def nanpercentile(
    x: Any, /, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False
) -> Any:
    """`percentile` of the elements that are not NaN; NaN where there is none.

    Example:
        >>> import elinvar as el
        >>> el.nanpercentile(el.asarray([1.0, el.nan, 3.0]), 100).item()
        3.0
    """
    return _quantiles("nanpercentile", x, q, axis, method, keepdims, True, 100.0)


def nanmedian(x: Any, /, axis: Any = None, *, keepdims: bool = False) -> Any:
    """`median` of the elements that are not NaN; NaN where there is none.

    Example:
        >>> import elinvar as el
        >>> el.nanmedian(el.asarray([1.0, el.nan, 3.0, 4.0])).item()
        3.0
    """
    return _quantiles("nanmedian", x, 0.5, axis, "midpoint", keepdims, True)



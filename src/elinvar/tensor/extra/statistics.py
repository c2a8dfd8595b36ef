"""Histograms, bins, weighted means, covariances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from elinvar.core.dtypes import accumulator, bool_, default_float, float64, int64
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import normalize_axes, normalize_axis
from elinvar.tensor import elementwise as ew
from elinvar.tensor import manipulation as man
from elinvar.tensor import reductions as red
from elinvar.tensor import searching as find
from elinvar.tensor.cell import Cell, current_trace
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, expand, floating, is_number, size_tensor, tensor_of
from elinvar.tensor.creation import linspace
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import matmul


def average(
    x: Any, /, axis: Any = None, weights: Any = None, returned: bool = False, *,
    keepdims: bool = False,
) -> Any:  # fmt: skip
    """The weighted mean along axes: Σ w·x / Σ w.

    Args:
        weights: of the shape of x, or 1-D along a single axis; None for equal ones.
        returned: give (mean, Σ w).

    Example:
        >>> import elinvar as el
        >>> el.average(el.asarray([1.0, 4.0]), weights=el.asarray([3.0, 1.0])).item()
        1.75
    """
    x = floating("average", x)
    axes = normalize_axes("average", axis, x.ndim)
    if weights is None:
        mean = red.mean(x, axis=axes, keepdims=keepdims)
        count = 1
        for item in axes:
            count = count * x.shape[item]
        return (mean, expand(size_tensor(count, mean.dtype), mean.shape)) if returned else mean
    w = floating("average", weights)
    if w.shape != x.shape:
        if w.ndim != 1 or len(axes) != 1 or w.shape[0] != x.shape[axes[0]]:
            text = f"weights {w._type} fit neither {x._type} nor its axis {axis}"
            fail(ShapeError, "average", text)
        w = F.reshape(w, shape=tuple(d if i == axes[0] else 1 for i, d in enumerate(x.shape)))
        w = expand(w, x.shape)
    total = red.sum(w, axis=axes, keepdims=keepdims)
    mean = ew.divide(red.sum(ew.multiply(x, w), axis=axes, keepdims=keepdims), total)
    return (mean, total) if returned else mean


def ptp(x: Any, /, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The range along axes: max - min.

    Example:
        >>> import elinvar as el
        >>> el.ptp(el.asarray([4, 9, 2])).item()
        7
    """
    x = tensor_of("ptp", x)
    high = red.max(x, axis=axis, keepdims=keepdims)
    return ew.subtract(high, red.min(x, axis=axis, keepdims=keepdims))


def cov(
    m: Any, /, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None,
    fweights: Any = None, aweights: Any = None,
) -> Any:  # fmt: skip
    """The covariance matrix of variables, which are the rows (the columns if not `rowvar`).

    Args:
        y: more variables.
        bias: divide by n instead of n - 1; `ddof` says n - ddof.
        fweights, aweights: how often each observation was made, and its importance.

    Example:
        >>> import elinvar as el
        >>> el.cov(el.asarray([[0.0, 2.0], [2.0, 0.0]])).tolist()
        [[2.0, -2.0], [-2.0, 2.0]]
    """
    x = _variables("cov", m, rowvar)
    if y is not None:
        other = _variables("cov", y, rowvar)
        x = man.concat([x, other], axis=0)
    freedom = (0 if bias else 1) if ddof is None else ddof
    weights = None
    if fweights is not None:
        weights = cast(tensor_of("cov", fweights), x.dtype)
    if aweights is not None:
        importance = cast(tensor_of("cov", aweights), x.dtype)
        weights = importance if weights is None else ew.multiply(weights, importance)
    if weights is None:
        centred = ew.subtract(x, red.mean(x, axis=1, keepdims=True))
        count = size_tensor(x.shape[1], x.dtype)
        factor = ew.maximum(ew.subtract(count, float(freedom)), 0.0)
        weighted = centred
    else:
        total = red.sum(weights)
        mean = ew.divide(red.sum(ew.multiply(x, weights), axis=1, keepdims=True), total)
        centred = ew.subtract(x, mean)
        weighted = ew.multiply(centred, weights)
        if aweights is None or not freedom:
            factor = ew.subtract(total, float(freedom))
        else:
            squares = red.sum(ew.multiply(weights, cast(tensor_of("cov", aweights), x.dtype)))
            factor = ew.subtract(total, ew.divide(ew.multiply(squares, float(freedom)), total))
    found = ew.divide(matmul(centred, man.matrix_transpose(weighted)), factor)
    return F.reshape(found, shape=()) if found.shape == (1, 1) else found


def _variables(op: str, m: Any, rowvar: bool) -> Any:
    x = floating(op, m)
    if x.ndim > 2:
        fail(ShapeError, op, f"expected at most 2 dimensions, received {x._type}")
    if x.ndim < 2:
        return F.reshape(x, shape=(1, x._type.size))
    return x if rowvar else man.matrix_transpose(x)


def corrcoef(x: Any, /, y: Any = None, rowvar: bool = True) -> Any:
    """The matrix of correlation coefficients: cov(i, j) / √(var(i) · var(j)).

    Example:
        >>> import elinvar as el
        >>> el.corrcoef(el.asarray([[0.0, 2.0], [2.0, 0.0]])).tolist()[0][1] < -0.99
        True
    """
    c = cov(x, y, rowvar)
    if not c.ndim:
        return ew.divide(c, c)
    spread = F.sqrt(c.diagonal())
    rows = F.reshape(spread, shape=(*spread.shape, 1))
    return ew.clip(ew.divide(ew.divide(c, rows), spread), -1.0, 1.0)


# ---- bins ---------------------------------------------------------------------------------------


def digitize(x: Any, bins: Any, /, right: bool = False) -> Any:
    """The number of the bin of each element: i with bins[i-1] ≤ x < bins[i].

    Args:
        bins: 1-D edges in increasing or (where their values are known) decreasing order.
        right: bins are closed on the right: bins[i-1] < x ≤ bins[i].

    Example:
        >>> import elinvar as el
        >>> el.digitize(el.asarray([0.2, 6.4, 3.0]), el.asarray([0.0, 1.0, 2.5, 4.0])).tolist()
        [1, 4, 3]
    """
    x, edges = tensor_of("digitize", x), tensor_of("digitize", bins)
    if edges.ndim != 1:
        fail(ShapeError, "digitize", f"bins must be 1-D, received {edges._type}")
    count = edges.shape[0]
    rises: Any = True
    if current_trace() is None and count:
        rises = bool(edges[-1] >= edges[0])
        ordered = red.diff(edges) >= 0 if rises else red.diff(edges) <= 0
        if not bool(red.all(ordered)):
            fail(ValueRangeError, "digitize", f"bins must be in order, received {edges!r:.100}")
    if rises:
        return find.searchsorted(edges, x, side="left" if right else "right")
    # in decreasing order the sides change
    found = find.searchsorted(F.flip(edges, axes=(0,)), x, side="right" if right else "left")
    return ew.subtract(count, found)


def bincount(
    x: Any, /, weights: Any = None, minlength: int = 0, *, length: int | None = None
) -> Any:
    """How often each of 0 … max(x) occurs in a 1-D tensor of integers.

    Args:
        weights: what each element counts (1 if None).
        minlength: the least number of bins.
        length: the number of bins, needed under `jit`; elements outside of them are left out.

    Example:
        >>> import elinvar as el
        >>> el.bincount(el.asarray([0, 2, 2])).tolist()
        [1, 0, 2]
    """
    x = tensor_of("bincount", x)
    if x.ndim != 1 or x.dtype.kind not in "iu":
        fail(DTypeError, "bincount", f"expected a 1-D tensor of integers, received {x._type}")
    if minlength < 0:
        fail(ValueRangeError, "bincount", f"minlength must not be negative, received {minlength}")
    x = cast(x, int64)
    bins: Any = length
    if length is None:
        find.need_values("bincount", x, "pass `length=`, the number of bins")
        bins = max(F.max(x, axes=(0,)).item() + 1 if x.shape[0] else 0, minlength)
        if x.shape[0] and F.min(x, axes=(0,)).item() < 0:
            fail(ValueRangeError, "bincount", "expected no negative number")
    each = tensor_of("bincount", 1 if weights is None else weights)
    if each.dtype.kind == "b":
        each = cast(each, int64)
    if each.ndim and each.shape != x.shape:
        fail(ShapeError, "bincount", f"weights {each._type} do not fit {x._type}")
    return _counted(x, expand(each, x.shape), count=bins)


@composite
def _counted(x: Any, each: Any, *, count: int) -> Any:
    zero = F.constant(value=0.0 if each.dtype.kind == "f" else 0, dtype=each.dtype)
    return F.scatter(expand(zero, (count,)), x, each, axis=0, mode="add")


def histogram_bin_edges(x: Any, /, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """The edges of the bins of `histogram`.

    Args:
        bins: their number; 1-D edges come back as they are; or one of "auto", "fd", "rice",
            "scott", "sqrt", "sturges" (not under `jit`).
        range: (low, high); by default the least and the greatest element.

    Example:
        >>> import elinvar as el
        >>> el.histogram_bin_edges(el.asarray([0.0, 4.0]), bins=4).tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    x = tensor_of("histogram_bin_edges", x)
    if isinstance(bins, str):
        find.need_values("histogram_bin_edges", x, "give the number of bins")
        bins = len(np.histogram_bin_edges(x.double().numpy(), bins, range)) - 1
    if not hasattr(bins, "__index__") or (isinstance(bins, Cell) and bins.ndim):
        edges = tensor_of("histogram_bin_edges", bins)
        if edges.ndim != 1:
            fail(ShapeError, "histogram", f"bins must be a number or 1-D, received {edges._type}")
        return edges
    count = int(bins)
    if count < 1:
        fail(ValueRangeError, "histogram", f"the number of bins must be positive, received {count}")
    kind = x.dtype if x.dtype.kind == "f" else default_float
    if range is not None and all(is_number(item) for item in range):
        low, high = range
        if not (math.isfinite(low) and math.isfinite(high)) or low > high:
            fail(ValueRangeError, "histogram", f"range must be finite and in order: {range}")
        if low == high:
            low, high = low - 0.5, high + 0.5
        return linspace(low, high, count + 1, dtype=kind)
    if range is not None:
        ends = [cast(tensor_of("histogram", item), float64) for item in range]
    elif x.size == 0:
        return linspace(0.0, 1.0, count + 1, dtype=kind)
    else:
        wide = cast(x, float64)
        ends = [red.min(wide), red.max(wide)]
        if current_trace() is None and not math.isfinite(ends[0].item() + ends[1].item()):
            text = f"the elements' range is not finite: {ends[0].item()} … {ends[1].item()}"
            fail(ValueRangeError, "histogram", text, "pass `range=`")
    return cast(_spaced(*ends, count=count), kind)


@composite
def _spaced(low: Any, high: Any, *, count: int) -> Any:
    same = F.equal(low, high)
    low, high = ew.where(same, low - 0.5, low), ew.where(same, high + 0.5, high)
    places = F.iota(size=count + 1, dtype=float64)
    step = ew.divide(F.subtract(high, low), float(count))
    found = ew.add(ew.multiply(places, step), low)
    return ew.where(ew.equal(places, float(count)), high, found)


def histogram(
    x: Any, /, bins: Any = 10, range: Any = None, density: bool = False, weights: Any = None
) -> tuple[Any, Any]:
    """How many elements fall into each of several bins; gives (counts, edges).

    All bins but the last, which is closed, are half-open: [a, b). Elements outside do not count.

    Args:
        bins, range: as for `histogram_bin_edges`.
        density: give the density (Σ density · width = 1) instead of counts.
        weights: what each element counts.

    Example:
        >>> import elinvar as el
        >>> counts, edges = el.histogram(el.asarray([1.0, 2.0, 1.0]), bins=2, range=(0.0, 4.0))
        >>> counts.tolist(), edges.tolist()
        ([2, 1], [0.0, 2.0, 4.0])
    """
    x = tensor_of("histogram", x)
    edges = histogram_bin_edges(x, bins, range, weights)
    w = None
    if weights is not None:
        w = tensor_of("histogram", weights)
        if w.shape != x.shape:
            fail(ShapeError, "histogram", f"weights {w._type} do not fit {x._type}")
        w = F.reshape(w, shape=(w._type.size,))
    flat = F.reshape(x, shape=(x._type.size,))
    counts = _in_bins([flat], [edges], w)
    return (_as_density(counts, [edges]) if density else counts), edges


def _bin_of(x: Any, edges: Any) -> Any:
    """The bin of each element, and -1 for those outside."""
    count = edges.shape[0] - 1
    place = ew.subtract(find.searchsorted(edges, x, side="right"), 1)
    wide = cast(x, edges.dtype) if x.dtype is not edges.dtype else x
    top = man.sliced(edges, 0, count, 1)
    place = ew.where(ew.equal(wide, top), count - 1, place)
    outside = ew.logical_or(ew.greater_equal(place, count), ew.not_equal(wide, wide))
    return ew.where(outside, -1, place)


def _in_bins(columns: list[Any], edges: list[Any], weights: Any) -> Any:
    """Counts over the product of the bins of several coordinates."""
    total = 1
    place: Any = None
    inside: Any = None
    for x, edge in zip(columns, edges, strict=True):
        if edge.shape[0] < 2:
            fail(ShapeError, "histogram", f"expected at least two edges, received {edge._type}")
        count = edge.shape[0] - 1
        own = _bin_of(x, edge)
        fits = ew.greater_equal(own, 0)
        place = own if place is None else ew.add(ew.multiply(place, count), own)
        inside = fits if inside is None else ew.logical_and(inside, fits)
        total *= count
    place = ew.where(inside, place, -1)
    each = tensor_of("histogram", 1) if weights is None else weights
    if each.dtype is bool_:
        each = cast(each, int64)
    found = _counted(place, expand(each, place.shape), count=total)
    return F.reshape(found, shape=tuple(edge.shape[0] - 1 for edge in edges))


def _as_density(counts: Any, edges: list[Any]) -> Any:
    kind = edges[0].dtype if edges[0].dtype.kind == "f" else default_float
    found = cast(counts, kind)
    found = ew.divide(found, red.sum(found))
    for axis, edge in enumerate(edges):
        width = cast(red.diff(edge), kind)
        shape = tuple(d if i == axis else 1 for i, d in enumerate(found.shape))
        found = ew.divide(found, F.reshape(width, shape=shape))
    return found


def histogramdd(
    sample: Any, /, bins: Any = 10, range: Any = None, density: bool = False, weights: Any = None
) -> tuple[Any, list[Any]]:
    """A histogram of points with D coordinates; gives (counts, the edges along each of them).

    Args:
        sample: (N, D) points.
        bins: their number, or D numbers or edges.
        range: D pairs (low, high).

    Example:
        >>> import elinvar as el
        >>> counts, edges = el.histogramdd(el.asarray([[0.0, 0.0], [1.0, 1.0]]), bins=2)
        >>> counts.tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    points = tensor_of("histogramdd", sample)
    if points.ndim != 2:
        fail(ShapeError, "histogramdd", f"expected points [N, D], received {points._type}")
    columns = list(man.unstack(points, axis=1))
    return _several("histogramdd", columns, bins, range, density, weights)


def _several(
    op: str, columns: list[Any], bins: Any, range: Any, density: bool, weights: Any
) -> tuple[Any, list[Any]]:
    rank = len(columns)
    each = [bins] * rank if hasattr(bins, "__index__") else list(bins)
    ranges: Sequence[Any] = [None] * rank if range is None else range
    if len(each) != rank or len(ranges) != rank:
        fail(ValueRangeError, op, f"expected bins and ranges for {rank} coordinates")
    edges = [
        histogram_bin_edges(x, count, span)
        for x, count, span in zip(columns, each, ranges, strict=True)
    ]
    w = None if weights is None else tensor_of(op, weights)
    counts = _in_bins(columns, edges, w)
    if density:
        return _as_density(counts, edges), edges
    kind = edges[0].dtype if edges[0].dtype.kind == "f" else default_float
    return (counts if counts.dtype.kind == "f" else cast(counts, kind)), edges


def histogram2d(
    x: Any, y: Any, /, bins: Any = 10, range: Any = None, density: bool = False, weights: Any = None
) -> tuple[Any, Any, Any]:
    """A histogram of points in a plane; gives (counts, edges along x, edges along y).

    Example:
        >>> import elinvar as el
        >>> counts, _, _ = el.histogram2d(el.asarray([0.0, 1.0]), el.asarray([0.0, 1.0]), bins=2)
        >>> counts.tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    columns = [tensor_of("histogram2d", item) for item in (x, y)]
    if not hasattr(bins, "__index__") and len(bins) != 2:
        bins = [bins, bins]
    counts, edges = _several("histogram2d", columns, bins, range, density, weights)
    return counts, edges[0], edges[1]


# ---- running extremes and sums ------------------------------------------------------------------


def _running(op: str, x: Any, axis: int | None, primitive: Any) -> Any:
    x = tensor_of(op, x)
    if axis is None:
        x, axis = F.reshape(x, shape=(x._type.size,)), 0
    return primitive(x, axis=normalize_axis(op, axis, x.ndim), reverse=False)


def cummax(x: Any, /, axis: int | None = None) -> Any:
    """The greatest element so far along an axis; NaN from the first NaN on.

    Example:
        >>> import elinvar as el
        >>> el.cummax(el.asarray([1, 3, 2])).tolist()
        [1, 3, 3]
    """
    return _running("cummax", x, axis, F.cummax)


def cummin(x: Any, /, axis: int | None = None) -> Any:
    """The least element so far along an axis; NaN from the first NaN on.

    Example:
        >>> import elinvar as el
        >>> el.cummin(el.asarray([2, 1, 3])).tolist()
        [2, 1, 1]
    """
    return _running("cummin", x, axis, F.cummin)


def cumsum(x: Any, /, axis: int | None = None, dtype: Any = None) -> Any:
    """Running sums along an axis (of the flattened tensor if None), as in NumPy.

    Example:
        >>> import elinvar as el
        >>> el.cumsum(el.asarray([[1, 2], [3, 4]])).tolist()
        [1, 3, 6, 10]
    """
    x = tensor_of("cumsum", x)
    if axis is None:
        x, axis = F.reshape(x, shape=(x._type.size,)), 0
    return red.cumulative_sum(x, axis=axis, dtype=dtype)


def cumprod(x: Any, /, axis: int | None = None, dtype: Any = None) -> Any:
    """Running products along an axis (of the flattened tensor if None), as in NumPy.

    Example:
        >>> import elinvar as el
        >>> el.cumprod(el.asarray([1, 2, 3])).tolist()
        [1, 2, 6]
    """
    x = tensor_of("cumprod", x)
    if axis is None:
        x, axis = F.reshape(x, shape=(x._type.size,)), 0
    return red.cumulative_prod(x, axis=axis, dtype=dtype)


def logcumsumexp(x: Any, /, axis: int | None = None) -> Any:
    """log Σ exp(x) over the elements so far along an axis, without overflow.

    In ⌈log₂ n⌉ steps, each of which combines with what stands 1, 2, 4, … places before.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.logcumsumexp(el.asarray([1000.0, 1000.0]))[1].item():.3f}")
        1000.693
    """
    x = floating("logcumsumexp", x)
    if axis is None:
        x, axis = F.reshape(x, shape=(x._type.size,)), 0
    axis = normalize_axis("logcumsumexp", axis, x.ndim)
    man.static_size("logcumsumexp", x, axis)
    return _logcumsumexp(x, axis=axis, count=x.shape[axis])


@composite
def _logcumsumexp(x: Any, *, axis: int, count: int) -> Any:
    found = cast(x, accumulator(x.dtype))
    step = 1
    while step < count:
        low = tuple(step if item == axis else 0 for item in range(x.ndim))
        none = (0,) * x.ndim
        empty = F.constant(value=-math.inf, dtype=found.dtype)
        head = man.sliced(found, axis, 0, count - step)
        other = F.pad(head, empty, low=low, high=none, interior=none)
        found = _logaddexp(found, other)
        step *= 2
    return cast(found, x.dtype)


def _logaddexp(a: Any, b: Any) -> Any:
    """log(exp(a) + exp(b)), with a derivative also where both are -∞."""
    top = F.maximum(a, b)
    finite = F.isfinite(top)
    shift = F.stop_gradient(ew.where(finite, top, 0.0))
    total = F.add(F.exp(F.subtract(a, shift)), F.exp(F.subtract(b, shift)))
    empty = ew.equal(total, 0.0)
    found = F.add(F.log(ew.where(empty, 1.0, total)), shift)
    return F.where(empty, top, found)


cumlogsumexp = logcumsumexp

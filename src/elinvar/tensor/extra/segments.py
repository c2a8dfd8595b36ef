"""Reductions by segment, with JAX's names: out[k] reduces the rows whose segment is k."""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import DType, accumulator, float32, int64
from elinvar.core.errors import DTypeError, ShapeError, fail
from elinvar.core.shapes import Dim, size
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions as red
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, constant, expand, integer_range, tensor_of
from elinvar.tensor.dispatch import F
from elinvar.tensor.searching import need_values, searchsorted


def _given(op: str, data: Any, segment_ids: Any, num_segments: int | None) -> tuple[Any, Any, Any]:
    x, ids = tensor_of(op, data), tensor_of(op, segment_ids)
    if ids.dtype.kind not in "iu":
        fail(DTypeError, op, f"segment_ids must be integers, received {ids._type}")
    if ids.ndim != 1 or not x.ndim or ids.shape[0] != x.shape[0]:
        text = f"segment_ids must name a segment for each row of {x._type}, received {ids._type}"
        fail(ShapeError, op, text)
    ids = cast(ids, int64)
    if num_segments is None:
        need_values(op, ids, "pass `num_segments=`")
        num_segments = red.max(ids).item() + 1 if ids.shape[0] else 0
    return x, ids, num_segments if isinstance(num_segments, Dim) else num_segments.__index__()


def segment_sum(
    data: Any, segment_ids: Any, num_segments: int | None = None,
    indices_are_sorted: bool = False,
) -> Any:  # fmt: skip
    """The sum of the rows of each segment, added in the order of the rows.

    Args:
        data: (N, …).
        segment_ids: (N,) integers; rows whose segment is not in 0 … num_segments - 1 do not count.
        num_segments: the number of segments, needed under `jit`; by default max(segment_ids) + 1.
        indices_are_sorted: a promise that is not needed here.

    Example:
        >>> import elinvar as el
        >>> el.segment_sum(el.asarray([1, 2, 4]), el.asarray([0, 1, 0]), 2).tolist()
        [5, 2]
    """
    x, ids, count = _given("segment_sum", data, segment_ids, num_segments)
    if x.dtype.kind == "b":
        x = cast(x, int64)
    return _added(x, ids, count=count)


@composite
def _added(x: Any, ids: Any, *, count: int) -> Any:
    wide = accumulator(x.dtype)
    zero = constant("segment_sum", 0, wide)
    ids = ew.where(ew.less(ids, 0), count, ids)  # negative ones do not count from the end
    found = F.scatter(expand(zero, (count, *x.shape[1:])), ids, cast(x, wide), axis=0, mode="add")
    return cast(found, x.dtype)


def segment_mean(
    data: Any, segment_ids: Any, num_segments: int | None = None,
    indices_are_sorted: bool = False,
) -> Any:  # fmt: skip
    """The mean of the rows of each segment; NaN for segments without rows.

    Example:
        >>> import elinvar as el
        >>> el.segment_mean(el.asarray([1.0, 2.0, 4.0]), el.asarray([0, 1, 0]), 2).tolist()
        [2.5, 2.0]
    """
    x, ids, count = _given("segment_mean", data, segment_ids, num_segments)
    x = x if x.dtype.kind == "f" else cast(x, float32)
    total = _added(x, ids, count=count)
    ones = expand(constant("segment_mean", 1, int64), ids.shape)
    rows = cast(_added(ones, ids, count=count), x.dtype)
    return ew.divide(total, F.reshape(rows, shape=(count, *(1,) * (x.ndim - 1))))


def _empty_value(dtype: DType, largest: bool) -> Any:
    if dtype.kind == "b":
        return not largest
    if dtype.kind == "f":
        return -float("inf") if largest else float("inf")
    return integer_range(dtype)[0 if largest else 1]


def _extreme(
    op: str, data: Any, segment_ids: Any, num_segments: int | None, largest: bool
) -> Any:
    x, ids, count = _given(op, data, segment_ids, num_segments)
    return _extremes(x, ids, count=count, largest=largest)


@composite
def _extremes(x: Any, ids: Any, *, count: int, largest: bool) -> Any:
    """The last element of each segment's run after sorting by value, then (stably) by segment."""
    if not x.shape[0] or not count:
        filler = constant("segment", _empty_value(x.dtype, largest), x.dtype)
        return expand(filler, (count, *x.shape[1:]))
    width = size(x.shape[1:])
    flat = F.reshape(x, shape=(x.shape[0], width))
    outside = ew.logical_or(ew.less(ids, 0), ew.greater_equal(ids, count))
    ids = ew.where(outside, count, ids)
    keys = cast(flat, int64) if x.dtype.kind == "b" else flat
    order = F.argsort(keys, axis=0, descending=not largest)  # NaN last in both: it wins
    named = F.gather(ids, order, axis=0)
    step = F.argsort(named, axis=0, descending=False)
    order = _along(order, step)
    runs, wanted = F.sort(ids, axis=0, descending=False), F.iota(size=count, dtype=int64)
    ends = ew.subtract(searchsorted(runs, wanted, side="right"), 1)
    begins = searchsorted(runs, wanted)
    empty = F.reshape(ew.less(ends, begins), shape=(count, 1))
    rows = F.gather(order, ew.maximum(ends, 0), axis=0)  # (count, width)
    found = _along(flat, rows)
    filler = constant("segment", _empty_value(x.dtype, largest), x.dtype)
    found = F.where(expand(empty, found.shape), expand(filler, found.shape), found)
    return F.reshape(found, shape=(count, *x.shape[1:]))


def _along(x: Any, places: Any) -> Any:
    """x[places[i, j], j]"""
    width = x.shape[1]
    column = F.iota(size=width, dtype=int64)
    flat = ew.add(ew.multiply(places, width), column)
    return F.gather(F.reshape(x, shape=(x.shape[0] * width,)), flat, axis=0)


def segment_max(
    data: Any, segment_ids: Any, num_segments: int | None = None,
    indices_are_sorted: bool = False,
) -> Any:  # fmt: skip
    """The greatest of the rows of each segment, element by element; NaN if one is NaN.

    Segments without rows give -∞ (for integers the least value). The gradient goes to one of equal
    elements: the last one.

    Example:
        >>> import elinvar as el
        >>> el.segment_max(el.asarray([1.0, 2.0, 4.0]), el.asarray([0, 1, 0]), 2).tolist()
        [4.0, 2.0]
    """
    return _extreme("segment_max", data, segment_ids, num_segments, True)


def segment_min(
    data: Any, segment_ids: Any, num_segments: int | None = None,
    indices_are_sorted: bool = False,
) -> Any:  # fmt: skip
    """The least of the rows of each segment, element by element; NaN if one is NaN.

    Segments without rows give ∞ (for integers the greatest value).

    Example:
        >>> import elinvar as el
        >>> el.segment_min(el.asarray([1.0, 2.0, 4.0]), el.asarray([0, 1, 0]), 2).tolist()
        [1.0, 2.0]
    """
    return _extreme("segment_min", data, segment_ids, num_segments, False)


def segment_prod(
    data: Any, segment_ids: Any, num_segments: int | None = None,
    indices_are_sorted: bool = False,
) -> Any:  # fmt: skip
    """The product of the rows of each segment; 1 for segments without rows.

    Example:
        >>> import elinvar as el
        >>> el.segment_prod(el.asarray([3, 2, 4]), el.asarray([0, 1, 0]), 2).tolist()
        [12, 2]
    """
    x, ids, count = _given("segment_prod", data, segment_ids, num_segments)
    if x.dtype.kind == "b":
        x = cast(x, int64)
    return _product(x, ids, count=count)


@composite
def _product(x: Any, ids: Any, *, count: int) -> Any:
    """Rows in the order of segments; a product that starts anew with each, in ⌈log₂ n⌉ steps."""
    one = constant("segment_prod", 1, x.dtype)
    rows = x.shape[0]
    if not rows or not count:
        return expand(one, (count, *x.shape[1:]))
    outside = ew.logical_or(ew.less(ids, 0), ew.greater_equal(ids, count))
    ids = ew.where(outside, count, ids)
    order = F.argsort(ids, axis=0, descending=False)
    named = F.gather(ids, order, axis=0)
    wide = accumulator(x.dtype)
    found = cast(F.gather(x, order, axis=0), wide)
    places = F.iota(size=rows, dtype=int64)
    step = 1
    while step < rows:
        before = ew.maximum(ew.subtract(places, step), 0)
        same = ew.logical_and(
            F.equal(F.gather(named, before, axis=0), named), ew.greater_equal(places, step)
        )
        mask = expand(F.reshape(same, shape=(rows, *(1,) * (x.ndim - 1))), x.shape)
        other = F.gather(found, before, axis=0)
        found = F.where(mask, F.multiply(found, other), found)
        step *= 2
    wanted = F.iota(size=count, dtype=int64)
    ends = ew.subtract(searchsorted(named, wanted, side="right"), 1)
    empty = ew.less(ends, searchsorted(named, wanted))
    last = F.gather(found, ew.maximum(ends, 0), axis=0)
    mask = expand(F.reshape(empty, shape=(count, *(1,) * (x.ndim - 1))), last.shape)
    return cast(F.where(mask, expand(cast(one, wide), last.shape), last), x.dtype)

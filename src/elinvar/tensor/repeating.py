"""Repeating elements, by the Array API standard; with a given length under `jit`, too."""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import int64
from elinvar.core.errors import DTypeError, ShapeError, TraceError, ValueRangeError, fail
from elinvar.core.shapes import Dim, normalize_axis
from elinvar.tensor import elementwise as ew
from elinvar.tensor.cell import Cell, current_trace
from elinvar.tensor.convert import cast, expand, tensor_of
from elinvar.tensor.dispatch import F, apart
from elinvar.tensor.manipulation import reshape
from elinvar.tensor.searching import checked_size, searchsorted


def repeat(
    x: Any, /, repeats: Any, axis: int | None = None, *, total_repeat_length: int | None = None
) -> Any:
    """Each element repeated along an axis (of the flattened tensor if None).

    Args:
        repeats: an int, or as many ints as the axis has elements.
        total_repeat_length: how long the axis of the result is. So a tensor of repeats needs no
            known values, and `jit` can trace it. The last element is repeated where more is asked
            for than there is, and what is too much is cut off.

    Raises:
        TraceError: inside of a trace with a tensor of repeats, and no length.

    Example:
        >>> import elinvar as el
        >>> el.repeat(el.asarray([1, 2]), 2).tolist()
        [1, 1, 2, 2]
        >>> el.repeat(el.asarray([1, 2]), el.asarray([3, 1])).tolist()
        [1, 1, 1, 2]
    """
    x = tensor_of("repeat", x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = normalize_axis("repeat", axis, x.ndim)
    if total_repeat_length is None and _is_one_int(repeats):
        return _evenly(x, repeats, axis)
    counts = tensor_of("repeat", repeats, int64)
    if counts.dtype.kind not in "iub":
        fail(DTypeError, "repeat", f"repeats must be integers, received {counts._type}")
    counts = cast(counts, int64)
    size = x.shape[axis]
    if counts.ndim > 1 or (counts.ndim and counts.shape[0] not in (1, size)):
        fail(ShapeError, "repeat", f"repeats {counts._type} for axis {axis} of {x._type}")
    counts = expand(counts, (size,))
    if total_repeat_length is not None:
        total = checked_size("repeat", total_repeat_length)
    else:
        total = _total(repeats, counts)
    if size == 0:
        if isinstance(total, int) and total:
            fail(ShapeError, "repeat", f"axis {axis} of {x._type} has nothing to repeat")
        return apart(x, x)
    ends = F.cumsum(counts, axis=0, reverse=False)
    source = searchsorted(ends, F.iota(size=total, dtype=int64), side="right")
    return F.gather(x, ew.minimum(source, ew.subtract(size, 1)), axis=axis)


def _is_one_int(value: Any) -> bool:
    if isinstance(value, (Cell, Dim)):
        return isinstance(value, Dim)
    return hasattr(value, "__index__") and not getattr(value, "shape", ())


def _total(repeats: Any, counts: Any) -> Any:
    """The sum of all repeats, whose values have to be known."""
    if current_trace() is not None:
        if isinstance(repeats, Cell):
            text = f"the shape of the result would depend on the values of {repeats._type}"
            fail(TraceError, "repeat", text, "pass `total_repeat_length=`")
        known = [int(count) for count in repeats]
        least, total = min(known, default=0), sum(known)
        total = total if len(known) == counts.shape[0] else total * counts.shape[0]
    else:
        least = F.min(counts, axes=(0,)).item() if counts.shape[0] else 0
        total = F.sum(counts, axes=(0,)).item()
    if least < 0:
        fail(ValueRangeError, "repeat", f"repeats must not be negative, received {least}")
    return total


def _evenly(x: Any, times: Any, axis: int) -> Any:
    """Each element as often as the others."""
    times = times if isinstance(times, Dim) else times.__index__()
    if isinstance(times, int) and times < 0:
        fail(ValueRangeError, "repeat", f"repeats must not be negative, received {times}")
    before, count, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    apart = F.reshape(x, shape=(*before, count, 1, *after))
    wide = expand(apart, (*before, count, times, *after))
    return F.reshape(wide, shape=(*before, count * times, *after))

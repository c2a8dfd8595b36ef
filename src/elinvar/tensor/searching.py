"""Searching, sorting and taking, by the Array API standard.

Functions whose result's shape depends on values (`nonzero`, and `unique_…` in uniques.py) need the
values; under `jit` they need a `size`, and say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from elinvar.core.dtypes import int64
from elinvar.core.errors import ShapeError, TraceError, ValueRangeError, fail
from elinvar.core.shapes import Dim, normalize_axis
from elinvar.tensor import elementwise as ew
from elinvar.tensor.cell import current_trace
from elinvar.tensor.composite import composite
from elinvar.tensor.control import fori_loop
from elinvar.tensor.convert import (
    ArrayLike,
    broadcast_all,
    cast,
    expand,
    size_tensor,
    tensor_of,
    typed_pair,
)
from elinvar.tensor.dispatch import F
from elinvar.tensor.gathering import checked_index, gathered, taken, true_positions
from elinvar.tensor.manipulation import reshape, sliced

if TYPE_CHECKING:
    from elinvar.tensor.tensor import Tensor

FEW_MEMBERS = 16  # up to so many, each element is compared with each member
HIGHEST_STEP = 61  # of a binary search along an axis whose length is not known: a power of two


class TopK(NamedTuple):
    """Results of `topk`."""

    values: Tensor
    indices: Tensor


def _orderable(op: str, x: Any, axis: int) -> tuple[Any, int]:
    x = tensor_of(op, x)
    if not x.ndim:
        fail(ShapeError, op, f"expected at least one dimension, received {x._type}")
    return x, normalize_axis(op, axis, x.ndim)


def sort(x: ArrayLike, /, axis: int = -1, *, descending: bool = False, stable: bool = True) -> Any:
    """The elements along an axis in order; NaN comes last. Always stable.

    Example:
        >>> import elinvar as el
        >>> el.sort(el.asarray([3, 1, 2]), descending=True).tolist()
        [3, 2, 1]
    """
    x, axis = _orderable("sort", x, axis)
    return F.sort(x, axis=axis, descending=descending)


def argsort(
    x: ArrayLike, /, axis: int = -1, *, descending: bool = False, stable: bool = True
) -> Any:
    """The indices that sort an axis; NaN comes last. Always stable.

    Example:
        >>> import elinvar as el
        >>> el.argsort(el.asarray([3, 1, 2])).tolist()
        [1, 2, 0]
    """
    x, axis = _orderable("argsort", x, axis)
    return F.argsort(x, axis=axis, descending=descending)


def topk(x: ArrayLike, k: int, /, axis: int = -1, *, largest: bool = True) -> TopK:
    """The k greatest (or least) elements along an axis in order, and their indices.

    Of equal elements the one with the lower index comes first; NaN counts as the greatest.

    Example:
        >>> import elinvar as el
        >>> values, indices = el.topk(el.asarray([3.0, 1.0, 2.0]), 2)
        >>> values.tolist(), indices.tolist()
        ([3.0, 2.0], [0, 2])
    """
    x, axis = _orderable("topk", x, axis)
    count = x.shape[axis]
    if k < 0 or (isinstance(count, int) and k > count):
        fail(ValueRangeError, "topk", f"k is {k}, axis {axis} of {x._type} has {count} elements")
    if largest:
        last = x.ndim - 1
        order = tuple(i for i in range(x.ndim) if i != axis) + (axis,)
        back = (*range(axis), last, *range(axis, last))
        moved = x if axis == last else F.permute(x, axes=order)
        values, indices = F.top_k(moved, k=k)
        if axis != last:
            values, indices = F.permute(values, axes=back), F.permute(indices, axes=back)
        return TopK(values, indices)
    indices = sliced(F.argsort(x, axis=axis, descending=False), axis, 0, k)
    return TopK(take_along_axis(x, indices, axis=axis), indices)


def take(x: ArrayLike, indices: ArrayLike, /, axis: int | None = None) -> Any:
    """The elements (or slices) at indices along an axis.

    Args:
        indices: integers of any shape; negative ones count from the end.
        axis: may be left out for 1-D tensors.

    Raises:
        OutOfBoundsError: an index points outside of the axis.

    Example:
        >>> import elinvar as el
        >>> el.take(el.asarray([10, 20, 30]), el.asarray([2, 0])).tolist()
        [30, 10]
    """
    x = tensor_of("take", x)
    if axis is None:
        if x.ndim != 1:
            text = f"axis must be given for a tensor that is not 1-D, received {x._type}"
            fail(ValueRangeError, "take", text)
        axis = 0
    axis = normalize_axis("take", axis, x.ndim)
    return taken("take", x, indices, axis)


def take_along_axis(x: ArrayLike, indices: ArrayLike, /, axis: int = -1) -> Any:
    """Elements picked along one axis: result[…, i, …] = x[…, indices[…, i, …], …].

    Args:
        indices: integers with as many axes as x; other axes broadcast.

    Example:
        >>> import elinvar as el
        >>> x = el.asarray([[3, 1], [2, 4]])
        >>> el.take_along_axis(x, el.argsort(x, axis=1), axis=1).tolist()
        [[1, 3], [2, 4]]
    """
    x, axis = _orderable("take_along_axis", x, axis)
    index = checked_index("take_along_axis", indices, x.shape[axis], axis)
    if index.ndim != x.ndim:
        text = f"indices need {x.ndim} dimensions as {x._type}, received {index._type}"
        fail(ShapeError, "take_along_axis", text)
    full_x, full_i = _joint_shapes(x, index, axis)
    return gather_elements(expand(x, full_x), expand(index, full_i), axis)


def _joint_shapes(x: Any, index: Any, axis: int) -> tuple[Any, Any]:
    shape_x, shape_i = list(x.shape), list(index.shape)
    for place, (a, b) in enumerate(zip(x.shape, index.shape, strict=True)):
        if place == axis or a == b:
            continue
        if a == 1:
            shape_x[place] = b
        elif b == 1:
            shape_i[place] = a
        else:
            text = f"indices {index._type} do not broadcast to {x._type} beside axis {axis}"
            fail(ShapeError, "take_along_axis", text)
    return tuple(shape_x), tuple(shape_i)


def gather_elements(x: Any, index: Any, axis: int) -> Any:
    """result[…, i, …] = x[…, index[…, i, …], …], where index is within bounds.

    The other axes of index may be shorter than those of x. Reads the flattened x.
    """
    if x.ndim == 1:
        return gathered(x, index, 0)
    return gathered(reshape(x, (-1,)), flat_positions(x.shape, index, axis), 0)


def flat_positions(shape: Any, index: Any, axis: int) -> Any:
    """Where the elements that `index` names along an axis lie in the flattened tensor."""
    total: Any = None
    stride: Any = 1
    for place in reversed(range(len(shape))):
        if place == axis:
            coordinate = cast(index, int64)
        else:
            alone = tuple(d if i == place else 1 for i, d in enumerate(index.shape))
            counted = F.reshape(F.iota(size=index.shape[place], dtype=int64), shape=alone)
            coordinate = expand(counted, index.shape)
        if stride != 1:
            coordinate = F.multiply(coordinate, expand(size_tensor(stride), index.shape))
        total = coordinate if total is None else F.add(total, coordinate)
        stride = stride * shape[place]
    return total


def need_values(op: str, x: Any, way_out: str) -> None:
    """Refuse a trace: the result's shape would depend on values."""
    if current_trace() is not None:
        text = f"the shape of the result would depend on the values of {x._type}"
        fail(TraceError, op, text, way_out)


def nonzero(x: ArrayLike, /, *, size: int | None = None, fill_value: int = 0) -> tuple[Any, ...]:
    """The indices of elements that are not zero, one tensor per axis.

    Args:
        x: a tensor with at least one axis.
        size: how many indices there shall be, so that the shape of the result is known and `jit`
            can trace it: the first `size` ones, `fill_value` behind them where there are fewer.
        fill_value: an index beyond the last one.

    Raises:
        TraceError: inside of a trace without `size`: the result's shape would depend on values.

    Example:
        >>> import elinvar as el
        >>> [index.tolist() for index in el.nonzero(el.asarray([[0, 1], [2, 0]]))]
        [[0, 1], [1, 0]]
        >>> el.jit(lambda x: el.nonzero(x, size=3, fill_value=9))(el.asarray([0, 5, 6]))[0].tolist()
        [1, 2, 9]
    """
    x = tensor_of("nonzero", x)
    if not x.ndim:
        fail(ShapeError, "nonzero", "expected at least one dimension, received a 0-d tensor")
    if size is not None:
        flat, found = _sized_positions(is_nonzero(x), size=checked_size("nonzero", size))
    else:
        need_values("nonzero", x, "pass `size=`, or call it outside of the jit")
        flat, found = true_positions(is_nonzero(x)), None
    coordinates = []
    for dim in reversed(x.shape):
        count = dim if isinstance(dim, Dim) else max(dim, 1)
        coordinates.append(ew.remainder(flat, count))
        flat = ew.floor_divide(flat, count)
    if found is not None:
        coordinates = [ew.where(found, place, fill_value) for place in coordinates]
    return tuple(reversed(coordinates))


def is_nonzero(x: Any) -> Any:
    """True where elements are not zero."""
    return x if x.dtype.kind == "b" else ew.not_equal(x, 0)


def checked_size(op: str, size: Any) -> Any:
    """The argument `size` of functions whose results would have as many elements as are found."""
    if not isinstance(size, Dim) and (not hasattr(size, "__index__") or size.__index__() < 0):
        fail(ValueRangeError, op, f"size must be an int that is not negative, received {size!r}")
    return size if isinstance(size, Dim) else size.__index__()


@composite
def _sized_positions(mask: Any, *, size: Any) -> Any:
    """The first `size` flat positions of True elements, and whether there are as many."""
    return sized_positions(mask, size)


def sized_positions(mask: Any, size: Any) -> tuple[Any, Any]:
    """Inside of a program: the first `size` flat positions of True elements (then 0), and which
    of them were found."""
    flat = cast(reshape(mask, (-1,)), int64)
    rank = F.cumsum(flat, axis=0, reverse=False)  # of each True element, from 1
    total = F.sum(flat, axes=(0,))
    beyond = size_tensor(size)
    # the others go to one place more, which is cut off
    kept = ew.logical_and(flat, ew.less_equal(rank, beyond))
    place = ew.where(kept, ew.subtract(rank, 1), beyond)
    room = expand(F.constant(value=0, dtype=int64), (size + 1,))
    numbers = F.iota(size=flat.shape[0], dtype=int64)
    filled = sliced(F.scatter(room, place, numbers, axis=0, mode="set"), 0, 0, size)
    found = ew.less(F.iota(size=size, dtype=int64), total)
    return ew.where(found, filled, 0), found


def where(
    condition: ArrayLike,
    x1: ArrayLike = None,
    x2: ArrayLike = None,
    /,
    *,
    size: int | None = None,
    fill_value: int = 0,
) -> Any:
    """x1 where the condition holds, else x2; all three broadcast together.

    Args:
        condition: bool tensor (numbers are compared with zero).
        x1, x2: tensors or Python numbers; the result has their promoted dtype. Without them it is
            `nonzero(condition, size=size, fill_value=fill_value)`.

    Example:
        >>> import elinvar as el
        >>> x = el.asarray([-1.0, 2.0])
        >>> el.where(x > 0, x, 0.0).tolist()
        [0.0, 2.0]
    """
    if x1 is None and x2 is None:
        return nonzero(condition, size=size, fill_value=fill_value)
    if x1 is None or x2 is None:
        fail(ValueRangeError, "where", "expected one argument or three, received two")
    if size is not None:
        text = "size is for the indices alone: `el.where(condition, size=n)`"
        fail(ValueRangeError, "where", text)
    return ew.where(condition, x1, x2)


def _nan_below(x: Any, y: Any) -> Any:
    return F.bitwise_or(F.less(x, y), F.bitwise_and(F.equal(x, x), F.not_equal(y, y)))


def _nan_below_or_equal(x: Any, y: Any) -> Any:
    return F.bitwise_or(F.less_equal(x, y), F.not_equal(y, y))


_BELOW = {  # (side, whether there may be NaN) → whether an element stands before a value
    ("left", False): F.less,
    ("right", False): F.less_equal,
    ("left", True): _nan_below,
    ("right", True): _nan_below_or_equal,
}


def searchsorted(x1: ArrayLike, x2: ArrayLike, /, *, side: str = "left", sorter: Any = None) -> Any:
    """Where values would be put into a sorted 1-D tensor so that it stays sorted.

    NaN counts as greater than all numbers, as in `sort`.

    Args:
        x1: the sorted tensor.
        x2: the values, or one number.
        side: "left": before equal elements, "right": after them.
        sorter: indices that sort x1, where it is not sorted itself.

    Example:
        >>> import elinvar as el
        >>> el.searchsorted(el.asarray([1, 3, 5]), el.asarray([0, 3, 9])).tolist()
        [0, 1, 3]
    """
    if side not in ("left", "right"):
        fail(ValueRangeError, "searchsorted", f"side must be 'left' or 'right', received {side!r}")
    a, b = typed_pair("searchsorted", x1, x2)
    if a.ndim != 1:
        fail(ShapeError, "searchsorted", f"x1 must be 1-D, received {a._type}")
    if sorter is not None:
        a = take(a, sorter)
    # binary search, all values at once: the answer grows bit by bit from the highest
    count = a.shape[0]
    if isinstance(count, Dim):
        return _searched_anywhere(a, b, side)
    if not count:
        return expand(F.constant(value=0, dtype=int64), b.shape)
    return _searched(a, b, side=side, highest=count.bit_length() - 1)


def _probed(a: Any, b: Any, below: Any, step: Any, found: Any) -> Any:
    """One step of a binary search of all values at once: the answer grows bit by bit."""
    probe = ew.add(found, step)
    count = size_tensor(a.shape[0])
    inside = ew.less_equal(probe, count)
    element = F.gather(a, ew.subtract(ew.minimum(probe, count), 1), axis=0)
    return F.where(F.bitwise_and(inside, below(element, b)), probe, found)


@composite
def _searched(a: Any, b: Any, *, side: str, highest: int) -> Any:
    """Places in a tensor of less than 2^(highest + 1) elements."""
    below = _BELOW[side, a.dtype.kind == "f"]
    found = expand(F.constant(value=0, dtype=int64), b.shape)
    for bit in range(highest, -1, -1):
        found = _probed(a, b, below, 1 << bit, found)
    return found


def _searched_anywhere(a: Any, b: Any, side: str) -> Any:
    """Places in a tensor of a length that is not known; steps beyond it change nothing."""
    below = _BELOW[side, a.dtype.kind == "f"]
    count = a.shape[0]
    padded = F.pad(a, F.constant(value=0, dtype=a.dtype), low=(0,), high=(1,), interior=(0,))
    one = F.constant(value=1, dtype=int64)

    def turn(i: Any, found: Any) -> Any:
        step = F.shift_left(one, ew.subtract(HIGHEST_STEP, i))
        probe = ew.add(found, step)
        inside = ew.less_equal(probe, count)
        element = F.gather(padded, ew.subtract(ew.minimum(probe, count), 1), axis=0)
        return F.where(F.bitwise_and(inside, below(element, b)), probe, found)

    first = expand(F.constant(value=0, dtype=int64), b.shape)
    return fori_loop(0, HIGHEST_STEP + 1, turn, first)


def isin(x1: ArrayLike, x2: ArrayLike, /, *, invert: bool = False) -> Any:
    """True where an element of x1 occurs in x2.

    Example:
        >>> import elinvar as el
        >>> el.isin(el.asarray([1, 2, 3]), el.asarray([3, 1])).tolist()
        [True, False, True]
    """
    a, b = typed_pair("isin", x1, x2)
    count = b._type.size
    if isinstance(count, int) and count > FEW_MEMBERS and b.dtype.kind != "c":
        found = _found_in(reshape(a, (-1,)), reshape(b, (-1,)))
        found = reshape(found, a.shape)
        return F.bitwise_invert(found) if invert else found
    members = reshape(b, (1,) * a.ndim + (-1,))
    column = F.reshape(a, shape=(*a.shape, 1))
    found = F.any(F.equal(*broadcast_all("isin", column, members)), axes=(a.ndim,))
    return F.bitwise_invert(found) if invert else found


def _found_in(a: Any, members: Any) -> Any:
    """Which elements are among many, by a search in sorted ones."""
    if a.dtype.kind == "b":
        a, members = cast(a, int64), cast(members, int64)
    ordered = F.sort(members, axis=0, descending=False)
    place = ew.minimum(searchsorted(ordered, a), ew.subtract(ordered.shape[0], 1))
    return F.equal(F.gather(ordered, place, axis=0), a)

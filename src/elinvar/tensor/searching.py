"""Searching, sorting, taking and sets, by the Array API standard.

Functions whose result's shape depends on values (`nonzero`, `unique_…`) need the values, so they
run eagerly only; under `jit` they say so and name the way out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from elinvar.core.dtypes import int64
from elinvar.core.errors import ShapeError, TraceError, ValueRangeError, fail
from elinvar.core.shapes import Dim, normalize_axis
from elinvar.tensor import elementwise as ew
from elinvar.tensor.cell import current_trace
from elinvar.tensor.control import fori_loop
from elinvar.tensor.convert import (
    ArrayLike,
    broadcast_all,
    cast,
    constant,
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

HIGHEST_STEP = 61  # of a binary search along an axis whose length is not known: a power of two


class UniqueAll(NamedTuple):
    """Results of `unique_all`."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """Results of `unique_counts`."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """Results of `unique_inverse`."""

    values: Tensor
    inverse_indices: Tensor


class TopK(NamedTuple):
    """Results of `topk`."""

    values: Tensor
    indices: Tensor


def _orderable(op: str, x: Any, axis: int) -> tuple[Any, int]:
    x = tensor_of(op, x)
    if not x.ndim:
        fail(ShapeError, op, f"expected at least one dimension, received {x._type}")
    return x, normalize_axis(op, axis, x.ndim)


def sort(x: ArrayLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements along an axis in order; NaN comes last. Always stable.

    Example:
        >>> import elinvar as el
        >>> el.sort(el.asarray([3, 1, 2]), descending=True).tolist()
        [3, 2, 1]
    """
    x, axis = _orderable("sort", x, axis)
    return F.sort(x, axis=axis, descending=descending)


def argsort(
    x: ArrayLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Any:
    """The indices that sort an axis; NaN comes last. Always stable.

    Example:
        >>> import elinvar as el
        >>> el.argsort(el.asarray([3, 1, 2])).tolist()
        [1, 2, 0]
    """
    x, axis = _orderable("argsort", x, axis)
    return F.argsort(x, axis=axis, descending=descending)


def topk(x: ArrayLike, k: int, /, *, axis: int = -1, largest: bool = True) -> TopK:
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


def take(x: ArrayLike, indices: ArrayLike, /, *, axis: int | None = None) -> Any:
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


def take_along_axis(x: ArrayLike, indices: ArrayLike, /, *, axis: int = -1) -> Any:
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


_WAY_OUT = "pass `size=`, use `el.where` with a fixed shape, or call it outside of the jit"


def nonzero(x: ArrayLike, /, *, size: int | None = None, fill_value: int = 0) -> tuple[Any, ...]:
    """The indices of elements that are not zero, one tensor per axis.

    Args:
        size: the number of indices, needed under `jit`: the first ones, then `fill_value`.

    Raises:
        TraceError: inside of a trace without `size`, because the result's shape would depend on
            values.

    Example:
        >>> import elinvar as el
        >>> [index.tolist() for index in el.nonzero(el.asarray([[0, 1], [2, 0]]))]
        [[0, 1], [1, 0]]
        >>> el.nonzero(el.asarray([0, 5, 6]), size=3, fill_value=-1)[0].tolist()
        [1, 2, -1]
    """
    x = tensor_of("nonzero", x)
    if size is None:
        need_values("nonzero", x, _WAY_OUT)
    if not x.ndim:
        fail(ShapeError, "nonzero", "expected at least one dimension, received a 0-d tensor")
    if size is not None:
        return _first_nonzero(x, size, fill_value)
    flat = flat_nonzero(x)
    coordinates = []
    for dim in reversed(x.shape):
        coordinates.append(ew.remainder(flat, max(dim, 1)))
        flat = ew.floor_divide(flat, max(dim, 1))
    return tuple(reversed(coordinates))


def _first_nonzero(x: Any, size: int, fill_value: int) -> tuple[Any, ...]:
    """The first `size` places, found by counting: the k-th is where the count reaches k."""
    mask = reshape(ew.not_equal(x, 0) if x.dtype.kind != "b" else x, (-1,))
    wanted = F.iota(size=size, dtype=int64)
    if mask.shape[0] == 0:
        return (expand(constant("nonzero", fill_value, int64), (size,)),) * x.ndim
    counts = F.cumsum(cast(mask, int64), axis=0, reverse=False)
    flat = searchsorted(counts, ew.add(wanted, 1))
    real = ew.less(flat, size_tensor(mask.shape[0]))
    coordinates = []
    for dim in reversed(x.shape):
        coordinates.append(ew.where(real, ew.remainder(flat, dim), fill_value))
        flat = ew.floor_divide(flat, dim)
    return tuple(reversed(coordinates))


def where(condition: ArrayLike, x1: Any = None, x2: Any = None, /) -> Any:
    """x1 where the condition holds, else x2; all three broadcast together.

    With the condition alone: the indices where it holds, as from `nonzero`. Not under `jit`.

    Args:
        condition: bool tensor (numbers are compared with zero).
        x1, x2: tensors or Python numbers; the result has their promoted dtype.

    Example:
        >>> import elinvar as el
        >>> x = el.asarray([-1.0, 2.0])
        >>> el.where(x > 0, x, 0.0).tolist()
        [0.0, 2.0]
        >>> el.where(x > 0)[0].tolist()
        [1]
    """
    if x1 is not None and x2 is not None:
        return ew.where(condition, x1, x2)
    if x1 is not None or x2 is not None:
        fail(ValueRangeError, "where", "expected one argument or three, received two")
    return nonzero(condition)


def flat_nonzero(x: Any) -> Any:
    """Positions of the elements of a concrete tensor that are not zero, in row-major order."""
    return true_positions(ew.not_equal(x, 0) if x.dtype.kind != "b" else x)


def searchsorted(x1: ArrayLike, x2: ArrayLike, /, *, side: str = "left", sorter: Any = None) -> Any:
    """Where values would be put into a sorted 1-D tensor so that it stays sorted.

    Args:
        x1: the sorted tensor.
        x2: the values.
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
    below = F.less if side == "left" else F.less_equal
    found = expand(F.constant(value=0, dtype=int64), b.shape)

    def probed(step: Any, found: Any) -> Any:
        probe = ew.add(found, step)
        inside = ew.less_equal(probe, count)
        element = F.gather(a, ew.subtract(ew.minimum(probe, count), 1), axis=0)
        return F.where(F.bitwise_and(inside, below(element, b)), probe, found)

    if isinstance(count, Dim):  # steps beyond the length change nothing
        a = F.pad(a, F.constant(value=0, dtype=a.dtype), low=(0,), high=(1,), interior=(0,))
        one = F.constant(value=1, dtype=int64)

        def turn(i: Any, found: Any) -> Any:
            return probed(F.shift_left(one, ew.subtract(HIGHEST_STEP, i)), found)

        return fori_loop(0, HIGHEST_STEP + 1, turn, found)
    step = 1 << max(count.bit_length() - 1, 0)
    while step and count:
        found = probed(step, found)
        step >>= 1
    return found


def _unique_parts(op: str, x: ArrayLike) -> tuple[Any, Any, Any, Any]:
    """The flattened tensor, the order that sorts it, the sorted values, the first of each run."""
    x = tensor_of(op, x)
    need_values(op, x, "call it outside of the jit")
    flat = reshape(x, (-1,))
    keys = cast(flat, int64) if flat.dtype.kind == "b" else flat
    order = F.argsort(keys, axis=0, descending=False)
    ordered = F.gather(flat, order, axis=0) if flat.shape[0] else flat
    count = flat.shape[0]
    if count < 2:
        starts = F.iota(size=count, dtype=int64)
    else:
        changed = F.not_equal(sliced(ordered, 0, 1, count - 1), sliced(ordered, 0, 0, count - 1))
        starts = ew.add(flat_nonzero(changed), 1)
        starts = F.concatenate(F.iota(size=1, dtype=int64), starts, axis=0)
    return flat, order, ordered, starts


def unique_all(x: ArrayLike, /) -> UniqueAll:
    """The distinct values in order, where each first occurs, the way back, and how often it occurs.

    Each NaN counts as a value of its own. Not under `jit`.

    Example:
        >>> import elinvar as el
        >>> found = el.unique_all(el.asarray([3, 1, 3]))
        >>> found.values.tolist(), found.indices.tolist()
        ([1, 3], [1, 0])
        >>> found.inverse_indices.tolist(), found.counts.tolist()
        ([1, 0, 1], [1, 2])
    """
    flat, order, ordered, starts = _unique_parts("unique_all", x)
    shape = tensor_of("unique_all", x).shape
    count, distinct = flat.shape[0], starts.shape[0]
    if not count:
        return UniqueAll(flat, order, reshape(order, shape), order)
    total = F.reshape(F.constant(value=count, dtype=int64), shape=(1,))
    ends = F.concatenate(sliced(starts, 0, 1, distinct - 1), total, axis=0)
    marks = F.scatter(
        expand(F.constant(value=0, dtype=int64), (count,)),
        starts,
        expand(F.constant(value=1, dtype=int64), (distinct,)),
        axis=0,
        mode="set",
    )
    group = ew.subtract(F.cumsum(marks, axis=0, reverse=False), 1)
    inverse = F.scatter(F.zeros_like(group), order, group, axis=0, mode="set")
    return UniqueAll(
        F.gather(ordered, starts, axis=0),
        F.gather(order, starts, axis=0),
        F.reshape(inverse, shape=shape),
        F.subtract(ends, starts),
    )


def unique_counts(x: ArrayLike, /) -> UniqueCounts:
    """The distinct values in order and how often each occurs. Not under `jit`.

    Example:
        >>> import elinvar as el
        >>> found = el.unique_counts(el.asarray([3, 1, 3]))
        >>> found.values.tolist(), found.counts.tolist()
        ([1, 3], [1, 2])
    """
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: ArrayLike, /) -> UniqueInverse:
    """The distinct values in order and the indices that rebuild x from them. Not under `jit`.

    Example:
        >>> import elinvar as el
        >>> el.unique_inverse(el.asarray([3, 1, 3])).inverse_indices.tolist()
        [1, 0, 1]
    """
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: ArrayLike, /) -> Any:
    """The distinct values in order. Not under `jit`.

    Example:
        >>> import elinvar as el
        >>> el.unique_values(el.asarray([3, 1, 3])).tolist()
        [1, 3]
    """
    _, _, ordered, starts = _unique_parts("unique_values", x)
    return F.gather(ordered, starts, axis=0) if ordered.shape[0] else ordered


def isin(x1: ArrayLike, x2: ArrayLike, /, *, invert: bool = False) -> Any:
    """True where an element of x1 occurs in x2.

    Example:
        >>> import elinvar as el
        >>> el.isin(el.asarray([1, 2, 3]), el.asarray([3, 1])).tolist()
        [True, False, True]
    """
    a, b = typed_pair("isin", x1, x2)
    members = reshape(b, (1,) * a.ndim + (-1,))
    column = F.reshape(a, shape=(*a.shape, 1))
    found = F.any(F.equal(*broadcast_all("isin", column, members)), axes=(a.ndim,))
    return F.bitwise_invert(found) if invert else found

"""Sorting by several keys, partitions, distinct values and sets, by NumPy's names."""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import int64, promote
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import normalize_axis
from elinvar.tensor import elementwise as ew
from elinvar.tensor import manipulation as man
from elinvar.tensor import reductions as red
from elinvar.tensor import searching as find
from elinvar.tensor.cell import Cell
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, constant, expand, tensor_of
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra.shaping import ravel
from elinvar.tensor.gathering import gathered


def lexsort(keys: Any, /, axis: int = -1) -> Any:
    """The indices that sort by several keys; the last key counts first.

    Example:
        >>> import elinvar as el
        >>> el.lexsort((el.asarray([2, 1, 0]), el.asarray([0, 0, 1]))).tolist()
        [1, 0, 2]
    """
    rows = list(man.unstack(keys)) if isinstance(keys, Cell) else [*keys]
    tensors = [tensor_of("lexsort", item) for item in rows]
    if not tensors:
        fail(ValueRangeError, "lexsort", "expected at least one key")
    if any(item.shape != tensors[0].shape for item in tensors):
        kinds = ", ".join(str(item._type) for item in tensors)
        fail(ShapeError, "lexsort", f"keys must have one shape, received {kinds}")
    if not tensors[0].ndim:
        return constant("lexsort", 0, int64)
    axis = normalize_axis("lexsort", axis, tensors[0].ndim)
    order = find.argsort(tensors[0], axis=axis)
    for key in tensors[1:]:  # a stable sort by a later key keeps the order of earlier ones
        step = find.argsort(find.take_along_axis(key, order, axis=axis), axis=axis)
        order = find.take_along_axis(order, step, axis=axis)
    return order


def _in_order(op: str, x: Any, kth: Any, axis: int | None) -> tuple[Any, int]:
    x = tensor_of(op, x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis(op, axis, x.ndim)
    count = x.shape[axis]
    for place in (kth,) if hasattr(kth, "__index__") else tuple(kth):
        if isinstance(count, int) and not -count <= place < count:
            fail(ValueRangeError, op, f"kth is {place}, axis {axis} of {x._type} has {count}")
    return x, axis


def partition(x: Any, /, kth: Any, axis: int | None = -1) -> Any:
    """Elements such that those before place kth are not greater, those after it not less.

    All are in order here, which is one of the results that NumPy may give.

    Example:
        >>> import elinvar as el
        >>> el.partition(el.asarray([3, 1, 2]), 1)[1].item()
        2
    """
    x, axis = _in_order("partition", x, kth, axis)
    return find.sort(x, axis=axis)


def argpartition(x: Any, /, kth: Any, axis: int | None = -1) -> Any:
    """The indices of `partition`.

    Example:
        >>> import elinvar as el
        >>> el.argpartition(el.asarray([3, 1, 2]), 1)[1].item()
        2
    """
    x, axis = _in_order("argpartition", x, kth, axis)
    return find.argsort(x, axis=axis)


def unique(
    x: Any,
    /,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The distinct values in order, or the distinct slices along an axis.

    Args:
        return_index: also where each first occurs.
        return_inverse: also the indices that rebuild x.
        return_counts: also how often each occurs.
        axis: compare slices along it; None compares the elements.
        equal_nan: whether NaNs count as one value.
        size: the number of results, needed under `jit`: the first ones, then `fill_value` (by
            default the least value), which counts 0 times.

    Example:
        >>> import elinvar as el
        >>> values, counts = el.unique(el.asarray([3, 1, 3]), return_counts=True)
        >>> values.tolist(), counts.tolist()
        ([1, 3], [1, 2])
        >>> el.jit(lambda x: el.unique(x, size=3, fill_value=-1))(el.asarray([3, 1, 3])).tolist()
        [1, 3, -1]
    """
    x = tensor_of("unique", x)
    rows = F.reshape(x, shape=(x._type.size, 1))
    if axis is not None:
        place = normalize_axis("unique", axis, x.ndim)
        moved = man.moveaxis(x, place, 0)
        rows = man.reshape(moved, (moved.shape[0], -1)) if x.size else moved
    if size is None:
        find.need_values("unique", x, "pass `size=`, the number of results")
    if rows.ndim != 2 or not rows.shape[0]:
        return _nothing(x, rows, axis, (return_index, return_inverse, return_counts), size)
    order, starts, group = _groups(rows, equal_nan=bool(equal_nan))
    count = size
    if count is None:
        count = red.sum(starts).item()
    first = find.searchsorted(group, F.iota(size=count, dtype=int64))  # of each group, in order
    distinct = ew.add(man.sliced(group, 0, rows.shape[0] - 1, 1), 1)
    real = ew.less(F.iota(size=count, dtype=int64), distinct)
    held = ew.where(real, first, 0)
    index = gathered(order, held, 0)
    values = gathered(rows, index, 0)
    if size is not None and fill_value is not None:
        filler = constant("unique", fill_value, x.dtype)
        mask = F.reshape(real, shape=(count, 1))
        values = ew.where(mask, values, filler)
    if axis is None:
        values = F.reshape(values, shape=(count,))
    else:
        values = man.moveaxis(F.reshape(values, shape=(count, *moved.shape[1:])), 0, place)
    found = [values]
    if return_index:
        found.append(index)
    if return_inverse:
        inverse = F.scatter(F.zeros_like(group), order, group, axis=0, mode="set")
        found.append(F.reshape(inverse, shape=x.shape) if axis is None else inverse)
    if return_counts:
        nothing = expand(constant("unique", 0, int64), (count,))
        one = expand(constant("unique", 1, int64), group.shape)
        found.append(F.scatter(nothing, group, one, axis=0, mode="add"))
    return found[0] if len(found) == 1 else tuple(found)


def _nothing(x: Any, rows: Any, axis: Any, wanted: tuple[bool, ...], size: Any) -> Any:
    empty = F.iota(size=0, dtype=int64)
    values = man.reshape(x, (-1,)) if axis is None else x
    shapes = (empty, F.reshape(empty, shape=x.shape) if axis is None else empty, empty)
    if size:
        fail(ValueRangeError, "unique", f"size is {size}, but {x._type} has no element")
    found = [values, *(part for part, flag in zip(shapes, wanted, strict=True) if flag)]
    return found[0] if len(found) == 1 else tuple(found)


@composite
def _groups(rows: Any, *, equal_nan: bool) -> Any:
    """The order that sorts the rows, where a new value starts in it, and its number."""
    count, width = rows.shape
    keys = cast(rows, int64) if rows.dtype.kind == "b" else rows
    order = F.iota(size=count, dtype=int64)
    for column in reversed(range(width)):
        key = F.reshape(man.sliced(keys, 1, column, 1), shape=(count,))
        step = F.argsort(gathered(key, order, 0), axis=0, descending=False)
        order = gathered(order, step, 0)
    ordered = gathered(keys, order, 0)
    later, earlier = man.sliced(ordered, 0, 1, count - 1), man.sliced(ordered, 0, 0, count - 1)
    differs = F.not_equal(later, earlier)
    if equal_nan and rows.dtype.kind == "f":
        both = F.bitwise_and(F.not_equal(later, later), F.not_equal(earlier, earlier))
        differs = F.bitwise_and(differs, F.bitwise_invert(both))
    changed = F.any(differs, axes=(1,))
    first = expand(F.constant(value=True, dtype=changed.dtype), (1,))
    starts = F.concatenate(first, changed, axis=0)
    numbers = F.cumsum(cast(starts, int64), axis=0, reverse=False)
    return order, starts, ew.subtract(numbers, 1)


def _joint(op: str, x1: Any, x2: Any) -> tuple[Any, Any]:
    a, b = ravel(tensor_of(op, x1)), ravel(tensor_of(op, x2))
    kind = promote(a.dtype, b.dtype)
    return cast(a, kind), cast(b, kind)


def _picked(op: str, x: Any, mask: Any) -> Any:
    find.need_values(op, x, "call it outside of the jit")
    return find.take(x, find.nonzero(mask)[0], axis=0)


def union1d(x1: Any, x2: Any, /) -> Any:
    """The distinct values of two tensors in order. Not under `jit`.

    Example:
        >>> import elinvar as el
        >>> el.union1d(el.asarray([3, 1]), el.asarray([2, 3])).tolist()
        [1, 2, 3]
    """
    a, b = _joint("union1d", x1, x2)
    return unique(man.concat([a, b]))


def intersect1d(x1: Any, x2: Any, /) -> Any:
    """The distinct values in order that two tensors share. Not under `jit`.

    Example:
        >>> import elinvar as el
        >>> el.intersect1d(el.asarray([3, 1]), el.asarray([2, 3])).tolist()
        [3]
    """
    a, b = _joint("intersect1d", x1, x2)
    own = unique(a)
    return _picked("intersect1d", own, find.isin(own, b))


def setdiff1d(x1: Any, x2: Any, /) -> Any:
    """The distinct values in order of x1 that x2 does not have. Not under `jit`.

    Example:
        >>> import elinvar as el
        >>> el.setdiff1d(el.asarray([3, 1]), el.asarray([2, 3])).tolist()
        [1]
    """
    a, b = _joint("setdiff1d", x1, x2)
    own = unique(a)
    return _picked("setdiff1d", own, find.isin(own, b, invert=True))


def setxor1d(x1: Any, x2: Any, /) -> Any:
    """The distinct values in order that only one of two tensors has. Not under `jit`.

    Example:
        >>> import elinvar as el
        >>> el.setxor1d(el.asarray([3, 1]), el.asarray([2, 3])).tolist()
        [1, 2]
    """
    a, b = _joint("setxor1d", x1, x2)
    return union1d(setdiff1d(a, b), setdiff1d(b, a))

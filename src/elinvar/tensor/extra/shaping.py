"""Joining, cutting, turning and editing arrays by NumPy's names."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import normalize_axes, normalize_axis, size
from elinvar.tensor import manipulation as man
from elinvar.tensor.assigning import rebound
from elinvar.tensor.cell import Cell
from elinvar.tensor.convert import cast, expand, tensor_of
from elinvar.tensor.dispatch import F, apart
from elinvar.tensor.gathering import checked_index, gathered, scattered, true_positions
from elinvar.tensor.searching import is_nonzero, need_values
from elinvar.tensor.storage import stored_array


def _list_of(op: str, arrays: Any) -> list[Any]:
    if isinstance(arrays, Cell):
        return list(man.unstack(arrays))
    found = [tensor_of(op, item) for item in arrays]
    if not found:
        fail(ValueRangeError, op, "expected at least one tensor")
    return found


def _several(found: list[Any]) -> Any:
    return found[0] if len(found) == 1 else tuple(found)


def atleast_1d(*arrays: Any) -> Any:
    """Tensors with at least one axis; a single one comes back bare, several as a tuple.

    Example:
        >>> import elinvar as el
        >>> el.atleast_1d(3.0).shape
        (1,)
    """
    tensors = [tensor_of("atleast_1d", x) for x in arrays]
    return _several([_one(x) for x in tensors])


def _one(x: Any) -> Any:
    return apart(x, x, is_view=True) if x.ndim else F.reshape(x, shape=(1,))


def _two(x: Any) -> Any:
    return apart(x, x, is_view=True) if x.ndim >= 2 else F.reshape(x, shape=(1, x._type.size))


def _three(x: Any) -> Any:
    if x.ndim >= 3:
        return apart(x, x, is_view=True)
    return F.reshape(x, shape=(*_shape_of_three(x),))


def _shape_of_three(x: Any) -> tuple[Any, ...]:
    return (*x.shape, 1) if x.ndim == 2 else (1, x._type.size, 1)


def atleast_2d(*arrays: Any) -> Any:
    """Tensors with at least two axes, new ones in front.

    Example:
        >>> import elinvar as el
        >>> el.atleast_2d(el.ones(3)).shape
        (1, 3)
    """
    return _several([_two(tensor_of("atleast_2d", x)) for x in arrays])


def atleast_3d(*arrays: Any) -> Any:
    """Tensors with at least three axes: (N,) → (1, N, 1), (M, N) → (M, N, 1).

    Example:
        >>> import elinvar as el
        >>> el.atleast_3d(el.ones(3)).shape
        (1, 3, 1)
    """
    return _several([_three(tensor_of("atleast_3d", x)) for x in arrays])


def hstack(arrays: Sequence[Any], /) -> Any:
    """Tensors side by side: along the second axis, 1-D ones along their only one.

    Example:
        >>> import elinvar as el
        >>> el.hstack([el.asarray([1, 2]), el.asarray([3])]).tolist()
        [1, 2, 3]
    """
    tensors = [x if x.ndim else man.reshape(x, (1,)) for x in _list_of("hstack", arrays)]
    return man.concat(tensors, axis=0 if tensors[0].ndim == 1 else 1)


def vstack(arrays: Sequence[Any], /) -> Any:
    """Tensors one below the other; 1-D ones are rows.

    Example:
        >>> import elinvar as el
        >>> el.vstack([el.asarray([1, 2]), el.asarray([3, 4])]).tolist()
        [[1, 2], [3, 4]]
    """
    return man.concat([_two(x) for x in _list_of("vstack", arrays)], axis=0)


def dstack(arrays: Sequence[Any], /) -> Any:
    """Tensors joined along the third axis.

    Example:
        >>> import elinvar as el
        >>> el.dstack([el.asarray([1, 2]), el.asarray([3, 4])]).tolist()
        [[[1, 3], [2, 4]]]
    """
    return man.concat([_three(x) for x in _list_of("dstack", arrays)], axis=2)


def column_stack(arrays: Sequence[Any], /) -> Any:
    """1-D tensors as columns, matrices as they are, side by side.

    Example:
        >>> import elinvar as el
        >>> el.column_stack([el.asarray([1, 2]), el.asarray([3, 4])]).tolist()
        [[1, 3], [2, 4]]
    """
    tensors = _list_of("column_stack", arrays)
    columns = [x if x.ndim >= 2 else F.reshape(x, shape=(x._type.size, 1)) for x in tensors]
    return man.concat(columns, axis=1)


def block(arrays: Any, /) -> Any:
    """A tensor of nested lists of blocks: the innermost lists are joined along the last axis.

    Example:
        >>> import elinvar as el
        >>> a = el.ones((1, 1))
        >>> el.block([[a, 2 * a], [3 * a, 4 * a]]).tolist()
        [[1.0, 2.0], [3.0, 4.0]]
    """
    depth, rank = _depth(arrays), _rank(arrays)
    return _joined(arrays, 0, depth, max(depth, rank))


def _depth(arrays: Any) -> int:
    if not isinstance(arrays, list):
        return 0
    if not arrays:
        fail(ValueRangeError, "block", "expected no empty list")
    depths = {_depth(item) for item in arrays}
    if len(depths) > 1:
        fail(ShapeError, "block", f"lists are nested to different depths: {sorted(depths)}")
    return 1 + depths.pop()


def _rank(arrays: Any) -> int:
    if isinstance(arrays, list):
        return max(_rank(item) for item in arrays)
    return int(tensor_of("block", arrays).ndim)


def _joined(arrays: Any, level: int, depth: int, rank: int) -> Any:
    if level == depth:
        x = tensor_of("block", arrays)
        return F.reshape(x, shape=(1,) * (rank - x.ndim) + x.shape)
    parts = [_joined(item, level + 1, depth, rank) for item in arrays]
    return man.concat(parts, axis=rank - depth + level)


def swapaxes(x: Any, /, axis1: int, axis2: int) -> Any:
    """Two axes exchanged.

    Example:
        >>> import elinvar as el
        >>> el.swapaxes(el.zeros((2, 3, 4)), 0, 2).shape
        (4, 3, 2)
    """
    x = tensor_of("swapaxes", x)
    first, second = (normalize_axis("swapaxes", axis, x.ndim) for axis in (axis1, axis2))
    order = list(range(x.ndim))
    order[first], order[second] = second, first
    return man.permute_dims(x, tuple(order))


def transpose(x: Any, /, axes: Sequence[int] | None = None) -> Any:
    """The axes in another order, reversed if none is given, as in NumPy.

    The standard's names are `permute_dims` and `matrix_transpose`.

    Example:
        >>> import elinvar as el
        >>> el.transpose(el.zeros((2, 3, 4))).shape
        (4, 3, 2)
    """
    x = tensor_of("transpose", x)
    return man.permute_dims(x, tuple(reversed(range(x.ndim))) if axes is None else axes)


def ravel(x: Any, /) -> Any:
    """All elements along one axis, in row-major order.

    Example:
        >>> import elinvar as el
        >>> el.ravel(el.asarray([[1, 2], [3, 4]])).tolist()
        [1, 2, 3, 4]
    """
    return man.reshape(tensor_of("ravel", x), (-1,))


def fliplr(x: Any, /) -> Any:
    """The second axis in reverse order.

    Example:
        >>> import elinvar as el
        >>> el.fliplr(el.asarray([[1, 2], [3, 4]])).tolist()
        [[2, 1], [4, 3]]
    """
    x = tensor_of("fliplr", x)
    if x.ndim < 2:
        fail(ShapeError, "fliplr", f"expected at least 2 dimensions, received {x._type}")
    return F.flip(x, axes=(1,))


def flipud(x: Any, /) -> Any:
    """The first axis in reverse order.

    Example:
        >>> import elinvar as el
        >>> el.flipud(el.asarray([[1, 2], [3, 4]])).tolist()
        [[3, 4], [1, 2]]
    """
    x = tensor_of("flipud", x)
    if not x.ndim:
        fail(ShapeError, "flipud", "expected at least 1 dimension, received a 0-d tensor")
    return F.flip(x, axes=(0,))


def rot90(x: Any, /, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """A plane turned k times by 90°, from the first of the two axes towards the second.

    Example:
        >>> import elinvar as el
        >>> el.rot90(el.asarray([[1, 2], [3, 4]])).tolist()
        [[2, 4], [1, 3]]
    """
    x = tensor_of("rot90", x)
    if len(axes) != 2 or len(normalize_axes("rot90", tuple(axes), x.ndim)) != 2:
        fail(ValueRangeError, "rot90", f"axes must be two different axes, received {axes}")
    first, second = (normalize_axis("rot90", axis, x.ndim) for axis in axes)
    turns = k % 4
    if turns == 2:
        return F.flip(x, axes=tuple(sorted((first, second))))
    if turns == 1:
        return swapaxes(F.flip(x, axes=(second,)), first, second)
    if not turns:
        return apart(x, x, is_view=True)
    return F.flip(swapaxes(x, first, second), axes=(second,))


def array_split(x: Any, indices_or_sections: Any, /, axis: int = 0) -> tuple[Any, ...]:
    """Cut an axis into a number of nearly equal pieces, or before each of several indices.

    Example:
        >>> import elinvar as el
        >>> [piece.tolist() for piece in el.array_split(el.arange(5), 2)]
        [[0, 1, 2], [3, 4]]
    """
    return _cut("array_split", x, indices_or_sections, axis, False)


def _cut(op: str, x: Any, sections: Any, axis: int, equal: bool) -> tuple[Any, ...]:
    x = tensor_of(op, x)
    axis = normalize_axis(op, axis, x.ndim)
    total = man.static_size(op, x, axis)
    if hasattr(sections, "__index__"):
        count = sections.__index__()
        if count <= 0:
            fail(ValueRangeError, op, f"the number of pieces must be positive, received {count}")
        each, more = divmod(total, count)
        if equal and more:
            text = f"axis {axis} of {x._type} does not divide into {count} equal pieces"
            fail(ShapeError, op, text, "use `array_split`")
        ends = [0, *(each * (i + 1) + min(i + 1, more) for i in range(count))]
    else:
        places = [slice(int(i)).indices(total)[1] for i in sections]
        ends = [0, *places, total]
    return tuple(
        man.sliced(x, axis, start, max(0, stop - start)) for start, stop in itertools.pairwise(ends)
    )


def hsplit(x: Any, indices_or_sections: Any, /) -> tuple[Any, ...]:
    """`array_split` into equal pieces along the second axis (of 1-D tensors: the only one).

    Example:
        >>> import elinvar as el
        >>> [piece.tolist() for piece in el.hsplit(el.arange(4), 2)]
        [[0, 1], [2, 3]]
    """
    x = tensor_of("hsplit", x)
    return _cut("hsplit", x, indices_or_sections, 0 if x.ndim == 1 else 1, True)


def vsplit(x: Any, indices_or_sections: Any, /) -> tuple[Any, ...]:
    """`array_split` into equal pieces along the first axis.

    Example:
        >>> import elinvar as el
        >>> [piece.tolist() for piece in el.vsplit(el.asarray([[1], [2]]), 2)]
        [[[1]], [[2]]]
    """
    return _cut("vsplit", x, indices_or_sections, 0, True)


def dsplit(x: Any, indices_or_sections: Any, /) -> tuple[Any, ...]:
    """`array_split` into equal pieces along the third axis.

    Example:
        >>> import elinvar as el
        >>> el.dsplit(el.zeros((1, 2, 4)), 2)[0].shape
        (1, 2, 2)
    """
    return _cut("dsplit", x, indices_or_sections, 2, True)


# ---- editing ------------------------------------------------------------------------------------


def append(x: Any, values: Any, /, axis: int | None = None) -> Any:
    """x with values behind it along an axis (both flattened if None).

    Example:
        >>> import elinvar as el
        >>> el.append(el.asarray([1, 2]), [3]).tolist()
        [1, 2, 3]
    """
    a, b = tensor_of("append", x), tensor_of("append", values)
    if axis is None:
        a, b, axis = ravel(a), ravel(b), 0
    return man.concat([a, b], axis=axis)


def _places(op: str, obj: Any, total: int) -> Any:
    """Static places along an axis as a numpy array of ints; a lone int stays 0-d."""
    if isinstance(obj, slice):
        return np.arange(*obj.indices(total))
    if isinstance(obj, Cell):
        need_values(op, obj, "give the places as Python ints")
        obj = stored_array(obj, op)
    places = np.asarray(obj)
    if places.dtype.kind == "b":
        return np.flatnonzero(places)
    if places.size and places.dtype.kind not in "iu":
        fail(ValueRangeError, op, f"places must be integers, received {places.dtype}")
    return places.astype(np.int64)


def delete(x: Any, obj: Any, /, axis: int | None = None) -> Any:
    """x without the slices at some places of an axis (of the flattened tensor if None).

    Args:
        obj: an int, ints, a slice or a mask; their values must be known.

    Example:
        >>> import elinvar as el
        >>> el.delete(el.asarray([10, 20, 30, 40]), [0, 2]).tolist()
        [20, 40]
    """
    x = tensor_of("delete", x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis("delete", axis, x.ndim)
    total = man.static_size("delete", x, axis)
    places = _places("delete", obj, total).reshape(-1)
    checked_index("delete", places, total, axis)
    kept = np.ones(total, bool)
    kept[places] = False
    return gathered(x, tensor_of("delete", np.flatnonzero(kept)), axis)


def insert(x: Any, obj: Any, values: Any, /, axis: int | None = None) -> Any:
    """x with values put before some places of an axis (of the flattened tensor if None).

    Args:
        obj: an int, ints or a slice; their values must be known.
        values: what to insert; broadcasts.

    Example:
        >>> import elinvar as el
        >>> el.insert(el.asarray([1, 2, 3]), 1, 9).tolist()
        [1, 9, 2, 3]
    """
    x = tensor_of("insert", x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis("insert", axis, x.ndim)
    total = man.static_size("insert", x, axis)
    places = _places("insert", obj, total)
    alone = places.ndim == 0
    flat = np.where(places < 0, places + total, places).reshape(-1)
    if flat.size and not (flat.min() >= 0 and flat.max() <= total):
        text = f"place {int(places.reshape(-1)[0])} is out of bounds for size {total}"
        fail(ValueRangeError, "insert", text)
    values = cast(tensor_of("insert", values, x.dtype), x.dtype)
    if alone and values.ndim:  # numpy: values[i] goes to the axis
        rank = x.ndim
        values = F.reshape(values, shape=(1,) * (rank - values.ndim) + values.shape)
        values = man.moveaxis(values, 0, axis)
        flat = np.repeat(flat, man.static_size("insert", values, axis))
    count = len(flat)
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    order = np.argsort(flat, kind="stable")
    targets = np.empty(count, np.int64)
    targets[order] = flat[order] + np.arange(count)
    old = np.setdiff1d(np.arange(total + count), targets)
    source = np.empty(total + count, np.int64)
    source[old] = np.arange(total)
    source[targets] = total + np.arange(count)
    both = F.concatenate(x, man.broadcast_to(values, shape), axis=axis)
    return gathered(both, tensor_of("insert", source), axis)


def resize(x: Any, new_shape: Any, /) -> Any:
    """The elements in row-major order, repeated or cut to fill a shape.

    Example:
        >>> import elinvar as el
        >>> el.resize(el.asarray([1, 2, 3]), (2, 2)).tolist()
        [[1, 2], [3, 1]]
    """
    flat = ravel(tensor_of("resize", x))
    shape = man.as_shape("resize", new_shape)
    total = man.static_size("resize", flat, 0)
    count: Any = size(shape)
    if not total:
        return expand(F.constant(value=0, dtype=flat.dtype), shape)
    times = -(-count // total)
    return F.reshape(man.sliced(man.tile(flat, (times,)), 0, 0, count), shape=shape)


def trim_zeros(x: Any, /, trim: str = "fb") -> Any:
    """A 1-D tensor without the zeros at its front ("f") and back ("b"). Not under `jit`.

    Example:
        >>> import elinvar as el
        >>> el.trim_zeros(el.asarray([0, 0, 1, 0, 2, 0])).tolist()
        [1, 0, 2]
    """
    x = tensor_of("trim_zeros", x)
    need_values("trim_zeros", x, "call it outside of the jit")
    if x.ndim != 1:
        fail(ShapeError, "trim_zeros", f"expected a 1-D tensor, received {x._type}")
    places = true_positions(is_nonzero(x))
    if not places.shape[0]:
        return man.sliced(x, 0, 0, 0)
    first = places[0].item() if "f" in trim.lower() else 0
    last = places[-1].item() + 1 if "b" in trim.lower() else x.shape[0]
    return man.sliced(x, 0, first, last - first)


def diag(x: Any, /, k: int = 0) -> Any:
    """The k-th diagonal of a matrix, or the square matrix with a given diagonal.

    Example:
        >>> import elinvar as el
        >>> el.diag(el.asarray([1, 2])).tolist()
        [[1, 0], [0, 2]]
    """
    return tensor_of("diag", x).diag(k)


def diagflat(x: Any, /, k: int = 0) -> Any:
    """The square matrix whose k-th diagonal holds the flattened elements.

    Example:
        >>> import elinvar as el
        >>> el.diagflat(el.asarray([[1, 2]]), 1).tolist()
        [[0, 1, 0], [0, 0, 2], [0, 0, 0]]
    """
    return ravel(x).diag(k)


def diagonal(x: Any, /, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonal of two axes as the last axis, as in NumPy (see also `el.linalg.diagonal`).

    Example:
        >>> import elinvar as el
        >>> el.diagonal(el.asarray([[1, 2], [3, 4]])).tolist()
        [1, 4]
    """
    return tensor_of("diagonal", x).diagonal(offset, axis1, axis2)


def trace(x: Any, /, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of the diagonal of two axes, as in NumPy (see also `el.linalg.trace`).

    Example:
        >>> import elinvar as el
        >>> el.trace(el.asarray([[1, 2], [3, 4]])).item()
        5
    """
    return diagonal(x, offset, axis1, axis2).sum(-1)


def fill_diagonal(x: Any, val: Any, wrap: bool = False, *, inplace: bool = True) -> Any:
    """Set the elements (i, i, …) to val, in place; 1-D values are repeated along it. Gives x.

    In matrices, `wrap` starts anew below the last column. With `inplace=False`, as in JAX, x stays
    as it is and the result is a new tensor.

    Example:
        >>> import elinvar as el
        >>> el.fill_diagonal(el.zeros((2, 2)), 1.0).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    target, x = x, tensor_of("fill_diagonal", x)
    if x.ndim < 2:
        fail(ShapeError, "fill_diagonal", f"expected at least 2 dimensions, received {x._type}")
    if x.ndim > 2 and len(set(x.shape)) != 1:
        fail(ShapeError, "fill_diagonal", f"sizes must be equal, received {x._type}")
    sizes = [man.static_size("fill_diagonal", x, axis) for axis in range(x.ndim)]
    step = sum(int(np.prod(sizes[axis + 1 :])) for axis in range(x.ndim))
    total = int(np.prod(sizes))
    end = total if wrap or x.ndim > 2 else min(total, sizes[1] * sizes[1])
    places = np.arange(0, end, step)
    values = ravel(cast(tensor_of("fill_diagonal", val, x.dtype), x.dtype))
    if not len(places):
        return x
    update = values if values.shape[0] == 1 else resize(values, (len(places),))
    flat = ravel(x)
    found = scattered(
        flat, tensor_of("fill_diagonal", places), expand(update, (len(places),)), 0, "set"
    )
    found = F.reshape(found, shape=x.shape)
    return rebound("fill_diagonal", target, found, inplace)


def apply_over_axes(function: Any, x: Any, axes: Any, /) -> Any:
    """`function(x, axis=…)` for each of several axes in turn; axes that it drops are put back.

    Example:
        >>> import elinvar as el
        >>> el.apply_over_axes(el.sum, el.ones((2, 3)), [0, 1]).tolist()
        [[6.0]]
    """
    x = tensor_of("apply_over_axes", x)
    for axis in (axes,) if hasattr(axes, "__index__") else tuple(axes):
        place = normalize_axis("apply_over_axes", axis, x.ndim)
        found = function(x, axis=place)
        x = found if found.ndim == x.ndim else man.expand_dims(found, place)
    return x


def sliding_window_view(x: Any, window_shape: Any, /, axis: Any = None) -> Any:
    """All windows of a shape, as new last axes.

    Example:
        >>> import elinvar as el
        >>> el.sliding_window_view(el.arange(4), 3).tolist()
        [[0, 1, 2], [1, 2, 3]]
    """
    x = tensor_of("sliding_window_view", x)
    sizes: Any = man.as_shape("sliding_window_view", window_shape)
    axes = normalize_axes("sliding_window_view", axis, x.ndim)
    if len(axes) != len(sizes):
        text = f"{len(sizes)} sizes for {len(axes)} axes"
        fail(ValueRangeError, "sliding_window_view", text)
    ones = (1,) * len(axes)
    found = F.windows(x, axes=axes, sizes=sizes, strides=ones, dilations=ones)
    return man.moveaxis(found, tuple(range(len(axes))), tuple(range(x.ndim, x.ndim + len(axes))))


def isscalar(x: Any, /) -> bool:
    """Whether something is a plain number (tensors without axes are not).

    Example:
        >>> import elinvar as el
        >>> el.isscalar(3.5), el.isscalar(el.asarray(3.5))
        (True, False)
    """
    return isinstance(x, (bool, int, float, complex, np.generic))

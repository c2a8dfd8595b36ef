"""Choosing, placing and numbering elements by NumPy's names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from elinvar.core.dtypes import bool_, default_float, int64
from elinvar.core.errors import OutOfBoundsError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import normalize_axis, size
from elinvar.tensor import elementwise as ew
from elinvar.tensor import manipulation as man
from elinvar.tensor import reductions as red
from elinvar.tensor import searching as find
from elinvar.tensor.assigning import rebound
from elinvar.tensor.cell import Cell, current_trace
from elinvar.tensor.convert import (
    broadcast_all,
    cast,
    expand,
    optional_dtype,
    result_dtype,
    tensor_of,
)
from elinvar.tensor.creation import checked_shape, linspace
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra.shaping import ravel
from elinvar.tensor.gathering import checked_index, gathered, scattered
from elinvar.tensor.indexing import get_item


def argwhere(x: Any, /) -> Any:
    """The indices of elements that are not zero, one row for each. Not under `jit`.

    Example:
        >>> import elinvar as el
        >>> el.argwhere(el.asarray([[0, 1], [2, 0]])).tolist()
        [[0, 1], [1, 0]]
    """
    x = tensor_of("argwhere", x)
    if not x.ndim:  # one place without coordinates, or none
        count = find.nonzero(F.reshape(x, shape=(1,)))[0].shape[0]
        return expand(F.constant(value=0, dtype=int64), (count, 0))
    return man.stack(find.nonzero(x), axis=1)


def flatnonzero(x: Any, /) -> Any:
    """The places of elements that are not zero in the flattened tensor. Not under `jit`.

    Example:
        >>> import elinvar as el
        >>> el.flatnonzero(el.asarray([[0, 1], [2, 0]])).tolist()
        [1, 2]
    """
    return find.nonzero(ravel(x))[0]


def extract(condition: Any, x: Any, /) -> Any:
    """The elements of x where a condition of its size holds. Not under `jit`.

    Example:
        >>> import elinvar as el
        >>> el.extract(el.asarray([True, False]), el.asarray([3, 4])).tolist()
        [3]
    """
    mask = cast(ravel(condition), bool_)
    return get_item(ravel(x), mask, "extract")


def compress(condition: Any, x: Any, /, axis: int | None = None) -> Any:
    """The slices along an axis (of the flattened tensor if None) where a condition holds.

    Example:
        >>> import elinvar as el
        >>> el.compress([False, True], el.asarray([[1, 2], [3, 4]]), axis=0).tolist()
        [[3, 4]]
    """
    mask = tensor_of("compress", condition)
    x = tensor_of("compress", x)
    if mask.ndim != 1:
        fail(ShapeError, "compress", f"the condition must be 1-D, received {mask._type}")
    if axis is None:
        x, axis = ravel(x), 0
    return find.take(x, find.nonzero(mask)[0], axis=normalize_axis("compress", axis, x.ndim))


def choose(x: Any, choices: Any, /, mode: str = "raise") -> Any:
    """For each element i of x the element of choices[i] at the same place.

    Args:
        choices: a list of tensors, or a tensor; all broadcast together.
        mode: "raise" (checked where values are known), "wrap" or "clip".

    Example:
        >>> import elinvar as el
        >>> el.choose(el.asarray([1, 0]), [el.asarray([1, 2]), el.asarray([10, 20])]).tolist()
        [10, 2]
    """
    if mode not in ("raise", "wrap", "clip"):
        text = f"mode must be 'raise', 'wrap' or 'clip', received {mode!r}"
        fail(ValueRangeError, "choose", text)
    options = man.unstack(choices) if isinstance(choices, Cell) else list(choices)
    dtype = result_dtype("choose", list(options))
    tensors = [cast(tensor_of("choose", item), dtype) for item in options]
    count = len(tensors)
    index = tensor_of("choose", x)
    if mode == "wrap":
        index = ew.remainder(index, count)
    elif mode == "clip":
        index = ew.clip(index, 0, count - 1)
    index, *tensors = broadcast_all("choose", index, *tensors)
    index = checked_index("choose", index, count, 0)
    flat = F.reshape(man.stack(tensors), shape=(count, index._type.size))
    row = F.reshape(index, shape=(1, index._type.size))
    found = find.gather_elements(flat, row, 0) if index.size else row
    return F.reshape(cast(found, dtype), shape=index.shape)


def select(condlist: Sequence[Any], choicelist: Sequence[Any], /, default: Any = 0) -> Any:
    """From the first condition that holds the element of its choice, else the default.

    Example:
        >>> import elinvar as el
        >>> x = el.arange(4)
        >>> el.select([x < 1, x > 2], [x, x * 10], default=-1).tolist()
        [0, -1, -1, 30]
    """
    if len(condlist) != len(choicelist) or not condlist:
        text = f"{len(condlist)} conditions and {len(choicelist)} choices"
        fail(ValueRangeError, "select", text)
    dtype = result_dtype("select", [*choicelist, default])
    found: Any = cast(tensor_of("select", default, dtype), dtype)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        found = ew.where(condition, cast(tensor_of("select", choice, dtype), dtype), found)
    return found


def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], /, *args: Any) -> Any:
    """A function given in pieces: the last piece whose condition holds counts, as in NumPy.

    Args:
        condlist: conditions of the shape of x.
        funclist: functions of x (each is called on all of x) or numbers; one more than conditions
            if the last is the default (else 0).

    Example:
        >>> import elinvar as el
        >>> x = el.asarray([-2.0, 3.0])
        >>> el.piecewise(x, [x < 0, x >= 0], [lambda v: -v, 1.0]).tolist()
        [2.0, 1.0]
    """
    x = tensor_of("piecewise", x)
    if not isinstance(condlist, (list, tuple)):
        condlist = [condlist]
    count = len(condlist)
    if len(funclist) not in (count, count + 1):
        text = f"{count} conditions need {count} or {count + 1} functions, got {len(funclist)}"
        fail(ValueRangeError, "piecewise", text)

    def piece(function: Any) -> Any:
        value = function(x, *args) if callable(function) else function
        return cast(expand(tensor_of("piecewise", value, x.dtype), x.shape), x.dtype)

    found = piece(funclist[count] if len(funclist) > count else 0)
    for condition, function in zip(condlist, funclist, strict=False):
        found = ew.where(condition, piece(function), found)
    return found


# ---- placing ------------------------------------------------------------------------------------


def put_along_axis(
    x: Any, indices: Any, values: Any, axis: int | None, inplace: bool = True
) -> Any:
    """x[…, indices[…, i, …], …] = values[…, i, …] along an axis, in place; gives x.

    With `inplace=False`, as JAX wants it, x stays as it is and the result is a new tensor.

    Example:
        >>> import elinvar as el
        >>> el.put_along_axis(el.zeros((1, 3)), el.asarray([[2]]), 5.0, axis=1).tolist()
        [[0.0, 0.0, 5.0]]
    """
    target, x = x, tensor_of("put_along_axis", x)
    shape = x.shape
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis("put_along_axis", axis, x.ndim)
    index = checked_index("put_along_axis", indices, x.shape[axis], axis)
    if index.ndim != x.ndim:
        text = f"indices need {x.ndim} dimensions as {x._type}, received {index._type}"
        fail(ShapeError, "put_along_axis", text)
    full = tuple(n if i == axis else m for i, (n, m) in enumerate(zip(index.shape, x.shape)))
    index = man.broadcast_to(index, full)
    update = man.broadcast_to(cast(tensor_of("put_along_axis", values, x.dtype), x.dtype), full)
    places = ravel(find.flat_positions(x.shape, index, axis))
    found = scattered(ravel(x), places, ravel(update), 0, "set")
    return rebound("put_along_axis", target, F.reshape(found, shape=shape), inplace)


def put(x: Any, indices: Any, values: Any, /, *, inplace: bool = True) -> Any:
    """Replace elements of the flattened tensor, in place; values are repeated. Gives x.

    Of equal indices the last one counts. With `inplace=False` the result is a new tensor.

    Example:
        >>> import elinvar as el
        >>> el.put(el.asarray([1, 2, 3]), [0, 2], [7, 8]).tolist()
        [7, 2, 8]
    """
    target, x = x, tensor_of("put", x)
    flat = ravel(x)
    index = ravel(checked_index("put", indices, flat.shape[0], 0))
    update = ravel(cast(tensor_of("put", values, x.dtype), x.dtype))
    count, given = index.shape[0], update.shape[0]
    if not given or not count:
        return x
    if given != count:
        places = np.arange(count) % given
        update = gathered(update, tensor_of("put", places), 0)
    found = F.reshape(scattered(flat, index, update, 0, "set"), shape=x.shape)
    return rebound("put", target, found, inplace)


def place(x: Any, mask: Any, values: Any, /, *, inplace: bool = True) -> Any:
    """Replace the elements under a mask by the values in turn, in place; gives x.

    With `inplace=False` the result is a new tensor.

    Example:
        >>> import elinvar as el
        >>> el.place(el.asarray([1, 2, 3]), el.asarray([True, False, True]), [7, 8]).tolist()
        [7, 2, 8]
    """
    target, x, mask = x, tensor_of("place", x), cast(tensor_of("place", mask), bool_)
    if mask.size != x.size:
        fail(ShapeError, "place", f"the mask {mask._type} does not fit {x._type}")
    flat, flags = ravel(x), ravel(mask)
    update = ravel(cast(tensor_of("place", values, x.dtype), x.dtype))
    if not x.size or not update.size:
        return x
    number = ew.subtract(F.cumsum(cast(flags, int64), axis=0, reverse=False), 1)
    chosen = gathered(update, ew.remainder(ew.maximum(number, 0), update.shape[0]), 0)
    found = F.reshape(F.where(flags, chosen, flat), shape=x.shape)
    return rebound("place", target, found, inplace)


# ---- numbering ----------------------------------------------------------------------------------


def unravel_index(indices: Any, shape: Any, /) -> tuple[Any, ...]:
    """Places in a flattened tensor as one tensor of indices for each axis.

    Example:
        >>> import elinvar as el
        >>> [i.tolist() for i in el.unravel_index(el.asarray([5, 2]), (2, 3))]
        [[1, 0], [2, 2]]
    """
    dims = man.as_shape("unravel_index", shape)
    flat = cast(tensor_of("unravel_index", indices), int64)
    total = size(dims)
    if current_trace() is None and flat.size and isinstance(total, int):
        low, high = red.min(flat).item(), red.max(flat).item()
        if low < 0 or high >= total:
            wrong = low if low < 0 else high
            text = f"index {wrong} is out of bounds for a shape {dims} of {total} elements"
            fail(OutOfBoundsError, "unravel_index", text)
    found = []
    for dim in reversed(dims):
        found.append(ew.remainder(flat, dim))
        flat = ew.floor_divide(flat, dim)
    return tuple(reversed(found))


def ravel_multi_index(multi_index: Any, dims: Any, /, mode: str = "raise") -> Any:
    """One tensor of indices for each axis as places in the flattened tensor.

    Args:
        mode: "raise" (checked where values are known), "wrap" or "clip".

    Example:
        >>> import elinvar as el
        >>> el.ravel_multi_index((el.asarray([1, 0]), el.asarray([2, 2])), (2, 3)).tolist()
        [5, 2]
    """
    sizes = man.as_shape("ravel_multi_index", dims)
    parts = [cast(tensor_of("ravel_multi_index", item), int64) for item in multi_index]
    if len(parts) != len(sizes):
        text = f"{len(parts)} indices for {len(sizes)} dimensions"
        fail(ValueRangeError, "ravel_multi_index", text)
    total: Any = 0
    for axis, (part, dim) in enumerate(zip(parts, sizes, strict=True)):
        if mode == "wrap":
            part = ew.remainder(part, dim)
        elif mode == "clip":
            part = ew.clip(part, 0, dim - 1)
        elif current_trace() is None and part.size:
            low, high = red.min(part).item(), red.max(part).item()
            if low < 0 or high >= dim:
                text = f"index {low if low < 0 else high} is out of bounds for axis {axis}"
                fail(OutOfBoundsError, "ravel_multi_index", f"{text} of size {dim}")
        total = ew.add(ew.multiply(total, dim), part) if axis else part
    return total


def indices(dimensions: Any, /, dtype: Any = None, sparse: bool = False) -> Any:
    """The indices of a grid: result[d, i, j, …] is the d-th index of (i, j, …).

    Args:
        sparse: a tuple of tensors with one long axis each, which broadcast to the grid.

    Example:
        >>> import elinvar as el
        >>> el.indices((2, 2)).tolist()
        [[[0, 0], [1, 1]], [[0, 1], [0, 1]]]
    """
    shape = checked_shape("indices", dimensions)
    kind = optional_dtype(dtype) or int64
    rank = len(shape)
    found = []
    for axis, count in enumerate(shape):
        alone = tuple(count if i == axis else 1 for i in range(rank))
        found.append(F.reshape(F.iota(size=count, dtype=kind), shape=alone))
    if sparse:
        return tuple(found)
    if not found:
        return F.iota(size=0, dtype=kind)
    return man.stack([expand(item, shape) for item in found])


def fromfunction(function: Callable[..., Any], shape: Any, *, dtype: Any = None) -> Any:
    """`function(i, j, …)` called once on the indices of a grid.

    Example:
        >>> import elinvar as el
        >>> el.fromfunction(lambda i, j: i + j, (2, 2)).tolist()
        [[0.0, 1.0], [1.0, 2.0]]
    """
    dims = checked_shape("fromfunction", shape)
    return function(*man.unstack(indices(dims, optional_dtype(dtype) or default_float)))


class _Grid:
    """`mgrid[0:3, 0:1:5j]`: coordinates of a grid, dense or open."""

    name: str
    sparse: bool

    def __init__(self, name: str, sparse: bool) -> None:
        self.name, self.sparse = name, sparse
        self.__doc__ = f"Coordinates of a grid by slices: `{name}[0:3, 0:1:5j]`."

    def __repr__(self) -> str:
        return f"<el.{self.name}>"

    def __getitem__(self, key: Any) -> Any:
        slices = key if isinstance(key, tuple) else (key,)
        rows = [self._row(item) for item in slices]
        if not isinstance(key, tuple):
            return rows[0]
        kind = result_dtype(self.name, rows)
        rank = len(rows)
        found = []
        for axis, row in enumerate(rows):
            alone = tuple(row.shape[0] if i == axis else 1 for i in range(rank))
            found.append(F.reshape(cast(row, kind), shape=alone))
        if self.sparse:
            return tuple(found)
        return man.stack(man.broadcast_arrays(*found))

    def _row(self, item: Any) -> Any:
        if not isinstance(item, slice) or item.stop is None:
            fail(ValueRangeError, self.name, f"expected slices with an end, received {item!r}")
        start = 0 if item.start is None else item.start
        step = 1 if item.step is None else item.step
        if isinstance(step, complex):
            return linspace(start, item.stop, int(abs(step)))
        whole = all(isinstance(value, int) for value in (start, item.stop, step))
        count = max(0, math.ceil((item.stop - start) / step))
        places = start + np.arange(count) * step
        return tensor_of(self.name, places.astype(np.int64 if whole else np.float32))


mgrid: _Grid = _Grid("mgrid", False)
ogrid: _Grid = _Grid("ogrid", True)


def tri(n: int, m: int | None = None, /, k: int = 0, *, dtype: Any = None) -> Any:
    """Ones on and below the k-th diagonal, zeros above.

    Example:
        >>> import elinvar as el
        >>> el.tri(2).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """
    rows, columns = checked_shape("tri", (n, n if m is None else m))
    row = F.reshape(F.iota(size=rows, dtype=int64), shape=(rows, 1))
    found = ew.less_equal(F.iota(size=columns, dtype=int64), ew.add(row, k))
    return cast(found, optional_dtype(dtype) or default_float)


def _triangle(op: str, n: int, k: int, m: int | None, lower: bool) -> tuple[Any, Any]:
    mask = np.tri(n, n if m is None else m, k if lower else k - 1, dtype=bool)
    found = np.nonzero(mask if lower else ~mask)
    return tensor_of(op, found[0]), tensor_of(op, found[1])


def tril_indices(n: int, /, k: int = 0, m: int | None = None) -> tuple[Any, Any]:
    """The indices (rows, columns) of the lower triangle of an n × m matrix.

    Example:
        >>> import elinvar as el
        >>> [i.tolist() for i in el.tril_indices(2)]
        [[0, 1, 1], [0, 0, 1]]
    """
    return _triangle("tril_indices", n, k, m, True)


def triu_indices(n: int, /, k: int = 0, m: int | None = None) -> tuple[Any, Any]:
    """The indices (rows, columns) of the upper triangle of an n × m matrix.

    Example:
        >>> import elinvar as el
        >>> [i.tolist() for i in el.triu_indices(2)]
        [[0, 0, 1], [0, 1, 1]]
    """
    return _triangle("triu_indices", n, k, m, False)


def tril_indices_from(x: Any, /, k: int = 0) -> tuple[Any, Any]:
    """`tril_indices` for the shape of a matrix.

    Example:
        >>> import elinvar as el
        >>> [i.tolist() for i in el.tril_indices_from(el.ones((2, 2)), -1)]
        [[1], [0]]
    """
    rows, columns = _matrix("tril_indices_from", x)
    return tril_indices(rows, k, columns)


def triu_indices_from(x: Any, /, k: int = 0) -> tuple[Any, Any]:
    """`triu_indices` for the shape of a matrix.

    Example:
        >>> import elinvar as el
        >>> [i.tolist() for i in el.triu_indices_from(el.ones((2, 2)), 1)]
        [[0], [1]]
    """
    rows, columns = _matrix("triu_indices_from", x)
    return triu_indices(rows, k, columns)


def _matrix(op: str, x: Any) -> tuple[int, int]:
    x = tensor_of(op, x)
    if x.ndim != 2:
        fail(ShapeError, op, f"expected a matrix, received {x._type}")
    return man.static_size(op, x, 0), man.static_size(op, x, 1)


def diag_indices(n: int, /, ndim: int = 2) -> tuple[Any, ...]:
    """The indices of the diagonal of a tensor with `ndim` axes of size n.

    Example:
        >>> import elinvar as el
        >>> [i.tolist() for i in el.diag_indices(2)]
        [[0, 1], [0, 1]]
    """
    place_ = F.iota(size=n, dtype=int64)
    return (place_,) * ndim


def ix_(*args: Any) -> tuple[Any, ...]:
    """1-D indices shaped such that they pick a grid: x[el.ix_([0, 2], [1])].

    Example:
        >>> import elinvar as el
        >>> [i.shape for i in el.ix_([0, 2], [1])]
        [(2, 1), (1, 1)]
    """
    found = []
    for axis, item in enumerate(args):
        x = tensor_of("ix_", item)
        if x.ndim != 1:
            fail(ShapeError, "ix_", f"expected 1-D indices, received {x._type}")
        if x.dtype.kind == "b":
            x = find.nonzero(x)[0]
        alone = tuple(x.shape[0] if i == axis else 1 for i in range(len(args)))
        found.append(F.reshape(x, shape=alone))
    return tuple(found)

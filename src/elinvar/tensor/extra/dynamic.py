"""Slices whose start is a value, not a number of Python, with JAX's names."""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import int64
from elinvar.core.errors import DTypeError, ShapeError, fail
from elinvar.core.shapes import normalize_axis
from elinvar.tensor import elementwise as ew
from elinvar.tensor.assigning import set_item
from elinvar.tensor.convert import cast, tensor_of
from elinvar.tensor.creation import fresh
from elinvar.tensor.dispatch import F
from elinvar.tensor.manipulation import as_shape


def dynamic_slice(x: Any, /, starts: Any, sizes: Any) -> Any:
    """The block of x of some sizes that begins at `starts`, which may be tensors: x[s: s + n, …].

    A start that is negative counts from the end; then the block is moved into the tensor where it
    does not lie inside, as in JAX.

    Args:
        x: a tensor.
        starts: one integer for each axis: a tuple or list of them, or a 1-D tensor.
        sizes: one Python int for each axis.

    Raises:
        ShapeError: the numbers of starts, sizes and axes differ, or a size is beyond the axis's.

    Example:
        >>> import elinvar as el
        >>> windows = el.jit(lambda x, i: el.dynamic_slice(x, (i,), (3,)))
        >>> windows(el.arange(6), 2).tolist(), windows(el.arange(6), 5).tolist()
        ([2, 3, 4], [3, 4, 5])
    """
    x = tensor_of("dynamic_slice", x)
    key = _block("dynamic_slice", x, starts, as_shape("dynamic_slice", sizes))
    return x[key]


def dynamic_update_slice(x: Any, update: Any, /, starts: Any) -> Any:
    """A copy of x with a block replaced by `update`; see `dynamic_slice`.

    Example:
        >>> import elinvar as el
        >>> place = el.jit(lambda x, i: el.dynamic_update_slice(x, el.asarray([7, 8]), (i,)))
        >>> place(el.arange(5), 1).tolist(), place(el.arange(5), 9).tolist()
        ([0, 7, 8, 3, 4], [0, 1, 2, 7, 8])
    """
    op = "dynamic_update_slice"
    x = tensor_of(op, x)
    given = tensor_of(op, update, x.dtype)
    key = _block(op, x, starts, given.shape)
    found = fresh(x)
    set_item(found, key, given, op)
    return found


def dynamic_slice_in_dim(x: Any, /, start_index: Any, slice_size: int, axis: int = 0) -> Any:
    """`dynamic_slice` along one axis: all of the others.

    Example:
        >>> import elinvar as el
        >>> el.dynamic_slice_in_dim(el.ones((4, 6)), el.asarray(1), 2, axis=1).shape
        (4, 2)
    """
    x = tensor_of("dynamic_slice_in_dim", x)
    place = normalize_axis("dynamic_slice_in_dim", axis, x.ndim)
    starts = [start_index if i == place else 0 for i in range(x.ndim)]
    sizes = [slice_size if i == place else size for i, size in enumerate(x.shape)]
    return dynamic_slice(x, starts, sizes)


def dynamic_index_in_dim(x: Any, /, index: Any, axis: int = 0, keepdims: bool = True) -> Any:
    """One slice along an axis at an index that may be a tensor.

    Example:
        >>> import elinvar as el
        >>> el.dynamic_index_in_dim(el.arange(4), el.asarray(2), keepdims=False).item()
        2
    """
    x = tensor_of("dynamic_index_in_dim", x)
    place = normalize_axis("dynamic_index_in_dim", axis, x.ndim)
    found = dynamic_slice_in_dim(x, index, 1, place)
    kept = tuple(size for i, size in enumerate(found.shape) if i != place)
    return found if keepdims else F.reshape(found, shape=kept)


def dynamic_update_slice_in_dim(x: Any, update: Any, /, start_index: Any, axis: int = 0) -> Any:
    """`dynamic_update_slice` along one axis: from the first element of the others.

    Example:
        >>> import elinvar as el
        >>> x = el.zeros((2, 3))
        >>> el.dynamic_update_slice_in_dim(x, el.ones((2, 1)), el.asarray(2), axis=1).tolist()
        [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    """
    x = tensor_of("dynamic_update_slice_in_dim", x)
    place = normalize_axis("dynamic_update_slice_in_dim", axis, x.ndim)
    starts = [start_index if i == place else 0 for i in range(x.ndim)]
    return dynamic_update_slice(x, update, starts)


def _block(op: str, x: Any, starts: Any, sizes: Any) -> tuple[Any, ...]:
    """The index of the block: a slice for each whole axis, else a start and what follows it."""
    given = list(starts) if isinstance(starts, (tuple, list)) else tensor_of(op, starts)
    count = len(given) if isinstance(given, list) else given.shape[0] if given.ndim == 1 else None
    if count != x.ndim or len(sizes) != x.ndim:
        shown = "one number" if count is None else f"{count}"
        text = f"{x._type} needs a start and a size for each axis, received {shown} starts"
        fail(ShapeError, op, f"{text} and {len(sizes)} sizes")
    for axis, (size, whole) in enumerate(zip(sizes, x.shape, strict=True)):
        if isinstance(size, int) and isinstance(whole, int) and not 0 <= size <= whole:
            fail(ShapeError, op, f"a block of {size} does not fit into axis {axis} of {x._type}")
    partial = [axis for axis in range(x.ndim) if sizes[axis] != x.shape[axis]]
    key: list[Any] = [slice(None)] * x.ndim
    for number, axis in enumerate(partial):
        start = tensor_of(op, given[axis])
        if start.dtype.kind not in "iu" or start.ndim:
            text = f"start {axis} must be an integer without axes, received {start._type}"
            fail(DTypeError, op, text)
        start, whole = cast(start, int64), x.shape[axis]
        start = ew.where(ew.less(start, 0), ew.add(start, whole), start)
        start = ew.clip(start, 0, whole - sizes[axis])
        places = ew.add(start, F.iota(size=sizes[axis], dtype=int64))
        key[axis] = F.reshape(places, shape=(sizes[axis], *(1,) * (len(partial) - 1 - number)))
    return tuple(key)

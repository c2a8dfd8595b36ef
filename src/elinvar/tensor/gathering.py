"""Indices into an axis: converted, checked against its size, negative ones counted from the end.

Where values are known (eager tensors, Python lists) an index outside of its axis raises
`OutOfBoundsError`. Inside of a trace it cannot be seen; there reads are clamped into the axis and
writes are dropped, as the records of `gather` and `scatter` say.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import int32, int64
from elinvar.core.errors import DTypeError, OutOfBoundsError, fail
from elinvar.core.shapes import Dim, DimLike
from elinvar.tensor.cell import Cell, current_trace
from elinvar.tensor.convert import constant, expand, size_tensor, tensor_of
from elinvar.tensor.dispatch import F
from elinvar.tensor.storage import from_numpy, stored_array


def checked_index(op: str, indices: Any, size: DimLike, axis: int) -> Any:
    """Indices as a tensor of int64 or int32 whose values, where known, lie within 0 … size-1."""
    if not isinstance(indices, Cell):
        known = _known_indices(op, indices, size, axis)
        if known is not None:
            return known
        indices = tensor_of(op, indices)
    if indices.dtype.kind not in "iu":
        text = f"indices must be integers, received {indices._type}"
        fail(DTypeError, op, text, "cast with `.long()`")
    if indices.dtype not in (int64, int32):
        indices = F.cast(indices, dtype=int64)
    if current_trace() is None and indices._layout is not None:
        if not indices._layout.size:
            return indices
        values = stored_array(indices, op)
        low = check_bounds(op, values, size, axis)
        return indices if low >= 0 else wrapped(indices, size)
    return wrapped(indices, size)


def wrapped(indices: Any, size: DimLike) -> Any:
    """Negative indices counted from the end of the axis."""
    negative = F.less(indices, F.zeros_like(indices))
    length = (
        size_tensor(size, indices.dtype)
        if isinstance(size, Dim)
        else constant("index", size, indices.dtype)
    )
    return F.where(negative, F.add(indices, expand(length, indices.shape)), indices)


def check_bounds(op: str, values: Any, size: DimLike, axis: int) -> int:
    """Refuse a numpy array with an index outside of the axis; returns the least index."""
    low, high = int(values.min()), int(values.max())
    if isinstance(size, int) and (high >= size or low < -size):
        wrong = high if high >= size else low
        fail_bounds(op, wrong, size, axis)
    return low


def fail_bounds(op: str, index: int, size: DimLike, axis: int) -> None:
    """Raise the error of an index outside of its axis."""
    fail(OutOfBoundsError, op, f"index {index} is out of bounds for axis {axis} of size {size}")


def _known_indices(op: str, indices: Any, size: DimLike, axis: int) -> Any:
    """A tensor of indices given as Python or numpy numbers; None where tensors are inside."""
    try:
        values = np.asarray(indices)
    except (TypeError, ValueError, RuntimeError):
        return None
    if values.size == 0 and values.dtype.kind == "f":
        values = values.astype(np.int64)
    if values.dtype.kind not in "iu":
        if values.dtype == object:
            return None
        fail(DTypeError, op, f"indices must be integers, received {values.dtype}")
    values = values.astype(np.int64)
    if values.size:
        low = check_bounds(op, values, size, axis)
        if low < 0:
            if isinstance(size, Dim):
                return wrapped(from_numpy(values), size)
            values = np.where(values < 0, values + size, values)
    return from_numpy(values)

"""Indices into an axis: converted, checked against its size, negative ones counted from the end.

Where values are known (eager tensors, Python lists) an index outside of its axis raises
`OutOfBoundsError`. Inside of a trace it cannot be seen; there reads are clamped into the axis and
writes are dropped, as the records of `gather` and `scatter` say.

Indices are checked once: by `checked_index`, after which `gathered` and `scattered` do not look
again, or by `taken`, which checks in the program that reads.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from elinvar.core.dtypes import int32, int64
from elinvar.core.errors import DTypeError, OutOfBoundsError, fail
from elinvar.core.shapes import Dim, DimLike
from elinvar.graph.ir import Builder
from elinvar.ops.table import BY_NAME
from elinvar.tensor import eager, oneop, tape, views
from elinvar.tensor.cell import Cell, concrete, current_trace, state, traces
from elinvar.tensor.convert import cast, constant, expand, size_tensor, tensor_of
from elinvar.tensor.dispatch import F, apply, packed
from elinvar.tensor.engine import allocate, compile_graph, select_numbers, select_rows
from elinvar.tensor.layout import Layout, dense
from elinvar.tensor.replaying import examine
from elinvar.tensor.storage import from_numpy, stored_array
from elinvar.tensor.watching import watch

MOST_KEPT = 4096
_GATHER, _SCATTER = BY_NAME["gather"], BY_NAME["scatter"]


# ---- reading and writing at indices that were checked -------------------------------------------


def gathered(x: Any, index: Any, axis: int) -> Any:
    """`F.gather` for indices within bounds."""
    return _unchecked(_GATHER, (x, index), {"axis": axis})


def scattered(x: Any, index: Any, update: Any, axis: int, mode: str) -> Any:
    """`F.scatter` for indices within bounds."""
    return _unchecked(_SCATTER, (x, index, update), {"axis": axis, "mode": mode})


def _unchecked(op: Any, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
    if current_trace() is not None:
        return apply(op, operands, params)
    entry = eager.find(op, operands, params)
    results = entry.unchecked(operands)
    if traces.active and watch.on:
        examine(op, operands, params, results)
    if any(x._node is not None for x in operands):
        tape.record(op, operands, params, results, entry)
    return results[0]


_taking: dict[Any, Any] = {}


def taken(op: str, x: Any, indices: Any, axis: int) -> Any:
    """x's elements at indices of one axis; the indices are checked where they are known."""
    index_layout = indices._layout if isinstance(indices, Cell) else None
    taped = x._node is not None and state.grad_enabled
    if x._layout is None or index_layout is None or taped or current_trace() is not None:
        return gathered(x, checked_index(op, indices, x.shape[axis], axis), axis)
    run = _taking.get((x._layout, index_layout, axis))
    if run is None:
        if indices.dtype.kind not in "iu" or not index_layout.size or not x._layout.size:
            return gathered(x, checked_index(op, indices, x.shape[axis], axis), axis)
        run = _remember(_taking, (x._layout, index_layout, axis), _checking(x, indices, axis))
    found, wrong = run((x, indices))
    if memoryview(wrong._buffer)[0]:
        check_bounds(op, stored_array(indices, op), x.shape[axis], axis)
    return found


def _remember(kept: dict[Any, Any], key: Any, value: Any) -> Any:
    if len(kept) >= MOST_KEPT:
        kept.clear()
    kept[key] = value
    return value


def _checking(x: Any, indices: Any, axis: int | None) -> Any:
    """What runs (x, indices) → (elements, whether an index is out of bounds), in one program.

    Without an axis, `x` is the size of one: (indices) → (indices counted from the start, …).
    """
    layouts = [indices._layout] if axis is None else [x._layout, indices._layout]
    types, strides, sizes = oneop.symbolic(layouts)
    builder = Builder(capture_source=False)
    f = builder.f
    operands = [builder.input(kind) for kind in types]
    index = operands[-1] if types[-1].dtype is int64 else f.cast(operands[-1], dtype=int64)
    shape = index.shape
    if axis is None:
        size: Any = Dim("n")
        sizes["n"] = x
    else:
        size = types[0].shape[axis]
    length = f.size_of(dim=size) if isinstance(size, Dim) else f.constant(value=size, dtype=int64)
    length = f.broadcast(length, shape=shape)
    zero = f.zeros_like(index)
    index = f.where(f.less(index, zero), f.add(index, length), index)
    wrong = f.bitwise_or(f.less(index, zero), f.greater_equal(index, length))
    wrong = f.any(wrong, axes=tuple(range(len(shape))))
    result = index if axis is None else f.gather(operands[0], index, axis=axis)
    graph = builder.graph([result, wrong], "take")
    key = ("take", tuple(types), axis, tuple(strides))
    compiled = oneop.kept(key, lambda: compile_graph(graph, tuple(strides)))
    return eager.program_run(oneop.bound(compiled, sizes))


# ---- masks --------------------------------------------------------------------------------------

_selecting: dict[Any, Any] = {}


def selected(x: Any, mask: Any) -> Any:
    """x[mask] for a mask over the leading axes of x: one new axis with what it picks."""
    mask = packed(mask)
    taped = x._node is not None and state.grad_enabled
    if taped or not x._layout.size:
        shape = (mask._layout.size, *x.shape[mask.ndim :])
        flat = F.reshape(x, shape=shape) if mask.ndim > 1 else x
        return gathered(flat, true_positions(mask), 0)
    key = (x._layout, mask.ndim)
    known = _selecting.get(key)
    if known is None:
        known = _selection(x._layout, mask._layout.size, mask.ndim)
        if known is None:  # rows that no stride describes, or that are not dense
            x = packed(x)
            known = _selection(x._layout, mask._layout.size, mask.ndim)
        else:
            _remember(_selecting, key, known)
    call, nbytes, row_nbytes, rest = known
    count, buffer = _counted(call, x._address, mask._address, nbytes)
    result = dense(x._layout.dtype, (count, *rest))
    if count * row_nbytes * 2 < nbytes:  # most of the room was not needed
        room = buffer
        buffer = allocate(result.nbytes)
        ctypes.memmove(buffer.address, room.address, result.nbytes)
    return concrete(buffer, buffer.address, result)


def _selection(x: Layout, rows: int, rank: int) -> Any:
    """(program, bytes of its target, bytes of a row, a row's shape); None if x has to be packed."""
    rest = x.shape[rank:]
    flat = views.reshape(x, (rows, *rest))
    if flat is None:
        return None
    kind = flat[1]
    row = dense(x.dtype, rest)
    if rows > 1 and kind.strides[1:] != row.strides:
        return None
    call = select_rows(x.dtype.itemsize, rows, kind.strides[0], row.size)
    return call, (rows + 1) * row.nbytes, row.nbytes, rest


def _counted(call: Any, source: int, mask: int, nbytes: int) -> tuple[int, Any]:
    """Run a selecting program; how many it picked, and the memory that they are in."""
    count_at = -(-nbytes // 8) * 8  # the count stands behind them
    buffer = allocate(count_at + 8)
    address = buffer.address
    call(source, mask, address, address + count_at)
    return ctypes.c_int64.from_address(address + count_at).value, buffer


_numbering: dict[int, Any] = {}


def true_positions(mask: Any) -> Any:
    """Positions of the True elements of a concrete mask in row-major order, as 1-D int64."""
    mask = packed(mask)
    size = mask._layout.size
    if not size:
        return F.iota(size=0, dtype=int64)
    call = _numbering.get(size)
    if call is None:
        call = _remember(_numbering, size, select_numbers(size))
    count, room = _counted(call, mask._address, mask._address, (size + 1) * 8)
    result = dense(int64, (count,))
    buffer = allocate(result.nbytes)
    ctypes.memmove(buffer.address, room.address, result.nbytes)
    return concrete(buffer, buffer.address, result)


# ---- checking -----------------------------------------------------------------------------------

_bounding: dict[Any, Any] = {}


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
        key = (indices._layout, size)
        run = _bounding.get(key) or _remember(_bounding, key, _checking(size, indices, None))
        found, wrong = run((indices,))
        if memoryview(wrong._buffer)[0]:
            check_bounds(op, stored_array(indices, op), size, axis)
        return found
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


def counted(indices: Any, size: DimLike) -> tuple[Any, Any]:
    """Inside of a trace: indices counted from the start, and whether any is outside of the axis."""
    index = wrapped(cast(indices, int64), size)
    length = size_tensor(size) if isinstance(size, Dim) else constant("index", size, int64)
    outside = F.bitwise_or(
        F.less(index, F.zeros_like(index)), F.greater_equal(index, expand(length, index.shape))
    )
    return index, F.any(outside, axes=tuple(range(index.ndim)))


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

"""Between memory and numpy arrays: how data enters and leaves tensors."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any, NoReturn

import numpy as np

from elinvar.core import dtypes, tree
from elinvar.core.dtypes import DType
from elinvar.core.errors import DTypeError, LeakedTensorError, TraceError, fail
from elinvar.tensor.cell import Cell, concrete, current_trace
from elinvar.tensor.engine import allocate
from elinvar.tensor.layout import Layout, dense, layout

IN_VMAP = (
    "write `el.where(condition, x, y)` or `el.cond(condition, f, g, x)` in the place of a branch; "
    "read what is the same for all examples before the vmap"
)
OUT = "compute with `where`, `cond`, `while_loop` or `scan`, or read the value outside of the jit"
_HINTS = {
    "index": "a size, a bound or a count must be known: name the argument in `static_argnums` of "
    "the jit, or keep the size and move the start (`el.dynamic_slice(x, starts, sizes)`), loop by "
    "`el.fori_loop`, or choose by `el.where` and `el.switch`",
    "numpy": "use el's functions (such as el.where) in the place of numpy's, or read the value "
    "outside of the jit",
    "item": f"{OUT}; to print values, run it in `with el.disable_jit():`",
    "float": f"use el's functions in the place of math's, or {OUT}; to print values, run it in "
    "`with el.disable_jit():`",
}


class ArrayOwner:
    """numpy's array interface over a tensor's memory, which stays alive with the array."""

    __slots__ = ("__array_interface__", "_buffer")

    __array_interface__: dict[str, tuple[int, ...] | str | tuple[int, bool] | int]

    def __init__(self, buffer: Any, address: int, layout: Layout) -> None:
        step = layout.dtype.itemsize
        self._buffer = buffer
        self.__array_interface__ = {
            "shape": layout.shape,
            "typestr": layout.dtype.storage.str,
            "data": (address, True),
            "strides": tuple(stride * step for stride in layout.strides),
            "version": 3,
        }


class Foreign:
    """Memory of others, kept alive by its owner."""

    __slots__ = ("__weakref__", "address", "nbytes", "owner", "release")

    address: int
    nbytes: int
    owner: Any
    release: Any

    def __init__(self, owner: Any, address: int, nbytes: int, release: Any = None) -> None:
        self.owner, self.address, self.nbytes, self.release = owner, address, nbytes, release

    def __del__(self) -> None:
        if self.release is not None:
            self.release()


def shared(buffer: Any, address: int, dtype: DType, shape: Any, strides: Any) -> Any:
    """A tensor over memory of others; strides in elements."""
    tensor = concrete(buffer, address, layout(dtype, tuple(shape), tuple(strides)))
    trace = current_trace()
    return tensor if trace is None else trace.constant(tensor)


def share_array(array: Any) -> Any:
    """A tensor over the memory of a numpy array; None where its elements have to be copied."""
    size = array.dtype.itemsize
    native = array.dtype.isnative or size == 1
    aligned = array.__array_interface__["data"][0] % size == 0  # complex numbers as wholes
    if not array.size or not aligned or not native:
        return None
    if any(stride % size for stride in array.strides):
        return None
    dtype = dtypes.from_numpy(array.dtype)
    address = array.__array_interface__["data"][0]
    strides = [stride // size for stride in array.strides]
    return shared(Foreign(array, address, array.nbytes), address, dtype, array.shape, strides)


def stored_array(tensor: Cell, op: str = "numpy") -> Any:
    """A read-only view of the memory (bfloat16 as its bits in uint16)."""
    layout = tensor._layout
    trace = current_trace()
    if trace is not None:
        refuse_value(tensor, op, trace)
    if layout is None:
        need_live(tensor, op)
        refuse_value(tensor, op, trace)
    if not layout.size:
        return np.empty(layout.shape, layout.dtype.storage)
    return np.asarray(ArrayOwner(tensor._buffer, tensor._address, layout))


def number_array(tensor: Cell) -> Any:
    """The elements of a concrete tensor as numbers that numpy knows: bfloat16 as float32."""
    layout = tensor._layout
    assert layout is not None
    if not layout.size:
        stored = np.empty(layout.shape, layout.dtype.storage)
    else:
        stored = np.asarray(ArrayOwner(tensor._buffer, tensor._address, layout))
    return as_numbers(stored, layout.dtype)


def as_numbers(stored: Any, dtype: DType) -> Any:
    """Stored elements as numbers that numpy knows: bfloat16 as float32."""
    if dtype.name != "bfloat16":
        return stored
    return (stored.astype(np.uint32) << 16).view(np.float32).reshape(stored.shape)


def refuse_value(tensor: Cell, op: str, trace: Any) -> NoReturn:
    """Refuse to give Python a value that a trace does not have."""
    if trace is not None and trace.is_mapped:
        text = f"inside of `vmap` a {tensor._type} has another value in each example"
        fail(TraceError, op, text, IN_VMAP)
    hint = _HINTS.get(op, OUT)
    fail(TraceError, op, f"a traced {tensor._type} has no value yet", hint)


def need_live(tensor: Cell, op: str) -> None:
    """Refuse a traced tensor whose trace has ended."""
    if tensor._buffer.finished:
        fail(
            LeakedTensorError,
            op,
            f"a traced {tensor._type} is used after its trace ended",
            "return it from the traced function, or write it into a tensor with `assign`",
        )


def numpy_view(tensor: Cell, op: str = "numpy") -> Any:
    """A read-only numpy array over the tensor's memory."""
    array = stored_array(tensor, op)
    return array.view(tensor.dtype.numpy) if tensor.dtype.name == "bfloat16" else array


def from_stored(array: Any, dtype: DType) -> Any:
    """A new tensor with the elements of an array that holds the stored bits. Copies."""
    shape = tuple(int(dim) for dim in array.shape)
    kind = dense(dtype, shape)
    source = np.ascontiguousarray(array, dtype.storage)
    buffer = allocate(kind.nbytes)
    if kind.nbytes:
        ctypes.memmove(buffer.address, source.__array_interface__["data"][0], kind.nbytes)
    tensor = concrete(buffer, buffer.address, kind)
    trace = current_trace()
    return tensor if trace is None else trace.constant(tensor)


def gathered_rows(columns: Any, structure: Any, rows: Any) -> Any:
    """Rows of arrays as new tensors in a container: each element is copied once.

    Args:
        columns: pairs of an array and its dtype, which is None for numpy's own.
        structure: the container, as of `tree.flatten`.
        rows: a range, or an int64 array of valid numbers.
    """
    found = []
    for array, dtype in columns:
        if isinstance(rows, range):
            part = array[rows.start : rows.stop : rows.step]
        elif dtype is None and array.flags.c_contiguous and _native(array.dtype) is not None:
            found.append(_gathered(array, _native(array.dtype), rows))
            continue
        else:
            part = array[rows]
        found.append(from_numpy(part) if dtype is None else from_stored(part, dtype))
    return tree.unflatten(structure, found)


@cache
def _native(dtype: Any) -> DType | None:
    """The dtype of arrays of numpy's whose memory can be a tensor's."""
    if dtype.kind not in "biufc" or not dtype.isnative:
        return None
    found = dtypes.from_numpy(dtype)
    return found if found.storage == dtype else None


def _gathered(array: Any, dtype: Any, rows: Any) -> Any:
    kind = dense(dtype, (len(rows), *array.shape[1:]))
    if not kind.nbytes:
        return from_numpy(array[rows])
    buffer = allocate(kind.nbytes)
    memory: Any = (ctypes.c_char * kind.nbytes).from_address(buffer.address)
    target = np.frombuffer(memory, array.dtype).reshape(kind.shape)
    np.take(array, rows, 0, target, "clip")  # without bounds checks nothing is copied twice
    tensor = concrete(buffer, buffer.address, kind)
    trace = current_trace()
    return tensor if trace is None else trace.constant(tensor)


def from_numpy(array: Any, dtype: DType | None = None) -> Any:
    """A new tensor with the elements of a numpy array, converted if `dtype` is given. Copies."""
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("="))
    if dtype is None:
        dtype = dtypes.from_numpy(array.dtype)
    if array.dtype.kind == "c" and dtype.kind in "iuf":
        text = f"complex numbers cannot become {dtype.name}"
        fail(DTypeError, "tensor", text, "take `.real` or `.imag`, or a complex dtype")
    if dtype.name == "bfloat16":
        if array.dtype.name == "bfloat16":
            return from_stored(array.view(np.uint16), dtype)
        return from_stored(_bfloat16_bits(array), dtype)
    return from_stored(array.astype(dtype.numpy, copy=False), dtype)


def _bfloat16_bits(array: Any) -> Any:
    """The bits of the nearest bfloat16, ties to even; NaN stays a quiet NaN."""
    single = np.ascontiguousarray(array, np.float32)
    bits = single.view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    quiet = (bits >> 16) | 0x40
    return np.where(np.isnan(single), quiet, rounded).astype(np.uint16).reshape(array.shape)


def from_data(data: Any, dtype: DType | None = None) -> Any:
    """A new tensor from Python numbers, nested lists or a numpy array.

    Python floats become float32, complex numbers complex64 and ints int64, unless `dtype` says
    otherwise.
    """
    if isinstance(data, np.ndarray | np.generic):
        return from_numpy(np.asarray(data), dtype)
    array = np.asarray(data)
    if dtype is None and array.dtype in (np.float64, np.complex128):
        dtype = dtypes.default_float if array.dtype == np.float64 else dtypes.default_complex
    if array.dtype.kind not in "biufc":
        fail(DTypeError, "tensor", f"cannot make a tensor of {type(data).__name__} {data!r}")
    return from_numpy(array, dtype)

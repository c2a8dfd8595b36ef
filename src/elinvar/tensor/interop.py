"""Sharing memory with others: numpy and DLPack.

Tensors' memory never changes, so what leaves by sharing is read-only: `x.numpy()` is a read-only
view and versioned DLPack capsules carry the read-only flag. An unversioned capsule cannot say so;
its consumer gets a copy that it may write to, unless it asks for the very memory (`copy=False`).
Memory that comes in by sharing (`from_numpy`, `from_dlpack`) must not be written to by its owner
while a tensor uses it.
"""

from __future__ import annotations

import ctypes
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np

from elinvar.core import dtypes
from elinvar.core.dtypes import DType
from elinvar.core.errors import BufferError_, DTypeError, GradientError, ValueRangeError, fail
from elinvar.tensor.cell import Cell, concrete, snapshot
from elinvar.tensor.creation import check_device, fresh
from elinvar.tensor.layout import layout
from elinvar.tensor.storage import (
    Foreign,
    from_stored,
    numpy_view,
    share_array,
    shared,
    stored_array,
)
from elinvar.tensor.storage import from_numpy as copy_array

# ---- numpy --------------------------------------------------------------------------------------


def from_numpy(array: Any, /) -> Any:
    """A tensor that shares the memory of a numpy array. Do not write to the array afterwards.

    Arrays whose elements are not aligned, do not lie at multiples of their size, or are stored in
    the other order of bytes, are copied.

    Example:
        >>> import elinvar as el, numpy as np
        >>> el.from_numpy(np.arange(3)).tolist()
        [0, 1, 2]
    """
    if not isinstance(array, np.ndarray):
        fail(DTypeError, "from_numpy", f"expected a numpy array, received {type(array).__name__}")
    found = share_array(array)
    return copy_array(np.ascontiguousarray(array)) if found is None else found


def to_numpy(x: Cell, op: str = "numpy") -> Any:
    """A read-only numpy view of a tensor's memory."""
    return numpy_view(x, op)


def to_array(x: Cell, dtype: Any = None, copy: bool | None = None) -> Any:
    """What `np.asarray(x, dtype, copy=copy)` gets."""
    array = numpy_view(x, "numpy")
    if dtype is not None and np.dtype(dtype) != array.dtype:
        if copy is False:
            fail(BufferError_, "numpy", f"{x._type} to {np.dtype(dtype)} needs a copy")
        return array.astype(dtype)
    return array.copy() if copy else array


def python_value(x: Cell, op: str) -> Any:
    """The elements as nested lists of Python numbers (a bare number for a 0-d tensor)."""
    return readable_array(x, op).tolist()


def readable_array(x: Cell, op: str) -> Any:
    """The elements as a numpy array of a type that numpy knows: bfloat16 as float32."""
    array = stored_array(x, op)
    if x.dtype.name == "bfloat16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


# ---- pickle and copy ----------------------------------------------------------------------------


def reduced(x: Any, protocol: Any) -> tuple[Any, ...]:
    """How pickle takes a tensor apart: class, dtype, shape, bytes, what it requires, attributes.

    For processes that talk to each other. Reading a pickle runs whatever code it names, so files of
    weights are safetensors (`el.save`), never pickles.
    """
    node = x._node
    if node is not None and not node.is_leaf:
        text = f"{x._type} was computed with a gradient, which cannot be pickled"
        fail(GradientError, "pickle", text, "pickle `x.detach()`")
    array: Any = np.ascontiguousarray(stored_array(x, "pickle"))
    data = pickle.PickleBuffer(array) if int(protocol) >= 5 else array.tobytes()
    content = (x.dtype.name, tuple(x.shape), data, node is not None)
    return _restored, (type(x), *content, dict(_attributes(x)))


def _restored(
    kind: Any, name: str, shape: Any, data: Any, requires_grad: bool, attributes: Any
) -> Any:
    dtype = dtypes.by_name(name)
    found = from_stored(np.frombuffer(data, dtype.storage).reshape(shape), dtype)
    twin = object.__new__(kind)
    twin._buffer, twin._address, twin._layout = found._buffer, found._address, found._layout
    twin._value = twin._node = twin._grad = None
    for attribute, held in attributes.items():
        setattr(twin, attribute, held)
    if requires_grad:
        twin.requires_grad = True
    return twin


def _attributes(x: Any) -> Iterator[tuple[str, Any]]:
    """What subclasses keep beside the cell: in slots of their own, or in a dict."""
    yield from getattr(x, "__dict__", {}).items()
    for kind in type(x).__mro__:
        for name in () if kind is Cell else getattr(kind, "__slots__", ()):
            if name != "__weakref__" and hasattr(x, name):
                yield name, getattr(x, name)


def copied(x: Any, deep: bool) -> Any:
    """Another cell with the same content. A deep copy is a leaf that requires what x requires."""
    twin = object.__new__(type(x))
    buffer, address, kind, value, node, slot = snapshot(x)
    twin._buffer, twin._address, twin._layout, twin._value = buffer, address, kind, value
    twin._node, twin._grad = None, None
    for name, held in _attributes(x):
        setattr(twin, name, held)
    if deep:
        if node is not None:
            twin.requires_grad = True
    elif node is not None and not node.is_leaf:
        twin._node, twin._slot = node, slot
    elif node is not None:
        twin.requires_grad = True
    return twin


# ---- DLPack -------------------------------------------------------------------------------------

CPU = 1
_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}
_BFLOAT = 4
_READ_ONLY, _IS_COPIED = 1, 2
_NAME, _VERSIONED = b"dltensor", b"dltensor_versioned"
_USED, _USED_VERSIONED = b"used_dltensor", b"used_dltensor_versioned"


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    _fields_ = [
        ("tensor", _Tensor),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    ]


class _ManagedVersioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_Destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
_api = ctypes.pythonapi
_new_capsule = _api.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, _Destructor]
# Functions of their own prototypes, so that other users of `ctypes.pythonapi` are not disturbed.
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_IsValid", _api)
)
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", _api)
)
_rename = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_SetName", _api)
)

_exported: dict[int, tuple[Any, ...]] = {}  # the structures that consumers still hold


@_Deleter
def _forget(address: int) -> None:
    _exported.pop(address, None)


@_Destructor
def _destroy_capsule(capsule: int) -> None:
    """A capsule that no consumer took over gives its structure back."""
    for name in (_NAME, _VERSIONED):
        if _is_valid(capsule, name):
            _exported.pop(_pointer(capsule, name), None)


def export_dlpack(
    x: Any,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A PyCapsule with the tensor's memory, by the DLPack protocol."""
    if stream is not None:
        fail(ValueRangeError, "dlpack", f"the CPU has no streams, received stream {stream!r}")
    if dl_device is not None and tuple(dl_device) != (CPU, 0):
        fail(BufferError_, "dlpack", f"tensors live on device (1, 0), not {tuple(dl_device)}")
    versioned = max_version is not None and max_version[0] >= 1
    flags = _READ_ONLY
    if copy or not (versioned or copy is False):
        x, flags = from_stored(stored_array(x, "dlpack"), x.dtype), _IS_COPIED
    stored_array(x, "dlpack")  # refuses traced tensors
    kind = x._layout
    managed = _ManagedVersioned() if versioned else _Managed()
    if isinstance(managed, _ManagedVersioned):
        managed.major, managed.minor, managed.flags = 1, 0, flags
    managed.deleter = ctypes.cast(_forget, ctypes.c_void_p)
    shape = (ctypes.c_int64 * kind.ndim)(*kind.shape)
    strides = (ctypes.c_int64 * kind.ndim)(*kind.strides)
    inside = managed.tensor
    inside.data = x._address if kind.size else None
    inside.device_type, inside.device_id, inside.ndim = CPU, 0, kind.ndim
    inside.code = _BFLOAT if kind.dtype.name == "bfloat16" else _CODES[kind.dtype.kind]
    inside.bits, inside.lanes = kind.dtype.bits, 1
    inside.shape, inside.strides = shape, strides
    address = ctypes.addressof(managed)
    _exported[address] = (managed, shape, strides, x._buffer)
    return _new_capsule(address, _VERSIONED if versioned else _NAME, _destroy_capsule)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor that shares the memory of another library's array, by the DLPack protocol.

    Args:
        x: an object with `__dlpack__`, in CPU memory. Do not write to it afterwards.
        copy: True for memory of one's own.

    Raises:
        BufferError_: the memory is on another device, or has to be copied although `copy=False`.

    Example:
        >>> import elinvar as el, numpy as np
        >>> el.from_dlpack(np.arange(3)).tolist()
        [0, 1, 2]
    """
    check_device("from_dlpack", device)
    if isinstance(x, Cell):
        return fresh(x) if copy else x
    if not hasattr(x, "__dlpack__"):
        text = f"expected an object with `__dlpack__`, received {type(x).__name__}"
        fail(DTypeError, "from_dlpack", text)
    place = tuple(x.__dlpack_device__())
    if place[0] != CPU and device is None:
        text = f"the memory is on DLPack device {place}, not on the CPU"
        fail(BufferError_, "from_dlpack", text, "ask for a copy: device='cpu'")
    found, aligned = _import_capsule(_asked(x, place, copy))
    if not aligned and copy is False:
        fail(BufferError_, "from_dlpack", "the elements are not aligned, so they have to be copied")
    if copy or not aligned:
        return from_stored(stored_array(found, "from_dlpack"), found.dtype)
    return shared(found._buffer, found._address, found.dtype, found.shape, found._layout.strides)


def _asked(x: Any, place: Any, copy: bool | None) -> Any:
    """The capsule of a producer, who may know nothing of DLPack 1.0 and its arguments."""
    wishes: dict[str, Any] = {"max_version": (1, 0)}
    if place[0] != CPU:
        wishes["dl_device"] = (CPU, 0)
    if copy is False:  # a copy is made here, where one is wanted
        wishes["copy"] = False
    try:
        return x.__dlpack__(**wishes)
    except TypeError:
        if place[0] != CPU:
            text = f"{type(x).__name__} cannot copy from DLPack device {place} to the CPU"
            fail(BufferError_, "from_dlpack", text, "copy it to the CPU first")
    except BufferError as error:
        text = f"{type(x).__name__} does not share its memory: {error}"
        fail(BufferError_, "from_dlpack", text, "pass `np.asarray(x).copy()`, or what it names")
    return x.__dlpack__()


def _import_capsule(capsule: Any) -> tuple[Any, bool]:
    """Take a capsule over: a tensor on its memory, and whether its elements are aligned."""
    handle = id(capsule)
    versioned = bool(_is_valid(handle, _VERSIONED))
    if not versioned and not _is_valid(handle, _NAME):
        fail(BufferError_, "from_dlpack", "the capsule is no DLPack tensor, or was used before")
    address = _pointer(handle, _VERSIONED if versioned else _NAME)
    kind: Any = _ManagedVersioned if versioned else _Managed
    managed = kind.from_address(address)
    if versioned and managed.major > 1:
        fail(BufferError_, "from_dlpack", f"DLPack version {managed.major} is not known")
    inside = managed.tensor
    dtype = _imported_dtype(inside)
    shape = [inside.shape[i] for i in range(inside.ndim)]
    if any(dim < 0 for dim in shape):
        fail(BufferError_, "from_dlpack", f"the capsule has a negative size: {shape}")
    if inside.strides:
        strides = [inside.strides[i] for i in range(inside.ndim)]
    else:
        strides = [1] * inside.ndim
        for axis in range(inside.ndim - 2, -1, -1):
            strides[axis] = strides[axis + 1] * shape[axis + 1]
    _rename(capsule, _USED_VERSIONED if versioned else _USED)

    deleter = managed.deleter

    def release() -> None:
        if deleter:
            _Deleter(deleter)(address)

    data = (inside.data or 0) + inside.byte_offset
    owner = Foreign(None, data, 0, release)
    found = concrete(owner, data, layout(dtype, tuple(shape), tuple(strides)))
    return found, data % dtype.itemsize == 0


def _imported_dtype(inside: Any) -> DType:
    if inside.lanes == 1:
        if inside.code == _BFLOAT and inside.bits == 16:
            return dtypes.bfloat16
        for dtype in dtypes.ALL:
            if dtype.name != "bfloat16" and dtype.bits == inside.bits:
                if _CODES[dtype.kind] == inside.code:
                    return dtype
    text = f"DLPack type (code {inside.code}, bits {inside.bits}, lanes {inside.lanes})"
    fail(DTypeError, "from_dlpack", f"{text} has no Elinvar counterpart")

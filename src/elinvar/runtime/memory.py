"""Memory of tensors: buffers that cost almost nothing to make and to let go.

`Buffer` is a native type (`memory_text.py`): its objects and their memory are kept in free lists,
so that making and dropping one takes less than a call of a Python function. Memory is aligned to
64 bytes, large blocks to huge pages. It is made on first use, as LLVM makes it.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from elinvar.runtime import memory_text, native, platform_text
from elinvar.runtime.builtin import METH_FASTCALL, METH_ONE, BuiltinMaker, keep_for_ever

_MEMBER_OBJECT, _MEMBER_OBJECT_SET, _MEMBER_READONLY = 6, 16, 1
_SLOT_GETBUFFER, _SLOT_DEALLOC, _SLOT_DOC, _SLOT_MEMBERS = 1, 52, 56, 72
_TYPE_DEFAULT, _TYPE_NO_INSTANTIATION, _TYPE_IMMUTABLE = 1 << 18, 1 << 7, 1 << 8
_DOC = b"Memory of a tensor: address, nbytes, and the owner when it is foreign memory."


class Buffer(Protocol):
    """A block of memory, released when the last reference to the buffer goes.

    It has Python's buffer protocol: `memoryview(buffer)` and `numpy.frombuffer(buffer, …)` see its
    bytes without a copy and keep it alive.
    """

    @property
    def address(self) -> int:
        """Where the memory begins."""

    @property
    def nbytes(self) -> int:
        """How many bytes were asked for."""

    @property
    def owner(self) -> Any:
        """What keeps foreign memory alive; None for memory of our own."""


class Statistics(NamedTuple):
    """Bytes of memory of our own, rounded up to what was really taken."""

    live: int  # in use now
    peak: int  # most that were in use at a time
    waiting: int  # kept for the next buffers
    buffers: int  # buffers alive, foreign ones among them


def allocate(nbytes: int) -> Buffer:
    """New memory whose contents are not defined.

    Args:
        nbytes: zero or more.

    Raises:
        MemoryError: the system has no memory left, even after all that waits was given back.

    Example:
        >>> buffer = allocate(100)
        >>> buffer.nbytes, buffer.address % 64
        (100, 0)
    """
    return _builtins.allocate(nbytes)


def allocator() -> Callable[[int], Buffer]:
    """`allocate` itself, without the Python function around it: for the busiest callers."""
    return _native().allocate


def wrap(address: int, nbytes: int, owner: object) -> Buffer:
    """A buffer over foreign memory; `owner` stays alive as long as the buffer does.

    Example:
        >>> data = bytearray(b"abc")
        >>> view = (ctypes.c_char * 3).from_buffer(data)
        >>> bytes(wrap(ctypes.addressof(view), 3, view))
        b'abc'
    """
    return _builtins.wrap(address, nbytes, owner)


def statistics() -> Statistics:
    """How much memory is in use and waiting."""
    return Statistics(*_native().counts)


def reset_peak() -> None:
    """Let `statistics().peak` start anew from what is in use now."""
    counts = _native().counts
    counts[1] = counts[0]


def raise_peak(nbytes: int) -> None:
    """Let `statistics().peak` be at least `nbytes`: what was known before `reset_peak`."""
    counts = _native().counts
    counts[1] = max(counts[1], nbytes)


def trim(most: int = 0) -> None:
    """Give waiting memory back until what is in use and waiting is at most `most` bytes."""
    _native().trim(most)


class _Builtins:
    """The builtins `allocate` and `wrap`; until the first use, functions that load them."""

    __slots__ = ("allocate", "wrap")

    def __init__(self) -> None:
        self.allocate: Callable[[int], Buffer] = lambda nbytes: _native().allocate(nbytes)
        self.wrap: Callable[[int, int, object], Buffer] = lambda *rest: _native().wrap(*rest)


_builtins = _Builtins()


class _Native(NamedTuple):
    allocate: Callable[[int], Buffer]
    wrap: Callable[[int, int, object], Buffer]
    trim: Callable[[int], None]
    counts: Any


@functools.cache
def _native() -> _Native:
    """Load the native side and make the type and the builtins."""
    native.declare_symbols(platform_text.c_functions())
    native.declare_symbols(platform_text.python_functions(memory_text.PYTHON_FUNCTIONS))
    addresses = native.load(memory_text.memory_text(), memory_text.FUNCTIONS, level=0)
    type_ = _make_type(addresses)
    setup = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(addresses["elinvar_memory_setup"])
    setup(id(type_), id(TypeError), id(ValueError), id(MemoryError))
    counts = ctypes.CFUNCTYPE(ctypes.c_void_p)(addresses["elinvar_memory_counts"])()
    make_allocate = BuiltinMaker("allocate", addresses["elinvar_memory_allocate"], METH_ONE)
    make_wrap = BuiltinMaker("wrap", addresses["elinvar_memory_wrap"], METH_FASTCALL)
    _builtins.allocate, _builtins.wrap = make_allocate(None), make_wrap(None)
    return _Native(
        allocate=_builtins.allocate,
        wrap=_builtins.wrap,
        trim=ctypes.PYFUNCTYPE(None, ctypes.c_uint64)(addresses["elinvar_memory_trim"]),
        counts=(ctypes.c_int64 * 4).from_address(counts),
    )


class _Member(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _Slot(ctypes.Structure):
    _fields_ = (("number", ctypes.c_int), ("value", ctypes.c_void_p))


class _Specification(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    )


def _make_type(addresses: dict[str, int]) -> Any:
    """The type `Buffer`."""
    members = (_Member * 4)(
        _Member(b"address", _MEMBER_OBJECT_SET, memory_text.ADDRESS_OFFSET, _MEMBER_READONLY, None),
        _Member(b"nbytes", _MEMBER_OBJECT_SET, memory_text.NBYTES_OFFSET, _MEMBER_READONLY, None),
        _Member(b"owner", _MEMBER_OBJECT, memory_text.OWNER_OFFSET, _MEMBER_READONLY, None),
        _Member(None, 0, 0, 0, None),
    )
    doc = ctypes.create_string_buffer(_DOC)
    slots = (_Slot * 5)(
        _Slot(_SLOT_DEALLOC, addresses["elinvar_memory_release"]),
        _Slot(_SLOT_GETBUFFER, addresses["elinvar_memory_view"]),
        _Slot(_SLOT_MEMBERS, ctypes.addressof(members)),
        _Slot(_SLOT_DOC, ctypes.addressof(doc)),
        _Slot(0, None),
    )
    specification = _Specification(
        b"elinvar.runtime.memory.Buffer",
        memory_text.OBJECT_BYTES,
        0,
        _TYPE_DEFAULT | _TYPE_NO_INSTANTIATION | _TYPE_IMMUTABLE,
        slots,
    )
    create = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p)
    type_ = create(("PyType_FromSpec", ctypes.pythonapi))(ctypes.addressof(specification))
    return keep_for_ever((type_, specification, slots, members, doc))[0]

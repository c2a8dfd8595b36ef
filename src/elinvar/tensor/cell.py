"""The cell: what every tensor holds, below all of its methods.

    concrete    _buffer: the memory, _address: of element 0, _layout: dtype, shape, strides
    traced      _buffer: the trace, _address: 0, _layout: None, _value: a value of its graph

Memory is immutable for all who share it: an in-place operation writes new memory and rebinds the
cell. Only `x[key] = value` writes in place, where the memory has no other holder (copying.py).
`_node` is where the tape continues (None: no gradient is wanted), `_slot` the number of the result
within it.

A `Snapshot` is what a cell held at one moment; the tape keeps snapshots, so that later rebinding of
the cell does not change what backward sees.
"""

from __future__ import annotations

import threading
from typing import Any
from weakref import ref

from elinvar.core.dtypes import DType
from elinvar.core.types import TensorType
from elinvar.tensor.layout import Layout

Snapshot = tuple[Any, int, Any, Any, Any, int]  # _buffer _address _layout _value _node _slot


class Cell:
    """The slots of a tensor. Subclasses may add their own."""

    __slots__ = (
        "__weakref__",
        "_address",
        "_apart",
        "_buffer",
        "_grad",
        "_layout",
        "_node",
        "_slot",
        "_value",
    )

    _buffer: Any
    _address: int
    _layout: Layout | None
    _value: Any
    _node: Any
    _slot: int
    _grad: Any
    _apart: bool  # whether it is known to be no view of another tensor; else missing

    _writes_through = False  # whether a write to it is a write to another tensor, see `detach`

    @property
    def dtype(self) -> DType:
        """The data type of the elements."""
        layout = self._layout
        return self._value.type.dtype if layout is None else layout.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of all axes."""
        layout = self._layout
        return self._value.type.shape if layout is None else layout.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        layout = self._layout
        return len(self._value.type.shape) if layout is None else layout.ndim

    @property
    def _type(self) -> TensorType:
        layout = self._layout
        return self._value.type if layout is None else layout.type


class State(threading.local):
    """What holds for the running thread."""

    grad_enabled: bool = True
    trace: Any = None  # the innermost trace of this thread
    changes: dict[int, Any] | None = None  # cells rebound so far, where a checkpoint asks for them
    # while somebody watches: what is differentiated, as in ("backward", node of the tape)
    derivative_of: tuple[str, Any] | None = None
    composites: tuple[str, ...] = ()  # those that are being traced, while somebody watches
    pushing: Any = None  # the walk in forward mode whose tangents loops take along
    recorder: Any = None  # sees to each operation, where a checkpoint has a policy
    autocast: DType | None = None  # the type of products, where somebody wants one of 16 bits
    by_steps: bool = False  # jitted functions and control flow run as plain Python

    def note_change(self, cell: Any, content: Any) -> None:
        """Remember what a cell held before it was first rebound."""
        if self.changes is not None:
            self.changes.setdefault(id(cell), (ref(cell), content))


class Traces:
    """How many threads trace, have a recorder, cast, watch for NaN or run by steps at this moment;
    0 lets the fast paths skip a thread-local look-up."""

    __slots__ = ("active", "lock")

    lock: threading.Lock
    active: int

    def __init__(self) -> None:
        self.active = 0
        self.lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count one more, or one less."""
        with self.lock:
            self.active += count


state: State = State()
traces: Traces = Traces()
_new = object.__new__
_class: list[type[Any]] = [Cell]


def set_tensor_class(kind: type[Any]) -> None:
    """Name the class that operations return; called once, where `Tensor` is defined."""
    _class[0] = kind


def tensor_class() -> type[Any]:
    """The class that operations return."""
    return _class[0]


def concrete(buffer: Any, address: int, layout: Layout) -> Any:
    """A tensor over memory, without gradient."""
    tensor = _new(_class[0])
    tensor._buffer = buffer
    tensor._address = address
    tensor._layout = layout
    tensor._value = None
    tensor._node = None
    tensor._grad = None
    return tensor


def traced(trace: Any, value: Any) -> Any:
    """A tensor that stands for a value of a trace's graph, without gradient."""
    tensor = _new(_class[0])
    tensor._buffer = trace
    tensor._address = 0
    tensor._layout = None
    tensor._value = value
    tensor._node = None
    tensor._grad = None
    return tensor


def snapshot(cell: Any) -> Snapshot:
    """What the cell holds now, tape included."""
    node = cell._node
    slot = cell._slot if node is not None else 0
    return (cell._buffer, cell._address, cell._layout, cell._value, node, slot)


def restore(held: Snapshot) -> Any:
    """A new tensor that holds what a cell held."""
    tensor = _new(_class[0])
    buffer, address, layout, value, node, slot = held
    tensor._buffer = buffer
    tensor._address = address
    tensor._layout = layout
    tensor._value = value
    tensor._node = node
    tensor._slot = slot
    tensor._grad = None
    return tensor


def detached(cell: Any) -> Any:
    """A new tensor with the cell's content and no tape."""
    trace = current_trace()
    if trace is not None:
        return traced(trace, trace.cut(trace.read(cell)))
    buffer, layout = cell._buffer, cell._layout
    if layout is None:
        return traced(buffer, cell._value)
    return concrete(buffer, cell._address, layout)


def plain(cell: Any) -> Any:
    """A new tensor with the cell's content and no tape; where a sub-graph will be differentiated,
    its derivative goes on, other than that of `detached`."""
    trace = current_trace()
    return detached(cell) if trace is None else traced(trace, trace.read(cell))


def current_trace() -> Any:
    """The innermost trace of this thread, or None."""
    return state.trace if traces.active else None

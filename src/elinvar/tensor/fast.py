"""The shortest way from an operator to its program.

`binary_operator(name, general)` gives a function of two operands. Where both are concrete tensors
that want no gradient, or one of them and a Python number, one look-up by their layouts finds the
bound program (broadcasting included: it is a matter of strides). Everything else goes to `general`,
which promotes and broadcasts; what it finds to be plain is kept for the next time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core.shapes import broadcast_shapes
from elinvar.core.types import TensorType
from elinvar.ops.record import Op
from elinvar.ops.table import BY_NAME
from elinvar.tensor import cell, oneop, views
from elinvar.tensor.cell import Cell, traces
from elinvar.tensor.eager import make_constant
from elinvar.tensor.engine import allocator


MOST_KEPT = 4096
_new = object.__new__


def binary_operator(name: str, general: Callable[[Any, Any], Any], swapped: bool = False) -> Any:
    """A function (x, y) for an elementwise primitive of two operands.

    Args:
        name: the primitive.
        general: does everything that the short way does not; takes the operands as they are.
        swapped: compute `op(y, x)`, for reflected operators; `general` gets (x, y) all the same.
    """
    op = BY_NAME[name]
    pairs: dict[Any, Any] = {}
    numbers: dict[Any, Any] = {}
    active = traces
    make = _new
    kind: Any = None

    def operator(x: Any, y: Any) -> Any:
        nonlocal kind
        try:
            call, allocate, nbytes, layout, other = pairs[x._layout, y._layout]
        except KeyError:
            return remember_pair(x, y)
        except AttributeError:
            return with_number(x, y)
        if x._node is not None or y._node is not None or active.active:
            return general(x, y)
        buffer = allocate(nbytes)
        address = buffer.address
        call(0, x._address, y._address, address)
        result = make(kind)
        result._buffer = buffer
        result._address = address
        result._layout = layout
        result._value = None
        result._node = None
        result._grad = None
        return result

    def with_number(x: Any, y: Any) -> Any:
        try:
            call, allocate, nbytes, layout, other = numbers[x._layout, y]
        except (KeyError, AttributeError, TypeError):
            return remember_number(x, y)
        if x._node is not None or active.active or (y == 0 and str(y) != other.text):
            return general(x, y)
        buffer = allocate(nbytes)
        address = buffer.address
        if swapped:
            call(0, other.address, x._address, address)
        else:
            call(0, x._address, other.address, address)
        result = make(kind)
        result._buffer = buffer
        result._address = address
        result._layout = layout
        result._value = None
        result._node = None
        result._grad = None
        return result

    def remember_pair(x: Any, y: Any) -> Any:
        nonlocal kind
        kind = cell.tensor_class()
        result = general(x, y)
        if not swapped and _are_plain(x, y, result):
            entry = _entry(op, x._layout, y._layout, result)
            if entry is not None:
                _keep(pairs, (x._layout, y._layout), (*entry, None))
        return result

    def remember_number(x: Any, y: Any) -> Any:
        nonlocal kind
        kind = cell.tensor_class()
        result = general(x, y)
        if type(y) in (int, float) and _are_plain(x, x, result) and x._layout.dtype.kind == "f":
            dtype = x._layout.dtype
            number = Number(y, make_constant(y, dtype, TensorType(dtype, ())))
            layouts = (x._layout, number.tensor._layout)
            entry = _entry(op, *(reversed(layouts) if swapped else layouts), result)
            if entry is not None and y == y:
                _keep(numbers, (x._layout, y), (*entry, number))
        return result

    return operator


class Number:
    """A Python number as a 0-d tensor, with its text (0.0 and -0.0 are equal)."""

    __slots__ = ("address", "tensor", "text")

    def __init__(self, value: float, tensor: Any) -> None:
        self.tensor, self.address, self.text = tensor, tensor._address, str(value)


def _are_plain(x: Any, y: Any, result: Any) -> bool:
    """Whether the operation ran at once on tensors without gradients."""
    return (
        isinstance(x, Cell)
        and isinstance(y, Cell)
        and isinstance(result, Cell)
        and x._layout is not None
        and y._layout is not None
        and result._layout is not None
        and x._node is None
        and y._node is None
    )


def _entry(op: Op, x: Any, y: Any, result: Any) -> Any:
    """(call, allocate, nbytes, layout), if the general way did no more than broadcast."""
    if x.dtype is not y.dtype:
        return None
    shape = broadcast_shapes(op.name, x.shape, y.shape)
    layouts = [z if z.shape == shape else views.broadcast(z, shape)[1] for z in (x, y)]
    if op.result_types(tuple(z.type for z in layouts), {})[0] != result._layout.type:
        return None
    call, arena_nbytes, ((nbytes, layout),) = oneop.elementwise_program(op, layouts, {})
    if call is None or arena_nbytes:
        return None
    return call, allocator(), nbytes, layout


def _keep(entries: dict[Any, Any], key: Any, entry: Any) -> None:
    if len(entries) >= MOST_KEPT:
        entries.clear()
    entries[key] = entry

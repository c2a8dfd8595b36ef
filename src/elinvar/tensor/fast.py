"""The shortest way from an operator to its program.

`binary_operator(name, general)` gives a function of two operands. Where both are concrete tensors
that want no gradient, or one of them and a Python number, one look-up by their layouts finds the
bound program (broadcasting included: it is a matter of strides). Everything else goes to `general`,
which promotes and broadcasts; what it finds to be plain is kept for the next time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core.errors import DTypeError
from elinvar.core.shapes import broadcast_shapes
from elinvar.graph.ir import result_types
from elinvar.ops.record import Op
from elinvar.ops.table import BY_NAME
from elinvar.tensor import cell, oneop, views
from elinvar.tensor.cell import Cell, concrete, state, traces
from elinvar.tensor.derivative import rule_for
from elinvar.tensor.dispatch import F
from elinvar.tensor.eager import make_constant
from elinvar.tensor.engine import allocator
from elinvar.tensor.tape import record_rule

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
        if type(y) is float or type(y) is int:
            return with_number(x, y)
        try:
            call, allocate, nbytes, layout, taped = pairs[x._layout, y._layout]
        except (KeyError, AttributeError):
            return remember_pair(x, y)
        if x._node is not None or y._node is not None or active.active:
            return taped(x, y)
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
            call, allocate, nbytes, layout, taped, other, text = numbers[x._layout, y]
        except (KeyError, AttributeError):
            return remember_number(x, y)
        if y == 0 and str(y) != text:  # 0.0 == -0.0
            return general(x, y)
        if x._node is not None or active.active:
            return general(x, y) if active.active else taped(x, other)
        buffer = allocate(nbytes)
        address = buffer.address
        if swapped:
            call(0, other._address, x._address, address)
        else:
            call(0, x._address, other._address, address)
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
                taped = _taped(op, entry, general)
                if x._layout.shape != y._layout.shape:
                    taped = _spread(taped, entry[3].shape)
                _keep(pairs, (x._layout, y._layout), (*entry, taped))
        return result

    def remember_number(x: Any, y: Any) -> Any:
        nonlocal kind
        kind = cell.tensor_class()
        result = general(x, y)
        if y == y and _are_plain(x, x, result) and x._layout.dtype.kind == "f":
            other = _number_like(x, y)
            pair = (other._layout, x._layout) if swapped else (x._layout, other._layout)
            entry = _entry(op, *pair, result)
            if entry is not None:
                taped = _taped(op, entry, general, swapped)
                _keep(numbers, (x._layout, y), (*entry, taped, other, str(y)))
        return result

    return operator


def _taped(op: Op, entry: Any, general: Any, swapped: bool = False) -> Callable[[Any, Any], Any]:
    """The same for operands that want a gradient; equal shapes."""
    call, allocate, nbytes, layout = entry
    rules: dict[tuple[bool, bool], Any] = {}
    active = traces
    is_float = layout.dtype.kind in "fc"
    kind = cell.tensor_class()

    def run(x: Any, y: Any) -> Any:
        if active.active:
            return general(x, y)
        if swapped:
            x, y = y, x
        buffer = allocate(nbytes)
        address = buffer.address
        call(0, x._address, y._address, address)
        result = _new(kind)
        result._buffer = buffer
        result._address = address
        result._layout = layout
        result._value = None
        result._node = None
        result._grad = None
        if is_float and state.grad_enabled:
            mask = (x._node is not None, y._node is not None)
            rule = rules.get(mask)
            if rule is None:
                rule = rules[mask] = rule_for(op, {}, (x._layout, y._layout), (layout,), mask)
            if rule.carries:
                record_rule(rule, (x, y), (result,), 4)
        return result

    return run


def _spread(taped: Any, shape: Any) -> Callable[[Any, Any], Any]:
    """The same for operands that broadcast to a shape; the broadcasts are recorded too."""
    broadcast = F.broadcast

    def run(x: Any, y: Any) -> Any:
        if x._type.shape != shape:
            x = broadcast(x, shape=shape)
        if y._type.shape != shape:
            y = broadcast(y, shape=shape)
        return taped(x, y)

    return run


def _number_like(x: Any, value: float) -> Any:
    """A Python number as a tensor of x's dtype, broadcast to its shape without a copy."""
    dtype = x._layout.dtype
    held = make_constant(value, dtype)
    layout = views.broadcast(held._layout, x._layout.shape)[1]
    return concrete(held._buffer, held._address, layout)


def _are_plain(x: Any, y: Any, result: Any) -> bool:
    """Whether the operation ran at once."""
    return (
        isinstance(x, Cell)
        and isinstance(y, Cell)
        and isinstance(result, Cell)
        and x._layout is not None
        and y._layout is not None
        and result._layout is not None
    )


def _entry(op: Op, x: Any, y: Any, result: Any) -> Any:
    """(call, allocate, nbytes, layout), if the general way did no more than broadcast."""
    if x.dtype is not y.dtype:
        return None
    shape: Any = broadcast_shapes(op.name, x.shape, y.shape)
    layouts = [z if z.shape == shape else views.broadcast(z, shape)[1] for z in (x, y)]
    try:
        kinds = result_types(op, [z.type for z in layouts], {})
    except DTypeError:  # a quotient of integers, a sum of bools: another primitive did it
        return None
    if kinds[0] != result._layout.type:
        return None
    call, arena_nbytes, ((nbytes, layout),) = oneop.elementwise_program(op, layouts, {})
    if call is None or arena_nbytes:
        return None
    return call, allocator(), nbytes, layout


def _keep(entries: dict[Any, Any], key: Any, entry: Any) -> None:
    if len(entries) >= MOST_KEPT:
        entries.clear()
    entries[key] = entry

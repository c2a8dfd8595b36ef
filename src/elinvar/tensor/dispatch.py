"""How an operation is applied to tensors: traced, or at once; and recorded on the tape.

    apply(op, operands, params)     one primitive on strict operands
    F                               all primitives as functions over `apply`: F.add(x, y)
    elementwise(op, *operands)      the same after promotion and broadcasting; numbers mix in
"""

from __future__ import annotations

from typing import Any

from elinvar.core import dtypes
from elinvar.core.dtypes import DType
from elinvar.core.errors import DTypeError, fail
from elinvar.core.shapes import broadcast_shapes
from elinvar.ops.record import Namespace, Op
from elinvar.ops.table import BY_NAME
from elinvar.tensor import eager, storage, tape
from elinvar.tensor.cell import Cell, state, traces
from elinvar.tensor.eager import packed


def apply(op: Op, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """Apply a primitive to tensors. One result comes back bare, several as a tuple."""
    trace = state.trace if traces.active else None
    if trace is not None:
        results = trace.apply(op, operands, params)
    else:
        results = eager.execute(op, operands, params)
    for operand in operands:
        if operand._node is not None:
            tape.record(op, operands, params, results)
            break
    return results[0] if len(results) == 1 else tuple(results)


F = Namespace(BY_NAME, apply)


def as_tensor(value: Any, dtype: DType | None = None) -> Any:
    """`value` itself if it is a tensor (cast if `dtype` is given), or a new tensor of it."""
    if isinstance(value, Cell):
        return value if dtype is None or value.dtype is dtype else F.cast(value, dtype=dtype)
    if isinstance(value, bool | int | float):
        return scalar(value, dtype or dtypes.as_dtype(type(value)))
    return storage.from_data(value, dtype)


def scalar(value: float | int | bool, dtype: DType) -> Any:
    """A 0-d constant tensor."""
    return F.constant(value=value, dtype=dtype)


def promote(*operands: Any) -> list[Any]:
    """Tensors of one dtype and shape: Python numbers are weak, types promoted, shapes broadcast."""
    return broadcast(*common_dtype(*operands))


def common_dtype(*operands: Any) -> list[Any]:
    """Tensors of one dtype, by the standard's table; Python numbers take the tensors' type."""
    found: DType | None = None
    numbers = []
    tensors: list[Any] = []
    for operand in operands:
        if type(operand) in (bool, int, float):
            numbers.append(operand)
            tensors.append(operand)
            continue
        if not isinstance(operand, Cell):
            operand = as_tensor(operand)
        tensors.append(operand)
        found = operand.dtype if found is None else dtypes.promote(found, operand.dtype)
    if found is None:
        found = dtypes.as_dtype(type(numbers[0]))
        for number in numbers[1:]:
            found = dtypes.promote(found, dtypes.as_dtype(type(number)))
    else:
        for number in numbers:
            found = dtypes.scalar_dtype(number, found)
    return [
        as_tensor(x, found) if isinstance(x, Cell) else scalar(x, found) for x in tensors
    ]


def broadcast(*operands: Any) -> list[Any]:
    """Tensors of one shape, by the standard's rule."""
    first = operands[0].shape
    if all(operand.shape == first for operand in operands):
        return list(operands)
    shape = broadcast_shapes("broadcast", *(operand.shape for operand in operands))
    return [x if x.shape == shape else F.broadcast(x, shape=shape) for x in operands]


def elementwise(op: Op, *operands: Any, **params: Any) -> Any:
    """Apply an elementwise primitive to tensors, arrays and numbers after promotion."""
    return apply(op, tuple(promote(*operands)), params)


def need_floats(op: str, x: Any) -> Any:
    """Refuse what is not a tensor of floats."""
    if x.dtype.kind != "f":
        fail(DTypeError, op, f"expected a floating dtype, received {x._type}")
    return x


__all__ = ["F", "apply", "as_tensor", "broadcast", "common_dtype", "elementwise", "need_floats", "packed", "promote", "scalar"]

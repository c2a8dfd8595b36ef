"""How an operation is applied to tensors: traced, or at once; and recorded on the tape.

apply(op, operands, params)     one primitive on strict operands
F                               all primitives as functions over `apply`: F.add(x, y)
as_tensor, scalar               tensors of Python data and numbers
apart                           a result that is not its operand's cell
"""

from __future__ import annotations

from typing import Any

from elinvar.core import dtypes
from elinvar.core.dtypes import DType
from elinvar.ops.record import Namespace, Op
from elinvar.ops.table import BY_NAME
from elinvar.tensor import eager, storage, tape
from elinvar.tensor.cell import Cell, concrete, state, traced, traces
from elinvar.tensor.eager import packed
from elinvar.tensor.replaying import examine
from elinvar.tensor.watching import watch


def apply(op: Op, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """Apply a primitive to tensors. One result comes back bare, several as a tuple."""
    if traces.active:
        return _apply_slowly(op, operands, params)
    entry = eager.find(op, operands, params)
    results = entry.run(operands)
    for operand in operands:
        if operand._node is not None:
            tape.record(op, operands, params, results, entry)
            break
    return results[0] if len(results) == 1 else tuple(results)


def _apply_slowly(op: Op, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """The same while something is traced, or somebody casts or watches for NaN."""
    if state.autocast is not None:
        operands = _autocast(op, operands, state.autocast)
    trace, recorder = state.trace, state.recorder
    if recorder is not None:
        return recorder.apply(op, operands, params)
    if trace is not None:
        entry = None
        results = trace.apply(op, operands, params)
    else:
        entry = eager.find(op, operands, params)
        results = entry.run(operands)
        if watch.on:
            examine(op, operands, params, results)
    for operand in operands:
        if operand._node is not None:
            tape.record(op, operands, params, results, entry)
            if watch.on:
                watch.note_tape(results)
            break
    return results[0] if len(results) == 1 else tuple(results)


_PRODUCTS = frozenset({"contract", "convolution", "attention"})
_WIDE = frozenset(
    "exp expm1 log log1p log2 log10 sinh cosh tan asin acos atanh power "
    "sum prod cumsum cumprod".split()
)


def _autocast(op: Op, operands: tuple[Any, ...], low: DType) -> tuple[Any, ...]:
    """The operands in the types that `autocast` wants for this primitive; see autocasting.py."""
    if op.name in _PRODUCTS:
        if any(x.dtype not in (low, dtypes.float32) for x in operands):
            return operands  # integers, or wider numbers, are the user's own wish
        return tuple([F.cast(x, dtype=low) if x.dtype is not low else x for x in operands])
    if op.name in _WIDE:
        half = (dtypes.bfloat16, dtypes.float16)
        return tuple([F.cast(x, dtype=dtypes.float32) if x.dtype in half else x for x in operands])
    return operands


F = Namespace(BY_NAME, apply)


def as_tensor(value: Any, dtype: DType | None = None) -> Any:
    """`value` itself if it is a tensor (cast if `dtype` is given), or a new tensor of it."""
    if isinstance(value, Cell):
        return value if dtype is None or value.dtype is dtype else F.cast(value, dtype=dtype)
    if isinstance(value, bool | int | float | complex):
        return scalar(value, dtype or dtypes.as_dtype(type(value)))
    return storage.from_data(value, dtype)


def apart(found: Any, x: Any, is_view: bool = False) -> Any:
    """What is found for x; where that is x itself, another cell with its content.

    Results are values: a change in place of a result does not reach the operand. So a function
    that has nothing to do (`x ** 1`, the sum over no axes) gives a new cell, too. `is_view`: it
    gives a view in numpy and PyTorch, so that a write to it is worth a warning (lost.py).
    """
    if found is x:
        found = _another(x)
        found._apart = not is_view
    return found


def _another(x: Any) -> Any:
    if x._node is None:  # nothing for the tape: the content needs no operation
        if not traces.active:
            return concrete(x._buffer, x._address, x._layout)
        if x._layout is None and x._buffer is state.trace and state.recorder is None:
            return traced(x._buffer, x._value)
    return F.reshape(x, shape=x.shape)


def scalar(value: complex | int | bool, dtype: DType) -> Any:
    """A 0-d constant tensor."""
    return F.constant(value=value, dtype=dtype)


__all__ = ["F", "apart", "apply", "as_tensor", "packed", "scalar"]

"""Constant folding: compute at compile time what depends on constants alone.

Constants are numbers and broadcasts of numbers. Folded are only operations whose result is fixed by
IEEE-754 or integer arithmetic, so that numpy's bits are ours; exp, log and the like are left to our
own code. Results that are NaN stay unfolded: the sign of a NaN is the machine's. What is the same
everywhere (the broadcast of a 0-d value) is computed once, in front of the broadcast.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.types import TensorType
from elinvar.graph.ir import Graph, Value
from elinvar.graph.reference import Array, run_reference
from elinvar.ops.record import Namespace, Op
from elinvar.ops.table import BY_NAME, TABLE
from elinvar.passes.rewriting import (
    Number,
    Operands,
    Params,
    Rewriter,
    Rule,
    Rules,
    inline_with,
    number_of,
    scalar_of,
    spread,
    uniform,
)

_LARGEST_EXACT = 2**24


def fold(graph: Graph) -> Graph:
    """Fold constants: `add(constant 2, constant 3)` → `constant 5`."""
    return Rewriter(FOLD_RULES).run(graph)


# ---- when an operation on these numbers has the same bits everywhere ----------------------------


def _always(arrays: list[Array], params: Params, kind: TensorType) -> bool:
    return True


def _integers(arrays: list[Array], params: Params, kind: TensorType) -> bool:
    return all(array.dtype.kind in "iub" for array in arrays)


def _nonzero_integers(arrays: list[Array], params: Params, kind: TensorType) -> bool:
    return _integers(arrays, params, kind) and bool(arrays[1])


def _shift_within(arrays: list[Array], params: Params, kind: TensorType) -> bool:
    return 0 <= int(arrays[1]) < kind.dtype.bits


def _nonzero(arrays: list[Array], params: Params, kind: TensorType) -> bool:
    return any(bool(array) for array in arrays)


_EXACT = {
    **dict.fromkeys(("add", "subtract", "multiply", "divide", "negative", "abs"), _always),
    **dict.fromkeys(("floor", "ceil", "trunc", "round", "sqrt"), _always),
    **dict.fromkeys(("isfinite", "where", "cast", "complex", "real", "imag"), _always),
    **dict.fromkeys(("equal", "not_equal", "less", "less_equal"), _always),
    **dict.fromkeys(("greater", "greater_equal"), _always),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert"), _always),
    **dict.fromkeys(("shift_left", "shift_right"), _shift_within),
    **dict.fromkeys(("floor_divide", "remainder"), _nonzero_integers),
    **dict.fromkeys(("sign", "maximum", "minimum"), _nonzero),
}


# ---- rules --------------------------------------------------------------------------------------


def _elementwise(op: Op) -> Rule:
    exact = _EXACT.get(op.name)

    def rule(f: Namespace, operands: Operands, params: Params) -> Value | None:
        scalars = [scalar_of(operand) for operand in operands]
        if any(scalar is None for scalar in scalars):
            return None
        numbers = [number_of(operand) for operand in operands]
        types = [TensorType(operand.dtype, ()) for operand in operands]
        kind = op.result_types(tuple(types), params)[0]
        shape = operands[0].shape
        if exact is not None and all(number is not None for number in numbers):
            found = _compute(op, numbers, types, params, kind, exact)
            if found is not None:
                return uniform(f, found, kind.with_shape(shape))
        if not shape:
            return None
        value: Value = getattr(f, op.name)(*scalars, **params)
        return spread(f, value, kind.with_shape(shape))

    return rule


def _compute(
    op: Op,
    numbers: list[Any],
    types: list[TensorType],
    params: Params,
    kind: TensorType,
    exact: Any,
) -> Number | None:
    constant = BY_NAME["constant"]
    arrays = [
        run_reference(constant, (), {"value": number, "dtype": t.dtype}, (t,))[0]
        for number, t in zip(numbers, types, strict=True)
    ]
    if not exact(arrays, params, kind):
        return None
    found = run_reference(op, arrays, params, (kind,))[0]
    if kind.dtype.is_inexact and np.isnan(found):
        return None
    number: Number = found.item()
    return number


def _constant(f: Namespace, operands: Operands, params: Params) -> Value | None:
    """`constant 0` of a float dtype is written `0.0`, so that equal constants look equal."""
    number, dtype = params["value"], params["dtype"]
    kind: Any = {"f": float, "c": complex, "b": bool}.get(dtype.kind, int)
    if type(number) is kind or abs(number) > _LARGEST_EXACT or kind(number) != number:
        return None
    value: Value = f.constant(value=kind(number), dtype=dtype)
    return value


def _size_of(f: Namespace, operands: Operands, params: Params) -> Value | None:
    dim = params["dim"]
    if not isinstance(dim, int):
        return None
    value: Value = f.constant(value=dim, dtype=BY_NAME["size_of"].result_types((), params)[0].dtype)
    return value


def _rearranged(op: Op) -> Rule:
    """An operation that moves elements gives, of equal elements, the same elements."""

    def rule(f: Namespace, operands: Operands, params: Params) -> Value | None:
        movable = operands[:1] if op.name == "gather" else operands
        scalars = [scalar_of(operand) for operand in movable]
        first = scalars[0] if scalars else None
        if first is None or any(not _equal(first, scalar) for scalar in scalars):
            return None
        kind = op.result_types(tuple(operand.type for operand in operands), params)[0]
        return spread(f, first, kind)

    return rule


def _equal(a: Value, b: Value | None) -> bool:
    if a is b:
        return True
    number = number_of(a)
    return b is not None and number is not None and str(number) == str(number_of(b))


def _cond(f: Namespace, operands: Operands, params: Params) -> Operands | None:
    """A conditional on a constant is the branch that it takes."""
    number = number_of(operands[0])
    if number is None:
        return None
    return inline_with(f, params["true" if number else "false"], operands[1:])


_MOVING = ("reshape", "permute", "slice", "flip", "concatenate", "pad", "windows", "gather")
FOLD_RULES: Rules = {
    **{
        op.name: (_elementwise(op),)
        for op in TABLE
        if op.family == "elementwise" and op.name != "constant"
    },
    **{name: (_rearranged(BY_NAME[name]),) for name in _MOVING},
    "constant": (_constant,),
    "size_of": (_size_of,),
    "cond": (_cond,),
}

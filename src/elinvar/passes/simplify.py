"""Simplification by rules that keep every bit, constant folding (`fold.py`) included.

`x * 1` is x for every float, NaN and -0 included; `x + 0` is not (-0 + 0 is +0), so that rule
exists only for integers, and for floats with -0. Movement has its own rules in
`movement_rules.py`, complex numbers in `part_rules.py`, sums of pieces in `piece_rules.py`.
A `barrier` is never touched: a recomputation stands behind it.
"""

from __future__ import annotations

from elinvar.core.dtypes import DType, float32
from elinvar.graph.ir import Graph, Value
from elinvar.ops.record import Namespace
from elinvar.passes.fold import FOLD_RULES
from elinvar.passes.movement_rules import MOVEMENT_RULES
from elinvar.passes.part_rules import PART_RULES
from elinvar.passes.piece_rules import PIECE_RULES
from elinvar.passes.rewriting import (
    Operands,
    Params,
    Rewriter,
    Rule,
    Rules,
    is_number,
    made_by,
    number_of,
)

_MANTISSA = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
_EXPONENT = {"float16": 5, "bfloat16": 8, "float32": 8, "float64": 11}


def simplify(graph: Graph) -> Graph:
    """Apply the rules of `fold` and those below until none applies: `-(-x)` → `x`."""
    return Rewriter(_ALL_RULES).run(graph)


# ---- arithmetic ---------------------------------------------------------------------------------


def _add(f: Namespace, operands: Operands, params: Params) -> Value | None:
    x, y = operands
    nothing = -0.0 if x.dtype.is_floating else 0
    if is_number(y, nothing):
        return x
    if is_number(x, nothing):
        return y
    minus = made_by(y, "negative")
    if minus is not None:
        found: Value = f.subtract(x, minus.operands[0])  # x + (-y) = x - y, by definition
        return found
    minus = made_by(x, "negative")
    if minus is not None:
        found = f.subtract(y, minus.operands[0])
        return found
    return None


def _subtract(f: Namespace, operands: Operands, params: Params) -> Value | None:
    x, y = operands
    if is_number(y, 0.0 if x.dtype.is_floating else 0):
        return x
    minus = made_by(y, "negative")
    if minus is not None:
        found: Value = f.add(x, minus.operands[0])
        return found
    if x is y and x.dtype.is_integer:
        found = f.zeros_like(x)
        return found
    return None


def _multiply(f: Namespace, operands: Operands, params: Params) -> Value | None:
    x, y = operands
    for one, other in ((x, y), (y, x)):
        if is_number(one, 1):
            return other
        if x.dtype.is_integer and is_number(one, 0):
            return one
    minus_x, minus_y = made_by(x, "negative"), made_by(y, "negative")
    if minus_x is not None and minus_y is not None:
        found: Value = f.multiply(minus_x.operands[0], minus_y.operands[0])
        return found
    return None


def _divide(f: Namespace, operands: Operands, params: Params) -> Value | None:
    x, y = operands
    if is_number(y, 1):
        return x
    minus_x, minus_y = made_by(x, "negative"), made_by(y, "negative")
    if minus_x is not None and minus_y is not None:
        found: Value = f.divide(minus_x.operands[0], minus_y.operands[0])
        return found
    return None


def _floor_divide(f: Namespace, operands: Operands, params: Params) -> Value | None:
    x, y = operands
    return x if x.dtype.is_integer and is_number(y, 1) else None


def _remainder(f: Namespace, operands: Operands, params: Params) -> Value | None:
    x, y = operands
    found: Value | None = None
    if x.dtype.is_integer and is_number(y, 1):
        found = f.zeros_like(x)
    return found


def _same_twice(f: Namespace, operands: Operands, params: Params) -> Value | None:
    return operands[0] if operands[0] is operands[1] else None


def _negative(f: Namespace, operands: Operands, params: Params) -> Value | None:
    inner = made_by(operands[0], "negative")
    return None if inner is None else inner.operands[0]


def _abs(f: Namespace, operands: Operands, params: Params) -> Value | None:
    (x,) = operands
    if made_by(x, "abs") and x.dtype.is_floating:
        return x
    inner = made_by(x, "negative")
    found: Value | None = None if inner is None else f.abs(inner.operands[0])
    return found


def _idempotent(name: str) -> Rule:
    def rule(f: Namespace, operands: Operands, params: Params) -> Value | None:
        return operands[0] if made_by(operands[0], name) else None

    return rule


# ---- bits and booleans --------------------------------------------------------------------------


def _ones(dtype: DType) -> int | bool:
    """The number with all bits set."""
    if dtype.kind == "b":
        return True
    return -1 if dtype.kind == "i" else 2**dtype.bits - 1


def _zero(dtype: DType) -> int | bool:
    return False if dtype.kind == "b" else 0


def _and(f: Namespace, operands: Operands, params: Params) -> Value | None:
    for one, other in (operands, operands[::-1]):
        if is_number(one, _ones(one.dtype)):
            return other
        if is_number(one, _zero(one.dtype)):
            return one
    return _same_twice(f, operands, params)


def _or(f: Namespace, operands: Operands, params: Params) -> Value | None:
    for one, other in (operands, operands[::-1]):
        if is_number(one, _zero(one.dtype)):
            return other
        if is_number(one, _ones(one.dtype)):
            return one
    return _same_twice(f, operands, params)


def _xor(f: Namespace, operands: Operands, params: Params) -> Value | None:
    for one, other in (operands, operands[::-1]):
        if is_number(one, _zero(one.dtype)):
            return other
    return None


def _shift(f: Namespace, operands: Operands, params: Params) -> Value | None:
    return operands[0] if is_number(operands[1], 0) else None


def _invert(f: Namespace, operands: Operands, params: Params) -> Value | None:
    (x,) = operands
    if made_by(x, "bitwise_invert"):
        return x.node.operands[0]
    found: Value
    if x.dtype.kind == "b" and made_by(x, "equal"):
        found = f.not_equal(*x.node.operands)
        return found
    if x.dtype.kind == "b" and made_by(x, "not_equal"):
        found = f.equal(*x.node.operands)
        return found
    return None


def _where(f: Namespace, operands: Operands, params: Params) -> Value | None:
    condition, x, y = operands
    known = number_of(condition)
    if known is not None:
        return x if known else y
    if x is y:
        return x
    inverted = made_by(condition, "bitwise_invert")
    found: Value
    if inverted is not None:
        found = f.where(inverted.operands[0], y, x)
        return found
    if x.dtype.kind == "b":
        if is_number(x, True) and is_number(y, False):
            return condition
        if is_number(x, False) and is_number(y, True):
            found = f.bitwise_invert(condition)
            return found
    return None


# ---- conversions --------------------------------------------------------------------------------


def holds_exactly(wide: DType, narrow: DType) -> bool:
    """Whether every value of `narrow` is a value of `wide`."""
    if wide is narrow or narrow.kind == "b":
        return True
    if wide.kind == "b":
        return False
    if wide.is_floating:
        if narrow.is_floating:
            return all(
                size[wide.name] >= size[narrow.name] for size in (_MANTISSA, _EXPONENT)
            )
        digits = narrow.bits - (narrow.kind == "i")
        # the largest power of two of f16 is 2^15; an i16 or u16 does not fit anyway
        return digits <= _MANTISSA[wide.name]
    if narrow.is_floating:
        return False
    if wide.kind == narrow.kind:
        return wide.bits >= narrow.bits
    return wide.kind == "i" and wide.bits > narrow.bits


def _cast(f: Namespace, operands: Operands, params: Params) -> Value | None:
    (x,) = operands
    target = params["dtype"]
    if x.dtype is target:
        return x
    inner = made_by(x, "cast")
    if inner is None:
        return None
    source = inner.operands[0]
    integers = all(d.is_integer for d in (source.dtype, x.dtype, target))
    if holds_exactly(x.dtype, source.dtype) or (integers and x.dtype.bits >= target.bits):
        found: Value = f.cast(source, dtype=target)
        return found
    return None


def _bitcast(f: Namespace, operands: Operands, params: Params) -> Value | None:
    (x,) = operands
    if x.dtype is params["dtype"]:
        return x
    inner = made_by(x, "bitcast")
    found: Value | None = None
    if inner is not None:
        found = f.bitcast(inner.operands[0], dtype=params["dtype"])
    return found


def _operand(f: Namespace, operands: Operands, params: Params) -> Value | None:
    return operands[0]


# ---- reductions ---------------------------------------------------------------------------------


def _reduction(f: Namespace, operands: Operands, params: Params) -> Value | None:
    """Reducing no axis, or axes of one element, is a reshape."""
    (x,) = operands
    axes = params["axes"]
    if any(x.shape[axis] != 1 for axis in axes):
        return None
    kept = tuple(dim for axis, dim in enumerate(x.shape) if axis not in axes)
    found: Value = f.reshape(x, shape=kept)
    return found


def _cumulative(f: Namespace, operands: Operands, params: Params) -> Value | None:
    return operands[0] if operands[0].shape[params["axis"]] == 1 else None


def _contract(f: Namespace, operands: Operands, params: Params) -> Value | None:
    """Products of widened 16-bit floats: the kernel reads them as they are, and widens them by
    itself; what is summed is the same."""
    x, y = operands
    if x.dtype is not float32 or params.get("dtype", float32) is not float32:
        return None
    given = _narrow(f, x), _narrow(f, y)
    if given[0] is None or given[1] is None or given[0].dtype is not given[1].dtype:
        return None
    found: Value = f.contract(*given, batch=params["batch"], axes=params["axes"], dtype=float32)
    return found


def _narrow(f: Namespace, value: Value) -> Value | None:
    """The 16-bit value that a float32 one is the widening of, moved as it is; None for others."""
    node = value.node
    if node.op_name == "cast":
        inner = node.operands[0]
        return inner if inner.dtype.is_floating and inner.dtype.bits == 16 else None
    if node.op_name in ("permute", "reshape", "broadcast"):
        moved = _narrow(f, node.operands[0])
        return None if moved is None else getattr(f, node.op_name)(moved, **node.params)
    return None


_RULES: Rules = {
    "contract": (_contract,),
    "add": (_add, *PIECE_RULES["add"]),
    "subtract": (_subtract,),
    "multiply": (_multiply,),
    "divide": (_divide,),
    "floor_divide": (_floor_divide,),
    "remainder": (_remainder,),
    "maximum": (_same_twice,),
    "minimum": (_same_twice,),
    "negative": (_negative,),
    "abs": (_abs,),
    **{name: (_idempotent(name),) for name in ("floor", "ceil", "trunc", "round")},
    "bitwise_and": (_and,),
    "bitwise_or": (_or,),
    "bitwise_xor": (_xor,),
    "bitwise_invert": (_invert,),
    "shift_left": (_shift,),
    "shift_right": (_shift,),
    "where": (_where,),
    "cast": (_cast,),
    "bitcast": (_bitcast,),
    "stop_gradient": (_operand,),
    **dict.fromkeys(("sum", "prod", "max", "min", "any", "all"), (_reduction,)),
    **dict.fromkeys(("cumprod", "cummax", "cummin", "sort"), (_cumulative,)),
    **MOVEMENT_RULES,
    **PART_RULES,
}
_ALL_RULES: Rules = {
    name: (*FOLD_RULES.get(name, ()), *_RULES.get(name, ())) for name in {*FOLD_RULES, *_RULES}
}

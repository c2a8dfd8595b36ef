"""The scalar instructions: the one vocabulary in which elementwise operations are written.

A lowering receives `Scalar` values and combines them with operators and the functions below. A
handler gives the instructions their meaning: the LLVM emitter prints them, the numpy handler
evaluates them, others may count or bound them. Python numbers take the other operand's dtype.

    add sub mul div rem neg abs fma sqrt floor ceil trunc rint min max copysign
    eq ne lt le gt ge  and or xor not shl shr  select cast bitcast const  complex real imag

Meaning: IEEE-754 round to nearest even for floats, wrap-around for integers. `div` and `rem` of
integers truncate towards zero, and give 0 for a zero divisor (`rem` then gives the dividend).
`min`/`max` propagate NaN and order -0 < +0. `shr` is arithmetic for signed and logical for
unsigned types; shift counts ≥ the width are the lowering's business. Comparisons give bool; those
with NaN are false except `ne`. Casts from float to integer saturate and send NaN to 0. `cast` to
bool is `!= 0`. `complex` joins two floats, `real` and `imag` take them apart.
"""

from __future__ import annotations

from typing import Any, Protocol

from elinvar.core.dtypes import DType, bool_

INSTRUCTIONS = (
    "add", "sub", "mul", "div", "rem", "neg", "abs", "fma", "sqrt", "floor", "ceil", "trunc",
    "rint", "min", "max", "copysign", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor",
    "not", "shl", "shr", "select", "cast", "bitcast", "const", "complex", "real", "imag",
)  # fmt: skip
COMPARISONS = frozenset(("eq", "ne", "lt", "le", "gt", "ge"))


class Handler(Protocol):
    """Gives the instructions their meaning. Returns the payload of the resulting scalar."""

    def instruction(self, name: str, dtype: DType, arguments: tuple[Any, ...]) -> Any:
        """`dtype` is the result's (for comparisons: bool). Arguments are Scalars.

        `const` receives the Python number, `cast` and `bitcast` the one Scalar to convert.
        """


class Scalar:
    """One value in a lowering: a handler, a dtype and what the handler stands for it."""

    __slots__ = ("dtype", "handler", "payload")

    dtype: DType
    handler: Handler
    payload: Any

    def __init__(self, handler: Handler, dtype: DType, payload: Any) -> None:
        self.handler, self.dtype, self.payload = handler, dtype, payload

    def emit(self, name: str, *others: Any, dtype: DType | None = None) -> Scalar:
        arguments = (self, *(self.like(other) for other in others))
        result = dtype or (bool_ if name in COMPARISONS else self.dtype)
        return Scalar(self.handler, result, self.handler.instruction(name, result, arguments))

    def like(self, value: Any) -> Scalar:
        """`value` itself if it is a scalar, or the constant of this dtype."""
        return value if isinstance(value, Scalar) else self.const(value)

    def const(self, value: float | int | bool, dtype: DType | None = None) -> Scalar:
        dtype = dtype or self.dtype
        return Scalar(self.handler, dtype, self.handler.instruction("const", dtype, (value,)))

    def __add__(self, other: Any) -> Scalar:
        return self.emit("add", other)

    def __radd__(self, other: Any) -> Scalar:
        return self.const(other) + self

    def __sub__(self, other: Any) -> Scalar:
        return self.emit("sub", other)

    def __rsub__(self, other: Any) -> Scalar:
        return self.const(other) - self

    def __mul__(self, other: Any) -> Scalar:
        return self.emit("mul", other)

    def __rmul__(self, other: Any) -> Scalar:
        return self.const(other) * self

    def __truediv__(self, other: Any) -> Scalar:
        return self.emit("div", other)

    def __rtruediv__(self, other: Any) -> Scalar:
        return self.const(other) / self

    def __mod__(self, other: Any) -> Scalar:
        return self.emit("rem", other)

    def __neg__(self) -> Scalar:
        return self.emit("neg")

    def __and__(self, other: Any) -> Scalar:
        return self.emit("and", other)

    def __or__(self, other: Any) -> Scalar:
        return self.emit("or", other)

    def __xor__(self, other: Any) -> Scalar:
        return self.emit("xor", other)

    def __invert__(self) -> Scalar:
        return self.emit("not")

    def __lshift__(self, other: Any) -> Scalar:
        return self.emit("shl", other)

    def __rshift__(self, other: Any) -> Scalar:
        return self.emit("shr", other)

    def __lt__(self, other: Any) -> Scalar:
        return self.emit("lt", other)

    def __le__(self, other: Any) -> Scalar:
        return self.emit("le", other)

    def __gt__(self, other: Any) -> Scalar:
        return self.emit("gt", other)

    def __ge__(self, other: Any) -> Scalar:
        return self.emit("ge", other)

    def eq(self, other: Any) -> Scalar:
        return self.emit("eq", other)

    def ne(self, other: Any) -> Scalar:
        return self.emit("ne", other)

    def abs(self) -> Scalar:
        return self.emit("abs")

    def sqrt(self) -> Scalar:
        return self.emit("sqrt")

    def floor(self) -> Scalar:
        return self.emit("floor")

    def ceil(self) -> Scalar:
        return self.emit("ceil")

    def trunc(self) -> Scalar:
        return self.emit("trunc")

    def rint(self) -> Scalar:
        return self.emit("rint")

    def min(self, other: Any) -> Scalar:
        return self.emit("min", other)

    def max(self, other: Any) -> Scalar:
        return self.emit("max", other)

    def copysign(self, sign: Any) -> Scalar:
        return self.emit("copysign", sign)

    def cast(self, dtype: DType) -> Scalar:
        return self if dtype is self.dtype else self.emit("cast", dtype=dtype)

    def bitcast(self, dtype: DType) -> Scalar:
        return self if dtype is self.dtype else self.emit("bitcast", dtype=dtype)

    def isnan(self) -> Scalar:
        return self.ne(self)


def fma(x: Scalar, y: Any, z: Any) -> Scalar:
    """x·y + z, rounded once."""
    return x.emit("fma", y, z)


def select(condition: Scalar, yes: Any, no: Any) -> Scalar:
    """`yes` where the condition holds, else `no`."""
    typed = yes if isinstance(yes, Scalar) else no
    yes, no = typed.like(yes), typed.like(no)
    handler = condition.handler
    payload = handler.instruction("select", yes.dtype, (condition, yes, no))
    return Scalar(handler, yes.dtype, payload)

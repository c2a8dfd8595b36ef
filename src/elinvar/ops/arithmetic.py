"""Arithmetic primitives: sums, products, quotients, roots, signs and rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import FLOATS, NUMERIC
from elinvar.ops import division
from elinvar.ops.elementwise import (
    XY,
    X,
    elementwise,
    float_samples,
    integer_samples,
    joined,
    quiet,
)
from elinvar.ops.record import Op
from elinvar.ops.scalars import Scalar, select

_NUMBERS_1 = joined(float_samples(1), integer_samples(1))
_NUMBERS_2 = joined(float_samples(2), integer_samples(2))


# ---- lowerings and decompositions that need more than one line ----------------------------------


def _sign(x: Scalar) -> Scalar:
    if x.dtype.kind == "u":
        return x.min(1)
    zero, one = x.const(0), x.const(1)
    return select(x > 0, one, select(x < 0, -one, select(x.eq(0), zero, x)))


def _sign_stablehlo(f: Any, x: Any) -> Any:
    zero, one = f.zeros_like(x), f.full(1, x)
    if x.dtype.kind == "u":
        return f.minimum(x, one)
    found = f.where(f.greater(x, zero), one, f.where(f.less(x, zero), f.negative(one), zero))
    return f.where(f.equal(x, x), found, x) if x.dtype.kind == "f" else found


def _sign_reference(x: Any) -> Any:
    return np.sign(x) + np.zeros((), x.dtype)


def _ordered(keep_left: Any) -> Any:
    """numpy's maximum or minimum with -0 < +0, which numpy leaves open."""

    def reference(x: Any, y: Any) -> Any:
        if x.dtype.kind != "f":
            return np.where(keep_left(x, y), x, y)
        left = keep_left(x, y) | ((x == y) & keep_left(np.signbit(y), np.signbit(x)))
        found = np.where(left, x, y)
        return np.where(np.isnan(x) | np.isnan(y), np.asarray(np.nan, x.dtype), found)

    return reference


def _share(f: Any, wins: Any, ties: Any, cotangent: Any) -> Any:
    """The cotangent where x wins, half of it at ties, else 0."""
    zero = f.zeros_like(cotangent)
    half = f.multiply(cotangent, f.full(0.5, cotangent))
    return f.where(wins, cotangent, f.where(ties, half, zero))


def _maximum_derivative(f: Any, x: Any, y: Any, result: Any, g: Any) -> Any:
    ties = f.equal(x, y)
    return _share(f, f.greater(x, y), ties, g), _share(f, f.less(x, y), ties, g)


def _minimum_derivative(f: Any, x: Any, y: Any, result: Any, g: Any) -> Any:
    ties = f.equal(x, y)
    return _share(f, f.less(x, y), ties, g), _share(f, f.greater(x, y), ties, g)


def _remainder_stablehlo(f: Any, x: Any, y: Any) -> Any:
    zero = f.zeros_like(x)
    rest = f.native("stablehlo.remainder", x, y)
    if x.dtype.kind != "u":
        signs_differ = f.not_equal(f.less(rest, zero), f.less(y, zero))
        crossed = f.bitwise_and(f.not_equal(rest, zero), signs_differ)
        rest = f.where(crossed, f.add(rest, y), rest)
    if x.dtype.kind == "f":
        return f.where(f.equal(rest, zero), f.copysign(rest, y), rest)
    return f.where(f.equal(y, zero), zero, rest)


def _floor_divide_stablehlo(f: Any, x: Any, y: Any) -> Any:
    zero = f.zeros_like(x)
    quotient = f.native("stablehlo.divide", x, y)
    if x.dtype.kind == "u":
        return f.where(f.equal(y, zero), zero, quotient)
    rest = f.native("stablehlo.remainder", x, y)
    signs_differ = f.not_equal(f.less(rest, zero), f.less(y, zero))
    crossed = f.bitwise_and(f.not_equal(rest, zero), signs_differ)
    if x.dtype.kind == "i":
        quotient = f.where(crossed, f.subtract(quotient, f.full(1, x)), quotient)
        return f.where(f.equal(y, zero), zero, quotient)
    exact = f.divide(f.subtract(x, rest), y)
    exact = f.where(crossed, f.subtract(exact, f.full(1, x)), exact)
    floor = f.floor(exact)
    up = f.greater(f.subtract(exact, floor), f.full(0.5, x))
    nearest = f.where(up, f.add(floor, f.full(1, x)), floor)
    whole = f.where(f.equal(exact, zero), f.copysign(zero, quotient), nearest)
    infinity = f.full(float("inf"), x)
    infinite = f.bitwise_or(f.equal(f.abs(x), infinity), f.equal(f.abs(y), infinity))
    return f.where(f.bitwise_or(infinite, f.equal(y, zero)), quotient, whole)


def _floor_divided(x: Any, y: Any) -> Any:
    if x.dtype.kind != "f":
        return np.floor_divide(x, y)
    return np.where(np.isinf(x) | np.isinf(y), x / y, np.floor_divide(x, y))


def _float_native(name: str) -> Any:
    """StableHLO's op for floats; integers are already whole."""
    return lambda f, x: f.native(name, x) if x.dtype.kind == "f" else x


def _rounding(name: str, summary: str, formula: str, example: str, **fields: Any) -> Op:
    reference = fields.pop("reference")
    return elementwise(
        name, X, summary, formula, example, accepted=NUMERIC,
        reference=quiet(lambda x: reference(x) if x.dtype.kind == "f" else x),
        derivative=None, samples=_NUMBERS_1, **fields,
    )  # fmt: skip


# ---- records ------------------------------------------------------------------------------------

_UNARY: tuple[Op, ...] = (
    elementwise(
        "negative", X, "The number with the opposite sign.", "y = -x",
        ">>> el.negative(el.asarray([1.0, -2.5])).tolist()\n[-1.0, 2.5]",
        accepted=NUMERIC,
        reference=quiet(np.negative),
        derivative=lambda f, x, y, g: f.negative(g),
        lowering=lambda x: -x,
        stablehlo="stablehlo.negate",
        samples=_NUMBERS_1,
    ),
    elementwise(
        "abs", X, "The absolute value. Its derivative at 0 is 0.", "y = |x|",
        ">>> el.abs(el.asarray([-1.5, 2.0])).tolist()\n[1.5, 2.0]",
        accepted=NUMERIC,
        reference=quiet(np.abs),
        derivative=lambda f, x, y, g: f.multiply(g, f.sign(x)),
        lowering=lambda x: x.abs(),
        stablehlo=lambda f, x: x if x.dtype.kind == "u" else f.native("stablehlo.abs", x),
        samples=_NUMBERS_1,
    ),
    elementwise(
        "sign", X,
        "The sign: -1, 0 or 1; NaN stays NaN. Its derivative is 0 everywhere.",
        "y = 1 if x > 0, -1 if x < 0, 0 if x = 0",
        ">>> el.sign(el.asarray([-3.0, 0.0, 2.0])).tolist()\n[-1.0, 0.0, 1.0]",
        accepted=NUMERIC,
        reference=quiet(_sign_reference),
        derivative=None,
        lowering=_sign,
        stablehlo=_sign_stablehlo,
        samples=_NUMBERS_1,
    ),
    elementwise(
        "sqrt", X,
        "The square root; NaN for negative numbers. Its derivative at 0 is infinite.",
        "y = √x",
        ">>> el.sqrt(el.asarray([4.0, 2.25])).tolist()\n[2.0, 1.5]",
        accepted=FLOATS,
        reference=quiet(np.sqrt),
        derivative=lambda f, x, y, g: f.divide(f.multiply(g, f.full(0.5, y)), y),
        lowering=lambda x: x.sqrt(),
        stablehlo="stablehlo.sqrt",
        samples=float_samples(1, 0.1, 9.0),
    ),
    _rounding(
        "floor", "The largest integer that is not above x.", "y = ⌊x⌋",
        ">>> el.floor(el.asarray([1.5, -1.5])).tolist()\n[1.0, -2.0]",
        reference=np.floor, lowering=lambda x: x.floor(),
        stablehlo=_float_native("stablehlo.floor"),
    ),
    _rounding(
        "ceil", "The smallest integer that is not below x.", "y = ⌈x⌉",
        ">>> el.ceil(el.asarray([1.5, -1.5])).tolist()\n[2.0, -1.0]",
        reference=np.ceil, lowering=lambda x: x.ceil(),
        stablehlo=_float_native("stablehlo.ceil"),
    ),
    _rounding(
        "trunc", "The integer part of x.", "y = sign(x)·⌊|x|⌋",
        ">>> el.trunc(el.asarray([1.5, -1.5])).tolist()\n[1.0, -1.0]",
        reference=np.trunc, lowering=lambda x: x.trunc(),
        stablehlo=lambda f, x: x if x.dtype.kind != "f" else f.where(
            f.less(x, f.zeros_like(x)), f.ceil(x), f.floor(x)
        ),
    ),
    _rounding(
        "round", "The nearest integer; halves go to the even one.", "y = the integer nearest to x",
        ">>> el.round(el.asarray([0.5, 1.5, -2.7])).tolist()\n[0.0, 2.0, -3.0]",
        reference=np.rint, lowering=lambda x: x.rint(),
        stablehlo=_float_native("stablehlo.round_nearest_even"),
    ),
)  # fmt: skip

_BINARY: tuple[Op, ...] = (
    elementwise(
        "add", XY, "The sum; integers wrap around.", "z = x + y",
        ">>> el.add(el.asarray([1.0, 2.0]), el.asarray([0.5, 0.5])).tolist()\n[1.5, 2.5]",
        accepted=NUMERIC,
        reference=quiet(np.add),
        derivative=lambda f, x, y, z, g: (g, g),
        lowering=lambda x, y: x + y,
        stablehlo="stablehlo.add",
        samples=_NUMBERS_2,
    ),
    elementwise(
        "subtract", XY, "The difference; integers wrap around.", "z = x - y",
        ">>> el.subtract(el.asarray([1.0, 2.0]), el.asarray([0.5, 3.0])).tolist()\n[0.5, -1.0]",
        accepted=NUMERIC,
        reference=quiet(np.subtract),
        derivative=lambda f, x, y, z, g: (g, f.negative(g)),
        lowering=lambda x, y: x - y,
        stablehlo="stablehlo.subtract",
        samples=_NUMBERS_2,
    ),
    elementwise(
        "multiply", XY, "The product; integers wrap around.", "z = x·y",
        ">>> el.multiply(el.asarray([1.5, 2.0]), el.asarray([2.0, -3.0])).tolist()\n[3.0, -6.0]",
        accepted=NUMERIC,
        reference=quiet(np.multiply),
        derivative=lambda f, x, y, z, g: (f.multiply(g, y), f.multiply(g, x)),
        lowering=lambda x, y: x * y,
        stablehlo="stablehlo.multiply",
        samples=_NUMBERS_2,
    ),
    elementwise(
        "divide", XY, "The quotient of floats, with IEEE's infinities and NaN.", "z = x / y",
        ">>> el.divide(el.asarray([1.0, 3.0]), el.asarray([2.0, -4.0])).tolist()\n[0.5, -0.75]",
        accepted=FLOATS,
        reference=quiet(np.divide),
        derivative=lambda f, x, y, z, g: (
            f.divide(g, y),
            f.negative(f.divide(f.multiply(g, z), y)),
        ),
        lowering=lambda x, y: x / y,
        stablehlo="stablehlo.divide",
        samples=float_samples(2, 0.5, 3.0),
    ),
    elementwise(
        "floor_divide", XY,
        "The quotient rounded down, as Python's `//`. Integers give 0 for a zero divisor. Beside "
        "infinities it is x / y, as the standard has it (Python: 1 // -∞ = -1). The derivative is "
        "0.",
        "z = ⌊x / y⌋",
        ">>> el.floor_divide(el.asarray([7, -7]), el.asarray([2, 2])).tolist()\n[3, -4]",
        accepted=NUMERIC,
        reference=quiet(_floor_divided),
        derivative=None,
        lowering=division.floor_divide,
        stablehlo=_floor_divide_stablehlo,
        samples=_NUMBERS_2,
    ),
    elementwise(
        "remainder", XY,
        "The remainder with the divisor's sign, as Python's `%`; exact for floats. Integers give 0 "
        "for a zero divisor.",
        "z = x - y·⌊x / y⌋",
        ">>> el.remainder(el.asarray([7, -7]), el.asarray([3, 3])).tolist()\n[1, 2]",
        accepted=NUMERIC,
        reference=quiet(np.remainder),
        derivative=lambda f, x, y, z, g: (g, f.negative(f.multiply(g, f.floor_divide(x, y)))),
        lowering=division.remainder,
        stablehlo=_remainder_stablehlo,
        samples=joined(float_samples(2, 0.3, 5.0), float_samples(2), integer_samples(2)),
    ),
    elementwise(
        "maximum", XY,
        "The larger number. NaN wins, and -0 < +0. At ties each operand gets half the gradient.",
        "z = max(x, y)",
        ">>> el.maximum(el.asarray([1.0, 5.0]), el.asarray([3.0, 2.0])).tolist()\n[3.0, 5.0]",
        accepted=NUMERIC,
        reference=quiet(_ordered(np.greater)),
        derivative=_maximum_derivative,
        lowering=lambda x, y: x.max(y),
        stablehlo="stablehlo.maximum",
        samples=_NUMBERS_2,
    ),
    elementwise(
        "minimum", XY,
        "The smaller number. NaN wins, and -0 < +0. At ties each operand gets half the gradient.",
        "z = min(x, y)",
        ">>> el.minimum(el.asarray([1.0, 5.0]), el.asarray([3.0, 2.0])).tolist()\n[1.0, 2.0]",
        accepted=NUMERIC,
        reference=quiet(_ordered(np.less)),
        derivative=_minimum_derivative,
        lowering=lambda x, y: x.min(y),
        stablehlo="stablehlo.minimum",
        samples=_NUMBERS_2,
    ),
)  # fmt: skip

OPS = _UNARY + _BINARY

"""Exact remainders, floor division and integer powers as fixed sequences of scalar instructions."""

from __future__ import annotations

from elinvar.core.dtypes import float32, float64
from elinvar.ops.scalars import Scalar, fma, select

_BITS = 52  # each step of a long division takes at least this many bits off the quotient


def _steps(x: Scalar, y: Scalar, bits: int) -> Scalar:
    """Long division: x less multiples of y, until |x/y| < 2**52, where |x/y| < 2**bits before.

    The rounded quotient q is an integer once |x/y| ≥ 2**52, and x - q·y is then exact in one fma.
    """
    for _ in range(-(-(bits - _BITS) // _BITS)):
        x = fma(-(x / y).trunc(), y, x)
    return x


def float_remainder(x: Scalar, y: Scalar) -> Scalar:
    """The exact remainder of x / y with the sign of x (C's fmod), for f32 and f64."""
    rest, divisor = x.abs().cast(float64), y.abs().cast(float64)
    if x.dtype is float32:
        rest = _steps(rest, divisor, 277)
    else:  # x / y may overflow, so reduce by multiples of y first
        shift = divisor.const(2.0**537)
        scaled = select(divisor < 1.0, divisor * shift, divisor)
        twice = select(divisor < 2.0**-51, scaled * shift, scaled)
        rest = _steps(_steps(_steps(rest, twice, 1024), scaled, 589), divisor, 589)
    rest = fma(-(rest / divisor).floor(), divisor, rest)
    rest = select(rest < 0.0, rest + divisor, rest)  # the quotient was rounded up to an integer
    rest = rest.cast(x.dtype)
    beyond = y.abs().eq(float("inf")) & (x.abs() < float("inf"))
    return select(beyond, x, rest.copysign(x))


def remainder(x: Scalar, y: Scalar) -> Scalar:
    """x - y·⌊x/y⌋ with the sign of y, as Python's `%`."""
    if x.dtype.kind == "f":
        rest = float_remainder(x, y)
        crossed = rest.ne(0.0) & ((rest < 0.0) ^ (y < 0.0))
        return select(rest.eq(0.0), rest.copysign(y), select(crossed, rest + y, rest))
    rest = x % y
    if x.dtype.kind == "u":
        return select(y.eq(0), 0, rest)
    crossed = rest.ne(0) & ((rest ^ y) < 0)
    return select(y.eq(0), 0, select(crossed, rest + y, rest))


def floor_divide(x: Scalar, y: Scalar) -> Scalar:
    """⌊x/y⌋, as Python's `//`; integers give 0 for a zero divisor.

    Beside infinities it is the rounded x / y, by the Array API standard: 1 // -∞ is -0 and ∞ // 2
    is ∞, where Python has -1 and NaN.
    """
    if x.dtype.kind == "u":
        return x / y
    if x.dtype.kind == "i":
        rest = x % y
        crossed = rest.ne(0) & ((rest ^ y) < 0) & y.ne(0)
        quotient = x / y
        return select(crossed, quotient - 1, quotient)
    rest = float_remainder(x, y)
    quotient = (x - rest) / y
    crossed = rest.ne(0.0) & ((rest < 0.0) ^ (y < 0.0))
    quotient = select(crossed, quotient - 1.0, quotient)
    floor = quotient.floor()
    nearest = select(quotient - floor > 0.5, floor + 1.0, floor)
    whole = select(quotient.eq(0.0), quotient.const(0.0).copysign(x / y), nearest)
    infinite = x.abs().eq(float("inf")) | y.abs().eq(float("inf"))
    return select(infinite | y.eq(0.0), x / y, whole)


def integer_power(x: Scalar, y: Scalar) -> Scalar:
    """x to the power y with wrap-around; a negative y gives 1 / x**-y without its fraction."""
    result, square = x.const(1), x
    for bit in range(x.dtype.bits - (x.dtype.kind == "i")):
        taken = ((y >> y.const(bit)) & 1).ne(0)
        result = select(taken, result * square, result)
        square = square * square
    if x.dtype.kind == "u":
        return result
    odd = (y & 1).ne(0)
    inverse = select(x.eq(1) | (x.eq(-1) & ~odd), x.const(1), x.const(0))
    inverse = select(x.eq(-1) & odd, x.const(-1), inverse)
    return select(y < 0, inverse, result)

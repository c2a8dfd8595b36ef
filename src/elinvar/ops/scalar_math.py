"""Exponentials, logarithms, hyperbolic functions and erf as fixed sequences of scalar instructions.

Every function here works for f32 and f64 by one and the same formula; only the constants and the
degrees of the polynomials differ (`coefficients.py`). There are no branches: where a function has
several formulas all are computed and one is selected. Errors are below 2 units in the last place
over the whole range, subnormal results included; `tests/test_scalar_math.py` holds the bounds.

The building blocks:

- rounding to an integer n by adding 1.5·2^23 (f32) or 1.5·2^52 (f64): n then stands in the low
  bits of the sum, and a shift by the width of the mantissa makes 2^n of it;
- ln 2 in two parts, so that x - n·ln 2 is as good as exact in two fused multiply-adds.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

from elinvar.core.dtypes import DType, float32, float64, int32, int64
from elinvar.ops import coefficients as table
from elinvar.ops.scalars import Scalar, fma, select

INFINITY = float("inf")
_LOG2E = 1.4426950408889634
_LN2_LO_64 = 2.3190468138462996e-17  # ln 2 less its nearest f64


def _single(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def pick(x: Scalar, single: float, double: float) -> float:
    """The constant for the dtype of x."""
    return single if x.dtype is float32 else double


def split(x: Scalar, high: float, low: float) -> tuple[float, float]:
    """A constant (given as two f64 that add up to it) in two parts of the dtype of x."""
    if x.dtype is not float32:
        return high, low
    return _single(high), _single(high - _single(high))


def word(x: Scalar) -> DType:
    """The signed integer type as wide as x."""
    return int32 if x.dtype is float32 else int64


def mantissa_bits(x: Scalar) -> int:
    return 23 if x.dtype is float32 else 52


def horner(x: Scalar, coefficients: tuple[float, ...]) -> Scalar:
    """The polynomial with the given coefficients, lowest power first."""
    total = x.const(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = fma(total, x, coefficient)
    return total


def polynomial(x: Scalar, rows: dict[DType, tuple[float, ...]]) -> Scalar:
    return horner(x, rows[x.dtype])


def at_most(x: Scalar, limit: float) -> Scalar:
    """min(x, limit), where NaN stays NaN."""
    return select(x > limit, limit, x)


def at_least(x: Scalar, limit: float) -> Scalar:
    return select(x < limit, limit, x)


# ---- exponentials -------------------------------------------------------------------------------


def _magic(x: Scalar, exponent: int) -> float:
    """The number that, when added to n, leaves n + exponent + bias in the low bits."""
    bias = 127 if x.dtype is float32 else 1023
    return 1.5 * 2.0 ** mantissa_bits(x) + bias + exponent


def _power_of_two(shifted: Scalar) -> Scalar:
    """2^(n + exponent) from the sum of n and `_magic(exponent)`."""
    kind = word(shifted)
    return (shifted.bitcast(kind) << mantissa_bits(shifted)).bitcast(shifted.dtype)


def _reduce(x: Scalar, halves: int, exponent: int) -> tuple[Scalar, Scalar]:
    """r and s with x = halves·n·ln 2 + r, |r| ≤ halves·ln 2 / 2 and s = 2^(n + exponent)."""
    magic = _magic(x, exponent)
    high, low = split(x, halves * math.log(2), halves * _LN2_LO_64)
    shifted = fma(x, _LOG2E / halves, magic)
    count = shifted - magic
    rest = fma(count, -low, fma(count, -high, x))
    return rest, _power_of_two(shifted)


def _exp_parts(x: Scalar) -> tuple[Scalar, Scalar]:
    """p and s with exp(x) = p·s·s, for x within the range of finite results."""
    rest, root = _reduce(x, 2, 0)
    tail = polynomial(rest, table.EXP)
    return fma(fma(tail, rest, 1.0), rest, 1.0), root


def exp(x: Scalar) -> Scalar:
    """e^x. The scale is applied as two factors, so subnormal results are rounded once."""
    bounded = at_least(at_most(x, pick(x, 89.0, 710.0)), pick(x, -104.0, -746.0))
    value, root = _exp_parts(bounded)
    return value * root * root


def _expm1_parts(x: Scalar, exponent: int) -> tuple[Scalar, Scalar]:
    """q and s with exp(x) = (1 + q)·s·2^-exponent."""
    rest, scale = _reduce(x, 1, exponent)
    return fma(rest * rest, polynomial(rest, table.EXPM1), rest), scale


def expm1(x: Scalar) -> Scalar:
    """e^x - 1, accurate near 0."""
    bounded = at_least(at_most(x, pick(x, 89.0, 710.0)), pick(x, -20.0, -40.0))
    tail, half = _expm1_parts(bounded, -1)
    result = fma(half, tail, half - 0.5) * 2.0
    return select(x.abs() < pick(x, 2.0**-26, 2.0**-55), x, result)


# ---- logarithms ---------------------------------------------------------------------------------


def _exponent(x: Scalar) -> tuple[Scalar, Scalar]:
    """The integer e and m = x·2^-e with √½ ≤ m < √2, for positive normal x."""
    kind, bits = word(x), x.bitcast(word(x))
    root = 0x3F3504F3 if x.dtype is float32 else 0x3FE6A09E667F3BCD
    exponent = (bits - root) >> mantissa_bits(x)
    return exponent, (bits - (exponent << bits.const(mantissa_bits(x), kind))).bitcast(x.dtype)


def _as_float(number: Scalar, dtype: DType) -> Scalar:
    """A small integer as a float."""
    if dtype is float32:
        return number.cast(float32)
    shifted = (number + 0x4338000000000000).bitcast(dtype)  # the bits of 1.5·2^52
    return shifted - 1.5 * 2.0**52


def _log1p_tail(f: Scalar) -> Scalar:
    """log(1 + f) - f for √½ ≤ 1 + f ≤ √2."""
    if f.dtype is float32:
        return f * f * fma(polynomial(f, table.LOG), f, -0.5)
    s = f / (f + 2.0)  # log(1 + f) = 2·atanh(s)
    z = s * s
    return s * fma(z * polynomial(z, table.ATANH), 2.0, -f)


def _with_exponent(k: Scalar, f: Scalar, low: Scalar | None = None) -> Scalar:
    """k·ln 2 + log(1 + f) + low."""
    ln2_high = pick(f, 0.693145751953125, 0.6931471803691238)  # few bits, so that k·high is exact
    ln2_low = pick(f, 1.4286068203094172e-06, 1.9082149292705877e-10)
    rest = fma(k, ln2_low, _log1p_tail(f))
    if low is not None:
        rest = rest + low
    return fma(k, ln2_high, f + rest)


def _normal_parts(x: Scalar) -> tuple[Scalar, Scalar]:
    """k and f with x = 2^k·(1 + f), for x > 0, subnormal numbers included."""
    small = x < pick(x, 2.0**-126, 2.0**-1022)
    scale = pick(x, 24.0, 54.0)
    exponent, m = _exponent(select(small, x * 2.0**scale, x))
    k = _as_float(exponent, x.dtype)
    return select(small, k - scale, k), m - 1.0


def _outside(x: Scalar, result: Scalar) -> Scalar:
    """A logarithm's result, with its values for 0, ∞, NaN and negative numbers put in."""
    inside = (x > 0.0) & (x < INFINITY)
    special = select(x.eq(0.0), x.const(-INFINITY), select(x > 0.0, x, x.const(float("nan"))))
    return select(inside, result, special)


def log(x: Scalar) -> Scalar:
    """The natural logarithm."""
    k, f = _normal_parts(x)
    return _outside(x, _with_exponent(k, f))


def log1p(x: Scalar) -> Scalar:
    """log(1 + x), accurate near 0."""
    sum_ = x + 1.0
    exponent, m = _exponent(sum_)
    one = pick(x, 0x3F800000, 0x3FF0000000000000)
    inverse = (one - (exponent << mantissa_bits(x))).bitcast(x.dtype)  # 2^-k
    f = select(sum_ > pick(x, 2.0**25, 2.0**54), m - 1.0, fma(x, inverse, inverse - 1.0))
    result = _with_exponent(_as_float(exponent, x.dtype), f).copysign(x)
    return _outside(sum_, result)


def _scaled_log(x: Scalar, factor: tuple[float, float], step: tuple[float, float]) -> Scalar:
    """factor·log(1 + f) + step·k, where step·k is exact in its first part."""
    k, f = _normal_parts(x)
    tail = _log1p_tail(f)
    total = f + tail
    below = (f - total) + tail
    high, low = split(x, *factor)
    product = total * high
    rest = fma(total, low, fma(below, high, fma(total, high, -product)))
    whole = k * step[0]
    result = whole + product
    rest = rest + ((whole - result) + product)
    if step[1]:
        rest = fma(k, step[1], rest)
    return _outside(x, result + rest)


def log2(x: Scalar) -> Scalar:
    """The logarithm to base 2, exact for powers of two."""
    return _scaled_log(x, (_LOG2E, 2.0355273740931033e-17), (1.0, 0.0))


def log10(x: Scalar) -> Scalar:
    """The logarithm to base 10."""
    step = (0.301025390625, 4.605038981195214e-06)
    if x.dtype is not float32:
        step = (0.3010299956640665, -8.532344317057106e-14)
    return _scaled_log(x, (0.4342944819032518, 1.098319650216765e-17), step)


def _log_of_sum(high: Scalar, low: Scalar, extra: Scalar) -> Scalar:
    """log((high + low)·2^extra) for high > 0 and |low| far below high."""
    exponent, m = _exponent(high)
    return _with_exponent(_as_float(exponent, high.dtype) + extra, m - 1.0, low / high)


# ---- hyperbolic functions -----------------------------------------------------------------------


def _quarter_exp(x: Scalar) -> Scalar:
    """e^x / 4 for 0 ≤ x up to a bit above log(2·largest)."""
    rest, quarter = _reduce(at_most(x, pick(x, 89.5, 710.5)), 1, -2)
    tail = fma(rest * rest, polynomial(rest, table.EXP_HALF), rest)
    return fma(tail, quarter, quarter)


def sinh(x: Scalar) -> Scalar:
    """The hyperbolic sine: a polynomial up to 1, exponentials beyond."""
    size, z = x.abs(), x * x
    quarter = _quarter_exp(size)
    far = fma(quarter, 2.0, -0.125 / quarter).copysign(x)
    near = fma(z * polynomial(z, table.SINH), x, x)
    return select(size < 1.0, near, far)


def cosh(x: Scalar) -> Scalar:
    """The hyperbolic cosine."""
    quarter = _quarter_exp(x.abs())
    return fma(quarter, 2.0, 0.125 / quarter)


def tanh(x: Scalar) -> Scalar:
    """The hyperbolic tangent: a polynomial up to 0.55, 1 - 2 / (exp(2|x|) + 1) beyond."""
    size, z = at_most(x.abs(), pick(x, 9.5, 20.0)), x * x
    near = fma(z * polynomial(z, table.TANH), size, size)
    rest, scale = _reduce(size + size, 1, 0)
    tail = fma(rest * rest, polynomial(rest, table.EXP_HALF), rest)
    far = 1.0 - 2.0 / (fma(tail, scale, scale) + 1.0)
    return select(size < 0.55, near, far).copysign(x)


def asinh(x: Scalar) -> Scalar:
    """The inverse hyperbolic sine: a polynomial up to 1/2, log(|x| + √(x² + 1)) beyond."""
    size, z = x.abs(), x * x
    near = fma(z * polynomial(z, table.ASINH), x, x)
    large = size > pick(x, 2.0**30, 2.0**60)
    square = select(large, x.const(0.0), size * size)
    lost = select(large, x.const(0.0), fma(size, size, -square))
    total = square + 1.0
    rest = select(square > 1.0, (square - total) + 1.0, (1.0 - total) + square) + lost
    far = _far_inverse(size, total, rest, large)
    return select(size < 0.5, near, select(size < INFINITY, far, x)).copysign(x)


def _far_inverse(size: Scalar, total: Scalar, rest: Scalar, large: Scalar) -> Scalar:
    """log(size + √(total + rest)), or log(2·size) where `large`."""
    root = total.sqrt()
    root_low = (fma(-root, root, total) + rest) / (root + root)
    high = size + root
    big, small = size.max(root), size.min(root)
    low = ((big - high) + small) + root_low
    zero = size.const(0.0)
    return _log_of_sum(
        select(large, size, high), select(large, zero, low), select(large, size.const(1.0), zero)
    )


def acosh(x: Scalar) -> Scalar:
    """The inverse hyperbolic cosine: √(2t)·polynomial for t = x - 1 ≤ 1/2, a logarithm beyond."""
    t = x - 1.0
    root = (t + t).sqrt()
    near = fma(root * t, polynomial(t, table.ACOSH), root)
    large = x > pick(x, 2.0**30, 2.0**60)
    square = select(large, x.const(1.0), x * x)
    lost = select(large, x.const(0.0), fma(x, x, -square))
    total = square - 1.0
    rest = (square - total) - 1.0 + lost
    far = _far_inverse(x, total, rest, large)
    result = select(x < 1.5, near, far)
    return select(x < INFINITY, result, x)


def atanh(x: Scalar) -> Scalar:
    """The inverse hyperbolic tangent: a polynomial up to 1/2, log((1 + x)/(1 - x))/2 beyond."""
    size, z = x.abs(), x * x
    near = fma(z * polynomial(z, table.ATANH_WIDE), x, x)
    above, below = size + 1.0, 1.0 - size  # below is exact from 1/2 on
    lost = (1.0 - above) + size
    quotient = above / below
    low = (fma(-quotient, below, above) + lost) / below
    far = (_log_of_sum(quotient, low, x.const(0.0)) * 0.5).copysign(x)
    infinite = x.const(INFINITY).copysign(x)
    ends = select(size.eq(1.0), infinite, select(size < 1.0, far, x.const(float("nan"))))
    return select(size < 0.5, near, ends)


# ---- the error function -------------------------------------------------------------------------


class ErfPieces(NamedTuple):
    """Two polynomials: from `seam` on the second one; from `bound` on erf is 1 in its dtype."""

    bound: float
    seam: float
    middle: float
    near: tuple[float, ...]
    far: tuple[float, ...]


_ERF_SLOPE = 1.1283791670955126
ERF_PIECES = {
    float32: ErfPieces(3.9296875, 1.25, 1.0, table.ERF_NEAR[float32], table.ERF_FAR[float32]),
    float64: ErfPieces(
        5.9375, 1.75, 3.84375, (_ERF_SLOPE, *table.ERF_LOW[float64]), table.ERF_HIGH[float64]
    ),
}


def erf(x: Scalar) -> Scalar:
    """The error function: for f32 x + x·N(x² - 1) up to 1.25, 1 - F(|x| - 1)⁴ beyond.

    For f64 it is 1 - exp(-g) with g(x) = -log(erfc(|x|)) = 2/√π·|x| + |x|·R(|x|). g is kept in two
    parts, so that nothing is lost where it is small.
    """
    pieces = ERF_PIECES[x.dtype]
    size = at_most(x.abs(), pieces.bound)
    is_near = size < pieces.seam
    if x.dtype is float32:
        return _erf_single(x, size, is_near).copysign(x)
    high = size * -_ERF_SLOPE
    lost = fma(size, -_ERF_SLOPE, -high)
    slope_low = 1.533545961316588e-17
    near = fma(-size, fma(horner(size, pieces.near[1:]), size, slope_low), lost)
    far = fma(-size, horner(size - pieces.middle, pieces.far), size * _ERF_SLOPE)
    return _expm1_of_sum(high, select(is_near, near, far)).copysign(x)


def _erf_single(x: Scalar, size: Scalar, is_near: Scalar) -> Scalar:
    """Both polynomials have one degree and one middle, so that a lane picks its coefficients: that
    is cheaper than the other polynomial."""
    pieces = ERF_PIECES[float32]
    distance = select(is_near, x * x, size) - pieces.middle
    rows = reversed(list(zip(pieces.near, pieces.far, strict=True)))
    picked = (select(is_near, x.const(near), x.const(far)) for near, far in rows)
    total = next(picked)
    for coefficient in picked:  # each is picked where it is used: fewer registers
        total = fma(total, distance, coefficient)
    square = total * total
    return select(is_near, fma(total, size, size), fma(-square, square, 1.0))


def _expm1_of_sum(high: Scalar, low: Scalar) -> Scalar:
    """expm1(high + low) for a sum ≤ 0, accurate to a fraction of an ulp where it is small."""
    log2_high, log2_low = split(high, math.log(2), _LN2_LO_64)
    shifted = fma(high + low, _LOG2E, _magic(high, 0))
    count = shifted - _magic(high, 0)
    main, rest = fma(count, -log2_high, high), fma(count, -log2_low, low)
    total = main + rest
    tail = main + fma(total * total, polynomial(total, table.EXPM1), rest)
    scale = _power_of_two(shifted)
    return fma(scale, tail, scale - 1.0)

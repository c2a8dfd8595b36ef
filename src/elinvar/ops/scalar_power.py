"""x to the power y for f32 and f64, as 2^(y·log2|x|) with a logarithm of more than f64's precision.

f32 works in f64. f64 keeps the logarithm and the product as unevaluated sums of two f64 (about 66
bits), because an error of the exponent is multiplied by up to 1075 in the result.
"""

from __future__ import annotations

from elinvar.core.dtypes import float32, float64, int64
from elinvar.ops import coefficients as table
from elinvar.ops.scalar_math import INFINITY, horner
from elinvar.ops.scalars import Scalar, fma, select

_TWO_OVER_LN2 = (2.8853900817779268, 4.0710547481862066e-17)
_LN2 = (0.6931471805599453, 2.3190468138462996e-17)
_THIRD = (0.3333333333333333, 1.850371707708594e-17)
_MAGIC = 1.5 * 2.0**52

Pair = tuple[Scalar, Scalar]


def _exponent_and_mantissa(x: Scalar) -> Pair:
    """k and m with x = m·2^k and √½ ≤ m < √2, for positive normal f64."""
    bits = x.bitcast(int64)
    exponent = (bits - 0x3FE6A09E667F3BCD) >> 52
    k = (exponent + 0x4338000000000000).bitcast(float64) - _MAGIC
    return k, (bits - (exponent << 52)).bitcast(float64)


def _log2_short(x: Scalar) -> Pair:
    """log2(x) in f64 to 45 bits."""
    k, m = _exponent_and_mantissa(x)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    tail = fma(z, horner(z, table.ATANH_SHORT[float64]), 1.0)
    return fma(s * _TWO_OVER_LN2[0], tail, k), x.const(0.0)


def _log2_long(x: Scalar) -> Pair:
    """log2(x) as a sum of two f64, to about 66 bits."""
    small = x < 2.0**-1022
    k, m = _exponent_and_mantissa(select(small, x * 2.0**54, x))
    k = select(small, k - 54.0, k)
    s, s_low = _ratio(m)
    # atanh(s) = s + s·u with u = z/3 + z²·A(z), z = s²
    z = s * s
    z_low = fma(s, s, -z) + (s + s) * s_low
    third = z * _THIRD[0]
    third_low = fma(z, _THIRD[0], -third) + fma(z, _THIRD[1], z_low * _THIRD[0])
    rest = fma(z * z, horner(z, table.ATANH_LONG[float64]), third_low)
    u = third + rest
    u_low = (third - u) + rest
    product = s * u
    product_low = fma(s, u, -product) + fma(s, u_low, s_low * u)
    total = s + product
    total_low = ((s - total) + product) + (product_low + s_low)
    scaled = total * _TWO_OVER_LN2[0]
    error = fma(total, _TWO_OVER_LN2[0], -scaled)
    scaled_low = fma(total, _TWO_OVER_LN2[1], fma(total_low, _TWO_OVER_LN2[0], error))
    high = k + scaled
    return high, ((k - high) + scaled) + scaled_low


def _ratio(m: Scalar) -> Pair:
    """(m - 1)/(m + 1) as a sum of two f64."""
    above, below = m - 1.0, m + 1.0
    below_low = m - (below - 1.0)
    quotient = above / below
    rest = fma(-quotient, below, above) - quotient * below_low
    return quotient, rest / below


def _product(y: Scalar, logarithm: Pair, limit: float) -> Pair:
    """y·logarithm as a sum of two f64, kept within ±limit."""
    high, low = logarithm
    product = y * high
    rest = fma(y, low, fma(y, high, -product))
    bounded = select(product > limit, limit, select(product < -limit, -limit, product))
    return bounded, select(product.abs() < limit, rest, 0.0)


def _exp2(product: Pair, short: bool) -> Scalar:
    """2^(high + low), in two factors so that subnormal results are rounded once."""
    high, low = product
    shifted = high + _MAGIC
    fraction = high - (shifted - _MAGIC)
    if short:
        value = fma(fraction, horner(fraction, table.EXP2[float64]), 1.0)
    else:
        whole = fraction + low
        low = (fraction - whole) + low
        r = whole * _LN2[0]
        r_low = fma(whole, _LN2[1], fma(low, _LN2[0], fma(whole, _LN2[0], -r)))
        value = 1.0 + (r + fma(r * r, horner(r, table.EXPM1[float64]), r_low))
    number = shifted.bitcast(int64) - 0x4338000000000000
    half = number >> 1
    first = ((half + 1023) << 52).bitcast(float64)
    second = ((number - half + 1023) << 52).bitcast(float64)
    return value * first * second


def _magnitude(x: Scalar, y: Scalar, short: bool) -> Scalar:
    """|x|^y in f64, with 0^y and ∞^y; 1^y and x^0 are settled by the caller."""
    size = x.abs()
    high, low = _log2_short(size) if short else _log2_long(size)
    high = select(size < INFINITY, high, size)  # ∞ and NaN
    high = select(size.eq(0.0), x.const(-INFINITY), high)
    return _exp2(_product(y, (high, low), 400.0 if short else 1200.0), short)


def power(x: Scalar, y: Scalar) -> Scalar:
    """x^y. x^0 = 1 and 1^y = 1 even for NaN; negative x needs an integer y."""
    if x.dtype is float32:
        value = _magnitude(x.cast(float64), y.cast(float64), True).cast(float32)
    else:
        value = _magnitude(x, y, False)
    whole = y.floor().eq(y)
    half = y * 0.5
    odd = whole & half.floor().ne(half)
    negative = x.const(1.0).copysign(x) < 0.0
    value = select(negative & odd, -value, value)
    invalid = (x < 0.0) & ~whole & (x > -INFINITY)
    value = select(invalid, x.const(float("nan")), value)
    one = y.eq(0.0) | x.eq(1.0) | (x.eq(-1.0) & y.abs().eq(INFINITY))
    return select(one, x.const(1.0), value)

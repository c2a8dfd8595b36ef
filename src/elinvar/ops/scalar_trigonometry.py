"""Trigonometric functions and their inverses as fixed sequences of scalar instructions.

sin, cos and tan are accurate for every finite argument. The reduction by π/2 is where the work is:

- f32: x/(2π) is summed from seven exact f64 products of x with 29-bit pieces of 1/(2π), each less
  its nearest integer, so any f32 is reduced without loss;
- f64 up to 2^26: x - n·π/2 with π/2 in three parts (27 + 53 + 53 bits);
- f64 beyond: the 192 bits of 2/π that matter for x's exponent are selected from a constant of 1216
  bits, multiplied by the 53-bit mantissa in 64-bit integers (Payne and Hanek's method).

Both f64 reductions are computed and one is selected, as there are no branches.
"""

from __future__ import annotations

from elinvar.core.dtypes import float32, float64, int32, int64, uint64
from elinvar.ops import coefficients as table
from elinvar.ops.scalar_math import horner, pick, polynomial, split, word
from elinvar.ops.scalars import Scalar, fma, select

_HALF_PI = (1.5707963267948966, 6.123233995736766e-17)
_PI = (3.141592653589793, 1.2246467991473532e-16)
_TAN_THREE_EIGHTHS = 2.414213562373095
# 1/(2π) in pieces of 29 bits (`tools/constants.py` prints this and the next two constants).
_TURNS = (
    0.15915494272485375,
    3.6704158115630214e-10,
    5.690025167992954e-19,
    1.4703036846932608e-27,
    2.5867171752090537e-36,
    9.458140877728297e-46,
    9.301187196294348e-54,
)
# π/2 in parts of 27, 53 and 53 bits.
_PARTS = (1.570796325802803, 9.920935796805404e-10, 1.6446256936324258e-26)
# 2/π · 2^1188, the highest word first: bit j from the top stands for 2^(27 - j).
_WORDS = (
    0x0000000A2F9836E4,
    0xE441529FC2757D1F,
    0x534DDC0DB6295993,
    0xC439041FE5163ABD,
    0xEBBC561B7246E3A4,
    0x24DD2E006492EEA0,
    0x9D1921CFE1DEB1CB,
    0x129A73EE88235F52,
    0xEBB4484E99C7026B,
    0x45F7E413991D6398,
    0x35339F49C845F8BB,
    0xDF9283B1FF897FFD,
    0xE05980FEF2F118B5,
    0xA0A6D1F6D367ECF2,
    0x7CB09B74F463F669,
    0xE5FEA2D7527BAC7E,
    0xBE5F17B3D0739F78,
    0xA5292EA6BFB5FB11,
    0xF8D5D0856033046F,
)


# ---- reduction of f32 ----------------------------------------------------------------------------


def _reduce_single(size: Scalar) -> tuple[Scalar, Scalar]:
    """r in f64 and the int32 q with size = q·π/2 + r (modulo 2π), |r| ≤ π/4, for f32 size ≥ 0."""
    wide = size.cast(float64)
    fractions = []
    for piece in _TURNS:
        product = wide * piece
        fractions.append(product - product.rint())
    total = fractions[0]
    for fraction in fractions[1:]:
        total = total + fraction
    shifted = fma(total, 4.0, 1.5 * 2.0**52)
    rest = fma(shifted - 1.5 * 2.0**52, -0.25, fractions[0])
    for fraction in fractions[1:]:  # from here on each sum is exact, or as small as the result
        rest = rest + fraction
    return rest * 6.283185307179586, shifted.bitcast(int64).cast(int32)


# ---- reduction of f64 ----------------------------------------------------------------------------


def _reduce_moderate(size: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """(high, low, q) with size = q·π/2 + high + low for size < 2^26."""
    shifted = fma(size, 0.6366197723675814, 1.5 * 2.0**52)
    count = shifted - 1.5 * 2.0**52
    first = fma(count, -_PARTS[0], size)
    high = fma(count, -_PARTS[1], first)
    low = fma(count, -_PARTS[1], first - high)
    return high, fma(count, -_PARTS[2], low), shifted.bitcast(int64)


def _window(exponent: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """192 bits of 2/π, from the one that stands for 2^(1 - exponent) on; -26 ≤ exponent ≤ 971."""
    start = exponent + 26
    words = [exponent.const(item) for item in _WORDS]
    for bit in (3, 2, 1, 0):  # the word that holds the first bit, by its number's binary digits
        wanted = (start & (64 << bit)).ne(0)
        kept = 4 + (1 << bit) - 1
        words = [select(wanted, words[k + (1 << bit)], words[k]) for k in range(kept)]
    shift = start & 63
    back = 63 - shift
    joined = [(words[k] << shift) | ((words[k + 1] >> words[k].const(1)) >> back) for k in range(3)]
    return joined[0], joined[1], joined[2]


def _high_half(a_high: Scalar, a_low: Scalar, b: Scalar) -> Scalar:
    """The upper 64 bits of the product of (a_high·2^32 + a_low) and b, in uint64."""
    b_high, b_low = b >> 32, b & 0xFFFFFFFF
    cross = a_low * b_high + ((a_low * b_low) >> 32)
    other = a_high * b_low + (cross & 0xFFFFFFFF)
    return a_high * b_high + (cross >> 32) + (other >> 32)


def _unsigned_float(value: Scalar, scale: float) -> Scalar:
    """A uint64 below 2^32, times a power of two, as f64."""
    return ((value | 0x4330000000000000).bitcast(float64) - 2.0**52) * scale


def _reduce_large(size: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """(high, low, q) with size = q·π/2 + high + low (modulo 2π) for size ≥ 2^26."""
    bits = size.bitcast(uint64)
    mantissa = (bits & ((1 << 52) - 1)) | (1 << 52)
    top_word, middle_word, last_word = _window((bits >> 52) - 1075)
    a_high, a_low = mantissa >> 32, mantissa & 0xFFFFFFFF
    carried = mantissa * middle_word
    low = carried + _high_half(a_high, a_low, last_word)
    carry = select(low < carried, low.const(1), low.const(0))
    top = mantissa * top_word + _high_half(a_high, a_low, middle_word) + carry
    quadrant = (top + (1 << 61)) >> 62
    signed = (top - (quadrant << 62)).bitcast(int64)  # in units of 2^-62 quadrants
    first = (((signed >> 32) + 0x4338000000000000).bitcast(float64) - 1.5 * 2.0**52) * 2.0**-30
    second = _unsigned_float(signed.bitcast(uint64) & 0xFFFFFFFF, 2.0**-62)
    rest = _unsigned_float(low >> 32, 2.0**-94) + _unsigned_float(low & 0xFFFFFFFF, 2.0**-126)
    upper = first + second
    lost = (first - upper) + second
    turns = upper + rest
    small = ((upper - turns) + rest) + lost
    high = turns * _HALF_PI[0]
    error = fma(turns, _HALF_PI[0], -high)
    return high, fma(small, _HALF_PI[0], fma(turns, _HALF_PI[1], error)), quadrant.bitcast(int64)


def _reduce_double(size: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    moderate, large = _reduce_moderate(size), _reduce_large(size)
    near = size < 2.0**26
    high, low, quadrant = (select(near, a, b) for a, b in zip(moderate, large, strict=True))
    return fma(size, 0.0, high), low, quadrant  # infinities and NaN become NaN


# ---- sin, cos, tan -------------------------------------------------------------------------------


def _sine_and_cosine(x: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """sin(r), cos(r) and the quadrant of |x| = quadrant·π/2 + r."""
    if x.dtype is not float32:
        high, low, quadrant = _reduce_double(x.abs())
        (main, small), (one, rest) = _kernels(high, low)
        return main + small, one + rest, quadrant
    wide, quadrant = _reduce_single(x.abs())
    r = wide.cast(float32)
    z = r * r
    sine = fma(r * z, polynomial(z, table.SIN), r)
    return sine, fma(fma(z, polynomial(z, table.COS), -0.5), z, 1.0), quadrant


Pair = tuple[Scalar, Scalar]


def _kernels(high: Scalar, low: Scalar) -> tuple[Pair, Pair]:
    """sin and cos of high + low for |high| ≤ π/4, each as a main part and a small one."""
    z = high * high
    sine = fma(high * z, polynomial(z, table.SIN), low * fma(z, -0.5, 1.0))
    cosine = fma(fma(z, polynomial(z, table.COS), -0.5), z, -(high * low))
    return (high, sine), (high.const(1.0), cosine)


def _sign_bit(x: Scalar) -> Scalar:
    return x.bitcast(word(x)) & (-1 << (x.dtype.bits - 1))


def _flipped(value: Scalar, sign: Scalar) -> Scalar:
    """-value where the sign bit given is set."""
    return (value.bitcast(word(value)) ^ sign).bitcast(value.dtype)


def _half_turn(quadrant: Scalar) -> Scalar:
    """Bit 1 of the quadrant, moved to the sign bit."""
    return (quadrant << (quadrant.dtype.bits - 2)) & (-1 << (quadrant.dtype.bits - 1))


def sin(x: Scalar) -> Scalar:
    """The sine."""
    sine, cosine, quadrant = _sine_and_cosine(x)
    return _flipped(select((quadrant & 1).ne(0), cosine, sine), _half_turn(quadrant) ^ _sign_bit(x))


def cos(x: Scalar) -> Scalar:
    """The cosine."""
    sine, cosine, quadrant = _sine_and_cosine(x)
    return _flipped(select((quadrant & 1).ne(0), sine, cosine), _half_turn(quadrant + 1))


def tan(x: Scalar) -> Scalar:
    """The tangent: a quotient in f64 for f32, and a quotient with its rounding mended for f64."""
    if x.dtype is float32:
        r, quadrant = _reduce_single(x.abs())
        z = r * r
        sine = fma(r * z, horner(z, table.SIN[float32]), r)
        cosine = fma(fma(z, horner(z, table.COS[float32]), -0.5), z, 1.0)
        odd = (quadrant & 1).ne(0)
        quotient = select(odd, -cosine, sine) / select(odd, sine, cosine)
        return _flipped(quotient.cast(float32), _sign_bit(x))
    high, low, quadrant = _reduce_double(x.abs())
    pairs = _kernels(high, low)
    sums = [main + small for main, small in pairs]
    losses = [(main - total) + small for (main, small), total in zip(pairs, sums, strict=True)]
    odd = (quadrant & 1).ne(0)
    above, below = select(odd, -sums[1], sums[0]), select(odd, sums[0], sums[1])
    above_low, below_low = select(odd, -losses[1], losses[0]), select(odd, losses[0], losses[1])
    quotient = above / below
    rest = fma(-quotient, below, above) + fma(-quotient, below_low, above_low)
    mended = quotient + rest / below
    return _flipped(select(above.eq(0.0), quotient, mended), _sign_bit(x))


# ---- inverse functions ---------------------------------------------------------------------------


def _asin_parts(x: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """(far, base, tail, low) with asin(base + low) = base + (tail + low).

    base is |x| up to 1/2; where `far`, base + low is √((1 - |x|)/2).
    """
    size = x.abs()
    far = size > 0.5
    half = fma(size, -0.5, 0.5)
    z = select(far, half, size * size)
    root = z.sqrt()
    base = select(far, root, size)
    lost = fma(-root, root, z) / select(root > 0.0, root + root, x.const(1.0))
    low = select(far, lost, x.const(0.0))
    return far, base, base * z * polynomial(z, table.ASIN), low


def asin(x: Scalar) -> Scalar:
    """The inverse sine; beyond 1/2 it is π/2 - 2·asin(√((1 - |x|)/2))."""
    far, base, tail, low = _asin_parts(x)
    high, rest = split(x, *_HALF_PI)
    outer = (high - (base + base)) - fma(tail + low, 2.0, -rest)
    return select(far, outer, base + tail).copysign(x)


def acos(x: Scalar) -> Scalar:
    """The inverse cosine: π/2 - asin(x), or 2·asin(√((1 - x)/2)), or π less that for x < -1/2."""
    far, base, tail, low = _asin_parts(x)
    high, rest = split(x, *_HALF_PI)
    signed_base, signed_tail = base.copysign(x), tail.copysign(x)
    middle = high - signed_base
    near = middle + (((high - middle) - signed_base) + (rest - signed_tail))
    double = (base + (tail + low)) * 2.0
    pi_high, pi_low = split(x, *_PI)
    left = pi_high - (base + base)
    negative = left + (((pi_high - left) - (base + base)) + fma(tail + low, -2.0, pi_low))
    return select(far, select(x < 0.0, negative, double), near)


def _pieces(x: Scalar, total: tuple[float, float]) -> tuple[Scalar, Scalar]:
    high, low = split(x, *total)
    return x.const(high), x.const(low)


def _arc(ratio: Scalar, base: Scalar, base_low: Scalar) -> Scalar:
    """base + atan(ratio) for |ratio| ≤ 1/2."""
    z = ratio * ratio
    return base + (ratio + fma(ratio * z, polynomial(z, table.ATAN), base_low))


_QUARTER_PI = (_HALF_PI[0] / 2, _HALF_PI[1] / 2)
_THREE_QUARTERS = (2.356194490192345, 9.184850993605148e-17)


def atan(x: Scalar) -> Scalar:
    """The inverse tangent; beyond 1/2 and tan(3π/8) by way of π/4 and π/2."""
    size = x.abs()
    middle, far = size > 0.5, size > _TAN_THREE_EIGHTHS
    one, zero = x.const(1.0), x.const(0.0)
    above = select(far, -one, select(middle, size - 1.0, size))
    below = select(far, size, select(middle, size + 1.0, one))
    quarter, half = _pieces(x, _QUARTER_PI), _pieces(x, _HALF_PI)
    base = select(far, half[0], select(middle, quarter[0], zero))
    base_low = select(far, half[1], select(middle, quarter[1], zero))
    return _arc(above / below, base, base_low).copysign(x)


def atan2(y: Scalar, x: Scalar) -> Scalar:
    """The angle of the point (x, y), in -π … π."""
    large = pick(x, 2.0**100, 2.0**900)
    scale = select(x.abs().max(y.abs()) > large, x.const(0.125), x.const(1.0))
    across, up = x.abs() * scale, y.abs() * scale
    equal = up.eq(across)  # zeros and infinities too, whose quotient is NaN
    middle = (up > across * 0.5) | (equal & (up > 0.0))
    far = up > across * _TAN_THREE_EIGHTHS
    above = select(far, -across, select(middle, up - across, up))
    below = select(far, up, select(middle, up + across, across))
    ratio = select(equal, x.const(0.0), above / below)
    left = x.bitcast(word(x)) < 0
    zero = x.const(0.0)
    pi, three = _pieces(x, _PI), _pieces(x, _THREE_QUARTERS)
    quarter, half = _pieces(x, _QUARTER_PI), _pieces(x, _HALF_PI)

    def base(part: int) -> Scalar:
        beside = select(left, three[part], quarter[part])
        return select(far, half[part], select(middle, beside, select(left, pi[part], zero)))

    return _arc(select(left, -ratio, ratio), base(0), base(1)).copysign(y)

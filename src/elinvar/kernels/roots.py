"""Roots of unity, chirps and their transforms as tables: the same numbers on every machine.

Everything is computed in pairs of doubles (about 104 bits) from additions, products and divisions,
which IEEE-754 fixes to the bit, and rounded once at the end; no function of a mathematics library
has a say. An angle is reduced to an eighth of the circle by whole numbers first, so that it is
exact.

Source: T. J. Dekker, A floating-point technique for extending the available precision (1971).
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from elinvar.core.dtypes import DType

Array = np.ndarray[Any, Any]
_SPLIT = 134217729.0  # 2²⁷ + 1
_QUARTER_PI = Fraction(7853981633974483096156608458198757210492, 10**40)
MOST_KEPT = 1 << 14  # roots of larger orders are not remembered
_TERMS = 15  # of each series, up to x²⁹: less than 2⁻¹⁰⁷ is left at π/4


class Pair(NamedTuple):
    """A number as the unevaluated sum of two doubles."""

    high: Any
    low: Any


def exact(number: Fraction) -> Pair:
    """The nearest pair."""
    high = float(number)
    return Pair(high, float(number - Fraction(high)))


def _sum(a: Any, b: Any) -> Pair:
    total = a + b
    back = total - a
    return Pair(total, (a - (total - back)) + (b - back))


def _product(a: Any, b: Any) -> Pair:
    total = a * b
    left, right = _SPLIT * a, _SPLIT * b
    a_high, b_high = left - (left - a), right - (right - b)
    a_low, b_low = a - a_high, b - b_high
    rest = ((a_high * b_high - total) + a_high * b_low + a_low * b_high) + a_low * b_low
    return Pair(total, rest)


def _short(high: Any, low: Any) -> Pair:
    total = high + low
    return Pair(total, low - (total - high))


def add(x: Pair, y: Pair) -> Pair:
    """x + y."""
    high, low = _sum(x.high, y.high), _sum(x.low, y.low)
    first = _short(high.high, high.low + low.high)
    return _short(first.high, first.low + low.low)


def multiply(x: Pair, y: Pair) -> Pair:
    """x · y."""
    found = _product(x.high, y.high)
    return _short(found.high, found.low + (x.high * y.low + x.low * y.high))


def negative(x: Pair) -> Pair:
    """-x."""
    return Pair(-x.high, -x.low)


def _series(square: Pair, first: int) -> Pair:
    """Σ (-1)ⁱ squareⁱ / (first + 2i)!"""
    zeros = np.zeros_like(square.high)
    total = Pair(zeros, zeros)
    for i in reversed(range(_TERMS)):
        factor = exact(Fraction((-1) ** i, math.factorial(first + 2 * i)))
        total = add(multiply(total, square), Pair(zeros + factor.high, zeros + factor.low))
    return total


class Roots(NamedTuple):
    """Complex numbers in pairs."""

    re: Pair
    im: Pair

    def take(self, index: Any) -> Roots:
        """Those at some places."""
        return Roots(*(Pair(part.high[index], part.low[index]) for part in self))


def times(x: Roots, y: Roots) -> Roots:
    """x · y."""
    re = add(multiply(x.re, y.re), negative(multiply(x.im, y.im)))
    return Roots(re, add(multiply(x.re, y.im), multiply(x.im, y.re)))


def roots(order: int) -> Roots:
    """exp(-2πi k / order) for k from 0 to order - 1."""
    return _few_roots(order) if order <= MOST_KEPT else _roots(order)


@functools.lru_cache(64)
def _few_roots(order: int) -> Roots:
    return _roots(order)


def _roots(order: int) -> Roots:
    common = math.gcd(8, order)
    eighth = np.arange(order // common + 1, dtype=np.int64)
    unit = exact(_QUARTER_PI * common / order)
    turns = Pair(eighth.astype(np.float64), np.zeros(len(eighth)))
    angle = multiply(turns, Pair(np.full(len(eighth), unit.high), np.full(len(eighth), unit.low)))
    square = multiply(angle, angle)
    cosine, sine = _series(square, 0), multiply(angle, _series(square, 1))
    places = 8 * np.arange(order, dtype=np.int64)
    octant, rest = places // order, places % order
    rest = np.where(octant & 1, order - rest, rest) // common
    turned = ((octant + 1) // 2 & 1).astype(bool)  # cosine and sine change places

    def part(first: Array, second: Array, sign: Array) -> Array:
        return np.where(turned, second[rest], first[rest]) * sign

    left = np.where((octant >= 2) & (octant < 6), -1.0, 1.0)
    down = np.where(octant < 4, -1.0, 1.0)  # the sign of the exponent
    re = Pair(*(part(c, s, left) for c, s in zip(cosine, sine, strict=True)))
    im = Pair(*(part(s, c, down) for c, s in zip(cosine, sine, strict=True)))
    return Roots(re, im)


def rounded(number: Pair, dtype: DType) -> Array:
    """Pairs rounded to nearest once."""
    if dtype.bits == 64:
        return np.asarray(number.high, np.float64)
    high, low = np.broadcast_arrays(np.asarray(number.high), np.asarray(number.low))
    bits = np.ascontiguousarray(high).view(np.int64)
    # to odd first: the second rounding is then as good as one
    inward = np.signbit(high) != np.signbit(low)
    odd = np.where((low != 0) & (bits & 1 == 0) & (high != 0), np.where(inward, -1, 1), 0)
    return (bits + odd).view(np.float64).astype(np.float32)


def planes(numbers: Roots, dtype: DType) -> Array:
    """The rounded real parts, then the imaginary parts."""
    return np.concatenate([rounded(part, dtype).reshape(-1) for part in numbers])


def transformed(x: Roots) -> Roots:
    """The discrete Fourier transform of a power of two of numbers, in pairs."""
    count = len(x.re.high)
    every = roots(count)
    length, step = count, 1
    while length > 1:  # (length, step): autosort, radix 2
        half = length // 2
        view = [Pair(p.high.reshape(2, half, step), p.low.reshape(2, half, step)) for p in x]
        low, high = (Roots(*(Pair(p.high[i], p.low[i]) for p in view)) for i in (0, 1))
        factor = every.take((np.arange(half) * step)[:, None])
        sums = Roots(*(add(a, b) for a, b in zip(low, high, strict=True)))
        ways = Roots(*(add(a, negative(b)) for a, b in zip(low, high, strict=True)))
        ways = times(ways, factor)
        x = Roots(
            *(
                Pair(*(np.stack([p, q], axis=1).reshape(-1) for p, q in zip(a, b, strict=True)))
                for a, b in zip(sums, ways, strict=True)
            )
        )
        length, step = half, step * 2
    return x


def chirp(length: int) -> Roots:
    """exp(-πi j² / length) for j from 0 to length - 1."""
    places = np.arange(length, dtype=np.int64)
    return roots(2 * length).take(places * places % (2 * length))


def chirp_spectrum(length: int, padded: int) -> Roots:
    """The transform of the conjugate chirp of both sides of 0 over a power of two, by its size."""
    one_side = chirp(length)
    shape = Roots(*(Pair(np.zeros(padded), np.zeros(padded)) for _ in range(2)))
    for target, part, sign in zip(shape, one_side, (1.0, -1.0), strict=True):
        for to, of in zip(target, part, strict=True):
            to[:length] = of * sign
            to[padded - length + 1 :] = of[:0:-1] * sign
    found = transformed(shape)
    scale = 1.0 / padded
    return Roots(*(Pair(part.high * scale, part.low * scale) for part in found))

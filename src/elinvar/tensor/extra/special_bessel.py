"""Bessel functions of the orders 0 and 1, and Airy's function.

Up to 8 the functions are series in x², of which the first zeros are factors; beyond, Hankel's form
√(2/(πx))·(P·cos χ - Q·sin χ) with P and Q as series in 1/x². Modified ones and Airy's function take
series on a short interval, and their exponentials times a series beyond.

Source: NIST Digital Library of Mathematical Functions, chapters 9 and 10 (§10.17, §10.31, §9.7).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from elinvar.tensor import elementwise as ew
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra import special_bessel_tables as table
from elinvar.tensor.extra.special_tools import (
    chebyshev,
    held,
    horner,
    powers,
    two_product,
    unary,
)

_EDGE = 8.0
_J0_POWERS = tuple((-0.25) ** k / math.factorial(k) ** 2 for k in range(10))  # of x²


def _waves(x: Any, order: int, second: bool) -> Any:
    """J or (`second`) Y of an order for x ≥ 8."""
    inverse = ew.divide(_EDGE, x)
    t = F.multiply(inverse, inverse)
    tables = ((table.P0, table.Q0), (table.P1, table.Q1))[order]
    p, q = chebyshev(t, tables[0]), ew.divide(chebyshev(t, tables[1]), x)
    sine, cosine = F.sin(x), F.cos(x)
    total, gap = F.add(sine, cosine), F.subtract(sine, cosine)
    # √2·(cos χ, sin χ) with χ = x - π/4 or x - 3π/4
    along, across = (total, gap) if not order else (gap, F.negative(total))
    if second:
        found = F.add(F.multiply(p, across), F.multiply(q, along))
    else:
        found = F.subtract(F.multiply(p, along), F.multiply(q, across))
    return F.divide(found, F.sqrt(ew.multiply(x, math.pi)))


def _from_roots(x: Any, *roots: tuple[float, float]) -> Any:
    """Π (x² - root²), where each root is the sum of two numbers."""
    total: Any = None
    for high, low in roots:
        gap = ew.subtract(ew.subtract(x, high), low)
        factor = F.multiply(gap, ew.add(x, high))
        total = factor if total is None else F.multiply(total, factor)
    return total


def _near_j0(x: Any) -> Any:
    square = F.multiply(x, x)
    roots = _from_roots(x, table.J0_ROOT_1, table.J0_ROOT_2)
    weight = ew.add(ew.multiply(square, 1 / 8), 1.0)
    found = F.multiply(roots, chebyshev(square, table.J0_NEAR))
    found = F.divide(found, F.multiply(weight, weight))
    small = ew.less(square, 1.0)
    return F.where(small, horner(held(small, square, 0.0), _J0_POWERS), found)


def _near_j1(x: Any) -> Any:
    square = F.multiply(x, x)
    roots = F.multiply(_from_roots(x, table.J1_ROOT_1, table.J1_ROOT_2), x)
    weight = ew.add(ew.multiply(square, 1 / 16), 1.0)
    return F.divide(F.multiply(roots, chebyshev(square, table.J1_NEAR)), F.multiply(weight, weight))


def _first_kind(x: Any, order: int) -> Any:
    size = F.abs(x)
    low, usual = ew.less_equal(size, _EDGE), ew.less(size, math.inf)
    near = (_near_j1 if order else _near_j0)(held(low, size, 1.0))
    far = _waves(ew.where(low, 9.0, ew.where(usual, size, 9.0)), order, False)
    found = F.where(low, near, ew.where(usual, far, 0.0))
    if order:
        found = ew.where(ew.less(x, 0.0), F.negative(found), found)
    return F.where(F.not_equal(x, x), x, found)


def _second_kind(x: Any, order: int) -> Any:
    positive, low = ew.greater(x, 0.0), ew.less_equal(x, _EDGE)
    usual = ew.less(x, math.inf)
    y = held(ew.logical_and(positive, low), x, 1.0)
    square, logarithm = F.multiply(y, y), F.log(y)
    if order:
        part = F.subtract(F.multiply(logarithm, _near_j1(y)), ew.divide(1.0, y))
        rest = F.multiply(chebyshev(square, table.Y1_NEAR), y)
    else:
        part = F.multiply(logarithm, _near_j0(y))
        rest = chebyshev(square, table.Y0_NEAR)
    near = F.add(ew.multiply(part, 2 / math.pi), rest)
    far = _waves(ew.where(low, 9.0, ew.where(usual, x, 9.0)), order, True)
    found = F.where(low, near, ew.where(usual, far, 0.0))
    found = ew.where(ew.equal(x, 0.0), -math.inf, found)
    return ew.where(ew.logical_or(ew.less(x, 0.0), F.not_equal(x, x)), math.nan, found)


def _j0(x: Any) -> Any:
    """J0(x), the Bessel function of the first kind of order 0.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.j0(1.0).item():.6f}")
        0.765198
    """
    return _first_kind(x, 0)


def _j1(x: Any) -> Any:
    """J1(x), the Bessel function of the first kind of order 1.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.j1(1.0).item():.6f}")
        0.440051
    """
    return _first_kind(x, 1)


def _y0(x: Any) -> Any:
    """Y0(x), the Bessel function of the second kind of order 0; -∞ at 0, NaN below.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.y0(1.0).item():.6f}")
        0.088257
    """
    return _second_kind(x, 0)


def _y1(x: Any) -> Any:
    """Y1(x), the Bessel function of the second kind of order 1; -∞ at 0, NaN below.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.y1(1.0).item():.6f}")
        -0.781213
    """
    return _second_kind(x, 1)


def over(value: Any, x: Any, limit: float) -> Any:
    """value / x with its limit at 0."""
    zero = ew.equal(x, 0.0)
    return ew.where(zero, limit, ew.divide(value, ew.where(zero, 1.0, x)))


j0: Any = unary(_j0, lambda x: ew.negative(j1(x)))
j1: Any = unary(_j1, lambda x: ew.subtract(j0(x), over(j1(x), x, 0.5)))
y0: Any = unary(_y0, lambda x: ew.negative(y1(x)))
y1: Any = unary(_y1, lambda x: ew.subtract(y0(x), ew.divide(y1(x), x)))


# ---- modified Bessel functions of the second kind -----------------------------------------------


def _modified(x: Any, order: int, scaled: bool) -> Any:
    low = ew.less_equal(x, 1.0)
    y = held(ew.logical_and(low, ew.greater(x, 0.0)), x, 1.0)
    square, logarithm = F.multiply(y, y), F.log(ew.multiply(y, 0.5))
    if order:
        part = F.multiply(logarithm, F.multiply(y, powers(square, table.I1_SQUARE)))
        part = F.add(part, F.multiply(y, powers(square, table.K1_NEAR)))
        near = F.add(ew.divide(1.0, y), part)
    else:
        part = F.multiply(logarithm, powers(square, table.I0_SQUARE))
        near = F.subtract(powers(square, table.K0_NEAR), part)
    z = ew.clip(ew.where(low, 2.0, x), 1.0, 1e300)
    gap = ew.subtract(z, 1.0)
    t = F.divide(ew.subtract(gap, 4.0), ew.add(gap, 4.0))
    far = F.divide(chebyshev(t, table.K1_FAR if order else table.K0_FAR), F.sqrt(z))
    if scaled:
        near = F.multiply(near, F.exp(y))
    else:
        # in two factors, for e^-x becomes subnormal before its product with 1/√x does
        root = F.exp(ew.multiply(ew.minimum(z, 800.0), -0.5))
        far = F.multiply(F.multiply(far, root), root)
    found = F.where(low, near, far)
    found = ew.where(ew.equal(x, math.inf), 0.0, ew.where(ew.equal(x, 0.0), math.inf, found))
    return ew.where(ew.logical_or(ew.less(x, 0.0), F.not_equal(x, x)), math.nan, found)


def _k0(x: Any) -> Any:
    """K0(x), the modified Bessel function of the second kind of order 0; ∞ at 0, NaN below.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.k0(1.0).item():.6f}")
        0.421024
    """
    return _modified(x, 0, False)


def _k1(x: Any) -> Any:
    """K1(x), the modified Bessel function of the second kind of order 1; ∞ at 0, NaN below.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.k1(1.0).item():.6f}")
        0.601907
    """
    return _modified(x, 1, False)


def _k0e(x: Any) -> Any:
    """exp(x)·K0(x), which does not underflow.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.k0e(1.0).item():.6f}")
        1.144463
    """
    return _modified(x, 0, True)


def _k1e(x: Any) -> Any:
    """exp(x)·K1(x), which does not underflow.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.k1e(1.0).item():.6f}")
        1.636153
    """
    return _modified(x, 1, True)


def _k1e_slope(x: Any) -> Any:
    value = k1e(x)
    return ew.subtract(ew.subtract(value, k0e(x)), ew.divide(value, x))


k0: Any = unary(_k0, lambda x: ew.negative(k1(x)))
k1: Any = unary(_k1, lambda x: ew.negative(ew.add(k0(x), ew.divide(k1(x), x))))
k0e: Any = unary(_k0e, lambda x: ew.subtract(k0e(x), k1e(x)))
k1e: Any = unary(_k1e, _k1e_slope)


# ---- spherical ----------------------------------------------------------------------------------


def _spherical_bessel_j0(x: Any) -> Any:
    """j0(x) = sin(x) / x, the spherical Bessel function of order 0.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.spherical_bessel_j0(1.0).item():.6f}")
        0.841471
    """
    infinite = ew.equal(F.abs(x), math.inf)
    y = ew.where(infinite, 1.0, x)
    return ew.where(infinite, 0.0, over(F.sin(y), y, 1.0))


def _spherical_slope(x: Any) -> Any:
    """(cos(x) - sin(x)/x) / x, by a series where that would cancel."""
    near = ew.less(F.abs(x), 0.5)
    z = held(near, x, 0.0)
    square, total = ew.multiply(z, z), None
    factors = [(-1) ** (k + 1) * (2 * k + 2) / math.factorial(2 * k + 3) for k in range(7)]
    for factor in reversed(factors):
        total = factor if total is None else ew.add(ew.multiply(square, total), factor)
    away = ew.where(near, 1.0, x)
    far = ew.divide(ew.subtract(ew.cos(away), ew.divide(ew.sin(away), away)), away)
    return ew.where(near, ew.multiply(z, total), far)


spherical_bessel_j0: Any = unary(_spherical_bessel_j0, _spherical_slope)


# ---- Airy's function ----------------------------------------------------------------------------


_THIRD = 2 / 3
_THIRD_REST = float(Fraction(2, 3) - Fraction(2 / 3))


def _airy_argument(x: Any, root: Any) -> tuple[Any, Any]:
    """⅔·x^1.5 in two parts: its rounding would cost digits of the phase and of the exponential."""
    square, below = two_product(root, root)
    more = F.divide(F.subtract(F.subtract(x, square), below), ew.multiply(root, 2.0))
    high, low = two_product(x, root)
    low = F.add(low, F.multiply(x, more))
    first, rest = two_product(high, F.full(_THIRD, x))
    return first, F.add(rest, F.add(ew.multiply(low, _THIRD), ew.multiply(high, _THIRD_REST)))


def _airy(x: Any, slope: bool) -> Any:
    low, high = ew.less(x, -4.0), ew.greater(x, 1.0)
    middle = ew.clip(ew.where(F.not_equal(x, x), 0.0, x), -4.0, 1.0)
    near = chebyshev(middle, table.AIRY_SLOPE if slope else table.AIRY_NEAR)
    size = ew.where(ew.logical_or(low, high), ew.minimum(F.abs(x), 1e100), 9.0)
    root = F.sqrt(size)
    (zeta, rest), quarter = _airy_argument(size, root), F.sqrt(root)
    # falling: e^-ζ times a series of ζ
    outside = ew.clip(zeta, 2 / 3, 1e4)
    gap = ew.subtract(outside, 2 / 3)
    t = F.divide(ew.subtract(gap, 3.0), ew.add(gap, 3.0))
    series = chebyshev(t, table.AIRY_SLOPE_FAR if slope else table.AIRY_FAR)
    factor = F.multiply(F.exp(F.negative(outside)), ew.subtract(1.0, rest))
    falling = F.multiply(factor, ew.multiply(series, 1 / math.pi / 2**0.5))
    # waves: P·cos θ + Q·sin θ with θ = ζ - π/4
    inverse = ew.divide(1.0, ew.maximum(zeta, 16 / 3))
    t = F.multiply(inverse, inverse)
    tables = (table.AIRY_SLOPE_P, table.AIRY_SLOPE_Q) if slope else (table.AIRY_P, table.AIRY_Q)
    p, q = chebyshev(t, tables[0]), F.multiply(chebyshev(t, tables[1]), inverse)
    first, second = F.sin(zeta), F.cos(zeta)
    sine = F.add(first, F.multiply(rest, second))
    cosine = F.subtract(second, F.multiply(rest, first))
    total, gap = F.add(sine, cosine), F.subtract(sine, cosine)
    if slope:
        waves = F.subtract(F.multiply(p, gap), F.multiply(q, total))
        waves = ew.multiply(F.multiply(waves, quarter), math.sqrt(0.5 / math.pi))
        falling = F.negative(F.multiply(falling, quarter))
    else:
        waves = F.add(F.multiply(p, total), F.multiply(q, gap))
        waves = ew.multiply(F.divide(waves, quarter), math.sqrt(0.5 / math.pi))
        falling = F.divide(falling, quarter)
    found = F.where(low, waves, F.where(high, falling, near))
    found = ew.where(ew.equal(x, math.inf), 0.0, found)
    found = ew.where(ew.equal(x, -math.inf), math.nan if slope else 0.0, found)
    return F.where(F.not_equal(x, x), x, found)


def _airy_ai(x: Any) -> Any:
    """Ai(x), Airy's function: the solution of y″ = x·y that vanishes at ∞.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.airy_ai(0.0).item():.6f}")
        0.355028
    """
    return _airy(x, False)


def _airy_slope(x: Any) -> Any:
    """Ai'(x)"""
    return _airy(x, True)


airy_ai: Any = unary(_airy_ai, lambda x: _airy_ai_slope(x))
_airy_ai_slope: Any = unary(_airy_slope, lambda x: ew.multiply(x, airy_ai(x)))


__all__ = [
    "airy_ai", "j0", "j1", "k0", "k0e", "k1", "k1e", "spherical_bessel_j0", "y0", "y1",
]  # fmt: skip

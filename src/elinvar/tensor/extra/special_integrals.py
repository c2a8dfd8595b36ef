"""Integrals: exponential ones of any order, Dawson's, sine and cosine, Fresnel's, Owen's T; and the
transformation of Box and Cox.

Sources: W. Press et al., "Numerical Recipes", section 6.3 (exponential integrals); NIST Digital
Library of Mathematical Functions, chapters 6 and 7 (auxiliary functions); D. Owen, "Tables for
computing bivariate normal probabilities", Annals of Mathematical Statistics 27 (1956).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from elinvar.core.dtypes import float64
from elinvar.tensor import elementwise as ew
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra import special_bessel_tables as table
from elinvar.tensor.extra.special_bessel import over
from elinvar.tensor.extra.special_error import erf, ndtr
from elinvar.tensor.extra.special_gamma import digamma_positive
from elinvar.tensor.extra.special_jets import EPSILON, repeated
from elinvar.tensor.extra.special_tools import (
    chebyshev,
    exp_of_square,
    held,
    horner,
    several,
    unary,
)

_EULER = 0.5772156649015329


# ---- exponential integrals of order n -----------------------------------------------------------


def _expn_series(n: Any, x: Any, wanted: Any) -> Any:
    """E_n(x) for 0 < x ≤ 1 and n ≥ 1: Σ -(-x)ᵏ / (k!·(k - n + 1)), a logarithm for k = n - 1."""
    below = ew.subtract(n, 1.0)
    logarithm = ew.subtract(digamma_positive(n), F.log(x))
    none = ew.equal(below, 0.0)
    start = F.where(none, logarithm, ew.divide(1.0, ew.where(none, 1.0, below)))

    def step(state: Any) -> Any:
        k, power, total, settled = state
        following = ew.multiply(power, ew.divide(F.negative(x), k))
        gap = ew.subtract(k, below)
        here = ew.equal(gap, 0.0)
        plain = F.negative(ew.divide(following, ew.where(here, 1.0, gap)))
        part = F.where(here, F.multiply(following, logarithm), plain)
        sums = F.add(total, part)
        small = F.less_equal(F.abs(part), ew.multiply(F.abs(sums), EPSILON / 4))
        done = F.bitwise_and(small, ew.greater(gap, 0.0))
        # where the power itself has vanished, so has the term with the logarithm
        done = F.bitwise_or(done, F.less_equal(F.abs(following), ew.multiply(sums, 1e-40)))
        power, total = F.where(settled, power, following), F.where(settled, total, sums)
        return ew.add(k, 1.0), power, total, F.bitwise_or(settled, done)

    first = F.constant(value=1.0, dtype=float64)
    return repeated(step, (first, F.full(1.0, x), start, F.bitwise_invert(wanted)))[2]


def _expn_fraction(n: Any, x: Any, wanted: Any) -> Any:
    """E_n(x)·eˣ for x > 1, by the continued fraction 1/(x + n - n/(x + n + 2 - …))."""
    b0 = ew.add(x, n)
    first = ew.divide(1.0, b0)

    def step(state: Any) -> Any:
        k, b, c, d, h, settled = state
        an = F.negative(ew.multiply(ew.add(ew.subtract(n, 1.0), k), k))
        b2 = ew.add(b, 2.0)
        d2 = ew.divide(1.0, ew.add(ew.multiply(an, d), b2))
        c2 = ew.add(b2, ew.divide(an, c))
        change = ew.multiply(c2, d2)
        b, c, d = (F.where(settled, o, v) for o, v in ((b, b2), (c, c2), (d, d2)))
        h = F.where(settled, h, ew.multiply(h, change))
        done = ew.less_equal(F.abs(ew.subtract(change, 1.0)), 2 * EPSILON)
        return ew.add(k, 1.0), b, c, d, h, F.bitwise_or(settled, done)

    counter, large = F.constant(value=1.0, dtype=float64), F.full(1e290, x)
    start = (counter, b0, large, first, first, F.bitwise_invert(wanted))
    return repeated(step, start)[4]


def _expn(n: Any, x: Any) -> Any:
    """E_n(x) = ∫ exp(-x·t) / tⁿ dt from 1 to ∞, for whole n ≥ 0 and x ≥ 0; NaN elsewhere.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.expn(2.0, 1.0).item():.6f}")
        0.148496
    """
    good = ew.logical_and(ew.greater_equal(n, 0.0), ew.equal(F.floor(n), n))
    good = ew.logical_and(good, ew.logical_and(ew.greater_equal(x, 0.0), ew.less(n, math.inf)))
    usual = ew.logical_and(good, ew.logical_and(ew.greater(x, 0.0), ew.less(x, 800.0)))
    usual = ew.logical_and(usual, ew.greater(n, 0.0))
    low = ew.logical_and(usual, ew.less_equal(x, 1.0))
    high = ew.logical_and(usual, ew.logical_not(low))
    near = _expn_series(held(low, n, 1.0), held(low, x, 0.5), low)
    y = held(high, x, 3.0)
    far = F.multiply(F.exp(F.negative(y)), _expn_fraction(held(high, n, 1.0), y, high))
    one = ew.where(ew.greater(n, 1.0), n, 2.0)
    at_zero = ew.where(ew.greater(n, 1.0), ew.divide(1.0, ew.subtract(one, 1.0)), math.inf)
    y = held(ew.greater(x, 0.0), x, 1.0)
    zeroth = ew.divide(F.exp(F.negative(ew.minimum(y, 800.0))), y)
    found = ew.where(ew.equal(n, 0.0), zeroth, 0.0)
    found = F.where(ew.equal(x, 0.0), at_zero, found)
    found = F.where(low, near, F.where(high, far, found))
    return ew.where(good, found, math.nan)


def _expn_slope(n: Any, x: Any) -> Any:
    """-E_(n-1)(x), which is -e^-x·(1 + x) / x² for n = 0."""
    zero = ew.equal(n, 0.0)
    before = expn(ew.where(zero, 0.0, ew.subtract(n, 1.0)), x)
    own = ew.divide(ew.multiply(ew.exp(ew.negative(x)), ew.add(x, 1.0)), ew.square(x))
    return ew.negative(ew.where(zero, own, before))


expn: Any = several(_expn, None, _expn_slope)


# ---- Dawson's integral --------------------------------------------------------------------------


_DAWSON_POWERS = tuple(
    (-2.0) ** k / math.prod(range(1, 2 * k + 2, 2)) for k in range(14)
)  # of x²


def _dawsn(x: Any) -> Any:
    """Dawson's integral exp(-x²) ∫ exp(t²) dt from 0 to x.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.dawsn(1.0).item():.6f}")
        0.538080
    """
    size = ew.where(F.not_equal(x, x), 0.0, F.abs(x))
    low, middle = ew.less(size, 3.0), ew.less(size, 6.0)
    inside = ew.where(middle, size, 1.0)
    z = F.multiply(inside, inside)
    series = F.where(low, chebyshev(ew.minimum(z, 9.0), table.DAWSON_NEAR),
                     chebyshev(ew.clip(z, 9.0, 36.0), table.DAWSON_MIDDLE))  # fmt: skip
    near = F.divide(F.multiply(series, inside), ew.add(ew.add(z, z), 1.0))
    small = ew.less(z, 0.25)
    first = F.multiply(inside, horner(held(small, z, 0.0), _DAWSON_POWERS))
    near = F.where(small, first, near)
    inverse = ew.divide(1.0, ew.where(middle, 6.0, size))
    far = chebyshev(F.multiply(inverse, inverse), table.DAWSON_FAR)
    far = F.multiply(far, ew.multiply(inverse, 0.5))
    return F.where(F.not_equal(x, x), x, F.copysign(F.where(middle, near, far), x))


dawsn: Any = unary(
    _dawsn, lambda x: ew.subtract(1.0, ew.multiply(ew.multiply(x, 2.0), dawsn(x)))
)


# ---- sine and cosine integrals ------------------------------------------------------------------


def _auxiliary(x: Any, edge: float) -> tuple[Any, Any]:
    """f and g of Si and Ci for x ≥ 8."""
    inverse = ew.divide(1.0, x)
    t = F.multiply(ew.multiply(inverse, edge), ew.multiply(inverse, edge))
    f = F.multiply(chebyshev(t, table.SI_F), inverse)
    g = F.multiply(F.multiply(chebyshev(t, table.SI_G), inverse), inverse)
    return f, g


def _si(x: Any) -> Any:
    """∫ sin(t)/t dt from 0 to x."""
    size = ew.where(F.not_equal(x, x), 0.0, F.abs(x))
    low = ew.less(size, 8.0)
    inside = held(low, size, 1.0)
    near = F.multiply(chebyshev(F.multiply(inside, inside), table.SI_NEAR), inside)
    y = ew.where(low, 9.0, ew.minimum(size, 1e300))
    f, g = _auxiliary(y, 8.0)
    waves = F.add(F.multiply(f, F.cos(y)), F.multiply(g, F.sin(y)))
    found = F.where(low, near, ew.subtract(math.pi / 2, waves))
    return F.where(F.not_equal(x, x), x, F.copysign(found, x))


def _ci(x: Any) -> Any:
    """γ + log x + ∫ (cos(t) - 1)/t dt from 0 to x; NaN below 0."""
    low, positive = ew.less(x, 8.0), ew.greater(x, 0.0)
    inside = held(ew.logical_and(low, positive), x, 1.0)
    square = F.multiply(inside, inside)
    series = F.multiply(square, chebyshev(square, table.CI_NEAR))
    near = F.add(ew.add(F.log(inside), _EULER), series)
    y = ew.where(low, 9.0, ew.minimum(ew.where(F.not_equal(x, x), 9.0, x), 1e300))
    f, g = _auxiliary(y, 8.0)
    far = F.subtract(F.multiply(f, F.sin(y)), F.multiply(g, F.cos(y)))
    found = F.where(low, near, ew.where(ew.equal(x, math.inf), 0.0, far))
    found = ew.where(ew.equal(x, 0.0), -math.inf, found)
    return ew.where(ew.logical_or(ew.less(x, 0.0), F.not_equal(x, x)), math.nan, found)


_sine: Any = unary(_si, lambda x: over(ew.sin(x), x, 1.0))
_cosine: Any = unary(_ci, lambda x: ew.divide(ew.cos(x), x))


def sici(x: Any, /) -> tuple[Any, Any]:
    """The sine and cosine integrals Si(x) = ∫ sin(t)/t and Ci(x) = γ + log x + ∫ (cos(t) - 1)/t,
    from 0 to x. Ci is NaN for negative x.

    Example:
        >>> import elinvar as el
        >>> s, c = el.special.sici(1.0)
        >>> print(f"{s.item():.6f} {c.item():.6f}")
        0.946083 0.337404
    """
    return _sine(x), _cosine(x)


# ---- Fresnel's integrals ------------------------------------------------------------------------


def _square_angle(x: Any) -> tuple[Any, Any]:
    """sin and cos of πx²/2, with the square's whole turns taken off exactly."""
    high = F.round(x)
    low = F.subtract(x, high)  # x² = high² + 2·high·low + low², modulo 4
    whole = ew.remainder(F.multiply(ew.remainder(high, 4.0), ew.remainder(high, 4.0)), 4.0)
    cross = ew.remainder(ew.multiply(F.multiply(high, low), 2.0), 4.0)
    rest = F.add(F.add(whole, cross), F.multiply(low, low))
    angle = ew.multiply(ew.subtract(rest, ew.multiply(F.round(ew.multiply(rest, 0.25)), 4.0)),
                        math.pi / 2)  # fmt: skip
    return F.sin(angle), F.cos(angle)


def _fresnel(x: Any, wants_s: bool) -> Any:
    size = ew.where(F.not_equal(x, x), 0.0, F.abs(x))
    low = ew.less(size, 2.0)
    inside = held(low, size, 1.0)
    square = F.multiply(inside, inside)
    series = chebyshev(F.multiply(square, square), table.FRESNEL_S if wants_s else table.FRESNEL_C)
    near = F.multiply(series, F.multiply(square, inside) if wants_s else inside)
    y = ew.clip(ew.where(low, 3.0, size), 2.0, 1e9)
    inverse = ew.divide(1.0, y)
    t = F.multiply(F.multiply(ew.multiply(inverse, 2.0), ew.multiply(inverse, 2.0)),
                   F.multiply(ew.multiply(inverse, 2.0), ew.multiply(inverse, 2.0)))  # fmt: skip
    f = ew.multiply(F.multiply(chebyshev(t, table.FRESNEL_F), inverse), 1 / math.pi)
    cube = F.multiply(inverse, F.multiply(inverse, inverse))
    g = ew.multiply(F.multiply(chebyshev(t, table.FRESNEL_G), cube), 1 / math.pi**2)
    sine, cosine = _square_angle(y)
    if wants_s:
        waves = F.add(F.multiply(f, cosine), F.multiply(g, sine))
    else:
        waves = F.subtract(F.multiply(g, cosine), F.multiply(f, sine))
    found = F.where(low, near, ew.subtract(0.5, waves))
    found = ew.where(ew.greater(size, 1e9), 0.5, found)
    return F.where(F.not_equal(x, x), x, F.copysign(found, x))


def _fresnel_s(x: Any) -> Any:
    """S(x)"""
    return _fresnel(x, True)


def _fresnel_c(x: Any) -> Any:
    """C(x)"""
    return _fresnel(x, False)


_quarter_turns: tuple[Any, Any] = (
    unary(lambda x: _square_angle(F.abs(x))[0], lambda x: ew.multiply(
        ew.multiply(_quarter_turns[1](x), x), math.pi)),
    unary(lambda x: _square_angle(F.abs(x))[1], lambda x: ew.multiply(
        ew.multiply(_quarter_turns[0](x), x), -math.pi)),
)  # fmt: skip
_fresnel_of_sine: Any = unary(_fresnel_s, lambda x: _quarter_turns[0](x))
_fresnel_of_cosine: Any = unary(_fresnel_c, lambda x: _quarter_turns[1](x))


def fresnel(x: Any, /) -> tuple[Any, Any]:
    """Fresnel's integrals S(x) = ∫ sin(πt²/2) dt and C(x) = ∫ cos(πt²/2) dt, from 0 to x.

    Example:
        >>> import elinvar as el
        >>> s, c = el.special.fresnel(1.0)
        >>> print(f"{s.item():.6f} {c.item():.6f}")
        0.438259 0.779893
    """
    return _fresnel_of_sine(x), _fresnel_of_cosine(x)


# ---- Owen's T -----------------------------------------------------------------------------------

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)


def _constants(values: Any) -> Any:
    parts = [F.reshape(F.constant(value=float(v), dtype=float64), shape=(1,)) for v in values]
    return F.concatenate(*parts, axis=0)


def _owens_sum(h: Any, a: Any) -> Any:
    """T(h, a) for h ≥ 0 and 0 ≤ a ≤ 1, by Gauss' rule of 48 points up to nine widths 1/h."""
    upper = F.minimum(a, ew.divide(9.0, ew.maximum(h, 1.0)))
    points = _constants(0.5 * _NODES + 0.5)
    shape = (*h.shape, 1)
    u = ew.multiply(F.reshape(upper, shape=shape), points)
    square, half = ew.multiply(u, u), F.reshape(ew.multiply(ew.multiply(h, h), -0.5), shape=shape)
    terms = ew.divide(F.exp(ew.multiply(half, square)), ew.add(square, 1.0))
    total = F.sum(ew.multiply(terms, _constants(0.5 * _WEIGHTS)), axes=(h.ndim,))
    total = ew.multiply(F.multiply(total, upper), 1 / (2 * math.pi))
    return F.multiply(total, exp_of_square(ew.minimum(h, 40.0), -1.0, 0.5))


def _owens_t(h: Any, a: Any) -> Any:
    """Owen's T(h, a) = 1/(2π) ∫ exp(-h²(1 + t²)/2) / (1 + t²) dt from 0 to a.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.owens_t(1.0, 0.5).item():.6f}")
        0.043065
    """
    known = F.bitwise_and(F.equal(h, h), F.equal(a, a))
    x, size = ew.minimum(F.abs(ew.where(known, h, 0.0)), 1e4), F.abs(ew.where(known, a, 0.0))
    large = ew.greater(size, 1.0)
    inside = ew.where(large, ew.divide(1.0, ew.where(large, size, 1.0)), size)
    scaled = F.multiply(x, ew.where(large, ew.minimum(size, 1e200), 1.0))
    scaled = ew.minimum(scaled, 1e4)  # where all of it has vanished
    direct = _owens_sum(scaled, inside)
    # T(h, a) = (Q(h) + Q(ah))/2 - Q(h)·Q(ah) - T(ah, 1/a) with the tails Q
    near, far = ndtr(F.negative(x)), ndtr(F.negative(scaled))
    turned = F.subtract(ew.multiply(F.add(near, far), 0.5), F.multiply(near, far))
    found = F.where(large, F.subtract(turned, direct), direct)
    return ew.where(known, F.copysign(found, a), math.nan)


def _owens_by_h(h: Any, a: Any) -> Any:
    density = ew.multiply(ew.exp(ew.multiply(ew.square(h), -0.5)), -0.5 / math.sqrt(2 * math.pi))
    return ew.multiply(density, erf(ew.multiply(ew.multiply(h, a), math.sqrt(0.5))))


def _owens_by_a(h: Any, a: Any) -> Any:
    rest = ew.add(ew.square(a), 1.0)
    part = ew.exp(ew.multiply(ew.multiply(ew.square(h), rest), -0.5))
    return ew.divide(part, ew.multiply(rest, 2 * math.pi))


owens_t: Any = several(_owens_t, _owens_by_h, _owens_by_a)


# ---- the transformation of Box and Cox ----------------------------------------------------------


def _grown(logarithm: Any, power: Any) -> Any:
    """(exp(power·logarithm) - 1) / power, and the logarithm itself for the power 0."""
    zero = ew.equal(power, 0.0)
    inside = ew.where(zero, 1.0, power)
    found = F.divide(F.expm1(F.multiply(inside, ew.where(zero, 0.0, logarithm))), inside)
    return F.where(zero, logarithm, found)


def _boxcox(x: Any, power: Any) -> Any:
    """The transformation of Box and Cox: (x^λ - 1) / λ, and log x for λ = 0.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.boxcox(4.0, 0.5).item():.6f}")
        2.000000
    """
    return _grown(F.log(x), power)


def _boxcox1p(x: Any, power: Any) -> Any:
    """The transformation of Box and Cox of 1 + x, accurate for small x.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.boxcox1p(3.0, 0.5).item():.6f}")
        2.000000
    """
    return _grown(F.log1p(x), power)


def _by_power(logarithm: Any, power: Any) -> Any:
    """l²·(u·eᵘ - eᵘ + 1) / u² with u = power·l, by a series for small u."""
    u = ew.multiply(logarithm, power)
    near = ew.less(ew.abs(u), 0.3)
    small, away = ew.where(near, u, 0.0), ew.where(near, 1.0, u)
    series: Any = 0.0
    for k in reversed(range(14)):
        series = ew.add(ew.multiply(small, series), (k + 1) / math.factorial(k + 2))
    grown = ew.exp(away)
    far = ew.divide(ew.subtract(ew.multiply(away, grown), ew.expm1(away)), ew.square(away))
    return ew.multiply(ew.square(logarithm), ew.where(near, series, far))


boxcox: Any = several(
    _boxcox, lambda x, power: ew.pow(x, ew.subtract(power, 1.0)),
    lambda x, power: _by_power(ew.log(x), power),
)  # fmt: skip
boxcox1p: Any = several(
    _boxcox1p, lambda x, power: ew.pow(ew.add(x, 1.0), ew.subtract(power, 1.0)),
    lambda x, power: _by_power(ew.log1p(x), power),
)  # fmt: skip

__all__ = ["boxcox", "boxcox1p", "dawsn", "expn", "fresnel", "owens_t", "sici"]

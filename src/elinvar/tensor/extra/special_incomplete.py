"""The incomplete gamma functions: series and continued fractions, element by element.

The loops go on until the last element has settled; one that has settled does not change any more,
so the value of an element does not depend on its neighbours. The power in front is written as
exp(a·(log(1 + u) - u)) with Stirling's correction, which keeps its digits for large parameters.

Sources: W. Gautschi, "A computational procedure for incomplete gamma functions", ACM TOMS 5 (1979);
W. Press et al., "Numerical Recipes", section 6.2 (continued fractions by Lentz's method).
"""

from __future__ import annotations

import math
from typing import Any

from elinvar.core.dtypes import float64
from elinvar.tensor import elementwise as ew
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra import special_jets as series
from elinvar.tensor.extra.special_gamma import (
    digamma,
    gamma_above,
    log_gamma_near_one,
    log_gamma_positive,
    polygamma,
    stirling_correction,
)
from elinvar.tensor.extra.special_jets import EPSILON, Jets, repeated
from elinvar.tensor.extra.special_tools import held, log1pmx, several

_TINY = 1e-290


def _power(a: Any, x: Any) -> Any:
    """x^a·e^-x / Γ(a + 1), for a > 0 and x > 0."""
    low = ew.logical_and(ew.less(a, 12.0), ew.less(x, 700.0))
    small_a, small_x = ew.where(low, a, 1.0), ew.where(low, x, 1.0)
    direct = ew.multiply(ew.pow(small_x, small_a), F.exp(F.negative(small_x)))
    direct = ew.divide(direct, gamma_above(ew.add(small_a, 1.0)))
    a, x = ew.where(low, 20.0, a), ew.where(low, 20.0, x)
    u = ew.divide(ew.subtract(x, a), a)
    main = F.exp(ew.subtract(ew.multiply(a, log1pmx(u, ew.divide(x, a))), stirling_correction(a)))
    far = ew.divide(main, F.sqrt(ew.multiply(a, 2 * math.pi)))
    return F.where(low, direct, far)


def _series(a: Any, x: Any, wanted: Any) -> Any:
    """Σ x^n / ((a + 1)…(a + n)), all terms positive."""
    one = F.full(1.0, a)

    def step(state: Any) -> Any:
        n, term, total, settled = state
        following = ew.multiply(term, ew.divide(x, ew.add(a, n)))
        sum_ = ew.add(total, following)
        term, total = F.where(settled, term, following), F.where(settled, total, sum_)
        done = F.less_equal(term, ew.multiply(total, EPSILON / 4))
        return ew.add(n, 1.0), term, total, F.bitwise_or(settled, done)

    first = F.constant(value=1.0, dtype=float64)
    return repeated(step, (first, one, one, F.bitwise_invert(wanted)))[2]


def _fraction(a: Any, x: Any, wanted: Any) -> Any:
    """The continued fraction of Γ(a, x)·e^x / x^a, by Lentz's method."""
    start = ew.subtract(ew.add(x, 1.0), a)
    first = ew.divide(1.0, start)

    def step(state: Any) -> Any:
        n, b, c, d, h, settled = state
        an = F.negative(ew.multiply(ew.subtract(n, a), n))
        b2 = ew.add(b, 2.0)
        d2 = away(ew.add(ew.multiply(an, d), b2))
        c2 = away(ew.add(b2, ew.divide(an, c)))
        d2 = ew.divide(1.0, d2)
        change = ew.multiply(c2, d2)
        b, c, d = (F.where(settled, o, v) for o, v in ((b, b2), (c, c2), (d, d2)))
        h = F.where(settled, h, ew.multiply(h, change))
        done = ew.less_equal(F.abs(ew.subtract(change, 1.0)), 2 * EPSILON)
        return ew.add(n, 1.0), b, c, d, h, F.bitwise_or(settled, done)

    counter = F.constant(value=1.0, dtype=float64)
    large = F.full(1 / _TINY, a)
    return repeated(step, (counter, start, large, first, first, F.bitwise_invert(wanted)))[4]


def away(x: Any) -> Any:
    return ew.where(ew.less(F.abs(x), _TINY), _TINY, x)


def _small_complement(a: Any, x: Any, wanted: Any) -> Any:
    """Q(a, x) for small a and x ≤ 1.1, where 1 - P would lose its digits."""
    zero = F.zeros_like(a)

    def step(state: Any) -> Any:
        n, power, total, settled = state
        following = ew.multiply(power, ew.divide(F.negative(x), n))
        term = ew.divide(following, ew.add(a, n))
        power = F.where(settled, power, following)
        total = F.where(settled, total, ew.add(total, term))
        done = F.less_equal(F.abs(term), ew.multiply(F.abs(total), EPSILON / 4))
        return ew.add(n, 1.0), power, total, F.bitwise_or(settled, done)

    first = F.constant(value=1.0, dtype=float64)
    one = F.full(1.0, a)
    total = repeated(step, (first, one, zero, F.bitwise_invert(wanted)))[2]
    near = ew.less(a, 1.0)
    log_one = F.where(
        near, log_gamma_near_one(held(near, a, 0.5)),
        log_gamma_positive(ew.add(ew.where(near, 1.0, a), 1.0)),
    )  # fmt: skip
    exponent = ew.subtract(ew.multiply(a, F.log(x)), log_one)
    rest = ew.multiply(ew.multiply(F.exp(exponent), a), total)
    return ew.subtract(F.negative(F.expm1(exponent)), rest)


def _parts(a: Any, x: Any) -> tuple[Any, Any]:
    """P(a, x) and Q(a, x) for a > 0 and 0 < x < ∞."""
    little = ew.less_equal(x, 1.1)
    logarithm = F.log(ew.minimum(x, 0.5))
    enough = ew.where(
        ew.less_equal(x, 0.5), ew.less(ew.divide(-0.4, logarithm), a),
        F.less(ew.multiply(x, 1.1), a),
    )  # fmt: skip
    by_small = ew.logical_and(little, ew.logical_not(enough))
    by_series = ew.logical_and(
        ew.logical_not(by_small), ew.logical_or(little, F.less_equal(x, ew.add(a, 1.0)))
    )
    by_fraction = ew.logical_not(ew.logical_or(by_small, by_series))
    front = _power(a, x)
    p = ew.multiply(front, _series(held(by_series, a, 1.0), held(by_series, x, 0.5), by_series))
    fa, fx = held(by_fraction, a, 1.0), held(by_fraction, x, 3.0)
    q = ew.multiply(ew.multiply(front, fa), _fraction(fa, fx, by_fraction))
    sa, sx = held(by_small, a, 0.1), held(by_small, x, 0.5)
    small = _small_complement(sa, sx, by_small)
    q = F.where(by_series, ew.subtract(1.0, p), F.where(by_small, small, q))
    p = F.where(by_series, p, ew.subtract(1.0, q))
    return p, q


def _regularized(a: Any, x: Any, upper: bool) -> Any:
    inside = ew.logical_and(
        ew.logical_and(ew.greater(a, 0.0), ew.less(a, math.inf)),
        ew.logical_and(ew.greater(x, 0.0), ew.less(x, math.inf)),
    )
    found = _parts(held(inside, a, 1.0), held(inside, x, 0.5))[1 if upper else 0]
    # the edges: P(a, 0) = 0, P(a, ∞) = 1, P(0, x) = 1
    full = ew.logical_or(
        ew.logical_and(ew.greater(a, 0.0), ew.equal(x, math.inf)),
        ew.logical_and(ew.equal(a, 0.0), ew.greater(x, 0.0)),
    )
    none = ew.logical_or(
        ew.logical_and(ew.greater(a, 0.0), ew.equal(x, 0.0)),
        ew.logical_and(ew.equal(a, math.inf), ew.less(x, math.inf)),
    )
    full = ew.logical_and(full, ew.less(a, math.inf))
    low, high = (1.0, 0.0) if upper else (0.0, 1.0)
    bad = ew.logical_or(ew.less(a, 0.0), ew.less(x, 0.0))
    edge = ew.where(full, high, ew.where(none, low, ew.multiply(F.zeros_like(a), math.nan)))
    return F.where(inside, found, ew.where(bad, math.nan, edge))


def _gammainc(a: Any, x: Any) -> Any:
    """The regularized lower incomplete gamma function P(a, x) = γ(a, x) / Γ(a).

    It has derivatives of every order with respect to x and of the first two with respect to a.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.gammainc(1.0, 1.0).item():.6f}")
        0.632121
    """
    return _regularized(a, x, False)


def _gammaincc(a: Any, x: Any) -> Any:
    """The regularized upper incomplete gamma function Q(a, x) = 1 - P(a, x).

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.gammaincc(1.0, 1.0).item():.6f}")
        0.367879
    """
    return _regularized(a, x, True)


def _gamma_density(a: Any, x: Any) -> Any:
    """x^(a-1)·e^-x / Γ(a), the slope of P in x."""
    inside = ew.logical_and(ew.greater(a, 0.0), ew.greater(x, 0.0))
    usual = ew.logical_and(inside, ew.less(x, math.inf))
    p, y = held(usual, a, 1.0), held(usual, x, 1.0)
    found = ew.divide(ew.multiply(_power(p, y), p), y)
    at_zero = ew.where(ew.equal(a, 1.0), 1.0, ew.where(ew.less(a, 1.0), math.inf, F.zeros_like(a)))
    return F.where(usual, found, ew.where(ew.equal(x, 0.0), at_zero, 0.0))


gamma_density: Any = several(
    _gamma_density,
    lambda a, x: _density_by_shape(a, x),
    lambda a, x: ew.multiply(
        gamma_density(a, x), ew.subtract(ew.divide(ew.subtract(a, 1.0), x), 1.0)
    ),
)


def _shape_slope(a: Any, x: Any) -> Any:
    """dP/da, by differentiating the series and the fraction term by term."""
    inside = ew.logical_and(
        ew.logical_and(ew.greater(a, 0.0), ew.less(a, math.inf)),
        ew.logical_and(ew.greater(x, 0.0), ew.less(x, math.inf)),
    )
    a, x = held(inside, a, 1.0), held(inside, x, 0.5)
    by_series = F.less_equal(x, ew.add(a, 1.0))
    front = _power(a, x)
    log_slope = ew.subtract(F.log(x), digamma(ew.add(a, 1.0)))  # of log of the power in front
    value, slope = _series_with_slope(held(by_series, a, 1.0), held(by_series, x, 0.5), by_series)
    low = ew.multiply(front, ew.add(slope, ew.multiply(log_slope, value)))
    other = F.bitwise_invert(by_series)
    fa, fx = held(other, a, 1.0), held(other, x, 3.0)
    value, slope = _fraction_with_slope(fa, fx, other)
    log_slope = ew.add(log_slope, ew.divide(1.0, fa))
    high = ew.multiply(ew.multiply(front, fa), ew.add(slope, ew.multiply(log_slope, value)))
    return ew.where(inside, F.where(by_series, low, F.negative(high)), 0.0)


def _series_with_slope(a: Any, x: Any, wanted: Any) -> tuple[Any, Any]:
    one, zero = F.full(1.0, a), F.zeros_like(a)

    def step(state: Any) -> Any:
        n, term, gone, total, slope, settled = state
        bottom = ew.add(a, n)
        following = ew.multiply(term, ew.divide(x, bottom))
        less = ew.subtract(gone, ew.divide(1.0, bottom))  # the slope of the term's logarithm
        part = ew.multiply(following, less)
        term, gone = F.where(settled, term, following), F.where(settled, gone, less)
        total = F.where(settled, total, ew.add(total, following))
        slope = F.where(settled, slope, ew.add(slope, part))
        small = F.less_equal(term, ew.multiply(total, EPSILON / 4))
        done = F.bitwise_and(
            small, F.less_equal(F.abs(part), ew.multiply(F.abs(slope), EPSILON / 4))
        )
        return ew.add(n, 1.0), term, gone, total, slope, F.bitwise_or(settled, done)

    first = F.constant(value=1.0, dtype=float64)
    start = (first, one, zero, one, zero, F.bitwise_invert(wanted))
    found = repeated(step, start)
    return found[3], found[4]


def _fraction_with_slope(a: Any, x: Any, wanted: Any) -> tuple[Any, Any]:
    """The continued fraction by Wallis' recurrence, and its slope in a by the chain rule."""
    one, zero = F.full(1.0, a), F.zeros_like(a)
    b0 = ew.subtract(ew.add(x, 1.0), a)

    def step(state: Any) -> Any:
        n, p1, p2, q1, q2, s1, s2, t1, t2, value, slope, settled = state
        an = F.negative(ew.multiply(ew.subtract(n, a), n))
        b = ew.add(b0, ew.add(n, n))
        p = ew.add(ew.multiply(b, p1), ew.multiply(an, p2))
        q = ew.add(ew.multiply(b, q1), ew.multiply(an, q2))
        # d b / da = -1 and d an / da = n
        s = ew.subtract(ew.multiply(b, s1), p1)
        s = ew.add(s, ew.add(ew.multiply(an, s2), ew.multiply(p2, n)))
        t = ew.subtract(ew.multiply(b, t1), q1)
        t = ew.add(t, ew.add(ew.multiply(an, t2), ew.multiply(q2, n)))
        found = ew.divide(p, q)
        change = ew.divide(ew.subtract(s, ew.multiply(found, t)), q)
        near = F.less_equal(F.abs(ew.subtract(found, value)), ew.multiply(found, 2 * EPSILON))
        gap = F.abs(ew.subtract(change, slope))
        done = F.bitwise_and(near, F.less_equal(gap, ew.multiply(F.abs(change), 4 * EPSILON)))
        scale = ew.where(ew.greater(F.abs(q), 2.0**200), 2.0**-200, one)
        scaled = [ew.multiply(v, scale) for v in (p, p1, q, q1, s, s1, t, t1)]
        held_parts = [
            F.where(settled, old, new)
            for old, new in zip((p1, p2, q1, q2, s1, s2, t1, t2), scaled, strict=True)
        ]
        value = F.where(settled, value, found)
        slope = F.where(settled, slope, change)
        return (ew.add(n, 1.0), *held_parts, value, slope, F.bitwise_or(settled, done))

    first = F.constant(value=1.0, dtype=float64)
    # convergents 1/b0: p = 1, q = b0; before that p = 0, q = 1
    start = (first, one, zero, b0, one, zero, zero, F.negative(one), zero)
    value = ew.divide(1.0, b0)
    found = repeated(step, (*start, value, ew.multiply(value, value), F.bitwise_invert(wanted)))
    return found[9], found[10]


def _shape_curvature(a: Any, x: Any) -> Any:
    """d²P/da²"""
    inside = ew.logical_and(
        ew.logical_and(ew.greater(a, 0.0), ew.less(a, math.inf)),
        ew.logical_and(ew.greater(x, 0.0), ew.less(x, math.inf)),
    )
    a, x = held(inside, a, 1.0), held(inside, x, 0.5)
    by_series = F.less_equal(x, ew.add(a, 1.0))
    other, jets = F.bitwise_invert(by_series), Jets(1, 2)
    front, up = _power(a, x), ew.add(a, 1.0)
    log_slope = ew.subtract(F.log(x), digamma(up))
    bend = ew.multiply(polygamma(1, up), -0.5)
    low = series.gamma_series(jets, held(by_series, a, 1.0), held(by_series, x, 0.5), by_series)
    low = jets.product(low, jets.exponential(front, [None, log_slope, bend]))
    fa, fx = held(other, a, 1.0), held(other, x, 3.0)
    high = jets.product(series.gamma_fraction(jets, fa, fx, other), jets.linear(fa, F.full(1.0, a)))
    high = jets.product(high, jets.exponential(front, [None, log_slope, bend]))
    found = F.where(by_series, low[2], F.negative(high[2]))
    return ew.where(inside, ew.add(found, found), 0.0)


def _density_by_shape(a: Any, x: Any) -> Any:
    return ew.multiply(gamma_density(a, x), ew.subtract(ew.log(x), digamma(a)))


def _density_by_shape_twice(a: Any, x: Any) -> Any:
    slope = ew.subtract(ew.log(x), digamma(a))
    return ew.multiply(gamma_density(a, x), ew.subtract(ew.square(slope), polygamma(1, a)))


_gammainc_shape_curvature: Any = several(_shape_curvature, None, _density_by_shape_twice)
gammainc_shape_slope: Any = several(_shape_slope, _gammainc_shape_curvature, _density_by_shape)
gammainc: Any = several(_gammainc, gammainc_shape_slope, gamma_density)
gammaincc: Any = several(
    _gammaincc,
    lambda a, x: ew.negative(gammainc_shape_slope(a, x)),
    lambda a, x: ew.negative(gamma_density(a, x)),
)


def random_gamma_grad(a: Any, x: Any, /) -> Any:
    """dx/da of a sample x of the gamma distribution with shape a: -(dP/da) / (dP/dx).

    Source: Figurnov, Mohamed, Mnih, "Implicit reparameterization gradients" (2018).

    Example:
        >>> import elinvar as el
        >>> el.special.random_gamma_grad(1.0, 1.0).item() > 0
        True
    """
    return ew.divide(ew.negative(gammainc_shape_slope(a, x)), gamma_density(a, x))


__all__ = ["gammainc", "gammaincc", "random_gamma_grad"]

"""The regularized incomplete beta function by its continued fraction, and its derivatives.

Those with respect to the parameters are the fraction's and the power's in front, differentiated
term by term (`special_jets`).

Source: W. Press et al., "Numerical Recipes", section 6.4; R. Boik, J. Robison-Cox, "Derivatives of
the incomplete beta function", Journal of Statistical Software 3 (1998).
"""

from __future__ import annotations

import math
from typing import Any

from elinvar.core.dtypes import float64
from elinvar.tensor import elementwise as ew
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast
from elinvar.tensor.custom import custom_vjp
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra import special_jets as series
from elinvar.tensor.extra.special_gamma import digamma, each, polygamma, stirling_correction
from elinvar.tensor.extra.special_incomplete import away
from elinvar.tensor.extra.special_jets import EPSILON, Jets, repeated
from elinvar.tensor.extra.special_tools import flows, held, log1pmx, several, unknown_slope


def _beta_power(a: Any, b: Any, x: Any, y: Any) -> Any:
    """x^a·y^b / B(a, b) with y = 1 - x."""
    total = ew.add(a, b)
    # relative to the peak at a / (a + b), where the linear terms of both logarithms cancel
    gap = ew.subtract(ew.multiply(x, b), ew.multiply(y, a))
    above = log1pmx(ew.divide(gap, a), ew.divide(ew.multiply(x, total), a))
    below = log1pmx(ew.divide(F.negative(gap), b), ew.divide(ew.multiply(y, total), b))
    exponent = ew.add(ew.multiply(a, above), ew.multiply(b, below))
    first, second, third = each(stirling_correction, a, b, total)
    exponent = ew.subtract(exponent, ew.subtract(ew.add(first, second), third))
    front = F.sqrt(ew.multiply(ew.multiply(ew.divide(a, total), b), 1 / (2 * math.pi)))
    return ew.multiply(front, F.exp(exponent))


def _beta_fraction(a: Any, b: Any, x: Any, wanted: Any) -> Any:
    """The continued fraction of I_x(a, b)·a·B / (x^a (1-x)^b), by Lentz's method."""
    total, up, down = ew.add(a, b), ew.add(a, 1.0), ew.subtract(a, 1.0)
    first = ew.divide(
        1.0, away(ew.subtract(1.0, ew.divide(ew.multiply(total, x), up)))
    )

    def half(numerator: Any, c: Any, d: Any) -> tuple[Any, Any, Any]:
        d = ew.divide(1.0, away(ew.add(ew.multiply(numerator, d), 1.0)))
        c = away(ew.add(ew.divide(numerator, c), 1.0))
        return c, d, ew.multiply(c, d)

    def step(state: Any) -> Any:
        n, c, d, h, settled = state
        twice = ew.add(a, ew.add(n, n))
        even = ew.divide(
            ew.multiply(ew.multiply(ew.subtract(b, n), n), x),
            ew.multiply(ew.add(down, ew.add(n, n)), twice),
        )
        c2, d2, change = half(even, c, d)
        h2 = ew.multiply(h, change)
        odd = ew.divide(
            ew.multiply(ew.multiply(F.negative(ew.add(a, n)), ew.add(total, n)), x),
            ew.multiply(twice, ew.add(up, ew.add(n, n))),
        )
        c2, d2, change = half(odd, c2, d2)
        h2 = ew.multiply(h2, change)
        c, d, h = (F.where(settled, o, v) for o, v in ((c, c2), (d, d2), (h, h2)))
        done = ew.less_equal(F.abs(ew.subtract(change, 1.0)), 2 * EPSILON)
        return ew.add(n, 1.0), c, d, h, F.bitwise_or(settled, done)

    counter = F.constant(value=1.0, dtype=float64)
    one = F.full(1.0, a)
    return repeated(step, (counter, one, first, first, F.bitwise_invert(wanted)))[3]


def _betainc(a: Any, b: Any, x: Any) -> Any:
    """The regularized incomplete beta function I_x(a, b), for a, b > 0 and 0 ≤ x ≤ 1.

    It has derivatives of every order with respect to x and of the first two with respect to a
    and b.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.betainc(2.0, 3.0, 0.5).item():.6f}")
        0.687500
    """
    usual = ew.logical_and(ew.greater(a, 0.0), ew.greater(b, 0.0))
    usual = ew.logical_and(usual, ew.less(ew.add(a, b), math.inf))
    inside = ew.logical_and(usual, ew.logical_and(ew.greater(x, 0.0), ew.less(x, 1.0)))
    a, b, z = held(inside, a, 1.0), held(inside, b, 1.0), held(inside, x, 0.5)
    y = ew.subtract(1.0, z)
    swapped = F.greater(z, ew.divide(ew.add(a, 1.0), ew.add(ew.add(a, b), 2.0)))
    p, q = F.where(swapped, b, a), F.where(swapped, a, b)
    u = F.where(swapped, y, z)
    front = _beta_power(a, b, z, y)
    found = ew.multiply(ew.divide(front, p), _beta_fraction(p, q, u, inside))
    found = F.where(swapped, ew.subtract(1.0, found), found)
    edge = ew.where(ew.equal(x, 0.0), 0.0, ew.where(ew.equal(x, 1.0), 1.0, x * math.nan))
    return F.where(inside, found, ew.where(usual, edge, math.nan))


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    """x^(a-1)·(1-x)^(b-1) / B(a, b)"""
    inside = ew.logical_and(ew.greater(x, 0.0), ew.less(x, 1.0))
    p, q, z = held(inside, a, 1.0), held(inside, b, 1.0), held(inside, x, 0.5)
    y = ew.subtract(1.0, z)
    found = ew.divide(_beta_power(p, q, z, y), ew.multiply(z, y))
    return ew.where(inside, found, 0.0)


def _beta_density_slope(a: Any, b: Any, x: Any) -> Any:
    left = ew.divide(ew.subtract(a, 1.0), x)
    right = ew.divide(ew.subtract(b, 1.0), ew.subtract(1.0, x))
    return ew.multiply(beta_density(a, b, x), ew.subtract(left, right))


def _digamma_gap(a: Any, b: Any) -> Any:
    return ew.subtract(digamma(ew.add(a, b)), digamma(a))


beta_density: Any = several(
    _beta_density,
    lambda a, b, x: ew.multiply(beta_density(a, b, x), ew.add(ew.log(x), _digamma_gap(a, b))),
    lambda a, b, x: ew.multiply(
        beta_density(a, b, x), ew.add(ew.log1p(ew.negative(x)), _digamma_gap(b, a))
    ),
    _beta_density_slope,
)


def _beta_jet(degree: int, a: Any, b: Any, x: Any) -> tuple[list[Any], Any]:
    """The derivatives of I_x(a, b) up to a degree with respect to a and b, as Taylor coefficients;
    and where there are any."""
    inside = ew.logical_and(ew.greater(a, 0.0), ew.greater(b, 0.0))
    inside = ew.logical_and(inside, ew.less(ew.add(a, b), math.inf))
    inside = ew.logical_and(inside, ew.logical_and(ew.greater(x, 0.0), ew.less(x, 1.0)))
    a, b, z = held(inside, a, 1.0), held(inside, b, 1.0), held(inside, x, 0.5)
    y = ew.subtract(1.0, z)
    swapped = F.greater(z, ew.divide(ew.add(a, 1.0), ew.add(ew.add(a, b), 2.0)))
    p, q = F.where(swapped, b, a), F.where(swapped, a, b)
    jets = Jets(2, degree)
    found = series.beta_fraction(jets, p, q, F.where(swapped, y, z), inside)
    # the logarithm of x^a·(1-x)^b / (a·B(a, b)), expanded
    total = ew.add(a, b)
    above = ew.add(p, 1.0)  # ψ(p + 1) = ψ(p) + 1/p: the p of the denominator
    joint, by_p, by_q = each(digamma, total, above, q)
    log_z, log_y = F.log(z), F.log1p(F.negative(z))
    near, far = F.where(swapped, log_y, log_z), F.where(swapped, log_z, log_y)
    logs = [None, ew.add(near, ew.subtract(joint, by_p)), ew.add(far, ew.subtract(joint, by_q))]
    if degree == 2:
        bend, by_p, by_q = (polygamma(1, v) for v in (total, above, q))
        logs += [ew.multiply(ew.subtract(bend, by_p), 0.5), bend,
                 ew.multiply(ew.subtract(bend, by_q), 0.5)]  # fmt: skip
    front = ew.divide(_beta_power(a, b, z, y), p)
    found = jets.product(found, jets.exponential(front, logs))
    turned = [found[jets.powers.index((j, i))] for i, j in jets.powers]
    return [
        ew.where(inside, F.where(swapped, F.negative(other), one), 0.0)
        for one, other in zip(found, turned, strict=True)
    ], inside


@composite
def _beta_slopes(a: Any, b: Any, x: Any) -> Any:
    found = _beta_jet(1, *(cast(v, float64) for v in (a, b, x)))[0]
    return tuple(cast(part, x.dtype) for part in found[1:])


@composite
def _beta_curvatures(a: Any, b: Any, x: Any) -> Any:
    found = _beta_jet(2, *(cast(v, float64) for v in (a, b, x)))[0]
    twice, mixed, other = found[3:]
    return tuple(cast(part, x.dtype) for part in (twice + twice, mixed, other + other))


@custom_vjp
def _second(a: Any, b: Any, x: Any) -> Any:
    """∂²/∂a², ∂²/∂a∂b and ∂²/∂b² of I_x(a, b)."""
    return _beta_curvatures(a, b, x)


@custom_vjp
def _first(a: Any, b: Any, x: Any) -> Any:
    """∂/∂a and ∂/∂b of I_x(a, b)."""
    return _beta_slopes(a, b, x)


def _weighed(*pairs: tuple[Any, Any]) -> Any:
    (g, part), *rest = pairs
    total = ew.multiply(g, part)
    for g, part in rest:
        total = ew.add(total, ew.multiply(g, part))
    return total


def _log_slopes(a: Any, b: Any, x: Any) -> tuple[Any, Any]:
    """The derivatives of the density's logarithm with respect to a and b."""
    return (
        ew.add(ew.log(x), _digamma_gap(a, b)),
        ew.add(ew.log1p(ew.negative(x)), _digamma_gap(b, a)),
    )


def _pull_share(xs: Any, g: Any) -> tuple[Any, ...]:
    needs_slopes = flows(xs[0]) or flows(xs[1])
    by_a, by_b = _first(*xs) if needs_slopes else (None, None)
    return (
        ew.multiply(g, by_a) if flows(xs[0]) else None,
        ew.multiply(g, by_b) if flows(xs[1]) else None,
        ew.multiply(g, beta_density(*xs)) if flows(xs[2]) else None,
    )


def _pull_first(xs: Any, g: Any) -> tuple[Any, ...]:
    needs_slopes = flows(xs[0]) or flows(xs[1])
    twice, mixed, other = _second(*xs) if needs_slopes else (None, None, None)
    left, right = _log_slopes(*xs)
    along = _weighed((g[0], left), (g[1], right))
    return (
        _weighed((g[0], twice), (g[1], mixed)) if flows(xs[0]) else None,
        _weighed((g[0], mixed), (g[1], other)) if flows(xs[1]) else None,
        ew.multiply(along, beta_density(*xs)) if flows(xs[2]) else None,
    )


def _pull_second(xs: Any, g: Any) -> tuple[Any, ...]:
    a, b, x = xs
    left, right = _log_slopes(a, b, x)
    joint = polygamma(1, ew.add(a, b))
    twice = ew.add(ew.square(left), ew.subtract(joint, polygamma(1, a)))
    other = ew.add(ew.square(right), ew.subtract(joint, polygamma(1, b)))
    mixed = ew.add(ew.multiply(left, right), joint)
    weight = _weighed((g[0], twice), (g[1], mixed), (g[2], other))
    return (
        unknown_slope("betainc", 0, g[0]) if flows(a) else None,
        unknown_slope("betainc", 1, g[0]) if flows(b) else None,
        ew.multiply(weight, beta_density(a, b, x)) if flows(x) else None,
    )


_first.is_pure = _second.is_pure = True
_second.defvjp(lambda *xs: (_beta_curvatures(*xs), xs), _pull_second)
_first.defvjp(lambda *xs: (_beta_slopes(*xs), xs), _pull_first)
betainc: Any = several(_betainc, pull_back=_pull_share)

__all__ = ["betainc"]

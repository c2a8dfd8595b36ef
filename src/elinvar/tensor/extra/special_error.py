"""The error function's kin, the normal distribution, Bessel functions, exponential integrals."""

from __future__ import annotations

import math
from typing import Any

from elinvar.tensor import elementwise as ew
from elinvar.tensor import special as plain
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra import special_tables as table
from elinvar.tensor.extra.special_tools import (
    chebyshev,
    exp_of_square,
    held,
    powers,
    unary,
)
from elinvar.tensor.special import quotient_of_erfinv

_ROOT_HALF, _ROOT_PI = math.sqrt(0.5), math.sqrt(math.pi)


def erf(x: Any, /) -> Any:
    """The error function 2/√π ∫₀ˣ exp(-t²) dt.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.erf(0.5).item():.6f}")
        0.520500
    """
    return ew.erf(x)


def erfinv(x: Any, /) -> Any:
    """The inverse of the error function: erf(erfinv(x)) = x.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.erfinv(0.5).item():.6f}")
        0.476936
    """
    return plain.erfinv(x)


def scaled_tail(x: Any) -> Any:
    """erfcx(x) = exp(x²)·erfc(x) for x ≥ 0."""
    far = ew.greater(x, 1e150)
    near = ew.where(far, 1.0, x)
    t = F.divide(ew.subtract(near, 3.75), ew.add(near, 3.75))
    found = F.divide(chebyshev(t, table.ERFCX), ew.add(ew.add(near, near), 1.0))
    return F.where(far, ew.divide(1 / _ROOT_PI, ew.where(far, x, 1.0)), found)


def _erfc(x: Any) -> Any:
    """1 - erf(x), accurate where that is small.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.erfc(3.0).item():.4e}")
        2.2090e-05
    """
    high = ew.greater(x, 0.5)
    inside = ew.clip(held(high, x, 1.0), 0.5, 30.0)
    tail = F.multiply(exp_of_square(inside), scaled_tail(inside))
    return F.where(high, tail, ew.subtract(1.0, F.erf(ew.where(high, 0.0, x))))


def _erfcx(x: Any) -> Any:
    """exp(x²)·erfc(x), which does not underflow.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.erfcx(100.0).item():.6f}")
        0.005642
    """
    negative = ew.less(x, 0.0)
    size = F.abs(x)
    usual = ew.less(size, 27.0)
    square = exp_of_square(held(ew.logical_and(negative, usual), size, 0.0), 1.0)
    tail = scaled_tail(ew.where(F.not_equal(x, x), 1.0, size))
    below = F.subtract(F.add(square, square), tail)
    below = ew.where(usual, below, math.inf)
    return F.where(F.not_equal(x, x), x, F.where(negative, below, tail))


erfc: Any = unary(_erfc, lambda x: ew.multiply(F.exp(F.negative(ew.square(x))), -2 / _ROOT_PI))
erfcx: Any = unary(
    _erfcx, lambda x: ew.subtract(ew.multiply(ew.multiply(x, 2.0), erfcx(x)), 2 / _ROOT_PI)
)


def _from_tail(q: Any) -> Any:
    """erfcinv for 0 < q ≤ 1: (1 - q)·Q(√w) with w = -log(q·(2 - q))."""
    w = ew.maximum(F.negative(F.log(F.multiply(q, ew.subtract(2.0, q)))), 0.0)
    root = F.sqrt(ew.where(ew.equal(w, 0.0), 1.0, w))
    far = ew.greater(root, 7.0)
    tail = powers(ew.where(far, root, 8.0), table.ERFINV_TAIL)
    near = quotient_of_erfinv(ew.where(far, 1.0, w))
    return F.multiply(ew.subtract(1.0, q), F.where(far, tail, near))


def _quantile(q: Any, other: Any) -> Any:
    """The magnitude at which a tail of q is left, negative where `other` = 2 - q is the smaller."""
    upper = F.less(other, q)
    tail = F.where(upper, other, q)
    inside = ew.logical_and(ew.greater(tail, 0.0), ew.less_equal(tail, 1.0))
    found = _from_tail(held(inside, tail, 0.5))
    outside = ew.where(ew.equal(tail, 0.0), math.inf, ew.multiply(tail, math.nan))
    found = F.where(inside, found, outside)
    return F.where(upper, F.negative(found), found)


def _erfcinv(x: Any) -> Any:
    """The inverse of `erfc` on 0 … 2.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.erfcinv(1e-10).item():.6f}")
        4.572825
    """
    return _quantile(x, ew.subtract(2.0, x))


def _ndtri(p: Any) -> Any:
    """The quantiles of the normal distribution: ndtr(ndtri(p)) = p.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.ndtri(0.975).item():.6f}")
        1.959964
    """
    low = ew.multiply(p, 2.0)
    return ew.multiply(_quantile(low, ew.multiply(ew.subtract(1.0, p), 2.0)), -math.sqrt(2))


def _ndtr(x: Any) -> Any:
    """The normal distribution function Φ(x) = ½ erfc(-x/√2).

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.ndtr(-10.0).item():.4e}")
        7.6199e-24
    """
    size = ew.minimum(F.abs(ew.where(F.not_equal(x, x), 0.0, x)), 40.0)
    tail = ew.multiply(scaled_tail(ew.multiply(size, _ROOT_HALF)), 0.5)
    tail = F.multiply(exp_of_square(size, -1.0, 0.5), tail)
    found = F.where(ew.less(x, 0.0), tail, ew.subtract(1.0, tail))
    return F.where(F.not_equal(x, x), x, found)


def _log_ndtr(x: Any) -> Any:
    """log Φ(x), accurate on both sides.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.log_ndtr(-100.0).item():.3f}")
        -5005.524
    """
    known, size = F.equal(x, x), F.abs(x)
    size = ew.minimum(ew.where(known, size, 0.0), 1e150)
    scaled = ew.multiply(scaled_tail(ew.multiply(size, _ROOT_HALF)), 0.5)
    near = ew.minimum(size, 40.0)
    tail = F.multiply(exp_of_square(near, -1.0, 0.5), scaled)
    low = ew.less(x, 0.0)
    below = F.subtract(F.log(scaled), ew.multiply(F.multiply(size, size), 0.5))
    below = ew.where(ew.less_equal(x, -1e150), -math.inf, below)
    found = F.where(low, below, F.log1p(F.negative(ew.where(low, 0.0, tail))))
    return F.where(known, found, x)


def _density(x: Any) -> Any:
    return ew.multiply(F.exp(ew.multiply(ew.square(x), -0.5)), 1 / math.sqrt(2 * math.pi))


def _hazard(x: Any) -> Any:
    """φ(x) / Φ(x), without underflow: √(2/π) / erfcx(-x/√2)."""
    return ew.divide(math.sqrt(2 / math.pi), erfcx(ew.multiply(x, -_ROOT_HALF)))


erfcinv: Any = unary(
    _erfcinv, lambda x: ew.multiply(F.exp(ew.square(erfcinv(x))), -_ROOT_PI / 2)
)
ndtr: Any = unary(_ndtr, _density)
ndtri: Any = unary(_ndtri, lambda p: ew.divide(1.0, _density(ndtri(p))))
log_ndtr: Any = unary(_log_ndtr, _hazard)


# ---- modified Bessel functions ------------------------------------------------------------------


def _scaled_bessel(size: Any, near: Any, far: Any, odd: bool) -> Any:
    """e^-x·I(x) for x ≥ 0: a series in x up to 8, in 1/x beyond."""
    low = ew.less_equal(size, 8.0)
    inside = held(low, size, 1.0)
    below = chebyshev(inside, near)
    below = F.multiply(below, inside) if odd else below
    outside = ew.where(low, 16.0, size)
    above = F.divide(chebyshev(ew.divide(1.0, outside), far), F.sqrt(outside))
    return F.where(low, below, above)


def _usual(x: Any) -> Any:
    return ew.where(F.not_equal(x, x), 1.0, ew.minimum(F.abs(x), 1.7e308))


def _i0e(x: Any) -> Any:
    """exp(-|x|)·I0(x), the scaled modified Bessel function of order 0.

    Example:
        >>> import elinvar as el
        >>> el.special.i0e(0.0).item()
        1.0
    """
    found = _scaled_bessel(_usual(x), table.I0_NEAR, table.I0_FAR, False)
    found = ew.where(ew.equal(F.abs(x), math.inf), 0.0, found)
    return F.where(F.not_equal(x, x), x, found)


def _i1e(x: Any) -> Any:
    """exp(-|x|)·I1(x), the scaled modified Bessel function of order 1.

    Example:
        >>> import elinvar as el
        >>> el.special.i1e(0.0).item()
        0.0
    """
    found = _scaled_bessel(_usual(x), table.I1_NEAR, table.I1_FAR, True)
    found = ew.where(ew.equal(F.abs(x), math.inf), 0.0, found)
    return F.where(F.not_equal(x, x), x, F.copysign(found, x))


def _grown(scaled: Any, x: Any) -> Any:
    """scaled·e^|x|, in two factors that overflow late."""
    root = F.exp(ew.multiply(F.abs(x), 0.5))
    return F.where(ew.equal(F.abs(x), math.inf), F.copysign(F.abs(x), scaled),
                   F.multiply(F.multiply(scaled, root), root))  # fmt: skip


def _i0(x: Any) -> Any:
    """I0(x), the modified Bessel function of order 0.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.i0(1.0).item():.6f}")
        1.266066
    """
    return _grown(_i0e(x), x)


def _i1(x: Any) -> Any:
    """I1(x), the modified Bessel function of order 1.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.i1(1.0).item():.6f}")
        0.565159
    """
    infinite = ew.equal(F.abs(x), math.inf)
    held_x = ew.where(infinite, 1.0, x)
    return F.where(infinite, x, _grown(_i1e(held_x), held_x))


def _over(value: Any, x: Any) -> Any:
    """I1(x) / x with its limit ½ at 0."""
    zero = ew.equal(x, 0.0)
    return ew.where(zero, 0.5, ew.divide(value, ew.where(zero, 1.0, x)))


def _i1e_slope(x: Any) -> Any:
    value = i1e(x)
    return ew.subtract(ew.subtract(i0e(x), _over(value, x)), ew.multiply(F.sign(x), value))


i0e: Any = unary(_i0e, lambda x: ew.subtract(i1e(x), ew.multiply(F.sign(x), i0e(x))))
i1e: Any = unary(_i1e, _i1e_slope)
i0: Any = unary(_i0, lambda x: i1(x))
i1: Any = unary(_i1, lambda x: ew.subtract(i0(x), _over(i1(x), x)))


# ---- integrals of exponentials ------------------------------------------------------------------

_EULER = 0.5772156649015329


def _exp1(x: Any) -> Any:
    """E1(x) = ∫ exp(-t)/t dt from x to ∞, for x > 0; NaN below.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.exp1(1.0).item():.6f}")
        0.219384
    """
    low = ew.less_equal(x, 1.0)
    inside = ew.where(ew.logical_and(low, ew.greater(x, 0.0)), x, 1.0)
    below = F.subtract(F.multiply(inside, powers(inside, table.EIN)), F.log(inside))
    below = ew.subtract(below, _EULER)
    outside = ew.clip(ew.where(low, 2.0, x), 1.0, 1e4)
    gap = ew.subtract(outside, 1.0)
    t = F.divide(ew.subtract(gap, 4.0), ew.add(gap, 4.0))
    above = F.multiply(F.exp(F.negative(outside)), F.divide(chebyshev(t, table.E1_FAR), outside))
    found = F.where(low, below, above)
    found = ew.where(ew.equal(x, 0.0), math.inf, found)
    return ew.where(ew.logical_or(ew.less(x, 0.0), F.not_equal(x, x)), math.nan, found)


def _expi(x: Any) -> Any:
    """Ei(x) = -∫ exp(-t)/t dt from -x to ∞, as a principal value.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.expi(1.0).item():.6f}")
        1.895118
    """
    negative = ew.less(x, 0.0)
    below = F.negative(_exp1(F.negative(held(negative, x, -1.0))))
    near = ew.logical_and(ew.greater(x, 0.0), ew.less_equal(x, 3.0))
    inside = held(near, x, 1.0)
    gap = ew.subtract(ew.subtract(inside, table.EI_ROOT[0]), table.EI_ROOT[1])
    share = ew.divide(gap, table.EI_ROOT[0])
    close = ew.less(F.abs(share), 0.5)
    logarithm = F.where(
        close, F.log1p(held(close, share, 0.0)),
        F.log(ew.divide(ew.where(close, 1.0, inside), table.EI_ROOT[0])),
    )  # fmt: skip
    found = F.add(F.multiply(gap, powers(inside, table.EI_NEAR)), logarithm)
    large = ew.clip(ew.where(ew.greater(x, 3.0), x, 4.0), 3.0, 1e4)
    root = F.exp(ew.multiply(large, 0.5))
    series: Any = chebyshev(ew.divide(1.0, ew.maximum(large, 40.0)), table.EI_4)
    for limit, part in ((40.0, table.EI_3), (16.0, table.EI_2), (7.0, table.EI_1)):
        least = {40.0: 16.0, 16.0: 7.0, 7.0: 3.0}[limit]
        series = F.where(
            ew.less(large, limit), chebyshev(ew.clip(large, least, limit), part), series
        )
    above = F.multiply(F.multiply(F.divide(series, large), root), root)
    found = F.where(near, found, above)
    found = ew.where(ew.equal(x, 0.0), -math.inf, F.where(negative, below, found))
    return F.where(F.not_equal(x, x), x, found)


exp1: Any = unary(_exp1, lambda x: ew.divide(F.negative(F.exp(F.negative(x))), x))
expi: Any = unary(_expi, lambda x: ew.divide(F.exp(x), x))


def _spence(x: Any) -> Any:
    """Spence's function Li₂(1 - x) = -∫₁ˣ log(t)/(t - 1) dt, for x ≥ 0; NaN below.

    Example:
        >>> import elinvar as el
        >>> el.special.spence(1.0).item()
        0.0
    """
    large = ew.greater(x, 1.5)
    y = ew.where(large, ew.divide(1.0, ew.where(large, x, 2.0)), x)
    small = ew.less(y, 0.5)
    base = ew.where(ew.greater(y, 0.0), y, 0.25)
    u = F.where(small, ew.subtract(1.0, base), base)
    near = F.multiply(ew.subtract(1.0, u), powers(u, table.DILOGARITHM))
    logs = F.multiply(F.log(base), F.log1p(F.negative(held(small, base, 0.25))))
    mirrored = F.subtract(ew.subtract(math.pi**2 / 6, logs), near)
    mirrored = ew.where(ew.less_equal(y, 0.0), math.pi**2 / 6, mirrored)
    found = F.where(small, mirrored, near)
    root = F.log(ew.where(large, x, 2.0))
    above = F.negative(F.add(found, ew.multiply(F.multiply(root, root), 0.5)))
    found = F.where(large, above, found)
    return ew.where(ew.logical_or(ew.less(x, 0.0), F.not_equal(x, x)), math.nan, found)


def _spence_slope(x: Any) -> Any:
    """log(x) / (1 - x), with its limit -1 at 1."""
    u = ew.subtract(x, 1.0)
    near = ew.less(F.abs(u), 1e-3)
    tail = ew.where(near, u, 0.0)
    series = ew.add(ew.multiply(ew.add(ew.multiply(tail, -1 / 3), 0.5), tail), -1.0)
    cubic = ew.add(series, ew.multiply(ew.multiply(ew.square(tail), tail), 0.25))
    return ew.where(near, cubic, ew.divide(F.log(ew.where(near, 2.0, x)),
                                           F.negative(ew.where(near, 1.0, u))))  # fmt: skip


spence: Any = unary(_spence, _spence_slope)


__all__ = [
    "erf", "erfc", "erfcinv", "erfcx", "erfinv", "exp1", "expi", "i0", "i0e", "i1", "i1e",
    "log_ndtr", "ndtr", "ndtri", "spence",
]  # fmt: skip

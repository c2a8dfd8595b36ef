"""The beta function, factorials, binomial coefficients, and gamma functions of several parts."""

from __future__ import annotations

import math
from typing import Any

from elinvar.core.errors import ValueRangeError, fail
from elinvar.tensor import elementwise as ew
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import floating
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra.special_gamma import (
    HALF_LOG_2PI,
    digamma,
    each,
    gamma,
    gamma_value,
    gammaln,
    gammaln_value,
    log_gamma_positive,
    stirling_tail,
)
from elinvar.tensor.extra.special_tools import held, several


def log_beta_positive(a: Any, b: Any) -> Any:
    """log B(a, b) for a, b > 0, without cancellation between large numbers."""
    low, high = F.minimum(a, b), F.maximum(a, b)
    total, both = F.add(low, high), ew.greater_equal(low, 8.0)
    large = ew.greater_equal(high, 8.0)
    # neither large: three logarithms; one large: that of the small one
    values = each(log_gamma_positive, low, ew.where(large, 1.0, high), ew.where(large, 1.0, total))
    small = F.subtract(F.add(values[0], values[1]), values[2])
    p, q = held(large, low, 1.0), held(large, high, 10.0)
    tails = [stirling_tail(v) for v in (held(both, low, 10.0), q, F.add(p, q))]
    ratio = F.divide(p, q)
    logarithm, root = F.log(q), F.log1p(ratio)
    # log Γ(q) - log Γ(p + q) in closed form
    quotient = F.subtract(tails[1], tails[2])
    gone = F.multiply(F.add(p, ew.subtract(q, 0.5)), root)
    one = F.subtract(F.subtract(quotient, gone), F.multiply(p, ew.subtract(logarithm, 1.0)))
    one = F.add(values[0], one)
    # both large
    share = F.divide(ratio, ew.add(ratio, 1.0))
    two = F.add(F.add(tails[0], quotient), F.multiply(ew.subtract(p, 0.5), F.log(share)))
    two = F.subtract(two, F.multiply(q, root))
    two = F.add(two, ew.add(ew.multiply(logarithm, -0.5), HALF_LOG_2PI))
    found = F.where(both, two, F.where(large, one, small))
    return ew.where(ew.equal(total, math.inf), -math.inf, found)


def _is_pole(x: Any) -> Any:
    """Whether Γ(x) has a pole."""
    return ew.logical_and(ew.less_equal(x, 0.0), ew.equal(F.floor(x), x))


def _mirrored(a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Where Γ(a) has a pole but B(a, b) is finite, it is (-1)^b·B(1 - a - b, b): the places, with
    operands that stand for a and b there."""
    turned = ew.subtract(ew.subtract(1.0, a), b)

    def finite(x: Any, y: Any) -> Any:
        whole = ew.logical_and(ew.equal(F.floor(y), y), ew.greater(y, 0.0))
        whole = ew.logical_and(whole, ew.greater(x, -math.inf))
        return ew.logical_and(_is_pole(x), ew.logical_and(whole, ew.greater(turned, 0.0)))

    left, right = finite(a, b), finite(b, a)
    return ew.logical_or(left, right), F.where(left, turned, a), F.where(right, turned, b)


def _sign_of_beta(a: Any, b: Any) -> Any:
    parts = [_sign(x) for x in (a, b, F.add(a, b))]
    return F.multiply(F.multiply(*parts[:2]), parts[2])


def _sign(x: Any) -> Any:
    """The sign of Γ(x), 1 at its poles."""
    floor = F.floor(x)
    odd = ew.not_equal(ew.remainder(floor, 2.0), 0.0)
    odd = ew.logical_and(odd, ew.logical_and(ew.less(x, 0.0), ew.not_equal(floor, x)))
    return ew.where(odd, -1.0, F.full(1.0, x))


def _betaln(a: Any, b: Any) -> Any:
    """log |B(a, b)| = log |Γ(a)·Γ(b) / Γ(a + b)|; ∞ where the quotient has a pole.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.betaln(2.0, 3.0).item():.4f}")
        -2.4849
    """
    _, p, q = _mirrored(a, b)
    positive = ew.logical_and(ew.greater(p, 0.0), ew.greater(q, 0.0))
    found = log_beta_positive(held(positive, p, 1.0), held(positive, q, 1.0))
    other = ew.logical_not(positive)
    x, y = held(other, a, -0.5), held(other, b, -0.7)
    usual = ew.logical_and(ew.less(F.abs(x), math.inf), ew.less(F.abs(y), math.inf))
    x, y = ew.where(usual, x, -0.5), ew.where(usual, y, -0.7)
    first, second, third = each(gammaln_value, x, y, F.add(x, y))
    below = F.subtract(F.add(first, second), third)
    infinite = ew.logical_or(_is_pole(x), _is_pole(y))
    below = ew.where(ew.logical_or(infinite, ew.logical_not(usual)), math.inf, below)
    known = F.bitwise_and(F.equal(a, a), F.equal(b, b))
    return ew.where(known, F.where(positive, found, below), math.nan)


def _beta(a: Any, b: Any) -> Any:
    """The beta function B(a, b) = Γ(a)·Γ(b) / Γ(a + b).

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.beta(2.0, 3.0).item():.6f}")
        0.083333
    """
    finite, p, q = _mirrored(a, b)
    usual = ew.logical_and(ew.less(F.abs(p), 80.0), ew.less(F.abs(q), 80.0))
    infinite = ew.logical_and(ew.logical_or(_is_pole(p), _is_pole(q)), ew.logical_not(finite))
    plain = ew.logical_and(usual, ew.logical_not(infinite))
    x, y = held(plain, p, 1.0), held(plain, q, 1.0)
    total = F.add(x, y)
    first, second, third = each(gamma_value, x, y, total)
    direct = F.multiply(F.divide(first, third), second)
    direct = ew.where(_is_pole(total), 0.0, direct)
    far = F.exp(_betaln(ew.where(usual, 1.0, p), ew.where(usual, 1.0, q)))
    far = F.multiply(far, _sign_of_beta(ew.where(usual, 1.0, p), ew.where(usual, 1.0, q)))
    found = F.where(usual, direct, far)
    odd = ew.not_equal(ew.remainder(F.where(_is_pole(a), b, a), 2.0), 0.0)
    found = F.where(ew.logical_and(finite, odd), F.negative(found), found)
    known = F.bitwise_and(F.equal(a, a), F.equal(b, b))
    return ew.where(known, ew.where(infinite, math.inf, found), math.nan)


def _slope_of_betaln(a: Any, b: Any) -> Any:
    return ew.subtract(digamma(a), digamma(ew.add(a, b)))


betaln: Any = several(_betaln, _slope_of_betaln, lambda a, b: _slope_of_betaln(b, a))
beta: Any = several(
    _beta,
    lambda a, b: ew.multiply(beta(a, b), _slope_of_betaln(a, b)),
    lambda a, b: ew.multiply(beta(a, b), _slope_of_betaln(b, a)),
)


# ---- factorials ---------------------------------------------------------------------------------


def factorial(n: Any, /, exact: bool = False) -> Any:
    """n! = Γ(n + 1), also between whole numbers; 0 for negative ones as in SciPy.

    Example:
        >>> import elinvar as el
        >>> el.special.factorial(el.asarray([0.0, 5.0])).tolist()
        [1.0, 120.0]
    """
    if exact:
        fail(ValueRangeError, "factorial", "results are floats; exact must be False")
    x = floating("factorial", n)
    negative = ew.less(x, 0.0)
    return ew.where(negative, 0.0, gamma(ew.add(ew.where(negative, 0.0, x), 1.0)))


def _binom(n: Any, k: Any) -> Any:
    """The binomial coefficient Γ(n + 1) / (Γ(k + 1)·Γ(n - k + 1)), also between whole numbers.

    Example:
        >>> import elinvar as el
        >>> el.special.binom(5.0, 2.0).item()
        10.0
    """
    rest = F.subtract(n, k)
    one = ew.logical_and(ew.greater(ew.add(k, 1.0), 0.0), ew.greater(ew.add(rest, 1.0), 0.0))
    a, b = held(one, ew.add(k, 1.0), 1.0), held(one, ew.add(rest, 1.0), 1.0)
    bottom = F.multiply(ew.add(ew.where(one, n, 1.0), 1.0), _beta(a, b))
    found = ew.divide(1.0, bottom)
    whole = ew.logical_and(ew.equal(F.floor(n), n), ew.equal(F.floor(k), k))
    exact = ew.logical_and(whole, ew.less(found, 2.0**50))
    found = F.where(exact, F.round(found), found)
    top, *bottoms = each(gamma_value, *(ew.add(ew.where(one, 1.0, v), 1.0) for v in (n, k, rest)))
    outside = F.divide(top, F.multiply(*bottoms))
    below = ew.logical_and(ew.equal(F.floor(k), k), ew.less(k, 0.0))
    above = ew.logical_and(ew.equal(F.floor(rest), rest), ew.less(rest, 0.0))
    outside = ew.where(ew.logical_or(below, above), 0.0, outside)
    # of numbers so large that B(a, b) underflows
    large = ew.logical_and(one, ew.greater(n, 1e15))
    logs = log_beta_positive(ew.where(large, a, 1.0), ew.where(large, b, 1.0))
    logs = F.add(logs, F.log(ew.where(large, n, 1.0)))
    found = F.where(large, F.exp(F.negative(logs)), F.where(one, found, outside))
    found = ew.where(ew.equal(n, math.inf), ew.where(ew.greater(k, 0.0), math.inf, 0.0), found)
    found = ew.where(ew.equal(k, 0.0), 1.0, found)
    negative = ew.logical_and(ew.less(n, 0.0), ew.equal(F.floor(n), n))
    known = F.bitwise_and(F.equal(n, n), F.equal(k, k))
    return ew.where(ew.logical_and(known, ew.logical_not(negative)), found, math.nan)


binom: Any = several(
    _binom,
    lambda n, k: ew.multiply(
        binom(n, k),
        ew.subtract(digamma(ew.add(n, 1.0)), digamma(ew.add(ew.subtract(n, k), 1.0))),
    ),
    lambda n, k: ew.multiply(
        binom(n, k),
        ew.subtract(digamma(ew.add(ew.subtract(n, k), 1.0)), digamma(ew.add(k, 1.0))),
    ),
)


def comb(n: Any, k: Any, /) -> Any:
    """The number of ways to choose k of n things; 0 where k < 0 or k > n.

    Example:
        >>> import elinvar as el
        >>> el.special.comb(el.asarray([4.0, 4.0]), el.asarray([2.0, 5.0])).tolist()
        [6.0, 0.0]
    """
    return _chosen(n, k)


def _chosen(n: Any, k: Any) -> Any:
    outside = ew.logical_or(ew.less(k, 0), ew.greater(k, n))
    return ew.where(outside, 0.0, binom(n, ew.where(outside, 0, k)))


def _poch(a: Any, m: Any) -> Any:
    """Pochhammer's symbol Γ(a + m) / Γ(a), with its limits where both have a pole.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.poch(2.0, 3.0).item():.3f}")
        24.000
    """
    total = F.add(a, m)
    pole, bottom = _is_pole(total), _is_pole(a)
    both = ew.logical_and(pole, bottom)
    # at a pole of both: (-1)^m·Γ(1 - a) / Γ(1 - a - m)
    top = F.where(both, ew.subtract(1.0, a), ew.where(pole, 1.0, total))
    below = F.where(both, ew.subtract(1.0, total), ew.where(bottom, 1.0, a))
    near = ew.logical_and(ew.less(F.abs(top), 140.0), ew.less(F.abs(below), 140.0))
    parts = each(gamma_value, held(near, top, 1.0), held(near, below, 1.0))
    x, y = ew.where(near, 1.0, top), ew.where(near, 1.0, below)
    logs = each(gammaln_value, x, y)
    far = F.multiply(F.exp(F.subtract(*logs)), F.multiply(_sign(x), _sign(y)))
    found = F.where(near, F.divide(*parts), far)
    odd = ew.not_equal(ew.remainder(ew.where(both, m, 0.0), 2.0), 0.0)
    found = F.where(odd, F.negative(found), found)
    found = ew.where(ew.logical_and(bottom, ew.logical_not(both)), 0.0, found)
    found = ew.where(ew.logical_and(pole, ew.logical_not(both)), math.inf, found)
    known = F.bitwise_and(F.equal(a, a), F.equal(m, m))
    return ew.where(known, ew.where(ew.equal(m, 0.0), 1.0, found), math.nan)


poch: Any = several(
    _poch,
    lambda a, m: ew.multiply(poch(a, m), ew.subtract(digamma(ew.add(a, m)), digamma(a))),
    lambda a, m: ew.multiply(poch(a, m), digamma(ew.add(a, m))),
)


def multigammaln(a: Any, d: int, /) -> Any:
    """log Γ_d(a) = d(d - 1)/4 · log π + Σ log Γ(a - j/2) over j < d, for a > (d - 1)/2.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.multigammaln(3.0, 2).item():.4f}")
        1.5502
    """
    if not hasattr(d, "__index__") or d.__index__() < 1:
        fail(ValueRangeError, "multigammaln", f"d must be a positive whole number, received {d!r}")
    a = floating("multigammaln", a)
    total: Any = d * (d - 1) / 4 * math.log(math.pi)
    for j in range(d.__index__()):
        total = ew.add(gammaln(ew.subtract(a, j / 2)), total)
    return total


def gammasgn(x: Any, /) -> Any:
    """The sign of Γ(x): 1 or -1; NaN at negative whole numbers.

    Example:
        >>> import elinvar as el
        >>> el.special.gammasgn(el.asarray([2.0, -0.5])).tolist()
        [1.0, -1.0]
    """
    x = floating("gammasgn", x)
    return _sign_of_gamma(x)


@composite
def _sign_of_gamma(x: Any) -> Any:
    floor = F.floor(x)
    odd = ew.not_equal(ew.remainder(floor, 2.0), 0.0)
    below = ew.where(ew.equal(floor, x), math.nan, ew.where(odd, -1.0, F.full(1.0, x)))
    at_zero = F.copysign(F.full(1.0, x), x)
    found = F.where(ew.equal(x, 0.0), at_zero, ew.where(ew.less(x, 0.0), below, 1.0))
    return F.where(F.not_equal(x, x), x, found)


__all__ = ["beta", "betaln", "binom", "comb", "factorial", "gammasgn", "multigammaln", "poch"]

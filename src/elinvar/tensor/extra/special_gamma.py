"""The gamma function and its kin: log Γ, ψ, polygamma, zeta, beta, factorials."""

from __future__ import annotations

import math
from typing import Any

from elinvar.core.dtypes import float64
from elinvar.core.errors import ValueRangeError, fail
from elinvar.tensor import elementwise as ew
from elinvar.tensor import manipulation as man
from elinvar.tensor.cell import current_trace
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, floating, tensor_of
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra import special_tables as table
from elinvar.tensor.extra.special_tools import (
    held,
    horner,
    powers,
    several,
    sine_of_pi,
    unary,
)

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
# Bernoulli numbers B2 … B24
_BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798,
    -174611 / 330, 854513 / 138, -236364091 / 2730,
)  # fmt: skip
_STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI[:9], 1))
_LOG_STEPS = tuple(-b / (2 * k) for k, b in enumerate(_BERNOULLI[:9], 1))


def stirling_tail(x: Any) -> Any:
    """log Γ(x) - ((x - ½) log x - x + ½ log 2π) for x ≥ 8."""
    inverse = ew.divide(1.0, x)
    return ew.multiply(inverse, horner(F.multiply(inverse, inverse), _STIRLING))


def log_gamma_positive(x: Any) -> Any:
    """log Γ(x) for x > 0: a polynomial on 1 … 3, steps down to 2 … 3, Stirling's series from 8."""
    low, high = ew.less(x, 1.0), ew.greater_equal(x, 8.0)
    inside = ew.where(high, 1.5, x)
    steps = ew.clip(ew.subtract(F.floor(inside), 2.0), 0.0, 5.0)
    product = F.full(1.0, x)
    for k in range(1, 6):
        factor = ew.where(ew.greater_equal(steps, float(k)), ew.subtract(inside, float(k)), 1.0)
        product = F.multiply(product, factor)
    reduced = F.subtract(inside, steps)
    # log Γ(x) = log Γ(x + 1) - log x below 1; the zeros at 1 and 2 are factors
    place = ew.where(low, ew.add(inside, 1.0), reduced)
    first = ew.where(low, inside, ew.subtract(reduced, 1.0))
    second = ew.where(low, ew.subtract(inside, 1.0), ew.subtract(reduced, 2.0))
    near = F.multiply(F.multiply(first, second), powers(place, table.LOG_GAMMA))
    logarithm = F.log(F.where(high, x, F.where(low, inside, product)))
    near = F.add(F.where(low, F.negative(logarithm), logarithm), near)
    far = held(high, x, 10.0)
    above = F.multiply(ew.subtract(far, 0.5), ew.subtract(logarithm, 1.0))
    above = F.add(above, ew.add(stirling_tail(far), HALF_LOG_2PI - 0.5))
    return F.where(high, above, near)


def log_gamma_near_one(t: Any) -> Any:
    """log Γ(1 + t) for 0 ≤ t ≤ 1, accurate near both ends."""
    return F.multiply(F.multiply(t, ew.subtract(t, 1.0)), powers(ew.add(t, 1.0), table.LOG_GAMMA))


def gammaln_value(x: Any) -> Any:
    """log |Γ(x)|, the logarithm of the gamma function's size.

    ∞ at 0 and at negative whole numbers. Its derivative is `digamma`.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.gammaln(10.0).item():.4f}")
        12.8018
    """
    positive, pole = ew.greater(x, 0.0), ew.equal(F.floor(x), x)
    usual = ew.less(F.abs(x), math.inf)  # NaN is not
    # Γ(x) = Γ(x + 2) / (x·(x + 1)) next to 0, else -π / (x·sin(πx)·Γ(-x)), where -x is exact
    close = ew.logical_and(ew.logical_not(positive), ew.greater(x, -0.4))
    safe = held(ew.logical_and(usual, ew.logical_or(positive, ew.logical_not(pole))), x, 1.5)
    value = log_gamma_positive(
        F.where(positive, safe, F.where(close, ew.add(safe, 2.0), F.abs(safe)))
    )
    mirrored = ew.logical_not(ew.logical_or(positive, close))
    sine = sine_of_pi(held(mirrored, safe, 0.5))
    factor = F.where(close, F.multiply(safe, ew.add(safe, 1.0)), F.multiply(safe, sine))
    factor = ew.where(mirrored, ew.divide(math.pi, ew.where(mirrored, factor, 1.0)), factor)
    logarithm = F.log(F.abs(ew.where(positive, 1.0, factor)))
    found = F.where(
        positive, value, F.where(close, F.subtract(value, logarithm), F.subtract(logarithm, value))
    )
    found = ew.where(ew.logical_and(pole, ew.logical_not(positive)), math.inf, found)
    return F.where(F.not_equal(x, x), x, ew.where(ew.equal(F.abs(x), math.inf), math.inf, found))


def gamma_value(x: Any) -> Any:
    """The gamma function Γ(x); NaN at negative whole numbers, ±∞ at ±0.

    Example:
        >>> import elinvar as el
        >>> el.special.gamma(5.0).item()
        24.0
    """
    size = F.abs(x)
    mirror = ew.less(x, -0.5)
    # Γ(x) = -π / (x·sin(πx)·Γ(-x)), where -x is exact
    inside = F.where(mirror, size, x)
    found = gamma_above(ew.where(ew.greater(size, 200.0), 3.0, inside))
    sine = sine_of_pi(held(mirror, x, -0.75))
    pole = ew.logical_and(ew.less(x, 0.0), ew.equal(F.floor(x), x))
    product = F.multiply(ew.where(ew.equal(sine, 0.0), 1.0, sine), found)
    below = F.divide(ew.divide(math.pi, product), F.where(mirror, size, F.full(1.0, x)))
    found = F.where(mirror, below, found)
    found = ew.where(ew.greater(x, 200.0), math.inf, found)
    found = ew.where(ew.less(x, -200.0), F.copysign(F.zeros_like(sine), sine), found)
    found = ew.where(ew.equal(x, 0.0), ew.divide(1.0, x), found)
    return ew.where(ew.logical_or(pole, ew.logical_or(F.not_equal(x, x), ew.equal(x, -math.inf))),
                    math.nan, found)  # fmt: skip


def gamma_above(x: Any) -> Any:
    """Γ(x) for x ≥ -½, without 0."""
    high = ew.greater_equal(x, 12.0)
    inside = ew.where(high, 1.5, x)
    steps = ew.clip(ew.subtract(F.floor(inside), 1.0), 0.0, 10.0)
    up = F.full(1.0, x)
    for k in range(1, 11):
        factor = ew.where(ew.greater_equal(steps, float(k)), ew.subtract(inside, float(k)), 1.0)
        up = F.multiply(up, factor)
    once, twice = ew.less(inside, 1.0), ew.less(inside, 0.0)
    reduced = F.subtract(inside, steps)
    reduced = ew.where(twice, ew.add(inside, 2.0), ew.where(once, ew.add(inside, 1.0), reduced))
    down = ew.where(once, ew.where(ew.equal(inside, 0.0), 1.0, inside), 1.0)
    down = ew.where(twice, F.multiply(down, ew.add(inside, 1.0)), down)
    middle = F.divide(F.multiply(powers(reduced, table.GAMMA), up), down)
    far = ew.clip(held(high, x, 20.0), 12.0, 172.0)
    # √(2π/x)·x^x·e^-x, with exact exponents; x^x in two factors, for it overflows before Γ does
    root = ew.pow(far, ew.multiply(far, 0.5))
    tail = F.multiply(F.exp(F.negative(far)), F.exp(stirling_tail(far)))
    tail = F.multiply(F.sqrt(ew.divide(2 * math.pi, far)), tail)
    above = F.multiply(F.multiply(root, tail), root)
    return F.where(high, above, middle)


def digamma_positive(x: Any) -> Any:
    """ψ(x) for x > 0."""
    low, high = ew.less(x, 1.0), ew.greater_equal(x, 10.0)
    inside = ew.where(low, ew.add(held(low, x, 0.5), 1.0), ew.where(high, 1.5, x))
    steps = ew.clip(ew.subtract(F.floor(inside), 1.0), 0.0, 8.0)
    more = F.zeros_like(x)
    for k in range(1, 9):
        taken = ew.greater_equal(steps, float(k))
        below = ew.where(taken, ew.subtract(inside, float(k)), 1.0)
        more = F.add(more, ew.where(taken, ew.divide(1.0, below), 0.0))
    reduced = F.subtract(inside, steps)
    gap = ew.subtract(ew.subtract(reduced, table.PSI_ROOT[0]), table.PSI_ROOT[1])
    middle = F.add(F.multiply(gap, powers(reduced, table.DIGAMMA)), more)
    middle = ew.where(low, F.subtract(middle, ew.divide(1.0, held(low, x, 0.5))), middle)
    far = held(high, x, 16.0)
    inverse = ew.divide(1.0, far)
    square = F.multiply(inverse, inverse)
    above = F.subtract(F.log(far), ew.multiply(inverse, 0.5))
    above = F.add(above, F.multiply(square, horner(square, _LOG_STEPS)))
    return F.where(high, above, middle)


def _digamma(x: Any) -> Any:
    """ψ(x), the derivative of log Γ; NaN at negative whole numbers, ∓∞ at ±0.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.digamma(1.0).item():.6f}")
        -0.577216
    """
    negative = ew.less(x, 0.0)
    pole = ew.logical_and(negative, ew.equal(F.floor(x), x))
    usual = ew.logical_and(ew.less(F.abs(x), math.inf), ew.not_equal(x, 0.0))
    safe = held(ew.logical_and(usual, ew.logical_not(pole)), x, 1.0)
    # ψ(x) = ψ(x + 1) - 1/x next to 0, else ψ(-x) - 1/x - π·cot(πx), where -x is exact
    close = ew.logical_and(negative, ew.greater(x, -0.4))
    found = digamma_positive(F.where(close, ew.add(safe, 1.0), F.abs(safe)))
    mirrored = ew.logical_and(negative, ew.logical_not(close))
    part = ew.multiply(F.subtract(safe, F.round(safe)), math.pi)
    turn = ew.divide(math.pi, F.tan(held(ew.logical_and(mirrored, usual), part, 1.0)))
    inverse = ew.divide(1.0, safe)
    below = F.subtract(found, inverse)
    below = F.where(mirrored, F.subtract(below, turn), below)
    found = F.where(negative, below, found)
    found = ew.where(ew.equal(x, 0.0), ew.divide(-1.0, x), found)
    found = ew.where(ew.equal(x, math.inf), math.inf, found)
    lost = ew.logical_or(pole, ew.logical_or(F.not_equal(x, x), ew.equal(x, -math.inf)))
    return ew.where(lost, math.nan, found)


# ---- zeta, polygamma ----------------------------------------------------------------------------


def _column(x: Any) -> Any:
    return F.reshape(x, shape=(*x.shape, 1))


def _first_ten(q: Any) -> Any:
    """q, q + 1, …, q + 9 along a new last axis."""
    return ew.add(_column(q), F.iota(size=10, dtype=float64))


def hurwitz(s: Any, q: Any) -> Any:
    """Σ (q + k)^-s for q > 0, by Euler's and Maclaurin's formula from k = 10 on."""
    total = F.sum(ew.pow(_first_ten(q), ew.negative(_column(s))), axes=(q.ndim,))
    w = ew.add(q, 10.0)
    last = ew.pow(w, F.negative(s))
    tail = F.divide(F.multiply(last, w), ew.subtract(s, 1.0))
    tail = F.add(tail, ew.multiply(last, 0.5))
    inverse = ew.divide(1.0, w)
    square = F.multiply(inverse, inverse)
    factor = F.multiply(F.multiply(last, inverse), s)  # s(s+1)…(s+2k-2) / w^(s+2k-1)
    scale = 1.0
    for k, b in enumerate(_BERNOULLI, 1):
        scale *= (2 * k) * (2 * k - 1)
        tail = F.add(tail, ew.multiply(factor, b / scale))
        rise = F.multiply(ew.add(s, float(2 * k - 1)), ew.add(s, float(2 * k)))
        factor = F.multiply(F.multiply(factor, rise), square)
    return F.add(total, tail)


def _zeta(s: Any, q: Any) -> Any:
    """Hurwitz' zeta function Σ (q + k)^-s over k ≥ 0, for s > 1.

    For negative q only whole s have a real value; ∞ where a term is infinite.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.zeta(2.0, 1.0).item():.6f}")
        1.644934
    """
    whole, above = ew.equal(F.floor(s), s), ew.greater(s, 1.0)
    ceiling = F.ceil(q)
    pole = ew.logical_and(ew.less_equal(q, 0.0), ew.equal(ceiling, q))
    below = ew.logical_and(ew.less(q, 0.0), ew.logical_not(pole))
    inside = ew.logical_and(above, ew.logical_or(ew.greater(q, 0.0), ew.logical_and(below, whole)))
    below = ew.logical_and(below, inside)
    s1, x = held(inside, s, 2.0), held(inside, q, 1.0)
    # the negative terms are (-1)^s·(ζ(s, u) - ζ(s, 1 - q)), with u the distance to the next integer
    u = ew.where(below, ew.subtract(ceiling, x), 0.5)
    places = F.where(below, ew.subtract(1.0, u), x), u, ew.where(below, ew.subtract(1.0, x), 1.0)
    first, second, third = each(_hurwitz_any, (s1, s1, s1), places)
    gone = F.subtract(second, third)
    odd = ew.logical_and(ew.less(s1, 1e16), ew.not_equal(ew.remainder(s1, 2.0), 0.0))
    turned = F.add(first, F.where(odd, F.negative(gone), gone))
    # where terms overflow, the nearest one decides
    turned = ew.where(ew.equal(second, math.inf), ew.where(odd, -math.inf, math.inf), turned)
    found = F.where(below, turned, first)
    found = ew.where(inside, ew.where(ew.equal(q, math.inf), 0.0, found), math.nan)
    infinite = ew.logical_or(ew.equal(s, 1.0), ew.logical_and(pole, above))
    known = F.bitwise_and(F.equal(s, s), F.equal(q, q))
    return ew.where(known, ew.where(infinite, math.inf, found), math.nan)


def _hurwitz_any(s: Any, q: Any) -> Any:
    """`hurwitz`, by its first term alone where the factors of others would overflow."""
    return F.where(ew.greater(s, 1100.0), ew.pow(q, F.negative(s)), hurwitz(s, q))


def _zeta_slope(s: Any, q: Any) -> Any:
    return ew.multiply(F.negative(s), zeta(ew.add(s, 1.0), q))


def _zeta_order(s: Any, q: Any) -> Any:
    """d zeta / d s = -Σ log(q + k)·(q + k)^-s, by differentiating the formula's parts."""
    return _order_slope(s, q)


@composite
def _order_slope(s: Any, q: Any) -> Any:
    a, x = cast(s, float64), cast(q, float64)
    base = _first_ten(x)
    terms = ew.multiply(F.log(base), ew.pow(base, ew.negative(_column(a))))
    total = F.negative(F.sum(terms, axes=(x.ndim,)))
    w = ew.add(x, 10.0)
    log_w, last, gap = F.log(w), ew.pow(w, F.negative(a)), ew.subtract(a, 1.0)
    integral = F.divide(F.multiply(last, w), gap)
    total = F.subtract(total, F.multiply(integral, F.add(log_w, ew.divide(1.0, gap))))
    total = F.subtract(total, F.multiply(ew.multiply(last, 0.5), log_w))
    inverse = ew.divide(1.0, w)
    factor = F.multiply(last, inverse)
    value = F.multiply(factor, a)
    slope = F.subtract(factor, F.multiply(value, log_w))
    scale, square = 1.0, F.multiply(inverse, inverse)
    for k, b in enumerate(_BERNOULLI, 1):
        scale *= (2 * k) * (2 * k - 1)
        total = F.add(total, ew.multiply(slope, b / scale))
        one, two = ew.add(a, float(2 * k - 1)), ew.add(a, float(2 * k))
        rise = F.multiply(one, two)
        slope = F.add(F.multiply(slope, rise), F.multiply(value, F.add(one, two)))
        slope, value = F.multiply(slope, square), F.multiply(F.multiply(value, rise), square)
    return cast(total, s.dtype)


zeta: Any = several(_zeta, _zeta_order, _zeta_slope)


def polygamma(n: Any, x: Any, /) -> Any:
    """ψ⁽ⁿ⁾(x), the n-th derivative of `digamma`: (-1)^(n+1)·n!·ζ(n + 1, x).

    Args:
        n: a whole number ≥ 0, or a tensor of them (NaN for others), through which no gradient
            flows.
        x: negative numbers by reflection; at 0 and below at whole numbers -∞ where n is even, ∞
            where it is odd, as in SciPy (NaN for n = 0 below 0).

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.polygamma(1, 1.0).item():.6f}")
        1.644934
        >>> el.special.polygamma(el.asarray([0, 1]), 1.0).shape
        (2,)
    """
    if hasattr(n, "dtype") and (n.ndim or n.dtype.kind not in "iu" or current_trace() is not None):
        return _polygamma_of_orders(tensor_of("polygamma", n), x)
    if not hasattr(n, "__index__") or n.__index__() < 0:
        text = f"n must be a whole number that is not negative, received {n!r:.60}"
        fail(ValueRangeError, "polygamma", text)
    order, x = n.__index__(), floating("polygamma", x)
    if order == 0:
        return digamma(x)
    return _polygamma_of(order)(x)


def _polygamma_of_orders(n: Any, x: Any) -> Any:
    """With an order for each element."""
    x = floating("polygamma", x)
    order = F.stop_gradient(cast(n, x.dtype)) if n.dtype.kind != "c" else n
    good = ew.logical_and(ew.greater_equal(order, 0.0), ew.equal(ew.floor(order), order))
    none = ew.equal(order, 0.0)
    one = ew.where(ew.logical_and(good, ew.logical_not(none)), ew.add(order, 1.0), 2.0)
    size = ew.multiply(gamma(one), zeta(one, x))
    odd = ew.not_equal(ew.remainder(one, 2.0), 0.0)
    found = ew.where(none, digamma(x), ew.where(odd, ew.negative(size), size))
    return ew.where(good, found, math.nan)


_ORDERS: dict[int, Any] = {}


def _polygamma_of(order: int) -> Any:
    if order not in _ORDERS:

        def polygamma_(x: Any) -> Any:
            return _polygamma_value(order, x)

        # further derivatives are those of the formula, so that the chain has an end
        slope = None if order > 2 else (lambda x: _polygamma_of(order + 1)(x))
        _ORDERS[order] = unary(polygamma_, slope)
    return _ORDERS[order]


def _polygamma_value(order: int, x: Any) -> Any:
    factor = (-1.0) ** (order + 1) * math.exp(math.lgamma(order + 1))
    if order < 20:
        factor = (-1.0) ** (order + 1) * math.factorial(order)
    negative = ew.less_equal(x, 0.0)
    exponent = F.full(float(order + 1), x)
    above = ew.multiply(hurwitz(exponent, ew.where(negative, 1.0, x)), factor)
    above = ew.where(ew.equal(x, math.inf), 0.0, above)
    inside = held(negative, x, -0.25)
    mirrored = hurwitz(exponent, ew.subtract(1.0, inside))
    # ψ⁽ⁿ⁾(1 - x) - (-1)ⁿ ψ⁽ⁿ⁾(x) = (-1)ⁿ π dⁿ/dxⁿ cot πx
    pole = ew.equal(F.floor(inside), inside)
    part = ew.multiply(F.subtract(inside, F.round(inside)), math.pi)
    cotangent = ew.divide(1.0, F.tan(ew.where(pole, 1.0, part)))
    turned = ew.multiply(horner(cotangent, _cotangent(order)), math.pi ** (order + 1))
    below = F.subtract(ew.multiply(mirrored, factor * (-1.0) ** order), turned)
    below = ew.where(pole, math.inf if order % 2 else -math.inf, below)
    return F.where(negative, below, above)


def _cotangent(order: int) -> tuple[float, ...]:
    """The n-th derivative of cot as a polynomial in cot: p ↦ -(1 + c²)·p'."""
    p = [0.0, 1.0]
    for _ in range(order):
        slope = [k * p[k] for k in range(1, len(p))]
        p = [0.0] * (len(slope) + 2)
        for k, value in enumerate(slope):
            p[k] -= value
            p[k + 2] -= value
    return tuple(p)


digamma: Any = unary(_digamma, lambda x: polygamma(1, x))
psi = digamma
gammaln: Any = unary(gammaln_value, lambda x: digamma(x))
gamma: Any = unary(gamma_value, lambda x: ew.multiply(gamma(x), digamma(x)))


# ---- what other functions are made of -----------------------------------------------------------


def stirling_correction(x: Any) -> Any:
    """log Γ(x) - ((x - ½) log x - x + ½ log 2π) for all x > 0."""
    high = ew.greater_equal(x, 8.0)
    inside = ew.where(high, 1.5, x)
    main = F.multiply(ew.subtract(inside, 0.5), F.log(inside))
    below = F.subtract(log_gamma_positive(inside), main)
    below = ew.subtract(F.add(below, inside), HALF_LOG_2PI)
    return F.where(high, stirling_tail(held(high, x, 10.0)), below)


def each(function: Any, *operands: Any) -> tuple[Any, ...]:
    """A function of several operands of one shape, as one loop over all of them.

    For a function of two operands: two tuples.
    """
    columns = operands if isinstance(operands[0], tuple) else (operands,)
    joined = []
    for xs in columns:
        rows = [F.reshape(x, shape=(1, *x.shape)) for x in xs]
        joined.append(F.barrier(F.concatenate(*rows, axis=0), tag=0))
    return man.unstack(F.barrier(function(*joined), tag=0))


__all__ = ["digamma", "gamma", "gammaln", "polygamma", "psi", "zeta"]

"""Rejection samplers as loops: every element tries until it is accepted.

Element i of try t sees the words of its own place, so its value is a function of the stream, of i
and of its own parameters; how often others are rejected does not matter.

Sources: G. Marsaglia, W. W. Tsang, "A simple method for generating gamma variables", ACM TOMS 26
(2000); W. Hörmann, "The transformed rejection method for generating Poisson random variables",
Insurance: Mathematics and Economics 12 (1993); W. Hörmann, "The generation of binomial random
variates", Journal of Statistical Computation and Simulation 46 (1993).
"""

from __future__ import annotations

import math
from typing import Any

from elinvar.core.dtypes import bool_, float64
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions as red
from elinvar.tensor.composite import composite
from elinvar.tensor.control import while_loop
from elinvar.tensor.convert import cast
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra import drawing
from elinvar.tensor.extra.special_gamma import log_gamma_positive
from elinvar.tensor.streams import Stream

_MOST_TRIES = 10000.0


def _until_accepted(state: Any, start: Any, attempt: Any) -> Any:
    """Repeat `value, accepted = attempt(stream)`; the first accepted value of an element stays."""
    done = cast(F.zeros_like(start), bool_)
    count = F.constant(value=0.0, dtype=float64)

    def goes_on(carried: Any) -> Any:
        waiting = red.any(F.bitwise_invert(carried[3]))
        return F.bitwise_and(waiting, ew.less(carried[0], _MOST_TRIES))

    def step(carried: Any) -> Any:
        tries, words, value, settled = carried
        stream = Stream(words)
        found, accepted = attempt(stream)
        taken = F.bitwise_and(accepted, F.bitwise_invert(settled))
        value = F.where(taken, found, value)
        return ew.add(tries, 1.0), stream.state, value, F.bitwise_or(settled, accepted)

    return while_loop(goes_on, step, (count, state, start, done))[2]


@composite
def log_gamma_draws(state: Any, shape_parameter: Any) -> Any:
    """Logarithms of gamma variables, in the dtype of the parameter (float32 or float64).

    By Marsaglia and Tsang for shapes of at least 1; smaller ones by Γ(a) ~ Γ(a + 1)·U^(1/a).
    """
    a = shape_parameter
    small = ew.less(a, 1.0)
    raised = ew.where(small, ew.add(a, 1.0), a)
    d = ew.subtract(raised, 1 / 3)
    c = ew.divide(1 / 3, F.sqrt(d))

    def attempt(stream: Any) -> Any:
        x = drawing.normal(stream, a.shape, a.dtype)
        u = drawing.uniform(stream, a.shape, a.dtype)
        base = ew.add(F.multiply(c, x), 1.0)
        positive = ew.greater(base, 0.0)
        v = ew.where(positive, F.multiply(F.multiply(base, base), base), 1.0)
        log_v = F.log(v)
        bound = ew.add(ew.multiply(F.multiply(x, x), 0.5), F.multiply(d, ew.add(
            F.subtract(log_v, v), 1.0)))  # fmt: skip
        accepted = F.bitwise_and(positive, F.less(F.log(u), bound))
        return F.add(F.log(d), log_v), accepted

    first = Stream(state)
    u = drawing.uniform(first, a.shape, a.dtype)
    found = _until_accepted(first.state, F.zeros_like(a), attempt)
    less = F.divide(F.log(u), ew.where(small, a, 1.0))
    found = F.where(small, F.add(found, less), found)
    return ew.where(F.not_equal(a, a), math.nan, found)


@composite
def poisson_draws(state: Any, rate: Any) -> Any:
    """Poisson variables in float64: by adding up probabilities below 10, else by rejection."""
    stream = Stream(state)
    low = ew.less(rate, 10.0)
    usual = F.bitwise_and(ew.greater_equal(rate, 0.0), ew.less(rate, 1e17))
    small = F.where(F.bitwise_and(low, usual), rate, F.zeros_like(rate))
    u = drawing.uniform(stream, rate.shape, float64)
    below = _counted_up(
        u, F.exp(F.negative(small)), lambda k, p: ew.divide(F.multiply(p, small), ew.add(k, 1.0))
    )
    large = ew.where(F.bitwise_or(low, F.bitwise_invert(usual)), 10.0, rate)
    log_rate = F.log(large)
    b = ew.add(ew.multiply(F.sqrt(large), 2.53), 0.931)
    a = ew.add(ew.multiply(b, 0.02483), -0.059)
    inverse_alpha = ew.add(ew.divide(1.1328, ew.subtract(b, 3.4)), 1.1239)
    squeeze = ew.subtract(0.9277, ew.divide(3.6224, ew.subtract(b, 2.0)))

    def attempt(tries: Any) -> Any:
        u = ew.subtract(drawing.uniform(tries, rate.shape, float64), 0.5)
        v = drawing.uniform(tries, rate.shape, float64)
        edge = ew.subtract(0.5, F.abs(u))
        slope = F.add(F.divide(ew.multiply(a, 2.0), edge), b)
        k = F.floor(ew.add(F.add(F.multiply(slope, u), large), 0.43))
        at_once = F.bitwise_and(ew.greater_equal(edge, 0.07), F.less_equal(v, squeeze))
        outside = F.bitwise_and(ew.less(edge, 0.013), F.greater(v, edge))
        outside = F.bitwise_or(ew.less(k, 0.0), outside)
        count = ew.maximum(k, 0.0)
        top = F.add(F.divide(a, F.multiply(edge, edge)), b)
        left = F.log(F.divide(F.multiply(v, inverse_alpha), top))
        right = F.subtract(F.subtract(F.multiply(count, log_rate), large),
                           log_gamma_positive(ew.add(count, 1.0)))  # fmt: skip
        fits = F.bitwise_and(F.bitwise_invert(outside), F.less_equal(left, right))
        return k, F.bitwise_or(at_once, fits)

    above = _until_accepted(stream.state, F.zeros_like(rate), attempt)
    return F.where(low, below, above)


def _counted_up(u: Any, first: Any, following: Any) -> Any:
    """The least k with P(0) + … + P(k) ≥ u, where P(k + 1) = following(k, P(k))."""
    zero = F.zeros_like(u)
    start = F.constant(value=0.0, dtype=float64)

    def goes_on(carried: Any) -> Any:
        k, p, total, _ = carried
        # a share that rounding keeps below u forever is given up when probabilities vanish
        waiting = F.bitwise_and(F.less(total, u), ew.greater(p, 1e-30))
        return F.bitwise_and(red.any(waiting), ew.less(k, 1000.0))

    def step(carried: Any) -> Any:
        k, p, total, found = carried
        waiting = F.bitwise_and(F.less(total, u), ew.greater(p, 1e-30))
        p2 = following(k, p)
        found = F.where(waiting, ew.add(found, 1.0), found)
        total = F.where(waiting, F.add(total, p2), total)
        return ew.add(k, 1.0), F.where(waiting, p2, p), total, found

    return while_loop(goes_on, step, (start, first, first, zero))[3]


@composite
def binomial_draws(state: Any, n: Any, p: Any) -> Any:
    """Binomial variables in float64, for p ≤ ½: by adding up probabilities, else by rejection."""
    stream = Stream(state)
    q = ew.subtract(1.0, p)
    mean = F.multiply(n, p)
    low = ew.less(mean, 10.0)
    one = F.full(1.0, n)
    small_n, small_p = F.where(low, n, one), ew.where(low, p, 0.5)
    odds = F.divide(small_p, ew.subtract(1.0, small_p))
    u = drawing.uniform(stream, n.shape, float64)
    none = F.exp(F.multiply(small_n, F.log1p(F.negative(small_p))))

    def following(k: Any, share: Any) -> Any:
        left = ew.maximum(ew.subtract(small_n, k), 0.0)
        return ew.divide(F.multiply(F.multiply(share, odds), left), ew.add(k, 1.0))

    below = F.minimum(_counted_up(u, none, following), n)
    large_n, large_p = ew.where(low, 40.0, n), ew.where(low, 0.5, p)
    large_q = ew.where(low, 0.5, q)
    spread = F.sqrt(F.multiply(F.multiply(large_n, large_p), large_q))
    b = ew.add(ew.multiply(spread, 2.53), 1.15)
    a = ew.add(ew.add(ew.multiply(b, 0.0248), ew.multiply(large_p, 0.01)), -0.0873)
    center = ew.add(F.multiply(large_n, large_p), 0.5)
    squeeze = ew.subtract(0.92, ew.divide(4.2, b))
    alpha = F.multiply(ew.add(ew.divide(5.1, b), 2.83), spread)
    mode = F.floor(F.multiply(ew.add(large_n, 1.0), large_p))
    log_odds = F.log(F.divide(large_p, large_q))
    top = F.add(log_gamma_positive(ew.add(mode, 1.0)),
                log_gamma_positive(ew.add(F.subtract(large_n, mode), 1.0)))  # fmt: skip

    def attempt(tries: Any) -> Any:
        u = ew.subtract(drawing.uniform(tries, n.shape, float64), 0.5)
        v = drawing.uniform(tries, n.shape, float64)
        edge = ew.subtract(0.5, F.abs(u))
        slope = F.add(F.divide(ew.multiply(a, 2.0), edge), b)
        k = F.floor(F.add(F.multiply(slope, u), center))
        at_once = F.bitwise_and(ew.greater_equal(edge, 0.07), F.less_equal(v, squeeze))
        outside = F.bitwise_or(ew.less(k, 0.0), F.greater(k, large_n))
        count = F.minimum(ew.maximum(k, 0.0), large_n)
        bottom = F.add(F.divide(a, F.multiply(edge, edge)), b)
        left = F.log(F.divide(F.multiply(v, alpha), bottom))
        right = F.subtract(top, F.add(
            log_gamma_positive(ew.add(count, 1.0)),
            log_gamma_positive(ew.add(F.subtract(large_n, count), 1.0))))  # fmt: skip
        right = F.add(right, F.multiply(F.subtract(count, mode), log_odds))
        fits = F.bitwise_and(F.bitwise_invert(outside), F.less_equal(left, right))
        return count, F.bitwise_or(F.bitwise_and(at_once, F.bitwise_invert(outside)), fits)

    above = _until_accepted(stream.state, F.zeros_like(n), attempt)
    return F.where(low, below, above)

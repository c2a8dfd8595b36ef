"""Taylor coefficients of series and continued fractions with respect to their parameters.

A function f of parameters a (and b) is held as the coefficients of f(a + s, b + t) up to a degree:
tensors in the order of `Jets.powers`, None for 0. A recurrence for f becomes one for all of them,
which is what differentiating it term by term means. A loop goes on until every coefficient has
settled.
"""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import float64
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions as red
from elinvar.tensor.control import while_loop
from elinvar.tensor.dispatch import F

EPSILON = 2.0**-53
_MOST_STEPS = 20000
Jet = list[Any]


def repeated(step: Any, start: tuple[Any, ...]) -> Any:
    """Steps of a state whose first part counts and whose last says which elements have settled."""

    def goes_on(state: Any) -> Any:
        unsettled = red.any(F.bitwise_invert(state[-1]))
        return F.bitwise_and(unsettled, ew.less(state[0], float(_MOST_STEPS)))

    return while_loop(goes_on, step, start)


class Jets:
    """Arithmetic of Taylor coefficients in one or two variables.

    Attributes:
        powers: the exponents (i, j) of sⁱ·tʲ, one for each coefficient.
    """

    def __init__(self, variables: int, degree: int) -> None:
        self.powers = [
            (whole - j, j)
            for whole in range(degree + 1)
            for j in range((whole if variables == 2 else 0) + 1)
        ]

    def linear(self, value: Any, by_s: Any = None, by_t: Any = None) -> Jet:
        """value + by_s·s + by_t·t."""
        parts = {(0, 0): value, (1, 0): by_s, (0, 1): by_t}
        return [parts.get(power) for power in self.powers]

    def product(self, x: Jet, y: Jet) -> Jet:
        """x·y, without what is above the degree."""
        found: dict[Any, Any] = {}
        for (i, j), p in zip(self.powers, x, strict=True):
            for (k, m), q in zip(self.powers, y, strict=True):
                if p is not None and q is not None:
                    place = (i + k, j + m)
                    found[place] = plus(found.get(place), ew.multiply(p, q))
        return [found.get(power) for power in self.powers]

    def over_rising(self, x: Jet, bottom: Any) -> Jet:
        """x / (bottom + s)."""
        found: dict[Any, Any] = {}
        for (i, j), p in zip(self.powers, x, strict=True):
            before = found.get((i - 1, j))
            top = plus(p, None if before is None else F.negative(before))
            found[i, j] = None if top is None else ew.divide(top, bottom)
        return [found[power] for power in self.powers]

    def quotient(self, x: Jet, y: Jet) -> Jet:
        """x / y."""
        found: dict[Any, Any] = {}
        bottom = dict(zip(self.powers, y, strict=True))
        for (i, j), p in zip(self.powers, x, strict=True):
            top = p
            for (k, m), earlier in list(found.items()):
                q = bottom.get((i - k, j - m))
                if earlier is not None and q is not None:
                    top = plus(top, F.negative(ew.multiply(earlier, q)))
            found[i, j] = None if top is None else ew.divide(top, y[0])
        return [found[power] for power in self.powers]

    def exponential(self, first: Any, x: Jet) -> Jet:
        """first·exp(x), where x has no constant part: for degrees up to 2."""
        square = self.product(x, x)
        halves = [None if part is None else ew.multiply(part, 0.5) for part in square]
        total = [plus(p, q) for p, q in zip(x, halves, strict=True)]
        return [first, *(None if p is None else ew.multiply(first, p) for p in total[1:])]


def plus(x: Any, y: Any) -> Any:
    """The sum of two coefficients."""
    if x is None or y is None:
        return y if x is None else x
    return ew.add(x, y)


def filled(x: Jet, like: Any) -> Jet:
    """Zeros for the coefficients that are None."""
    return [F.zeros_like(like) if p is None else p for p in x]


def chosen(settled: Any, old: Jet, new: Jet) -> Jet:
    """The old coefficients of elements that have settled, the new ones of the others."""
    return [F.where(settled, p, q) for p, q in zip(old, new, strict=True)]


def _all_small(parts: Jet, totals: Jet, share: float) -> Any:
    done = None
    for part, total in zip(parts, totals, strict=True):
        one = F.less_equal(F.abs(part), ew.multiply(F.abs(total), share))
        done = one if done is None else F.bitwise_and(done, one)
    return done


def gamma_series(jets: Jets, a: Any, x: Any, wanted: Any) -> Jet:
    """Σ xⁿ / ((a + 1)…(a + n)) as a function of a."""
    one, count = F.full(1.0, a), len(jets.powers)
    start = filled(jets.linear(one), a)

    def step(state: Any) -> Any:
        n, settled = state[0], state[-1]
        term, total = list(state[1 : 1 + count]), list(state[1 + count : -1])
        raised = [ew.multiply(part, x) for part in term]
        following = jets.over_rising(raised, ew.add(a, n))
        sums = [ew.add(p, q) for p, q in zip(total, following, strict=True)]
        done = _all_small(following, sums, EPSILON / 4)
        kept = [*chosen(settled, term, following), *chosen(settled, total, sums)]
        return (ew.add(n, 1.0), *kept, F.bitwise_or(settled, done))

    first = F.constant(value=1.0, dtype=float64)
    found = repeated(step, (first, *start, *start, F.bitwise_invert(wanted)))
    return list(found[1 + count : -1])


def _convergents(jets: Jets, like: Any, start: list[Jet], wanted: Any, advance: Any) -> Jet:
    """The limit of p / q, where `advance(n, p₁, p₂)` makes the pair that follows in a recurrence
    of numerators and of denominators; `start`: p₁, p₂, q₁, q₂, the later ones first."""
    count = len(jets.powers)
    value = filled(jets.quotient(start[0], start[2]), like)
    parts = [part for jet in start for part in filled(jet, like)]
    one = F.full(1.0, like)

    def step(state: Any) -> Any:
        n, settled = state[0], state[-1]
        jet = [list(state[1 + k * count : 1 + (k + 1) * count]) for k in range(5)]
        p1, p2 = advance(n, jet[0], jet[1])
        q1, q2 = advance(n, jet[2], jet[3])
        found = jets.quotient(p1, q1)
        gaps = [ew.subtract(new, old) for new, old in zip(found, jet[4], strict=True)]
        size = F.abs(q1[0])
        # what cancels in a coefficient's quotient leaves this much of rounding
        parts = [ew.divide(F.abs(part), size) for part in p1]
        scales = [ew.add(F.abs(y), part) for y, part in zip(found, parts, strict=True)]
        done = _all_small(gaps, scales, 4 * EPSILON)
        scale = ew.where(ew.greater(size, 2.0**200), 2.0**-200, one)
        scale = ew.where(ew.less(size, 2.0**-200), 2.0**200, scale)
        new = [ew.multiply(part, scale) for one in (p1, p2, q1, q2) for part in one]
        kept = chosen(settled, [part for one in jet[:4] for part in one], new)
        return (ew.add(n, 1.0), *kept, *chosen(settled, jet[4], found), F.bitwise_or(settled, done))

    first = F.constant(value=1.0, dtype=float64)
    result = repeated(step, (first, *parts, *value, F.bitwise_invert(wanted)))
    return list(result[1 + 4 * count : -1])


def gamma_fraction(jets: Jets, a: Any, x: Any, wanted: Any) -> Jet:
    """Γ(a, x)·eˣ / xᵃ as a function of a, by the recurrence of Wallis."""
    b0 = ew.subtract(ew.add(x, 1.0), a)
    minus = F.full(-1.0, a)

    def advance(n: Any, now: Jet, before: Jet) -> tuple[Jet, Jet]:
        partial = jets.linear(F.negative(ew.multiply(ew.subtract(n, a), n)), n)
        whole = jets.linear(ew.add(b0, ew.add(n, n)), minus)
        parts = zip(jets.product(whole, now), jets.product(partial, before), strict=True)
        return [plus(p, q) for p, q in parts], now

    one, zero = jets.linear(F.full(1.0, a)), jets.linear(None)
    start = [one, zero, jets.linear(b0, minus), one]
    return _convergents(jets, a, start, wanted, advance)


def beta_fraction(jets: Jets, a: Any, b: Any, x: Any, wanted: Any) -> Jet:
    """I_x(a, b)·a·B(a, b) / (xᵃ·(1 - x)ᵇ) as a function of a and b."""
    one = F.full(1.0, a)
    total = ew.add(a, b)

    def odd(n: Any) -> Jet:
        """-(a + n)·(a + b + n)·x / ((a + 2n)·(a + 2n + 1))"""
        low, twice = ew.add(a, n), ew.add(a, ew.add(n, n))
        left = jets.linear(F.negative(ew.multiply(low, x)), F.negative(x))
        top = jets.product(left, jets.linear(ew.add(total, n), one, one))
        return jets.over_rising(jets.over_rising(top, twice), ew.add(twice, 1.0))

    def even(n: Any) -> Jet:
        """n·(b - n)·x / ((a + 2n - 1)·(a + 2n))"""
        scaled, twice = ew.multiply(x, n), ew.add(a, ew.add(n, n))
        top = jets.linear(ew.multiply(ew.subtract(b, n), scaled), None, scaled)
        return jets.over_rising(jets.over_rising(top, ew.subtract(twice, 1.0)), twice)

    def advance(n: Any, now: Jet, before: Jet) -> tuple[Jet, Jet]:
        middle = [plus(p, q) for p, q in zip(now, jets.product(even(n), before), strict=True)]
        after = jets.product(odd(n), now)
        return [plus(p, q) for p, q in zip(middle, after, strict=True)], middle

    unit, nothing = jets.linear(one), F.zeros_like(a)
    bottom = [plus(p, q) for p, q in zip(unit, odd(nothing), strict=True)]
    return _convergents(jets, a, [unit, unit, bottom, unit], wanted, advance)

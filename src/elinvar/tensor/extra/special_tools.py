"""What the special functions share: evaluation in float64, tables, derivatives of their own.

Every function computes in float64, whatever the dtype of its operands, and rounds once; so float32
and 16-bit results are within 0.51 units in the last place where docs/special.md says nothing else.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from elinvar.core.dtypes import float64
from elinvar.core.errors import GradientError, fail
from elinvar.tensor import elementwise as ew
from elinvar.tensor.cell import current_trace
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, elementwise, floating
from elinvar.tensor.custom import custom_vjp
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra.special_tables import Table

Function = Callable[..., Any]


def powers(x: Any, table: Table) -> Any:
    """Σ c[k]·u^k with u = (x - middle) / half, by Horner's rule."""
    coefficients, middle, half = table
    return horner(_reduced(x, middle, half), coefficients)


def _reduced(x: Any, middle: float, half: float) -> Any:
    shifted = ew.subtract(x, middle) if middle else x
    return ew.multiply(shifted, 1 / half) if half != 1 else shifted


def horner(u: Any, coefficients: tuple[float, ...]) -> Any:
    """A polynomial, lowest power first."""
    total: Any = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = ew.add(ew.multiply(u, total), coefficient)
    return total


def chebyshev(x: Any, table: Table) -> Any:
    """Σ c[k]·T_k(u) with u = (x - middle) / half, by Clenshaw's recurrence."""
    coefficients, middle, half = table
    u = _reduced(x, middle, half)
    twice = ew.add(u, u)
    last: Any = F.zeros_like(u)
    now: Any = ew.add(last, coefficients[-1])
    for coefficient in reversed(coefficients[1:-1]):
        now, last = ew.add(ew.subtract(ew.multiply(twice, now), last), coefficient), now
    return ew.add(ew.subtract(ew.multiply(u, now), last), coefficients[0])


def held(condition: Any, x: Any, value: float) -> Any:
    """x where a condition holds, else a harmless value: nothing infinite in a branch not taken."""
    return ew.where(condition, x, value)


def log1pmx(u: Any, ratio: Any) -> Any:
    """log(1 + u) - u without cancellation near 0; `ratio` is 1 + u (u may not know it)."""
    small = ew.less(F.abs(u), 0.4)
    near = held(small, u, 0.0)
    # log(1 + u) = 2·atanh(s) with s = u / (2 + u), and 2s - u = -u·s
    s = F.divide(near, ew.add(near, 2.0))
    z = F.multiply(s, s)
    tail = horner(z, tuple(2.0 / (2 * k + 3) for k in range(18)))
    close = F.subtract(F.multiply(F.multiply(s, z), tail), F.multiply(near, s))
    far = F.subtract(F.log(ew.where(small, 1.0, ratio)), u)
    return F.where(small, close, far)


def sine_of_pi(x: Any) -> Any:
    """sin(πx), exact at whole numbers."""
    whole = F.round(x)
    part = F.sin(ew.multiply(F.subtract(x, whole), math.pi))
    odd = ew.not_equal(ew.remainder(whole, 2.0), 0.0)
    return F.where(odd, F.negative(part), part)


def exp_of_square(x: Any, sign: float = -1.0, scale: float = 1.0) -> Any:
    """exp(sign·scale·x²), where x² is taken in two parts: its rounding would cost digits."""
    rough = ew.multiply(F.round(ew.multiply(x, 16.0)), 1 / 16)  # its square is exact
    rest = F.multiply(F.subtract(x, rough), F.add(x, rough))
    factor = sign * scale
    high = F.exp(ew.multiply(F.multiply(rough, rough), factor))
    return F.multiply(high, F.exp(ew.multiply(rest, factor)))


def two_product(x: Any, y: Any) -> tuple[Any, Any]:
    """x·y and what its rounding lost, for float64 below 10³⁰⁰ (Dekker's splitting)."""

    def halves(v: Any) -> tuple[Any, Any]:
        scaled = ew.multiply(v, 2.0**27 + 1)
        high = F.subtract(scaled, F.subtract(scaled, v))
        return high, F.subtract(v, high)

    product = F.multiply(x, y)
    (a, b), (c, d) = halves(x), halves(y)
    rest = F.subtract(F.multiply(a, c), product)
    rest = F.add(F.add(rest, F.multiply(a, d)), F.multiply(b, c))
    return product, F.add(rest, F.multiply(b, d))


def unary(value: Function, slope: Function | None = None) -> Any:
    """A function of one operand: float64 inside, rounded once; with f' = slope."""
    name = value.__name__.lstrip("_").removesuffix("_value")

    def rounded(x: Any) -> Any:
        return cast(value(cast(x, float64)), x.dtype)

    rounded.__name__ = rounded.__qualname__ = f"_{name}"
    program = composite(rounded)
    call: Function = program
    if slope is not None:
        own = custom_vjp(functools.wraps(rounded)(lambda x: program(x)))
        own.is_pure = True
        own.defvjp(lambda x: (program(x), x), lambda x, g: (ew.multiply(g, slope(x)),))
        call = own

    def function(x: Any, /) -> Any:
        return call(floating(name, x))

    return _documented(function, name, value)


def several(value: Function, *slopes: Function | None, pull_back: Function | None = None) -> Any:
    """A function of two or three operands that broadcast; f's slope along each of them.

    Without slopes the derivative is that of the formula; None stands for one that is not known.
    `pull_back(operands, cotangent)` stands for all slopes where they have parts in common.
    """
    name, count = value.__name__.lstrip("_").removesuffix("_value"), value.__code__.co_argcount

    def rounded(*xs: Any) -> Any:
        return cast(value(*(cast(x, float64) for x in xs)), xs[0].dtype)

    rounded.__name__ = rounded.__qualname__ = f"_{name}"
    program = composite(rounded)
    call: Function = program
    if slopes or pull_back:
        own = custom_vjp(functools.wraps(rounded)(lambda *xs: program(*xs)))
        own.is_pure = True

        def by_slopes(xs: Any, g: Any) -> tuple[Any, ...]:
            return tuple(_along(name, n, slopes[n], xs, g) for n in range(count))

        own.defvjp(lambda *xs: (program(*xs), xs), pull_back or by_slopes)
        call = own

    def of_floats(*xs: Any) -> Any:
        return call(*(floating(name, x) for x in xs))

    def two(x: Any, y: Any, /) -> Any:
        return elementwise(name, of_floats, x, y)

    def three(x: Any, y: Any, z: Any, /) -> Any:
        return elementwise(name, of_floats, x, y, z)

    return _documented(two if count == 2 else three, name, value)


def _in_region() -> bool:
    trace = current_trace()
    return trace is not None and trace.is_region


def flows(x: Any) -> bool:
    """Whether a pull-back must serve this operand (in a region no operand has a tape)."""
    return x._node is not None or _in_region()


def unknown_slope(name: str, place: int, g: Any) -> Any:
    """What flows to an operand along which no derivative is known: an error, or NaN in a region,
    which counts only if somebody wants it."""
    if _in_region():
        return ew.multiply(g, math.nan)
    text = f"there is no derivative with respect to operand {place}"
    return fail(GradientError, name, text, "stop it with `el.stop_gradient(…)`")


def _along(name: str, place: int, slope: Function | None, xs: Any, g: Any) -> Any:
    if not flows(xs[place]):
        return None
    return unknown_slope(name, place, g) if slope is None else ew.multiply(g, slope(*xs))


def _documented(function: Function, name: str, value: Function) -> Function:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = value.__doc__
    function.__module__ = value.__module__
    return function

"""Orthogonal polynomials by their recurrences, under PyTorch's names.

Each family satisfies δ(k)·p(k + 1) = (α(k) + β(k)·x)·p(k) - γ(k)·p(k - 1) with p(0) = 1.

Source: NIST Digital Library of Mathematical Functions, §18.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core.dtypes import float64, int64
from elinvar.core.errors import ValueRangeError, fail
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions as red
from elinvar.tensor.composite import composite
from elinvar.tensor.control import fori_loop, while_loop
from elinvar.tensor.convert import broadcast_all, cast, floating, tensor_of
from elinvar.tensor.dispatch import F

Step = Callable[[Any, Any, Any, Any], Any]  # k, x, p(k), p(k - 1) → p(k + 1)


def _chebyshev_step(k: Any, x: Any, now: Any, before: Any) -> Any:
    return ew.subtract(ew.multiply(ew.multiply(x, 2.0), now), before)


def _physicists(k: Any, x: Any, now: Any, before: Any) -> Any:
    return ew.multiply(ew.subtract(ew.multiply(x, now), ew.multiply(before, k)), 2.0)


def _probabilists(k: Any, x: Any, now: Any, before: Any) -> Any:
    return ew.subtract(ew.multiply(x, now), ew.multiply(before, k))


def _laguerre(k: Any, x: Any, now: Any, before: Any) -> Any:
    middle = ew.multiply(ew.subtract(ew.add(ew.multiply(k, 2.0), 1.0), x), now)
    return ew.divide(ew.subtract(middle, ew.multiply(before, k)), ew.add(k, 1.0))


def _legendre(k: Any, x: Any, now: Any, before: Any) -> Any:
    middle = ew.multiply(ew.multiply(ew.add(ew.multiply(k, 2.0), 1.0), x), now)
    return ew.divide(ew.subtract(middle, ew.multiply(before, k)), ew.add(k, 1.0))


# step, p(1) as (constant, slope), whether x stands for 2x - 1
_FAMILIES: dict[str, tuple[Step, float, float, bool]] = {
    "chebyshev_polynomial_t": (_chebyshev_step, 0.0, 1.0, False),
    "chebyshev_polynomial_u": (_chebyshev_step, 0.0, 2.0, False),
    "chebyshev_polynomial_v": (_chebyshev_step, -1.0, 2.0, False),
    "chebyshev_polynomial_w": (_chebyshev_step, 1.0, 2.0, False),
    "shifted_chebyshev_polynomial_t": (_chebyshev_step, 0.0, 1.0, True),
    "shifted_chebyshev_polynomial_u": (_chebyshev_step, 0.0, 2.0, True),
    "shifted_chebyshev_polynomial_v": (_chebyshev_step, -1.0, 2.0, True),
    "shifted_chebyshev_polynomial_w": (_chebyshev_step, 1.0, 2.0, True),
    "hermite_polynomial_h": (_physicists, 0.0, 2.0, False),
    "hermite_polynomial_he": (_probabilists, 0.0, 1.0, False),
    "laguerre_polynomial_l": (_laguerre, 1.0, -1.0, False),
    "legendre_polynomial_p": (_legendre, 0.0, 1.0, False),
}


def _start(x: Any, family: str) -> tuple[Any, Any]:
    _, constant, slope, shifted = _FAMILIES[family]
    wide = cast(x, float64)
    if shifted:
        wide = ew.subtract(ew.multiply(wide, 2.0), 1.0)
    return wide, ew.add(ew.multiply(wide, slope), constant)


@composite
def _of_known_degree(x: Any, *, family: str, n: int) -> Any:
    step = _FAMILIES[family][0]
    wide, first = _start(x, family)
    one = F.full(1.0, wide)
    if n < 2:
        return cast((F.zeros_like(wide), one, first)[n + 1], x.dtype)

    def body(i: Any, state: Any) -> Any:
        now, before = state
        return step(ew.add(cast(i, float64), 1.0), wide, now, before), now

    return cast(fori_loop(0, n - 1, body, (first, one))[0], x.dtype)


@composite
def _of_degrees(x: Any, n: Any, *, family: str) -> Any:
    step = _FAMILIES[family][0]
    wide, first = _start(x, family)
    one, zero = F.full(1.0, wide), F.zeros_like(wide)
    degree = cast(n, float64)
    found = F.where(ew.equal(degree, 0.0), one, F.where(ew.greater(degree, 0.0), first, zero))

    def goes_on(state: Any) -> Any:
        return red.any(ew.greater(degree, state[0]))

    def body(state: Any) -> Any:
        k, now, before, chosen = state
        after, following = step(k, wide, now, before), ew.add(k, 1.0)
        return following, after, now, F.where(ew.equal(degree, following), after, chosen)

    counter = F.constant(value=1.0, dtype=float64)
    return cast(while_loop(goes_on, body, (counter, first, one, found))[3], x.dtype)


def _polynomial(family: str, x: Any, n: Any) -> Any:
    x = floating(family, x)
    if hasattr(n, "__index__") and not hasattr(n, "dtype"):
        return _of_known_degree(x, family=family, n=max(n.__index__(), -1))
    degree = tensor_of(family, n)
    if degree.dtype.kind == "f":
        degree = cast(F.floor(degree), int64)
    elif degree.dtype.kind not in "iu":
        text = f"n must be a whole number or a tensor of them, received {n!r:.60}"
        fail(ValueRangeError, family, text)
    return _of_degrees(*broadcast_all(family, x, degree), family=family)


def chebyshev_polynomial_t(x: Any, n: Any, /) -> Any:
    """Chebyshev polynomials of the first kind: T_n(cos θ) = cos(nθ).

    Args:
        x: where; floating.
        n: the degree, a whole number or a tensor of them; 0 is the result below 0. For a number the
            polynomial has derivatives of every order; for a tensor, whose greatest degree is known
            only when the loop runs, those in forward mode.

    Example:
        >>> import elinvar as el
        >>> el.special.chebyshev_polynomial_t(0.5, 3).item()
        -1.0
    """
    return _polynomial("chebyshev_polynomial_t", x, n)


def chebyshev_polynomial_u(x: Any, n: Any, /) -> Any:
    """Chebyshev polynomials of the second kind: U_n(cos θ) = sin((n + 1)θ) / sin θ.

    `x` and `n` are as in `chebyshev_polynomial_t`.

    Example:
        >>> import elinvar as el
        >>> el.special.chebyshev_polynomial_u(0.5, 3).item()
        -1.0
    """
    return _polynomial("chebyshev_polynomial_u", x, n)


def chebyshev_polynomial_v(x: Any, n: Any, /) -> Any:
    """Chebyshev polynomials of the third kind: V_n(cos θ) = cos((n + ½)θ) / cos(θ/2).

    `x` and `n` are as in `chebyshev_polynomial_t`.

    Example:
        >>> import elinvar as el
        >>> el.special.chebyshev_polynomial_v(0.5, 2).item()
        -1.0
    """
    return _polynomial("chebyshev_polynomial_v", x, n)


def chebyshev_polynomial_w(x: Any, n: Any, /) -> Any:
    """Chebyshev polynomials of the fourth kind: W_n(cos θ) = sin((n + ½)θ) / sin(θ/2).

    `x` and `n` are as in `chebyshev_polynomial_t`.

    Example:
        >>> import elinvar as el
        >>> el.special.chebyshev_polynomial_w(0.5, 2).item()
        1.0
    """
    return _polynomial("chebyshev_polynomial_w", x, n)


def shifted_chebyshev_polynomial_t(x: Any, n: Any, /) -> Any:
    """Chebyshev polynomials of the first kind on 0 … 1: T_n(2x - 1).

    `x` and `n` are as in `chebyshev_polynomial_t`.

    Example:
        >>> import elinvar as el
        >>> el.special.shifted_chebyshev_polynomial_t(0.75, 3).item()
        -1.0
    """
    return _polynomial("shifted_chebyshev_polynomial_t", x, n)


def shifted_chebyshev_polynomial_u(x: Any, n: Any, /) -> Any:
    """Chebyshev polynomials of the second kind on 0 … 1: U_n(2x - 1).

    `x` and `n` are as in `chebyshev_polynomial_t`.

    Example:
        >>> import elinvar as el
        >>> el.special.shifted_chebyshev_polynomial_u(0.75, 3).item()
        -1.0
    """
    return _polynomial("shifted_chebyshev_polynomial_u", x, n)


def shifted_chebyshev_polynomial_v(x: Any, n: Any, /) -> Any:
    """Chebyshev polynomials of the third kind on 0 … 1: V_n(2x - 1).

    `x` and `n` are as in `chebyshev_polynomial_t`.

    Example:
        >>> import elinvar as el
        >>> el.special.shifted_chebyshev_polynomial_v(0.75, 2).item()
        -1.0
    """
    return _polynomial("shifted_chebyshev_polynomial_v", x, n)


def shifted_chebyshev_polynomial_w(x: Any, n: Any, /) -> Any:
    """Chebyshev polynomials of the fourth kind on 0 … 1: W_n(2x - 1).

    `x` and `n` are as in `chebyshev_polynomial_t`.

    Example:
        >>> import elinvar as el
        >>> el.special.shifted_chebyshev_polynomial_w(0.75, 2).item()
        1.0
    """
    return _polynomial("shifted_chebyshev_polynomial_w", x, n)


def hermite_polynomial_h(x: Any, n: Any, /) -> Any:
    """Hermite polynomials, as physicists have them: H_n(x) = (-1)ⁿ·exp(x²)·dⁿ/dxⁿ exp(-x²).

    `x` and `n` are as in `chebyshev_polynomial_t`.

    Example:
        >>> import elinvar as el
        >>> el.special.hermite_polynomial_h(0.5, 2).item()
        -1.0
    """
    return _polynomial("hermite_polynomial_h", x, n)


def hermite_polynomial_he(x: Any, n: Any, /) -> Any:
    """Hermite polynomials, as probability theory has them: He_n(x) = 2^(-n/2)·H_n(x/√2).

    `x` and `n` are as in `chebyshev_polynomial_t`.

    Example:
        >>> import elinvar as el
        >>> el.special.hermite_polynomial_he(2.0, 3).item()
        2.0
    """
    return _polynomial("hermite_polynomial_he", x, n)


def laguerre_polynomial_l(x: Any, n: Any, /) -> Any:
    """Laguerre polynomials: L_n(x) = eˣ/n!·dⁿ/dxⁿ (xⁿ·e^-x).

    `x` and `n` are as in `chebyshev_polynomial_t`.

    Example:
        >>> import elinvar as el
        >>> el.special.laguerre_polynomial_l(2.0, 2).item()
        -1.0
    """
    return _polynomial("laguerre_polynomial_l", x, n)


def legendre_polynomial_p(x: Any, n: Any, /) -> Any:
    """Legendre polynomials: P_n(x) = 1/(2ⁿ·n!)·dⁿ/dxⁿ (x² - 1)ⁿ.

    `x` and `n` are as in `chebyshev_polynomial_t`.

    Example:
        >>> import elinvar as el
        >>> el.special.legendre_polynomial_p(0.5, 2).item()
        -0.125
    """
    return _polynomial("legendre_polynomial_p", x, n)


__all__ = [
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
]

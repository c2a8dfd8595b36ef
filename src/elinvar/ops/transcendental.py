"""Exponentials, logarithms, hyperbolic functions and erf: the records."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from elinvar.core.dtypes import FLOATS, float32
from elinvar.ops import scalar_math
from elinvar.ops.elementwise import X, elementwise, float_samples, in_double
from elinvar.ops.record import Op

_LN2, _LN10 = 0.6931471805599453, 2.302585092994046
_erf = in_double(np.vectorize(math.erf, otypes=[np.float64]))


def function(
    name: str,
    summary: str,
    formula: str,
    example: str,
    *,
    reference: Callable[..., Any],
    derivative: Callable[..., Any],
    lowering: Callable[..., Any],
    stablehlo: Any,
    low: float = -3.0,
    high: float = 3.0,
) -> Op:
    """The record of a smooth function of one floating operand, sampled within low … high."""
    return elementwise(
        name, X, summary, formula, example,
        accepted=FLOATS,
        reference=reference,
        derivative=derivative,
        lowering=lowering,
        stablehlo=stablehlo,
        samples=float_samples(1, low, high),
    )  # fmt: skip


# ---- derivatives and decompositions that need more than one line ---------------------------------


def one_plus_square(f: Any, x: Any) -> Any:
    """1 + x²."""
    return f.add(f.full(1, x), f.multiply(x, x))


def one_minus_square(f: Any, x: Any) -> Any:
    """1 - x², as (1 - x)·(1 + x), which is accurate near ±1."""
    one = f.full(1, x)
    return f.multiply(f.subtract(one, x), f.add(one, x))


def _erf_derivative(f: Any, x: Any, y: Any, g: Any) -> Any:
    bell = f.exp(f.negative(f.multiply(x, x)))
    return f.multiply(g, f.multiply(bell, f.full(2 / math.sqrt(math.pi), x)))


def _sinh_stablehlo(f: Any, x: Any) -> Any:
    """(E + E/(E + 1))/2 with E = expm1|x|; beyond 30, e^(|x| - ln 2)."""
    size, one, half = f.abs(x), f.full(1, x), f.full(0.5, x)
    grown = f.expm1(size)
    near = f.multiply(half, f.add(grown, f.divide(grown, f.add(grown, one))))
    far = f.exp(f.subtract(size, f.full(_LN2, x)))
    return f.copysign(f.where(f.less(size, f.full(30, x)), near, far), x)


def _cosh_stablehlo(f: Any, x: Any) -> Any:
    size, shift = f.abs(x), f.full(_LN2, x)
    return f.add(f.exp(f.subtract(size, shift)), f.exp(f.negative(f.add(size, shift))))


def _asinh_stablehlo(f: Any, x: Any) -> Any:
    """log1p(|x| + x²/(1 + √(x² + 1))); for large |x|, whose square may overflow, log(2|x|)."""
    size, one = f.abs(x), f.full(1, x)
    large = f.full(2.0 ** (x.dtype.bits // 2 - 2) if x.dtype.bits > 16 else 64.0, x)
    bounded = f.minimum(size, large)
    square = f.multiply(bounded, bounded)
    growth = f.divide(square, f.add(one, f.sqrt(f.add(square, one))))
    near = f.log1p(f.add(bounded, growth))
    far = f.add(f.log(size), f.full(_LN2, x))
    return f.copysign(f.where(f.greater(size, large), far, near), x)


def _acosh_stablehlo(f: Any, x: Any) -> Any:
    one = f.full(1, x)
    large = f.full(2.0 ** (x.dtype.bits // 2 - 2) if x.dtype.bits > 16 else 64.0, x)
    t = f.subtract(f.minimum(x, large), one)
    near = f.log1p(f.add(t, f.sqrt(f.multiply(t, f.add(t, f.full(2, x))))))
    far = f.add(f.log(x), f.full(_LN2, x))
    near = f.where(f.less(x, one), f.full(float("nan"), x), near)
    return f.where(f.greater(x, large), far, near)


def _atanh_stablehlo(f: Any, x: Any) -> Any:
    difference = f.subtract(f.log1p(x), f.log1p(f.negative(x)))
    return f.multiply(difference, f.full(0.5, x))


def _erf_stablehlo(f: Any, x: Any) -> Any:
    """As in `scalar_math.erf`, with its polynomials."""
    if x.dtype.bits == 16:
        return f.cast(_erf_stablehlo(f, f.cast(x, dtype=float32)), dtype=x.dtype)

    def polynomial(u: Any, coefficients: tuple[float, ...]) -> Any:
        total = f.full(coefficients[-1], x)
        for coefficient in reversed(coefficients[:-1]):
            total = f.add(f.multiply(total, u), f.full(coefficient, x))
        return total

    def below(size: Any, limit: float) -> Any:
        return f.less(size, f.full(limit, x))

    pieces = scalar_math.ERF_PIECES[x.dtype]
    size = f.minimum(f.abs(x), f.full(pieces.bound, x))
    if x.dtype is float32:
        growth = polynomial(f.subtract(f.multiply(x, x), f.full(pieces.middle, x)), pieces.near)
        root = polynomial(f.subtract(size, f.full(pieces.middle, x)), pieces.far)
        square = f.multiply(root, root)
        near = f.add(size, f.multiply(size, growth))
        far = f.subtract(f.full(1, x), f.multiply(square, square))
        return f.copysign(f.where(below(size, pieces.seam), near, far), x)
    near = polynomial(size, pieces.near)
    far = polynomial(f.subtract(size, f.full(pieces.middle, x)), pieces.far)
    rate = f.where(below(size, pieces.seam), near, far)
    return f.copysign(f.expm1(f.negative(f.multiply(size, rate))), x)


# ---- records ------------------------------------------------------------------------------------

OPS: tuple[Op, ...] = (
    function(
        "exp", "The exponential function.", "y = e^x",
        ">>> el.exp(el.asarray([0.0])).tolist()\n[1.0]",
        reference=in_double(np.exp),
        derivative=lambda f, x, y, g: f.multiply(g, y),
        lowering=scalar_math.exp,
        stablehlo="stablehlo.exponential",
    ),
    function(
        "expm1", "The exponential function less 1, accurate near 0.", "y = e^x - 1",
        ">>> el.expm1(el.asarray([0.0, 1e-20])).tolist() == [0.0, el.asarray(1e-20).item()]\nTrue",
        reference=in_double(np.expm1),
        derivative=lambda f, x, y, g: f.multiply(g, f.add(y, f.full(1, y))),
        lowering=scalar_math.expm1,
        stablehlo="stablehlo.exponential_minus_one",
    ),
    function(
        "log", "The natural logarithm; -∞ at 0 and NaN for negative numbers.", "y = ln x",
        ">>> el.log(el.asarray([1.0, 0.0])).tolist()\n[0.0, -inf]",
        reference=in_double(np.log),
        derivative=lambda f, x, y, g: f.divide(g, x),
        lowering=scalar_math.log,
        stablehlo="stablehlo.log",
        low=0.05, high=9.0,
    ),
    function(
        "log1p", "The natural logarithm of 1 + x, accurate near 0.", "y = ln(1 + x)",
        ">>> el.log1p(el.asarray([0.0, -1.0])).tolist()\n[0.0, -inf]",
        reference=in_double(np.log1p),
        derivative=lambda f, x, y, g: f.divide(g, f.add(x, f.full(1, x))),
        lowering=scalar_math.log1p,
        stablehlo="stablehlo.log_plus_one",
        low=-0.9, high=9.0,
    ),
    function(
        "log2", "The logarithm to base 2, exact for powers of two.", "y = ln x / ln 2",
        ">>> el.log2(el.asarray([1.0, 8.0])).tolist()\n[0.0, 3.0]",
        reference=in_double(np.log2),
        derivative=lambda f, x, y, g: f.divide(g, f.multiply(x, f.full(_LN2, x))),
        lowering=scalar_math.log2,
        stablehlo=lambda f, x: f.multiply(f.log(x), f.full(1 / _LN2, x)),
        low=0.05, high=9.0,
    ),
    function(
        "log10", "The logarithm to base 10.", "y = ln x / ln 10",
        ">>> el.log10(el.asarray([1.0, 100.0])).tolist()\n[0.0, 2.0]",
        reference=in_double(np.log10),
        derivative=lambda f, x, y, g: f.divide(g, f.multiply(x, f.full(_LN10, x))),
        lowering=scalar_math.log10,
        stablehlo=lambda f, x: f.multiply(f.log(x), f.full(1 / _LN10, x)),
        low=0.05, high=9.0,
    ),
    function(
        "sinh", "The hyperbolic sine.", "y = (e^x - e^-x) / 2",
        ">>> el.sinh(el.asarray([0.0])).tolist()\n[0.0]",
        reference=in_double(np.sinh),
        derivative=lambda f, x, y, g: f.multiply(g, f.cosh(x)),
        lowering=scalar_math.sinh,
        stablehlo=_sinh_stablehlo,
    ),
    function(
        "cosh", "The hyperbolic cosine.", "y = (e^x + e^-x) / 2",
        ">>> el.cosh(el.asarray([0.0])).tolist()\n[1.0]",
        reference=in_double(np.cosh),
        derivative=lambda f, x, y, g: f.multiply(g, f.sinh(x)),
        lowering=scalar_math.cosh,
        stablehlo=_cosh_stablehlo,
    ),
    function(
        "tanh", "The hyperbolic tangent.", "y = (e^x - e^-x) / (e^x + e^-x)",
        ">>> el.tanh(el.asarray([0.0, 100.0])).tolist()\n[0.0, 1.0]",
        reference=in_double(np.tanh),
        derivative=lambda f, x, y, g: f.multiply(g, one_minus_square(f, y)),
        lowering=scalar_math.tanh,
        stablehlo="stablehlo.tanh",
    ),
    function(
        "asinh", "The inverse hyperbolic sine.", "y = ln(x + √(x² + 1))",
        ">>> el.asinh(el.asarray([0.0])).tolist()\n[0.0]",
        reference=in_double(np.arcsinh),
        derivative=lambda f, x, y, g: f.divide(g, f.sqrt(one_plus_square(f, x))),
        lowering=scalar_math.asinh,
        stablehlo=_asinh_stablehlo,
    ),
    function(
        "acosh", "The inverse hyperbolic cosine; NaN below 1.", "y = ln(x + √(x² - 1))",
        ">>> el.acosh(el.asarray([1.0])).tolist()\n[0.0]",
        reference=in_double(np.arccosh),
        derivative=lambda f, x, y, g: f.divide(
            g, f.multiply(f.sqrt(f.subtract(x, f.full(1, x))), f.sqrt(f.add(x, f.full(1, x))))
        ),
        lowering=scalar_math.acosh,
        stablehlo=_acosh_stablehlo,
        low=1.1, high=9.0,
    ),
    function(
        "atanh", "The inverse hyperbolic tangent; ±∞ at ±1 and NaN beyond.",
        "y = ln((1 + x) / (1 - x)) / 2",
        ">>> el.atanh(el.asarray([0.0, 1.0])).tolist()\n[0.0, inf]",
        reference=in_double(np.arctanh),
        derivative=lambda f, x, y, g: f.divide(g, one_minus_square(f, x)),
        lowering=scalar_math.atanh,
        stablehlo=_atanh_stablehlo,
        low=-0.95, high=0.95,
    ),
    function(
        "erf", "The error function.", "y = 2/√π·∫₀ˣ exp(-t²) dt",
        ">>> el.erf(el.asarray([0.0, 10.0])).tolist()\n[0.0, 1.0]",
        reference=_erf,
        derivative=_erf_derivative,
        lowering=scalar_math.erf,
        stablehlo=_erf_stablehlo,
    ),
)  # fmt: skip

"""Trigonometric functions, their inverses and powers: the records."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import FLOATS, NUMERIC
from elinvar.ops import scalar_trigonometry
from elinvar.ops.division import integer_power
from elinvar.ops.elementwise import (
    XY,
    elementwise,
    float_samples,
    generator,
    in_double,
    integer_samples,
    joined,
)
from elinvar.ops.record import Op, Sample
from elinvar.ops.scalar_power import power
from elinvar.ops.scalars import Scalar
from elinvar.ops.transcendental import function, one_minus_square, one_plus_square

# ---- powers -------------------------------------------------------------------------------------


def _power(x: Scalar, y: Scalar) -> Scalar:
    return power(x, y) if x.dtype.kind == "f" else integer_power(x, y)


def _power_reference(x: Any, y: Any) -> Any:
    if x.dtype.kind == "f":
        return in_double(np.power)(x, y)
    with np.errstate(all="ignore"):
        found = np.power(x, np.where(y < 0, x.dtype.type(0), y))
    if x.dtype.kind == "u":
        return found
    one, zero = x.dtype.type(1), x.dtype.type(0)
    inverse = np.where(x == 1, one, np.where(x == -1, np.where(y & 1, -one, one), zero))
    return np.where(y < 0, inverse, found).astype(x.dtype)


def _power_derivative(f: Any, x: Any, y: Any, z: Any, g: Any) -> Any:
    """y·x^(y-1) and x^y·ln x, where x^0 has derivative 0 at x = 0 too, and 0^y has 0.

    Near x = 0 and y = 0 the first product would be 0·∞; there the exponent is replaced by 1.
    """
    zero, one = f.zeros_like(x), f.full(1, x)
    tiny = f.less(f.abs(x), f.full(2.0**-14 if x.dtype.bits == 16 else 2.0**-120, x))
    exponent = f.where(f.bitwise_and(tiny, f.equal(y, zero)), one, f.subtract(y, one))
    slope = f.multiply(y, f.power(x, exponent))
    at_zero = f.equal(x, zero)
    logarithm = f.where(at_zero, zero, f.log(f.where(at_zero, one, x)))
    growth = f.where(at_zero, zero, f.multiply(z, logarithm))
    return f.multiply(g, slope), f.multiply(g, growth)


def _power_stablehlo(f: Any, x: Any, y: Any) -> Any:
    """StableHLO's power; a negative base has its integer powers put in by sign."""
    if x.dtype.kind != "f":
        return _integer_power_stablehlo(f, x, y)
    one = f.full(1, x)
    value = f.native("stablehlo.power", x, y)
    settled = f.bitwise_or(f.equal(y, f.zeros_like(y)), f.equal(x, one))
    return f.where(settled, one, value)


def _integer_power_stablehlo(f: Any, x: Any, y: Any) -> Any:
    """Repeated squaring, by the bits of y."""
    one, zero = f.full(1, x), f.zeros_like(x)
    result, square = one, x
    for bit in range(x.dtype.bits - (x.dtype.kind == "i")):
        taken = f.not_equal(f.bitwise_and(f.shift_right(y, f.full(bit, y)), one), zero)
        result = f.where(taken, f.multiply(result, square), result)
        square = f.multiply(square, square)
    if x.dtype.kind == "u":
        return result
    minus = f.full(-1, x)
    odd = f.not_equal(f.bitwise_and(y, one), zero)
    signed = f.where(f.equal(x, minus), f.where(odd, minus, one), zero)
    return f.where(f.less(y, zero), f.where(f.equal(x, one), one, signed), result)


def _power_samples() -> list[Sample]:
    rng = generator()
    found = []
    for dtype in (np.float32, np.float64):
        x, y = rng.uniform(0.2, 4.0, (2, 30)).astype(dtype)
        found.append(Sample((x, y)))
        whole = rng.integers(-4, 5, 30).astype(dtype)
        found.append(Sample(((x - 2).astype(dtype), whole), differentiable=False))
    half = rng.uniform(0.2, 3.0, (2, 12)).astype(np.float16)
    found.append(Sample((half[0], half[1]), differentiable=False))
    return found


# ---- the angle of a point ------------------------------------------------------------------------


def _atan2_derivative(f: Any, y: Any, x: Any, z: Any, g: Any) -> Any:
    """(x, -y) / (x² + y²); 0 at the origin."""
    square = f.add(f.multiply(x, x), f.multiply(y, y))
    divisor = f.where(f.equal(square, f.zeros_like(square)), f.full(1, square), square)
    share = f.divide(g, divisor)
    return f.multiply(share, x), f.negative(f.multiply(share, y))


# ---- decompositions ------------------------------------------------------------------------------


def _asin_stablehlo(f: Any, x: Any) -> Any:
    return f.atan2(x, f.sqrt(one_minus_square(f, x)))


def _acos_stablehlo(f: Any, x: Any) -> Any:
    return f.atan2(f.sqrt(one_minus_square(f, x)), x)


# ---- records ------------------------------------------------------------------------------------

OPS: tuple[Op, ...] = (
    function(
        "sin", "The sine, accurate for every finite x.", "y = sin x",
        ">>> el.sin(el.asarray([0.0])).tolist()\n[0.0]",
        reference=in_double(np.sin),
        derivative=lambda f, x, y, g: f.multiply(g, f.cos(x)),
        lowering=scalar_trigonometry.sin,
        stablehlo="stablehlo.sine",
    ),
    function(
        "cos", "The cosine, accurate for every finite x.", "y = cos x",
        ">>> el.cos(el.asarray([0.0])).tolist()\n[1.0]",
        reference=in_double(np.cos),
        derivative=lambda f, x, y, g: f.negative(f.multiply(g, f.sin(x))),
        lowering=scalar_trigonometry.cos,
        stablehlo="stablehlo.cosine",
    ),
    function(
        "tan", "The tangent, accurate for every finite x.", "y = tan x",
        ">>> el.tan(el.asarray([0.0])).tolist()\n[0.0]",
        reference=in_double(np.tan),
        derivative=lambda f, x, y, g: f.multiply(g, one_plus_square(f, y)),
        lowering=scalar_trigonometry.tan,
        stablehlo=lambda f, x: f.divide(f.sin(x), f.cos(x)),
        low=-1.3, high=1.3,
    ),
    function(
        "asin", "The inverse sine, in -π/2 … π/2; NaN beyond ±1.", "sin y = x",
        ">>> el.asin(el.asarray([0.0])).tolist()\n[0.0]",
        reference=in_double(np.arcsin),
        derivative=lambda f, x, y, g: f.divide(g, f.sqrt(one_minus_square(f, x))),
        lowering=scalar_trigonometry.asin,
        stablehlo=_asin_stablehlo,
        low=-0.95, high=0.95,
    ),
    function(
        "acos", "The inverse cosine, in 0 … π; NaN beyond ±1.", "cos y = x",
        ">>> el.acos(el.asarray([1.0])).tolist()\n[0.0]",
        reference=in_double(np.arccos),
        derivative=lambda f, x, y, g: f.negative(f.divide(g, f.sqrt(one_minus_square(f, x)))),
        lowering=scalar_trigonometry.acos,
        stablehlo=_acos_stablehlo,
        low=-0.95, high=0.95,
    ),
    function(
        "atan", "The inverse tangent, in -π/2 … π/2.", "tan y = x",
        ">>> el.atan(el.asarray([0.0])).tolist()\n[0.0]",
        reference=in_double(np.arctan),
        derivative=lambda f, x, y, g: f.divide(g, one_plus_square(f, x)),
        lowering=scalar_trigonometry.atan,
        stablehlo=lambda f, x: f.atan2(x, f.full(1, x)),
    ),
    elementwise(
        "atan2", ("y", "x"),
        "The angle of the point (x, y), in -π … π. The gradient at the origin is 0.",
        "z = atan(y / x), in the quadrant of (x, y)",
        ">>> el.atan2(el.asarray([0.0]), el.asarray([1.0])).tolist()\n[0.0]",
        accepted=FLOATS,
        reference=in_double(np.arctan2),
        derivative=_atan2_derivative,
        lowering=scalar_trigonometry.atan2,
        stablehlo="stablehlo.atan2",
        samples=float_samples(2),
    ),
    elementwise(
        "power", XY,
        "x to the power y. x^0 = 1 for every x; a negative x needs an integer y, else NaN. "
        "Integers wrap around, and a negative integer y gives 1 / x^-y without its fraction. "
        "The derivative of x^0 at x = 0 is 0, and so is that of 0^y with respect to y.",
        "z = x^y",
        ">>> el.pow(el.asarray([2.0, 3.0]), el.asarray([3.0, 0.0])).tolist()\n[8.0, 1.0]",
        accepted=NUMERIC,
        reference=_power_reference,
        derivative=_power_derivative,
        lowering=_power,
        stablehlo=_power_stablehlo,
        samples=joined(_power_samples, float_samples(2, 0.1, 3.0), integer_samples(2)),
    ),
)  # fmt: skip

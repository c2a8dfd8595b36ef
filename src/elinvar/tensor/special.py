"""The inverse error function and normal numbers made from random bits.

With q = 1 - |x| and w = -log(q · (2 - q)) = -log(1 - x²), erfinv(x) = x · P(w), where P is a
polynomial in w for small w (the bulk) and in √w for large w (the tails). That form is due to
M. Giles, "Approximating the erfinv function", GPU Computing Gems (2011). The coefficients are our
own: Chebyshev interpolation of erfinv(x)/x in 50 digits, lowest power first, in a variable that
runs from -1 to 1 over its range. Relative errors of the polynomials are below 1.5e-8 for float32
(for 1 - |x| down to 2⁻³³) and 1e-16 for float64 (down to 2⁻⁷⁰).
"""

from __future__ import annotations

import math
from typing import Any

from elinvar.core.dtypes import DType, float32, float64
from elinvar.tensor import elementwise as ew
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import ArrayLike, cast, floating
from elinvar.tensor.custom import custom_vjp
from elinvar.tensor.dispatch import F

Polynomial = tuple[tuple[float, ...], float, float]  # coefficients, middle and half of the range

_NEAR_32 = (
    1.50140936, 0.616600698, -0.0261087055, -0.0195738499, 0.0085292729, -0.00048558786,
    -0.000845699528, 0.0002857247, 3.56078601e-05, -3.40725936e-05,
)  # fmt: skip
_FAR_32 = (
    3.33548572, 1.30957947, 0.00553802361, -0.00453393561, 0.00312228145, -0.00251114365,
    0.00207654885, -0.0014666301, 0.000666884621, 3.94732166e-05, -0.000251218095,
    9.71423767e-05,
)  # fmt: skip
_NEAR_64 = (
    1.6536545626831027, 0.7504943200799635, -0.0589225671037876, -0.022604447453444733,
    0.0178083618187569, -0.004137314377547895, -0.0012716922769885114, 0.0012324855702994216,
    -0.00026439358646646055, -0.0001168888508125076, 9.336692787624058e-05,
    -1.5027665773117194e-05, -1.125565398396942e-05, 7.12993974314695e-06,
    -6.87655180725494e-07, -1.0591188098187532e-06, 5.456420572209782e-07,
    -1.0412692841159635e-08, -1.0514990713371437e-07, 3.931511157646558e-08,
    9.07207594789291e-09, -8.627191009014394e-09, -8.577966939639941e-11,
    7.801712199036253e-10,
)  # fmt: skip
_MIDDLE_64 = (
    3.0838856104922208, 0.753944225770624, 0.0030211394363747063, -0.0015825410894073097,
    0.0007883078513066945, -0.00040063569835358583, 0.00016966502197543766,
    -4.7391827316182325e-05, 2.405864805789804e-06, 5.127316786334848e-06,
    -2.664793846715906e-06, 5.264621626938461e-07, 9.289338749101434e-08,
    -9.468946844911027e-08, 2.6399032352915295e-08, -3.6906087078089294e-10,
    -2.4605291139227307e-09, 9.891297510532429e-10, -1.179100761769929e-10,
    -6.471554767207546e-11, 2.4355543452655723e-11,
)  # fmt: skip
_FAR_64 = (
    5.354999273642594, 1.5150496086669503, -0.0008284437603779643, -0.0003468453097476136,
    0.00020362562916703277, -7.66380668281292e-05, 2.486982588480418e-05,
    -7.47238018795942e-06, 2.143608780835964e-06, -6.057546729866787e-07,
    1.821164651359125e-07, -6.888272538290626e-08, 4.0358677022115114e-08,
    -3.331390649874146e-08, 2.342397911059245e-08, -1.105541858232869e-08,
    7.641639688968447e-09, -7.661911574776395e-09, 2.799300952951704e-09,
    9.881747221948804e-10, -6.448308135355314e-10,
)  # fmt: skip


def _polynomial(x: Any, polynomial: Polynomial) -> Any:
    coefficients, middle, half = polynomial
    u = ew.multiply(ew.subtract(x, middle), 1 / half)
    total: Any = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = ew.add(ew.multiply(u, total), coefficient)
    return total


def quotient_of_erfinv(w: Any) -> Any:
    """erfinv(x) / x as a function of w = -log(1 - x²)."""
    root = F.sqrt(w)
    if w.dtype is float64:
        far = ew.where(
            ew.less(root, 4.0),
            _polynomial(root, (_MIDDLE_64, 3.25, 0.75)),
            _polynomial(root, (_FAR_64, 5.5, 1.5)),
        )
        return ew.where(ew.less(w, 6.25), _polynomial(w, (_NEAR_64, 3.125, 3.125)), far)
    far = _polynomial(root, (_FAR_32, 3.5, 1.3))
    return ew.where(ew.less(w, 5.0), _polynomial(w, (_NEAR_32, 2.5, 2.5)), far)


def erfinv(x: ArrayLike, /) -> Any:
    """The inverse of the error function on -1 … 1: erf(erfinv(x)) = x.

    ±1 give ±∞, values outside NaN. Its derivative is √π/2 · exp(erfinv(x)²).

    Example:
        >>> import elinvar as el
        >>> print(f"{el.erfinv(0.5).item():.6f}")
        0.476936
    """
    return _with_slope(floating("erfinv", x))


@composite
def _erfinv(x: Any) -> Any:
    wide = x if x.dtype.bits > 16 else cast(x, float32)
    # 1 - x² is a product without rounding error near ±1
    product = F.multiply(ew.subtract(1.0, wide), ew.add(wide, 1.0))
    w = F.negative(F.log(product))
    finite = ew.less(F.abs(wide), 1.0)
    held = ew.where(finite, w, 1.0)  # no ∞ in the branch that is not taken, nor in its derivative
    inside = F.multiply(wide, quotient_of_erfinv(held))
    edge = ew.where(ew.equal(F.abs(wide), 1.0), ew.multiply(wide, math.inf), math.nan)
    return cast(ew.where(finite, inside, edge), x.dtype)


@custom_vjp
def _with_slope(x: Any) -> Any:
    return _erfinv(x)


def _slope(x: Any) -> Any:
    """√π/2 · exp(erfinv(x)²)"""
    y = erfinv(x)
    return ew.multiply(F.exp(F.multiply(y, y)), math.sqrt(math.pi) / 2)


_with_slope.defvjp(lambda x: (_erfinv(x), x), lambda x, g: (F.multiply(g, _slope(x)),))


@composite
def normal_of_bits(bits: Any, *, dtype: DType) -> Any:
    """Normal numbers from uniform words: the top bit is the sign, the others the probability.

    With m the other bits, q = (m + ½) / 2^(bits - 1) is the probability of a greater magnitude, and
    z = ±√2 · erfinv(1 - q). Small q keep all their bits, so the tails reach ±6.3 for 32-bit words.
    """
    wide = dtype if dtype.bits > 16 else float32
    count = bits.dtype.bits
    magnitude = cast(ew.bitwise_and(bits, 2 ** (count - 1) - 1), wide)
    q = ew.multiply(ew.add(magnitude, 0.5), 2.0 ** (1 - count))
    w = ew.maximum(F.negative(F.log(F.multiply(q, ew.subtract(2.0, q)))), 0.0)
    z = F.multiply(ew.multiply(ew.subtract(1.0, q), math.sqrt(2)), quotient_of_erfinv(w))
    negative = ew.greater_equal(bits, 2 ** (count - 1))
    return cast(F.where(negative, F.negative(z), z), dtype)

"""Elementwise functions by NumPy's names, beyond those of the standard."""

from __future__ import annotations

import math
from typing import Any

from elinvar.core.dtypes import bool_ as bool_dtype
from elinvar.core.dtypes import (
    default_float,
    float64,
    int32,
    int64,
)
from elinvar.core.errors import DTypeError, ShapeError, fail
from elinvar.core.shapes import normalize_axis
from elinvar.tensor import elementwise as ew
from elinvar.tensor import manipulation as man
from elinvar.tensor import reductions as red
from elinvar.tensor.casting import finfo
from elinvar.tensor.composite import composite
from elinvar.tensor.control import while_loop
from elinvar.tensor.convert import cast, expand, floating, pair, tensor_of
from elinvar.tensor.dispatch import F, apart


def _float_pair(op: str, x1: Any, x2: Any) -> tuple[Any, Any]:
    a, b = pair(op, x1, x2)
    return (a, b) if a.dtype.kind == "f" else (cast(a, default_float), cast(b, default_float))


def heaviside(x1: Any, x2: Any, /) -> Any:
    """The step function: 0 where x1 < 0, 1 where x1 > 0, x2 where x1 = 0; NaN stays NaN.

    Example:
        >>> import elinvar as el
        >>> el.heaviside(el.asarray([-2.0, 0.0, 3.0]), 0.5).tolist()
        [0.0, 0.5, 1.0]
    """
    return _heaviside(*_float_pair("heaviside", x1, x2))


@composite
def _heaviside(x: Any, y: Any) -> Any:
    step = ew.where(ew.less(x, 0), 0.0, ew.where(ew.greater(x, 0), 1.0, F.stop_gradient(x)))
    return ew.where(ew.equal(x, 0), y, step)


def sinc(x: Any, /) -> Any:
    """sin(πx) / (πx), 1 at 0.

    Example:
        >>> import elinvar as el
        >>> el.sinc(el.asarray([0.0, 1.5])).tolist()[0]
        1.0
    """
    return _sinc(floating("sinc", x))


@composite
def _sinc(x: Any) -> Any:
    wide = cast(x, float64)
    angle = ew.multiply(wide, math.pi)
    # the sine of π times the fraction alone: exact at whole numbers
    whole = F.round(wide)
    sine = F.sin(ew.multiply(F.subtract(wide, whole), math.pi))
    odd = ew.not_equal(ew.remainder(whole, 2.0), 0.0)
    small = ew.less(F.abs(wide), 1e-4)
    safe = ew.where(small, 1.0, angle)
    square = F.multiply(angle, angle)
    near = ew.subtract(1.0, ew.multiply(square, ew.subtract(1 / 6, ew.multiply(square, 1 / 120))))
    far = F.divide(ew.where(odd, F.negative(sine), sine), safe)
    far = ew.where(ew.equal(F.abs(wide), math.inf), 0.0, far)
    return cast(F.where(small, near, far), x.dtype)


def deg2rad(x: Any, /) -> Any:
    """Degrees as radians: x · π / 180.

    Example:
        >>> import elinvar as el
        >>> el.deg2rad(180.0).item() == el.asarray(el.pi).item()
        True
    """
    return ew.multiply(floating("deg2rad", x), math.pi / 180)


def rad2deg(x: Any, /) -> Any:
    """Radians as degrees: x · 180 / π.

    Example:
        >>> import elinvar as el
        >>> el.rad2deg(el.pi).item()
        180.0
    """
    return ew.multiply(floating("rad2deg", x), 180 / math.pi)


def fmod(x1: Any, x2: Any, /) -> Any:
    """The remainder with the sign of x1: x1 - x2 · trunc(x1 / x2).

    Example:
        >>> import elinvar as el
        >>> el.fmod(el.asarray([-7, 7]), 3).tolist()
        [-1, 1]
    """
    return _fmod(*pair("fmod", x1, x2))


@composite
def _fmod(a: Any, b: Any) -> Any:
    if a.dtype.kind == "u":
        return F.remainder(a, b)
    rest = F.remainder(F.abs(a), F.abs(b))
    if a.dtype.kind == "f":
        infinite = F.bitwise_and(F.isfinite(a), ew.equal(F.abs(b), math.inf))
        rest = F.where(infinite, F.abs(a), rest)
        return F.where(ew.signbit(a), F.negative(rest), rest)
    return F.where(ew.less(a, 0), F.negative(rest), rest)


def fmax(x1: Any, x2: Any, /) -> Any:
    """The larger of two numbers; where one is NaN, the other.

    Example:
        >>> import elinvar as el
        >>> el.fmax(el.asarray([1.0, el.nan]), 0.5).tolist()
        [1.0, 0.5]
    """
    a, b = pair("fmax", x1, x2)
    return _fextreme(a, b, largest=True) if a.dtype.kind == "f" else F.maximum(a, b)


def fmin(x1: Any, x2: Any, /) -> Any:
    """The smaller of two numbers; where one is NaN, the other.

    Example:
        >>> import elinvar as el
        >>> el.fmin(el.asarray([1.0, el.nan]), 0.5).tolist()
        [0.5, 0.5]
    """
    a, b = pair("fmin", x1, x2)
    return _fextreme(a, b, largest=False) if a.dtype.kind == "f" else F.minimum(a, b)


@composite
def _fextreme(a: Any, b: Any, *, largest: bool) -> Any:
    no_a, no_b = F.not_equal(a, a), F.not_equal(b, b)
    left, right = F.where(no_a, b, a), F.where(no_b, a, b)
    return F.maximum(left, right) if largest else F.minimum(left, right)


def cbrt(x: Any, /) -> Any:
    """The cube root, also of negative numbers.

    Example:
        >>> import elinvar as el
        >>> el.cbrt(el.asarray([-8.0, 27.0])).tolist()
        [-2.0, 3.0]
    """
    return _cbrt(floating("cbrt", x))


@composite
def _cbrt(x: Any) -> Any:
    wide = cast(x, float64)
    size = F.abs(wide)
    usual = F.bitwise_and(ew.greater(size, 0), ew.less(size, math.inf))
    held = ew.where(usual, size, 1.0)
    tiny = ew.less(held, 1e-300)  # the square of the root must not vanish
    held = ew.where(tiny, ew.multiply(held, 2.0**60), held)
    root = ew.pow(held, 1 / 3)
    # one step of Newton's method for r³ = x; its derivative comes from the formula 1 / (3r²)
    square = F.multiply(root, root)
    root = F.subtract(root, ew.divide(F.subtract(root, F.divide(held, square)), 3.0))
    root = ew.where(tiny, ew.multiply(root, 2.0**-20), root)
    return cast(F.copysign(F.where(usual, root, size), wide), x.dtype)


def exp2(x: Any, /) -> Any:
    """2 to the power x.

    Example:
        >>> import elinvar as el
        >>> el.exp2(el.asarray([3.0, -1.0])).tolist()
        [8.0, 0.5]
    """
    return ew.pow(2.0, floating("exp2", x))


def float_power(x1: Any, x2: Any, /) -> Any:
    """x1 to the power x2 in float64.

    Example:
        >>> import elinvar as el
        >>> el.float_power(el.asarray([2, 3]), -1).dtype is el.float64
        True
    """
    a, b = (cast(tensor_of("float_power", x), float64) for x in (x1, x2))
    return ew.pow(a, b)


def logaddexp2(x1: Any, x2: Any, /) -> Any:
    """log2(2^x1 + 2^x2) without overflow.

    Example:
        >>> import elinvar as el
        >>> el.logaddexp2(3.0, 3.0).item()
        4.0
    """
    return _logaddexp2(*_float_pair("logaddexp2", x1, x2))


@composite
def _logaddexp2(a: Any, b: Any) -> Any:  # without `maximum`, for second derivatives at a = b
    top, low = ew.where(ew.less(a, b), b, a), ew.where(ew.less(a, b), a, b)
    same, infinite = F.equal(a, b), ew.equal(F.abs(a), math.inf)
    gap = ew.where(F.bitwise_and(same, infinite), 0.0, F.subtract(low, top))
    more = ew.divide(F.log1p(ew.pow(2.0, gap)), math.log(2))
    one = ew.add(F.subtract(more, F.stop_gradient(more)), 1.0)  # with the derivative of more
    return F.add(top, ew.where(same, one, more))


def divmod(x1: Any, x2: Any, /) -> tuple[Any, Any]:
    """(x1 // x2, x1 % x2).

    Example:
        >>> import elinvar as el
        >>> [part.tolist() for part in el.divmod(el.asarray([7, -7]), 3)]
        [[2, -3], [1, 2]]
    """
    a, b = pair("divmod", x1, x2)
    return ew.floor_divide(a, b), ew.remainder(a, b)


def modf(x: Any, /) -> tuple[Any, Any]:
    """Fraction and integer part, both with the sign of x.

    Example:
        >>> import elinvar as el
        >>> [part.item() for part in el.modf(el.asarray(-2.5))]
        [-0.5, -2.0]
    """
    return _modf(floating("modf", x))


@composite
def _modf(x: Any) -> Any:
    whole = F.trunc(x)
    rest = ew.where(ew.equal(F.abs(x), math.inf), 0.0, F.subtract(x, whole))
    return F.copysign(rest, F.stop_gradient(x)), whole


def frexp(x: Any, /) -> tuple[Any, Any]:
    """m and e (int32) with x = m · 2^e and ½ ≤ |m| < 1; 0, ±∞ and NaN as they are.

    Example:
        >>> import elinvar as el
        >>> [part.item() for part in el.frexp(el.asarray(6.0))]
        [0.75, 3]
    """
    x = floating("frexp", x)
    mantissa, exponent = _frexp(x)
    return mantissa, exponent


@composite
def _frexp(x: Any) -> Any:
    wide = cast(x, float64)
    usual = F.bitwise_and(F.isfinite(wide), ew.not_equal(wide, 0.0))
    small = F.bitwise_and(usual, ew.less(F.abs(wide), 2.0**-1022))
    held = ew.where(usual, wide, 1.0)
    held = ew.where(small, ew.multiply(held, 2.0**54), held)
    bits = F.bitcast(held, dtype=int64)
    field = ew.bitwise_and(ew.bitwise_right_shift(bits, 52), 2047)
    exponent = ew.subtract(field, ew.where(small, 1022 + 54, 1022))
    fraction = ew.bitwise_or(ew.bitwise_and(bits, ~(2047 << 52)), 1022 << 52)
    mantissa = F.where(usual, F.bitcast(fraction, dtype=float64), wide)
    exponent = ew.where(usual, exponent, 0)
    return cast(mantissa, x.dtype), cast(exponent, int32)


def ldexp(x1: Any, x2: Any, /) -> Any:
    """x1 · 2^x2, rounded once.

    Example:
        >>> import elinvar as el
        >>> el.ldexp(el.asarray([0.75, 1.0]), el.asarray([3, -1])).tolist()
        [6.0, 0.5]
    """
    x, count = floating("ldexp", x1), tensor_of("ldexp", x2)
    if count.dtype.kind not in "iu":
        fail(DTypeError, "ldexp", f"the exponent must be an integer, received {count._type}")
    shape = man.broadcast_arrays(x, count)[0].shape
    return _ldexp(expand(x, shape), expand(cast(count, int64), shape))


@composite
def _ldexp(x: Any, count: Any) -> Any:
    """In steps that are exact: up to two large ones, and a last one that may round."""
    result = cast(x, float64)
    count = ew.clip(count, -2200, 2200)
    down = ew.less(count, 0)
    # away from 1 first by what cannot underflow, last by the one factor that may
    for limit in (1000, 1000):
        step = ew.clip(count, -limit, limit)
        step = ew.where(down, _kept_normal(result, step), step)
        result = F.multiply(result, _power_of_two(step))
        count = F.subtract(count, step)
    return cast(F.multiply(result, _power_of_two(ew.clip(count, -1074, 1023))), x.dtype)


def _kept_normal(x: Any, step: Any) -> Any:
    """A negative step cut so that x · 2^step stays a normal number (0 where x is small)."""
    bits = F.bitcast(x, dtype=int64)
    field = ew.bitwise_and(ew.bitwise_right_shift(bits, 52), 2047)
    room = ew.maximum(ew.subtract(field, 2), 0)
    return F.maximum(step, F.negative(room))


def _power_of_two(count: Any) -> Any:
    """2^count for -1074 … 1023, in float64."""
    normal = ew.bitwise_left_shift(ew.add(ew.maximum(count, -1022), 1023), 52)
    below = F.minimum(ew.add(count, 1022), F.zeros_like(count))  # ≤ 0: the subnormal rest
    tiny = ew.bitwise_left_shift(ew.add(below, 1023), 52)
    return F.multiply(F.bitcast(normal, dtype=float64), F.bitcast(tiny, dtype=float64))


def _whole_pair(op: str, x1: Any, x2: Any) -> tuple[Any, Any]:
    a, b = pair(op, x1, x2)
    if a.dtype.kind not in "iu":
        fail(DTypeError, op, f"expected integers, received {a._type}")
    return a, b


def gcd(x1: Any, x2: Any, /) -> Any:
    """The greatest common divisor of |x1| and |x2|; gcd(0, 0) = 0.

    Example:
        >>> import elinvar as el
        >>> el.gcd(el.asarray([12, -9, 0]), el.asarray([18, 6, 5])).tolist()
        [6, 3, 5]
    """
    return _gcd(*_whole_pair("gcd", x1, x2))


@composite
def _gcd(a: Any, b: Any) -> Any:
    if a.dtype.kind == "i":
        a, b = F.abs(a), F.abs(b)

    def goes_on(pair_: Any) -> Any:
        return red.any(ew.not_equal(pair_[1], 0))

    def step(pair_: Any) -> Any:
        x, y = pair_
        done = ew.equal(y, 0)
        return F.where(done, x, y), F.where(done, y, F.remainder(x, y))

    return while_loop(goes_on, step, (a, b))[0]


def lcm(x1: Any, x2: Any, /) -> Any:
    """The least common multiple of |x1| and |x2|; 0 if one is 0.

    Example:
        >>> import elinvar as el
        >>> el.lcm(el.asarray([4, -6]), el.asarray([6, 4])).tolist()
        [12, 12]
    """
    a, b = _whole_pair("lcm", x1, x2)
    return _lcm(a, b)


@composite
def _lcm(a: Any, b: Any) -> Any:
    common = _gcd(a, b)
    part = F.floor_divide(a, ew.where(ew.equal(common, 0), 1, common))
    product = F.multiply(part, b)
    return F.abs(product) if a.dtype.kind == "i" else product


def isreal(x: Any, /) -> Any:
    """True where an element has no imaginary part.

    Example:
        >>> import elinvar as el
        >>> el.isreal(el.asarray([1.0, 2.0])).tolist()
        [True, True]
    """
    x = tensor_of("isreal", x)
    return expand(F.constant(value=True, dtype=bool_dtype), x.shape)


def isneginf(x: Any, /) -> Any:
    """True where an element is -∞.

    Example:
        >>> import elinvar as el
        >>> el.isneginf(el.asarray([-el.inf, el.inf])).tolist()
        [True, False]
    """
    return ew.equal(floating("isneginf", x), -math.inf)


def isposinf(x: Any, /) -> Any:
    """True where an element is +∞.

    Example:
        >>> import elinvar as el
        >>> el.isposinf(el.asarray([-el.inf, el.inf])).tolist()
        [False, True]
    """
    return ew.equal(floating("isposinf", x), math.inf)


def nan_to_num(
    x: Any, /, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    """NaN and infinities replaced; infinities by default by the dtype's extremes.

    Example:
        >>> import elinvar as el
        >>> el.nan_to_num(el.asarray([el.nan, 1.0]), nan=-1.0).tolist()
        [-1.0, 1.0]
    """
    x = tensor_of("nan_to_num", x)
    if x.dtype.kind != "f":
        return apart(x, x)
    top = float(finfo(x.dtype).max)
    return _nan_to_num(
        x, nan=float(nan), high=top if posinf is None else float(posinf),
        low=-top if neginf is None else float(neginf),
    )  # fmt: skip


@composite
def _nan_to_num(x: Any, *, nan: float, high: float, low: float) -> Any:
    found = ew.where(F.not_equal(x, x), nan, x)
    return ew.where(ew.equal(x, math.inf), high, ew.where(ew.equal(x, -math.inf), low, found))


def angle(x: Any, /, deg: bool = False) -> Any:
    """The angle of a number from the positive real axis, -π … π (or -180° … 180°).

    Example:
        >>> import elinvar as el
        >>> el.angle(el.asarray([1.0, 2j, -1.0]), deg=True).tolist()
        [0.0, 90.0, 180.0]
    """
    x = floating("angle", x)
    found = F.atan2(F.imag(x), F.real(x)) if x.dtype.kind == "c" else _angle(x)
    return rad2deg(found) if deg else found


@composite
def _angle(x: Any) -> Any:
    found = F.where(ew.less(x, 0.0), F.full(math.pi, x), F.zeros_like(x))
    return F.where(F.not_equal(x, x), F.stop_gradient(x), found)


def unwrap(
    x: Any, /, discont: float | None = None, axis: int = -1, *, period: float = 2 * math.pi
) -> Any:
    """Jumps of more than half a period taken out of a sequence by whole periods.

    Example:
        >>> import elinvar as el
        >>> el.unwrap(el.asarray([0.0, 5.0, 1.0]), period=6.0).tolist()
        [0.0, -1.0, 1.0]
    """
    x = floating("unwrap", x)
    axis = normalize_axis("unwrap", axis, x.ndim)
    half = period / 2
    limit = half if discont is None else max(discont, half)
    steps = red.diff(x, axis=axis)
    inside = ew.subtract(ew.remainder(ew.add(steps, half), period), half)
    edge = F.bitwise_and(ew.equal(inside, -half), ew.greater(steps, 0))
    inside = ew.where(edge, half, inside)
    change = ew.where(ew.less(F.abs(steps), limit), 0.0, F.subtract(inside, steps))
    total = red.cumulative_sum(change, axis=axis, include_initial=True)
    return F.add(x, total)


def array_equal(x1: Any, x2: Any, /, equal_nan: bool = False) -> bool:
    """Whether shapes and all elements are equal, as one Python bool.

    Example:
        >>> import elinvar as el
        >>> el.array_equal(el.asarray([1, 2]), [1, 2])
        True
    """
    a, b = tensor_of("array_equal", x1), tensor_of("array_equal", x2)
    if a.shape != b.shape:
        return False
    a, b = pair("array_equal", a, b)
    same = F.equal(a, b)
    if equal_nan:
        same = F.bitwise_or(same, F.bitwise_and(F.not_equal(a, a), F.not_equal(b, b)))
    return bool(red.all(same))


def array_equiv(x1: Any, x2: Any, /) -> bool:
    """Whether two tensors broadcast together and then are equal, as one Python bool.

    Example:
        >>> import elinvar as el
        >>> el.array_equiv(el.asarray([1, 1]), 1)
        True
    """
    a, b = tensor_of("array_equiv", x1), tensor_of("array_equiv", x2)
    try:
        a, b = pair("array_equiv", a, b)
    except ShapeError:
        return False
    return bool(red.all(F.equal(a, b)))


def around(x: Any, /, decimals: int = 0) -> Any:
    """The nearest number with some decimals; halves go to the even neighbour.

    Example:
        >>> import elinvar as el
        >>> el.around(el.asarray([1.25, 2.5]), 1).tolist() == el.asarray([1.2, 2.5]).tolist()
        True
    """
    x = tensor_of("around", x)
    if x.dtype.kind != "f":
        if decimals >= 0:
            return apart(x, x)
        scale = 10**-decimals
        wide = ew.multiply(ew.round(ew.divide(cast(x, float64), scale)), scale)
        return cast(wide, x.dtype)
    return x.round(decimals=decimals)

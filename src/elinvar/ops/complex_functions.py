"""Functions of complex numbers, z = x + iy, as real functions of x and y.

The values at infinities and NaN, the signs of zeros and the branch cuts are those of the Array API
standard, which are C99's (Annex G). The inverse functions follow W. Kahan, "Branch cuts for complex
elementary functions, or much ado about nothing's sign bit" (1987).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from elinvar.core.dtypes import DType, float32
from elinvar.ops.complex_numbers import parts

INFINITY = math.inf
LN2, LN10, HALF_PI = math.log(2.0), math.log(10.0), math.pi / 2


class Real:
    """A real value with Python's operators, so that formulas read as they are written."""

    __slots__ = ("f", "value")

    f: Any
    value: Any

    def __init__(self, f: Any, value: Any) -> None:
        self.f, self.value = f, value

    @property
    def dtype(self) -> DType:
        return self.value.dtype

    def _of(self, other: Any) -> Any:
        return other.value if isinstance(other, Real) else self.f.full(other, self.value)

    def __add__(self, other: Any) -> Real:
        return Real(self.f, self.f.add(self.value, self._of(other)))

    def __sub__(self, other: Any) -> Real:
        return Real(self.f, self.f.subtract(self.value, self._of(other)))

    def __rsub__(self, other: Any) -> Real:
        return Real(self.f, self.f.subtract(self._of(other), self.value))

    def __mul__(self, other: Any) -> Real:
        return Real(self.f, self.f.multiply(self.value, self._of(other)))

    def __truediv__(self, other: Any) -> Real:
        return Real(self.f, self.f.divide(self.value, self._of(other)))

    def __rtruediv__(self, other: Any) -> Real:
        return Real(self.f, self.f.divide(self._of(other), self.value))

    def __neg__(self) -> Real:
        return Real(self.f, self.f.negative(self.value))

    def __lt__(self, other: Any) -> Real:
        return Real(self.f, self.f.less(self.value, self._of(other)))

    def __gt__(self, other: Any) -> Real:
        return Real(self.f, self.f.greater(self.value, self._of(other)))

    def __ge__(self, other: Any) -> Real:
        return Real(self.f, self.f.greater_equal(self.value, self._of(other)))

    def __and__(self, other: Real) -> Real:
        return Real(self.f, self.f.bitwise_and(self.value, other.value))

    def __or__(self, other: Real) -> Real:
        return Real(self.f, self.f.bitwise_or(self.value, other.value))

    def __invert__(self) -> Real:
        return Real(self.f, self.f.bitwise_invert(self.value))

    def eq(self, other: Any) -> Real:
        return Real(self.f, self.f.equal(self.value, self._of(other)))

    def isnan(self) -> Real:
        return Real(self.f, self.f.not_equal(self.value, self.value))

    def isfinite(self) -> Real:
        return Real(self.f, self.f.isfinite(self.value))

    def isinf(self) -> Real:
        return self.abs().eq(INFINITY)

    def apply(self, name: str, *others: Any) -> Real:
        return Real(self.f, getattr(self.f, name)(self.value, *map(self._of, others)))

    def abs(self) -> Real:
        return self.apply("abs")

    def sqrt(self) -> Real:
        return self.apply("sqrt")

    def copysign(self, sign: Any) -> Real:
        return self.apply("copysign", sign)

    def where(self, yes: Any, no: Any) -> Real:
        """`yes` where this condition holds, else `no`; at most one may be a number."""
        like = yes if isinstance(yes, Real) else no
        return Real(self.f, self.f.where(self.value, like._of(yes), like._of(no)))


Pair = tuple[Real, Real]


def _split(f: Any, z: Any) -> Pair:
    x, y = parts(f, z)
    return Real(f, x), Real(f, y)


def _joined(pair: Pair) -> Any:
    return pair[0].f.complex(pair[0].value, pair[1].value)


def _multiply(a: Pair, b: Pair) -> Pair:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def _signed_zero(x: Real) -> Real:
    """0 with the sign of x, +0 for NaN."""
    zero = Real(x.f, x.f.zeros_like(x.value))
    return x.isnan().where(zero, zero.copysign(x))


def _signed(number: float, x: Real) -> Real:
    """A number with the sign of x."""
    return Real(x.f, x.f.full(number, x.value)).copysign(x)


# ---- size ---------------------------------------------------------------------------------------


def _hypot(x: Real, y: Real) -> Real:
    """√(x² + y²) without overflow; 0 with derivative 0 at the origin."""
    a, b = x.abs(), y.abs()
    large, small = a.apply("maximum", b), a.apply("minimum", b)
    infinite = a.eq(INFINITY) | b.eq(INFINITY)
    plain = (large > 0.0) & ~infinite
    divisor = plain.where(large, 1.0)
    ratio = plain.where(small, 0.0) / divisor
    length = large * (ratio * ratio + 1.0).sqrt()
    not_number = x.isnan() | y.isnan()
    return infinite.where(INFINITY, not_number.where(x + y, length))


def _abs(f: Any, z: Any) -> Any:
    return _hypot(*_split(f, z)).value


def _sign(f: Any, z: Any) -> Any:
    """z / |z|, and 0 for 0."""
    x, y = _split(f, z)
    a, b = x.abs(), y.abs()
    large = a.apply("maximum", b)
    zero = large.eq(0.0)
    infinite = large.eq(INFINITY)
    divisor = zero.where(1.0, large)
    # infinite parts count as ±1 beside finite ones
    u = infinite.where(a.eq(INFINITY).where(_signed(1, x), x * 0.0), x / divisor)
    v = infinite.where(b.eq(INFINITY).where(_signed(1, y), y * 0.0), y / divisor)
    length = zero.where(1.0, (u * u + v * v).sqrt())
    return _joined((zero.where(0.0, u / length), zero.where(0.0, v / length)))


def _divide(f: Any, z: Any, w: Any) -> Any:
    """z / w by Smith's method: the quotient of w's parts is at most 1 in size."""
    if w.dtype.kind != "c":
        x, y = parts(f, z)
        return f.complex(f.divide(x, w), f.divide(y, w))
    return _joined(_quotient(_split(f, z), _split(f, w)))


def _quotient(z: Pair, w: Pair) -> Pair:
    """Source: R. L. Smith, "Algorithm 116: Complex division" (1962)."""
    (a, b), (c, d) = z, w
    wide = c.abs() >= d.abs()
    large, small = wide.where(c, d), wide.where(d, c)
    known = ~large.eq(0.0)
    ratio = small / known.where(large, 1.0)
    diagonal = small.isinf() & large.isinf()
    ratio = diagonal.where(_signed(1, small) * _signed(1, large), ratio)
    total = large + small * ratio
    first, second = wide.where(a, b), wide.where(b, a)
    re = (first + second * ratio) / total
    im = wide.where(b - a * ratio, b * ratio - a) / total
    return re, im


def _power(f: Any, z: Any, w: Any) -> Any:
    """z to the power w: exp(w · log z); 0 to a power with positive real part is 0, x⁰ is 1."""
    x, y = _split(f, z)
    c, d = _split(f, w)
    is_zero = x.eq(0.0) & y.eq(0.0)
    safe = is_zero.where(1.0, x), is_zero.where(0.0, y)
    found = _exp_pair(*_multiply((c, d), _log_pair(*safe)))
    is_one = c.eq(0.0) & d.eq(0.0)
    zero_or_nan = ((c > 0.0) & d.isfinite()).where(0.0, Real(f, f.full(math.nan, x.value)))
    re = is_one.where(1.0, is_zero.where(zero_or_nan, found[0]))
    im = is_one.where(0.0, is_zero.where(zero_or_nan, found[1]))
    return _joined((re, im))


# ---- exponentials -------------------------------------------------------------------------------


def _exp_pair(x: Real, y: Real) -> Pair:
    """eˣ (cos y + i sin y)"""
    top = 88.0 if x.dtype is float32 else 709.0
    over = (x > top) & (x < 2.0 * top)  # eˣ is too large where the product may not be
    shift = over.where(math.floor(top * 0.9), _signed_zero(x).abs())
    size = (x - shift).apply("exp")
    more = shift.apply("exp")
    plain = y.isfinite()
    angle = plain.where(y, 0.0)
    nan = y - y  # NaN for infinite and NaN y
    re, im = angle.apply("cos"), angle.apply("sin")
    re, im = plain.where(re, nan), plain.where(im, nan)
    is_real = y.eq(0.0)
    vanishes = x.eq(-INFINITY) & ~plain
    grows = x.eq(INFINITY) & ~plain
    u = vanishes.where(0.0, grows.where(INFINITY, size * re * more))
    v = is_real.where(y, vanishes.where(_signed_zero(y), size * im * more))
    return u, v


def _exp(f: Any, z: Any) -> Any:
    return _joined(_exp_pair(*_split(f, z)))


def _expm1(f: Any, z: Any) -> Any:
    """(eˣ - 1) cos y - 2 sin²(y/2) + i eˣ sin y"""
    x, y = _split(f, z)
    u, v = _exp_pair(x, y)
    inside = x.isfinite() & y.isfinite() & (x.abs() < 1.0)
    a, b = inside.where(x, 0.0), inside.where(y, 0.0)
    half = (b * 0.5).apply("sin")
    near = a.apply("expm1") * b.apply("cos") - half * half * 2.0 + 0.0  # +0 for -0, too
    return _joined((inside.where(near, u - 1.0), v))


def _log_size(x: Real, y: Real) -> Real:
    """log |z|, exact to the last digits near |z| = 1 too."""
    a, b = x.abs(), y.abs()
    large, small = a.apply("maximum", b), a.apply("minimum", b)
    near = (large > 0.5) & (large < 2.0)
    m, n = near.where(large, 1.0), near.where(small, 0.0)
    close = ((m - 1.0) * (m + 1.0) + n * n).apply("log1p") * 0.5
    usual = large.eq(0.0) | ~large.isfinite() | ~small.isfinite()
    tiny = near | usual
    divisor = tiny.where(1.0, large)
    ratio = tiny.where(0.0, small) / divisor
    far = divisor.apply("log") + (ratio * ratio).apply("log1p") * 0.5
    infinite = a.eq(INFINITY) | b.eq(INFINITY)
    odd = infinite.where(INFINITY, (x.isnan() | y.isnan()).where(x + y, -INFINITY))
    return near.where(close, usual.where(odd, far))


def _log_pair(x: Real, y: Real) -> Pair:
    return _log_size(x, y), y.apply("atan2", x)


def _log(f: Any, z: Any) -> Any:
    return _joined(_log_pair(*_split(f, z)))


def _log_to(base: float) -> Callable[..., Any]:
    def rule(f: Any, z: Any) -> Any:
        re, im = _log_pair(*_split(f, z))
        return _joined((re / base, im / base))

    return rule


def _log1p(f: Any, z: Any) -> Any:
    """log √((1 + x)² + y²) + i atan2(y, 1 + x)"""
    x, y = _split(f, z)
    near = (x.abs() < 0.5) & (y.abs() < 0.5)
    a, b = near.where(x, 0.0), near.where(y, 0.0)
    close = (a * (a + 2.0) + b * b).apply("log1p") * 0.5
    re = near.where(close, _log_size(x + 1.0, y))
    return _joined((re, y.apply("atan2", x + 1.0)))


# ---- square root --------------------------------------------------------------------------------


def _sqrt_pair(x: Real, y: Real) -> Pair:
    """t = √((|x| + |z|) / 2); (t, y / 2t) on the right, (|y| / 2t, ±t) on the left."""
    plain = x.isfinite() & y.isfinite()
    a, b = plain.where(x, 1.0), plain.where(y, 0.0)
    large = a.abs().apply("maximum", b.abs())
    huge, tiny = (1e37, 1e-30) if x.dtype is float32 else (1e307, 1e-290)
    grown, shrunk = large < tiny, large > huge
    scale = grown.where(2.0**60, shrunk.where(0.25, _signed(1, x).abs()))
    scale = large.eq(0.0).where(1.0, scale)
    scale = plain.where(scale, 1.0)
    a, b = a * scale, b * scale
    zero = a.eq(0.0) & b.eq(0.0)
    inner = (a.abs() + _hypot(a, b)) * 0.5
    t = zero.where(0.0, zero.where(1.0, inner).sqrt())
    other = b.abs() / zero.where(1.0, t * 2.0)
    right = a >= 0.0
    back = grown.where(2.0**-30, shrunk.where(2.0, _signed(1, x).abs()))
    back = large.eq(0.0).where(1.0, back)
    back = plain.where(back, 1.0)
    re, im = right.where(t, other) * back, right.where(other, t) * back
    im = im.copysign(y)
    # infinities: y infinite gives ∞ ± i∞, x = -∞ gives 0 ± i∞, x = ∞ gives ∞ ± i0
    y_large = y.isinf()
    left, above = x.eq(-INFINITY), x.eq(INFINITY)
    odd_re = (left & y.isfinite()).where(0.0, above.where(INFINITY, x + y))
    odd_re = y_large.where(INFINITY, odd_re)
    odd_im = left.where(_signed(INFINITY, y), above.where(y * 0.0, x + y))
    odd_im = y_large.where(y, odd_im)
    return plain.where(re, odd_re), plain.where(im, odd_im)


def _sqrt(f: Any, z: Any) -> Any:
    return _joined(_sqrt_pair(*_split(f, z)))


# ---- hyperbolic and circular functions ----------------------------------------------------------


def _hyperbolic(x: Real, y: Real) -> tuple[Real, Real, Real, Real]:
    """sinh x cos y, cosh x sin y, cosh x cos y, sinh x sin y; large x without early overflow."""
    top = 85.0 if x.dtype is float32 else 700.0
    size = x.abs()
    over = (size > top) & (size < 2.0 * top)
    rest = over.where(size - top, size).copysign(x)
    factor = over.where(math.exp(top), _signed(1, x).abs())
    factor = size.isfinite().where(factor, 1.0)
    sinh, cosh = rest.apply("sinh"), rest.apply("cosh")
    half = over.where(rest.abs().apply("exp") * 0.5, 1.0)  # both are eˣ / 2 there
    sinh, cosh = over.where(half.copysign(x), sinh), over.where(half, cosh)
    sin, cos = y.apply("sin"), y.apply("cos")
    return sinh * cos * factor, cosh * sin * factor, cosh * cos * factor, sinh * sin * factor


def _sinh_pair(x: Real, y: Real) -> Pair:
    re, im, _, _ = _hyperbolic(x, y)
    re_zero, im_zero = x.eq(0.0), y.eq(0.0)
    infinite = x.isinf() & ~y.isfinite()
    re = re_zero.where(x, infinite.where(x, re))
    return re, im_zero.where(y, infinite.where(math.nan, im))


def _cosh_pair(x: Real, y: Real) -> Pair:
    _, _, re, im = _hyperbolic(x, y)
    flat = x.eq(0.0) | y.eq(0.0)
    infinite = x.isinf() & ~y.isfinite()
    zero = _signed(0, _signed(1, x) * _signed(1, y))
    return infinite.where(INFINITY, re), flat.where(zero, infinite.where(math.nan, im))


def _tanh_pair(x: Real, y: Real) -> Pair:
    """Kahan's form with t = tan y, β = 1 + t², s = sinh x, ρ = √(1 + s²)."""
    top = 11.0 if x.dtype is float32 else 22.0
    large = x.abs() > top
    plain = ~large & y.isfinite() & x.isfinite()
    a, b = plain.where(x, 0.0), plain.where(y, 0.0)
    t, s = b.apply("tan"), a.apply("sinh")
    beta = t * t + 1.0
    rho = (s * s + 1.0).sqrt()
    below = beta * s * s + 1.0
    steep = t.isinf()
    re = steep.where(rho / steep.where(s, 1.0), beta * rho * s / below)
    im = t / below
    one = _signed(1, x)
    known = y.isfinite()
    angle = known.where(y, 0.0)
    far = large & x.isfinite()
    size = far.where(x.abs(), 1.0)
    small = (angle.apply("sin") * angle.apply("cos")) * (size * -2.0).apply("exp") * 4.0
    far_im = x.isinf().where(_signed_zero(y), small)
    far_im = known.where(far_im, x.isinf().where(x * 0.0 * 0.0, y - y))
    far_im = (x.isinf() & ~known).where(_signed_zero(y), far_im)
    nan = x + (y - y)
    odd_re = x.eq(0.0).where(x, nan)  # y is infinite or NaN, or x is NaN
    odd_im = y.eq(0.0).where(y, nan)
    re = large.where((x.isinf() | known).where(one, nan), plain.where(re, odd_re))
    im = large.where(far_im, plain.where(im, odd_im))
    return re, y.eq(0.0).where(y, im)


def _times_i(pair_function: Callable[[Real, Real], Pair]) -> Callable[..., Any]:
    """-i · g(iz), as sin and tan are made of sinh and tanh: iz = -y + ix."""

    def rule(f: Any, z: Any) -> Any:
        x, y = _split(f, z)
        u, v = pair_function(-y, x)
        return _joined((v, -u))

    return rule


def _of_pair(pair_function: Callable[[Real, Real], Pair]) -> Callable[..., Any]:
    return lambda f, z: _joined(pair_function(*_split(f, z)))


def _cos(f: Any, z: Any) -> Any:
    """cosh(iz)"""
    x, y = _split(f, z)
    return _joined(_cosh_pair(-y, x))


# ---- inverse functions --------------------------------------------------------------------------


def _huge(x: Real, y: Real) -> Real:
    """Where |z| is so large that z² + 1 is z² and may overflow."""
    limit = 1e9 if x.dtype is float32 else 1e150
    return (x.abs() > limit) | (y.abs() > limit)


def _asinh_pair(x: Real, y: Real) -> Pair:
    """Re: asinh(Re(√(1 + iz)* … )), as i · asin(-iz); see `_asin_pair`."""
    u, v = _asin_pair(-y, x)
    return v, -u


def _asin_pair(x: Real, y: Real) -> Pair:
    """Re: atan2(x, Re(√(1 - z) √(1 + z))); Im: asinh(Im(√(1 - z)* √(1 + z)))."""
    huge = _huge(x, y)
    plain = ~huge & x.isfinite() & y.isfinite()
    a, b = plain.where(x, 0.0), plain.where(y, 0.0)
    p, q = _sqrt_pair(1.0 - a, -b)
    r, s = _sqrt_pair(a + 1.0, b)
    re = a.apply("atan2", p * r - q * s)
    im = (p * s - q * r).apply("asinh").abs().copysign(y)
    log_size = _log_size(x, y) + LN2
    far_re = x.apply("atan2", y.abs())
    far_im = log_size.copysign(y)
    nan = x + y
    odd_re = x.eq(0.0).where(x, nan)
    re = plain.where(re, (x.isnan() | y.isnan()).where(odd_re, far_re))
    odd_im = y.isinf().where(y, x.isinf().where(x.abs().copysign(y), nan))
    im = plain.where(im, (x.isnan() | y.isnan()).where(odd_im, far_im))
    return re, im


def _acos_pair(x: Real, y: Real) -> Pair:
    """Re: 2 atan2(Re √(1 - z), Re √(1 + z)); Im: asinh(Im(√(1 + z)* √(1 - z)))."""
    huge = _huge(x, y)
    plain = ~huge & x.isfinite() & y.isfinite()
    a, b = plain.where(x, 0.0), plain.where(y, 0.0)
    p, q = _sqrt_pair(1.0 - a, -b)
    r, s = _sqrt_pair(a + 1.0, b)
    re = p.apply("atan2", r) * 2.0
    im = -((r * q - s * p).apply("asinh").abs().copysign(y))
    far_re = y.abs().apply("atan2", x)
    far_im = -((_log_size(x, y) + LN2).copysign(y))
    not_number = x.isnan() | y.isnan()
    nan = x + y
    odd_re = (x.eq(0.0) & y.isnan()).where(HALF_PI, nan)
    odd_im = y.isinf().where(-y, x.isinf().where(-(x.abs().copysign(y)), nan))
    return (
        plain.where(re, not_number.where(odd_re, far_re)),
        plain.where(im, not_number.where(odd_im, far_im)),
    )


def _acosh_pair(x: Real, y: Real) -> Pair:
    """±i acos z, with a positive real part."""
    u, v = _acos_pair(x, y)
    return v.abs(), u.copysign(y)


def _atanh_pair(x: Real, y: Real) -> Pair:
    """Re: log1p(4x / ((1 - x)² + y²)) / 4; Im: atan2(2y, (1 - x)(1 + x) - y²) / 2."""
    huge = _huge(x, y)
    plain = ~huge & x.isfinite() & y.isfinite()
    a, b = plain.where(x.abs(), 0.0), plain.where(y, 0.0)
    off = 1.0 - a
    below = off * off + b * b
    pole = below.eq(0.0)
    close = (a * 4.0 / pole.where(1.0, below)).apply("log1p") * 0.25
    re = pole.where(INFINITY, close).copysign(x)
    im = (b * 2.0).apply("atan2", off * (a + 1.0) - b * b) * 0.5
    im = pole.where(b * 0.0, im)
    quarter = _signed(HALF_PI, y)
    # far away: 1/z with its real part, and ±π/2
    large, small = x.abs().apply("maximum", y.abs()), x.abs().apply("minimum", y.abs())
    finite = large.isfinite() & ~large.eq(0.0)
    ratio = finite.where(small, 0.0) / finite.where(large, 1.0)
    inverse = (x / finite.where(large, 1.0)) / (ratio * ratio + 1.0) / finite.where(large, 1.0)
    far_re = finite.where(inverse, 0.0).abs().copysign(x)
    not_number = x.isnan() | y.isnan()
    nan = x + y
    vanishes = x.eq(0.0) | x.isinf() | y.isinf()  # beside a NaN
    odd_re = vanishes.where(_signed_zero(x), nan)
    odd_im = (x.isnan() & y.isinf()).where(quarter, nan)
    return (
        plain.where(re, not_number.where(odd_re, far_re)),
        plain.where(im, not_number.where(odd_im, quarter)),
    )


RULES: dict[str, Callable[..., Any]] = {
    "abs": _abs,
    "sign": _sign,
    "divide": _divide,
    "power": _power,
    "exp": _exp,
    "expm1": _expm1,
    "log": _log,
    "log1p": _log1p,
    "log2": _log_to(LN2),
    "log10": _log_to(LN10),
    "sqrt": _sqrt,
    "sinh": _of_pair(_sinh_pair),
    "cosh": _of_pair(_cosh_pair),
    "tanh": _of_pair(_tanh_pair),
    "sin": _times_i(_sinh_pair),
    "cos": _cos,
    "tan": _times_i(_tanh_pair),
    "asin": _of_pair(_asin_pair),
    "acos": _of_pair(_acos_pair),
    "asinh": _of_pair(_asinh_pair),
    "acosh": _of_pair(_acosh_pair),
    "atanh": _of_pair(_atanh_pair),
    "atan": _times_i(_atanh_pair),
}

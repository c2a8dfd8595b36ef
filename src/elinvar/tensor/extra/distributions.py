"""Continuous distributions by formulas of one uniform or a few normal numbers.

u is uniform in (0, 1), e = -log u exponential, n normal. All of them pass gradients on to their
parameters.
"""

from __future__ import annotations

import math
from typing import Any

from elinvar.core.dtypes import as_dtype, default_float, float64
from elinvar.tensor import elementwise as ew
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, expand
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra import drawing
from elinvar.tensor.extra.drawing import check, float_dtype, parameters, tensors_only
from elinvar.tensor.extra.shaped import gamma
from elinvar.tensor.extra.special_error import ndtr, ndtri
from elinvar.tensor.streams import source


def _exponential(u: Any) -> Any:
    return F.negative(F.log(u))


@composite
def _gumbel(u: Any) -> Any:
    return F.negative(F.log(_exponential(u)))


def gumbel(
    loc: Any = 0.0, scale: Any = 1.0, size: Any = None, *, dtype: Any = None,
    generator: Any = None, key: Any = None,
) -> Any:  # fmt: skip
    """Numbers from the Gumbel distribution: loc - scale · log(-log u).

    Example:
        >>> import elinvar as el
        >>> el.random.gumbel(size=(3,)).shape
        (3,)
    """
    return drawing.drawn(
        "gumbel", size, dtype, generator, key,
        lambda u, a, s: ew.add(ew.multiply(_gumbel(u), s), a), loc, scale,
    )  # fmt: skip


@composite
def _laplace(u: Any) -> Any:
    gap = ew.subtract(ew.multiply(u, 2.0), 1.0)
    return F.negative(F.multiply(F.sign(gap), F.log1p(F.negative(F.abs(gap)))))


def laplace(
    loc: Any = 0.0, scale: Any = 1.0, size: Any = None, *, dtype: Any = None,
    generator: Any = None, key: Any = None,
) -> Any:  # fmt: skip
    """Numbers from the Laplace distribution, of density exp(-|x - loc| / scale) / (2 scale).

    Example:
        >>> import elinvar as el
        >>> el.random.laplace(size=(3,)).shape
        (3,)
    """
    return drawing.drawn(
        "laplace", size, dtype, generator, key,
        lambda u, a, s: ew.add(ew.multiply(_laplace(u), s), a), loc, scale,
    )  # fmt: skip


@composite
def _logistic(u: Any) -> Any:
    return F.subtract(F.log(u), F.log1p(F.negative(u)))


def logistic(
    loc: Any = 0.0, scale: Any = 1.0, size: Any = None, *, dtype: Any = None,
    generator: Any = None, key: Any = None,
) -> Any:  # fmt: skip
    """Numbers from the logistic distribution: loc + scale · log(u / (1 - u)).

    Example:
        >>> import elinvar as el
        >>> el.random.logistic(size=(3,)).shape
        (3,)
    """
    return drawing.drawn(
        "logistic", size, dtype, generator, key,
        lambda u, a, s: ew.add(ew.multiply(_logistic(u), s), a), loc, scale,
    )  # fmt: skip


@composite
def _cauchy(u: Any) -> Any:
    return F.tan(ew.multiply(ew.subtract(u, 0.5), math.pi))


def cauchy(
    loc: Any = 0.0, scale: Any = 1.0, size: Any = None, *, dtype: Any = None,
    generator: Any = None, key: Any = None,
) -> Any:  # fmt: skip
    """Numbers from the Cauchy distribution: loc + scale · tan(π (u - ½)).

    Example:
        >>> import elinvar as el
        >>> el.random.cauchy(size=(3,)).shape
        (3,)
    """
    return drawing.drawn(
        "cauchy", size, dtype, generator, key,
        lambda u, a, s: ew.add(ew.multiply(_cauchy(u), s), a), loc, scale,
    )  # fmt: skip


def pareto(
    b: Any, size: Any = None, *, dtype: Any = None, generator: Any = None, key: Any = None
) -> Any:
    """Numbers from the Pareto distribution on 1 … ∞, of density b / x^(b + 1): exp(e / b).

    As in JAX; NumPy's `pareto` is this less 1.

    Example:
        >>> import elinvar as el
        >>> bool((el.random.pareto(2.0, (9,)) >= 1).all())
        True
    """
    (x,), _ = parameters("pareto", None, b)
    check("pareto", "b", x)
    return drawing.drawn(
        "pareto", size, dtype, generator, key,
        lambda u, p: F.exp(F.divide(_exponential(u), p)), b,
    )  # fmt: skip


def rayleigh(
    scale: Any = 1.0, size: Any = None, *, dtype: Any = None, generator: Any = None,
    key: Any = None,
) -> Any:  # fmt: skip
    """Numbers from the Rayleigh distribution: scale · √(2e).

    Example:
        >>> import elinvar as el
        >>> bool((el.random.rayleigh(size=(9,)) > 0).all())
        True
    """
    return drawing.drawn(
        "rayleigh", size, dtype, generator, key,
        lambda u, s: F.multiply(F.sqrt(ew.multiply(_exponential(u), 2.0)), s), scale,
    )  # fmt: skip


def weibull(
    a: Any, size: Any = None, *, scale: Any = 1.0, dtype: Any = None, generator: Any = None,
    key: Any = None,
) -> Any:  # fmt: skip
    """Numbers from the Weibull distribution with shape a: scale · e^(1/a).

    Example:
        >>> import elinvar as el
        >>> bool((el.random.weibull(1.5, (9,)) > 0).all())
        True
    """
    (x, _), _ = parameters("weibull", None, a, scale)
    check("weibull", "a", x)
    return drawing.drawn(
        "weibull", size, dtype, generator, key,
        lambda u, p, s: F.multiply(ew.pow(_exponential(u), ew.divide(1.0, p)), s), a, scale,
    )  # fmt: skip


def triangular(
    left: Any, mode: Any, right: Any, size: Any = None, *, dtype: Any = None,
    generator: Any = None, key: Any = None,
) -> Any:  # fmt: skip
    """Numbers from the triangular distribution on left … right with its peak at mode.

    Example:
        >>> import elinvar as el
        >>> x = el.random.triangular(0.0, 1.0, 3.0, (9,))
        >>> bool(((x >= 0) & (x <= 3)).all())
        True
    """
    (low, peak, high), _ = parameters("triangular", None, left, mode, right)
    check("triangular", "right - left", ew.subtract(high, low))
    check("triangular", "mode - left", ew.subtract(peak, low), strict=False)
    check("triangular", "right - mode", ew.subtract(high, peak), strict=False)
    return drawing.drawn(
        "triangular", size, dtype, generator, key, _triangular, left, mode, right
    )


@composite
def _triangular(u: Any, low: Any, peak: Any, high: Any) -> Any:
    width = F.subtract(high, low)
    rising = F.less(F.multiply(u, width), F.subtract(peak, low))
    up = F.sqrt(ew.where(rising, F.multiply(F.multiply(u, width), F.subtract(peak, low)), 1.0))
    rest = F.multiply(F.multiply(ew.subtract(1.0, u), width), F.subtract(high, peak))
    down = F.sqrt(ew.where(rising, 1.0, rest))
    return F.where(rising, F.add(low, up), F.subtract(high, down))


def lognormal(
    mean: Any = 0.0, sigma: Any = 1.0, size: Any = None, *, dtype: Any = None,
    generator: Any = None, key: Any = None,
) -> Any:  # fmt: skip
    """Numbers whose logarithms are normal: exp(mean + sigma · n).

    Example:
        >>> import elinvar as el
        >>> bool((el.random.lognormal(size=(9,)) > 0).all())
        True
    """
    tensors, shape = parameters("lognormal", size, mean, sigma)
    check("lognormal", "sigma", tensors[1], strict=False)
    kind = float_dtype("lognormal", dtype, *tensors_only((mean, sigma)))
    wide = drawing.wide_of(kind)
    m, s = (expand(cast(x, wide), shape) for x in tensors)
    n = drawing.normal(source(generator, key), shape, kind)
    return cast(F.exp(F.add(F.multiply(n, s), m)), kind)


def maxwell(
    size: Any = (), *, dtype: Any = None, generator: Any = None, key: Any = None
) -> Any:
    """Numbers from the Maxwell distribution: the length of three normal numbers.

    Example:
        >>> import elinvar as el
        >>> bool((el.random.maxwell((9,)) > 0).all())
        True
    """
    _, shape = parameters("maxwell", size)
    kind = float_dtype("maxwell", dtype)
    n = drawing.normal(source(generator, key), (*shape, 3), kind)
    return cast(F.sqrt(F.sum(F.multiply(n, n), axes=(n.ndim - 1,))), kind)


def truncated_normal(
    lower: Any, upper: Any, size: Any = None, *, dtype: Any = None, generator: Any = None,
    key: Any = None,
) -> Any:  # fmt: skip
    """Normal numbers that lie between two bounds (which may be infinite).

    They are quantiles of a uniform share between both bounds' probabilities, taken on the side of
    0 where those are small, in float64; so the tails are exact, too.

    Example:
        >>> import elinvar as el
        >>> x = el.random.truncated_normal(-2.0, 2.0, (100,))
        >>> bool(((x >= -2) & (x <= 2)).all())
        True
    """
    (low, high), shape = parameters("truncated_normal", size, lower, upper)
    check("truncated_normal", "upper - lower", ew.subtract(high, low))
    kind = float_dtype("truncated_normal", dtype, *tensors_only((lower, upper)))
    u = drawing.uniform(source(generator, key), shape, float64)
    a, b = (expand(cast(x, float64), shape) for x in (low, high))
    return cast(_between(u, a, b), kind)


@composite
def _between(u: Any, a: Any, b: Any) -> Any:
    right = ew.greater(F.add(a, b), 0.0)
    low, high = F.where(right, F.negative(b), a), F.where(right, F.negative(a), b)
    below, above = ndtr(low), ndtr(high)
    z = ndtri(F.add(below, F.multiply(F.subtract(above, below), u)))
    z = F.minimum(F.maximum(z, low), high)
    return F.where(right, F.negative(z), z)


def t(
    df: Any, size: Any = None, *, dtype: Any = None, generator: Any = None, key: Any = None
) -> Any:
    """Numbers from Student's distribution with df degrees of freedom: n / √(gamma(df/2) · 2/df).

    Example:
        >>> import elinvar as el
        >>> el.random.t(5.0, (3,)).shape
        (3,)
    """
    (freedom,), shape = parameters("t", size, df)
    check("t", "df", freedom)
    kind = float_dtype("t", dtype, *tensors_only((df,)))
    stream = source(generator, key)
    n = drawing.normal(stream, shape, kind)
    half = expand(ew.multiply(cast(freedom, drawing.wide_of(kind)), 0.5), shape)
    g = gamma(half, dtype=half.dtype, key=drawing.spawned_of(stream))
    return cast(F.multiply(n, F.sqrt(F.divide(half, g))), kind)


def chisquare(
    df: Any, size: Any = None, *, dtype: Any = None, generator: Any = None, key: Any = None
) -> Any:
    """Numbers from the χ² distribution with df degrees of freedom: 2 · gamma(df/2).

    Example:
        >>> import elinvar as el
        >>> bool((el.random.chisquare(3.0, (9,)) > 0).all())
        True
    """
    (freedom,), _ = parameters("chisquare", None, df)
    check("chisquare", "df", freedom)
    kind = float_dtype("chisquare", dtype, *tensors_only((df,)))
    half = ew.multiply(cast(freedom, kind), 0.5)
    found = gamma(half, size=size, dtype=kind, generator=generator, key=key)
    return ew.multiply(found, 2.0)


def f(
    dfnum: Any, dfden: Any, size: Any = None, *, dtype: Any = None, generator: Any = None,
    key: Any = None,
) -> Any:  # fmt: skip
    """Numbers from the F distribution: the ratio of two χ² variables over their freedoms.

    Example:
        >>> import elinvar as el
        >>> bool((el.random.f(3.0, 5.0, (9,)) > 0).all())
        True
    """
    (top, bottom), shape = parameters("f", size, dfnum, dfden)
    check("f", "dfnum", top)
    check("f", "dfden", bottom)
    kind = float_dtype("f", dtype, *tensors_only((dfnum, dfden)))
    wide, stream = drawing.wide_of(kind), source(generator, key)
    m, n = (expand(ew.multiply(cast(x, wide), 0.5), shape) for x in (top, bottom))
    p = gamma(m, dtype=wide, key=drawing.spawned_of(stream))
    q = gamma(n, dtype=wide, key=drawing.spawned_of(stream))
    return cast(F.divide(F.divide(p, m), F.divide(q, n)), kind)


def wald(
    mean: Any, scale: Any = 1.0, size: Any = None, *, dtype: Any = None, generator: Any = None,
    key: Any = None,
) -> Any:  # fmt: skip
    """Numbers from the inverse normal (Wald's) distribution.

    Source: Michael, Schucany, Haas, "Generating random variates using transformations with multiple
    roots", The American Statistician 30 (1976).

    Example:
        >>> import elinvar as el
        >>> bool((el.random.wald(1.0, 2.0, (9,)) > 0).all())
        True
    """
    tensors, shape = parameters("wald", size, mean, scale)
    check("wald", "mean", tensors[0])
    check("wald", "scale", tensors[1])
    kind = float_dtype("wald", dtype, *tensors_only((mean, scale)))
    stream = source(generator, key)
    n, u = drawing.normal(stream, shape, float64), drawing.uniform(stream, shape, float64)
    return cast(_wald(n, u, *(expand(cast(x, float64), shape) for x in tensors)), kind)


@composite
def _wald(n: Any, u: Any, mean: Any, scale: Any) -> Any:
    y = F.multiply(mean, F.multiply(n, n))
    root = F.sqrt(F.multiply(y, ew.add(ew.multiply(scale, 4.0), y)))
    # the smaller root, without cancellation: μ·2λ / (2λ + y + √(y(4λ + y)))
    twice = ew.multiply(scale, 2.0)
    small = F.multiply(mean, F.divide(twice, F.add(F.add(twice, y), root)))
    first = F.less_equal(F.multiply(u, F.add(mean, small)), mean)
    return F.where(first, small, F.divide(F.multiply(mean, mean), small))


def rademacher(
    size: Any = (), *, dtype: Any = None, generator: Any = None, key: Any = None
) -> Any:
    """-1 or 1, with equal probability.

    Example:
        >>> import elinvar as el
        >>> bool((el.random.rademacher((9,)) ** 2 == 1).all())
        True
    """
    _, shape = parameters("rademacher", size)
    up = ew.less(source(generator, key).bits(shape), 2**31)
    kind = as_dtype(dtype or default_float)
    return ew.subtract(ew.multiply(cast(up, kind), 2), 1)


def geometric(
    p: Any, size: Any = None, *, dtype: Any = None, generator: Any = None, key: Any = None
) -> Any:
    """The number of the first of independent trials that succeeds, each with probability p.

    Example:
        >>> import elinvar as el
        >>> bool((el.random.geometric(0.3, (9,)) >= 1).all())
        True
    """
    (share,), shape = parameters("geometric", size, p)
    check("geometric", "p", share)
    drawing.check_share("geometric", "p", share)
    u = drawing.uniform(source(generator, key), shape, float64)
    found = _first_success(u, expand(cast(share, float64), shape))
    return cast(found, as_dtype(dtype or "int64"))


@composite
def _first_success(u: Any, p: Any) -> Any:
    sure = ew.greater_equal(p, 1.0)
    rest = F.log1p(F.negative(ew.where(sure, 0.5, p)))
    found = ew.maximum(F.ceil(F.divide(F.log(u), rest)), 1.0)
    return ew.where(sure, 1.0, found)

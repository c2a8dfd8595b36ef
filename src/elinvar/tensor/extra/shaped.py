"""Gamma, beta and Dirichlet variables with gradients; normal vectors, balls, rotations.

The derivative of a gamma variable with respect to its shape is that of the quantile at a fixed
probability (implicit reparameterisation); those of the others follow from it.
"""

from __future__ import annotations

import math
from typing import Any

from elinvar.core.dtypes import float64
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import broadcast_shapes
from elinvar.tensor import elementwise as ew
from elinvar.tensor import linear as lin
from elinvar.tensor import manipulation as man
from elinvar.tensor import reductions as red
from elinvar.tensor.composite import composite
from elinvar.tensor.control import fori_loop
from elinvar.tensor.convert import cast, expand, tensor_of
from elinvar.tensor.creation import checked_shape
from elinvar.tensor.custom import custom_vjp
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra import drawing
from elinvar.tensor.extra.drawing import check, float_dtype, parameters, tensors_only
from elinvar.tensor.extra.sampling_loops import log_gamma_draws
from elinvar.tensor.extra.special_entropy import expit
from elinvar.tensor.extra.special_gamma import digamma
from elinvar.tensor.extra.special_incomplete import random_gamma_grad
from elinvar.tensor.streams import source


@custom_vjp
def _attached(a: Any, log_sample: Any) -> Any:
    """The sample, with d log x / da = (dx/da) / x."""
    return F.reshape(log_sample, shape=log_sample.shape)


def _slope(residuals: Any, g: Any) -> Any:
    a, log_sample = residuals
    wide, place = cast(a, float64), cast(log_sample, float64)
    tiny = ew.less(place, math.log(1e-9))  # there P(a, x) = x^a / Γ(a + 1)
    x = ew.exp(ew.where(tiny, 0.0, place))
    usual = ew.divide(random_gamma_grad(wide, x), x)
    near = ew.divide(ew.subtract(digamma(ew.add(wide, 1.0)), place), wide)
    return F.multiply(g, cast(F.where(tiny, near, usual), a.dtype)), None


_attached.defvjp(lambda a, x: (F.reshape(x, shape=x.shape), (a, F.stop_gradient(x))), _slope)


def _log_gamma(a: Any, state: Any) -> Any:
    """Logarithms of gamma variables of shape a (float32 or float64), from a stream's state."""
    return _attached(a, F.stop_gradient(log_gamma_draws(state, F.stop_gradient(a))))


def loggamma(
    a: Any, size: Any = None, *, dtype: Any = None, generator: Any = None, key: Any = None
) -> Any:
    """Logarithms of gamma variables with shape a, exact also where those would be 0.

    Example:
        >>> import elinvar as el
        >>> bool(el.isfinite(el.random.loggamma(1e-3, (9,))).all())
        True
    """
    (x,), shape = parameters("loggamma", size, a)
    check("loggamma", "a", x)
    kind = float_dtype("loggamma", dtype, *tensors_only((a,)))
    x = expand(cast(x, drawing.wide_of(kind)), shape)
    return cast(_log_gamma(x, drawing.spawned(generator, key)), kind)


def gamma(
    a: Any, scale: Any = 1.0, size: Any = None, *, dtype: Any = None, generator: Any = None,
    key: Any = None,
) -> Any:  # fmt: skip
    """Numbers from the gamma distribution, of density x^(a-1) exp(-x/scale) / (Γ(a) scale^a).

    Gradients flow to the shape a and to the scale.

    Source: Marsaglia, Tsang, "A simple method for generating gamma variables" (2000).

    Example:
        >>> import elinvar as el
        >>> bool((el.random.gamma(2.0, size=(9,)) > 0).all())
        True
    """
    (x, s), shape = parameters("gamma", size, a, scale)
    check("gamma", "a", x)
    check("gamma", "scale", s, strict=False)
    kind = float_dtype("gamma", dtype, *tensors_only((a, scale)))
    wide = drawing.wide_of(kind)
    x, s = (expand(cast(v, wide), shape) for v in (x, s))
    found = F.exp(_log_gamma(x, drawing.spawned(generator, key)))
    return cast(F.multiply(found, s), kind)


def beta(
    a: Any, b: Any, size: Any = None, *, dtype: Any = None, generator: Any = None, key: Any = None
) -> Any:
    """Numbers from the beta distribution, of density x^(a-1) (1-x)^(b-1) / B(a, b).

    Gradients flow to both parameters.

    Example:
        >>> import elinvar as el
        >>> x = el.random.beta(2.0, 3.0, (9,))
        >>> bool(((x > 0) & (x < 1)).all())
        True
    """
    (p, q), shape = parameters("beta", size, a, b)
    check("beta", "a", p)
    check("beta", "b", q)
    kind = float_dtype("beta", dtype, *tensors_only((a, b)))
    wide, stream = drawing.wide_of(kind), source(generator, key)
    p, q = (expand(cast(v, wide), shape) for v in (p, q))
    left = _log_gamma(p, drawing.spawned_of(stream))
    right = _log_gamma(q, drawing.spawned_of(stream))
    return cast(expit(F.subtract(left, right)), kind)


def dirichlet(
    alpha: Any, size: Any = None, *, dtype: Any = None, generator: Any = None, key: Any = None
) -> Any:
    """Vectors of shares that add up to 1, from the Dirichlet distribution.

    Args:
        alpha: (…, k) positive numbers.
        size: the shape of the draw without its last axis.

    Example:
        >>> import elinvar as el
        >>> el.random.dirichlet(el.ones(3), (4,)).shape
        (4, 3)
    """
    x = tensor_of("dirichlet", alpha)
    if not x.ndim:
        fail(ShapeError, "dirichlet", f"alpha needs at least 1 dimension, received {x._type}")
    check("dirichlet", "alpha", x)
    lead = x.shape[:-1] if size is None else checked_shape("dirichlet", size)
    shape = (*lead, x.shape[-1])
    kind = float_dtype("dirichlet", dtype, x)
    x = man.broadcast_to(cast(x, drawing.wide_of(kind)), shape)
    logs = _log_gamma(x, drawing.spawned(generator, key))
    top = F.stop_gradient(red.max(logs, axis=-1, keepdims=True))
    parts = ew.exp(ew.subtract(logs, top))
    return cast(ew.divide(parts, red.sum(parts, axis=-1, keepdims=True)), kind)


# ---- vectors ------------------------------------------------------------------------------------


@composite
def _cholesky(matrices: Any) -> Any:
    """L with L·Lᵀ = A, column by column, in float64."""
    n = matrices.shape[-1]
    a = cast(matrices, float64)
    rank = a.ndim
    place = F.iota(size=n, dtype=float64)

    def column(j: Any, lower: Any) -> Any:
        at = ew.equal(place, cast(j, float64))
        row = F.sum(ew.where(F.reshape(at, shape=(n, 1)), lower, 0.0), axes=(rank - 2,))  # L[j, :]
        own = F.sum(ew.where(at, a, 0.0), axes=(rank - 1,))  # A[:, j]
        rest = F.subtract(own, lin.matmul(lower, F.reshape(row, shape=(*row.shape, 1))).sum(-1))
        pivot = F.sum(ew.where(at, rest, 0.0), axes=(rank - 2,))
        pivot = F.reshape(F.sqrt(pivot), shape=(*pivot.shape, 1))
        found = ew.where(ew.greater_equal(place, cast(j, float64)), ew.divide(rest, pivot), 0.0)
        return ew.where(at, F.reshape(found, shape=(*found.shape, 1)), lower)

    return fori_loop(0, n, column, F.zeros_like(a))


def multivariate_normal(
    mean: Any, cov: Any, size: Any = None, *, dtype: Any = None, generator: Any = None,
    key: Any = None,
) -> Any:  # fmt: skip
    """Normal vectors: mean + L·n with L·Lᵀ = cov.

    Args:
        mean: (…, k).
        cov: (…, k, k), symmetric and positive definite.
        size: the shape of the draw without its last axis.

    Example:
        >>> import elinvar as el
        >>> el.random.multivariate_normal(el.zeros(2), el.eye(2), (5,)).shape
        (5, 2)
    """
    m, c = tensor_of("multivariate_normal", mean), tensor_of("multivariate_normal", cov)
    if not m.ndim or c.ndim < 2 or c.shape[-1] != c.shape[-2] or c.shape[-1] != m.shape[-1]:
        text = f"expected a mean [k] and a cov [k, k], received {m._type} and {c._type}"
        fail(ShapeError, "multivariate_normal", text)
    kind = float_dtype("multivariate_normal", dtype, m, c)
    lead = broadcast_shapes("multivariate_normal", m.shape[:-1], c.shape[:-2])
    lead = lead if size is None else checked_shape("multivariate_normal", size)
    lower = _cholesky(c)
    if drawing.is_known(lower) and not bool(red.all(ew.isfinite(lower))):
        fail(ValueRangeError, "multivariate_normal", "cov must be positive definite")
    lower = cast(lower, drawing.wide_of(kind))
    n = drawing.normal(source(generator, key), (*lead, m.shape[-1]), kind)
    turned = lin.matmul(lower, F.reshape(n, shape=(*n.shape, 1)))
    turned = F.reshape(turned, shape=n.shape)
    return cast(ew.add(turned, cast(m, turned.dtype)), kind)


def ball(
    d: int, p: float = 2.0, size: Any = (), *, dtype: Any = None, generator: Any = None,
    key: Any = None,
) -> Any:  # fmt: skip
    """Points uniform in the ball of radius 1 of d dimensions, by the p-norm.

    Example:
        >>> import elinvar as el
        >>> x = el.random.ball(3, size=(9,))
        >>> bool((el.linalg.vector_norm(x, axis=-1) <= 1).all())
        True
    """
    _, shape = parameters("ball", size)
    if not p > 0:
        fail(ValueRangeError, "ball", f"p must be positive, received {p}")
    kind = float_dtype("ball", dtype)
    wide, stream = drawing.wide_of(kind), source(generator, key)
    power = F.full(1 / p, drawing.uniform(stream, (), kind))
    g = gamma(power, size=(*shape, d), dtype=wide, key=drawing.spawned_of(stream))
    signs = ew.where(ew.less(drawing.uniform(stream, (*shape, d), kind), 0.5), -1.0, 1.0)
    extra = F.negative(F.log(drawing.uniform(stream, shape, kind)))
    total = F.add(F.sum(g, axes=(g.ndim - 1,)), extra)
    length = ew.pow(F.reshape(total, shape=(*total.shape, 1)), 1 / p)
    found = ew.divide(ew.multiply(ew.pow(g, 1 / p), cast(signs, wide)), length)
    return cast(found, kind)


@composite
def _turned(matrices: Any) -> Any:
    """The Q of A = Q·R with a positive diagonal of R, by Gram and Schmidt's method, twice."""
    n = matrices.shape[-1]
    a = cast(matrices, float64)
    rank = a.ndim
    place = F.iota(size=n, dtype=float64)

    def column(j: Any, found: Any) -> Any:
        at = ew.equal(place, cast(j, float64))
        own = F.sum(ew.where(at, a, 0.0), axes=(rank - 1,))
        own = F.reshape(own, shape=(*own.shape, 1))
        for _ in range(2):
            own = F.subtract(own, lin.matmul(found, lin.matmul(man.matrix_transpose(found), own)))
        length = F.sqrt(F.sum(F.multiply(own, own), axes=(rank - 2,)))
        own = ew.divide(own, F.reshape(length, shape=(*length.shape, 1)))
        return ew.where(at, own, found)

    return fori_loop(0, n, column, F.zeros_like(a))


def orthogonal(
    n: int, size: Any = (), *, dtype: Any = None, generator: Any = None, key: Any = None
) -> Any:
    """Orthogonal n × n matrices, uniform over all rotations and reflections.

    Example:
        >>> import elinvar as el
        >>> q = el.random.orthogonal(3)
        >>> el.allclose(q @ q.mT, el.eye(3), atol=1e-6)
        True
    """
    _, shape = parameters("orthogonal", size)
    kind = float_dtype("orthogonal", dtype)
    (count,) = checked_shape("orthogonal", (n,))
    draws = drawing.normal(source(generator, key), (*shape, count, count), kind)
    return cast(_turned(draws), kind)


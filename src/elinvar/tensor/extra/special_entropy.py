"""Logistic functions, entropies and other products with logarithms."""

from __future__ import annotations

import math
from typing import Any

from elinvar.tensor import activations
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions as red
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra.special_tools import held, log1pmx, several, unary


def _expit(x: Any) -> Any:
    """The logistic function 1 / (1 + exp(-x)).

    Example:
        >>> import elinvar as el
        >>> el.special.expit(0.0).item()
        0.5
    """
    low = ew.less(x, -36.0)
    tail = F.exp(held(low, x, -40.0))
    return F.where(low, tail, ew.divide(1.0, ew.add(F.exp(F.negative(ew.where(low, 0.0, x))), 1.0)))


def _log_expit(x: Any) -> Any:
    """log(expit(x)) = -log(1 + exp(-x)).

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.log_expit(0.0).item():.6f}")
        -0.693147
    """
    rest = F.log1p(F.exp(F.negative(F.abs(x))))
    return F.subtract(F.minimum(x, F.zeros_like(x)), rest)


def _logit(p: Any) -> Any:
    """log(p / (1 - p)), the inverse of `expit`; ∓∞ at 0 and 1, NaN outside.

    Example:
        >>> import elinvar as el
        >>> el.special.logit(0.5).item()
        0.0
    """
    near = ew.logical_and(ew.greater(p, 0.25), ew.less(p, 0.75))
    middle = ew.multiply(F.atanh(ew.subtract(ew.multiply(held(near, p, 0.5), 2.0), 1.0)), 2.0)
    outside = ew.where(near, 0.1, p)
    far = F.subtract(F.log(outside), F.log1p(F.negative(outside)))
    return F.where(near, middle, far)


expit: Any = unary(_expit, lambda x: ew.multiply(expit(x), expit(ew.negative(x))))
log_expit: Any = unary(_log_expit, lambda x: expit(ew.negative(x)))
logit: Any = unary(_logit, lambda p: ew.divide(1.0, ew.multiply(p, ew.subtract(1.0, p))))


def _xlogy(x: Any, y: Any) -> Any:
    """x·log(y), and 0 where x = 0 (unless y is NaN).

    Example:
        >>> import elinvar as el
        >>> el.special.xlogy(0.0, 0.0).item()
        0.0
    """
    zero = ew.logical_and(ew.equal(x, 0.0), F.equal(y, y))
    return ew.where(zero, 0.0, F.multiply(x, F.log(ew.where(zero, 1.0, y))))


def _xlog1py(x: Any, y: Any) -> Any:
    """x·log(1 + y), and 0 where x = 0 (unless y is NaN).

    Example:
        >>> import elinvar as el
        >>> el.special.xlog1py(0.0, -1.0).item()
        0.0
    """
    zero = ew.logical_and(ew.equal(x, 0.0), F.equal(y, y))
    return ew.where(zero, 0.0, F.multiply(x, F.log1p(ew.where(zero, 1.0, y))))


def _quotient(x: Any, y: Any) -> Any:
    """x / y, and 0 for 0 / 0."""
    zero = ew.equal(x, 0.0)
    return ew.where(zero, 0.0, ew.divide(x, ew.where(zero, 1.0, y)))


xlogy: Any = several(_xlogy, lambda x, y: ew.log(y), _quotient)
xlog1py: Any = several(
    _xlog1py, lambda x, y: ew.log1p(y), lambda x, y: _quotient(x, ew.add(y, 1.0))
)


def _entr(x: Any) -> Any:
    """-x·log(x), 0 at 0 and -∞ below.

    Example:
        >>> import elinvar as el
        >>> el.special.entr(el.asarray([0.0, 1.0])).tolist()
        [0.0, 0.0]
    """
    positive = ew.greater(x, 0.0)
    y = held(positive, x, 1.0)
    found = ew.where(positive, F.negative(F.multiply(y, F.log(y))), -math.inf)
    return F.where(F.not_equal(x, x), x, ew.add(ew.where(ew.equal(x, 0.0), 0.0, found), 0.0))


entr: Any = unary(_entr, lambda x: ew.subtract(-1.0, ew.log(x)))


def _rel_entr(x: Any, y: Any) -> Any:
    """x·log(x / y) for positive x and y, 0 for x = 0 and y ≥ 0, else ∞.

    Example:
        >>> import elinvar as el
        >>> el.special.rel_entr(0.0, 1.0).item()
        0.0
    """
    both = ew.logical_and(ew.greater(x, 0.0), ew.greater(y, 0.0))
    p, q = held(both, x, 1.0), held(both, y, 1.0)
    near = ew.logical_and(F.less(p, q + q), F.less(q, p + p))
    u = F.divide(F.subtract(F.where(near, p, q), q), q)
    # far apart: the quotient may overflow, the logarithms do not
    logarithm = F.where(near, F.log1p(u), F.subtract(F.log(p), F.log(q)))
    zero = ew.logical_and(ew.equal(x, 0.0), ew.greater_equal(y, 0.0))
    found = F.where(both, F.multiply(p, logarithm), ew.where(zero, 0.0, F.full(math.inf, x)))
    return ew.where(ew.logical_or(F.not_equal(x, x), F.not_equal(y, y)), math.nan, found)


rel_entr: Any = several(
    _rel_entr,
    lambda x, y: ew.add(ew.subtract(ew.log(x), ew.log(y)), 1.0),
    lambda x, y: ew.negative(_quotient(x, y)),
)


def _kl_div(x: Any, y: Any) -> Any:
    """x·log(x / y) - x + y, whose sum is the divergence of Kullback and Leibler; ∞ for negative
    operands.

    `nn.functional.kl_div` is PyTorch's, which takes logarithms.

    Example:
        >>> import elinvar as el
        >>> el.special.kl_div(1.0, 1.0).item()
        0.0
    """
    both = ew.logical_and(ew.greater(x, 0.0), ew.greater(y, 0.0))
    p, q = held(both, x, 1.0), held(both, y, 1.0)
    gap = F.divide(F.subtract(q, p), p)
    near = ew.less(F.abs(gap), 0.4)
    u = held(near, gap, 0.0)
    close = ew.subtract(0.0, F.multiply(p, log1pmx(u, ew.add(u, 1.0))))
    far = F.add(F.subtract(_rel_entr(ew.where(near, 2.0, p), ew.where(near, 1.0, q)), p), q)
    zero = ew.logical_and(ew.equal(x, 0.0), ew.greater_equal(y, 0.0))
    found = F.where(both, F.where(near, close, far), F.where(zero, y, F.full(math.inf, x)))
    return ew.where(ew.logical_or(F.not_equal(x, x), F.not_equal(y, y)), math.nan, found)


kl_div: Any = several(
    _kl_div,
    lambda x, y: ew.subtract(ew.log(x), ew.log(y)),
    lambda x, y: ew.subtract(1.0, _quotient(x, y)),
)


def softmax(x: Any, /, axis: Any = None) -> Any:
    """exp(x) / Σ exp(x) along axes (all if None).

    Example:
        >>> import elinvar as el
        >>> el.special.softmax(el.asarray([0.0, 0.0])).tolist()
        [0.5, 0.5]
    """
    if isinstance(axis, int):
        return activations.softmax(x, axis)
    return ew.exp(log_softmax(x, axis))


def log_softmax(x: Any, /, axis: Any = None) -> Any:
    """x - log Σ exp(x) along axes (all if None).

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.log_softmax(el.asarray([0.0, 0.0]))[0].item():.6f}")
        -0.693147
    """
    if isinstance(axis, int):
        return activations.log_softmax(x, axis)
    return ew.subtract(x, red.logsumexp(x, axis=axis, keepdims=True))


def logsumexp(
    a: Any, /, axis: Any = None, b: Any = None, keepdims: bool = False
) -> Any:
    """log Σ b·exp(a) along axes (all if None), without overflow.

    Args:
        b: weights of the terms; a negative sum gives NaN.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.logsumexp(el.asarray([1000.0, 1000.0])).item():.3f}")
        1000.693
    """
    if b is None:
        return red.logsumexp(a, axis=axis, keepdims=keepdims)
    a, b = ew.add(a, ew.multiply(b, 0.0)), ew.add(b, ew.multiply(a, 0.0))
    a = ew.where(ew.equal(b, 0.0), -math.inf, a)
    top = F.stop_gradient(red.max(a, axis=axis, keepdims=True))
    shift = ew.where(ew.isfinite(top), top, 0.0)
    total = red.sum(ew.multiply(b, ew.exp(ew.subtract(a, shift))), axis=axis, keepdims=keepdims)
    back = shift if keepdims else red.max(shift, axis=axis)
    return ew.add(ew.log(total), back)


def softplus(x: Any, /) -> Any:
    """log(1 + exp(x)), without overflow.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.special.softplus(0.0).item():.6f}")
        0.693147
    """
    return ew.negative(log_expit(ew.negative(x)))


__all__ = [
    "entr", "expit", "kl_div", "log_expit", "log_softmax", "logit", "logsumexp", "rel_entr",
    "softmax", "softplus", "xlog1py", "xlogy",
]  # fmt: skip

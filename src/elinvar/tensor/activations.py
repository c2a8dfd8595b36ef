"""Activation functions: elementwise composites and softmax. `nn.functional` gives them their names.

All of them compute 16-bit floats in float32 and round once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from elinvar.core.dtypes import accumulator
from elinvar.core.errors import ValueRangeError, fail
from elinvar.core.shapes import normalize_axis
from elinvar.tensor import elementwise as ew
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import ArrayLike, cast, floating, tensor_of
from elinvar.tensor.dispatch import F
from elinvar.tensor.reductions import spread


def _wide(x: Any) -> Any:
    return cast(x, accumulator(x.dtype))


def relu(x: ArrayLike) -> Any:
    """max(0, x); its gradient at 0 is 0. NaN stays NaN.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.relu(el.asarray([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """
    return _relu(tensor_of("relu", x))


@composite
def _relu(x: Any) -> Any:
    zero = F.zeros_like(x)
    return F.where(F.less_equal(x, zero), zero, x)


def sigmoid(x: ArrayLike) -> Any:
    """1 / (1 + exp(-x)), without overflow.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.sigmoid(el.asarray([0.0])).tolist()
        [0.5]
    """
    return _sigmoid(floating("sigmoid", x))


@composite
def _sigmoid(x: Any) -> Any:
    return cast(wide_sigmoid(_wide(x)), x.dtype)


def wide_sigmoid(x: Any) -> Any:
    """The logistic function; exp(-x) overflows to ∞ harmlessly, and the quotient is then 0."""
    return ew.divide(1.0, ew.add(F.exp(F.negative(x)), 1.0))


def silu(x: ArrayLike) -> Any:
    """x · sigmoid(x), also called swish.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.silu(el.asarray([0.0])).tolist()
        [0.0]
    """
    return _silu(floating("silu", x))


@composite
def _silu(x: Any) -> Any:
    wide = _wide(x)
    return cast(F.divide(wide, ew.add(F.exp(F.negative(wide)), 1.0)), x.dtype)


def gelu(x: ArrayLike, approximate: str = "none") -> Any:
    """x · Φ(x) with the normal distribution function Φ.

    Args:
        approximate: "none": Φ(x) = ½ (1 + erf(x / √2));
            "tanh": ½ (1 + tanh(√(2/π) (x + 0.044715 x³))).

    Source: Hendrycks, Gimpel, "Gaussian Error Linear Units" (2016).

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.gelu(el.asarray([0.0])).tolist()
        [0.0]
    """
    if approximate not in ("none", "tanh"):
        text = f"approximate must be 'none' or 'tanh', received {approximate!r}"
        fail(ValueRangeError, "gelu", text)
    return _gelu(floating("gelu", x), approximate=approximate)


@composite
def _gelu(x: Any, *, approximate: str) -> Any:
    wide = _wide(x)
    if approximate == "tanh":
        cubic = ew.multiply(F.multiply(F.multiply(wide, wide), wide), 0.044715)
        inner = ew.multiply(F.add(wide, cubic), math.sqrt(2 / math.pi))
        share = ew.add(F.tanh(inner), 1.0)
    else:
        share = ew.add(F.erf(ew.multiply(wide, math.sqrt(0.5))), 1.0)
    return cast(F.multiply(ew.multiply(wide, 0.5), share), x.dtype)


def softplus(x: ArrayLike, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta · x)) / beta; the identity where beta · x > threshold.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.softplus(el.asarray([100.0])).tolist()
        [100.0]
    """
    return _softplus(floating("softplus", x), beta=float(beta), threshold=float(threshold))


@composite
def _softplus(x: Any, *, beta: float, threshold: float) -> Any:
    wide = _wide(x)
    scaled = ew.multiply(wide, beta)
    large = ew.greater(scaled, threshold)
    curved = F.log1p(F.exp(ew.where(large, 0.0, scaled)))
    return cast(F.where(large, wide, ew.divide(curved, beta)), x.dtype)


def elu(x: ArrayLike, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha · (exp(x) - 1).

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.elu(el.asarray([2.0, 0.0])).tolist()
        [2.0, 0.0]
    """
    return _elu(floating("elu", x), alpha=float(alpha), scale=1.0)


def selu(x: ArrayLike) -> Any:
    """The self-normalising scale · (x where x > 0, else alpha · (exp(x) - 1)).

    Source: Klambauer et al., "Self-Normalizing Neural Networks" (2017), with its two constants.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.selu(el.asarray([0.0])).tolist()
        [0.0]
    """
    return _elu(floating("selu", x), alpha=1.6732632423543772, scale=1.0507009873554805)


def celu(x: ArrayLike, alpha: float = 1.0) -> Any:
    """max(0, x) + min(0, alpha · (exp(x / alpha) - 1)).

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.celu(el.asarray([3.0])).tolist()
        [3.0]
    """
    return _celu(floating("celu", x), alpha=float(alpha))


@composite
def _elu(x: Any, *, alpha: float, scale: float) -> Any:
    wide = _wide(x)
    positive = ew.greater(wide, 0.0)
    curved = ew.multiply(F.expm1(ew.where(positive, 0.0, wide)), alpha)
    found = F.where(positive, wide, curved)
    return cast(ew.multiply(found, scale) if scale != 1.0 else found, x.dtype)


@composite
def _celu(x: Any, *, alpha: float) -> Any:
    wide = _wide(x)
    positive = ew.greater(wide, 0.0)
    curved = ew.multiply(F.expm1(ew.divide(ew.where(positive, 0.0, wide), alpha)), alpha)
    return cast(F.where(positive, wide, curved), x.dtype)


def leaky_relu(x: ArrayLike, negative_slope: float = 0.01) -> Any:
    """x where x > 0, else negative_slope · x.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.leaky_relu(el.asarray([-1.0, 2.0]), 0.5).tolist()
        [-0.5, 2.0]
    """
    return _leaky_relu(floating("leaky_relu", x), negative_slope=float(negative_slope))


@composite
def _leaky_relu(x: Any, *, negative_slope: float) -> Any:
    return ew.where(ew.greater(x, 0.0), x, ew.multiply(x, negative_slope))


def _clipped_unit(x: Any, shift: float) -> Any:
    """min(max(x + shift, 0), 6) with the gradient 0 at and beyond both ends."""
    moved = ew.add(x, shift)
    low, high = ew.less_equal(moved, 0.0), ew.greater_equal(moved, 6.0)
    return ew.where(low, 0.0, ew.where(high, 6.0, moved))


def relu6(x: ArrayLike) -> Any:
    """min(max(0, x), 6).

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.relu6(el.asarray([-1.0, 2.0, 9.0])).tolist()
        [0.0, 2.0, 6.0]
    """
    return _relu6(floating("relu6", x))


@composite
def _relu6(x: Any) -> Any:
    return _clipped_unit(x, 0.0)


def hardsigmoid(x: ArrayLike) -> Any:
    """min(max(0, x + 3), 6) / 6.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.hardsigmoid(el.asarray([-9.0, 0.0, 9.0])).tolist()
        [0.0, 0.5, 1.0]
    """
    return _hardsigmoid(floating("hardsigmoid", x))


@composite
def _hardsigmoid(x: Any) -> Any:
    return cast(ew.divide(_clipped_unit(_wide(x), 3.0), 6.0), x.dtype)


def hardswish(x: ArrayLike) -> Any:
    """x · min(max(0, x + 3), 6) / 6.

    Source: Howard et al., "Searching for MobileNetV3" (2019).

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.hardswish(el.asarray([-1.5, 0.0, 9.0])).tolist()
        [-0.375, 0.0, 9.0]
    """
    return _hardswish(floating("hardswish", x))


@composite
def _hardswish(x: Any) -> Any:
    wide = _wide(x)
    low, high = ew.less_equal(wide, -3.0), ew.greater_equal(wide, 3.0)
    curved = ew.divide(F.multiply(wide, ew.add(wide, 3.0)), 6.0)
    return cast(ew.where(low, 0.0, F.where(high, wide, curved)), x.dtype)


def hardtanh(x: ArrayLike, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """x limited to min_val … max_val.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.hardtanh(el.asarray([-2.0, 0.5])).tolist()
        [-1.0, 0.5]
    """
    return _hardtanh(floating("hardtanh", x), low=float(min_val), high=float(max_val))


@composite
def _hardtanh(x: Any, *, low: float, high: float) -> Any:
    below, above = ew.less_equal(x, low), ew.greater_equal(x, high)
    return ew.where(below, low, ew.where(above, high, x))


def mish(x: ArrayLike) -> Any:
    """x · tanh(softplus(x)).

    Source: Misra, "Mish: A Self Regularized Non-Monotonic Activation Function" (2019).

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.mish(el.asarray([0.0])).tolist()
        [0.0]
    """
    return _mish(floating("mish", x))


@composite
def _mish(x: Any) -> Any:
    wide = _wide(x)
    return cast(F.multiply(wide, F.tanh(wide_softplus(wide))), x.dtype)


def wide_softplus(x: Any) -> Any:
    """log(1 + exp(x)) for all x: max(x, 0) + log1p(exp(-|x|))."""
    positive = ew.greater(x, 0.0)
    lower = F.negative(F.where(positive, x, F.negative(x)))
    return F.add(ew.where(positive, x, 0.0), F.log1p(F.exp(lower)))


def logsigmoid(x: ArrayLike) -> Any:
    """log(sigmoid(x)) without overflow.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.logsigmoid(el.asarray([-200.0])).tolist()
        [-200.0]
    """
    return _logsigmoid(floating("logsigmoid", x))


@composite
def _logsigmoid(x: Any) -> Any:
    return cast(F.negative(wide_softplus(F.negative(_wide(x)))), x.dtype)


def softsign(x: ArrayLike) -> Any:
    """x / (1 + |x|).

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.softsign(el.asarray([1.0])).tolist()
        [0.5]
    """
    return _softsign(floating("softsign", x))


@composite
def _softsign(x: Any) -> Any:
    return F.divide(x, ew.add(F.abs(x), 1.0))


def tanhshrink(x: ArrayLike) -> Any:
    """x - tanh(x).

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.tanhshrink(el.asarray([0.0])).tolist()
        [0.0]
    """
    x = floating("tanhshrink", x)
    return F.subtract(x, F.tanh(x))


def _along(op: str, x: ArrayLike, dim: int, body: Callable[..., Any], dtype: Any = None) -> Any:
    x = floating(op, x) if dtype is None else cast(tensor_of(op, x), dtype)
    if not x.ndim:
        one = F.reshape(x, shape=(1,))
        return F.reshape(body(one, axis=normalize_axis(op, dim, 1)), shape=())
    return body(x, axis=normalize_axis(op, dim, x.ndim))


def softmax(x: ArrayLike, dim: int = -1, dtype: Any = None) -> Any:
    """exp(x) / Σ exp(x) along an axis, without overflow.

    Args:
        dim: the axis whose elements add up to 1.
        dtype: convert x first.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.softmax(el.asarray([0.0, 0.0]), dim=-1).tolist()
        [0.5, 0.5]
    """
    return _along("softmax", x, dim, _softmax, dtype)


@composite
def _softmax(x: Any, *, axis: int) -> Any:
    return cast(wide_softmax(_wide(x), axis), x.dtype)


def wide_softmax(x: Any, axis: int) -> Any:
    """Softmax in the dtype of x, by one division in a row. A row of -∞ gives NaN, as in PyTorch."""
    top = F.stop_gradient(F.max(x, axes=(axis,)))
    powers = F.exp(F.subtract(x, spread(top, x.shape, (axis,))))
    share = ew.divide(1.0, F.sum(powers, axes=(axis,)))
    return F.multiply(powers, spread(share, x.shape, (axis,)))


def log_softmax(x: ArrayLike, dim: int = -1, dtype: Any = None) -> Any:
    """log(softmax(x)) without loss of precision: x - log Σ exp(x).

    Example:
        >>> import elinvar as el
        >>> print(f"{el.nn.functional.log_softmax(el.asarray([0.0, 0.0]), dim=0)[0].item():.4f}")
        -0.6931
    """
    return _along("log_softmax", x, dim, _log_softmax, dtype)


@composite
def _log_softmax(x: Any, *, axis: int) -> Any:
    return cast(wide_log_softmax(_wide(x), axis), x.dtype)


def wide_log_softmax(x: Any, axis: int) -> Any:
    """Log-softmax in the dtype of x."""
    top = F.stop_gradient(F.max(x, axes=(axis,)))
    shifted = F.subtract(x, spread(top, x.shape, (axis,)))
    total = F.log(F.sum(F.exp(shifted), axes=(axis,)))
    return F.subtract(shifted, spread(total, x.shape, (axis,)))



"""Activations: functions applied to each element, and softmax along an axis."""

from __future__ import annotations

import math
from typing import Any

from elinvar.core import dtypes
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import normalize_axis
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.elementwise import clip, logaddexp, where
from elinvar.tensor.manipulation import chunk
from elinvar.tensor.random import uniform
from elinvar.tensor.reductions import max as amax
from elinvar.tensor.reductions import sum as total


def _floating(op: str, x: Any) -> Any:
    x = as_tensor(x)
    if x.dtype.kind != "f":
        fail(DTypeError, op, f"expected a floating dtype, received {x._type}", "use `x.float()`")
    return x


@composite
def _relu(x: Any) -> Any:
    return where(x > 0, x, F.zeros_like(x))


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0); the derivative at 0 is 0. NaN gives 0.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.relu(el.asarray([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """
    return _placed(input, _relu(as_tensor(input)), inplace)


def _placed(x: Any, result: Any, inplace: bool) -> Any:
    """Bind the result to the argument when it was asked for."""
    if inplace:
        x.assign(result)
        return x
    return result


@composite
def _relu6(x: Any) -> Any:
    return clip(x, 0, 6)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)."""
    return _placed(input, _relu6(as_tensor(input)), inplace)


@composite
def _leaky_relu(x: Any, *, slope: float) -> Any:
    return where(x > 0, x, x * slope)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x for x > 0, else negative_slope · x."""
    return _placed(
        input, _leaky_relu(_floating("leaky_relu", input), slope=negative_slope), inplace
    )


@composite
def prelu(input: Any, weight: Any) -> Any:
    """x for x > 0, else weight · x, with one weight, or one per channel (axis 1)."""
    if weight.ndim == 1 and input.ndim > 1 and weight.shape[0] != 1:
        weight = weight.reshape((1, weight.shape[0], *(1,) * (input.ndim - 2)))
    return where(input > 0, input, input * weight)


def _logistic(x: Any) -> Any:
    """1 / (1 + e^-x), from e^-|x| so that nothing overflows."""
    e = F.exp(-F.abs(x))
    return where(x >= 0, 1.0 / (1.0 + e), e / (1.0 + e))


@composite
def _sigmoid(x: Any) -> Any:
    return _logistic(x)


def sigmoid(input: Any) -> Any:
    """1 / (1 + e^-x).

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.sigmoid(el.asarray([0.0])).tolist()
        [0.5]
    """
    return _sigmoid(_floating("sigmoid", input))


@composite
def _silu(x: Any) -> Any:
    return x * _logistic(x)


def silu(input: Any, inplace: bool = False) -> Any:
    """x · sigmoid(x), also called swish (Hendrycks and Gimpel, 2016)."""
    return _placed(input, _silu(_floating("silu", input)), inplace)


@composite
def _gelu(x: Any, *, approximate: str) -> Any:
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
        return 0.5 * x * (1.0 + F.tanh(inner))
    return 0.5 * x * (1.0 + F.erf(x * math.sqrt(0.5)))


def gelu(input: Any, approximate: str = "none") -> Any:
    """x · Φ(x), with the normal distribution function Φ, or its approximation by tanh.

    Args:
        approximate: `none` or `tanh` (Hendrycks and Gimpel, 2016).
    """
    if approximate not in ("none", "tanh"):
        text = f"approximate must be 'none' or 'tanh', received {approximate!r}"
        fail(ValueRangeError, "gelu", text)
    return _gelu(_floating("gelu", input), approximate=approximate)


@composite
def _elu(x: Any, *, alpha: float) -> Any:
    return where(x > 0, x, alpha * F.expm1(F.minimum(x, F.zeros_like(x))))


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x for x > 0, else alpha · (e^x - 1)."""
    return _placed(input, _elu(_floating("elu", input), alpha=alpha), inplace)


@composite
def _celu(x: Any, *, alpha: float) -> Any:
    return where(x > 0, x, alpha * F.expm1(F.minimum(x, F.zeros_like(x)) / alpha))


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x for x > 0, else alpha · (e^(x/alpha) - 1)."""
    return _placed(input, _celu(_floating("celu", input), alpha=alpha), inplace)


_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


@composite
def _selu(x: Any) -> Any:
    low = _SELU_ALPHA * F.expm1(F.minimum(x, F.zeros_like(x)))
    return _SELU_SCALE * where(x > 0, x, low)


def selu(input: Any, inplace: bool = False) -> Any:
    """The self-normalising scaled ELU (Klambauer et al., 2017)."""
    return _placed(input, _selu(_floating("selu", input)), inplace)


@composite
def _softplus(x: Any, *, beta: float, threshold: float) -> Any:
    scaled = x * beta
    return where(scaled > threshold, x, logaddexp(scaled, F.zeros_like(x)) / beta)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + e^(beta·x)) / beta, and x itself where beta·x > threshold."""
    return _softplus(_floating("softplus", input), beta=float(beta), threshold=float(threshold))


@composite
def _logsigmoid(x: Any) -> Any:
    return F.minimum(x, F.zeros_like(x)) - F.log1p(F.exp(-F.abs(x)))


def logsigmoid(input: Any) -> Any:
    """log(sigmoid(x)), exact in both tails."""
    return _logsigmoid(_floating("logsigmoid", input))


@composite
def _mish(x: Any) -> Any:
    return x * F.tanh(logaddexp(x, F.zeros_like(x)))


def mish(input: Any, inplace: bool = False) -> Any:
    """x · tanh(softplus(x)) (Misra, 2019)."""
    return _placed(input, _mish(_floating("mish", input)), inplace)


def tanh(input: Any) -> Any:
    """The hyperbolic tangent."""
    return F.tanh(_floating("tanh", input))


@composite
def _softsign(x: Any) -> Any:
    return x / (1.0 + F.abs(x))


def softsign(input: Any) -> Any:
    """x / (1 + |x|)."""
    return _softsign(_floating("softsign", input))


@composite
def _tanhshrink(x: Any) -> Any:
    return x - F.tanh(x)


def tanhshrink(input: Any) -> Any:
    """x - tanh(x)."""
    return _tanhshrink(_floating("tanhshrink", input))


@composite
def _hardtanh(x: Any, *, low: float, high: float) -> Any:
    return clip(x, low, high)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x moved into min_val … max_val."""
    return _placed(input, _hardtanh(as_tensor(input), low=min_val, high=max_val), inplace)


@composite
def _hardsigmoid(x: Any) -> Any:
    return clip(x + 3.0, 0, 6) / 6.0


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """relu6(x + 3) / 6."""
    return _placed(input, _hardsigmoid(_floating("hardsigmoid", input)), inplace)


@composite
def _hardswish(x: Any) -> Any:
    return x * clip(x + 3.0, 0, 6) / 6.0


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x · relu6(x + 3) / 6 (Howard et al., 2019)."""
    return _placed(input, _hardswish(_floating("hardswish", input)), inplace)


@composite
def _hardshrink(x: Any, *, lambd: float) -> Any:
    return where(F.abs(x) > lambd, x, F.zeros_like(x))


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x where |x| > lambd, else 0."""
    return _hardshrink(_floating("hardshrink", input), lambd=lambd)


@composite
def _softshrink(x: Any, *, lambd: float) -> Any:
    return where(x > lambd, x - lambd, where(x < -lambd, x + lambd, F.zeros_like(x)))


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x moved towards 0 by lambd."""
    return _softshrink(_floating("softshrink", input), lambd=lambd)


@composite
def _threshold(x: Any, *, threshold: float, value: float) -> Any:
    return where(x > threshold, x, value)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where x > threshold, else value."""
    result = _threshold(as_tensor(input), threshold=threshold, value=value)
    return _placed(input, result, inplace)


def glu(input: Any, dim: int = -1) -> Any:
    """a · sigmoid(b), with a and b the halves of `input` along `dim` (Dauphin et al., 2017)."""
    x = _floating("glu", input)
    axis = normalize_axis("glu", dim, x.ndim)
    if x.shape[axis] % 2:
        fail(ShapeError, "glu", f"axis {dim} of {x._type} must have an even size")
    return _glu(x, axis=axis)


@composite
def _glu(x: Any, *, axis: int) -> Any:
    a, b = chunk(x, 2, axis=axis)
    return a * _logistic(b)


def _wide(x: Any) -> Any:
    """16-bit floats as f32: sums are carried there and rounded once."""
    return cast(x, dtypes.accumulator(x.dtype))


@composite
def _softmax(x: Any, *, axis: int) -> Any:
    wide = _wide(x)
    e = F.exp(wide - amax(wide, axis=axis, keepdims=True))
    return cast(e / total(e, axis=axis, keepdims=True), x.dtype)


def softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """e^(x - max x) / Σ e^(x - max x) along `dim`.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.softmax(el.asarray([0.0, 0.0]), dim=0).tolist()
        [0.5, 0.5]
    """
    x = _typed("softmax", input, dtype)
    return _softmax(x, axis=_softmax_axis("softmax", dim, x))


@composite
def _log_softmax(x: Any, *, axis: int) -> Any:
    wide = _wide(x)
    shifted = wide - amax(wide, axis=axis, keepdims=True)
    return cast(shifted - F.log(total(F.exp(shifted), axis=axis, keepdims=True)), x.dtype)


def log_softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """log(softmax(x)) along `dim`, without the loss of small probabilities."""
    x = _typed("log_softmax", input, dtype)
    return _log_softmax(x, axis=_softmax_axis("log_softmax", dim, x))


def softmin(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """softmax(-x) along `dim`."""
    x = _typed("softmin", input, dtype)
    return _softmax(-x, axis=_softmax_axis("softmin", dim, x))


def _typed(op: str, input: Any, dtype: Any) -> Any:
    x = as_tensor(input)
    return _floating(op, x if dtype is None else cast(x, dtypes.as_dtype(dtype)))


def _softmax_axis(op: str, dim: int | None, x: Any) -> int:
    if dim is None:  # PyTorch's old default
        dim = 0 if x.ndim in (0, 1, 3) else 1
    return normalize_axis(op, dim, x.ndim) if x.ndim else 0


def gumbel_softmax(logits: Any, tau: float = 1.0, hard: bool = False, dim: int = -1) -> Any:
    """A sample from the Gumbel-softmax distribution (Jang et al., 2017); `hard`: one-hot forward."""
    x = _floating("gumbel_softmax", logits)
    tiny = 1e-20
    noise = -F.log(-F.log(uniform(x.shape, dtype=x.dtype) + tiny) + tiny)
    soft = softmax((x + noise) / tau, dim)
    if not hard:
        return soft
    one = cast(soft == amax(soft, axis=dim, keepdims=True), soft.dtype)
    return F.stop_gradient(one - soft) + soft

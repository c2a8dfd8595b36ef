"""Activations: functions applied to each element, and softmax along an axis.

Most bodies are those of `tensor/activations.py`, which the methods of tensors use too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core import dtypes
from elinvar.core.errors import DTypeError, ShapeError, fail
from elinvar.core.shapes import normalize_axis
from elinvar.tensor import activations
from elinvar.tensor.autocasting import in_float32
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.elementwise import where
from elinvar.tensor.manipulation import chunk
from elinvar.tensor.random import uniform
from elinvar.tensor.reductions import max as amax


def _floating(op: str, x: Any) -> Any:
    x = as_tensor(x)
    if x.dtype.kind != "f":
        fail(DTypeError, op, f"expected a floating dtype, received {x._type}", "use `x.float()`")
    return x


def _applied(
    body: Callable[..., Any], input: Any, inplace: bool = False, *arguments: Any, **static: Any
) -> Any:
    """Apply a body to floats; with `inplace` the argument is bound to the result."""
    result = body(_floating(body.__name__.strip("_"), input), *arguments, **static)
    if inplace:
        input.assign(result)
        return input
    return result


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0); the derivative at 0 is 0. NaN stays NaN.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.relu(el.asarray([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """
    result = activations.relu(as_tensor(input))
    if inplace:
        input.assign(result)
        return input
    return result


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)."""
    return _applied(activations.relu6, input, inplace)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x for x > 0, else negative_slope · x."""
    return _applied(activations.leaky_relu, input, inplace, negative_slope)


@composite
def prelu(input: Any, weight: Any) -> Any:
    """x for x > 0, else weight · x, with one weight, or one per channel (axis 1)."""
    if weight.ndim == 1 and input.ndim > 1 and weight.shape[0] != 1:
        weight = weight.reshape((1, weight.shape[0], *(1,) * (input.ndim - 2)))
    return where(input > 0, input, input * weight)


def sigmoid(input: Any) -> Any:
    """1 / (1 + e^-x).

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.sigmoid(el.asarray([0.0])).tolist()
        [0.5]
    """
    return _applied(activations.sigmoid, input)


def silu(input: Any, inplace: bool = False) -> Any:
    """x · sigmoid(x), also called swish (Hendrycks and Gimpel, 2016)."""
    return _applied(activations.silu, input, inplace)


def gelu(input: Any, approximate: str = "none") -> Any:
    """x · Φ(x), with the normal distribution function Φ, or its approximation by tanh.

    Args:
        approximate: `none` or `tanh` (Hendrycks and Gimpel, 2016).
    """
    return _applied(activations.gelu, input, False, approximate)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x for x > 0, else alpha · (e^x - 1)."""
    return _applied(activations.elu, input, inplace, alpha)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x for x > 0, else alpha · (e^(x/alpha) - 1)."""
    return _applied(activations.celu, input, inplace, alpha)


def selu(input: Any, inplace: bool = False) -> Any:
    """The self-normalising scaled ELU (Klambauer et al., 2017)."""
    return _applied(activations.selu, input, inplace)


@in_float32
def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + e^(beta·x)) / beta, and x itself where beta·x > threshold."""
    return _applied(activations.softplus, input, False, beta, threshold)


@in_float32
def logsigmoid(input: Any) -> Any:
    """log(sigmoid(x)), exact in both tails."""
    return _applied(activations.logsigmoid, input)


def mish(input: Any, inplace: bool = False) -> Any:
    """x · tanh(softplus(x)) (Misra, 2019)."""
    return _applied(activations.mish, input, inplace)


def tanh(input: Any) -> Any:
    """The hyperbolic tangent."""
    return F.tanh(_floating("tanh", input))


def softsign(input: Any) -> Any:
    """x / (1 + |x|)."""
    return _applied(activations.softsign, input)


def tanhshrink(input: Any) -> Any:
    """x - tanh(x)."""
    return _applied(activations.tanhshrink, input)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x moved into min_val … max_val."""
    return _applied(activations.hardtanh, input, inplace, min_val, max_val)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """relu6(x + 3) / 6."""
    return _applied(activations.hardsigmoid, input, inplace)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x · relu6(x + 3) / 6 (Howard et al., 2019)."""
    return _applied(activations.hardswish, input, inplace)


@composite
def _hardshrink(x: Any, *, lambd: float) -> Any:
    return where(F.abs(x) > lambd, x, F.zeros_like(x))


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x where |x| > lambd, else 0."""
    return _applied(_hardshrink, input, lambd=float(lambd))


@composite
def _softshrink(x: Any, *, lambd: float) -> Any:
    return where(x > lambd, x - lambd, where(x < -lambd, x + lambd, F.zeros_like(x)))


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x moved towards 0 by lambd."""
    return _applied(_softshrink, input, lambd=float(lambd))


@composite
def _threshold(x: Any, *, threshold: float, value: float) -> Any:
    return where(x > threshold, x, value)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where x > threshold, else value."""
    return _applied(_threshold, input, inplace, threshold=float(threshold), value=float(value))


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
    return a * activations.sigmoid(b)


@in_float32
def softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """e^(x - max x) / Σ e^(x - max x) along `dim`.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.softmax(el.asarray([0.0, 0.0]), dim=0).tolist()
        [0.5, 0.5]
    """
    x = _typed("softmax", input, dtype)
    return activations.softmax(x, _softmax_axis("softmax", dim, x))


@in_float32
def log_softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """log(softmax(x)) along `dim`, without the loss of small probabilities."""
    x = _typed("log_softmax", input, dtype)
    return activations.log_softmax(x, _softmax_axis("log_softmax", dim, x))


@in_float32
def softmin(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """softmax(-x) along `dim`."""
    x = _typed("softmin", input, dtype)
    return activations.softmax(-x, _softmax_axis("softmin", dim, x))


def _typed(op: str, input: Any, dtype: Any) -> Any:
    x = as_tensor(input)
    return _floating(op, x if dtype is None else cast(x, dtypes.as_dtype(dtype)))


def _softmax_axis(op: str, dim: int | None, x: Any) -> int:
    if dim is None:  # PyTorch's old default
        dim = 0 if x.ndim in (0, 1, 3) else 1
    return normalize_axis(op, dim, max(x.ndim, 1))


def gumbel_softmax(logits: Any, tau: float = 1.0, hard: bool = False, dim: int = -1) -> Any:
    """A sample of the Gumbel-softmax distribution (Jang et al., 2017); `hard`: one-hot forward."""
    x = _floating("gumbel_softmax", logits)
    tiny = 1e-20
    noise = -F.log(-F.log(uniform(size=x.shape, dtype=x.dtype) + tiny) + tiny)
    soft = softmax((x + noise) / tau, dim)
    if not hard:
        return soft
    one = cast(soft == amax(soft, axis=dim, keepdims=True), soft.dtype)
    return F.stop_gradient(one - soft) + soft

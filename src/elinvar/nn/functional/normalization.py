"""Normalisation: batch, layer, group, instance and root-mean-square norms; unit vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elinvar.core import dtypes
from elinvar.core.dtypes import DType
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import DimLike, size
from elinvar.nn.functional.channels import channel_means, per_channel
from elinvar.tensor.autocasting import in_float32
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, size_tensor
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.elementwise import clip
from elinvar.tensor.reductions import mean, vector_norm
from elinvar.tensor.tape import no_grad
from elinvar.tensor.trace import need_size


def _wide(x: Any) -> Any:
    return cast(x, dtypes.accumulator(x.dtype))


def _normalized(x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """(x - mean) / sqrt(var + eps) over axes, with the mean and the (biased) variance, in f32."""
    wide = _wide(x)
    average = mean(wide, axis=axes, keepdims=True)
    centred = wide - average
    variance = mean(centred * centred, axis=axes, keepdims=True)
    return centred * (1.0 / F.sqrt(variance + eps)), average, variance


def _scaled(x: Any, weight: Any, bias: Any) -> Any:
    if weight is not None:
        x = x * _wide(weight)
    return x if bias is None else x + _wide(bias)


@composite
def _layer_norm(x: Any, weight: Any, bias: Any, *, count: int, eps: float) -> Any:
    axes = tuple(range(x.ndim - count, x.ndim))
    result, _, _ = _normalized(x, axes, eps)
    return cast(_scaled(result, weight, bias), x.dtype)


def _normalized_shape(op: str, x: Any, shape: int | Sequence[int]) -> int:
    """How many trailing axes `normalized_shape` names."""
    wanted = (shape,) if isinstance(shape, int) else tuple(shape)
    if tuple(x.shape[x.ndim - len(wanted) :]) != wanted:
        fail(ShapeError, op, f"normalized_shape {wanted} does not end the shape of {x._type}")
    return len(wanted)


@in_float32
def layer_norm(
    input: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """(x - mean) / sqrt(var + eps) · weight + bias over the trailing axes (Ba et al., 2016).

    Args:
        normalized_shape: the sizes of the trailing axes that are normalised together.
        weight, bias: of that shape, or None.

    Raises:
        ShapeError: the input does not end in `normalized_shape`.
    """
    x = as_tensor(input)
    count = _normalized_shape("layer_norm", x, normalized_shape)
    return _layer_norm(x, weight, bias, count=count, eps=eps)


@composite
def _rms_norm(x: Any, weight: Any, *, count: int, eps: float) -> Any:
    wide = _wide(x)
    axes = tuple(range(x.ndim - count, x.ndim))
    result = wide * (1.0 / F.sqrt(mean(wide * wide, axis=axes, keepdims=True) + eps))
    return cast(_scaled(result, weight, None), x.dtype)


# that of the dtype in which the sums are carried
_EPSILON = {"float16": 2.0**-23, "bfloat16": 2.0**-23, "float32": 2.0**-23, "float64": 2.0**-52}


@in_float32
def rms_norm(
    input: Any, normalized_shape: int | Sequence[int], weight: Any = None, eps: float | None = None
) -> Any:
    """x / sqrt(mean(x²) + eps) · weight over the trailing axes (Zhang and Sennrich, 2019)."""
    x = as_tensor(input)
    count = _normalized_shape("rms_norm", x, normalized_shape)
    return _rms_norm(x, weight, count=count, eps=_EPSILON[x.dtype.name] if eps is None else eps)


@composite
def _group_norm(x: Any, weight: Any, bias: Any, *, groups: int, eps: float) -> Any:
    samples, channels, *rest = x.shape
    grouped = x.reshape((samples, groups, channels // groups * size(rest)))
    result, _, _ = _normalized(grouped, (2,), eps)
    result = result.reshape(x.shape)
    line = (1, channels, *(1 for _ in rest))
    weight = None if weight is None else weight.reshape(line)
    bias = None if bias is None else bias.reshape(line)
    return cast(_scaled(result, weight, bias), x.dtype)


@in_float32
def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Normalise groups of channels of each sample (Wu and He, 2018).

    Args:
        input: (N, C, *).
        num_groups: a divisor of C.
        weight, bias: (C,) or None.
    """
    x = as_tensor(input)
    if x.ndim < 2 or x.shape[1] % num_groups:
        text = f"the channels (axis 1) of {x._type} do not fall into {num_groups} groups"
        fail(ShapeError, "group_norm", text)
    return _group_norm(x, weight, bias, groups=num_groups, eps=eps)


@composite
def _batch_norm_train(x: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    """The result, and the mean and (biased) variance of each channel.

    The mean is a constant where elements are centred, and its whole gradient goes through
    the shift (where its value is 0): since centred elements add up to 0 the gradient is the same,
    and backward needs two sums over all elements, of g and of g · centred.
    """
    wide = _wide(x)
    average = channel_means(wide)
    constant = F.stop_gradient(average)
    centred = wide - per_channel(constant, x)
    variance = channel_means(centred * centred)
    scale = 1.0 / F.sqrt(variance + eps)
    if weight is not None:
        scale = scale * _wide(weight)
    shift = (constant - average) * scale
    if bias is not None:
        shift = shift + _wide(bias)
    result = centred * per_channel(scale, x) + per_channel(shift, x)
    return cast(result, x.dtype), average, variance


@composite
def _batch_norm_eval(
    x: Any, average: Any, variance: Any, weight: Any, bias: Any, *, eps: float
) -> Any:
    scale = 1.0 / F.sqrt(_wide(variance) + eps)
    if weight is not None:
        scale = scale * _wide(weight)
    centred = _wide(x) - per_channel(_wide(average), x)
    result = centred * per_channel(scale, x)
    if bias is not None:
        result = result + per_channel(_wide(bias), x)
    return cast(result, x.dtype)


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel over the batch (Ioffe and Szegedy, 2015).

    In training the batch's own mean and variance are used, and the running ones, if given, move
    towards them by `momentum` (the variance with n - 1 in the denominator, as in PyTorch).

    Args:
        input: (N, C) or (N, C, *).
        running_mean, running_var: (C,), rebound in training; or None.
        weight, bias: (C,) or None.
    """
    x = as_tensor(input)
    if x.ndim < 2:
        fail(ShapeError, "batch_norm", f"expected (N, C, …), received {x._type}")
    for name, part in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        if part is not None and tuple(part.shape) != (x.shape[1],):
            text = f"input {x._type} has {x.shape[1]} channels, but {name} is {part._type}"
            fail(ShapeError, "batch_norm", text)
    if not training:
        if running_mean is None or running_var is None:
            fail(
                ValueRangeError,
                "batch_norm",
                "running_mean and running_var are needed in eval mode",
            )
        return _batch_norm_eval(x, running_mean, running_var, weight, bias, eps=eps)
    count = size((x.shape[0], *x.shape[2:]))
    text = f"expected more than one value per channel, received {x._type}"
    hint = "leave out a last batch of one sample: el.data.DataLoader(…, drop_last=True)"
    need_size("batch_norm", count, lambda n: n != 1, text, hint)
    result, average, variance = _batch_norm_train(x, weight, bias, eps=eps)
    with no_grad():
        if running_mean is not None:
            _move(running_mean, average, momentum)
        if running_var is not None:
            _move(running_var, variance * _unbiased(count, variance.dtype), momentum)
    return result


def _unbiased(count: DimLike, dtype: DType) -> Any:
    """n / (n - 1), or 1 for n = 1, as a tensor: sizes may be symbolic."""
    n = size_tensor(count, dtype)
    return n / clip(n - 1.0, 1.0, None)


def _move(running: Any, fresh: Any, momentum: float) -> None:
    fresh = cast(F.stop_gradient(fresh), running.dtype)
    running.assign(running * (1.0 - momentum) + fresh * momentum)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel of each sample (Ulyanov et al., 2016). Input: (N, C, *)."""
    x = as_tensor(input)
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    result = _group_norm(x, weight, bias, groups=x.shape[1], eps=eps)
    if running_mean is not None or running_var is not None:
        with no_grad():
            axes = tuple(range(2, x.ndim))
            wide = _wide(x)
            average = mean(wide, axis=axes)
            count = size(x.shape[2:])
            centred = wide - average.reshape((*average.shape, *(1 for _ in axes)))
            variance = mean(centred * centred, axis=axes) * _unbiased(count, wide.dtype)
            if running_mean is not None:
                _move(running_mean, mean(average, axis=0), momentum)
            if running_var is not None:
                _move(running_var, mean(variance, axis=0), momentum)
    return result


@in_float32
def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """x / max(‖x‖ₚ, eps) along `dim`."""
    x = as_tensor(input)
    norm = vector_norm(x, axis=dim, keepdims=True, ord=p)
    return x / clip(norm, eps, None)

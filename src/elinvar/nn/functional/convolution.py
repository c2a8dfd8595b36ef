"""Linear maps and convolutions. Users see PyTorch's layouts: (N, C, *) and (O, C / groups, *)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elinvar.core.dtypes import float32
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.nn.functional.channels import per_channel
from elinvar.tensor.autocasting import low_dtype, lowered
from elinvar.tensor.composite import composite
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.einsum import einsum
from elinvar.tensor.linear import matmul
from elinvar.tensor.manipulation import expand_dims, squeeze

Sizes = int | Sequence[int]


def sizes_of(op: str, name: str, value: Sizes, rank: int) -> tuple[int, ...]:
    """One int for each spatial axis."""
    found = (int(value),) * rank if isinstance(value, int) else tuple(int(n) for n in value)
    if len(found) == 1:
        found *= rank
    if len(found) != rank:
        fail(ValueRangeError, op, f"{name} must be an int or {rank} ints, received {value!r}")
    return found


@composite
def _linear(x: Any, weight: Any, bias: Any) -> Any:
    low = low_dtype()
    if low is not None and x.dtype in (low, float32) and weight.dtype in (low, float32):
        x, weight = lowered(low, x, weight)
        pair = (x, weight.T) if x.ndim > 1 else (weight, x)
        wide = matmul(*pair, dtype=float32)
        return F.cast(wide if bias is None else wide + bias, dtype=low)  # rounded once
    result = matmul(x, weight.T) if x.ndim > 1 else matmul(weight, x)
    return result if bias is None else result + bias


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """x · Wᵀ + b.

    Args:
        input: (*, in_features).
        weight: (out_features, in_features).
        bias: (out_features,) or None.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.linear(el.ones(2), el.ones((3, 2)), el.zeros(3)).tolist()
        [2.0, 2.0, 2.0]
    """
    x, weight = as_tensor(input), as_tensor(weight)
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        text = f"input {x._type} and weight {weight._type} do not fit"
        if x.ndim and weight.ndim == 2:
            text += f": {x.shape[-1]} ≠ {weight.shape[1]}"
        fail(ShapeError, "linear", text, "the input's last axis must have in_features elements")
    return _linear(x, weight, bias)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """y_o = Σ_ij x1_i W_oij x2_j + b_o."""
    result = einsum("...i,oij,...j->...o", input1, weight, input2)
    return result if bias is None else result + bias


def _padding(op: str, padding: Any, kernel: tuple[int, ...], stride: Any, dilation: Any) -> Any:
    """(low, high) for each spatial axis."""
    rank = len(kernel)
    if padding == "valid":
        return (0,) * rank, (0,) * rank
    if padding == "same":
        if any(n != 1 for n in stride):
            fail(ValueRangeError, op, "padding='same' needs stride 1")
        both = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple(n // 2 for n in both), tuple(n - n // 2 for n in both)
    if isinstance(padding, str):
        text = f"padding must be ints, 'same' or 'valid', received {padding!r}"
        fail(ValueRangeError, op, text)
    found = sizes_of(op, "padding", padding, rank)
    return found, found


def _open_batch(types: list[TensorType]) -> list[TensorType]:
    """Leave the batch size open; all others decide which kernel is made."""
    x, *rest = types
    if x.shape[0] in (0, 1):
        return types
    return [x.with_shape((Dim("d0"), *x.shape[1:])), *rest]


@composite(symbols=_open_batch)
def _convolution(x: Any, weight: Any, bias: Any, *, params: tuple[Any, ...]) -> Any:
    stride, low, high, dilation, input_dilation, groups = params
    result = F.convolution(
        x,
        weight,
        stride=stride,
        low=low,
        high=high,
        dilation=dilation,
        input_dilation=input_dilation,
        groups=groups,
        batch_groups=1,
        channels_inner=True,
        channels_last=False,
    )
    if bias is None:
        return result
    total = result + per_channel(bias, result)
    narrow = low_dtype()
    return total if narrow is None else lowered(narrow, total)[0]


def _conv(
    op: str,
    rank: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Sizes,
    padding: Any,
    dilation: Sizes,
    groups: int,
) -> Any:
    x, weight = as_tensor(input), as_tensor(weight)
    if weight.ndim != rank + 2 or x.ndim not in (rank + 1, rank + 2):
        text = f"expected input (N, C, {rank} axes) and weight (O, C/groups, {rank} axes)"
        fail(ShapeError, op, f"{text}, received {x._type} and {weight._type}")
    batched = x if x.ndim == rank + 2 else expand_dims(x, axis=0)
    if batched.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        text = f"input {x._type} with {groups} groups does not fit weight {weight._type}"
        fail(ShapeError, op, f"{text}: {batched.shape[1]} ≠ {weight.shape[1]} · {groups}")
    stride, dilation = (
        sizes_of(op, "stride", stride, rank),
        sizes_of(op, "dilation", dilation, rank),
    )
    low, high = _padding(op, padding, tuple(weight.shape[2:]), stride, dilation)
    params = (stride, low, high, dilation, (1,) * rank, groups)
    result = _convolution(batched, weight, bias, params=params)
    return result if batched is x else squeeze(result, axis=0)


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Any = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation over one axis: (N, C, L) with (O, C / groups, K)."""
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Any = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation over two axes: (N, C, H, W) with (O, C / groups, KH, KW).

    Args:
        padding: zeros on both sides of each axis, or 'same', or 'valid'.

    Example:
        >>> import elinvar as el
        >>> y = el.nn.functional.conv2d(el.ones((1, 1, 3, 3)), el.ones((1, 1, 3, 3)), padding=1)
        >>> y[0, 0].tolist()
        [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Any = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation over three axes: (N, C, D, H, W) with (O, C / groups, KD, KH, KW)."""
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(
    op: str,
    rank: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Sizes,
    padding: Sizes,
    output_padding: Sizes,
    groups: int,
    dilation: Sizes,
) -> Any:
    x, weight = as_tensor(input), as_tensor(weight)
    if weight.ndim != rank + 2 or x.ndim not in (rank + 1, rank + 2):
        text = f"expected input (N, C, {rank} axes) and weight (C, O/groups, {rank} axes)"
        fail(ShapeError, op, f"{text}, received {x._type} and {weight._type}")
    batched = x if x.ndim == rank + 2 else expand_dims(x, axis=0)
    if batched.shape[1] != weight.shape[0] or weight.shape[0] % groups:
        text = f"input {x._type} with {groups} groups does not fit weight {weight._type}"
        fail(ShapeError, op, f"{text}: {batched.shape[1]} ≠ {weight.shape[0]}")
    stride, dilation = (
        sizes_of(op, "stride", stride, rank),
        sizes_of(op, "dilation", dilation, rank),
    )
    padding = sizes_of(op, "padding", padding, rank)
    extra = sizes_of(op, "output_padding", output_padding, rank)
    kernel = weight.shape[2:]
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    low = tuple(r - p for r, p in zip(reach, padding, strict=True))
    high = tuple(r - p + e for r, p, e in zip(reach, padding, extra, strict=True))
    params = ((1,) * rank, low, high, dilation, stride, groups)
    result = _convolution(batched, _turned(weight, groups, rank), bias, params=params)
    return result if batched is x else squeeze(result, axis=0)


def _turned(weight: Any, groups: int, rank: int) -> Any:
    """(C, O/groups, *K) of a transposed convolution → (O, C/groups, *K), turned round."""
    channels, out, *kernel = weight.shape
    grouped = weight.reshape((groups, channels // groups, out, *kernel))
    swapped = F.permute(grouped, axes=(0, 2, 1, *range(3, 3 + rank)))
    merged = swapped.reshape((groups * out, channels // groups, *kernel))
    return F.flip(merged, axes=tuple(range(2, 2 + rank)))


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Any:
    """The adjoint of conv1d: (N, C, L) with (C, O / groups, K)."""
    return _conv_transpose(
        "conv_transpose1d",
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Any:
    """The adjoint of conv2d: (N, C, H, W) with (C, O / groups, KH, KW)."""
    return _conv_transpose(
        "conv_transpose2d",
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Any:
    """The adjoint of conv3d: (N, C, D, H, W) with (C, O / groups, KD, KH, KW)."""
    return _conv_transpose(
        "conv_transpose3d",
        3,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )

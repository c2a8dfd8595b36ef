"""Embedding, dropout, padding, resizing and pixel shuffles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from elinvar.core import dtypes
from elinvar.core.errors import (
    DTypeError,
    OutOfBoundsError,
    ShapeError,
    TraceError,
    ValueRangeError,
    fail,
)
from elinvar.core.shapes import Dim, DimLike
from elinvar.tensor.cell import current_trace
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast
from elinvar.tensor.creation import one_hot as _one_hot
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.elementwise import where
from elinvar.tensor.gathering import checked_index, gathered, taken
from elinvar.tensor.manipulation import concat, expand_dims, sliced
from elinvar.tensor.random import keep_mask
from elinvar.tensor.reductions import max as amax
from elinvar.tensor.reductions import min as amin
from elinvar.tensor.repeating import repeat


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Rows of `weight` at the given indices; the row `padding_idx` receives no gradient.

    Args:
        input: int indices, (*).
        weight: (rows, width).

    Shape:
        (*, width).

    Raises:
        OutOfBoundsError: an index is out of range (in eager mode).
    """
    index, weight = as_tensor(input), as_tensor(weight)
    if index.dtype.kind not in "iu":
        fail(DTypeError, "embedding", f"indices must be integers, received {index._type}")
    if weight.ndim != 2:
        fail(ShapeError, "embedding", f"weight must be (rows, width), received {weight._type}")
    if padding_idx is None:
        return taken("embedding", weight, index, 0)
    index = checked_index("embedding", index, weight.shape[0], 0)
    result = gathered(weight, index, 0)
    padding = padding_idx % weight.shape[0]
    frozen = expand_dims(index == padding, axis=index.ndim)
    return where(frozen, F.stop_gradient(result), result)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Rows with a 1 at the given class; num_classes = -1 takes the largest class plus one."""
    x = as_tensor(tensor)
    classes = int(amax(x).item()) + 1 if num_classes == -1 else num_classes
    if current_trace() is None and x._type.size:
        low, high = int(amin(x).item()), int(amax(x).item())
        if low < 0 or high >= classes:
            text = f"classes must be 0 … {classes - 1}, received {low if low < 0 else high}"
            fail(OutOfBoundsError, "one_hot", text)
    return _one_hot(x, classes)


@composite
def _drop(x: Any, mask: Any, *, scale: float) -> Any:
    return where(mask, x * scale, F.zeros_like(x))


def _dropout(op: str, x: Any, p: float, shape: Any) -> Any:
    if not 0 <= p <= 1:
        fail(ValueRangeError, op, f"p must be between 0 and 1, received {p}")
    if p == 0:
        return x
    if p == 1:
        return x * 0.0
    return _drop(x, keep_mask(1.0 - p, shape), scale=1.0 / (1.0 - p))


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Each element is 0 with probability p, else divided by 1 - p (Srivastava et al., 2014)."""
    x = as_tensor(input)
    result = _dropout("dropout", x, p, x.shape) if training else x
    if inplace and result is not x:
        x.assign(result)
        return x
    return result


def _channels(op: str, rank: int, input: Any, p: float, training: bool, inplace: bool) -> Any:
    x = as_tensor(input)
    if x.ndim not in (rank + 1, rank + 2):
        fail(
            ShapeError, op, f"expected (N, C, {rank} axes) or (C, {rank} axes), received {x._type}"
        )
    lead = x.shape[: x.ndim - rank]
    result = _dropout(op, x, p, (*lead, *(1 for _ in range(rank)))) if training else x
    if inplace and result is not x:
        x.assign(result)
        return x
    return result


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels of (N, C, L) are dropped."""
    return _channels("dropout1d", 1, input, p, training, inplace)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels of (N, C, H, W) are dropped."""
    return _channels("dropout2d", 2, input, p, training, inplace)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels of (N, C, D, H, W) are dropped."""
    return _channels("dropout3d", 3, input, p, training, inplace)


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout that keeps mean and variance of SELU networks (Klambauer et al., 2017)."""
    x = as_tensor(input)
    if not training or p == 0:
        return x
    if not 0 <= p < 1:
        fail(ValueRangeError, "alpha_dropout", f"p must be at least 0 and below 1, received {p}")
    low = -1.7580993408473766
    a = 1.0 / math.sqrt((1 - p) * (1 + p * low * low))
    result = where(keep_mask(1.0 - p, x.shape), x, low) * a - a * low * p
    if inplace:
        x.assign(result)
        return x
    return result


feature_alpha_dropout = alpha_dropout


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Grow (or, for negative numbers, crop) axes, last axis first.

    Args:
        pad: (before, after) of the last axis, then of the one before it, and so on.
        mode: `constant` (with `value`, by default 0), `reflect`, `replicate` or `circular`.

    Example:
        >>> import elinvar as el
        >>> el.nn.functional.pad(el.asarray([1.0, 2.0, 3.0]), (1, 2), mode="reflect").tolist()
        [2.0, 1.0, 2.0, 3.0, 2.0, 1.0]
    """
    x = as_tensor(input)
    amounts = [int(n) for n in pad]
    if len(amounts) % 2 or len(amounts) // 2 > x.ndim:
        text = f"pad must hold two ints for each of at most {x.ndim} axes, received {tuple(pad)}"
        fail(ValueRangeError, "pad", text)
    if mode not in ("constant", "reflect", "replicate", "circular"):
        text = f"mode must be constant, reflect, replicate or circular, received {mode!r}"
        fail(ValueRangeError, "pad", text)
    if mode == "constant":
        return _pad_constant(x, amounts, 0 if value is None else value)
    for number in range(len(amounts) // 2):
        axis = x.ndim - 1 - number
        x = _pad_axis(x, axis, amounts[2 * number], amounts[2 * number + 1], mode)
    return x


def _pad_constant(x: Any, amounts: list[int], value: float) -> Any:
    low, high = [0] * x.ndim, [0] * x.ndim
    for number in range(len(amounts) // 2):
        axis = x.ndim - 1 - number
        before, after = amounts[2 * number], amounts[2 * number + 1]
        cut_before, cut_after = max(0, -before), max(0, -after)
        if cut_before or cut_after:
            left = x.shape[axis] - cut_before - cut_after
            if isinstance(left, int) and left < 0:
                fail(
                    ShapeError,
                    "pad",
                    f"cannot crop {cut_before + cut_after} of axis {axis} of {x._type}",
                )
            x = sliced(x, axis, cut_before, left)
        low[axis], high[axis] = max(0, before), max(0, after)
    if not any(low) and not any(high):
        return x
    fill = F.constant(value=_number(value, x.dtype), dtype=x.dtype)
    return F.pad(x, fill, low=tuple(low), high=tuple(high), interior=(0,) * x.ndim)


def _number(value: float, dtype: dtypes.DType) -> float | int | bool:
    if dtype.kind == "b":
        return bool(value)
    return float(value) if dtype.kind == "f" else int(value)


def _pad_axis(x: Any, axis: int, before: int, after: int, mode: str) -> Any:
    extent = x.shape[axis]
    most = {"reflect": extent - 1, "circular": extent, "replicate": None}[mode]
    # a symbolic size is looked at by every call: slices that do not fit are refused there
    if isinstance(most, int) and max(before, after) > most:
        text = f"{mode} padding of {max(before, after)} is too much for axis {axis} of {x._type}"
        fail(ShapeError, "pad", text, f"at most {most}")
    cut_before, cut_after = max(0, -before), max(0, -after)
    if cut_before or cut_after:
        x = sliced(x, axis, cut_before, extent - cut_before - cut_after)
        extent, before, after = extent - cut_before - cut_after, max(0, before), max(0, after)
    parts = [x]
    if before:
        if mode == "reflect":
            head = F.flip(sliced(x, axis, 1, before), axes=(axis,))
        elif mode == "circular":
            head = sliced(x, axis, extent - before, before)
        else:
            head = _repeated(x, axis, 0, before)
        parts.insert(0, head)
    if after:
        if mode == "reflect":
            tail = F.flip(sliced(x, axis, extent - 1 - after, after), axes=(axis,))
        elif mode == "circular":
            tail = sliced(x, axis, 0, after)
        else:
            tail = _repeated(x, axis, extent - 1, after)
        parts.append(tail)
    return concat(parts, axis=axis) if len(parts) > 1 else x


def _repeated(x: Any, axis: int, at: int, count: int) -> Any:
    shape = tuple(count if i == axis else n for i, n in enumerate(x.shape))
    return F.broadcast(sliced(x, axis, at, 1), shape=shape)


def interpolate(
    input: Any,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """Resize the spatial axes of (N, C, *).

    Args:
        size: the wanted sizes, or
        scale_factor: the factors on the present ones.
        mode: `nearest` (any number of axes), `linear`, `bilinear` or `trilinear`.
        align_corners: whether corner pixels keep their values (linear modes).
    """
    x = as_tensor(input)
    rank = x.ndim - 2
    modes = {"linear": 1, "bilinear": 2, "trilinear": 3}
    if mode != "nearest" and modes.get(mode) != rank:
        text = f"mode {mode!r} does not fit {x._type}"
        fail(ValueRangeError, "interpolate", text, "use nearest, linear, bilinear or trilinear")
    if (size is None) == (scale_factor is None):
        fail(ValueRangeError, "interpolate", "give either size or scale_factor")
    scales: list[Any] = [None] * rank
    if scale_factor is not None:
        given = (scale_factor,) * rank if isinstance(scale_factor, int | float) else scale_factor
        scales = [float(s) for s in given]
        wanted = [_scaled(n, s) for n, s in zip(x.shape[2:], scales, strict=True)]
    else:
        assert size is not None
        wanted = [size] * rank if isinstance(size, int) else list(size)
    for number, (n, scale) in enumerate(zip(wanted, scales, strict=True)):
        axis = 2 + number
        if mode == "nearest":
            x = _nearest(x, axis, n, scale)
        else:
            x = _linear_axis(x, axis, n, scale, bool(align_corners))
    return x


def _scaled(extent: DimLike, scale: float) -> DimLike:
    """A size times a factor, rounded down; a symbolic size needs a whole factor."""
    if isinstance(extent, int):
        return math.floor(extent * scale)
    if scale != int(scale):
        text = f"the factor {scale} of the symbolic size {extent} must be a whole number"
        fail(TraceError, "interpolate", text, "give this axis a fixed size")
    return extent * int(scale)


def _nearest(x: Any, axis: int, count: DimLike, scale: float | None) -> Any:
    extent = x.shape[axis]
    if isinstance(count, Dim):
        if extent * (count // extent) != count:
            fail(TraceError, "interpolate", f"{count} is no multiple of the size {extent}")
        return repeat(x, count // extent, axis=axis)
    step = 1.0 / scale if scale else extent / count
    places = [min(int(i * step), extent - 1) for i in range(count)]
    return F.gather(x, as_tensor(places), axis=axis)


def _linear_axis(x: Any, axis: int, count: DimLike, scale: float | None, corners: bool) -> Any:
    extent = x.shape[axis]
    if isinstance(extent, Dim) or isinstance(count, Dim):
        text = f"linear modes need fixed sizes, received {extent} → {count}"
        fail(TraceError, "interpolate", text, "use mode='nearest', or fix the size of this axis")
    low, high, share = [], [], []
    for i in range(count):
        if corners:
            place = i * (extent - 1) / (count - 1) if count > 1 else 0.0
        else:
            step = 1.0 / scale if scale else extent / count
            place = max(0.0, (i + 0.5) * step - 0.5)
        first = min(int(place), extent - 1)
        low.append(first)
        high.append(min(first + 1, extent - 1))
        share.append(place - first)
    line = tuple(count if i == axis else 1 for i in range(x.ndim))
    weight = cast(as_tensor(share), x.dtype).reshape(line)
    a, b = F.gather(x, as_tensor(low), axis=axis), F.gather(x, as_tensor(high), axis=axis)
    return a * (1.0 - weight) + b * weight


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """(N, C·r², H, W) → (N, C, H·r, W·r) (Shi et al., 2016)."""
    x, r = as_tensor(input), upscale_factor
    *lead, channels, height, width = x.shape
    if channels % (r * r):
        text = f"the channels of {x._type} are not divisible by {r}² = {r * r}"
        fail(ShapeError, "pixel_shuffle", text)
    rank = len(lead)
    split = x.reshape((*lead, channels // (r * r), r, r, height, width))
    order = (*range(rank), rank, rank + 3, rank + 1, rank + 4, rank + 2)
    return F.permute(split, axes=order).reshape((*lead, channels // (r * r), height * r, width * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """(N, C, H·r, W·r) → (N, C·r², H, W)."""
    x, r = as_tensor(input), downscale_factor
    *lead, channels, height, width = x.shape
    if height % r or width % r:
        fail(
            ShapeError,
            "pixel_unshuffle",
            f"the last two axes of {x._type} are not divisible by {r}",
        )
    rank = len(lead)
    split = x.reshape((*lead, channels, height // r, r, width // r, r))
    order = (*range(rank), rank, rank + 2, rank + 4, rank + 1, rank + 3)
    return F.permute(split, axes=order).reshape((*lead, channels * r * r, height // r, width // r))


def channel_shuffle(input: Any, groups: int) -> Any:
    """Interleave the channels of `groups` groups (Zhang et al., 2018)."""
    x = as_tensor(input)
    samples, channels, *rest = x.shape
    split = x.reshape((samples, groups, channels // groups, *rest))
    order = (0, 2, 1, *range(3, 3 + len(rest)))
    return F.permute(split, axes=order).reshape(x.shape)

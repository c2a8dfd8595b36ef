"""Pooling over windows: maxima and averages, and the adaptive forms."""

from __future__ import annotations

import math
from typing import Any

from elinvar.core import dtypes
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.nn.functional.convolution import Sizes, sizes_of
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.elementwise import where
from elinvar.tensor.manipulation import concat, expand_dims, sliced, squeeze
from elinvar.tensor.reductions import max as amax
from elinvar.tensor.reductions import mean
from elinvar.tensor.reductions import sum as total


def _batched(op: str, input: Any, rank: int) -> tuple[Any, bool]:
    x = as_tensor(input)
    if x.ndim not in (rank + 1, rank + 2):
        fail(
            ShapeError, op, f"expected (N, C, {rank} axes) or (C, {rank} axes), received {x._type}"
        )
    return (x, False) if x.ndim == rank + 2 else (expand_dims(x, axis=0), True)


def _windows(
    x: Any, kernel: Any, stride: Any, low: Any, high: Any, dilation: Any, fill: float
) -> Any:
    """(kernel axes, N, C, positions), padded with `fill`."""
    rank = len(kernel)
    if any(low) or any(high):
        value = F.constant(value=fill, dtype=x.dtype)
        zeros = (0, 0, *(0 for _ in range(rank)))
        x = F.pad(x, value, low=(0, 0, *low), high=(0, 0, *high), interior=zeros)
    axes = tuple(range(2, 2 + rank))
    return F.windows(x, axes=axes, sizes=kernel, strides=stride, dilations=dilation)


def _high(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Any:
    """Padding after the end: more than before it where `ceil_mode` asks for one more window."""
    found = []
    for n, k, s, p, d in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True):
        extra = 0
        if ceil_mode:
            span = n + 2 * p - d * (k - 1) - 1
            count = math.ceil(span / s)
            if count * s >= n + p:  # the last window must start inside of the input or its padding
                count -= 1
            extra = max(0, count * s - span)
        found.append(p + extra)
    return tuple(found)


_MOST_COMPARED = 16  # elements of windows whose maximum is found by comparing one after another


@composite
def _max_pool(x: Any, *, params: tuple[Any, ...]) -> Any:
    """The maximum, with the gradient to the first one in row-major order, as in PyTorch."""
    kernel, stride, low, high, dilation = params
    rank = len(kernel)
    fill = -math.inf if x.dtype.kind == "f" else _lowest(x.dtype)
    windows = _windows(x, kernel, stride, low, high, dilation, fill)
    flat = windows.reshape((math.prod(kernel), *windows.shape[rank:]))
    first = _first_maximum(F.stop_gradient(flat))
    places = F.iota(size=flat.shape[0], dtype=first.dtype)
    places = places.reshape((flat.shape[0], *(1 for _ in flat.shape[1:])))
    chosen = places == expand_dims(first, axis=0)
    nothing = F.full(-0.0 if x.dtype.kind == "f" else 0, flat)  # adds nothing to -0 either
    return total(where(chosen, flat, nothing), axis=0, dtype=x.dtype), first


def _first_maximum(flat: Any) -> Any:
    """The place of the first maximum, or the first NaN, along axis 0.

    In small windows one element after another is compared: one pass over memory, and places of one
    byte, which backward reads once more.
    """
    count = flat.shape[0]
    if count > _MOST_COMPARED:
        return F.argmax(flat, axis=0)
    size, step = (1, *flat.shape[1:]), (1,) * flat.ndim
    parts = [
        F.slice(flat, start=(k, *(0 for _ in size[1:])), size=size, step=step).reshape(size[1:])
        for k in range(count)
    ]
    best = parts[0]
    first = cast(F.zeros_like(best), dtypes.uint8)
    for k, part in enumerate(parts[1:], 1):
        better = part > best
        if flat.dtype.kind == "f":
            better = better | ((part != part) & (best == best))
        first = where(better, F.full(k, first), first)
        best = where(better, part, best)
    return first


def _lowest(dtype: Any) -> int:
    return 0 if dtype.kind == "u" else -(2 ** (dtype.bits - 1))


def _max(
    op: str,
    rank: int,
    input: Any,
    kernel_size: Sizes,
    stride: Any,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    x, added = _batched(op, input, rank)
    kernel = sizes_of(op, "kernel_size", kernel_size, rank)
    step = kernel if stride is None or stride == [] else sizes_of(op, "stride", stride, rank)
    low = sizes_of(op, "padding", padding, rank)
    spread = sizes_of(op, "dilation", dilation, rank)
    if any(2 * p > k for p, k in zip(low, kernel, strict=True)):
        fail(ValueRangeError, op, f"padding {low} must be at most half of kernel_size {kernel}")
    high = _high(x, kernel, step, low, spread, ceil_mode)
    result, first = _max_pool(x, params=(kernel, step, low, high, spread))
    if return_indices:
        first = _flat_indices(cast(first, dtypes.int64), x.shape[2:], kernel, step, low, spread)
    found = (result, first) if return_indices else (result,)
    if added:
        found = tuple(squeeze(y, axis=0) for y in found)
    return found if return_indices else found[0]


def _flat_indices(first: Any, shape: Any, kernel: Any, stride: Any, low: Any, dilation: Any) -> Any:
    """Positions within the window → positions in the flattened input plane."""
    rank, rest, flat = len(kernel), first, None
    parts = []
    for size in reversed(kernel):
        parts.append(rest % size)
        rest = rest // size
    for axis, part in enumerate(reversed(parts)):
        line = [1] * first.ndim
        line[first.ndim - rank + axis] = first.shape[first.ndim - rank + axis]
        starts = F.iota(size=line[first.ndim - rank + axis], dtype=dtypes.int64).reshape(
            tuple(line)
        )
        place = starts * stride[axis] - low[axis] + part * dilation[axis]
        flat = place if flat is None else flat * shape[axis] + place
    return flat


def max_pool1d(
    input: Any,
    kernel_size: Sizes,
    stride: Any = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, L)."""
    return _max(
        "max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool2d(
    input: Any,
    kernel_size: Sizes,
    stride: Any = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, H, W); the gradient goes to the first maximum.

    Example:
        >>> import elinvar as el
        >>> x = el.arange(16.0).reshape(1, 1, 4, 4)
        >>> el.nn.functional.max_pool2d(x, 2)[0, 0].tolist()
        [[5.0, 7.0], [13.0, 15.0]]
    """
    return _max(
        "max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool3d(
    input: Any,
    kernel_size: Sizes,
    stride: Any = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, D, H, W)."""
    return _max(
        "max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


@composite
def _avg_pool(x: Any, *, params: tuple[Any, ...]) -> Any:
    kernel, stride, low, high, count_pad, divisor = params
    ones = (1,) * len(kernel)
    axes = tuple(range(len(kernel)))
    wide = cast(x, dtypes.accumulator(x.dtype))
    sums = total(_windows(wide, kernel, stride, low, high, ones, 0.0), axis=axes)
    if divisor is not None:
        return cast(sums / float(divisor), x.dtype)
    if high == low and (count_pad or not any(low)):
        return cast(sums / float(math.prod(kernel)), x.dtype)
    inside = F.full(1.0, wide)
    if count_pad:  # padding counts, what ceil_mode adds beyond it does not
        zeros = (0,) * (2 + len(kernel))
        grown = (0, 0, *low)
        inside = F.pad(
            inside, F.constant(value=1.0, dtype=wide.dtype), low=grown, high=grown, interior=zeros
        )
        rest = tuple(b - a for a, b in zip(low, high, strict=True))
        counts = total(
            _windows(inside, kernel, stride, (0,) * len(low), rest, ones, 0.0), axis=axes
        )
    else:
        counts = total(_windows(inside, kernel, stride, low, high, ones, 0.0), axis=axes)
    return cast(sums / counts, x.dtype)


def _average(
    op: str,
    rank: int,
    input: Any,
    kernel_size: Sizes,
    stride: Any,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Any:
    x, added = _batched(op, input, rank)
    kernel = sizes_of(op, "kernel_size", kernel_size, rank)
    step = kernel if stride is None or stride == [] else sizes_of(op, "stride", stride, rank)
    low = sizes_of(op, "padding", padding, rank)
    if any(2 * p > k for p, k in zip(low, kernel, strict=True)):
        fail(ValueRangeError, op, f"padding {low} must be at most half of kernel_size {kernel}")
    high = _high(x, kernel, step, low, (1,) * rank, ceil_mode)
    result = _avg_pool(x, params=(kernel, step, low, high, count_include_pad, divisor))
    return squeeze(result, axis=0) if added else result


def avg_pool1d(
    input: Any,
    kernel_size: Sizes,
    stride: Any = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The average of each window of (N, C, L)."""
    return _average(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None
    )


def avg_pool2d(
    input: Any,
    kernel_size: Sizes,
    stride: Any = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The average of each window of (N, C, H, W)."""
    return _average(
        "avg_pool2d",
        2,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


def avg_pool3d(
    input: Any,
    kernel_size: Sizes,
    stride: Any = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The average of each window of (N, C, D, H, W)."""
    return _average(
        "avg_pool3d",
        3,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


def _adaptive(op: str, rank: int, input: Any, output_size: Any, reduce: Any) -> Any:
    """Position i of n pools the elements floor(i·N/n) … ceil((i+1)·N/n)."""
    x, added = _batched(op, input, rank)
    wanted = (
        (output_size,) * rank
        if output_size is None or isinstance(output_size, int)
        else tuple(output_size)
    )
    for axis, n in enumerate(wanted):
        place = x.ndim - rank + axis
        extent = x.shape[place]
        n = extent if n is None else int(n)
        if n == 1:
            x = reduce(x, axis=place, keepdims=True)
            continue
        if extent % n == 0:
            shape = (*x.shape[:place], n, extent // n, *x.shape[place + 1 :])
            x = reduce(x.reshape(shape), axis=place + 1)
            continue
        parts = []
        for i in range(n):
            start, stop = i * extent // n, -(-(i + 1) * extent // n)
            parts.append(reduce(sliced(x, place, start, stop - start), axis=place, keepdims=True))
        x = concat(parts, axis=place)
    return squeeze(x, axis=0) if added else x


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Averages over windows that give the wanted output size, from (N, C, L)."""
    return _adaptive("adaptive_avg_pool1d", 1, input, output_size, mean)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Averages over windows that give the wanted output size, from (N, C, H, W)."""
    return _adaptive("adaptive_avg_pool2d", 2, input, output_size, mean)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """Averages over windows that give the wanted output size, from (N, C, D, H, W)."""
    return _adaptive("adaptive_avg_pool3d", 3, input, output_size, mean)


def adaptive_max_pool1d(input: Any, output_size: Any) -> Any:
    """Maxima over windows that give the wanted output size, from (N, C, L)."""
    return _adaptive("adaptive_max_pool1d", 1, input, output_size, amax)


def adaptive_max_pool2d(input: Any, output_size: Any) -> Any:
    """Maxima over windows that give the wanted output size, from (N, C, H, W)."""
    return _adaptive("adaptive_max_pool2d", 2, input, output_size, amax)

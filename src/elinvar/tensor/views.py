"""Movement operations that need no kernel: the same memory under another layout.

Each function takes a layout and the op's params and gives (offset of element 0 in elements,
layout), or None where the elements have to be copied. The params were checked by the type rule.
"""

from __future__ import annotations

from collections.abc import Callable

from elinvar.tensor.layout import Layout, dense, layout

Ints = tuple[int, ...]
View = tuple[int, Layout] | None


def permute(x: Layout, axes: Ints) -> tuple[int, Layout]:
    """Axes in another order."""
    shape = tuple(x.shape[axis] for axis in axes)
    return 0, layout(x.dtype, shape, tuple(x.strides[axis] for axis in axes))


def broadcast(x: Layout, shape: Ints) -> tuple[int, Layout]:
    """Repeated axes get stride 0."""
    extra = len(shape) - x.ndim
    strides = (0,) * extra + tuple(
        0 if old == 1 and new != 1 else stride
        for old, new, stride in zip(x.shape, shape[extra:], x.strides, strict=True)
    )
    return 0, layout(x.dtype, shape, strides)


def slice_(x: Layout, start: Ints, size: Ints, step: Ints) -> View:
    """Every step-th element from start."""
    if 0 in size:
        return 0, dense(x.dtype, size)
    offset = sum(first * stride for first, stride in zip(start, x.strides, strict=True))
    strides = tuple(one * stride for one, stride in zip(step, x.strides, strict=True))
    return offset, layout(x.dtype, size, strides)


def flip(x: Layout, axes: Ints) -> View:
    """Axes run backwards."""
    start = tuple(dim - 1 if axis in axes else 0 for axis, dim in enumerate(x.shape))
    step = tuple(-1 if axis in axes else 1 for axis in range(x.ndim))
    return slice_(x, start, x.shape, step)


def reshape(x: Layout, shape: Ints) -> View:
    """The elements in the same order under another shape, where strides can say so."""
    if x.is_dense:
        return 0, dense(x.dtype, shape)
    strides = _reshaped_strides(x, shape)
    return None if strides is None else (0, layout(x.dtype, shape, strides))


def _reshaped_strides(x: Layout, shape: Ints) -> Ints | None:
    """Merge the axes of x into runs that one stride describes, then cut the runs anew."""
    runs: list[tuple[int, int]] = []  # (size, innermost stride)
    for dim, stride in zip(x.shape, x.strides, strict=True):
        if dim == 1:
            continue
        if runs and runs[-1][1] == stride * dim:
            runs[-1] = (runs[-1][0] * dim, stride)
        else:
            runs.append((dim, stride))
    strides: list[int] = []
    runs.reverse()
    room, step = runs.pop(0) if runs else (1, 1)
    for dim in reversed(shape):
        if dim == 1:
            strides.append(step)
            continue
        if room == 1 and runs:
            room, step = runs.pop(0)
        if room % dim:
            return None
        strides.append(step)
        room //= dim
        step *= dim
    return tuple(reversed(strides))


def windows(x: Layout, axes: Ints, sizes: Ints, strides: Ints, dilations: Ints) -> View:
    """Sliding windows: element [k…, i…] reads x at i·stride + k·dilation."""
    counts, steps = list(x.shape), list(x.strides)
    for axis, size, stride, dilation in zip(axes, sizes, strides, dilations, strict=True):
        counts[axis] = (x.shape[axis] - dilation * (size - 1) - 1) // stride + 1
        steps[axis] = x.strides[axis] * stride
    front = tuple(d * x.strides[axis] for axis, d in zip(axes, dilations, strict=True))
    return 0, layout(x.dtype, sizes + tuple(counts), front + tuple(steps))


VIEWS: dict[str, Callable[..., View]] = {
    "permute": permute,
    "broadcast": broadcast,
    "slice": slice_,
    "flip": flip,
    "reshape": reshape,
    "windows": windows,
}

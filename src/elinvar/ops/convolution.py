"""Convolution: cross-correlation of images (of any number of dimensions) with kernels.

Both derivatives are convolutions again, with input dilation in the place of stride and batch groups
in the place of groups, so every order of derivative exists. The semantics are StableHLO's with the
dimension order [N, C, …] for inputs and results and [O, I, …] for kernels; inside of a compiled
program the layout pass asks for results [N, …, C].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import float32, int32
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.types import TensorType
from elinvar.ops.emit import HIGHEST, array, statement
from elinvar.ops.record import Emit, Op, Sample, absent
from elinvar.ops.rules import (
    carried,
    check_ints,
    known_negative,
    moved_axis,
    narrowed,
    need_equal_dtypes,
    need_numeric,
    permuted,
    product_dtype,
    quotient,
    reshaped,
    whole_steps,
    widened,
)
from elinvar.ops.sampling import bad, brain_floats, floats, integers

PARAMS = (
    "stride", "low", "high", "dilation", "input_dilation", "groups", "batch_groups",
    "channels_inner", "channels_last", "dtype",
)  # fmt: skip


def spread(n: Any, dilation: Any) -> Any:
    """The length of n elements with dilation - 1 holes between neighbours."""
    return 0 if isinstance(n, int) and n == 0 else (n - 1) * dilation + 1


def _type(x: TensorType, w: TensorType, **params: Any) -> TensorType:
    op = "convolution"
    need_equal_dtypes(op, x, w)
    need_numeric(op, x)
    spatial = x.rank - 2
    if spatial < 0 or w.rank != x.rank:
        text = "expected an input [N,C,…] and a kernel [O,C,…] of the same rank, received"
        fail(ShapeError, op, f"{text} {x} and {w}")
    for name in ("stride", "dilation", "input_dilation"):
        check_ints(op, name, params[name], spatial, 1)
    for name in ("low", "high"):
        check_ints(op, name, params[name], spatial)
    groups, batch_groups = params["groups"], params["batch_groups"]
    if groups < 1 or batch_groups < 1 or (groups > 1 and batch_groups > 1):
        text = "groups and batch_groups must be positive and one of them 1, received"
        fail(ValueRangeError, op, f"{text} {groups} and {batch_groups}")
    if w.shape[1] * groups != x.shape[1]:
        text = f"channels differ: input {x} and kernel {w} with groups {groups}"
        fail(ShapeError, op, f"{text}, {x.shape[1]} ≠ {w.shape[1] * groups}")
    for name, count, by in (
        ("output channels", w.shape[0], max(groups, batch_groups)),
        ("the batch size", x.shape[0], batch_groups),
    ):
        if isinstance(count, int) and count % by:
            fail(ShapeError, op, f"{name} {count} cannot be divided by {by}: {x} and {w}")
    for name in ("channels_inner", "channels_last"):
        if not isinstance(params[name], bool):
            fail(ValueRangeError, op, f"{name} must be True or False, received {params[name]!r}")
    dtype = product_dtype(op, x, params.get("dtype"))
    batch, places = quotient(op, x.shape[0], batch_groups), _output_spatial(x, w, params)
    if params["channels_last"]:
        return TensorType(dtype, (batch, *places, w.shape[0]))
    return TensorType(dtype, (batch, w.shape[0], *places))


def _output_spatial(x: TensorType, w: TensorType, params: dict[str, Any]) -> tuple[Any, ...]:
    result = []
    for axis in range(x.rank - 2):
        n, k = x.shape[axis + 2], w.shape[axis + 2]
        padded = spread(n, params["input_dilation"][axis])
        padded = padded + params["low"][axis] + params["high"][axis]
        span = spread(k, params["dilation"][axis])
        room = padded - span
        if known_negative(room) and not (padded == 0 and room == -1):
            text = f"the kernel {w} spans {span} but the padded input {x} has {padded}"
            fail(ShapeError, "convolution", f"{text} along spatial dimension {axis}")
        result.append(whole_steps("convolution", room, params["stride"][axis]) + 1)
    return tuple(result)


# ---- the reference ------------------------------------------------------------------------------


def _dilated_and_padded(x: Any, low: Any, high: Any, input_dilation: Any) -> Any:
    """x with zeros between and around its elements; negative padding crops."""
    spans = [spread(n, d) for n, d in zip(x.shape[2:], input_dilation, strict=True)]
    total = [max(a, 0) + n + max(b, 0) for a, n, b in zip(low, spans, high, strict=True)]
    wide = np.zeros((*x.shape[:2], *total), x.dtype)
    places = zip(low, spans, input_dilation, strict=True)
    inside = [slice(max(a, 0), max(a, 0) + n, d) for a, n, d in places]
    wide[(slice(None), slice(None), *inside)] = x
    cropped = zip(low, total, high, strict=True)
    kept = [slice(max(-a, 0), n - max(-b, 0)) for a, n, b in cropped]
    return wide[(slice(None), slice(None), *kept)]


def _reference(x: Any, w: Any, **params: Any) -> Any:
    groups, batch_groups = params["groups"], params["batch_groups"]
    x, w = (carried(v, params.get("dtype")) for v in (x, w))
    wide = _dilated_and_padded(widened(x), params["low"], params["high"], params["input_dilation"])
    xs = np.split(wide, batch_groups, 0) if batch_groups > 1 else np.split(wide, groups, 1)
    ws = np.split(widened(w), max(groups, batch_groups), 0)
    stride, dilation, holes = params["stride"], params["dilation"], params["input_dilation"]
    if any(d > 1 for d in holes):
        sizes = x.shape[2:]
        real = _dilated_and_padded(
            np.ones((1, 1, *sizes), bool), params["low"], params["high"], holes
        )
        full = _dilated_and_padded(
            np.ones((1, 1, *(spread(n, d) for n, d in zip(sizes, holes, strict=True))), bool),
            params["low"], params["high"], (1,) * len(holes),
        )  # fmt: skip
        seen = (real | ~full)[0, 0]
        parts = [_around_holes(a, b, seen, stride, dilation) for a, b in zip(xs, ws, strict=True)]
    else:
        parts = [_correlate(a, b, stride, dilation) for a, b in zip(xs, ws, strict=True)]
    result = np.concatenate(parts, 1)
    if params["channels_last"]:
        result = np.moveaxis(result, 1, -1)
    return narrowed(result, x.dtype)


def _correlate(x: Any, w: Any, stride: Any, dilation: Any) -> Any:
    """Σ over c and k of x[n, c, p·stride + k·dilation] w[o, c, k] for each n, o and p."""
    spatial = x.ndim - 2
    spans = [spread(k, d) for k, d in zip(w.shape[2:], dilation, strict=True)]
    counts = [(n - s) // t + 1 for n, s, t in zip(x.shape[2:], spans, stride, strict=True)]
    if 0 in counts or 0 in w.shape:
        return np.zeros((x.shape[0], w.shape[0], *counts), x.dtype)
    seen = x
    if spatial:
        seen = np.lib.stride_tricks.sliding_window_view(x, spans, tuple(range(2, x.ndim)))
    steps = [slice(None, None, step) for step in (*stride, *dilation)]
    seen = seen[(slice(None), slice(None), *steps)]  # (N, C, *P, *K)
    summed = tuple(range(2 + spatial, 2 + 2 * spatial))
    found = np.tensordot(seen, w, ((1, *summed), (1, *range(2, w.ndim))))  # (N, *P, O)
    return np.moveaxis(found, -1, 1)


def _around_holes(x: Any, w: Any, seen: Any, stride: Any, dilation: Any) -> Any:
    """As `_correlate`, without the terms whose x is a hole, where `seen` is False."""
    spans = [spread(k, d) for k, d in zip(w.shape[2:], dilation, strict=True)]
    counts = [(n - s) // t + 1 for n, s, t in zip(x.shape[2:], spans, stride, strict=True)]
    result = np.zeros((x.shape[0], w.shape[0], *counts), x.dtype)
    if 0 in result.shape or 0 in w.shape:
        return result
    for k in np.ndindex(*w.shape[2:]):
        places = zip(k, dilation, counts, stride, strict=True)
        at = tuple(slice(i * d, i * d + (n - 1) * t + 1, t) for i, d, n, t in places)
        met: Any = np.ix_(*(np.flatnonzero(line) for line in _lines(seen[at])))
        part = x[(slice(None), slice(None), *at)][(slice(None), slice(None), *met)]
        terms = np.moveaxis(np.tensordot(part, w[(slice(None), slice(None), *k)], (1, 1)), -1, 1)
        result[(slice(None), slice(None), *met)] += terms
    return result


def _lines(seen: Any) -> list[Any]:
    """What is seen along each axis; holes fill whole lines."""
    rank = seen.ndim
    return [seen.any(tuple(i for i in range(rank) if i != axis)) for axis in range(rank)]


# ---- the derivative -----------------------------------------------------------------------------


def _derivative(f: Any, operands: Any, results: Any, cotangents: Any, **params: Any) -> Any:
    x, w = operands
    if params.get("dtype") is not None:
        plain = {name: value for name, value in params.items() if name != "dtype"}
        wide = [f.cast(v, dtype=params["dtype"]) for v in operands]
        found = _derivative(f, wide, results, cotangents, **plain)
        return tuple(f.cast(d, dtype=x.dtype) for d in found)
    if any(isinstance(dim, int) and dim == 0 for dim in (*x.shape, *w.shape, *results[0].shape)):
        return f.zeros_like(x), f.zeros_like(w)
    g = cotangents[0]
    if params["channels_last"]:
        g = moved_axis(f, g, len(g.shape) - 1, 1)
    return _by_input(f, x, w, g, params), _by_kernel(f, x, w, g, params)


def _by_input(f: Any, x: Any, w: Any, g: Any, params: dict[str, Any]) -> Any:
    """g, dilated by the stride, with the kernel turned round and its channels swapped.

    x's element i stands at low + i·input_dilation and meets g's element p through the kernel's k
    where p·stride + k·dilation is that place.
    """
    groups, batch_groups = params["groups"], params["batch_groups"]
    parts = max(groups, batch_groups)
    axes = range(len(params["stride"]))
    kernel_size = tuple(w.shape[2:])
    low, high = [], []
    for axis in axes:
        span = spread(w.shape[axis + 2], params["dilation"][axis])
        before = span - 1 - params["low"][axis]
        needed = span + (x.shape[axis + 2] - 1) * params["input_dilation"][axis]
        low.append(before)
        high.append(needed - before - spread(g.shape[axis + 2], params["stride"][axis]))
    out, inner = quotient("convolution", w.shape[0], parts), w.shape[1]
    kernel = f.flip(w, axes=tuple(axis + 2 for axis in axes)) if kernel_size else w
    kernel = reshaped(f, kernel, (parts, out, inner, *kernel_size))
    kernel = moved_axis(f, kernel, 2, 1)  # (parts, C/groups, O/parts, *K)
    kernel = reshaped(f, kernel, (parts * inner, out, *kernel_size))
    found = f.convolution(
        g, kernel, stride=params["input_dilation"], low=tuple(low), high=tuple(high),
        dilation=params["dilation"], input_dilation=params["stride"],
        groups=parts, batch_groups=1, channels_inner=True, channels_last=False,
    )  # fmt: skip
    if batch_groups == 1:
        return found
    count, spatial = found.shape[0], tuple(x.shape[2:])  # (N/parts, parts·C, *S)
    found = reshaped(f, found, (count, parts, inner, *spatial))
    return reshaped(f, moved_axis(f, found, 1, 0), tuple(x.shape))


def _by_kernel(f: Any, x: Any, w: Any, g: Any, params: dict[str, Any]) -> Any:
    """x correlated with g, dilated by the stride; batch and channels change places.

    The sum runs over samples and, within each, over positions: it walks through x and g.
    """
    high = []
    for axis in range(len(params["stride"])):
        needed = spread(w.shape[axis + 2], params["dilation"][axis])
        needed = needed + (g.shape[axis + 2] - 1) * params["stride"][axis]
        have = spread(x.shape[axis + 2], params["input_dilation"][axis]) + params["low"][axis]
        high.append(needed - have)  # less than before when the stride left a remainder
    rank = len(x.shape)
    swapped = (1, 0, *range(2, rank))
    found = f.convolution(
        permuted(f, x, swapped), permuted(f, g, swapped),
        stride=params["dilation"], low=params["low"], high=tuple(high),
        dilation=params["stride"], input_dilation=params["input_dilation"],
        groups=params["batch_groups"], batch_groups=params["groups"],
        channels_inner=False, channels_last=False,
    )  # fmt: skip
    return permuted(f, found, swapped)


# ---- batching and StableHLO ---------------------------------------------------------------------


def merged_batch(f: Any, x: Any, axis: int, groups: int) -> Any:
    """The leading batch dimension merged into an axis, within each of its groups."""
    size, shape = x.shape[0], tuple(x.shape[1:])
    within = quotient("convolution", shape[axis], groups)
    split = reshaped(f, x, (size, *shape[:axis], groups, within, *shape[axis + 1 :]))
    moved = moved_axis(f, split, 0, axis + 1)
    return reshaped(f, moved, (*shape[:axis], groups * size * within, *shape[axis + 1 :]))


def _split(f: Any, y: Any, size: Any, axis: int, groups: int) -> Any:
    """The inverse of `merged_batch`."""
    shape = tuple(y.shape)
    within = quotient("convolution", shape[axis], groups * size)
    split = reshaped(f, y, (*shape[:axis], groups, size, within, *shape[axis + 1 :]))
    moved = moved_axis(f, split, axis + 1, 0)
    return reshaped(f, moved, (size, *shape[:axis], groups * within, *shape[axis + 1 :]))


def _batching(f: Any, size: Any, operands: Any, mapped: Any, **params: Any) -> Any:
    """The batch joins the images, the output channels, or (for both operands) the groups."""
    x, w = operands
    groups, batch_groups = params["groups"], params["batch_groups"]
    if params["channels_last"]:
        found = _batching(f, size, operands, mapped, **(params | {"channels_last": False}))
        return moved_axis(f, found, 2, len(found.shape) - 1)
    if all(mapped):
        wide = dict(params)
        wide["batch_groups" if batch_groups > 1 else "groups"] = max(groups, batch_groups) * size
        axis = 0 if batch_groups > 1 else 1
        found = f.convolution(merged_batch(f, x, axis, 1), merged_batch(f, w, 0, 1), **wide)
        return _split(f, found, size, 1, 1)
    if mapped[0]:
        found = f.convolution(merged_batch(f, x, 0, batch_groups), w, **params)
        return _split(f, found, size, 0, 1)
    parts = max(groups, batch_groups)
    return _split(f, f.convolution(x, merged_batch(f, w, 0, parts), **params), size, 1, parts)


def _stablehlo(
    printer: Any, operands: Any, types: Any, result_types: Any, params: Any
) -> list[str]:
    spatial = range(len(params["stride"]))
    dims = "".join(f", {axis}" for axis in spatial)
    pairs = ", ".join(f"[{params['low'][i]}, {params['high'][i]}]" for i in spatial)
    padding = f"dense<[{pairs}]>" if pairs else "dense<>"
    result = f"[b{dims}, f]" if params["channels_last"] else f"[b, f{dims}]"
    attributes = (
        f"dimension_numbers = #stablehlo.conv<[b, f{dims}]x[o, i{dims}]->{result}>, "
        f"window_strides = {array(params['stride'])}, "
        f"padding = {padding} : tensor<{len(spatial)}x2xi64>, "
        f"lhs_dilation = {array(params['input_dilation'])}, "
        f"rhs_dilation = {array(params['dilation'])}, "
        f"feature_group_count = {params['groups']} : i64, "
        f"batch_group_count = {params['batch_groups']} : i64, {HIGHEST}"
    )
    return statement(
        printer, printer.results, "convolution", operands, types, result_types, attributes
    )


# ---- the record ---------------------------------------------------------------------------------


def _params(spatial: int, **changes: Any) -> dict[str, Any]:
    """Params of a plain convolution with some of them changed."""
    ones, zeros = (1,) * spatial, (0,) * spatial
    plain = {
        "stride": ones, "low": zeros, "high": zeros, "dilation": ones, "input_dilation": ones,
        "groups": 1, "batch_groups": 1, "channels_inner": True, "channels_last": False,
    }  # fmt: skip
    return plain | changes


def _rows() -> list[tuple[Any, Any, dict[str, Any]]]:
    """(x's shape, w's shape, params)"""
    return [
        ((2, 3, 5), (4, 3, 3), _params(1)),
        ((1, 2, 6), (3, 2, 2), _params(1, stride=(2,), low=(1,), high=(2,))),
        ((1, 2, 7), (2, 2, 3), _params(1, stride=(3,), low=(1,))),
        ((1, 1, 7), (1, 1, 3), _params(1, dilation=(2,), low=(2,), high=(1,), stride=(2,))),
        ((1, 1, 4), (1, 1, 3), _params(1, input_dilation=(2,), low=(1,), high=(1,))),
        ((2, 4, 5), (6, 2, 2), _params(1, groups=2)),
        ((2, 3, 5), (3, 1, 3), _params(1, groups=3, low=(1,), high=(1,), stride=(2,))),
        ((4, 3, 5), (6, 3, 2), _params(1, batch_groups=2)),
        ((4, 2, 5), (4, 2, 2), _params(1, batch_groups=4, stride=(2,))),
        ((1, 2, 6), (2, 2, 2), _params(1, low=(-1,), high=(2,))),
        ((1, 1, 6), (1, 1, 2), _params(1, low=(2,), high=(-3,), input_dilation=(2,), stride=(2,))),
        ((2, 2, 5, 4), (3, 2, 3, 2), _params(2, stride=(2, 1), low=(1, 0), high=(1, 1))),
        ((1, 2, 5, 5), (2, 1, 2, 3), _params(2, groups=2, dilation=(2, 1), stride=(1, 2))),
        ((1, 1, 3, 4, 3), (2, 1, 2, 2, 2), _params(3, stride=(1, 2, 1), low=(0, 1, 0))),
        ((2, 2, 5, 4), (3, 2, 3, 2), _params(2, stride=(2, 1), channels_last=True)),
        ((2, 4, 5), (6, 2, 2), _params(1, groups=2, channels_last=True, low=(1,))),
        ((4, 3, 5), (6, 3, 2), _params(1, batch_groups=2, channels_last=True)),
        ((2, 3, 5, 4), (4, 3, 2, 3), _params(2, channels_inner=False)),
        ((2, 3, 5), (4, 3, 3), _params(1, channels_inner=False, channels_last=True)),
        ((2, 3), (4, 3), _params(0)),
        ((2, 3), (4, 3), _params(0, channels_last=True)),
        ((1, 2, 3), (2, 2, 1), _params(1)),
        ((0, 2, 4), (3, 2, 2), _params(1)),
        ((1, 1, 2), (1, 1, 2), _params(1)),
    ]


def _samples() -> list[Sample]:
    found = [Sample((floats(*a), floats(*b, seed=1)), params) for a, b, params in _rows()]
    image, kernel = (2, 3, 6, 7), (4, 3, 3, 3)
    plain = _params(2, low=(1, 1), high=(1, 1))
    strided = _params(2, stride=(2, 2), low=(1, 1), high=(1, 1))
    for dtype, params in ((np.float32, plain), (np.float32, strided), (np.float16, plain)):
        pair = (floats(*image, dtype=dtype), floats(*kernel, seed=1, dtype=dtype))
        found.append(Sample(pair, params, differentiable=False))
    brains = (brain_floats(*image), brain_floats(*kernel, seed=1))
    whole = (integers(1, 2, 5), integers(3, 2, 2, seed=1))
    small = tuple(integers(*shape, low=-128, high=127, dtype=np.int8) for shape in (image, kernel))
    in_holes = _params(2, low=(2, 1), high=(1, 2), input_dilation=(2, 2), dtype=float32)
    return [
        *found,
        Sample(brains, strided, differentiable=False, bfloat16=True),
        Sample(brains, strided | {"dtype": float32}, differentiable=False, bfloat16=True),
        Sample(brains, in_holes, differentiable=False, bfloat16=True),
        Sample(small, plain | {"dtype": int32}, differentiable=False),
        Sample(whole, _params(1), differentiable=False),
    ]


def _bad_samples() -> list[Any]:
    image = "f32[1,3,8,8]"
    return [
        bad(
            f"{image} f32[4,2,3,3]",
            "[convolution] channels differ: input f32[1,3,8,8] and kernel f32[4,2,3,3] "
            "with groups 1, 3 ≠ 2", **_params(2),
        ),
        bad(
            "f32[1,1,2] f32[1,1,5]",
            "the kernel f32[1,1,5] spans 5 but the padded input f32[1,1,2] has 2 "
            "along spatial dimension 0", **_params(1),
        ),
        bad(f"{image} f32[4,3,3]", "of the same rank, received f32[1,3,8,8]", **_params(2)),
        bad("f32[3] f32[3]", "expected an input [N,C,…] and a kernel [O,C,…]", **_params(0)),
        bad(
            "f32[1,4,8] f32[3,2,1]", "output channels 3 cannot be divided by 2",
            **_params(1, groups=2),
        ),
        bad(
            "f32[3,4,8] f32[2,4,1]", "the batch size 3 cannot be divided by 2",
            **_params(1, batch_groups=2),
        ),
        bad(
            "f32[2,4,8] f32[2,2,1]", "one of them 1, received 2 and 2",
            **_params(1, groups=2, batch_groups=2),
        ),
        bad(
            "i8[1,1,8] i8[1,1,1]",
            "[convolution] dtype must hold every number of the operands: float32 for i8[1,1,8]",
            **_params(1, dtype=float32),
        ),
        bad("f32[1,1,8] f64[1,1,1]", "[convolution] dtypes differ", **_params(1)),
        bad("f32[1,1,8] f32[1,1,1]", "stride must be at least 1", **_params(1, stride=(0,))),
        bad("f32[1,1,8] f32[1,1,1]", "low must have 1 entries", **_params(1, low=(0, 0))),
        bad(
            "f32[1,1,8] f32[1,1,1]", "channels_last must be True or False, received 1",
            **_params(1, channels_last=1),
        ),
        bad(
            "f32[1,1,T] f32[1,1,2]", "[convolution] T-2 is not known to be divisible by 2",
            **_params(1, stride=(2,)),
        ),
    ]  # fmt: skip


CONVOLUTION = Op(
    name="convolution",
    family="contract",
    doc="""Cross-correlation of inputs [N, C, …] with kernels [O, C/groups, …].

    y[n, o, p…] = Σ over c and k of x̂[n, c, p·stride + k·dilation] · w[o, c, k…], where x̂ is x with
    input_dilation - 1 holes between neighbours, which take no part, and padded by zeros.

    Args:
        stride: how far the kernel moves from one result to the next, for each spatial dimension.
        low, high: zeros before and after; negative numbers crop.
        dilation: the distance between neighbours within the kernel.
        input_dilation: the distance between neighbours of x in x̂.
        groups: channels and output channels are cut into so many parts that do not mix.
        batch_groups: the batch and the output channels are cut into so many parts; part i of the
            results uses part i of the batch.
        channels_inner: the order of the sum: over k and, for each k, over c; else over c and, for
            each c, over k. The first is straight through memory where channels stand last, the
            second where c counts the samples (in the gradient with respect to w).
        channels_last: the result's channels are its last dimension.
        dtype: of the result and of the sums, a wider one than that of x and w (optional).

    Shape:
        [N / batch_groups, O, …] with (padded - span) // stride + 1 along each spatial dimension, or
        [N / batch_groups, …, O].

    Raises:
        ShapeError: channels differ, parts do not divide or the kernel does not fit.

    Example:
        >>> convolution(array([[[1, 2, 3, 4]]]), array([[[1, -1]]]), stride=(1,), low=(0,),
        ...             high=(0,), dilation=(1,), input_dilation=(1,), groups=1, batch_groups=1,
        ...             channels_inner=True, channels_last=False)
        array([[[-1, -1, -1]]])
    """,
    type_rule=_type,
    reference=_reference,
    derivative=_derivative,
    batching=_batching,
    lowering=absent("the kernel generator knows it by name"),
    stablehlo=Emit(_stablehlo),
    samples=_samples,
    bad_samples=_bad_samples,
    params=PARAMS,
    optional=("dtype",),
)


OPS: tuple[Op, ...] = (CONVOLUTION,)

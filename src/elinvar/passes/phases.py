"""Convolutions of inputs with holes, as convolutions without: a part of `legalize`.

A transposed convolution, and the gradient of a strided one, has d - 1 holes between neighbours of
its input. Result p meets only the taps k of the kernel for which p + k·dilation - low is a multiple
of d, so the results of each phase p mod d are a convolution of the input itself with every d-th tap
or so; the phases are put together again like the teeth of a zip. Nothing is multiplied by a hole.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

from elinvar.core.errors import ShapeError
from elinvar.core.shapes import DimLike
from elinvar.graph.ir import Builder, Value


class _Axis(NamedTuple):
    """One phase along one axis: its first tap, how many taps, their distance in the kernel and in
    the input, and the padding of the input (negative: cropping)."""

    first: int
    taps: DimLike
    step: int
    dilation: int
    low: int
    high: DimLike


def has_phases(operands: tuple[Value, ...], params: dict[str, Any]) -> bool:
    """Whether `in_phases` knows this convolution: holes, but no stride along the same axis."""
    x, w = operands
    pairs = list(zip(params["stride"], params["input_dilation"], strict=True))
    if all(holes == 1 for _, holes in pairs) or any(s > 1 < holes for s, holes in pairs):
        return False
    if any(isinstance(n, int) and n == 0 for n in (*x.shape, *w.shape)):
        return False
    return all(isinstance(n, int) for n, d in zip(w.shape[2:], params["input_dilation"]) if d > 1)


def in_phases(b: Builder, node_op: Any, operands: tuple[Value, ...], result: Value,
              params: dict[str, Any]) -> Value:  # fmt: skip
    """The convolution as one convolution per phase, for results [N, O, …]."""
    x, w = operands
    rank = len(params["stride"])
    holes = params["input_dilation"]
    places = result.shape[2:]
    counts = [p if d == 1 else _ceiling(p, d) for p, d in zip(places, holes, strict=True)]
    table = [[_phase(x, w, params, axis, r, counts[axis]) for r in range(holes[axis])]
             for axis in range(rank)]  # fmt: skip
    known = [[phase for phase in row if phase is not None] for row in table]
    if all(known):
        low = [max(0, *(phase.low for phase in row)) for row in known]
        high = [_largest([phase.high for phase in row]) for row in known]
        x = _padded(b, x, low, high)
    shape = (*result.shape[:2], *counts)
    zero = b.f.constant(value=0.0 if x.dtype.kind == "f" else 0, dtype=result.dtype)
    parts: dict[tuple[int, ...], Value] = {}
    for phases in itertools.product(*(range(d) for d in holes)):
        chosen = [table[axis][r] for axis, r in enumerate(phases)]
        found = [phase for phase in chosen if phase is not None]
        if len(found) < rank:
            parts[phases] = b.f.broadcast(zero, shape=shape)
            continue
        starts = [low[axis] - phase.low for axis, phase in enumerate(found)]
        strides = params["stride"]
        sizes = [
            (count - 1) * stride + (phase.taps - 1) * phase.dilation + 1
            for count, stride, phase in zip(counts, strides, found, strict=True)
        ]
        image = b.f.slice(x, start=(0, 0, *starts), size=(*x.shape[:2], *sizes),
                          step=(1,) * (rank + 2))  # fmt: skip
        kernel = b.f.slice(
            w, start=(0, 0, *(phase.first for phase in found)),
            size=(*w.shape[:2], *(phase.taps for phase in found)),
            step=(1, 1, *(phase.step for phase in found)),
        )  # fmt: skip
        none = (0,) * rank
        fresh = params | {
            "low": none, "high": none, "input_dilation": (1,) * rank,
            "dilation": tuple(phase.dilation for phase in found), "channels_last": False,
        }  # fmt: skip
        parts[phases] = b.apply(node_op, (image, kernel), fresh)
    return _zipped(b, parts, holes, shape, result)


def _phase(
    x: Value, w: Value, params: dict[str, Any], axis: int, r: int, count: DimLike
) -> _Axis | None:
    """What the results p = q·d + r see along an axis; None: nothing but holes."""
    d, dilation, low = (params[name][axis] for name in ("input_dilation", "dilation", "low"))
    n, size = x.shape[axis + 2], w.shape[axis + 2]
    stride = params["stride"][axis]
    first, step, apart, before = 0, 1, dilation, low
    taps: DimLike = size
    if d > 1:
        assert isinstance(size, int)
        met = [k for k in range(size) if (r + k * dilation - low) % d == 0]
        if not met:
            return None
        first, taps = met[0], len(met)
        step = d // math.gcd(d, dilation)
        apart = step * dilation // d
        before = -((r + first * dilation - low) // d)
    after = (count - 1) * stride + (taps - 1) * apart + 1 - n - before
    return _Axis(first, taps, step, apart, before, after)


def _ceiling(places: DimLike, d: int) -> DimLike:
    """places / d, rounded up; sizes with names are multiples of d and a number."""
    if isinstance(places, int):
        return -(-places // d)
    for rest in range(d - 1):
        try:
            return (places + rest) // d
        except ShapeError:
            continue
    return (places + d - 1) // d


def _largest(sizes: list[DimLike]) -> DimLike:
    """The largest of sizes that differ by numbers, but at least 0."""
    found = sizes[0]
    for one in sizes[1:]:
        more = one - found
        found = one if isinstance(more, int) and more > 0 else found
    return max(0, found) if isinstance(found, int) else found


def _padded(b: Builder, x: Value, low: list[int], high: list[DimLike]) -> Value:
    nothing = (0,) * x.type.rank
    if not any(low) and all(n == 0 for n in high):
        return x
    zero = b.f.constant(value=0.0 if x.dtype.kind == "f" else 0, dtype=x.dtype)
    value: Value = b.f.pad(x, zero, low=(0, 0, *low), high=(0, 0, *high), interior=nothing)
    return value


def _zipped(
    b: Builder, parts: dict[tuple[int, ...], Value], holes: Any, shape: Any, result: Value
) -> Value:
    """Phases as the inner half of each axis: [N, O, q…] of each → [N, O, q·d…], cut to size."""
    rank = len(holes)
    wide: list[DimLike] = [*shape[:2]]
    for count in shape[2:]:
        wide += [count, 1]
    parts = {phases: b.f.reshape(part, shape=tuple(wide)) for phases, part in parts.items()}
    for axis in reversed(range(rank)):
        joined = {}
        for phases in parts:
            outer = phases[:axis]
            if outer not in joined:
                row = [parts[(*outer, r)] for r in range(holes[axis])]
                joined[outer] = b.f.concatenate(*row, axis=2 * axis + 3) if len(row) > 1 else row[0]
        parts = joined
    (value,) = parts.values()
    whole = [*shape[:2], *(n * d for n, d in zip(shape[2:], holes, strict=True))]
    value = b.f.reshape(value, shape=tuple(whole))
    if value.shape != result.shape:
        nothing = (0,) * (rank + 2)
        value = b.f.slice(value, start=nothing, size=result.shape, step=(1,) * (rank + 2))
    return value

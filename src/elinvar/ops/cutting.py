"""Slice and pad: cutting out of an array and embedding into a larger one, each other's adjoints."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import bool_
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import Shape
from elinvar.core.types import TensorType
from elinvar.ops.emit import array, statement
from elinvar.ops.indexing import Read
from elinvar.ops.record import Emit, Op, Sample
from elinvar.ops.rules import (
    batched,
    check_dims,
    check_ints,
    filled,
    known_negative,
    need_equal_dtypes,
    reshaped,
)
from elinvar.ops.sampling import bad, booleans, complexes, floats, integers

# ---- slice --------------------------------------------------------------------------------------


def _slice_type(x: TensorType, *, start: Shape, size: Shape, step: tuple[int, ...]) -> TensorType:
    for name, values in (("start", start), ("size", size), ("step", step)):
        check_ints("slice", name, values, x.rank)
    check_dims("slice", "size", size)
    for axis, (first, count, stride) in enumerate(zip(start, size, step, strict=True)):
        if stride == 0:
            fail(ValueRangeError, "slice", f"step must not be 0, received {step}")
        if count == 0:
            continue
        last = first + (count - 1) * stride
        for end in (first, last) if isinstance(count, int) else ():
            if known_negative(end) or known_negative(x.shape[axis] - 1 - end):
                text = f"axis {axis} of {x} would be read at {end}"
                fail(ShapeError, "slice", f"{text}: start {first}, size {count}, step {stride}")
    return x.with_shape(size)


def _slice(x: Any, *, start: Any, size: Any, step: Any) -> Any:
    if not x.ndim:
        return x
    rows = zip(start, size, step, strict=True)
    return x[np.ix_(*(first + stride * np.arange(count) for first, count, stride in rows))]


def _slice_derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, *, start: Any, size: Any, step: Any
) -> Any:
    """The cotangent is put back between zeros: a pad with interior step - 1."""
    (x,), (g,) = operands, cotangents
    turned = tuple(axis for axis, stride in enumerate(step) if stride < 0)
    low, high = [], []
    for n, first, count, stride in zip(x.shape, start, size, step, strict=True):
        last = first + (count - 1) * stride
        lower, upper = (first, last) if stride > 0 else (last, first)
        empty = isinstance(count, int) and count == 0
        low.append(0 if empty else lower)
        high.append(n if empty else n - 1 - upper)
    source = f.flip(g, axes=turned) if turned else g
    inside = tuple(abs(stride) - 1 for stride in step)
    zero = f.scalar(0, x.dtype)
    return (f.pad(source, zero, low=tuple(low), high=tuple(high), interior=inside),)


def _slice_stablehlo(
    printer: Any, operands: Any, types: Any, result_types: Any, params: Any
) -> list[str]:
    """Negative steps reverse the axis first."""
    (name,), (kind,) = operands, types
    lines: list[str] = []
    rows = list(zip(kind.shape, params["start"], params["size"], params["step"], strict=True))
    turned = [axis for axis, row in enumerate(rows) if row[3] < 0]
    if turned:
        reverse = f"dimensions = {array(turned)}"
        reversed_name = printer.fresh()
        lines += statement(printer, (reversed_name,), "reverse", (name,), types, types, reverse)
        name = reversed_name
    starts = [n - 1 - first if stride < 0 else first for n, first, _, stride in rows]
    starts = [min(max(first, 0), row[0]) for first, row in zip(starts, rows, strict=True)]
    limits = [
        first + (count - 1) * abs(stride) + 1 if count else first
        for first, (_, _, count, stride) in zip(starts, rows, strict=True)
    ]
    attributes = (
        f"start_indices = {array(starts)}, limit_indices = {array(limits)}, "
        f"strides = {array(abs(row[3]) for row in rows)}"
    )
    return lines + statement(
        printer, printer.results, "slice", (name,), types, result_types, attributes
    )


SLICE = Op(
    name="slice",
    family="movement",
    doc="""Equally spaced elements: element i along an axis is x's element start + i·step.

    Args:
        start: the first index along each axis.
        size: how many elements to take along each axis.
        step: the distance between them; negative to go backwards.

    Shape:
        `size`; the dtype of x.

    Raises:
        ShapeError: an index would be outside of x.

    Example:
        >>> slice(array([10, 20, 30, 40]), start=(3,), size=(2,), step=(-2,))
        array([40, 20])
    """,
    type_rule=_slice_type,
    reference=_slice,
    derivative=_slice_derivative,
    batching=lambda f, count, operands, mapped, *, start, size, step: f.slice(
        operands[0], start=(0, *start), size=(count, *size), step=(1, *step)
    ),
    lowering=lambda ix, index, types, *, start, size, step: [
        Read(0, tuple(i * k + a for i, a, k in zip(index, start, step, strict=True)))
    ],
    stablehlo=Emit(_slice_stablehlo),
    samples=lambda: [
        *(
            Sample((floats(*shape),), {"start": start, "size": count, "step": step})
            for shape, start, count, step in (
                ((6,), (1,), (3,), (1,)), ((6,), (0,), (3,), (2,)), ((6,), (1,), (2,), (3,)),
                ((6,), (5,), (6,), (-1,)), ((6,), (5,), (2,), (-3,)), ((6,), (4,), (2,), (-2,)),
                ((3, 4), (0, 3), (3, 2), (1, -2)), ((3, 4), (2, 0), (0, 4), (1, 1)),
                ((0, 2), (0, 1), (0, 1), (1, -1)), ((1, 5), (0, 1), (1, 1), (-1, 7)),
                ((), (), (), ()), ((4,), (9,), (0,), (1,)), ((7,), (1,), (2,), (4,)),
            )
        ),
        Sample(
            (booleans(4),), {"start": (3,), "size": (4,), "step": (-1,)}, differentiable=False
        ),
    ],
    bad_samples=lambda: [
        bad(
            "f32[6]", "[slice] axis 0 of f32[6] would be read at 6: start 2, size 3, step 2",
            start=(2,), size=(3,), step=(2,),
        ),
        bad("f32[6]", "would be read at -1", start=(1,), size=(3,), step=(-1,)),
        bad("f32[6]", "[slice] step must not be 0", start=(1,), size=(3,), step=(0,)),
        bad("f32[6]", "start must have 1 entries", start=(0, 0), size=(3,), step=(1,)),
        bad("f32[6]", "[slice] size must not be negative: -1", start=(0,), size=(-1,), step=(1,)),
    ],
    params=("start", "size", "step"),
)  # fmt: skip


# ---- pad ----------------------------------------------------------------------------------------


def _pad_type(
    x: TensorType, value: TensorType, *, low: Shape, high: Shape, interior: Shape
) -> TensorType:
    need_equal_dtypes("pad", x, value)
    if value.rank:
        fail(ShapeError, "pad", f"the padding value must have no dimensions, received {value}")
    for name, values in (("low", low), ("high", high), ("interior", interior)):
        check_ints("pad", name, values, x.rank, 0)
    dims = [
        (n + (n - 1) * inside if n != 0 else 0) + before + after
        for n, before, after, inside in zip(x.shape, low, high, interior, strict=True)
    ]
    return x.with_shape(tuple(dims))


def _pad(x: Any, value: Any, *, low: Any, high: Any, interior: Any) -> Any:
    spans = [max(0, (n - 1) * (k + 1) + 1) for n, k in zip(x.shape, interior, strict=True)]
    total = [a + n + b for a, n, b in zip(low, spans, high, strict=True)]
    result = np.full(total, value, x.dtype)
    places = zip(low, spans, interior, strict=True)
    result[tuple(slice(a, a + n, k + 1) for a, n, k in places)] = x
    return result


def _pad_derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, *, low: Any, high: Any, interior: Any
) -> Any:
    x, g = operands[0], cotangents[0]
    shape = tuple(x.shape)
    back = f.slice(g, start=low, size=shape, step=tuple(inside + 1 for inside in interior))
    outside = _outside(f, shape, low, high, interior)
    rest = f.where(outside, g, f.zeros_like(g))
    return back, f.sum(rest, axes=tuple(range(len(shape))))


def _outside(f: Any, shape: Shape, low: Any, high: Any, interior: Any) -> Any:
    """True in the places that hold padding."""
    never, always = f.constant(value=False, dtype=bool_), f.constant(value=True, dtype=bool_)
    return f.pad(filled(f, never, shape), always, low=low, high=high, interior=interior)


def _pad_batching(
    f: Any, size: Any, operands: Any, mapped: Any, *, low: Any, high: Any, interior: Any
) -> Any:
    x, value = operands
    wide = {"low": (0, *low), "high": (0, *high), "interior": (0, *interior)}
    if not mapped[1]:
        return f.pad(x, value, **wide)
    inner = tuple(x.shape[1:] if mapped[0] else x.shape)
    padded = f.pad(batched(f, size, x, mapped[0]), f.scalar(0, x.dtype), **wide)
    outside = f.broadcast(_outside(f, inner, low, high, interior), shape=tuple(padded.shape))
    column = reshaped(f, value, (size, *(1,) * len(inner)))
    return f.where(outside, f.broadcast(column, shape=tuple(padded.shape)), padded)


def _pad_map(ix: Any, index: Any, types: Any, *, low: Any, high: Any, interior: Any) -> list[Read]:
    places, guard = [], None
    for i, n, before, after, inside in zip(index, types[0].shape, low, high, interior, strict=True):
        place = i - before if before != 0 else i
        tests = [place.ge(0)] if before != 0 else []
        if after != 0:
            tests.append(place.lt(n * (inside + 1)))
        if inside != 0:
            tests.append((place % (inside + 1)).eq(0))
            place = place // (inside + 1)
        for test in tests:
            guard = test if guard is None else guard & test
        places.append(place)
    inner = Read(0, tuple(places), guard)
    return [inner] if guard is None else [inner, Read(1, ())]


def _pad_samples() -> list[Sample]:
    rows: list[tuple[Any, Any, Any, Any]] = [
        ((3,), (1,), (2,), (0,)), ((3,), (0,), (0,), (2,)), ((3,), (2,), (1,), (1,)),
        ((2, 3), (0, 1), (1, 0), (0, 0)), ((2, 3), (1, 0), (0, 2), (1, 2)),
        ((1,), (1,), (0,), (3,)),
        ((0, 2), (2, 0), (1, 0), (1, 1)), ((0,), (0,), (0,), (4,)), ((), (), (), ()),
        ((2, 1, 2), (0, 0, 0), (0, 0, 0), (0, 0, 0)), ((4,), (0,), (1,), (2,)),
    ]  # fmt: skip
    found = [
        Sample((floats(*shape), np.array(0.5)), {"low": a, "high": b, "interior": k})
        for shape, a, b, k in rows
    ]
    params = {"low": (1,), "high": (2,), "interior": (1,)}
    return [
        *found,
        Sample((booleans(3), np.array(True)), params, differentiable=False),
        Sample((complexes(19), np.array(1 - 2j)), params),
        Sample((integers(3), np.array(7)), params, differentiable=False),
        Sample((floats(3, dtype=np.float16), np.float16(2)), params, differentiable=False),
    ]


PAD = Op(
    name="pad",
    family="movement",
    doc="""x with a value put before, after and between its elements.

    Args:
        value: what is put in, of x's dtype and without dimensions.
        low, high: how many before the first and after the last element of each axis.
        interior: how many between neighbours along each axis.

    Shape:
        n + (n - 1)·interior + low + high along each axis; the dtype of x.

    Example:
        >>> pad(array([1, 2]), array(0), low=(1,), high=(2,), interior=(1,))
        array([0, 1, 0, 2, 0, 0])
    """,
    type_rule=_pad_type,
    reference=_pad,
    derivative=_pad_derivative,
    batching=_pad_batching,
    lowering=_pad_map,
    stablehlo=(
        "stablehlo.pad",
        lambda x, value, low, high, interior: {
            "edge_padding_low": array(low),
            "edge_padding_high": array(high),
            "interior_padding": array(interior),
        },
    ),
    samples=_pad_samples,
    bad_samples=lambda: [
        bad(
            "f32[3] f64[]", "[pad] dtypes differ: f32[3] and f64[]",
            low=(0,), high=(0,), interior=(0,),
        ),
        bad(
            "f32[3] f32[1]", "the padding value must have no dimensions, received f32[1]",
            low=(0,), high=(0,), interior=(0,),
        ),
        bad("f32[3] f32[]", "low must be at least 0", low=(-1,), high=(0,), interior=(0,)),
        bad("f32[3] f32[]", "high must have 1 entries", low=(0,), high=(0, 1), interior=(0,)),
    ],
    params=("low", "high", "interior"),
)  # fmt: skip


OPS: tuple[Op, ...] = (SLICE, PAD)

"""Reductions. Cumulative operations, which keep their shape, are in cumulative.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from elinvar.core.dtypes import DType, accumulator, int64
from elinvar.core.errors import DTypeError, ShapeError, fail
from elinvar.core.shapes import size
from elinvar.core.types import TensorType
from elinvar.ops import cumulative
from elinvar.ops.emit import array, combining, constant, statement
from elinvar.ops.record import Decompose, Emit, Op, Sample, absent
from elinvar.ops.rules import (
    batch_axes,
    batch_axis,
    check_axes,
    check_axis,
    expanded,
    highest,
    lowest,
    narrowed,
    need_numeric,
    permuted,
    positions,
    reshaped,
    shifted,
    widened,
    without,
)
from elinvar.ops.sampling import bad, booleans, brain_floats, distinct, floats, integers

Axes = tuple[int, ...]


def _type(name: str, boolean: bool = False, never_empty: bool = False) -> Callable[..., TensorType]:
    """The type rule of a reduction: the reduced dimensions are dropped."""

    def rule(x: TensorType, *, axes: Axes) -> TensorType:
        check_axes(name, x, axes)
        if boolean and x.dtype.kind != "b":
            fail(DTypeError, name, f"expected bool, received {x}")
        if not boolean:
            need_numeric(name, x)
        if never_empty and any(x.shape[axis] == 0 for axis in axes):
            fail(ShapeError, name, f"axes {axes} of {x} hold no element to choose from")
        return x.with_shape(without(x.shape, axes))

    return rule


def _reduction(name: str, identity: Callable[[DType], Any]) -> Emit:
    """StableHLO's reduce; 16-bit floats are reduced in f32 and rounded once."""

    def emit(printer: Any, operands: Any, types: Any, result_types: Any, params: Any) -> list[str]:
        (x,), (kind,), (result,) = operands, types, result_types
        wide = accumulator(kind.dtype)
        lines: list[str] = []
        found = printer.results[0]
        if wide is not kind.dtype:
            converted, found = printer.fresh(), printer.fresh()
            wide_kind = kind.with_dtype(wide)
            lines += statement(printer, (converted,), "convert", (x,), (kind,), (wide_kind,))
            x = converted
        start, scalar = printer.fresh(), TensorType(wide, ())
        lines.append(constant(printer, start, identity(wide), scalar))
        lines += statement(
            printer, (found,), "reduce", (x, start), (kind.with_dtype(wide), scalar),
            (result.with_dtype(wide),), f"dimensions = {array(params['axes'])}",
            (combining(printer, name, wide),),
        )  # fmt: skip
        if wide is not kind.dtype:
            lines += statement(
                printer, printer.results, "convert", (found,), (result.with_dtype(wide),), (result,)
            )
        return lines

    return Emit(emit)


def _samples(maker: Callable[..., Any]) -> Callable[[], list[Sample]]:
    def samples() -> list[Sample]:
        return [
            Sample((maker(4),), {"axes": (0,)}),
            Sample((maker(3, 4),), {"axes": (1,)}),
            Sample((maker(3, 4),), {"axes": (0, 1)}),
            Sample((maker(2, 1, 3),), {"axes": (0, 2)}),
            Sample((maker(2, 3),), {"axes": ()}),
            Sample((maker(),), {"axes": ()}),
            Sample((maker(0, 3),), {"axes": (1,)}),
            Sample((floats(5, 6, dtype=np.float32),), {"axes": (0,)}, differentiable=False),
            Sample((floats(4, 33, dtype=np.float16),), {"axes": (1,)}, differentiable=False),
            Sample((brain_floats(4, 33),), {"axes": (1,)}, False, bfloat16=True),
            Sample((integers(3, 5),), {"axes": (1,)}, differentiable=False),
            Sample((integers(3, 5, dtype=np.uint8),), {"axes": (0,)}, differentiable=False),
            Sample((integers(9, dtype=np.int32),), {"axes": (0,)}, differentiable=False),
            Sample((np.array([1.0, np.nan, np.inf]),), {"axes": (0,)}, differentiable=False),
        ]

    return samples


def _bad(name: str) -> list[Any]:
    return [
        bad("f32[2,3]", f"[{name}] axis 2 is out of range for f32[2,3]", axes=(2,)),
        bad("f32[2,3]", f"[{name}] an axis is named twice in (0, 0)", axes=(0, 0)),
        bad("f32[2,3]", f"[{name}] axes must increase, received (1, 0)", axes=(1, 0)),
        bad("f32[2,3]", f"[{name}] axes must be a tuple of ints, received 1", axes=1),
    ]


def _numeric_bad(name: str) -> Callable[[], list[Any]]:
    text = f"[{name}] expected a numeric dtype, received bool[2]"
    return lambda: [*_bad(name), bad("bool[2]", text, axes=(0,))]


# ---- sum ----------------------------------------------------------------------------------------


def _sum(x: Any, *, axes: Axes) -> Any:
    wide = widened(x)
    start = nothing(x.dtype) if math.prod(x.shape[axis] for axis in axes) else 0
    return narrowed(np.sum(wide, axis=axes, dtype=wide.dtype, initial=start), x.dtype)


def nothing(dtype: Any) -> float | int:
    """What a sum starts from: -0 + x is x for every float, so the sum of one number is that number,
    whatever the sign of its zero. (The sum of no numbers is +0 all the same.)"""
    return -0.0 if dtype.kind == "f" else 0


def _sum_derivative(f: Any, operands: Any, results: Any, cotangents: Any, *, axes: Axes) -> Any:
    return (expanded(f, cotangents[0], operands[0].shape, axes),)


SUM = Op(
    name="sum",
    family="reduce",
    doc="""The sum of the elements along some axes: y = Σ x.

    Args:
        axes: the axes to sum over, increasing; they are dropped. The sum of nothing is 0, that of
            zeros is -0 if all of them are.

    Shape:
        x with the axes left out; the same dtype (integers wrap around).

    Example:
        >>> sum(array([[1.0, 2.0], [3.0, 4.0]]), axes=(1,))
        array([3., 7.])
    """,
    type_rule=_type("sum"),
    reference=_sum,
    derivative=_sum_derivative,
    batching=batch_axes("sum"),
    lowering=(lambda a, b: a + b, nothing),
    stablehlo=_reduction("add", lambda dtype: 0),
    samples=lambda: [*_samples(floats)(), Sample((floats(0, 3),), {"axes": (0,)})],
    bad_samples=_numeric_bad("sum"),
    params=("axes",),
)


# ---- prod ---------------------------------------------------------------------------------------


def _prod(x: Any, *, axes: Axes) -> Any:
    return narrowed(np.prod(widened(x), axis=axes, dtype=widened(x).dtype), x.dtype)


def _prod_derivative(f: Any, operands: Any, results: Any, cotangents: Any, *, axes: Axes) -> Any:
    """∂y/∂xᵢ is the product of the others: of those before i times those after i."""
    (x,), (g,) = operands, cotangents
    if not axes:
        return (g,)
    rest = tuple(axis for axis in range(len(x.shape)) if axis not in axes)
    order = rest + axes
    moved = permuted(f, x, order)
    row = size(x.shape[axis] for axis in axes)
    last = len(rest)
    flat = reshaped(f, moved, (*moved.shape[:last], row))
    before = f.cumprod(shifted(f, flat, last, 1, 1), axis=last, reverse=False)
    after = f.cumprod(shifted(f, flat, last, -1, 1), axis=last, reverse=True)
    found = f.multiply(expanded(f, g, flat.shape, (last,)), f.multiply(before, after))
    back = tuple(order.index(axis) for axis in range(len(order)))
    return (permuted(f, reshaped(f, found, moved.shape), back),)


def _prod_samples() -> list[Sample]:
    zeros = np.array([[2.0, 0.0, 3.0, 0.5], [0.0, 1.5, 0.0, -2.0], [1.0, 2.0, -1.0, 0.25]])
    return [
        *_samples(floats)(),
        Sample((floats(0, 3),), {"axes": (0,)}),
        Sample((zeros,), {"axes": (1,)}),
        Sample((floats(2, 3, 2),), {"axes": (0, 2)}),
    ]


PROD = Op(
    name="prod",
    family="reduce",
    doc="""The product of the elements along some axes: y = Π x.

    The derivative by one element is the product of the others, also where elements are zero.

    Args:
        axes: the axes to multiply over, increasing; they are dropped. The product of nothing is 1.

    Shape:
        x with the axes left out; the same dtype (integers wrap around).

    Example:
        >>> prod(array([[1.0, 2.0], [3.0, 4.0]]), axes=(0,))
        array([3., 8.])
    """,
    type_rule=_type("prod"),
    reference=_prod,
    derivative=_prod_derivative,
    batching=batch_axes("prod"),
    lowering=(lambda a, b: a * b, lambda dtype: 1),
    stablehlo=_reduction("multiply", lambda dtype: 1),
    samples=_prod_samples,
    bad_samples=_numeric_bad("prod"),
    params=("axes",),
)


# ---- max, min -----------------------------------------------------------------------------------


def _extreme_derivative(f: Any, operands: Any, results: Any, cotangents: Any, *, axes: Axes) -> Any:
    """The cotangent goes to the extreme element; elements that tie share it equally."""
    (x,), (y,), (g,) = operands, results, cotangents
    chosen = f.equal(x, expanded(f, y, x.shape, axes))
    weight = f.cast(chosen, dtype=x.dtype)
    share = f.divide(g, f.sum(weight, axes=axes))
    return (f.multiply(weight, expanded(f, share, x.shape, axes)),)


def _extreme_samples() -> list[Sample]:
    ties = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [5.0, -1.0, 0.0]])
    signs = np.array([[-0.0, 0.0], [-np.inf, -np.inf]])
    return [
        *_samples(distinct)(),
        Sample((ties,), {"axes": (1,)}, differentiable=False),
        Sample((signs,), {"axes": (1,)}, differentiable=False),
    ]


def _extreme(name: str, ufunc: Any, identity: Callable[[DType], Any], combine: Any) -> Op:
    word = "largest" if name == "max" else "smallest"

    def reference(x: Any, *, axes: Axes) -> Any:
        start = identity(x.dtype)
        return np.asarray(ufunc.reduce(x, axis=axes, initial=start), x.dtype)

    return Op(
        name=name,
        family="reduce",
        doc=f"""The {word} element along some axes; NaN if there is one.

    Args:
        axes: the axes to reduce, increasing; they are dropped.

    Shape:
        x with the axes left out; the same dtype.

    Raises:
        ShapeError: a reduced axis has no element.

    Example:
        >>> {name}(array([[1.0, 2.0], [3.0, 4.0]]), axes=(0, 1))
        array({"4." if name == "max" else "1."})
    """,
        type_rule=_type(name, never_empty=True),
        reference=reference,
        derivative=_extreme_derivative,
        batching=batch_axes(name),
        lowering=(combine, identity),
        stablehlo=_reduction("maximum" if name == "max" else "minimum", identity),
        samples=_extreme_samples,
        bad_samples=lambda: [
            *_numeric_bad(name)(),
            bad("f32[0,3]", "axes (0,) of f32[0,3] hold no element to choose from", axes=(0,)),
        ],
        params=("axes",),
    )


# ---- any, all -----------------------------------------------------------------------------------


def _logical(name: str, reference: Any, combine: Any, identity: bool, operation: str) -> Op:
    words = "or: true if one element is" if name == "any" else "and: true if all elements are"

    def samples() -> list[Sample]:
        return [
            Sample((booleans(4),), {"axes": (0,)}, differentiable=False),
            Sample((booleans(3, 4, seed=1),), {"axes": (1,)}, differentiable=False),
            Sample((booleans(2, 2, 3),), {"axes": (0, 2)}, differentiable=False),
            Sample((booleans(0, 3),), {"axes": (0,)}, differentiable=False),
            Sample((booleans(2, 3),), {"axes": ()}, differentiable=False),
            Sample((np.ones((2, 5), bool),), {"axes": (1,)}, differentiable=False),
            Sample((np.zeros((2, 5), bool),), {"axes": (1,)}, differentiable=False),
        ]

    return Op(
        name=name,
        family="reduce",
        doc=f"""Logical {words}, along some axes.

    Args:
        axes: the axes to reduce, increasing; they are dropped. Of nothing it is {identity}.

    Shape:
        bool, x with the axes left out.

    Example:
        >>> {name}(array([[True, False], [True, True]]), axes=(1,))
        array({"[ True,  True]" if name == "any" else "[False,  True]"})
    """,
        type_rule=_type(name, boolean=True),
        reference=lambda x, *, axes: np.asarray(reference(x, axis=axes)),
        derivative=absent("booleans have no derivative"),
        batching=batch_axes(name),
        lowering=(combine, lambda dtype: identity),
        stablehlo=_reduction(operation, lambda dtype: identity),
        samples=samples,
        bad_samples=lambda: [
            *_bad(name),
            bad("f32[2]", f"[{name}] expected bool, received f32[2]", axes=(0,)),
        ],
        params=("axes",),
    )


# ---- argmax, argmin -----------------------------------------------------------------------------


def _position(name: str, reference: Any, extreme: str) -> Op:
    word = "largest" if name == "argmax" else "smallest"

    def rule(x: TensorType, *, axis: int) -> TensorType:
        check_axis(name, x, axis)
        need_numeric(name, x)
        if x.shape[axis] == 0:
            fail(ShapeError, name, f"axis {axis} of {x} holds no element to choose from")
        return TensorType(int64, without(x.shape, (axis,)))

    def decomposition(f: Any, x: Any, *, axis: int) -> Any:
        best = expanded(f, getattr(f, extreme)(x, axes=(axis,)), x.shape, (axis,))
        chosen = f.bitwise_or(f.equal(x, best), f.not_equal(x, x))
        places = positions(f, x.shape, axis)
        last = f.full(highest(int64), places)
        return f.min(f.where(chosen, places, last), axes=(axis,))

    def samples() -> list[Sample]:
        special = np.array([[1.0, np.nan, 3.0, np.nan], [-0.0, 0.0, -0.0, 0.0], [np.inf] * 4])
        rows = [floats(4), floats(3, 1, 4), integers(3, 8, low=0, high=3), special]
        rows += [distinct(6, 2, dtype=np.float16), integers(7, 2, dtype=np.uint8)]
        found = [
            Sample((x,), {"axis": axis}, differentiable=False)
            for x in rows
            for axis in range(x.ndim)
        ]
        return [
            *found,
            Sample((floats(0, 3),), {"axis": 1}, differentiable=False),
            Sample((brain_floats(4, 5),), {"axis": 1}, False, bfloat16=True),
        ]

    return Op(
        name=name,
        family="reduce",
        doc=f"""The index of the {word} element along an axis, the first one if several are equal.

    NaN counts as the {word}.

    Args:
        axis: the axis to search; it is dropped.

    Shape:
        int64, x with the axis left out.

    Raises:
        ShapeError: the axis has no element.

    Example:
        >>> {name}(array([[1.0, 5.0, 5.0], [3.0, 0.0, 4.0]]), axis=1)
        array({"[1, 2]" if name == "argmax" else "[0, 1]"})
    """,
        type_rule=rule,
        reference=lambda x, *, axis: np.asarray(reference(x, axis), np.int64),
        derivative=absent("an index does not change with the values"),
        batching=batch_axis(name),
        lowering=absent("the kernel generator knows it by name"),
        stablehlo=Decompose(decomposition),
        samples=samples,
        bad_samples=lambda: [
            bad("f32[2,3]", f"[{name}] axis 2 is out of range for f32[2,3]", axis=2),
            bad("f32[2,3]", f"[{name}] axis must be an int, received None", axis=None),
            bad("bool[2]", f"[{name}] expected a numeric dtype, received bool[2]", axis=0),
            bad("f32[0]", f"[{name}] axis 0 of f32[0] holds no element to choose from", axis=0),
        ],
        params=("axis",),
    )


OPS: tuple[Op, ...] = (
    SUM,
    PROD,
    _extreme("max", np.maximum, lowest, lambda a, b: a.max(b)),
    _extreme("min", np.minimum, highest, lambda a, b: a.min(b)),
    _logical("any", np.any, lambda a, b: a | b, False, "or"),
    _logical("all", np.all, lambda a, b: a & b, True, "and"),
    _position("argmax", np.argmax, "max"),
    _position("argmin", np.argmin, "min"),
    *cumulative.OPS,
)

"""Cumulative operations: each element is reduced with all before it (or after it)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from elinvar.core.dtypes import DType, accumulator, int64
from elinvar.core.errors import ValueRangeError, fail
from elinvar.core.types import TensorType
from elinvar.ops.record import Decompose, Op, Sample
from elinvar.ops.rules import (
    batch_axis,
    check_axis,
    dim_value,
    filled,
    highest,
    lowest,
    narrowed,
    need_numeric,
    positions,
    put_along,
    shifted,
    widened,
)
from elinvar.ops.sampling import bad, brain_floats, distinct, floats, integers

_LONGEST = 1 << 31  # elements of an axis of unknown length


def _type(name: str) -> Callable[..., TensorType]:
    def rule(x: TensorType, *, axis: int, reverse: bool) -> TensorType:
        check_axis(name, x, axis)
        need_numeric(name, x)
        if not isinstance(reverse, bool):
            fail(ValueRangeError, name, f"reverse must be a bool, received {reverse!r}")
        return x

    return rule


def _reference(ufunc: Any, wide: bool) -> Callable[..., Any]:
    def reference(x: Any, *, axis: int, reverse: bool) -> Any:
        values = widened(x) if wide else x
        if reverse:
            values = np.flip(values, axis)
        found = ufunc.accumulate(values, axis=axis, dtype=values.dtype)
        return narrowed(np.flip(found, axis) if reverse else found, x.dtype)

    return reference


def _by_doubling(combine: str, identity: Callable[[DType], Any]) -> Decompose:
    """In ⌈log₂ n⌉ steps, each of which combines with what stands 1, 2, 4, … places before."""

    def rule(f: Any, x: Any, *, axis: int, reverse: bool) -> Any:
        wide = accumulator(x.dtype)
        found = f.cast(x, dtype=wide) if wide is not x.dtype else x
        step = 1
        while step < x.shape[axis]:
            by = -step if reverse else step
            other = shifted(f, found, axis, by, identity(wide))
            found = getattr(f, combine)(found, other)
            step *= 2
        return f.cast(found, dtype=x.dtype) if wide is not x.dtype else found

    return Decompose(rule)


# ---- derivatives --------------------------------------------------------------------------------


def _cumsum_derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, *, axis: int, reverse: bool
) -> Any:
    return (f.cumsum(cotangents[0], axis=axis, reverse=not reverse),)


def _cumprod_derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, *, axis: int, reverse: bool
) -> Any:
    """∂L/∂xᵢ = (Π x before i) · Sᵢ, where Sᵢ = gᵢ + xᵢ₊₁ Sᵢ₊₁. Nothing is divided by x."""
    (x,), (g,) = operands, cotangents
    back = 1 if reverse else -1  # a shift that brings the next element here
    before = f.cumprod(shifted(f, x, axis, -back, 1), axis=axis, reverse=reverse)
    return (f.multiply(before, _recurrence(f, x, g, axis, back)),)


def _recurrence(f: Any, x: Any, g: Any, axis: int, back: int) -> Any:
    """S with Sᵢ = gᵢ + xᵢ₊₁ Sᵢ₊₁, in ⌈log₂ n⌉ steps that each double how far S looks ahead.

    Where n is not known yet there are steps enough for any n, and those too many change nothing: so
    the bits are the same.
    """
    n = x.shape[axis]
    known = isinstance(n, int)
    factor = shifted(f, x, axis, back, 0)
    total = g
    step = 1
    while step < (n if known else _LONGEST):
        longer = f.add(total, f.multiply(factor, shifted(f, total, axis, back * step, 0)))
        total = longer if known else _if_longer(f, n, step, longer, total)
        step *= 2
        if step < (n if known else _LONGEST):
            factor = f.multiply(factor, shifted(f, factor, axis, back * step // 2, 0))
    return total


def _if_longer(f: Any, n: Any, step: int, longer: Any, total: Any) -> Any:
    """`longer` where the step is shorter than the axis, else `total`."""
    is_longer = f.less(f.scalar(step, int64), dim_value(f, n))
    return f.where(filled(f, is_longer, total.shape), longer, total)


def _extreme_derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, *, axis: int, reverse: bool
) -> Any:
    """Each cotangent goes to the latest element that equals the extreme so far."""
    (x,), (y,), (g,) = operands, results, cotangents
    places = positions(f, x.shape, axis)
    if reverse:
        end = f.subtract(dim_value(f, x.shape[axis]), dim_value(f, 1))
        chosen = f.where(f.equal(x, y), places, filled(f, end, x.shape))
        latest = f.cummin(chosen, axis=axis, reverse=True)
    else:
        chosen = f.where(f.equal(x, y), places, f.zeros_like(places))
        latest = f.cummax(chosen, axis=axis, reverse=False)
    return (put_along(f, x, latest, g, axis),)


# ---- records ------------------------------------------------------------------------------------


def _samples(name: str) -> Callable[[], list[Sample]]:
    maker = distinct if name in ("cummax", "cummin") else floats

    def samples() -> list[Sample]:
        found = [
            Sample((maker(*shape),), {"axis": axis, "reverse": reverse})
            for shape, axis in (((5,), 0), ((3, 4), 0), ((3, 4), 1), ((2, 1, 3), 1), ((0, 2), 0))
            for reverse in (False, True)
        ]
        zeros = np.array([[2.0, 0.0, 3.0, 0.5, 1.5], [0.0, 1.5, 0.0, -2.0, 3.0]])
        special = np.array([[1.0, np.nan, 2.0], [3.0, 3.0, 1.0], [-0.0, 0.0, np.inf]])
        smooth = maker is floats
        for reverse in (False, True):
            found += [
                Sample((zeros,), {"axis": 1, "reverse": reverse}, differentiable=smooth),
                Sample((special,), {"axis": 1, "reverse": reverse}, differentiable=False),
            ]
        others = [
            floats(4, 9, dtype=np.float32),
            floats(4, 9, dtype=np.float16),
            integers(4, 5),
            integers(4, 5, dtype=np.int8),
            integers(4, 5, dtype=np.uint32),
        ]
        found += [
            Sample((x,), {"axis": 1, "reverse": i % 2 == 1}, differentiable=False)
            for i, x in enumerate(others)
        ]
        params = {"axis": 0, "reverse": False}
        return [*found, Sample((brain_floats(6, 2),), params, False, bfloat16=True)]

    return samples


def _bad(name: str) -> list[Any]:
    numeric = f"[{name}] expected a numeric dtype, received bool[2]"
    flag = f"[{name}] reverse must be a bool, received 1"
    return [
        bad("f32[2]", f"[{name}] axis 1 is out of range for f32[2]", axis=1, reverse=False),
        bad("f32[]", f"[{name}] axis 0 is out of range for f32[]", axis=0, reverse=False),
        bad("bool[2]", numeric, axis=0, reverse=False),
        bad("f32[2]", flag, axis=0, reverse=1),
    ]


def _cumulative(
    name: str,
    words: str,
    example: str,
    ufunc: Any,
    combine: Callable[..., Any],
    operation: str,
    identity: Callable[[DType], Any],
    derivative: Callable[..., Any],
) -> Op:
    return Op(
        name=name,
        family="reduce",
        doc=f"""The {words} of each element and all before it along an axis.

    Args:
        axis: the axis to run along.
        reverse: run from the end, so that each element is taken with all after it.

    Shape:
        The type of x.

    Example:
        >>> {name}(array([1.0, 3.0, 2.0]), axis=0, reverse=False)
        {example}
    """,
        type_rule=_type(name),
        reference=_reference(ufunc, wide=name in ("cumsum", "cumprod")),
        derivative=derivative,
        batching=batch_axis(name),
        lowering=(combine, identity),
        stablehlo=_by_doubling(operation, identity),
        samples=_samples(name),
        bad_samples=lambda: _bad(name),
        params=("axis", "reverse"),
    )


OPS: tuple[Op, ...] = (
    _cumulative(
        "cumsum", "sum", "array([1., 4., 6.])", np.add, lambda a, b: a + b, "add",
        lambda dtype: 0, _cumsum_derivative,
    ),
    _cumulative(
        "cumprod", "product", "array([1., 3., 6.])", np.multiply, lambda a, b: a * b, "multiply",
        lambda dtype: 1, _cumprod_derivative,
    ),
    _cumulative(
        "cummax", "largest", "array([1., 3., 3.])", np.maximum, lambda a, b: a.max(b), "maximum",
        lowest, _extreme_derivative,
    ),
    _cumulative(
        "cummin", "smallest", "array([1., 1., 1.])", np.minimum, lambda a, b: a.min(b), "minimum",
        highest, _extreme_derivative,
    ),
)  # fmt: skip

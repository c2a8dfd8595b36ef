"""Sorting: the order of elements along an axis. NaN is last, equal elements keep their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from elinvar.core.dtypes import bool_, int64
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import DimLike
from elinvar.core.types import TensorType
from elinvar.ops.emit import array, returning, statement
from elinvar.ops.record import Emit, Op, Sample, absent
from elinvar.ops.rules import (
    batch_axis,
    check_axis,
    check_dims,
    known_negative,
    need_numeric,
    put_along,
)
from elinvar.ops.sampling import bad, booleans, brain_floats, distinct, floats, integers

# ---- sort, argsort ------------------------------------------------------------------------------


def _sort_type(name: str, indices: bool) -> Callable[..., TensorType]:
    def rule(x: TensorType, *, axis: int, descending: bool) -> TensorType:
        check_axis(name, x, axis)
        if not isinstance(descending, bool):
            text = f"descending must be a bool, received {descending!r}"
            fail(ValueRangeError, name, text)
        return x.with_dtype(int64) if indices else x

    return rule


def _reversed_order(x: Any) -> Any:
    """Values whose increasing order is the decreasing order of x; NaN stays NaN."""
    return -x if x.dtype.kind == "f" else ~x


def _argsort(x: Any, *, axis: int, descending: bool) -> Any:
    return np.argsort(_reversed_order(x) if descending else x, axis, kind="stable")


def _sort(x: Any, *, axis: int, descending: bool) -> Any:
    return np.take_along_axis(x, _argsort(x, axis=axis, descending=descending), axis)


def _sort_derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, *, axis: int, descending: bool
) -> Any:
    """Each cotangent goes back to where its element came from."""
    order = f.argsort(operands[0], axis=axis, descending=descending)
    return (put_along(f, operands[0], order, cotangents[0], axis),)


def _comparator(printer: Any, x: TensorType, direction: str, nan_first: bool) -> Any:
    """The region (a, b, i, j) → a stands before b; NaN is last, or first."""
    scalar, flag, place = TensorType(x.dtype, ()), TensorType(bool_, ()), TensorType(int64, ())
    a, b, i, j = (printer.fresh() for _ in range(4))
    lines: list[str] = []

    def compare(left: str, right: str, how: str) -> str:
        name = printer.fresh()
        attributes = f"comparison_direction = #stablehlo<comparison_direction {how}>"
        lines.extend(
            statement(
                printer, (name,), "compare", (left, right), (scalar, scalar), (flag,), attributes
            )
        )
        return name

    def logical(operation: str, *names: str) -> str:
        name = printer.fresh()
        kinds = (flag,) * len(names)
        lines.extend(statement(printer, (name,), operation, names, kinds, (flag,)))
        return name

    found = compare(a, b, direction)
    if x.dtype.kind == "f":
        first, other = (a, b) if nan_first else (b, a)
        alone = logical("and", compare(first, first, "NE"), compare(other, other, "EQ"))
        found = logical("or", found, alone)
    lines += returning(printer, (found,), (flag,))
    return (a, b, i, j), (scalar, scalar, place, place), lines


def _sort_with_places(
    printer: Any,
    names: tuple[str, str],
    operand: str,
    x: TensorType,
    axis: int,
    direction: str,
    nan_first: bool = False,
) -> list[str]:
    """The lines that sort x along the axis, and its indices with it, into two names."""
    places = printer.fresh()
    kinds = (x, x.with_dtype(int64))
    along = f"iota_dimension = {axis} : i64"
    lines = statement(printer, (places,), "iota", (), (), kinds[1:], along)
    return lines + statement(
        printer, names, "sort", (operand, places), kinds, kinds,
        f"dimension = {axis} : i64, is_stable = true",
        (_comparator(printer, x, direction, nan_first),),
    )  # fmt: skip


def _sort_stablehlo(indices: bool) -> Emit:
    def emit(printer: Any, operands: Any, types: Any, result_types: Any, params: Any) -> list[str]:
        direction = "GT" if params["descending"] else "LT"
        result, other = printer.results[0], printer.fresh()
        names = (other, result) if indices else (result, other)
        return _sort_with_places(printer, names, operands[0], types[0], params["axis"], direction)

    return Emit(emit)


def _sort_samples() -> list[Sample]:
    special = np.array([[2.0, np.nan, -np.inf, 0.0, -0.0], [np.nan, 1.0, 1.0, np.inf, np.nan]])
    found = []
    for descending in (False, True):
        smooth = [(distinct(5), 0), (distinct(3, 4), 0), (distinct(3, 4), 1), (distinct(0, 2), 1)]
        smooth += [(distinct(2, 1, 3), 2), (distinct(2, 0), 1), (distinct(2, 3, 2), 1)]
        other = [(special, 1), (integers(4, 9, low=0, high=3), 1), (booleans(7), 0)]
        other += [(integers(9, dtype=np.int8), 0), (integers(9, dtype=np.uint64), 0)]
        other += [(floats(8, dtype=np.float16), 0), (floats(3, 70, dtype=np.float32), 1)]
        for rows, differentiable in ((smooth, True), (other, False)):
            for x, axis in rows:
                params = {"axis": axis, "descending": descending}
                found.append(Sample((x,), params, differentiable))
    params = {"axis": 0, "descending": False}
    return [*found, Sample((brain_floats(6),), params, False, bfloat16=True)]


def _sorting(name: str, summary: str, shape: str, example: str, indices: bool) -> Op:
    return Op(
        name=name,
        family="index",
        doc=f"""{summary}

    NaN is last in either direction. Equal elements (-0 and 0 too) keep their order.

    Args:
        axis: the axis to sort along.
        descending: the largest first.

    Shape:
        {shape}

    Example:
        >>> {name}(array([3.0, 1.0, 2.0]), axis=0, descending=True)
        {example}
    """,
        type_rule=_sort_type(name, indices),
        reference=_argsort if indices else _sort,
        derivative=absent("an order does not change with the values")
        if indices
        else _sort_derivative,
        batching=batch_axis(name),
        lowering=absent("the kernel generator knows it by name"),
        stablehlo=_sort_stablehlo(indices),
        samples=_sort_samples,
        bad_samples=lambda: [
            bad("f32[2]", f"[{name}] axis 1 is out of range for f32[2]", axis=1, descending=False),
            bad("f32[2]", f"[{name}] descending must be a bool, received 1", axis=0, descending=1),
        ],
        params=("axis", "descending"),
    )


SORT = _sorting(
    "sort",
    "The elements in increasing or decreasing order along an axis.",
    "The type of x.",
    "array([3., 2., 1.])",
    indices=False,
)
ARGSORT = _sorting(
    "argsort",
    "The indices that sort x along an axis.",
    "int64, the shape of x.",
    "array([0, 2, 1])",
    indices=True,
)


# ---- top_k --------------------------------------------------------------------------------------


def _top_k_type(x: TensorType, *, k: DimLike) -> tuple[TensorType, TensorType]:
    if not x.rank:
        fail(ShapeError, "top_k", f"expected at least one dimension, received {x}")
    need_numeric("top_k", x)
    check_dims("top_k", "k", (k,))
    if known_negative(x.shape[-1] - k):
        fail(ShapeError, "top_k", f"k is {k} but the last axis of {x} has {x.shape[-1]}")
    shape = (*x.shape[:-1], k)
    return x.with_shape(shape), TensorType(int64, shape)


def _top_k(x: Any, *, k: int) -> Any:
    keys = _reversed_order(x)
    number = ~np.isnan(x) if x.dtype.kind == "f" else np.ones(x.shape, bool)
    order = np.lexsort((np.where(number, keys, np.zeros_like(keys)), number), axis=-1)[..., :k]
    return np.take_along_axis(x, order, -1), order.astype(np.int64)


def _top_k_derivative(f: Any, operands: Any, results: Any, cotangents: Any, *, k: DimLike) -> Any:
    if cotangents[0] is None:
        return (None,)
    return (put_along(f, operands[0], results[1], cotangents[0], len(operands[0].shape) - 1),)


def _top_k_stablehlo(
    printer: Any, operands: Any, types: Any, result_types: Any, params: Any
) -> list[str]:
    (x,) = types
    names = (printer.fresh(), printer.fresh())
    lines = _sort_with_places(printer, names, operands[0], x, x.rank - 1, "GT", nan_first=True)
    attributes = (
        f"start_indices = {array((0,) * x.rank)}, limit_indices = {array(result_types[0].shape)}, "
        f"strides = {array((1,) * x.rank)}"
    )
    for name, result, kind in zip(names, printer.results, result_types, strict=True):
        whole = x.with_dtype(kind.dtype)
        lines += statement(printer, (result,), "slice", (name,), (whole,), (kind,), attributes)
    return lines


def _top_k_samples() -> list[Sample]:
    special = np.array([[2.0, np.nan, -np.inf, 0.0, -0.0], [np.nan, 1.0, 1.0, np.inf, np.nan]])
    return [
        Sample((distinct(5),), {"k": 2}),
        Sample((distinct(3, 4),), {"k": 4}),
        Sample((distinct(2, 3, 4),), {"k": 1}),
        Sample((distinct(3, 4),), {"k": 0}),
        Sample((distinct(0, 4),), {"k": 2}),
        Sample((special,), {"k": 4}, differentiable=False),
        Sample((integers(4, 9, low=0, high=3),), {"k": 5}, differentiable=False),
        Sample((integers(9, dtype=np.uint8),), {"k": 3}, differentiable=False),
        Sample((floats(9, dtype=np.float16),), {"k": 3}, differentiable=False),
        Sample((floats(2, 50, dtype=np.float32),), {"k": 7}, differentiable=False),
        Sample((brain_floats(9),), {"k": 3}, differentiable=False, bfloat16=True),
    ]


TOP_K = Op(
    name="top_k",
    family="index",
    doc="""The k largest elements along the last axis, in decreasing order, and their indices.

    Of equal elements the first comes first; NaN counts as the largest.

    Args:
        k: how many.

    Shape:
        (values, indices), both x with the last axis replaced by k; the indices are int64.

    Raises:
        ShapeError: the axis has fewer than k elements.

    Example:
        >>> top_k(array([3.0, 1.0, 4.0]), k=2)
        (array([4., 3.]), array([2, 0]))
    """,
    type_rule=_top_k_type,
    reference=_top_k,
    derivative=_top_k_derivative,
    batching=lambda f, count, operands, mapped, *, k: f.top_k(operands[0], k=k),
    lowering=absent("the kernel generator knows it by name"),
    stablehlo=Emit(_top_k_stablehlo),
    samples=_top_k_samples,
    bad_samples=lambda: [
        bad("f32[2,3]", "[top_k] k is 4 but the last axis of f32[2,3] has 3", k=4),
        bad("f32[]", "[top_k] expected at least one dimension, received f32[]", k=1),
        bad("f32[3]", "[top_k] k must not be negative: -1", k=-1),
        bad("bool[3]", "[top_k] expected a numeric dtype, received bool[3]", k=1),
    ],
    params=("k",),
    results=2,
)


OPS: tuple[Op, ...] = (SORT, ARGSORT, TOP_K)

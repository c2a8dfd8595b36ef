"""Comparisons, choices and bit operations."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import INTEGERS, NUMERIC, bool_, float32, float64, int32
from elinvar.core.errors import DTypeError, ShapeError, fail
from elinvar.core.types import TensorType
from elinvar.ops.elementwise import (
    ALL_DTYPES,
    INTEGERS_AND_BOOL,
    XY,
    X,
    bool_samples,
    document,
    edge_values,
    elementwise,
    float_samples,
    generator,
    integer_samples,
    joined,
    pairs,
    quiet,
)
from elinvar.ops.record import BadSample, Op, Sample
from elinvar.ops.scalars import Scalar, select

_EVERYTHING_2 = joined(float_samples(2), integer_samples(2), bool_samples(2))
_WORDS_1 = joined(integer_samples(1), bool_samples(1))
_WORDS_2 = joined(integer_samples(2), bool_samples(2))


# ---- comparisons --------------------------------------------------------------------------------


def _compare_attributes(direction: str) -> Any:
    def attributes(*types: TensorType) -> dict[str, str]:
        kinds = {"f": "FLOAT", "i": "SIGNED", "u": "UNSIGNED", "b": "UNSIGNED"}
        return {
            "comparison_direction": f"#stablehlo<comparison_direction {direction}>",
            "compare_type": f"#stablehlo<comparison_type {kinds[types[0].dtype.kind]}>",
        }

    return attributes


def _comparison(
    name: str, sign: str, direction: str, ufunc: Any, lowering: Any, answer: str, nan: str
) -> Op:
    return elementwise(
        name, XY, f"Whether x {sign} y, element by element; {nan} where an operand is NaN.",
        f"z = (x {sign} y)",
        ">>> x, y = el.asarray([1.0, 2.0, 3.0]), el.asarray([2.0, 2.0, 2.0])\n"
        f">>> el.{name}(x, y).tolist()\n{answer}",
        accepted=ALL_DTYPES,
        reference=quiet(ufunc),
        derivative=None,
        lowering=lowering,
        stablehlo=("stablehlo.compare", _compare_attributes(direction)),
        samples=_EVERYTHING_2,
        result=bool_,
    )  # fmt: skip


_COMPARISONS: tuple[Op, ...] = (
    _comparison(
        "equal", "=", "EQ", np.equal, lambda x, y: x.eq(y), "[False, True, False]", "false"
    ),
    _comparison(
        "not_equal", "≠", "NE", np.not_equal, lambda x, y: x.ne(y), "[True, False, True]", "true"
    ),
    _comparison("less", "<", "LT", np.less, lambda x, y: x < y, "[True, False, False]", "false"),
    _comparison(
        "less_equal", "≤", "LE", np.less_equal, lambda x, y: x <= y, "[True, True, False]", "false"
    ),
    _comparison(
        "greater", ">", "GT", np.greater, lambda x, y: x > y, "[False, False, True]", "false"
    ),
    _comparison(
        "greater_equal",
        "≥",
        "GE",
        np.greater_equal,
        lambda x, y: x >= y,
        "[False, True, True]",
        "false",
    ),
)


# ---- bits ---------------------------------------------------------------------------------------


def _count_in_range(x: Scalar, y: Scalar) -> Scalar:
    """Whether a shift count is 0 … width-1."""
    return (y < x.dtype.bits) if y.dtype.kind == "u" else ((y >= 0) & (y < x.dtype.bits))


def _shift_left(x: Scalar, y: Scalar) -> Scalar:
    inside = _count_in_range(x, y)
    return select(inside, x << select(inside, y, 0), 0)


def _shift_right(x: Scalar, y: Scalar) -> Scalar:
    """Counts beyond the width shift everything out: the sign stays, or 0."""
    inside = _count_in_range(x, y)
    if x.dtype.kind == "i":
        return x >> select(inside, y, x.dtype.bits - 1)
    return select(inside, x >> select(inside, y, 0), 0)


def _shift_reference(function: Any, right: bool) -> Any:
    def reference(x: Any, y: Any) -> Any:
        bits = x.dtype.itemsize * 8
        inside = (y >= 0) & (y < bits)
        last = x.dtype.type(bits - 1)
        found = function(x, np.where(inside, y, last))
        outside = np.where(x < 0, x.dtype.type(-1), 0) if right and x.dtype.kind == "i" else 0
        return np.where(inside, found, outside).astype(x.dtype)

    return reference


def _shift_right_stablehlo(f: Any, x: Any, y: Any) -> Any:
    kind = "arithmetic" if x.dtype.kind == "i" else "logical"
    return f.native(f"stablehlo.shift_right_{kind}", x, y)


def _shift_samples() -> list[Sample]:
    found = []
    rng = generator()
    for dtype in (np.int32, np.int64, np.uint8, np.uint32, np.int16):
        info = np.iinfo(dtype)
        values = rng.integers(info.min, info.max, 40, dtype=dtype, endpoint=True)
        counts = rng.integers(0, info.bits + 3, 40).astype(dtype)
        found.append(Sample((values, counts), differentiable=False))
    negative = np.array([-1, -5, 31, 32, 127], np.int32)
    found.append(Sample((np.array([1, -8, -1, 7, 3], np.int32), negative), differentiable=False))
    return found


def _isfinite(x: Scalar) -> Scalar:
    return x.abs() < float("inf") if x.dtype.kind == "f" else x.eq(x)


def _isfinite_stablehlo(f: Any, x: Any) -> Any:
    if x.dtype.kind != "f":
        return f.equal(x, x)
    return f.native("stablehlo.is_finite", x, dtype=bool_)


_BITS: tuple[Op, ...] = (
    elementwise(
        "isfinite", X, "Whether a number is neither infinite nor NaN.", "y = (|x| < ∞)",
        '>>> el.isfinite(el.asarray([1.0, float("inf"), float("nan")])).tolist()\n'
        "[True, False, False]",
        accepted=NUMERIC,
        reference=quiet(np.isfinite),
        derivative=None,
        lowering=_isfinite,
        stablehlo=_isfinite_stablehlo,
        samples=joined(float_samples(1), integer_samples(1)),
        result=bool_,
    ),
    elementwise(
        "bitwise_invert", X, "All bits flipped; for bool: not.", "y = ¬x",
        ">>> el.bitwise_invert(el.asarray([0, 5])).tolist()\n[-1, -6]",
        accepted=INTEGERS_AND_BOOL,
        reference=quiet(np.invert),
        derivative=None,
        lowering=lambda x: ~x,
        stablehlo="stablehlo.not",
        samples=_WORDS_1,
    ),
    elementwise(
        "bitwise_and", XY, "The bits set in both operands; for bool: and.", "z = x ∧ y",
        ">>> el.bitwise_and(el.asarray([6, 5]), el.asarray([3, 4])).tolist()\n[2, 4]",
        accepted=INTEGERS_AND_BOOL,
        reference=quiet(np.bitwise_and),
        derivative=None,
        lowering=lambda x, y: x & y,
        stablehlo="stablehlo.and",
        samples=_WORDS_2,
    ),
    elementwise(
        "bitwise_or", XY, "The bits set in an operand at least; for bool: or.", "z = x ∨ y",
        ">>> el.bitwise_or(el.asarray([6, 5]), el.asarray([3, 4])).tolist()\n[7, 5]",
        accepted=INTEGERS_AND_BOOL,
        reference=quiet(np.bitwise_or),
        derivative=None,
        lowering=lambda x, y: x | y,
        stablehlo="stablehlo.or",
        samples=_WORDS_2,
    ),
    elementwise(
        "bitwise_xor", XY, "The bits set in one operand only; for bool: either but not both.",
        "z = x ⊕ y",
        ">>> el.bitwise_xor(el.asarray([6, 5]), el.asarray([3, 4])).tolist()\n[5, 1]",
        accepted=INTEGERS_AND_BOOL,
        reference=quiet(np.bitwise_xor),
        derivative=None,
        lowering=lambda x, y: x ^ y,
        stablehlo="stablehlo.xor",
        samples=_WORDS_2,
    ),
    elementwise(
        "shift_left", XY,
        "The bits of x moved up by y places. A count that is negative or not below the width "
        "gives 0.",
        "z = x·2^y modulo 2^width",
        ">>> el.bitwise_left_shift(el.asarray([1, 3]), el.asarray([4, 1])).tolist()\n[16, 6]",
        accepted=INTEGERS,
        reference=_shift_reference(np.left_shift, False),
        derivative=None,
        lowering=_shift_left,
        stablehlo="stablehlo.shift_left",
        samples=_shift_samples,
    ),
    elementwise(
        "shift_right", XY,
        "The bits of x moved down by y places; signed numbers keep their sign. A count that is "
        "negative or not below the width shifts everything out.",
        "z = ⌊x / 2^y⌋",
        ">>> el.bitwise_right_shift(el.asarray([16, -8]), el.asarray([2, 1])).tolist()\n[4, -4]",
        accepted=INTEGERS,
        reference=_shift_reference(np.right_shift, True),
        derivative=None,
        lowering=_shift_right,
        stablehlo=_shift_right_stablehlo,
        samples=_shift_samples,
    ),
)  # fmt: skip


# ---- choice -------------------------------------------------------------------------------------


def _where_type(condition: TensorType, x: TensorType, y: TensorType) -> TensorType:
    if condition.dtype is not bool_:
        fail(DTypeError, "where", f"the condition must be bool, received {condition}")
    if x.dtype is not y.dtype:
        fail(DTypeError, "where", f"dtypes differ: {x} and {y}")
    if not condition.shape == x.shape == y.shape:
        text = f"shapes differ: {condition}, {x} and {y}"
        fail(ShapeError, "where", text, "broadcast them first")
    return x


def _where_derivative(f: Any, operands: Any, results: Any, cotangents: Any) -> Any:
    condition, g = operands[0], cotangents[0]
    zero = f.zeros_like(g)
    return None, f.where(condition, g, zero), f.where(condition, zero, g)


def _where_samples() -> list[Sample]:
    rng = generator()
    found = []
    kinds = (np.float32, np.float64, np.float16, np.int32, np.int64, np.uint8, np.bool_)
    for dtype in (*kinds, np.complex64, np.complex128):
        condition = rng.integers(0, 2, (3, 13)).astype(bool)
        x, y = (rng.integers(-9, 9, (3, 13)).astype(dtype) for _ in range(2))
        differentiable = dtype in (np.float32, np.float64)
        found.append(Sample((condition, x, y), differentiable=differentiable))
    x, y = pairs(edge_values(np.float32))
    condition = np.arange(x.size) % 3 == 0
    found.append(Sample((condition, x, y), differentiable=False))
    return found


def _where_bad_samples() -> list[BadSample]:
    mask, x = TensorType(bool_, (3,)), TensorType(float32, (3,))
    wide, long = TensorType(float64, (3,)), TensorType(float32, (4,))
    number = TensorType(int32, (3,))
    return [
        BadSample((number, x, x), {}, "the condition must be bool, received i32[3]"),
        BadSample((mask, x, wide), {}, "dtypes differ: f32[3] and f64[3]"),
        BadSample((mask, x, long), {}, "shapes differ: bool[3], f32[3] and f32[4]"),
    ]


WHERE = Op(
    name="where",
    family="elementwise",
    doc=document(
        "Elements of x where the condition holds, of y elsewhere. The side not taken gets no "
        "gradient.",
        "z = x if condition else y",
        ("condition", "x", "y"),
        "any dtype (the condition: bool)",
        ">>> condition = el.asarray([True, False])\n"
        ">>> el.where(condition, el.asarray([1.0, 2.0]), el.asarray([3.0, 4.0])).tolist()\n"
        "[1.0, 4.0]",
    ),
    type_rule=_where_type,
    reference=lambda condition, x, y: np.where(condition, x, y),
    derivative=_where_derivative,
    batching="family",
    lowering=select,
    stablehlo="stablehlo.select",
    samples=_where_samples,
    bad_samples=_where_bad_samples,
)

OPS: tuple[Op, ...] = (*_COMPARISONS, *_BITS, WHERE)

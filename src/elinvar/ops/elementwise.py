"""What all elementwise records share: type rules, documentation, samples and the record builders.

The field `stablehlo` of an elementwise record has one of three forms:

- a string: the op of that name, with the operands and the result type as they are;
- a pair (name, attributes): `attributes(*types, **params)` is a dict from attribute to MLIR text;
- a function `(f, *values, **params)`: a decomposition. `f` is the namespace of primitives, with one
  more method: `f.native(name, *values, dtype=None)` is the StableHLO op called `name`, whose result
  has the type of the first value (or that shape with `dtype`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from elinvar.core.dtypes import (
    COMPLEX,
    FLOATS,
    INTEGERS,
    NUMERIC,
    DType,
    bool_,
    float32,
    float64,
    int32,
)
from elinvar.core.errors import DTypeError, ShapeError, fail
from elinvar.core.types import TensorType
from elinvar.ops.record import BadSample, Op, Sample

INTEGERS_AND_BOOL = (*INTEGERS, bool_)
ALL_DTYPES = (*NUMERIC, bool_)
EVERY_DTYPE = (*ALL_DTYPES, *COMPLEX)
_KINDS = {
    FLOATS: "a floating dtype",
    NUMERIC: "a numeric dtype",
    INTEGERS: "an integer dtype",
    INTEGERS_AND_BOOL: "an integer dtype or bool",
}
_HINTS = {
    FLOATS: "cast with `.astype(el.float32)`",
    NUMERIC: "cast with `.astype(...)`",
}


# ---- type rules ---------------------------------------------------------------------------------


def check_dtype(op: str, x: TensorType, accepted: tuple[DType, ...]) -> None:
    """Refuse an operand whose dtype is not accepted."""
    if x.dtype not in accepted:
        text = f"expected {_KINDS[accepted]}, received {x}"
        fail(DTypeError, op, text, _HINTS.get(accepted))


def check_same(op: str, *types: TensorType) -> None:
    """Refuse operands that differ in dtype or shape."""
    first = types[0]
    for other in types[1:]:
        if other.dtype is not first.dtype:
            fail(DTypeError, op, f"dtypes differ: {first} and {other}")
        if other.shape != first.shape:
            text = f"shapes differ: {first} and {other}"
            fail(ShapeError, op, text, "broadcast one of them first")


def same_type(
    op: str, accepted: tuple[DType, ...], operands: int, result: DType | None = None
) -> Callable[..., Any]:
    """The rule of ops whose operands and result agree in dtype (or give `result`) and shape."""

    def rule(*types: TensorType) -> TensorType:
        if len(types) != operands:
            raise TypeError(f"{op} takes {operands} operands, received {len(types)}")
        check_dtype(op, types[0], accepted)
        check_same(op, *types)
        return types[0].with_dtype(result) if result else types[0]

    return rule


# ---- documentation ------------------------------------------------------------------------------


def document(summary: str, formula: str, names: tuple[str, ...], dtypes: str, example: str) -> str:
    """The text of a record: purpose, formula, Args, Shape, Example."""
    arguments = "\n".join(f"    {name}: a tensor of {dtypes}." for name in names)
    shape = "any; the operands are broadcast together." if len(names) > 1 else "any."
    lines = "\n".join(f"    {line}" for line in example.strip().split("\n"))
    return (
        f"{summary}\n\n    {formula}\n\nArgs:\n{arguments}\n\n"
        f"Shape:\n    {shape} The result has the same shape.\n\nExample:\n"
        f"    >>> import elinvar as el\n{lines}\n"
    )


# ---- numpy --------------------------------------------------------------------------------------


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """A numpy function that keeps the dtype of its first operand and warns of nothing."""

    def reference(*arrays: Any, **params: Any) -> Any:
        with np.errstate(all="ignore"):
            found = np.asarray(function(*arrays, **params))
        return found if found.dtype == bool else found.astype(arrays[0].dtype, copy=False)

    return reference


def in_double(function: Callable[..., Any]) -> Callable[..., Any]:
    """A reference that computes in f64 and rounds to the operands' dtype."""

    def reference(*arrays: Any) -> Any:
        with np.errstate(all="ignore"):
            found = function(*(np.asarray(array, np.float64) for array in arrays))
            return np.asarray(found).astype(arrays[0].dtype)

    return reference


# ---- samples ------------------------------------------------------------------------------------

EDGES = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan)


def edge_values(dtype: Any) -> Any:
    """Zeros, ones, infinities, NaN, the largest, smallest normal and smallest subnormal numbers."""
    info = np.finfo(dtype)
    sizes = (float(info.max), float(info.tiny), float(info.smallest_subnormal))
    values = [*EDGES, *sizes, *(-size for size in sizes)]
    return np.array(values, dtype)


def pairs(values: Any) -> tuple[Any, Any]:
    """All pairs of the values, as two arrays."""
    count = len(values)
    return np.repeat(values, count), np.tile(values, count)


def generator() -> np.random.Generator:
    """The generator of samples; the seed is fixed so that tests repeat."""
    return np.random.default_rng(7)


def float_samples(
    operands: int, low: float = -3.0, high: float = 3.0, edges: bool = True
) -> Callable[[], list[Sample]]:
    """f32, f64 and f16 operands in low … high, a 0-d and an empty one, and the edge values."""

    def samples() -> list[Sample]:
        rng = generator()

        def draw(shape: tuple[int, ...], dtype: Any) -> tuple[Any, ...]:
            return tuple(rng.uniform(low, high, shape).astype(dtype) for _ in range(operands))

        found = [
            Sample(draw((3, 17), np.float32)),
            Sample(draw((40,), np.float64)),
            Sample(draw((), np.float64)),
            Sample(draw((0, 2), np.float32), differentiable=False),
            Sample(draw((2, 9), np.float16), differentiable=False),
        ]
        if edges:
            for dtype in (np.float32, np.float64, np.float16):
                values = edge_values(dtype)
                arrays = (values,) if operands == 1 else pairs(values)
                found.append(Sample(arrays, differentiable=False))
        return found

    return samples


def integer_samples(operands: int, nonzero: bool = False) -> Callable[[], list[Sample]]:
    """Operands of several integer types, with their extreme values."""

    def samples() -> list[Sample]:
        rng = generator()
        found = []
        for dtype in (np.int32, np.int64, np.int8, np.uint8, np.uint32, np.uint64, np.int16):
            info = np.iinfo(dtype)
            extremes = np.array([info.min, info.max, 0, 1, info.max // 3], dtype)
            columns = []
            for _ in range(operands):
                middle = rng.integers(max(info.min, -9), min(info.max, 9), 24).astype(dtype)
                column = rng.permutation(np.concatenate([middle, np.repeat(extremes, 3)]))
                columns.append(np.where(column == 0, dtype(2), column) if nonzero else column)
            found.append(Sample(tuple(columns), differentiable=False))
        return found

    return samples


def bool_samples(operands: int) -> Callable[[], list[Sample]]:
    """All combinations of False and True."""

    def samples() -> list[Sample]:
        values = np.array([False, True])
        arrays = (values,) if operands == 1 else pairs(values)
        return [Sample(arrays, differentiable=False)]

    return samples


def joined(*makers: Callable[[], list[Sample]]) -> Callable[[], list[Sample]]:
    """The samples of several makers."""
    return lambda: [sample for maker in makers for sample in maker()]


def refused(accepted: tuple[DType, ...], operands: int) -> Callable[[], list[BadSample]]:
    """Operand types that `same_type` refuses, with a part of the message."""

    def bad_samples() -> list[BadSample]:
        found = []
        wrong = [dtype for dtype in (bool_, int32, float32) if dtype not in accepted]
        for dtype in wrong:
            kind = TensorType(dtype, (2, 3))
            text = f"expected {_KINDS[accepted]}, received {kind}"
            found.append(BadSample((kind,) * operands, {}, text))
        if operands > 1:
            good, other = (float32, float64) if float32 in accepted else (int32, accepted[0])
            one, two = TensorType(good, (3,)), TensorType(good, (4,))
            third = TensorType(other, (3,))
            rest = (one,) * (operands - 2)
            found.append(BadSample((*rest, one, two), {}, f"shapes differ: {one} and {two}"))
            found.append(BadSample((*rest, one, third), {}, f"dtypes differ: {one} and {third}"))
        return found

    return bad_samples


# ---- the builders of records --------------------------------------------------------------------

_DTYPE_WORDS = {
    FLOATS: "a floating dtype",
    NUMERIC: "a numeric dtype",
    INTEGERS: "an integer dtype",
    INTEGERS_AND_BOOL: "an integer dtype or bool",
    ALL_DTYPES: "any dtype",
    EVERY_DTYPE: "any dtype",
}


def no_gradient(operands: int) -> Callable[..., Any]:
    """The derivative of ops that are constant almost everywhere."""
    return lambda f, values, results, cotangents, **params: (None,) * operands


def elementwise(
    name: str,
    operands: tuple[str, ...],
    summary: str,
    formula: str,
    example: str,
    *,
    accepted: tuple[DType, ...],
    reference: Callable[..., Any],
    derivative: Callable[..., Any] | None,
    lowering: Callable[..., Any],
    stablehlo: Any,
    samples: Callable[[], list[Sample]],
    result: DType | None = None,
) -> Op:
    """The record of an op whose operands have one dtype among `accepted` and one shape.

    `derivative(f, operands…, result, cotangent)` returns a tuple, or the one cotangent of a unary
    op; None stands for ops that are constant almost everywhere.
    """
    count = len(operands)

    def rule(f: Any, values: Any, results: Any, cotangents: Any) -> Iterable[Any]:
        assert derivative is not None
        found = derivative(f, *values, results[0], cotangents[0])
        return found if isinstance(found, tuple) else (found,)

    return Op(
        name=name,
        family="elementwise",
        doc=document(summary, formula, operands, _DTYPE_WORDS[accepted], example),
        type_rule=same_type(name, accepted, count, result),
        reference=reference,
        derivative=no_gradient(count) if derivative is None else rule,
        batching="family",
        lowering=lowering,
        stablehlo=stablehlo,
        samples=samples,
        bad_samples=refused(accepted, count),
    )


X = ("x",)
XY = ("x", "y")

"""Contraction: sums of products over shared dimensions. Convolution is in convolution.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import DType, accumulator, float32, float64, int8, int32, int64, uint32
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.types import TensorType
from elinvar.ops import convolution
from elinvar.ops.emit import HIGHEST, listed, statement
from elinvar.ops.record import Emit, Op, Sample, absent
from elinvar.ops.rules import (
    carried,
    check_axes,
    moved_axis,
    narrowed,
    need_equal_dtypes,
    need_numeric,
    next_axes,
    permuted,
    product_dtype,
    widened,
)
from elinvar.ops.sampling import bad, brain_floats, floats, integers

Dims = tuple[int, ...]
Pairs = tuple[Dims, Dims]


def free_dims(rank: int, batch: Dims, axes: Dims) -> Dims:
    """The dims that are neither batch dims nor contracted, in order."""
    return tuple(dim for dim in range(rank) if dim not in batch and dim not in axes)


def _check_pairs(x: TensorType, y: TensorType, name: str, what: str, pairs: Any) -> None:
    if not isinstance(pairs, tuple) or len(pairs) != 2:
        fail(ValueRangeError, "contract", f"{name} must be a pair of tuples, received {pairs!r}")
    for operand, dims in zip((x, y), pairs, strict=True):
        check_axes("contract", operand, dims, in_order=False)
    if len(pairs[0]) != len(pairs[1]):
        fail(ValueRangeError, "contract", f"{name} must pair dimensions, received {pairs}")
    for i, j in zip(*pairs, strict=True):
        if x.shape[i] != y.shape[j]:
            text = f"{what} dimensions differ: {x} @ {y}, {x.shape[i]} ≠ {y.shape[j]}"
            fail(ShapeError, "contract", text)


def _type(
    x: TensorType, y: TensorType, *, batch: Pairs, axes: Pairs, dtype: DType | None = None
) -> TensorType:
    need_equal_dtypes("contract", x, y)
    need_numeric("contract", x)
    _check_pairs(x, y, "batch", "batch", batch)
    _check_pairs(x, y, "axes", "contracted", axes)
    for operand, shared, summed in zip((x, y), batch, axes, strict=True):
        if set(shared) & set(summed):
            text = f"a dimension of {operand} is both batch and contracted: {shared} and {summed}"
            fail(ValueRangeError, "contract", text)
    return TensorType(
        product_dtype("contract", x, dtype),
        tuple(x.shape[dim] for dim in batch[0])
        + tuple(x.shape[dim] for dim in free_dims(x.rank, batch[0], axes[0]))
        + tuple(y.shape[dim] for dim in free_dims(y.rank, batch[1], axes[1])),
    )


def _reference(x: Any, y: Any, *, batch: Pairs, axes: Pairs, dtype: DType | None = None) -> Any:
    x, y = carried(x, dtype), carried(y, dtype)
    x_free = free_dims(x.ndim, batch[0], axes[0])
    y_free = free_dims(y.ndim, batch[1], axes[1])
    shared = tuple(x.shape[dim] for dim in batch[0])
    rows = tuple(x.shape[dim] for dim in x_free)
    columns = tuple(y.shape[dim] for dim in y_free)
    k = int(np.prod([x.shape[dim] for dim in axes[0]], dtype=np.int64))
    groups, m, n = (int(np.prod(dims, dtype=np.int64)) for dims in (shared, rows, columns))
    left = np.transpose(widened(x), (*batch[0], *x_free, *axes[0])).reshape(groups, m, k)
    right = np.transpose(widened(y), (*batch[1], *axes[1], *y_free)).reshape(groups, k, n)
    return narrowed(np.matmul(left, right).reshape(shared + rows + columns), x.dtype)


def _derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, *, batch: Pairs, axes: Pairs,
    dtype: DType | None = None,
) -> Any:  # fmt: skip
    """dx = g · y over y's free dims and dy = x · g over x's, with the dims put back in order."""
    (x, y), (g,) = operands, cotangents
    if dtype is not None:
        found = _derivative(
            f, [f.cast(v, dtype=dtype) for v in operands], results, cotangents,
            batch=batch, axes=axes,
        )  # fmt: skip
        return tuple(f.cast(d, dtype=x.dtype) for d in found)
    x_free = free_dims(len(x.shape), batch[0], axes[0])
    y_free = free_dims(len(y.shape), batch[1], axes[1])
    shared = tuple(range(len(batch[0])))
    rows = tuple(len(shared) + i for i in range(len(x_free)))
    columns = tuple(len(shared) + len(rows) + i for i in range(len(y_free)))
    # (batch…, x's free…, y's contracted, by their place in y)
    dx = f.contract(g, y, batch=(shared, batch[1]), axes=(columns, y_free))
    x_summed = tuple(axes[0][axes[1].index(dim)] for dim in sorted(axes[1]))
    x_order = (*batch[0], *x_free, *x_summed)
    # (batch…, x's contracted, by their place in x, y's free…)
    dy = f.contract(x, g, batch=(batch[0], shared), axes=(x_free, rows))
    y_summed = tuple(axes[1][axes[0].index(dim)] for dim in sorted(axes[0]))
    y_order = (*batch[1], *y_summed, *y_free)
    return (
        permuted(f, dx, tuple(x_order.index(dim) for dim in range(len(x_order)))),
        permuted(f, dy, tuple(y_order.index(dim) for dim in range(len(y_order)))),
    )


def _batching(
    f: Any, size: Any, operands: Any, mapped: Any, *, batch: Pairs, axes: Pairs, **params: Any
) -> Any:
    x, y = operands
    x_batch, y_batch = (next_axes(d) if m else d for d, m in zip(batch, mapped, strict=True))
    x_axes, y_axes = (next_axes(d) if m else d for d, m in zip(axes, mapped, strict=True))
    if all(mapped):
        wide = ((0, *x_batch), (0, *y_batch))
        return f.contract(x, y, batch=wide, axes=(x_axes, y_axes), **params)
    found = f.contract(x, y, batch=(x_batch, y_batch), axes=(x_axes, y_axes), **params)
    if mapped[0]:
        return moved_axis(f, found, len(x_batch), 0)
    x_free = free_dims(len(x.shape), x_batch, x_axes)
    return moved_axis(f, found, len(x_batch) + len(x_free), 0)


def _stablehlo(
    printer: Any, operands: Any, types: Any, result_types: Any, params: Any
) -> list[str]:
    """dot_general; 16-bit floats are summed in f32 and rounded once."""
    (result,), batch, axes = result_types, params["batch"], params["axes"]
    attributes = (
        f"dot_dimension_numbers = #stablehlo.dot<lhs_batching_dimensions = {listed(batch[0])}, "
        f"rhs_batching_dimensions = {listed(batch[1])}, "
        f"lhs_contracting_dimensions = {listed(axes[0])}, "
        f"rhs_contracting_dimensions = {listed(axes[1])}>, {HIGHEST}"
    )
    wide = result.with_dtype(accumulator(result.dtype))
    same = wide == result
    names = printer.results if same else (printer.fresh(),)
    lines = statement(printer, names, "dot_general", operands, types, (wide,), attributes)
    if not same:
        lines += statement(printer, printer.results, "convert", names, (wide,), (result,))
    return lines


def _rows() -> list[tuple[Any, ...]]:
    """(x's shape, y's shape, batch, axes)"""
    none: Pairs = ((), ())
    return [
        ((2, 3), (3, 4), none, ((1,), (0,))), ((2, 3), (4, 3), none, ((1,), (1,))),
        ((3, 2), (3, 4), none, ((0,), (0,))), ((5,), (5,), none, ((0,), (0,))),
        ((2,), (3,), none, none), ((2, 3, 4), (2, 4, 5), ((0,), (0,)), ((2,), (1,))),
        ((2, 3, 4), (4, 2, 5), ((0,), (1,)), ((2,), (0,))),
        ((3, 4), (3, 4), ((0, 1), (0, 1)), none),
        ((2, 3, 4), (4, 5, 3), none, ((1, 2), (2, 0))), ((3, 2), (2,), none, ((1,), (0,))),
        ((2, 3, 4, 2), (5, 2, 3, 4), ((3, 1), (1, 2)), ((2,), (3,))),
        ((2, 0), (0, 3), none, ((1,), (0,))),
        ((0, 2), (2, 3), none, ((1,), (0,))), ((1, 3), (3, 1), none, ((1,), (0,))),
        ((3, 2, 4), (4, 2, 3), ((1,), (1,)), ((2, 0), (0, 2))), ((), (2,), none, none),
    ]  # fmt: skip


def _samples() -> list[Sample]:
    rows = [(a, b, {"batch": batch, "axes": axes}) for a, b, batch, axes in _rows()]
    plain = {"batch": ((), ()), "axes": ((1,), (0,))}
    found = [Sample((floats(*a), floats(*b, seed=1)), params) for a, b, params in rows]
    for dtype in (np.float32, np.float16):
        x, y = floats(7, 33, dtype=dtype), floats(33, 5, seed=1, dtype=dtype)
        found.append(Sample((x, y), plain, differentiable=False))
    for kind in (np.int64, np.int8, np.uint32):
        pair = (integers(3, 4, dtype=kind), integers(4, 2, seed=1, dtype=kind))
        found.append(Sample(pair, plain, differentiable=False))
    brains = (brain_floats(7, 33), brain_floats(33, 5, seed=1))
    found.append(Sample(brains, plain, False, bfloat16=True))
    found.append(Sample(brains, plain | {"dtype": float32}, False, bfloat16=True))
    halves = (floats(7, 33, dtype=np.float16), floats(33, 5, seed=1, dtype=np.float16))
    singles = (floats(2, 3, dtype=np.float32), floats(3, 4, seed=1, dtype=np.float32))
    found.append(Sample(halves, plain | {"dtype": float32}, False))
    found.append(Sample(singles, plain | {"dtype": float64}, False))
    wholes = [integers(13, 70, low=-128, high=255, seed=k) for k in (0, 1)]
    for narrow, wide in (("i1", int32), ("u1", int32), ("u1", uint32), ("i2", int64)):
        params = {"batch": ((), ()), "axes": ((1,), (1,)), "dtype": wide}
        found.append(Sample(tuple(x.astype(narrow) for x in wholes), params, False))
    return found


def _bad_samples() -> list[Any]:
    none: Pairs = ((), ())
    return [
        bad(
            "f32[8,128] f32[64,32]",
            "[contract] contracted dimensions differ: f32[8,128] @ f32[64,32], 128 ≠ 64",
            batch=none, axes=((1,), (0,)),
        ),
        bad(
            "f32[2,3,4] f32[5,4,3]",
            "[contract] batch dimensions differ: f32[2,3,4] @ f32[5,4,3], 2 ≠ 5",
            batch=((0,), (0,)), axes=((2,), (1,)),
        ),
        bad(
            "f32[2,B] f32[3,2]", "f32[2,B] @ f32[3,2], B ≠ 3", batch=none, axes=((1,), (0,))
        ),
        bad("f32[2,3] f64[3,2]", "dtypes differ: f32[2,3] and f64[3,2]", batch=none, axes=none),
        bad("bool[2] bool[2]", "expected a numeric dtype, received bool[2]", batch=none, axes=none),
        bad("f32[2] f32[2]", "axis 1 is out of range for f32[2]", batch=none, axes=((1,), (0,))),
        bad("f32[2] f32[2]", "axes must pair dimensions", batch=none, axes=((0,), ())),
        bad("f32[2] f32[2]", "axes must be a pair of tuples", batch=none, axes=(0, 1, 2)),
        bad("f32[2] f32[2]", "both batch and contracted", batch=((0,), (0,)), axes=((0,), (0,))),
        bad(
            "i8[2] i8[2]",
            "[contract] dtype must hold every number of the operands: float32 for i8[2]",
            batch=none, axes=((0,), (0,)), dtype=float32,
        ),
        bad(
            "u8[2] u8[2]", "hold every number of the operands: int8 for u8[2]", batch=none,
            axes=((0,), (0,)), dtype=int8,
        ),
        bad(
            "f32[2] f32[2]", "dtype must be a dtype, received 'f64'", batch=none,
            axes=((0,), (0,)), dtype="f64",
        ),
    ]  # fmt: skip


CONTRACT = Op(
    name="contract",
    family="contract",
    doc="""Sums of products over pairs of dimensions; matrix products and their kin.

    r[b…, i…, j…] = Σₖ x[b…, i…, k…] · y[b…, k…, j…], with the dimensions in any order.

    Args:
        batch: two tuples, the dims of x and of y that go together and stay.
        axes: two tuples, the dims of x and of y that are summed over, in pairs.
        dtype: of the result and of the sums, a wider one than that of x and y (optional).

    Shape:
        The batch dims, then x's other dims, then y's other dims; the dtype of x and y, or `dtype`.

    Raises:
        ShapeError: paired dimensions differ in size.
        DTypeError: `dtype` cannot hold what the operands hold.

    Example:
        >>> contract(array([[1, 2], [3, 4]]), array([5, 6]), batch=((), ()), axes=((1,), (0,)))
        array([17, 39])
    """,
    type_rule=_type,
    reference=_reference,
    derivative=_derivative,
    batching=_batching,
    lowering=absent("the kernel generator knows it by name"),
    stablehlo=Emit(_stablehlo),
    samples=_samples,
    bad_samples=_bad_samples,
    params=("batch", "axes", "dtype"),
    optional=("dtype",),
)


OPS: tuple[Op, ...] = (CONTRACT, *convolution.OPS)

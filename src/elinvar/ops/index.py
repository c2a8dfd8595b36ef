"""Indices: making them, reading and writing by them; and the barrier. Sorting is in sorting.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import DType, accumulator, bfloat16, float32, int32, int64
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import DimLike, Shape, format_shape, size
from elinvar.core.types import TensorType
from elinvar.ops import sorting
from elinvar.ops.emit import array, combining, constant, listed, returning, statement
from elinvar.ops.indexing import Read
from elinvar.ops.record import Emit, Op, Sample, absent
from elinvar.ops.rules import (
    batched,
    check_axis,
    check_dims,
    dim_value,
    expanded,
    filled,
    is_dim,
    moved_axis,
    narrowed,
    need_dtype,
    need_equal_dtypes,
    need_numeric,
    replaced,
    reshaped,
    widened,
)
from elinvar.ops.sampling import bad, booleans, brain_floats, complexes, floats, integers

_NO_OPERANDS = absent("there is no operand that could carry a batch dimension")


# ---- iota ---------------------------------------------------------------------------------------


def _iota_type(*, size: DimLike, dtype: DType) -> TensorType:
    check_dims("iota", "size", (size,))
    if not isinstance(dtype, DType) or dtype.kind == "b":
        fail(DTypeError, "iota", f"expected a numeric dtype, received {dtype!r}")
    return TensorType(dtype, (size,))


def _iota(*, size: int, dtype: DType) -> Any:
    return np.arange(size).astype(np.float32 if dtype is bfloat16 else dtype.numpy)


def _iota_stablehlo(
    printer: Any, operands: Any, types: Any, result_types: Any, params: Any
) -> list[str]:
    attributes = "iota_dimension = 0 : i64"
    return statement(printer, printer.results, "iota", (), (), result_types, attributes)


IOTA = Op(
    name="iota",
    family="index",
    doc="""The numbers 0, 1, …, size - 1.

    Args:
        size: how many.
        dtype: a numeric dtype.

    Shape:
        [size].

    Example:
        >>> iota(size=3, dtype=int64)
        array([0, 1, 2])
    """,
    type_rule=_iota_type,
    reference=_iota,
    derivative=lambda f, operands, results, cotangents, **params: (),
    batching=_NO_OPERANDS,
    lowering=absent("the kernel generator knows it by name"),
    stablehlo=Emit(_iota_stablehlo),
    samples=lambda: [
        Sample((), {"size": count, "dtype": dtype}, differentiable=False)
        for count, dtype in (
            (5, int64), (0, int64), (1, float32), (7, int32), (300, bfloat16), (9, float32),
        )
    ],
    bad_samples=lambda: [
        bad("", "[iota] size must not be negative: -1", size=-1, dtype=int64),
        bad("", "[iota] size must be a tuple of sizes, received (2.5,)", size=2.5, dtype=int64),
        bad("", "[iota] expected a numeric dtype, received 'i64'", size=2, dtype="i64"),
    ],
    params=("size", "dtype"),
)  # fmt: skip


# ---- size_of ------------------------------------------------------------------------------------


def _size_of_type(*, dim: DimLike) -> TensorType:
    if not is_dim(dim):
        fail(ValueRangeError, "size_of", f"dim must be a size, received {dim!r}")
    return TensorType(int64, ())


SIZE_OF = Op(
    name="size_of",
    family="index",
    doc="""The value of a dimension that may be symbolic.

    Args:
        dim: an int or a Dim.

    Shape:
        int64, 0-d.

    Example:
        >>> size_of(dim=3)
        array(3)
    """,
    type_rule=_size_of_type,
    reference=lambda *, dim: np.asarray(dim, np.int64),
    derivative=lambda f, operands, results, cotangents, **params: (),
    batching=_NO_OPERANDS,
    lowering=absent("the kernel generator knows it by name"),
    stablehlo=Emit(
        lambda printer, operands, types, result_types, params: [
            constant(printer, printer.results[0], params["dim"], result_types[0])
        ]
    ),
    samples=lambda: [Sample((), {"dim": n}, differentiable=False) for n in (0, 1, 12)],
    bad_samples=lambda: [bad("", "[size_of] dim must be a size, received 'B'", dim="B")],
    params=("dim",),
)


# ---- gather -------------------------------------------------------------------------------------


def _gathered(op: str, x: TensorType, i: TensorType, axis: int) -> Shape:
    """The shape of x with the axis replaced by the indices' dimensions."""
    check_axis(op, x, axis)
    need_dtype(op, "indices", i, int64, int32)
    return replaced(x.shape, axis, *i.shape)


def _gather_type(x: TensorType, i: TensorType, *, axis: int) -> TensorType:
    shape = _gathered("gather", x, i, axis)
    if x.shape[axis] == 0 and i.size != 0:
        fail(ShapeError, "gather", f"axis {axis} of {x} is empty and indices are {i}")
    return x.with_shape(shape)


def _gather(x: Any, i: Any, *, axis: int) -> Any:
    if not i.size:
        return np.zeros(replaced(x.shape, axis, *i.shape), x.dtype)
    return np.asarray(np.take(x, np.clip(i, 0, x.shape[axis] - 1), axis))


def clamped(f: Any, i: Any, n: DimLike) -> Any:
    """Indices moved into 0 … n - 1."""
    last = f.subtract(dim_value(f, n), dim_value(f, 1))
    last = last if i.dtype is int64 else f.cast(last, dtype=i.dtype)
    return f.maximum(f.minimum(i, filled(f, last, i.shape)), f.zeros_like(i))


def _gather_derivative(f: Any, operands: Any, results: Any, cotangents: Any, *, axis: int) -> Any:
    (x, i), (g,) = operands, cotangents
    places = clamped(f, i, x.shape[axis])
    return f.scatter(f.zeros_like(x), places, g, axis=axis, mode="add"), None


def _gather_batching(f: Any, size: Any, operands: Any, mapped: Any, *, axis: int) -> Any:
    x, i = operands
    if not mapped[1]:
        return f.gather(x, i, axis=axis + 1)
    if not mapped[0]:
        return moved_axis(f, f.gather(x, i, axis=axis), axis, 0)
    merged, rows = _merged_rows(f, x, clamped(f, i, x.shape[axis + 1]), axis)
    return moved_axis(f, f.gather(merged, rows, axis=axis), axis, 0)


def _merged_rows(f: Any, x: Any, i: Any, axis: int) -> tuple[Any, Any]:
    """x with its batch dimension merged into the axis, and indices (not checked) into that."""
    count, n = x.shape[0], x.shape[axis + 1]
    moved = moved_axis(f, x, 0, axis)
    shape = tuple(moved.shape)
    merged = reshaped(f, moved, (*shape[:axis], count * n, *shape[axis + 2 :]))
    stride = dim_value(f, n)
    starts = f.multiply(f.iota(size=count, dtype=int64), filled(f, stride, (count,)))
    starts = starts if i.dtype is int64 else f.cast(starts, dtype=i.dtype)
    return merged, f.add(i, expanded(f, starts, i.shape, tuple(range(1, len(i.shape)))))


def _gather_map(ix: Any, index: Any, types: Any, *, axis: int) -> list[Read]:
    """x at (before…, i[middle…], after…), the index clamped into its axis."""
    x, i = types
    middle = tuple(index[axis : axis + i.rank])
    place = ix.clamp(ix.load(1, middle), x.shape[axis])
    return [Read(0, (*index[:axis], place, *index[axis + i.rank :]))]


def _gather_stablehlo(
    printer: Any, operands: Any, types: Any, result_types: Any, params: Any
) -> list[str]:
    (x, i), (result,), axis = types, result_types, params["axis"]
    if x.shape[axis] == 0:  # so nothing is read
        value = False if x.dtype.kind == "b" else 0
        return [constant(printer, printer.results[0], value, result)]
    offsets = [*range(axis), *range(axis + i.rank, result.rank)]
    attributes = (
        f"dimension_numbers = #stablehlo.gather<offset_dims = {listed(offsets)}, "
        f"collapsed_slice_dims = [{axis}], start_index_map = [{axis}], "
        f"index_vector_dim = {i.rank}>, slice_sizes = {array(replaced(x.shape, axis, 1))}, "
        f"indices_are_sorted = false"
    )
    return statement(printer, printer.results, "gather", operands, types, result_types, attributes)


def _index_samples() -> list[tuple[Any, Any, int]]:
    """(x's shape, indices, axis)"""
    return [
        ((5,), np.array([4, 0, 0, 2]), 0),
        ((4, 3), np.array([[1, 3], [0, 1]]), 0),
        ((2, 4, 3), np.array([3, 1]), 1),
        ((2, 4), np.array(2), 1),
        ((3, 2), np.array([0, 1, 1, 0], np.int32), 1),
        ((3, 2), np.zeros((0,), np.int64), 0),
        ((0, 3), np.zeros((2, 0), np.int64), 0),
        ((3, 0), np.array([2, 0]), 0),
        ((1,), np.array([[0], [0]]), 0),
        ((4,), np.array([-1, 9, 2, -7]), 0),
        ((3, 2), np.array([5, 1, -3], np.int32), 0),
    ]


GATHER = Op(
    name="gather",
    family="index",
    doc="""Slices of x picked by indices: y[a…, p…, b…] = x[a…, i[p…], b…].

    Args:
        i: int64 or int32 indices; those outside of 0 … n - 1 are moved to the nearer end.
        axis: the axis of x that they point into.

    Shape:
        x with the axis replaced by the dimensions of i; the dtype of x.

    Raises:
        ShapeError: the axis is empty but there are indices.

    Example:
        >>> gather(array([10, 20, 30]), array([2, 0, 2]), axis=0)
        array([30, 10, 30])
    """,
    type_rule=_gather_type,
    reference=_gather,
    derivative=_gather_derivative,
    batching=_gather_batching,
    lowering=_gather_map,
    stablehlo=Emit(_gather_stablehlo),
    samples=lambda: [
        *(Sample((floats(*shape), i), {"axis": axis}) for shape, i, axis in _index_samples()),
        Sample((booleans(4), np.array([3, 0])), {"axis": 0}, differentiable=False),
        Sample((complexes(4), np.array([3, 0])), {"axis": 0}),
        Sample((brain_floats(4), np.array([3, 0])), {"axis": 0}, False, bfloat16=True),
    ],
    bad_samples=lambda: [
        bad("f32[3] f32[2]", "[gather] indices must be int64 or int32, received f32[2]", axis=0),
        bad("f32[3] i64[2]", "[gather] axis 1 is out of range for f32[3]", axis=1),
        bad("f32[0] i64[2]", "axis 0 of f32[0] is empty and indices are i64[2]", axis=0),
    ],
    params=("axis",),
)


# ---- scatter ------------------------------------------------------------------------------------


def _scatter_type(
    x: TensorType, i: TensorType, u: TensorType, *, axis: int, mode: str
) -> TensorType:
    shape = _gathered("scatter", x, i, axis)
    need_equal_dtypes("scatter", x, u)
    if mode not in ("set", "add"):
        fail(ValueRangeError, "scatter", f"mode must be 'set' or 'add', received {mode!r}")
    if mode == "add":
        need_numeric("scatter", x)
    if u.shape != shape:
        text = f"updates of {x} at indices {i} must have the shape {format_shape(shape)}"
        fail(ShapeError, "scatter", f"{text}, received {u}")
    return x


def _scatter(x: Any, i: Any, u: Any, *, axis: int, mode: str) -> Any:
    wide = widened(x) if x.dtype == np.float16 else x
    result = np.moveaxis(wide, axis, 0).copy()
    flat = i.reshape(-1)
    order = (*range(axis, axis + i.ndim), *range(axis), *range(axis + i.ndim, u.ndim))
    updates = np.transpose(u, order).reshape(flat.size, *replaced(x.shape, axis))
    inside = (flat >= 0) & (flat < x.shape[axis])
    if mode == "add":
        np.add.at(result, flat[inside], updates[inside])
    else:
        for place, update in zip(flat[inside], updates[inside], strict=True):
            result[place] = update
    return narrowed(np.moveaxis(result, 0, axis), x.dtype)


def _scatter_derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, *, axis: int, mode: str
) -> Any:
    """What was overwritten gets nothing; of updates to one place the last one gets it all."""
    (x, i, u), (g,) = operands, cotangents
    n = x.shape[axis]
    if isinstance(n, int) and n == 0:
        return g, None, f.zeros_like(u)
    if mode == "add":
        dx = g
        end = dim_value(f, n)
        end = end if i.dtype is int64 else f.cast(end, dtype=i.dtype)
        above = f.greater_equal(i, f.zeros_like(i))
        used = f.bitwise_and(above, f.less(i, filled(f, end, i.shape)))
    else:
        dx = f.scatter(g, i, f.zeros_like(u), axis=axis, mode="set")
        serial = reshaped(f, f.iota(size=size(i.shape), dtype=int64), i.shape)
        nobody = filled(f, f.scalar(-1, int64), (n,))
        last = f.scatter(nobody, i, serial, axis=0, mode="set")
        used = f.equal(f.gather(last, i, axis=0), serial)
    outer = (*range(axis), *range(axis + len(i.shape), len(u.shape)))
    taken = f.gather(g, i, axis=axis)
    return dx, None, f.where(expanded(f, used, u.shape, outer), taken, f.zeros_like(u))


def _scatter_batching(
    f: Any, count: Any, operands: Any, mapped: Any, *, axis: int, mode: str
) -> Any:
    x, u = (batched(f, count, operands[k], mapped[k]) for k in (0, 2))
    i = operands[1]
    if not mapped[1]:
        return f.scatter(x, i, u, axis=axis + 1, mode=mode)
    n = x.shape[axis + 1]
    kept = clamped(f, i, n)
    merged, rows = _merged_rows(f, x, kept, axis)
    rows = f.where(f.equal(i, kept), rows, f.full(-1, rows))
    found = f.scatter(merged, rows, moved_axis(f, u, 0, axis), axis=axis, mode=mode)
    shape = tuple(x.shape[1:])
    split = reshaped(f, found, (*shape[:axis], count, n, *shape[axis + 1 :]))
    return moved_axis(f, split, axis, 0)


def _scatter_stablehlo(
    printer: Any, operands: Any, types: Any, result_types: Any, params: Any
) -> list[str]:
    """16-bit floats are added in f32 and rounded once."""
    (x, i, u), axis, names = types, params["axis"], list(operands)
    add = params["mode"] == "add"
    wide = accumulator(x.dtype) if add else x.dtype
    lines: list[str] = []
    kinds = (x.with_dtype(wide), i, u.with_dtype(wide))
    if wide is not x.dtype:
        for place in (0, 2):
            name = printer.fresh()
            lines += statement(
                printer, (name,), "convert", (names[place],), (types[place],), (kinds[place],)
            )
            names[place] = name
    windows = [*range(axis), *range(axis + i.rank, u.rank)]
    attributes = (
        f"scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = {listed(windows)}, "
        f"inserted_window_dims = [{axis}], scatter_dims_to_operand_dims = [{axis}], "
        f"index_vector_dim = {i.rank}>, indices_are_sorted = false, unique_indices = false"
    )
    region: Any = combining(printer, "add", wide)
    if not add:
        scalar = TensorType(wide, ())
        old, new = printer.fresh(), printer.fresh()
        region = ((old, new), (scalar, scalar), returning(printer, (new,), (scalar,)))
    results = printer.results if wide is x.dtype else (printer.fresh(),)
    lines += statement(printer, results, "scatter", names, kinds, kinds[:1], attributes, (region,))
    if wide is not x.dtype:
        lines += statement(printer, printer.results, "convert", results, kinds[:1], (x,))
    return lines


def _scatter_samples() -> list[Sample]:
    found = []
    for mode in ("set", "add"):
        for shape, i, axis in _index_samples():
            u = floats(*replaced(shape, axis, *i.shape), seed=1)
            found.append(Sample((floats(*shape), i, u), {"axis": axis, "mode": mode}))
        params = {"axis": 0, "mode": mode}
        places = np.array([1, 1, 3, 1, 0])
        for dtype in (np.float16, np.float32):
            pair = floats(4, 2, dtype=dtype), floats(5, 2, seed=1, dtype=dtype)
            found.append(Sample((pair[0], places, pair[1]), params, differentiable=False))
        whole = (integers(4), places, integers(5, seed=1))
        found.append(Sample(whole, params, differentiable=False))
        brains = (brain_floats(4), places, brain_floats(5, seed=1))
        found.append(Sample(brains, params, differentiable=False, bfloat16=True))
    logical = (booleans(4), np.array([1, 3]), np.array([True, False]))
    return [*found, Sample(logical, {"axis": 0, "mode": "set"}, differentiable=False)]


SCATTER = Op(
    name="scatter",
    family="index",
    doc="""x with slices overwritten or increased where indices point: the adjoint of gather.

    For each p in row-major order, y[a…, i[p…], b…] becomes (or is increased by) u[a…, p…, b…].

    Args:
        i: int64 or int32 indices; those outside of 0 … n - 1 are left out.
        u: the updates, in the shape that gather would give.
        axis: the axis of x that the indices point into.
        mode: "set" or "add".

    Shape:
        The type of x.

    Raises:
        ShapeError: the updates have another shape.

    Example:
        >>> scatter(array([0, 0, 0]), array([2, 0, 2]), array([1, 2, 3]), axis=0, mode="add")
        array([2, 0, 4])
    """,
    type_rule=_scatter_type,
    reference=_scatter,
    derivative=_scatter_derivative,
    batching=_scatter_batching,
    lowering=absent("the kernel generator knows it by name"),
    stablehlo=Emit(_scatter_stablehlo),
    samples=_scatter_samples,
    bad_samples=lambda: [
        bad(
            "f32[3,4] i64[2] f32[2,3]",
            "updates of f32[3,4] at indices i64[2] must have the shape [2,4], received f32[2,3]",
            axis=0, mode="set",
        ),
        bad("f32[3] i8[2] f32[2]", "indices must be int64 or int32", axis=0, mode="set"),
        bad("f32[3] i64[2] i32[2]", "[scatter] dtypes differ", axis=0, mode="set"),
        bad("f32[3] i64[2] f32[2]", "mode must be 'set' or 'add'", axis=0, mode="max"),
        bad("bool[3] i64[2] bool[2]", "[scatter] expected a numeric dtype", axis=0, mode="add"),
    ],
    params=("axis", "mode"),
)  # fmt: skip


# ---- barrier ------------------------------------------------------------------------------------


BARRIER = Op(
    name="barrier",
    family="opaque",
    doc="""x itself, but never shared, moved or simplified away; for recomputing on purpose.

    Args:
        tag: barriers of one x with different tags are different values.

    Shape:
        The type of x.

    Example:
        >>> barrier(array([1, 2]), tag=0)
        array([1, 2])
    """,
    type_rule=lambda x, *, tag: x,
    reference=lambda x, *, tag: x,
    derivative=lambda f, operands, results, cotangents, *, tag: (cotangents[0],),
    batching=lambda f, count, operands, mapped, *, tag: f.barrier(operands[0], tag=tag),
    lowering=absent("the kernel generator knows it by name"),
    stablehlo="stablehlo.optimization_barrier",
    samples=lambda: [
        Sample((floats(2, 3),), {"tag": 0}),
        Sample((floats(),), {"tag": 1}),
        Sample((integers(3),), {"tag": 2}, differentiable=False),
    ],
    bad_samples=list,
    params=("tag",),
)


OPS: tuple[Op, ...] = (IOTA, SIZE_OF, GATHER, SCATTER, *sorting.OPS, BARRIER)

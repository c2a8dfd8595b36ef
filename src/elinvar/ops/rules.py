"""What the records of non-elementwise primitives share: checks of params and small rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import DType, bool_, int64
from elinvar.core.errors import AxisError, DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import Dim, DimLike, Shape
from elinvar.core.shapes import size as size_product
from elinvar.core.types import TensorType

Array = Any


# ---- dimensions that may be symbolic ------------------------------------------------------------


def known_negative(dim: DimLike) -> bool:
    """True when `dim` is negative for all sizes (each size is at least 0)."""
    if isinstance(dim, Dim):
        terms = dim.terms
        return all(factor <= 0 for factor in terms.values()) and terms.get((), 0) < 0
    return dim < 0


def check_dims(op: str, name: str, dims: Any) -> None:
    """Refuse anything but a tuple of sizes that are not negative."""
    if not isinstance(dims, tuple) or not all(is_dim(dim) for dim in dims):
        fail(ValueRangeError, op, f"{name} must be a tuple of sizes, received {dims!r}")
    for dim in dims:
        if known_negative(dim):
            fail(ShapeError, op, f"{name} must not be negative: {dim}")


def is_dim(value: Any) -> bool:
    """True for an int or a symbolic dimension."""
    return isinstance(value, (int, Dim)) and not isinstance(value, bool)


def check_ints(op: str, name: str, values: Any, length: int, least: int | None = None) -> None:
    """Refuse anything but a tuple of `length` ints, each at least `least`."""
    if not isinstance(values, tuple) or not all(is_dim(value) for value in values):
        fail(ValueRangeError, op, f"{name} must be a tuple of ints, received {values!r}")
    if len(values) != length:
        fail(ValueRangeError, op, f"{name} must have {length} entries, received {values}")
    for value in values:
        if least is not None and known_negative(value - least):
            fail(ValueRangeError, op, f"{name} must be at least {least}, received {values}")


def quotient(op: str, dim: DimLike, divisor: DimLike) -> DimLike:
    """dim / divisor, floored for ints, exact for symbolic sizes."""
    if isinstance(dim, int) and isinstance(divisor, int):
        return dim // divisor
    try:
        return dim // divisor if isinstance(dim, Dim) else _failing_division(dim, divisor)
    except ShapeError:
        fail(ShapeError, op, f"{dim} is not known to be divisible by {divisor}")


def whole_steps(op: str, room: DimLike, stride: int) -> DimLike:
    """How many steps fit into `room`. Of a symbolic one all but a number must be divisible:
    (2*h-1) / 2 is h-1 whatever h, while h / 2 is no polynomial."""
    rest = room.terms.get((), 0) if isinstance(room, Dim) else 0
    try:
        return quotient(op, room - rest, stride) + rest // stride
    except ShapeError:
        hint = f"let the size be a multiple of a name: {stride} * el.Dim('n'), or that and a number"
        fail(ShapeError, op, f"{room} is not known to be divisible by {stride}", hint)


def _failing_division(dim: DimLike, divisor: DimLike) -> DimLike:
    if dim == 0:
        return 0
    raise ShapeError(f"{dim} / {divisor}")


# ---- axes and dtypes ----------------------------------------------------------------------------


def check_axis(op: str, x: TensorType, axis: Any) -> None:
    """Refuse anything but an int from 0 to rank-1."""
    if isinstance(axis, bool) or not isinstance(axis, int):
        fail(AxisError, op, f"axis must be an int, received {axis!r}")
    if not 0 <= axis < x.rank:
        fail(AxisError, op, f"axis {axis} is out of range for {x}")


def check_axes(op: str, x: TensorType, axes: Any, in_order: bool = True) -> None:
    """Refuse anything but a tuple of distinct axes of x (increasing, if `in_order`)."""
    if not isinstance(axes, tuple):
        fail(AxisError, op, f"axes must be a tuple of ints, received {axes!r}")
    for axis in axes:
        check_axis(op, x, axis)
    if len(set(axes)) != len(axes):
        fail(AxisError, op, f"an axis is named twice in {axes}")
    if in_order and axes != tuple(sorted(axes)):
        fail(AxisError, op, f"axes must increase, received {axes}")


def need_numeric(op: str, x: TensorType) -> None:
    """Refuse booleans."""
    if x.dtype.kind == "b":
        fail(DTypeError, op, f"expected a numeric dtype, received {x}", "cast with `.astype(...)`")


def need_dtype(op: str, name: str, x: TensorType, *accepted: DType) -> None:
    """Refuse a dtype that is not among the accepted ones."""
    if x.dtype not in accepted:
        names = " or ".join(dtype.name for dtype in accepted)
        fail(DTypeError, op, f"{name} must be {names}, received {x}")


def need_equal_dtypes(op: str, *types: TensorType) -> None:
    """Refuse operands of different dtypes."""
    for other in types[1:]:
        if other.dtype is not types[0].dtype:
            fail(DTypeError, op, f"dtypes differ: {types[0]} and {other}")


def product_dtype(op: str, x: TensorType, dtype: Any) -> DType:
    """The dtype of a product of operands like x: theirs, or `dtype` if that holds their numbers."""
    if dtype is None or dtype is x.dtype:
        return x.dtype
    if not isinstance(dtype, DType):
        fail(DTypeError, op, f"dtype must be a dtype, received {dtype!r}")
    kinds = x.dtype.kind + dtype.kind
    if kinds not in ("ff", "ii", "uu", "ui") or dtype.bits <= x.dtype.bits:
        text = f"dtype must hold every number of the operands: {dtype.name} for {x}"
        fail(DTypeError, op, text, "cast the operands, or the result, with `.astype(...)`")
    return dtype


def need_scalar(op: str, name: str, x: TensorType, dtype: DType = bool_) -> None:
    """Refuse anything but a 0-d value of the dtype."""
    if x != TensorType(dtype, ()):
        fail(ShapeError, op, f"{name} must be {dtype.short}[], received {x}")


# ---- numpy --------------------------------------------------------------------------------------


def widened(x: Array) -> Array:
    """x in the type in which references sum: f16 → f32, f32 → f64, others unchanged."""
    wider = {"float16": np.float32, "float32": np.float64}.get(x.dtype.name)
    return x if wider is None else x.astype(wider)


def carried(x: Array, dtype: DType | None) -> Array:
    """An operand of a product whose result has the dtype, in that dtype (bfloat16 as float32)."""
    return x if dtype is None or dtype.name == "bfloat16" else x.astype(dtype.numpy, copy=False)


def narrowed(x: Array, dtype: Any) -> Array:
    """x rounded to the dtype once; overflow gives infinity without a warning."""
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(dtype, copy=False)


def evaluate(graph: Any, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
    """Run a sub-graph with the references of its ops."""
    values = dict(zip(graph.inputs, arrays, strict=True))
    for node in graph.nodes:
        found = node.op.reference(*(values[v] for v in node.operands), **node.params)
        found = found if isinstance(found, tuple) else (found,)
        for value, array in zip(node.results, found, strict=True):
            if value.dtype.name == "bfloat16":
                array = round_to_bfloat16(array)
            values[value] = array
    return tuple(values[value] for value in graph.outputs)


def round_to_bfloat16(x: Array) -> Array:
    """float32 values rounded to the nearest bfloat16 (ties to even), as float32."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) & np.uint64(0xFFFF0000)
    result = rounded.astype(np.uint32).view(np.float32).reshape(np.shape(x))
    return np.where(np.isnan(x), np.float32(np.nan), result)


def lowest(dtype: Any) -> float | int:
    """The number below or equal to all others of a dtype (Elinvar's or numpy's)."""
    return -float("inf") if dtype.kind == "f" else int(np.iinfo(_numpy(dtype)).min)


def highest(dtype: Any) -> float | int:
    """The number above or equal to all others of a dtype (Elinvar's or numpy's)."""
    return float("inf") if dtype.kind == "f" else int(np.iinfo(_numpy(dtype)).max)


def _numpy(dtype: Any) -> Any:
    return dtype.numpy if isinstance(dtype, DType) else dtype


# ---- shapes -------------------------------------------------------------------------------------


def without(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """The shape less some axes."""
    return tuple(dim for axis, dim in enumerate(shape) if axis not in axes)


def replaced(shape: tuple[Any, ...], axis: int, *new: Any) -> tuple[Any, ...]:
    """The tuple with entry `axis` replaced by others."""
    return (*shape[:axis], *new, *shape[axis + 1 :])


# ---- rules written with the primitives (f: a Namespace) -----------------------------------------


def permuted(f: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """x with its dimensions in the given order; x itself when that is theirs."""
    return x if axes == tuple(range(len(axes))) else f.permute(x, axes=axes)


def reshaped(f: Any, x: Any, shape: Shape) -> Any:
    """x in the shape; x itself when it has it."""
    return x if tuple(x.shape) == tuple(shape) else f.reshape(x, shape=tuple(shape))


def moved_axis(f: Any, x: Any, source: int, target: int) -> Any:
    """x with one axis moved to another place."""
    order = [axis for axis in range(len(x.shape)) if axis != source]
    order.insert(target, source)
    return permuted(f, x, tuple(order))


def expanded(f: Any, x: Any, shape: Shape, axes: tuple[int, ...]) -> Any:
    """x, which lacks `axes` of the shape, repeated along them."""
    ones = tuple(1 if axis in axes else dim for axis, dim in enumerate(shape))
    return f.broadcast(reshaped(f, x, ones), shape=tuple(shape))


def dim_value(f: Any, dim: DimLike) -> Any:
    """A size as an int64 scalar."""
    return f.constant(value=dim, dtype=int64) if isinstance(dim, int) else f.size_of(dim=dim)


def filled(f: Any, scalar: Any, shape: Shape) -> Any:
    """A 0-d value repeated over a shape."""
    return f.broadcast(scalar, shape=tuple(shape)) if shape else scalar


def positions(f: Any, shape: Shape, axis: int) -> Any:
    """int64 array of the shape that holds each element's index along the axis."""
    others = tuple(other for other in range(len(shape)) if other != axis)
    return expanded(f, f.iota(size=shape[axis], dtype=int64), shape, others)


def shifted(f: Any, x: Any, axis: int, by: int, fill: float) -> Any:
    """x moved by some places along the axis, to higher indices if `by` > 0; `fill` enters."""
    none = (0,) * len(x.shape)
    here = replaced(none, axis, abs(by))
    value = f.scalar(fill, x.dtype)
    low, high = (here, none) if by > 0 else (none, here)
    wide = f.pad(x, value, low=low, high=high, interior=none)
    start = none if by > 0 else here
    return f.slice(wide, start=start, size=tuple(x.shape), step=(1,) * len(none))


def _row_indices(f: Any, i: Any, n: DimLike) -> tuple[Any, Any]:
    """Indices into rows of n entries (i's last axis within a row) as indices into all of them."""
    rows, k = size_product(i.shape[:-1]), i.shape[-1]
    starts = f.multiply(f.iota(size=rows, dtype=int64), filled(f, dim_value(f, n), (rows,)))
    flat = reshaped(f, i, (rows, k))
    return f.add(flat, expanded(f, starts, (rows, k), (1,))), rows * n


def take_along(f: Any, x: Any, i: Any, axis: int) -> Any:
    """Result[…, j, …] = x[…, i[…, j, …], …]; x and i differ in size along `axis` only."""
    last = len(x.shape) - 1
    indices = moved_axis(f, i, axis, last)
    flat, total = _row_indices(f, indices, x.shape[axis])
    found = f.gather(reshaped(f, moved_axis(f, x, axis, last), (total,)), flat, axis=0)
    return moved_axis(f, reshaped(f, found, indices.shape), last, axis)


def put_along(f: Any, like: Any, i: Any, u: Any, axis: int) -> Any:
    """The adjoint of `take_along`: zeros shaped as `like`, plus u[…, j, …] at i[…, j, …]."""
    last = len(like.shape) - 1
    indices, updates = moved_axis(f, i, axis, last), moved_axis(f, u, axis, last)
    flat, total = _row_indices(f, indices, like.shape[axis])
    zeros = filled(f, f.scalar(0, like.dtype), (total,))
    found = f.scatter(zeros, flat, reshaped(f, updates, flat.shape), axis=0, mode="add")
    shape = (*without(tuple(like.shape), (axis,)), like.shape[axis])
    return moved_axis(f, reshaped(f, found, shape), last, axis)


# ---- batching -----------------------------------------------------------------------------------


def batched(f: Any, size: DimLike, x: Any, mapped: bool) -> Any:
    """x with a batch dimension in front, repeated when it has none yet."""
    return x if mapped else f.broadcast(x, shape=(size, *x.shape))


def batch_axis(name: str) -> Any:
    """The batching rule of a one-operand op whose `axis` moves by one."""

    def rule(f: Any, size: DimLike, operands: Any, mapped: Any, *, axis: int, **params: Any) -> Any:
        return getattr(f, name)(operands[0], axis=axis + 1, **params)

    return rule


def batch_axes(name: str) -> Any:
    """The batching rule of a one-operand op whose `axes` move by one."""

    def rule(f: Any, size: DimLike, operands: Any, mapped: Any, *, axes: Any, **params: Any) -> Any:
        return getattr(f, name)(operands[0], axes=next_axes(axes), **params)

    return rule


def next_axes(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes after a batch dimension was put in front."""
    return tuple(axis + 1 for axis in axes)

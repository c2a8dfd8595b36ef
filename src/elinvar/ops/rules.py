"""What the records of non-elementwise primitives share: checks of params and small rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import DType, bool_
from elinvar.core.errors import AxisError, DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import Dim, DimLike, Shape
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


def need_scalar(op: str, name: str, x: TensorType, dtype: DType = bool_) -> None:
    """Refuse anything but a 0-d value of the dtype."""
    if x != TensorType(dtype, ()):
        fail(ShapeError, op, f"{name} must be {dtype.short}[], received {x}")


# ---- numpy --------------------------------------------------------------------------------------


def widened(x: Array) -> Array:
    """x in the type in which references sum: f16 → f32, f32 → f64, others unchanged."""
    wider = {"float16": np.float32, "float32": np.float64}.get(x.dtype.name)
    return x if wider is None else x.astype(wider)


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


# ---- shapes -------------------------------------------------------------------------------------


def without(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """The shape less some axes."""
    return tuple(dim for axis, dim in enumerate(shape) if axis not in axes)


def replaced(shape: tuple[Any, ...], axis: int, *new: Any) -> tuple[Any, ...]:
    """The tuple with entry `axis` replaced by others."""
    return (*shape[:axis], *new, *shape[axis + 1 :])

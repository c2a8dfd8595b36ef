"""Indices: making them, reading and writing by them, sorting; and the barrier."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import DType, int32, int64
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import DimLike, format_shape
from elinvar.core.types import TensorType
from elinvar.ops.record import Op, absent
from elinvar.ops.rules import (
    check_axis,
    check_dims,
    is_dim,
    known_negative,
    narrowed,
    need_dtype,
    need_equal_dtypes,
    need_numeric,
    replaced,
)

_LATER = absent("follows")


def _iota_type(*, size: DimLike, dtype: DType) -> TensorType:
    check_dims("iota", "size", (size,))
    if dtype.kind == "b":
        fail(DTypeError, "iota", "expected a numeric dtype, received bool")
    return TensorType(dtype, (size,))


def _iota(*, size: int, dtype: DType) -> Any:
    return np.arange(size).astype(np.float32 if dtype.name == "bfloat16" else dtype.numpy)


def _size_of_type(*, dim: DimLike) -> TensorType:
    if not is_dim(dim):
        fail(ValueRangeError, "size_of", f"dim must be a size, received {dim!r}")
    return TensorType(int64, ())


def _gathered(op: str, x: TensorType, i: TensorType, axis: int) -> tuple[DimLike, ...]:
    check_axis(op, x, axis)
    need_dtype(op, "indices", i, int64, int32)
    return replaced(x.shape, axis, *i.shape)


def _gather_type(x: TensorType, i: TensorType, *, axis: int) -> TensorType:
    shape = _gathered("gather", x, i, axis)
    if x.shape[axis] == 0 and i.size != 0:
        fail(ShapeError, "gather", f"axis {axis} of {x} is empty and indices are {i}")
    return x.with_shape(shape)


def _gather(x: Any, i: Any, *, axis: int) -> Any:
    return np.take(x, np.clip(i, 0, max(x.shape[axis] - 1, 0)), axis)


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
    result = np.moveaxis(x, axis, 0).astype(np.float32 if x.dtype == np.float16 else x.dtype)
    flat = i.reshape(-1)
    rest = replaced(x.shape, axis)
    order = (*range(axis, axis + i.ndim), *range(axis), *range(axis + i.ndim, u.ndim))
    updates = np.transpose(u, order).reshape(flat.size, *rest)
    inside = (flat >= 0) & (flat < x.shape[axis])
    if mode == "add":
        np.add.at(result, flat[inside], updates[inside])
    else:
        for place, update in zip(flat[inside], updates[inside], strict=True):
            result[place] = update
    return narrowed(np.moveaxis(result, 0, axis), x.dtype)


def _sort_type(x: TensorType, *, axis: int, descending: bool) -> TensorType:
    check_axis("sort", x, axis)
    return x


def _argsort_type(x: TensorType, *, axis: int, descending: bool) -> TensorType:
    check_axis("argsort", x, axis)
    return TensorType(int64, x.shape)


def _reversed_order(x: Any) -> Any:
    """Values whose increasing order is the decreasing order of x; NaN stays NaN."""
    return -x if x.dtype.kind == "f" else ~x


def _argsort(x: Any, *, axis: int, descending: bool) -> Any:
    return np.argsort(_reversed_order(x) if descending else x, axis, kind="stable")


def _sort(x: Any, *, axis: int, descending: bool) -> Any:
    return np.take_along_axis(x, _argsort(x, axis=axis, descending=descending), axis)


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
    order = np.lexsort((np.where(number, keys, 0), number), axis=-1)[..., :k]
    return np.take_along_axis(x, order, -1), order.astype(np.int64)


def _op(name: str, rule: Any, reference: Any, params: tuple[str, ...], **fields: Any) -> Op:
    given: dict[str, Any] = {
        "family": "index",
        "doc": name,
        "derivative": _LATER,
        "batching": _LATER,
        "lowering": absent("the kernel generator knows it by name"),
        "stablehlo": _LATER,
        "samples": list,
        "bad_samples": list,
    }
    return Op(name=name, type_rule=rule, reference=reference, params=params, **(given | fields))


OPS: tuple[Op, ...] = (
    _op("iota", _iota_type, _iota, ("size", "dtype")),
    _op("size_of", _size_of_type, lambda *, dim: np.asarray(dim, np.int64), ("dim",)),
    _op("gather", _gather_type, _gather, ("axis",)),
    _op("scatter", _scatter_type, _scatter, ("axis", "mode")),
    _op("sort", _sort_type, _sort, ("axis", "descending")),
    _op("argsort", _argsort_type, _argsort, ("axis", "descending")),
    _op("top_k", _top_k_type, _top_k, ("k",), results=2),
    _op("barrier", lambda x, *, tag: x, lambda x, *, tag: x, ("tag",), family="opaque"),
)

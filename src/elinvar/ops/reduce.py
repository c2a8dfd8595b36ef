"""Reductions and cumulative operations."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import DType, int64
from elinvar.core.errors import DTypeError, ShapeError, fail
from elinvar.core.types import TensorType
from elinvar.ops.record import Op, absent
from elinvar.ops.rules import check_axes, check_axis, narrowed, need_numeric, widened, without

_LATER = absent("follows")


def _lowest(dtype: DType) -> float | int:
    return -float("inf") if dtype.kind == "f" else int(np.iinfo(dtype.numpy).min)


def _highest(dtype: DType) -> float | int:
    return float("inf") if dtype.kind == "f" else int(np.iinfo(dtype.numpy).max)


def _bound(x: Any, lowest: bool) -> Any:
    if x.dtype.kind == "f":
        return -np.inf if lowest else np.inf
    return np.iinfo(x.dtype).min if lowest else np.iinfo(x.dtype).max


def _type(name: str, boolean: bool = False, never_empty: bool = False) -> Any:
    def rule(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
        check_axes(name, x, axes)
        if boolean and x.dtype.kind != "b":
            fail(DTypeError, name, f"expected bool, received {x}")
        if not boolean:
            need_numeric(name, x)
        if never_empty and any(x.shape[axis] == 0 for axis in axes):
            fail(ShapeError, name, f"a reduced axis of {x} is empty: axes {axes}")
        return x.with_shape(without(x.shape, axes))

    return rule


def _sum(x: Any, *, axes: tuple[int, ...]) -> Any:
    return narrowed(np.sum(widened(x), axis=axes, dtype=widened(x).dtype), x.dtype)


def _prod(x: Any, *, axes: tuple[int, ...]) -> Any:
    return narrowed(np.prod(widened(x), axis=axes, dtype=widened(x).dtype), x.dtype)


def _max(x: Any, *, axes: tuple[int, ...]) -> Any:
    return np.asarray(np.max(x, axis=axes, initial=_bound(x, True)), x.dtype)


def _min(x: Any, *, axes: tuple[int, ...]) -> Any:
    return np.asarray(np.min(x, axis=axes, initial=_bound(x, False)), x.dtype)


def _any(x: Any, *, axes: tuple[int, ...]) -> Any:
    return np.asarray(np.any(x, axis=axes))


def _all(x: Any, *, axes: tuple[int, ...]) -> Any:
    return np.asarray(np.all(x, axis=axes))


def _arg_type(name: str) -> Any:
    def rule(x: TensorType, *, axis: int) -> TensorType:
        check_axis(name, x, axis)
        need_numeric(name, x)
        if x.shape[axis] == 0:
            fail(ShapeError, name, f"axis {axis} of {x} is empty")
        return TensorType(int64, without(x.shape, (axis,)))

    return rule


def _cumulative_type(name: str) -> Any:
    def rule(x: TensorType, *, axis: int, reverse: bool) -> TensorType:
        check_axis(name, x, axis)
        need_numeric(name, x)
        return x

    return rule


def _accumulate(ufunc: Any, wide: bool) -> Any:
    def reference(x: Any, *, axis: int, reverse: bool) -> Any:
        values = widened(x) if wide else x
        if reverse:
            values = np.flip(values, axis)
        found = ufunc.accumulate(values, axis=axis, dtype=values.dtype)
        return narrowed(np.flip(found, axis) if reverse else found, x.dtype)

    return reference


def _op(name: str, rule: Any, reference: Any, lowering: Any, params: Any) -> Op:
    return Op(
        name=name,
        family="reduce",
        doc=name,
        type_rule=rule,
        reference=reference,
        derivative=_LATER,
        batching=_LATER,
        lowering=lowering,
        stablehlo=_LATER,
        samples=list,
        bad_samples=list,
        params=params,
    )


_PAIRS: dict[str, Any] = {
    "sum": (lambda a, b: a + b, lambda dtype: 0),
    "prod": (lambda a, b: a * b, lambda dtype: 1),
    "max": (lambda a, b: a.max(b), _lowest),
    "min": (lambda a, b: a.min(b), _highest),
    "any": (lambda a, b: a | b, lambda dtype: False),
    "all": (lambda a, b: a & b, lambda dtype: True),
}
_NAME = absent("the kernel generator knows it by name")

OPS: tuple[Op, ...] = (
    _op("sum", _type("sum"), _sum, _PAIRS["sum"], ("axes",)),
    _op("prod", _type("prod"), _prod, _PAIRS["prod"], ("axes",)),
    _op("max", _type("max", never_empty=True), _max, _PAIRS["max"], ("axes",)),
    _op("min", _type("min", never_empty=True), _min, _PAIRS["min"], ("axes",)),
    _op("any", _type("any", boolean=True), _any, _PAIRS["any"], ("axes",)),
    _op("all", _type("all", boolean=True), _all, _PAIRS["all"], ("axes",)),
    _op(
        "argmax", _arg_type("argmax"),
        lambda x, *, axis: np.asarray(np.argmax(x, axis), np.int64), _NAME, ("axis",),
    ),
    _op(
        "argmin", _arg_type("argmin"),
        lambda x, *, axis: np.asarray(np.argmin(x, axis), np.int64), _NAME, ("axis",),
    ),
    *(
        _op(
            name, _cumulative_type(name), _accumulate(ufunc, name in ("cumsum", "cumprod")),
            _PAIRS[name[3:]], ("axis", "reverse"),
        )
        for name, ufunc in (
            ("cumsum", np.add), ("cumprod", np.multiply),
            ("cummax", np.maximum), ("cummin", np.minimum),
        )
    ),
)  # fmt: skip

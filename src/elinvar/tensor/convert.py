"""From what users write to operands: weak Python scalars, promotion, broadcasting.

Primitives are strict (equal dtypes, equal shapes). The helpers here insert the `cast` and
`broadcast` operations that make operands equal, so that functions read as their formulas.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from elinvar.core.dtypes import (
    DType,
    as_dtype,
    default_complex,
    default_float,
    default_int,
    int64,
    promote,
    scalar_dtype,
    uint64,
)
from elinvar.core.dtypes import bool_ as bool_dtype
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import Dim, DimLike, Shape, broadcast_shapes
from elinvar.tensor.cell import Cell, current_trace
from elinvar.tensor.dispatch import F
from elinvar.tensor.storage import from_numpy

Number = bool | int | float | complex
ArrayLike = Any  # a tensor, a Python number, a numpy array or nested lists of numbers


def is_number(value: Any) -> bool:
    """True for Python's bool, int, float and complex (their dtype is weak)."""
    return isinstance(value, (bool, int, float, complex))


def is_weak(value: Any) -> bool:
    """True for Python numbers, and for sizes that are symbols: they count as ints."""
    return isinstance(value, (bool, int, float, complex, Dim))


def cast(x: Any, dtype: DType) -> Any:
    """x in another dtype; x itself where that is its own."""
    return x if x.dtype is dtype else F.cast(x, dtype=dtype)


def expand(x: Any, shape: Shape) -> Any:
    """x broadcast to a shape; x itself where that is its own."""
    return x if x.shape == shape else F.broadcast(x, shape=shape)


def constant(op: str, value: Number, dtype: DType) -> Any:
    """A 0-d tensor of a Python number, for use as an operand only: eager constants are shared.

    Numbers that the dtype cannot hold are refused.
    """
    if isinstance(value, Dim):
        return size_tensor(value, dtype)
    value = python_number(op, value, dtype)
    if current_trace() is not None:
        return F.constant(value=value, dtype=dtype)
    key = (dtype, value, str(value) if dtype.kind == "c" or value == 0 else "")  # 0.0 == -0.0
    found = _CONSTANTS.get(key)
    if found is None:
        if len(_CONSTANTS) >= 4096:
            _CONSTANTS.clear()
        found = _CONSTANTS[key] = F.constant(value=value, dtype=dtype)
    return found


_CONSTANTS: dict[Any, Any] = {}


def python_number(op: str, value: Any, dtype: DType) -> Any:
    """A Python number as the type that holds values of the dtype; refuses those that do not fit."""
    if dtype.kind == "c":
        return complex(value)
    if isinstance(value, complex):
        text = f"the complex number {value} does not fit into {dtype.name}"
        fail(DTypeError, op, text, "use `.real`, or a complex dtype")
    if dtype.kind == "f":
        return float(value)
    if dtype.kind == "b":
        return bool(value)
    check_integer(op, value, dtype)
    return int(value)


def check_integer(op: str, value: Any, dtype: DType) -> None:
    """Refuse a Python number that an integer dtype cannot hold."""
    low, high = integer_range(dtype)
    if value != value or not low <= value <= high:
        fail(ValueRangeError, op, f"{value} does not fit into {dtype.name}: {low} … {high}")


def integer_range(dtype: DType) -> tuple[int, int]:
    """The least and the greatest value of an integer dtype."""
    if dtype.kind == "u":
        return 0, 2**dtype.bits - 1
    return -(2 ** (dtype.bits - 1)), 2 ** (dtype.bits - 1) - 1


def number_dtype(value: Number) -> DType:
    """The dtype of a Python number that stands alone."""
    if isinstance(value, bool):
        return bool_dtype
    if isinstance(value, complex):
        return default_complex
    return default_int if isinstance(value, int) else default_float


def tensor_of(op: str, value: Any, dtype: DType | None = None) -> Any:
    """The tensor of any array-like value; `dtype` is the type of Python numbers in it."""
    if isinstance(value, Cell):
        return value
    if is_number(value):
        return constant(op, value, dtype or number_dtype(value))
    if isinstance(value, Dim):
        return size_tensor(value, dtype or int64)
    if isinstance(value, (np.ndarray, np.generic)):
        return from_numpy(np.asarray(value))
    if isinstance(value, (list, tuple, range)):
        return from_nested(op, value, dtype)
    if hasattr(value, "__array__"):
        return from_numpy(np.asarray(value))
    fail(
        DTypeError,
        op,
        f"expected a tensor or a number, received {type(value).__name__}",
        "" if op == "asarray" else "convert it with `el.asarray(...)`",
    )


def from_nested(op: str, values: Any, dtype: DType | None) -> Any:
    """A tensor of nested lists of numbers, of tensors, or of both."""
    if _holds_tensor(values):
        parts = [tensor_of(op, item, dtype) for item in values]
        common = dtype or result_dtype(op, parts)
        shape = parts[0].shape
        for part in parts[1:]:
            if part.shape != shape:
                fail(ShapeError, op, f"list items differ in shape: {parts[0]._type}, {part._type}")
        rows = [F.reshape(cast(part, common), shape=(1, *shape)) for part in parts]
        return rows[0] if len(rows) == 1 else F.concatenate(*rows, axis=0)
    try:
        array = np.array(values)
    except (ValueError, OverflowError) as error:
        fail(ShapeError, op, f"lists must be regular and hold numbers: {error}")
    if array.dtype.kind not in "biufc":
        if array.size == 0:
            array = np.zeros(array.shape, np.float32)
        else:
            fail(DTypeError, op, f"expected numbers, received {array.dtype} in {values!r:.60}")
    if dtype is None:
        kinds = {"b": bool_dtype, "i": default_int, "u": uint64, "f": default_float}
        kinds["c"] = default_complex
        # numpy scalars inside a list keep their own type; Python numbers take the defaults
        typed = _first(values)
        dtype = kinds[array.dtype.kind]
        if isinstance(typed, (np.ndarray, np.generic)) and not isinstance(typed, float):
            return from_numpy(array)
    if dtype.kind in "iu" and array.dtype.kind in "iu" and array.size:
        for value in (int(array.min()), int(array.max())):
            check_integer(op, value, dtype)
    return from_numpy(array, dtype)


def _holds_tensor(values: Any) -> bool:
    return any(
        isinstance(item, Cell) or (isinstance(item, (list, tuple)) and _holds_tensor(item))
        for item in values
    )


def _first(values: Any) -> Any:
    while isinstance(values, (list, tuple, range)):
        if not values:
            return None
        values = values[0]
    return values


def _number(value: Any) -> Number:
    """A number of the kind of a weak value."""
    return 1 if isinstance(value, Dim) else value


def result_dtype(op: str, values: Any) -> DType:
    """The dtype of an operation on several values, of which some may be Python numbers."""
    strong: DType | None = None
    for value in values:
        if not is_weak(value):
            dtype = value if isinstance(value, DType) else value.dtype
            strong = dtype if strong is None else promote(strong, dtype)
    for value in values:
        if is_weak(value):
            number = _number(value)
            strong = number_dtype(number) if strong is None else scalar_dtype(number, strong)
    if strong is None:
        fail(DTypeError, op, "expected at least one value")
    return strong


def pair(op: str, x1: Any, x2: Any) -> tuple[Any, Any]:
    """Two operands of one dtype and shape."""
    a, b = typed_pair(op, x1, x2)
    if a.shape != b.shape:
        a, b = broadcast_all(op, a, b)
    return a, b


def typed_pair(op: str, x1: Any, x2: Any) -> tuple[Any, Any]:
    """Two operands of one dtype; their shapes may differ."""
    if isinstance(x1, Cell) and is_weak(x2):
        dtype = scalar_dtype(_number(x2), x1.dtype)
        return cast(x1, dtype), constant(op, x2, dtype)
    if isinstance(x2, Cell) and is_weak(x1):
        dtype = scalar_dtype(_number(x1), x2.dtype)
        return constant(op, x1, dtype), cast(x2, dtype)
    if is_weak(x1) and is_weak(x2):
        dtype = result_dtype(op, (x1, x2))
        return constant(op, x1, dtype), constant(op, x2, dtype)
    a, b = tensor_of(op, x1), tensor_of(op, x2)
    if is_weak(x1) or is_weak(x2):  # beside an array that only now became a tensor
        return typed_pair(op, x1 if is_weak(x1) else a, x2 if is_weak(x2) else b)
    if a.dtype is not b.dtype:
        dtype = promote(a.dtype, b.dtype)
        a, b = cast(a, dtype), cast(b, dtype)
    return a, b


def broadcast_all(op: str, *values: Any) -> tuple[Any, ...]:
    """Tensors (dtypes kept) broadcast to one shape."""
    shape: Shape = ()
    for value in values:
        own = value.shape
        if own and own != shape:
            if shape:  # not just one shape beside numbers
                shape = broadcast_shapes(op, *(value.shape for value in values))
                break
            shape = own
    return tuple([expand(value, shape) for value in values])


def floating(op: str, x: Any) -> Any:
    """x as floats or complex numbers: integers and bool become float32."""
    x = tensor_of(op, x)
    return x if x.dtype.kind in "fc" else F.cast(x, dtype=default_float)


def count_of(shape: Shape, axes: tuple[int, ...], dtype: DType) -> Any:
    """The number of elements along axes, as a 0-d tensor; sizes may be symbolic."""
    total: DimLike = 1
    for axis in axes:
        total = total * shape[axis]
    return size_tensor(total, dtype)


def size_tensor(dim: DimLike, dtype: DType = int64) -> Any:
    """A size as a 0-d tensor; a symbolic one is read when the program runs."""
    if isinstance(dim, int):
        return F.constant(value=float(dim) if dtype.kind == "f" else dim, dtype=dtype)
    return cast(F.size_of(dim=dim), dtype)


def optional_dtype(value: Any) -> DType | None:
    """A dtype argument: None stays None."""
    return None if value is None else as_dtype(value)


def elementwise(op: str, function: Callable[..., Any], *values: Any) -> Any:
    """Apply a function of equal operands to values that are promoted and broadcast first."""
    dtype = result_dtype(op, [v if is_weak(v) else tensor_of(op, v) for v in values])
    tensors = [cast(tensor_of(op, value, dtype), dtype) for value in values]
    return function(*broadcast_all(op, *tensors))

"""Making tensors: from data, filled, counted, and with structure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from elinvar.core.dtypes import (
    ALL,
    DType,
    as_dtype,
    default_complex,
    default_float,
    default_int,
    int64,
)
from elinvar.core.errors import (
    BufferError_,
    DTypeError,
    ShapeError,
    TraceError,
    ValueRangeError,
    fail,
)
from elinvar.core.shapes import Dim, Shape, is_static
from elinvar.tensor.cell import Cell, current_trace
from elinvar.tensor.convert import (
    Number,
    cast,
    expand,
    is_number,
    number_dtype,
    optional_dtype,
    pair,
    python_number,
    size_tensor,
    tensor_of,
)
from elinvar.tensor.dispatch import F
from elinvar.tensor.manipulation import as_shape, reshape
from elinvar.tensor.storage import Foreign, from_stored, share_array, stored_array
from elinvar.tensor.storage import from_numpy as copy_array

_DTYPE_NAMES = {text for dtype in ALL for text in (dtype.name, dtype.short)}


MOST_ELEMENTS = 2**59  # 8 bytes each fill what a pointer can reach


def check_device(op: str, device: Any) -> None:
    """Refuse anything but the CPU (None, "cpu", or an object that prints so)."""
    if device is not None and str(device).split(":")[0] != "cpu":
        fail(ValueRangeError, op, f"device {device!r} is not available; tensors live on 'cpu'")


def dtype_of_target(op: str, value: Any) -> DType | None:
    """What `x.to(value)` names: a dtype, or (None) the CPU. Any other device is refused."""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        if str(value).split(":")[0] == "cpu":
            return None
        if isinstance(value, int) or value not in _DTYPE_NAMES:
            text = f"{value!r} is neither a dtype nor a device that is available"
            fail(ValueRangeError, op, text, "tensors live on 'cpu'; dtypes are el.float32, …")
    return as_dtype(value)


def asarray(
    obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None
) -> Any:
    """A tensor of any data: numbers, nested lists, numpy arrays, tensors, buffers, other arrays.

    Python floats become float32 and ints int64; numpy arrays keep their dtype. Data of others is
    copied, because tensors' memory never changes, unless `copy=False` asks to share it (see
    `from_numpy`).

    Args:
        obj: the data.
        dtype: the dtype of the result.
        device: None or "cpu".
        copy: True for a new tensor even where `obj` is one; False to refuse a copy.

    Raises:
        BufferError_: `copy=False`, but the data has to be copied or converted.

    Example:
        >>> import elinvar as el
        >>> el.asarray([[1, 2], [3, 4]])
        Tensor([[1, 2],
                [3, 4]], shape=(2, 2), dtype=int64)
    """
    check_device("asarray", device)
    target = optional_dtype(dtype)
    if isinstance(obj, Cell):
        if target is not None and target is not obj.dtype:
            if copy is False:
                fail(BufferError_, "asarray", f"{obj._type} to {target.name} needs a copy")
            return F.cast(obj, dtype=target)
        return fresh(obj) if copy else obj
    if copy is False:
        return _borrowed(obj, target)
    if isinstance(obj, (np.ndarray, np.generic)):
        return _converted(copy_array(np.asarray(obj)), target)
    if is_number(obj):
        return _full_number("asarray", (), obj, target or number_dtype(obj))
    if not isinstance(obj, (list, tuple, range)):
        array = _buffered(obj)
        if array is not None:
            return _converted(copy_array(array), target)
    found = tensor_of("asarray", obj, target)
    return _converted(found, target)


def _converted(x: Any, target: DType | None) -> Any:
    return x if target is None else cast(x, target)


def fresh(x: Any) -> Any:
    """Another cell with the same value; in a trace and on the tape an identity.

    Memory that never changes is shared; that of others is copied, for its owner may write to it.
    """
    found = F.reshape(x, shape=x.shape)
    found._apart = True
    if type(found._buffer) is Foreign:
        own = from_stored(stored_array(x, "copy"), x.dtype)
        found._buffer, found._address, found._layout = own._buffer, own._address, own._layout
    return found


def _buffered(obj: Any) -> Any:
    """The numpy array over an object with Python's buffer protocol; None for other objects."""
    if isinstance(obj, (np.ndarray, np.generic)):
        return np.asarray(obj)
    try:
        return np.asarray(memoryview(obj))
    except (TypeError, ValueError):
        return None


def _borrowed(obj: Any, target: DType | None) -> Any:
    """The data of others without a copy, for `asarray(obj, copy=False)`."""
    array = _buffered(obj)
    if array is None and hasattr(obj, "__dlpack__"):
        array = np.from_dlpack(obj)
    found = None if array is None else share_array(array)
    if found is None or (target is not None and target is not found.dtype):
        text = f"data of {type(obj).__name__} has to be copied"
        fail(BufferError_, "asarray", text, "leave out `copy=False`")
    return found


def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A new tensor of data, as `torch.tensor` makes one.

    Example:
        >>> import elinvar as el
        >>> el.tensor([1.0, 2.0], requires_grad=True).requires_grad
        True
    """
    found = asarray(data, dtype=dtype, device=device, copy=True)
    if requires_grad:
        found = found.detach()
        found.requires_grad = True
    return found


array = tensor


def _full_number(op: str, shape: Shape, value: Number, dtype: DType) -> Any:
    """A tensor filled with a Python number: memory at once, or a broadcast constant in a trace."""
    value = python_number(op, value, dtype)
    if current_trace() is None and is_static(shape):
        if dtype.name == "bfloat16":
            bits = stored_array(copy_array(np.full((), value, np.float32), dtype))
            return from_stored(np.full(shape, bits), dtype)
        with np.errstate(over="ignore"):
            return from_stored(np.full(shape, value, dtype.storage), dtype)
    return expand(F.constant(value=value, dtype=dtype), shape)


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor filled with one value.

    Example:
        >>> import elinvar as el
        >>> el.full((2, 2), 7).tolist()
        [[7, 7], [7, 7]]
    """
    check_device("full", device)
    dims = checked_shape("full", shape)
    target = optional_dtype(dtype)
    if is_number(fill_value):
        return _full_number("full", dims, fill_value, target or number_dtype(fill_value))
    value = _converted(tensor_of("full", fill_value), target)
    if value.ndim:
        fail(ShapeError, "full", f"the value must have no dimensions, received {value._type}")
    return expand(value, dims)


def checked_shape(op: str, shape: Any) -> Shape:
    """A shape argument with no negative size."""
    dims = as_shape(op, shape)
    for dim in dims:
        if isinstance(dim, int) and dim < 0:
            fail(ShapeError, op, f"sizes must not be negative, received {dims}")
    count = math.prod(dim for dim in dims if isinstance(dim, int))
    if count >= MOST_ELEMENTS:
        fail(ShapeError, op, f"{dims} are {count} elements, more than memory can have")
    return dims


def _sizes(op: str, shape: Any, more: tuple[Any, ...]) -> Shape:
    """The shape from sizes in a tuple, or one after another as PyTorch takes them."""
    if not more:
        return checked_shape(op, shape)
    if isinstance(shape, tuple | list) or any(isinstance(n, DType | type | str) for n in more):
        text = f"expected a shape or sizes, received {(shape, *more)}"
        fail(ShapeError, op, text, "a dtype goes by its name: dtype=…")
    return checked_shape(op, (shape, *more))


def zeros(shape: Any, *more: Any, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of zeros; the sizes as a tuple or one after another.

    Example:
        >>> import elinvar as el
        >>> el.zeros(3).tolist(), el.zeros(2, 1).tolist()
        ([0.0, 0.0, 0.0], [[0.0], [0.0]])
    """
    check_device("zeros", device)
    return _full_number("zeros", _sizes("zeros", shape, more), 0, as_dtype(dtype or default_float))


def ones(shape: Any, *more: Any, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of ones.

    Example:
        >>> import elinvar as el
        >>> el.ones((1, 2), dtype=el.int32).tolist()
        [[1, 1]]
    """
    check_device("ones", device)
    return _full_number("ones", _sizes("ones", shape, more), 1, as_dtype(dtype or default_float))


def empty(shape: Any, *more: Any, dtype: Any = None, device: Any = None) -> Any:
    """A tensor whose values do not matter. They are zeros, so that a run can be repeated.

    Example:
        >>> import elinvar as el
        >>> el.empty((2, 3)).shape
        (2, 3)
    """
    check_device("empty", device)
    return _full_number("empty", _sizes("empty", shape, more), 0, as_dtype(dtype or default_float))


def _like(op: str, x: Any, value: Any, dtype: Any, device: Any) -> Any:
    check_device(op, device)
    x = tensor_of(op, x)
    target = optional_dtype(dtype) or x.dtype
    if is_number(value):
        return _full_number(op, x.shape, value, target)
    return full(x.shape, value, dtype=target)


def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Zeros with the shape and dtype of x.

    Example:
        >>> import elinvar as el
        >>> el.zeros_like(el.asarray([1, 2])).tolist()
        [0, 0]
    """
    return _like("zeros_like", x, 0, dtype, device)


def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Ones with the shape and dtype of x.

    Example:
        >>> import elinvar as el
        >>> el.ones_like(el.asarray([1, 2])).tolist()
        [1, 1]
    """
    return _like("ones_like", x, 1, dtype, device)


def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor with the shape and dtype of x; its values are zeros (see `empty`).

    Example:
        >>> import elinvar as el
        >>> el.empty_like(el.asarray([1, 2])).shape
        (2,)
    """
    return _like("empty_like", x, 0, dtype, device)


def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """One value in the shape and dtype of x.

    Example:
        >>> import elinvar as el
        >>> el.full_like(el.asarray([1, 2]), 9).tolist()
        [9, 9]
    """
    return _like("full_like", x, fill_value, dtype, device)


def arange(
    start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None
) -> Any:
    """Evenly spaced numbers start, start + step, … up to but without stop.

    Args:
        start: the first number; with `stop` left out the end (and the start is 0).
        stop, step: the end, and the distance (not 0).
        dtype: int64 if all numbers are ints, else float32.

    Shape:
        ⌈(stop - start) / step⌉; a symbolic size may stand for `stop` (with start 0, step 1).

    Example:
        >>> import elinvar as el
        >>> el.arange(2, 11, 3).tolist()
        [2, 5, 8]
    """
    check_device("arange", device)
    start, stop = (0, start) if stop is None else (start, stop)
    given = (start, stop, step)
    start, stop, step = (_python_number(item) for item in given)
    whole = all(isinstance(item, (int, Dim)) for item in (start, stop, step))
    target = optional_dtype(dtype) or (default_int if whole else default_float)
    if step == 0:
        fail(ValueRangeError, "arange", "step must not be 0")
    if isinstance(start, Dim) or isinstance(stop, Dim):
        return _symbolic_range(start, stop, step, target)
    count = max(0, math.ceil((stop - start) / step))
    if current_trace() is None:
        # the element i is start + i·step, computed in double and rounded once
        kind = np.int64 if whole else np.float64
        values = kind(start) + np.arange(count, dtype=kind) * kind(step)
        return copy_array(values, target)
    wide = int64 if whole else as_dtype("float64")
    count_up = F.iota(size=count, dtype=wide)
    scaled = F.multiply(*pair("arange", count_up, step if whole else float(step)))
    return cast(F.add(*pair("arange", scaled, start if whole else float(start))), target)


def _python_number(value: Any) -> Any:
    return value.item() if isinstance(value, (Cell, np.generic)) else value  # type: ignore[union-attr]


def _symbolic_range(start: Any, stop: Any, step: Any, dtype: DType) -> Any:
    if step != 1:
        text = f"a symbolic range must have step 1, received step {step}"
        fail(ValueRangeError, "arange", text, "scale `arange(n)` instead")
    numbers = F.iota(size=stop - start, dtype=int64)
    if isinstance(start, Dim) or start != 0:
        numbers = F.add(*pair("arange", numbers, size_tensor(start)))
    return cast(numbers, dtype)


def linspace(
    start: Any,
    stop: Any,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: Any = None,
    endpoint: bool = True,
) -> Any:
    """`num` evenly spaced numbers from start to stop (stop itself only with `endpoint`).

    Args:
        start, stop: numbers, or tensors, through which gradients flow; where these have axes, the
            numbers lie along a new first axis.

    Example:
        >>> import elinvar as el
        >>> el.linspace(0, 1, 5).tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    check_device("linspace", device)
    if isinstance(num, Dim):
        text = f"the number of values must be known, received the symbolic size {num}"
        hint = "scale `arange(n)`: it takes a symbolic size"
        fail(TraceError, "linspace", text, hint)
    if num < 0:
        fail(ValueRangeError, "linspace", f"num must not be negative, received {num}")
    if isinstance(start, Cell) or isinstance(stop, Cell):
        return _spaced(start, stop, num, optional_dtype(dtype), endpoint)
    start, stop = _python_number(start), _python_number(stop)
    is_complex = isinstance(start, complex) or isinstance(stop, complex)
    target = optional_dtype(dtype) or (default_complex if is_complex else default_float)
    kind = complex if is_complex else float
    values = np.linspace(kind(start), kind(stop), num, endpoint=endpoint)
    return copy_array(values, target)


def _spaced(start: Any, stop: Any, num: int, dtype: DType | None, endpoint: bool) -> Any:
    """start + i · step as NumPy computes it: in double, rounded once; the last one is stop."""
    start, stop = tensor_of("linspace", start), tensor_of("linspace", stop)
    is_complex = start.dtype.kind == "c" or stop.dtype.kind == "c"
    target = dtype or (default_complex if is_complex else default_float)
    wide = as_dtype("complex128" if is_complex else "float64")
    first, last = pair("linspace", cast(start, wide), cast(stop, wide))
    width = first.ndim
    index = F.reshape(F.iota(size=num, dtype=int64), shape=(num,) + (1,) * width)
    gaps = num - 1 if endpoint else num
    step = F.divide(*pair("linspace", F.subtract(last, first), max(gaps, 1)))
    values = F.add(*pair("linspace", F.multiply(*pair("linspace", cast(index, wide), step)), first))
    if endpoint and num > 1:
        at_end = expand(F.equal(*pair("linspace", index, num - 1)), values.shape)
        values = F.where(at_end, expand(last, values.shape), values)
    return cast(values, target)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: Any = None,
    device: Any = None,
) -> Any:
    """Ones on the k-th diagonal, zeros elsewhere.

    Example:
        >>> import elinvar as el
        >>> el.eye(2, 3).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    check_device("eye", device)
    rows, columns = checked_shape("eye", (n_rows, n_rows if n_cols is None else n_cols))
    return cast(_band("equal", rows, columns, k), as_dtype(dtype or default_float))


def _band(compare: str, rows: Any, columns: Any, k: int) -> Any:
    """The bool matrix: column `compare` row + k."""
    farthest = 2**62  # all diagonals beyond the matrix are alike; row + k must not overflow
    low, high = (-rows, columns) if is_static((rows, columns)) else (-farthest, farthest)
    k = min(max(k, low), high)
    row = F.iota(size=rows, dtype=int64)
    if k:
        row = F.add(*pair("band", row, k))
    row = F.broadcast(F.reshape(row, shape=(rows, 1)), shape=(rows, columns))
    column = F.broadcast(F.iota(size=columns, dtype=int64), shape=(rows, columns))
    return getattr(F, compare)(column, row)


def _triangle(op: str, x: Any, compare: str, k: int) -> Any:
    x = tensor_of(op, x)
    if x.ndim < 2:
        fail(ShapeError, op, f"expected at least 2 dimensions, received {x._type}")
    mask = _band(compare, x.shape[-2], x.shape[-1], k)
    return F.where(expand(mask, x.shape), x, F.zeros_like(x))


def tril(x: Any, /, *, k: int = 0) -> Any:
    """The lower triangles of matrices; zeros above the k-th diagonal.

    Example:
        >>> import elinvar as el
        >>> el.tril(el.ones((2, 2))).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """
    return _triangle("tril", x, "less_equal", k)


def triu(x: Any, /, *, k: int = 0) -> Any:
    """The upper triangles of matrices; zeros below the k-th diagonal.

    Example:
        >>> import elinvar as el
        >>> el.triu(el.ones((2, 2))).tolist()
        [[1.0, 1.0], [0.0, 1.0]]
    """
    return _triangle("triu", x, "greater_equal", k)


def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Any, ...]:
    """Coordinate grids of 1-D tensors.

    Args:
        indexing: "xy" (the first two axes exchanged, as in plots) or "ij" (as in matrices).

    Example:
        >>> import elinvar as el
        >>> x, y = el.meshgrid(el.arange(3), el.arange(2))
        >>> x.tolist(), y.tolist()
        ([[0, 1, 2], [0, 1, 2]], [[0, 0, 0], [1, 1, 1]])
    """
    if indexing not in ("xy", "ij"):
        fail(ValueRangeError, "meshgrid", f"indexing must be 'xy' or 'ij', received {indexing!r}")
    tensors = [tensor_of("meshgrid", item) for item in arrays]
    if len({item.dtype for item in tensors}) > 1:
        kinds = ", ".join(str(item._type) for item in tensors)
        fail(DTypeError, "meshgrid", f"tensors must have one dtype, received {kinds}")
    rank = len(tensors)
    places = list(range(rank))
    if indexing == "xy" and rank > 1:
        places[0], places[1] = 1, 0
    shape: list[Any] = [1] * rank
    for place, item in zip(places, tensors, strict=True):
        if item.ndim > 1:
            fail(ShapeError, "meshgrid", f"expected 1-D tensors, received {item._type}")
        shape[place] = item._type.size
    grids = []
    for place, item in zip(places, tensors, strict=True):
        alone = tuple(shape[place] if axis == place else 1 for axis in range(rank))
        grids.append(expand(reshape(item, alone), tuple(shape)))
    return tuple(grids)


def one_hot(x: Any, num_classes: int, /, *, dtype: Any = None) -> Any:
    """Rows with a 1 at the given class and zeros elsewhere.

    Args:
        x: integer classes; classes outside of 0 … num_classes-1 give a row of zeros.
        num_classes: the size of the new last axis.
        dtype: by default int64, as in PyTorch.

    Example:
        >>> import elinvar as el
        >>> el.one_hot(el.asarray([1, 0]), 3).tolist()
        [[0, 1, 0], [1, 0, 0]]
    """
    x = tensor_of("one_hot", x)
    if x.dtype.kind not in "iu":
        fail(DTypeError, "one_hot", f"classes must be integers, received {x._type}")
    shape = (*x.shape, num_classes)
    classes = expand(F.iota(size=num_classes, dtype=int64), shape)
    wanted = expand(F.reshape(cast(x, int64), shape=(*x.shape, 1)), shape)
    return cast(F.equal(classes, wanted), optional_dtype(dtype) or int64)

"""Linear algebra: products of vectors, matrices and tensors, as front ends of `contract`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elinvar.core.dtypes import as_dtype, int64, promote
from elinvar.core.errors import AxisError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import Shape, broadcast_shapes, normalize_axis, one_name
from elinvar.ops.rules import product_dtype
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions
from elinvar.tensor.cell import Cell
from elinvar.tensor.convert import (
    ArrayLike,
    broadcast_all,
    cast,
    expand,
    pair,
    size_tensor,
    tensor_of,
)
from elinvar.tensor.dispatch import F
from elinvar.tensor.manipulation import matrix_transpose, moveaxis, permuted, sliced


def _promoted(op: str, x1: Any, x2: Any) -> tuple[Any, Any]:
    a = x1 if isinstance(x1, Cell) else tensor_of(op, x1)
    b = x2 if isinstance(x2, Cell) else tensor_of(op, x2)
    if a.dtype is not b.dtype:
        dtype = promote(a.dtype, b.dtype)
        a, b = cast(a, dtype), cast(b, dtype)
    return a, b


def _product(op: str, a: Any, b: Any, dtype: Any, batch: Any, axes: Any) -> Any:
    """The contraction, with its sums and result in `dtype` where one is asked for."""
    wide = {}
    if dtype is not None:
        wanted = product_dtype(op, a._type, as_dtype(dtype))
        wide = {} if wanted is a.dtype else {"dtype": wanted}
    return F.contract(a, b, batch=batch, axes=axes, **wide)


def matmul(x1: ArrayLike, x2: ArrayLike, /, *, dtype: Any = None) -> Any:
    """The matrix product x1 @ x2.

    Args:
        dtype: of the sums and the result: a wider one than that of x1 and x2, such as int32 for
            int8 or float32 for bfloat16; else integers wrap around, and 16-bit floats are summed in
            float32 and rounded once.

    Shape:
        (…, M, K) @ (…, K, N) → (…, M, N); leading axes broadcast. A 1-D x1 is a row and a 1-D x2 a
        column, whose axis is dropped from the result.

    Raises:
        ShapeError: the inner dimensions differ, or an operand has no dimensions.
        DTypeError: `dtype` cannot hold what the operands hold.

    Example:
        >>> import elinvar as el
        >>> (el.asarray([[1.0, 2.0], [3.0, 4.0]]) @ el.asarray([1.0, 1.0])).tolist()
        [3.0, 7.0]
        >>> x = el.full((2, 2), 100, dtype=el.int8)
        >>> el.matmul(x, x, dtype=el.int32).tolist()
        [[20000, 20000], [20000, 20000]]
    """
    a, b = _promoted("matmul", x1, x2)
    rank_a, rank_b = a.ndim, b.ndim
    if not rank_a or not rank_b:
        text = f"expected at least 1 dimension, received {a._type} @ {b._type}"
        fail(ShapeError, "matmul", text, "use `*` to scale a tensor")
    inner_a, inner_b = rank_a - 1, max(rank_b - 2, 0)
    if a.shape[inner_a] != b.shape[inner_b]:
        text = f"inner dimensions differ: {a._type} @ {b._type}, "
        inner = a.shape[inner_a], b.shape[inner_b]
        fail(ShapeError, "matmul", f"{text}{inner[0]} ≠ {inner[1]}", one_name(*inner))
    if rank_b <= 2:  # nothing to batch: all but the inner axis of x1 stay in front
        return _product("matmul", a, b, dtype, ((), ()), ((inner_a,), (inner_b,)))
    if rank_a == 1:
        return _product("matmul", b, a, dtype, ((), ()), ((inner_b,), (0,)))  # (…, N)
    return _batched(a, b, dtype)


def _batched(a: Any, b: Any, dtype: Any) -> Any:
    """Products with leading axes on x2: equal ones are batch dims, the others stay free dims.

    An axis that only one operand has (or where the other has size 1) is a free dim of that operand,
    so nothing is repeated in memory; the result is permuted into place.
    """
    rank = max(a.ndim, b.ndim)
    a = F.reshape(a, shape=(1,) * (rank - a.ndim) + a.shape) if a.ndim < rank else a
    b = F.reshape(b, shape=(1,) * (rank - b.ndim) + b.shape) if b.ndim < rank else b
    lead = rank - 2
    try:
        batch_shape = broadcast_shapes("matmul", a.shape[:lead], b.shape[:lead])
    except ShapeError:
        fail(ShapeError, "matmul", f"leading dimensions do not broadcast: {a._type} @ {b._type}")
    shared = tuple(i for i in range(lead) if a.shape[i] == b.shape[i])
    only_b = tuple(i for i in range(lead) if i not in shared and a.shape[i] == 1)
    only_a = tuple(i for i in range(lead) if i not in shared and i not in only_b)
    left = F.reshape(a, shape=_without(a.shape, only_b)) if only_b else a
    right = F.reshape(b, shape=_without(b.shape, only_a)) if only_a else b
    at_a = [i for i in range(rank) if i not in only_b]
    at_b = [i for i in range(rank) if i not in only_a]
    batch = (tuple(at_a.index(i) for i in shared), tuple(at_b.index(i) for i in shared))
    axes = ((len(at_a) - 1,), (len(at_b) - 2,))
    product = _product("matmul", left, right, dtype, batch, axes)
    # result dims: shared, only_a, rows, only_b, columns
    order = (*shared, *only_a, lead, *only_b, lead + 1)
    found = permuted(product, tuple(order.index(i) for i in range(rank)))
    assert found.shape[:lead] == batch_shape
    return found


def _without(shape: Shape, axes: tuple[int, ...]) -> Shape:
    return tuple(dim for axis, dim in enumerate(shape) if axis not in axes)


def tensordot(
    x1: ArrayLike,
    x2: ArrayLike,
    /,
    axes: int | tuple[Sequence[int], Sequence[int]] = 2,
    *,
    dtype: Any = None,
) -> Any:
    """The sum of products over pairs of axes.

    Args:
        axes: how many of the last axes of x1 meet the first of x2, or the two lists of axes.
        dtype: of the sums and the result, as for `matmul`.

    Example:
        >>> import elinvar as el
        >>> el.tensordot(el.asarray([1, 2]), el.asarray([3, 4]), axes=1).item()
        11
    """
    a, b = _promoted("tensordot", x1, x2)
    if isinstance(axes, int):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            fail(ValueRangeError, "tensordot", f"axes is {axes} for {a._type} and {b._type}")
        left = tuple(range(a.ndim - axes, a.ndim))
        right = tuple(range(axes))
    else:
        given = tuple((item,) if isinstance(item, int) else tuple(item) for item in axes)
        left = tuple(normalize_axis("tensordot", axis, a.ndim) for axis in given[0])
        right = tuple(normalize_axis("tensordot", axis, b.ndim) for axis in given[1])
    if len(left) != len(right):
        fail(ValueRangeError, "tensordot", f"the lists of axes differ in length: {axes}")
    for i, j in zip(left, right, strict=True):
        if a.shape[i] != b.shape[j]:
            text = f"axis {i} of {a._type} and axis {j} of {b._type} differ: "
            fail(ShapeError, "tensordot", f"{text}{a.shape[i]} ≠ {b.shape[j]}")
    return _product("tensordot", a, b, dtype, ((), ()), (left, right))


def vecdot(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1, dtype: Any = None) -> Any:
    """The dot product of vectors along an axis: Σ conj(x1) · x2; other axes broadcast.

    Args:
        axis: along which the vectors lie.
        dtype: of the sums and the result, as for `matmul`.

    Example:
        >>> import elinvar as el
        >>> el.vecdot(el.asarray([[1, 2], [3, 4]]), el.asarray([1, 1])).tolist()
        [3, 7]
    """
    a, b = _promoted("vecdot", x1, x2)
    if axis >= 0 or axis < -min(a.ndim, b.ndim):
        shortest = min(a.ndim, b.ndim)
        if a.ndim != b.ndim or not 0 <= axis < shortest:
            text = f"axis {axis} is out of range for {a._type} and {b._type}"
            fail(AxisError, "vecdot", text)
    if a.shape[axis] != b.shape[axis]:
        text = f"sizes along axis {axis} differ: {a._type} and {b._type}"
        fail(ShapeError, "vecdot", text)
    a, b = broadcast_all("vecdot", ew.conj(a), b)
    axis = normalize_axis("vecdot", axis, a.ndim)
    lead = tuple(i for i in range(a.ndim) if i != axis)
    return _product("vecdot", a, b, dtype, (lead, lead), ((axis,), (axis,)))


def outer(x1: ArrayLike, x2: ArrayLike, /) -> Any:
    """All products of two 1-D tensors: result[i, j] = x1[i] · x2[j].

    Example:
        >>> import elinvar as el
        >>> el.outer(el.asarray([1, 2]), el.asarray([3, 4])).tolist()
        [[3, 4], [6, 8]]
    """
    a, b = _promoted("outer", x1, x2)
    if a.ndim != 1 or b.ndim != 1:
        fail(ShapeError, "outer", f"expected 1-D tensors, received {a._type} and {b._type}")
    shape = (*a.shape, *b.shape)
    return F.multiply(expand(F.reshape(a, shape=(*a.shape, 1)), shape), expand(b, shape))


def dot(x1: ArrayLike, x2: ArrayLike, /) -> Any:
    """NumPy's product: Σ over the last axis of x1 and the last but one of x2 (1-D: last).

    For 1-D tensors it is the dot product, for matrices `matmul`, beside a number `multiply`.

    Shape:
        (…, K) and (…, K, N) → the axes of x1 without the last, then those of x2 without K.

    Example:
        >>> import elinvar as el
        >>> el.dot(el.asarray([1, 2]), el.asarray([3, 4])).item()
        11
    """
    a, b = _promoted("dot", x1, x2)
    if not a.ndim or not b.ndim:
        return ew.multiply(a, b)
    if a.ndim == 1 and b.ndim == 1:
        return matmul(a, b)
    return tensordot(a, b, axes=((a.ndim - 1,), (max(b.ndim - 2, 0),)))


def cross(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1) -> Any:
    """The cross product of vectors of three along an axis.

    Example:
        >>> import elinvar as el
        >>> el.linalg.cross(el.asarray([1, 0, 0]), el.asarray([0, 1, 0])).tolist()
        [0, 0, 1]
    """
    a, b = pair("cross", x1, x2)
    axis = normalize_axis("cross", axis, a.ndim)
    if a.shape[axis] != 3:
        fail(ShapeError, "cross", f"axis {axis} must have size 3: {a._type} and {b._type}")
    a1, a2, a3 = (sliced(a, axis, i, 1) for i in range(3))
    b1, b2, b3 = (sliced(b, axis, i, 1) for i in range(3))
    parts = [
        F.subtract(F.multiply(p, q), F.multiply(r, s))
        for p, q, r, s in ((a2, b3, a3, b2), (a3, b1, a1, b3), (a1, b2, a2, b1))
    ]
    return F.concatenate(*parts, axis=axis)


def diagonal(x: ArrayLike, /, *, offset: int = 0) -> Any:
    """The diagonals of matrices: the elements (i, i + offset) of the last two axes.

    Example:
        >>> import elinvar as el
        >>> el.linalg.diagonal(el.asarray([[1, 2], [3, 4]])).tolist()
        [1, 4]
    """
    x = tensor_of("diagonal", x)
    if x.ndim < 2:
        fail(ShapeError, "diagonal", f"expected at least 2 dimensions, received {x._type}")
    rows, columns = x.shape[-2:]
    row, column = max(0, -offset), max(0, offset)
    if rows == columns and not offset:
        count = rows
    elif isinstance(rows, int) and isinstance(columns, int):
        count = max(0, min(rows - row, columns - column))
    else:
        fail(ShapeError, "diagonal", f"the diagonal's length is not known for {x._type}")
    flat = F.reshape(x, shape=(*x.shape[:-2], rows * columns))
    # neighbours on a diagonal lie columns + 1 elements apart
    step = expand(size_tensor(columns + 1), (count,))
    start = expand(size_tensor(row * columns + column), (count,))
    places = F.add(F.multiply(F.iota(size=count, dtype=int64), step), start)
    return F.gather(flat, places, axis=flat.ndim - 1)


def trace(x: ArrayLike, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sums of the diagonals of matrices.

    Example:
        >>> import elinvar as el
        >>> el.linalg.trace(el.asarray([[1, 2], [3, 4]])).item()
        5
    """
    return reductions.sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


__all__ = [
    "cross",
    "diagonal",
    "dot",
    "matmul",
    "matrix_transpose",
    "moveaxis",
    "outer",
    "tensordot",
    "trace",
    "vecdot",
]

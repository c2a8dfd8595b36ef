"""Norms of vectors and matrices."""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import as_dtype
from elinvar.core.errors import AxisError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import normalize_axis
from elinvar.linalg import checks, parts
from elinvar.linalg.singular import decomposed
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions
from elinvar.tensor.convert import cast, tensor_of
from elinvar.tensor.dispatch import F
from elinvar.tensor.manipulation import moveaxis

INFINITE = float("inf")
ORDERS = ("fro", "nuc", 1, -1, 2, -2, INFINITE, -INFINITE)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Norms of matrices (…, M, N).

    Args:
        keepdims: whether the two axes stay, with size 1.
        ord: "fro": the root of the sum of |x|²; "nuc": the sum of singular values; 2, -2: the
            largest, smallest singular value; 1, -1: the largest, smallest sum of |x| of a column;
            inf, -inf: of a row.

    Shape:
        (…, M, N) → (…).

    The norm of a matrix without elements is 0 ("fro", "nuc", 1, 2, inf).

    Example:
        >>> import elinvar as el
        >>> x = el.asarray([[3.0, 0.0], [0.0, 4.0]])
        >>> el.linalg.matrix_norm(x).item(), el.linalg.matrix_norm(x, ord=2).item()
        (5.0, 4.0)
    """
    op = "matrix_norm"
    dtype = checks.original(op, x)
    x = tensor_of(op, x) if dtype.kind not in "fc" else checks.matrix(op, x)
    if x.ndim < 2:
        fail(ShapeError, op, f"expected at least 2 dimensions, received {x._type}")
    if isinstance(ord, str) or ord is None:
        known = ord in ("fro", "nuc", None)
    else:
        known = ord in ORDERS[2:]
    if not known:
        fail(ValueRangeError, op, f"ord must be one of {ORDERS}, received {ord!r}")
    if ord in (None, "fro"):
        found = reductions.vector_norm(x, axis=(-2, -1), keepdims=True)
    elif ord in ("nuc", 2, -2):
        found = _by_singular_values(checks.matrix(op, x), ord)
    else:
        found = _by_sums(x, ord)
    found = found if keepdims else F.reshape(found, shape=x.shape[:-2])
    return cast(found, checks.narrow(found.dtype, dtype))


def _by_singular_values(x: Any, ord: Any) -> Any:
    if checks.is_empty(x):
        _refuse_empty(ord, x)
        return reductions.sum(ew.abs(x), axis=(-2, -1), keepdims=True)
    values = decomposed(x)[1]
    if ord == "nuc":
        found = reductions.sum(values, axis=-1, keepdims=True)
    else:
        found = values[..., :1] if ord == 2 else values[..., -1:]
    return parts.as_column(found)


def _by_sums(x: Any, ord: Any) -> Any:
    inner, outer = (-2, -1) if abs(ord) == 1 else (-1, -2)
    totals = reductions.sum(ew.abs(x), axis=inner, keepdims=True)
    if checks.is_empty(x):
        _refuse_empty(ord, x)
        return reductions.sum(totals, axis=outer, keepdims=True)
    choose = reductions.max if ord > 0 else reductions.min
    return choose(totals, axis=outer, keepdims=True)


def _refuse_empty(ord: Any, x: Any) -> None:
    if ord != "nuc" and ord < 0 and 0 in x.shape[-2:]:  # a stack may be empty
        fail(ValueRangeError, "matrix_norm", f"ord={ord} needs elements, received {x._type}")


def norm(
    x: Any, /, ord: Any = None, axis: Any = None, *, keepdims: bool = False, dtype: Any = None
) -> Any:
    """The norm of vectors or matrices, as `numpy.linalg.norm` and `torch.linalg.norm` choose it.

    Args:
        ord: see `vector_norm` and `matrix_norm`; None: the root of the sum of |x|².
        axis: one axis: a vector norm; two: a matrix norm. None: with ord=None of all elements, else
            x must have one axis or two.
        keepdims: whether the axes stay, with size 1.
        dtype: to which x is converted first.

    Example:
        >>> import elinvar as el
        >>> x = el.asarray([[3.0, 0.0], [0.0, 4.0]])
        >>> el.linalg.norm(x).item(), el.linalg.norm(x, 1, axis=0).tolist()
        (5.0, [3.0, 4.0])
    """
    x = tensor_of("norm", x)
    x = x if dtype is None else cast(x, as_dtype(dtype))
    if axis is None:
        if ord is None:
            return reductions.vector_norm(x, keepdims=keepdims)
        if x.ndim not in (1, 2):
            text = f"with ord a tensor of one or two dimensions is expected, received {x._type}"
            fail(ShapeError, "norm", text, "pass `axis=`")
        axis = tuple(range(x.ndim))
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if len(axes) == 1:
        order = 2 if ord is None else ord
        return reductions.vector_norm(x, axis=axes[0], keepdims=keepdims, ord=order)
    if len(axes) != 2:
        fail(AxisError, "norm", f"axis must name one or two axes, received {axis!r}")
    first, second = (normalize_axis("norm", a, x.ndim) for a in axes)
    if first == second:
        fail(AxisError, "norm", f"axis names axis {first} twice: {axis!r}")
    moved = moveaxis(x, (first, second), (-2, -1))
    found = matrix_norm(moved, ord="fro" if ord is None else ord)
    if not keepdims:
        return found
    shape = tuple(1 if a in (first, second) else d for a, d in enumerate(x.shape))
    return F.reshape(found, shape=shape)

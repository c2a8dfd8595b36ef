"""What is made of the other functions: equations between tensors, products of reflections, and
factorizations that tell whether a matrix is singular in place of raising."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.linalg import checks, general, parts
from elinvar.linalg.general import least
from elinvar.linalg.orthogonal import rectangle
from elinvar.linalg.systems import inv, lu_factor, solve, solved_with_info
from elinvar.linalg.triangular import solved
from elinvar.tensor.convert import cast, tensor_of
from elinvar.tensor.creation import tril, triu, zeros
from elinvar.tensor.linear import matmul
from elinvar.tensor.manipulation import moveaxis, reshape
from elinvar.tensor.tensor import Tensor


class LUFactorEx(NamedTuple):
    """Results of `lu_factor_ex`."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


class SolveEx(NamedTuple):
    """Results of `solve_ex`."""

    result: Tensor
    info: Tensor


def lu_factor_ex(x: Any, /) -> LUFactorEx:
    """`lu_factor` that tells which matrices have a zero on U's diagonal.

    Returns:
        (LU, pivots, info): info is 0, or k if the k-th element of U's diagonal is the first one
        that is 0.

    Example:
        >>> import elinvar as el
        >>> el.linalg.lu_factor_ex(el.asarray([[1.0, 2.0], [2.0, 4.0]])).info.item()
        2
    """
    found = lu_factor(x)
    factors = checks.floating("lu_factor_ex", found.LU).detach()
    size = least(*factors.shape[-2:])
    empty = checks.is_empty(factors)
    square = factors[..., :size, :size]
    info = zeros(factors.shape[:-2], dtype="int64") if empty else general.first_zero(square)
    return LUFactorEx(*found, info)


def solve_ex(a: Any, b: Any, /, *, left: bool = True) -> SolveEx:
    """`solve` that never raises, and tells which matrices are singular.

    Returns:
        (result, info): info is 0, or k if the k-th pivot is the first one that is 0. The result is
        then infinite or NaN.

    Example:
        >>> import elinvar as el
        >>> el.linalg.solve_ex(el.zeros((2, 2)), el.ones(2)).info.item()
        1
    """
    found, info, _ = solved_with_info("solve_ex", a, b, left)
    return SolveEx(found, info)


def householder_product(x: Any, tau: Any, /) -> Any:
    """The first columns of a product of Householder's reflections, H₁ H₂ … H_K.

        Hᵢ = I - τᵢ vᵢ vᵢᴴ

    Args:
        x: vᵢ stands in column i below the diagonal, where 1 is meant to stand; what is above is not
            read. Such matrices come from LAPACK's geqrf.
        tau: the factors.

    Shape:
        (…, M, N) and (…, K) → (…, M, N), with M ≥ N ≥ K.

    Example:
        >>> import elinvar as el
        >>> x, tau = el.asarray([[0.0], [1.0]]), el.asarray([1.0])
        >>> el.linalg.householder_product(x, tau).tolist()
        [[0.0], [-1.0]]
    """
    op = "householder_product"
    dtype = checks.original(op, x)
    x, tau = checks.same_dtype(op, checks.matrix(op, x), checks.floating(op, tau))
    height, width = x.shape[-2:]
    if not tau.ndim or x.shape[:-2] != tau.shape[:-1]:
        fail(ShapeError, op, f"leading dimensions differ: {x._type} and {tau._type}")
    count = tau.shape[-1]
    if not (height >= width >= count):
        text = f"expected M ≥ N ≥ K, received {x._type} and {tau._type}"
        fail(ShapeError, op, text)
    unit = rectangle(height, width, x.dtype, x.shape[:-2])
    if checks.is_empty(x, tau):
        return cast(unit, checks.narrow(unit.dtype, dtype))
    v = tril(x[..., :count], k=-1) + rectangle(height, count, x.dtype, x.shape[:-2])
    across = parts.adjoint(v)
    triangle = parts.as_column(tau) * triu(matmul(across, v), k=1)
    joined = solved(triangle, parts.with_diagonal(tau), upper=True, unit=True)
    found = unit - matmul(v, matmul(joined, across[..., :width]))
    return cast(found, checks.narrow(found.dtype, dtype))


def tensorinv(x: Any, /, ind: int = 2) -> Any:
    """The inverse of what `tensordot(x, ·, ind)` does.

    Args:
        ind: how many axes belong to the rows; the products of sizes on both sides must be equal.

    Shape:
        (*rows, *columns) → (*columns, *rows).

    Example:
        >>> import elinvar as el
        >>> x = el.eye(4).reshape(4, 2, 2)
        >>> el.linalg.tensorinv(x, ind=1).shape
        (2, 2, 4)
    """
    x = checks.floating("tensorinv", x)
    if not isinstance(ind, int) or ind <= 0:
        fail(ValueRangeError, "tensorinv", f"ind must be an int above 0, received {ind!r:.60}")
    rows, columns = x.shape[:ind], x.shape[ind:]
    if math.prod(rows) != math.prod(columns):
        text = f"the sizes of the first {ind} axes and of the others differ: {x._type}"
        fail(ShapeError, "tensorinv", text)
    size = math.prod(rows)
    return reshape(inv(reshape(x, (size, size))), (*columns, *rows))


def tensorsolve(a: Any, b: Any, /, axes: Any = None) -> Any:
    """The X with tensordot(A, X, X.ndim) = B.

    Args:
        axes: axes of A that are moved to its end first.

    Shape:
        (*B's shape, *X's shape) and B → X; the products of sizes must be equal.

    Example:
        >>> import elinvar as el
        >>> a, b = el.eye(4).reshape(4, 2, 2), el.asarray([1.0, 2.0, 3.0, 4.0])
        >>> el.linalg.tensorsolve(a, b).tolist()
        [[1.0, 2.0], [3.0, 4.0]]
    """
    op = "tensorsolve"
    a, b = checks.same_dtype(op, checks.floating(op, a), checks.floating(op, b))
    if axes is not None:
        a = moveaxis(a, tuple(axes), tuple(range(a.ndim - len(axes), a.ndim)))
    shape = a.shape[b.ndim :]
    size = math.prod(shape)
    if a.shape[: b.ndim] != b.shape or math.prod(b.shape) != size:
        text = f"A of shape (*B's shape, *X's shape) is needed: {a._type} and {b._type}"
        fail(ShapeError, op, text)
    flat = reshape(tensor_of(op, b), (size,))
    return reshape(solve(reshape(a, (size, size)), flat), shape)

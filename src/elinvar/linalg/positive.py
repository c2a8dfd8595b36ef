"""Cholesky's decomposition of positive definite matrices, and what is solved with it.

    A = L Lᴴ

The matrix's lower triangle is read. The CPU compiler has a kernel for real matrices
(`codegen/matrix_positive.py`). The loops that say the same are right-looking: a panel of BLOCK
columns is factored column by column, then the rest of the matrix is reduced by one product.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from elinvar.core.dtypes import float32, float64, int64
from elinvar.core.errors import ShapeError, fail
from elinvar.linalg import checks, parts
from elinvar.linalg.kernels import known
from elinvar.linalg.rules import differentiable
from elinvar.linalg.triangular import solved
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, tensor_of
from elinvar.tensor.creation import tril, zeros
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import diagonal, matmul
from elinvar.tensor.tensor import Tensor

REAL = float32, float64


class CholeskyEx(NamedTuple):
    """Results of `cholesky_ex`."""

    L: Tensor
    info: Tensor


def _panel(panel: Any, start: Any, size: Any) -> Any:
    """Factor `size` columns, which are the matrix's columns from `start` on."""
    places = parts.count(panel.shape[-2])
    inside = parts.count(panel.shape[-1])

    def step(place: Any, x: Any) -> Any:
        here = parts.column(x, place)
        pivot = ew.sqrt(ew.real(parts.column(here, start + place)))
        pivot = parts.as_column(pivot)
        below = ew.where(places > start + place, here / cast(pivot, here.dtype), 0.0)
        across = F.gather(
            below, ew.minimum(start + inside, panel.shape[-2] - 1), axis=below.ndim - 1
        )
        rest = ew.where(inside > place, x - parts.outer(below, ew.conj(across)), x)
        new = ew.where(places == start + place, cast(pivot, here.dtype), below)
        return ew.where(inside == place, parts.as_column(new), rest)

    return parts.for_each(0, size, step, panel)


@composite
def factor(x: Any, *, large: bool | None) -> tuple[Any, Any]:
    """L, and for each matrix the number of the first leading minor that is not positive, or 0."""
    kernel = "cholesky_whole" if large is False else "cholesky"
    found: tuple[Any, Any] = known(kernel, functools.partial(_by_loops, large=large), (x,))
    return found


@composite
def factored_at_once(x: Any, *, upper: bool, large: bool | None) -> tuple[Any, Any, Any]:
    """The factor, `factor`'s number for each matrix, and whether one is not 0."""
    found, info = factor(parts.adjoint(x) if upper else x, large=large)
    return parts.adjoint(found) if upper else found, info, ew.not_equal(info, 0).any()


def _alone(upper: bool, large: bool | None) -> Any:
    """The factor: a program with one result and no choices starts sooner."""

    @composite
    def cholesky(x: Any) -> Any:
        found, _ = factor(parts.adjoint(x) if upper else x, large=large)
        return parts.adjoint(found) if upper else found

    return cholesky


_factor_alone: dict[tuple[bool, bool | None], Any] = {
    (upper, large): _alone(upper, large) for upper in (False, True) for large in (False, True)
}


def _is_done(found: Any) -> bool:
    """Whether a real matrix has a factor: after a pivot that is not positive all others are NaN,
    so the last one tells."""
    numbers = memoryview(found._buffer).cast("d" if found.dtype is float64 else "f")
    last: float = numbers[-1]
    return last > 0.0


def _by_loops(x: Any, *, large: bool | None) -> tuple[Any, Any]:
    """What `factor` computes, as loops over whole matrices."""

    def whole(x: Any) -> Any:
        return _panel(x, parts.index(0), x.shape[-1])

    def by_blocks(x: Any) -> Any:
        size, last = x.shape[-1], x.ndim - 1
        across = parts.count(size)
        places = parts.as_column(across)

        def block(start: Any, a: Any) -> Any:
            inside = parts.count(parts.BLOCK) + start
            panel = F.gather(a, ew.minimum(inside, size - 1), axis=last)
            left = ew.minimum(parts.index(parts.BLOCK), size - start)
            panel = _panel(panel, start, left)
            is_there = inside < size
            below = ew.where(is_there, panel, 0.0)
            is_rest = (places >= start + parts.BLOCK) & (across >= start + parts.BLOCK)
            rest = ew.where(is_rest, a - matmul(below, parts.adjoint(below)), a)
            new = ew.where((places >= start) & is_there, panel, 0.0)
            return F.scatter(rest, inside, new, axis=last, mode="set")

        return parts.for_blocks(size, block, x)

    found = tril(parts.by_size(large, x.shape[-1], whole, by_blocks, x))
    pivots = ew.real(diagonal(found))
    bad = ew.logical_not(pivots > 0.0)
    first = F.argmax(cast(bad, int64), axis=bad.ndim - 1) + 1
    info = ew.where(reductions.any(bad, axis=-1), first, 0)
    return found, info


def _derive(operands: Any, results: Any, cotangents: Any) -> Any:
    """Ā = ½ (S + Sᴴ), S = L⁻ᴴ Φ(Lᴴ L̄) L⁻¹, Φ: the lower triangle, half of the diagonal
    (Murray 2016, "Differentiation of the Cholesky decomposition", equation 10)."""
    found = results[0]
    inner = matmul(parts.adjoint(found), cotangents[0])
    inner = tril(inner) - parts.halved_diagonal(inner)
    upper = parts.adjoint(found)
    left = solved(upper, inner, upper=True, unit=False)
    right = parts.adjoint(solved(upper, parts.adjoint(left), upper=True, unit=False))
    return ((right + parts.adjoint(right)) * 0.5,)


@differentiable(_derive)
def factored(x: Any) -> tuple[Any, Any]:
    """`factor` with its derivative."""
    if checks.is_empty(x):
        return F.zeros_like(x), zeros(x.shape[:-2], dtype=int64)
    found, info = factor(x, large=parts.is_large(x.shape[-1]))
    return found, info


def cholesky_ex(x: Any, /, *, upper: bool = False) -> CholeskyEx:
    """`cholesky` that never raises, and tells which matrices have no decomposition.

    Returns:
        (L, info): info is 0, or k if the leading k × k minor is the first one that is not positive
        definite. Then L is NaN (or infinite) from column k on.

    Example:
        >>> import elinvar as el
        >>> factor, info = el.linalg.cholesky_ex(el.asarray([[1.0, 2.0], [2.0, 1.0]]))
        >>> info.item()
        2
    """
    dtype = checks.original("cholesky_ex", x)
    return _cholesky("cholesky_ex", x, upper, dtype)[0]


def _cholesky(op: str, x: Any, upper: bool, dtype: Any) -> tuple[CholeskyEx, Any]:
    """The results, and whether one has failed where that is known already."""
    x = checks.square(op, x)
    flag = None
    if checks.is_plain(x):
        large = parts.is_large(x.shape[-1])
        found, info, flag = factored_at_once(x, upper=upper, large=large)
    else:
        found, info = factored(parts.adjoint(x) if upper else x)
        found = parts.adjoint(found) if upper else found
    return CholeskyEx(cast(found, checks.narrow(found.dtype, dtype)), info), flag


def cholesky(x: Any, /, *, upper: bool = False) -> Any:
    """Cholesky's decomposition: A = L Lᴴ, or A = Uᴴ U with upper=True.

    Args:
        x: Hermitian (symmetric) positive definite matrices. The lower triangle is read; with
            upper=True the upper one. The gradient is Hermitian, as the argument is meant to be.
        upper: which factor to give.

    Shape:
        (…, N, N) → (…, N, N).

    Raises:
        LinAlgError: a matrix is not positive definite. Under `jit` nothing can be raised: the
            factor is NaN (or infinite) from the failing column on. See `cholesky_ex`.

    Example:
        >>> import elinvar as el
        >>> el.linalg.cholesky(el.asarray([[4.0, 2.0], [2.0, 5.0]])).tolist()
        [[2.0, 0.0], [1.0, 2.0]]
    """
    x = tensor_of("cholesky", x)
    dtype, shape = x.dtype, x.shape
    if dtype in REAL and len(shape) == 2 and shape[0] == shape[1] and checks.is_plain(x):
        alone = _factor_alone[upper, parts.is_large(shape[0])](x)
        if _is_done(alone):
            return alone
    found, flag = _cholesky("cholesky", x, upper, dtype)
    text = "is not positive definite: its leading minor of order {number} is not positive"
    checks.refuse("cholesky", found.info, text, "`cholesky_ex` does not raise", flag)
    return found.L


def cholesky_solve(b: Any, factor: Any, /, *, upper: bool = False) -> Any:
    """The solution of A X = B, where A = L Lᴴ (or Uᴴ U) is given by its factor.

    Shape:
        (…, N, K) and (…, N, N) → (…, N, K). Leading axes broadcast.

    Example:
        >>> import elinvar as el
        >>> factor = el.linalg.cholesky(el.asarray([[4.0, 2.0], [2.0, 5.0]]))
        >>> el.linalg.cholesky_solve(el.asarray([[8.0], [12.0]]), factor).tolist()
        [[1.0], [2.0]]
    """
    op = "cholesky_solve"
    dtype = checks.original(op, factor)
    factor, b = checks.same_dtype(op, checks.square(op, factor), checks.matrix(op, b))
    if factor.shape[-1] != b.shape[-2]:
        fail(ShapeError, op, f"sizes differ: {b._type} and {factor._type}")
    factor, b = checks.same_lead(op, factor, b)
    other = parts.adjoint(factor)
    lower, above = (other, factor) if upper else (factor, other)
    found = solved(lower, b, upper=False, unit=False)
    found = solved(above, found, upper=True, unit=False)
    return cast(found, checks.narrow(found.dtype, dtype))

"""Eigenvalues and eigenvectors of Hermitian (symmetric) matrices: A = V diag(λ) Vᴴ."""

from __future__ import annotations

from typing import Any, NamedTuple

from elinvar.linalg import checks, householder, jacobi, parts, tridiagonal
from elinvar.linalg.kernels import known
from elinvar.linalg.rules import differentiable
from elinvar.tensor import elementwise as ew
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast
from elinvar.tensor.creation import tril, zeros
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import diagonal, matmul
from elinvar.tensor.manipulation import concat
from elinvar.tensor.tensor import Tensor


class EighResult(NamedTuple):
    """Results of `eigh`."""

    eigenvalues: Tensor
    eigenvectors: Tensor


def hermitian(x: Any) -> Any:
    """The Hermitian matrix that the lower triangle of x stands for."""
    below = tril(x, k=-1)
    middle = cast(ew.real(diagonal(x)), x.dtype)
    return below + parts.adjoint(below) + parts.with_diagonal(middle)


def in_order(values: Any, vectors: Any) -> tuple[Any, Any]:
    """Eigenvalues in increasing order, and the rows of `vectors` as columns in this order."""
    order = F.argsort(values, axis=values.ndim - 1, descending=False)
    return parts.elements(values, order), parts.adjoint(parts.rows(vectors, order))


def by_jacobi(a: Any) -> tuple[Any, Any]:
    """Eigenvalues, and eigenvectors as rows, in any order."""
    floor = parts.largest(a)[..., 0] * (parts.epsilon(a.dtype) * 2.0**-6)
    start = parts.identity(a.shape[-1], a.dtype, a.shape[:-2])
    values, vectors = jacobi.diagonalized(a, start, floor, parts.epsilon(a.dtype) * 0.5)
    return values, straightened(vectors)


def straightened(vectors: Any) -> Any:
    """Rows that are nearly orthonormal, a step of Newton's iteration nearer: 3/2 X - 1/2 X Xᴴ X."""
    return 1.5 * vectors - 0.5 * matmul(matmul(vectors, parts.adjoint(vectors)), vectors)


def by_tridiagonal(a: Any) -> tuple[Any, Any]:
    """The same by way of a tridiagonal matrix; Jacobi's method then finds next to nothing to do."""
    middle, below, reflections, factors = tridiagonal.reduced(a)
    below, number, begin = tridiagonal.split(middle, below)
    values = tridiagonal.bisected(middle, below, number, begin)
    vectors = tridiagonal.iterated(middle, below, number, values)
    order = F.argsort(values, axis=values.ndim - 1, descending=False)
    vectors = parts.columns(vectors, order)
    found, turns = householder.reduce(vectors, vectors.shape[-1], True)
    ones = parts.identity(a.shape[-1], middle.dtype, a.shape[:-2])
    vectors = cast(householder.apply(found, turns, ones, False, True), a.dtype)
    later = householder.apply(reflections, factors, vectors[..., 1:, :], False, True)
    vectors = parts.adjoint(concat([vectors[..., :1, :], later], axis=-2))
    inner = matmul(matmul(vectors, a), parts.adjoint(vectors))
    inner = (inner + parts.adjoint(inner)) * 0.5
    size = ew.abs(ew.real(diagonal(inner))).max(axis=-1, keepdims=True)
    floor = size * (parts.epsilon(a.dtype) * ROUNDING)
    return jacobi.diagonalized(inner, vectors, floor, 0.0)


ROUNDING = 16.0  # what an element of Vᴴ A V may err by, in units of ε ‖A‖


@composite
def decompose(x: Any, *, large: bool | None) -> tuple[Any, Any]:
    """The eigenvalues in increasing order and the eigenvectors."""
    scale = parts.power_of_two(parts.largest(x))
    a = hermitian(x / cast(scale, x.dtype))

    def loops(a: Any) -> tuple[Any, Any]:
        return in_order(*parts.by_size(large, a.shape[-1], by_jacobi, by_tridiagonal, a))

    values, vectors = known("eigh", loops, (a,))
    vectors = ew.where(parts.as_row(ew.equal(values, values)), vectors, float("nan"))
    return values * scale[..., 0], vectors


def gaps(values: Any) -> Any:
    """1 / (λ_j - λ_i) at (i, j), 0 on the diagonal."""
    places = parts.count(values.shape[-1])
    is_own = ew.equal(parts.as_column(places), places)
    apart = parts.as_row(values) - parts.as_column(values)
    return ew.where(is_own, 0.0, 1.0 / ew.where(is_own, 1.0, apart))


def _derive(operands: Any, results: Any, cotangents: Any) -> Any:
    """Ā = V (diag λ̄ + Vᴴ V̄ ∘ E) Vᴴ, e_ij = 1 / (λ_j - λ_i), e_ii = 0 (Giles 2008, 3.1).

    The argument is meant to be Hermitian, and so is the gradient: (Ā + Āᴴ) / 2.
    """
    values, vectors = results
    g_values, g_vectors = cotangents
    inner: Any = None
    if g_values is not None:
        inner = parts.with_diagonal(cast(g_values, vectors.dtype))
    if g_vectors is not None:
        turned = matmul(parts.adjoint(vectors), g_vectors) * cast(gaps(values), vectors.dtype)
        inner = turned if inner is None else inner + turned
    found = parts.product(vectors, inner, parts.adjoint(vectors))
    return ((found + parts.adjoint(found)) * 0.5,)


@differentiable(_derive)
def decomposed(x: Any) -> tuple[Any, Any]:
    """`decompose` with its derivative."""
    if checks.is_empty(x):
        return zeros(x.shape[:-1], dtype=parts.real_dtype(x.dtype)), F.zeros_like(x)
    found: tuple[Any, Any] = decompose(x, large=parts.is_large(x.shape[-1]))
    return found


def eigh(x: Any, /) -> EighResult:
    """Eigenvalues and eigenvectors of Hermitian (symmetric) matrices: A = V diag(λ) Vᴴ.

    Returns:
        (eigenvalues, eigenvectors): λ in increasing order, and orthonormal columns V.

    Shape:
        (…, N, N) → (…, N), (…, N, N).

    The lower triangle is read. A column of V may be multiplied by -1 (or a number e^{iφ}) and is an
    eigenvector still, so functions should not depend on its sign; the derivative of the vectors is
    infinite or NaN where eigenvalues are equal. The gradient is Hermitian. A NaN in a matrix gives
    NaN.

    Example:
        >>> import elinvar as el
        >>> values, vectors = el.linalg.eigh(el.asarray([[2.0, 1.0], [1.0, 2.0]]))
        >>> [round(value, 4) for value in values.tolist()]
        [1.0, 3.0]
    """
    dtype = checks.original("eigh", x)
    values, vectors = decomposed(checks.square("eigh", x))
    narrow = checks.narrow(values.dtype, dtype)
    return EighResult(cast(values, narrow), cast(vectors, checks.narrow(vectors.dtype, dtype)))


def eigvalsh(x: Any, /) -> Any:
    """The eigenvalues of Hermitian (symmetric) matrices in increasing order; see `eigh`.

    Example:
        >>> import elinvar as el
        >>> el.linalg.eigvalsh(el.asarray([[2.0, 0.0], [0.0, 1.0]])).tolist()
        [1.0, 2.0]
    """
    dtype = checks.original("eigvalsh", x)
    values = decomposed(checks.square("eigvalsh", x))[0]
    return cast(values, checks.narrow(values.dtype, dtype))

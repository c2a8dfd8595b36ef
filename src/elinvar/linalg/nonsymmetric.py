"""Eigenvalues and eigenvectors of square matrices of any kind: A V = V diag(λ)."""

from __future__ import annotations

from typing import Any, NamedTuple

from elinvar.core.dtypes import complex64, complex128, float32
from elinvar.linalg import checks, parts, schur
from elinvar.linalg.rules import differentiable
from elinvar.linalg.systems import solve
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast
from elinvar.tensor.creation import zeros
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import diagonal, matmul
from elinvar.tensor.tensor import Tensor


class EigResult(NamedTuple):
    """Results of `eig`."""

    eigenvalues: Tensor
    eigenvectors: Tensor


@composite
def decompose(x: Any, *, large: bool | None) -> tuple[Any, Any]:
    """Eigenvalues and eigenvectors of length 1, by the Schur form; complex128 in and out."""
    if x.shape[-1] == 1:
        return x[..., 0], F.full(1.0, x)
    scale = cast(parts.power_of_two(parts.largest(x)), x.dtype)
    t, z = schur.schur(x / scale, large)
    vectors = schur.triangle_vectors(t)
    vectors = matmul(
        z, vectors / cast(reductions.max(ew.abs(vectors), axis=-2, keepdims=True), x.dtype)
    )
    length = ew.sqrt(reductions.sum(parts.squared(vectors), axis=-2, keepdims=True))
    return diagonal(t) * scale[..., 0], vectors / cast(length, x.dtype)


def _derive(operands: Any, results: Any, cotangents: Any) -> Any:
    """Ā = V⁻ᴴ (diag λ̄ + (Vᴴ V̄ - Vᴴ V Re diag(Vᴴ V̄)) ∘ E) Vᴴ, e_ij = 1 / conj(λ_j - λ_i), e_ii = 0,
    for vectors of length 1 (Giles 2008, 3.1; Boeddeker et al. 2017)."""
    values, vectors = results
    g_values, g_vectors = cotangents
    across = parts.adjoint(vectors)
    inner: Any = None
    if g_values is not None:
        inner = parts.with_diagonal(g_values)
    if g_vectors is not None:
        turned = matmul(across, g_vectors)
        own = cast(ew.real(diagonal(turned)), turned.dtype)
        turned = turned - matmul(across, vectors) * parts.as_row(own)
        places = parts.count(values.shape[-1])
        is_own = ew.equal(parts.as_column(places), places)
        apart = ew.conj(parts.as_row(values) - parts.as_column(values))
        turned = ew.where(is_own, 0.0, turned / ew.where(is_own, 1.0, apart))
        inner = turned if inner is None else inner + turned
    return (solve(across, matmul(inner, across)),)


@differentiable(_derive)
def decomposed(x: Any) -> tuple[Any, Any]:
    """`decompose` with its derivative."""
    if checks.is_empty(x):
        return zeros(x.shape[:-1], dtype=x.dtype), F.zeros_like(x)
    found: tuple[Any, Any] = decompose(x, large=parts.is_large(x.shape[-1]))
    return found


def _complex(op: str, x: Any) -> tuple[Any, Any]:
    """The argument as complex128, and the dtype of the results."""
    x = checks.square(op, x)
    narrow = complex64 if x.dtype in (float32, complex64) else complex128
    return cast(x, complex128), narrow


def eig(x: Any, /) -> EigResult:
    """Eigenvalues and eigenvectors of square matrices of any kind: A V = V diag(λ).

    Returns:
        (eigenvalues, eigenvectors): complex numbers in no order, and columns of length 1.

    Shape:
        (…, N, N) → (…, N), (…, N, N).

    All is computed in complex128. A column may be multiplied by a number e^{iφ}, so functions
    should not depend on its phase. The derivative of the vectors needs different eigenvalues, that
    of the values a V that has an inverse. `eigh` is faster and more accurate for Hermitian
    matrices.

    Example:
        >>> import elinvar as el
        >>> values, vectors = el.linalg.eig(el.asarray([[0.0, 1.0], [-1.0, 0.0]]))
        >>> sorted(round(value, 4) for value in values.imag.tolist())
        [-1.0, 1.0]
    """
    x, narrow = _complex("eig", x)
    values, vectors = decomposed(x)
    return EigResult(cast(values, narrow), cast(vectors, narrow))


def eigvals(x: Any, /) -> Any:
    """The eigenvalues of square matrices of any kind, complex and in no particular order.

    Example:
        >>> import elinvar as el
        >>> values = el.linalg.eigvals(el.asarray([[2.0, 1.0], [0.0, 3.0]]))
        >>> sorted(round(value, 4) for value in values.real.tolist())
        [2.0, 3.0]
    """
    x, narrow = _complex("eigvals", x)
    return cast(decomposed(x)[0], narrow)

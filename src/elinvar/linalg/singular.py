"""Singular value decomposition: A = U diag(σ) Vᴴ.

Small matrices go by one-sided Jacobi: rows of Aᴴ are rotated in pairs until all are orthogonal. In
large ones V comes from eigenvectors: for 32 bits those of Aᴴ A in 64 bits, for 64 bits those of the
polar factor H = (Aᴴ A)^½. Then A V = Q R is a QR decomposition whose R is diagonal up to rounding,
so U is orthonormal for matrices of any rank.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from elinvar.core.dtypes import DType, bool_, float32, float64
from elinvar.core.errors import GradientError, fail
from elinvar.linalg import checks, hermitian, householder, jacobi, orthogonal, parts, polar
from elinvar.linalg.general import least
from elinvar.linalg.kernels import known
from elinvar.linalg.rules import differentiable
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions
from elinvar.tensor.composite import composite
from elinvar.tensor.control import while_loop
from elinvar.tensor.convert import cast
from elinvar.tensor.creation import triu, zeros
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import diagonal, matmul
from elinvar.tensor.manipulation import concat
from elinvar.tensor.tensor import Tensor

FLOOR = 8.0  # in units of ε: what products of rows may err by, relative to ‖A‖ and the longer row


class SVDResult(NamedTuple):
    """Results of `svd`."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def doubled(dtype: DType) -> DType:
    """The dtype of 64-bit parts."""
    return float64 if dtype is float32 else dtype


def _limit(own: Any, theirs: Any, size: Any, relative: Any, floor: Any) -> Any:
    """Up to which |w_i · w_j| two rows of these squared lengths count as orthogonal."""
    one, two = ew.sqrt(own), ew.sqrt(theirs)
    # symmetric to the bit: both rows of a pair must agree whether they rotate
    return ew.maximum(relative * (one * two), floor * size * ew.maximum(one, two))


def _orthogonalized(rows: Any, vectors: Any, floor: float, start: Any) -> tuple[Any, Any]:
    """R W with orthogonal rows, and R · vectors.

    Args:
        floor: rows whose product is below floor ‖W‖ max(‖w_i‖, ‖w_j‖) count as orthogonal, too.
        start: whether there is anything to do.
    """
    size = rows.shape[-2]
    places = parts.count(size)
    root = ew.sqrt(cast(parts.size(size), parts.real_dtype(rows.dtype)))
    relative = ew.maximum(root, 2.0) * parts.epsilon(rows.dtype)
    longest = ew.sqrt(reductions.sum(parts.squared(rows), axis=-1))
    longest = reductions.max(longest, axis=-1, keepdims=True)

    def turn(place: Any, state: Any) -> Any:
        w, vectors, count = state
        partner = (place - places) % size
        other = F.gather(w, partner, axis=w.ndim - 2)
        own = reductions.sum(parts.squared(w), axis=-1)
        across = reductions.sum(w * ew.conj(other), axis=-1)
        theirs = F.gather(own, partner, axis=own.ndim - 1)
        limit = _limit(own, theirs, longest, relative, floor)
        is_active = ew.logical_and(ew.abs(across) > limit, ew.not_equal(places, partner))
        _, cosine, sine = jacobi.rotation(own, theirs, across, places < partner)
        w = jacobi.turned(w, partner, cosine, sine, is_active)
        vectors = jacobi.turned(vectors, partner, cosine, sine, is_active)
        return w, vectors, ew.logical_or(count, reductions.any(is_active))

    def sweep(state: Any) -> Any:
        w, vectors, number, _ = state
        none = F.constant(value=False, dtype=bool_)
        w, vectors, count = parts.for_each(0, size, turn, (w, vectors, none))
        return w, vectors, number + 1, count

    def test(state: Any) -> Any:
        return ew.logical_and(state[2] < jacobi.SWEEPS, state[3])

    w, vectors, _, _ = while_loop(test, sweep, (rows, vectors, parts.index(0), start))
    return w, vectors


def _small(a: Any) -> Any:
    """V of square matrices."""
    start = parts.identity(a.shape[-1], a.dtype, a.shape[:-2])
    is_open = F.constant(value=True, dtype=bool_)
    w, vectors = _orthogonalized(parts.adjoint(a), start, 0.0, is_open)
    return _in_order(reductions.sum(parts.squared(w), axis=-1), hermitian.straightened(vectors))


def _in_order(sizes: Any, rows: Any) -> Any:
    """Rows as columns, those of large sizes first."""
    order = F.argsort(sizes, axis=sizes.ndim - 1, descending=True)
    return parts.adjoint(parts.rows(rows, order))


def _large(a: Any) -> Any:
    """V of square matrices; where A V is not orthogonal up to rounding, rotations make it so."""
    wide = doubled(a.dtype)
    if wide is not a.dtype:
        x = cast(a, wide)
        inner = matmul(parts.adjoint(x), x)
    else:
        inner = polar.hermitian_factor(a)
    _, vectors = hermitian.by_tridiagonal(inner)
    vectors = cast(vectors, a.dtype)
    w = matmul(vectors, parts.adjoint(a))
    own = reductions.sum(parts.squared(w), axis=-1)
    longest = ew.sqrt(reductions.max(own, axis=-1, keepdims=True))
    places = parts.count(a.shape[-1])
    floor = FLOOR * parts.epsilon(a.dtype)
    pairs = parts.as_column(own), parts.as_row(own)
    limit = _limit(*pairs, parts.as_column(longest), 0.0, 2.0 * floor)
    is_open = ew.abs(matmul(w, parts.adjoint(w))) > limit
    is_open = ew.logical_and(is_open, ew.not_equal(parts.as_column(places), places))
    w, vectors = _orthogonalized(w, vectors, floor, reductions.any(is_open))
    return _in_order(reductions.sum(parts.squared(w), axis=-1), vectors)


def _square(a: Any, large: bool | None) -> tuple[Any, Any, Any]:
    """U, σ and Vᴴ of square matrices whose largest element is near 1."""

    def loops(a: Any) -> tuple[Any, Any, Any]:
        u, values, vh = _by_orthogonal_rows(a, large)
        return u, values, parts.adjoint(vh)

    u, values, v = known("svd", loops, (a,))
    is_there = parts.as_row(ew.equal(values, values))
    u, v = ew.where(is_there, u, float("nan")), ew.where(is_there, v, float("nan"))
    return u, values, parts.adjoint(v)


def _by_orthogonal_rows(a: Any, large: bool | None) -> tuple[Any, Any, Any]:
    """The same where there is no kernel."""
    size = a.shape[-1]
    v = parts.by_size(large, size, _small, _large, a)
    found, factors = householder.reduce(matmul(a, v), size, large)
    ones = parts.identity(size, a.dtype, a.shape[:-2])
    u = householder.apply(found, factors, ones, False, large)
    values = diagonal(found)
    phase = ew.where(ew.real(values) < 0.0, -1.0, 1.0)
    u = u * parts.as_row(cast(phase, u.dtype))
    values = ew.abs(values)
    order = F.argsort(values, axis=values.ndim - 1, descending=True)
    vh = parts.rows(parts.adjoint(v), order)
    return parts.columns(u, order), parts.elements(values, order), vh


@composite
def decompose(x: Any, *, large: bool | None) -> tuple[Any, Any, Any]:
    """U (M × K), σ and Vᴴ (K × N)."""
    height, width = x.shape[-2:]
    size = least(height, width)
    scale = parts.power_of_two(parts.largest(x))
    a = x / cast(scale, x.dtype)
    is_wide = size != width
    a = parts.adjoint(a) if is_wide else a
    if height == width:
        u, values, vh = _square(a, large)
    else:
        found, factors = householder.reduce(a, size, large)
        u, values, vh = _square(triu(found[..., :size, :]), large)
        more = F.zeros_like(a[..., size:, :])
        u = householder.apply(found, factors, concat([u, more], axis=-2), False, large)
    if is_wide:
        u, vh = parts.adjoint(vh), parts.adjoint(u)
    return u, values * scale[..., 0], vh


def _derive(operands: Any, results: Any, cotangents: Any) -> Any:
    """Ā = U [(J ∘ E) S + S (K ∘ E) + diag σ̄] Vᴴ + what leaves the spans (Giles 2008, 3.2;
    Wan and Zhang 2019 for complex matrices).

        J = skew(Uᴴ Ū), K = skew(Vᴴ V̄), skew(X) = X - Xᴴ, e_ij = 1 / (σ_j² - σ_i²), e_ii = 0

    The parts outside: (I - U Uᴴ) Ū S⁻¹ Vᴴ for M > K, U S⁻¹ V̄ᴴ (I - V Vᴴ) for N > K.
    """
    u, values, vh = results
    g_u, g_values, g_vh = cotangents
    dtype = u.dtype
    height, width, size = u.shape[-2], vh.shape[-1], values.shape[-1]
    s = cast(values, dtype)
    places = parts.count(size)
    is_own = ew.equal(parts.as_column(places), places)
    one, two = parts.as_column(values), parts.as_row(values)
    apart = ew.where(is_own, 1.0, (two - one) * (two + one))
    e = cast(ew.where(is_own, 0.0, 1.0 / apart), dtype)
    inner: Any = None
    outside: list[Any] = []
    if g_values is not None:
        inner = parts.with_diagonal(cast(g_values, dtype))
    if g_u is not None:
        across = matmul(parts.adjoint(u), g_u)
        skew = across - parts.adjoint(across)
        found = skew * e * parts.as_row(s)
        if dtype.kind == "c":  # the phase of a pair of vectors
            found = found + ew.where(is_own, skew, 0.0) / parts.as_row(s + s)
        inner = found if inner is None else inner + found
        if height != size:
            rest = (g_u - matmul(u, across)) / parts.as_row(s)
            outside.append(matmul(rest, vh))
    if g_vh is not None:
        across = matmul(vh, parts.adjoint(g_vh))
        found = parts.as_column(s) * ((across - parts.adjoint(across)) * e)
        inner = found if inner is None else inner + found
        if width != size:
            rest = (g_vh - matmul(parts.adjoint(across), vh)) / parts.as_column(s)
            outside.append(matmul(u, rest))
    total = parts.product(u, inner, vh)
    for part in outside:
        total = total + part
    return (total,)


@differentiable(_derive)
def decomposed(x: Any) -> tuple[Any, Any, Any]:
    """`decompose` with its derivative."""
    height, width = x.shape[-2:]
    size = least(height, width)
    if checks.is_empty(x):
        real = parts.real_dtype(x.dtype)
        u = orthogonal.rectangle(height, size, x.dtype, x.shape[:-2])
        vh = orthogonal.rectangle(size, width, x.dtype, x.shape[:-2])
        return u, zeros((*x.shape[:-2], size), dtype=real), vh
    found: tuple[Any, Any, Any] = decompose(x, large=parts.is_large(size))
    return found


def _refuse(operands: Any, results: Any, cotangents: Any) -> Any:
    text = "the vectors that full_matrices=True adds have no derivative"
    fail(GradientError, "svd", text, "use full_matrices=False")


@differentiable(_refuse)
def _others(u: Any) -> Any:
    """Orthonormal columns beside those of u, which make it square."""
    height, size = u.shape[-2:]
    if checks.is_empty(u):
        found = orthogonal.rectangle(height, height, u.dtype, u.shape[:-2])
    else:
        large = parts.is_large(size)
        found = orthogonal.factor(u, complete=True, large=large)[0]
    return found[..., size:]


def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """Singular value decomposition: A = U diag(σ) Vᴴ.

    Args:
        full_matrices: whether U and Vᴴ are square; else they have K = min(M, N) columns and rows.

    Returns:
        (U, S, Vh): orthonormal columns, singular values in decreasing order, orthonormal rows.

    Shape:
        (…, M, N) → (…, M, M), (…, K), (…, N, N), or (…, M, K), (…, K), (…, K, N).

    A pair of vectors may be multiplied by -1 (or a number e^{iφ}), so functions should not depend
    on its sign. The derivative of the vectors is infinite or NaN where singular values are equal,
    and where one is 0 if the matrix is not square; that of S alone is finite. The vectors that
    full_matrices=True adds have no derivative. A NaN in a matrix gives NaN.

    Example:
        >>> import elinvar as el
        >>> u, s, vh = el.linalg.svd(el.asarray([[0.0, 2.0], [1.0, 0.0]]))
        >>> s.tolist()
        [2.0, 1.0]
    """
    dtype = checks.original("svd", x)
    u, values, vh = decomposed(checks.matrix("svd", x))
    height, width, size = u.shape[-2], vh.shape[-1], values.shape[-1]
    if full_matrices and height != size:
        u = concat([u, _others(u)], axis=-1)
    if full_matrices and width != size:
        vh = concat([vh, parts.adjoint(_others(parts.adjoint(vh)))], axis=-2)
    narrow = checks.narrow(u.dtype, dtype)
    values = cast(values, checks.narrow(values.dtype, dtype))
    return SVDResult(cast(u, narrow), values, cast(vh, narrow))


def svdvals(x: Any, /) -> Any:
    """The singular values of matrices in decreasing order.

    Example:
        >>> import elinvar as el
        >>> el.linalg.svdvals(el.asarray([[0.0, 2.0], [1.0, 0.0]])).tolist()
        [2.0, 1.0]
    """
    dtype = checks.original("svdvals", x)
    values = decomposed(checks.matrix("svdvals", x))[1]
    return cast(values, checks.narrow(values.dtype, dtype))

"""Pseudo-inverses, least squares, ranks and condition numbers, all by singular values."""

from __future__ import annotations

from typing import Any, NamedTuple

from elinvar.core.dtypes import int64
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.linalg import checks, parts
from elinvar.linalg.general import least
from elinvar.linalg.norms import matrix_norm
from elinvar.linalg.rules import differentiable, is_wanted
from elinvar.linalg.singular import decomposed
from elinvar.linalg.systems import inv_ex
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions
from elinvar.tensor.convert import cast, tensor_of
from elinvar.tensor.creation import zeros
from elinvar.tensor.linear import matmul
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor


class LstsqResult(NamedTuple):
    """Results of `lstsq`."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def _cutoff(op: str, x: Any, values: Any, rtol: Any) -> Any:
    """Below which singular values count as 0: rtol · σ_max, rtol = max(M, N) · ε unless given."""
    if rtol is None:
        height, width = x.shape[-2:]
        longest = width if height == least(height, width) else height
        rtol = cast(parts.size(longest), values.dtype) * parts.epsilon(x.dtype)
    limit = tensor_of(op, rtol, values.dtype)
    if limit.dtype.kind != "f":
        limit = cast(limit, values.dtype)
    limit = parts.as_column(cast(limit, values.dtype))
    return limit * reductions.max(values, axis=-1, keepdims=True)


def _inverted(values: Any, cutoff: Any) -> Any:
    """1 / σ above the cutoff, else 0."""
    is_there = values > cutoff
    return ew.where(is_there, 1.0 / ew.where(is_there, values, 1.0), 0.0)


def _turned_back(x: Any, inverse: Any, g: Any) -> Any:
    """The cotangent of A from that of its pseudo-inverse P (Golub and Pereyra 1973):

    Ā = -Pᴴ Ḡ Pᴴ + (I - A P) Ḡᴴ P Pᴴ + Pᴴ P Ḡᴴ (I - P A), for a rank that does not change.
    """
    across = parts.adjoint(inverse)
    found = ew.negative(parts.product(across, g, across))
    turned = parts.adjoint(g)
    left = matmul(matmul(turned, inverse), across)
    left = left - matmul(x, matmul(inverse, left))
    right = matmul(across, matmul(inverse, turned))
    right = right - matmul(matmul(right, inverse), x)
    return found + left + right


def pseudo_inverse(op: str, x: Any, rtol: Any) -> Any:
    """P = V diag(1/σ) Uᴴ, with its derivative."""

    def derive(operands: Any, results: Any, cotangents: Any) -> Any:
        return (_turned_back(operands[0], results[0], cotangents[0]),)

    @differentiable(derive)
    def pinv(a: Any) -> Any:
        if checks.is_empty(a):
            return zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), dtype=a.dtype)
        u, values, vh = decomposed(a)
        scale = cast(_inverted(values, _cutoff(op, a, values, rtol)), a.dtype)
        return matmul(parts.adjoint(vh) * parts.as_row(scale), parts.adjoint(u))

    return pinv(x)


def pinv(x: Any, /, *, rtol: Any = None) -> Any:
    """The Moore-Penrose pseudo-inverse: V diag(1/σ) Uᴴ, where small σ count as 0.

    Args:
        rtol: singular values up to rtol · σ_max count as 0; a number or a tensor (…). By default
            max(M, N) · ε.

    Shape:
        (…, M, N) → (…, N, M).

    The derivative is that of matrices of the same rank.

    Example:
        >>> import elinvar as el
        >>> [round(v, 4) for v in el.linalg.pinv(el.asarray([[3.0], [4.0]]))[0].tolist()]
        [0.12, 0.16]
    """
    dtype = checks.original("pinv", x)
    found = pseudo_inverse("pinv", checks.matrix("pinv", x), rtol)
    return cast(found, checks.narrow(found.dtype, dtype))


def matrix_rank(x: Any, /, *, rtol: Any = None) -> Any:
    """The number of singular values above rtol · σ_max.

    Args:
        rtol: a number or a tensor (…); by default max(M, N) · ε.

    Shape:
        (…, M, N) → (…), int64.

    Example:
        >>> import elinvar as el
        >>> el.linalg.matrix_rank(el.asarray([[1.0, 2.0], [2.0, 4.0]])).item()
        1
    """
    x = checks.matrix("matrix_rank", x).detach()
    if checks.is_empty(x):
        return zeros(x.shape[:-2], dtype=int64)
    values = decomposed(x)[1]
    above = values > _cutoff("matrix_rank", x, values, rtol)
    return reductions.sum(cast(above, int64), axis=-1)


def lstsq(a: Any, b: Any, /, rcond: Any = None, *, rtol: Any = None) -> LstsqResult:
    """The X of least ‖A X - B‖, and of these the one of least norm: X = A⁺ B.

    Args:
        a: matrices (…, M, N).
        b: matrices (…, M, K), or one vector (M).
        rcond, rtol: singular values up to rtol · σ_max count as 0; by default max(M, N) · ε.
            `rcond` is the name that NumPy and PyTorch have for it.

    Returns:
        (solution, residuals, rank, singular_values): residuals are the squared lengths (…, K) of
        the columns of A X - B, for matrices of any rank.

    Example:
        >>> import elinvar as el
        >>> a = el.asarray([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
        >>> found = el.linalg.lstsq(a, el.asarray([1.0, 3.0, 5.0]))
        >>> [round(value, 3) for value in found.solution.tolist()], found.rank.item()
        ([1.0, 2.0], 2)
    """
    op = "lstsq"
    rtol = rcond if rtol is None else rtol
    dtype = checks.original(op, a)
    b = checks.floating(op, b)
    is_vector = b.ndim == 1
    b = parts.as_column(b) if is_vector else checks.matrix(op, b)
    a, b = checks.same_dtype(op, checks.matrix(op, a), b)
    if a.shape[-2] != b.shape[-2]:
        fail(ShapeError, op, f"numbers of rows differ: {a._type} and {b._type}")
    with no_grad():
        values = decomposed(a.detach())[1]
    if checks.is_empty(a):
        rank = zeros(a.shape[:-2], dtype=int64)
    else:
        above = values > _cutoff(op, a, values, rtol)
        rank = reductions.sum(cast(above, int64), axis=-1)
    a, b = checks.same_lead(op, a, b)
    found = _least_squares(a, b, rtol)
    rest = matmul(a, found) - b
    residuals = reductions.sum(parts.squared(rest), axis=-2)
    if is_vector:
        found, residuals = found.squeeze(-1), residuals.squeeze(-1)
    narrow = checks.narrow(found.dtype, dtype)
    real = checks.narrow(residuals.dtype, dtype)
    return LstsqResult(cast(found, narrow), cast(residuals, real), rank, cast(values, real))


def _least_squares(a: Any, b: Any, rtol: Any) -> Any:
    """A⁺ b by singular vectors, which is more accurate than the product with A⁺."""

    def derive(operands: Any, results: Any, cotangents: Any) -> Any:
        """X = P B: b̄ = Pᴴ x̄, p̄ = x̄ bᴴ."""
        a, b = operands
        inverse = pseudo_inverse("lstsq", a, rtol)
        left = right = None
        if is_wanted(a):
            left = _turned_back(a, inverse, matmul(cotangents[0], parts.adjoint(b)))
        if is_wanted(b):
            right = matmul(parts.adjoint(inverse), cotangents[0])
        return left, right

    @differentiable(derive)
    def solve(a: Any, b: Any) -> Any:
        if checks.is_empty(a, b):
            return zeros((*a.shape[:-2], a.shape[-1], b.shape[-1]), dtype=a.dtype)
        u, values, vh = decomposed(a)
        scale = cast(_inverted(values, _cutoff("lstsq", a, values, rtol)), a.dtype)
        return matmul(parts.adjoint(vh), parts.as_column(scale) * matmul(parts.adjoint(u), b))

    return solve(a, b)


def cond(x: Any, p: Any = None, /) -> Any:
    """Condition numbers of matrices: ‖A‖ · ‖A⁻¹‖ in a norm; infinite for singular ones.

    Args:
        p: None or 2: σ_max / σ_min; -2: σ_min / σ_max; or "fro", "nuc", 1, -1, inf, -inf, which
            take square matrices.

    Shape:
        (…, M, N) → (…).

    Example:
        >>> import elinvar as el
        >>> el.linalg.cond(el.asarray([[4.0, 0.0], [0.0, 2.0]])).item()
        2.0
    """
    dtype = checks.original("cond", x)
    if p in (None, 2, -2):
        x = checks.matrix("cond", x)
        if checks.is_empty(x):
            fail(ValueRangeError, "cond", f"a matrix without elements has none: {x._type}")
        values = decomposed(x)[1]
        found = values[..., 0] / values[..., -1]
        found = values[..., -1] / values[..., 0] if p == -2 else found
    else:
        x = checks.square("cond", x)
        inverse, info = inv_ex(x)
        found = matrix_norm(x, ord=p) * matrix_norm(inverse, ord=p)
        found = ew.where(ew.equal(info, 0), found, float("inf"))
    return cast(found, checks.narrow(found.dtype, dtype))

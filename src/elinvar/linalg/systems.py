"""Systems of linear equations, inverses and determinants, all by LU decomposition."""

from __future__ import annotations

from typing import Any, NamedTuple

from elinvar.core.errors import ShapeError, fail
from elinvar.linalg import checks, general, parts
from elinvar.linalg.rules import differentiable
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, expand
from elinvar.tensor.creation import ones, tril, triu, zeros
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import diagonal
from elinvar.tensor.manipulation import matrix_transpose
from elinvar.tensor.tensor import Tensor

SINGULAR = "is singular: element {number} of U's diagonal is 0"


class LU(NamedTuple):
    """Results of `lu`."""

    P: Tensor
    L: Tensor
    U: Tensor


class LUFactor(NamedTuple):
    """Results of `lu_factor`."""

    LU: Tensor
    pivots: Tensor


class InvEx(NamedTuple):
    """Results of `inv_ex`."""

    inverse: Tensor
    info: Tensor


class SlogdetResult(NamedTuple):
    """Results of `slogdet`."""

    sign: Tensor
    logabsdet: Tensor


def lu_factor(x: Any, /) -> LUFactor:
    """LU decomposition with partial pivoting, in the form that `lu_solve` takes.

    Returns:
        (LU, pivots): U stands on and above the diagonal, L (whose diagonal is 1) below. Row i was
        exchanged with row pivots[i], for i = 0, 1, … in this order. Rows count from 0.

    Shape:
        (…, M, N) → (…, M, N) and (…, min(M, N)).

    Singular matrices have a decomposition, too; U then has a zero on its diagonal.

    Example:
        >>> import elinvar as el
        >>> found = el.linalg.lu_factor(el.asarray([[1.0, 2.0], [4.0, 4.0]]))
        >>> found.LU.tolist(), found.pivots.tolist()
        ([[4.0, 4.0], [0.25, 1.0]], [1, 1])
    """
    dtype = checks.original("lu_factor", x)
    found, _, swaps = general.factored(checks.matrix("lu_factor", x))
    return LUFactor(cast(found, checks.narrow(found.dtype, dtype)), swaps)


def lu(x: Any, /) -> LU:
    """LU decomposition with partial pivoting: A = P L U.

    Returns:
        (P, L, U): a permutation matrix, a lower triangle with ones on its diagonal, an upper one.

    Shape:
        (…, M, N) → (…, M, M), (…, M, K), (…, K, N) with K = min(M, N).

    Example:
        >>> import elinvar as el
        >>> p, l, u = el.linalg.lu(el.asarray([[1.0, 2.0], [4.0, 4.0]]))
        >>> p.tolist(), l.tolist(), u.tolist()
        ([[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.25, 1.0]], [[4.0, 4.0], [0.0, 1.0]])
    """
    dtype = checks.original("lu", x)
    x = checks.matrix("lu", x)
    found, order, _ = general.factored(x)
    height, width = x.shape[-2:]
    size = general.least(height, width)
    lower = tril(found[..., :, :size], k=-1)
    places = parts.as_column(parts.count(height))
    lower = ew.where(ew.equal(places, parts.count(size)), 1.0, lower)
    upper = triu(found[..., :size, :])
    turn = cast(ew.equal(places, parts.as_row(order)), found.dtype)
    narrow = checks.narrow(found.dtype, dtype)
    return LU(cast(turn, narrow), cast(lower, narrow), cast(upper, narrow))


def lu_solve(
    factors: Any, pivots: Any, b: Any, /, *, left: bool = True, adjoint: bool = False
) -> Any:
    """The solution of A X = B from the decomposition that `lu_factor` gave.

    Args:
        factors, pivots: of a square A.
        left: X A = B if false.
        adjoint: solve with Aᴴ in place of A.

    Example:
        >>> import elinvar as el
        >>> found = el.linalg.lu_factor(el.asarray([[1.0, 2.0], [4.0, 4.0]]))
        >>> el.linalg.lu_solve(*found, el.asarray([[5.0], [12.0]])).tolist()
        [[1.0], [2.0]]
    """
    op = "lu_solve"
    dtype = checks.original(op, factors)
    found, b = checks.same_dtype(op, checks.square(op, factors), checks.matrix(op, b))
    if found.shape[-1] != b.shape[-2 if left else -1]:
        fail(ShapeError, op, f"sizes differ: {found._type} and {b._type}, left={left}")
    if pivots.shape != found.shape[:-1]:
        text = f"pivots of {found._type} must have shape {found.shape[:-1]}"
        fail(ShapeError, op, f"{text}, received {pivots._type}")
    if not left:
        turned = parts.adjoint(b)
        return parts.adjoint(lu_solve(factors, pivots, turned, adjoint=not adjoint))
    rows = expand(parts.count(found.shape[-1]), found.shape[:-1])
    order = rows if checks.is_empty(found) else general.order_of(pivots, rows)
    found, b = checks.same_lead(op, found, b)
    order = expand(order, found.shape[:-1])
    solved = general.solved_by_factors(found, order, b, adjoint)
    return cast(solved, checks.narrow(solved.dtype, dtype))


def _factors(op: str, a: Any) -> tuple[tuple[Any, Any], Any, Any]:
    """(L and U, order), exchanges, info of square matrices; nothing of it on the tape."""
    found, order, swaps = general.factored(a.detach())
    info = general.first_zero(found) if not checks.is_empty(found) else zeros(a.shape[:-2])
    return (found, order), swaps, info


def _solved(op: str, a: Any, b: Any) -> tuple[Any, Any, Any]:
    """A⁻¹ b, info, and whether info tells of a singular matrix where that is known already."""
    if checks.is_plain(a, b) and a.shape[:-2] == b.shape[:-2]:
        found: tuple[Any, Any, Any] = general.solved_at_once(
            a, b, large=parts.is_large(a.shape[-1])
        )
        return found
    factors, _, info = _factors(op, a)
    lead = a.shape[:-2]
    a, b = checks.same_lead(op, a, b)
    if a.shape[:-2] != lead:
        found, order = factors
        factors = expand(found, a.shape), expand(order, a.shape[:-1])
    return general.solve_with(a, b, factors), info, None


def solve(a: Any, b: Any, /, *, left: bool = True) -> Any:
    """The solution of A X = B.

    Args:
        a: square matrices.
        b: matrices; a tensor of one dimension is one vector, for all matrices of a.
        left: X A = B if false.

    Shape:
        (…, N, N) and (…, N, K) → (…, N, K); (…, N, N) and (N) → (…, N). Leading axes broadcast.

    Raises:
        LinAlgError: a pivot is exactly 0. Under `jit` nothing can be raised: the result is infinite
            or NaN. A matrix that is nearly singular gives a result of large numbers.

    Example:
        >>> import elinvar as el
        >>> el.linalg.solve(el.asarray([[2.0, 0.0], [0.0, 4.0]]), el.asarray([2.0, 2.0])).tolist()
        [1.0, 0.5]
    """
    found, info, flag = solved_with_info("solve", a, b, left)
    checks.refuse("solve", info, SINGULAR, "`lstsq` and `pinv` take singular matrices", flag)
    return found


def solved_with_info(op: str, a: Any, b: Any, left: bool) -> tuple[Any, Any, Any]:
    """What `solve` gives, info, and whether info tells of a singular matrix if that is known."""
    dtype = checks.original(op, a)
    b = checks.floating(op, b)
    is_vector = b.ndim == 1
    if not b.ndim:
        fail(ShapeError, op, f"expected at least 1 dimension, received {b._type}")
    b = parts.as_column(b) if is_vector and left else parts.as_row(b) if is_vector else b
    a, b = checks.same_dtype(op, checks.square(op, a), b)
    if a.shape[-1] != b.shape[-2 if left else -1]:
        fail(ShapeError, op, f"sizes differ: {a._type} and {b._type}, left={left}")
    if left:
        found, info, flag = _solved(op, a, b)
    else:
        found, info, flag = _solved(op, matrix_transpose(a), matrix_transpose(b))
        found = matrix_transpose(found)
    found = found.squeeze(-1 if left else -2) if is_vector else found
    return cast(found, checks.narrow(found.dtype, dtype)), info, flag


def inv(x: Any, /) -> Any:
    """The inverse of square matrices.

    Shape:
        (…, N, N) → (…, N, N).

    Raises:
        LinAlgError: a matrix is singular: a pivot is exactly 0. Under `jit` the result is then
            infinite or NaN. See `inv_ex`.

    Example:
        >>> import elinvar as el
        >>> el.linalg.inv(el.asarray([[2.0, 0.0], [0.0, 4.0]])).tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    found, flag = _inverse("inv", x)
    checks.refuse("inv", found.info, SINGULAR, "`pinv` takes singular matrices", flag)
    return found.inverse


def inv_ex(x: Any, /) -> InvEx:
    """`inv` that never raises, and tells which matrices are singular.

    Returns:
        (inverse, info): info is 0, or k if the k-th pivot is the first one that is 0. The inverse
        is then infinite or NaN.

    Example:
        >>> import elinvar as el
        >>> el.linalg.inv_ex(el.zeros((2, 2))).info.item()
        1
    """
    return _inverse("inv_ex", x)[0]


def _inverse(op: str, x: Any) -> tuple[InvEx, Any]:
    dtype = checks.original(op, x)
    x = checks.square(op, x)
    if checks.is_plain(x):
        large = parts.is_large(x.shape[-1])
        found, info, flag = general.inverted_at_once(x, large=large)
    else:
        unit = parts.identity(x.shape[-1], x.dtype, x.shape[:-2])
        found, info, flag = _solved(op, x, unit)
    return InvEx(cast(found, checks.narrow(found.dtype, dtype)), info), flag


@composite
def _determinant(found: Any, swaps: Any) -> Any:
    signs = general.sign_of(swaps)
    return reductions.prod(diagonal(found), axis=-1) * cast(signs, found.dtype)


@composite
def _determinant_at_once(x: Any, *, large: bool | None) -> Any:
    found, _, swaps = general.factor(x, large=large)
    return _determinant(found, swaps)


@composite
def _log_determinant_at_once(x: Any, *, large: bool | None) -> tuple[Any, Any]:
    found, _, swaps = general.factor(x, large=large)
    both: tuple[Any, Any] = _log_determinant(found, swaps)
    return both


@composite
def _nudged(found: Any) -> Any:
    """U with its zero pivots replaced by small numbers, so that A's adjugate can be solved for."""
    pivots = diagonal(found)
    scale = ew.abs(pivots).max(axis=-1, keepdims=True)
    small = ew.where(scale > 0.0, scale, 1.0) * parts.epsilon(found.dtype)
    places = parts.count(found.shape[-1])
    is_zero = ew.equal(places, parts.as_column(places)) & ew.equal(found, 0.0)
    return ew.where(is_zero, parts.as_column(cast(small, found.dtype)), found)


def det(x: Any, /) -> Any:
    """The determinants of square matrices.

    Shape:
        (…, N, N) → (…). The determinant of a matrix without elements is 1.

    Its gradient det(A) · A⁻ᴴ is found for singular matrices, too (that of second order is not).
    Large matrices overflow or underflow: see `slogdet`.

    Example:
        >>> import elinvar as el
        >>> el.linalg.det(el.asarray([[1.0, 2.0], [2.0, 6.0]])).item()
        2.0
    """
    dtype = checks.original("det", x)
    x = checks.square("det", x)
    if checks.is_empty(x):
        return ones(x.shape[:-2], dtype=dtype)
    if checks.is_plain(x):
        found = _determinant_at_once(x, large=parts.is_large(x.shape[-1]))
        return cast(found, checks.narrow(x.dtype, dtype))
    factors, swaps, _ = _factors("det", x)

    def derive(operands: Any, results: Any, cotangents: Any) -> Any:
        """Ā = conj(det A) · ḡ · A⁻ᴴ (Giles 2008, 2.2.2)."""
        nudged = _nudged(factors[0])
        value = ew.where(ew.equal(results[0], 0.0), _determinant(nudged, swaps), results[0])
        scale = parts.as_column(parts.as_column(cotangents[0] * ew.conj(value)))
        unit = parts.identity(x.shape[-1], x.dtype, x.shape[:-2])
        turned = general.solve_with(operands[0], unit, (nudged, factors[1]), adjoint=True)
        return (scale * turned,)

    @differentiable(derive)
    def determinant(a: Any) -> Any:
        return _determinant(factors[0], swaps)

    return cast(determinant(x), checks.narrow(x.dtype, dtype))


@composite
def _log_determinant(found: Any, swaps: Any) -> tuple[Any, Any]:
    pivots = diagonal(found)
    signs = cast(general.sign_of(swaps), found.dtype) * reductions.prod(ew.sign(pivots), axis=-1)
    return signs, reductions.sum(ew.log(ew.abs(pivots)), axis=-1)


def slogdet(x: Any, /) -> SlogdetResult:
    """The sign and the logarithm of the absolute value of determinants.

    det(A) = sign · exp(logabsdet); a singular matrix has sign 0 and logabsdet -∞.

    Shape:
        (…, N, N) → (…) and (…).

    Example:
        >>> import elinvar as el
        >>> sign, logarithm = el.linalg.slogdet(el.asarray([[0.0, 2.0], [4.0, 0.0]]))
        >>> sign.item(), round(logarithm.item(), 4)
        (-1.0, 2.0794)
    """
    dtype = checks.original("slogdet", x)
    x = checks.square("slogdet", x)
    if checks.is_empty(x):
        real = parts.real_dtype(x.dtype)
        return SlogdetResult(ones(x.shape[:-2], dtype=dtype), zeros(x.shape[:-2], dtype=real))
    if checks.is_plain(x):
        signs, logarithms = _log_determinant_at_once(x, large=parts.is_large(x.shape[-1]))
        signs = cast(signs, checks.narrow(x.dtype, dtype))
        return SlogdetResult(signs, cast(logarithms, checks.narrow(logarithms.dtype, dtype)))
    factors, swaps, _ = _factors("slogdet", x)

    def derive(operands: Any, results: Any, cotangents: Any) -> Any:
        """Ā = ḡ · A⁻ᴴ (Giles 2008, 2.2.3); a complex sign s turns: + i Im(s̄ · conj(s))."""
        sign, logarithm = results
        scale = cotangents[1]
        scale = F.zeros_like(logarithm) if scale is None else scale
        scale = cast(scale, sign.dtype)
        if sign.dtype.kind == "c" and cotangents[0] is not None:
            turn = cotangents[0] * ew.conj(sign)
            scale = scale + (turn - ew.conj(turn)) * 0.5
        unit = parts.identity(x.shape[-1], x.dtype, x.shape[:-2])
        turned = general.solve_with(operands[0], unit, factors, adjoint=True)
        return (parts.as_column(parts.as_column(scale)) * turned,)

    @differentiable(derive)
    def logarithm(a: Any) -> Any:
        return _log_determinant(factors[0], swaps)

    signs, logarithms = logarithm(x)
    signs = cast(signs, checks.narrow(x.dtype, dtype))
    return SlogdetResult(signs, cast(logarithms, checks.narrow(logarithms.dtype, dtype)))

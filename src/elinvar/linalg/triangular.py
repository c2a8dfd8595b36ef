"""Triangular systems, row by row within blocks, block by block with products.

    x_i = (b_i - Σ_{j<i} l_ij x_j) / l_ii

The sums run over j in increasing order: within a block one subtraction after the other, from block
to block as products of BLOCK terms. Upper triangles are lower ones read backwards.
"""

from __future__ import annotations

import functools
from typing import Any

from elinvar.core.errors import ShapeError, fail
from elinvar.linalg import checks, parts
from elinvar.linalg.kernels import known
from elinvar.linalg.rules import differentiable, is_wanted
from elinvar.tensor import elementwise as ew
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast
from elinvar.tensor.creation import tril, triu
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import matmul
from elinvar.tensor.manipulation import flip, matrix_transpose


def substitute(lower: Any, b: Any, first: Any, size: Any, unit: bool) -> Any:
    """Forward substitution with `size` columns of `lower` from `first` on, whose rows are b's."""
    places = parts.count(b.shape[-2])

    def step(place: Any, x: Any) -> Any:
        factors = parts.column(lower, first + place)
        found = parts.row(x, place)
        if not unit:
            found = found / parts.as_column(parts.column(factors, place))
        rest = x - parts.outer(factors, found)
        rest = ew.where(parts.as_column(places > place), rest, x)
        return ew.where(parts.as_column(places == place), parts.as_row(found), rest)

    return parts.for_each(0, size, step, b)


def solve_lower(lower: Any, b: Any, unit: bool, large: bool | None) -> Any:
    """L⁻¹ b for lower triangles L (what stands above is not read) and matrices b."""

    def whole(lower: Any, b: Any) -> Any:
        return substitute(lower, b, parts.index(0), lower.shape[-1], unit)

    def by_blocks(lower: Any, b: Any) -> Any:
        size = lower.shape[-1]
        places = parts.count(size)

        def block(start: Any, x: Any) -> Any:
            inside = parts.count(parts.BLOCK) + start
            here = F.gather(lower, ew.minimum(inside, size - 1), axis=lower.ndim - 1)
            square = F.gather(here, ew.minimum(inside, size - 1), axis=lower.ndim - 2)
            found = F.gather(x, ew.minimum(inside, size - 1), axis=x.ndim - 2)
            left = ew.minimum(parts.index(parts.BLOCK), size - start)
            found = substitute(square, found, parts.index(0), left, unit)
            found = ew.where(parts.as_column(inside < size), found, 0.0)
            rest = x - matmul(ew.where(inside < size, here, 0.0), found)
            rest = ew.where(parts.as_column(places >= start + parts.BLOCK), rest, x)
            return F.scatter(rest, inside, found, axis=x.ndim - 2, mode="set")

        return parts.for_blocks(size, block, b)

    return parts.by_size(large, lower.shape[-1], whole, by_blocks, lower, b)


@composite
def solve_triangle(a: Any, b: Any, *, upper: bool, unit: bool, large: bool | None) -> Any:
    """T⁻¹ b for triangles T of a and matrices b."""
    kernel = "substitute" + "_upper" * upper + "_unit" * unit
    loops = functools.partial(_by_loops, upper=upper, unit=unit, large=large)
    return known(kernel, loops, (a, b))


def _by_loops(a: Any, b: Any, *, upper: bool, unit: bool, large: bool | None) -> Any:
    """What `solve_triangle` computes, as loops over whole matrices."""
    if upper:
        turned = flip(a, axis=(-2, -1)), flip(b, axis=-2)
        return flip(solve_lower(*turned, unit, large), axis=-2)
    return solve_lower(a, b, unit, large)


def triangle(x: Any, upper: bool, unit: bool) -> Any:
    """The part of x that a triangular system reads."""
    return triu(x, k=int(unit)) if upper else tril(x, k=-int(unit))


def _derive(operands: Any, results: Any, cotangents: Any, *, upper: bool, unit: bool) -> Any:
    """X = T⁻¹ B: b̄ = T⁻ᴴ x̄, t̄ = -b̄ xᴴ within the triangle (Giles 2008, 2.2.3)."""
    a, _ = operands
    (x,) = results
    right = solved(parts.adjoint(a), cotangents[0], upper=not upper, unit=unit)
    left = None
    if is_wanted(a):
        left = triangle(ew.negative(matmul(right, parts.adjoint(x))), upper, unit)
    return left, right


@differentiable(_derive)
def solved(a: Any, b: Any, *, upper: bool, unit: bool) -> Any:
    """T⁻¹ b with its derivative; leading axes are equal."""
    if checks.is_empty(a, b):
        return F.zeros_like(b)
    large = parts.is_large(a.shape[-1])
    return solve_triangle(a, b, upper=upper, unit=unit, large=large)


def solve_triangular(
    a: Any, b: Any, /, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    """The solution of A X = B (or X A = B) for triangular A.

    Args:
        upper: whether A is an upper triangle. The other triangle is not read.
        left: whether A stands to the left of X.
        unitriangular: whether A's diagonal counts as ones; it is not read then.

    Shape:
        (…, N, N) and (…, N, K) → (…, N, K); with left=False (…, K, N) → (…, K, N). Leading axes
        broadcast.

    Raises:
        ShapeError: A is not square, or the sizes differ. A zero on the diagonal gives infinities
            or NaN, as a division does.

    Example:
        >>> import elinvar as el
        >>> a = el.asarray([[2.0, 0.0], [1.0, 4.0]])
        >>> el.linalg.solve_triangular(a, el.asarray([[2.0], [9.0]]), upper=False).tolist()
        [[1.0], [2.0]]
    """
    op = "solve_triangular"
    dtype = checks.original(op, a)
    a, b = checks.same_dtype(op, checks.square(op, a), checks.matrix(op, b))
    if a.shape[-1] != b.shape[-2 if left else -1]:
        fail(ShapeError, op, f"sizes differ: {a._type} and {b._type}, left={left}")
    a, b = checks.same_lead(op, a, b)
    if left:
        found = solved(a, b, upper=upper, unit=unitriangular)
    else:  # X A = B  ⇔  Aᵀ Xᵀ = Bᵀ
        turned = matrix_transpose(a), matrix_transpose(b)
        found = matrix_transpose(solved(*turned, upper=not upper, unit=unitriangular))
    return cast(found, checks.narrow(found.dtype, dtype))

"""LU decomposition with partial pivoting: P A = L U as rows picked by a permutation.

    A[order] = L U

A panel of BLOCK columns is factored column by column with exchanges of rows; then the rows of the
rest follow, the panel's own rows are solved for U, and one product reduces what remains. The pivot
is the largest |x| of its column, the first one of several; a NaN counts as the largest.
"""

from __future__ import annotations

import functools
from typing import Any

from elinvar.core.dtypes import int64
from elinvar.core.shapes import DimLike
from elinvar.linalg import checks, parts
from elinvar.linalg.kernels import known
from elinvar.linalg.rules import differentiable, is_wanted
from elinvar.linalg.triangular import solve_triangle, solved, substitute
from elinvar.tensor import elementwise as ew
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import expand
from elinvar.tensor.creation import tril, triu, zeros
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import diagonal, matmul
from elinvar.tensor.manipulation import concat


def least(a: DimLike, b: DimLike) -> DimLike:
    """The smaller of two sizes; an open one needs a range that tells."""
    return a if a == b or a <= b else b


def size_of_pivot(x: Any) -> Any:
    """What pivots are compared by: |x|; |re| + |im| for complex numbers, as in LAPACK."""
    return ew.abs(x) if x.dtype.kind != "c" else ew.abs(ew.real(x)) + ew.abs(x.imag)


def _panel(panel: Any, start: Any, size: Any) -> tuple[Any, Any, Any]:
    """Factor `size` columns, the matrix's columns from `start` on.

    Returns the panel, the order of its rows, and for each column the row it was exchanged with.
    """
    lead, height = panel.shape[:-2], panel.shape[-2]
    places, inside = parts.count(height), parts.count(panel.shape[-1])
    order = expand(places, (*lead, height))
    swaps = expand(inside + start, (*lead, panel.shape[-1]))

    def step(place: Any, state: Any) -> Any:
        x, order, swaps = state
        here = start + place
        heights = size_of_pivot(parts.column(x, place))
        pivot = F.argmax(ew.where(places >= here, heights, -1.0), axis=heights.ndim - 1)
        wide = parts.as_column(pivot)
        lower, upper = parts.row(x, here), parts.rows(x, wide)
        is_here, is_pivot = places == here, places == wide
        x = ew.where(parts.as_column(is_pivot), parts.as_row(lower), x)
        x = ew.where(parts.as_column(is_here), upper, x)
        first, second = parts.column(order, here), parts.elements(order, wide)
        order = ew.where(is_pivot, parts.as_column(first), order)
        order = ew.where(is_here, second, order)
        swaps = ew.where(inside == place, wide, swaps)
        value = parts.column(upper, place)  # (…, 1)
        column = parts.column(x, place)
        below = parts.as_column(ew.where(ew.equal(value, 0.0), column, column / value))
        rest = ew.where(inside > place, x - below * upper, x)
        rest = ew.where(inside == place, below, rest)
        return ew.where(parts.as_column(places > here), rest, x), order, swaps

    found: tuple[Any, Any, Any] = parts.for_each(0, size, step, (panel, order, swaps))
    return found


@composite
def factor(x: Any, *, large: bool | None) -> tuple[Any, Any, Any]:
    """L and U in one matrix, the order of rows, and the exchanges that lead to it."""
    loops = functools.partial(_by_loops, large=large)
    found: tuple[Any, Any, Any] = known("lu", loops, (x,))
    return found


def _by_loops(x: Any, *, large: bool | None) -> tuple[Any, Any, Any]:
    """What `factor` computes, as loops over whole matrices."""
    height, width = x.shape[-2:]
    size = least(height, width)

    def whole(x: Any) -> Any:
        found, order, swaps = _panel(x, parts.index(0), size)
        return (
            found,
            order,
            F.slice(
                swaps,
                start=(0,) * swaps.ndim,
                size=(*swaps.shape[:-1], size),
                step=(1,) * swaps.ndim,
            ),
        )

    def by_blocks(x: Any) -> Any:
        lead, last = x.shape[:-2], x.ndim - 1
        places, across = parts.as_column(parts.count(height)), parts.count(width)

        def block(start: Any, state: Any) -> Any:
            a, order, swaps = state
            inside = parts.count(parts.BLOCK) + start
            is_there = inside < size
            columns = ew.minimum(inside, size - 1)
            left = ew.minimum(parts.index(parts.BLOCK), size - start)
            panel = F.gather(a, columns, axis=last)
            panel, turned, exchanged = _panel(panel, start, left)
            a = parts.rows(a, turned)
            order = parts.elements(order, turned)
            swaps = F.scatter(swaps, inside, exchanged, axis=last - 1, mode="set")
            square = F.gather(panel, columns, axis=last - 1)
            here = F.gather(a, columns, axis=last - 1)
            upper = substitute(square, here, parts.index(0), left, unit=True)
            right = across >= start + left
            lower = ew.where(is_there, panel, 0.0)
            rest = a - matmul(lower, ew.where(parts.as_column(is_there), upper, 0.0))
            a = ew.where((places >= start + parts.BLOCK) & right, rest, a)
            new = ew.where(right, upper, here)
            # rows and columns that are not the panel's are written nowhere
            target = ew.where(is_there, inside, height)
            a = F.scatter(a, target, new, axis=last - 1, mode="set")
            target = ew.where(is_there, inside, width)
            return F.scatter(a, target, panel, axis=last, mode="set"), order, swaps

        order = expand(parts.count(height), (*lead, height))
        swaps = expand(parts.count(size), (*lead, size))
        return parts.for_blocks(size, block, (x, order, swaps))

    found: tuple[Any, Any, Any] = parts.by_size(large, size, whole, by_blocks, x)
    return found


def _derive(operands: Any, results: Any, cotangents: Any) -> Any:
    """P A = L U, square: Ā = Pᵀ L⁻ᴴ [tril(Lᴴ L̄, -1) + triu(Ū Uᴴ)] U⁻ᴴ.

    What stands to the right of the square part is U₂ = L⁻¹ A₂, what stands below it L₂ = A₂ U⁻¹;
    their cotangents flow to A₂ and to the triangle, too.
    """
    found, order, _ = results
    g = cotangents[0]
    height, width = found.shape[-2:]
    size = least(height, width)
    square, g_square = found[..., :size, :size], g[..., :size, :size]
    lower = tril(square, k=-1) + parts.identity(size, found.dtype, found.shape[:-2])
    upper = triu(square)
    g_lower, g_upper = tril(g_square, k=-1), triu(g_square)
    right = below = None
    if width != size:
        right = solved(parts.adjoint(lower), g[..., :size, size:], upper=True, unit=True)
        g_lower = g_lower - matmul(right, parts.adjoint(found[..., :size, size:]))
    if height != size:
        turned = solved(upper, parts.adjoint(g[..., size:, :size]), upper=True, unit=False)
        below = parts.adjoint(turned)
        g_upper = g_upper - matmul(parts.adjoint(found[..., size:, :size]), below)
    inner = tril(matmul(parts.adjoint(lower), g_lower), k=-1)
    inner = inner + triu(matmul(g_upper, parts.adjoint(upper)))
    inner = solved(parts.adjoint(lower), inner, upper=True, unit=True)
    inner = parts.adjoint(solved(upper, parts.adjoint(inner), upper=True, unit=False))
    if right is not None:
        inner = concat([inner, right], axis=-1)
    if below is not None:
        inner = concat([inner, below], axis=-2)
    return (parts.rows(inner, inverse(order)),)


@differentiable(_derive)
def factored(x: Any) -> tuple[Any, Any, Any]:
    """`factor` with its derivative."""
    if checks.is_empty(x):
        size = least(*x.shape[-2:])
        order = expand(parts.count(x.shape[-2]), x.shape[:-1])
        return F.zeros_like(x), order, zeros((*x.shape[:-2], size), dtype=int64)
    found: tuple[Any, Any, Any] = factor(x, large=parts.is_large(least(*x.shape[-2:])))
    return found


def inverse(order: Any) -> Any:
    """The inverse of a permutation."""
    return F.argsort(order, axis=order.ndim - 1, descending=False)


@composite
def order_of(swaps: Any, height: Any) -> Any:
    """The order of rows that a list of exchanges makes; `height` (…, M) counts them."""

    def step(place: Any, order: Any) -> Any:
        places = parts.count(order.shape[-1])
        other = parts.as_column(parts.column(swaps, place))
        first, second = parts.as_column(parts.column(order, place)), parts.elements(order, other)
        order = ew.where(places == other, first, order)
        return ew.where(places == place, second, order)

    return parts.for_each(0, swaps.shape[-1], step, height)


@composite
def substituted(found: Any, order: Any, b: Any, *, adjoint: bool, large: bool | None) -> Any:
    """A⁻¹ b, or A⁻ᴴ b, from A's factors."""
    if not adjoint:
        b = solve_triangle(found, parts.rows(b, order), upper=False, unit=True, large=large)
        return solve_triangle(found, b, upper=True, unit=False, large=large)
    turned = parts.adjoint(found)
    b = solve_triangle(turned, b, upper=False, unit=False, large=large)
    b = solve_triangle(turned, b, upper=True, unit=True, large=large)
    return parts.rows(b, inverse(order))


def solve_with(a: Any, b: Any, factors: tuple[Any, Any], adjoint: bool = False) -> Any:
    """A⁻¹ b (or A⁻ᴴ b), where the factors of A are known; differentiable in a and b.

        X = A⁻¹ B:  b̄ = A⁻ᴴ x̄,  ā = -b̄ xᴴ    (Giles 2008, 2.2.4)

    Derivatives of all orders solve with the same factors.
    """

    def derive(operands: Any, results: Any, cotangents: Any) -> Any:
        a, _ = operands
        (x,) = results
        right = solve_with(a, cotangents[0], factors, not adjoint)
        left = None
        if is_wanted(a):
            one, two = (x, right) if adjoint else (right, x)
            left = ew.negative(matmul(one, parts.adjoint(two)))
        return left, right

    @differentiable(derive)
    def solve(a: Any, b: Any) -> Any:
        if checks.is_empty(a, b):
            return F.zeros_like(b)
        return substituted(*factors, b, adjoint=adjoint, large=parts.is_large(a.shape[-1]))

    found: Any = solve(a, b)
    return found


@composite
def first_zero(found: Any) -> Any:
    """For each matrix the number of the first zero on U's diagonal, from 1; or 0."""
    bad = ew.equal(diagonal(found), 0.0)
    return ew.where(bad.any(axis=-1), F.argmax(bad.to(int64), axis=bad.ndim - 1) + 1, 0)


@composite
def solved_at_once(a: Any, b: Any, *, large: bool | None) -> tuple[Any, Any, Any]:
    """A⁻¹ b, the number of the first pivot that is 0 in each matrix, and whether one is."""
    found, order, _ = factor(a, large=large)
    info = first_zero(found)
    x = substituted(found, order, b, adjoint=False, large=large)
    return x, info, ew.not_equal(info, 0).any()


@composite
def inverted_at_once(a: Any, *, large: bool | None) -> tuple[Any, Any, Any]:
    """A⁻¹, and what `solved_at_once` tells."""
    unit = parts.identity(a.shape[-1], a.dtype, a.shape[:-2])
    found: tuple[Any, Any, Any] = solved_at_once(a, unit, large=large)
    return found


@composite
def sign_of(swaps: Any) -> Any:
    """The sign of a permutation: -1 for each exchange of two rows."""
    odd = ew.not_equal(swaps, parts.count(swaps.shape[-1])).to(int64).sum(axis=-1)
    return 1 - 2 * (odd % 2)


def solved_by_factors(found: Any, order: Any, b: Any, adjoint: bool) -> Any:
    """A⁻¹ b, or A⁻ᴴ b, differentiable in the factors and b."""
    if not adjoint:
        b = solved(found, parts.rows(b, order), upper=False, unit=True)
        return solved(found, b, upper=True, unit=False)
    turned = parts.adjoint(found)
    b = solved(turned, b, upper=False, unit=False)
    return parts.rows(solved(turned, b, upper=True, unit=True), inverse(order))

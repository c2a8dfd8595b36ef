"""Householder's reflections, by panels: what QR decompositions are made of.

    H = I - τ v vᴴ,  v = (0, …, 0, 1, …),  Hᴴ x = β e,  β = -sign(Re α) ‖x‖

The reflections of a panel are one product I - V T Vᴴ (Schreiber and Van Loan 1989). V stands below
the diagonal, R on and above it; a column that is zero below its diagonal has τ = 0.
"""

from __future__ import annotations

from typing import Any

from elinvar.linalg import parts
from elinvar.linalg.triangular import solve_triangle
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions
from elinvar.tensor.convert import cast, expand
from elinvar.tensor.creation import triu
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import matmul
from elinvar.tensor.manipulation import squeeze


def reflection(x: Any, place: Any) -> tuple[Any, Any, Any]:
    """v, τ (…, 1), and what stays at `place` (…, 1), for x's elements from there on."""
    places = parts.count(x.shape[-1])
    below = ew.where(places > place, x, 0.0)
    here = parts.as_column(parts.column(x, place))
    scale = ew.maximum(parts.largest(below, 1), ew.abs(here))
    scale = ew.where(scale > 0.0, scale, 1.0)
    below, own = below / cast(scale, x.dtype), here / cast(scale, x.dtype)
    total = reductions.sum(parts.squared(below), axis=-1, keepdims=True)
    is_done = ew.equal(total, 0.0)
    if x.dtype.kind == "c":
        is_done = ew.logical_and(is_done, ew.equal(own.imag, 0.0))
    norm = ew.sqrt(total + parts.squared(own))
    norm = cast(ew.negative(ew.copysign(norm, ew.real(own))), x.dtype)
    factor = ew.where(is_done, 0.0, (norm - own) / ew.where(is_done, 1.0, norm))
    below = below / ew.where(is_done, 1.0, own - norm)
    vector = ew.where(ew.equal(places, place), 1.0, below)
    return vector, factor, ew.where(is_done, here, norm * cast(scale, x.dtype))


def reduce_panel(panel: Any, start: Any, size: Any) -> tuple[Any, Any]:
    """Reflect `size` columns, which are the matrix's columns from `start` on; gives them and τ."""
    places = parts.as_column(parts.count(panel.shape[-2]))
    inside = parts.count(panel.shape[-1])
    factors = expand(F.constant(value=0, dtype=panel.dtype), (*panel.shape[:-2], panel.shape[-1]))

    def step(place: Any, state: Any) -> Any:
        x, factors = state
        here = start + place
        vector, factor, left = reflection(parts.column(x, place), here)
        across = squeeze(matmul(parts.as_row(ew.conj(vector)), x), axis=-2)
        rest = x - parts.outer(vector, ew.conj(factor) * across)
        rest = ew.where((places >= here) & (inside > place), rest, x)
        new = ew.where(ew.equal(places, here), parts.as_row(left), parts.as_column(vector))
        is_new = (places >= here) & ew.equal(inside, place)
        return ew.where(is_new, new, rest), ew.where(ew.equal(inside, place), factor, factors)

    found: tuple[Any, Any] = parts.for_each(0, size, step, (panel, factors))
    return found


def vectors(panel: Any, start: Any, is_there: Any) -> Any:
    """V of a reduced panel: ones at the diagonal, zeros above it."""
    places = parts.as_column(parts.count(panel.shape[-2]))
    here = parts.count(panel.shape[-1]) + start
    found = ew.where(places > here, panel, 0.0)
    return ew.where(is_there, ew.where(ew.equal(places, here), 1.0, found), 0.0)


def joined(v: Any, factors: Any) -> Any:
    """T of I - V T Vᴴ, the product of reflections: (I + D striu(Vᴴ V))⁻¹ D with D = diag τ."""
    inner = triu(matmul(parts.adjoint(v), v), k=1)
    triangle = parts.as_column(factors) * inner
    scaled = parts.with_diagonal(factors)
    return solve_triangle(triangle, scaled, upper=True, unit=True, large=False)


def reflected(v: Any, t: Any, x: Any, adjoint: bool) -> Any:
    """(I - V T Vᴴ) x, or (I - V Tᴴ Vᴴ) x."""
    across = matmul(parts.adjoint(v), x)
    return x - matmul(v, matmul(parts.adjoint(t) if adjoint else t, across))


def reduce(x: Any, size: Any, large: bool | None) -> tuple[Any, Any]:
    """R and V in one matrix, and τ (…, size)."""

    def whole(x: Any) -> Any:
        found, factors = reduce_panel(x, parts.index(0), size)
        return found, factors[..., :size] if factors.shape[-1] != size else factors

    def by_blocks(x: Any) -> Any:
        width, last = x.shape[-1], x.ndim - 1
        across = parts.count(width)

        def block(start: Any, state: Any) -> Any:
            a, factors = state
            inside = parts.count(parts.BLOCK) + start
            is_there = inside < size
            left = ew.minimum(parts.index(parts.BLOCK), size - start)
            panel = F.gather(a, ew.minimum(inside, size - 1), axis=last)
            panel, new = reduce_panel(panel, start, left)
            v = vectors(panel, start, is_there)
            rest = reflected(v, joined(v, new), a, adjoint=True)
            a = ew.where(across >= start + left, rest, a)
            target = ew.where(is_there, inside, width)
            a = F.scatter(a, target, panel, axis=last, mode="set")
            return a, F.scatter(factors, inside, new, axis=last - 1, mode="set")

        zero = F.constant(value=0, dtype=x.dtype)
        return parts.for_blocks(size, block, (x, expand(zero, (*x.shape[:-2], size))))

    found: tuple[Any, Any] = parts.by_size(large, size, whole, by_blocks, x)
    return found


def apply(found: Any, factors: Any, x: Any, adjoint: bool, large: bool | None) -> Any:
    """Q x or Qᴴ x, where Q is the product of all reflections."""
    size = factors.shape[-1]

    def whole(found: Any, factors: Any, x: Any) -> Any:
        panel = found if found.shape[-1] == size else found[..., :size]
        v = vectors(panel, parts.index(0), parts.count(size) >= 0)
        return reflected(v, joined(v, factors), x, adjoint)

    def by_blocks(found: Any, factors: Any, x: Any) -> Any:
        last = (parts.size(size) - 1) // parts.BLOCK * parts.BLOCK

        def block(start: Any, x: Any) -> Any:
            start = start if adjoint else last - start
            inside = parts.count(parts.BLOCK) + start
            columns = ew.minimum(inside, size - 1)
            panel = F.gather(found, columns, axis=found.ndim - 1)
            new = F.gather(factors, columns, axis=factors.ndim - 1)
            new = ew.where(inside < size, new, 0.0)
            v = vectors(panel, start, inside < size)
            return reflected(v, joined(v, new), x, adjoint)

        return parts.for_blocks(size, block, x)

    return parts.by_size(large, size, whole, by_blocks, found, factors, x)

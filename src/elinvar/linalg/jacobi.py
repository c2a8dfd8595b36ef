"""Jacobi's method for Hermitian matrices: rotations make one pair of elements zero after another.

    R A Rᴴ,  row i of R A:  c_i · a_i - s_i · a_p(i)

In round r of a sweep all rows rotate at once, i together with p(i) = (r - i) mod n; after n rounds
every pair has met once. A pair whose element is small enough is left alone, so a matrix that is
done does not change while others of its stack go on, and no sweep changes what is diagonal.
"""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import int64
from elinvar.linalg import parts
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions
from elinvar.tensor.control import while_loop
from elinvar.tensor.convert import cast
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import diagonal

SWEEPS = 30  # at most; 6 to 10 are usual


def rotation(own: Any, other: Any, across: Any, is_first: Any) -> tuple[Any, Any, Any]:
    """(t, c, s) that make a Hermitian pair's element `across` zero, seen from either row.

        τ = (other - own) / (2 |across|),  t = sign τ / (|τ| + √(1 + τ²)),  c = 1 / √(1 + t²)

    s = t c · across / |across|; `own` becomes own - t |across|. Rutishauser 1966.
    """
    size = ew.abs(across)
    gap = other - own
    ratio = gap / (size + size)
    slope = 1.0 / (ew.abs(ratio) + ew.hypot(ratio, 1.0))
    is_up = ew.where(ew.equal(gap, 0.0), is_first, gap > 0.0)
    slope = ew.where(is_up, slope, ew.negative(slope))
    cosine = 1.0 / ew.sqrt(1.0 + slope * slope)
    sine = cast(slope * cosine, across.dtype) * (across / cast(size, across.dtype))
    return slope, cosine, sine


def turned(x: Any, partner: Any, cosine: Any, sine: Any, is_active: Any) -> Any:
    """The rows of x, each rotated with its partner where active."""
    other = F.gather(x, partner, axis=x.ndim - 2)
    found = x * cast(parts.as_column(cosine), x.dtype) - other * parts.as_column(sine)
    return ew.where(parts.as_column(is_active), found, x)


def _round(place: Any, state: Any, floor: Any, relative: float) -> Any:
    a, vectors = state
    size = a.shape[-1]
    places = parts.count(size)
    partner = (place - places) % size
    own = ew.real(diagonal(a))
    other = F.gather(own, partner, axis=own.ndim - 1)
    flat = F.reshape(a, shape=(*a.shape[:-2], size * size))
    # both rows of a pair read the same element: rounding leaves the other one slightly different
    low, high = ew.minimum(places, partner), ew.maximum(places, partner)
    across = F.gather(flat, low * size + high, axis=flat.ndim - 1)
    across = ew.where(places < partner, across, ew.conj(across))
    limit = relative * (ew.sqrt(ew.abs(own)) * ew.sqrt(ew.abs(other)))
    limit = ew.maximum(floor, limit)
    is_active = ew.logical_and(ew.abs(across) > limit, ew.not_equal(places, partner))
    slope, cosine, sine = rotation(own, other, across, places < partner)
    rows = turned(a, partner, cosine, sine, is_active)
    found = turned(parts.adjoint(rows), partner, cosine, sine, is_active)
    is_done = ew.logical_and(parts.as_column(is_active), ew.equal(places, parts.as_column(partner)))
    found = ew.where(is_done, 0.0, found)
    new = ew.where(is_active, own - slope * ew.abs(across), own)
    is_own = ew.equal(places, parts.as_column(places))
    found = ew.where(is_own, cast(parts.as_column(new), a.dtype), found)
    return found, turned(vectors, partner, cosine, sine, is_active)


def diagonalized(a: Any, vectors: Any, floor: Any, relative: float) -> tuple[Any, Any]:
    """Sweeps until no element off the diagonal is above max(floor, relative · √|a_ii a_jj|).

    Args:
        a: Hermitian matrices.
        vectors: what the rotations are applied to from the left, too.
        floor: (…, 1), a size that counts as 0.

    Returns:
        the diagonals (…, N), and R · vectors.
    """
    size = a.shape[-1]
    places = parts.count(size)
    is_above = places > parts.as_column(places)

    def is_open(a: Any) -> Any:
        root = ew.sqrt(ew.abs(ew.real(diagonal(a))))
        limit = ew.maximum(parts.as_column(floor), relative * parts.outer(root, root))
        return reductions.any(ew.logical_and(ew.abs(a) > limit, is_above))

    def test(state: Any) -> Any:
        return ew.logical_and(state[2] < SWEEPS, state[3])

    def sweep(state: Any) -> Any:
        a, vectors, number, _ = state
        found = parts.for_each(
            0, size, lambda place, held: _round(place, held, floor, relative), (a, vectors)
        )
        return (*found, number + 1, is_open(found[0]))

    start = (a, vectors, F.constant(value=0, dtype=int64), is_open(a))
    a, vectors, _, _ = while_loop(test, sweep, start)
    return ew.real(diagonal(a)), vectors

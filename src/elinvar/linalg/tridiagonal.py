"""Hermitian matrices by way of tridiagonal ones: A = Q T Qᴴ, T = Z diag(λ) Zᵀ.

    reduced       Householder's reflections to a real tridiagonal T
    bisected      eigenvalues by counting: as many are below x as T - x I has negative pivots
    iterated      eigenvectors by inverse iteration, from a start of its own for each

All eigenvalues are searched at once, so each step is one operation on vectors, and the number of
steps is a function of the size alone. Where T falls apart into blocks, each eigenvalue belongs to
one of them. Vectors of close eigenvalues are not orthogonal yet: `hermitian.py` sees to that.
"""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import DType, float64, int64
from elinvar.linalg import householder, parts
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions
from elinvar.tensor.control import scan
from elinvar.tensor.convert import cast, expand
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import diagonal, matmul
from elinvar.tensor.manipulation import concat, moveaxis, squeeze

POINTS = 3  # places in an interval where eigenvalues are counted in one pass: two bits
STEPS = 3  # of inverse iteration


def reduced(a: Any) -> tuple[Any, Any, Any, Any]:
    """T's diagonal (…, N) and subdiagonal (…, N-1), and the reflections' vectors and factors.

    The vectors are the columns of (…, N-1, N-1), which belong to the rows after the first.
    """
    size = a.shape[-1]

    def step(a: Any, place: Any) -> Any:
        vector, factor, left = householder.reflection(parts.column(a, place), place + 1)
        across = squeeze(matmul(a, parts.as_column(vector)), axis=-1)
        across = ew.where(parts.count(size) > place, across * factor, 0.0)
        inner = reductions.sum(ew.conj(across) * vector, axis=-1, keepdims=True)
        across = across - vector * (0.5 * factor * inner)
        change = parts.outer(vector, ew.conj(across)) + parts.outer(across, ew.conj(vector))
        rest = a - change
        is_rest = parts.count(size) > place
        rest = ew.where(ew.logical_and(is_rest, parts.as_column(is_rest)), rest, a)
        return rest, (vector, factor[..., 0], ew.real(left[..., 0]))

    found, (vectors, factors, below) = scan(step, a, F.iota(size=size - 1, dtype=int64))
    vectors = moveaxis(vectors, 0, -1)[..., 1:, :]  # (…, N-1, N-1)
    return ew.real(diagonal(found)), moveaxis(below, 0, -1), vectors, moveaxis(factors, 0, -1)


def split(middle: Any, below: Any) -> tuple[Any, Any, Any]:
    """The subdiagonal with what is negligible set to 0; blocks' numbers; where each begins."""
    size = parts.largest(concat([middle, below], axis=-1), 1)
    below = ew.where(ew.abs(below) > size * parts.epsilon(middle.dtype), below, 0.0)
    starts = cast(ew.equal(below, 0.0), int64)
    zero = expand(parts.index(0), (*starts.shape[:-1], 1))
    starts = concat([zero, starts], axis=-1)
    number = F.cumsum(starts, axis=starts.ndim - 1, reverse=False)
    places = expand(parts.count(number.shape[-1]), number.shape)
    is_first = ew.logical_or(ew.equal(starts, 1), ew.equal(places, 0))
    begin = F.cummax(ew.where(is_first, places, 0), axis=places.ndim - 1, reverse=False)
    return below, number, begin


def _along(x: Any) -> Any:
    """The last axis first, to be scanned over; a new last axis stands for the eigenvalues."""
    return parts.as_column(moveaxis(x, -1, 0))


def bisected(middle: Any, below: Any, number: Any, begin: Any) -> Any:
    """For each place p the eigenvalue of p's block whose rank there is p - begin."""
    size, dtype = middle.shape[-1], middle.dtype
    bound = 6.0 * parts.largest(concat([middle, below], axis=-1), 1)
    bound = ew.maximum(bound, parts.tiny(dtype))
    low, high = expand(ew.negative(bound), middle.shape), expand(bound, middle.shape)
    rank = parts.count(size) - begin
    zero = F.zeros_like(middle[..., :1])
    squares = concat([zero, below * below], axis=-1)
    rows = _along(middle), _along(squares), _along(number)
    small = bound * (parts.epsilon(dtype) * 2.0**-10 * parts.epsilon(dtype))
    small = ew.maximum(small, parts.tiny(dtype))

    def counted(x: Any) -> Any:
        """How many eigenvalues of its block are below each x (…, N·POINTS)."""
        mine = concat([number] * POINTS, axis=-1)

        def step(state: Any, one: Any) -> Any:
            pivot, count = state
            here, square, block = one
            pivot = here - x - square / pivot
            pivot = ew.where(ew.abs(pivot) < small, ew.negative(small), pivot)
            is_below = ew.logical_and(pivot < 0.0, ew.equal(block, mine))
            return (pivot, count + cast(is_below, int64)), None

        start = F.full(1.0, x)
        return scan(step, (start, expand(parts.index(0), x.shape)), rows)[0][1]

    def narrow(_: Any, state: Any) -> Any:
        low, high = state
        width = (high - low) * (1.0 / (POINTS + 1))
        points = [low + width * float(n) for n in range(1, POINTS + 1)]
        counts = counted(concat(points, axis=-1))
        new_low, new_high = low, high
        for n in reversed(range(POINTS)):
            enough = counts[..., n * size : (n + 1) * size] > rank
            new_high = ew.where(enough, points[n], new_high)
        for n in range(POINTS):
            few = ew.logical_not(counts[..., n * size : (n + 1) * size] > rank)
            new_low = ew.where(few, points[n], new_low)
        return new_low, new_high

    passes = 28 if dtype is float64 else 14
    low, high = parts.for_each(0, passes, narrow, (low, high))
    return (low + high) * 0.5


def _start(number: Any, dtype: DType) -> Any:
    """Numbers from -1 to 1 that look random, element i of vector p within p's block alone."""
    size = number.shape[-1]
    places = parts.count(size)
    mixed = parts.as_column(places * 2654435761 + 12345) ^ (places * 2246822519 + 374761393)
    for shift, factor in ((13, 1274126177), (16, 3266489917)):
        mixed = ((mixed ^ (mixed >> shift)) * factor) & 0xFFFFFFFF
    mixed = mixed ^ (mixed >> 15)
    values = cast(mixed, dtype) * 2.0**-31 - 1.0
    is_inside = ew.equal(parts.as_column(number), parts.as_row(number))
    return ew.where(is_inside, values, 0.0)


def iterated(middle: Any, below: Any, number: Any, values: Any) -> Any:
    """Vectors (…, N, N) in columns: (T - λ_p I)⁻¹ applied to a start for each p, some times.

    Gaussian elimination with exchanges of neighbouring rows gives rows (u, v, w) of U.
    """
    zero = F.zeros_like(middle[..., :1])
    size = parts.largest(concat([middle, below], axis=-1), 1)
    least = ew.maximum(size * parts.epsilon(middle.dtype), parts.tiny(middle.dtype))
    after = concat([below, zero], axis=-1)  # T's element (i, i+1), and (i+1, i)
    later = concat([middle[..., 1:], zero], axis=-1)
    behind = concat([after[..., 1:], zero], axis=-1)
    rows = [_along(x) for x in (after, later, behind)]

    def solve(b: Any) -> Any:
        b = moveaxis(b, -2, 0)  # (N, …, N): rows first
        following = concat([b[1:], F.zeros_like(b[:1])], axis=0)

        def eliminate(state: Any, one: Any) -> Any:
            pivot, right, own = state  # the row at hand: (pivot, right, 0 | own)
            below, next_middle, next_right, other = one
            next_middle = next_middle - values
            swaps = ew.abs(below) > ew.abs(pivot)
            small = ew.logical_and(ew.abs(pivot) < least, ew.logical_not(swaps))
            pivot = ew.where(small, least, pivot)
            u, v = ew.where(swaps, below, pivot), ew.where(swaps, next_middle, right)
            w = ew.where(swaps, expand(next_right, v.shape), 0.0)
            y = ew.where(swaps, other, own)
            factor = ew.where(swaps, pivot, below) / u
            new = ew.where(swaps, right, next_middle) - factor * v
            new_right = ew.where(swaps, ew.negative(factor) * w, next_right)
            rest = ew.where(swaps, own, other) - factor * y
            return (new, new_right, rest), (u, v, w, y)

        first = middle[..., :1] - values
        state = first, expand(after[..., :1], first.shape), b[0]
        _, found = scan(eliminate, state, (*rows, following))

        def substitute(state: Any, one: Any) -> Any:
            x1, x2 = state
            u, v, w, y = one
            x = (y - v * x1 - w * x2) / u
            return (x, x1), x

        nothing = F.zeros_like(b[0])
        _, x = scan(substitute, (nothing, nothing), found, reverse=True)
        x = moveaxis(x, 0, -2)
        return x / reductions.max(ew.abs(x), axis=-2, keepdims=True)

    return parts.for_each(0, STEPS, lambda _, x: solve(x), _start(number, middle.dtype))

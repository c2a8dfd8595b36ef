"""The Schur form of complex matrices: A = Z T Zᴴ with an upper triangle T, whose diagonal holds the
eigenvalues.

Householder's reflections make A a Hessenberg matrix H. Then steps of the QR algorithm with
Wilkinson's shift μ: H - μ I = Q R becomes R Q + μ I, within the last part of H that does not fall
apart yet. Q is a chain of rotations of neighbouring rows; a scan applies them while it holds the
row at hand. A matrix of a stack whose form is found does not change while others go on.
"""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import complex128, float64, int64
from elinvar.linalg import householder, parts
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions
from elinvar.tensor.control import scan, while_loop
from elinvar.tensor.convert import cast, expand, size_tensor
from elinvar.tensor.creation import triu
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import diagonal, matmul
from elinvar.tensor.manipulation import concat, matrix_transpose, moveaxis, squeeze

STEPS = 30  # of the QR algorithm for each eigenvalue, at most; two or three are usual
EPSILON = 2.0**-52


def below_diagonal(h: Any) -> Any:
    """The elements (i + 1, i)."""
    size = h.shape[-1]
    flat = F.reshape(h, shape=(*h.shape[:-2], size * size))
    return F.gather(flat, parts.count(size - 1) * (size + 1) + size, axis=flat.ndim - 1)


def hessenberg(a: Any, large: bool | None) -> tuple[Any, Any]:
    """H and Z with A = Z H Zᴴ."""
    size = a.shape[-1]
    places = parts.count(size)

    def step(a: Any, place: Any) -> Any:
        vector, factor, _ = householder.reflection(parts.column(a, place), place + 1)
        vector = ew.where(places > place, vector, 0.0)
        across = squeeze(matmul(parts.as_row(ew.conj(vector)), a), axis=-2)
        a = a - parts.outer(vector, ew.conj(factor) * across)
        along = squeeze(matmul(a, parts.as_column(vector)), axis=-1)
        a = a - parts.outer(factor * along, ew.conj(vector))
        is_done = ew.logical_and(ew.equal(places, place), parts.as_column(places) > place + 1)
        return ew.where(is_done, 0.0, a), (vector, factor[..., 0])

    found, (vectors, factors) = scan(step, a, F.iota(size=size - 1, dtype=int64))
    vectors = moveaxis(vectors, 0, -1)[..., 1:, :]
    ones = parts.identity(size, a.dtype, a.shape[:-2])
    later = householder.apply(vectors, moveaxis(factors, 0, -1), ones[..., 1:, :], False, large)
    return triu(found, k=-1), concat([ones[..., :1, :], later], axis=-2)


def _window(below: Any) -> tuple[Any, Any, Any]:
    """First and last row (…, 1) of the last part without zeros below its diagonal; if any."""
    places = expand(parts.count(below.shape[-1]), below.shape)
    is_there = ew.not_equal(below, 0.0)
    last = reductions.max(ew.where(is_there, places + 1, 0), axis=-1, keepdims=True)
    breaks = ew.logical_and(ew.logical_not(is_there), places < last)
    first = reductions.max(ew.where(breaks, places + 1, 0), axis=-1, keepdims=True)
    return first, last, last > 0


def _deflated(h: Any) -> Any:
    """H with elements below the diagonal set to 0 that are small beside their neighbours."""
    size = h.shape[-1]
    middle = ew.abs(diagonal(h))
    below = ew.abs(below_diagonal(h))
    near = middle[..., 1:] + middle[..., :-1]
    norm = parts.largest(h)[..., 0]
    is_small = below <= EPSILON * ew.where(near > 0.0, near, norm)
    nothing = F.constant(value=False, dtype=is_small.dtype)
    padded = concat([is_small, expand(nothing, (*is_small.shape[:-1], 1))], axis=-1)
    places = parts.count(size)
    is_below = ew.equal(parts.as_column(places), places + 1)
    return ew.where(ew.logical_and(is_below, parts.as_row(padded)), 0.0, h)


def _shift(h: Any, last: Any, number: Any) -> Any:
    """The eigenvalue of the last 2 × 2 block that is nearer to its last element (…, 1)."""
    size = h.shape[-1]
    flat = F.reshape(h, shape=(*h.shape[:-2], size * size))
    before = ew.maximum(last - 1, 0)
    a, b = (parts.elements(flat, before * size + c) for c in (before, last))
    c, d = (parts.elements(flat, last * size + c) for c in (before, last))
    half = (a - d) * 0.5
    product = b * c
    root = ew.sqrt(half * half + product)
    opposite = ew.real(ew.conj(half) * root) < 0.0
    sum_ = half + ew.where(opposite, ew.negative(root), root)
    is_zero = ew.equal(sum_, 0.0)
    found = d - ew.where(is_zero, 0.0, product / ew.where(is_zero, 1.0, sum_))
    unusual = d + cast(ew.abs(c) * 0.75, h.dtype)  # a shift that breaks cycles
    return ew.where(ew.equal(number % 10, 9), unusual, found)


def _rotated_rows(x: Any, cosines: Any, sines: Any) -> Any:
    """Rows k and k + 1 turned for k = 0, 1, …: (c̄ x + s̄ y, -s x + c y)."""
    following = moveaxis(x, -2, 0)

    def step(own: Any, one: Any) -> Any:
        other, c, s = one
        c, s = parts.as_column(c), parts.as_column(s)
        return c * other - s * own, ew.conj(c) * own + ew.conj(s) * other

    turns = moveaxis(cosines, -1, 0), moveaxis(sines, -1, 0)
    last, rows = scan(step, following[0], (following[1:], *turns))
    return moveaxis(concat([rows, F.reshape(last, shape=(1, *last.shape))], axis=0), 0, -2)


def _rotations(h: Any, first: Any, last: Any) -> tuple[Any, Any, Any]:
    """R, and the rotations (…, N-1) that make the rows from `first` to `last` a triangle."""
    following = moveaxis(h, -2, 0)
    size = h.shape[-1]

    def step(own: Any, one: Any) -> Any:
        other, place = one
        a, b = parts.column(own, place), parts.column(other, place)
        length = ew.sqrt(parts.squared(a) + parts.squared(b))
        inside = ew.logical_and(place >= first[..., 0], place < last[..., 0])
        inside = ew.logical_and(inside, length > 0.0)
        scale = cast(ew.where(inside, length, 1.0), h.dtype)
        c, s = ew.where(inside, a / scale, 1.0), ew.where(inside, b / scale, 0.0)
        wide = parts.as_column(c), parts.as_column(s)
        new = ew.conj(wide[0]) * own + ew.conj(wide[1]) * other
        return wide[0] * other - wide[1] * own, (new, c, s)

    places = F.iota(size=size - 1, dtype=int64)
    end, (rows, cosines, sines) = scan(step, following[0], (following[1:], places))
    rows = concat([rows, F.reshape(end, shape=(1, *end.shape))], axis=0)
    return moveaxis(rows, 0, -2), moveaxis(cosines, 0, -1), moveaxis(sines, 0, -1)


def schur(a: Any, large: bool | None) -> tuple[Any, Any]:
    """T and Z for complex128 matrices with at least two rows."""
    h, z = hessenberg(a, large)
    size = a.shape[-1]
    places = parts.count(size)
    most = size_tensor(size * STEPS)

    def step(state: Any) -> Any:
        h, z, number, _ = state
        first, last, is_open = _window(below_diagonal(h))
        shift = _shift(h, last, number)
        inside = ew.logical_and(places >= first, places <= last)
        middle = parts.with_diagonal(ew.where(inside, shift, 0.0))
        r, cosines, sines = _rotations(h - middle, first, last)
        turned = _rotated_rows(matrix_transpose(r), ew.conj(cosines), ew.conj(sines))
        new = _deflated(triu(matrix_transpose(turned), k=-1) + middle)
        turned = _rotated_rows(matrix_transpose(z), ew.conj(cosines), ew.conj(sines))
        wide = parts.as_column(is_open)
        h = ew.where(wide, new, h)
        z = ew.where(wide, matrix_transpose(turned), z)
        return h, z, number + 1, _is_open(h)

    def test(state: Any) -> Any:
        return ew.logical_and(state[2] < most, state[3])

    h = _deflated(h)
    h, z, _, _ = while_loop(test, step, (h, z, parts.index(0), _is_open(h)))
    return triu(h), z


def _is_open(h: Any) -> Any:
    return reductions.any(ew.not_equal(below_diagonal(h), 0.0))


def triangle_vectors(t: Any) -> Any:
    """Eigenvectors of upper triangles in columns: (T - t_jj I) x_j = 0, with x_jj = 1."""
    size = t.shape[-1]
    places = parts.count(size)
    values = diagonal(t)
    least = ew.maximum(parts.largest(t)[..., 0] * EPSILON, parts.tiny(float64))

    def step(x: Any, place: Any) -> Any:
        row = parts.row(triu(t, k=1), place)
        total = squeeze(matmul(parts.as_row(row), x), axis=-2)
        apart = parts.as_column(parts.column(values, place)) - values
        apart = ew.where(ew.abs(apart) < least, cast(least, complex128), apart)
        new = ew.where(places > place, ew.negative(total) / apart, 0.0)
        new = ew.where(ew.equal(places, place), 1.0, new)
        return ew.where(parts.as_column(ew.equal(places, place)), parts.as_row(new), x), None

    return scan(step, F.zeros_like(t), F.iota(size=size, dtype=int64), reverse=True)[0]

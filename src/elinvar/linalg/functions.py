"""Functions of matrices that are made of products and systems: powers, exponentials, and others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from elinvar.core.dtypes import int64
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.linalg import checks, general, parts
from elinvar.linalg.rules import differentiable
from elinvar.linalg.systems import inv
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions
from elinvar.tensor.composite import composite
from elinvar.tensor.control import while_loop
from elinvar.tensor.convert import cast, tensor_of
from elinvar.tensor.dispatch import F, apart
from elinvar.tensor.linear import matmul
from elinvar.tensor.manipulation import concat


def matrix_power(x: Any, n: int, /) -> Any:
    """A square matrix to an integer power; of its inverse for negative ones.

    Args:
        n: a Python int. 0 gives identity matrices.

    Shape:
        (…, N, N) → (…, N, N).

    Raises:
        LinAlgError: n is negative and a matrix is singular; see `inv`.

    Example:
        >>> import elinvar as el
        >>> el.linalg.matrix_power(el.asarray([[1, 1], [0, 1]]), 3).tolist()
        [[1, 3], [0, 1]]
    """
    x = tensor_of("matrix_power", x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        fail(ShapeError, "matrix_power", f"expected square matrices, received {x._type}")
    if not isinstance(n, int):
        fail(ValueRangeError, "matrix_power", f"n must be an int, received {n!r:.60}")
    if n == 0:
        return parts.identity(x.shape[-1], x.dtype, x.shape[:-2])
    if n < 0:
        x, n = inv(x), -n
    found = None
    while n:
        if n & 1:
            found = apart(x, x) if found is None else matmul(found, x)
        n >>= 1
        if n:
            x = matmul(x, x)
    return found


def multi_dot(arrays: Sequence[Any], /) -> Any:
    """The product of two or more matrices, in the order that needs the fewest multiplications.

    Args:
        arrays: 2-D tensors; the first one and the last may be 1-D, a row and a column then.

    Example:
        >>> import elinvar as el
        >>> x, y = el.ones((2, 3)), el.ones((3, 2))
        >>> el.linalg.multi_dot([x, y, x]).tolist()
        [[6.0, 6.0, 6.0], [6.0, 6.0, 6.0]]
    """
    matrices = [tensor_of("multi_dot", x) for x in arrays]
    if len(matrices) < 2:
        fail(ValueRangeError, "multi_dot", f"expected at least 2 tensors, received {len(matrices)}")
    is_row, is_column = matrices[0].ndim == 1, matrices[-1].ndim == 1
    if is_row:
        matrices[0] = parts.as_row(matrices[0])
    if is_column:
        matrices[-1] = parts.as_column(matrices[-1])
    for place, x in enumerate(matrices):
        if x.ndim != 2:
            fail(ShapeError, "multi_dot", f"tensor {place} must be 2-D, received {x._type}")
    for a, b in itertools.pairwise(matrices):
        if a.shape[1] != b.shape[0]:
            fail(ShapeError, "multi_dot", f"inner dimensions differ: {a._type} @ {b._type}")
    found = _in_cheapest_order(matrices)
    found = found.squeeze(-2) if is_row else found
    return found.squeeze(-1) if is_column else found


def _in_cheapest_order(matrices: list[Any]) -> Any:
    """Dynamic programming over all parenthesisations (Cormen et al., 15.2)."""
    sizes = [x.shape[0] for x in matrices] + [matrices[-1].shape[1]]
    number = len(matrices)
    if not all(isinstance(size, int) for size in sizes):
        return parts.product(*matrices)
    cost: dict[tuple[int, int], int] = {(i, i): 0 for i in range(number)}
    cut: dict[tuple[int, int], int] = {}
    for length in range(1, number):
        for first in range(number - length):
            last = first + length
            ways = {
                k: cost[first, k]
                + cost[k + 1, last]
                + sizes[first] * sizes[k + 1] * sizes[last + 1]
                for k in range(first, last)
            }
            best = min(ways, key=lambda k: (ways[k], k))
            cost[first, last], cut[first, last] = ways[best], best

    def product(first: int, last: int) -> Any:
        if first == last:
            return matrices[first]
        middle = cut[first, last]
        return matmul(product(first, middle), product(middle + 1, last))

    return product(0, number - 1)


def vander(x: Any, /, *, N: int | None = None, increasing: bool = True) -> Any:
    """Vandermonde matrices: the powers of x as rows.

    Args:
        N: the number of columns; by default that of elements.
        increasing: powers 0, 1, …, N - 1 as in PyTorch, or the other way round as in numpy.

    Shape:
        (…, M) → (…, M, N).

    Example:
        >>> import elinvar as el
        >>> el.linalg.vander(el.asarray([2, 3])).tolist()
        [[1, 2], [1, 3]]
        >>> el.linalg.vander(el.asarray([2, 3]), N=3, increasing=False).tolist()
        [[4, 2, 1], [9, 3, 1]]
    """
    x = tensor_of("vander", x)
    if not x.ndim:
        fail(ShapeError, "vander", f"expected at least 1 dimension, received {x._type}")
    number = x.shape[-1] if N is None else N
    if N is not None and (not isinstance(N, int) or N < 0):
        fail(ValueRangeError, "vander", f"N must be an int from 0 on, received {N!r:.60}")
    wide = parts.as_column(x)
    ones = ew.where(ew.equal(parts.count(number), 0), 1, wide)
    found = F.cumprod(cast(ones, x.dtype), axis=ones.ndim - 1, reverse=False)
    return found if increasing else F.flip(found, axes=(found.ndim - 1,))


# ---- the exponential ----------------------------------------------------------------------------

# Padé's approximation of degree 13, and the norm up to which it is accurate (Higham 2005)
_COEFFICIENTS = [
    math.factorial(26 - j) // (math.factorial(j) * math.factorial(13 - j)) for j in range(14)
]
_LARGEST = 5.371920351148152


@composite
def _exponential(x: Any, *, large: bool | None) -> Any:
    """exp(A) = r(A / 2ˢ)^(2ˢ), r = p / q the Padé approximant of degree 13, s for each matrix."""
    size = x.shape[-1]
    totals = reductions.sum(ew.abs(x), axis=-2, keepdims=True)
    largest = reductions.max(totals, axis=-1, keepdims=True)
    ratio = parts.power_of_two(largest * (1.0 / _LARGEST)) * 2.0
    ratio = ew.where(largest > _LARGEST, ratio, 1.0)
    a = x / cast(ratio, x.dtype)
    ones = parts.identity(size, x.dtype, x.shape[:-2])
    b = [float(c) / float(_COEFFICIENTS[0]) for c in _COEFFICIENTS]
    two = matmul(a, a)
    four = matmul(two, two)
    six = matmul(four, two)
    inner = matmul(six, six * b[13] + four * b[11] + two * b[9])
    odd = matmul(a, inner + six * b[7] + four * b[5] + two * b[3] + ones * b[1])
    inner = matmul(six, six * b[12] + four * b[10] + two * b[8])
    even = inner + six * b[6] + four * b[4] + two * b[2] + ones * b[0]
    found, order, _ = general.factor(even - odd, large=large)
    found = general.substituted(found, order, even + odd, adjoint=False, large=large)
    squarings = cast(ew.log2(ew.where(ratio < float("inf"), ratio, 1.0)), int64)

    def square(state: Any) -> Any:
        place, found = state
        return place + 1, ew.where(place < squarings, matmul(found, found), found)

    def test(state: Any) -> Any:
        return state[0] < reductions.max(squarings)

    return while_loop(test, square, (parts.index(0), found))[1]


def _derive(operands: Any, results: Any, cotangents: Any) -> Any:
    """Ā is the upper right block of exp([[Aᴴ, Ḡ], [0, Aᴴ]]) (Mathias 1996; Higham 2008, 3.2)."""
    across = parts.adjoint(operands[0])
    size = across.shape[-1]
    above = concat([across, cotangents[0]], axis=-1)
    below = concat([F.zeros_like(across), across], axis=-1)
    return (exponential(concat([above, below], axis=-2))[..., :size, size:],)


@differentiable(_derive)
def exponential(x: Any) -> Any:
    """`_exponential` with its derivative."""
    if checks.is_empty(x):
        return F.zeros_like(x)
    return _exponential(x, large=parts.is_large(x.shape[-1]))


def matrix_exp(x: Any, /) -> Any:
    """The exponential of square matrices: Σ Aᵏ / k!.

    By scaling and squaring with a Padé approximant of degree 13 (Higham 2005, "The scaling and
    squaring method for the matrix exponential revisited").

    Shape:
        (…, N, N) → (…, N, N).

    Example:
        >>> import elinvar as el
        >>> el.linalg.matrix_exp(el.asarray([[0.0, 2.0], [0.0, 0.0]])).tolist()
        [[1.0, 2.0], [0.0, 1.0]]
    """
    dtype = checks.original("matrix_exp", x)
    found = exponential(checks.square("matrix_exp", x))
    return cast(found, checks.narrow(found.dtype, dtype))

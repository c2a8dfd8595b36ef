"""Small parts of which the decompositions are made: indices, rows and columns, masks, loops.

A loop works on whole matrices and masks what is done already. So its operations have one shape in
all steps, one compiled program serves every size, and leading axes (stacks of matrices) come free.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core.dtypes import DType, float32, float64, int32, int64
from elinvar.core.shapes import Dim, DimLike
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions
from elinvar.tensor.control import cond, while_loop
from elinvar.tensor.convert import expand, size_tensor
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import matmul
from elinvar.tensor.manipulation import expand_dims, matrix_transpose
from elinvar.tensor.searching import flat_positions

BLOCK = 32  # columns of a panel
SMALL = 64  # matrices up to this size are one panel


def adjoint(x: Any) -> Any:
    """xᴴ: the conjugate transpose of matrices."""
    return ew.conj(matrix_transpose(x))


def count(size: DimLike) -> Any:
    """0, 1, …, size - 1."""
    return F.iota(size=size, dtype=int64)


def index(value: int) -> Any:
    """A place as a 0-d tensor."""
    return F.constant(value=value, dtype=int64)


def identity(size: DimLike, dtype: DType, lead: tuple[DimLike, ...] = ()) -> Any:
    """Identity matrices."""
    places = count(size)
    one = F.cast(ew.equal(expand_dims(places, axis=-1), places), dtype=dtype)
    return expand(one, (*lead, size, size))


def row(x: Any, place: Any) -> Any:
    """x[…, place, :] for one place (0-d)."""
    return F.gather(x, place, axis=x.ndim - 2)


def column(x: Any, place: Any) -> Any:
    """x[…, :, place] for one place (0-d); of vectors their element."""
    return F.gather(x, place, axis=x.ndim - 1)


def rows(x: Any, places: Any) -> Any:
    """Rows of matrices, in each matrix of the stack others: places is (…, count)."""
    if x.ndim == 2:
        return F.gather(x, places, axis=0)
    wide = (*places.shape, x.shape[-1])
    chosen = flat_positions(x.shape, expand(expand_dims(places, axis=-1), wide), x.ndim - 2)
    return F.gather(F.reshape(x, shape=(x._type.size,)), chosen, axis=0)


def columns(x: Any, places: Any) -> Any:
    """Columns of matrices, in each matrix of the stack others: places is (…, count)."""
    if x.ndim == 2:
        return F.gather(x, places, axis=1)
    chosen = expand(expand_dims(places, axis=-2), (*x.shape[:-1], places.shape[-1]))
    chosen = flat_positions(x.shape, chosen, x.ndim - 1)
    return F.gather(F.reshape(x, shape=(x._type.size,)), chosen, axis=0)


def elements(x: Any, places: Any) -> Any:
    """Elements of vectors, in each vector of the stack others: places is (…, count)."""
    if x.ndim == 1:
        return F.gather(x, places, axis=0)
    chosen = flat_positions(x.shape, places, x.ndim - 1)
    return F.gather(F.reshape(x, shape=(x._type.size,)), chosen, axis=0)


def element(x: Any, place: Any) -> Any:
    """One element of each vector: place is (…)."""
    return F.reshape(elements(x, expand_dims(place, axis=-1)), shape=place.shape)


def outer(x: Any, y: Any) -> Any:
    """The matrices x[…, i] · y[…, j]."""
    return ew.multiply(expand_dims(x, axis=-1), expand_dims(y, axis=-2))


def as_column(x: Any) -> Any:
    """x[…, None]."""
    return expand_dims(x, axis=-1)


def as_row(x: Any) -> Any:
    """x[…, None, :]."""
    return expand_dims(x, axis=-2)


def squared(x: Any) -> Any:
    """|x|², a real number."""
    return ew.real(ew.multiply(x, ew.conj(x)))


def real_dtype(dtype: DType) -> DType:
    """The dtype of |x|."""
    if dtype.kind != "c":
        return dtype
    return float32 if dtype.bits == 64 else float64


def epsilon(dtype: DType) -> float:
    """The distance from 1 to the next larger number."""
    return 2.0**-52 if real_dtype(dtype) is float64 else 2.0**-23


def tiny(dtype: DType) -> float:
    """The smallest normal number."""
    return 2.0**-1022 if real_dtype(dtype) is float64 else 2.0**-126


def for_each(first: Any, last: Any, body: Callable[[Any, Any], Any], state: Any) -> Any:
    """state = body(i, state) for i = first … last - 1, which are 0-d tensors or ints."""
    first = index(first) if isinstance(first, int) else first
    last = size_tensor(last) if isinstance(last, int | Dim) else last

    def step(pair: Any) -> Any:
        place, held = pair
        return place + 1, body(place, held)

    return while_loop(lambda pair: ew.less(pair[0], last), step, (first, state))[1]


def for_blocks(size: DimLike, body: Callable[[Any, Any], Any], state: Any) -> Any:
    """state = body(start, state) for start = 0, BLOCK, 2 · BLOCK, … below size."""
    last = size_tensor(size)

    def step(pair: Any) -> Any:
        place, held = pair
        return place + BLOCK, body(place, held)

    return while_loop(lambda pair: ew.less(pair[0], last), step, (index(0), state))[1]


def is_large(size: DimLike) -> bool | None:
    """Whether matrices of a size are cut into panels; None for an open size."""
    return size > SMALL if isinstance(size, int) else None


def by_size(
    large: bool | None,
    size: DimLike,
    small_way: Callable[..., Any],
    large_way: Callable[..., Any],
    *xs: Any,
) -> Any:
    """`small_way(*xs)` or `large_way(*xs)` as `large` says; if it is None, the program decides.

    Programs of eager mode leave sizes open, so `is_large` is asked outside of them.
    """
    if large is not None:
        return large_way(*xs) if large else small_way(*xs)
    return cond(ew.less_equal(size_tensor(size), SMALL), small_way, large_way, *xs)


def largest(x: Any, axes: int = 2) -> Any:
    """max |x| over the last axes, kept with size 1."""
    return reductions.max(ew.abs(x), axis=tuple(range(-axes, 0)), keepdims=True)


def product(*matrices: Any) -> Any:
    """The product of matrices, from the left."""
    found = matrices[0]
    for x in matrices[1:]:
        found = matmul(found, x)
    return found


def halved_diagonal(x: Any) -> Any:
    """Half of the diagonals of square matrices, zeros elsewhere."""
    places = count(x.shape[-1])
    return ew.where(ew.equal(as_column(places), places), x * 0.5, 0.0)


def with_diagonal(values: Any) -> Any:
    """Square matrices with these diagonals, zeros elsewhere."""
    places = count(values.shape[-1])
    return ew.where(ew.equal(as_column(places), places), as_row(values), 0.0)


def size(dim: DimLike) -> Any:
    """A size as a 0-d tensor."""
    return size_tensor(dim)


def power_of_two(x: Any) -> Any:
    """The largest power of two up to x > 0; 1 for 0 and numbers below the normal ones."""
    if x.dtype is float64:
        bits, mask = F.bitcast(x, dtype=int64), 0x7FF << 52
        found = F.bitcast(ew.bitwise_and(bits, F.constant(value=mask, dtype=int64)), dtype=float64)
    else:
        bits, mask = F.bitcast(x, dtype=int32), 0xFF << 23
        found = F.bitcast(ew.bitwise_and(bits, F.constant(value=mask, dtype=int32)), dtype=float32)
    return ew.where(found > 0.0, found, 1.0)


def frobenius(x: Any) -> Any:
    """‖A‖_F of matrices (…, 1, 1), where squares do not overflow; 1 in place of 0."""
    found = ew.sqrt(reductions.sum(squared(x), axis=(-2, -1), keepdims=True))
    return ew.where(found > 0.0, found, 1.0)

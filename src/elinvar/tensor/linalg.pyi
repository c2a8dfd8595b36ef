# Made by `python tools/type_stubs.py` from the op table and the sources. Do not edit.

from collections.abc import Sequence

from elinvar.tensor.tensor import Tensor, _ArrayLike, _Axis, _DTypeLike

def cross(x1: _ArrayLike, x2: _ArrayLike, /, *, axis: int = -1) -> Tensor:
    """The cross product of vectors of three along an axis."""

def diagonal(x: _ArrayLike, /, *, offset: int = 0) -> Tensor:
    """The diagonals of matrices: the elements (i, i + offset) of the last two axes."""

def matmul(
    x1: _ArrayLike,
    x2: _ArrayLike,
    /,
    *,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """The matrix product x1 @ x2."""

def matrix_norm(
    x: _ArrayLike,
    /,
    *,
    keepdims: bool = False,
    ord: float | str = "fro",
) -> Tensor:
    """Norms of matrices: "fro", 1, -1, ∞ or -∞."""

def matrix_power(x: _ArrayLike, n: int, /) -> Tensor:
    """A square matrix multiplied n times with itself (n ≥ 0)."""

def matrix_transpose(x: _ArrayLike, /) -> Tensor:
    """The last two axes exchanged."""

def outer(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """All products of two 1-D tensors: result[i, j] = x1[i] · x2[j]."""

def tensordot(
    x1: _ArrayLike,
    x2: _ArrayLike,
    /,
    *,
    axes: int | tuple[Sequence[int], Sequence[int]] = 2,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """The sum of products over pairs of axes."""

def trace(
    x: _ArrayLike,
    /,
    *,
    offset: int = 0,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """The sums of the diagonals of matrices."""

def vecdot(
    x1: _ArrayLike,
    x2: _ArrayLike,
    /,
    *,
    axis: int = -1,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """The dot product of vectors along an axis: Σ conj(x1) · x2; other axes broadcast."""

def vector_norm(
    x: _ArrayLike,
    /,
    *,
    axis: _Axis = None,
    keepdims: bool = False,
    ord: float = 2,
) -> Tensor:
    """The norm of vectors along axes: (Σ |x|^ord)^(1/ord); ∞, -∞ and 0 as in the standard."""

__all__ = [
    "cross",
    "diagonal",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_transpose",
    "outer",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]

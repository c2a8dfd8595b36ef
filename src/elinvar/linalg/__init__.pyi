# Made by `python tools/type_stubs.py` from the op table and the sources. Do not edit.

from collections.abc import Sequence

from elinvar.core.errors import LinAlgError as LinAlgError
from elinvar.linalg.hermitian import EighResult
from elinvar.linalg.inverses import LstsqResult
from elinvar.linalg.more import LUFactorEx, SolveEx
from elinvar.linalg.nonsymmetric import EigResult
from elinvar.linalg.orthogonal import QRResult
from elinvar.linalg.positive import CholeskyEx
from elinvar.linalg.singular import SVDResult
from elinvar.linalg.systems import LU, InvEx, LUFactor, SlogdetResult
from elinvar.tensor.tensor import Tensor, _ArrayLike, _Axis, _DTypeLike

def cholesky(x: _ArrayLike, /, *, upper: bool = False) -> Tensor:
    """Cholesky's decomposition: A = L Lᴴ, or A = Uᴴ U with upper=True."""

def cholesky_ex(x: _ArrayLike, /, *, upper: bool = False) -> CholeskyEx:
    """`cholesky` that never raises, and tells which matrices have no decomposition."""

def cholesky_solve(
    b: _ArrayLike,
    factor: _ArrayLike,
    /,
    *,
    upper: bool = False,
) -> Tensor:
    """The solution of A X = B, where A = L Lᴴ (or Uᴴ U) is given by its factor."""

def cond(x: _ArrayLike, p: _ArrayLike | None = None, /) -> Tensor:
    """Condition numbers of matrices: ‖A‖ · ‖A⁻¹‖ in a norm; infinite for singular ones."""

def cross(x1: _ArrayLike, x2: _ArrayLike, /, *, axis: int = -1) -> Tensor:
    """The cross product of vectors of three along an axis."""

def det(x: _ArrayLike, /) -> Tensor:
    """The determinants of square matrices."""

def diagonal(x: _ArrayLike, /, *, offset: int = 0) -> Tensor:
    """The diagonals of matrices: the elements (i, i + offset) of the last two axes."""

def eig(x: _ArrayLike, /) -> EigResult:
    """Eigenvalues and eigenvectors of square matrices of any kind: A V = V diag(λ)."""

def eigh(x: _ArrayLike, /) -> EighResult:
    """Eigenvalues and eigenvectors of Hermitian (symmetric) matrices: A = V diag(λ) Vᴴ."""

def eigvals(x: _ArrayLike, /) -> Tensor:
    """The eigenvalues of square matrices of any kind, complex and in no particular order."""

def eigvalsh(x: _ArrayLike, /) -> Tensor:
    """The eigenvalues of Hermitian (symmetric) matrices in increasing order; see `eigh`."""

def householder_product(x: _ArrayLike, tau: _ArrayLike, /) -> Tensor:
    """The first columns of a product of Householder's reflections, H₁ H₂ … H_K."""

def inv(x: _ArrayLike, /) -> Tensor:
    """The inverse of square matrices."""

def inv_ex(x: _ArrayLike, /) -> InvEx:
    """`inv` that never raises, and tells which matrices are singular."""

def lstsq(
    a: _ArrayLike,
    b: _ArrayLike,
    /,
    rcond: _ArrayLike | None = None,
    *,
    rtol: _ArrayLike | None = None,
) -> LstsqResult:
    """The X of least ‖A X - B‖, and of these the one of least norm: X = A⁺ B."""

def lu(x: _ArrayLike, /) -> LU:
    """LU decomposition with partial pivoting: A = P L U."""

def lu_factor(x: _ArrayLike, /) -> LUFactor:
    """LU decomposition with partial pivoting, in the form that `lu_solve` takes."""

def lu_factor_ex(x: _ArrayLike, /) -> LUFactorEx:
    """`lu_factor` that tells which matrices have a zero on U's diagonal."""

def lu_solve(
    factors: _ArrayLike,
    pivots: _ArrayLike,
    b: _ArrayLike,
    /,
    *,
    left: bool = True,
    adjoint: bool = False,
) -> Tensor:
    """The solution of A X = B from the decomposition that `lu_factor` gave."""

def matmul(
    x1: _ArrayLike,
    x2: _ArrayLike,
    /,
    *,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """The matrix product x1 @ x2."""

def matrix_exp(x: _ArrayLike, /) -> Tensor:
    """The exponential of square matrices: Σ Aᵏ / k!."""

def matrix_norm(
    x: _ArrayLike,
    /,
    *,
    keepdims: bool = False,
    ord: float | str = "fro",
) -> Tensor:
    """Norms of matrices (…, M, N)."""

def matrix_power(x: _ArrayLike, n: int, /) -> Tensor:
    """A square matrix to an integer power; of its inverse for negative ones."""

def matrix_rank(x: _ArrayLike, /, *, rtol: _ArrayLike | None = None) -> Tensor:
    """The number of singular values above rtol · σ_max."""

def matrix_transpose(x: _ArrayLike, /) -> Tensor:
    """The last two axes exchanged."""

def multi_dot(arrays: Sequence[_ArrayLike], /) -> Tensor:
    """The product of two or more matrices, in the order that needs the fewest …"""

def norm(
    x: _ArrayLike,
    /,
    ord: float | str | None = None,
    axis: _Axis = None,
    *,
    keepdims: bool = False,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """The norm of vectors or matrices, as `numpy.linalg.norm` and `torch.linalg.norm` …"""

def outer(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """All products of two 1-D tensors: result[i, j] = x1[i] · x2[j]."""

def pinv(x: _ArrayLike, /, *, rtol: _ArrayLike | None = None) -> Tensor:
    """The Moore-Penrose pseudo-inverse: V diag(1/σ) Uᴴ, where small σ count as 0."""

def qr(x: _ArrayLike, /, *, mode: str = "reduced") -> QRResult:
    """QR decomposition: A = Q R with orthonormal columns Q and an upper triangle R."""

def slogdet(x: _ArrayLike, /) -> SlogdetResult:
    """The sign and the logarithm of the absolute value of determinants."""

def solve(a: _ArrayLike, b: _ArrayLike, /, *, left: bool = True) -> Tensor:
    """The solution of A X = B."""

def solve_ex(a: _ArrayLike, b: _ArrayLike, /, *, left: bool = True) -> SolveEx:
    """`solve` that never raises, and tells which matrices are singular."""

def solve_triangular(
    a: _ArrayLike,
    b: _ArrayLike,
    /,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
) -> Tensor:
    """The solution of A X = B (or X A = B) for triangular A."""

def svd(x: _ArrayLike, /, *, full_matrices: bool = True) -> SVDResult:
    """Singular value decomposition: A = U diag(σ) Vᴴ."""

def svdvals(x: _ArrayLike, /) -> Tensor:
    """The singular values of matrices in decreasing order."""

def tensordot(
    x1: _ArrayLike,
    x2: _ArrayLike,
    /,
    axes: int | tuple[Sequence[int], Sequence[int]] = 2,
    *,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """The sum of products over pairs of axes."""

def tensorinv(x: _ArrayLike, /, ind: int = 2) -> Tensor:
    """The inverse of what `tensordot(x, ·, ind)` does."""

def tensorsolve(
    a: _ArrayLike,
    b: _ArrayLike,
    /,
    axes: Sequence[int] | None = None,
) -> Tensor:
    """The X with tensordot(A, X, X.ndim) = B."""

def trace(
    x: _ArrayLike,
    /,
    *,
    offset: int = 0,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """The sums of the diagonals of matrices."""

def vander(
    x: _ArrayLike,
    /,
    *,
    N: int | None = None,
    increasing: bool = True,
) -> Tensor:
    """Vandermonde matrices: the powers of x as rows."""

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
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cholesky_solve",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vander",
    "vecdot",
    "vector_norm",
]

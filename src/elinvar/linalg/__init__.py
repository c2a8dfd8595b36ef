"""Linear algebra by the Array API standard's names and PyTorch's: what `elinvar.linalg` offers."""

from __future__ import annotations

from elinvar.core.errors import LinAlgError
from elinvar.linalg.functions import matrix_exp, matrix_power, multi_dot, vander
from elinvar.linalg.hermitian import eigh, eigvalsh
from elinvar.linalg.inverses import cond, lstsq, matrix_rank, pinv
from elinvar.linalg.more import (
    householder_product,
    lu_factor_ex,
    solve_ex,
    tensorinv,
    tensorsolve,
)
from elinvar.linalg.nonsymmetric import eig, eigvals
from elinvar.linalg.norms import matrix_norm, norm
from elinvar.linalg.orthogonal import qr
from elinvar.linalg.positive import cholesky, cholesky_ex, cholesky_solve
from elinvar.linalg.singular import svd, svdvals
from elinvar.linalg.systems import det, inv, inv_ex, lu, lu_factor, lu_solve, slogdet, solve
from elinvar.linalg.triangular import solve_triangular
from elinvar.tensor.linear import cross, diagonal, matmul, outer, tensordot, trace, vecdot
from elinvar.tensor.manipulation import matrix_transpose
from elinvar.tensor.reductions import vector_norm

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

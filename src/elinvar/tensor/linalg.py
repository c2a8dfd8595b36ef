"""Linear algebra by the Array API standard's names: what `elinvar.linalg` offers."""

from __future__ import annotations

from elinvar.tensor.linear import (
    cross,
    diagonal,
    matmul,
    matrix_norm,
    matrix_power,
    outer,
    tensordot,
    trace,
    vecdot,
)
from elinvar.tensor.manipulation import matrix_transpose
from elinvar.tensor.reductions import vector_norm

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

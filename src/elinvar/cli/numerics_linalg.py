"""The family of linear algebra."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from elinvar.cli.numerics_inputs import numbers
from elinvar.cli.numerics_items import Item, Operands
from elinvar.core.dtypes import DType, float32, float64
from elinvar.linalg import functions, hermitian, inverses, orthogonal, positive, singular, systems
from elinvar.tensor import random
from elinvar.tensor.creation import eye
from elinvar.tensor.linear import matmul
from elinvar.tensor.tensor import Tensor

_SHAPES = ((2, 5, 5), (33, 33), (70, 70))  # a stack, one panel, several panels


def linear_algebra() -> Iterator[Item]:
    """Factorizations, systems and what is made of them, of small and of large matrices."""
    for dtype in (float32, float64):
        word = dtype.short
        square, two = _of(dtype, 1), _of(dtype, 2)
        yield Item(f"lu {word}", systems.lu_factor, square)
        yield Item(f"det {word}", systems.det, square)
        yield Item(f"solve {word}", systems.solve, two, 2)
        yield Item(f"inv {word}", systems.inv, square, 1)
        yield Item(f"cholesky {word}", _positive(positive.cholesky), square, 1)
        yield Item(f"qr {word}", orthogonal.qr, square, 1)
        yield Item(f"eigh {word}", hermitian.eigh, square, 1)
        yield Item(f"svd {word}", singular.svd, square)
        yield Item(f"pinv {word}", inverses.pinv, square)
        yield Item(f"matrix_exp {word}", functions.matrix_exp, square)


def _of(dtype: DType, count: int) -> Callable[[random.Generator, int], Iterable[Operands]]:
    def make(source: random.Generator, _: int) -> Iterable[Operands]:
        for shape in _SHAPES:
            yield tuple(numbers(source, *shape, dtype=dtype) for _ in range(count))

    return make


def _positive(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of a positive definite matrix that is made of any."""

    def run(x: Tensor) -> Any:
        return function(matmul(x, x.mT) + eye(x.shape[-1], dtype=x.dtype))

    return run

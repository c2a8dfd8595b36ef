"""numpy: its products run in the OpenBLAS that its wheel brings."""

from __future__ import annotations

import numpy as np

from benchmarks.engines.base import Engine, Prepared, normal


class Numpy(Engine):
    """numpy; the number of threads is set in the environment before it starts."""

    version = np.__version__

    def matmul(self, m: int, n: int, k: int, left: str, right: str) -> Prepared:
        """One operation; transposed operands are views."""
        a = normal(1, m, k) if left == "plain" else normal(1, k, m).T
        b = normal(2, k, n) if right == "plain" else normal(2, n, k).T
        return Prepared(lambda: a @ b)


ENGINE = Numpy

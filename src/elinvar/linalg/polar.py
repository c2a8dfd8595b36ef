"""The Hermitian factor of polar decompositions: A = U H with U Uᴴ = I, H = (Aᴴ A)^½.

Halley's iteration with weights for the worst case brings all singular values above ε ‖A‖ to 1:

    X ← X (a I + b Xᴴ X) (I + c Xᴴ X)⁻¹

While c is large it is computed by a QR decomposition of (√c X; I), then by Cholesky's. Backward
stable, and the number of steps is known beforehand (Nakatsukasa, Bai and Gygi 2010; Nakatsukasa
and Higham 2013).
"""

from __future__ import annotations

import math
from typing import Any

from elinvar.linalg import householder, parts, positive
from elinvar.linalg.triangular import solve_triangle
from elinvar.tensor.convert import cast
from elinvar.tensor.dispatch import F
from elinvar.tensor.linear import matmul
from elinvar.tensor.manipulation import concat

STABLE = 100.0  # c up to which Cholesky's decomposition is accurate


def weights(epsilon: float) -> list[tuple[float, float, float]]:
    """(a, b, c) of each step, from a lower bound of the singular values: ε to 1 - ε."""
    found: list[tuple[float, float, float]] = []
    low = epsilon
    while 1.0 - low > 4.0 * epsilon and len(found) < 8:
        square = low * low
        d = (4.0 * (1.0 - square) / (square * square)) ** (1.0 / 3.0)
        root = math.sqrt(1.0 + d)
        a = root + 0.5 * math.sqrt(8.0 - 4.0 * d + 8.0 * (2.0 - square) / (square * root))
        b = (a - 1.0) ** 2 / 4.0
        c = a + b - 1.0
        low = min(low * (a + b * square) / (1.0 + c * square), 1.0)
        found.append((a, b, c))
    return found


def hermitian_factor(a: Any) -> Any:
    """H for square matrices."""
    size = a.shape[-1]
    bound = cast(parts.frobenius(a), a.dtype)
    x = a / bound
    ones = parts.identity(size, a.dtype, a.shape[:-2])
    for first, second, third in weights(parts.epsilon(a.dtype)):
        ratio = second / third
        if third > STABLE:
            root = math.sqrt(third)
            found, factors = householder.reduce(concat([x * root, ones], axis=-2), size, True)
            start = concat([ones, F.zeros_like(ones)], axis=-2)
            q = householder.apply(found, factors, start, False, True)
            upper, lower = q[..., :size, :], q[..., size:, :]
            x = x * ratio + matmul(upper, parts.adjoint(lower)) * ((first - ratio) / root)
        else:
            inner = ones + matmul(parts.adjoint(x), x) * third
            lower = positive.factor(inner, large=True)[0]
            turned = solve_triangle(lower, parts.adjoint(x), upper=False, unit=False, large=True)
            turned = solve_triangle(
                parts.adjoint(lower), turned, upper=True, unit=False, large=True
            )
            x = x * ratio + parts.adjoint(turned) * (first - ratio)
    found = matmul(parts.adjoint(x), a)
    return (found + parts.adjoint(found)) * 0.5

"""QR decomposition: A = Q R."""

from __future__ import annotations

from typing import Any, NamedTuple

from elinvar.core.errors import GradientError, ValueRangeError, fail
from elinvar.linalg import checks, householder, parts
from elinvar.linalg.general import least
from elinvar.linalg.rules import differentiable, zeros_where_none
from elinvar.linalg.triangular import solved
from elinvar.tensor import elementwise as ew
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, expand
from elinvar.tensor.creation import tril, triu, zeros
from elinvar.tensor.linear import matmul
from elinvar.tensor.manipulation import concat
from elinvar.tensor.tensor import Tensor

MODES = ("reduced", "complete", "r")


class QRResult(NamedTuple):
    """Results of `qr`."""

    Q: Tensor
    R: Tensor


@composite
def factor(x: Any, *, complete: bool, large: bool | None) -> tuple[Any, Any]:
    """Q (M × K, or M × M) and R (K × N, or M × N)."""
    height, width = x.shape[-2:]
    size = least(height, width)
    found, factors = householder.reduce(x, size, large)
    columns = height if complete else size
    ones = rectangle(height, columns, x.dtype, x.shape[:-2])
    upper = triu(found) if complete or height == size else triu(found[..., :size, :])
    return householder.apply(found, factors, ones, False, large), upper


def rectangle(height: Any, width: Any, dtype: Any, lead: Any) -> Any:
    """The first columns of identity matrices."""
    ones = ew.equal(parts.as_column(parts.count(height)), parts.count(width))
    return expand(cast(ones, dtype), (*lead, height, width))


def _derive(operands: Any, results: Any, cotangents: Any, *, complete: bool) -> Any:
    """A = Q R: Ā = (Q̄ + Q copyltu(M)) R⁻ᴴ, M = R R̄ᴴ - Q̄ᴴ Q (Walter and Lehmann 2018; Roberts
    and Roberts 2020). copyltu(M): M's lower triangle, and its adjoint above the diagonal.

    Of a wide matrix (X Y) = Q (U V) the part V = Qᴴ Y adds Ȳ = Q V̄, and Y V̄ᴴ to Q̄.
    """
    (x,) = operands
    q, r = results
    height, width = x.shape[-2:]
    if complete and height > width:
        text = "mode='complete' has no derivative for more rows than columns"
        fail(GradientError, "qr", text, "use mode='reduced'")
    g_q, g_r = zeros_where_none(cotangents, results)
    rest = None
    if width > height:
        rest = matmul(q, g_r[..., height:])
        g_q = g_q + matmul(x[..., height:], parts.adjoint(g_r[..., height:]))
        r, g_r = r[..., :height], g_r[..., :height]
    middle = matmul(r, parts.adjoint(triu(g_r))) - matmul(parts.adjoint(g_q), q)
    below = tril(middle, k=-1)
    half = ew.real(parts.halved_diagonal(middle))
    both = below + parts.adjoint(below) + cast(half + half, middle.dtype)
    turned = parts.adjoint(g_q + matmul(q, both))
    found = parts.adjoint(solved(r, turned, upper=True, unit=False))
    return (found if rest is None else concat([found, rest], axis=-1),)


@differentiable(_derive)
def factored(x: Any, *, complete: bool) -> tuple[Any, Any]:
    """`factor` with its derivative."""
    height, width = x.shape[-2:]
    size = least(height, width)
    if checks.is_empty(x):
        rows = height if complete else size
        q = rectangle(height, rows, x.dtype, x.shape[:-2])
        return q, zeros((*x.shape[:-2], rows, width), dtype=x.dtype)
    found: tuple[Any, Any] = factor(x, complete=complete, large=parts.is_large(size))
    return found


def qr(x: Any, /, *, mode: str = "reduced") -> QRResult:
    """QR decomposition: A = Q R with orthonormal columns Q and an upper triangle R.

    Args:
        mode: "reduced": Q is M × K and R is K × N, with K = min(M, N); "complete": M × M and M × N;
            "r": the reduced R, and an empty Q.

    Shape:
        (…, M, N) → (…, M, K), (…, K, N).

    R's diagonal has the signs that LAPACK gives it, not always positive ones. The derivative needs
    linearly independent columns (of a wide matrix: its first M); else it is infinite or NaN.

    Example:
        >>> import elinvar as el
        >>> q, r = el.linalg.qr(el.asarray([[3.0, 1.0], [4.0, 2.0]]))
        >>> el.allclose(q @ r, el.asarray([[3.0, 1.0], [4.0, 2.0]])), round(r[0, 0].item(), 4)
        (True, -5.0)
    """
    if mode not in MODES:
        fail(ValueRangeError, "qr", f"mode must be one of {MODES}, received {mode!r}")
    dtype = checks.original("qr", x)
    q, r = factored(checks.matrix("qr", x), complete=mode == "complete")
    narrow = checks.narrow(r.dtype, dtype)
    if mode == "r":
        return QRResult(zeros((0,), dtype=narrow), cast(r, narrow))
    return QRResult(cast(q, narrow), cast(r, narrow))

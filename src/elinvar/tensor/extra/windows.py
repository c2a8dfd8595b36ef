"""Window functions by NumPy's names: weights that fall off towards both ends."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from elinvar.core.dtypes import default_float, float64
from elinvar.core.errors import TraceError, fail
from elinvar.tensor import elementwise as ew
from elinvar.tensor.convert import cast, optional_dtype
from elinvar.tensor.creation import checked_shape, copy_array
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra.special_error import i0


def _window(op: str, n: int) -> tuple[Any, int]:
    (count,) = checked_shape(op, (n,))
    if not isinstance(count, int):
        fail(TraceError, op, f"the number of values must be known, received {count}")
    places = np.arange(count, dtype=np.float64)
    return places, max(count - 1, 1)


def _cosines(op: str, n: int, weights: tuple[float, ...], dtype: Any) -> Any:
    """Σ weights[k] · cos(2πk·i / (n - 1)); both halves are the same numbers."""
    places, last = _window(op, n)
    folded = np.minimum(places, last - places) if n > 1 else places
    share = ew.multiply(copy_array(folded, float64), 2 * math.pi / last)
    total: Any = weights[0]
    for k, weight in enumerate(weights[1:], 1):
        total = ew.add(ew.multiply(F.cos(ew.multiply(share, float(k))), weight), total)
    if n == 1:
        total = ew.add(ew.multiply(share, 0.0), 1.0)
    return cast(total, optional_dtype(dtype) or default_float)


def hanning(n: int, /, *, dtype: Any = None) -> Any:
    """The Hann window: ½ - ½ cos(2πi / (n - 1)).

    Example:
        >>> import elinvar as el
        >>> el.hanning(3).tolist()
        [0.0, 1.0, 0.0]
    """
    return _cosines("hanning", n, (0.5, -0.5), dtype)


def hamming(n: int, /, *, dtype: Any = None) -> Any:
    """The Hamming window: 0.54 - 0.46 cos(2πi / (n - 1)).

    Example:
        >>> import elinvar as el
        >>> el.hamming(3)[1].item()
        1.0
    """
    return _cosines("hamming", n, (0.54, -0.46), dtype)


def blackman(n: int, /, *, dtype: Any = None) -> Any:
    """The Blackman window: 0.42 - ½ cos(2πi / (n - 1)) + 0.08 cos(4πi / (n - 1)).

    Example:
        >>> import elinvar as el
        >>> el.blackman(3)[1].item()
        1.0
    """
    return _cosines("blackman", n, (0.42, -0.5, 0.08), dtype)


def bartlett(n: int, /, *, dtype: Any = None) -> Any:
    """The triangular window: 1 - |2i / (n - 1) - 1|.

    Example:
        >>> import elinvar as el
        >>> el.bartlett(3).tolist()
        [0.0, 1.0, 0.0]
    """
    places, last = _window("bartlett", n)
    found = 1 - np.abs(2 * places / last - 1) if n > 1 else np.ones(n)
    return copy_array(found, optional_dtype(dtype) or default_float)


def kaiser(n: int, beta: float, /, *, dtype: Any = None) -> Any:
    """The Kaiser window: I0(β·√(1 - (2i / (n - 1) - 1)²)) / I0(β).

    Example:
        >>> import elinvar as el
        >>> el.kaiser(3, 14.0)[1].item()
        1.0
    """
    places, last = _window("kaiser", n)
    share = 2 * places / last - 1 if n > 1 else np.zeros(n)
    inside = copy_array(np.sqrt(np.maximum(1 - share * share, 0.0)) * float(beta), float64)
    found = ew.divide(i0(inside), i0(copy_array(np.float64(beta), float64)))
    return cast(found, optional_dtype(dtype) or default_float)

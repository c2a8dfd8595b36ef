"""The frequencies of Fourier transforms, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elinvar.core.dtypes import as_dtype, default_float, float64, int64
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.tensor.convert import cast, tensor_of
from elinvar.tensor.creation import check_device
from elinvar.tensor.dispatch import F
from elinvar.tensor.fft_arguments import axis_of, length_of
from elinvar.tensor.manipulation import roll


def fftfreq(n: int, /, d: float = 1.0, *, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies that belong to the numbers of `fft`: 0, 1, …, -2, -1, over n d.

    Args:
        n: how many numbers are transformed.
        d: the distance between samples.
        dtype: float32 unless given.

    Example:
        >>> import elinvar as el
        >>> el.fft.fftfreq(5, d=0.2).tolist()
        [0.0, 1.0, 2.0, -2.0, -1.0]
    """
    count = length_of("fftfreq", n)
    places = F.iota(size=count, dtype=int64)
    turned = F.subtract(places, F.full(count, places))
    is_positive = F.less(places, F.full((count + 1) // 2, places))
    return _frequencies("fftfreq", F.where(is_positive, places, turned), count, d, dtype, device)


def rfftfreq(n: int, /, d: float = 1.0, *, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies that belong to the numbers of `rfft`: 0, 1, …, n/2, over n d.

    Args:
        n, d, dtype: as in `fftfreq`.

    Example:
        >>> import elinvar as el
        >>> el.fft.rfftfreq(4, d=0.5).tolist()
        [0.0, 0.5, 1.0]
    """
    count = length_of("rfftfreq", n)
    places = F.iota(size=count // 2 + 1, dtype=int64)
    return _frequencies("rfftfreq", places, count, d, dtype, device)


def _frequencies(op: str, places: Any, n: int, d: Any, dtype: Any, device: Any) -> Any:
    check_device(op, device)
    target = default_float if dtype is None else as_dtype(dtype)
    if target.kind != "f":
        fail(DTypeError, op, f"expected a floating dtype, received {target.name}")
    if isinstance(d, complex) or not hasattr(d, "__float__") or float(d) == 0.0:
        fail(ValueRangeError, op, f"d must be a number that is not 0, received {d!r}")
    wide = F.cast(places, dtype=float64)
    return cast(F.divide(wide, F.full(n * float(d), wide)), target)


def fftshift(x: Any, /, axes: int | Sequence[int] | None = None) -> Any:
    """The number of frequency 0 moved to the middle, at n/2 (rounded down).

    Args:
        axes: all of them unless given.

    Example:
        >>> import elinvar as el
        >>> el.fft.fftshift(el.fft.fftfreq(4, d=0.25)).tolist()
        [-2.0, -1.0, 0.0, 1.0]
    """
    return _shifted("fftshift", x, axes, 1)


def ifftshift(x: Any, /, axes: int | Sequence[int] | None = None) -> Any:
    """The inverse of `fftshift`.

    Args:
        axes: all of them unless given.

    Example:
        >>> import elinvar as el
        >>> el.fft.ifftshift(el.asarray([-1, 0, 1])).tolist()
        [0, 1, -1]
    """
    return _shifted("ifftshift", x, axes, -1)


def _shifted(op: str, x: Any, axes: Any, way: int) -> Any:
    x = tensor_of(op, x)
    if axes is None:
        axes = range(x.ndim)
    found = [axis_of(op, x, axis) for axis in ([axes] if hasattr(axes, "__index__") else axes)]
    shifts = []
    for axis in found:
        size = x.shape[axis]
        if not isinstance(size, int):
            fail(ShapeError, op, f"the size of axis {axis} of {x._type} must be a number")
        shifts.append(size // 2 if way > 0 else -(size // 2))
    return roll(x, tuple(shifts), axis=tuple(found))

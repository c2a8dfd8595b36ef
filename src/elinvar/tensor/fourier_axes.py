"""Fourier transforms along several axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from elinvar.tensor.dispatch import F
from elinvar.tensor.elementwise import conj
from elinvar.tensor.fft_arguments import (
    axes_of,
    complex_of_any,
    count_of_reals,
    real_of_any,
    resized,
    scale_of,
    size_of_axis,
    transformed,
)


def fftn(
    x: Any,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Any:
    """The discrete Fourier transform along several axes.

    Args:
        s: the sizes to which the axes are cut or padded; -1 leaves one as it is.
        axes: all of them unless given; the last ones if only `s` is given.
        norm: as in `fft`, n being the product of the sizes.

    Shape:
        As x, with the sizes of `s` along the axes; complex.

    Raises:
        AxisError: an axis is named twice, or there is none.

    Example:
        >>> import elinvar as el
        >>> el.fft.fftn(el.asarray([[1.0, 2.0], [3.0, 4.0]])).real.tolist()
        [[10.0, -2.0], [-4.0, 0.0]]
    """
    x = complex_of_any("fftn", x)
    return transformed("fftn", x, *axes_of("fftn", x, s, axes), norm, False)


def ifftn(
    x: Any,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Any:
    """The inverse of `fftn`.

    Args:
        s, axes: as in `fftn`.
        norm: as in `ifft`.

    Shape:
        As x, with the sizes of `s` along the axes; complex.

    Example:
        >>> import elinvar as el
        >>> el.fft.ifftn(el.asarray([[4.0, 0.0], [0.0, 0.0]])).real.tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    x = complex_of_any("ifftn", x)
    return transformed("ifftn", x, *axes_of("ifftn", x, s, axes), norm, True)


def rfftn(
    x: Any,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Any:
    """`rfft` along the last of the axes, then `fft` along the others.

    Args:
        s, axes, norm: as in `fftn`.

    Shape:
        As x, with the sizes of `s` along the axes, but n/2 + 1 (rounded down) along the last of
        them; complex.

    Example:
        >>> import elinvar as el
        >>> el.fft.rfftn(el.ones((2, 4))).real.tolist()
        [[8.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    return _rfftn("rfftn", x, s, axes, norm, False)


def _rfftn(op: str, x: Any, s: Any, axes: Any, norm: Any, inverse: bool) -> Any:
    x = real_of_any(op, x)
    found, sizes = axes_of(op, x, s, axes)
    for axis, n in zip(found, sizes, strict=True):
        x = resized(x, axis, n)
    total = math.prod(size_of_axis(op, x, axis) for axis in found)
    scale = scale_of(op, norm, total, inverse)
    *others, last = found
    x = F.rfft(x, axis=last, scale=1.0 if others else scale)
    x = conj(x) if inverse else x
    for place, axis in enumerate(reversed(others)):
        x = F.fft(x, axis=axis, inverse=inverse, scale=scale if place == len(others) - 1 else 1.0)
    return x


def irfftn(
    x: Any,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Any:
    """The inverse of `rfftn`: `ifft` along all axes but the last one, then `irfft`.

    Args:
        s: the sizes of the result, of which the last one is 2 m - 2 unless given.
        axes: as in `fftn`.
        norm: as in `ifft`.

    Shape:
        As x, with the sizes of `s` along the axes; real.

    Example:
        >>> import elinvar as el
        >>> el.fft.irfftn(el.fft.rfftn(el.ones((2, 4)))).tolist()
        [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """
    return _irfftn("irfftn", x, s, axes, norm, True)


def _irfftn(op: str, x: Any, s: Any, axes: Any, norm: Any, inverse: bool) -> Any:
    x = complex_of_any(op, x)
    (*others, last), (*sizes, n) = axes_of(op, x, s, axes)
    length = count_of_reals(op, n, x, last)
    x = resized(x, last, length // 2 + 1)
    for axis, size in zip(others, sizes, strict=True):
        x = resized(x, axis, size)
    total = math.prod([length, *(size_of_axis(op, x, axis) for axis in others)])
    for axis in reversed(others):
        x = F.fft(x, axis=axis, inverse=inverse, scale=1.0)
    x = x if inverse else conj(x)
    return F.irfft(x, axis=last, length=length, scale=scale_of(op, norm, total, inverse))


def hfftn(
    x: Any,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Any:
    """`fft` along all axes but the last one, then `hfft`.

    Args:
        s, axes: as in `irfftn`.
        norm: as in `fft`.

    Shape:
        As x, with the sizes of `s` along the axes; real.

    Example:
        >>> import elinvar as el
        >>> el.fft.hfftn(el.ones((1, 3))).tolist()
        [[4.0, 0.0, 0.0, 0.0]]
    """
    return _irfftn("hfftn", x, s, axes, norm, False)


def ihfftn(
    x: Any,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Any:
    """The inverse of `hfftn`: `ihfft` along the last of the axes, then `ifft` along the others.

    Args:
        s, axes: as in `rfftn`.
        norm: as in `ifft`.

    Shape:
        That of `rfftn`.

    Example:
        >>> import elinvar as el
        >>> el.fft.ihfftn(el.asarray([[4.0, 0.0, 0.0, 0.0]])).real.tolist()
        [[1.0, 1.0, 1.0]]
    """
    return _rfftn("ihfftn", x, s, axes, norm, True)


# ---- two axes -----------------------------------------------------------------------------------

_LAST_TWO = (-2, -1)


def fft2(
    x: Any,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = _LAST_TWO,
    norm: str = "backward",
) -> Any:
    """`fftn` along two axes, the last ones unless told.

    Example:
        >>> import elinvar as el
        >>> el.fft.fft2(el.ones((2, 2))).real.tolist()
        [[4.0, 0.0], [0.0, 0.0]]
    """
    return fftn(x, s=s, axes=axes, norm=norm)


def ifft2(
    x: Any,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = _LAST_TWO,
    norm: str = "backward",
) -> Any:
    """`ifftn` along two axes, the last ones unless told.

    Example:
        >>> import elinvar as el
        >>> el.fft.ifft2(el.ones((2, 2))).real.tolist()
        [[1.0, 0.0], [0.0, 0.0]]
    """
    return ifftn(x, s=s, axes=axes, norm=norm)


def rfft2(
    x: Any,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = _LAST_TWO,
    norm: str = "backward",
) -> Any:
    """`rfftn` along two axes, the last ones unless told.

    Example:
        >>> import elinvar as el
        >>> el.fft.rfft2(el.ones((3, 8))).shape
        (3, 5)
    """
    return rfftn(x, s=s, axes=axes, norm=norm)


def irfft2(
    x: Any,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = _LAST_TWO,
    norm: str = "backward",
) -> Any:
    """`irfftn` along two axes, the last ones unless told.

    Example:
        >>> import elinvar as el
        >>> el.fft.irfft2(el.ones((3, 5))).shape
        (3, 8)
    """
    return irfftn(x, s=s, axes=axes, norm=norm)


def hfft2(
    x: Any,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = _LAST_TWO,
    norm: str = "backward",
) -> Any:
    """`hfftn` along two axes, the last ones unless told.

    Example:
        >>> import elinvar as el
        >>> el.fft.hfft2(el.ones((3, 5))).shape
        (3, 8)
    """
    return hfftn(x, s=s, axes=axes, norm=norm)


def ihfft2(
    x: Any,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = _LAST_TWO,
    norm: str = "backward",
) -> Any:
    """`ihfftn` along two axes, the last ones unless told.

    Example:
        >>> import elinvar as el
        >>> el.fft.ihfft2(el.ones((3, 8))).shape
        (3, 5)
    """
    return ihfftn(x, s=s, axes=axes, norm=norm)

"""Fourier transforms along one axis."""

from __future__ import annotations

from typing import Any

from elinvar.tensor.dispatch import F
from elinvar.tensor.elementwise import conj
from elinvar.tensor.fft_arguments import (
    axis_of,
    complex_of_any,
    count_of_reals,
    length_of,
    real_of_any,
    resized,
    scale_of,
    size_of_axis,
    transformed,
)


def fft(x: Any, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """The discrete Fourier transform along an axis: y[k] = Σⱼ x[j] exp(-2πi jk/n).

    Args:
        n: how many numbers are transformed: the axis is cut, or padded with zeros, to that size.
        axis: which axis.
        norm: "backward", "ortho" (y is multiplied by 1/√n) or "forward" (by 1/n).

    Shape:
        As x, with n along the axis; complex.

    Raises:
        ShapeError: n is below 1, or the size of the axis is 0 or a symbol.

    Example:
        >>> import elinvar as el
        >>> el.fft.fft(el.asarray([1.0, 2.0, 3.0, 4.0])).tolist()
        [(10+0j), (-2+2j), (-2+0j), (-2-2j)]
    """
    x = complex_of_any("fft", x)
    wanted = None if n is None else length_of("fft", n)
    return transformed("fft", x, (axis_of("fft", x, axis),), (wanted,), norm, False)


def ifft(x: Any, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """The inverse of `fft`: y[j] = 1/n Σₖ x[k] exp(+2πi jk/n).

    Args:
        n, axis: as in `fft`.
        norm: "backward", "ortho" (1/√n in the place of 1/n) or "forward" (no factor).

    Shape:
        As x, with n along the axis; complex.

    Example:
        >>> import elinvar as el
        >>> el.fft.ifft(el.fft.fft(el.asarray([1.0, 2.0]))).real.tolist()
        [1.0, 2.0]
    """
    x = complex_of_any("ifft", x)
    wanted = None if n is None else length_of("ifft", n)
    return transformed("ifft", x, (axis_of("ifft", x, axis),), (wanted,), norm, True)


def rfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """The discrete Fourier transform of real numbers: the first half, y[k] for k = 0, …, n/2.

    The other half are mirror images: y[n-k] is the conjugate of y[k].

    Args:
        n, axis, norm: as in `fft`.

    Shape:
        As x, with n/2 + 1 (rounded down) along the axis; complex.

    Raises:
        DTypeError: x is complex.

    Example:
        >>> import elinvar as el
        >>> el.fft.rfft(el.asarray([1.0, 2.0, 3.0, 4.0])).tolist()
        [(10+0j), (-2+2j), (-2+0j)]
    """
    return _rfft("rfft", real_of_any("rfft", x), n, axis, norm, False)


def _rfft(op: str, x: Any, n: Any, axis: Any, norm: Any, inverse: bool) -> Any:
    axis = axis_of(op, x, axis)
    x = resized(x, axis, None if n is None else length_of(op, n))
    return F.rfft(x, axis=axis, scale=scale_of(op, norm, size_of_axis(op, x, axis), inverse))


def irfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """The inverse of `rfft`: the real numbers to which half a spectrum belongs.

    The imaginary part of x[0], and of x[n/2] where n is even, has no say.

    Args:
        n: how many real numbers result, 2 m - 2 for the m numbers along the axis unless given. The
            axis is cut, or padded with zeros, to n/2 + 1 (rounded down).
        axis: which axis.
        norm: as in `ifft`.

    Shape:
        As x, with n along the axis; real.

    Example:
        >>> import elinvar as el
        >>> x = el.asarray([1.0, 2.0, 4.0])
        >>> [round(v, 5) for v in el.fft.irfft(el.fft.rfft(x), n=3).tolist()]
        [1.0, 2.0, 4.0]
    """
    return _irfft("irfft", complex_of_any("irfft", x), n, axis, norm, True)


def _irfft(op: str, x: Any, n: Any, axis: Any, norm: Any, inverse: bool) -> Any:
    axis = axis_of(op, x, axis)
    length = count_of_reals(op, n, x, axis)
    x = resized(x, axis, length // 2 + 1)
    return F.irfft(x, axis=axis, length=length, scale=scale_of(op, norm, length, inverse))


def hfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """The transform of numbers that are their own mirror images, of which x is the first half.

    y[k] = Σⱼ x[j] exp(-2πi jk/n) over j = 0, …, n-1, where x[n-j] is the conjugate of x[j].

    Args:
        n, axis: as in `irfft`.
        norm: as in `fft`.

    Shape:
        As x, with n along the axis; real.

    Example:
        >>> import elinvar as el
        >>> el.fft.hfft(el.asarray([1.0, 2.0, 3.0])).tolist()
        [8.0, -2.0, 0.0, -2.0]
    """
    return _irfft("hfft", conj(complex_of_any("hfft", x)), n, axis, norm, False)


def ihfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """The inverse of `hfft`: the first half of the numbers of which x is the transform.

    Args:
        n, axis: as in `rfft`.
        norm: as in `ifft`.

    Shape:
        As x, with n/2 + 1 (rounded down) along the axis; complex.

    Raises:
        DTypeError: x is complex.

    Example:
        >>> import elinvar as el
        >>> el.fft.ihfft(el.asarray([8.0, -2.0, 0.0, -2.0])).real.tolist()
        [1.0, 2.0, 3.0]
    """
    return conj(_rfft("ihfft", real_of_any("ihfft", x), n, axis, norm, True))

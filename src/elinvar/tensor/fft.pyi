# Made by `python tools/type_stubs.py` from the op table and the sources. Do not edit.

from collections.abc import Sequence

from elinvar.tensor.tensor import Tensor, _ArrayLike, _DTypeLike

def fft(
    x: _ArrayLike,
    /,
    n: int | None = None,
    axis: int = -1,
    norm: str = "backward",
) -> Tensor:
    """The discrete Fourier transform along an axis: y[k] = Σⱼ x[j] exp(-2πi jk/n)."""

def fft2(
    x: _ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = ...,
    norm: str = "backward",
) -> Tensor:
    """`fftn` along two axes, the last ones unless told."""

def fftfreq(
    n: int,
    /,
    d: float = 1.0,
    *,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """The frequencies that belong to the numbers of `fft`: 0, 1, …, -2, -1, over n d."""

def fftn(
    x: _ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Tensor:
    """The discrete Fourier transform along several axes."""

def fftshift(x: _ArrayLike, /, axes: int | Sequence[int] | None = None) -> Tensor:
    """The number of frequency 0 moved to the middle, at n/2 (rounded down)."""

def hfft(
    x: _ArrayLike,
    /,
    n: int | None = None,
    axis: int = -1,
    norm: str = "backward",
) -> Tensor:
    """The transform of numbers that are their own mirror images, of which x is the first …"""

def hfft2(
    x: _ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = ...,
    norm: str = "backward",
) -> Tensor:
    """`hfftn` along two axes, the last ones unless told."""

def hfftn(
    x: _ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Tensor:
    """`fft` along all axes but the last one, then `hfft`."""

def ifft(
    x: _ArrayLike,
    /,
    n: int | None = None,
    axis: int = -1,
    norm: str = "backward",
) -> Tensor:
    """The inverse of `fft`: y[j] = 1/n Σₖ x[k] exp(+2πi jk/n)."""

def ifft2(
    x: _ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = ...,
    norm: str = "backward",
) -> Tensor:
    """`ifftn` along two axes, the last ones unless told."""

def ifftn(
    x: _ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Tensor:
    """The inverse of `fftn`."""

def ifftshift(x: _ArrayLike, /, axes: int | Sequence[int] | None = None) -> Tensor:
    """The inverse of `fftshift`."""

def ihfft(
    x: _ArrayLike,
    /,
    n: int | None = None,
    axis: int = -1,
    norm: str = "backward",
) -> Tensor:
    """The inverse of `hfft`: the first half of the numbers of which x is the transform."""

def ihfft2(
    x: _ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = ...,
    norm: str = "backward",
) -> Tensor:
    """`ihfftn` along two axes, the last ones unless told."""

def ihfftn(
    x: _ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Tensor:
    """The inverse of `hfftn`: `ihfft` along the last of the axes, then `ifft` along the …"""

def irfft(
    x: _ArrayLike,
    /,
    n: int | None = None,
    axis: int = -1,
    norm: str = "backward",
) -> Tensor:
    """The inverse of `rfft`: the real numbers to which half a spectrum belongs."""

def irfft2(
    x: _ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = ...,
    norm: str = "backward",
) -> Tensor:
    """`irfftn` along two axes, the last ones unless told."""

def irfftn(
    x: _ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Tensor:
    """The inverse of `rfftn`: `ifft` along all axes but the last one, then `irfft`."""

def rfft(
    x: _ArrayLike,
    /,
    n: int | None = None,
    axis: int = -1,
    norm: str = "backward",
) -> Tensor:
    """The discrete Fourier transform of real numbers: the first half, y[k] for k = 0, …, …"""

def rfft2(
    x: _ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = ...,
    norm: str = "backward",
) -> Tensor:
    """`rfftn` along two axes, the last ones unless told."""

def rfftfreq(
    n: int,
    /,
    d: float = 1.0,
    *,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """The frequencies that belong to the numbers of `rfft`: 0, 1, …, n/2, over n d."""

def rfftn(
    x: _ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Tensor:
    """`rfft` along the last of the axes, then `fft` along the others."""

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "hfft2",
    "hfftn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "ihfft2",
    "ihfftn",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

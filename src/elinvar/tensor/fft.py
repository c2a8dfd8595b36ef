"""Discrete Fourier transforms by the Array API standard's names: what `elinvar.fft` offers.

Along an axis with n numbers, forward and back,

    y[k] = Σⱼ x[j] exp(-2πi jk/n)        x[j] = 1/n Σₖ y[k] exp(+2πi jk/n)

With norm="ortho" both are multiplied by 1/√n instead, with norm="forward" the first by 1/n. Axes
are cut, or padded with zeros, to the sizes that are asked for. Integers count as float32, and real
numbers are taken as complex ones where these are expected.
"""

from __future__ import annotations

from elinvar.tensor.fourier import fft, hfft, ifft, ihfft, irfft, rfft
from elinvar.tensor.fourier_axes import (
    fft2,
    fftn,
    hfft2,
    hfftn,
    ifft2,
    ifftn,
    ihfft2,
    ihfftn,
    irfft2,
    irfftn,
    rfft2,
    rfftn,
)
from elinvar.tensor.frequencies import fftfreq, fftshift, ifftshift, rfftfreq

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

"""The family of Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from elinvar.cli.numerics_inputs import shaped
from elinvar.cli.numerics_items import Item, item
from elinvar.core.dtypes import float32, float64
from elinvar.tensor import elementwise as ew
from elinvar.tensor import fourier, fourier_axes
from elinvar.tensor.tensor import Tensor

_LENGTHS = (1, 2, 7, 12, 13, 16, 60, 97, 169, 256, 260, 1000, 1009, 1024)


def transforms() -> Iterator[Item]:
    """All radices, one pass and two, chirps, real numbers, along the last axis and another."""
    for dtype in (float32, float64):
        for n in _LENGTHS:
            name = f"{n} {dtype.short}"
            yield item(
                f"fft of {name}", _transform(fourier.fft), shaped((3, n), (3, n), dtype=dtype), 2
            )
            columns = shaped((n, 18), (n, 18), dtype=dtype)
            yield item(f"ifft of {name}", _transform(partial(fourier.ifft, axis=0)), columns)
            yield item(f"rfft of {name}", _real_transform, shaped((5, n), dtype=dtype), 1)
            halves = shaped((5, n // 2 + 1), dtype=dtype)
            yield item(f"irfft of {name}", partial(_back, n), halves, 1)
        yield item(
            f"fft2 {dtype.short}",
            _transform(fourier_axes.fft2),
            shaped((2, 12, 300), (2, 12, 300), dtype=dtype),
            2,
        )
    yield item("fft of 16384 f32", _transform(fourier.fft), shaped((16384,), (16384,)))


def _parts(x: Tensor) -> tuple[Any, Any]:
    return ew.real(x), ew.imag(x)


def _transform(function: Callable[..., Any]) -> Callable[..., Any]:
    """A complex transform as a function of parts, to parts."""

    def run(re: Tensor, im: Tensor) -> Any:
        return _parts(function(ew.complex(re, im)))

    return run


def _real_transform(x: Tensor) -> Any:
    return _parts(fourier.rfft(x))


def _back(n: int, x: Tensor) -> Any:
    return fourier.irfft(ew.complex(x, x), n=n)

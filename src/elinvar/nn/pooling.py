"""Pooling: MaxPool, AvgPool and the adaptive kinds, over 1, 2 or 3 spatial axes."""

from __future__ import annotations

from typing import Any, ClassVar

from elinvar.nn import functional
from elinvar.nn.module import Module
from elinvar.tensor.tensor import Tensor


class _MaxPool(Module):
    stride: Any
    dilation: Any
    padding: Any
    ceil_mode: bool
    return_indices: bool

    rank: ClassVar[int]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """The greatest elements of all windows (and their flat positions, if wanted)."""
        pool = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[self.rank - 1]
        result: Tensor = pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )
        return result

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The maximum of each window: y[n, c, i] = max over k of x[n, c, i·stride + k·dilation].

    Args:
        kernel_size: size of the window.
        stride: steps between windows; kernel_size unless told.
        padding: -∞ added on both sides, at most half the window.
        dilation: steps between a window's elements.
        return_indices: whether the flat positions of the maxima are returned too.
        ceil_mode: whether a last window may reach over the end.

    Shape:
        (N, C, L) or (C, L) → the same with L' = ⌊(L + 2·padding - dilation·(kernel_size-1) - 1) /
        stride⌋ + 1 (⌈·⌉ with ceil_mode)

    Example:
        >>> import elinvar as el
        >>> el.nn.MaxPool1d(2)(el.asarray([[[1.0, 3.0, 2.0, 0.0]]])).tolist()
        [[[3.0, 2.0]]]
    """

    rank = 1


class MaxPool2d(_MaxPool):
    """The maximum of each window of images. Arguments as `MaxPool1d`; each may be a pair.

    Shape:
        (N, C, H, W) or (C, H, W) → the same with smaller H and W

    Example:
        >>> import elinvar as el
        >>> el.nn.MaxPool2d(2)(el.ones((1, 3, 8, 8))).shape
        (1, 3, 4, 4)
    """

    rank = 2


class MaxPool3d(_MaxPool):
    """The maximum of each window of volumes. Arguments as `MaxPool1d`; each may be a triple.

    Shape:
        (N, C, D, H, W) or (C, D, H, W) → the same with smaller D, H and W
    """

    rank = 3


class _AvgPool(Module):
    stride: Any
    ceil_mode: bool
    padding: Any

    rank: ClassVar[int]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """The means of all windows."""
        pool = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[self.rank - 1]
        return pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        """The arguments."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The mean of each window.

    Args:
        kernel_size: size of the window.
        stride: steps between windows; kernel_size unless told.
        padding: zeros added on both sides.
        ceil_mode: whether a last window may reach over the end.
        count_include_pad: whether padding counts in the mean.

    Shape:
        (N, C, L) or (C, L) → the same with a smaller L (see `MaxPool1d`)

    Example:
        >>> import elinvar as el
        >>> el.nn.AvgPool1d(2)(el.asarray([[[1.0, 3.0, 2.0, 0.0]]])).tolist()
        [[[2.0, 1.0]]]
    """

    rank = 1


class AvgPool2d(_AvgPool):
    """The mean of each window of images. Arguments as `AvgPool1d`; each may be a pair."""

    rank = 2


class AvgPool3d(_AvgPool):
    """The mean of each window of volumes. Arguments as `AvgPool1d`; each may be a triple."""

    rank = 3


class _Adaptive(Module):
    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def extra_repr(self) -> str:
        """The wanted size."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """Means over windows cut so that the output has the given size.

    Output i is the mean of the elements from ⌊i·L/n⌋ up to ⌈(i+1)·L/n⌉.

    Args:
        output_size: n.

    Shape:
        (N, C, L) or (C, L) → (N, C, n) or (C, n)
    """

    def forward(self, input: Tensor) -> Tensor:
        """The pooled input."""
        return functional.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_Adaptive):
    """As `AdaptiveAvgPool1d` for images; `output_size` is an int or a pair, None keeps a size.

    Example:
        >>> import elinvar as el
        >>> el.nn.AdaptiveAvgPool2d(1)(el.ones((2, 3, 7, 9))).shape
        (2, 3, 1, 1)
    """

    def forward(self, input: Tensor) -> Tensor:
        """The pooled input."""
        return functional.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_Adaptive):
    """As `AdaptiveAvgPool1d` for volumes; `output_size` is an int or a triple."""

    def forward(self, input: Tensor) -> Tensor:
        """The pooled input."""
        return functional.adaptive_avg_pool3d(input, self.output_size)


class AdaptiveMaxPool1d(_Adaptive):
    """Maxima over windows cut as in `AdaptiveAvgPool1d`."""

    def forward(self, input: Tensor) -> Tensor:
        """The pooled input."""
        return functional.adaptive_max_pool1d(input, self.output_size)


class AdaptiveMaxPool2d(_Adaptive):
    """Maxima over windows cut as in `AdaptiveAvgPool2d`."""

    def forward(self, input: Tensor) -> Tensor:
        """The pooled input."""
        return functional.adaptive_max_pool2d(input, self.output_size)

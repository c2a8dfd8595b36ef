"""Changes of resolution and layout: Upsample, PixelShuffle, Fold, Unfold and padding."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from elinvar.core.errors import ShapeError, fail
from elinvar.nn import functional
from elinvar.nn.convolution import per_axis
from elinvar.nn.module import Module
from elinvar.tensor.dispatch import F
from elinvar.tensor.tensor import Tensor


class Upsample(Module):
    """Brings spatial axes to another size.

    Args:
        size: the new spatial sizes, or
        scale_factor: the factor for them.
        mode: `nearest`, or `linear` (3-D inputs), `bilinear`, `bicubic` (4-D), `trilinear` (5-D).
        align_corners: whether the corner elements keep their values (not for `nearest`).

    Shape:
        (N, C, *) → (N, C, *)

    Example:
        >>> import elinvar as el
        >>> el.nn.Upsample(scale_factor=2)(el.ones((1, 3, 4, 5))).shape
        (1, 3, 8, 10)
    """

    scale_factor: Any
    size: Any
    align_corners: bool | None
    mode: str

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners

    def forward(self, input: Tensor) -> Tensor:
        """The resized input."""
        return functional.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners
        )

    def extra_repr(self) -> str:
        """The arguments."""
        if self.size is None:
            return f"scale_factor={self.scale_factor}, mode={self.mode!r}"
        return f"size={self.size}, mode={self.mode!r}"


class PixelShuffle(Module):
    """Moves channels into space: (N, C·r², H, W) → (N, C, H·r, W·r) (Shi et al., 2016).

    Args:
        upscale_factor: r.

    Example:
        >>> import elinvar as el
        >>> el.nn.PixelShuffle(2)(el.ones((1, 8, 3, 3))).shape
        (1, 2, 6, 6)
    """

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """The rearranged input."""
        return functional.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Moves space into channels: (N, C, H·r, W·r) → (N, C·r², H, W).

    Args:
        downscale_factor: r.
    """

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """The rearranged input."""
        return functional.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"downscale_factor={self.downscale_factor}"


class _Pad(Module):
    padding: tuple[int, ...] | tuple[Any, ...]

    rank: ClassVar[int]
    mode: ClassVar[str]

    def __init__(self, padding: Any) -> None:
        wanted = 2 * self.rank
        self.padding = (padding,) * wanted if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != wanted:
            text = f"padding needs {wanted} ints or one, received {self.padding}"
            fail(ShapeError, type(self).__name__, text)

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return functional.pad(input, list(self.padding), mode=self.mode)

    def extra_repr(self) -> str:
        """The padding."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    mode: ClassVar[str] = "constant"

    def __init__(self, padding: Any, value: float = 0.0) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return functional.pad(input, list(self.padding), mode="constant", value=self.value)

    def extra_repr(self) -> str:
        """The padding and its value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Adds a value at both ends of the last axis.

    Args:
        padding: how many elements: (left, right), or one int for both.
        value: what they are.

    Example:
        >>> import elinvar as el
        >>> el.nn.ConstantPad1d((1, 0), 9.0)(el.ones((1, 2))).tolist()
        [[9.0, 1.0, 1.0]]
    """

    rank: ClassVar[int] = 1


class ConstantPad2d(_ConstantPad):
    """Adds a value around the last two axes: (left, right, top, bottom), or one int."""

    rank: ClassVar[int] = 2


class ConstantPad3d(_ConstantPad):
    """Adds a value around the last three axes: (left, right, top, bottom, front, back)."""

    rank: ClassVar[int] = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The padding."""
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad):
    """Adds zeros at both ends of the last axis: (left, right), or one int."""

    rank: ClassVar[int] = 1


class ZeroPad2d(_ZeroPad):
    """Adds zeros around the last two axes: (left, right, top, bottom), or one int."""

    rank: ClassVar[int] = 2


class ReflectionPad1d(_Pad):
    """Mirrors the last axis at its ends, without repeating the end: b a | a b c → b | a b c."""

    rank: ClassVar[int] = 1
    mode: ClassVar[str] = "reflect"


class ReflectionPad2d(_Pad):
    """As `ReflectionPad1d` for the last two axes: (left, right, top, bottom), or one int."""

    rank: ClassVar[int] = 2
    mode: ClassVar[str] = "reflect"


class ReplicationPad1d(_Pad):
    """Repeats the end elements of the last axis: (left, right), or one int."""

    rank: ClassVar[int] = 1
    mode: ClassVar[str] = "replicate"


class ReplicationPad2d(_Pad):
    """Repeats the border of the last two axes: (left, right, top, bottom), or one int."""

    rank: ClassVar[int] = 2
    mode: ClassVar[str] = "replicate"


class CircularPad1d(_Pad):
    """Continues the last axis with its other end: (left, right), or one int."""

    rank: ClassVar[int] = 1
    mode: ClassVar[str] = "circular"


class CircularPad2d(_Pad):
    """Continues the last two axes with their other ends: (left, right, top, bottom)."""

    rank: ClassVar[int] = 2
    mode: ClassVar[str] = "circular"


class _Patches(Module):
    """What Unfold and Fold share: the windows of an image."""

    kernel_size: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...]
    stride: tuple[int, ...]

    def _setup(self, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> None:
        op = type(self).__name__
        self.kernel_size = per_axis(op, "kernel_size", kernel_size, 2)
        self.dilation = per_axis(op, "dilation", dilation, 2)
        self.padding = per_axis(op, "padding", padding, 2)
        self.stride = per_axis(op, "stride", stride, 2)

    def _windows(self) -> dict[str, Any]:
        return {
            "axes": (2, 3),
            "sizes": self.kernel_size,
            "strides": self.stride,
            "dilations": self.dilation,
        }

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class Unfold(_Patches):
    """Cuts images into patches, one column each.

    Args:
        kernel_size, dilation, padding, stride: as in `Conv2d`.

    Shape:
        (N, C, H, W) → (N, C·kh·kw, number of patches)

    Example:
        >>> import elinvar as el
        >>> el.nn.Unfold(2)(el.ones((1, 3, 4, 5))).shape
        (1, 12, 12)
    """

    def __init__(
        self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        self._setup(kernel_size, dilation, padding, stride)

    def forward(self, input: Tensor) -> Tensor:
        """The patches."""
        if input.ndim != 4:
            fail(ShapeError, "Unfold", f"expected (N, C, H, W), received {input._type}")
        batch, channels = input.shape[:2]
        top, left = self.padding
        padded = functional.pad(input, [left, left, top, top])
        patches = F.windows(padded, **self._windows())  # (kh, kw, N, C, rows, columns)
        rows = patches.permute(2, 3, 0, 1, 4, 5)
        kernel = self.kernel_size[0] * self.kernel_size[1]
        return rows.reshape(batch, channels * kernel, patches.shape[4] * patches.shape[5])


class Fold(_Patches):
    """Adds patches up to images: the adjoint of `Unfold`.

    Args:
        output_size: (H, W) of the images.
        kernel_size, dilation, padding, stride: as in `Unfold`.

    Shape:
        (N, C·kh·kw, number of patches) → (N, C, H, W)

    Example:
        >>> import elinvar as el
        >>> el.nn.Fold((4, 4), 2, stride=2)(el.ones((1, 12, 4))).shape
        (1, 3, 4, 4)
    """

    output_size: tuple[int, ...]

    def __init__(
        self,
        output_size: Any,
        kernel_size: Any,
        dilation: Any = 1,
        padding: Any = 0,
        stride: Any = 1,
    ) -> None:
        self.output_size = per_axis("Fold", "output_size", output_size, 2)
        self._setup(kernel_size, dilation, padding, stride)

    def forward(self, input: Tensor) -> Tensor:
        """The images."""
        kernel = self.kernel_size[0] * self.kernel_size[1]
        (top, left), (height, width) = self.padding, self.output_size
        counts = [
            (size + 2 * pad - dilation * (taps - 1) - 1) // stride + 1
            for size, pad, dilation, taps, stride in zip(
                self.output_size,
                self.padding,
                self.dilation,
                self.kernel_size,
                self.stride,
                strict=True,
            )
        ]
        if input.ndim != 3 or input.shape[1] % kernel or input.shape[2] != math.prod(counts):
            text = f"expected (N, C·{kernel}, {math.prod(counts)}), received {input._type}"
            fail(ShapeError, "Fold", text)
        channels = input.shape[1] // kernel
        split = input.reshape(input.shape[0], channels, *self.kernel_size, *counts)
        windows = split.permute(2, 3, 0, 1, 4, 5)  # (kh, kw, N, C, rows, columns)
        shape = (input.shape[0], channels, height + 2 * top, width + 2 * left)
        images = F.fold(windows, shape=shape, **self._windows())
        return images[:, :, top : top + height, left : left + width]

    def extra_repr(self) -> str:
        """The arguments."""
        return f"output_size={self.output_size}, {super().extra_repr()}"

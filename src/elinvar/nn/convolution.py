"""Convolutions: Conv1d, Conv2d, Conv3d and their transposes. Layouts are NCHW and OIHW."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.nn import functional, init
from elinvar.nn.linear import new_parameter
from elinvar.nn.module import Module
from elinvar.nn.parameter import Parameter
from elinvar.tensor.tensor import Tensor

Sizes = tuple[int, ...]
_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def per_axis(op: str, name: str, value: Any, rank: int) -> Sizes:
    """One int for all spatial axes, or one for each."""
    if isinstance(value, Iterable):
        sizes = tuple(int(item) for item in value)
        if len(sizes) != rank:
            fail(ShapeError, op, f"{name} needs {rank} ints or one, received {sizes}")
        return sizes
    return (int(value),) * rank


class _Convolution(Module):
    """What all convolutions share: arguments, weights and their first values."""

    in_channels: int
    out_channels: int
    kernel_size: Sizes
    stride: Sizes
    dilation: Sizes
    weight: Parameter

    rank: ClassVar[int]
    transposed: ClassVar[bool] = False

    def _setup(
        self,
        channels: tuple[int, int],
        kernel_size: Any,
        stride: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        dtype: Any,
    ) -> None:
        op, rank = type(self).__name__, self.rank
        self.in_channels, self.out_channels = channels
        self.kernel_size = per_axis(op, "kernel_size", kernel_size, rank)
        self.stride = per_axis(op, "stride", stride, rank)
        self.dilation = per_axis(op, "dilation", dilation, rank)
        self.groups = groups
        for name, count in zip(("in_channels", "out_channels"), channels, strict=True):
            if groups < 1 or count % groups:
                fail(ValueRangeError, op, f"{name} {count} is not divisible by groups {groups}")
        first, second = channels[::-1] if not self.transposed else channels
        shape = (first, second // groups, *self.kernel_size)
        self.weight = new_parameter(shape, dtype)
        bias_value = new_parameter((self.out_channels,), dtype) if bias else None
        self.register_parameter("bias", bias_value)

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        fan_in, _ = init.fans(self.weight)
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        parts = [f"{self.in_channels}, {self.out_channels}"]
        parts += [f"kernel_size={self.kernel_size}, stride={self.stride}"]
        usual = (0,) * self.rank
        for name, default in (
            ("padding", usual),
            ("dilation", (1,) * self.rank),
            ("output_padding", usual),
            ("groups", 1),
        ):
            value = getattr(self, name, default)
            if value != default:
                parts.append(f"{name}={value!r}")
        if self.bias is None:
            parts.append("bias=False")
        if getattr(self, "padding_mode", "zeros") != "zeros":
            parts.append(f"padding_mode={self.padding_mode!r}")
        return ", ".join(parts)


class _Forward(_Convolution):
    """Conv1d, Conv2d and Conv3d."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: Any = None,
    ) -> None:
        op = type(self).__name__
        channels = in_channels, out_channels
        self._setup(channels, kernel_size, stride, dilation, groups, bias, dtype)
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                text = f"padding must be 'same', 'valid' or ints, received {padding!r}"
                fail(ValueRangeError, op, text)
            if padding == "same" and any(step != 1 for step in self.stride):
                fail(ValueRangeError, op, f"padding='same' needs stride 1, received {self.stride}")
            self.padding: Any = padding
        else:
            self.padding = per_axis(op, "padding", padding, self.rank)
        if padding_mode not in _PADDING_MODES:
            text = f"padding_mode must be one of {_PADDING_MODES}, received {padding_mode!r}"
            fail(ValueRangeError, op, text)
        self.padding_mode = padding_mode
        self.reset_parameters()

    def _borders(self) -> list[int]:
        """Padding as `functional.pad` wants it: last axis first, before and after."""
        borders: list[int] = []
        for axis in reversed(range(self.rank)):
            if self.padding == "same":
                total = self.dilation[axis] * (self.kernel_size[axis] - 1)
                borders += [total // 2, total - total // 2]
            elif self.padding == "valid":
                borders += [0, 0]
            else:
                borders += [self.padding[axis]] * 2
        return borders

    def forward(self, input: Tensor) -> Tensor:
        """Correlate the input with the weight and add the bias."""
        padding = self.padding
        if self.padding_mode != "zeros":
            input = functional.pad(input, self._borders(), mode=self.padding_mode)
            padding = 0
        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[self.rank - 1]
        return convolve(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class Conv1d(_Forward):
    """Correlation of a signal with learned filters.

    y[n, o, l] = b[o] + Σ over c, k of w[o, c, k] · x[n, c, l·stride + k·dilation - padding]

    Args:
        in_channels, out_channels: numbers of channels.
        kernel_size: taps of a filter.
        stride: steps between outputs.
        padding: zeros added on both sides; `"same"` keeps the length, `"valid"` adds none.
        dilation: steps between taps.
        groups: channels are cut into so many groups that do not mix.
        bias: whether b is added.
        padding_mode: `zeros`, `reflect`, `replicate` or `circular`.
        dtype: of the parameters; float32 unless told.

    Shape:
        (N, C, L) → (N, O, (L + 2·padding - dilation·(kernel_size - 1) - 1)//stride + 1), or
        without N.

    Attributes:
        weight: (out_channels, in_channels/groups, kernel_size), U(-k, k), k = 1/√fan in.
        bias: (out_channels,).

    Example:
        >>> import elinvar as el
        >>> el.nn.Conv1d(16, 33, 3, stride=2)(el.ones((20, 16, 50))).shape
        (20, 33, 24)
    """

    rank = 1


class Conv2d(_Forward):
    """Correlation of images with learned filters. Arguments as `Conv1d`; each may be a pair.

    Shape:
        (N, C, H, W) → (N, O, H', W'), sizes as in `Conv1d` along each axis.

    Attributes:
        weight: (out_channels, in_channels/groups, height, width).
        bias: (out_channels,).

    Example:
        >>> import elinvar as el
        >>> el.nn.Conv2d(3, 8, 3, padding="same")(el.ones((2, 3, 10, 12))).shape
        (2, 8, 10, 12)
    """

    rank = 2


class Conv3d(_Forward):
    """Correlation of volumes with learned filters. Arguments as `Conv1d`; each may be a triple.

    Shape:
        (N, C, D, H, W) → (N, O, D', H', W'), sizes as in `Conv1d` along each axis.

    Example:
        >>> import elinvar as el
        >>> el.nn.Conv3d(1, 2, 3)(el.ones((1, 1, 5, 6, 7))).shape
        (1, 2, 3, 4, 5)
    """

    rank = 3


class _Transposed(_Convolution):
    """ConvTranspose1d, ConvTranspose2d and ConvTranspose3d."""

    padding: Sizes
    output_padding: Sizes

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        *,
        dtype: Any = None,
    ) -> None:
        op = type(self).__name__
        if padding_mode != "zeros":
            fail(ValueRangeError, op, f"padding_mode must be 'zeros', received {padding_mode!r}")
        channels = in_channels, out_channels
        self._setup(channels, kernel_size, stride, dilation, groups, bias, dtype)
        self.padding = per_axis(op, "padding", padding, self.rank)
        self.output_padding = per_axis(op, "output_padding", output_padding, self.rank)
        self.reset_parameters()

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """Spread each input element over the outputs that a convolution would read it for.

        Args:
            input: (N, C, *).
            output_size: the spatial sizes wanted; decides `output_padding` for this call.
        """
        extra = self.output_padding
        if output_size is not None:
            extra = self._output_padding(tuple(input.shape)[-self.rank :], tuple(output_size))
        convolve = (
            functional.conv_transpose1d,
            functional.conv_transpose2d,
            functional.conv_transpose3d,
        )[self.rank - 1]
        return convolve(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )

    def _output_padding(self, sizes: Sizes, wanted: Sizes) -> Sizes:
        extra = []
        for axis, size in enumerate(wanted[-self.rank :]):
            least = (
                (sizes[axis] - 1) * self.stride[axis]
                - 2 * self.padding[axis]
                + self.dilation[axis] * (self.kernel_size[axis] - 1)
                + 1
            )
            if not least <= size < least + self.stride[axis]:
                text = f"output size {size} of spatial axis {axis} is not within {least} … "
                text += str(least + self.stride[axis] - 1)
                fail(ShapeError, type(self).__name__, text)
            extra.append(size - least)
        return tuple(extra)


class ConvTranspose1d(_Transposed):
    """The transpose of `Conv1d` (its gradient with respect to the input), with learned filters.

    Args:
        in_channels, out_channels, kernel_size, groups, bias, dilation, dtype: as `Conv1d`.
        stride: steps between the outputs of neighbouring inputs.
        padding: elements taken off both sides of the output.
        output_padding: elements added at the end, to reach one of the `stride` possible sizes.

    Shape:
        (N, C, L) → (N, O, (L-1)·stride - 2·padding + dilation·(kernel_size-1) + output_padding + 1)

    Attributes:
        weight: (in_channels, out_channels/groups, kernel_size).
        bias: (out_channels,).

    Example:
        >>> import elinvar as el
        >>> el.nn.ConvTranspose1d(4, 2, 3, stride=2)(el.ones((1, 4, 5))).shape
        (1, 2, 11)
    """

    rank = 1


class ConvTranspose2d(_Transposed):
    """The transpose of `Conv2d`. Arguments as `ConvTranspose1d`; each may be a pair.

    Example:
        >>> import elinvar as el
        >>> el.nn.ConvTranspose2d(4, 2, 2, stride=2)(el.ones((1, 4, 5, 6))).shape
        (1, 2, 10, 12)
    """

    rank = 2


class ConvTranspose3d(_Transposed):
    """The transpose of `Conv3d`. Arguments as `ConvTranspose1d`; each may be a triple.

    Example:
        >>> import elinvar as el
        >>> el.nn.ConvTranspose3d(1, 1, 2, stride=2)(el.ones((1, 1, 2, 2, 2))).shape
        (1, 1, 4, 4, 4)
    """

    rank = 3

"""Normalisations: BatchNorm, InstanceNorm, LayerNorm, GroupNorm, RMSNorm."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from elinvar.core.dtypes import int64
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.nn import functional, init
from elinvar.nn.linear import new_parameter
from elinvar.nn.module import Module
from elinvar.tensor.creation import ones, zeros
from elinvar.tensor.tensor import Tensor


class _RunningNorm(Module):
    """What batch and instance norm share: scale, shift and running statistics."""

    eps: float
    momentum: float | None
    num_features: int
    affine: bool
    track_running_stats: bool

    ranks: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
        dtype: Any,
    ) -> None:
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            value = new_parameter((num_features,), dtype) if wanted else None
            self.register_parameter(name, value)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, dtype=dtype) if tracked else None)
        self.register_buffer("running_var", ones(num_features, dtype=dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", zeros((), dtype=int64) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the variance to 1 and the count to 0."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Set the scale to 1, the shift to 0, and reset the running statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check(self, input: Tensor) -> None:
        if input.ndim not in self.ranks:
            ranks = " or ".join(f"{rank}" for rank in self.ranks)
            text = f"expected {ranks} dimensions, received {input._type}"
            fail(ShapeError, type(self).__name__, text)

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_RunningNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise with the batch's statistics in training, with the running ones otherwise."""
        self._check(input)
        tracked = self.running_mean is not None
        training = self.training or not tracked
        momentum: Any = self.momentum
        if self.training and tracked:
            count = self.num_batches_tracked
            count.assign(count + 1)
            if momentum is None:  # the plain average over all batches
                momentum = 1.0 / count.astype(self.running_mean.dtype)
        return functional.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training,
            0.0 if momentum is None else momentum,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Normalises each feature over the batch: y = (x - mean) / √(var + eps) · weight + bias.

    Mean and (biased) variance are the batch's in training. Running statistics move towards them,
    `running = (1 - momentum) · running + momentum · batch` (there with the unbiased variance), and
    are used in evaluation (Ioffe and Szegedy, 2015).

    Args:
        num_features: C, the size of axis 1.
        eps: added to the variance.
        momentum: see above; None averages over all batches.
        affine: whether weight and bias are learned.
        track_running_stats: whether running statistics are kept; without them the batch's own
            are used always.
        bias: whether bias is learned with the weight.
        dtype: of parameters and buffers; float32 unless told.

    Shape:
        (N, C) or (N, C, L) → the same

    Attributes:
        weight, bias: (C,), first 1 and 0.
        running_mean, running_var: buffers, (C,). num_batches_tracked: buffer, int64.

    Example:
        >>> import elinvar as el
        >>> norm = el.nn.BatchNorm1d(3)
        >>> y = norm(el.asarray([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
        >>> [round(value, 3) for value in norm.running_mean.tolist()]
        [0.2, 0.2, 0.2]
    """

    ranks: ClassVar[tuple[int, ...]] = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images: as `BatchNorm1d`, over batch, height and width.

    Shape:
        (N, C, H, W) → the same
    """

    ranks: ClassVar[tuple[int, ...]] = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of volumes: as `BatchNorm1d`, over batch and the three spatial axes.

    Shape:
        (N, C, D, H, W) → the same
    """

    ranks: ClassVar[tuple[int, ...]] = (5,)


class _InstanceNorm(_RunningNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each sample and channel by itself."""
        self._check(input)
        single = input.ndim == self.ranks[0]
        if single:
            input = input.unsqueeze(0)
        result = functional.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return result.squeeze(0) if single else result


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each sample by itself (Ulyanov et al., 2016).

    Arguments as `BatchNorm1d`, but `affine` and `track_running_stats` are False unless told.

    Shape:
        (N, C, L) or (C, L) → the same

    Example:
        >>> import elinvar as el
        >>> el.nn.InstanceNorm1d(2)(el.ones((4, 2, 5))).shape
        (4, 2, 5)
    """

    ranks: ClassVar[tuple[int, ...]] = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """As `InstanceNorm1d`, for (N, C, H, W) or (C, H, W)."""

    ranks: ClassVar[tuple[int, ...]] = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """As `InstanceNorm1d`, for (N, C, D, H, W) or (C, D, H, W)."""

    ranks: ClassVar[tuple[int, ...]] = (4, 5)


class _ShapedNorm(Module):
    """What LayerNorm and RMSNorm share: the shape of the trailing axes."""

    normalized_shape: tuple[int] | tuple[int, ...]

    def _set_shape(self, normalized_shape: int | tuple[int, ...]) -> None:
        shape = normalized_shape
        self.normalized_shape = (shape,) if isinstance(shape, int) else tuple(shape)

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class LayerNorm(_ShapedNorm):
    """Normalises over the last axes: y = (x - mean) / √(var + eps) · weight + bias.

    Args:
        normalized_shape: the sizes of these axes, or the size of the last one.
        eps: added to the (biased) variance.
        elementwise_affine: whether weight and bias are learned.
        bias: whether bias is.
        dtype: of the parameters; float32 unless told.

    Shape:
        (*, normalized_shape) → the same

    Attributes:
        weight, bias: normalized_shape, first 1 and 0.

    Example:
        >>> import elinvar as el
        >>> y = el.nn.LayerNorm(4)(el.asarray([[1.0, 2.0, 3.0, 4.0]]))
        >>> [round(value, 3) for value in y[0].tolist()]
        [-1.342, -0.447, 0.447, 1.342]
    """

    elementwise_affine: bool
    eps: float

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        self._set_shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        for name, wanted in (("weight", True), ("bias", bias)):
            wanted = wanted and elementwise_affine
            value = new_parameter(self.normalized_shape, dtype) if wanted else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the scale to 1 and the shift to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{super().extra_repr()}, bias={self.bias is not None}"


class RMSNorm(_ShapedNorm):
    """Scales the last axes to a root mean square of 1: y = x / √(mean(x²) + eps) · weight.

    Args:
        normalized_shape: the sizes of these axes, or the size of the last one.
        eps: added to the mean square; None takes the dtype's epsilon.
        elementwise_affine: whether weight is learned.
        dtype: of the parameter; float32 unless told.

    Shape:
        (*, normalized_shape) → the same

    Example:
        >>> import elinvar as el
        >>> el.nn.RMSNorm(2)(el.asarray([3.0, 3.0])).tolist()
        [1.0, 1.0]
    """

    elementwise_affine: bool
    eps: float | None

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        self._set_shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        value = new_parameter(self.normalized_shape, dtype) if elementwise_affine else None
        self.register_parameter("weight", value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the scale to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """The scaled input."""
        return functional.rms_norm(input, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Module):
    """Cuts the channels into groups and normalises each sample's groups (Wu and He, 2018).

    Args:
        num_groups: number of groups.
        num_channels: C, the size of axis 1; a multiple of num_groups.
        eps: added to the (biased) variance.
        affine: whether weight and bias (one per channel) are learned.
        bias: whether bias is.
        dtype: of the parameters; float32 unless told.

    Shape:
        (N, C, *) → the same

    Example:
        >>> import elinvar as el
        >>> el.nn.GroupNorm(2, 6)(el.ones((1, 6, 4, 4))).shape
        (1, 6, 4, 4)
    """

    num_channels: int
    num_groups: int
    affine: bool
    eps: float

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            text = f"num_channels {num_channels} is not divisible by num_groups {num_groups}"
            fail(ValueRangeError, "GroupNorm", text)
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            value = new_parameter((num_channels,), dtype) if wanted else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the scale to 1 and the shift to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        return functional.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, "
            f"affine={self.affine}, bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """Divides by the power of neighbouring channels: y = x / (k + alpha/size · Σ x²)^beta.

    Args:
        size: number of neighbouring channels in the sum.
        alpha, beta, k: see the formula (Krizhevsky et al., 2012).

    Shape:
        (N, C, *) → the same
    """

    alpha: float
    beta: float
    k: float
    size: int

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        before, after = self.size // 2, self.size - 1 - self.size // 2
        channels = input.shape[1]
        flat = (input * input).reshape(input.shape[0], 1, channels, math.prod(input.shape[2:]))
        padded = functional.pad(flat, [0, 0, before, after])
        mean = functional.avg_pool2d(padded, (self.size, 1), stride=1)
        scale = (mean.reshape(input.shape) * self.alpha + self.k) ** self.beta
        return input / scale

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"

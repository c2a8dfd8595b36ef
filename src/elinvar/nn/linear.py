"""Linear layers and changes of shape: Linear, Bilinear, Identity, Flatten, Unflatten."""

from __future__ import annotations

import math
from typing import Any

from elinvar.nn import functional, init
from elinvar.nn.module import Module
from elinvar.nn.parameter import Parameter
from elinvar.tensor.creation import empty
from elinvar.tensor.tensor import Tensor


def new_parameter(shape: tuple[int, ...], dtype: Any = None) -> Parameter:
    """A parameter whose values are still to be set by `reset_parameters`."""
    return Parameter(empty(shape, dtype=dtype))


class Identity(Module):
    """Returns its input. Arguments of the constructor are ignored, so it can replace any layer.

    Example:
        >>> import elinvar as el
        >>> el.nn.Identity(54, unused=True)(el.ones(2)).shape
        (2,)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        """The input."""
        return input


class Linear(Module):
    r"""An affine map of the last axis: y = x Wᵀ + b.

    Args:
        in_features: size of each input vector.
        out_features: size of each output vector.
        bias: whether b is added.
        dtype: of the parameters; float32 unless told.

    Shape:
        (*, in_features) → (*, out_features)

    Attributes:
        weight: (out_features, in_features), drawn from U(-k, k), k = 1/√in_features.
        bias: (out_features,), drawn likewise.

    Example:
        >>> import elinvar as el
        >>> el.nn.Linear(20, 30)(el.ones((128, 20))).shape
        (128, 30)
    """

    in_features: int
    out_features: int
    weight: Parameter

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, dtype: Any = None
    ) -> None:
        self.in_features, self.out_features = in_features, out_features
        self.weight = new_parameter((out_features, in_features), dtype)
        self.register_parameter("bias", new_parameter((out_features,), dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """x Wᵀ + b."""
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"


class Bilinear(Module):
    r"""A bilinear map of two inputs: yₖ = x₁ᵀ Wₖ x₂ + bₖ.

    Args:
        in1_features, in2_features: sizes of the input vectors.
        out_features: size of the output vectors.
        bias: whether b is added.
        dtype: of the parameters; float32 unless told.

    Shape:
        (*, in1_features), (*, in2_features) → (*, out_features)

    Attributes:
        weight: (out_features, in1_features, in2_features), from U(-k, k), k = 1/√in1_features.
        bias: (out_features,), drawn likewise.

    Example:
        >>> import elinvar as el
        >>> el.nn.Bilinear(3, 4, 5)(el.ones((2, 3)), el.ones((2, 4))).shape
        (2, 5)
    """

    in1_features: int
    in2_features: int
    weight: Parameter

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = None,
    ) -> None:
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features
        self.weight = new_parameter((out_features, in1_features, in2_features), dtype)
        self.register_parameter("bias", new_parameter((out_features,), dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """x₁ᵀ W x₂ + b."""
        return functional.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Flatten(Module):
    """Joins the axes from `start_dim` to `end_dim` into one.

    Shape:
        (N, *) → (N, product of the rest) with the default arguments

    Example:
        >>> import elinvar as el
        >>> el.nn.Flatten()(el.ones((2, 3, 4))).shape
        (2, 12)
    """

    end_dim: int
    start_dim: int

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """The input with joined axes."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits the axis `dim` into the axes `unflattened_size`, one of which may be -1.

    Example:
        >>> import elinvar as el
        >>> el.nn.Unflatten(1, (3, 4))(el.ones((2, 12))).shape
        (2, 3, 4)
    """

    dim: int
    unflattened_size: tuple[int, ...]

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """The input with the axis split."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """The axis and its parts."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"

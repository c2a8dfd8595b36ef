"""Activations as modules. All work element by element, unless they say otherwise.

`inplace` is accepted for PyTorch's sake and changes nothing: results are always new, and the
compiler reuses memory by itself.
"""

from __future__ import annotations

from typing import Any

from elinvar.nn import functional
from elinvar.nn.init import constant_
from elinvar.nn.linear import new_parameter
from elinvar.nn.module import Module
from elinvar.nn.parameter import Parameter
from elinvar.tensor.tensor import Tensor


class _Activation(Module):
    """An activation without arguments."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def extra_repr(self) -> str:
        """`inplace=True` if it was said."""
        return "inplace=True" if self.inplace else ""


class ReLU(_Activation):
    """max(0, x).

    Example:
        >>> import elinvar as el
        >>> el.nn.ReLU()(el.asarray([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.relu(input)


class ReLU6(_Activation):
    """min(max(0, x), 6)."""

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.relu6(input)


class SELU(_Activation):
    """s · (max(0, x) + min(0, α (eˣ - 1))), α = 1.6733, s = 1.0507 (Klambauer et al., 2017)."""

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.selu(input)


class SiLU(_Activation):
    """x · σ(x), also called swish (Elfwing et al., 2018)."""

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.silu(input)


class Mish(_Activation):
    """x · tanh(softplus(x)) (Misra, 2019)."""

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.mish(input)


class Sigmoid(_Activation):
    """1/(1 + e⁻ˣ)."""

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.sigmoid(input)


class LogSigmoid(_Activation):
    """log(1/(1 + e⁻ˣ))."""

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.logsigmoid(input)


class Hardsigmoid(_Activation):
    """min(max(0, x/6 + 1/2), 1)."""

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.hardsigmoid(input)


class Hardswish(_Activation):
    """x · min(max(0, x/6 + 1/2), 1)."""

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.hardswish(input)


class Tanh(_Activation):
    """tanh x."""

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.tanh(input)


class Tanhshrink(_Activation):
    """x - tanh x."""

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.tanhshrink(input)


class Softsign(_Activation):
    """x/(1 + |x|)."""

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.softsign(input)


class LeakyReLU(Module):
    """x for x ≥ 0, negative_slope · x below."""

    inplace: bool
    negative_slope: float

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """x for x > 0, alpha · (eˣ - 1) below (Clevert et al., 2016)."""

    alpha: float
    inplace: bool

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.elu(input, self.alpha)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"alpha={self.alpha}"


class CELU(Module):
    """max(0, x) + min(0, alpha · (e^(x/alpha) - 1)) (Barron, 2017)."""

    alpha: float
    inplace: bool

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.celu(input, self.alpha)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"alpha={self.alpha}"


class GELU(Module):
    """x · Φ(x), Φ the normal distribution function; `approximate="tanh"` uses
    ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))) (Hendrycks and Gimpel, 2016)."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """log(1 + e^(beta x))/beta; x itself where beta · x > threshold."""

    beta: float
    threshold: float

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardshrink(Module):
    """x where |x| > lambd, else 0."""

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"lambd={self.lambd}"


class Softshrink(Module):
    """x - lambd for x > lambd, x + lambd for x < -lambd, else 0."""

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"lambd={self.lambd}"


class Hardtanh(Module):
    """min(max(min_val, x), max_val)."""

    inplace: bool
    max_val: float
    min_val: float

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"min_val={self.min_val}, max_val={self.max_val}"


class Threshold(Module):
    """x where x > threshold, else value."""

    inplace: bool
    threshold: float
    value: float

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.threshold(input, self.threshold, self.value)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"threshold={self.threshold}, value={self.value}"


class PReLU(Module):
    """x for x ≥ 0, weight · x below, with a learned weight (He et al., 2015).

    Args:
        num_parameters: 1, or the number of channels (axis 1).
        init: the first value.
        dtype: of the weight; float32 unless told.
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: Any = None) -> None:
        self.num_parameters = num_parameters
        self.weight = new_parameter((num_parameters,), dtype)
        constant_(self.weight, init)

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The number of weights."""
        return f"num_parameters={self.num_parameters}"


class Softmax(Module):
    """eˣⁱ / Σ eˣʲ along `dim`: the parts sum to 1.

    Example:
        >>> import elinvar as el
        >>> el.nn.Softmax(dim=-1)(el.zeros((1, 4))).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.softmax(input, dim=self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """log(eˣⁱ / Σ eˣʲ) along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.log_softmax(input, dim=self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class Softmin(Module):
    """e⁻ˣⁱ / Σ e⁻ˣʲ along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.softmin(input, dim=self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class GLU(Module):
    """a · σ(b), where a and b are the halves along `dim` (Dauphin et al., 2017)."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.glu(input, dim=self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class Softmax2d(Module):
    """Softmax over the channels of (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """The function's values."""
        return functional.softmax(input, dim=-3)

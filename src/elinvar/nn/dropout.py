"""Dropout: Dropout, Dropout1d, Dropout2d, Dropout3d, AlphaDropout."""

from __future__ import annotations

from elinvar.core.errors import ValueRangeError, fail
from elinvar.nn import functional
from elinvar.nn.module import Module
from elinvar.tensor.tensor import Tensor


class _Dropout(Module):
    inplace: bool
    p: float

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0.0 <= p <= 1.0:
            text = f"p must be a probability between 0 and 1, received {p}"
            fail(ValueRangeError, type(self).__name__, text)
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        """The arguments."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Sets elements to 0 with probability p in training and scales the others by 1/(1 - p).

    Args:
        p: the probability.
        inplace: accepted for PyTorch's sake; results are always new.

    Shape:
        (*) → the same

    Example:
        >>> import elinvar as el
        >>> el.nn.Dropout(0.5).eval()(el.ones(3)).tolist()
        [1.0, 1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """The thinned input in training, the input itself in evaluation."""
        return functional.dropout(input, self.p, self.training)


class Dropout1d(_Dropout):
    """Sets whole channels of (N, C, L) to 0 with probability p in training. See `Dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        """The thinned input in training, the input itself in evaluation."""
        return functional.dropout1d(input, self.p, self.training)


class Dropout2d(_Dropout):
    """Sets whole channels of (N, C, H, W) to 0 with probability p in training. See `Dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        """The thinned input in training, the input itself in evaluation."""
        return functional.dropout2d(input, self.p, self.training)


class Dropout3d(_Dropout):
    """Sets whole channels of (N, C, D, H, W) to 0 with probability p in training. See `Dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        """The thinned input in training, the input itself in evaluation."""
        return functional.dropout3d(input, self.p, self.training)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1 behind SELU (Klambauer et al., 2017)."""

    def forward(self, input: Tensor) -> Tensor:
        """The thinned input in training, the input itself in evaluation."""
        return functional.alpha_dropout(input, self.p, self.training)

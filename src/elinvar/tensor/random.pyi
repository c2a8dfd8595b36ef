# Made by `python tools/type_stubs.py` from the op table and the sources. Do not edit.

from elinvar.core.shapes import Shape
from elinvar.tensor.tensor import Tensor, _ArrayLike, _DTypeLike, _ShapeLike

class Generator:
    """A stream of random numbers."""

    def __init__(self, seed: int = 0) -> None: ...
    @property
    def state(self) -> Tensor:
        """The cell uint64[2]: (key, counter)."""
    @state.setter
    def state(self, value: Tensor) -> None: ...
    def manual_seed(self, seed: int) -> Generator:
        """Start anew from a seed."""

    def get_state(self) -> Tensor:
        """A copy of the state, for `set_state`."""

    def set_state(self, state: _ArrayLike) -> None:
        """Continue from a state that `get_state` gave."""

    def bits(self, shape: Shape) -> Tensor:
        """Uniform words uint32 of a shape. Advances the counter by ⌈n/4⌉."""

default_generator: Generator

def checked_seed(seed: int) -> int:
    """A seed as an unsigned 64-bit number; negative ones wrap around."""

def manual_seed(seed: int) -> Generator:
    """Seed the default generator, from which all random functions and layers draw."""

def rand(
    *shape: _ShapeLike,
    size: _ShapeLike | None = None,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Numbers from the uniform distribution on [0, 1)."""

def uniform(
    low: float = 0.0,
    high: float = 1.0,
    size: _ShapeLike = (),
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Numbers from the uniform distribution on [low, high)."""

def randn(
    *shape: _ShapeLike,
    size: _ShapeLike | None = None,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Numbers from the normal distribution with mean 0 and variance 1."""

def normal(
    mean: _ArrayLike = 0.0,
    std: _ArrayLike = 1.0,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Numbers from normal distributions; mean and std may be tensors that broadcast."""

def randint(
    low: int,
    high: int | None = None,
    size: _ShapeLike = (),
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Integers from the uniform distribution on low … high-1 (0 … low-1 with one bound)."""

def permutation(n: int | _ArrayLike, *, generator: Generator | None = None) -> Tensor:
    """The numbers 0 … n-1 in random order, or the rows of a tensor in random order."""

def randperm(n: int | _ArrayLike, *, generator: Generator | None = None) -> Tensor:
    """The numbers 0 … n-1 in random order, or the rows of a tensor in random order."""

def bernoulli(
    p: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """1 with probability p, else 0."""

def keep_mask(p: float, shape: Shape, generator: Generator | None = None) -> Tensor:
    """A bool tensor that is True with probability p: word < p · 2³². Used by dropout."""

def exponential(
    size: _ShapeLike = (),
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Numbers from the exponential distribution with mean 1: -log(1 - u)."""

def multinomial(
    weights: _ArrayLike,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Indices drawn in proportion to weights (which need not add up to 1) along the last axis."""

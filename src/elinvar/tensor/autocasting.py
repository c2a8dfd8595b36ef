"""autocast: within, products are taken of 16-bit floats, and what needs the range in float32.

The policy, by primitive (and by function, where one is a whole):

    products        operands that are float32 are rounded to the 16-bit type; sums in float32
                    (contract, convolution, attention; linear layers round once, after the bias,
                    convolution layers the products' sum, and again with the bias)
    float32         16-bit operands are widened: exponentials, logarithms, powers, sums, losses,
                    softmax
    all others      take what comes; operands of different types meet in the wider one

Weights stay float32, and so do their gradients. Derivatives follow the types of what they are
derivatives of.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from elinvar.core.dtypes import DType, as_dtype, bfloat16, float16, float32
from elinvar.core.errors import DTypeError, fail
from elinvar.tensor.cell import Cell, state, traces
from elinvar.tensor.dispatch import F

P = ParamSpec("P")
R = TypeVar("R")


class autocast:
    """Mixed precision: within, products have 16-bit operands and sums in float32.

    It works as a context manager and as a decorator, in eager code, inside of a jitted function
    and around a call of one. The backward pass needs none: gradients have the types of what they
    belong to, those of float32 weights are float32. Float16 has a short range, so its gradients
    want a scale (`el.Trainer(precision="f16")` has one); bfloat16 has the range of float32.

    Args:
        dtype: `el.bfloat16` or `el.float16`.
        enabled: False switches it off within.

    Raises:
        DTypeError: another dtype.

    Example:
        >>> import elinvar as el
        >>> layer, x = el.nn.Linear(4, 2), el.ones((3, 4))
        >>> with el.autocast():
        ...     y = layer(x)
        >>> y.dtype, layer(x).dtype
        (elinvar.bfloat16, elinvar.float32)
    """

    def __init__(self, dtype: Any = bfloat16, *, enabled: bool = True) -> None:
        wanted = as_dtype(dtype)
        if wanted not in (bfloat16, float16):
            text = f"dtype must be bfloat16 or float16, received {wanted.name}"
            fail(DTypeError, "autocast", text)
        self._wanted: DType | None = wanted if enabled else None
        self._before: list[DType | None] = []

    def __enter__(self) -> None:
        self._before.append(state.autocast)
        _switch(self._wanted)

    def __exit__(self, *_: object) -> None:
        _switch(self._before.pop())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            with autocast(self._wanted or bfloat16, enabled=self._wanted is not None):
                return function(*args, **kwargs)

        return wrapped


def _switch(wanted: DType | None) -> None:
    """Set the thread's type. While it is set it counts as a trace, before which fast paths give
    way."""
    traces.add((wanted is not None) - (state.autocast is not None))
    state.autocast = wanted


def low_dtype() -> DType | None:
    """The 16-bit type of products; None outside of `autocast`."""
    return state.autocast if traces.active else None


def lowered(dtype: DType, *tensors: Any) -> list[Any]:
    """Tensors (or None) with those of float32 rounded to the 16-bit type."""
    return [
        F.cast(x, dtype=dtype) if isinstance(x, Cell) and x.dtype is float32 else x
        for x in tensors
    ]


def in_float32(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose 16-bit operands are widened within `autocast`, so that its result is
    float32."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        if not traces.active or state.autocast is None:
            return function(*args, **kwargs)
        wide: Any = [_widened(arg) for arg in args]
        named: Any = {name: _widened(arg) for name, arg in kwargs.items()}
        return function(*wide, **named)

    return wrapped


def _widened(value: Any) -> Any:
    if isinstance(value, Cell) and value.dtype in (bfloat16, float16):
        return F.cast(value, dtype=float32)
    return value

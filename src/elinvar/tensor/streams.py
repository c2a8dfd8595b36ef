"""Where random words come from: generators, which advance, and streams, which nobody else knows.

A generator's state is a tensor cell of two uint64: (key, counter). Drawing n words reads it and
adds ⌈n/4⌉ to the counter, so under `jit` the state is an input and an output like every other cell.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import uint64
from elinvar.core.errors import ShapeError, TraceError, ValueRangeError, fail
from elinvar.core.shapes import Shape, size
from elinvar.tensor import elementwise as ew
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, expand, size_tensor, tensor_of
from elinvar.tensor.dispatch import F
from elinvar.tensor.mapped import mapped_traces
from elinvar.tensor.storage import from_numpy
from elinvar.tensor.trace import outside_trace


class Generator:
    """A stream of random numbers.

    Args:
        seed: any int of up to 64 bits; equal seeds give equal numbers.

    Example:
        >>> import elinvar as el
        >>> a, b = el.random.Generator(7), el.random.Generator(7)
        >>> bool((el.rand(4, generator=a) == el.rand(4, generator=b)).all())
        True
    """

    def __init__(self, seed: int = 0) -> None:
        self._state: Any = None
        self._seed = checked_seed(seed)

    @property
    def state(self) -> Any:
        """The cell uint64[2]: (key, counter)."""
        if self._state is None:
            with outside_trace():
                self._state = from_numpy(np.array([self._seed, 0], np.uint64))
        return self._state

    @state.setter
    def state(self, value: Any) -> None:
        self.set_state(value)

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from a seed."""
        self._seed = checked_seed(seed)
        if self._state is not None:
            self._state._rebind(from_numpy(np.array([self._seed, 0], np.uint64)))
        return self

    def get_state(self) -> Any:
        """A copy of the state, for `set_state`."""
        return F.reshape(self.state, shape=(2,))

    def set_state(self, state: Any) -> None:
        """Continue from a state that `get_state` gave."""
        state = tensor_of("set_state", state)
        if state.dtype is not uint64 or state.shape != (2,):
            text = f"a generator's state is u64[2], received {state._type}"
            fail(ShapeError, "set_state", text)
        self.state._rebind(state)

    def bits(self, shape: Shape) -> Any:
        """Uniform words uint32 of a shape. Advances the counter by ⌈n/4⌉.

        Inside of a function that `vmap` maps with randomness="different", example i draws what
        it would draw if the examples drew one after the other, and the counter advances for all.
        """
        state = self.state
        blocks = _block_count(shape)
        first: Any = None
        for trace in mapped_traces():
            if trace.randomness == "error":
                text = "random numbers are drawn inside of `vmap`, which was not told how"
                hint = "pass randomness='different' (others for each example) or 'same'"
                fail(TraceError, "random", text, hint)
            if trace.randomness == "different":
                place = ew.multiply(cast(trace.index(), uint64), blocks)
                first = place if first is None else ew.add(first, place)
                blocks = ew.multiply(blocks, cast(size_tensor(trace.size), uint64))
        start = state if first is None else _add_to_counter(state, first)
        words = F.random_bits(start, shape=shape)
        state._rebind(_add_to_counter(state, blocks))
        return words


class Stream:
    """Words from a state (a key) of which nobody else knows: nothing is rebound."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def bits(self, shape: Shape) -> Any:
        """Uniform words uint32 of a shape; the next ones are others."""
        words = F.random_bits(self.state, shape=shape)
        self.state = _add_to_counter(self.state, _block_count(shape))
        return words


def source(generator: Generator | None, key: Any = None) -> Any:
    """Where a draw takes its words from: a key, a generator, or the default generator."""
    if key is None:
        return generator or default_generator
    if generator is not None:
        fail(ValueRangeError, "random", "expected a generator or a key, received both")
    state = tensor_of("random", key)
    if state.dtype is not uint64 or state.shape != (2,):
        text = f"a key is u64[2], received {state._type}"
        fail(ShapeError, "random", text, "make one with `el.random.key(seed)`")
    return Stream(state)


def _block_count(shape: Shape) -> Any:
    """How many blocks of four words a draw takes."""
    count = size(shape)
    if isinstance(count, int):
        return F.constant(value=(count + 3) // 4, dtype=uint64)
    return ew.bitwise_right_shift(cast(size_tensor(count + 3), uint64), 2)


@composite
def _add_to_counter(state: Any, blocks: Any) -> Any:
    place = F.iota(size=2, dtype=uint64)
    zero = F.zeros_like(state)
    return F.add(state, F.where(F.equal(place, zero), zero, expand(blocks, (2,))))


def checked_seed(seed: int) -> int:
    """A seed as an unsigned 64-bit number; negative ones wrap around."""
    if not hasattr(seed, "__index__"):
        fail(ValueRangeError, "manual_seed", f"the seed must be an int, received {seed!r}")
    number = seed.__index__()
    if not -(2**63) <= number < 2**64:
        fail(ValueRangeError, "manual_seed", f"the seed must fit into 64 bits, received {number}")
    return number % 2**64


default_generator = Generator(0)


def words(stream: Any, shape: Shape, wide: bool) -> Any:
    """Uniform words: uint32, or uint64 made of two."""
    if not wide:
        return stream.bits(shape)
    return _joined(stream.bits((2, *shape)))


@composite
def _joined(words: Any) -> Any:
    rest = words.shape[1:]
    step, zero = (1,) * words.ndim, (0,) * len(rest)
    parts = [
        F.reshape(F.slice(words, start=(i, *zero), size=(1, *rest), step=step), shape=rest)
        for i in range(2)
    ]
    high, low = (cast(part, uint64) for part in parts)
    return F.bitwise_or(ew.bitwise_left_shift(high, 32), low)

"""Explicit keys, as in JAX: tensors uint64[2] from which streams of random numbers start.

New keys are words of Philox under a key that draws never see: that of the parent, with other bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import int64, uint64
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.tensor import elementwise as ew
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, tensor_of
from elinvar.tensor.creation import checked_shape
from elinvar.tensor.dispatch import F
from elinvar.tensor.storage import from_numpy
from elinvar.tensor.streams import checked_seed

_FOR_SPLIT, _FOR_FOLD = 0xD1B54A32D192ED03, 0x8CB92BA72F3D8DD7  # no key that a user would type
_SPREAD = 0x9E3779B97F4A7C15  # 2⁶⁴ over the golden ratio


def key(seed: Any, /) -> Any:
    """A key for `key=` of the random functions.

    Args:
        seed: an int of up to 64 bits, or a tensor of one whole number.

    Example:
        >>> import elinvar as el
        >>> k = el.random.key(7)
        >>> bool((el.rand(3, key=k) == el.rand(3, key=k)).all())
        True
    """
    if hasattr(seed, "dtype") and hasattr(seed, "_type"):
        if seed.dtype.kind not in "iu" or seed.ndim:
            fail(DTypeError, "key", f"the seed must be a whole number, received {seed._type}")
        word = F.reshape(cast(seed, uint64), shape=(1,))
        zero = F.zeros_like(word)
        return F.concatenate(word, zero, axis=0)
    return from_numpy(np.array([checked_seed(seed), 0], np.uint64))


def _checked(op: str, parent: Any) -> Any:
    state = tensor_of(op, parent)
    if state.dtype is not uint64 or state.shape != (2,):
        hint = "make one with `el.random.key(seed)`"
        fail(ShapeError, op, f"a key is u64[2], received {state._type}", hint)
    return state


@composite
def _marked(state: Any, mark: Any) -> Any:
    """The key with other bits, which also depend on its counter; the counter starts at 0."""
    first, counter = (F.slice(state, start=(i,), size=(1,), step=(1,)) for i in (0, 1))
    mixed = F.bitwise_xor(first, F.bitwise_xor(ew.multiply(counter, _SPREAD), mark))
    return F.concatenate(mixed, F.zeros_like(mixed), axis=0)


@composite
def _as_keys(words: Any) -> Any:
    """Words [n, 2] as keys [n, 2] with a counter of 0."""
    n = words.shape[0]
    low, high = (
        cast(F.slice(words, start=(0, i), size=(n, 1), step=(1, 1)), uint64) for i in (0, 1)
    )
    joined = F.bitwise_or(ew.bitwise_left_shift(high, 32), low)
    return F.concatenate(joined, F.zeros_like(joined), axis=1)


def _mark(value: int) -> Any:
    return F.reshape(F.constant(value=value, dtype=uint64), shape=(1,))


def split(parent: Any, num: Any = 2, /) -> Any:
    """New keys of a key, which is not to be used any more; shape (*num, 2).

    Example:
        >>> import elinvar as el
        >>> first, second = el.random.split(el.random.key(0))
        >>> bool((el.rand(3, key=first) == el.rand(3, key=second)).any())
        False
    """
    state = _checked("split", parent)
    shape = checked_shape("split", num)
    count = 1
    for size in shape:
        if not isinstance(size, int):
            fail(ValueRangeError, "split", f"the number of keys must be known, received {num}")
        count *= size
    words = F.random_bits(_marked(state, _mark(_FOR_SPLIT)), shape=(count, 2))
    return F.reshape(_as_keys(words), shape=(*shape, 2))


def fold_in(parent: Any, data: Any, /) -> Any:
    """A new key of a key and a whole number: a step, a device, an epoch.

    Example:
        >>> import elinvar as el
        >>> k = el.random.key(0)
        >>> bool((el.random.fold_in(k, 1) == el.random.fold_in(k, 2)).all())
        False
    """
    state = _checked("fold_in", parent)
    number = tensor_of("fold_in", data, int64)
    if number.dtype.kind not in "iu" or number.ndim:
        text = f"data must be a whole number, received {number._type}"
        fail(DTypeError, "fold_in", text)
    marked = _marked(state, _mark(_FOR_FOLD))
    counter = F.reshape(cast(number, uint64), shape=(1,))
    start = F.concatenate(F.slice(marked, start=(0,), size=(1,), step=(1,)), counter, axis=0)
    words = F.random_bits(start, shape=(1, 2))
    return F.reshape(_as_keys(words), shape=(2,))

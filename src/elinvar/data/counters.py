"""Random numbers that belong to a sample: functions of seed, epoch and index, many at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_FACTORS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_STEPS = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


def order(count: int, seed: int, epoch: int) -> Integers:
    """The numbers below `count` in the order of a seed and an epoch: sorted words of Philox4x64."""
    words = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(count)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


def generator(seed: int, epoch: int, index: int, stage: int = 0) -> np.random.Generator:
    """A generator of numpy's for one sample, one epoch and one stage of a pipeline."""
    key = np.array([seed, epoch], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, stage, index]))


def philox(key: tuple[Any, Any], counter: tuple[Any, Any, Any, Any]) -> tuple[Any, ...]:
    """Philox4x32-10 on arrays of counters.

    Source: Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (2011).

    Args:
        key: two uint64 values (numbers or arrays) below 2³².
        counter: four of them.

    Returns:
        Four arrays of uint64 below 2³².
    """
    k0, k1 = key
    c0, c1, c2, c3 = counter
    for _ in range(10):
        p0, p1 = c0 * _FACTORS[0], c2 * _FACTORS[1]
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ k0, p1 & _LOW, (p0 >> _SHIFT) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _STEPS[0]) & _LOW, (k1 + _STEPS[1]) & _LOW
    return c0, c1, c2, c3


class Draws:
    """Random numbers for the samples of a batch: one for each sample at every call.

    What a sample gets depends on the seed, its index, its epoch, the stage and how many draws were
    made before: not on the batch that it is in, nor on the process that makes it.

    Args:
        seed: below 2⁶⁴.
        indices: of the samples.
        epochs: one number, or one for each sample.
        stage: tells stages with the same seed apart.
    """

    def __init__(self, seed: int, indices: Any, epochs: Any, stage: int = 0) -> None:
        index = np.asarray(indices, np.int64).astype(np.uint64)
        epoch = np.broadcast_to(np.asarray(epochs, np.int64).astype(np.uint64), index.shape)
        self.count = len(index)
        low, high = np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)
        self._key = (low, high ^ (epoch >> _SHIFT))
        self._counter = (index & _LOW, index >> _SHIFT, epoch & _LOW)
        self._next = stage << 16

    def uniform(self, low: float = 0.0, high: float = 1.0) -> npt.NDArray[np.float64]:
        """Numbers in low … high, one for each sample."""
        number = np.full(self.count, self._next, np.uint64)
        self._next += 1
        first, second, _, _ = philox(self._key, (*self._counter, number))
        bits = ((first << _SHIFT) | second) >> np.uint64(11)
        return low + (high - low) * (bits.astype(np.float64) * 2.0**-53)

    def integers(self, high: int) -> Integers:
        """Whole numbers in 0 … high - 1, one for each sample."""
        return np.minimum((self.uniform() * high).astype(np.int64), high - 1)

    def chance(self, probability: float) -> npt.NDArray[np.bool_]:
        """True with a probability, for each sample."""
        return self.uniform() < probability

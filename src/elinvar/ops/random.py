"""Random bits: the counter-based generator Philox4x32-10.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import uint32, uint64
from elinvar.core.errors import ShapeError, fail
from elinvar.core.shapes import Shape
from elinvar.core.types import TensorType
from elinvar.ops.record import Op, absent
from elinvar.ops.rules import check_dims
from elinvar.ops.scalars import Scalar, select

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)  # the golden ratio and the square root of 3, as fractions
_LOW = 0xFFFFFFFF
_LATER = absent("follows")


def _random_bits_type(state: TensorType, *, shape: Shape) -> TensorType:
    if state != TensorType(uint64, (2,)):
        fail(ShapeError, "random_bits", f"the state must be u64[2] (key, counter), received {state}")
    check_dims("random_bits", "shape", shape)
    return TensorType(uint32, shape)


def philox_words(counter: tuple[Any, ...], key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Philox4x32-10 on numpy: four counter words and two key words to four words, all uint32."""
    a, b, c, d = (np.asarray(word, np.uint64) for word in counter)
    k, m = (np.asarray(word, np.uint64) for word in key)
    low, shift = np.uint64(_LOW), np.uint64(32)
    for _ in range(ROUNDS):
        left, right = a * np.uint64(MULTIPLIERS[0]), c * np.uint64(MULTIPLIERS[1])
        a, b, c, d = (right >> shift) ^ b ^ k, right & low, (left >> shift) ^ d ^ m, left & low
        k, m = (k + np.uint64(KEY_STEPS[0])) & low, (m + np.uint64(KEY_STEPS[1])) & low
    return tuple(word.astype(np.uint32) for word in (a, b, c, d))


def _random_bits(state: Any, *, shape: tuple[int, ...]) -> Any:
    count = int(np.prod(shape, dtype=np.int64))
    blocks = np.arange((count + 3) // 4, dtype=np.uint64) + state[1]
    low, shift = np.uint64(_LOW), np.uint64(32)
    zero = np.zeros_like(blocks)
    words = philox_words(
        (blocks & low, blocks >> shift, zero, zero), (state[0] & low, state[0] >> shift)
    )
    return np.stack(words, axis=-1).reshape(-1)[:count].reshape(shape)


def philox_block(counter: tuple[Scalar, ...], key: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    """Philox4x32-10 in scalar instructions: four counter and two key words (u32) to four words."""
    a, b, c, d = counter
    k, m = key
    for step in range(ROUNDS):
        if step:
            k, m = k + KEY_STEPS[0], m + KEY_STEPS[1]
        left = a.cast(uint64) * MULTIPLIERS[0]
        right = c.cast(uint64) * MULTIPLIERS[1]
        a, b, c, d = (
            (right >> 32).cast(uint32) ^ b ^ k,
            right.cast(uint32),
            (left >> 32).cast(uint32) ^ d ^ m,
            left.cast(uint32),
        )
    return a, b, c, d


def philox(linear: Scalar, key: Scalar, counter: Scalar) -> Scalar:
    """Element `linear` of random_bits: word linear % 4 of block counter + linear // 4."""
    block = counter + (linear >> 2)
    zero = block.const(0, uint32)
    words = philox_block(
        (block.cast(uint32), (block >> 32).cast(uint32), zero, zero),
        (key.cast(uint32), (key >> 32).cast(uint32)),
    )
    which = (linear & 3).cast(uint32)
    first = select(which.eq(0), words[0], words[1])
    second = select(which.eq(2), words[2], words[3])
    return select(which.lt(2), first, second)


OPS: tuple[Op, ...] = (
    Op(
        name="random_bits",
        family="random",
        doc="random_bits",
        type_rule=_random_bits_type,
        reference=_random_bits,
        derivative=absent("random bits do not depend on a float"),
        batching=_LATER,
        lowering=philox,
        stablehlo=_LATER,
        samples=list,
        bad_samples=list,
        params=("shape",),
    ),
)

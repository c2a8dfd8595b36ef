"""Random bits: the counter-based generator Philox4x32-10.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from elinvar.core.dtypes import DType, uint32, uint64
from elinvar.core.errors import ShapeError, fail
from elinvar.core.shapes import Shape, size
from elinvar.core.types import TensorType
from elinvar.ops.record import Decompose, Op, Sample
from elinvar.ops.rules import check_dims, expanded, filled, reshaped
from elinvar.ops.sampling import bad
from elinvar.ops.scalars import Handler, Scalar, select

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)  # the golden ratio and the square root of 3, as fractions
_LOW = 0xFFFFFFFF


def _random_bits_type(state: TensorType, *, shape: Shape) -> TensorType:
    if state != TensorType(uint64, (2,)):
        text = f"the state must be u64[2] (key, counter), received {state}"
        fail(ShapeError, "random_bits", text)
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


def words_of(block: Scalar, key: Scalar) -> tuple[Scalar, ...]:
    """The four words of a block, by its number."""
    zero = block.const(0, uint32)
    return philox_block(
        (block.cast(uint32), (block >> 32).cast(uint32), zero, zero),
        (key.cast(uint32), (key >> 32).cast(uint32)),
    )


def philox(linear: Scalar, key: Scalar, counter: Scalar) -> Scalar:
    """Element `linear` of random_bits: word linear % 4 of block counter + linear // 4."""
    words = words_of(counter + (linear >> 2), key)
    which = (linear & 3).cast(uint32)
    first = select(which.eq(0), words[0], words[1])
    second = select(which.eq(2), words[2], words[3])
    return select(which < 2, first, second)


# ---- StableHLO: the same scalar instructions on whole arrays ------------------------------------


class _Arrays(Handler):
    """Gives the instructions that Philox uses their meaning on values of one shape."""

    operations: ClassVar[dict[str, str]] = {
        "add": "add", "mul": "multiply", "and": "bitwise_and", "xor": "bitwise_xor",
        "shr": "shift_right", "eq": "equal", "lt": "less", "select": "where",
    }  # fmt: skip

    def __init__(self, f: Any, shape: Shape) -> None:
        self.f, self.shape = f, shape

    def instruction(self, name: str, dtype: DType, arguments: tuple[Any, ...]) -> Any:
        if name == "const":
            return filled(self.f, self.f.scalar(arguments[0], dtype), self.shape)
        if name == "cast":
            return self.f.cast(arguments[0].payload, dtype=dtype)
        operation = getattr(self.f, self.operations[name])
        return operation(*(argument.payload for argument in arguments))

    def scalar(self, value: Any) -> Scalar:
        """A 0-d u64 value in all places."""
        return Scalar(self, uint64, filled(self.f, value, self.shape))


def _decomposition(f: Any, state: Any, *, shape: Shape) -> Any:
    count = size(shape)
    handler = _Arrays(f, (count,))
    key, counter = (
        handler.scalar(f.reshape(f.slice(state, start=(i,), size=(1,), step=(1,)), shape=()))
        for i in (0, 1)
    )
    linear = Scalar(handler, uint64, f.iota(size=count, dtype=uint64))
    return f.reshape(philox(linear, key, counter).payload, shape=shape)


# ---- batching: the same, on arrays whose rows have states of their own -------------------------


def _batching(f: Any, count: Any, operands: Any, mapped: Any, *, shape: Shape) -> Any:
    """Block by block; element by element where the number of elements is not known."""
    (states,) = operands
    elements = size(shape)
    by_block = isinstance(elements, int)
    rows = (elements + 3) // 4 if isinstance(elements, int) else elements
    handler = _Arrays(f, (count, rows))
    key, counter = (
        Scalar(handler, uint64, expanded(f, column, (count, rows), (1,)))
        for column in (_column(f, states, count, i) for i in (0, 1))
    )
    place = expanded(f, f.iota(size=rows, dtype=uint64), (count, rows), (0,))
    linear = Scalar(handler, uint64, place)
    if not by_block:
        return reshaped(f, philox(linear, key, counter).payload, (count, *shape))
    words = [reshaped(f, w.payload, (count, rows, 1)) for w in words_of(counter + linear, key)]
    stream = reshaped(f, f.concatenate(*words, axis=2), (count, 4 * rows))
    if 4 * rows != elements:
        stream = f.slice(stream, start=(0, 0), size=(count, elements), step=(1, 1))
    return reshaped(f, stream, (count, *shape))


def _column(f: Any, states: Any, count: Any, i: int) -> Any:
    return reshaped(f, f.slice(states, start=(0, i), size=(count, 1), step=(1, 1)), (count,))


def _state(key: int, counter: int) -> Any:
    return np.array([key, counter], np.uint64)


OPS: tuple[Op, ...] = (
    Op(
        name="random_bits",
        family="random",
        doc="""32 random bits for each element, a function of the state and the element's place.

    Element i, in row-major order, is word i % 4 of the Philox4x32-10 block whose 128-bit counter is
    counter + i // 4 and whose 64-bit key is key. Who draws n elements and wants others the next
    time adds ⌈n / 4⌉ to the counter.

    Args:
        state: uint64 [2], the key and the counter.
        shape: the shape of the result.

    Shape:
        uint32, `shape`.

    Example:
        >>> random_bits(array([0, 0], "uint64"), shape=(2,))
        array([1713891541, 3781805453], dtype=uint32)
    """,
        type_rule=_random_bits_type,
        reference=_random_bits,
        derivative=lambda f, operands, results, cotangents, *, shape: (None,),
        batching=_batching,
        lowering=philox,
        stablehlo=Decompose(_decomposition),
        samples=lambda: [
            Sample((_state(key, counter),), {"shape": shape}, differentiable=False)
            for key, counter, shape in (
                (0, 0, (8,)), (7, 3, (2, 5)), (2**64 - 1, 2**64 - 1, (3, 3)), (1, 2**32 - 2, (17,)),
                (5, 0, ()), (5, 0, (0, 3)), (2**40 + 9, 11, (1, 4, 2)), (3, 2**33, (1,)),
            )
        ],
        bad_samples=lambda: [
            bad("u32[2]", "the state must be u64[2] (key, counter), received u32[2]", shape=(3,)),
            bad("u64[3]", "the state must be u64[2] (key, counter), received u64[3]", shape=(3,)),
            bad("u64[2]", "[random_bits] shape must be a tuple of sizes, received 3", shape=3),
            bad("u64[2]", "[random_bits] shape must not be negative: -1", shape=(-1,)),
        ],
        params=("shape",),
    ),
)  # fmt: skip

"""What the fingerprints are made of: operands given bit by bit, and digests of results.

No function of numpy or of the C library has a say in an operand: bits come from the counter-based
generator and from tables, and what is done with them (shifts, products with powers of two) is
exact.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from elinvar.core.dtypes import DType, float32, int64
from elinvar.tensor import elementwise as ew
from elinvar.tensor import random
from elinvar.tensor.convert import cast
from elinvar.tensor.storage import from_stored, stored_array
from elinvar.tensor.tensor import Tensor

# Width of the exponent and of the fraction.
FORMATS = {"float16": (5, 10), "bfloat16": (8, 7), "float32": (8, 23), "float64": (11, 52)}


def generator(name: str) -> random.Generator:
    """A stream of random numbers that belongs to a name."""
    return random.Generator(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


# ---- operands -----------------------------------------------------------------------------------


def patterns(count: int, dtype: DType, source: random.Generator) -> Any:
    """Random bit patterns of a dtype, as unsigned integers (0 and 1 for bool)."""
    kind = np.dtype(f"<u{dtype.itemsize}")
    words = -(-count * dtype.itemsize // 4)
    found = stored_array(source.bits((words,))).astype("<u4").view(kind)[:count]
    return found & 1 if dtype.kind == "b" else found


def spread(count: int, dtype: DType, source: random.Generator) -> Any:
    """Bit patterns of which every other one lies within 2⁻⁸ … 2⁸, where functions are used."""
    found = patterns(count, dtype, source)
    if dtype.kind != "f":
        return found
    exponent, fraction = FORMATS[dtype.name]
    kind = found.dtype.type
    low = (1 << (exponent - 1)) - 9
    field = kind(((1 << exponent) - 1) << fraction)
    drawn = (found & field) >> kind(fraction) & kind(15)
    near = (found & ~field) | (drawn + kind(low)) << kind(fraction)
    return np.where(np.arange(count) % 2 == 0, found, near)


def special_patterns(dtype: DType) -> Any:
    """Zeros, ones, limits, infinities, NaN, numbers around powers of two and their opposites."""
    bits = dtype.bits
    kind = np.dtype(f"<u{dtype.itemsize}")
    if dtype.kind == "b":
        return np.array([0, 1], kind)
    if dtype.kind != "f":
        powers = [1 << n for n in range(bits)]
        near = {(power + step) % (1 << bits) for power in powers for step in (-1, 0, 1)}
        both = near | {(-n) % (1 << bits) for n in range(12)} | set(range(12))
        return np.array(sorted(both), kind)
    exponent, fraction = FORMATS[dtype.name]
    one = ((1 << (exponent - 1)) - 1) << fraction
    infinity = ((1 << exponent) - 1) << fraction
    numbers = {0, 1, 2, 3, infinity, infinity - 1, infinity | 1 << (fraction - 1)}
    numbers |= {(1 << fraction) + step for step in (-2, -1, 0, 1)}  # the smallest normal number
    ends = min(exponent + 60, (1 << (exponent - 1)) - 2)
    for power in (*range(-ends, ends, 7), *range(-4, 5), fraction, fraction + 1, 15, 16, 31, 63):
        if abs(power) <= ends:
            numbers |= {one + (power << fraction) + step for step in (-1, 0, 1)}
    numbers |= {one + (1 << (fraction - 1)) + step for step in (-1, 0, 1)}  # around 3/2
    sign = 1 << (bits - 1)
    return np.array(sorted(numbers | {number | sign for number in numbers}), kind)


def from_patterns(found: Any, dtype: DType) -> Tensor:
    """A tensor of these bits."""
    whole = found.astype(found.dtype.newbyteorder("="))
    made: Tensor = from_stored(whole.view(dtype.storage), dtype)
    return made


def numbers(source: random.Generator, *shape: int, dtype: DType = float32) -> Tensor:
    """Numbers from -1 to 1, all multiples of the same power of two: products with them round."""
    unit = random.rand(size=shape, dtype=dtype, generator=source)
    made: Tensor = ew.subtract(ew.multiply(unit, 2.0), 1.0)
    return made


def shaped(
    *shapes: tuple[int, ...], dtype: DType = float32
) -> Callable[[random.Generator], tuple[Tensor, ...]]:
    """What makes operands of these shapes."""

    def make(source: random.Generator) -> tuple[Tensor, ...]:
        return tuple(numbers(source, *shape, dtype=dtype) for shape in shapes)

    return make


def integers(
    source: random.Generator, high: int, *shape: int, low: int = 0, dtype: DType = int64
) -> Tensor:
    """Whole numbers low … high - 1."""
    made: Tensor = cast(random.randint(low, high, shape, generator=source), dtype)
    return made


# ---- digests ------------------------------------------------------------------------------------


class Digest:
    """The fingerprint of a sequence of tensors, and how many values went into it.

    Each tensor adds its dtype, its shape and its bits in little-endian order. All NaNs count as
    one, for which one an operation gives differs between instruction sets.
    """

    values: int

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.values = 0

    def add(self, tensor: Tensor) -> None:
        """Add a tensor."""
        dtype = tensor.dtype
        self._hash.update(f"{dtype.name}{list(tensor.shape)}\n".encode())
        self._hash.update(little_endian(stored_array(tensor.detach()), dtype))
        self.values += int(np.prod(tensor.shape, dtype=np.int64))

    def add_all(self, tensors: Iterable[Tensor]) -> None:
        """Add several tensors in order."""
        for tensor in tensors:
            self.add(tensor)

    def text(self) -> str:
        """The fingerprint so far: twelve hexadecimal digits."""
        return self._hash.hexdigest()[:12]


def little_endian(array: Any, dtype: DType) -> bytes:
    """The stored bits of an array in row-major order, with one NaN for all."""
    if dtype.kind == "c":
        array, dtype = np.ascontiguousarray(array).view(dtype.part.numpy), dtype.part
    kind = np.dtype(f"u{dtype.itemsize}")
    found = np.ascontiguousarray(array).view(kind)
    if dtype.kind == "f":
        exponent, fraction = FORMATS[dtype.name]
        infinity = kind.type(((1 << exponent) - 1) << fraction)
        is_nan = (found & kind.type((1 << (dtype.bits - 1)) - 1)) > infinity
        if is_nan.any():
            found = np.where(is_nan, infinity | kind.type(1 << (fraction - 1)), found)
    return bytes(found.astype(kind.newbyteorder("<"), copy=False).tobytes())


def combined(parts: Iterable[tuple[str, str]]) -> str:
    """One fingerprint of named ones."""
    lines = "".join(f"{name} {found}\n" for name, found in parts)
    return hashlib.sha256(lines.encode()).hexdigest()[:12]

"""How a Fourier transform of some length is computed, and its tables: by the length alone."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from elinvar.core.dtypes import DType
from elinvar.kernels.roots import chirp, chirp_spectrum, planes, roots
from elinvar.ops.fourier import prime_factors

Array = np.ndarray[Any, Any]
SHORT = 256  # from here on transforms are split in two
LEAST_PART = 16


class Split(NamedTuple):
    """A transform of `columns` · `rows` numbers as one of `columns` numbers and one of `rows`."""

    columns: int
    rows: int


def padded_length(length: int) -> int:
    """The power of two in which a chirp's convolution has room."""
    return 1 << (2 * length - 2).bit_length()


@functools.cache
def split(length: int) -> Split | None:
    """The two parts of a long transform, as near to each other as they can be; None: in one."""
    if length < SHORT:
        return None
    for columns in range(int(length**0.5) + 1, LEAST_PART - 1, -1):
        if length % columns == 0 and columns * columns <= length:
            return Split(columns, length // columns)
    return None


def radices(length: int) -> tuple[int, ...]:
    """The stages of a smooth length: eights, fours or a two, then odd primes."""
    primes = prime_factors(length)
    twos = primes.count(2)
    even = {0: (), 1: (4, 4) if twos > 1 else (2,), 2: (4,)}[twos % 3]
    eights = (twos - sum(n.bit_length() - 1 for n in even)) // 3
    return (*(8,) * eights, *even, *(p for p in primes if p > 2))


@functools.lru_cache(256)
def stages(length: int) -> Array:
    """The number of stages; for each its radix, n', s and the place of its roots."""
    left, done, place, rows = length, 1, 0, []
    for radix in radices(length):
        left //= radix
        rows += [radix, left, done, place]
        place += 2 * (radix - 1) * (left - 1)
        done *= radix
    return np.array([len(rows) // 4, *rows], np.int64)


def _bits(numbers: Array) -> Array:
    """Floats as a table of 64-bit integers."""
    data = np.ascontiguousarray(numbers).tobytes()
    return np.frombuffer(data + bytes(-len(data) % 8), np.int64)


@functools.lru_cache(256)
def stage_roots(length: int, part: DType) -> Array:
    """exp(-2πi j p / (r n')) of each stage, for 0 < p < n' and 0 < j < r."""
    every = planes(roots(length), part).reshape(2, -1)
    found = []
    left, step = length, 1
    for radix in radices(length):
        left //= radix
        index = step * np.arange(1, left)[:, None] * np.arange(1, radix)[None, :]
        step *= radix
        found.append(every[:, index].transpose(1, 2, 0).reshape(-1))
    return _bits(np.concatenate(found) if found else np.zeros(0, part.numpy))


@functools.lru_cache(32)
def between(parts: Split, part: DType) -> Array:
    """exp(-2πi j k / n) for column j and result k, as planes [k, j]."""
    length = parts.columns * parts.rows
    every = planes(roots(length), part).reshape(2, -1)
    index = np.arange(parts.columns)[:, None] * np.arange(parts.rows)[None, :]
    return _bits(every[:, index % length])


@functools.lru_cache(64)
def half_roots(length: int, part: DType) -> Array:
    """exp(-2πi k / n) for k < n / 2, as planes."""
    return _bits(planes(roots(length), part).reshape(2, -1)[:, : length // 2])


@functools.lru_cache(64)
def chirp_table(length: int, part: DType) -> Array:
    """The chirp, as planes."""
    return _bits(planes(chirp(length), part))


@functools.lru_cache(32)
def spectrum_table(length: int, part: DType) -> Array:
    """The transform of the padded conjugate chirp, by its size, as planes."""
    return _bits(planes(chirp_spectrum(length, padded_length(length)), part))

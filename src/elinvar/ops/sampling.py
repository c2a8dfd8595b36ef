"""Operands for samples: small arrays that are the same in every run."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.types import TensorType, parse_type
from elinvar.ops.record import BadSample
from elinvar.ops.rules import round_to_bfloat16


def floats(*shape: int, seed: int = 0, dtype: Any = np.float64) -> Any:
    """Normally distributed numbers."""
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(dtype)


def distinct(*shape: int, seed: int = 0, dtype: Any = np.float64) -> Any:
    """Numbers in random order that are at least 1/4 apart, for operations with kinks at ties."""
    count = int(np.prod(shape, dtype=np.int64))
    order = np.random.default_rng((seed, *shape)).permutation(count)
    return ((order - count // 2) / 4 + 0.125).reshape(shape).astype(dtype)


def integers(
    *shape: int, seed: int = 0, dtype: Any = np.int64, low: int = -9, high: int = 9
) -> Any:
    """Whole numbers from low to high, both included (from 0 for unsigned types)."""
    if np.dtype(dtype).kind == "u":
        low = max(low, 0)
    generator = np.random.default_rng((seed, *shape))
    return generator.integers(low, high, size=shape, endpoint=True).astype(dtype)


def booleans(*shape: int, seed: int = 0) -> Any:
    """True and False."""
    return integers(*shape, seed=seed, low=0, high=1).astype(bool)


def complexes(*shape: int, seed: int = 0, dtype: Any = np.complex128) -> Any:
    """Complex numbers with normally distributed parts."""
    pair = floats(2, *shape, seed=seed)
    return (pair[0] + 1j * pair[1]).astype(dtype)


def brain_floats(*shape: int, seed: int = 0) -> Any:
    """Float32 arrays that hold bfloat16 values."""
    return round_to_bfloat16(floats(*shape, seed=seed, dtype=np.float32))


def kind(text: str) -> TensorType:
    """`f32[2,3]` as a type."""
    return parse_type(text)


def bad(types: str, expected: str, **params: Any) -> BadSample:
    """Operand types, separated by blanks, that must be refused with the expected text."""
    return BadSample(tuple(parse_type(text) for text in types.split()), params, expected)

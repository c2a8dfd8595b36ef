"""Tables of offsets whose sizes are not known yet: what native code must write into memory.

Each class says how many entries it has (`length`), what they are for given sizes (`array`), and is
written as native code elsewhere. Where sizes are known, numpy arrays stand in the place of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elinvar.core.sizing import AnySize, Size, ceil_div, value_of

Array = np.ndarray[Any, Any]
BY_FIRST, ONWARD, FULL_ONLY = "first", "onward", "full"


def is_unknown(sizes: Mapping[str, Any]) -> bool:
    """Whether sizes are expressions."""
    return any(isinstance(size, Size) for size in sizes.values())


@dataclass(frozen=True)
class Line:
    """Entries 0, stride, 2·stride, …"""

    extent: AnySize
    stride: AnySize


@dataclass(frozen=True)
class Listed:
    """Entries `number · stride + more` of two lists of numbers."""

    numbers: tuple[int, ...]
    stride: AnySize
    more: tuple[int, ...] | None = None

    @property
    def extent(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class Offsets:
    """All sums of one entry of each factor, in row-major order."""

    factors: tuple[Line | Listed, ...]

    @property
    def length(self) -> AnySize:
        total: AnySize = 1
        for factor in self.factors:
            total = total * factor.extent
        return total

    def array(self, sizes: Mapping[str, int]) -> Array:
        total = np.zeros(1, np.int64)
        for factor in self.factors:
            stride = value_of(factor.stride, sizes, {})
            if isinstance(factor, Line):
                steps = np.arange(value_of(factor.extent, sizes, {}), dtype=np.int64) * stride
            else:
                steps = np.array(factor.numbers, np.int64) * stride
                steps = steps + np.array(factor.more or 0, np.int64)
            total = (total[:, None] + steps[None, :]).reshape(-1)
        return total


@dataclass(frozen=True)
class Padded:
    """A table filled up to a multiple with its first entry."""

    table: Offsets
    multiple: int

    @property
    def length(self) -> AnySize:
        return ceil_div(self.table.length, self.multiple) * self.multiple

    def array(self, sizes: Mapping[str, int]) -> Array:
        table = self.table.array(sizes)
        rest = -len(table) % self.multiple
        return np.concatenate([table, np.full(rest, table[0] if len(table) else 0, np.int64)])


@dataclass(frozen=True)
class Flags:
    """Per group of `width` entries of a table: 1 where each is one more than the one before.

    What is missing in the last group counts as the table's first entry (BY_FIRST, up to a multiple
    of `multiple` entries) or as a continuation (ONWARD); or that group is left out (FULL_ONLY).
    `more` zeros follow.
    """

    table: Offsets
    width: int
    missing: str
    multiple: int
    more: int = 0

    @property
    def length(self) -> AnySize:
        count = self.table.length
        if self.missing == FULL_ONLY:
            return count // self.width + self.more
        filled = ceil_div(count, self.multiple) * self.multiple
        return filled // self.width + self.more

    def array(self, sizes: Mapping[str, int]) -> Array:
        table = self.table.array(sizes)
        if self.missing == FULL_ONLY:
            table = table[: len(table) // self.width * self.width]
        else:
            rest = -len(table) % self.multiple
            first, last = (table[0], table[-1]) if len(table) else (0, 0)
            more = last + 1 + np.arange(rest, dtype=np.int64)
            if self.missing == BY_FIRST:
                more = np.full(rest, first, np.int64)
            table = np.concatenate([table, more])
        groups = table.reshape(-1, self.width)
        flags = np.all(np.diff(groups, axis=1) == 1, axis=1).astype(np.int64)
        return np.concatenate([flags, np.zeros(self.more, np.int64)])


UnknownTable = Offsets | Padded | Flags


def every(flags: Any) -> Any:
    """Whether no entry of a table is 0."""
    if isinstance(flags, Flags):
        return Size("every", flags)
    return bool(np.all(flags))


def outer_sum(factors: Sequence[tuple[Any, Any]], sizes: Mapping[str, Any]) -> Any:
    """Row-major offsets of positions along (extent, stride)s: an array, or a table for later."""
    if is_unknown(sizes):
        return Offsets(tuple(Line(extent, stride) for extent, stride in factors))
    total = np.zeros(1, np.int64)
    for extent, stride in factors:
        total = (total[:, None] + np.arange(extent, dtype=np.int64) * stride).reshape(-1)
    return total

"""What the two kernels of a product need to know: offset tables, and how the work is cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elinvar.codegen.contraction import GROUP, PANELS, Tile
from elinvar.core.shapes import DimLike, evaluate, size
from elinvar.kernels.plan import Place, Sizes


class Axes:
    """Some dimensions as (extent, stride in elements): the offsets of all their positions."""

    def __init__(self, dims: Sequence[tuple[DimLike, DimLike]]) -> None:
        self.dims = tuple(dims)

    @property
    def size(self) -> DimLike:
        return size(extent for extent, _ in self.dims)

    def table(self, sizes: Sizes) -> np.ndarray[Any, Any]:
        """Element offsets in row-major order of the dims."""
        total = np.zeros(1, np.int64)
        for extent, stride in self.dims:
            steps = np.arange(evaluate(extent, sizes), dtype=np.int64) * evaluate(stride, sizes)
            total = (total[:, None] + steps[None, :]).reshape(-1)
        return total


class Result:
    """Where a product's elements go: batch and column offsets, and the step from row to row."""

    def __init__(self, batch: Axes, free: Axes, row_step: DimLike) -> None:
        self.batch, self.free, self.row_step = batch, free, row_step


class Side:
    """One operand of a product: where it starts, and its batch, free and contracted axes."""

    def __init__(self, place: Place, batch: Axes, free: Axes, depth: Axes) -> None:
        self.place, self.batch, self.free, self.depth = place, batch, free, depth


def cut_product(batch: int, rows: int, columns: int, tile: Tile) -> tuple[int, int, int]:
    """(tasks, column panels per task, row panels per task): about eight tasks at least."""
    row_panels, column_panels = -(-rows // tile.rows), -(-columns // tile.columns)
    if not batch * row_panels * column_panels:
        return 0, 1, 1
    column_block = max(1, min(PANELS, -(-column_panels * batch // 8)))
    column_blocks = -(-column_panels // column_block)
    row_blocks = 1
    if batch * column_blocks < 8:
        row_blocks = min(row_panels, -(-8 // (batch * column_blocks)))
    row_block = -(-row_panels // row_blocks)
    return batch * column_blocks * -(-row_panels // row_block), column_block, row_block


def padded(table: np.ndarray[Any, Any], multiple: int) -> np.ndarray[Any, Any]:
    """Fill a table up to a multiple of `multiple` with its first entry (read, never used)."""
    rest = -len(table) % multiple
    return np.concatenate([table, np.full(rest, table[0] if len(table) else 0, np.int64)])


def group_flags(table: np.ndarray[Any, Any], multiple: int) -> np.ndarray[Any, Any]:
    """Per group of columns: 1 where its offsets are neighbours."""
    groups = padded(table, multiple).reshape(-1, GROUP)
    return np.all(np.diff(groups, axis=1) == 1, axis=1).astype(np.int64)


def panel_flags(table: np.ndarray[Any, Any], columns: int) -> np.ndarray[Any, Any]:
    """Per panel of columns: 1 where its offsets are neighbours."""
    panels = padded(table, columns).reshape(-1, columns)
    return np.all(np.diff(panels, axis=1) == 1, axis=1).astype(np.int64)


def row_flags(table: np.ndarray[Any, Any], rows: int) -> np.ndarray[Any, Any]:
    """Per panel of rows: 1 where it is full and its offsets are neighbours."""
    full = table[: len(table) // rows * rows].reshape(-1, rows)
    flags = np.all(np.diff(full, axis=1) == 1, axis=1).astype(np.int64)
    return np.concatenate([flags, np.zeros(1, np.int64)])

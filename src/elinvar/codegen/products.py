"""What a product's kernel needs to know: offset tables, and how the work is cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from elinvar.codegen.contraction import DIRECT, FEW_DENSE, FEW_TURNED, PACKED
from elinvar.codegen.few_rows import MOST_ROWS
from elinvar.codegen.product_parts import GROUP, PANELS, Tile
from elinvar.core.shapes import DimLike, evaluate, size
from elinvar.kernels.plan import Place, Sizes

MOST_TASKS = 16
TASK_WORK = 400_000  # fmas that are worth a task
DIRECT_PANELS = 1
PAGE = 4096


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
    """Where a product's elements go: offsets of batches, rows and columns."""

    def __init__(self, batch: Axes, rows: Axes, columns: Axes) -> None:
        self.batch, self.rows, self.columns = batch, rows, columns


class Side:
    """One operand of a product: where it starts, and its batch, free and contracted axes."""

    def __init__(self, place: Place, batch: Axes, free: Axes, depth: Axes) -> None:
        self.place, self.batch, self.free, self.depth = place, batch, free, depth


class Cut(NamedTuple):
    """How a product is cut: tasks in all, panels of columns and panels of rows of each."""

    tasks: int
    column_block: int
    row_block: int


def cut_product(batch: int, rows: int, columns: int, depth: int, tile: Tile) -> Cut:
    """Cut into tasks that are worth a start, such that little is packed twice.

    Each task packs its columns and its rows, so every block of rows packs all columns again and
    every block of columns all rows.
    """
    row_panels, column_panels = -(-rows // tile.rows), -(-columns // tile.columns)
    if not batch * row_panels * column_panels:
        return Cut(0, 1, 1)
    wanted = max(1, min(MOST_TASKS, batch * rows * columns * depth // TASK_WORK))
    found: list[tuple[int, int, Cut]] = []
    fewest = -(-column_panels // PANELS)
    for blocks in range(fewest, min(column_panels, fewest + MOST_TASKS) + 1):
        column_block = -(-column_panels // blocks)
        column_blocks = -(-column_panels // column_block)
        row_blocks = min(row_panels, -(-wanted // (batch * column_blocks)))
        row_block = -(-row_panels // row_blocks)
        row_blocks = -(-row_panels // row_block)
        cut = Cut(batch * column_blocks * row_blocks, column_block, row_block)
        packed = row_blocks * columns + column_blocks * rows
        found.append((-min(wanted, cut.tasks), packed, cut))
    return min(found)[2]


def mode_of(left: Side, right: Side, cut: Cut, tile: Tile, sizes: Sizes) -> int:
    """How the operands of a product are read; bits do not depend on it.

    Packing rows costs about as much as one panel of columns takes. Rows that are neighbours are
    packed in no time, and rows a page apart would push each other out of the cache.
    """
    if evaluate(left.free.size, sizes) <= MOST_ROWS:
        if np.all(group_flags(right.free.table(sizes), tile.columns)):
            return FEW_DENSE
        depth = right.depth.table(sizes)
        if np.all(group_flags(depth[: len(depth) // GROUP * GROUP], GROUP)):
            return FEW_TURNED
    if cut.column_block > DIRECT_PANELS or not left.free.dims:
        return PACKED
    step = evaluate(left.free.dims[-1][1], sizes)
    return DIRECT if step != 1 and step * 4 % PAGE != 0 else PACKED


def padded(table: np.ndarray[Any, Any], multiple: int) -> np.ndarray[Any, Any]:
    """Fill a table up to a multiple of `multiple` with its first entry (read, never used)."""
    rest = -len(table) % multiple
    return np.concatenate([table, np.full(rest, table[0] if len(table) else 0, np.int64)])


def group_flags(table: np.ndarray[Any, Any], multiple: int) -> np.ndarray[Any, Any]:
    """Per group of columns: 1 where its offsets are neighbours."""
    groups = padded(table, multiple).reshape(-1, GROUP)
    return np.all(np.diff(groups, axis=1) == 1, axis=1).astype(np.int64)


def panel_flags(table: np.ndarray[Any, Any], columns: int) -> np.ndarray[Any, Any]:
    """Per panel of columns: 1 where its offsets are neighbours, as far as it is filled."""
    rest = -len(table) % columns
    last = table[-1] if len(table) else 0
    whole = np.concatenate([table, last + 1 + np.arange(rest, dtype=np.int64)])
    return np.all(np.diff(whole.reshape(-1, columns), axis=1) == 1, axis=1).astype(np.int64)


def row_flags(table: np.ndarray[Any, Any], rows: int) -> np.ndarray[Any, Any]:
    """Per panel of rows: 1 where it is full and its offsets are neighbours."""
    full = table[: len(table) // rows * rows].reshape(-1, rows)
    flags = np.all(np.diff(full, axis=1) == 1, axis=1).astype(np.int64)
    return np.concatenate([flags, np.zeros(1, np.int64)])

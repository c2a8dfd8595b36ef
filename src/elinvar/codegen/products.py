"""What a product's kernel needs to know: offset tables, and how the work is cut."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from elinvar.codegen.contraction import (
    DIRECT,
    FEW_DENSE,
    FEW_DOTS,
    FEW_TURNED,
    MIXED,
    PACKED,
)
from elinvar.codegen.few_rows import MOST_ROWS
from elinvar.codegen.product_parts import GROUP, PANELS, Tile
from elinvar.core.shapes import DimLike, evaluate, size
from elinvar.core.sizing import Size, both, ceil_div, choose, invert, least, most, same
from elinvar.kernels.offsets import (
    BY_FIRST,
    FULL_ONLY,
    ONWARD,
    Flags,
    Offsets,
    Padded,
    every,
    outer_sum,
)
from elinvar.kernels.plan import Place, Sizes

WORKERS = 16  # up to so many threads share a large product evenly
RESULTS = 8192  # results that are worth another thread beyond four: each reads all of the operands
SHARE = 2_000_000  # fmas that are worth another thread
MOST_BLOCKS = 16
FEW_BLOCKS = 4
ANY = 1 << 40  # panels of rows in a task, where nothing limits them
FEWER = 0.7  # how much less twice as many threads count
ROW_PACKING, COLUMN_PACKING = 20, 8  # what it costs to pack an element, in fmas
READING, WIDENING = 1, 4  # what it costs to read one that was packed before: as it is, or widened
TASK_COST = 50_000  # what it costs to start a task, in fmas
LAUNCH_COST = 100_000  # what it costs to pack the right operand by a launch of its own, in fmas
DIRECT_PANELS = 1
PAGE = 4096


class Axes:
    """Some dimensions as (extent, stride in elements): the offsets of all their positions."""

    dims: tuple[tuple[DimLike, DimLike], ...]

    def __init__(self, dims: Sequence[tuple[DimLike, DimLike]]) -> None:
        self.dims = tuple(dims)

    @property
    def size(self) -> DimLike:
        return size(extent for extent, _ in self.dims)

    def table(self, sizes: Sizes) -> Any:
        """Element offsets in row-major order of the dims."""
        known = [(evaluate(extent, sizes), evaluate(stride, sizes)) for extent, stride in self.dims]
        return outer_sum(known, sizes)


class PackedBatch(Axes):
    """The batches of panels that were packed before: offsets of their first panels."""

    def __init__(self, batch: DimLike, columns: DimLike, depth: DimLike, tile: Tile) -> None:
        super().__init__([(batch, 0)])
        self._columns, self._depth, self._tile = columns, depth, tile

    def table(self, sizes: Sizes) -> Any:
        width = self._tile.columns
        panels = ceil_div(evaluate(self._columns, sizes), width)
        step = panels * width * evaluate(self._depth, sizes)
        return outer_sum([(evaluate(self.size, sizes), step)], sizes)


class Result:
    """Where a product's elements go: offsets of batches, rows and columns."""

    batch: Axes
    columns: Axes
    rows: Axes

    def __init__(self, batch: Axes, rows: Axes, columns: Axes) -> None:
        self.batch, self.rows, self.columns = batch, rows, columns


class Side:
    """One operand of a product: where it starts, and its batch, free and contracted axes."""

    batch: Axes
    depth: Axes
    free: Axes
    place: Any

    def __init__(self, place: Place, batch: Axes, free: Axes, depth: Axes) -> None:
        self.place, self.batch, self.free, self.depth = place, batch, free, depth


class Cut(NamedTuple):
    """How a product is cut: tasks in all, panels of columns and panels of rows of each."""

    tasks: int
    column_block: int
    row_block: int


def cut_product(
    batch: int,
    rows: int,
    columns: int,
    depth: int,
    tile: Tile,
    is_packed: bool = False,
    has_block: bool = False,
    widens: bool = False,
) -> Cut:
    """Cut by shape alone, such that little is packed twice and any number of threads shares evenly.

    Each task packs its columns (unless `is_packed`) and its rows, so every block of rows packs all
    columns again and every block of columns all rows. `has_block`: results stand on the stack
    first, where a task has room for some rows only. `widens`: each task widens the columns that
    were packed.
    """
    highest = tile.block_panels if has_block else ANY
    if any(isinstance(n, Size) for n in (batch, rows, columns, depth)):
        return _plain_cut(batch, rows, columns, depth, tile, highest)
    per_column = (WIDENING if widens else READING) if is_packed else COLUMN_PACKING
    return _best_cut(batch, rows, columns, depth, tile, per_column, highest)[1]


def wants_packing(
    batch: int, rows: int, columns: int, depth: int, tile: Tile, has_block: bool = False
) -> bool:
    """Whether the right operand is better packed once, by a launch of its own."""
    highest = tile.block_panels if has_block else ANY
    if any(isinstance(n, Size) for n in (batch, rows, columns, depth)):
        return False  # see `_plain_cut`: few blocks of rows pack the columns again
    if rows <= MOST_ROWS:
        return False
    apart, _ = _best_cut(batch, rows, columns, depth, tile, READING, highest)
    inside, _ = _best_cut(batch, rows, columns, depth, tile, COLUMN_PACKING, highest)
    return apart + COLUMN_PACKING * batch * columns * depth + LAUNCH_COST < inside


def _plain_cut(
    batch: Any, rows: Any, columns: Any, depth: Any, tile: Tile, highest: int
) -> Cut:  # fmt: skip
    """A cut for sizes that are not known yet: blocks of columns as wide as a task takes them, and
    up to four blocks of rows where there is work for threads. No bit depends on it."""
    row_panels, column_panels = ceil_div(rows, tile.rows), ceil_div(columns, tile.columns)
    column_block = most(1, least(column_panels, PANELS))
    is_large = batch * rows * columns * depth > FEW_BLOCKS * SHARE
    blocks = choose(is_large, least(most(1, row_panels), FEW_BLOCKS), 1)
    row_block = least(most(1, ceil_div(row_panels, blocks)), highest)
    tasks = batch * ceil_div(column_panels, column_block) * ceil_div(row_panels, row_block)
    return Cut(tasks, column_block, row_block)


@functools.lru_cache(maxsize=4096)
def _best_cut(
    batch: int, rows: int, columns: int, depth: int, tile: Tile, per_column: int, highest: int
) -> tuple[float, Cut]:
    """The cheapest cut and what it costs all threads together, in fmas. `per_column`: what it
    costs to have an element of the right operand ready."""
    row_panels, column_panels = -(-rows // tile.rows), -(-columns // tile.columns)
    if not batch * row_panels * column_panels:
        return 0.0, Cut(0, 1, 1)
    results = batch * rows * columns
    workers = max(1, min(WORKERS, results * depth // SHARE, max(4, results // RESULTS)))
    best: tuple[float, Cut] | None = None
    fewest = -(-column_panels // PANELS)
    most = min(column_panels, fewest + MOST_BLOCKS)
    column_blocks = {-(-column_panels // wish): None for wish in range(fewest, most + 1)}
    wishes = range(1, min(row_panels, MOST_BLOCKS) + 1)
    row_blocks = {min(-(-row_panels // wish), highest): None for wish in wishes}
    down = {block: _Blocks(rows, block * tile.rows) for block in row_blocks}
    for column_block in column_blocks:
        across = _Blocks(columns, column_block * tile.columns)
        for row_block, lines in down.items():
            tasks = batch * across.count * lines.count
            packed = ROW_PACKING * across.count * rows + per_column * lines.count * columns
            total = batch * (rows * columns + packed) * depth + tasks * TASK_COST
            if best is not None and total >= best[0]:
                continue  # threads can only add to it
            largest = lines.size * (across.size + ROW_PACKING) + per_column * across.size
            full = batch * across.full * lines.full
            cost = _average(total, full, largest * depth + TASK_COST, workers)
            if best is None or cost < best[0]:
                best = cost, Cut(tasks, column_block, row_block)
    assert best is not None
    return best


class _Blocks:
    """An extent in blocks: how many, how many of them are full, and the size of those."""

    def __init__(self, extent: int, block: int) -> None:
        self.size = min(extent, block)
        self.count, self.full = -(-extent // self.size), extent // self.size


def _average(total: int, full: int, largest: int, workers: int) -> float:
    """What 1, 2, 4 … threads pay, few of them counting most: they wait for the last of `full` equal
    tasks; smaller ones fill gaps."""
    paid = counted = 0.0
    threads, weight = 1, 1.0
    while threads <= workers:
        paid += weight * max(total, threads * -(-full // threads) * largest)
        counted += weight
        threads, weight = 2 * threads, FEWER * weight
    return paid / counted


def mode_of(
    left: Side,
    right: Side,
    cut: Cut,
    tile: Tile,
    sizes: Sizes,
    is_packed: bool,
    itemsize: int,
    has_dots: bool = False,
) -> int:
    """How the operands of a product are read; bits do not depend on it, but for dots. `itemsize`:
    of an element of the left operand, 1 for those that must be packed. `has_dots`: whether lanes
    may be steps of k.

    Packing rows costs about as much as one panel of columns takes. Rows that are neighbours are
    packed in no time, and rows a page apart would push each other out of the cache; numbers of less
    than four bytes fill so few of its lines that they may stand anywhere.
    """

    def few() -> Any:
        is_dense = every(group_flags(right.free.table(sizes), tile.columns))
        return choose(is_dense, FEW_DENSE, lambda: choose(is_dots(), FEW_DOTS, turned))

    def is_dots() -> Any:
        if not has_dots:
            return 0
        sides = (side.depth.table(sizes) for side in (left, right))
        first, second = (every(full_flags(table, tile.vector)) for table in sides)
        return both(first, second)

    def turned() -> Any:
        return choose(is_turned(), FEW_TURNED, many)

    def is_turned() -> Any:
        return every(full_flags(right.depth.table(sizes), GROUP))

    def many() -> Any:
        if not left.free.dims or itemsize == 1:
            return PACKED
        step = evaluate(left.free.dims[-1][1], sizes)
        is_apart = 1 if itemsize < 4 else invert(same(step * 4 % PAGE, 0))
        direct = choose(same(step, 1), MIXED, choose(is_apart, DIRECT, PACKED))
        return choose(cut.column_block > DIRECT_PANELS, PACKED, direct)

    has_few = both(invert(is_packed), lambda: evaluate(left.free.size, sizes) <= MOST_ROWS)
    return choose(has_few, few, many)


def padded(table: Any, multiple: int) -> Any:
    """Fill a table up to a multiple of `multiple` with its first entry (read, never used)."""
    if isinstance(table, Offsets):
        return Padded(table, multiple)
    rest = -len(table) % multiple
    return np.concatenate([table, np.full(rest, table[0] if len(table) else 0, np.int64)])


def group_flags(table: Any, multiple: int) -> Any:
    """Per group of columns: 1 where its offsets are neighbours."""
    if isinstance(table, Offsets):
        return Flags(table, GROUP, BY_FIRST, multiple)
    groups = padded(table, multiple).reshape(-1, GROUP)
    return np.all(np.diff(groups, axis=1) == 1, axis=1).astype(np.int64)


def full_flags(table: Any, width: int) -> Any:
    """Per full group of `width` entries: 1 where its offsets are neighbours."""
    if isinstance(table, Offsets):
        return Flags(table, width, FULL_ONLY, width)
    groups = table[: len(table) // width * width].reshape(-1, width)
    return np.all(np.diff(groups, axis=1) == 1, axis=1).astype(np.int64)


def panel_flags(table: Any, columns: int) -> Any:
    """Per panel of columns: 1 where its offsets are neighbours, as far as it is filled."""
    if isinstance(table, Offsets):
        return Flags(table, columns, ONWARD, columns)
    rest = -len(table) % columns
    last = table[-1] if len(table) else 0
    whole = np.concatenate([table, last + 1 + np.arange(rest, dtype=np.int64)])
    return np.all(np.diff(whole.reshape(-1, columns), axis=1) == 1, axis=1).astype(np.int64)


def row_flags(table: Any, rows: int) -> Any:
    """Per panel of rows: 1 where it is full and its offsets are neighbours."""
    if isinstance(table, Offsets):
        return Flags(table, rows, FULL_ONLY, rows, 1)
    return np.concatenate([full_flags(table, rows), np.zeros(1, np.int64)])

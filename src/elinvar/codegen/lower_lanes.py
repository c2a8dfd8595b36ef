"""Batches of narrow products as steps on the kernel of lanes.py.

Lanes over the batch need the left operand with the batch innermost in memory; where it is not,
positions may be, and give lanes over the rows, or are turned while they are summed; else the
operand is copied. The right one is read where it stands if its batch is innermost, else from
panels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from elinvar.codegen.lanes import MOST_PANELS, Lanes, lanes_text
from elinvar.codegen.lower_products import ProductLowering
from elinvar.codegen.lowering import PLACEHOLDER, cached_text
from elinvar.codegen.numerics import ANY
from elinvar.codegen.product_parts import GROUP, Tile, tile_for
from elinvar.codegen.products import Axes, Cut, Result, Side, padded, row_flags
from elinvar.codegen.turned_lanes import turned_lanes_text
from elinvar.core.shapes import DimLike, evaluate
from elinvar.core.sizing import ceil_div, least, most
from elinvar.graph.ir import Builder, Node, Value
from elinvar.kernels.offsets import Listed, Offsets, is_unknown, outer_sum
from elinvar.kernels.plan import Number, Place, Sizes, Step, Table

MOST_COLUMNS = 16  # wider products fill a panel of columns
TASK_WORK = 400_000  # fmas that a task takes
TASKS = 6  # so many at least, where there is enough to do
TableOf = Callable[[Sizes], Any]
Dims = Sequence[tuple[DimLike, DimLike]]  # (extent, stride)


def most_sums(tile: Tile) -> int:
    """How many vectors of sums fit into the registers, beside what they are the sums of."""
    return 16 if tile.rows == 12 else 8


def neighbours(axes: Axes) -> int:
    """How many positions of the innermost axis are neighbours in memory: 1 for none."""
    extent, stride = axes.dims[-1]
    return max(1, extent) if stride == 1 and isinstance(extent, int) else 1


def cut_lanes(tiles: int, panels: int, depth: int, shape: Lanes, filters: int) -> Cut:
    """Tasks in all, panels and tiles of rows of each; by shape alone.

    Lanes over rows: a batch is a task. Lanes over the batch: neighbouring panels are neighbours in
    memory, so a task takes many of them; of long sums, which it walks through once, as many as
    leave some tasks for threads.
    """
    work = depth * shape.lanes * shape.columns * shape.rows
    if shape.step:
        panel_block, chunk = 1, most(1, tiles)
    elif shape.is_short:
        panel_block = most(1, panels)
        chunk = most(1, least(TASK_WORK // most(1, work * panels), ceil_div(tiles, TASKS)))
    else:
        together = 1 if shape.turns else panels // TASKS
        panel_block, chunk = most(1, least(MOST_PANELS, together)), 1
    blocks = ceil_div(tiles, chunk) * ceil_div(panels, panel_block)
    return Cut(blocks * (filters // shape.columns), panel_block, chunk)


class LaneAxes(Axes):
    """A batch cut into panels of `width` lanes; the last panel reaches back into the one before."""

    count: int
    stride: DimLike
    width: int
    panels: int

    def __init__(self, count: int, stride: DimLike, width: int) -> None:
        self.count, self.stride, self.width = count, stride, width
        self.panels = -(-count // width)
        super().__init__([(self.panels * width, stride)])

    @property
    def starts(self) -> list[int]:
        """The first lane of each panel."""
        return [min(p * self.width, self.count - self.width) for p in range(self.panels)]

    def table(self, sizes: Sizes) -> Any:
        lanes = [start + lane for start in self.starts for lane in range(self.width)]
        return _listed(lanes, evaluate(self.stride, sizes), sizes)

    def first_lanes(self, sizes: Sizes) -> Any:
        """The offset of each panel's first lane."""
        return _listed(self.starts, evaluate(self.stride, sizes), sizes)


class LineAxes(Axes):
    """Lines cut into vectors of `width` positions; the last one reaches back into the one before.

    `outer`: the dims of lines; positions are `step` apart.
    """

    def __init__(self, outer: Dims, length: int, step: DimLike, width: int) -> None:
        super().__init__([*outer, (-(-length // width), width * step)])
        self._lines, self._step = Axes(outer), step
        self._starts = [min(t, length - width) for t in range(0, length, width)]

    def table(self, sizes: Sizes) -> Any:
        lines, starts = self._lines.table(sizes), tuple(self._starts)
        if isinstance(lines, Offsets):
            return Offsets((*lines.factors, Listed(starts, evaluate(self._step, sizes))))
        steps = np.array(starts, np.int64) * evaluate(self._step, sizes)
        return (lines[:, None] + steps).reshape(-1)


def _listed(
    numbers: Sequence[int], stride: Any, sizes: Sizes, more: Sequence[int] | None = None
) -> Any:
    """The table of `number · stride + more`."""
    if is_unknown(sizes):
        return Offsets((Listed(tuple(numbers), stride, None if more is None else tuple(more)),))
    table = np.array(numbers, np.int64) * stride
    return table if more is None else table + np.array(more, np.int64)


def lanes_of(count: int, tile: Tile) -> int:
    """How many lanes suit a batch: a power of two, 0 for none."""
    return next((n for n in (tile.vector, 8, 4) if n <= min(count, tile.vector)), 0)


class _Offsets(NamedTuple):
    """Tables that differ between the kinds of lanes: where panels of both operands and of the
    result begin, the right operand's columns and k, the result's lanes, and what is new in each
    panel."""

    left: TableOf
    right: TableOf
    columns: TableOf
    depth: TableOf
    result: TableOf
    lanes: TableOf
    fresh: TableOf


class LanesLowering(ProductLowering):
    """Products of a batch side by side."""

    def _is_short(self, depth: DimLike) -> bool:
        """Whether k fits into one block."""
        return (
            self.numerics.stretch >= ANY
            or isinstance(depth, int)
            and depth <= self.numerics.stretch
        )

    def _lanes_over_batch(
        self, node: Node, count: int, left: Side, right: Side, result: Result
    ) -> None:
        """One launch, or two. The `batch` of both sides and of the result is one axis of `count`;
        that of the left side has the stride 1, or else both are turned as they are read."""
        tile = tile_for(node.results[0].dtype, self.vector_bits)
        width = lanes_of(count, tile)
        steps = [axes.dims[0][1] for axes in (left.batch, right.batch, result.batch)]
        own, across, target = (LaneAxes(count, step, width) for step in steps)
        filters, rows, depth = right.free.size, left.free.size, left.depth.size
        assert isinstance(filters, int)
        together = steps[2] == filters and (filters == 1 or result.columns.dims[0][1] == 1)
        is_dense = together and filters in (1, 2, 4)
        room = most_sums(tile)
        columns = filters if is_dense else 2 - filters % 2
        height = min(GROUP, room // columns)
        is_short = self._is_short(depth)
        if isinstance(rows, int) and rows < height:
            height = max(1, rows)
        elif isinstance(rows, int) and not is_short:  # few results of long sums: even tiles
            height = -(-rows // -(-rows * columns // room))
        turns = neighbours(left.free) if steps[0] != 1 else 0
        if turns:  # whole runs of neighbours
            tall = room // columns
            turns = turns if turns <= tall else 1
            height = min(tall, rows if isinstance(rows, int) else tall) // turns * turns
            height = max(turns, height)
        shape = Lanes(width, height, columns, steps[1] != 1, is_dense, is_short, turns=turns)
        place, bases, right_columns, right_depth = self._right_lanes(node, right, across, shape,
                                                                     tile)  # fmt: skip
        fresh = [p * width - start for p, start in enumerate(own.starts)]
        offsets = _Offsets(
            own.table if turns else own.first_lanes,
            bases,
            right_columns,
            right_depth,
            target.first_lanes,
            target.table,
            lambda sizes: _listed(fresh, 1, sizes),
        )
        step = self._lanes_step(node, shape, left, place, result, offsets, own.panels, filters)
        if turns:
            step.slots.append(Number(left.depth.dims[-1][0]))
        work = count * rows * filters * depth
        step.work = lambda sizes: evaluate(work, sizes) // 4 + 1

    def _lanes_over_rows(
        self, node: Node, width: int, step: int, left: Side, right: Side, result: Result
    ) -> None:
        """Rows of `left` and of `result` are vectors of `width` positions, which stand `step` apart
        in the left operand. The batch of `left` and `result` is [samples, groups]."""
        tile = tile_for(node.results[0].dtype, self.vector_bits)
        filters, rows, depth = right.free.size, left.free.size, left.depth.size
        assert isinstance(filters, int)
        columns = 2 - filters % 2
        height = min(GROUP, most_sums(tile) // columns)
        if isinstance(rows, int):
            height = next((n for n in range(height, 4, -1) if rows % n == 0), height)
        is_short = self._is_short(depth)
        shape = Lanes(width, height, columns, False, True, is_short, step)
        offsets = _Offsets(
            left.batch.table,
            right.batch.table,
            right.free.table,
            right.depth.table,
            result.batch.table,
            lambda sizes: _listed([0], 1, sizes),
            lambda sizes: _listed([0], 1, sizes),
        )
        panels = left.batch.size
        made = self._lanes_step(node, shape, left, right.place, result, offsets, panels, filters)
        work = panels * rows * filters * depth * width
        made.work = lambda sizes: evaluate(work, sizes) // 4 + 1

    def _lanes_step(
        self, node: Node, shape: Lanes, left: Side, right: Place, result: Result,
        offsets: _Offsets, panels: DimLike, filters: int,
    ) -> Step:  # fmt: skip
        stored, dtype = node.operands[0].dtype, node.results[0].dtype
        target = self.place(node.results[0])
        rows, height = left.free.size, shape.rows

        @functools.lru_cache(maxsize=64)
        def cut(tiles: int, count: int, depth: int) -> Cut:
            return cut_lanes(tiles, count, depth, shape, filters)

        def geometry(sizes: Sizes) -> Cut:
            tiles = ceil_div(evaluate(rows, sizes), height)
            return cut(tiles, evaluate(panels, sizes), evaluate(left.depth.size, sizes))

        tables: list[TableOf] = [
            lambda sizes: padded(left.free.table(sizes), height),
            left.depth.table,
            offsets.left,
            offsets.depth,
            offsets.columns,
            offsets.right,
            result.rows.table,
            lambda sizes: row_flags(result.rows.table(sizes), height),
            result.columns.table,
            offsets.result,
            offsets.lanes,
            offsets.fresh,
        ]
        write = turned_lanes_text if shape.turns else lanes_text
        name, text = cached_text(
            ("lanes", stored, dtype, shape),
            "lanes",
            lambda: write(PLACEHOLDER, stored, dtype, shape),
        )
        slots: list[Any] = [left.place, right, target, *(Table(t) for t in tables)]
        slots += [Number(rows), Number(filters), Number(left.depth.size), Number(panels)]
        slots += [
            Number(lambda sizes: geometry(sizes).column_block),
            Number(lambda sizes: geometry(sizes).row_block),
        ]
        step = Step(
            name,
            text,
            slots,
            lambda sizes: geometry(sizes).tasks,
            [left.place.storage, right.storage],
            [target.storage],
            node.op_name,
        )
        self.steps.append(step)
        return step

    def _right_lanes(
        self, node: Node, right: Side, lanes: LaneAxes, shape: Lanes, tile: Tile
    ) -> tuple[Place, TableOf, TableOf, TableOf]:
        """The right operand's place, and its offsets by panel, column and k."""
        width = lanes.width
        if not shape.is_packed or shape.turns:
            return (
                right.place,
                lanes.table if shape.is_packed else lanes.first_lanes,
                right.free.table,
                right.depth.table,
            )
        across = Side(right.place, right.free, lanes, right.depth)
        place = self._pack_right(node, across, tile, lambda sizes: True)
        full = tile.columns
        blocks = -(-lanes.panels * width // full)

        def bases(sizes: Sizes) -> Any:
            first = range(0, lanes.panels * width, width)
            starts, more = [n // full * full for n in first], [n % full for n in first]
            return _listed(starts, evaluate(right.depth.size, sizes), sizes, more)

        def columns(sizes: Sizes) -> Any:
            step = blocks * full * evaluate(right.depth.size, sizes)
            return outer_sum([(evaluate(right.free.size, sizes), step)], sizes)

        def depth(sizes: Sizes) -> Any:
            return outer_sum([(evaluate(right.depth.size, sizes), full)], sizes)

        return place, bases, columns, depth

    def _turned_copy(
        self, value: Value, place: Place, dims: Dims
    ) -> tuple[Place, tuple[DimLike, ...]]:
        """A copy of an operand that is dense in the order of `dims`, and its strides."""
        shape = tuple(extent for extent, _ in dims)
        leaf = Builder(capture_source=False).input(value.type.with_shape(shape))
        nbytes: DimLike = value.dtype.itemsize
        strides: list[DimLike] = []
        step: DimLike = 1
        for extent in reversed(shape):
            strides.insert(0, step)
            step, nbytes = step * extent, nbytes * extent
        target = Place(self.arena(nbytes))
        self.copy(leaf, place, target, tuple(stride for _, stride in dims))
        return target, tuple(strides)

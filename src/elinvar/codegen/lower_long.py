"""Products of few results and many steps of k as two launches (see `long_products.py`)."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from elinvar.codegen.long_products import Long, long_sums_text, long_text
from elinvar.codegen.lower_products import ProductLowering
from elinvar.codegen.lowering import PLACEHOLDER, cached_text
from elinvar.codegen.product_parts import Tile, tile_for
from elinvar.codegen.products import Axes, Result, Side, full_flags
from elinvar.core.dtypes import DType
from elinvar.core.shapes import evaluate
from elinvar.core.sizing import ceil_div
from elinvar.graph.ir import Node
from elinvar.kernels.cost import Cost
from elinvar.kernels.plan import Number, Place, Step, Table

LEAST_BLOCKS = 8  # of k: fewer are not worth a launch more
MOST_ROWS, MOST_COLUMNS = 160, 128
MOST_RESULTS = 20480  # from more of them the other kernel has tasks enough, and packing pays
TASK_WORK = 400_000  # fmas that a task takes


class _Found(NamedTuple):
    """A product that goes this way: its operands, where its results go, and their shape."""

    left: Side
    right: Side
    result: Result
    shape: Long


class LongLowering(ProductLowering):
    """Contractions, of which those with a long k and few results go by blocks of k."""

    def _multiply(self, node: Node, left: Side, right: Side, result: Result | None = None) -> None:
        stored, dtype = node.operands[0].dtype, node.results[0].dtype
        ahead = self.epilogues.get(node)
        tile = tile_for(dtype, self.vector_bits)
        found = None
        if dtype.kind == "f" and not (ahead is not None and ahead.is_own):
            found = _found(left, right, result, tile, self.numerics.block)
        if found is None:
            super()._multiply(node, left, right, result)
        else:
            self._sum_blocks(node, found, stored, dtype, tile)

    def _sum_blocks(
        self, node: Node, found: _Found, stored: DType, dtype: DType, tile: Tile
    ) -> None:
        left, right, _, shape = found
        batch, depth = (evaluate(axes.size, {}) for axes in (right.batch, right.depth))
        blocks = ceil_div(depth, self.numerics.block)
        results = shape.rows * shape.columns
        together = max(1, TASK_WORK // (results * self.numerics.block))
        sums = Place(self.arena(batch * blocks * results * dtype.itemsize))
        name, text = cached_text(
            ("long", stored, dtype, tile, shape, self.numerics),
            "long",
            lambda: long_text(PLACEHOLDER, stored, dtype, tile, shape, self.numerics),
        )
        tables = [
            left.free.table,
            lambda sizes: right.free.table(sizes)[:: tile.vector],
            left.depth.table,
            right.depth.table,
            left.batch.table,
            right.batch.table,
        ]
        self.steps.append(
            Step(
                name,
                text,
                [left.place, right.place, sums, *map(Table, tables), Number(depth),
                 Number(together)],
                lambda sizes: batch * ceil_div(blocks, together),
                [left.place.storage, right.place.storage],
                [sums.storage],
                node.op_name,
                lambda sizes: batch * results * depth // 4 + 1,
                Cost((node,), node.results),
            )
        )  # fmt: skip
        self._add_blocks(node, found, sums, blocks, batch, tile)

    def _add_blocks(
        self, node: Node, found: _Found, sums: Place, blocks: int, batch: int, tile: Tile
    ) -> None:
        dtype, target = node.results[0].dtype, self.place(node.results[0])
        shape, result = found.shape, found.result
        name, text = cached_text(
            ("long_sums", dtype, tile),
            "long_sums",
            lambda: long_sums_text(PLACEHOLDER, dtype, tile),
        )
        tables = [result.rows.table, result.columns.table, result.batch.table]
        elements = batch * blocks * shape.rows * shape.columns
        self.steps.append(
            Step(
                name,
                text,
                [sums, target, *map(Table, tables), Number(shape.rows), Number(shape.columns),
                 Number(blocks)],
                lambda sizes: batch * shape.rows,
                [sums.storage],
                [target.storage],
                "add sums",
                lambda sizes: elements,
                Cost((), (), elements * dtype.itemsize, node.source),
            )
        )  # fmt: skip


def _found(left: Side, right: Side, result: Result | None, tile: Tile, block: int) -> _Found | None:
    """The product as one by blocks of k, turned if need be; None where it is none."""
    axes = (left.free, right.free, left.depth, right.depth, left.batch, right.batch)
    if not all(isinstance(n, int) for each in axes for dim in each.dims for n in dim):
        return None
    batch, rows, columns, depth = (
        evaluate(each.size, {}) for each in (right.batch, left.free, right.free, left.depth)
    )
    if not 0 < batch * rows * columns <= MOST_RESULTS or depth < LEAST_BLOCKS * block:
        return None
    if result is None:
        whole = Axes([(batch, rows * columns)])
        result = Result(whole, Axes([(rows, columns)]), Axes([(columns, 1)]))
    turned = Result(result.batch, result.columns, result.rows)
    for one, other, to, height, width in (
        (left, right, result, rows, columns),
        (right, left, turned, columns, rows),
    ):
        if height > MOST_ROWS or width > MOST_COLUMNS or width % tile.vector:
            continue
        if full_flags(other.free.table({}), tile.vector).all():
            return _Found(one, other, to, Long(_panels(one.free.table({}), tile), width))
    return None


def _panels(rows: Any, tile: Tile) -> tuple[tuple[int, ...], ...]:
    """Rows in panels of about the same height, each in runs of neighbours in memory."""
    count = -(-len(rows) // tile.rows)
    bounds = [len(rows) * number // count for number in range(count + 1)]
    found = []
    for first, last in itertools.pairwise(bounds):
        cuts = np.flatnonzero(np.diff(rows[first:last]) != 1) + 1
        found.append(tuple(np.diff([0, *cuts, last - first]).tolist()))
    return tuple(found)

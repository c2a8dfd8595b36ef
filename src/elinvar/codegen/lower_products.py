"""Products as steps: contractions on the product kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elinvar.codegen.contraction import contract_text, pack_right_text
from elinvar.codegen.lowering import PLACEHOLDER, FusedLowering, cached_text
from elinvar.codegen.product_parts import GROUP, Tile, tile_for
from elinvar.codegen.products import (
    Axes,
    Cut,
    PackedBatch,
    Result,
    Side,
    cut_product,
    group_flags,
    mode_of,
    padded,
    panel_flags,
    row_flags,
)
from elinvar.core.shapes import DimLike, evaluate
from elinvar.graph.ir import Node, Value
from elinvar.kernels.plan import Number, Place, Sizes, Step, Table


class ProductLowering(FusedLowering):
    """Contractions, and what convolutions share with them."""

    def _lower_contract(self, node: Node) -> None:
        x, y = node.operands
        (xb, yb), (xk, yk) = node.params["batch"], node.params["axes"]
        xm = [i for i in range(x.type.rank) if i not in (*xb, *xk)]
        yn = [i for i in range(y.type.rank) if i not in (*yb, *yk)]
        left, left_strides = self.operand(x)
        right, right_strides = self.operand(y)

        def axes(value: Value, strides: Sequence[DimLike], which: Sequence[int]) -> Axes:
            return Axes([(value.shape[i], strides[i]) for i in which])

        self._multiply(
            node,
            Side(
                left,
                axes(x, left_strides, xb),
                axes(x, left_strides, xm),
                axes(x, left_strides, xk),
            ),
            Side(
                right,
                axes(y, right_strides, yb),
                axes(y, right_strides, yn),
                axes(y, right_strides, yk),
            ),
        )

    def _multiply(self, node: Node, left: Side, right: Side, result: Result | None = None) -> None:
        """One launch. `left.batch` and `right.batch` have the same extents; a stride may be 0."""
        if result is None:
            step = right.free.size
            batch = Axes([(right.batch.size, left.free.size * step)])
            result = Result(batch, Axes([(left.free.size, step)]), Axes([(step, 1)]))
        dtype = node.results[0].dtype
        tile = tile_for(dtype, self.vector_bits)
        rows, columns, depth = left.free.size, right.free.size, left.depth.size
        batch_size = right.batch.size
        target = self.place(node.results[0])
        is_packed = right.place.storage in self.invariant and not right.place.moves
        if is_packed:
            right = self._pack_before_the_loop(node, right, tile)
        name, text = cached_text(
            ("contract", dtype, tile), "contract", lambda: contract_text(PLACEHOLDER, dtype, tile)
        )

        def geometry(sizes: Sizes) -> Cut:
            return cut_product(
                evaluate(batch_size, sizes),
                evaluate(rows, sizes),
                evaluate(columns, sizes),
                evaluate(depth, sizes),
                tile,
                is_packed,
            )

        tables = [
            lambda sizes: padded(left.free.table(sizes), tile.rows),
            lambda sizes: row_flags(left.free.table(sizes), tile.rows),
            left.depth.table,
            lambda sizes: group_flags(left.depth.table(sizes), GROUP),
            left.batch.table,
            right.depth.table,
            lambda sizes: group_flags(right.depth.table(sizes), GROUP),
            lambda sizes: padded(right.free.table(sizes), tile.columns),
            lambda sizes: group_flags(right.free.table(sizes), tile.columns),
            right.batch.table,
            result.rows.table,
            result.columns.table,
            lambda sizes: panel_flags(result.columns.table(sizes), tile.columns),
            result.batch.table,
        ]
        slots: list[Any] = [left.place, right.place, target, *(Table(t) for t in tables)]
        slots += [Number(n) for n in (rows, columns, depth)]
        slots += [
            Number(lambda sizes: geometry(sizes).column_block),
            Number(lambda sizes: geometry(sizes).row_block),
            Number(int(is_packed)),
            Number(lambda sizes: mode_of(left, right, geometry(sizes), tile, sizes, is_packed)),
        ]
        self.steps.append(
            Step(
                name,
                text,
                slots,
                lambda sizes: geometry(sizes).tasks,
                [left.place.storage, right.place.storage],
                [target.storage],
                node.op_name,
                lambda sizes: evaluate(batch_size * rows * columns * depth, sizes) // 4 + 1,
            )
        )

    def _pack_before_the_loop(self, node: Node, right: Side, tile: Tile) -> Side:
        """The right operand of a product in a loop, which the loop does not change, as panels."""
        dtype = node.results[0].dtype
        columns, depth, batch = right.free.size, right.depth.size, right.batch.size
        packed = Place(self.arena(batch * (columns + tile.columns) * depth * dtype.itemsize))
        name, text = cached_text(
            ("pack_right", dtype, tile),
            "pack",
            lambda: pack_right_text(PLACEHOLDER, dtype, tile),
        )
        tables = [
            right.depth.table,
            lambda sizes: group_flags(right.depth.table(sizes), GROUP),
            lambda sizes: padded(right.free.table(sizes), tile.columns),
            lambda sizes: group_flags(right.free.table(sizes), tile.columns),
            right.batch.table,
        ]
        slots: list[Any] = [right.place, packed, *(Table(t) for t in tables)]
        self.hoisted.append(
            Step(
                name,
                text,
                [*slots, Number(columns), Number(depth)],
                lambda sizes: evaluate(batch, sizes) * -(-evaluate(columns, sizes) // tile.columns),
                [right.place.storage],
                [packed.storage],
                f"pack for {node.op_name}",
                lambda sizes: evaluate(batch * columns * depth, sizes) * 2,
            )
        )
        return Side(packed, PackedBatch(batch, columns, depth, tile), right.free, right.depth)

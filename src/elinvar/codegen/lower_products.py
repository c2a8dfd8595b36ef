"""Products as steps: contractions and convolutions on the two product kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elinvar.codegen.contraction import GROUP, Tile, contract_text, pack_left_text, tile_for
from elinvar.codegen.lowering import PLACEHOLDER, FusedLowering, cached_text
from elinvar.codegen.products import (
    Axes,
    Result,
    Side,
    cut_product,
    group_flags,
    padded,
    panel_flags,
    row_flags,
)
from elinvar.core.shapes import DimLike, evaluate, size
from elinvar.graph.ir import Node, Value
from elinvar.kernels.plan import Number, Place, Sizes, Step, Table

SMALL_PLANE = 256  # below this many output positions, samples of a convolution share panels


class ProductLowering(FusedLowering):
    """Contractions and convolutions."""

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
            shared_left=not xb,
        )

    def _lower_convolution(self, node: Node) -> None:
        x, w = node.operands
        p = node.params
        groups, batch_groups = p["groups"], p["batch_groups"]
        place, xs = self.operand(x)
        weights, ws = self.operand(w)
        spatial = range(2, x.type.rank)
        out = node.results[0].shape[2:]
        parts = groups * batch_groups
        filters = w.shape[0] // parts
        samples = x.shape[0] // batch_groups
        channels = x.shape[1] // groups
        batch = [(samples, xs[0]), (batch_groups, xs[0] * samples), (groups, xs[1] * channels)]
        columns = [(n, xs[i] * s) for n, i, s in zip(out, spatial, p["stride"], strict=True)]
        depth = [(channels, xs[1])]
        depth += [(w.shape[i], xs[i] * d) for i, d in zip(spatial, p["dilation"], strict=True)]
        left_batch = [
            (samples, 0),
            (batch_groups, ws[0] * filters * groups),
            (groups, ws[0] * filters),
        ]
        left_depth = [(w.shape[i], ws[i]) for i in range(1, w.type.rank)]
        plane = size(out)
        result = None
        if parts == 1 and isinstance(plane, int) and plane < SMALL_PLANE:
            # few positions per sample: let the samples be columns too
            columns = [(samples, xs[0]), *columns]
            result = Result(Axes([]), Axes([(samples, filters * plane), (plane, 1)]), plane)
            batch, left_batch = [], []
        self._multiply(
            node,
            Side(weights, Axes(left_batch), Axes([(filters, ws[0])]), Axes(left_depth)),
            Side(place, Axes(batch), Axes(columns), Axes(depth)),
            shared_left=parts == 1,
            result=result,
        )

    def _multiply(
        self, node: Node, left: Side, right: Side, shared_left: bool, result: Result | None = None
    ) -> None:
        """Two launches: pack the left operand into panels, then multiply."""
        if result is None:
            step = right.free.size
            result = Result(
                Axes([(right.batch.size, left.free.size * step)]), Axes([(step, 1)]), step
            )
        dtype = node.results[0].dtype
        tile = tile_for(dtype, self.vector_bits)
        rows, depth = left.free.size, left.depth.size
        copies = 1 if shared_left else right.batch.size
        packed = Place(self.arena(copies * (rows + tile.rows) * depth * dtype.itemsize))
        self._pack_left(node, left, packed, tile, shared_left)

        def left_offsets(sizes: Sizes) -> np.ndarray[Any, Any]:
            panels = -(-evaluate(rows, sizes) // tile.rows)
            step = 0 if shared_left else panels * tile.rows * evaluate(depth, sizes)
            return np.arange(evaluate(right.batch.size, sizes), dtype=np.int64) * step

        self._product(node, packed, left_offsets, left, right, result, tile)

    def _pack_left(
        self, node: Node, left: Side, packed: Place, tile: Tile, shared_left: bool
    ) -> None:
        dtype = node.results[0].dtype
        rows, depth = left.free.size, left.depth.size
        batch = Axes([]) if shared_left else left.batch
        name, text = cached_text(
            ("pack", dtype, tile), "pack", lambda: pack_left_text(PLACEHOLDER, dtype, tile)
        )
        slots: list[Any] = [left.place, packed]
        slots += [Table(left.free.table), Table(left.depth.table), Table(batch.table)]
        slots += [
            Table(lambda sizes: row_flags(left.free.table(sizes), tile.rows)),
            Table(lambda sizes: group_flags(left.depth.table(sizes), GROUP)),
            Number(rows),
            Number(depth),
        ]
        self.steps.append(
            Step(
                name,
                text,
                slots,
                lambda sizes: evaluate(batch.size, sizes) * -(-evaluate(rows, sizes) // tile.rows),
                [left.place.storage],
                [packed.storage],
                f"pack for {node.op_name}",
                lambda sizes: evaluate(batch.size * rows * depth, sizes) * 2,
            )
        )

    def _product(
        self,
        node: Node,
        packed: Place,
        left_offsets: Any,
        left: Side,
        right: Side,
        result: Result,
        tile: Tile,
    ) -> None:
        dtype = node.results[0].dtype
        rows, columns, depth = left.free.size, right.free.size, left.depth.size
        batch = right.batch.size
        target = self.place(node.results[0])
        name, text = cached_text(
            ("contract", dtype, tile), "contract", lambda: contract_text(PLACEHOLDER, dtype, tile)
        )

        def geometry(sizes: Sizes) -> tuple[int, int, int]:
            return cut_product(
                evaluate(batch, sizes), evaluate(rows, sizes), evaluate(columns, sizes), tile
            )

        slots: list[Any] = [packed, right.place, target]
        slots += [
            Table(right.depth.table),
            Table(lambda sizes: group_flags(right.depth.table(sizes), GROUP)),
            Table(lambda sizes: padded(right.free.table(sizes), tile.columns)),
            Table(lambda sizes: group_flags(right.free.table(sizes), tile.columns)),
            Table(right.batch.table),
            Table(left_offsets),
            Table(lambda sizes: padded(result.free.table(sizes), tile.columns)),
            Table(lambda sizes: panel_flags(result.free.table(sizes), tile.columns)),
            Table(result.batch.table),
        ]
        slots += [Number(n) for n in (rows, columns, depth, result.row_step)]
        slots += [
            Number(lambda sizes: geometry(sizes)[1]),
            Number(lambda sizes: geometry(sizes)[2]),
        ]
        self.steps.append(
            Step(
                name,
                text,
                slots,
                lambda sizes: geometry(sizes)[0],
                [packed.storage, right.place.storage],
                [target.storage],
                node.op_name,
                lambda sizes: evaluate(batch * rows * columns * depth, sizes) // 4 + 1,
            )
        )

"""Products as steps: contractions on the product kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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
    wants_packing,
)
from elinvar.core.shapes import DimLike, evaluate
from elinvar.graph.ir import Node, Value
from elinvar.kernels.plan import Choice, Number, Place, Sizes, Step, Storage, Table

Extents = tuple[int, int, int, int]  # batch, rows, columns, depth
FEW_COLUMNS = 12  # of so few a panel is mostly empty: they are the rows then


class Packing(NamedTuple):
    """The right operand of a product: its slot, its batch offsets, what is read, and whether it is
    packed by a launch of its own for given sizes."""

    source: Any
    batches: Callable[[Sizes], Any]
    storages: list[Storage]
    is_used: Callable[[Sizes], bool]


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

        def side(value: Value, place: Place, strides: Sequence[DimLike], which: Any) -> Side:
            batch, free, depth = which
            return Side(
                place,
                axes(value, strides, batch),
                axes(value, strides, free),
                axes(value, strides, depth),
            )

        first = side(x, left, left_strides, (xb, xm, xk))
        second = side(y, right, right_strides, (yb, yn, yk))
        rows, columns = first.free.size, second.free.size
        if isinstance(rows, int) and isinstance(columns, int) and columns <= FEW_COLUMNS < rows:
            turned = Result(
                Axes([(second.batch.size, rows * columns)]),
                Axes([(columns, 1)]),
                Axes([(rows, columns)]),
            )
            self._multiply(node, second, first, turned)
        else:
            self._multiply(node, first, second)

    def _multiply(self, node: Node, left: Side, right: Side, result: Result | None = None) -> None:
        """One launch, or two. `left.batch` and `right.batch` have the same extents; a stride may be
        0."""
        if result is None:
            step = right.free.size
            batch = Axes([(right.batch.size, left.free.size * step)])
            result = Result(batch, Axes([(left.free.size, step)]), Axes([(step, 1)]))
        dtype = node.results[0].dtype
        tile = tile_for(dtype, self.vector_bits)
        dims = (right.batch.size, left.free.size, right.free.size, left.depth.size)

        def shape(sizes: Sizes) -> Extents:
            batch, rows, columns, depth = (evaluate(n, sizes) for n in dims)
            return batch, rows, columns, depth

        packing = self._packing(node, right, tile, shape)

        def geometry(sizes: Sizes) -> Cut:
            return cut_product(*shape(sizes), tile, packing.is_used(sizes))

        target = self.place(node.results[0])
        name, text = cached_text(
            ("contract", dtype, tile), "contract", lambda: contract_text(PLACEHOLDER, dtype, tile)
        )
        tables = [
            lambda sizes: padded(left.free.table(sizes), tile.rows),
            lambda sizes: row_flags(left.free.table(sizes), tile.rows),
            left.depth.table,
            lambda sizes: group_flags(left.depth.table(sizes), GROUP),
            left.batch.table,
            *self._right_tables(right, tile),
            packing.batches,
            result.rows.table,
            result.columns.table,
            lambda sizes: panel_flags(result.columns.table(sizes), tile.columns),
            result.batch.table,
        ]
        slots: list[Any] = [left.place, packing.source, target, *(Table(t) for t in tables)]
        slots += [Number(n) for n in dims[1:]]
        slots += [
            Number(lambda sizes: geometry(sizes).column_block),
            Number(lambda sizes: geometry(sizes).row_block),
            Number(lambda sizes: int(packing.is_used(sizes))),
            Number(lambda s: mode_of(left, right, geometry(s), tile, s, packing.is_used(s))),
        ]
        self.steps.append(
            Step(
                name,
                text,
                slots,
                lambda sizes: geometry(sizes).tasks,
                [left.place.storage, *packing.storages],
                [target.storage],
                node.op_name,
                lambda sizes: math.prod(shape(sizes)) // 4 + 1,
            )
        )

    @staticmethod
    def _right_tables(right: Side, tile: Tile) -> list[Callable[[Sizes], Any]]:
        """k offsets and column offsets of the right operand, each with their flags."""
        return [
            right.depth.table,
            lambda sizes: group_flags(right.depth.table(sizes), GROUP),
            lambda sizes: padded(right.free.table(sizes), tile.columns),
            lambda sizes: group_flags(right.free.table(sizes), tile.columns),
        ]

    def _packing(
        self, node: Node, right: Side, tile: Tile, shape: Callable[[Sizes], Extents]
    ) -> Packing:
        """Where the right operand is read: as it stands, or from panels packed by another launch.

        That launch comes before the loop when the loop does not change the operand.
        """
        is_fixed = right.place.storage in self.invariant and not right.place.moves

        def is_used(sizes: Sizes) -> bool:
            if is_fixed:
                return True
            return wants_packing(*shape(sizes), tile)

        dims = (right.batch.size, right.free.size, right.depth.size)
        storages = [right.place.storage]
        try:
            never = not is_used({})
        except KeyError:  # symbolic sizes
            never = False
        if never:
            return Packing(right.place, right.batch.table, storages, is_used)
        packed = self._pack_right(node, right, tile, is_used)
        if is_fixed:
            self.hoisted.append(self.steps.pop())
        plain, panels = right.batch, PackedBatch(*dims, tile)

        def batches(sizes: Sizes) -> Any:
            return (panels if is_used(sizes) else plain).table(sizes)

        source = Choice(packed, right.place, is_used)
        return Packing(source, batches, [*storages, packed.storage], is_used)

    def _pack_right(
        self, node: Node, right: Side, tile: Tile, is_wanted: Callable[[Sizes], bool]
    ) -> Place:
        """A launch that packs the right operand into panels, where that is wanted."""
        dtype = node.results[0].dtype
        columns, depth, batch = right.free.size, right.depth.size, right.batch.size
        packed = Place(self.arena(batch * (columns + tile.columns) * depth * dtype.itemsize))
        name, text = cached_text(
            ("pack_right", dtype, tile),
            "pack",
            lambda: pack_right_text(PLACEHOLDER, dtype, tile),
        )

        def tasks(sizes: Sizes) -> int:
            return evaluate(batch, sizes) * -(-evaluate(columns, sizes) // tile.columns)

        tables = [*self._right_tables(right, tile), right.batch.table]
        slots: list[Any] = [right.place, packed, *(Table(t) for t in tables)]
        self.steps.append(
            Step(
                name,
                text,
                [*slots, Number(columns), Number(depth)],
                lambda sizes: tasks(sizes) if is_wanted(sizes) else 0,
                [right.place.storage],
                [packed.storage],
                f"pack for {node.op_name}",
                lambda sizes: evaluate(batch * columns * depth, sizes) * 2,
            )
        )
        return packed

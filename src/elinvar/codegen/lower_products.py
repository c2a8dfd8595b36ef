"""Products as steps: contractions on the product kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from elinvar.codegen.contraction import contract_text, pack_right_text
from elinvar.codegen.lowering import PLACEHOLDER, FusedLowering, cached_text, named
from elinvar.codegen.numerics import EXACT
from elinvar.codegen.pairs import in_pairs
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
from elinvar.core.dtypes import is_narrow
from elinvar.core.shapes import Dim, DimLike, evaluate, row_major_strides, size
from elinvar.core.sizing import ceil_div, choose
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Node, Value
from elinvar.kernels.cost import Cost
from elinvar.kernels.plan import (
    Choice,
    Function,
    Number,
    Place,
    Sizes,
    Step,
    Storage,
    Table,
    remembered,
)
from elinvar.passes.winograd import winograd

Extents = tuple[int, int, int, int]  # batch, rows, columns, depth
MANY_BLOCKS = 8  # of k: from here on a dense copy of the result pays where it stands apart
WIDE_ELEMENTS = 1 << 18  # of a right operand of 16-bit floats that is packed widened, at most
FEW_COLUMNS = 12  # of so few a panel is mostly empty: they are the rows then


class Packing(NamedTuple):
    """The right operand of a product: its slot, its batch offsets, what is read, whether it is
    packed by a launch of its own for given sizes, and whether that widens it."""

    source: Any
    batches: Callable[[Sizes], Any]
    storages: list[Storage]
    is_used: Callable[[Sizes], bool]
    is_wide: bool = False


class End(NamedTuple):
    """What happens at the end of a product's tasks: a function with its slots, or nothing."""

    function: Any
    slots: Sequence[Any] = ()
    reads: Sequence[Storage] = ()
    writes: Sequence[Storage] = ()
    label: str = ""
    cost: Cost | None = None
    in_place: Sequence[tuple[Storage, Storage]] = ()


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
        if _has_few_columns(node):
            rows, columns = first.free.size, second.free.size
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
        stored, dtype = node.operands[0].dtype, node.results[0].dtype
        tile = tile_for(dtype, self.vector_bits)
        dims = (right.batch.size, left.free.size, right.free.size, left.depth.size)

        def shape(sizes: Sizes) -> Extents:
            batch, rows, columns, depth = (evaluate(n, sizes) for n in dims)
            return batch, rows, columns, depth

        ahead = self.epilogues.get(node)
        is_own = ahead is not None and ahead.is_own
        packing = self._packing(node, right, tile, shape, is_own)

        @remembered
        def geometry(sizes: Sizes) -> Cut:
            widens = is_narrow(stored) and not packing.is_wide
            return cut_product(*shape(sizes), tile, packing.is_used(sizes), is_own, widens)

        target, finish = self.place(node.results[0]), None
        if node not in self.epilogues and _is_scattered(result, left.depth.size):
            result, target, finish = self._gathered(node, result, target)
        name, text = cached_text(
            ("contract", stored, dtype, tile, self.numerics),
            "contract",
            lambda: contract_text(PLACEHOLDER, stored, dtype, tile, self.numerics),
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
        end = self._epilogue(node)
        written: Any = Number(0) if is_own else target
        slots: list[Any] = [left.place, packing.source, written, *(Table(t) for t in tables)]
        slots += [end.function, *(Number(n) for n in dims[1:])]
        itemsize = 1 if in_pairs(stored, dtype) else stored.itemsize

        def mode(sizes: Sizes) -> int:
            is_packed = packing.is_used(sizes)
            cut, has_dots = geometry(sizes), self.numerics.dots
            return mode_of(left, right, cut, tile, sizes, is_packed, itemsize, has_dots)

        slots += [
            Number(lambda sizes: geometry(sizes).column_block),
            Number(lambda sizes: geometry(sizes).row_block),
            Number(lambda sizes: choose(packing.is_used(sizes), 1 + packing.is_wide, 0)),
            Number(mode),
        ]
        self.steps.append(
            Step(
                name,
                text,
                [*slots, *end.slots],
                lambda sizes: geometry(sizes).tasks,
                [left.place.storage, *packing.storages, *end.reads],
                [*end.writes] if is_own else [target.storage, *end.writes],
                f"{node.op_name}{end.label}",
                lambda sizes: math.prod(shape(sizes)) // 4 + 1,
                end.cost,
                end.in_place,
            )
        )
        if finish is not None:
            finish()

    def _gathered(
        self, node: Node, result: Result, target: Place
    ) -> tuple[Result, Place, Callable[[], None]]:
        """A dense result in memory of its own, and the step that brings it to where it belongs."""
        dims = [*result.batch.dims, *result.rows.dims, *result.columns.dims]
        steps = row_major_strides(tuple(extent for extent, _ in dims))
        order = sorted(range(len(dims)), key=lambda number: _stride(dims[number]), reverse=True)
        value = node.results[0]
        shape = tuple(dims[number][0] for number in order)
        leaf = Builder(capture_source=False).input(TensorType(value.dtype, shape))
        source = Place(self.arena(size(value.shape) * value.dtype.itemsize))
        strides = tuple(steps[number] for number in order)
        rows, columns = result.rows.size, result.columns.size
        dense = Result(
            Axes([(result.batch.size, rows * columns)]),
            Axes([(rows, columns)]),
            Axes([(columns, 1)]),
        )
        return dense, source, lambda: self.copy(leaf, source, target, strides)

    def tile_of(self, node: Node) -> Tile | None:
        if node.op_name not in ("contract", "convolution") or _has_few_columns(node):
            return None
        if node.op_name == "convolution" and winograd(node) is not None:
            return None  # its kernels write tiles
        return tile_for(node.results[0].dtype, self.vector_bits)

    def _epilogue(self, node: Node) -> End:
        """What a product's step has to know of its epilogue."""
        found = self.epilogues.pop(node, None)
        if found is None:
            return End(Number(0))
        group, kernel, value = found.group, found.kernel, found.product
        name, text = named(kernel.text, "epilogue")
        own = value if found.is_own else None
        sources = [self.place(operand) for operand in group.operands]
        targets = [self.place(result) for result in group.results]
        pairs = [
            (sources[i].storage, targets[o].storage)
            for i, o in kernel.in_place
            if sources[i] == Place(sources[i].storage)
            and targets[o] == Place(targets[o].storage)
            and group.results[o] is not found.home  # the raw product is written there before
        ]
        stored = () if found.is_own or found.home is not None else (value,)
        given = [
            Number(0) if operand is own else place
            for operand, place in zip(group.operands, sources, strict=True)
        ]
        names = ", ".join(dict.fromkeys(inner.op_name for inner in group.region.nodes))
        not_read = -size(value.shape) * value.dtype.itemsize
        return End(
            Function(name, text),
            [*given, *targets, *(Number(Dim(symbol)) for symbol in kernel.symbols)],
            [s.storage for s in sources if s.storage is not self.place(value).storage],
            [t.storage for t in targets],
            f" + {names}",
            Cost((node, *group.region.nodes), (*group.region.outputs, *stored), not_read),
            pairs,
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
        self,
        node: Node,
        right: Side,
        tile: Tile,
        shape: Callable[[Sizes], Extents],
        is_own: bool,
    ) -> Packing:
        """Where the right operand is read: as it stands, or from panels packed by another launch.

        That launch comes before the loop when the loop does not change the operand, and is part of
        the preparation when nothing does from call to call. It widens 16-bit floats where they are
        few, or read by many iterations; else each task does.
        """
        dims = (right.batch.size, right.free.size, right.depth.size)
        is_fixed = right.place.storage in self.invariant and not right.place.moves
        is_settled = self.is_settled(right.place) and all(isinstance(n, int) for n in dims)

        @remembered
        def is_used(sizes: Sizes) -> bool:
            if is_fixed or is_settled:
                return True
            return wants_packing(*shape(sizes), tile, is_own)

        elements = math.prod(dims) if all(isinstance(n, int) for n in dims) else WIDE_ELEMENTS + 1
        is_wide = not is_settled and (is_fixed or elements <= WIDE_ELEMENTS)
        storages = [right.place.storage]
        try:
            never = not is_used({})
        except KeyError:  # symbolic sizes
            never = False
        if never:
            return Packing(right.place, right.batch.table, storages, is_used)
        pairs = in_pairs(node.operands[0].dtype, node.results[0].dtype)
        if is_settled:
            with self.preparing():
                packed = self._pack_right(node, right, tile, is_used, pairs)
            storages = []
        else:
            packed = self._pack_right(node, right, tile, is_used, pairs, is_wide)
        if is_fixed and not is_settled:
            self.hoisted.append(self.steps.pop())
        plain, panels = right.batch, PackedBatch(*dims, tile)

        def batches(sizes: Sizes) -> Any:
            return (panels if is_used(sizes) else plain).table(sizes)

        source = Choice(packed, right.place, is_used)
        return Packing(source, batches, [*storages, packed.storage], is_used, is_wide)

    def _pack_right(
        self,
        node: Node,
        right: Side,
        tile: Tile,
        is_wanted: Callable[[Sizes], bool],
        pairs: bool = False,
        is_wide: bool = False,
    ) -> Place:
        """A launch that packs the right operand into panels, where that is wanted."""
        stored, dtype = node.operands[0].dtype, node.results[0].dtype
        columns, depth, batch = right.free.size, right.depth.size, right.batch.size
        kind = stored if is_narrow(stored) and not is_wide else dtype
        packed = Place(self.arena(batch * (columns + tile.columns) * depth * kind.itemsize))
        name, text = cached_text(
            ("pack_right", stored, dtype, tile, pairs, is_wide),
            "pack",
            lambda: pack_right_text(PLACEHOLDER, stored, dtype, tile, pairs, is_wide),
        )

        def tasks(sizes: Sizes) -> int:
            return evaluate(batch, sizes) * ceil_div(evaluate(columns, sizes), tile.columns)

        tables = [*self._right_tables(right, tile), right.batch.table]
        slots: list[Any] = [right.place, packed, *(Table(t) for t in tables)]
        self.steps.append(
            Step(
                name,
                text,
                [*slots, Number(columns), Number(depth)],
                lambda sizes: choose(is_wanted(sizes), lambda: tasks(sizes), 0),
                [right.place.storage],
                [packed.storage],
                f"pack for {node.op_name}",
                lambda sizes: evaluate(batch * columns * depth, sizes) * 2,
            )
        )
        return packed


def _is_scattered(result: Result, depth: DimLike) -> bool:
    """Whether blocks of k are added more often than it pays to results that stand apart."""
    dims = [*result.batch.dims, *result.rows.dims, *result.columns.dims]
    if not isinstance(depth, int) or depth < MANY_BLOCKS * EXACT.block:
        return False
    if not all(isinstance(n, int) for dim in dims for n in dim):
        return False
    step: DimLike = 1
    is_dense = True
    for extent, stride in reversed(result.columns.dims):
        is_dense = is_dense and (extent == 1 or stride == step)
        step = step * extent
    total: DimLike = 1
    for extent, stride in sorted(dims, key=_stride):  # they must fill the memory without holes
        if extent != 1 and stride != total:
            return False
        total = total * extent
    return not is_dense and total != 0


def _stride(dim: tuple[DimLike, DimLike]) -> int:
    """For sorting: a dim of extent 1 may stand anywhere."""
    extent, stride = dim
    assert isinstance(extent, int) and isinstance(stride, int)
    return 0 if extent == 1 else stride


def _has_few_columns(node: Node) -> bool:
    """Whether a contraction is computed with its sides changed about."""
    if node.op_name != "contract":
        return False
    rows, columns = (
        size(dim for axis, dim in enumerate(operand.shape) if axis not in (*batch, *axes))
        for operand, batch, axes in zip(
            node.operands, node.params["batch"], node.params["axes"], strict=True
        )
    )
    return is_better_turned(rows, columns)


def is_better_turned(rows: DimLike, columns: DimLike) -> bool:
    """Whether a product has so few columns that they are better its rows."""
    return isinstance(rows, int) and isinstance(columns, int) and columns <= FEW_COLUMNS < rows

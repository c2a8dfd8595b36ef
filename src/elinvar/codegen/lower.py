"""Graph → steps: which kernels run, in which order, on which memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from elinvar.codegen.contraction import GROUP, Tile, contract_text, pack_left_text, tile_for
from elinvar.codegen.fused import fused_kernel
from elinvar.codegen.heavy import argsort_text, cumulative_text, scatter_text
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
from elinvar.codegen.walking import KernelText
from elinvar.core import dtypes
from elinvar.core.errors import CompileError, fail
from elinvar.core.shapes import Dim, DimLike, Shape, evaluate, row_major_strides, size
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Graph, Node, Value
from elinvar.kernels.cluster import partition
from elinvar.kernels.group import Group, cut
from elinvar.kernels.plan import ControlStep, Loop, Number, Place, Sizes, Step, Storage, Table
from elinvar.kernels.pull import squeeze, view_of
from elinvar.passes.legalize import take_along

Strides = Shape | None
_fused_cache: dict[Any, KernelText] = {}
_text_cache: dict[Any, tuple[str, str]] = {}
PLACEHOLDER = "KERNEL_NAME"
SMALL_PLANE = 256  # below this many output positions, samples of a convolution share panels


def named(text: str, prefix: str) -> tuple[str, str]:
    """(name, text) with the name derived from the content, so that equal kernels are one."""
    name = f"{prefix}_{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    return name, text.replace(PLACEHOLDER, name)


def _cached_text(key: Any, prefix: str, make: Callable[[], str]) -> tuple[str, str]:
    found = _text_cache.get(key)
    if found is None:
        found = _text_cache[key] = named(make(), prefix)
    return found


class Lowering:
    """Lowers one graph (and its sub-graphs) onto given storages."""

    def __init__(self, vector_bits: int) -> None:
        self.vector_bits = vector_bits
        self.steps: list[Any] = []
        self.storages: dict[Value, Storage] = {}
        self.places: dict[Value, Place] = {}  # where that is more than the start of a storage
        self.strides: dict[Value, Strides] = {}

    def place(self, value: Value) -> Place:
        found = self.places.get(value)
        return found if found is not None else Place(self.storages[value])

    def arena(self, nbytes: DimLike) -> Storage:
        return Storage("arena", -1, nbytes)

    def graph(self, graph: Graph, results: Sequence[Place | None]) -> list[Place]:
        """Lower a graph whose inputs have places already. `results`: where each output must go, or
        None for wherever it is; returns where the outputs are."""
        parts = partition(graph)
        wanted: dict[Value, Place] = {}
        for value, place in zip(graph.outputs, results, strict=True):
            if place is not None and value not in wanted and not value.node.is_input:
                wanted[value] = place
        for value in parts.stored:
            if value in wanted:
                self.places[value] = wanted[value]
                self.storages[value] = wanted[value].storage
            else:
                self.storages[value] = self.arena(size(value.shape) * value.dtype.itemsize)
        for cluster in parts.clusters:
            if cluster.kind == "heavy":
                (node,) = cluster.members
                self._heavy(node)
            else:
                self._fused(cut(cluster, parts))
        found = []
        for value, place in zip(graph.outputs, results, strict=True):
            if place is not None and wanted.get(value) is not place:
                self.copy(value, self.place(value), place)
            found.append(place or self.place(value))
        return found

    # fused groups

    def copy(self, value: Value, source: Place, target: Place) -> None:
        """A step that copies a whole value (dense, or strided if its input has strides)."""
        builder = Builder(capture_source=False)
        leaf = builder.input(value.type)
        region = builder.graph([leaf], "copy")
        group = Group("map", region, squeeze(value.shape), (), (value,), (value,))
        self._fused_step(group, [source], [target])

    def _fused(self, group: Group) -> None:
        if any(r.type.size == 0 for r in group.results) and len(group.results) == 1:
            return
        sources = [self.place(value) for value in group.operands]
        self._fused_step(group, sources, [self.place(value) for value in group.results])

    def _fused_step(self, group: Group, sources: list[Place], targets: list[Place]) -> None:
        strides = tuple(self.strides.get(value) for value in group.operands)
        key = (group.key(), strides)
        kernel = _fused_cache.get(key)
        if kernel is None:
            found = fused_kernel(group, strides).emit(PLACEHOLDER)
            name, text = named(found.text, group.kind)
            kernel = KernelText(name, text, found.pointers, found.symbols, found.geometry)
            _fused_cache[key] = kernel
        geometry = kernel.geometry
        slots: list[Any] = [*sources, *targets]
        slots += [Number(Dim(name)) for name in kernel.symbols]
        slots += [
            Number(lambda sizes: geometry.cut(sizes)[1]),
            Number(lambda sizes: geometry.cut(sizes)[2]),
        ]
        names = ", ".join(dict.fromkeys(node.op_name for node in group.region.nodes)) or "copy"
        work = geometry.rows * geometry.work_per_row
        self.steps.append(
            Step(
                kernel.name,
                kernel.text,
                slots,
                lambda sizes: geometry.cut(sizes)[0],
                [p.storage for p in sources],
                [p.storage for p in targets],
                f"{group.kind}: {names}",
                lambda sizes: evaluate(work, sizes) * max(1, len(group.region.nodes)),
            )
        )

    # heavy nodes

    def _heavy(self, node: Node) -> None:
        name = node.op_name
        method: Callable[[Node], None] | None = getattr(self, f"_lower_{name}", None)
        if method is None:
            fail(CompileError, name, "the CPU compiler has no lowering for this operation")
        method(node)

    def operand(self, value: Value) -> tuple[Place, tuple[DimLike, ...]]:
        """Where an operand's view starts, and its strides in elements."""
        view = view_of(value, self.strides)
        strides = view.strides
        place = self.place(view.base)
        offset = place.offset + view.offset * value.dtype.itemsize
        return Place(place.storage, offset, place.moves), strides

    def dense(self, value: Value) -> Place:
        """Where an operand lies dense in memory, after a copy if need be."""
        place, strides = self.operand(value)
        if strides == row_major_strides(value.shape) or value.type.rank == 0:
            return place
        builder = Builder(capture_source=False)
        leaf = builder.input(value.type)
        region = builder.graph([leaf], "copy")
        group = Group("map", region, squeeze(value.shape), (), (leaf,), (leaf,))
        target = Place(self.arena(size(value.shape) * value.dtype.itemsize))
        self.strides[leaf] = tuple(strides)
        self._fused_step(group, [place], [target])
        return target

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
        name, text = _cached_text(
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
        name, text = _cached_text(
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

    def _middle(self, value: Value, axis: int) -> tuple[DimLike, DimLike, DimLike]:
        """(outer, length, inner) around an axis."""
        return size(value.shape[:axis]), value.shape[axis], size(value.shape[axis + 1 :])

    def _cumulative(self, node: Node) -> None:
        (x,) = node.operands
        source, target = self.dense(x), self.place(node.results[0])
        outer, length, inner = self._middle(x, node.params["axis"])
        reverse = bool(node.params["reverse"])
        op = node.op
        assert op is not None
        name, text = _cached_text(
            (op.name, x.dtype, reverse),
            op.name,
            lambda: cumulative_text(PLACEHOLDER, op, x.dtype, reverse),
        )
        self._columns_step(
            node, name, text, [source, target], [length, inner], outer, inner, length
        )

    _lower_cumsum = _lower_cumprod = _lower_cummax = _lower_cummin = _cumulative

    def _columns_step(
        self,
        node: Node,
        name: str,
        text: str,
        places: list[Place],
        numbers: list[DimLike],
        outer: DimLike,
        inner: DimLike,
        work: DimLike,
    ) -> None:
        block = 64

        def tasks(sizes: Sizes) -> int:
            return evaluate(outer, sizes) * -(-evaluate(inner, sizes) // block)

        slots = [*places, *(Number(n) for n in numbers), Number(block)]
        self.steps.append(
            Step(
                name,
                text,
                slots,
                tasks,
                [p.storage for p in places[:-1]],
                [places[-1].storage],
                node.op_name,
                lambda sizes: evaluate(outer * inner * work, sizes),
            )
        )

    def _lower_scatter(self, node: Node) -> None:
        x, indices, updates = node.operands
        axis = node.params["axis"]
        outer, length, inner = self._middle(x, axis)
        count = size(indices.shape)
        mode = node.params["mode"]
        name, text = _cached_text(
            ("scatter", x.dtype, mode), "scatter", lambda: scatter_text(PLACEHOLDER, x.dtype, mode)
        )
        places = [
            self.dense(x),
            self.dense(indices),
            self.dense(updates),
            self.place(node.results[0]),
        ]
        self._columns_step(
            node, name, text, places, [length, inner, count], outer, inner, count + length
        )

    def _order(
        self, node: Node, x: Value, target: Place, descending: bool, nan_first: bool
    ) -> None:
        axis = x.type.rank - 1
        rows, length, _ = self._middle(x, axis)
        name, text = _cached_text(
            ("argsort", x.dtype, descending, nan_first),
            "argsort",
            lambda: argsort_text(PLACEHOLDER, x.dtype, descending, nan_first),
        )
        source = self.dense(x)
        scratch = Place(self.arena(size(x.shape) * 8))
        slots = [source, target, scratch, Number(length)]
        self.steps.append(
            Step(
                name,
                text,
                slots,
                lambda sizes: evaluate(rows, sizes),
                [source.storage],
                [target.storage, scratch.storage],
                node.op_name,
                lambda sizes: evaluate(rows * length, sizes) * 16,
            )
        )

    def _lower_argsort(self, node: Node) -> None:
        if node.params["axis"] != node.operands[0].type.rank - 1:
            fail(CompileError, "argsort", "expected the last axis after legalization")
        self._order(
            node, node.operands[0], self.place(node.results[0]), node.params["descending"], False
        )

    def _lower_top_k(self, node: Node) -> None:
        """Order each row, largest first, then read the first k."""
        (x,) = node.operands
        order = Place(self.arena(size(x.shape) * 8))
        self._order(node, x, order, True, True)
        builder = Builder(capture_source=False)
        values = builder.input(x.type)
        places = builder.input(TensorType(dtypes.int64, x.shape))
        count = (*x.shape[:-1], node.params["k"])
        first = builder.f.slice(places, start=(0,) * len(count), size=count, step=(1,) * len(count))
        best = take_along(builder, values, first, len(count) - 1)
        steps, _ = self._sub_lowering(
            builder.graph([best, first]),
            [self.dense(x), order],
            [self.place(v) for v in node.results],
        )
        self.steps += steps

    # control

    def _sub_lowering(
        self,
        graph: Graph,
        arguments: Sequence[Place],
        results: Sequence[Place | None],
        storages: Mapping[Value, Storage] | None = None,
    ) -> tuple[list[Any], list[Place]]:
        inner = Lowering(self.vector_bits)
        for value, place in zip(graph.inputs, arguments, strict=True):
            inner.storages[value] = place.storage
            inner.places[value] = place
        found = inner.graph(graph, results)
        return inner.steps, found

    def _lower_cond(self, node: Node) -> None:
        predicate, *operands = node.operands
        arguments = [self.dense(v) for v in operands]
        test = self.dense(predicate)
        results = [self.place(v) for v in node.results]
        bodies = [
            self._sub_lowering(node.params[branch], arguments, results)[0]
            for branch in ("true", "false")
        ]
        reads = [p.storage for p in arguments] + [test.storage]
        self.steps.append(
            ControlStep(
                "cond", test, bodies, reads=reads, writes=[p.storage for p in results], label="cond"
            )
        )

    def _lower_while_loop(self, node: Node) -> None:
        carry = node.params["carry"]
        arguments = [self.dense(v) for v in node.operands]
        state = [self.place(v) for v in node.results]
        for value, source, target in zip(node.operands, arguments, state, strict=False):
            self._copy_dense(value, source, target)
        inside = [*state, *arguments[carry:]]
        test = Place(self.arena(1))
        condition, _ = self._sub_lowering(node.params["condition"], inside, [test])
        body = self._carried_body(node.params["body"], inside, state, [])
        reads = [p.storage for p in arguments]
        writes = [p.storage for p in state] + [test.storage]
        self.steps.append(
            ControlStep(
                "while",
                test,
                [condition, body],
                Loop(),
                reads=reads,
                writes=writes,
                label="while_loop",
            )
        )

    def _carried_body(
        self, graph: Graph, inside: list[Place], state: list[Place], stacked: list[Place]
    ) -> list[Any]:
        """A loop body whose first outputs become the next state: computed aside, then copied."""
        fresh = [
            Place(self.arena(size(v.shape) * v.dtype.itemsize)) for v in graph.outputs[: len(state)]
        ]
        inner = Lowering(self.vector_bits)
        for value, place in zip(graph.inputs, inside, strict=True):
            inner.storages[value], inner.places[value] = place.storage, place
        inner.graph(graph, [*fresh, *stacked])
        for value, source, target in zip(graph.outputs, fresh, state, strict=False):
            inner._copy_dense(value, source, target)
        return inner.steps

    def _copy_dense(self, value: Value, source: Place, target: Place) -> None:
        builder = Builder(capture_source=False)
        leaf = builder.input(value.type)
        group = Group(
            "map", builder.graph([leaf], "copy"), squeeze(value.shape), (), (leaf,), (leaf,)
        )
        self._fused_step(group, [source], [target])

    def _lower_scan(self, node: Node) -> None:
        carry, sequences = node.params["carry"], node.params["sequences"]
        arguments = [self.dense(v) for v in node.operands]
        state = [self.place(v) for v in node.results[:carry]]
        for value, source, target in zip(node.operands[:carry], arguments, state, strict=False):
            self._copy_dense(value, source, target)
        loop = Loop()

        def moving(value: Value, place: Place) -> Place:
            stride = size(value.shape[1:]) * value.dtype.itemsize
            return Place(place.storage, place.offset, (*place.moves, (loop, stride)))

        sources = arguments[carry : carry + sequences]
        slices = [moving(v, p) for v, p in zip(node.operands[carry:], sources, strict=False)]
        stacked = [moving(v, self.place(v)) for v in node.results[carry:]]
        inside = [*state, *slices, *arguments[carry + sequences :]]
        body = self._carried_body(node.params["body"], inside, state, stacked)
        reads = [p.storage for p in arguments]
        writes = [p.storage for p in (*state, *stacked)]
        self.steps.append(
            ControlStep(
                "for",
                None,
                [body],
                loop,
                node.params["length"],
                node.params["reverse"],
                reads,
                writes,
                "scan",
            )
        )

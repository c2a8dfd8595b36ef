"""Fused reductions that keep the last dim, as LLVM functions.

Terms are added in row-major order of the reduced dims, in chunks of 256 along the innermost reduced
dim; the partial results of the chunks are added in order. This is a function of shape and axes.

A task sums some chunks of a block of columns, row after row, so that memory is read as it lies. Few
columns stay in registers, many in a small array. Where there are several chunks and some work, each
leaves its partial result, and a second launch adds them (`partials.py`).
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from elinvar.codegen.evaluate import Tile
from elinvar.codegen.llvm_scalars import llvm_type, memory_type
from elinvar.codegen.orders import Order, columns_may_be_rows, may_be_one, run_time_order
from elinvar.codegen.partials import (
    COLUMN_BLOCK,
    BlockGeometry,
    PartGeometry,
    Reducer,
    carried_type,
    combine_of,
    partial_results,
)
from elinvar.codegen.turning import Key, Turned, find_turned, scratch_slots, turn_tiles
from elinvar.codegen.walking import LANES, Geometry
from elinvar.core.dtypes import DType
from elinvar.core.shapes import DimLike, size
from elinvar.core.sizing import ceil_div
from elinvar.graph.ir import Node
from elinvar.kernels.index import Var
from elinvar.kernels.pull import is_reduction
from elinvar.ops.scalars import Scalar

IN_REGISTERS = 64  # columns
WORTH_TWO_LAUNCHES = 65536  # elements
ENOUGH_TASKS = 64  # blocks of columns that need no cut of the rows
SEVERAL_ROWS = 4  # rows that are added between a load and a store of the sums
TURNED_ROWS = 16  # rows that are read across and turned at a time, and columns
TURNED_BLOCK = 128
SHORT_REGION = 16  # nodes; longer ones are not written several times


class ColumnKernel(Reducer):
    """Reduces other dims than the last: neighbouring columns side by side."""

    chunk: int
    reductions: list[Any]
    all_chunks: str
    scratch: dict[Key, str]
    turned: Turned | None
    chunks: str
    per: str

    def _loops(self) -> Geometry:
        body = self.body
        self.inner = [self.dims[axis][0] for axis in sorted(self.group.axes)]
        last = self.outer[-1] if self.outer else Var("one", 1)
        if self.numerics.merges:
            self.inner = self._merged(self.inner)
        *outer, along = self.inner
        self.chunk = chunk = self._chunk(along.extent)
        kept, repeats = size(v.extent for v in self.outer[:-1]), size(v.extent for v in outer)
        total = kept * last.extent * repeats * along.extent
        self.reductions = [n for n in self.group.region.nodes if is_reduction(n)]
        several = repeats != 1 or not isinstance(along.extent, int) or along.extent > chunk
        tasks = kept * last.extent
        enough = isinstance(tasks, int) and tasks >= ENOUGH_TASKS * COLUMN_BLOCK
        small = isinstance(total, int) and total < WORTH_TWO_LAUNCHES
        if several and not enough and not small:
            self.parts = partial_results(self.group)
        self.all_chunks = self._chunks_of(self.inner)[1]
        rows = body.dim(kept)
        if self.parts:
            rows = body.mul(rows, self.all_chunks)
        turned = find_turned(self, [along], last)
        block = TURNED_BLOCK if turned else COLUMN_BLOCK
        if turned:
            self.scratch = scratch_slots(body, turned, TURNED_ROWS * TURNED_BLOCK)
        order, choices = self._choices()
        for row, low, high in self._tasks(rows, last.extent, True):
            for condition, inner in choices:
                with body.when(condition) if condition else nullcontext():
                    self.inner = inner
                    self.turned = turned if inner is choices[0][1] else None
                    self._sum_task(row, last, low, high)
            if order is not None:
                self.inner = choices[0][1]
                with body.when(order.is_row):
                    self._sum_as_row(order, row, last, low, high)
        if self.parts:
            return PartGeometry(kept, last.extent, repeats, along.extent, chunk, block)
        return BlockGeometry(kept, last.extent, last.extent * repeats * along.extent, block)

    def _chunk(self, extent: DimLike) -> int:
        """How many rows are added before their sum is added to that of others."""
        numerics = self.numerics
        if not numerics.most_chunks or not isinstance(extent, int):
            return numerics.chunk
        return max(numerics.chunk, ceil_div(extent, numerics.most_chunks))

    def _merged(self, variables: list[Var]) -> list[Var]:
        """Neighbours among the reduced axes as one, where addresses allow."""
        found: list[Var] = []
        for axis, var in zip(sorted(self.group.axes), variables, strict=True):
            if found and axis - 1 in self.group.axes and self._try_collapse(found[-1], var):
                found[-1] = self._joined
            else:
                found.append(var)
        return found

    def _chunks_of(self, inner: list[Var]) -> tuple[str, str]:
        """How many chunks the innermost reduced dim has, and all of them have."""
        body = self.body
        *outer, along = inner
        per = body.div(body.add(body.dim(along.extent), str(self.chunk - 1)), str(self.chunk))
        return per, body.mul(body.dim(size(v.extent for v in outer)), per)

    def _choices(self) -> tuple[Order | None, list[tuple[str | None, list[Var]]]]:
        """The ways in which the sums may run, as (condition, reduced dims): chunks are those of the
        last dim that is not 1, so dims that are 1 stand in front. And the order, where it may be
        that of a row."""
        body, space, axes = self.body, self.group.space, self.group.axes
        if self.numerics.merges:  # any order will do
            return None, [(None, self.inner)]
        as_row = columns_may_be_rows(space, axes)
        others = len(self.inner) > 1 and may_be_one(self.inner[-1].extent)
        if not as_row and not others:
            return None, [(None, self.inner)]
        order = run_time_order(body, space, axes)
        left = "true" if not as_row else body.instruction(f"xor i1 {order.is_row}, true", "left")
        found: list[tuple[str | None, list[Var]]] = []
        for place in reversed(range(len(self.inner))):
            var = self.inner[place]
            reordered = [*self.inner[place + 1 :], *self.inner[: place + 1]]
            if place == 0 or not may_be_one(var.extent):
                found.append((left, reordered if place + 1 < len(self.inner) else self.inner))
                break
            counts = body.instruction(f"icmp ne i64 {body.dim(var.extent)}, 1", "counts")
            found.append((body.instruction(f"and i1 {left}, {counts}"), reordered))
            other = body.instruction(f"xor i1 {counts}, true")
            left = body.instruction(f"and i1 {left}, {other}")
        found[0] = found[0][0], self.inner
        return order if as_row else None, found

    def _sum_task(self, row: str, last: Var, low: str, high: str) -> None:
        """Sum some chunks, or all, of a block of columns."""
        body = self.body
        self.per, self.chunks = self._chunks_of(self.inner)
        self._set_row(body.div(row, self.all_chunks) if self.parts else row, self.outer[:-1])
        narrow = isinstance(last.extent, int) and last.extent <= IN_REGISTERS
        if narrow and not self.turned:
            self._narrow(row, last, low, high)
        else:
            self._wide(row, last, low, high)

    def _sum_as_row(self, order: Order, row: str, last: Var, low: str, high: str) -> None:
        """What is called a column is all of a row: the kept dims behind have size 1."""
        body = self.body
        self._set_row(body.div(row, self.all_chunks) if self.parts else row, self.outer[:-1])
        only = body.rem(row, self.all_chunks) if self.parts else None
        with body.loop(low, high, hint="column") as column:
            with self.evaluator.vectorized(last, column, 1):
                totals = self._slots(1, "total", whole=True)
                self._in_order(order, totals, only)
                for node, slot in totals.items():
                    kind = carried_type(node.operands[0].dtype)
                    self._leave(node, row, last, column, self._get(slot, kind, 1))

    @staticmethod
    def _lanes_of(extent: DimLike) -> int:
        if not isinstance(extent, int):
            return LANES
        if extent <= 2 * LANES:
            return max(1, extent)
        for lanes in (64, 32):
            if extent % lanes == 0:
                return lanes
        return LANES

    # a chunk of rows

    def _rows_of(self, chunk: str) -> tuple[str, str]:
        """The rows first … last of a chunk, along the innermost reduced dim; sets the others."""
        body = self.body
        *outer, along = self.inner
        self._set_row(body.div(chunk, self.per), outer)
        first = body.mul(body.rem(chunk, self.per), str(self.chunk))
        last = body.minimum(body.add(first, str(self.chunk)), body.dim(along.extent))
        if self.parts and self.chunks != self.all_chunks:  # there may be fewer than places
            is_there = body.instruction(f"icmp slt i64 {chunk}, {self.chunks}", "c")
            last = body.instruction(f"select i1 {is_there}, i64 {last}, i64 {first}", "n")
        return first, last

    def _term(self, node: Node, lanes: int) -> Scalar:
        operand = node.operands[0]
        scalar = self.evaluator.value(operand, self._index(operand.shape))
        return self.evaluator.widen(scalar, lanes).cast(carried_type(operand.dtype))

    def _leave(self, node: Node, row: str, last: Var, column: str, total: Scalar) -> None:
        """Store the sum of some columns: the partial one of a chunk, or the whole."""
        value = node.results[0]
        target = self.targets[value]
        if self.parts:
            place = self.body.add(self.body.mul(row, self.body.dim(last.extent)), column)
            kind = carried_type(node.operands[0].dtype)
            pointer = self.evaluator.element_pointer(target.pointer, kind, place)
            self._put(pointer, kind, self.evaluator.lanes, total)
        else:
            scalar = self._finish(total, value.dtype)
            self.evaluator.store(target, self._index(value.shape), scalar)

    # few columns: sums in registers

    def _narrow(self, row: str, last: Var, low: str, high: str) -> None:
        body = self.body
        for lanes, column, _ in self._lanes(last, low, high, self._lanes_of(last.extent), False):
            if self.parts:
                partials = self._narrow_chunk(body.rem(row, self.all_chunks), lanes)
                for node, partial in partials.items():
                    self._leave(node, row, last, column, partial)
                continue
            totals = self._slots(lanes, "total", whole=True)
            with body.loop("0", self.chunks, hint="chunk") as chunk:
                for node, partial in self._narrow_chunk(chunk, lanes).items():
                    self._combine_into(totals[node], node, lanes, partial)
            for node, slot in totals.items():
                kind = carried_type(node.operands[0].dtype)
                self._leave(node, row, last, column, self._get(slot, kind, lanes))

    def _slots(self, lanes: int, hint: str, whole: bool = False) -> dict[Node, str]:
        slots = {}
        start = self._start if whole else self._identity
        for node in self.reductions:
            kind = carried_type(node.operands[0].dtype)
            slots[node] = self.body.stack_slot(llvm_type(kind, lanes), hint)
            self._put(slots[node], kind, lanes, start(node, kind, lanes))
        return slots

    def _combine_into(self, slot: str, node: Node, lanes: int, scalar: Scalar) -> None:
        combine, _ = combine_of(node)
        kind = scalar.dtype
        self._put(slot, kind, lanes, combine(self._get(slot, kind, lanes), scalar))

    def _narrow_chunk(self, chunk: str, lanes: int) -> dict[Node, Scalar]:
        slots = self._slots(lanes, "acc")
        first, last = self._rows_of(chunk)
        with self.body.loop(first, last, hint="r") as counter:
            self.evaluator.counters[self.inner[-1]] = counter
            for node in self.reductions:
                self._combine_into(slots[node], node, lanes, self._term(node, lanes))
        return {
            node: self._get(slot, carried_type(node.operands[0].dtype), lanes)
            for node, slot in slots.items()
        }

    # many columns: sums in an array

    def _wide(self, row: str, last: Var, low: str, high: str) -> None:
        body = self.body
        sums = self._arrays("sums")
        if self.parts:
            self._wide_chunk(body.rem(row, self.all_chunks), sums, last, low, high)
        else:
            totals = self._arrays("totals")
            self._fill(totals, last, low, high, whole=True)
            with body.loop("0", self.chunks, hint="chunk") as chunk:
                self._wide_chunk(chunk, sums, last, low, high)
                for lanes, column, _ in self._lanes(last, low, high, LANES, True):
                    for node, base in totals.items():
                        kind = carried_type(node.operands[0].dtype)
                        partial = self._get(self._at(sums[node], kind, column, low), kind, lanes)
                        place = self._at(base, kind, column, low)
                        self._combine_into(place, node, lanes, partial)
            sums = totals
        for lanes, column, _ in self._lanes(last, low, high, LANES, True):
            for node, base in sums.items():
                kind = carried_type(node.operands[0].dtype)
                total = self._get(self._at(base, kind, column, low), kind, lanes)
                self._leave(node, row, last, column, total)

    def _arrays(self, hint: str) -> dict[Node, str]:
        found = {}
        for node in self.reductions:
            kind = memory_type(carried_type(node.operands[0].dtype))
            found[node] = self.body.stack_slot(f"[{COLUMN_BLOCK} x {kind}]", hint)
        return found

    def _at(self, base: str, kind: DType, column: str, low: str) -> str:
        return self.evaluator.element_pointer(base, kind, self.body.sub(column, low))

    def _fill(
        self, arrays: dict[Node, str], last: Var, low: str, high: str, whole: bool = False
    ) -> None:
        start = self._start if whole else self._identity
        for lanes, column, _ in self._lanes(last, low, high, LANES, True):
            for node, base in arrays.items():
                kind = carried_type(node.operands[0].dtype)
                place = self._at(base, kind, column, low)
                self._put(place, kind, lanes, start(node, kind, lanes))

    def _wide_chunk(
        self, chunk: str, sums: dict[Node, str], last: Var, low: str, high: str
    ) -> None:
        """Sum the rows of a chunk."""
        body = self.body
        self._fill(sums, last, low, high)
        first, stop = self._rows_of(chunk)
        if self.turned is None:
            self._sum_rows(first, stop, sums, last, low, high)
            return
        with body.loop(first, stop, TURNED_ROWS, "line") as line:
            end = body.minimum(body.add(line, str(TURNED_ROWS)), stop)
            tiles = {
                key: Tile(slot, self.turned.across, line, last, low, TURNED_BLOCK)
                for key, slot in self.scratch.items()
            }
            turn_tiles(self.evaluator, self.turned, tiles, end, high)
            self.evaluator.tiles = tiles
            self._sum_rows(line, end, sums, last, low, high)
            self.evaluator.tiles = {}

    def _sum_rows(
        self, first: str, stop: str, sums: dict[Node, str], last: Var, low: str, high: str
    ) -> None:
        """Several rows for each load and store of the sums, then one by one."""
        body = self.body
        if len(self.group.region.nodes) <= SHORT_REGION:
            count = str(SEVERAL_ROWS)
            whole = body.mul(body.div(body.sub(stop, first), count), count)
            middle = body.add(first, whole)
            with body.loop(first, middle, SEVERAL_ROWS, "r") as counter:
                self._add_rows(counter, SEVERAL_ROWS, sums, last, low, high)
            first = middle
        with body.loop(first, stop, hint="r") as counter:
            self._add_rows(counter, 1, sums, last, low, high)

    def _add_rows(
        self, counter: str, rows: int, sums: dict[Node, str], last: Var, low: str, high: str
    ) -> None:
        body = self.body
        numbers = [body.add(counter, str(k)) for k in range(rows)]
        for lanes, column, _ in self._lanes(last, low, high, LANES, True):
            places = {}
            totals = {}
            for node, base in sums.items():
                kind = carried_type(node.operands[0].dtype)
                places[node] = self._at(base, kind, column, low)
                totals[node] = self._get(places[node], kind, lanes)
            for number in numbers:
                self.evaluator.counters[self.inner[-1]] = number
                with body.scope():
                    for node in self.reductions:
                        combine, _ = combine_of(node)
                        totals[node] = combine(totals[node], self._term(node, lanes))
            for node, total in totals.items():
                self._put(places[node], total.dtype, lanes, total)

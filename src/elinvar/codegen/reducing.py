"""Fused reductions of the last dim as LLVM functions (those that keep it: `columns.py`).

The order of a reduction is a function of logical shape and axes only: adjacent reduced dims count
as one. Element j of the last one goes to lane j mod 16; lanes are added in order within a tile of
16384 elements; the 16 lanes of a tile are combined by halves (8, 4, 2, 1); tiles and outer reduced
dims are added in row-major order.

Work is cut by shape: a task is a block of rows, or, where there are few, a block of tiles.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Set

from elinvar.codegen.evaluate import Leaf
from elinvar.codegen.llvm_scalars import LLVMHandler, llvm_type
from elinvar.codegen.orders import TILE, Order, rows_may_change, run_time_order
from elinvar.codegen.partials import (
    PartGeometry,
    Reducer,
    carried_type,
    combine_of,
    from_key,
    key_type,
    partial_results,
    to_key,
)
from elinvar.codegen.patterns import Origin
from elinvar.codegen.walking import LANES, Geometry, Walker
from elinvar.core.dtypes import DType
from elinvar.core.shapes import DimLike, size
from elinvar.graph.ir import Node, Value
from elinvar.kernels.index import Var, variable
from elinvar.kernels.pull import EXPENSIVE, is_movement, is_reduction, squeeze
from elinvar.ops.scalars import Scalar

SCRATCH_ELEMENTS = 16384
SHORT_REGION = 64  # nodes; longer ones are not written several times


class RowKernel(Reducer):
    """Reduces the last dim (and perhaps others): one row after the other, all stages of a row
    while it is in the cache."""

    changed: str | None = None  # whether sizes of 1 make another order, where they may
    order: Order

    def _loops(self) -> Geometry:
        self._merge_reduced()
        self._find_order()
        rows = size(v.extent for v in self.outer)
        inner = self.inner[-1].extent if self.inner else 1
        total = size(v.extent for v in self.inner)
        levels = self._levels()
        depth = max(levels.values(), default=0)
        for row, _, _ in self._tasks(rows, inner, False):
            self._set_row(row, self.outer)
            self.evaluator.registers.clear()
            for level in range(depth + 1):
                reductions = [
                    n
                    for n in self.group.region.nodes
                    if is_reduction(n) and levels[n.results[0]] == level + 1
                ]
                outputs = [
                    v
                    for v in self.group.region.outputs
                    if levels[v] == level and self._is_full(v) and not is_reduction(v.node)
                ]
                if reductions or outputs:
                    self._pass(reductions, outputs, self._scratch(levels, level))
            for value in self.group.region.outputs:
                if not self._is_full(value) or is_reduction(value.node):
                    index = self._index(value.shape)
                    scalar = self.evaluator.value(value, index)
                    self.evaluator.store(self.targets[value], index, scalar)
        return Geometry(rows, 1, total, 0)  # a row without elements is written too

    def _find_order(self) -> None:
        """Where symbolic dims may be 1: the order for the sizes at hand."""
        if self.numerics.merges or not rows_may_change(self.group.space, self.group.axes):
            return
        body = self.body
        self.order = run_time_order(body, self.group.space, self.group.axes)
        here = body.dim(self.inner[-1].extent)
        self.changed = body.instruction(f"icmp ne i64 {self.order.period}, {here}", "changed")

    def _is_full(self, value: Value) -> bool:
        return squeeze(value.shape) == self.group.space

    def _merge_reduced(self) -> None:
        """Adjacent reduced dims count as one: one loop where addresses allow, else by division."""
        reduced = sorted(self.group.axes)
        runs = [
            [a for _, a in run]
            for _, run in itertools.groupby(enumerate(reduced), lambda p: p[1] - p[0])
        ]
        self.inner = []
        for run in runs:
            variables = [self.dims[axis][0] for axis in run]
            joined = variables[0]
            as_one = len(variables) == 1
            if not as_one and self._all_collapse(variables):
                joined, as_one = self._joined, True
            if not as_one:
                joined = Var("r", size(v.extent for v in variables))
                left = variable(joined)
                for axis in reversed(run[1:]):
                    extent = self.dims[axis][0].extent
                    extent = 1 if extent == 0 else extent  # nothing is walked then
                    self.forms[axis] = left % extent
                    left = left // extent
                self.forms[run[0]] = left
            self.inner.append(joined)

    def _all_collapse(self, variables: list[Var]) -> bool:
        """Collapse a run of variables when every neighbouring pair can be."""
        if not all(self.collector.collapsible(a, b) for a, b in itertools.pairwise(variables)):
            return False
        joined = variables[0]
        for var in variables[1:]:
            if not self._try_collapse(joined, var):
                return False
            joined = self._joined
        return True

    def _levels(self) -> dict[Value, int]:
        """How many reductions of this group stand between a value and memory."""
        levels: dict[Value, int] = {}
        for value in self.group.region.inputs:
            levels[value] = 0
        for node in self.group.region.nodes:
            level = max((levels[operand] for operand in node.operands), default=0)
            for value in node.results:
                levels[value] = level + is_reduction(node)
        return levels

    def _scratch(self, levels: dict[Value, int], level: int) -> dict[Value, Leaf]:
        """Values of this pass that a later pass would have to compute again at some expense, and
        where they are kept: on the stack, or, if a row may be too long, where a result will be
        written."""
        total = size(v.extent for v in self.inner)
        found: dict[Value, Leaf] = {}
        for value in sorted(self._kept(levels, level), key=lambda v: v.node.serial):
            if isinstance(total, int) and total <= SCRATCH_ELEMENTS and len(self.inner) == 1:
                kind = f"[{total} x {_memory(value.dtype)}]"
                storage = self.body.stack_slot(kind, "row")
                found[value] = _ScratchLeaf(storage, value, self)
            else:
                target = self._lent(value, levels, level)
                if target is not None and target not in found.values():
                    found[value] = target
        return found

    def _kept(self, levels: dict[Value, int], level: int) -> set[Value]:
        """What later passes need of this one: the last values that hang on an expensive one, or
        those themselves where they are fewer."""
        now, later = self._evaluated(levels, level, level), self._evaluated(levels, level + 1, 99)
        usable = {v for v in now & later if self._is_full(v)} - self._moved()
        costly = {v for v in usable if v.node.op_name in EXPENSIVE}
        hanging = set(costly)
        for node in self.group.region.nodes:
            if any(operand in hanging for operand in node.operands):
                hanging.update(v for v in node.results if v in usable)
        asked = self._evaluated(levels, level + 1, 99, hanging)
        last = hanging & asked
        return last if len(last) <= len(costly) else costly

    def _moved(self) -> set[Value]:
        """Values of this pass that are read at another index than their own."""
        found: set[Value] = set()
        stack = [v for n in self.group.region.nodes if is_movement(n) for v in n.operands]
        while stack:
            value = stack.pop()
            if value not in found and not is_reduction(value.node):
                found.add(value)
                stack.extend(value.node.operands)
        return found

    def _lent(self, value: Value, levels: dict[Value, int], level: int) -> Leaf | None:
        """The memory of a result of the same shape that is written by the pass that reads `value`
        for the last time."""
        depth = max(levels.values(), default=0)
        last = max(n for n in range(level + 1, depth + 1) if value in self._evaluated(levels, n, n))
        for result, target in self.targets.items():
            if (
                result.type == value.type
                and levels[result] == last
                and not is_reduction(result.node)
                and value.dtype.kind != "b"
                and all(leaf.pointer != target.pointer for leaf in self.evaluator.leaves.values())
            ):
                return target
        return None

    def _evaluated(
        self, levels: dict[Value, int], low: int, high: int, known: Set[Value] = frozenset()
    ) -> set[Value]:
        """Full-space values that the passes low … high compute at their own index, where nothing
        below `known` values is asked for."""
        roots = [
            n.operands[0]
            for n in self.group.region.nodes
            if is_reduction(n) and low <= levels[n.results[0]] - 1 <= high
        ]
        roots += [
            v for v in self.group.region.outputs if self._is_full(v) and low <= levels[v] <= high
        ]
        found: set[Value] = set()
        stack = [v for v in roots if not is_reduction(v.node)]
        while stack:
            value = stack.pop()
            if value in found or value in self.evaluator.leaves or is_reduction(value.node):
                continue
            found.add(value)
            if not is_movement(value.node) and value not in known:
                stack.extend(value.node.operands)
        return found

    def _pass(
        self, reductions: list[Node], outputs: list[Value], scratch: dict[Value, Leaf]
    ) -> None:
        """One walk along the reduced dims: accumulate and store."""
        totals = self._totals(reductions)
        if self.changed is None or not reductions:
            self._nest(self.inner[:-1], reductions, outputs, totals, scratch)
        else:
            usual = self.body.instruction(f"xor i1 {self.changed}, true", "usual")
            with self.body.when(usual):
                self._nest(self.inner[:-1], reductions, outputs, totals, scratch)
            with self.body.when(self.changed):
                self._in_order(self.order, totals)
                self._nest(self.inner[:-1], [], outputs, totals, scratch)
        for node, slot in totals.items():
            kind = carried_type(node.operands[0].dtype)
            result = self._get(slot, kind, 1)
            self.evaluator.registers[node.results[0]] = self._finish(result, node.results[0].dtype)
        self.evaluator.leaves.update(scratch)

    def _totals(self, reductions: list[Node]) -> dict[Node, str]:
        """A slot for each reduction, holding its identity."""
        totals = {}
        for node in reductions:
            kind = carried_type(node.operands[0].dtype)
            totals[node] = self.body.stack_slot(llvm_type(kind), "total", kind.itemsize)
            self._put(totals[node], kind, 1, self._start(node, kind, 1))
        return totals

    def _nest(
        self,
        variables: list[Var],
        reductions: list[Node],
        outputs: list[Value],
        totals: dict[Node, str],
        scratch: dict[Value, Leaf],
    ) -> None:
        if variables:
            with self.body.loop("0", self.body.dim(variables[0].extent), hint="r") as counter:
                self.evaluator.counters[variables[0]] = counter
                self._nest(variables[1:], reductions, outputs, totals, scratch)
            return
        last = self.inner[-1]
        extent = self.body.dim(last.extent)
        if isinstance(last.extent, int) and last.extent <= TILE or not reductions:
            self._tile(last, "0", extent, reductions, outputs, totals, scratch, False)
            return
        with self.body.loop("0", extent, TILE, "tile") as low:
            high = self.body.minimum(self.body.add(low, str(TILE)), extent)
            self._tile(last, low, high, reductions, outputs, totals, scratch, True)

    def _tile(
        self,
        last: Var,
        low: str,
        high: str,
        reductions: list[Node],
        outputs: list[Value],
        totals: dict[Node, str],
        scratch: dict[Value, Leaf],
        split: bool,
    ) -> None:
        lanes_slots = self._accumulators(reductions)

        def store() -> None:
            self._store(*outputs)
            for value, leaf in scratch.items():
                index = self._index(value.shape)
                self.evaluator.store(leaf, index, self.evaluator.value(value, index))

        start = low
        if self._is_worth_several(last, reductions):
            start = self._side_by_side(last, low, high, lanes_slots, store)
        width = LANES if reductions or last.extent != 1 else 1
        for lanes, counter, rest in self._lanes(last, start, high, width, split):
            if rest and lanes == 1 and not isinstance(last.extent, int):
                self._dynamic_tail(reductions, lanes_slots, counter, low)
            else:
                for node in reductions:
                    self._accumulate(node, lanes_slots[node], lanes)
            store()
        for node in reductions:
            kind = carried_type(node.operands[0].dtype)
            vector = self._get(lanes_slots[node], key_type(node, kind), LANES)
            partial = from_key(self._halve(node, vector), kind)
            combine, _ = combine_of(node)
            self._put(totals[node], kind, 1, combine(self._get(totals[node], kind, 1), partial))

    def _accumulators(self, reductions: list[Node]) -> dict[Node, str]:
        """A vector of 16 lanes for each reduction, holding its identity."""
        slots = {}
        for node in reductions:
            start = self._as_key(node, self._identity_of(node, LANES))
            slots[node] = self.body.stack_slot(llvm_type(start.dtype, LANES), "acc")
            self._put(slots[node], start.dtype, LANES, start)
        return slots

    def _is_worth_several(self, last: Var, reductions: list[Node]) -> bool:
        """Whether a row is added in several vectors, which the contract's order is not."""
        count, extent = self.numerics.accumulators, last.extent
        is_short = isinstance(extent, int) and extent < 2 * count * LANES
        is_plain = len(self.group.region.nodes) <= SHORT_REGION
        return count > 1 and bool(reductions) and not is_short and is_plain

    def _side_by_side(
        self, last: Var, low: str, high: str, slots: dict[Node, str], store: Callable[[], None]
    ) -> str:
        """Add what fills several vectors, side by side and then together, in no fixed order.
        Returns where the rest begins."""
        body, count = self.body, self.numerics.accumulators
        several = [slots, *(self._accumulators(list(slots)) for _ in range(count - 1))]
        step = count * LANES
        whole = body.mul(body.div(body.sub(high, low), str(step)), str(step))
        stop = body.add(low, whole)
        with body.loop(low, stop, step, "j") as counter:
            for number, own in enumerate(several):
                place = body.add(counter, str(number * LANES))
                with self.evaluator.vectorized(last, place, LANES, Origin(0, LANES)):
                    for node, slot in own.items():
                        self._accumulate(node, slot, LANES)
                    store()
        for own in several[1:]:
            for node, slot in own.items():
                kind = key_type(node, carried_type(node.operands[0].dtype))
                combine, _ = combine_of(node)
                known, more = (self._get(part, kind, LANES) for part in (slots[node], slot))
                self._put(slots[node], kind, LANES, combine(known, more))
        return stop

    def _accumulate(self, node: Node, slot: str, lanes: int) -> None:
        """acc = combine(acc, value); a short last vector is filled up with the identity."""
        operand = node.operands[0]
        kind = carried_type(operand.dtype)
        scalar = self.evaluator.value(operand, self._index(operand.shape))
        scalar = self.evaluator.widen(scalar, lanes).cast(kind)
        combine, _ = combine_of(node)
        if lanes != LANES:
            scalar = self._pad_lanes(node, kind, scalar, lanes)
        scalar = self._as_key(node, scalar)
        kind = scalar.dtype
        self._put(slot, kind, LANES, combine(self._get(slot, kind, LANES), scalar))

    def _identity_of(self, node: Node, lanes: int) -> Scalar:
        return self._identity(node, carried_type(node.operands[0].dtype), lanes)

    @staticmethod
    def _as_key(node: Node, scalar: Scalar) -> Scalar:
        has_key = key_type(node, scalar.dtype) is not scalar.dtype
        return to_key(scalar, node.op_name) if has_key else scalar

    def _pad_lanes(self, node: Node, kind: DType, scalar: Scalar, lanes: int) -> Scalar:
        body = self.body
        identity = self._identity(node, kind, LANES)
        wide = llvm_type(kind, LANES)
        handler = LLVMHandler(body, LANES)
        element = llvm_type(kind)
        if lanes == 1:
            text = f"insertelement {wide} {identity.payload}, {element} {scalar.payload}, i64 0"
            return Scalar(handler, kind, body.instruction(text))
        narrow = llvm_type(kind, lanes)
        grow = ", ".join(f"i32 {i if i < lanes else 0}" for i in range(LANES))
        grown = body.instruction(
            f"shufflevector {narrow} {scalar.payload}, {narrow} poison, <{LANES} x i32> <{grow}>"
        )
        mask = ", ".join(f"i32 {i if i < lanes else LANES + i}" for i in range(LANES))
        text = f"shufflevector {wide} {grown}, {wide} {identity.payload}, <{LANES} x i32> <{mask}>"
        return Scalar(handler, kind, body.instruction(text))

    def _dynamic_tail(
        self, reductions: list[Node], slots: dict[Node, str], counter: str, low: str
    ) -> None:
        """One more element goes to lane (counter - low) mod 16, through memory."""
        body = self.body
        lane = body.rem(body.sub(counter, low), str(LANES))
        for node in reductions:
            operand = node.operands[0]
            kind = carried_type(operand.dtype)
            scalar = self.evaluator.value(operand, self._index(operand.shape)).cast(kind)
            scalar = self._as_key(node, scalar)
            kind = scalar.dtype
            pointer = self.evaluator.element_pointer(slots[node], kind, lane)
            combine, _ = combine_of(node)
            self._put(pointer, kind, 1, combine(self._get(pointer, kind, 1), scalar))


class TileKernel(RowKernel):
    """Reduces few long rows: each tile on its own, its partial result for a second launch to add
    (`partials.py`)."""

    def _loops(self) -> Geometry:
        body = self.body
        self._merge_reduced()
        self._find_order()
        self.parts = partial_results(self.group)
        outer, last = size(v.extent for v in self.inner[:-1]), self.inner[-1]
        kept = size(v.extent for v in self.outer)
        extent = body.dim(last.extent)
        tiles = body.div(body.add(extent, str(TILE - 1)), str(TILE))
        rows = body.mul(body.dim(kept * outer), tiles)
        reductions = [n for n in self.group.region.nodes if is_reduction(n)]
        outputs = [v for v in self.group.region.outputs if not is_reduction(v.node)]
        for row, _, _ in self._tasks(rows, 1, False):
            low = body.mul(body.rem(row, tiles), str(TILE))
            high = body.minimum(body.add(low, str(TILE)), extent)
            self._set_row(body.div(row, tiles), [*self.outer, *self.inner[:-1]])
            self.evaluator.registers.clear()
            totals = self._totals(reductions)
            if self.changed is None:
                self._tile(last, low, high, reductions, outputs, totals, {}, True)
            else:
                usual = body.instruction(f"xor i1 {self.changed}, true", "usual")
                with body.when(usual):
                    self._tile(last, low, high, reductions, outputs, totals, {}, True)
                with body.when(self.changed):
                    self._tile(last, low, high, [], outputs, totals, {}, True)
                    blocks = body.mul(body.dim(outer), tiles)
                    self._in_order(self.order, totals, body.rem(row, blocks))
            for node, slot in totals.items():
                kind = carried_type(node.operands[0].dtype)
                target = self.targets[node.results[0]].pointer
                place = self.evaluator.element_pointer(target, kind, row)
                self._put(place, kind, 1, self._get(slot, kind, 1))
        return PartGeometry(kept, 1, outer, last.extent, TILE)


class _ScratchLeaf(Leaf):
    """A row's worth of one value, indexed by the reduced loop variable alone."""

    __slots__ = ()

    def __init__(self, pointer: str, value: Value, kernel: Walker) -> None:
        runs = sorted(kernel.group.axes)
        strides: list[DimLike] = []
        step: DimLike = 1
        squeezed = kernel.group.space
        per_axis: dict[int, DimLike] = {}
        for axis in reversed(runs):
            per_axis[axis] = step
            step = step * squeezed[axis]
        position = 0
        for extent in value.shape:
            if extent == 1:
                strides.append(0)
                continue
            strides.append(per_axis.get(position, 0))
            position += 1
        super().__init__(pointer, value.dtype, tuple(strides))


def _memory(dtype: DType) -> str:
    return "i8" if dtype.kind == "b" else llvm_type(dtype)

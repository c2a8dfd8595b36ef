"""Fused groups as LLVM functions: the loops of map, row and column kernels.

The order of a reduction is a function of logical shape and axes only:

- row (the last dim is reduced): adjacent reduced dims count as one. Element j of the last one goes
  to lane j mod 16; lanes are added in order within a tile of 16384 elements; the 16 lanes of a tile
  are combined by halves (8, 4, 2, 1); tiles and outer reduced dims are added in row-major order.
- column (the last dim is kept): terms are added in row-major order of the reduced dims, in chunks
  of 256 along the innermost reduced dim, whose partial results are added in order.

Work is cut by shape: a task is a block of rows, or a block of the inner dim.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elinvar.codegen.body import Body
from elinvar.codegen.evaluate import Evaluator, Leaf
from elinvar.codegen.llvm_scalars import LLVMHandler, llvm_type
from elinvar.core import dtypes
from elinvar.core.dtypes import DType
from elinvar.core.shapes import DimLike, Shape, evaluate, row_major_strides, size
from elinvar.graph.ir import Node, Value
from elinvar.kernels.group import Group
from elinvar.kernels.index import TRUE, Atom, Cond, Lin, Var, divides, variable
from elinvar.kernels.pull import (
    EXPENSIVE,
    address,
    is_movement,
    is_reduction,
    make_vars,
    movement_reads,
    spread,
    squeeze,
)
from elinvar.ops.scalars import Scalar

LANES = 16
TILE = 16384
CHUNK = 256
TASK_ELEMENTS = 16384
SCRATCH_ELEMENTS = 16384
ATTRIBUTES = 'nounwind "prefer-vector-width"="512" "min-legal-vector-width"="512"'


@dataclass(frozen=True)
class Geometry:
    """How a kernel's work is cut into tasks: blocks of rows times blocks of the inner dim."""

    rows: DimLike
    inner: DimLike
    work_per_row: DimLike  # elements touched for one row
    split_inner: int  # 0: never; else the inner block must be a multiple of this

    def cut(self, sizes: Mapping[str, int]) -> tuple[int, int, int]:
        """(number of tasks, rows per task, inner block) for given sizes."""
        rows, inner = evaluate(self.rows, sizes), evaluate(self.inner, sizes)
        work = max(1, evaluate(self.work_per_row, sizes))
        rows_per_task = max(1, TASK_ELEMENTS // work)
        block = max(1, inner)
        if self.split_inner and rows_per_task == 1 and work > 2 * TASK_ELEMENTS:
            share = max(1, TASK_ELEMENTS * inner // work)
            block = -(-share // self.split_inner) * self.split_inner
        tasks = -(-rows // rows_per_task) * -(-max(1, inner) // block)
        return (tasks if inner else 0), rows_per_task, block


@dataclass(frozen=True)
class KernelText:
    """A kernel in LLVM text. Slots: pointers of inputs, pointers of outputs, symbols' sizes, then
    rows per task and the inner block."""

    name: str
    text: str
    pointers: int
    symbols: tuple[str, ...]
    geometry: Geometry


class Collector:
    """What a group's addresses and conditions look like, found by walking without emitting."""

    def __init__(self, leaves: Mapping[Value, Shape]) -> None:
        self.leaves = leaves
        self.addresses: set[Lin] = set()
        self.raw: set[Lin] = set()
        self._seen: set[Any] = set()

    def visit(self, value: Value, index: tuple[Lin, ...], guard: Cond = TRUE) -> None:
        key = (value, index, guard)
        if key in self._seen:
            return
        self._seen.add(key)
        for _, left, right in guard.tests:
            self._raw(left - right)
        if value in self.leaves:
            self._address(address(value.shape, index, self.leaves[value]))
            return
        node = value.node
        if node.op_name == "iota":
            self._raw(index[0])
        elif node.op_name == "random_bits":
            self._address(address(value.shape, index))
            self.visit(node.operands[0], (Lin(0),), TRUE)
        elif is_movement(node):
            for _, place in movement_reads(node, index, guard):
                self.visit(place.value, place.index, place.guard)
        elif not is_reduction(node):
            for operand in node.operands:
                self.visit(operand, index if operand.type.rank else (), guard)

    def _address(self, form: Lin) -> None:
        self.addresses.add(form)
        self._atoms(form)

    def _raw(self, form: Lin) -> None:
        self.raw.add(form)
        self._atoms(form)

    def _atoms(self, form: Lin) -> None:
        for atom in form.terms:
            if isinstance(atom, Atom):
                if atom.kind == "load":
                    self.visit(atom.args[0], atom.args[1], TRUE)
                    for part in atom.args[1]:
                        self._raw(part)
                else:
                    self._raw(atom.args[0])

    def divisions(self) -> dict[Var, DimLike]:
        """Loop variables that are divided by a size, with the (smallest) divisor."""
        found: dict[Var, DimLike] = {}
        for form in self.addresses | self.raw:
            for atom in form.terms:
                if isinstance(atom, Atom) and atom.kind in ("div", "mod"):
                    for var, coefficient in atom.args[0].terms.items():
                        if isinstance(var, Var) and coefficient == 1:
                            self._note(found, var, atom.args[1])
        return found

    @staticmethod
    def _note(found: dict[Var, DimLike], var: Var, divisor: DimLike) -> None:
        if divides(var.extent, divisor) is None or var.extent == divisor:
            return
        old = found.get(var)
        if old is None or (isinstance(old, int) and isinstance(divisor, int) and divisor < old):
            found[var] = divisor

    def collapsible(self, outer: Var, inner: Var) -> bool:
        """Whether every address walks the two variables as one."""
        for form in self.addresses:
            for atom in form.terms:
                if isinstance(atom, Atom) and (_mentions(atom, outer) or _mentions(atom, inner)):
                    return False
            step = form.terms.get(inner, 0)
            if form.terms.get(outer, 0) != step * inner.extent:
                return False
        return not any(form.depends_on(outer) or form.depends_on(inner) for form in self.raw)


def _mentions(atom: Atom, var: Var) -> bool:
    return Lin(0, {atom: 1}).depends_on(var)


def combine_of(node: Node) -> tuple[Any, Any]:
    """(combine, identity) of a reduction."""
    return node.op.lowering  # type: ignore[union-attr, return-value]


def carried_type(dtype: DType) -> DType:
    """The type in which a reduction is carried: f32 for 16-bit floats, bytes for bool."""
    return dtypes.uint8 if dtype.kind == "b" else dtypes.accumulator(dtype)


class FusedKernel:
    """Emits one group. `strides`: per region input, None for dense row-major."""

    def __init__(self, group: Group, strides: tuple[Shape | None, ...] | None = None) -> None:
        self.group = group
        region = group.region
        given = strides or (None,) * len(region.inputs)
        self.strides = {
            value: row_major_strides(value.shape) if s is None else s
            for value, s in zip(region.inputs, given, strict=True)
        }
        self.symbols = self._symbols()
        self.body = Body({name: f"%size.{name}" for name in self.symbols})
        self.leaves = {
            value: Leaf(f"%in{i}", value.dtype, self.strides[value])
            for i, value in enumerate(region.inputs)
        }
        self.targets = {
            value: Leaf(f"%out{i}", value.dtype, row_major_strides(value.shape))
            for i, value in enumerate(region.outputs)
        }
        self.evaluator = Evaluator(self.body, dict(self.leaves))
        self.kept = tuple(n for i, n in enumerate(group.space) if i not in group.axes)

    def _symbols(self) -> tuple[str, ...]:
        names: set[str] = set()
        shapes = [v.shape for n in self.group.region.nodes for v in (*n.results, *n.operands)]
        shapes += [self.strides[v] for v in self.group.region.inputs]
        for shape in shapes:
            for dim in shape:
                if not isinstance(dim, int):
                    names |= dim.names()
        for node in self.group.region.nodes:
            names |= _param_names(node.params.values())
        return tuple(sorted(names))

    # the space as loop variables

    def _walk(self) -> None:
        """Choose loop variables: split where indices are divided, then collapse neighbours."""
        group = self.group
        reduced = set(group.axes)
        self.dims: list[list[Var]] = [
            [Var(f"{'r' if axis in reduced else 'i'}{axis}", n)] for axis, n in enumerate(group.space)
        ]
        self.forms = [variable(dim[0]) for dim in self.dims]
        for _ in range(4):
            collector = self._collect()
            if not self._split(collector.divisions()):
                break
        else:
            collector = self._collect()
        self.collector = collector
        self.outer = [v for a, dim in enumerate(self.dims) if a not in reduced for v in dim]
        self.inner = [v for a, dim in enumerate(self.dims) if a in reduced for v in dim]
        self.outer = self._collapse(self.outer)

    def _collect(self) -> Collector:
        collector = Collector(self.strides)
        for value in self.group.region.outputs:
            if not is_reduction(value.node):
                index = self._index(value.shape)
                collector.visit(value, index)
                collector.addresses.add(address(value.shape, index))
        for node in self.group.region.nodes:
            if is_reduction(node):
                operand = node.operands[0]
                collector.visit(operand, self._index(operand.shape))
                result = node.results[0]
                collector.addresses.add(address(result.shape, self._index(result.shape)))
        return collector

    def _split(self, divisions: Mapping[Var, DimLike]) -> bool:
        changed = False
        for axis, dim in enumerate(self.dims):
            if axis in self.group.axes:
                continue
            for place, var in enumerate(dim):
                divisor = divisions.get(var)
                if divisor is None:
                    continue
                high = Var(f"{var.name}a", divides(var.extent, divisor) or 1)
                low = Var(f"{var.name}b", divisor)
                replaced = variable(high) * divisor + variable(low)
                form = self.forms[axis]
                self.forms[axis] = form.substitute(lambda a, v=var, r=replaced: r if a is v else None)
                dim[place : place + 1] = [v for v in (high, low) if v.extent != 1]
                changed = True
                break
        return changed

    def _collapse(self, variables: list[Var]) -> list[Var]:
        """Join neighbours that all addresses walk as one."""
        result: list[Var] = []
        for var in variables:
            if result and self._try_collapse(result[-1], var):
                result[-1] = self._joined
            else:
                result.append(var)
        return result

    def _try_collapse(self, outer: Var, inner: Var) -> bool:
        if not self.collector.collapsible(outer, inner):
            return False
        joined = Var(f"{outer.name}{inner.name}", outer.extent * inner.extent)
        mapping = {outer: Lin(0), inner: variable(joined)}

        def replace(form: Lin) -> Lin:
            return form.substitute(lambda atom: mapping.get(atom))

        collapse = self.evaluator.collapse
        for var, form in list(collapse.items()):
            collapse[var] = replace(form)
        collapse.update(mapping)
        merged = self.evaluator.merged
        members = merged.pop(outer, set()) | merged.pop(inner, set())
        merged[joined] = {outer, inner} | members
        self.collector.addresses = {replace(form) for form in self.collector.addresses}
        self._joined = joined
        return True

    def _index(self, shape: Shape) -> tuple[Lin, ...]:
        """The index of a value of the space's (or the kept) shape in loop variables."""
        squeezed = squeeze(shape)
        if squeezed == self.group.space:
            return spread(shape, tuple(self.forms))
        kept = tuple(f for axis, f in enumerate(self.forms) if axis not in self.group.axes)
        return spread(shape, kept)

    # emission

    def emit(self, name: str) -> KernelText:
        """The kernel's text under the given name."""
        self._walk()
        method = {"map": self._map, "row": self._row, "column": self._column}[self.group.kind]
        geometry = method()
        self.body.emit("ret void")
        return KernelText(name, self._module(name), self._pointer_count(), self.symbols, geometry)

    def _pointer_count(self) -> int:
        return len(self.leaves) + len(self.targets)

    def _module(self, name: str) -> str:
        pointers = [leaf.pointer for leaf in (*self.leaves.values(), *self.targets.values())]
        sizes = [self.body.sizes[s] for s in self.symbols] + ["%rows.task", "%inner.block"]
        parameters = [f"ptr noalias {p}" for p in pointers] + [f"i64 {s}" for s in sizes]
        parameters += ["i64 %begin", "i64 %end"]
        wrapper, arguments = [], []
        for number, pointer in enumerate(pointers + sizes):
            kind = "ptr" if number < len(pointers) else "i64"
            wrapper.append(f"  %slot{number} = getelementptr i64, ptr %slots, i64 {number}")
            wrapper.append(f"  %arg{number} = load {kind}, ptr %slot{number}, align 8")
            arguments.append(f"{kind} %arg{number}")
        arguments += ["i64 %begin", "i64 %end"]
        return "\n".join(
            [
                f"define internal void @{name}.body({', '.join(parameters)}) #0 {{",
                "entry:",
                self.body.text(),
                "}",
                f"define void @{name}(ptr %slots, i64 %begin, i64 %end) #0 {{",
                "entry:",
                *wrapper,
                f"  call void @{name}.body({', '.join(arguments)})",
                "  ret void",
                "}",
                *self.body.declarations,
                f"attributes #0 = {{ {ATTRIBUTES} }}",
                "",
            ]
        )

    def _tasks(self, rows: DimLike, inner: DimLike, inner_blocks: bool) -> Any:
        """Loop over tasks; yields (row SSA loop context values)."""
        body = self.body
        rows_text, inner_text = body.dim(rows), body.dim(inner)
        with body.loop("%begin", "%end", hint="task") as task:
            if inner_blocks:
                padded = body.add(inner_text, body.sub("%inner.block", "1"))
                blocks = body.div(padded, "%inner.block")
                blocks = body.maximum(blocks, "1")
                row_block = body.div(task, blocks)
                low = body.mul(body.rem(task, blocks), "%inner.block")
                high = body.minimum(body.add(low, "%inner.block"), inner_text)
            else:
                row_block, low, high = task, "0", inner_text
            first = body.mul(row_block, "%rows.task")
            last = body.minimum(body.add(first, "%rows.task"), rows_text)
            with body.loop(first, last, hint="row") as row:
                yield row, low, high

    def _set_row(self, row: str, variables: list[Var]) -> None:
        """Split a flat row number into the loop variables."""
        left = row
        for var in reversed(variables[1:]):
            extent = self.body.dim(var.extent)
            self.evaluator.counters[var] = self.body.rem(left, extent)
            left = self.body.div(left, extent)
        if variables:
            self.evaluator.counters[variables[0]] = left

    def _lanes(self, var: Var, low: str, high: str, lanes: int, split: bool) -> Any:
        """Run along `var` from low to high: full vectors, then the rest; yields the lane count."""
        body, evaluator = self.body, self.evaluator
        extent = var.extent
        if isinstance(extent, int):
            lanes = min(lanes, extent) if extent else lanes
            rest = extent % lanes
            stop = body.minimum(high, str(extent - rest)) if split and rest else (
                high if split else str(extent - rest))  # fmt: skip
            if extent >= lanes:
                if extent == lanes and not split:
                    with evaluator.vectorized(var, "0", lanes):
                        yield lanes, "0", False
                else:
                    with body.loop(low, stop, lanes, "j") as counter:
                        with evaluator.vectorized(var, counter, lanes):
                            yield lanes, counter, False
            if rest:
                if split:
                    with body.loop(body.maximum(low, str(extent - rest)), high, rest, "j") as counter:
                        with evaluator.vectorized(var, counter, rest):
                            yield rest, counter, True
                else:
                    with evaluator.vectorized(var, str(extent - rest), rest):
                        yield rest, str(extent - rest), True
            return
        length = body.sub(high, low)
        whole = body.mul(body.div(length, str(lanes)), str(lanes))
        stop = body.add(low, whole)
        with body.loop(low, stop, lanes, "j") as counter, evaluator.vectorized(var, counter, lanes):
            yield lanes, counter, False
        with body.loop(stop, high, 1, "j") as counter, evaluator.vectorized(var, counter, 1):
            yield 1, counter, True

    # map

    def _map(self) -> Geometry:
        variables = self.outer
        if not variables:
            with self.body.loop("%begin", "%end", hint="task"):
                for value in self.group.region.outputs:
                    self._store(value)
            return Geometry(1, 1, 1, 0)
        last = variables[-1]
        rows = size(v.extent for v in variables[:-1])
        for row, low, high in self._tasks(rows, last.extent, True):
            self._set_row(row, variables[:-1])
            lanes = LANES if not isinstance(last.extent, int) or last.extent > 2 * LANES else last.extent
            for _ in self._lanes(last, low, high, max(lanes, 1), True):
                for value in self.group.region.outputs:
                    self._store(value)
        return Geometry(rows, last.extent, last.extent, 64)

    def _store(self, value: Value) -> None:
        index = self._index(value.shape)
        self.evaluator.store(self.targets[value], index, self.evaluator.value(value, index))

    # row

    def _row(self) -> Geometry:
        self._merge_reduced()
        rows = size(v.extent for v in self.outer)
        inner = self.inner[-1].extent if self.inner else 1
        total = size(v.extent for v in self.inner)
        levels = self._levels()
        depth = max(levels.values(), default=0)
        kept_scratch: dict[Value, str] = {}
        for row, _, _ in self._tasks(rows, inner, False):
            self._set_row(row, self.outer)
            self.evaluator.registers.clear()
            for level in range(depth + 1):
                reductions = [
                    n for n in self.group.region.nodes if is_reduction(n) and levels[n.results[0]] == level + 1
                ]
                outputs = [
                    v
                    for v in self.group.region.outputs
                    if levels[v] == level and self._is_full(v) and not is_reduction(v.node)
                ]
                if reductions or outputs:
                    self._pass(reductions, outputs, self._scratch(levels, level, kept_scratch))
            for value in self.group.region.outputs:
                if not self._is_full(value) or is_reduction(value.node):
                    index = self._index(value.shape)
                    scalar = self.evaluator.value(value, index)
                    self.evaluator.store(self.targets[value], index, scalar)
            for value in kept_scratch:
                self.evaluator.leaves.pop(value, None)
            kept_scratch.clear()
        return Geometry(rows, inner, total, 0)

    def _is_full(self, value: Value) -> bool:
        return squeeze(value.shape) == self.group.space

    def _merge_reduced(self) -> None:
        """Adjacent reduced dims count as one: as one loop where addresses allow, else by division."""
        reduced = sorted(self.group.axes)
        runs = [[a for _, a in run] for _, run in itertools.groupby(enumerate(reduced), lambda p: p[1] - p[0])]
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

    def _scratch(self, levels: dict[Value, int], level: int, kept: dict[Value, str]) -> set[Value]:
        """Expensive values of this pass that a later pass needs again: kept in memory near by."""
        total = size(v.extent for v in self.inner)
        if not isinstance(total, int) or total > SCRATCH_ELEMENTS or len(self.inner) != 1:
            return set()
        now, later = self._evaluated(levels, level, level), self._evaluated(levels, level + 1, 99)
        return {v for v in now & later if v.node.op_name in EXPENSIVE and v not in kept and self._is_full(v)}

    def _evaluated(self, levels: dict[Value, int], low: int, high: int) -> set[Value]:
        """Full-space values that the passes low … high compute at their own index."""
        roots = [
            n.operands[0]
            for n in self.group.region.nodes
            if is_reduction(n) and low <= levels[n.results[0]] - 1 <= high
        ]
        roots += [v for v in self.group.region.outputs if self._is_full(v) and low <= levels[v] <= high]
        found: set[Value] = set()
        stack = [v for v in roots if not is_reduction(v.node)]
        while stack:
            value = stack.pop()
            if value in found or value in self.evaluator.leaves or is_reduction(value.node):
                continue
            found.add(value)
            if not is_movement(value.node):
                stack.extend(value.node.operands)
        return found

    def _pass(self, reductions: list[Node], outputs: list[Value], keep: set[Value]) -> None:
        """One walk along the reduced dims: accumulate and store."""
        totals = {}
        for node in reductions:
            kind = carried_type(node.operands[0].dtype)
            totals[node] = self.body.stack_slot(llvm_type(kind), "total", kind.itemsize)
            self._put(totals[node], kind, 1, self._identity(node, kind, 1))
        scratch = {}
        for value in keep:
            length = size(v.extent for v in self.inner)
            storage = self.body.stack_slot(f"[{length} x {_memory(value.dtype)}]", "row")
            strides = tuple(0 for _ in value.shape)
            scratch[value] = Leaf(storage, value.dtype, strides)
        self._nest(self.inner[:-1], reductions, outputs, totals, scratch)
        for node, slot in totals.items():
            kind = carried_type(node.operands[0].dtype)
            result = self._get(slot, kind, 1)
            self.evaluator.registers[node.results[0]] = self._finish(result, node.results[0].dtype)
        for value, leaf in scratch.items():
            self.evaluator.leaves[value] = _ScratchLeaf(leaf.pointer, value, self)

    def _nest(self, variables: list[Var], reductions: list[Node], outputs: list[Value],
              totals: dict[Node, str], scratch: dict[Value, Leaf]) -> None:  # fmt: skip
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

    def _tile(self, last: Var, low: str, high: str, reductions: list[Node], outputs: list[Value],
              totals: dict[Node, str], scratch: dict[Value, Leaf], split: bool) -> None:  # fmt: skip
        body = self.body
        lanes_slots, tails = {}, {}
        for node in reductions:
            kind = carried_type(node.operands[0].dtype)
            lanes_slots[node] = body.stack_slot(llvm_type(kind, LANES), "acc")
            self._put(lanes_slots[node], kind, LANES, self._identity(node, kind, LANES))
        width = LANES if reductions or last.extent != 1 else 1
        for lanes, counter, rest in self._lanes(last, low, high, width, split):
            if rest and lanes == 1 and not isinstance(last.extent, int):
                self._dynamic_tail(reductions, lanes_slots, tails, counter, low)
            else:
                for node in reductions:
                    self._accumulate(node, lanes_slots[node], lanes)
            for value in outputs:
                self._store(value)
            for value, leaf in scratch.items():
                scalar = self.evaluator.value(value, self._index(value.shape))
                scalar = self.evaluator.widen(scalar, lanes)
                pointer = self.evaluator.element_pointer(leaf.pointer, value.dtype, counter)
                self._store_raw(scalar, pointer, lanes)
        for node in reductions:
            kind = carried_type(node.operands[0].dtype)
            vector = self._get(lanes_slots[node], kind, LANES)
            partial = self._halve(node, vector)
            combine, _ = combine_of(node)
            self._put(totals[node], kind, 1, combine(self._get(totals[node], kind, 1), partial))

    def _store_raw(self, scalar: Scalar, pointer: str, lanes: int) -> None:
        kind = llvm_type(scalar.dtype, lanes)
        payload = scalar.payload
        if scalar.dtype.kind == "b":
            wide = llvm_type(dtypes.uint8, lanes)
            payload = self.body.instruction(f"zext {kind} {payload} to {wide}")
            kind = wide
        self.body.emit(f"store {kind} {payload}, ptr {pointer}, align {scalar.dtype.itemsize}")

    def _accumulate(self, node: Node, slot: str, lanes: int) -> None:
        """acc = combine(acc, value); a short last vector is filled up with the identity."""
        operand = node.operands[0]
        kind = carried_type(operand.dtype)
        scalar = self.evaluator.value(operand, self._index(operand.shape))
        scalar = self.evaluator.widen(scalar, lanes).cast(kind)
        combine, _ = combine_of(node)
        if lanes != LANES:
            scalar = self._pad_lanes(node, kind, scalar, lanes)
        self._put(slot, kind, LANES, combine(self._get(slot, kind, LANES), scalar))

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

    def _dynamic_tail(self, reductions: list[Node], slots: dict[Node, str], tails: dict[Node, str],
                      counter: str, low: str) -> None:  # fmt: skip
        """One more element goes to lane (counter - low) mod 16, through memory."""
        body = self.body
        lane = body.rem(body.sub(counter, low), str(LANES))
        for node in reductions:
            operand = node.operands[0]
            kind = carried_type(operand.dtype)
            scalar = self.evaluator.value(operand, self._index(operand.shape)).cast(kind)
            pointer = self.evaluator.element_pointer(slots[node], kind, lane)
            combine, _ = combine_of(node)
            self._put(pointer, kind, 1, combine(self._get(pointer, kind, 1), scalar))

    def _halve(self, node: Node, vector: Scalar) -> Scalar:
        """Combine 16 lanes by halves: i with i+8, then i+4, i+2, i+1."""
        combine, _ = combine_of(node)
        body, kind, width = self.body, vector.dtype, LANES
        while width > 1:
            half = width // 2
            parts = []
            for start in (0, half):
                source = llvm_type(kind, width)
                mask = ", ".join(f"i32 {start + i}" for i in range(half))
                if half == 1:
                    text = f"extractelement {source} {vector.payload}, i64 {start}"
                else:
                    text = (
                        f"shufflevector {source} {vector.payload}, {source} poison, "
                        f"<{half} x i32> <{mask}>"
                    )
                parts.append(Scalar(LLVMHandler(body, half), kind, body.instruction(text)))
            vector, width = combine(*parts), half
        return vector

    def _identity(self, node: Node, kind: DType, lanes: int) -> Scalar:
        _, identity = combine_of(node)
        handler = LLVMHandler(self.body, lanes)
        value = identity(node.operands[0].dtype)
        return Scalar(handler, kind, handler.instruction("const", kind, (value,)))

    def _put(self, slot: str, kind: DType, lanes: int, scalar: Scalar) -> None:
        text = f"store {llvm_type(kind, lanes)} {scalar.payload}, ptr {slot}, align {kind.itemsize}"
        self.body.emit(text)

    def _get(self, slot: str, kind: DType, lanes: int) -> Scalar:
        text = f"load {llvm_type(kind, lanes)}, ptr {slot}, align {kind.itemsize}"
        return Scalar(LLVMHandler(self.body, lanes), kind, self.body.instruction(text, "x"))

    def _finish(self, scalar: Scalar, dtype: DType) -> Scalar:
        return scalar.ne(0) if dtype.kind == "b" else scalar.cast(dtype)

    # column

    def _column(self) -> Geometry:
        self.inner = [self.dims[axis][0] for axis in sorted(self.group.axes)]
        last = self.outer[-1] if self.outer else None
        total = size(v.extent for v in self.inner)
        if last is None:
            last = Var("one", 1)
        rows = size(v.extent for v in self.outer[:-1])
        for row, low, high in self._tasks(rows, last.extent, True):
            self._set_row(row, self.outer[:-1])
            lanes = self._column_lanes(last.extent)
            for count, _, _ in self._lanes(last, low, high, lanes, True):
                self._columns(count)
        return Geometry(rows, last.extent, last.extent * total, 64)

    @staticmethod
    def _column_lanes(extent: DimLike) -> int:
        if not isinstance(extent, int):
            return LANES
        if extent <= 2 * LANES:
            return max(1, extent)
        for lanes in (64, 32):
            if extent % lanes == 0:
                return lanes
        return LANES

    def _columns(self, lanes: int) -> None:
        reductions = [n for n in self.group.region.nodes if is_reduction(n)]
        totals = {}
        for node in reductions:
            kind = carried_type(node.operands[0].dtype)
            totals[node] = self.body.stack_slot(llvm_type(kind, lanes), "total")
            self._put(totals[node], kind, lanes, self._identity(node, kind, lanes))
        self._column_nest(self.inner, reductions, totals, lanes)
        self.evaluator.registers.clear()
        for node in reductions:
            kind = carried_type(node.operands[0].dtype)
            result = self._get(totals[node], kind, lanes)
            value = node.results[0]
            scalar = self._finish(result, value.dtype)
            self.evaluator.store(self.targets[value], self._index(value.shape), scalar)

    def _column_nest(self, variables: list[Var], reductions: list[Node], totals: dict[Node, str],
                     lanes: int) -> None:  # fmt: skip
        body, extent = self.body, self.body.dim(variables[0].extent)
        if len(variables) > 1:
            with body.loop("0", extent, hint="r") as counter:
                self.evaluator.counters[variables[0]] = counter
                self._column_nest(variables[1:], reductions, totals, lanes)
            return
        with body.loop("0", extent, CHUNK, "chunk") as low:
            high = body.minimum(body.add(low, str(CHUNK)), extent)
            partials = {}
            for node in reductions:
                kind = carried_type(node.operands[0].dtype)
                partials[node] = body.stack_slot(llvm_type(kind, lanes), "acc")
                self._put(partials[node], kind, lanes, self._identity(node, kind, lanes))
            with body.loop(low, high, hint="r") as counter:
                self.evaluator.counters[variables[0]] = counter
                for node in reductions:
                    operand = node.operands[0]
                    kind = carried_type(operand.dtype)
                    scalar = self.evaluator.value(operand, self._index(operand.shape))
                    scalar = self.evaluator.widen(scalar, lanes).cast(kind)
                    combine, _ = combine_of(node)
                    self._put(partials[node], kind, lanes,
                              combine(self._get(partials[node], kind, lanes), scalar))  # fmt: skip
            for node in reductions:
                kind = carried_type(node.operands[0].dtype)
                combine, _ = combine_of(node)
                total = self._get(totals[node], kind, lanes)
                self._put(totals[node], kind, lanes, combine(total, self._get(partials[node], kind, lanes)))


class _ScratchLeaf(Leaf):
    """A row's worth of one value, indexed by the reduced loop variable alone."""

    __slots__ = ()

    def __init__(self, pointer: str, value: Value, kernel: FusedKernel) -> None:
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


def _param_names(values: Any) -> set[str]:
    names: set[str] = set()
    for value in values:
        if isinstance(value, tuple):
            names |= _param_names(value)
        elif hasattr(value, "names"):
            names |= value.names()
    return names

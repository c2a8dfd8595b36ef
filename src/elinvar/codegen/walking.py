"""Walking a fused group: loop variables, tasks and vector lanes, shared by all kinds of kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elinvar.codegen.body import Body, kernel_module
from elinvar.codegen.evaluate import Evaluator, Leaf
from elinvar.codegen.numerics import EXACT, Numerics
from elinvar.codegen.patterns import Origin
from elinvar.core.shapes import DimLike, Shape, evaluate, row_major_strides
from elinvar.core.sizing import both, ceil_div, choose, most, same
from elinvar.graph.ir import Value
from elinvar.kernels.group import Group
from elinvar.kernels.index import TRUE, Atom, Cond, Lin, Var, divides, variable
from elinvar.kernels.pull import address, is_movement, is_reduction, movement_reads, spread, squeeze

LANES = 16
TASK_ELEMENTS = 16384


@dataclass(frozen=True)
class Geometry:
    """How a kernel's work is cut into tasks: blocks of rows times blocks of the inner dim."""

    rows: DimLike
    inner: DimLike
    work_per_row: DimLike  # elements touched for one row
    split_inner: int  # 0: never; else the inner block must be a multiple of this

    def cut(self, sizes: Mapping[str, int], weight: int = 1) -> tuple[int, int, int]:
        """(number of tasks, rows per task, inner block) for given sizes, where an element takes
        `weight` times as long as a copy of it."""
        rows, inner = evaluate(self.rows, sizes), evaluate(self.inner, sizes)
        work = most(1, evaluate(self.work_per_row, sizes)) * weight
        rows_per_task = most(1, TASK_ELEMENTS // work)
        whole = block = most(1, inner)
        if self.split_inner:
            share = most(1, TASK_ELEMENTS * inner // work)
            part = ceil_div(share, self.split_inner) * self.split_inner
            is_long = both(same(rows_per_task, 1), work > 2 * TASK_ELEMENTS)
            block = choose(is_long, part, whole)
        tasks = ceil_div(rows, rows_per_task) * ceil_div(whole, block)
        return choose(inner > 0, tasks, 0), rows_per_task, block

    def elements(self, sizes: Mapping[str, int]) -> int:
        """About how many elements the kernel touches."""
        return evaluate(self.rows * self.work_per_row, sizes)


@dataclass(frozen=True)
class KernelText:
    """A kernel in LLVM text. Slots: pointers of inputs, pointers of outputs, symbols' sizes, then
    rows per task and the inner block. `parts`: per output how a second launch combines the partial
    results that this one leaves; empty where it leaves none. `in_place`: (input, output) pairs that
    may share memory."""

    name: str
    text: str
    pointers: int
    symbols: tuple[str, ...]
    geometry: Geometry
    parts: tuple[Any, ...] = ()
    in_place: tuple[tuple[int, int], ...] = ()


class Collector:
    """What a group's addresses and conditions look like, found by walking without emitting."""

    def __init__(self, leaves: Mapping[Value, Shape]) -> None:
        self.leaves = leaves
        self.addresses: set[Lin] = set()
        self.raw: set[Lin] = set()
        self.loads: set[tuple[Value, tuple[Lin, ...], Cond]] = set()
        self._seen: set[Any] = set()

    def visit(self, value: Value, index: tuple[Lin, ...], guard: Cond = TRUE) -> None:
        key = (value, index, guard)
        if key in self._seen:
            return
        self._seen.add(key)
        for _, left, right in guard.tests:
            self._raw(left - right)
        if value in self.leaves:
            self.loads.add((value, index, guard))
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
                    self.visit(*atom.args)
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


class Walker:
    """The loop variables of one group, and the emission that all kinds share.

    `strides`: per region input, None for dense row-major. `numerics`: how sums are added.
    """

    group: Any
    numerics: Numerics
    strides: dict[Any, Shape]
    symbols: tuple[str, ...]
    body: Body
    leaves: dict[Any, Leaf]
    targets: dict[Any, Leaf]
    evaluator: Evaluator
    kept: tuple[Any, ...]
    inner: list[Any]
    outer: list[Any]

    parts: tuple[Any, ...] = ()  # see KernelText

    def __init__(
        self,
        group: Group,
        strides: tuple[Shape | None, ...] | None = None,
        numerics: Numerics = EXACT,
    ) -> None:
        self.group, self.numerics = group, numerics
        region = group.region
        given = strides or (None,) * len(region.inputs)
        self.strides = {
            value: row_major_strides(value.shape) if s is None else s
            for value, s in zip(region.inputs, given, strict=True)
        }
        self.symbols = self._symbols()
        self.body = Body(  # LLVM takes ASCII names
            {s: f"%size.{s if s.isascii() else n}" for n, s in enumerate(self.symbols)}
        )
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
        shapes += [v.shape for v in self.group.region.inputs]
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
            [Var(f"{'r' if axis in reduced else 'i'}{axis}", n)]
            for axis, n in enumerate(group.space)
        ]
        self.forms: list[Any] = [variable(dim[0]) for dim in self.dims]
        for _ in range(4):
            collector = self._collect()
            if not self._split(collector.divisions()):
                break
        else:
            collector = self._collect()
        self.collector = collector
        self.outer = [v for a, dim in enumerate(self.dims) if a not in reduced for v in dim]
        self.inner = [v for a, dim in enumerate(self.dims) if a in reduced for v in dim]
        self.outer = self._collapse_loops(self.outer)

    def _collapse_loops(self, variables: list[Var]) -> list[Var]:
        """Join the loops that are not reduced, where that is possible."""
        return self._collapse(variables)

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
        kept = [v for a, d in enumerate(self.dims) if a not in self.group.axes for v in d]
        last = kept[-1] if kept else None
        for axis, dim in enumerate(self.dims):
            if axis in self.group.axes:
                continue
            for place, var in enumerate(dim):
                divisor = divisions.get(var)
                if divisor is None or (var is last and _has_pattern(var.extent, divisor)):
                    continue
                high = Var(f"{var.name}a", divides(var.extent, divisor) or 1)
                low = Var(f"{var.name}b", divisor)
                replaced = variable(high) * divisor + variable(low)
                form = self.forms[axis]
                mapping = {var: replaced}
                self.forms[axis] = form.substitute(mapping.get)
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
        geometry = self._loops()
        self.body.emit("ret void")
        in_place = self._in_place()
        text = self._module(name, in_place)
        return KernelText(
            name, text, self._pointer_count(), self.symbols, geometry, self.parts, in_place
        )

    def _loops(self) -> Geometry:
        """Emit the loops of this kind of kernel."""
        raise TypeError(f"{type(self).__name__} has no loops")

    def _pointer_count(self) -> int:
        return len(self.leaves) + len(self.targets)

    def _in_place(self) -> tuple[tuple[int, int], ...]:
        """(input, output) pairs where the output may overwrite the input; none by default."""
        return ()

    def _module(self, name: str, in_place: tuple[tuple[int, int], ...]) -> str:
        pointers = [leaf.pointer for leaf in (*self.leaves.values(), *self.targets.values())]
        shared = self._shared(in_place)
        sizes = [self.body.sizes[s] for s in self.symbols] + ["%rows.task", "%inner.block"]
        return kernel_module(name, self.body, pointers, sizes, shared)

    @staticmethod
    def _shared(in_place: tuple[tuple[int, int], ...]) -> set[str]:
        """The pointers that may be equal to others."""
        return {f"%in{i}" for i, _ in in_place} | {f"%out{o}" for _, o in in_place}

    def _tasks(self, rows: DimLike | str, inner: DimLike, inner_blocks: bool) -> Any:
        """Loop over tasks; yields (row, low, high): a row and the part of the inner dim."""
        body = self.body
        rows_text = rows if isinstance(rows, str) else body.dim(rows)
        inner_text = body.dim(inner)
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
        """Run along `var` from low to high: full vectors, then the rest; yields (lanes, counter,
        whether it is the rest). With `split`, `low` is a multiple of `lanes` or 0, and `high` may
        be less than the extent."""
        body, vectorized = self.body, self.evaluator.vectorized
        extent = var.extent
        if not isinstance(extent, int):
            length = body.sub(high, low)
            whole = body.mul(body.div(length, str(lanes)), str(lanes))
            stop = body.add(low, whole)
            with body.loop(low, stop, lanes, "j") as counter:
                with vectorized(var, counter, lanes, Origin(0, lanes)):
                    yield lanes, counter, False
            with body.loop(stop, high, 1, "j") as counter, vectorized(var, counter, 1):
                yield 1, counter, True
            return
        lanes = min(lanes, extent) if extent else lanes
        rest = extent % lanes
        last = str(extent - rest)
        if extent == lanes and (not split or low == "0"):
            with vectorized(var, "0", lanes, Origin(0, 0)):
                yield lanes, "0", False
        elif extent >= lanes:
            stop = high if split else last
            if split and rest:
                stop = body.minimum(high, last)
            with body.loop(low, stop, lanes, "j") as counter:
                with vectorized(var, counter, lanes, Origin(0, lanes if extent > lanes else 0)):
                    yield lanes, counter, False
        if rest and split:
            with body.loop(body.maximum(low, last), high, rest, "j") as counter:
                with vectorized(var, counter, rest, Origin(extent - rest, 0)):
                    yield rest, counter, True
        elif rest:
            with vectorized(var, last, rest, Origin(extent - rest, 0)):
                yield rest, last, True

    def _store(self, *values: Value, guard: Cond = TRUE) -> None:
        """Compute values, then store them: what they read may be overwritten."""
        found = []
        for value in values:
            index = self._index(value.shape)
            found.append((value, index, self.evaluator.value(value, index, guard)))
        for value, index, scalar in found:
            self.evaluator.store(self.targets[value], index, scalar, guard)


def _has_pattern(extent: DimLike, divisor: DimLike) -> bool:
    """Whether the lanes of a divided index are known (`patterns.py`), so that long vectors pay."""
    if not isinstance(divisor, int) or divisor >= LANES:
        return False
    return LANES % divisor == 0 or (isinstance(extent, int) and extent <= 2 * LANES)


def _param_names(values: Any) -> set[str]:
    names: set[str] = set()
    for value in values:
        if isinstance(value, tuple):
            names |= _param_names(value)
        elif hasattr(value, "names"):
            names |= value.names()
    return names

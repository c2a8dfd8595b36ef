"""Emitting the value of a graph node at an index: loads, index maps and scalar instructions.

Everything here works for one lane or many. The loop variable that runs along the lanes is the
vector variable; what does not depend on it is computed once and copied into all lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from elinvar.codegen.body import Body
from elinvar.codegen.llvm_scalars import LLVMHandler, apply_elementwise, llvm_type, memory_type
from elinvar.codegen.masked import gathered, masked_load, masked_store
from elinvar.codegen.patterns import (
    HOLDS,
    Origin,
    Pattern,
    Patterns,
    is_number,
    is_small,
    joined,
    mask_text,
    positions,
    shuffled,
    span,
)
from elinvar.core import dtypes
from elinvar.core.dtypes import DType
from elinvar.core.errors import CompileError, fail
from elinvar.core.shapes import DimLike, Shape, row_major_strides
from elinvar.graph.ir import Value
from elinvar.kernels.index import TRUE, Atom, Cond, Lin, Var
from elinvar.kernels.pull import address, is_elementwise, is_movement, movement_reads
from elinvar.ops.random import words_of
from elinvar.ops.scalars import Scalar, select

_PREDICATES = {"lt": "slt", "le": "sle", "eq": "eq"}


class Leaf:
    """Memory that a kernel reads: the SSA name of its pointer, dtype and strides in elements."""

    __slots__ = ("dtype", "pointer", "strides")

    dtype: DType
    pointer: str
    strides: Shape

    def __init__(self, pointer: str, dtype: DType, strides: Shape) -> None:
        self.pointer, self.dtype, self.strides = pointer, dtype, strides


class Tile(NamedTuple):
    """Memory that was read along `across` from `first` on, turned: rows of `width` elements, along
    `along` from `start` on."""

    pointer: str
    across: Var
    first: str
    along: Var
    start: str
    width: int


class Evaluator:
    """Emits values into a body.

    `collapse` maps loop variables to linear forms and is applied to addresses only (two adjacent
    loops that every address walks as one).
    """

    lanes: int

    def __init__(self, body: Body, leaves: dict[Value, Leaf]) -> None:
        self.body = body
        self.leaves = leaves
        self.registers: dict[Value, Scalar] = {}  # row results
        self.counters: dict[Var, str] = {}
        self.collapse: dict[Var, Lin] = {}
        self.tiles: dict[tuple[str, Lin], Tile] = {}  # by leaf and address: what lies turned
        self.merged: dict[Var, set[Var]] = {}  # joined variable → the variables that it stands for
        self.vector: Var | None = None
        self.lanes = 1
        self.origin: Origin | None = None  # of the vector variable's counter
        self.origins: dict[str, str] = {}  # pointer → the element that it points to, if not 0

    @contextmanager
    def vectorized(self, var: Var, counter: str, lanes: int, origin: Origin | None = None) -> Any:
        """Within: `var` runs over counter … counter+lanes-1, one value per lane."""
        before = self.vector, self.lanes, self.counters.get(var), self.origin
        self.vector, self.lanes, self.counters[var] = var, lanes, counter
        self.origin = origin
        with self.body.scope():
            yield
        self.vector, self.lanes, self.origin = before[0], before[1], before[3]
        if before[2] is not None:
            self.counters[var] = before[2]

    # indices

    def varies(self, *parts: Lin | Cond) -> bool:
        """Whether an index or guard differs between lanes."""
        if self.lanes == 1 or self.vector is None:
            return False
        along = (self.vector, *self.merged.get(self.vector, ()))
        return any(part.depends_on(var) for part in parts for var in along)

    def scalar_index(self, form: Lin) -> str:
        """A linear form as one i64 (lane 0 where it varies)."""
        key = ("index", form)
        known = self.body.recall(key)
        if known is not None:
            return known
        total = self.body.dim(form.const)
        for atom, coefficient in form.terms.items():
            term = self.body.mul(self._scalar_atom(atom), self.body.dim(coefficient))
            total = self.body.add(total, term)
        return self.body.remember(key, total)

    def _scalar_atom(self, atom: Any) -> str:
        if isinstance(atom, Var):
            return self.counters[atom]
        if atom.kind == "load":
            return self._loaded_index(atom, 1)
        inner = self.scalar_index(atom.args[0])
        divisor = self.body.dim(atom.args[1])
        if atom.kind == "div":
            return self.body.div(inner, divisor)
        if atom.kind == "mod":
            return self.body.rem(inner, divisor)
        top = self.body.sub(divisor, "1")
        return self.body.maximum(self.body.minimum(inner, top), "0")

    def _loaded_index(self, atom: Atom, lanes: int) -> str:
        value, at = atom.args
        scalar = self.value(value, at, TRUE).cast(dtypes.int64)
        return self.widen(scalar, lanes).payload

    def vector_index(self, form: Lin) -> str:
        """A linear form as one i64 per lane."""
        if not self.varies(form):
            return self.splat(self.scalar_index(form), "i64")
        key = ("vector", form, self.lanes)
        known = self.body.recall(key)
        if known is not None:
            return known
        uniform = Lin(form.const, {a: c for a, c in form.terms.items() if not self.varies(_one(a))})
        total = self.splat(self.scalar_index(uniform), "i64")
        kind = f"<{self.lanes} x i64>"
        for atom, coefficient in form.terms.items():
            if not self.varies(_one(atom)):
                continue
            term = self._vector_atom(atom)
            if coefficient != 1:
                factor = self.splat(self.body.dim(coefficient), "i64")
                term = self.body.instruction(f"mul nsw {kind} {term}, {factor}", "v")
            total = self.body.instruction(f"add nsw {kind} {total}, {term}", "v")
        return self.body.remember(key, total)

    def _vector_atom(self, atom: Any) -> str:
        kind = f"<{self.lanes} x i64>"
        if isinstance(atom, Var):
            base = self.splat(self.counters[atom], "i64")
            lanes = ", ".join(f"i64 {lane}" for lane in range(self.lanes))
            return self.body.instruction(f"add nsw {kind} {base}, <{lanes}>", "v")
        if atom.kind == "load":
            return self._loaded_index(atom, self.lanes)
        inner = self.vector_index(atom.args[0])
        divisor = self.splat(self.body.dim(atom.args[1]), "i64")
        if atom.kind in ("div", "mod"):
            word = "sdiv" if atom.kind == "div" else "srem"
            return self.body.instruction(f"{word} {kind} {inner}, {divisor}", "v")
        top = self.splat(self.body.sub(self.body.dim(atom.args[1]), "1"), "i64")
        zero = "zeroinitializer"
        suffix = f"v{self.lanes}i64"
        for word in ("smin", "smax"):
            self.body.declare(f"declare {kind} @llvm.{word}.{suffix}({kind}, {kind})")
        low = self.body.instruction(
            f"call {kind} @llvm.smin.{suffix}({kind} {inner}, {kind} {top})"
        )
        return self.body.instruction(
            f"call {kind} @llvm.smax.{suffix}({kind} {low}, {kind} {zero})"
        )

    def pattern(self, form: Lin) -> Pattern | None:
        """A scalar and a known number for each lane, where an index is that."""
        if self.vector is None or self.origin is None or self.lanes == 1:
            return None
        key = ("pattern", form, self.lanes)
        known = self.body.recall(key)
        if known is None:
            hidden = self.merged.get(self.vector, set())
            patterns = Patterns(
                self.body, self.vector, self.origin, self.lanes, self._scalar_atom, hidden
            )
            known = self.body.remember(key, (patterns.of(form),))
        return known[0]

    def splat(self, payload: str, kind: str, lanes: int | None = None) -> str:
        """Copy a scalar into all lanes."""
        lanes = self.lanes if lanes is None else lanes
        if lanes == 1:
            return payload
        key = ("splat", payload, kind, lanes)
        known = self.body.recall(key)
        if known is not None:
            return known
        vector = f"<{lanes} x {kind}>"
        first = self.body.instruction(
            f"insertelement {vector} poison, {kind} {payload}, i64 0", "s"
        )
        result = self.body.instruction(
            f"shufflevector {vector} {first}, {vector} poison, <{lanes} x i32> zeroinitializer", "s"
        )
        return self.body.remember(key, result)

    def widen(self, scalar: Scalar, lanes: int | None = None) -> Scalar:
        """The same value in `lanes` lanes."""
        lanes = self.lanes if lanes is None else lanes
        handler = scalar.handler
        assert isinstance(handler, LLVMHandler)
        if handler.lanes == lanes:
            return scalar
        payload = self.splat(scalar.payload, llvm_type(scalar.dtype), lanes)
        return Scalar(LLVMHandler(self.body, lanes), scalar.dtype, payload)

    # guards

    def guard(self, guard: Cond, lanes: int) -> str:
        """A conjunction of comparisons as i1, or as one i1 per lane."""
        key = ("guard", guard, lanes)
        known = self.body.recall(key)
        if known is not None:
            return known
        total = None
        tests = sorted(guard.tests, key=repr)
        for kind, left, right in tests:
            if lanes == 1 or not self.varies(left, right):
                a, b = self.scalar_index(left), self.scalar_index(right)
                test = self.body.instruction(f"icmp {_PREDICATES[kind]} i64 {a}, {b}", "g")
                test = self.splat(test, "i1", lanes)
            else:
                test = self._lanes_test(kind, left, right)
            bit = "i1" if lanes == 1 else f"<{lanes} x i1>"
            total = (
                test if total is None else self.body.instruction(f"and {bit} {total}, {test}", "g")
            )
        assert total is not None
        return self.body.remember(key, total)

    def _lanes_test(self, kind: str, left: Lin, right: Lin) -> str:
        """A comparison that differs between lanes."""
        found = self.pattern(right - left)
        if found is not None and is_number(found.base):
            return mask_text([HOLDS[kind](int(found.base) + lane) for lane in found.lanes])
        if found is not None and is_small(found):
            return self._pattern_test(kind, found.base, found.lanes)
        a, b = self.vector_index(left), self.vector_index(right)
        vector = f"<{self.lanes} x i64>"
        return self.body.instruction(f"icmp {_PREDICATES[kind]} {vector} {a}, {b}", "g")

    def _pattern_test(self, kind: str, base: str, offsets: tuple[int, ...]) -> str:
        """How base + offset compares with 0, for each offset, all of which are far below 2^30."""
        key = ("low", base)
        low = self.body.recall(key)
        if low is None:
            near = self.body.maximum(self.body.sub("0", base), str(-(1 << 30)))
            near = self.body.minimum(near, str(1 << 30))
            low = self.body.instruction(f"trunc i64 {near} to i32", "n")
            low = self.body.remember(key, low)
        limit = self.splat(low, "i32", len(offsets))
        numbers = ", ".join(f"i32 {offset}" for offset in offsets)
        return self.body.instruction(
            f"icmp {_PREDICATES[kind]} <{len(offsets)} x i32> {limit}, <{numbers}>", "g"
        )

    # memory

    def element_pointer(self, pointer: str, dtype: DType, offset: str) -> str:
        if pointer in self.origins:
            offset = self.body.sub(offset, self.origins[pointer])
        return self.body.instruction(
            f"getelementptr inbounds {memory_type(dtype)}, ptr {pointer}, i64 {offset}", "p"
        )

    def _from_memory(self, payload: str, dtype: DType, lanes: int) -> Scalar:
        if dtype.kind == "b":
            kind = llvm_type(dtypes.uint8, lanes)
            payload = self.body.instruction(
                f"icmp ne {kind} {payload}, zeroinitializer"
                if lanes > 1
                else f"icmp ne i8 {payload}, 0"
            )
        return Scalar(LLVMHandler(self.body, lanes), dtype, payload)

    def linear(self, leaf: Leaf, index: tuple[Lin, ...]) -> Lin:
        """Where an element stands in memory, in loop variables that are left."""
        form = Lin(0)
        for step, part in zip(leaf.strides, index, strict=True):
            form = form + part * step
        return form.substitute(lambda atom: self.collapse.get(atom))

    def load(self, leaf: Leaf, index: tuple[Lin, ...], guard: Cond) -> Scalar:
        """One element, or one per lane, of memory."""
        form = self.linear(leaf, index)
        element = memory_type(leaf.dtype)
        size = leaf.dtype.itemsize
        tile = self.tiles.get((leaf.pointer, form))
        if tile is not None and self.vector is tile.along:
            row = self.body.sub(self.counters[tile.across], tile.first)
            ahead = self.body.sub(self.counters[tile.along], tile.start)
            place = self.body.add(self.body.mul(row, str(tile.width)), ahead)
            pointer = self.element_pointer(tile.pointer, leaf.dtype, place)
            if self.lanes == 1:
                payload = self.body.instruction(f"load {element}, ptr {pointer}, align {size}", "x")
            else:
                payload = self.load_vector(pointer, element, size, self.lanes)
            return self._from_memory(payload, leaf.dtype, self.lanes)
        if not self.varies(form, guard):
            offset = self.scalar_index(form)
            if guard.tests:
                allowed = self.guard(guard, 1)
                offset = self.body.instruction(f"select i1 {allowed}, i64 {offset}, i64 0", "n")
            pointer = self.element_pointer(leaf.pointer, leaf.dtype, offset)
            payload = self.body.instruction(f"load {element}, ptr {pointer}, align {size}", "x")
            return self._from_memory(payload, leaf.dtype, 1)
        lanes = self.lanes
        apart = self._lane_step(form)
        if apart == 1:
            pointer = self.element_pointer(leaf.pointer, leaf.dtype, self.scalar_index(form))
            mask = self.guard(guard, lanes) if guard.tests else None
            known = self._known_lanes(guard)
            payload = self.load_vector(pointer, element, size, lanes, mask, known)
        elif isinstance(apart, int) and apart in (-1, 2, 3, 4) and not guard.tests:
            payload = self._strided_load(leaf, form, apart, element)
        elif (found := self.pattern(form)) is not None and span(found) <= 4 * lanes:
            payload = self._picked(leaf, found, guard, element)
        else:
            payload = self._gather(leaf, form, guard, element, size)
        return self._from_memory(payload, leaf.dtype, lanes)

    def _lane_step(self, form: Lin) -> DimLike | None:
        """How far neighbouring lanes are apart in memory, None when not constant."""
        assert self.vector is not None
        for atom in form.terms:
            if atom is not self.vector and self.varies(_one(atom)):
                return None
        return form.terms.get(self.vector, 0)

    def load_vector(
        self,
        pointer: str,
        element: str,
        size: int,
        lanes: int,
        mask: str | None = None,
        known: Sequence[bool] | None = None,
    ) -> str:
        """Neighbours in memory; zeros where the mask is off, also by what is known of it."""
        vector = f"<{lanes} x {element}>"
        if mask is None:
            return self.body.instruction(f"load {vector}, ptr {pointer}, align {size}", "x")
        suffix = _suffix(element)
        return masked_load(self.body, pointer, element, size, lanes, mask, suffix, known)

    def _picked(self, leaf: Leaf, pattern: Pattern, guard: Cond, element: str) -> str:
        """Lanes picked out of neighbours in memory, of which only those are touched that a lane
        with a true guard reads."""
        low, width, readers = positions(pattern)
        known = self._known_lanes(guard)
        readers = [[lane for lane in some if known[lane]] for some in readers]
        mask = None
        for turn in range(max(map(len, readers), default=0)):
            chosen = [some[turn] if turn < len(some) else -1 for some in readers]
            part = self._reader_mask(guard, chosen)
            if mask is not None:
                part = self.body.instruction(f"or <{width} x i1> {mask}, {part}", "g")
            mask = part
        mask = mask or "zeroinitializer"
        first = self.body.add(pattern.base, str(low))
        pointer = self.element_pointer(leaf.pointer, leaf.dtype, first)
        is_read = [bool(some) for some in readers]
        loaded = self.load_vector(pointer, element, leaf.dtype.itemsize, width, mask, is_read)
        picks = [offset - low for offset in pattern.lanes]
        return shuffled(self.body, element, width, loaded, "poison", picks)

    def _reader_mask(self, guard: Cond, lanes: list[int]) -> str:
        """Whether the guard holds in given lanes; -1: no lane."""
        bits = f"<{len(lanes)} x i1>"
        mask = mask_text([lane >= 0 for lane in lanes])
        for test in sorted(guard.tests, key=repr):
            kind, left, right = test
            if self._known_test(test) is not None:
                continue
            found = self.pattern(right - left)
            if found is not None and any(found.lanes) and is_small(found):
                offsets = tuple(found.lanes[lane] if lane >= 0 else 0 for lane in lanes)
                held = self._pattern_test(kind, found.base, offsets)
            else:
                held = self.guard(Cond(frozenset([test])), self.lanes)
                picks = [max(lane, 0) for lane in lanes]
                held = shuffled(self.body, "i1", self.lanes, held, "poison", picks)
            mask = self.body.instruction(f"and {bits} {mask}, {held}", "g")
        return mask

    def _known_test(self, test: tuple[str, Lin, Lin]) -> list[bool] | None:
        """Which lanes hold a comparison, where that is known."""
        kind, left, right = test
        found = self.pattern(right - left)
        if found is None or not is_number(found.base):
            return None
        return [HOLDS[kind](int(found.base) + lane) for lane in found.lanes]

    def _known_lanes(self, guard: Cond) -> list[bool]:
        """Lanes for which no test is known to fail."""
        open_lanes = [True] * self.lanes
        for test in guard.tests:
            known = self._known_test(test)
            if known is not None:
                open_lanes = [a and b for a, b in zip(open_lanes, known, strict=True)]
        return open_lanes

    def _strided_load(self, leaf: Leaf, form: Lin, step: int, element: str) -> str:
        lanes = self.lanes
        span = (lanes - 1) * abs(step) + 1
        first = form if step > 0 else form - (lanes - 1)
        pointer = self.element_pointer(leaf.pointer, leaf.dtype, self.scalar_index(first))
        wide = f"<{span} x {element}>"
        loaded = self.body.instruction(
            f"load {wide}, ptr {pointer}, align {leaf.dtype.itemsize}", "x"
        )
        picks = [lane * step if step > 0 else lanes - 1 - lane for lane in range(lanes)]
        mask = ", ".join(f"i32 {pick}" for pick in picks)
        return self.body.instruction(
            f"shufflevector {wide} {loaded}, {wide} poison, <{lanes} x i32> <{mask}>", "x"
        )

    def _gather(self, leaf: Leaf, form: Lin, guard: Cond, element: str, size: int) -> str:
        lanes = self.lanes
        offsets = self.vector_index(form)
        mask = self.guard(guard, lanes) if guard.tests else self.splat("true", "i1")
        pointers = self.body.instruction(
            f"getelementptr inbounds {element}, ptr {leaf.pointer}, <{lanes} x i64> {offsets}", "p"
        )
        return gathered(self.body, element, size, lanes, pointers, mask, _suffix(element))

    def store(self, leaf: Leaf, index: tuple[Lin, ...], scalar: Scalar, guard: Cond = TRUE) -> None:
        """Write one element, or one per lane (neighbours in memory), where the guard holds."""
        form = self.linear(leaf, index)
        lanes = self.lanes if self.varies(form) else 1
        if lanes > 1 and self._lane_step(form) != 1:
            fail(CompileError, "store", f"lanes are not neighbours in memory: {form}")
        scalar = self.widen(scalar, lanes)
        payload = scalar.payload
        element = memory_type(leaf.dtype)
        kind = element if lanes == 1 else f"<{lanes} x {element}>"
        if leaf.dtype.kind == "b":
            payload = self.body.instruction(
                f"zext {llvm_type(leaf.dtype, lanes)} {payload} to {kind}"
            )
        pointer = self.element_pointer(leaf.pointer, leaf.dtype, self.scalar_index(form))
        size = leaf.dtype.itemsize
        if lanes == 1 or not guard.tests:
            self.body.emit(f"store {kind} {payload}, ptr {pointer}, align {size}")
            return
        mask, suffix = self.guard(guard, lanes), _suffix(element)
        masked_store(self.body, pointer, element, size, lanes, mask, suffix, payload)

    # values

    def value(self, value: Value, index: tuple[Lin, ...], guard: Cond = TRUE) -> Scalar:
        """The value at an index: in one lane when it is the same in all."""
        register = self.registers.get(value)
        if register is not None:
            return register
        key = ("value", value, index, guard, self.lanes)
        known = self.body.recall(key)
        if known is not None:
            return known
        if not self.varies(*index, guard) and self.lanes > 1:
            vector, lanes = self.vector, self.lanes
            self.vector, self.lanes = None, 1
            scalar = self.value(value, index, guard)
            self.vector, self.lanes = vector, lanes
        else:
            scalar = self._compute(value, index, guard)
        return self.body.remember(key, scalar)

    def _compute(self, value: Value, index: tuple[Lin, ...], guard: Cond) -> Scalar:
        leaf = self.leaves.get(value)
        if leaf is not None:
            return self.load(leaf, index, guard)
        node = value.node
        generate: Callable[..., Scalar] | None = getattr(self, f"_make_{node.op_name}", None)
        if generate is not None:
            return generate(value, index, guard)
        if is_movement(node):
            return self._movement(value, index, guard)
        if not is_elementwise(node):
            fail(CompileError, node.op_name, "cannot be computed inside of a fused loop")
        scalars = [
            self.value(operand, index if operand.type.rank else (), guard)
            for operand in node.operands
        ]
        lanes = max((s.handler.lanes for s in scalars), default=1)  # type: ignore[attr-defined]
        scalars = [self.widen(s, lanes) for s in scalars]
        assert node.op is not None
        return apply_elementwise(node.op, scalars, node.params)

    def _movement(self, value: Value, index: tuple[Lin, ...], guard: Cond) -> Scalar:
        reads = movement_reads(value.node, index, guard)
        result = None
        for condition, place in reversed(reads):
            scalar = self.value(place.value, place.index, place.guard)
            if result is None or not condition.tests:
                result = scalar
                continue
            lanes = self.lanes if self.varies(condition) else 1
            lanes = max(lanes, scalar.handler.lanes, result.handler.lanes)  # type: ignore[attr-defined]
            test = Scalar(LLVMHandler(self.body, lanes), dtypes.bool_, self.guard(condition, lanes))
            result = select(test, self.widen(scalar, lanes), self.widen(result, lanes))
        assert result is not None
        return result

    def _make_constant(self, value: Value, index: tuple[Lin, ...], guard: Cond) -> Scalar:
        handler = LLVMHandler(self.body, 1)
        payload = handler.instruction("const", value.dtype, (value.node.params["value"],))
        return Scalar(handler, value.dtype, payload)

    def _make_barrier(self, value: Value, index: tuple[Lin, ...], guard: Cond) -> Scalar:
        return self.value(value.node.operands[0], index, guard)

    def _make_iota(self, value: Value, index: tuple[Lin, ...], guard: Cond) -> Scalar:
        return self._index_scalar(index[0]).cast(value.dtype)

    def _make_size_of(self, value: Value, index: tuple[Lin, ...], guard: Cond) -> Scalar:
        return self._index_scalar(Lin(value.node.params["dim"]))

    def _index_scalar(self, form: Lin, dtype: DType = dtypes.int64) -> Scalar:
        if self.varies(form):
            return Scalar(LLVMHandler(self.body, self.lanes), dtype, self.vector_index(form))
        return Scalar(LLVMHandler(self.body, 1), dtype, self.scalar_index(form))

    def _make_random_bits(self, value: Value, index: tuple[Lin, ...], guard: Cond) -> Scalar:
        state = value.node.operands[0]
        key = self.value(state, (Lin(0),), TRUE)
        counter = self.value(state, (Lin(1),), TRUE)
        linear = address(value.shape, index, row_major_strides(value.shape))
        linear = linear.substitute(lambda atom: self.collapse.get(atom))
        blocks = self.pattern(linear // 4) if self.lanes % 8 == 0 else None
        if blocks is not None and blocks.lanes == tuple(n // 4 for n in range(self.lanes)):
            return self._whole_blocks(blocks.base, key, counter)
        place = self._index_scalar(linear, dtypes.uint64)
        lanes = place.handler.lanes  # type: ignore[attr-defined]
        lowering: Any = value.node.op.lowering  # type: ignore[union-attr]
        return lowering(place, self.widen(key, lanes), self.widen(counter, lanes))

    def _whole_blocks(self, first: str, key: Scalar, counter: Scalar) -> Scalar:
        """Neighbouring random words that begin with a block: each block is computed once."""
        body, count = self.body, self.lanes // 4
        numbers = ", ".join(f"i64 {n}" for n in range(count))
        start = self.splat(first, "i64", count)
        kind = f"<{count} x i64>"
        payload = body.instruction(f"add {kind} {start}, <{numbers}>", "v")
        block = Scalar(LLVMHandler(body, count), dtypes.uint64, payload)
        words = words_of(self.widen(counter, count) + block, self.widen(key, count))
        halves = [
            joined(body, "i32", count, words[n].payload, words[n + 1].payload) for n in (0, 2)
        ]
        order = [lane % 4 * count + lane // 4 for lane in range(self.lanes)]
        payload = joined(body, "i32", 2 * count, halves[0], halves[1], order)
        return Scalar(LLVMHandler(body, self.lanes), dtypes.uint32, payload)


def _one(atom: Any) -> Lin:
    return Lin(0, {atom: 1})


def _suffix(element: str) -> str:
    return {"float": "f32", "double": "f64"}.get(element, element)

"""The program of an exported function as LLVM text: checks, tables, launches.

    NAME_arena_bytes(sizes)                      how much scratch memory a call needs
    NAME_run(sizes, inputs, results, weights, weights_bytes, arena, arena_bytes, threads)

Everything that depends on the sizes is worked out by each call: it costs next to nothing beside the
kernels, and nothing has to be kept in step between calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from elinvar.codegen.body import Body
from elinvar.core.shapes import Dim, evaluate
from elinvar.core.sizing import AnySize, Size, choose
from elinvar.export.arena import Part
from elinvar.export.layout import Layout
from elinvar.export.numbers import HELPERS, Numbers, parts_of, sizes_in
from elinvar.export.status import LARGEST_EXACT, Status
from elinvar.kernels.plan import (
    ALIGNMENT,
    Choice,
    ControlStep,
    Function,
    Number,
    Place,
    Step,
    Storage,
    Table,
    flatten,
)
from elinvar.runtime.planning import PARALLEL_WORK

_LAUNCH = """
; Run the tasks of a kernel: here, or shared out by the caller's threads.
define internal void @{prefix}launch(ptr %kernel, ptr %slots, i64 %tasks, ptr %threads) nounwind {{
entry:
  %alone = icmp eq ptr %threads, null
  br i1 %alone, label %here, label %shared
here:
  call void %kernel(ptr %slots, i64 0, i64 %tasks)
  ret void
shared:
  %run = load ptr, ptr %threads
  %pool.at = getelementptr ptr, ptr %threads, i32 1
  %pool = load ptr, ptr %pool.at
  call void %run(ptr %pool, ptr %kernel, ptr %slots, i64 %tasks)
  ret void
}}
"""


@dataclass
class Program:
    """What is to be written as text.

    Attributes:
        name: what all symbols begin with.
        layout: where everything stands.
        steps: what runs.
        blocks: the arena's blocks.
        largest: bytes that memory may have on the target.
    """

    name: str
    layout: Layout
    steps: list[Any]
    blocks: list[Part]
    largest: int


class Runner:
    """Writes the two functions."""

    layout: Layout
    prefix: str
    slots: str
    body: Body
    numbers: Numbers

    def __init__(self, program: Program) -> None:
        self.program = program
        self.layout = program.layout
        self.sizes: dict[str, Any] = {name: Size.named(name) for name in self.layout.dims}
        self.prefix = f"{program.name}."
        self.loops: dict[Any, tuple[str, str | None]] = {}  # (counter, trips if reversed)
        self.tables: dict[Any, str] = {}
        self.bases: dict[Storage, str] = {}

    # what there is

    def _tables(self) -> list[Any]:
        """The tables that must be written, those that others are made of first."""
        found: dict[Any, None] = {}
        for number in self._numbers():
            for flags in _flags_in(number):
                found |= dict.fromkeys(parts_of(flags))
        for step in flatten(self.program.steps):
            for slot in step.slots:
                if isinstance(slot, Table):
                    table = slot.make(self.sizes)
                    if not isinstance(table, np.ndarray):
                        found |= dict.fromkeys(parts_of(table))
        return list(found)

    def _numbers(self) -> Iterator[Any]:
        """All sizes that steps need."""
        for step in _all_steps(self.program.steps):
            if isinstance(step, ControlStep):
                yield evaluate(step.count, self.sizes)
                continue
            yield self._tasks(step)
            yield self._is_parallel(step)
            for slot in step.slots:
                if isinstance(slot, Number):
                    yield slot.at(self.sizes)
                elif isinstance(slot, Choice):
                    yield slot.takes_first(self.sizes)

    def _tasks(self, step: Step) -> AnySize:
        return step.tasks(self.sizes)

    def _is_parallel(self, step: Step) -> Any:
        work = step.work(self.sizes) if step.work else PARALLEL_WORK
        return choose(self._tasks(step) > 1, lambda: work >= PARALLEL_WORK, 0)

    # text

    def text(self) -> str:
        """The module's text: both functions, their helpers, the constants."""
        tables = self._tables()
        measure, measured = self._measure(tables)
        run, numbers = self._run(tables)
        kernels = {step.name for step in flatten(self.program.steps)}
        for step in flatten(self.program.steps):
            kernels |= {slot.name for slot in step.slots if isinstance(slot, Function)}
        declared = {**measured.body.declarations, **numbers.body.declarations}
        more = [_signature(name) for name in sorted(kernels - self._wide())]
        more += [f"declare void @{name}()" for name in sorted(kernels & self._wide())]
        return "\n".join(
            [
                HELPERS.format(prefix=self.prefix),
                _LAUNCH.format(prefix=self.prefix),
                *numbers.globals,
                measure,
                run,
                self._arena_bytes(len(tables) + len(self.program.blocks)),
                *declared,
                "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
                *more,
                "",
            ]
        )

    def _wide(self) -> set[str]:
        """Functions that are called by kernels, not by us."""
        steps = list(flatten(self.program.steps))
        return {slot.name for step in steps for slot in step.slots if isinstance(slot, Function)}

    def _load_sizes(self, body: Body, numbers: Numbers) -> None:
        for number, name in enumerate(self.layout.dims):
            place = body.instruction(f"getelementptr i64, ptr %sizes, i64 {number}", "p")
            known = body.instruction(f"load i64, ptr {place}, align 8", "size")
            numbers.known[Size.named(name)] = known

    def _measure(self, tables: list[Any]) -> tuple[str, Numbers]:
        """`i64 measure(sizes, places)`: where tables and blocks begin, in that order; the answer is
        the bytes of the arena, or a status below zero."""
        body = Body()
        numbers = Numbers(body, self.prefix)
        if self.layout.dims:
            null = body.instruction("icmp eq ptr %sizes, null", "c")
            _leave(body, null, Status.NULL_POINTER)
        self._load_sizes(body, numbers)
        self._check_ranges(body, numbers)
        self._check_overflow(body, numbers)
        for condition in self.layout.conditions:
            holds = condition(self.sizes)
            if isinstance(holds, Size):
                test = body.instruction(f"icmp eq i64 {numbers.number(holds)}, 0", "c")
                _leave(body, test, Status.SIZE_OUT_OF_RANGE)
        total = "0"
        place = 0

        def put(offset: str) -> None:
            nonlocal place
            at = body.instruction(f"getelementptr i64, ptr %places, i64 {place}", "p")
            body.emit(f"store i64 {offset}, ptr {at}, align 8")
            place += 1

        for table in tables:
            put(total)
            total = body.add(total, numbers.number(table.length * 8))
        lines = body.div(body.add(total, str(ALIGNMENT - 1)), str(ALIGNMENT))
        start = top = body.mul(lines, str(ALIGNMENT))
        ends: list[str] = []
        for block in self.program.blocks:
            offset = start
            for number, other in enumerate(block.below):
                offset = ends[other] if not number else body.maximum(offset, ends[other])
            put(offset)
            ends.append(body.add(offset, numbers.number(block.nbytes)))
            top = body.maximum(top, ends[-1])
        too_large = body.instruction(f"icmp sgt i64 {top}, {self.program.largest}", "c")
        _leave(body, too_large, Status.OVERFLOW)
        body.emit(f"ret i64 {top}")
        head = f"define internal i64 @{self.prefix}measure(ptr %sizes, ptr %places) noinline {{"
        return "\n".join([head, "entry:", body.text(), "}"]), numbers

    def _check_ranges(self, body: Body, numbers: Numbers) -> None:
        for name, (low, high) in self.layout.dims.items():
            known = numbers.number(Size.named(name))
            test = body.instruction(f"icmp slt i64 {known}, {low}", "c")
            _leave(body, test, Status.SIZE_OUT_OF_RANGE)
            if high is not None:
                test = body.instruction(f"icmp sgt i64 {known}, {high}", "c")
                _leave(body, test, Status.SIZE_OUT_OF_RANGE)

    def _check_overflow(self, body: Body, numbers: Numbers) -> None:
        """No value may have more bytes than memory, and no dim may be below zero. The bytes are
        found in f64, which does not wrap around."""
        dims = self.layout.every_dim
        for nbytes in dict.fromkeys(nbytes for nbytes in dims if isinstance(nbytes, Dim)):
            total = "0.0"
            for monomial, factor in nbytes.terms.items():
                term = f"{float(factor)!r}"
                for name in monomial:
                    known = numbers.number(Size.named(name))
                    wide = body.instruction(f"sitofp i64 {known} to double", "d")
                    term = body.instruction(f"fmul double {term}, {wide}", "d")
                total = body.instruction(f"fadd double {total}, {term}", "d")
            test = body.instruction(f"fcmp ogt double {total}, {float(LARGEST_EXACT)!r}", "c")
            _leave(body, test, Status.OVERFLOW)
            if any(factor < 0 for factor in nbytes.terms.values()):
                test = body.instruction(f"fcmp olt double {total}, 0.0", "c")
                _leave(body, test, Status.SIZE_OUT_OF_RANGE)

    def _arena_bytes(self, places: int) -> str:
        name, prefix = self.program.name, self.prefix
        return f"""
define i64 @{name}_arena_bytes(ptr %sizes) nounwind {{
  %places = alloca [{max(1, places)} x i64], align 8
  %found = call i64 @{prefix}measure(ptr %sizes, ptr %places)
  ret i64 %found
}}"""

    # the call

    def _run(self, tables: list[Any]) -> tuple[str, Numbers]:
        body = Body()
        numbers = Numbers(body, self.prefix)
        blocks = self.program.blocks
        count = max(1, len(tables) + len(blocks))
        places = body.stack_slot(f"[{count} x i64]", "places")
        self._check_call(body, places)
        self._load_sizes(body, numbers)
        self._bases(body, places, len(tables))
        for number, table in enumerate(tables):
            for needed in sizes_in(table):
                numbers.number(needed)
            address = self._in_arena(body, places, number)
            numbers.write(table, address, numbers.number(table.length))
            self.tables[table] = address
        for number in self._numbers():
            numbers.number(number)
        for place in self._offsets():
            numbers.number(place)
        slots = max((len(step.slots) for step in flatten(self.program.steps)), default=0)
        self.slots = body.stack_slot(f"[{max(1, slots)} x i64]", "slots")
        self.numbers, self.body = numbers, body
        for copy in self.layout.before:
            self._copy(*copy)
        self._steps(self.program.steps)
        for copy in self.layout.after:
            self._copy(*copy)
        body.emit(f"ret i32 {Status.OK}")
        arguments = (
            "ptr %sizes, ptr %inputs, ptr %results, ptr %weights, i64 %weights_bytes, "
            "ptr %arena, i64 %arena_bytes, ptr %threads"
        )
        head = f"define i32 @{self.program.name}_run({arguments}) nounwind {{"
        return "\n".join([head, "entry:", body.text(), "}"]), numbers

    def _check_call(self, body: Body, places: str) -> None:
        text = f"call i64 @{self.prefix}measure(ptr %sizes, ptr {places})"
        needed = body.instruction(text, "needed")
        wrong = body.instruction(f"icmp slt i64 {needed}, 0", "c")
        with body.when(wrong):
            status = body.instruction(f"trunc i64 {needed} to i32", "s")
            _return(body, body.instruction(f"sub i32 0, {status}", "s"))
        small = body.instruction(f"icmp slt i64 %arena_bytes, {needed}", "c")
        _leave(body, small, Status.ARENA_TOO_SMALL, "i32")
        some = body.instruction(f"icmp sgt i64 {needed}, 0", "c")
        null = body.instruction("icmp eq ptr %arena, null", "c")
        both = body.instruction(f"and i1 {some}, {null}", "c")
        _leave(body, both, Status.NULL_POINTER, "i32")
        with body.when(some):
            self._aligned(body, "%arena")
        layout = self.layout
        for base, count in (("%inputs", len(layout.inputs)), ("%results", len(layout.results))):
            if count:
                null = body.instruction(f"icmp eq ptr {base}, null", "c")
                _leave(body, null, Status.NULL_POINTER, "i32")
        if layout.weights_bytes:
            null = body.instruction("icmp eq ptr %weights, null", "c")
            _leave(body, null, Status.NULL_POINTER, "i32")
            self._aligned(body, "%weights")
            short = body.instruction(f"icmp slt i64 %weights_bytes, {layout.weights_bytes}", "c")
            _leave(body, short, Status.WRONG_WEIGHTS, "i32")
            for number, word in enumerate(layout.header_words()):
                place = body.instruction(f"getelementptr i64, ptr %weights, i64 {number}", "p")
                found = body.instruction(f"load i64, ptr {place}, align 8", "w")
                other = body.instruction(f"icmp ne i64 {found}, {word}", "c")
                _leave(body, other, Status.WRONG_WEIGHTS, "i32")

    def _aligned(self, body: Body, base: str) -> None:
        address = body.instruction(f"ptrtoint ptr {base} to i64", "a")
        rest = body.instruction(f"and i64 {address}, {ALIGNMENT - 1}", "a")
        odd = body.instruction(f"icmp ne i64 {rest}, 0", "c")
        _leave(body, odd, Status.MISALIGNED, "i32")

    def _bases(self, body: Body, places: str, first: int) -> None:
        """Addresses of inputs, results, weights and the arena's blocks."""
        layout = self.layout
        for base, storages in (("%inputs", layout.inputs), ("%results", layout.results)):
            for number, storage in enumerate(storages):
                place = body.instruction(f"getelementptr ptr, ptr {base}, i32 {number}", "p")
                known = body.instruction(f"load ptr, ptr {place}", "given")
                null = body.instruction(f"icmp eq ptr {known}, null", "c")
                _leave(body, null, Status.NULL_POINTER, "i32")
                self.bases[storage] = known
        for storage, offset in layout.weights.items():
            text = f"getelementptr i8, ptr %weights, i64 {offset}"
            self.bases[storage] = body.instruction(text, "weight")
        for number, block in enumerate(self.program.blocks):
            address = self._in_arena(body, places, first + number)
            for storage in block.storages:
                self.bases[storage] = address

    def _in_arena(self, body: Body, places: str, number: int) -> str:
        at = body.instruction(f"getelementptr i64, ptr {places}, i64 {number}", "p")
        offset = body.instruction(f"load i64, ptr {at}, align 8", "offset")
        return body.instruction(f"getelementptr i8, ptr %arena, i64 {offset}", "block")

    def _offsets(self) -> Iterator[Any]:
        """Sizes in the offsets and moves of places, and of copies."""
        for step in _all_steps(self.program.steps):
            slots = [step.predicate] if isinstance(step, ControlStep) else step.slots
            for slot in slots:
                for place in _places_of(slot):
                    yield evaluate(place.offset, self.sizes)
                    for shift in place.moves:
                        yield evaluate(shift.nbytes, self.sizes)
        for copies in (self.layout.before, self.layout.after):
            for _, _, nbytes in copies:
                yield evaluate(nbytes, self.sizes)

    def _copy(self, target: Storage, source: Storage, nbytes: Any) -> None:
        count = self.numbers.number(evaluate(nbytes, self.sizes))
        to, of = self.bases[target], self.bases[source]
        text = f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {of}, i64 {count}, i1 false)"
        self.body.emit(text)

    # steps

    def _steps(self, steps: list[Any]) -> None:
        for step in steps:
            if isinstance(step, ControlStep):
                self._control(step)
            else:
                self._launch(step)

    def _launch(self, step: Step) -> None:
        body, numbers = self.body, self.numbers
        tasks = self._tasks(step)
        if not isinstance(tasks, Size) and tasks <= 0:
            return
        for number, slot in enumerate(step.slots):
            value = self._slot(slot)
            place = body.instruction(f"getelementptr i64, ptr {self.slots}, i64 {number}", "p")
            body.emit(f"store i64 {value}, ptr {place}, align 8")
        count = numbers.number(tasks)
        is_parallel = self._is_parallel(step)
        threads = "null"
        if isinstance(is_parallel, Size):
            test = body.instruction(f"icmp ne i64 {numbers.number(is_parallel)}, 0", "c")
            threads = body.instruction(f"select i1 {test}, ptr %threads, ptr null", "threads")
        elif is_parallel:
            threads = "%threads"
        body.emit(
            f"call void @{self.prefix}launch(ptr @{step.name}, ptr {self.slots}, i64 {count}, "
            f"ptr {threads})"
        )

    def _slot(self, slot: Any) -> str:
        """What stands in a slot, as an i64."""
        if isinstance(slot, Number):
            return self.numbers.number(slot.at(self.sizes))
        return self.body.instruction(f"ptrtoint ptr {self._pointer(slot)} to i64", "a")

    def _pointer(self, slot: Any) -> str:
        if isinstance(slot, Choice):
            takes_first = slot.takes_first(self.sizes)
            if not isinstance(takes_first, Size):
                return self._pointer(slot.first if takes_first else slot.second)
            first, second = self._pointer(slot.first), self._pointer(slot.second)
            test = self.numbers.number(takes_first)
            test = self.body.instruction(f"icmp ne i64 {test}, 0", "c")
            return self.body.instruction(f"select i1 {test}, ptr {first}, ptr {second}", "p")
        if isinstance(slot, Function):
            return f"@{slot.name}"
        if isinstance(slot, Table):
            table = slot.make(self.sizes)
            if not isinstance(table, np.ndarray):
                return self.tables[table]
            key = table.tobytes()
            if key not in self.tables:
                self.tables[key] = self.numbers.constant(table.reshape(-1))
            return self.tables[key]
        return self._place(slot)

    def _place(self, place: Place) -> str:
        body = self.body
        offset = self.numbers.number(evaluate(place.offset, self.sizes))
        for shift in place.moves:
            counter, trips = self.loops[shift.loop]
            if shift.parity:
                counter = body.instruction(f"and i64 {counter}, 1", "n")
            elif trips is not None:
                counter = body.sub(body.sub(trips, "1"), counter)
            step = self.numbers.number(evaluate(shift.nbytes, self.sizes))
            offset = body.add(offset, body.mul(counter, step))
        base = self.bases[place.storage]
        if offset == "0":
            return base
        return body.instruction(f"getelementptr i8, ptr {base}, i64 {offset}", "p")

    def _control(self, step: ControlStep) -> None:
        body = self.body
        if step.kind == "for":
            trips = self.numbers.number(evaluate(step.count, self.sizes))
            before = dict(self.loops)
            with body.loop("0", trips, hint="trip") as counter:
                self.loops[step.loop] = (counter, trips if step.reverse else None)
                self._steps(step.bodies[0])
            # places outside of the loop see how many iterations there were
            after = body.maximum(trips, "0")
            self.loops = {**before, step.loop: (after, None)}
            return
        if step.kind == "cond":
            labels = [body.new_label(word) for word in ("true", "false", "endcond")]
            body.emit(f"br i1 {self._predicate(step)}, label %{labels[0]}, label %{labels[1]}")
            for label, inner in zip(labels, step.bodies, strict=False):
                body.start(label)
                with body.scope():
                    self._steps(inner)
                body.emit(f"br label %{labels[2]}")
            body.start(labels[2])
            return
        self._while(step)

    def _while(self, step: ControlStep) -> None:
        body = self.body
        head, inside, end = (body.new_label(word) for word in ("while", "do", "endwhile"))
        slot = body.stack_slot("i64", "count", 8)
        body.emit(f"store i64 0, ptr {slot}, align 8")
        body.emit(f"br label %{head}")
        body.start(head)
        counter = body.instruction(f"load i64, ptr {slot}, align 8", "n")
        self.loops[step.loop] = (counter, None)
        self._steps(step.bodies[0])
        body.emit(f"br i1 {self._predicate(step)}, label %{inside}, label %{end}")
        body.start(inside)
        self._steps(step.bodies[1])
        body.emit(f"store i64 {body.add(counter, '1')}, ptr {slot}, align 8")
        body.emit(f"br label %{head}")
        body.start(end)

    def _predicate(self, step: ControlStep) -> str:
        assert step.predicate is not None
        byte = self.body.instruction(f"load i8, ptr {self._place(step.predicate)}", "b")
        return self.body.instruction(f"icmp ne i8 {byte}, 0", "c")


def _signature(name: str) -> str:
    return f"declare void @{name}(ptr, i64, i64)"


def _all_steps(steps: list[Any]) -> Iterator[Any]:
    for step in steps:
        yield step
        if isinstance(step, ControlStep):
            for inner in step.bodies:
                yield from _all_steps(inner)


def _places_of(slot: Any) -> list[Place]:
    if isinstance(slot, Choice):
        return [slot.first, slot.second]
    return [slot] if isinstance(slot, Place) else []


def _flags_in(number: Any) -> list[Any]:
    """The tables that a size looks into."""
    found: dict[Any, None] = {}
    seen: set[Size] = set()
    todo = [number]
    while todo:
        top = todo.pop()
        if not isinstance(top, Size) or top in seen:
            continue
        seen.add(top)
        if top.word == "every":
            found[top.arguments[0]] = None
        else:
            todo += top.arguments
    return list(found)


def _leave(body: Body, condition: str, status: int, kind: str = "i64") -> None:
    """Return a status where the condition holds; below zero from a function that gives bytes."""
    with body.when(condition):
        _return(body, str(-status if kind == "i64" else int(status)), kind)


def _return(body: Body, value: str, kind: str = "i32") -> None:
    body.emit(f"ret {kind} {value}")
    body.start(body.new_label("dead"))


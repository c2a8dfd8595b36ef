"""Graph → program: passes, kernels, machine code, memory plan, and one native call to run it.

compile_graph   types may be symbolic; machine code is made once
Compiled.bind   sizes become numbers: tables, task counts, the arena's layout, a callable
Bound.call      addresses of the arena, the inputs and the outputs → runs everything
"""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from elinvar.codegen.lower import Lowering
from elinvar.core.collecting import paused_collection
from elinvar.core.dtypes import DType
from elinvar.core.shapes import Shape, evaluate, row_major_strides, size
from elinvar.graph.ir import Graph
from elinvar.kernels.cost import Cost
from elinvar.kernels.explain import explain
from elinvar.kernels.plan import (
    Choice,
    ControlStep,
    Function,
    Number,
    Place,
    Step,
    Storage,
    Together,
    flatten,
    overwritable,
    place_arena,
    texts_of,
)
from elinvar.kernels.schedule import schedule
from elinvar.passes.layout import layout
from elinvar.passes.legalize import legalize
from elinvar.passes.pipeline import AFTER_LAYOUT, optimize
from elinvar.run import native, program, recording
from elinvar.run.plans import FUNCTION, TABLE, Kernel, Plan, decode, encode, plan_key

SMALL_WORK = 20_000  # below this many elements in all, a program keeps the interpreter lock
PARALLEL_WORK = 20_000  # below this many elements, a launch stays on the calling thread
Layouts = tuple[Shape | None, ...] | None


@functools.cache
def vector_bits() -> int:
    """The widest vectors that the host's instruction set computes with."""
    features = native.host().features.split(",")
    if "+avx512f" in features and "+avx512vl" in features:
        return 512
    return 256 if "+avx2" in features else 128


class Output(NamedTuple):
    """One result of a program: dense, row-major."""

    dtype: DType
    shape: tuple[int, ...]
    nbytes: int


@dataclass
class Bound:
    """A program for given sizes. `call(arena, *inputs, *outputs)` takes addresses.

    `aliases`: (input, output) pairs that may have the same address; a call that makes use of it
    goes to the callable that `overwriting()` makes, which nothing stops half-way.
    """

    call: Any
    arena_nbytes: int
    outputs: list[Output]
    launches: list[Any]
    aliases: list[tuple[int, int]]
    overwriting: Callable[[], Any]


class Lowered(NamedTuple):
    """What passes and lowering made of a graph."""

    optimized: Graph
    steps: list[Any]
    inputs: list[Storage]
    outputs: list[Storage]


class Compiled:
    """Machine code for one graph.

    A graph whose plan is in the disk cache is not lowered, unless somebody looks at its `steps`.

    Attributes:
        graph, lines: see `compile_graph`.
        seconds: how long compiling took.
    """

    def __init__(self, graph: Graph, layouts: Layouts, lines: bool) -> None:
        start = time.perf_counter()
        self.graph, self.lines = graph, lines
        self._layouts = layouts
        self._lowered: Lowered | None = None
        self._addresses: dict[str, int] = {}
        self._key = plan_key(graph, layouts, vector_bits())
        self._plan = None if self._key is None else self._stored_plan(self._key)
        if self._plan is None:
            self._load()
        self.seconds = time.perf_counter() - start

    @property
    def lowered(self) -> Lowered:
        """What passes and lowering made of the graph."""
        if self._lowered is None:
            self._lowered = _lower(self.graph, self._layouts)
        return self._lowered

    @property
    def optimized(self) -> Graph:
        """The graph after all passes."""
        return self.lowered.optimized

    @property
    def steps(self) -> list[Any]:
        """The steps in the order in which they run."""
        return self.lowered.steps

    def _load(self) -> None:
        """Make the machine code of all kernels."""
        texts = texts_of(self.steps)
        native.prepare(texts.values())
        for name, text in texts.items():
            self._addresses[name] = native.load(text, [name])[name]

    def _stored_plan(self, key: str) -> Plan | None:
        """The plan from the disk, if all of its kernels are there as well."""
        data = native.stored(key)
        plan = None if data is None else decode(data)
        if plan is None:
            return None
        for kernel in plan.kernels:
            address = native.load_stored(bytes.fromhex(kernel.digest), kernel.name)
            if address is None:
                return None
            self._addresses[kernel.name] = address
        return plan

    def bind(self, sizes: Mapping[str, int] | None = None) -> Bound:
        """Fix the sizes of the symbolic dims."""
        sizes = sizes or {}
        plan = None if sizes else self._plan
        if plan is None:
            plan = self._make_plan(sizes)
            if self._key is not None and not sizes:
                self._plan = plan
                native.store(self._key, encode(plan))
        call, launches = self._callable(plan, sizes, False)
        outputs = [
            Output(
                v.dtype,
                tuple(evaluate(n, sizes) for n in v.shape),
                evaluate(size(v.shape), sizes) * v.dtype.itemsize,
            )
            for v in self.graph.outputs
        ]
        overwriting = functools.cache(lambda: self._callable(plan, sizes, True)[0])
        return Bound(call, plan.arena, outputs, launches, plan.aliases, overwriting)

    def _callable(
        self, plan: Plan, sizes: Mapping[str, int], overwrites: bool
    ) -> tuple[Any, list[program.Item]]:
        """A native program, and its items."""
        addresses = [self._addresses[kernel.name] for kernel in plan.kernels]
        launches = plan.linked(addresses, overwrites)
        count = 1 + len(self.graph.inputs) + len(self.graph.outputs)
        encoded = program.encode_program(launches, count, release=plan.release)
        call = program.program_of(encoded)
        describe = functools.partial(self._launches, dict(sizes))
        recording.register(
            encoded.number,
            recording.Program(self.graph.name, encoded.positions, describe, encoded.together),
        )
        # whoever keeps the callable keeps the tables whose addresses it holds
        weakref.finalize(call, _release, encoded.number, plan.tables).atexit = False
        return call, launches

    def _scheduled(self, sizes: Mapping[str, int]) -> list[Any]:
        """The steps as they run for given sizes: some of them together."""
        lowered = self.lowered
        return schedule(lowered.steps, sizes, lowered.inputs, lowered.outputs)

    def _make_plan(self, sizes: Mapping[str, int]) -> Plan:
        """Work out everything that depends on the sizes."""
        lowered = self.lowered
        steps = self._scheduled(sizes)
        offsets, arena = place_arena(steps, sizes)
        tables: list[Any] = []
        kernels: dict[str, tuple[int, Kernel]] = {}
        externals = {storage: 1 + i for i, storage in enumerate(lowered.inputs)}
        externals |= {s: 1 + len(lowered.inputs) + i for i, s in enumerate(lowered.outputs)}

        def address(place: Place) -> tuple[int, int]:
            storage, extra = place.storage, evaluate(place.offset, sizes)
            if storage.kind == "arena":
                return 0, offsets[storage] + extra
            return externals[storage], extra

        loops: dict[Any, int] = {}

        def kernel_number(item: Step | Function) -> int:
            if item.name not in kernels:
                kernel = Kernel(item.name, native.text_digest(item.text).hex())
                kernels[item.name] = len(kernels), kernel
            return kernels[item.name][0]

        def slot(item: Any) -> Any:
            if isinstance(item, Choice):
                item = item.first if item.takes_first(sizes) else item.second
            if isinstance(item, Place):
                number, offset = address(item)
                moves = [
                    program.Move(loops[shift.loop], evaluate(shift.nbytes, sizes), shift.parity)
                    for shift in item.moves
                ]
                return (number, offset, moves) if moves else (number, offset)
            if isinstance(item, Number):
                return (-1, item.at(sizes))
            if isinstance(item, Function):
                return (FUNCTION, kernel_number(item))
            tables.append(np.ascontiguousarray(item.make(sizes), dtype=np.int64).reshape(-1))
            return (TABLE, len(tables) - 1)

        def launch(step: Any) -> Any:
            if isinstance(step, ControlStep):
                return control(step)
            if isinstance(step, Together):
                members = [launch(member) for member in step.steps]
                return program.Together(members, step.tasks, any(m.final for m in members))
            tasks = step.tasks(sizes)
            work = step.work(sizes) if step.work else PARALLEL_WORK
            parallel = tasks > 1 and work >= PARALLEL_WORK
            slots = [slot(item) for item in step.slots]
            final = not overwriting.isdisjoint(step.writes)  # state must not be left half written
            return program.Launch(kernel_number(step), tasks, slots, parallel, final)

        def control(step: ControlStep) -> Any:
            if step.loop is not None:
                loops[step.loop] = len(loops)
            bodies = [[launch(inner) for inner in body] for body in step.bodies]
            if step.kind == "for":
                count = evaluate(step.count, sizes)
                return program.For(loops[step.loop], count, bodies[0], step.reverse)
            assert step.predicate is not None
            predicate = slot(step.predicate)
            if step.kind == "cond":
                return program.Cond(predicate, bodies[0], bodies[1])
            return program.While(loops[step.loop], bodies[0], predicate, bodies[1])

        aliases = overwritable(steps, lowered.inputs, lowered.outputs)
        overwriting = {lowered.outputs[output] for _, output in aliases}
        items = [launch(step) for step in steps]
        total = 0
        for step in flatten(steps):
            total += step.work(sizes) if step.work else SMALL_WORK
        if any(isinstance(step, ControlStep) for step in steps):
            total += SMALL_WORK
        used = [kernel for _, kernel in kernels.values()]
        return Plan(items, used, tables, arena, total >= SMALL_WORK, aliases)

    def _launches(self, sizes: Mapping[str, int]) -> list[recording.Launch]:
        """What each launch does, for profiles."""
        found = []
        for step in flatten(self._scheduled(sizes)):
            cost = step.cost or Cost((), ())
            found.append(
                recording.Launch(
                    step.name,
                    step.label,
                    cost.flops(sizes),
                    cost.nbytes(sizes),
                    cost.is_wide(),
                    cost.source() if self.lines else None,
                )
            )
        return found

    # what `lower()` shows

    def loops(self) -> str:
        """The kernels in the order in which they run; without symbolic sizes also which of them
        share a launch."""
        is_sized = all(isinstance(n, int) for value in self.graph.inputs for n in value.shape)
        lines: list[str] = []
        self._describe(self._scheduled({}) if is_sized else self.steps, "", lines)
        return "\n".join(lines)

    def _describe(self, steps: list[Any], indent: str, lines: list[str]) -> None:
        for step in steps:
            if isinstance(step, ControlStep):
                lines.append(f"{indent}{step.kind}")
                for body in step.bodies:
                    self._describe(body, indent + "  ", lines)
            elif isinstance(step, Together):
                lines.append(f"{indent}together")
                self._describe(list(step.steps), indent + "  ", lines)
            else:
                lines.append(f"{indent}{step.name}  {step.label}")

    def explain(self) -> str:
        """What is fused in each kernel, and why what it stores is stored."""
        return explain(self.optimized)

    def llvm(self) -> str:
        """The LLVM text of all kernels."""
        return "\n".join(texts_of(self.steps).values())

    def assembly(self) -> str:
        """The assembly of all kernels for this machine."""
        texts = texts_of(self.steps).values()
        return "\n".join(native.assembly(text) for text in texts)


def _release(number: int, tables: list[Any]) -> None:
    """Forget a program that is gone. The finalizer's hold on the tables is what keeps them."""
    recording.forget(number)


def compile_graph(graph: Graph, layouts: Layouts = None, lines: bool = False) -> Compiled:
    """Compile a graph for this machine.

    Args:
        graph: types may have symbolic dims, which `bind` fixes.
        layouts: per input its strides in elements (ints or dims), None for dense row-major.
        lines: whether the nodes' lines are those of every call; if not, a profile shows where the
            program was called.
    """
    with paused_collection():
        return Compiled(graph, layouts, lines)


def _lower(graph: Graph, layouts: Layouts) -> Lowered:
    """Passes, clusters, kernels as text."""
    optimized = optimize(layout(optimize(legalize(optimize(graph)))))
    optimized = optimize(optimized, AFTER_LAYOUT)
    lowering = Lowering(vector_bits())
    inputs = [Storage("input", i) for i in range(len(optimized.inputs))]
    outputs = [Storage("output", i) for i in range(len(optimized.outputs))]
    for number, (value, storage) in enumerate(zip(optimized.inputs, inputs, strict=True)):
        lowering.storages[value] = storage
        given = layouts[number] if layouts else None
        if given is not None and tuple(given) != row_major_strides(value.shape):
            lowering.strides[value] = tuple(given)
    lowering.graph(optimized, [Place(storage) for storage in outputs])
    return Lowered(optimized, lowering.steps, inputs, outputs)


__all__ = ["Bound", "Compiled", "Output", "Step", "compile_graph", "vector_bits"]

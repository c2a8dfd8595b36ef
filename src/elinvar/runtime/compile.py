"""Graph → program: passes, kernels, machine code, memory plan, and one native call to run it.

compile_graph   types may be symbolic; kernels as text
Compiled.bind   sizes become numbers: tables, task counts, the arena's layout; machine code, made
                once; a callable
Bound.call      addresses of the arena, the inputs and the outputs → runs everything

Good machine code takes ten times as long to make as code that is merely right, and most programs
do little work: then the time goes into compiling. So a program with little to do is given quick
code; once it has done as much as good code would have cost, good code is made, and the program,
be it in the midst of a loop, goes on with that. The bits are the same, so nobody can tell.
"""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from elinvar.codegen.lower import Lowering
from elinvar.codegen.numerics import EXACT, NUMERICS, Numerics
from elinvar.core.collecting import paused_collection
from elinvar.core.dtypes import DType
from elinvar.core.settings import settings
from elinvar.core.shapes import Shape, evaluate, row_major_strides, size
from elinvar.graph.ir import Graph
from elinvar.kernels.cost import Cost
from elinvar.kernels.explain import explain
from elinvar.kernels.plan import (
    ControlStep,
    Place,
    Step,
    Storage,
    Together,
    flatten,
    keep_what_is_read,
    texts_of,
)
from elinvar.kernels.schedule import schedule
from elinvar.passes.layout import layout
from elinvar.passes.legalize import legalize
from elinvar.passes.pipeline import AFTER_LAYOUT, optimize
from elinvar.runtime import native, program, recording
from elinvar.runtime.llvm import vector_bits_of
from elinvar.runtime.planning import Lowered, make_plan
from elinvar.runtime.plans import Plan, decode, encode, plan_key

Layouts = tuple[Shape | None, ...] | None
GOOD = 3  # LLVM's level
# Elements of work for each kernel of a program: one whose single call has more gets good code at
# once; one of quick code gets good code after so many. Quick code loses one to three nanoseconds on
# an element; a good kernel is compiled in 20 to 50 milliseconds.
QUICK_WORK, ALLOWED_WORK = 400_000, 2_000_000


@functools.cache
def vector_bits() -> int:
    """The widest vectors that the host's instruction set computes with."""
    return vector_bits_of(native.host())


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
    `kept_nbytes`: of memory that is kept between calls and whose address is one more argument of
    each, the last; `prepare`, called with the same arguments and an arena of its own, fills it, and
    must be called again when one of the inputs `prepares_from` has changed.
    """

    call: Any
    arena_nbytes: int
    outputs: list[Output]
    launches: list[Any]
    aliases: list[tuple[int, int]]
    overwriting: Callable[[], Any]
    kept_nbytes: int = 0
    prepare: Any = None
    prepare_arena: int = 0
    prepares_from: tuple[int, ...] = ()


class Compiled:
    """Machine code for one graph.

    A graph whose plan is in the disk cache is not lowered, unless somebody looks at its `steps`.

    Attributes:
        graph, lines: see `compile_graph`.
        seconds: how long compiling took.
    """

    graph: Graph
    lines: bool
    numerics: Numerics
    seconds: float

    def __init__(
        self,
        graph: Graph,
        layouts: Layouts,
        lines: bool,
        settled: tuple[int, ...] = (),
        numerics: Numerics = EXACT,
        quick: bool = True,
    ) -> None:
        start = time.perf_counter()
        self.graph, self.lines, self.numerics = graph, lines, numerics
        self._layouts, self._settled = layouts, settled
        self._lowered: Lowered | None = None
        self._addresses: dict[int, dict[str, int]] = {}  # level → name → address
        self._quick, self._quick_programs = quick, 0
        self._key = plan_key(graph, layouts, settled, vector_bits(), numerics)
        self._plan = None if self._key is None else self._stored_plan(self._key)
        if self._plan is None:
            self._texts()  # all but machine code
        self.seconds = time.perf_counter() - start

    @property
    def lowered(self) -> Lowered:
        """What passes and lowering made of the graph."""
        if self._lowered is None:
            self._lowered = lower_graph(
                self.graph, self._layouts, self._settled, None, self.numerics
            )
        return self._lowered

    @property
    def optimized(self) -> Graph:
        """The graph after all passes."""
        return self.lowered.optimized

    @property
    def steps(self) -> list[Any]:
        """The steps in the order in which they run."""
        return self.lowered.steps

    def _level(self, plan: Plan) -> int:
        """How good the machine code must be for which a program of this plan waits."""
        if GOOD in self._addresses or not self._quick:
            return GOOD
        if plan.work > QUICK_WORK * len(plan.kernels):
            return GOOD
        digests = [bytes.fromhex(kernel.digest) for kernel in plan.kernels]
        return GOOD if all(map(native.is_at_hand, digests)) else native.QUICK

    def _code(self, plan: Plan, level: int) -> list[int]:
        """The addresses of a plan's kernels; their machine code is made unless it is there."""
        if not self._has_code(plan, level):
            texts = self._texts()
            native.prepare(texts.values(), level)
            self._addresses[level] = {
                name: native.load(text, [name], level)[name] for name, text in texts.items()
            }
        found = self._addresses[level]
        return [found[kernel.name] for kernel in plan.kernels]

    def _has_code(self, plan: Plan, level: int) -> bool:
        """Whether the machine code of all kernels of a plan is there; it is loaded then."""
        known = self._addresses.get(level, {})
        for name, digest in plan.kernels:
            if name not in known:
                address = native.load_stored(bytes.fromhex(digest), name, level)
                if address is None:
                    return False
                known[name] = address
        self._addresses[level] = known
        return True

    def _texts(self) -> dict[str, str]:
        """The texts of all kernels by name."""
        return texts_of([*self.lowered.preparation, *self.steps])

    def _stored_plan(self, key: str) -> Plan | None:
        """The plan from the disk, if all of its kernels are there as well."""
        data = native.stored(key)
        plan = None if data is None else decode(data)
        if plan is None:
            return None
        return plan if self._has_code(plan, self._level(plan)) else None

    def bind(self, sizes: Mapping[str, int] | None = None) -> Bound:
        """Fix the sizes of the symbolic dims."""
        with paused_collection():
            return self._bind(sizes or {})

    def _bind(self, sizes: Mapping[str, int]) -> Bound:
        plan = None if sizes else self._plan
        if plan is None:
            plan = make_plan(self.lowered, self._scheduled(sizes), sizes)
            if self._key is not None and not sizes:
                self._plan = plan
                native.store(self._key, encode(plan))
        call, launches = self._callable(plan, sizes, False)
        prepare = None
        if plan.kept:
            prepare, _ = self._callable(plan, sizes, False, prepares=True)
        outputs = [
            Output(
                v.dtype,
                tuple(evaluate(n, sizes) for n in v.shape),
                evaluate(size(v.shape), sizes) * v.dtype.itemsize,
            )
            for v in self.graph.outputs
        ]
        overwriting = _Once(lambda: self._callable(plan, sizes, True)[0] if plan.aliases else call)
        return Bound(
            call,
            plan.arena,
            outputs,
            launches,
            plan.aliases,
            overwriting,
            plan.kept,
            prepare,
            plan.preparation_arena,
            tuple(plan.prepares_from),
        )

    def _callable(
        self, plan: Plan, sizes: Mapping[str, int], overwrites: bool, prepares: bool = False
    ) -> tuple[Any, list[program.Item]]:
        """A native program, and its items: the whole, or the preparation alone."""
        items = plan.preparation if prepares else plan.items
        count = 1 + len(self.graph.inputs) + len(self.graph.outputs) + (plan.kept > 0)
        release = plan.release or prepares

        def encoded_at(level: int, allowed: int = 0) -> tuple[program.Encoded, list[program.Item]]:
            launches = plan.linked(items, self._code(plan, level), overwrites)
            return program.encode_program(launches, count, release, allowed), launches

        level = self._level(plan)
        if level == GOOD:
            encoded, launches = encoded_at(GOOD)
            call = program.program_of(encoded)
        else:  # the more programs of one graph there are, the sooner it deserves good code
            self._quick_programs += 1
            allowed = ALLOWED_WORK * len(plan.kernels) // self._quick_programs
            encoded, launches = encoded_at(level, allowed)
            call = program.program_of(encoded, lambda: encoded_at(GOOD)[0])
        describe = functools.partial(self._launches, dict(sizes), prepares)
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

    def _launches(self, sizes: Mapping[str, int], prepares: bool) -> list[recording.Launch]:
        """What each launch does, for profiles."""
        found = []
        for step in flatten(self.lowered.preparation if prepares else self._scheduled(sizes)):
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
        if self.lowered.preparation:
            lines.append("prepared, until a tensor from outside is another")
            self._describe(self.lowered.preparation, "  ", lines)
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
        lowering = Lowering(vector_bits(), self.numerics)
        for number, value in enumerate(self.optimized.inputs):
            if self._layouts is not None:
                lowering.strides[value] = self._layouts[number]
        return explain(self.optimized, lowering.ends_of)

    def llvm(self) -> str:
        """The LLVM text of all kernels."""
        return "\n".join(self._texts().values())

    def assembly(self) -> str:
        """The assembly of all kernels for this machine."""
        return "\n".join(native.assembly(text) for text in self._texts().values())


class _Once:
    """A function without arguments that is called once; what it needed may go then."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make: Callable[[], Any] | None = make
        self._made: Any = None

    def __call__(self) -> Any:
        make = self._make
        if make is not None:
            self._made = make()  # two threads may both do so: either result will do
            self._make = None
        return self._made


def _release(number: int, tables: list[Any]) -> None:
    """Forget a program that is gone. The finalizer's hold on the tables is what keeps them."""
    recording.forget(number)


def compile_graph(
    graph: Graph,
    layouts: Layouts = None,
    lines: bool = False,
    settled: tuple[int, ...] = (),
    numerics: str = "exact",
    quick: bool = settings.quick,
) -> Compiled:
    """Compile a graph for this machine.

    Args:
        graph: types may have symbolic dims, which `bind` fixes.
        layouts: per input its strides in elements (ints or dims), None for dense row-major.
        lines: whether the nodes' lines are those of every call; if not, a profile shows where the
            program was called.
        settled: numbers of the inputs that are expected to be the same in most calls; what depends
            on them alone is prepared once (see `Bound`).
        numerics: the order in which sums are added, a word of `NUMERICS`.
        quick: whether programs with little to do begin with quick code.
    """
    with paused_collection():
        return Compiled(graph, layouts, lines, settled, NUMERICS[numerics], quick)


def lower_graph(
    graph: Graph,
    layouts: Layouts = None,
    settled: tuple[int, ...] = (),
    bits: int | None = None,
    numerics: Numerics = EXACT,
) -> Lowered:
    """Passes, clusters, kernels as text, for vectors of so many bits (by default the host's)."""
    optimized = optimize(graph)
    for step in (legalize, layout):
        changed = step(optimized)
        optimized = optimized if changed is optimized else optimize(changed)
    optimized = optimize(optimized, AFTER_LAYOUT)
    lowering = Lowering(bits or vector_bits(), numerics)
    inputs = [Storage("input", i) for i in range(len(optimized.inputs))]
    outputs = [Storage("output", i) for i in range(len(optimized.outputs))]
    for number, (value, storage) in enumerate(zip(optimized.inputs, inputs, strict=True)):
        lowering.storages[value] = storage
        given = layouts[number] if layouts else None
        if given is not None and tuple(given) != row_major_strides(value.shape):
            lowering.strides[value] = tuple(given)
    lowering.preparation.settled.update(inputs[number] for number in settled)
    lowering.graph(optimized, [Place(storage) for storage in outputs])
    preparation = lowering.preparation.steps
    keep_what_is_read(preparation, lowering.steps)
    return Lowered(optimized, lowering.steps, inputs, outputs, preparation)


__all__ = [
    "NUMERICS",
    "Bound",
    "Compiled",
    "Output",
    "Step",
    "compile_graph",
    "lower_graph",
    "vector_bits",
]

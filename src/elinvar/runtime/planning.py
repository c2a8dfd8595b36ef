"""Lowered steps → a plan: everything that depends on the sizes becomes a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from elinvar.core.shapes import evaluate
from elinvar.graph.ir import Graph
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
    place_kept,
    touched,
)
from elinvar.runtime import native, program
from elinvar.runtime.plans import FUNCTION, TABLE, Kernel, Plan

SMALL_WORK = 20_000  # below this many elements in all, a program keeps the interpreter lock
PARALLEL_WORK = 20_000  # below this many elements, a launch stays on the calling thread
LAUNCH_WORK = 100  # what a launch costs besides, in elements
MOST_WORK = 1 << 40


class Lowered(NamedTuple):
    """What passes and lowering made of a graph."""

    optimized: Graph
    steps: list[Any]
    inputs: list[Storage]
    outputs: list[Storage]
    preparation: list[Any]


def make_plan(lowered: Lowered, steps: list[Any], sizes: Mapping[str, int]) -> Plan:
    """The plan of `steps`, which are those of `lowered` as they run for given sizes."""
    preparation = lowered.preparation
    offsets, arena = place_arena(steps, sizes)
    kept_offsets, kept = place_kept(preparation, sizes)
    scratch_offsets, scratch = place_arena(preparation, sizes)
    aliases = overwritable(steps, lowered.inputs, lowered.outputs)
    overwriting = {lowered.outputs[output] for _, output in aliases}
    maker = _Maker(lowered, offsets | kept_offsets | scratch_offsets, overwriting, sizes)
    items = [maker.item(step) for step in steps]
    first = [maker.item(step) for step in preparation]
    total = sum(step.work(sizes) if step.work else SMALL_WORK for step in flatten(steps))
    if any(isinstance(step, ControlStep) for step in steps):
        total += SMALL_WORK
    read = {storage for step in preparation for storage in touched(step)[0]}
    sources = [number for number, storage in enumerate(lowered.inputs) if storage in read]
    kernels = list(maker.kernels.values())
    release = total >= SMALL_WORK
    return Plan(
        items, kernels, maker.tables, arena, release, aliases, first, scratch, sources, kept
    )


class _Maker:
    """Makes items of steps. Collects the kernels that they call and the tables that they read."""

    def __init__(
        self,
        lowered: Lowered,
        offsets: dict[Storage, int],
        overwriting: set[Storage],
        sizes: Mapping[str, int],
    ) -> None:
        self.tables: list[Any] = []
        self.kernels: dict[str, Kernel] = {}
        self._numbers: dict[str, int] = {}
        self._tables: dict[bytes, int] = {}
        self._loops: dict[Any, int] = {}
        self._offsets, self._overwriting, self._sizes = offsets, overwriting, sizes
        memory = [*lowered.inputs, *lowered.outputs]
        self._externals = {storage: 1 + number for number, storage in enumerate(memory)}
        self._kept = 1 + len(memory)

    def item(self, step: Any) -> Any:
        """A step as an item of a program."""
        if isinstance(step, ControlStep):
            return self._control(step)
        if isinstance(step, Together):
            members = [self.item(member) for member in step.steps]
            return program.Together(members, step.tasks, any(m.final for m in members))
        tasks = step.tasks(self._sizes)
        work = step.work(self._sizes) if step.work else PARALLEL_WORK
        parallel = tasks > 1 and work >= PARALLEL_WORK
        slots = [self._slot(item) for item in step.slots]
        # state must not be left half written
        final = not self._overwriting.isdisjoint(step.writes)
        counted = min(work, MOST_WORK) + LAUNCH_WORK
        return program.Launch(self._kernel(step), tasks, slots, parallel, final, counted)

    def _control(self, step: ControlStep) -> Any:
        if step.loop is not None:
            self._loops[step.loop] = len(self._loops)
        bodies = [[self.item(inner) for inner in body] for body in step.bodies]
        if step.kind == "for":
            count = evaluate(step.count, self._sizes)
            return program.For(self._loops[step.loop], count, bodies[0], step.reverse)
        assert step.predicate is not None
        predicate = self._slot(step.predicate)
        if step.kind == "cond":
            return program.Cond(predicate, bodies[0], bodies[1])
        return program.While(self._loops[step.loop], bodies[0], predicate, bodies[1])

    def _kernel(self, item: Step | Function) -> int:
        if item.name not in self._numbers:
            self._numbers[item.name] = len(self.kernels)
            self.kernels[item.name] = Kernel(item.name, native.text_digest(item.text).hex())
        return self._numbers[item.name]

    def _slot(self, item: Any) -> Any:
        if isinstance(item, Choice):
            item = item.first if item.takes_first(self._sizes) else item.second
        if isinstance(item, Place):
            number, offset = self._address(item)
            moves = [
                program.Move(
                    self._loops[shift.loop], evaluate(shift.nbytes, self._sizes), shift.parity
                )
                for shift in item.moves
            ]
            return (number, offset, moves) if moves else (number, offset)
        if isinstance(item, Number):
            return (-1, item.at(self._sizes))
        if isinstance(item, Function):
            return (FUNCTION, self._kernel(item))
        table = np.ascontiguousarray(item.make(self._sizes), dtype=np.int64).reshape(-1)
        number = self._tables.setdefault(table.tobytes(), len(self.tables))
        if number == len(self.tables):  # equal tables are one: layers are alike
            self.tables.append(table)
        return (TABLE, number)

    def _address(self, place: Place) -> tuple[int, int]:
        storage, extra = place.storage, evaluate(place.offset, self._sizes)
        if storage.kind == "arena":
            return 0, self._offsets[storage] + extra
        if storage.kind == "kept":
            return self._kept, self._offsets[storage] + extra
        return self._externals[storage], extra

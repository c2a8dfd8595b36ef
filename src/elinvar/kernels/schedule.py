"""Which steps share a launch.

A launch costs a microsecond or two, and at its end threads wait for the last one. So steps that do
not depend on each other become one launch, whatever their kernels are: the updates of all
parameters, the two products of a backward step, small sums. A step may move up to an earlier one if
it does not touch what a step in between writes (nor writes what that one touches), and if the arena
need not be larger for it. No step that overwrites state moves up before the first of these: from
there on nothing stops a program.

What a step computes, and in which order within the step, stays the same, so no bit changes.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from elinvar.kernels.plan import (
    ControlStep,
    Sizes,
    Step,
    Storage,
    Together,
    overwritable,
    touched,
)

LEAST_WORK = 40_000  # less than this in all is not worth waking other threads
SMALL = 400_000  # work of a small step
NEAR, FAR = 6, 64  # how many steps a large and a small step may move up at most
SMALL_MEMORY = 1 << 14  # bytes that a step may leave in the arena to move far
MOST_MEMBERS = 64
MOST_SLOTS = 2000
PART_WORK = 20_000  # work of a part of a common launch, at least
PARTS, MOST_PARTS = 16, 64  # how many parts; more only where they would be longer than
LONG_PART = 500_000


@dataclass(eq=False)
class _Entry:
    """A step, its place in the program, what it touches, and how large it is."""

    step: Any
    number: int
    reads: set[Storage]
    writes: set[Storage]
    tasks: int = 0  # 0: cannot share a launch
    work: int = 0
    fresh: int = 0  # bytes of the arena that are in use from this step on
    is_final: bool = False  # may overwrite an input: from the first of these on nothing stops


@dataclass(eq=False)
class _Touched:
    """What several steps touch."""

    reads: set[Storage]
    writes: set[Storage]

    def add(self, entry: _Entry) -> None:
        self.reads |= entry.reads
        self.writes |= entry.writes

    def conflicts(self, entry: _Entry) -> bool:
        """Whether a step needs to run before or after these."""
        return not (
            self.writes.isdisjoint(entry.reads)
            and self.writes.isdisjoint(entry.writes)
            and self.reads.isdisjoint(entry.writes)
        )


def schedule(
    steps: list[Any],
    sizes: Sizes,
    inputs: Sequence[Storage] = (),
    outputs: Sequence[Storage] = (),
    is_body: bool = False,
) -> list[Any]:
    """The steps of a program as they run, some of them together.

    An output that may overwrite an input (`plan.overwritable`) may do so afterwards. The memory of
    a body of a control step is in use for all of it, in whatever order (`is_body`).
    """
    steps = [_with_bodies(step, sizes) for step in steps]
    if len(steps) < 2:
        return steps
    taken: dict[Storage, set[Storage]] = {}
    for source, target in overwritable(steps, list(inputs), list(outputs)):
        taken.setdefault(outputs[target], set()).add(inputs[source])
    entries = [_entry(step, number, sizes, taken) for number, step in enumerate(steps)]
    alive = [0] * len(entries) if is_body else _alive(entries, sizes)
    return _grouped(entries, alive)


def _with_bodies(step: Any, sizes: Sizes) -> Any:
    """A control step's bodies are programs of their own."""
    if not isinstance(step, ControlStep):
        return step
    bodies = [schedule(body, sizes, is_body=True) for body in step.bodies]
    return dataclasses.replace(step, bodies=bodies)


def _entry(step: Any, number: int, sizes: Sizes, taken: dict[Storage, set[Storage]]) -> _Entry:
    """`taken`: the inputs that an output may overwrite; to write it is to write them."""
    reads, writes = map(set, touched(step))
    is_final = not writes.isdisjoint(taken)
    for output in writes & taken.keys():
        writes |= taken[output]
    entry = _Entry(step, number, reads, writes, is_final=is_final)
    if isinstance(step, Step) and step.work is not None:
        entry.tasks, entry.work = step.tasks(sizes), max(1, step.work(sizes))
    return entry


def _alive(entries: list[_Entry], sizes: Sizes) -> list[int]:
    """Bytes of the arena in use at each step; notes those that begin with it."""
    first: dict[Storage, _Entry] = {}
    last: dict[Storage, int] = {}
    for entry in entries:
        for storage in entry.reads | entry.writes:
            if storage.kind == "arena":
                first.setdefault(storage, entry)
                last[storage] = entry.number
    change = [0] * (len(entries) + 1)
    for storage, entry in first.items():
        nbytes = storage.size(sizes)
        entry.fresh += nbytes
        change[entry.number] += nbytes
        change[last[storage] + 1] -= nbytes
    alive, total = [], 0
    for number in range(len(entries)):
        total += change[number]
        alive.append(total)
    return alive


def _grouped(entries: list[_Entry], alive: list[int]) -> list[Any]:
    peak = max(alive)
    final = min((entry.number for entry in entries if entry.is_final), default=0)
    found: list[Any] = []
    while entries:
        head, *entries = entries
        group, left = [head], []
        inside, between = _Touched(set(), set()), _Touched(set(), set())
        inside.add(head)
        slots = len(head.step.slots) if head.tasks else MOST_SLOTS
        for place, entry in enumerate(entries):
            small = max(entry.work, head.work) < SMALL and entry.fresh < SMALL_MEMORY
            near = small or place - len(group) < NEAR
            if not head.tasks or place - len(group) > FAR or len(group) == MOST_MEMBERS:
                left += entries[place:]
                break
            if (
                near
                and entry.tasks
                and (head.number >= final or not entry.is_final)
                and slots + len(entry.step.slots) <= MOST_SLOTS
                and not inside.conflicts(entry)
                and not between.conflicts(entry)
                and max(alive[head.number : entry.number]) + entry.fresh <= peak
            ):
                for number in range(head.number, entry.number):
                    alive[number] += entry.fresh
                group.append(entry)
                inside.add(entry)
                slots += len(entry.step.slots)
            else:
                left.append(entry)
                between.add(entry)
        entries = left
        found += _together(group)
    return found


def _together(group: list[_Entry]) -> list[Any]:
    """The steps of a group as one, if that pays."""
    if len(group) == 1 or sum(entry.work for entry in group) < LEAST_WORK:
        return [entry.step for entry in group]
    shares = [(entry.tasks, entry.work) for entry in group]
    return [Together([entry.step for entry in group], cut(shares))]


def cut(members: Sequence[tuple[int, int]]) -> list[list[tuple[int, int, int]]]:
    """The tasks of a common launch: about equal work each, the longest first.

    Args:
        members: (tasks, work) of each.

    Example:
        >>> cut([(4, 200_000), (1, 10_000), (1, 10_000)])[-2:]
        [[(0, 3, 4)], [(1, 0, 1), (2, 0, 1)]]
    """
    total = sum(work for _, work in members)
    count = max(2, min(PARTS, total // PART_WORK), min(MOST_PARTS, total // LONG_PART))
    share = total / count
    pieces: list[tuple[float, tuple[int, int, int]]] = []
    for member, (tasks, work) in enumerate(members):
        number = max(1, min(tasks, round(work / share)))
        bounds = [tasks * piece // number for piece in range(number + 1)]
        pieces += [(work / number, (member, a, b)) for a, b in itertools.pairwise(bounds)]
    pieces.sort(key=lambda piece: -piece[0])
    found: list[list[tuple[int, int, int]]] = []
    room = 0.0
    for length, part in pieces:
        if not found or work > room:
            found.append([])
            room = share
        found[-1].append(part)
        room -= length
    return found

"""Steps of a program, the memory that they touch, and where it stands in the arena."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elinvar.core.shapes import DimLike, evaluate
from elinvar.kernels.cost import Cost

ALIGNMENT = 64
Sizes = Mapping[str, int]


def remembered(function: Callable[[Sizes], Any]) -> Callable[[Sizes], Any]:
    """A function of the sizes that is computed once for each mapping of sizes: while a program is
    bound, several slots ask for the same."""
    last: tuple[Any, Any] = (None, None)

    def found(sizes: Sizes) -> Any:
        nonlocal last
        known, value = last
        if known is not sizes:
            value = function(sizes)
            last = (sizes, value)
        return value

    return found


@dataclass(eq=False)
class Storage:
    """A block of memory: an input, an output, a part of the arena, or kept from call to call."""

    kind: str  # input | output | arena | kept
    number: int  # which input or output
    nbytes: DimLike | Callable[[Sizes], int] = 0

    def size(self, sizes: Sizes) -> int:
        """How many bytes it has for given sizes."""
        nbytes = self.nbytes
        if isinstance(nbytes, int):  # some ints can be called: those that users have for sizes
            return nbytes
        return nbytes(sizes) if callable(nbytes) else evaluate(nbytes, sizes)


class Loop:
    """The identity of a while or for step, which moving places refer to."""


@dataclass(frozen=True)
class Shift:
    """How a place moves with a loop: by `nbytes` for each iteration that came before.

    With `parity` it moves in every second iteration only, so that two blocks take turns.
    """

    loop: Loop
    nbytes: DimLike
    parity: bool = False


@dataclass(frozen=True)
class Place:
    """A slot that holds an address: a storage plus an offset in bytes, which may move with each
    iteration of enclosing loops."""

    storage: Storage
    offset: DimLike = 0
    moves: tuple[Shift, ...] = ()


@dataclass(frozen=True)
class Number:
    """A slot that holds a number computed from the sizes."""

    value: DimLike | Callable[[Sizes], int]

    def at(self, sizes: Sizes) -> int:
        value = self.value
        if isinstance(value, int):
            return value
        return value(sizes) if callable(value) else evaluate(value, sizes)


@dataclass(frozen=True)
class Table:
    """A slot that holds the address of a constant int64 table computed from the sizes."""

    make: Callable[[Sizes], np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Choice:
    """A slot that holds one place or another, by the sizes."""

    first: Place
    second: Place
    takes_first: Callable[[Sizes], bool]


@dataclass(frozen=True)
class Function:
    """A slot that holds the address of a function which the kernel calls."""

    name: str
    text: str


@dataclass
class Step:
    """One launch: the kernel's text and name, its slots and how many tasks it has."""

    name: str
    text: str
    slots: list[Any]
    tasks: Callable[[Sizes], int]
    reads: list[Storage] = field(default_factory=list)
    writes: list[Storage] = field(default_factory=list)
    label: str = ""
    work: Callable[[Sizes], int] | None = None  # about how many elements or fmas; None: unknown
    cost: Cost | None = None  # for profiles
    in_place: Sequence[tuple[Storage, Storage]] = ()  # (read, written) pairs


@dataclass
class Together:
    """Steps that do not touch what another of them writes, run as one launch.

    `tasks`: how the launch is shared out, each a list of parts (member, first task, end).
    """

    steps: list[Step]
    tasks: list[list[tuple[int, int, int]]]

    @property
    def in_place(self) -> list[tuple[Storage, Storage]]:
        """(read, written) pairs of all members."""
        return [pair for step in self.steps for pair in step.in_place]


@dataclass
class ControlStep:
    """cond, while or for over nested steps."""

    kind: str
    predicate: Place | None
    bodies: list[list[Any]]
    loop: Loop | None = None
    count: DimLike = 0
    reverse: bool = False
    reads: list[Storage] = field(default_factory=list)
    writes: list[Storage] = field(default_factory=list)
    label: str = ""


def flatten(steps: Iterable[Any]) -> Iterable[Step]:
    """All launches, also those inside of control steps."""
    for step in steps:
        if isinstance(step, ControlStep):
            for body in step.bodies:
                yield from flatten(body)
        elif isinstance(step, Together):
            yield from step.steps
        else:
            yield step


def texts_of(steps: Iterable[Any]) -> dict[str, str]:
    """The texts of all kernels, and of the functions that they are given, by name."""
    texts: dict[str, str] = {}
    for step in flatten(steps):
        texts[step.name] = step.text
        texts.update((slot.name, slot.text) for slot in step.slots if isinstance(slot, Function))
    return texts


def touched(step: Any) -> tuple[list[Storage], list[Storage]]:
    """What a step reads and writes, nested steps included."""
    if isinstance(step, Step):
        return step.reads, step.writes
    reads: list[Storage] = []
    writes: list[Storage] = []
    if isinstance(step, ControlStep):
        reads, writes = list(step.reads), list(step.writes)
    for inner in flatten([step]):
        reads += inner.reads
        writes += inner.writes
    return reads, writes


def overwritable(
    steps: list[Any], inputs: list[Storage], outputs: list[Storage]
) -> list[tuple[int, int]]:
    """(input, output) pairs where the output may be written into the input's memory.

    The step that writes the output must be the last to read the input, and read each element only
    where it writes that element.
    """
    last_read: dict[Storage, int] = {}
    written: dict[Storage, list[int]] = {}
    for number, step in enumerate(steps):
        reads, writes = touched(step)
        for storage in reads:
            last_read[storage] = number
        for storage in writes:
            written.setdefault(storage, []).append(number)
    found = []
    for o, output in enumerate(outputs):
        writers = written.get(output, [])
        if len(writers) != 1 or isinstance(steps[writers[0]], ControlStep):
            continue
        step = steps[writers[0]]
        reads, _ = touched(step)
        for source, target in step.in_place:
            if (
                target is output
                and source.kind == "input"
                and last_read[source] == writers[0]
                and reads.count(source) == 1
                and source not in written
            ):
                found.append((inputs.index(source), o))
    return found


def keep_what_is_read(preparation: Iterable[Any], steps: Iterable[Any]) -> None:
    """What only the preparation itself reads is part of its arena."""
    read = {storage for step in steps for storage in touched(step)[0]}
    for step in preparation:
        for storage in (*touched(step)[0], *touched(step)[1]):
            if storage.kind == "kept" and storage not in read:
                storage.kind = "arena"


def place_kept(preparation: Iterable[Any], sizes: Sizes) -> tuple[dict[Storage, int], int]:
    """Offsets of what is kept between calls, one behind the other."""
    offsets: dict[Storage, int] = {}
    total = 0
    for step in preparation:
        for storage in touched(step)[1]:
            if storage.kind == "kept" and storage not in offsets:
                offsets[storage] = total
                total += -(-max(1, storage.size(sizes)) // ALIGNMENT) * ALIGNMENT
    return offsets, total


def place_arena(steps: list[Any], sizes: Sizes) -> tuple[dict[Storage, int], int]:
    """Offsets of the arena's parts, such that parts alive at the same time do not overlap.

    A part that a control step touches lives for the whole of that step. A result may take the
    memory of an operand that its kernel is the last to read, if it may be written over it.
    """
    first: dict[Storage, int] = {}
    last: dict[Storage, int] = {}
    for number, step in enumerate(steps):
        reads, writes = touched(step)
        for storage in (*reads, *writes):
            if storage.kind == "arena":
                first.setdefault(storage, number)
                last[storage] = number
    wanted = {s: -(-max(1, s.size(sizes)) // ALIGNMENT) * ALIGNMENT for s in first}
    alone = [Block(wanted[s], first[s], last[s], [s]) for s in first]
    found = placed_blocks(alone)
    joined = joined_blocks(steps, first, last, wanted, lambda a, b: wanted[a] == wanted[b])
    if len(joined) < len(alone):
        found = min(found, placed_blocks(joined), key=lambda placed: placed[1])
    return found


@dataclass
class Block:
    """A block of the arena: how many bytes, from which step to which, for which parts."""

    nbytes: int
    first: int
    last: int
    parts: list[Storage]


def joined_blocks(
    steps: list[Any],
    first: dict[Storage, int],
    last: dict[Storage, int],
    wanted: dict[Storage, int],
    are_equal: Callable[[Storage, Storage], bool],
) -> list[Block]:
    """Blocks in which results stand where operands stood, if both are as large (`are_equal`)."""
    blocks = {s: Block(wanted[s], first[s], last[s], [s]) for s in first}
    for number, step in enumerate(steps):
        if isinstance(step, ControlStep):
            continue
        reads, writes = touched(step)
        taken: set[Storage] = set()
        for source, target in step.in_place:
            if (
                source in blocks
                and target in blocks
                and last[source] == first[target] == number
                and are_equal(source, target)
                and reads.count(source) == writes.count(target) == 1
                and taken.isdisjoint((source, target))
            ):
                taken |= {source, target}
                block, other = blocks[source], blocks[target]
                block.last, block.parts = other.last, block.parts + other.parts
                blocks[target] = block
    return list({id(block): block for block in blocks.values()}.values())


def placed_blocks(blocks: list[Block]) -> tuple[dict[Storage, int], int]:
    """The largest blocks are placed first, each at the lowest offset that is free in its life."""
    offsets: dict[Storage, int] = {}
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last
    total = 0
    for block in sorted(blocks, key=lambda b: (-b.nbytes, b.first)):
        offset = 0
        for low, high, begin, end in placed:
            if end < block.first or begin > block.last:
                continue
            if low - offset >= block.nbytes:
                break
            offset = max(offset, high)
        offsets |= dict.fromkeys(block.parts, offset)
        placed.append((offset, offset + block.nbytes, block.first, block.last))
        placed.sort()
        total = max(total, offset + block.nbytes)
    return offsets, total

"""The arena as a function of the sizes: which block stands above which, and no numbers.

For some typical sizes the blocks are placed as in `kernels/plan.py`. What is kept of it is the
order: of two blocks that are alive at the same time, one is below the other. For any other sizes
each block begins where the highest one below it ends. So no two blocks overlap, whatever the sizes,
and for the typical ones the arena is as small as the placing found it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from elinvar.core.sizing import Size, ceil_div, most, value_of
from elinvar.kernels.plan import ALIGNMENT, ControlStep, Storage, touched


class Block(NamedTuple):
    """A part of the arena: how many bytes, and which blocks it stands upon."""

    storages: tuple[Storage, ...]
    nbytes: Any
    below: tuple[int, ...]


class _Life(NamedTuple):
    storages: list[Storage]
    nbytes: Any
    first: int
    last: int


def plan_arena(
    steps: list[Any],
    extra: list[tuple[Storage, int, int]],
    sizes: Mapping[str, Any],
    typical: Mapping[str, int],
) -> list[Block]:
    """The blocks of the arena, lowest first.

    Args:
        steps: what runs.
        extra: (memory, first step, last step) that is alive beyond the steps that touch it.
        sizes: expressions by name of the symbolic dim.
        typical: numbers by the same names.
    """
    lives = _joined(steps, _lives(steps, extra), sizes)
    known: dict[Any, int] = {}
    wanted = [value_of(life.nbytes, typical, known) for life in lives]
    offsets = _placed(lives, wanted)
    order = sorted(range(len(lives)), key=lambda n: (offsets[n], n))
    found: list[Block] = []
    upon: list[set[int]] = []  # all that a block stands upon, directly or not
    for position, number in enumerate(order):
        life = lives[number]
        under = [
            other
            for other in range(position)
            if _meet(life, lives[order[other]])
            and offsets[order[other]] + wanted[order[other]] <= offsets[number]
        ]
        direct: list[int] = []
        covered: set[int] = set()
        for other in reversed(under):
            if other not in covered:
                direct.append(other)
                covered |= {other, *upon[other]}
        upon.append(covered)
        found.append(Block(tuple(life.storages), life.nbytes, tuple(sorted(direct))))
    return found


def _lives(
    steps: list[Any], extra: list[tuple[Storage, int, int]]
) -> dict[Storage, tuple[int, int]]:
    lives: dict[Storage, tuple[int, int]] = {}

    def touch(storage: Storage, first: int, last: int) -> None:
        low, high = lives.get(storage, (first, last))
        lives[storage] = min(low, first), max(high, last)

    for number, step in enumerate(steps):
        for storage in (*touched(step)[0], *touched(step)[1]):
            if storage.kind == "arena":
                touch(storage, number, number)
    for storage, first, last in extra:
        touch(storage, first, last)
    return lives


def _joined(
    steps: list[Any], lives: dict[Storage, tuple[int, int]], sizes: Mapping[str, Any]
) -> list[_Life]:
    """Results stand where operands stood, where a kernel allows it and they are as large."""
    nbytes = {s: rounded(s.size(sizes)) for s in lives}
    blocks = {s: _Life([s], nbytes[s], *lives[s]) for s in lives}
    for number, step in enumerate(steps):
        if isinstance(step, ControlStep):
            continue
        reads, writes = touched(step)
        taken: set[Storage] = set()
        for source, target in step.in_place:
            if (
                source in blocks
                and target in blocks
                and lives[source][1] == lives[target][0] == number
                and _is_equal(nbytes[source], nbytes[target])
                and reads.count(source) == writes.count(target) == 1
                and taken.isdisjoint((source, target))
            ):
                taken |= {source, target}
                block, other = blocks[source], blocks[target]
                both = [*block.storages, *other.storages]
                joined = _Life(both, block.nbytes, block.first, max(block.last, other.last))
                blocks |= dict.fromkeys(both, joined)
    return list({id(block): block for block in blocks.values()}.values())


def rounded(nbytes: Any) -> Any:
    """Bytes up to the next multiple of the alignment, at least one of them."""
    return ceil_div(most(1, nbytes), ALIGNMENT) * ALIGNMENT


def _is_equal(one: Any, other: Any) -> bool:
    """Whether two sizes are the same for whatever sizes of the dims."""
    known = not isinstance(one, Size) and not isinstance(other, Size)
    return one == other if known else one is other


def _meet(one: _Life, other: _Life) -> bool:
    return one.first <= other.last and other.first <= one.last


def _placed(lives: list[_Life], wanted: list[int]) -> list[int]:
    """Offsets for typical sizes: the largest first, each as low as it goes."""
    offsets = [0] * len(lives)
    placed: list[int] = []
    for number in sorted(range(len(lives)), key=lambda n: (-wanted[n], lives[n].first)):
        offset = 0
        for other in sorted(placed, key=lambda n: offsets[n]):
            if not _meet(lives[number], lives[other]):
                continue
            if offsets[other] - offset >= wanted[number]:
                break
            offset = max(offset, offsets[other] + wanted[other])
        offsets[number] = offset
        placed.append(number)
    return offsets

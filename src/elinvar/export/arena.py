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
from elinvar.kernels.plan import ALIGNMENT, Storage, joined_blocks, placed_blocks, touched


class Part(NamedTuple):
    """A part of the arena: for which storages, how many bytes, and which parts it stands upon."""

    storages: tuple[Storage, ...]
    nbytes: Any
    below: tuple[int, ...]


def plan_arena(
    steps: list[Any],
    extra: list[tuple[Storage, int, int]],
    sizes: Mapping[str, Any],
    typical: Mapping[str, int],
) -> list[Part]:
    """The parts of the arena, lowest first.

    Args:
        steps: what runs.
        extra: (memory, first step, last step) that is alive beyond the steps that touch it.
        sizes: expressions by name of the symbolic dim.
        typical: numbers by the same names.
    """
    first, last = _lives(steps, extra)
    nbytes = {storage: _rounded(storage.size(sizes)) for storage in first}
    known: dict[Any, int] = {}
    wanted = {storage: value_of(size, typical, known) for storage, size in nbytes.items()}

    def are_equal(one: Storage, other: Storage) -> bool:
        """For whatever sizes of the dims."""
        a, b = nbytes[one], nbytes[other]
        return a is b if isinstance(a, Size) or isinstance(b, Size) else a == b

    blocks = joined_blocks(steps, first, last, wanted, are_equal)
    offsets, _ = placed_blocks(blocks)
    blocks.sort(key=lambda block: offsets[block.parts[0]])
    found: list[Part] = []
    upon: list[set[int]] = []  # all that a part stands upon, directly or not
    for position, block in enumerate(blocks):
        direct: list[int] = []
        covered: set[int] = set()
        for number in reversed(range(position)):
            other = blocks[number]
            meets = block.first <= other.last and other.first <= block.last
            if meets and number not in covered:
                direct.append(number)
                covered |= {number, *upon[number]}
        upon.append(covered)
        found.append(Part(tuple(block.parts), nbytes[block.parts[0]], tuple(sorted(direct))))
    return found


def _lives(
    steps: list[Any], extra: list[tuple[Storage, int, int]]
) -> tuple[dict[Storage, int], dict[Storage, int]]:
    """The first and the last step at which each part is alive."""
    spans = [
        (storage, number, number)
        for number, step in enumerate(steps)
        for storage in (*touched(step)[0], *touched(step)[1])
        if storage.kind == "arena"
    ]
    first: dict[Storage, int] = {}
    last: dict[Storage, int] = {}
    for storage, begin, end in (*spans, *extra):
        first[storage] = min(begin, first.get(storage, begin))
        last[storage] = max(end, last.get(storage, end))
    return first, last


def _rounded(nbytes: Any) -> Any:
    """Bytes up to the next multiple of the alignment, at least one of them."""
    return ceil_div(most(1, nbytes), ALIGNMENT) * ALIGNMENT

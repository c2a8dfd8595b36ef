"""Which results of a fused kernel may overwrite one of its operands."""

from __future__ import annotations

from collections.abc import Sequence

from elinvar.graph.ir import Value
from elinvar.kernels.group import Group
from elinvar.kernels.plan import Step, Storage
from elinvar.kernels.pull import is_movement, squeeze


def overwritable(group: Group) -> list[tuple[int, int]]:
    """(operand, result) pairs of a kernel where the result may stand in the operand's memory.

    The operand has the result's type and is read only at the index that is being written. Other
    elements are then read before or after, by this thread or by another, without harm.
    """
    if group.kind != "map":
        return []
    moved = _read_through_movement(group)
    pairs = []
    for number, value in enumerate(group.region.inputs):
        if value in moved or squeeze(value.shape) != group.space:
            continue
        for position, result in enumerate(group.region.outputs):
            if result.type == value.type and not result.node.is_input:
                pairs.append((number, position))
    return pairs


def _read_through_movement(group: Group) -> set[Value]:
    """Inputs of a region that some output reads at another index than its own."""
    found: set[Value] = set()
    seen: set[tuple[Value, bool]] = set()
    stack = [(value, False) for value in group.region.outputs]
    while stack:
        value, is_moved = stack.pop()
        if (value, is_moved) in seen:
            continue
        seen.add((value, is_moved))
        if value.node.is_input:
            if is_moved:
                found.add(value)
            continue
        below = is_moved or is_movement(value.node)
        stack += [(operand, below) for operand in value.node.operands]
    return found


def donations(steps: Sequence[object], dense: set[Storage]) -> list[tuple[Storage, Storage]]:
    """(input, output) pairs: the output may take over the input's memory, if the caller needs the
    input no more. An input goes to one output at most, whichever of its pairs the caller takes.

    The step that writes the output is the last one that reads the input, and nothing else writes
    the output.

    Args:
        steps: the program's steps in order; only plain ones are looked at.
        dense: the inputs that lie dense in memory.
    """
    last_read: dict[Storage, int] = {}
    writers: dict[Storage, list[int]] = {}
    for number, step in enumerate(steps):
        for storage in step.reads:  # type: ignore[attr-defined]
            last_read[storage] = number
        for storage in step.writes:  # type: ignore[attr-defined]
            writers.setdefault(storage, []).append(number)
    return [
        (source, target)
        for number, step in enumerate(steps)
        if isinstance(step, Step)
        for source, target in step.in_place
        if target.kind == "output"
        and source in dense
        and last_read[source] == number
        and writers[target] == [number]
    ]

"""How a value can be computed again from what is in memory: for `again.py` and `refresh.py`."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from elinvar.core.shapes import DimLike, size
from elinvar.graph.ir import Value
from elinvar.kernels.cluster import Clusterer
from elinvar.kernels.index import TRUE
from elinvar.kernels.pull import EXPENSIVE, gathered, is_elementwise, is_movement

MOST_STEPS = 12  # operations that are worth doing again for a value
MOST_EXPENSIVE = 2
SMALL_PART = 8  # a value is small beside another that has so many times its bytes


class Recipe(NamedTuple):
    """The values on the way to a value, itself among them, those in memory that they read, and
    which of them are expensive."""

    steps: set[Value]
    reads: set[Value]
    expensive: set[Value]


def recipe_for(clusterer: Clusterer, stored: Collection[Value], value: Value) -> Recipe | None:
    """None where a value cannot be computed from `stored` ones, or that takes too long."""
    found = Recipe(set(), set(), set())
    count, stack = 0, [value]
    while stack:
        step = stack.pop()
        if step in found.steps:
            continue
        node = step.node
        if not is_elementwise(node) or node.op_name == "random_bits":
            return None
        found.steps.add(step)
        own, places = clusterer.uses(node)
        count += 1 + _inline_steps(clusterer, step)
        if node.op_name in EXPENSIVE:
            found.expensive.add(step)
        if count > MOST_STEPS or len(found.expensive) > MOST_EXPENSIVE:
            return None
        for place in places:
            inner = place.value
            if inner in stored or inner.node.is_input:
                found.reads.add(inner)
            elif gathered(inner.shape, place.index) == own and place.guard == TRUE:
                stack.append(inner)
            else:
                return None
    return found


def _inline_steps(clusterer: Clusterer, value: Value) -> int:
    """Arithmetic on the way to what a value's node reads."""
    count, stack, seen = 0, list(value.node.operands), set()
    while stack:
        inner = stack.pop()
        if inner in seen or inner not in clusterer.inline:
            continue
        seen.add(inner)
        count += not is_movement(inner.node) and inner.node.op_name != "constant"
        stack.extend(inner.node.operands)
    return count


def about_bytes(value: Value) -> int:
    """Bytes of a value; symbolic dims count as 1024."""
    nbytes: DimLike = size(value.shape) * value.dtype.itemsize
    if isinstance(nbytes, int):
        return nbytes
    return nbytes.evaluate(dict.fromkeys(nbytes.names(), 1024))


def is_small(value: Value, beside: Value) -> bool:
    """Whether a value's memory does not count beside another's."""
    return about_bytes(value) * SMALL_PART <= about_bytes(beside)

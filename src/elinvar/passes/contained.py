"""Loops that do all that another one does: the other one is read off their results.

Forward mode makes of a loop one that steps values and tangents together, beside the loop itself.
Where the larger loop starts with the same carries, reads the same sequences and constants first,
and steps (and tests) them in the same way, it gives the results of the smaller one, too:

    y = while_loop(x; step)
    y2, t = while_loop(x, x'; step, step')      →      y, t = while_loop(x, x'; step, step')
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from elinvar.graph.ir import Builder, Graph, Node, Value, inline, reachable

LOOPS = ("scan", "while_loop")


@dataclass(frozen=True, slots=True)
class _Containment:
    """The loop that does the work, its params with all results, and which of them are whose."""

    outer: Node
    params: dict[str, Any]
    places: tuple[int, ...]


def join_contained(graph: Graph) -> Graph:
    """Leave out loops that others contain; the graph itself if there are none."""
    loops = [node for node in graph.nodes if node.op_name in LOOPS]
    if len(loops) < 2:
        return graph
    for small in loops:
        for large in loops:
            if large is small or not _may_contain(large, small):
                continue
            found = _containment(large, small)
            if found is not None and not _depends(large, small):
                return join_contained(_emit(graph, small, found))
    return graph


def _groups(node: Node) -> list[tuple[Value, ...]]:
    """The operands by kind: carries, sequences, constants."""
    carry = node.params["carry"]
    stop = carry + node.params.get("sequences", 0)
    operands = node.operands
    return [operands[:carry], operands[carry:stop], operands[stop:]]


def _may_contain(large: Node, small: Node) -> bool:
    if large.op is not small.op:
        return False
    if any(large.params.get(key) != small.params.get(key) for key in ("length", "reverse")):
        return False
    for more, less in zip(_groups(large), _groups(small), strict=True):
        if more[: len(less)] != less:
            return False
    return len(large.operands) > len(small.operands)


def _arguments(large: Node, small: Node, inputs: Sequence[Value]) -> list[Value]:
    """Of the large loop's inputs, those that stand for the small one's."""
    found: list[Value] = []
    start = 0
    for more, less in zip(_groups(large), _groups(small), strict=True):
        found += inputs[start : start + len(less)]
        start += len(more)
    return found


def _containment(large: Node, small: Node) -> _Containment | None:
    carry, all_carries = small.params["carry"], large.params["carry"]
    builder = Builder(capture_source=False)
    body = large.params["body"]
    inputs = [builder.input(value.type, value.node.name) for value in body.inputs]
    chosen = _arguments(large, small, inputs)
    if [v.type for v in chosen] != [v.type for v in small.params["body"].inputs]:
        return None
    outputs = list(inline(builder, body, inputs))
    parts = list(inline(builder, small.params["body"], chosen))
    # loops inside of the bodies are joined in their turn, or equal values would not be the same
    joined = join_contained(builder.graph([*outputs, *parts], body.name))
    outputs, parts = list(joined.outputs[: len(outputs)]), list(joined.outputs[len(outputs) :])
    if any(a is not b for a, b in zip(parts[:carry], outputs, strict=False)):
        return None
    params = dict(large.params)
    if "condition" in params:
        test = inline(builder, large.params["condition"], inputs)
        if test != inline(builder, small.params["condition"], chosen):
            return None
    places = list(range(carry))
    for value in parts[carry:]:
        if value not in outputs[all_carries:]:
            outputs.append(value)
        places.append(outputs.index(value, all_carries))
    params["body"] = Graph(joined.inputs, outputs, body.name)
    return _Containment(large, params, tuple(places))


def _depends(large: Node, small: Node) -> bool:
    """Whether the large loop needs results of the small one."""
    return any(node is small for node in reachable(large.operands))


def _emit(graph: Graph, small: Node, found: _Containment) -> Graph:
    builder = Builder(capture_source=False)
    new: dict[Value, Value] = {}
    for value in graph.inputs:
        new[value] = builder.input(value.type, value.node.name)
    for node in _ordered(graph, small, found.outer):
        operands = tuple(new[operand] for operand in node.operands)
        if node is found.outer:
            assert node.op is not None
            made = builder.add(node.op, operands, found.params, node.source)
            new.update(zip(node.results, made, strict=False))
            new.update(
                (value, made[place])
                for value, place in zip(small.results, found.places, strict=True)
            )
        elif node is not small:
            new.update(zip(node.results, builder.copy(node, operands), strict=True))
    return builder.graph([new[value] for value in graph.outputs], graph.name)


def _ordered(graph: Graph, small: Node, large: Node) -> Iterable[Node]:
    """The graph's nodes, where whoever needs the small loop comes after the large one."""
    before = {node for node in reachable(large.operands) if not node.is_input}
    for node in graph.nodes:
        if node in before:
            yield node
    yield large
    for node in graph.nodes:
        if node not in before and node is not large:
            yield node

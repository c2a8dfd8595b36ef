"""Dead code: what no output needs.

A graph holds only what its outputs reach, so plain dead nodes are gone by themselves. What remains
is inside of control operations: results that nobody reads, operands that no sub-graph reads, and
carries that only feed themselves or never change. Here they are taken out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from elinvar.graph.ir import Builder, Graph, Node, Value, reachable


def dead(graph: Graph) -> Graph:
    """Take out unused results, operands and carries of control operations."""
    used = {operand for node in graph.nodes for operand in node.operands} | set(graph.outputs)
    trims: dict[Node, _Trim] = {}
    for node in graph.nodes:
        rule = _RULES.get(node.op_name)
        if rule is not None:
            trim = rule(node, [value in used for value in node.results])
            if trim is not None:
                trims[node] = trim
    return _emit(graph, trims) if trims else graph


@dataclass(frozen=True, slots=True)
class _Trim:
    """A smaller node: which operands it keeps, its params, and where each old result comes from.

    A result comes from `("result", i)`, from `("operand", i)`, or from nowhere (None) if unused.
    """

    operands: tuple[int, ...]
    params: dict[str, Any]
    results: tuple[tuple[str, int] | None, ...]


def _emit(graph: Graph, trims: dict[Node, _Trim]) -> Graph:
    builder = Builder(capture_source=False)
    new: dict[Value, Value] = {}
    for value in graph.inputs:
        new[value] = builder.input(value.type, value.node.name)
    for node in graph.nodes:
        trim = trims.get(node)
        operands = tuple(new[operand] for operand in node.operands)
        if trim is None:
            new.update(zip(node.results, builder.copy(node, operands), strict=True))
            continue
        assert node.op is not None
        kept = tuple(operands[i] for i in trim.operands)
        found = builder.add(node.op, kept, trim.params, node.source)
        for value, origin in zip(node.results, trim.results, strict=True):
            if origin is not None:
                new[value] = (found if origin[0] == "result" else operands)[origin[1]]
    return builder.graph([new[value] for value in graph.outputs], graph.name)


def _inputs_read(graphs: Iterable[Graph]) -> list[bool]:
    """For each input position: whether any of the graphs needs it."""
    read: list[bool] = []
    for graph in graphs:
        needed = {value for node in reachable(graph.outputs) for value in node.operands}
        needed |= set(graph.outputs)
        found = [value in needed for value in graph.inputs]
        read = [a or b for a, b in zip(read, found, strict=True)] if read else found
    return read


def _part(graph: Graph, inputs: Sequence[int], outputs: Sequence[int]) -> Graph:
    """The graph with some of its inputs and outputs (nothing else may read the other inputs)."""
    return Graph(
        [graph.inputs[i] for i in inputs], [graph.outputs[i] for i in outputs], graph.name
    )


def _where(flags: Iterable[bool]) -> list[int]:
    return [position for position, flag in enumerate(flags) if flag]


# ---- cond ---------------------------------------------------------------------------------------


def _cond(node: Node, used: list[bool]) -> _Trim | None:
    branches = [node.params[name] for name in ("true", "false")]
    outputs = _where(used)
    slim = [_part(graph, range(len(graph.inputs)), outputs) for graph in branches]
    inputs = _where(_inputs_read(slim))
    if len(outputs) == len(used) and len(inputs) == len(branches[0].inputs):
        return None
    true, false = (_part(graph, inputs, range(len(outputs))) for graph in slim)
    results = [("result", outputs.index(i)) if i in outputs else None for i in range(len(used))]
    operands = (0, *(i + 1 for i in inputs))
    return _Trim(operands, {"true": true, "false": false}, tuple(results))


# ---- loops --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Loop:
    """A scan or while_loop as carries, slices and constants; `readers` are all graphs inside."""

    carry: int
    sequences: int
    body: Graph
    condition: Graph | None


def _live_outputs(loop: _Loop, used: list[bool]) -> set[int]:
    """The body's outputs that matter: used results, and carries that they or the condition read."""
    live = {i for i, flag in enumerate(used) if flag}
    if loop.condition is not None:
        live |= {i for i in _where(_inputs_read([loop.condition])) if i < loop.carry}
    while True:
        part = _part(loop.body, range(len(loop.body.inputs)), sorted(live))
        read = {i for i in _where(_inputs_read([part])) if i < loop.carry}
        if read <= live:
            return live
        live |= read


def _trim_loop(loop: _Loop, used: list[bool]) -> tuple[_Trim, int, int] | None:
    """The trim without its loop params, the number of carries left and of sequences left."""
    live = _live_outputs(loop, used)
    fixed = [
        i for i in sorted(live) if i < loop.carry and loop.body.outputs[i] is loop.body.inputs[i]
    ]
    carries = [i for i in sorted(live) if i < loop.carry and i not in fixed]
    outputs = [*carries, *(i for i in sorted(live) if i >= loop.carry)]
    everything = range(len(loop.body.inputs))
    readers = [_part(loop.body, everything, outputs)]
    if loop.condition is not None:
        readers.append(loop.condition)
    read = _inputs_read(readers)
    stop = loop.carry + loop.sequences
    sequences = [i for i in range(loop.carry, stop) if read[i]]
    constants = [i for i in (*fixed, *range(stop, len(read))) if read[i]]
    inputs = (*carries, *sequences, *constants)
    if len(inputs) == len(read) and len(outputs) == len(used):
        return None
    params: dict[str, Any] = {"body": _part(loop.body, inputs, outputs)}
    if loop.condition is not None:
        params["condition"] = _part(loop.condition, inputs, [0])
    results: list[tuple[str, int] | None] = []
    for i in range(len(used)):
        if i in fixed:
            results.append(("operand", i))
        else:
            results.append(("result", outputs.index(i)) if i in outputs else None)
    return _Trim(inputs, params, tuple(results)), len(carries), len(sequences)


def _scan(node: Node, used: list[bool]) -> _Trim | None:
    old = node.params
    loop = _Loop(old["carry"], old["sequences"], old["body"], None)
    found = _trim_loop(loop, used)
    if found is None:
        return None
    trim, carry, sequences = found
    params = old | trim.params | {"carry": carry, "sequences": sequences}
    return _Trim(trim.operands, params, trim.results)


def _while_loop(node: Node, used: list[bool]) -> _Trim | None:
    old = node.params
    loop = _Loop(old["carry"], 0, old["body"], old["condition"])
    found = _trim_loop(loop, used)
    if found is None:
        return None
    trim, carry, _ = found
    if not carry:
        return None  # a loop whose condition never changes is left as the user wrote it
    return _Trim(trim.operands, old | trim.params | {"carry": carry}, trim.results)


_RULES = {"cond": _cond, "scan": _scan, "while_loop": _while_loop}

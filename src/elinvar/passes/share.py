"""Sharing: equal nodes become one (common subexpressions), and scans over the same data one scan.

Building anew in one builder shares equal nodes. Beyond that, equal sub-graphs become the same
object, so that equal control operations are equal nodes; and scans with the same operands whose
carries go the same way become one scan that gives the results of all. (The derivative of a scan
asks for its carries by a scan of its own: here it merges with the forward one.) A loop that another
one contains is read off that one's results (`contained.py`). A `barrier` keeps
its tag and therefore stays apart from others.
"""

from __future__ import annotations

from typing import Any

from elinvar.graph.ir import Builder, Graph, Node, Value, inline, node_key, rewrite
from elinvar.graph.walk import fingerprint, subgraphs
from elinvar.passes.contained import join_contained

Group = tuple[Graph, dict[Node, tuple[int, ...]]]  # the merged body; which outputs a member has


def share(graph: Graph) -> Graph:
    """Merge what is equal: `add(x, y), add(x, y)` → one node."""
    return join_contained(_merge_scans(_rebuild(graph)))


def _rebuild(graph: Graph) -> Graph:
    """The graph with equal nodes and sub-graphs shared; the graph itself if there are none."""
    known: dict[str, Graph] = {}
    replaced: dict[Graph, Graph] = {}
    for node in graph.nodes:
        for inner in subgraphs(node).values():
            replaced[inner] = known.setdefault(fingerprint(inner), inner)
    if all(inner is same for inner, same in replaced.items()) and not _repeats(graph):
        return graph

    def rule(builder: Builder, node: Node, operands: tuple[Value, ...]) -> Any:
        inner = subgraphs(node)
        if not inner:
            return None
        assert node.op is not None
        same = {key: replaced[value] for key, value in inner.items()}
        return builder.add(node.op, operands, node.params | same, node.source)

    return rewrite(graph, rule)


def _repeats(graph: Graph) -> bool:
    """Whether two nodes are equal, their operands being the same values."""
    candidates: dict[Any, list[Node]] = {}
    for node in graph.nodes:
        candidates.setdefault((node.op_name, node.operands), []).append(node)
    for nodes in candidates.values():
        keys = {node_key(n.op, n.operands, n.params) for n in nodes if n.op and len(nodes) > 1}
        if len(nodes) > 1 and len(keys) < len(nodes):
            return True
    return False


def _scan_key(node: Node) -> Any:
    params = tuple((k, node.params[k]) for k in ("carry", "sequences", "length", "reverse"))
    return (node.operands, params)


def _merge_scans(graph: Graph) -> Graph:
    members: dict[Any, list[Node]] = {}
    for node in graph.nodes:
        if node.op_name == "scan":
            members.setdefault(_scan_key(node), []).append(node)
    groups: dict[Node, Group] = {}
    for scans in members.values():
        for group in _mergeable(scans):
            if len(group) > 1:
                merged = _merged_body(group)
                groups.update((node, merged) for node in group)
    return _emit(graph, groups) if groups else graph


def _mergeable(scans: list[Node]) -> list[list[Node]]:
    """Scans of equal operands, parted by what their bodies do to the carries."""
    if len(scans) == 1:
        return [scans]
    parts: dict[str, list[Node]] = {}
    for node in scans:
        body, carry = node.params["body"], node.params["carry"]
        step = Graph(body.inputs, body.outputs[:carry], body.name)
        parts.setdefault(fingerprint(step), []).append(node)
    return list(parts.values())


def _merged_body(group: list[Node]) -> Group:
    """One body with the carries once and the distinct other results of all."""
    first = group[0].params["body"]
    carry = group[0].params["carry"]
    builder = Builder(capture_source=False)
    arguments = [builder.input(value.type, value.node.name) for value in first.inputs]
    outputs: list[Value] = []
    places: dict[Node, tuple[int, ...]] = {}
    for node in group:
        found = inline(builder, node.params["body"], arguments)
        outputs = outputs or list(found[:carry])
        places[node] = tuple(range(carry)) + tuple(
            _place(outputs, carry, value) for value in found[carry:]
        )
    return builder.graph(outputs, first.name), places


def _place(outputs: list[Value], start: int, value: Value) -> int:
    """The position of a value among the outputs from `start` on, appended where it is new."""
    for position in range(start, len(outputs)):
        if outputs[position] is value:
            return position
    outputs.append(value)
    return len(outputs) - 1


def _emit(graph: Graph, groups: dict[Node, Group]) -> Graph:
    builder = Builder(capture_source=False)
    new: dict[Value, Value] = {}
    for value in graph.inputs:
        new[value] = builder.input(value.type, value.node.name)
    for node in graph.nodes:
        operands = tuple(new[operand] for operand in node.operands)
        if node in groups:
            body, places = groups[node]
            assert node.op is not None
            merged = builder.add(node.op, operands, node.params | {"body": body}, node.source)
            results = tuple(merged[place] for place in places[node])
        else:
            results = builder.copy(node, operands)
        new.update(zip(node.results, results, strict=True))
    return builder.graph([new[value] for value in graph.outputs], graph.name)

"""Unfolding: the body of a `custom` takes its place, for its derivative has done its duty."""

from __future__ import annotations

from elinvar.graph.ir import Builder, Graph, Node, Value, inline, rewrite


def unfold(graph: Graph) -> Graph:
    """Inline the bodies: `custom x {body: sin}` → `sin x`."""
    while any(node.op_name == "custom" for node in graph.nodes):
        graph = rewrite(graph, _inlined)
    return graph


def _inlined(builder: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
    return inline(builder, node.params["body"], operands) if node.op_name == "custom" else None

"""Unfolding: the body of a `custom` takes its place, for its derivative has done its duty.

Where a kernel is named for the body, the operation stays and the body goes: the compiler asks for
the kernel by its name, and no pass need look at what it stands for.
"""

from __future__ import annotations

from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Graph, Node, Value, inline, rewrite

NOTHING = "known"  # the name of graphs that stand for bodies which are not needed any more


def unfold(graph: Graph) -> Graph:
    """Inline the bodies: `custom x {body: sin}` → `sin x`."""
    while any(_is_open(node) or _is_full(node) for node in graph.nodes):
        graph = rewrite(graph, _inlined)
    return graph


def _is_open(node: Node) -> bool:
    """Whether a `custom` is computed by its body."""
    return node.op_name == "custom" and not node.params.get("kernel")


def _is_full(node: Node) -> bool:
    """Whether a `custom` has a body that no one will read."""
    return node.op_name == "custom" and node.params["body"].name != NOTHING


def _inlined(builder: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
    if _is_open(node):
        return inline(builder, node.params["body"], operands)
    if not _is_full(node):
        return None
    assert node.op is not None
    empty = _zeros([value.type for value in operands], [value.type for value in node.results])
    return builder.add(
        node.op, operands, node.params | {"body": empty, "derivative": empty}, node.source
    )


def _zeros(given: list[TensorType], results: list[TensorType]) -> Graph:
    """A graph of these types that computes nothing."""
    builder = Builder(capture_source=False)
    for kind in given:
        builder.input(kind)
    found = []
    for kind in results:
        zero = builder.f.constant(value=0, dtype=kind.dtype)
        found.append(builder.f.broadcast(zero, shape=kind.shape) if kind.shape else zero)
    return builder.graph(found, NOTHING)

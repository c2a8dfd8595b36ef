"""What no iteration of a loop changes is rounded before it.

    scan … %w {body: … cast %w …}      →      scan … (cast %w) {body: …}

Mixed precision rounds a weight where it is read, which may be in every step of a loop. Before the
loop it is rounded once, and then packed once for the products that read it. Casts to wider types
stay: they would take more memory, and products read narrow numbers as they are.
"""

from __future__ import annotations

from typing import Any

from elinvar.graph.ir import Builder, Graph, Node, Value, rewrite
from elinvar.ops.table import BY_NAME


def hoist(graph: Graph) -> Graph:
    """Move casts of scans' constants in front of the scans."""
    wanted = {node: found for node in graph.nodes if (found := _casts(node))}

    def rule(builder: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if node not in wanted:
            return None
        body: Graph = node.params["body"]
        more, kinds = [], []
        for cast in wanted[node]:
            outer = operands[body.inputs.index(cast.operands[0])]
            (value,) = builder.add(BY_NAME["cast"], (outer,), cast.params, cast.source)
            more.append(value)
            kinds.append(cast)
        params = node.params | {"body": _with_inputs(body, kinds)}
        assert node.op is not None
        return builder.add(node.op, (*operands, *more), params, node.source)

    return rewrite(graph, rule) if wanted else graph


def _casts(node: Node) -> list[Node]:
    """The casts of a scan's constants to types that are not wider."""
    if node.op_name != "scan":
        return []
    body: Graph = node.params["body"]
    fixed = set(body.inputs[node.params["carry"] + node.params["sequences"] :])
    return [
        inner
        for inner in body.nodes
        if inner.op_name == "cast"
        and inner.operands[0] in fixed
        and inner.results[0].dtype.itemsize <= inner.operands[0].dtype.itemsize
    ]


def _with_inputs(body: Graph, casts: list[Node]) -> Graph:
    """A body with the results of casts as further inputs."""
    builder = Builder(capture_source=False)
    new: dict[Any, Value] = {}
    for value in (*body.inputs, *(cast.results[0] for cast in casts)):
        new[value] = builder.input(value.type, value.node.name if value.node.is_input else "")
    for node in body.nodes:
        if node not in casts:
            made = builder.copy(node, tuple(new[operand] for operand in node.operands))
            new.update(zip(node.results, made, strict=True))
    return builder.graph([new[value] for value in body.outputs], body.name)

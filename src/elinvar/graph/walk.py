"""Ways over a graph: canonical order, equality, fingerprint, sub-graphs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from elinvar.graph.ir import Graph, Node, Value, params_key
from elinvar.graph.printing import format_param


def is_graph(value: Any) -> bool:
    """Whether a param's value is a sub-graph."""
    return isinstance(value, Graph)


def subgraphs(node: Node) -> dict[str, Graph]:
    """The params of a node that are graphs; only control ops have any."""
    if node.op is None or node.op.family != "control":
        return {}
    return {key: value for key, value in node.params.items() if is_graph(value)}


def canonical_nodes(graph: Graph) -> Iterator[Node]:
    """The nodes in an order that depends on the structure alone: depth first from the outputs.

    `Graph.nodes` follows the user's program; this order is the same for equal graphs that were
    built in another order.
    """
    done: set[Node] = set()
    for output in graph.outputs:
        stack: list[tuple[Node, bool]] = [(output.node, False)]
        while stack:
            node, ready = stack.pop()
            if node in done or node.is_input:
                continue
            if ready:
                done.add(node)
                yield node
            else:
                stack.append((node, True))
                stack.extend((operand.node, False) for operand in reversed(node.operands))


def canonical_lines(graph: Graph) -> Iterator[str]:
    """The graph as lines that are equal for equal graphs: no names, sources or serial numbers."""
    numbers: dict[Value, int] = {}
    for value in graph.inputs:
        numbers[value] = len(numbers)
        yield f"input {value.type}"
    for node in canonical_nodes(graph):
        for value in node.results:
            numbers[value] = len(numbers)
        operands = ",".join(str(numbers.get(operand, "?")) for operand in node.operands)
        params = ",".join(f"{key}:{_param(node.params[key])}" for key in sorted(node.params))
        types = ",".join(str(value.type) for value in node.results)
        yield f"{node.op_name} {operands} {{{params}}} {types}"
    yield "return " + ",".join(str(numbers.get(value, "?")) for value in graph.outputs)


def _param(value: Any) -> str:
    return fingerprint(value) if isinstance(value, Graph) else format_param(value)


def fingerprint(graph: Graph) -> str:
    """A hash of the content: ops, params, types and wiring, but not names, sources or order.

    Equal for graphs that compute the same by the same nodes; stable from one run to the next.
    """
    if graph.digest is None:
        text = "\n".join(canonical_lines(graph))
        graph.digest = hashlib.sha256(text.encode()).hexdigest()
    return graph.digest


def content_key(graph: Graph, axis: int | None = None) -> tuple[Any, ...]:
    """What equal graphs that were built in the same order have in common: hashable, and much faster
    to make than a fingerprint. Good for one process.

    Ops, params and wiring; results' types follow from them and from those of the inputs. `axis`:
    the number of a mapped axis, which is another in each trace and does not count.
    """
    numbers: dict[Value, int] = {}
    parts: list[Any] = []
    for value in graph.inputs:
        numbers[value] = len(numbers)
        parts.append(value.type)
    for node in graph.nodes:
        for value in node.results:
            numbers[value] = len(numbers)
        params: Any = node.params
        if params:
            if node.op is not None and node.op.family == "control":
                params = {n: fingerprint(v) if is_graph(v) else v for n, v in params.items()}
            elif axis is not None and params.get("axis") == axis:
                params = {**params, "axis": None}
            params = params_key(params)
        else:
            params = ()
        parts.append((node.op_name, params, *[numbers[operand] for operand in node.operands]))
    parts.append(tuple([numbers[value] for value in graph.outputs]))
    return tuple(parts)


def same_graph(a: Graph, b: Graph) -> bool:
    """Whether two graphs have the same inputs, nodes, wiring and outputs (names do not count)."""
    return a is b or list(canonical_lines(a)) == list(canonical_lines(b))

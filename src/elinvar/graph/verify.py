"""The verifier: what must hold of every graph, checked after each pass in the tests."""

from __future__ import annotations

from typing import NoReturn

from elinvar.core.errors import ElinvarError, GraphError, fail
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Graph, Node, Value, reachable
from elinvar.graph.text import derived_types
from elinvar.graph.walk import subgraphs
from elinvar.ops.table import BY_NAME


def verify(graph: Graph, stage: str = "verify") -> Graph:
    """Check a graph and return it.

    - Each input is the only result of an input node, is listed once and has a size at least 0.
    - Inputs that the outputs need are the graph's own.
    - Operands exist before their users, and a value belongs to the node that defines it.
    - Every op is the table's, has all its params, and its type rule gives the node's types anew.
    - The same holds of sub-graphs; that they fit their node is part of its type rule.

    Args:
        graph: the graph to check.
        stage: who asks, named in the message (a pass, say).

    Raises:
        GraphError: something does not hold. The message names the node's place in the user's code.
    """
    _verify(graph, stage, set())
    return graph


def _verify(graph: Graph, stage: str, seen: set[Graph]) -> None:
    if graph in seen:
        return
    seen.add(graph)
    owned: set[Value] = set()
    for value in graph.inputs:
        _check_input(value, owned, stage)
        owned.add(value)
    for node in reachable(graph.outputs):
        if node.is_input:
            if node.results[0] not in owned:
                fail(GraphError, stage, f"an input of another graph is used: {node!r}")
            continue
        _check_node(node, stage)
        for inner in subgraphs(node).values():
            _verify(inner, stage, seen)
    for value in graph.outputs:
        _check_value(value, value.node, stage)


def _check_input(value: Value, owned: set[Value], stage: str) -> None:
    if not value.node.is_input or value.node.results != (value,):
        fail(GraphError, stage, f"an input must be an input node's result, received {value!r}")
    if value in owned:
        fail(GraphError, stage, f"an input is listed twice: {value!r}")
    if not isinstance(value.type, TensorType) or any(
        not isinstance(dim, Dim) and dim < 0 for dim in value.shape
    ):
        fail(GraphError, stage, f"an input's type is malformed: {value.type!r}")


def _check_value(value: Value, user: Node, stage: str) -> None:
    results = value.node.results
    if not 0 <= value.index < len(results) or results[value.index] is not value:
        _refuse(user, stage, f"{value!r} is not a result of the node that it names")


def _check_node(node: Node, stage: str) -> None:
    op = node.op
    if op is None or BY_NAME.get(op.name) is not op:
        _refuse(node, stage, "its op is not in the table")
    for operand in node.operands:
        _check_value(operand, node, stage)
        if operand.node.serial >= node.serial:
            _refuse(node, stage, f"{operand!r} is defined after it")
    try:
        types = tuple(operand.type for operand in node.operands)
        derived = derived_types(op, types, node.params, stage)
    except ElinvarError as error:
        _refuse(node, stage, f"its rule refuses it: {error}")
    found = tuple(value.type for value in node.results)
    if derived != found:
        given, right = (", ".join(map(str, kinds)) for kinds in (found, derived))
        _refuse(node, stage, f"its types are {given}; by its rule {right}")


def _refuse(node: Node, stage: str, text: str) -> NoReturn:
    fail(GraphError, stage, f"{node!r}: {text}", where=node.source)

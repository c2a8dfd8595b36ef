"""Inputs that are rounded to 16 bits are rounded anew for products that come much later.

    cast %w → product … product      →      cast %w → product …    cast (barrier %w) → product

Mixed precision rounds weights in the forward pass, and the backward pass reads them again. The
input itself is there all the time; to keep its rounded copy as well from one pass to the other
would take half as much memory again, and to round it twice takes little time.
"""

from __future__ import annotations

from elinvar.core.dtypes import is_narrow
from elinvar.core.shapes import size
from elinvar.graph.ir import Builder, Graph, Node, Value, rewrite
from elinvar.ops.table import BY_NAME

FAR = 3  # products between the first reader of a rounded input and one that has a copy of its own
LEAST_ELEMENTS = 1 << 13
_PRODUCTS = ("contract", "convolution")
_PASSED = ("cast", "permute", "reshape", "slice")  # between an input and a product that reads it
_TAG = -1  # of the barriers, less the number of the copy: those of checkpoints count upwards


def late(graph: Graph) -> Graph:
    """Give late products their own rounded copies of inputs."""
    wanted = _wanted(graph)
    if not wanted:
        return graph

    def rule(builder: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if node not in wanted:
            return None
        assert node.op is not None
        fresh = list(operands)
        for place, number in wanted[node].items():
            fresh[place] = _copied(builder, fresh[place], _TAG - number)
        return builder.add(node.op, tuple(fresh), node.params, node.source)

    return rewrite(graph, rule)


def _wanted(graph: Graph) -> dict[Node, dict[int, int]]:
    """Late products → which operands they read from a copy → the number of the copy."""
    found: dict[Node, dict[int, int]] = {}
    first: dict[Value, tuple[int, int]] = {}  # rounded input → first product of a copy, its number
    products = (node for node in graph.nodes if node.op_name in _PRODUCTS)
    for at, node in enumerate(products):
        for place, operand in enumerate(node.operands):
            rounded = _rounded_input(operand)
            if rounded is None or rounded in graph.outputs:
                continue
            start, number = first.setdefault(rounded, (at, 0))
            if at - start > FAR:
                number += 1
                first[rounded] = at, number
            if number:
                found.setdefault(node, {})[place] = number
    return found


def _rounded_input(value: Value) -> Value | None:
    """What a product reads, if that is a rounded input seen through movement: the rounded value."""
    rounded: Value | None = None
    while value.node.op_name in _PASSED:
        (operand,) = value.node.operands
        if value.node.op_name == "cast":
            if not _is_rounding(value.node):
                return None
            rounded = value
        value = operand
    if rounded is None or not value.node.is_input:
        return None
    elements = size(rounded.shape)
    is_small = isinstance(elements, int) and elements < LEAST_ELEMENTS
    return None if is_small else rounded


def _is_rounding(node: Node) -> bool:
    before, after = node.operands[0].dtype, node.results[0].dtype
    return before.kind == "f" and is_narrow(after) and not is_narrow(before)


def _copied(builder: Builder, value: Value, tag: int) -> Value:
    """A value, made from a barrier of the input on which it rests."""
    if value.node.is_input:
        (fresh,) = builder.add(BY_NAME["barrier"], (value,), {"tag": tag})
        return fresh
    operand = _copied(builder, value.node.operands[0], tag)
    (found,) = builder.copy(value.node, (operand,))
    return found

"""Turn: a product that is only read with its rows and columns changed about is computed so.

    y = contract a, b {axes: ((1,), (0,))}     [M, N]
    z = permute y {axes: (1, 0)}               [N, M]
    →  z = contract b, a {axes: ((0,), (1,))}

The gradient of a layer's weight comes so: what updates the weight then reads it straight. Which
factor gives the rows changes no bit.
"""

from __future__ import annotations

from collections import Counter

from elinvar.graph.ir import Builder, Graph, Node, Value, rewrite


def turn(graph: Graph) -> Graph:
    """Swap the factors of products whose only reader swaps rows and columns."""
    readers = Counter(operand for node in graph.nodes for operand in node.operands)
    readers.update(graph.outputs)
    swapped = {node for node in graph.nodes if _is_swapped(node, readers)}
    if not swapped:
        return graph

    def rule(builder: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if node not in swapped:
            return None
        product = operands[0].node
        assert product.op is not None
        x, y = product.operands
        (xb, yb), (xk, yk) = product.params["batch"], product.params["axes"]
        params = {"batch": (yb, xb), "axes": (yk, xk)}
        return builder.add(product.op, (y, x), params, product.source)

    return rewrite(graph, rule)


def _is_swapped(node: Node, readers: Counter[Value]) -> bool:
    if node.op_name != "permute" or node.operands[0].node.op_name != "contract":
        return False
    product = node.operands[0].node
    batch, summed = len(product.params["batch"][0]), len(product.params["axes"][0])
    rank, behind = node.operands[0].type.rank, product.operands[0].type.rank - summed
    order = (*range(batch), *range(behind, rank), *range(batch, behind))
    is_turned = batch < behind < rank and node.params["axes"] == order
    return is_turned and readers[node.operands[0]] == 1

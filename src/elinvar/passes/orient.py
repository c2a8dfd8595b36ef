"""Products that are only read turned are computed turned.

    contract %x, %w → [tokens, out], permuted to [out, tokens]  →  contract %w, %x → [out, tokens]

The gradient of a layer's weight is such a product: the optimizer then reads memory as it lies, and
can run at the end of the product's tasks. Each element is the same sum in the same order.
"""

from __future__ import annotations

from elinvar.graph.ir import Builder, Graph, Node, Value, rewrite
from elinvar.ops.table import BY_NAME

_VIEWED = ("contract", "convolution")  # they read any layout alike


def orient(graph: Graph) -> Graph:
    """Swap the operands of products whose only readers want the result with its rows and columns
    swapped: `permute(contract(x, y))` → `contract(y, x)`."""
    users = graph.users()

    wanted = {
        node
        for node in graph.nodes
        if node.op_name == "permute"
        and node.params["axes"] == _swapped(node.operands[0].node)
        and _wants_it(graph, users, node)
    }

    def rule(builder: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if node not in wanted:
            return None
        product = operands[0].node
        x, y = product.operands
        params = dict(product.params)
        for name in ("batch", "axes"):
            params[name] = params[name][::-1]
        return builder.add(BY_NAME["contract"], (y, x), params, product.source)

    return rewrite(graph, rule) if wanted else graph


def _wants_it(graph: Graph, users: dict[Value, list[Node]], node: Node) -> bool:
    """Whether a permute is the only reader of its operand, and is itself read in memory's order."""
    product, result = node.operands[0], node.results[0]
    if product in graph.outputs or users.get(product) != [node]:
        return False
    readers = users.get(result, [])
    return result in graph.outputs or any(reader.op_name not in _VIEWED for reader in readers)


def _swapped(product: Node) -> tuple[int, ...] | None:
    """The permutation of a product's result that swaps what its operands brought."""
    if product.op_name != "contract":
        return None
    batch = len(product.params["batch"][0])
    first = product.operands[0].type.rank - batch - len(product.params["axes"][0])
    rank = product.results[0].type.rank
    rows, columns = range(batch, batch + first), range(batch + first, rank)
    return (*range(batch), *columns, *rows)

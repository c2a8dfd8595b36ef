"""Products that are only read turned are computed turned.

    contract %x, %w → [tokens, out], permuted to [out, tokens]  →  contract %w, %x → [out, tokens]

The gradient of a layer's weight is such a product: the optimizer then reads memory as it lies, and
can run at the end of the product's tasks. Each element is the same sum in the same order. The
product may be rounded in between, as mixed precision rounds gradients:

    permute (cast (contract %x, %w))  →  cast (contract %w, %x)
"""

from __future__ import annotations

from elinvar.graph.ir import Builder, Graph, Node, Value, rewrite
from elinvar.ops.table import BY_NAME

_VIEWED = ("contract", "convolution")  # they read any layout alike


def orient(graph: Graph) -> Graph:
    """Swap the operands of products whose only readers want the result with its rows and columns
    swapped: `permute(contract(x, y))` → `contract(y, x)`, with casts between them or not."""
    users = graph.users()

    wanted = {
        node
        for node in graph.nodes
        if node.op_name == "permute"
        and node.params["axes"] == _swapped(_chain(node.operands[0])[-1])
        and _wants_it(graph, users, node)
    }

    def rule(builder: Builder, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if node not in wanted:
            return None
        *casts, product = _chain(operands[0])
        x, y = product.operands
        params = dict(product.params)
        for name in ("batch", "axes"):
            params[name] = params[name][::-1]
        found = builder.add(BY_NAME["contract"], (y, x), params, product.source)
        for cast in reversed(casts):
            found = builder.add(BY_NAME["cast"], found, cast.params, cast.source)
        return found

    return rewrite(graph, rule) if wanted else graph


def _chain(value: Value) -> list[Node]:
    """The casts between a value and what it was before them, the last one first, and that."""
    found = [value.node]
    while found[-1].op_name == "cast":
        found.append(found[-1].operands[0].node)
    return found


def _wants_it(graph: Graph, users: dict[Value, list[Node]], node: Node) -> bool:
    """Whether a permute is the only reader of its operand, and is itself read in memory's order."""
    reader = node
    for before in _chain(node.operands[0]):
        value = before.results[0]
        if value in graph.outputs or users.get(value) != [reader]:
            return False
        reader = before
    result = node.results[0]
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

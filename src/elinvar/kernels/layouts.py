"""Which stored values do not lie in row-major order, because of who reads them."""

from __future__ import annotations

from elinvar.core.shapes import Shape
from elinvar.graph.ir import Graph, Value

_HEADS_INNER = (0, 2, 1, 3)


def stored_strides(graph: Graph) -> dict[Value, Shape]:
    """Value → its strides in elements.

    The result of attention, [batch, heads, queries, width], is most often wanted as [batch,
    queries, heads · width], the operand of a product. There it lies, if somebody turns it so.
    """
    found: dict[Value, Shape] = {}
    outputs = set(graph.outputs)
    users = graph.users()
    for node in graph.nodes:
        if node.op_name != "attention" or node.results[0] in outputs:
            continue
        result = node.results[0]
        readers = users.get(result, [])
        if any(r.op_name == "permute" and r.params["axes"] == _HEADS_INNER for r in readers):
            _, heads, rows, width = result.shape
            found[result] = (rows * heads * width, width, heads * width, 1)
    return found

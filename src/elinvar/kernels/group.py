"""A cluster cut out of its graph: a small graph of its own, with the way to walk it."""

from __future__ import annotations

from dataclasses import dataclass

from elinvar.core.shapes import Dim, Shape
from elinvar.graph.ir import Builder, Graph, Value
from elinvar.kernels.partition import Cluster, Partition
from elinvar.kernels.pull import EXPENSIVE, is_reduction, squeeze


@dataclass(frozen=True)
class Group:
    """One fused kernel. `region` reads stored values (its inputs) and gives stored values.

    kind: `map` (elementwise), `row` (reduces trailing dims), `column` (keeps the last dim).
    space, axes: the walked shape without dims of extent 1, and its reduced axes.
    """

    kind: str
    region: Graph
    space: Shape
    axes: tuple[int, ...]
    operands: tuple[Value, ...]  # in the outer graph, one per region input
    results: tuple[Value, ...]  # in the outer graph, one per region output

    @property
    def weight(self) -> int:
        """About how many times as long as a copy an element takes."""
        costly = [node for node in self.region.nodes if node.op_name in EXPENSIVE]
        return 1 + 2 * sum(squeeze(node.results[0].shape) == self.space for node in costly)

    def key(self) -> object:
        """Equal for groups that need the same machine code."""
        numbers: dict[Value, int] = {}
        ranges = [tuple(sorted(n.ranges.items())) for n in self.space if isinstance(n, Dim)]
        rows: list[object] = [self.kind, self.space, self.axes, tuple(ranges)]
        for value in self.region.inputs:
            numbers[value] = len(numbers)
            rows.append(value.type)
        for node in self.region.nodes:
            rows.append(
                (node.op_name, tuple(numbers[v] for v in node.operands), _params(node.params))
            )
            for value in node.results:
                numbers[value] = len(numbers)
        rows.append(tuple(numbers[v] for v in self.region.outputs))
        return tuple(rows)


def _params(params: dict[str, object]) -> tuple[object, ...]:
    return tuple((k, repr(params[k])) for k in sorted(params))


def cut(cluster: Cluster, partition: Partition) -> Group:
    """Copy a cluster's nodes, and the inline nodes that they read, into a graph of their own."""
    stored = set(partition.stored)
    members = set(cluster.members)
    again = partition.again.get(cluster, set())
    builder = Builder(capture_source=False)
    new: dict[Value, Value] = {}
    operands: list[Value] = []

    def is_inside(value: Value) -> bool:
        return value in partition.inline or value.node in members or value in again

    order: list[Value] = []
    seen: set[Value] = set()
    roots = [v for member in cluster.members for v in member.results if v in stored]
    roots += partition.fresh.get(cluster, ())
    stack = [(value, False) for value in reversed(roots)]
    while stack:
        value, ready = stack.pop()
        if ready:
            order.append(value)
        elif value not in seen:
            seen.add(value)
            stack.append((value, True))
            if is_inside(value):
                stack.extend((operand, False) for operand in reversed(value.node.operands))
    for value in order:
        if is_inside(value):
            node = value.node
            assert node.op is not None
            arguments = tuple(new[operand] for operand in node.operands)
            new[value] = builder.add(node.op, arguments, node.params, node.source)[value.index]
        else:
            new[value] = builder.input(value.type)
            operands.append(value)
    kind = cluster.kind
    if kind == "row" and not any(is_reduction(member) for member in cluster.members):
        kind = "map"
    region = builder.graph([new[value] for value in roots], kind)
    return Group(kind, region, cluster.space, cluster.axes or (), tuple(operands), tuple(roots))

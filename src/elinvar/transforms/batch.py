"""Batching, graph to graph: a graph for one example becomes one for many.

`batch` rebuilds the nodes of a graph on arguments of which some carry a batch dimension in front
and some do not. What depends on no mapped argument is built as it is, once for all examples; to
the rest the `batching` rules of the op records apply. So a value of the new graph holds, in row i,
the bits that the old graph gives for example i.

Control operations, whose sub-graphs have to be batched too, are in `batch_control.py`, convolutions
whose algorithm the batch would change in `batch_convolution.py`, operations along named axes in
`batch_named.py`, and sums over all examples in `batch_sums.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from elinvar.core.errors import TraceError, fail
from elinvar.core.shapes import DimLike
from elinvar.core.source import Source
from elinvar.graph.ir import Builder, Graph, Node, Value
from elinvar.ops.record import Absent, Namespace
from elinvar.ops.rules import batched
from elinvar.ops.table import BY_NAME
from elinvar.transforms.batch_control import batch_control
from elinvar.transforms.batch_convolution import batch_convolution
from elinvar.transforms.batch_named import batch_named, is_named
from elinvar.transforms.batch_sums import sum_over_examples


class Axis:
    """The mapped axis: how many examples there are, and the number that named operations use."""

    __slots__ = ("number", "size")

    number: int
    size: DimLike

    def __init__(self, size: DimLike, number: int = -1) -> None:
        self.size, self.number = size, number


class Batching:
    """Builds the nodes of a graph for many examples.

    Attributes:
        new: for each value of the old graph the new one;
        mapped: the old values whose new ones carry the batch dimension in front.
        sums: for some old values the new sum over all examples.
        f: the primitives; new nodes get the source of the node that is being batched.
    """

    axis: Axis
    builder: Builder
    f: Namespace

    def __init__(self, builder: Builder, axis: Axis) -> None:
        self.builder, self.axis = builder, axis
        self.new: dict[Value, Value] = {}
        self.mapped: set[Value] = set()
        self.sums: dict[Value, Value] = {}
        self.f = Namespace(BY_NAME, self._apply)
        self._source: Source | None = None

    def _apply(self, op: Any, operands: tuple[Value, ...], params: dict[str, Any]) -> Any:
        results = self.builder.add(op, tuple(operands), params, self._source)
        return results[0] if len(results) == 1 else results

    def run(self, graph: Graph, arguments: Sequence[Value], mapped: Sequence[bool]) -> None:
        """Build all nodes of a graph."""
        for value, argument, is_mapped in zip(graph.inputs, arguments, mapped, strict=True):
            self.new[value] = argument
            if is_mapped:
                self.mapped.add(value)
        for node in graph.nodes:
            self._build(node)

    def _build(self, node: Node) -> None:
        self._source = node.source
        operands = tuple(self.new[value] for value in node.operands)
        mapped = tuple(value in self.mapped for value in node.operands)
        op = node.op
        assert op is not None
        if op.family == "control":
            self._take(node, *batch_control(self.f, self.axis, node, operands, mapped, batch_graph))
        elif is_named(op):
            self._take(node, *batch_named(self.f, self.axis, node, operands, mapped))
        elif not any(mapped):
            results = self.builder.copy(node, operands)
            self._take(node, results, (False,) * len(results))
        else:
            found = self._by_rule(node, operands, mapped)
            self._take(node, found, (True,) * len(found))

    def _by_rule(
        self, node: Node, operands: tuple[Value, ...], mapped: tuple[bool, ...]
    ) -> tuple[Value, ...]:
        op = node.op
        assert op is not None
        size = self.axis.size
        if op.name == "convolution":
            one_by_one = batch_convolution(self.f, self.axis, node, operands, mapped)
            if one_by_one is not None:
                return (one_by_one,)
        if op.batching == "family":
            rows = tuple(batched(self.f, size, x, m) for x, m in zip(operands, mapped, strict=True))
            return self.builder.add(op, rows, node.params, node.source)
        if isinstance(op.batching, Absent) or isinstance(op.batching, str):
            reason = op.batching.reason if isinstance(op.batching, Absent) else op.batching
            fail(TraceError, op.name, f"cannot be batched: {reason}", None, node.source)
        found = op.batching(self.f, size, operands, mapped, **node.params)
        return found if isinstance(found, tuple) else (found,)

    def _take(self, node: Node, results: Sequence[Value], mapped: Sequence[bool]) -> None:
        for value, fresh, is_mapped in zip(node.results, results, mapped, strict=True):
            self.new[value] = fresh
            if is_mapped:
                self.mapped.add(value)

    def in_front(self, value: Value) -> Value:
        """The new value with the batch dimension in front, whether it depends on it or not."""
        return batched(self.f, self.axis.size, self.new[value], value in self.mapped)

    def summed(self, value: Value) -> Value:
        """The sum over all examples of a value."""
        return sum_over_examples(self, value)


def batch_graph(
    graph: Graph, mapped: Sequence[bool], axis: Axis, wanted: Sequence[bool] = ()
) -> tuple[Graph, list[bool]]:
    """A graph for one example as a graph for many.

    Args:
        graph: the function of one example.
        mapped: for each input whether it carries the batch dimension in front.
        axis: the size of that dimension.
        wanted: for each output whether it shall carry the dimension even if it need not.

    Returns:
        the graph, and for each output whether it carries the dimension.

    Example:
        >>> from elinvar.graph.text import parse_graph
        >>> graph = parse_graph('''
        ... graph g(%0: f32[3], %1: f32[3]) {
        ...   %2: f32[3] = add %0, %1
        ...   %3: f32[3] = negative %1
        ...   return %2, %3
        ... }''')
        >>> many, carries = batch_graph(graph, [True, False], Axis(5))
        >>> many.output_types, carries
        ((f32[5,3], f32[3]), [True, False])
    """
    builder = Builder(capture_source=False)
    arguments = []
    for value, is_mapped in zip(graph.inputs, mapped, strict=True):
        kind = value.type
        shape = (axis.size, *kind.shape) if is_mapped else kind.shape
        arguments.append(builder.input(kind.with_shape(shape), value.node.name))
    work = Batching(builder, axis)
    work.run(graph, arguments, mapped)
    flags = [value in work.mapped for value in graph.outputs]
    outputs = []
    for number, value in enumerate(graph.outputs):
        if wanted and wanted[number] and not flags[number]:
            flags[number] = True
            outputs.append(work.in_front(value))
        else:
            outputs.append(work.new[value])
    return builder.graph(outputs, graph.name), flags


BatchGraph = Callable[..., tuple[Graph, list[bool]]]

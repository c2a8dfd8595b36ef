"""The intermediate representation: immutable typed nodes, values, graphs and the builder.

    Node    an op applied to values, with params, result types and the user's source line
    Value   one result of a node
    Graph   named inputs and outputs; everything between is reached from the outputs
    Builder makes nodes, sharing equal ones (hash-consing), checks types by the op's rule

Inputs are nodes of the op `input`, which is not in the table; a graph owns its inputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from elinvar.core.dtypes import DType
from elinvar.core.shapes import Shape
from elinvar.core.source import Source, user_source
from elinvar.core.types import TensorType
from elinvar.graph.printing import print_graph
from elinvar.ops.complex_rules import parts_rule
from elinvar.ops.record import Namespace, Op
from elinvar.ops.table import BY_NAME

_serial = itertools.count()


class Node:
    """An op applied to values. Compare by identity; a builder shares equal nodes."""

    __slots__ = ("name", "op", "operands", "params", "results", "serial", "source", "__weakref__")

    op: Op | None
    operands: tuple[Value, ...]
    params: dict[str, Any]
    source: Source | None
    name: str
    serial: int
    results: tuple[Value, ...]

    def __init__(
        self,
        op: Op | None,
        operands: tuple[Value, ...],
        params: dict[str, Any],
        types: tuple[TensorType, ...],
        source: Source | None = None,
        name: str = "",
    ) -> None:
        self.op = op  # None: an input
        self.operands = operands
        self.params = params
        self.source = source
        self.name = name
        self.serial = next(_serial)
        if len(types) == 1:
            self.results = (Value(self, 0, types[0]),)
        else:
            self.results = tuple([Value(self, index, kind) for index, kind in enumerate(types)])

    @property
    def is_input(self) -> bool:
        return self.op is None

    @property
    def op_name(self) -> str:
        return "input" if self.op is None else self.op.name

    def __repr__(self) -> str:
        return f"<node {self.op_name} {', '.join(str(v.type) for v in self.results)}>"


class Value:
    """One result of a node."""

    __slots__ = ("index", "node", "type", "__weakref__")

    index: int
    node: Node
    type: TensorType

    def __init__(self, node: Node, index: int, kind: TensorType) -> None:
        self.node, self.index, self.type = node, index, kind

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def shape(self) -> Shape:
        return self.type.shape

    def __repr__(self) -> str:
        return f"<value {self.node.op_name} {self.type}>"


class Graph:
    """Inputs, outputs and all nodes between, in an order where operands come first."""

    __slots__ = ("_order", "digest", "inputs", "name", "outputs")

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    name: str
    digest: str | None

    def __init__(
        self, inputs: Iterable[Value], outputs: Iterable[Value], name: str = "main"
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.name = name
        self._order: tuple[Node, ...] | None = None
        self.digest: str | None = None  # what `walk.fingerprint` found

    def __str__(self) -> str:
        return print_graph(self)

    def __repr__(self) -> str:
        takes, gives = (", ".join(map(str, t)) for t in (self.input_types, self.output_types))
        return f"<graph {self.name} ({takes}) -> ({gives})>"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes that the outputs need, operands first, inputs excluded."""
        if self._order is None:
            self._order = tuple(n for n in reachable(self.outputs) if not n.is_input)
        return self._order

    @property
    def input_types(self) -> tuple[TensorType, ...]:
        return tuple(value.type for value in self.inputs)

    @property
    def output_types(self) -> tuple[TensorType, ...]:
        return tuple(value.type for value in self.outputs)

    def users(self) -> dict[Value, list[Node]]:
        """Which nodes read each value (a node appears once per use)."""
        found: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for operand in node.operands:
                found.setdefault(operand, []).append(node)
        return found


def reachable(outputs: Iterable[Value]) -> Iterator[Node]:
    """Nodes that the outputs need, inputs included, operands first, by order of creation.

    A node is made after its operands, so sorting by serial number is a topological order and
    follows the user's program.
    """
    seen: set[Node] = set()
    stack = [value.node for value in outputs]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(operand.node for operand in node.operands)
    return iter(sorted(seen, key=lambda node: node.serial))


class Builder:
    """Makes nodes. Equal nodes (op, operands, params) are shared; the first one's source stays."""

    f: Namespace

    def __init__(self, capture_source: bool = True) -> None:
        self._known: dict[Any, Node] = {}
        self._capture_source = capture_source
        self.inputs: list[Value] = []
        self.f = Namespace(BY_NAME, self.apply)

    def input(self, kind: TensorType, name: str = "") -> Value:
        """A new input of the graph."""
        value = Node(None, (), {}, (kind,), name=name).results[0]
        self.inputs.append(value)
        return value

    def add(
        self,
        op: Op,
        operands: tuple[Value, ...],
        params: dict[str, Any],
        source: Source | None = None,
    ) -> tuple[Value, ...]:
        """Apply an op; returns all its results. Raises the op's own error when types do not fit."""
        key = node_key(op, operands, params)
        node = self._known.get(key)
        if node is None:
            rule = parts_rule(op, operands, params)
            if rule is not None:
                found = rule(self.f, *operands, **params)
                return found if isinstance(found, tuple) else (found,)
            types = op.result_types(tuple([value.type for value in operands]), params)
            if source is None and self._capture_source:
                source = user_source()
            node = self._known[key] = Node(op, operands, params, types, source)
        return node.results

    def copy(self, node: Node, operands: tuple[Value, ...]) -> tuple[Value, ...]:
        """`node` again, on other operands; its type rule runs only when their types are new."""
        assert node.op is not None
        if any(a.type != b.type for a, b in zip(node.operands, operands, strict=True)):
            return self.add(node.op, operands, node.params, node.source)
        key = node_key(node.op, operands, node.params)
        found = self._known.get(key)
        if found is None:
            types = tuple(value.type for value in node.results)
            found = self._known[key] = Node(node.op, operands, node.params, types, node.source)
        return found.results

    def apply(self, op: Op, operands: tuple[Value, ...], params: dict[str, Any]) -> Any:
        """Apply an op; one result comes back bare, several as a tuple."""
        results = self.add(op, tuple(operands), params)
        return results[0] if len(results) == 1 else results

    def graph(self, outputs: Iterable[Value], name: str = "main") -> Graph:
        """The graph from this builder's inputs to `outputs`."""
        return Graph(self.inputs, outputs, name)


def result_types(
    op: Op, types: Iterable[TensorType], params: dict[str, Any]
) -> tuple[TensorType, ...]:
    """What an op gives for operands of these types; raises the op's own error if it refuses them.

    Unlike the record's own rule, this knows what complex operands give.
    """
    kinds = tuple(types)
    if all(kind.dtype.kind != "c" for kind in kinds):
        return op.result_types(kinds, params)
    builder = Builder(capture_source=False)
    found = builder.add(op, tuple(builder.input(kind) for kind in kinds), params)
    return tuple(value.type for value in found)


def node_key(op: Op, operands: tuple[Value, ...], params: dict[str, Any]) -> Any:
    """What nodes that a builder would share have in common."""
    return (op.name, operands, params_key(params) if params else ())


def params_key(params: dict[str, Any]) -> tuple[Any, ...]:
    """Params as a part of a key, whatever their order."""
    names: Any = params if len(params) == 1 else sorted(params)
    return tuple([(name, _keyed(params[name])) for name in names])


_ONLY_INTS = frozenset((int,))


def _keyed(value: Any) -> Any:
    """A param as part of a key: with its type, as Python holds 1 == 1.0 == True and 0.0 == -0.0."""
    kind = type(value)
    if kind is tuple:
        if _ONLY_INTS.issuperset(map(type, value)):
            return value
        return tuple([_keyed(item) for item in value])
    if kind is complex or (kind is float and (value == 0 or value != value)):
        return (kind, str(value))
    return (kind, value)


def rewrite(
    graph: Graph,
    rule: Callable[[Builder, Node, tuple[Value, ...]], tuple[Value, ...] | None],
    name: str | None = None,
) -> Graph:
    """Rebuild a graph node by node. `rule(builder, node, new_operands)` returns the new results, or
    None to keep the node as it is with its new operands. Inputs are kept, in order."""
    builder = Builder(capture_source=False)
    new: dict[Value, Value] = {}
    for value in graph.inputs:
        copy = builder.input(value.type, value.node.name)
        new[value] = copy
    for node in graph.nodes:
        operands = tuple(new[operand] for operand in node.operands)
        results = rule(builder, node, operands)
        if results is None:
            results = builder.copy(node, operands)
        for old, fresh in zip(node.results, results, strict=True):
            new[old] = fresh
    return builder.graph([new[value] for value in graph.outputs], name or graph.name)


def inline(builder: Builder, graph: Graph, arguments: Iterable[Value]) -> tuple[Value, ...]:
    """Build the nodes of `graph` in `builder` on the given arguments; returns its outputs."""
    new = dict(zip(graph.inputs, arguments, strict=True))
    for node in graph.nodes:
        operands = tuple(new[operand] for operand in node.operands)
        results = builder.copy(node, operands)
        new.update(zip(node.results, results, strict=True))
    return tuple(new[value] for value in graph.outputs)

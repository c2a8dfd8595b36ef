"""The engine of rule-based passes, and the patterns that their rules ask for.

    rule(f, operands, params) -> Value | tuple of Values | None

A rule is found by the op's name. It gets the new operands and returns what stands for the node, or
None where it does not apply; what it builds through `f` is rewritten by the same rules at once, so
one walk over a graph reaches the normal form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from elinvar.core.shapes import Dim, DimLike
from elinvar.core.source import Source
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Graph, Node, Value
from elinvar.ops.record import Namespace, Op
from elinvar.ops.table import BY_NAME

Operands = tuple[Value, ...]
Params = dict[str, Any]
Rule = Callable[[Namespace, Operands, Params], Value | Operands | None]
Rules = Mapping[str, Sequence[Rule]]
Number = complex | float | int | bool


class Rewriter:
    """Rebuilds graphs by a table of rules: op name → rules, tried in order."""

    f: Namespace

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._builder = Builder(capture_source=False)
        self._source: Source | None = None
        self.f = Namespace(BY_NAME, self._apply)

    def _apply(self, op: Op, operands: Operands, params: Params) -> Any:
        found = self._try(op.name, tuple(operands), params)
        if found is None:
            found = self._builder.add(op, tuple(operands), params, self._source)
        return found[0] if len(found) == 1 else found

    def _try(self, name: str, operands: Operands, params: Params) -> Operands | None:
        for rule in self._rules.get(name, ()):
            found = rule(self.f, operands, params)
            if found is not None:
                return found if isinstance(found, tuple) else (found,)
        return None

    def applies(self, graph: Graph) -> bool:
        """Whether any rule applies to a node as it stands."""
        return any(
            self._try(node.op_name, node.operands, node.params) is not None
            for node in graph.nodes
            if node.op_name in self._rules
        )

    def run(self, graph: Graph) -> Graph:
        """The rewritten graph; the graph itself where no rule applies."""
        if not self.applies(graph):
            return graph
        builder = self._builder = Builder(capture_source=False)
        new: dict[Value, Value] = {}
        for value in graph.inputs:
            new[value] = builder.input(value.type, value.node.name)
        for node in graph.nodes:
            operands = tuple(new[operand] for operand in node.operands)
            self._source = node.source
            found = self._try(node.op_name, operands, node.params)
            if found is None:
                found = builder.copy(node, operands)
            new.update(zip(node.results, found, strict=True))
        return builder.graph([new[value] for value in graph.outputs], graph.name)


def inline_with(f: Namespace, graph: Graph, arguments: Sequence[Value]) -> Operands:
    """Build the nodes of `graph` through `f`, so that its rules apply; returns the outputs."""
    new = dict(zip(graph.inputs, arguments, strict=True))
    for node in graph.nodes:
        found = getattr(f, node.op_name)(*(new[v] for v in node.operands), **node.params)
        results = found if isinstance(found, tuple) else (found,)
        new.update(zip(node.results, results, strict=True))
    return tuple(new[value] for value in graph.outputs)


# ---- patterns -----------------------------------------------------------------------------------


def made_by(value: Value, name: str) -> Node | None:
    """The node of a value if it is of the op `name`."""
    return value.node if value.node.op_name == name else None


def scalar_of(value: Value) -> Value | None:
    """The 0-d value that every element of a value is known to be, or None."""
    node = value.node
    if node.op_name == "constant":
        return value
    if node.op_name == "broadcast" and not node.operands[0].shape:
        return node.operands[0]
    return None


def number_of(value: Value) -> Number | None:
    """The number that every element of a value is known to be, or None."""
    scalar = scalar_of(value)
    if scalar is None or scalar.node.op_name != "constant":
        return None
    found: Number = scalar.node.params["value"]
    return found


def is_number(value: Value, number: Number) -> bool:
    """Whether every element is exactly this number; 0.0 and -0.0 differ for floats."""
    found = number_of(value)
    if found is None or found != number:
        return False
    if value.dtype.kind == "c":
        return str(complex(found)) == str(complex(number))
    if not value.dtype.is_floating:
        return True
    assert not isinstance(found, complex)
    assert not isinstance(number, complex)
    return str(float(found)) == str(float(number))


def uniform(f: Namespace, number: Number, kind: TensorType) -> Value:
    """A value of type `kind` with one number everywhere."""
    return spread(f, f.constant(value=number, dtype=kind.dtype), kind)


def spread(f: Namespace, scalar: Value, kind: TensorType) -> Value:
    """A 0-d value, everywhere in a value of type `kind`."""
    found: Value = f.broadcast(scalar, shape=kind.shape) if kind.shape else scalar
    return found


def never_negative(dim: DimLike) -> bool:
    """True when `dim` is at least 0 whatever the sizes are (each size is at least 0)."""
    if isinstance(dim, Dim):
        return all(factor >= 0 for factor in dim.terms.values())
    return dim >= 0

"""Graph → StableHLO text, for OpenXLA's compilers.

    module @main {
      func.func public @main(%arg0: tensor<2x3xf32>) -> tensor<2x3xf32> {
        %0 = "stablehlo.exponential"(%arg0) : (tensor<2x3xf32>) -> tensor<2x3xf32>
        return %0 : tensor<2x3xf32>
      }
    }

Each node is written as its op's record says (see `Op.stablehlo`): the name of an operation, a name
with attributes, lines of its own, or a decomposition, which is built with other primitives first.
Dims are static: symbolic ones must be given sizes. On these devices the numerics contract is a
tolerance.

Source: StableHLO specification v1.0 and later (openxla/stablehlo, docs/spec.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from elinvar.core.dtypes import DType
from elinvar.core.errors import CompileError, fail
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, Graph, Node, Value
from elinvar.graph.sizes import specialize, symbols
from elinvar.ops.emit import constant, statement
from elinvar.ops.record import Absent, Decompose, Emit, Namespace, Op, absent
from elinvar.ops.table import BY_NAME

_PREFIX = "stablehlo."


def stablehlo_text(graph: Graph, sizes: Mapping[str, int] | None = None) -> str:
    """The StableHLO module of a graph, with one function `@main`.

    Args:
        graph: any graph.
        sizes: the sizes of its symbolic dims.

    Raises:
        CompileError: a dim has no size, or an op has no StableHLO form.
    """
    missing = symbols(graph) - set(sizes or {})
    if missing:
        text = f"dims must be static here; no size is given for {', '.join(sorted(missing))}"
        fail(CompileError, "stablehlo", text)
    if symbols(graph):
        graph = specialize(graph, sizes or {})
    printer = _Printer()
    names = [f"%arg{position}" for position in range(len(graph.inputs))]
    lines, results = printer.region(graph, names)
    takes = ", ".join(
        f"{name}: {printer.type(kind)}" for name, kind in zip(names, graph.input_types, strict=True)
    )
    types = ", ".join(printer.type(kind) for kind in graph.output_types)
    ending = f"return {', '.join(results)} : {types}" if results else "return"
    body = "\n".join(f"    {line}" for line in (*lines, ending))
    name = re.sub(r"\W", "_", graph.name) or "main"
    head = f"  func.func public @main({takes}) -> ({types}) {{"
    return f"module @{name} {{\n{head}\n{body}\n  }}\n}}\n"


class _Printer:
    """What the `Emit` functions of records write with: names, types and sub-graphs."""

    def __init__(self) -> None:
        self._count = 0
        self.results: tuple[str, ...] = ()  # the names that the lines in work must define

    def fresh(self) -> str:
        """A name that is used nowhere else."""
        self._count += 1
        return f"%{self._count - 1}"

    def type(self, kind: TensorType) -> str:
        """The text of a type: `tensor<2x3xf32>`."""
        return f"tensor<{''.join(f'{dim}x' for dim in kind.shape)}{_element(kind.dtype)}>"

    def region(self, graph: Graph, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """The lines of a graph on named values, and the names of its outputs."""
        graph = _expand(graph)
        known: dict[Value, str] = dict(zip(graph.inputs, names, strict=True))
        lines: list[str] = []
        for node in graph.nodes:
            fresh = tuple(self.fresh() for _ in node.results)
            lines += self._node(node, [known[operand] for operand in node.operands], fresh)
            known.update(zip(node.results, fresh, strict=True))
        return lines, [known[value] for value in graph.outputs]

    def _node(self, node: Node, operands: list[str], results: tuple[str, ...]) -> list[str]:
        assert node.op is not None
        form = node.op.stablehlo
        types = [value.type for value in node.operands]
        result_types = [value.type for value in node.results]
        if node.op.name == "constant":
            return [constant(self, results[0], node.params["value"], result_types[0])]
        if isinstance(form, Emit):
            self.results = results
            return form(self, operands, types, result_types, node.params)
        if isinstance(form, Absent):
            text = f"has no StableHLO form: {form.reason}"
            fail(CompileError, node.op.name, text, where=node.source)
        name, attributes = form if isinstance(form, tuple) else (form, None)
        written = attributes(*types, **node.params) if attributes else {}
        listed = ", ".join(f"{key} = {value}" for key, value in written.items())
        short = name.removeprefix(_PREFIX)
        return statement(self, results, short, operands, types, result_types, listed)


def _element(dtype: DType) -> str:
    if dtype.kind == "b":
        return "i1"
    if dtype.kind == "c":
        return f"complex<{dtype.part.short}>"
    return f"ui{dtype.bits}" if dtype.kind == "u" else dtype.short


# ---- decompositions -----------------------------------------------------------------------------


def _decomposition(op: Op) -> Callable[..., Any] | None:
    form = op.stablehlo
    if isinstance(form, Decompose):
        return form.rule
    return form if callable(form) and not isinstance(form, Emit) else None


def _expand(graph: Graph) -> Graph:
    """The graph with decomposed operations written out; sub-graphs wait for their printing."""
    expander = _Expander()
    builder = expander.builder
    new: dict[Value, Value] = {}
    for value in graph.inputs:
        new[value] = builder.input(value.type, value.node.name)
    for node in graph.nodes:
        operands = tuple(new[operand] for operand in node.operands)
        assert node.op is not None
        if _decomposition(node.op) is None:
            found = builder.copy(node, operands)
        else:
            found = expander.add(node.op, operands, node.params)
        new.update(zip(node.results, found, strict=True))
    return builder.graph([new[value] for value in graph.outputs], graph.name)


class _Expander:
    """Primitives that write themselves out where their record has a decomposition."""

    def __init__(self) -> None:
        self.builder = Builder(capture_source=False)
        self.f = _Primitives(BY_NAME, self._apply)
        self.f.native = self._native

    def add(self, op: Op, operands: tuple[Value, ...], params: dict[str, Any]) -> tuple[Value, ...]:
        rule = _decomposition(op)
        if rule is None:
            return self.builder.add(op, operands, params)
        found = rule(self.f, *operands, **params)
        return tuple(found) if isinstance(found, (tuple, list)) else (found,)

    def _apply(self, op: Op, operands: tuple[Value, ...], params: dict[str, Any]) -> Any:
        results = self.add(op, tuple(operands), params)
        return results[0] if len(results) == 1 else results

    def _native(self, name: str, *operands: Value, dtype: DType | None = None) -> Value:
        kind = operands[0].type
        op = _native_op(name, kind.with_dtype(dtype or kind.dtype))
        return self.builder.add(op, operands, {})[0]


class _Primitives(Namespace):
    """The primitives, and `native(name, *values, dtype=None)`: an operation of StableHLO itself."""

    native: Callable[..., Value]


def _native_op(name: str, kind: TensorType) -> Op:
    """A record for an operation of StableHLO that is no primitive of ours."""
    why = absent("an operation of StableHLO, not of the table")
    return Op(
        name=f"{name} {kind.dtype.short}",
        family="elementwise",
        doc=name,
        type_rule=lambda *types: kind,
        reference=why,
        derivative=why,
        batching=why,
        lowering=why,
        stablehlo=name,
        samples=list,
        bad_samples=list,
    )

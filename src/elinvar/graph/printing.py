"""Print a graph; `text.parse_graph` reads the same graph back.

    graph main(%0 "x": f32[B,4], %1: f32[B,4]) {
        %2: f32[B,4] = add %0, %1     # model.py:41 in head
        %3, %4: f32[B,3], i64[B,3] = top_k %2 {k: 3}     # model.py:42 in head
        return %3, %4
    }

Values are numbered by position, inputs first, so equal graphs print alike. Params are written in
the order of the op's record: ints, floats (shortest digits that read back, `inf`, `nan`), complex
numbers as `complex(re, im)`, `True`, `False`, `None`, strings in double quotes, dtypes by their
short names, dims as polynomials, tuples in parentheses, and graphs, which nest and number their own
values from %0.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from elinvar.core.dtypes import ALL, DType
from elinvar.core.shapes import Dim

if TYPE_CHECKING:
    from elinvar.graph.ir import Graph, Node

_INDENT = "    "
# A dim that reads like one of these words is written as a product: `1*inf`.
RESERVED = frozenset(
    ("True", "False", "None", "inf", "nan", "graph", "complex", *(dtype.short for dtype in ALL))
)


def print_graph(graph: Graph) -> str:
    """The text of a graph, which `parse_graph` reads back."""
    return _graph_text(graph, "")


def format_param(value: Any, indent: str = "") -> str:
    """The text of one param's value."""
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return "nan" if math.isnan(value) else repr(float(value))
    if isinstance(value, complex):
        return f"complex({format_param(value.real)}, {format_param(value.imag)})"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, DType):
        return value.short
    if isinstance(value, Dim):
        return _dim_text(value)
    if isinstance(value, tuple):
        items = [format_param(item, indent) for item in value]
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    if hasattr(value, "outputs") and hasattr(value, "inputs"):
        return _graph_text(value, indent)
    raise TypeError(f"a param cannot hold {type(value).__name__}: {value!r}")


def _dim_text(dim: Dim) -> str:
    text = repr(dim)
    bare = text.removeprefix("-")
    return text.replace(bare, f"1*{bare}") if bare in RESERVED else text


def _label(text: str) -> str:
    return text if text.isidentifier() and text not in RESERVED else json.dumps(text)


def _graph_text(graph: Graph, indent: str) -> str:
    numbers = {value: f"%{index}" for index, value in enumerate(graph.inputs)}
    inside = indent + _INDENT
    lines = [_node_text(node, numbers, inside) for node in graph.nodes]
    header = ", ".join(
        numbers[value] + (f" {json.dumps(value.node.name)}" if value.node.name else "")
        + f": {value.type}"
        for value in graph.inputs
    )  # fmt: skip
    results = ", ".join(numbers.get(value, "%?") for value in graph.outputs)
    lines.append(f"return {results}".rstrip())
    body = "\n".join(inside + line for line in lines)
    return f"graph {_label(graph.name)}({header}) {{\n{body}\n{indent}}}"


def _node_text(node: Node, numbers: dict[Any, str], indent: str) -> str:
    for value in node.results:
        numbers[value] = f"%{len(numbers)}"
    names = ", ".join(numbers[value] for value in node.results)
    types = ", ".join(str(value.type) for value in node.results)
    operands = "".join(
        f"{',' if position else ''} {numbers.get(operand, '%?')}"
        for position, operand in enumerate(node.operands)
    )
    order = node.op.params if node.op is not None else ()
    keys = sorted(node.params, key=lambda k: (order.index(k) if k in order else len(order), k))
    params = ", ".join(f"{key}: {format_param(node.params[key], indent)}" for key in keys)
    text = f"{names}: {types} = {node.op_name}{operands}" + (f" {{{params}}}" if params else "")
    place = "" if node.source is None else str(node.source)
    return f"{text}     # {place}" if place and place.isprintable() else text

"""src/elinvar/ops/primitives.pyi: all primitives as typed functions, for rules."""

from __future__ import annotations

import inspect
import textwrap

from elinvar.core.dtypes import DType
from elinvar.ops.record import Op
from elinvar.ops.table import TABLE
from stubs.functions import EMPTY, HEADER, definition, imports, joined, summary

RULE_TYPES = {"Axes": "tuple[int, ...]", "Ints": "tuple[int, ...]", "Any": "Any"}


def operands_of(op: Op) -> list[str]:
    """The operands of a primitive, by the type rule or, where that takes any, by the lowering."""
    rule = list(inspect.signature(op.type_rule).parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in rule):
        if op.family == "elementwise":
            names = [p.name for p in inspect.signature(op.lowering).parameters.values()]
            count = len(op.samples()[0].operands)
            if len(names) < count or names[0] in ("values", "scalars", "xs"):
                names = ["x", "y", "z"]
            return [f"{name}: V" for name in names[:count]] + ["/"]
        fixed = [f"{p.name}: V" for p in rule if p.kind is p.POSITIONAL_OR_KEYWORD]
        fixed += ["/"] if fixed else []
        return fixed + [f"*{p.name}: V" for p in rule if p.kind is p.VAR_POSITIONAL]
    names = [p.name for p in rule if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [f"{name}: V" for name in names] + (["/"] if names else [])


def params_of(op: Op) -> list[str]:
    """The params of a primitive: the keyword-only parameters of its type rule."""
    rule = inspect.signature(op.type_rule).parameters
    found = []
    for name in op.params:
        given = str(rule[name].annotation) if name in rule else sampled_type(op, name)
        given = "Any" if name in rule and rule[name].annotation is EMPTY else given
        default = " = None" if name in op.optional else ""
        found.append(f"{name}: {RULE_TYPES.get(given, given)}{default}")
    return found


def sampled_type(op: Op, name: str) -> str:
    """The type of a param that the type rule takes as **params: that of the samples' values."""
    values = [sample.params[name] for sample in op.samples() if name in sample.params]
    kinds = {type(value) for value in values}
    if kinds == {DType}:
        return "DType | None" if name in op.optional else "DType"
    return kinds.pop().__name__ if kinds in ({bool}, {int}) else "Shape"


def primitive_stub(op: Op) -> str:
    """One primitive as a method of the namespace."""
    operands, params = operands_of(op), params_of(op)
    star = ["*"] if params and not any(o.startswith("*") for o in operands) else []
    several = op.results if isinstance(op.results, int) else None
    if several is None:
        result = "Any"  # one value bare, several as a tuple: the sub-graphs decide
    else:
        result = "V" if several == 1 else f"tuple[{', '.join(['V'] * several)}]"
    return definition(op.name, ["self", *operands, *star, *params], result, summary(op.doc))


def primitives_module() -> str:
    """src/elinvar/ops/primitives.pyi"""
    body = textwrap.indent(joined(primitive_stub(op) for op in TABLE), "    ")
    # names of primitives (`round`, `slice`, `all`) hide no type that the annotations use
    lines = [
        "from typing import Any, Generic",
        "",
        "from typing_extensions import TypeVar",
        "",
        "from elinvar.core.dtypes import DType",
        "from elinvar.core.shapes import DimLike, Shape",
        "",
        'V = TypeVar("V", default=Any)',
    ]
    pairs = "Pairs = tuple[tuple[int, ...], tuple[int, ...]]\n" if "Pairs" in body else ""
    head = (
        "class Primitives(Generic[V]):\n"
        '    """All primitives on values of one kind: operands first, params by keyword."""\n\n'
    )
    return f"{HEADER}\n{imports(*lines)}{pairs}\n{head}{body}"

"""The part of `simplify` that is about complex numbers: what was just joined is not taken apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.graph.ir import Value
from elinvar.ops.record import Namespace
from elinvar.passes.rewriting import Operands, Params, Rules, made_by

_MOVED = ("broadcast", "reshape", "permute", "flip", "slice")


def _part(name: str) -> Callable[[Namespace, Operands, Params], Value | None]:
    """`real(complex(a, b))` → `a`, through movement, choices and constants too."""

    def rule(f: Namespace, operands: Operands, params: Params) -> Value | None:
        (x,) = operands
        return _known_part(f, x) if _is_joined(x) else None

    def _known_part(f: Namespace, x: Value) -> Value:
        node = x.node
        found: Any
        if node.op_name == "complex":
            found = node.operands[0 if name == "real" else 1]
        elif node.op_name == "constant":
            number = getattr(complex(node.params["value"]), name)
            found = f.constant(value=number, dtype=x.dtype.part)
        elif node.op_name == "where":
            condition, yes, no = node.operands
            found = f.where(condition, _known_part(f, yes), _known_part(f, no))
        else:
            moved = getattr(f, node.op_name)
            found = moved(_known_part(f, node.operands[0]), **node.params)
        return found

    return rule


def _is_joined(x: Value) -> bool:
    """Whether both parts are known as values of their own."""
    stack = [x]
    while stack:
        node = stack.pop().node
        if node.op_name in _MOVED:
            stack.append(node.operands[0])
        elif node.op_name == "where":
            stack += node.operands[1:]
        elif node.op_name not in ("complex", "constant"):
            return False
    return True


def _complex(f: Namespace, operands: Operands, params: Params) -> Value | None:
    """`complex(real(x), imag(x))` → `x`."""
    re, im = made_by(operands[0], "real"), made_by(operands[1], "imag")
    if re is not None and im is not None and re.operands[0] is im.operands[0]:
        return re.operands[0]
    return None


PART_RULES: Rules = {
    "real": (_part("real"),),
    "imag": (_part("imag"),),
    "complex": (_complex,),
}

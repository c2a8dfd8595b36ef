"""Writes that nobody would see: `x[0][1] = 5`, `w[:5].zero_()`.

Slices are values, so both change a tensor that is gone when the statement ends; where slices are
views they change x and w. Whether a tensor is such a temporary is seen at the entry of a method by
its reference count: a variable, container or attribute that holds it counts one more than the
caller's stack alone. How much that is depends on the interpreter and on the kind of call, so it is
measured when this is imported; where the two cannot be told apart nothing is refused.

    x[0][1] = 5              an error: nobody can ever see it
    w[:5].zero_()            an error, if the next instruction drops the result
    row = x[i]; row += 1     a warning, once a line, while that x is alive

All of it costs a comparison, unless a tensor has no name or its memory another holder.
"""

from __future__ import annotations

import ast
import gc
import sys
import warnings
from sys import getrefcount
from types import CodeType, FrameType
from typing import Any

import numpy as np

from elinvar.core.errors import LostWriteError, ValueSemanticsWarning, fail
from elinvar.core.source import Source, is_inside
from elinvar.core.statements import drops_result, running_expression
from elinvar.tensor.cell import Cell
from elinvar.tensor.copying import holds_alone
from elinvar.tensor.storage import stored_array
from elinvar.tensor.views import VIEWS

_VIEWING = frozenset(
    "view view_as reshape reshape_as flatten ravel unflatten expand expand_as broadcast_to permute"
    " transpose swapaxes swapdims t T mT H mH movedim moveaxis unsqueeze squeeze narrow select"
    " diagonal unfold detach data real imag split chunk unbind".split()
)
_AS_OPERATOR = {"add_": "+=", "sub_": "-=", "subtract_": "-=", "mul_": "*=", "multiply_": "*="}
_AS_OPERATOR |= {"div_": "/=", "divide_": "/=", "pow_": "**=", "floor_divide_": "//="}
_RESHAPING = frozenset(
    "view view_as reshape reshape_as flatten ravel unflatten unsqueeze squeeze".split()
)
_TURNED = ("T", "mT")


class Counts:
    """What `getrefcount(self)` says at the entry of a method whose `self` has no name; -1: never.

    method: of `x.f()`; operator: of `x += y`; item: of `x[key] = value`.
    """

    method: int
    operator: int
    item: int

    def __init__(self) -> None:
        seen: list[int] = []

        class Probe:
            def method(self, *args: Any, **options: Any) -> None:
                seen.append(getrefcount(self))

            def __iadd__(self, other: Any) -> Any:
                seen.append(getrefcount(self))
                return self

            def __setitem__(self, key: Any, value: Any) -> None:
                seen.append(getrefcount(self))

        probe, held = Probe(), [Probe()]
        probe.method()
        probe += 1
        probe[0] = 1
        Probe().method()
        held[0] += 1  # as in x[0] += 1: but the list holds it
        Probe()[0] = 1
        named, single = seen[:3], [seen[3], seen[4] - 1, seen[5]]
        for name, one, other in zip(("method", "operator", "item"), named, single, strict=True):
            setattr(self, name, other if one == other + 1 else -1)


counts: Counts = Counts()


# ---- asked at the entries -----------------------------------------------------------------------


def watch_method(count: int, op: str, x: Any) -> None:
    """Asked by a method that changes x and returns it; `count`: `getrefcount(self)` in there, taken
    before x is an argument here."""
    if count == counts.method:
        frame = sys._getframe(2)
        if not x._writes_through and not _is_ours(frame.f_code) and drops_result(frame):
            _refuse_dropped(op, x, frame)
    elif x._layout is None or not holds_alone(x):
        _look(op, x, sys._getframe(2))


def watch_operator(count: int, op: str, x: Any) -> None:
    """Asked by `x += y` and the like. The result is always stored: only a name can mislead."""
    if count != counts.operator and (x._layout is None or not holds_alone(x)):
        _look(op, x, sys._getframe(2))


def watch_item(x: Any) -> None:
    """Asked by `x[key] = value` where others hold the memory of x, somewhere below it."""
    frame: Any = sys._getframe(1)
    entry = frame
    while frame is not None and _is_ours(frame.f_code):
        entry, frame = frame, frame.f_back
    if frame is not None and entry.f_code.co_name == "__setitem__":
        _look("setitem", x, frame)


def refuse_item() -> None:
    """Refuse `temporary[key] = value`; called by `__setitem__`."""
    frame = sys._getframe(2)
    text = "nobody can see this write: it changes a tensor that has no name"
    hint = "give the tensor a name first"
    target = running_expression(frame)
    if isinstance(target, ast.Subscript):
        what = ast.unparse(target.value)
        text = f"nobody can see this write: `{what}` is a value of its own, not a view"
        hint = _item_hint(target, frame)
    fail(LostWriteError, "setitem", text, hint, _source(frame))


def watch_argument(op: str, x: Any) -> None:
    """Asked by functions that write into an argument: `init.zeros_(w[:5])` writes into nothing."""
    if x._writes_through or (x._layout is not None and holds_alone(x)):
        return
    frame: Any = sys._getframe(1)
    while frame is not None and _is_ours(frame.f_code):
        frame = frame.f_back
    if frame is None or not drops_result(frame):
        return
    call = running_expression(frame)
    if isinstance(call, ast.Call) and call.args and _is_view(call.args[0]):
        what = ast.unparse(call.args[0])
        text = f"nobody can see this write: `{what}` is a value of its own, not a view"
        hint = "keep the result, and write it back"
        if isinstance(call.args[0], ast.Subscript):
            hint = f"write `{what} = {ast.unparse(call)}`"
        fail(LostWriteError, op, text, hint, _source(frame))


# ---- errors -------------------------------------------------------------------------------------


def _refuse_dropped(op: str, x: Any, frame: FrameType) -> None:
    """Refuse a method whose result is dropped, if x is a view of something."""
    call = running_expression(frame)
    hint = f"keep the result of `{op}`, and write it back with `x[…] = …`"
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
        target = call.func.value
        if not _is_view(target):
            return
        what = ast.unparse(target)
        text = f"nobody can see this write: `{what}` is a value of its own, not a view"
        hint = _method_hint(op, target, call)
    elif not _is_made_by_a_view(x):
        return
    else:
        text = "nobody can see this write: a slice is a value of its own, not a view"
    fail(LostWriteError, op, text, hint, _source(frame))


def _is_view(node: ast.expr) -> bool:
    """Whether an expression is an index, a view, or methods in place of one."""
    if isinstance(node, ast.Subscript):
        return True
    if isinstance(node, ast.Attribute):
        return node.attr in _VIEWING
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr.endswith("_"):
            return _is_view(node.func.value)
        return node.func.attr in _VIEWING
    return False


def _is_made_by_a_view(x: Any) -> bool:
    if x._layout is not None:
        return not holds_alone(x)
    node = x._value.node
    return node.op is not None and node.op.name in VIEWS


def _method_hint(op: str, target: ast.expr, call: ast.Call) -> str:
    """How to write `target.op(…)` so that it is seen."""
    what, whole = ast.unparse(target), ast.unparse(call)
    given = [ast.unparse(value) for value in call.args] if not call.keywords else []
    if isinstance(target, ast.Subscript):
        if op == "zero_":
            return f"write `{what} = 0`"
        if op in ("fill", "fill_", "copy_") and len(given) == 1:
            return f"write `{what} = {given[0]}`"
        if op in _AS_OPERATOR and len(given) == 1:
            return f"write `{what} {_AS_OPERATOR[op]} {given[0]}`"
        return f"write `{what} = {whole}`"
    while isinstance(target, ast.Call) and isinstance(target.func, ast.Attribute):
        if not target.func.attr.endswith("_"):
            break
        target = target.func.value
    if isinstance(target, ast.Subscript):
        return f"write `{ast.unparse(target)} = {whole}`"
    return _written_back(target, whole) or "keep the result, and write it back with `x.copy_(…)`"


def _written_back(view: ast.expr, changed: str) -> str | None:
    """`x.copy_(…)` of a changed reshape or transpose of x."""
    if isinstance(view, ast.Attribute) and view.attr in _TURNED:
        return f"write `{ast.unparse(view.value)}.copy_({changed}.{view.attr})`"
    if isinstance(view, ast.Call) and isinstance(view.func, ast.Attribute):
        if view.func.attr in _RESHAPING and not isinstance(view.func.value, ast.Call):
            base = ast.unparse(view.func.value)
            return f"write `{base}.copy_({changed}.reshape({base}.shape))`"
    return None


def _item_hint(target: ast.Subscript, frame: FrameType) -> str:
    """How to write `target = …` so that it is seen."""
    inner = target.value
    key = ast.unparse(target.slice)
    if isinstance(inner, ast.Subscript):
        base = ast.unparse(inner.value)
        if _is_number(inner.slice, frame) and not isinstance(target.slice, ast.Tuple):
            return f"write `{base}[{ast.unparse(inner.slice)}, {key}] = …`"
        what = ast.unparse(inner)
        return f"write `part = {what}`, `part[{key}] = …`, `{what} = part`"
    back = _written_back(inner, "part")
    what = ast.unparse(inner)
    if back is None:
        return f"give it a name first: `part = {what}`, `part[{key}] = …`"
    return f"write `part = {what}`, `part[{key}] = …`, `{back.removeprefix('write `')}"


def _is_number(node: ast.expr, frame: FrameType) -> bool:
    """Whether an index is a number: one in the text, or a name that holds one."""
    if isinstance(node, ast.Name):
        value = frame.f_locals.get(node.id, frame.f_globals.get(node.id))
        return type(value) is int
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) is int


# ---- the warning --------------------------------------------------------------------------------

MOST_LOOKS = 3  # at one place; each walks over all objects of the process
_looks: dict[tuple[CodeType, int], int] = {}


def _look(op: str, x: Any, frame: FrameType) -> None:
    """Warn if x is a view of a tensor that is alive."""
    if getattr(x, "_apart", False) or x._writes_through or _is_ours(frame.f_code):
        return
    key = (frame.f_code, frame.f_lasti)
    looks = _looks.get(key, 0)
    if looks >= MOST_LOOKS:
        return
    if len(_looks) >= 4096:
        _looks.clear()
    _looks[key] = looks + 1
    other = _viewed(x)
    if other is None:
        return
    _looks[key] = MOST_LOOKS
    text = (
        f"[{op}] this changes one tensor alone, {x._type}: slices are values, not views. "
        f"{other._type}, whose memory it shares so far, stays as it is; in PyTorch and NumPy it "
        "would change, too. To change both, write to that one: `x[…] = …`. To say that a copy is "
        "meant, take it with `.clone()`"
    )
    space = frame.f_globals
    warnings.warn_explicit(
        text,
        ValueSemanticsWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        space.get("__name__"),
        space.setdefault("__warningregistry__", {}),
    )


def _viewed(x: Any) -> Any:
    """A tensor that is alive and of whose elements x shows some; None if there is none."""
    whole = x._layout
    if whole is not None:
        held = [x._buffer]
    else:
        held = []
        value = x._value
        while value.node.op is not None and value.node.op.name in VIEWS:
            value = value.node.operands[0]
            held.append(value)
    for other in gc.get_referrers(*held) if held else ():
        if not isinstance(other, Cell) or other is x or (other._layout is None) != (whole is None):
            continue
        if whole is None:
            if any(other._value is value for value in held):
                return other
        elif other._buffer is x._buffer and _shows(other, x):
            return other
    return None


def _shows(other: Any, x: Any) -> bool:
    """Whether a tensor over the same memory holds elements of x, and is no copy of it."""
    if other._layout.size < x._layout.size:
        return False
    if other._layout is x._layout and other._address == x._address:
        return getattr(x, "_apart", True) is False  # a view of all, such as `x.swapaxes(0, 0)`
    if x._layout.is_dense and not other._layout.is_dense and other._layout.size == x._layout.size:
        return False  # it is the other one that was made of x
    a, b = (stored_array(one, "setitem") for one in (other, x))
    try:
        return bool(np.shares_memory(a, b, max_work=10000))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return False


# ---- frames -------------------------------------------------------------------------------------


def _is_ours(code: CodeType) -> bool:
    return code.co_filename != "<string>" and is_inside(code)


def _source(frame: FrameType) -> Source:
    return Source(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)

"""The watch for NaNs: whether it is on, where operations come from, and what is said when one is
born.

A NaN is *born* by an operation whose result has one where its operands have none. The watch looks
at every operation that runs at once, and at the results of programs; a program that gives a NaN is
run again operation by operation (`replaying.py`). While the watch is off nothing of this costs
anything: it counts as a trace (`cell.traces`), and the fast paths give way to those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn
from weakref import WeakKeyDictionary

import numpy as np

from elinvar.core.errors import BadValueError, message
from elinvar.core.shapes import format_shape
from elinvar.core.source import Source, module_path, user_source
from elinvar.ops.record import Op
from elinvar.tensor.cell import state
from elinvar.tensor.storage import number_array

_MOST_SHOWN = 3
_BLAMELESS = ("constant", "bitcast")  # their NaNs are the user's own


class Origin(NamedTuple):
    """Where a node of a graph comes from, beside its line.

    Attributes:
        module: the path of the module.
        composites: the composites that it is a part of, outermost first.
        derivative_of: what is differentiated, as in `backward of sqrt at model.py:7 in norm: …`.
    """

    module: str = ""
    composites: tuple[str, ...] = ()
    derivative_of: str = ""


class Watch:
    """What is looked for, and the origins of nodes that were traced meanwhile.

    Attributes:
        on: whether the watch looks for anything.
        infs: whether it looks for infinities, too.
        origins: by node of a graph.
        modules: the module's path by node of the tape, for operations that ran at once.
    """

    __slots__ = ("infs", "modules", "on", "origins")

    infs: bool
    on: bool

    def __init__(self) -> None:
        self.on = self.infs = False
        self.origins: WeakKeyDictionary[Any, Origin] = WeakKeyDictionary()
        self.modules: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def note(self, node: Any) -> None:
        """Remember where a node comes from that was just traced; equal nodes are shared, and the
        first origin stays."""
        if node not in self.origins:
            self.origins[node] = here()

    def note_tape(self, results: Any) -> None:
        """Remember the module of operations that were just recorded."""
        for result in results:
            if result._node is not None:
                self.modules.setdefault(result._node, module_path())


watch: Watch = Watch()


def here() -> Origin:
    """The origin of what runs now."""
    if state.derivative_of is None:
        return Origin(module_path(), state.composites)
    direction, node = state.derivative_of
    source = node.source
    where = f"{direction} of {node.name}" + (f" at {source.describe()}" if source else "")
    found = _forward_origin(node)
    module = found.module or watch.modules.get(node, "") or module_path()
    return Origin(module, (*found.composites, *state.composites), where)


def _forward_origin(node: Any) -> Origin:
    """The origin of the operation that a node of the tape recorded under a trace."""
    for held in (*(node.results or ()), *(node.operands or ())):
        value = held[3]
        if value is not None and value.node in watch.origins:
            return watch.origins[value.node]
    return Origin()


class Birth(NamedTuple):
    """An operation that made bad values, and what to say about it.

    Attributes:
        op: its name.
        lines: how many, where and out of what.
        hint: why it may be.
        indices: of the first few.
        context: what the operation is a part of, from the inside out, as in `iteration 3 of scan`.
        source: its line in the graph that it is a node of.
        origin: see `Origin`; None where the operation ran at once.
    """

    op: str
    lines: tuple[str, ...]
    hint: str | None
    indices: tuple[tuple[int, ...], ...]
    context: tuple[str, ...] = ()
    source: Source | None = None
    origin: Origin | None = None

    def inside(self, part: str) -> Birth:
        """The same with one more thing around it."""
        return self._replace(context=(*self.context, part))


def bad(x: Any) -> Any:
    """Which elements of a tensor are bad, as a numpy array; None where all are good."""
    if x.dtype.kind not in "fc":
        return None
    values = number_array(x)
    found = ~np.isfinite(values) if watch.infs else np.isnan(values)
    return found if found.any() else None


def any_bad(tensors: Sequence[Any]) -> bool:
    """Whether one of some tensors has a bad element."""
    return any(bad(x) is not None for x in tensors)


def born(op: Op, operands: Sequence[Any], results: Sequence[Any]) -> Birth | None:
    """The birth of bad values in an operation, if there is one."""
    if not operands or op.name in _BLAMELESS:
        return None
    for number, result in enumerate(results):
        new = bad(result)
        if new is None:
            continue
        for operand in operands:
            old = bad(operand)
            if old is None:
                continue
            if op.family != "elementwise":
                return None
            new &= ~old
        if new.any():
            which = f" {number}" if len(results) > 1 else ""
            return _describe(op, operands, result, new, which)
    return None


def _describe(op: Op, operands: Sequence[Any], result: Any, new: Any, which: str) -> Birth:
    values = number_array(result)
    places = [tuple(int(i) for i in place) for place in np.argwhere(new)[:_MOST_SHOWN]]
    kinds = sorted({"NaN" if np.isnan(v) else "infinity" for v in values[new][:1000]})
    count = int(new.sum())
    first = f"{count} of {new.size} values"
    first += f", the first at {format_shape(places[0])}" if new.ndim else ""
    types = ", ".join(str(x._type) for x in operands)
    lines = [f"makes {' and '.join(kinds)}: {first}", f"    {result._type} = {op.name}({types})"]
    arrays = [number_array(x) for x in operands]
    for place in places:
        at = format_shape(place) if place else ""
        line = f"    result{which}{at} = {_shown(values[place])}"
        if op.family == "elementwise":
            line += f" of {', '.join(_shown(array[place]) for array in arrays)}"
        lines.append(line)
    if op.family != "elementwise":
        for number, array in enumerate(arrays):
            lines.append(f"    operand {number}: {_range(array)}")
    return Birth(op.name, tuple(lines), _hint(op.name, kinds), tuple(places))


def _shown(value: Any) -> str:
    return f"{value:.6g}" if value.dtype.kind in "fc" else str(value)


def _range(array: Any) -> str:
    """The least and the largest element, and how many are no numbers."""
    if not array.size:
        return "no elements"
    if array.dtype.kind not in "fiu":
        return f"{array.size} elements"
    usual = array[np.isfinite(array)]
    text = f"from {_shown(usual.min())} to {_shown(usual.max())}" if usual.size else "no numbers"
    infinite, nans = int(np.isinf(array).sum()), int(np.isnan(array).sum())
    more = f", {infinite} infinite" if infinite else ""
    return text + more + (f", {nans} NaN" if nans else "")


_NAN_HINTS = {
    "log": "the logarithm of a negative number: clip the operand, or look at what made it negative",
    "log1p": "the operand is below -1",
    "sqrt": "the square root of a negative number: clip the operand at 0",
    "divide": "0 / 0 or infinity / infinity: add a small number to the denominator, or use `where`",
    "multiply": "0 · infinity: look at what made the infinity with `el.debug_nans(inf=True)`",
    "add": "infinity - infinity: look at what made it with `el.debug_nans(inf=True)`",
    "subtract": "infinity - infinity: look at what made it with `el.debug_nans(inf=True)`",
    "power": "a negative number to a power that is no whole number",
    "asin": "the operand is outside of [-1, 1]",
    "acos": "the operand is outside of [-1, 1]",
    "acosh": "the operand is below 1",
    "atanh": "the operand is outside of [-1, 1]",
    "sum": "infinity - infinity: look at what made it with `el.debug_nans(inf=True)`",
    "contract": "infinity - infinity or 0 · infinity: look at what made it with "
    "`el.debug_nans(inf=True)`",
}
_NAN_HINTS["convolution"] = _NAN_HINTS["contract"]
_NAN_HINTS["remainder"] = "a remainder of infinity, or by 0"
_INF_HINTS = {
    "exp": "exp overflows above 88.7 in float32: subtract the largest element first",
    "log": "the logarithm of 0: clip the operand, or use `log1p` or `logsumexp`",
    "divide": "division by 0: add a small number to the denominator, or use `where`",
    "cast": "the value is beyond the range of the narrower type",
}


def _hint(name: str, kinds: list[str]) -> str | None:
    return _NAN_HINTS.get(name) if "NaN" in kinds else _INF_HINTS.get(name)


def report(birth: Birth, program: str = "") -> NoReturn:
    """Raise the error about a birth; `program`: what it is a part of, as in `the jitted f`."""
    origin = here() if birth.origin is None else birth.origin
    where = birth.source or user_source()
    parts = [f"in the composite {name.lstrip('_')}" for name in reversed(origin.composites)]
    parts += [f"in {part}" for part in birth.context]
    if origin.derivative_of:
        parts.append(f"in the {origin.derivative_of}")
    elif where is not None and where.function.endswith((", backward", ", tangent")):
        parts.append(f"in the {where.function.rpartition(', ')[2]} of that line")
    parts += [f"in {program}"] if program else []
    text = "\n".join([*birth.lines, *(f"  {part}" for part in parts)])
    error = BadValueError(message(birth.op, text, birth.hint, where, origin.module))
    error.op, error.source = birth.op, where
    error.module, error.indices = origin.module, birth.indices
    raise error

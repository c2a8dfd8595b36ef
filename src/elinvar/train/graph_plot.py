"""A picture of a model's graph: modules as boxes in layers, with shapes, as many as are readable.

A model is traced, so nothing is computed. Each module without modules in it is a box; operations of
the other modules (a residual's sum, attention's products) are small boxes between them. Where that
makes too many boxes, modules are folded, the innermost first.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from elinvar.core.errors import DTypeError, TraceError, ValueRangeError, fail
from elinvar.core.shapes import format_shape
from elinvar.core.tree import flatten, unflatten
from elinvar.graph.ir import Node, Value
from elinvar.nn.module import Module
from elinvar.nn.state import modes_kept
from elinvar.tensor.creation import zeros
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor
from elinvar.tensor.trace import Trace
from elinvar.train.canvas import axes, finished

GLUE = {"broadcast", "reshape", "permute", "constant", "size_of", "cast", "slice", "iota", "pad"}
SIGNS = {"add": "+", "subtract": "−", "multiply": "×", "divide": "÷", "contract": "matmul"}
MOST = 40  # boxes that are readable


@dataclass
class Box:
    """A module, a group of operations, an input or the output."""

    title: str
    kind: str  # input, module, operations, output
    shape: str = ""
    before: dict[Box, None] = field(default_factory=dict)
    after: dict[Box, None] = field(default_factory=dict)
    layer: int = 0
    place: float = 0.0

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


@dataclass
class Traced:
    """A traced model: its inputs, its outputs, and which module made each node."""

    inputs: list[Value]
    outputs: list[Value]
    owners: dict[Node, str]  # paths; "" is the model itself
    results: set[Node]  # what modules gave
    kinds: dict[str, str]  # classes by path
    leaves: set[str]


def traced(model: Module, inputs: Sequence[Any], dtype: Any = None) -> Traced:
    """Run forward on stand-ins in evaluation mode, and note who made what."""
    paths = {id(part): path for path, part in reversed(list(model.named_modules()))}
    kinds = {path: type(part).__name__ for path, part in model.named_modules()}
    has_inner = {path.rpartition(".")[0] for path in kinds if path} if len(kinds) > 1 else set()
    owners: dict[Node, str] = {}
    results: set[Node] = set()

    def note(part: Module, args: Any, kwargs: Any, output: Any) -> None:
        waiting = [x._value.node for x in flatten(output)[0] if isinstance(x, Tensor)]
        known = {x._value.node for x in flatten((args, kwargs))[0] if isinstance(x, Tensor)}
        results.update(node for node in waiting if node not in known)
        while waiting:  # modules within end first, so what they made has its owner already
            node = waiting.pop()
            if node in known or node.is_input:
                continue
            known.add(node)
            owners.setdefault(node, paths[id(part)])
            waiting += [value.node for value in node.operands]

    given = [_stand_in(item, dtype) for item in inputs]
    handles = [m.register_forward_hook(note, with_kwargs=True) for m in model.modules()]
    try:
        with modes_kept(model), no_grad(), Trace("plot") as trace:
            model.eval()
            leaves, structure = flatten(tuple(given))
            marks = [trace.input(x._type) if isinstance(x, Tensor) else x for x in leaves]
            output = model(*unflatten(structure, marks))
            outputs = [x._value for x in flatten(output)[0] if isinstance(x, Tensor)]
            begin = [x._value for x in marks if isinstance(x, Tensor)]
    except TraceError as error:
        text = f"the model cannot be traced, so it has no graph: {str(error).splitlines()[0]}"
        fail(TraceError, "plot", text)
    finally:
        for handle in handles:
            handle.remove()
    return Traced(begin, outputs, owners, results, kinds, set(kinds) - has_inner)


def _stand_in(item: Any, dtype: Any) -> Any:
    if isinstance(item, Tensor):
        return item
    if isinstance(item, tuple | list) and all(isinstance(size, int) for size in item):
        return zeros(tuple(item), dtype=dtype)
    text = f"expected tensors or shapes, received {type(item).__name__}"
    fail(DTypeError, "plot", text, "for example plots.graph(model, (1, 3, 32, 32))")


def boxes(found: Traced, depth: int | None = None, most: int = MOST) -> list[Box]:
    """The boxes of a traced model, the deepest that is readable unless a depth is told."""
    if depth is not None:
        return _boxes_at(found, depth)
    deepest = max((path.count(".") + 1 for path in found.kinds if path), default=1)
    for level in range(deepest, 0, -1):
        made = _boxes_at(found, level)
        if len(made) <= most:
            return made
    return _boxes_at(found, 1)


def _boxes_at(found: Traced, depth: int) -> list[Box]:
    held: dict[Any, Box] = {}
    of: dict[Node, Box] = {}
    for number, value in enumerate(found.inputs):
        title = "input" if len(found.inputs) == 1 else f"input {number}"
        of[value.node] = held[value.node] = Box(title, "input", format_shape(value.shape))
    groups: dict[Box, tuple[str, dict[str, None]]] = {}
    for node in _in_order(found.outputs):
        path = found.owners.get(node, "")
        fed = [value.node for value in node.operands if value.node in of]
        if node.is_input or not (fed or (node in found.results and path in found.leaves)):
            continue  # weights, constants, and what is made of them; not an embedding of places
        steps = path.split(".") if path else []
        folded = ".".join(steps[:depth])
        if path in found.leaves or len(steps) > depth or (steps and len(steps) == depth):
            box = held.setdefault(folded, Box(_titled(folded, found.kinds), "module"))
        else:
            box = Box("", "operations")
            groups[box] = (path, {node.op_name: None})
        box.shape = format_shape(node.results[0].shape)
        of[node] = box
        for other in fed:
            _join(of[other], box)
    end = Box("output", "output")
    for value in found.outputs:
        end.shape = format_shape(value.shape)
        if value.node in of:
            _join(of[value.node], end)
    _gather(groups)
    _name(groups)
    return _reached(end)


def _titled(path: str, kinds: dict[str, str]) -> str:
    kind = kinds.get(path, "")
    return f"{path}  {kind}" if path else kind


def _in_order(outputs: Iterable[Value]) -> list[Node]:
    """All nodes that outputs need, operands first."""
    found: dict[Node, None] = {}
    waiting = [(value.node, False) for value in outputs]
    while waiting:
        node, is_done = waiting.pop()
        if is_done:
            found[node] = None
        elif node not in found:
            waiting.append((node, True))
            waiting += [(value.node, False) for value in node.operands if value.node not in found]
    return list(found)


def _join(one: Box, other: Box) -> None:
    if one is not other:
        one.after[other] = None
        other.before[one] = None


def _gather(groups: dict[Box, tuple[str, dict[str, None]]]) -> None:
    """Put operations of one module together where one goes into the next and nowhere else."""
    for box in list(groups):
        path, names = groups[box]
        if len(box.after) != 1:
            if not set(names) <= GLUE or len(box.before) != 1:
                continue
            (before,) = box.before  # it only moves: what comes after may as well come after that
            for later in list(box.after):
                _join(before, later)
            _cut(box)
            del groups[box]
            continue
        (later,) = box.after
        if later in groups and groups[later][0] == path:
            groups[later][1].update(names)
        elif not set(names) <= GLUE or len(box.before) != 1:
            continue
        for before in list(box.before):
            _join(before, later)
        _cut(box)
        del groups[box]


def _cut(box: Box) -> None:
    for before in box.before:
        before.after.pop(box, None)
    for later in box.after:
        later.before.pop(box, None)


def _name(groups: dict[Box, tuple[str, dict[str, None]]]) -> None:
    for box, (_, names) in groups.items():
        shown = [name for name in names if name not in GLUE] or list(names)
        said = [SIGNS.get(name, name) for name in shown]
        said = ["relu"] if set(said) == {"where", "less_equal"} else said
        box.title = " ".join(said[:3]) + (" …" if len(said) > 3 else "")


def _reached(end: Box) -> list[Box]:
    """All boxes that lead to the end, in an order where those before come first; with layers."""
    found: dict[Box, None] = {}
    waiting = [(end, False)]
    under_way: set[Box] = set()
    while waiting:
        box, is_done = waiting.pop()
        if is_done:
            box.layer = max((b.layer + 1 for b in box.before if b in found), default=0)
            found[box] = None
        elif box not in found and box not in under_way:
            under_way.add(box)
            waiting.append((box, True))
            waiting += [(before, False) for before in box.before]
    for box in found:
        box.after = {later: None for later in box.after if later in found}
    return list(found)


# ---- layout and drawing --------------------------------------------------------------------------


def _rows(made: Sequence[Box]) -> tuple[list[list[Box]], list[list[Box]]]:
    """Boxes by layer, and each edge as a chain through the layers that it crosses."""
    rows: dict[int, list[Box]] = defaultdict(list)
    for box in made:
        rows[box.layer].append(box)
    chains: list[list[Box]] = []
    for box in made:
        for later in box.after:
            chain = [box]
            for layer in range(box.layer + 1, later.layer):
                bend = Box("", "bend", layer=layer)
                rows[layer].append(bend)
                chain.append(bend)
            chains.append([*chain, later])
    return [rows[layer] for layer in sorted(rows)], chains


def _arrange(rows: list[list[Box]], chains: list[list[Box]]) -> None:
    """Order each layer by the middle of its neighbours, and give the places."""
    near: dict[Box, list[Box]] = defaultdict(list)
    for chain in chains:
        for one, other in pairwise(chain):
            near[one].append(other)
            near[other].append(one)
    _spread(rows)
    for turn in range(8):
        for row in rows if turn % 2 == 0 else reversed(rows):
            middle = {box: _middle(box, near[box], turn % 2 == 0) for box in row}
            row.sort(key=middle.__getitem__)
            _spread([row])


def _middle(box: Box, near: list[Box], above: bool) -> float:
    """The mean place of the neighbours on one side; the box's own where there are none."""
    side = [other.place for other in near if (other.layer < box.layer) == above]
    return sum(side) / len(side) if side else box.place


def _spread(rows: Iterable[list[Box]]) -> None:
    for row in rows:
        widths = [0.45 if box.kind == "bend" else 1.0 for box in row]
        at = -sum(widths) / 2
        for box, width in zip(row, widths, strict=True):
            box.place = at + width / 2
            at += width


COLOURS = {
    "input": ("#eef3ea", "#6f9257"),
    "output": ("#eef3ea", "#6f9257"),
    "module": ("#e8eff8", "#4a78b0"),
    "operations": ("#f6f1e6", "#b39143"),
}


def graph(
    model: Module,
    *inputs: Any,
    depth: int | None = None,
    path: str | os.PathLike[str] | None = None,
    dtype: Any = None,
) -> Any:
    """The graph of a model as a picture: what goes into what, with shapes (matplotlib).

    Args:
        model: a module. Nothing of it is computed or changed.
        inputs: tensors or shapes, as for `model.summary`.
        depth: how many levels of modules are boxes of their own; without it as many as are
            readable. A module at that level is one box with all that is inside.
        path: where the picture is saved.
        dtype: of the stand-ins made for shapes; float32 unless told.

    Returns:
        The figure.

    Raises:
        TraceError: the model needs values of tensors in Python.

    Example:
        >>> import elinvar as el
        >>> model = el.nn.Sequential(el.nn.Linear(4, 8), el.nn.ReLU(), el.nn.Linear(8, 2))
        >>> figure = el.train.plots.graph(model, (1, 4))
        >>> [text.get_text() for text in figure.axes[0].texts][:2]
        ['input', '[1,4]']
    """
    if depth is not None and depth < 1:
        fail(ValueRangeError, "plot", f"depth must be 1 or more, received {depth}")
    if not inputs:
        hint = "for example plots.graph(model, (1, 3, 32, 32))"
        fail(ValueRangeError, "plot", "the graph needs inputs or their shapes", hint)
    made = boxes(traced(model, inputs, dtype), depth)
    rows, chains = _rows(made)
    _arrange(rows, chains)
    return finished(_drawn(rows, chains), path)


def _drawn(rows: list[list[Box]], chains: list[list[Box]]) -> Any:
    from matplotlib.patches import FancyBboxPatch  # there is one where `axes` found it
    from matplotlib.path import Path as Curve

    longest = max(len(text) for row in rows for box in row for text in (box.title, box.shape))
    unit, high = max(1.5, 0.085 * longest + 0.5), 0.72  # inches
    left = min(box.place for row in rows for box in row) - 0.55
    right = max(box.place for row in rows for box in row) + 0.55
    figure, (place,) = axes(height=high * len(rows) + 0.3)
    figure.set_size_inches(unit * (right - left), high * len(rows) + 0.3)
    place.set_axis_off()
    place.set_xlim(left * unit, right * unit)
    place.set_ylim(-high * (len(rows) - 0.4), high * 0.6)
    place.set_aspect("equal")
    for chain in chains:
        _edge(place, Curve, [(box.place * unit, -box.layer * high, box.kind) for box in chain])
    for row in rows:
        for box in row:
            if box.kind == "bend":
                continue
            x, y = box.place * unit, -box.layer * high
            wide = 0.085 * max(len(box.title), len(box.shape)) + 0.25
            face, line = COLOURS[box.kind]
            shape = FancyBboxPatch(
                (x - wide / 2, y - 0.19), wide, 0.38, boxstyle="round,pad=0,rounding_size=0.08",
                facecolor=face, edgecolor=line, linewidth=0.9, zorder=2,
            )  # fmt: skip
            place.add_patch(shape)
            place.text(
                x, y + 0.07, box.title, ha="center", va="center", fontsize=8, color="black",
                zorder=3,
            )  # fmt: skip
            place.text(
                x, y - 0.09, box.shape, ha="center", va="center", fontsize=6.5, color="#555555",
                family="monospace", zorder=3,
            )  # fmt: skip
    return figure


def _edge(place: Any, Curve: Any, points: list[tuple[float, float, str]]) -> None:
    """A smooth line from the lower side of the first box to the upper side of the last."""
    from matplotlib.patches import FancyArrowPatch

    spots = [(x, y) for x, y, _ in points]
    spots[0] = (spots[0][0], spots[0][1] - 0.19)
    spots[-1] = (spots[-1][0], spots[-1][1] + 0.19)
    corners, codes = [spots[0]], [Curve.MOVETO]
    for (x, y), (next_x, next_y) in pairwise(spots):
        half = (y + next_y) / 2
        corners += [(x, half), (next_x, half), (next_x, next_y)]
        codes += [Curve.CURVE4] * 3
    arrow = FancyArrowPatch(
        path=Curve(corners, codes), arrowstyle="-|>", mutation_scale=8, linewidth=0.9,
        color="#888888", zorder=1,
    )  # fmt: skip
    place.add_patch(arrow)

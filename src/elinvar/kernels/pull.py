"""Following a value down through movement operations to what it reads, at a symbolic index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from elinvar.core.shapes import DimLike, Shape, row_major_strides
from elinvar.graph.ir import Node, Value
from elinvar.kernels.index import (
    TRUE,
    Atom,
    Cond,
    IndexBuilder,
    Lin,
    Var,
    compare,
    lin,
    variable,
)
from elinvar.ops.record import Absent

REDUCTIONS = frozenset(("sum", "prod", "max", "min", "any", "all"))
MOVEMENT = frozenset(
    ("reshape", "permute", "broadcast", "slice", "pad", "concatenate", "flip", "windows", "gather")
)
# Elementwise in the scheduler's eyes: computed from an index or from operands at the same index.
GENERATED = frozenset(("constant", "iota", "size_of", "random_bits", "barrier"))
EXPENSIVE = frozenset(
    (
        "exp expm1 log log1p log2 log10 sin cos tan asin acos atan sinh cosh tanh asinh acosh "
        "atanh erf power atan2 divide sqrt floor_divide remainder random_bits"
    ).split()
)
REPLICATING = frozenset(("broadcast", "gather", "windows"))


def is_elementwise(node: Node) -> bool:
    if node.op is None:
        return False
    return node.op.family == "elementwise" or node.op.name in GENERATED


def is_movement(node: Node) -> bool:
    return node.op is not None and node.op.name in MOVEMENT


def is_reduction(node: Node) -> bool:
    return node.op is not None and node.op.name in REDUCTIONS


def is_widening(node: Node) -> bool:
    """Whether a node widens a 16-bit float: exact, and as quick as reading the wider number."""
    return _casts_floats(node) and node.operands[0].dtype.bits < node.results[0].dtype.bits


def is_narrowing(node: Node) -> bool:
    """Whether a node rounds a float to 16 bits: what is to be kept is the rounded number."""
    return _casts_floats(node) and node.results[0].dtype.bits < node.operands[0].dtype.bits


def _casts_floats(node: Node) -> bool:
    if node.op_name != "cast":
        return False
    kinds = (node.operands[0].dtype, node.results[0].dtype)
    return all(kind.kind == "f" for kind in kinds) and min(kind.bits for kind in kinds) == 16


@dataclass(frozen=True, slots=True)
class Place:
    """A value at an index, under a guard."""

    value: Value
    index: tuple[Lin, ...]
    guard: Cond


def movement_reads(node: Node, index: tuple[Lin, ...], guard: Cond) -> list[tuple[Cond, Place]]:
    """The reads of a movement node at an index: (condition, place) in order, the last one without
    condition. Each place's guard holds the conditions under which it may be touched."""

    def load(operand: int, at: tuple[Lin, ...]) -> Lin:
        return Lin(0, {Atom("load", node.operands[operand], at): 1})

    assert node.op is not None and not isinstance(node.op.lowering, Absent)
    types = tuple(value.type for value in node.operands)
    found = node.op.lowering(IndexBuilder(load), index, types, **node.params)
    result: list[tuple[Cond, Place]] = []
    excluded = TRUE
    for read in found:
        condition: Cond = TRUE if read.guard is None else read.guard
        place_index = tuple(lin(i) for i in read.index)
        allowed = guard & condition & excluded
        result.append((condition, Place(node.operands[read.operand], place_index, allowed)))
        if not condition.tests:
            break
        if len(condition.tests) == 1:
            ((kind, left, right),) = condition.tests
            if kind != "eq":
                excluded = excluded & compare("le" if kind == "lt" else "lt", right, left)
    return result


def atom_loads(index: tuple[Lin, ...], guard: Cond) -> list[Place]:
    """The values that an index itself reads (gather's indices), at their own indices."""
    places = []
    for form in index:
        for atom in form.terms:
            if isinstance(atom, Atom):
                places.extend(_loads_of_atom(atom, guard))
    return places


def _loads_of_atom(atom: Atom, guard: Cond) -> list[Place]:
    if atom.kind == "load":
        value, at = atom.args
        return [Place(value, at, guard)]
    return [p for a in atom.args if isinstance(a, Lin) for p in atom_loads((a,), guard)]


def make_vars(shape: Shape, prefix: str) -> tuple[Var, ...]:
    """One loop variable per dimension whose extent is not 1."""
    return tuple(Var(f"{prefix}{i}", n) for i, n in enumerate(squeeze(shape)))


def squeeze(shape: Shape) -> Shape:
    """A shape without its dimensions of extent 1."""
    return tuple(n for n in shape if n != 1)


def squeezed_axes(node: Node) -> tuple[int, ...]:
    """The reduced axes of a reduction, counted in the squeezed operand shape."""
    shape = node.operands[0].shape
    position: dict[int, int] = {}
    for axis, extent in enumerate(shape):
        if extent != 1:
            position[axis] = len(position)
    return tuple(position[axis] for axis in node.params["axes"] if axis in position)


def spread(shape: Shape, indices: tuple[Lin, ...]) -> tuple[Lin, ...]:
    """Indices of the squeezed dims laid out over the full shape, 0 for extents of 1."""
    left = iter(indices)
    return tuple(Lin(0) if n == 1 else next(left) for n in shape)


def gathered(shape: Shape, index: tuple[Lin, ...]) -> tuple[Lin, ...]:
    """The inverse of `spread`: the indices of the dims whose extent is not 1."""
    return tuple(i for n, i in zip(shape, index, strict=True) if n != 1)


class View(NamedTuple):
    """A strided window on a materialised value: strides and offset in elements."""

    base: Value
    strides: tuple[DimLike, ...]
    offset: DimLike


def view_of(value: Value, strides: Mapping[Value, Shape | None] | None = None) -> View:
    """The deepest value below movement nodes of which `value` is a strided view (at worst itself).

    `strides`: of stored values that do not lie dense in memory.
    """
    shape = value.shape
    known = strides or {}
    variables = tuple(Var(f"v{i}", n) for i, n in enumerate(shape))
    place = Place(value, tuple(variable(v) for v in variables), TRUE)
    best = View(value, known.get(value) or row_major_strides(shape), 0)
    while is_movement(place.value.node) and place.value.node.op_name not in ("pad", "gather"):
        reads = movement_reads(place.value.node, place.index, TRUE)
        if len(reads) != 1 or reads[0][0].tests:
            break
        place = reads[0][1]
        form = address(place.value.shape, place.index, known.get(place.value))
        if any(isinstance(atom, Atom) for atom in form.terms):
            continue
        steps = tuple(form.terms.get(v, 0) for v in variables)
        best = View(place.value, steps, form.const)
    return best


def address(shape: Shape, index: tuple[Lin, ...], strides: Shape | None = None) -> Lin:
    """The linear element offset of an index in an array with the given (or dense) strides."""
    total = Lin(0)
    for step, form in zip(strides or row_major_strides(shape), index, strict=True):
        total = total + form * step
    return total

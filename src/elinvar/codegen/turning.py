"""Memory that is read along another axis than the kernel's lanes: turned in squares of 8 × 8.

A square is read as it lies, turned in registers, and stands in a small array until the rows of a
tile are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from elinvar.codegen.body import Body
from elinvar.codegen.evaluate import Evaluator, Leaf, Tile
from elinvar.codegen.llvm_scalars import memory_type
from elinvar.codegen.walking import Walker
from elinvar.kernels.index import Lin, Var

SMALLEST = 8  # a shorter side is not worth a tile
MOST_TURNED = 4
SQUARE = 8  # larger ones turn no faster, and take LLVM far longer
STRIDED = (-1, 0, 1, 2, 3, 4)  # steps between lanes that need no tile

Key = tuple[str, Lin]  # a leaf's pointer and an address


class Turned(NamedTuple):
    """What is read along `across` while the lanes run along `along`."""

    across: Var
    along: Var
    loads: tuple[tuple[Leaf, Lin], ...]


def find_turned(walker: Walker, others: Sequence[Var], along: Var) -> Turned | None:
    """What is best read in tiles: along the one of `others` that most such reads share."""
    if isinstance(along.extent, int) and along.extent < SMALLEST:
        return None
    found: dict[Var, dict[Key, tuple[Leaf, Lin]]] = {}
    for value, index, guard in walker.collector.loads:
        leaf = walker.leaves[value]
        form = walker.evaluator.linear(leaf, index)
        if guard.tests or form.terms.get(along, 0) in STRIDED:
            continue
        for var in others:
            short = isinstance(var.extent, int) and var.extent < SMALLEST
            if form.terms.get(var) == 1 and not short and _is_plain(form, var, along):
                found.setdefault(var, {})[leaf.pointer, form] = leaf, form
    if not found:
        return None
    across = max(found, key=lambda var: (len(found[var]), others.index(var)))
    loads = tuple(sorted(found[across].values(), key=lambda load: (load[0].pointer, repr(load[1]))))
    return Turned(across, along, loads) if len(loads) <= MOST_TURNED else None


def scratch_slots(body: Body, turned: Turned, elements: int) -> dict[Key, str]:
    """Memory on the stack for each turned read."""
    return {
        (leaf.pointer, form): body.stack_slot(f"[{elements} x {memory_type(leaf.dtype)}]", "tile")
        for leaf, form in turned.loads
    }


def turn_tiles(
    evaluator: Evaluator, turned: Turned, tiles: Mapping[Key, Tile], stop: str, end: str
) -> None:
    """Fill the tiles: up to `stop` across and up to `end` along."""
    body, tile = evaluator.body, next(iter(tiles.values()))
    with (
        body.loop(tile.start, end, SQUARE, "turn") as column,
        body.loop(tile.first, stop, SQUARE, "turn") as line,
    ):
        evaluator.counters[turned.across], evaluator.counters[turned.along] = line, column
        for leaf, form in turned.loads:
            _turn(evaluator, leaf, form, tiles[leaf.pointer, form])


def _turn(evaluator: Evaluator, leaf: Leaf, form: Lin, tile: Tile) -> None:
    """Read a square as it lies, turn it, and leave it in the tile's memory."""
    body, last = evaluator.body, tile.along
    element, itemsize = memory_type(leaf.dtype), leaf.dtype.itemsize
    start, step = evaluator.scalar_index(form), body.dim(form.terms[last])
    across, column = tile.across, evaluator.counters[last]
    line = evaluator.counters[across]
    most = body.sub(body.sub(body.dim(last.extent), "1"), column)
    mask = None
    if not isinstance(across.extent, int) or across.extent % SQUARE:
        mask = _first_lanes(evaluator, body.sub(body.dim(across.extent), line))
    rows = []
    for number in range(SQUARE):
        ahead = body.mul(body.minimum(str(number), most), step)
        pointer = evaluator.element_pointer(leaf.pointer, leaf.dtype, body.add(start, ahead))
        rows.append(evaluator.load_vector(pointer, element, itemsize, SQUARE, mask))
    kind = f"<{SQUARE} x {element}>"
    corner = body.mul(body.sub(line, tile.first), str(tile.width))
    corner = body.add(corner, body.sub(column, tile.start))
    for number, row in enumerate(transposed(body, rows, kind)):
        offset = body.add(corner, str(number * tile.width))
        place = evaluator.element_pointer(tile.pointer, leaf.dtype, offset)
        body.emit(f"store {kind} {row}, ptr {place}, align {itemsize}")


def _first_lanes(evaluator: Evaluator, count: str) -> str:
    """A mask of the lanes below a number."""
    body = evaluator.body
    lanes = ", ".join(f"i64 {lane}" for lane in range(SQUARE))
    limit = evaluator.splat(count, "i64", SQUARE)
    return body.instruction(f"icmp slt <{SQUARE} x i64> <{lanes}>, {limit}", "mask")


def transposed(body: Body, rows: list[str], kind: str) -> list[str]:
    """A square turned: halves of pairs of rows are swapped, at distances 4, 2 and 1 (of 8)."""
    size = len(rows)
    distance = size // 2
    while distance:
        for i in range(size):
            if i & distance:
                continue
            pair = rows[i], rows[i + distance]
            low = [j if not j & distance else size + j - distance for j in range(size)]
            high = [j + distance if not j & distance else size + j for j in range(size)]
            for place, picks in ((i, low), (i + distance, high)):
                mask = ", ".join(f"i32 {pick}" for pick in picks)
                rows[place] = body.instruction(
                    f"shufflevector {kind} {pair[0]}, {kind} {pair[1]}, <{size} x i32> <{mask}>",
                    "x",
                )
        distance //= 2
    return rows


def _is_plain(form: Lin, *variables: Var) -> bool:
    """Whether no division or the like hides one of the variables."""
    hidden = [Lin(0, {atom: 1}) for atom in form.terms if not isinstance(atom, Var)]
    return not any(atom.depends_on(var) for atom in hidden for var in variables)

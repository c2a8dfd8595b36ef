"""Fused elementwise groups as LLVM functions.

Memory that is read along another axis than the one that is written is read in squares of 8 × 8
elements, which are turned in registers and stand in a small array until 16 rows are computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from elinvar.codegen.evaluate import Leaf, Tile
from elinvar.codegen.llvm_scalars import memory_type
from elinvar.codegen.patterns import Origin
from elinvar.codegen.walking import LANES, TASK_ELEMENTS, Geometry, Walker
from elinvar.core.shapes import DimLike, evaluate, size
from elinvar.graph.ir import Value
from elinvar.kernels.index import Cond, Lin, Var, variable

SMALLEST = 8  # a shorter side is not worth a tile
MOST_TURNED = 4
SQUARE = 8  # larger ones turn no faster, and take LLVM far longer
WIDTH = 128  # elements of a row that are turned before the row is computed
STRIDED = (-1, 0, 1, 2, 3, 4)  # steps between lanes that need no tile


class Turned(NamedTuple):
    """What is read along `across` while the kernel writes along its last loop variable."""

    across: Var
    loads: tuple[tuple[Leaf, Lin], ...]


@dataclass(frozen=True)
class TurnedGeometry(Geometry):
    """Tasks of a kernel that turns tiles: `rows` counts the outer loops alone."""

    across: DimLike = 1

    def cut(self, sizes: Mapping[str, int]) -> tuple[int, int, int]:
        inner = evaluate(self.inner, sizes)
        rows = evaluate(self.rows, sizes) * -(-evaluate(self.across, sizes) // LANES)
        rows_per_task = max(1, TASK_ELEMENTS // max(1, inner * LANES))
        block = max(1, inner)
        if rows_per_task == 1:
            block = min(block, TASK_ELEMENTS // LANES)  # a multiple of WIDTH
        return -(-rows // rows_per_task) * -(-inner // block), rows_per_task, block

    def elements(self, sizes: Mapping[str, int]) -> int:
        return evaluate(self.rows * self.inner * self.across, sizes)


class MapKernel(Walker):
    """Computes every element on its own."""

    def _loops(self) -> Geometry:
        variables = self.outer
        if not variables:
            with self.body.loop("%begin", "%end", hint="task"):
                self._store(*self.group.region.outputs)
            return Geometry(1, 1, 1, 0)
        turned = self._turned()
        if turned is not None:
            return self._in_tiles(turned)
        last = variables[-1]
        rows = size(v.extent for v in variables[:-1])
        for row, low, high in self._tasks(rows, last.extent, True):
            self._set_row(row, variables[:-1])
            lanes = (
                LANES
                if not isinstance(last.extent, int) or last.extent > 2 * LANES
                else last.extent
            )
            for _ in self._lanes(last, low, high, max(lanes, 1), True):
                self._store(*self.group.region.outputs)
        return Geometry(rows, last.extent, last.extent, 64)

    def _in_place(self) -> tuple[tuple[int, int], ...]:
        """Inputs of which each element is read only where the same element of an output goes."""
        read: dict[Value, set[Lin]] = {}
        for value, index, _ in self.collector.loads:
            form = self.evaluator.linear(self.leaves[value], index)
            read.setdefault(value, set()).add(form)
        written = {
            value: self.evaluator.linear(target, self._index(value.shape))
            for value, target in self.targets.items()
        }
        return tuple(
            (i, o)
            for i, x in enumerate(self.group.region.inputs)
            for o, y in enumerate(self.group.region.outputs)
            if x.dtype.itemsize == y.dtype.itemsize and read.get(x) == {written[y]}
        )

    # tiles

    def _turned(self) -> Turned | None:
        """What is best read in tiles: along the loop variable that most such reads share."""
        *others, last = self.outer
        if isinstance(last.extent, int) and last.extent < SMALLEST:
            return None
        found: dict[Var, dict[tuple[str, Lin], tuple[Leaf, Lin]]] = {}
        for value, index, guard in self.collector.loads:
            leaf = self.leaves[value]
            form = self.evaluator.linear(leaf, index)
            if guard.tests or form.terms.get(last, 0) in STRIDED:
                continue
            for var in others:
                short = isinstance(var.extent, int) and var.extent < SMALLEST
                if form.terms.get(var) == 1 and not short and _is_plain(form, var, last):
                    found.setdefault(var, {})[leaf.pointer, form] = leaf, form
        if not found:
            return None
        across = max(found, key=lambda var: (len(found[var]), others.index(var)))
        loads = tuple(found[across].values())
        return Turned(across, loads) if len(loads) <= MOST_TURNED else None

    def _in_tiles(self, turned: Turned) -> Geometry:
        body, evaluator = self.body, self.evaluator
        across, last = turned.across, self.outer[-1]
        others = [v for v in self.outer[:-1] if v is not across]
        blocks = body.div(body.add(body.dim(across.extent), str(LANES - 1)), str(LANES))
        rows = body.mul(body.dim(size(v.extent for v in others)), blocks)
        scratch = {}
        for leaf, form in turned.loads:
            kind = f"[{LANES * WIDTH} x {memory_type(leaf.dtype)}]"
            scratch[leaf.pointer, form] = body.stack_slot(kind, "tile")
        for row, low, high in self._tasks(rows, last.extent, True):
            self._set_row(body.div(row, blocks), others)
            first = body.mul(body.rem(row, blocks), str(LANES))
            stop = body.minimum(body.add(first, str(LANES)), body.dim(across.extent))
            with body.loop(low, high, WIDTH, "tile") as start:
                end = body.minimum(body.add(start, str(WIDTH)), high)
                tiles = {
                    key: Tile(slot, across, first, last, start, WIDTH)
                    for key, slot in scratch.items()
                }
                with (
                    body.loop(start, end, SQUARE, "turn") as column,
                    body.loop(first, stop, SQUARE, "turn") as line,
                ):
                    evaluator.counters[across], evaluator.counters[last] = line, column
                    for leaf, form in turned.loads:
                        self._turn(leaf, form, tiles[leaf.pointer, form])
                with body.loop(first, stop, hint="row") as counter:
                    evaluator.counters[across] = counter
                    self._tile_row(tiles, start, end)
        return TurnedGeometry(size(v.extent for v in others), last.extent, 0, 64, across.extent)

    def _tile_row(self, tiles: dict[tuple[str, Lin], Tile], start: str, end: str) -> None:
        """Compute a row of turned elements; its last vector may be narrower."""
        body, evaluator, last = self.body, self.evaluator, self.outer[-1]
        outputs, aligned = self.group.region.outputs, Origin(0, LANES)
        evaluator.tiles = tiles
        whole = body.add(start, body.mul(body.div(body.sub(end, start), str(LANES)), str(LANES)))
        with body.loop(start, whole, LANES, "j") as column:
            with evaluator.vectorized(last, column, LANES, aligned):
                self._store(*outputs)
        if not isinstance(last.extent, int) or last.extent % LANES:
            inside = Cond(frozenset([("lt", variable(last), Lin(last.extent))]))
            rest = body.instruction(f"icmp slt i64 {whole}, {end}", "rest")
            with body.when(rest), evaluator.vectorized(last, whole, LANES, aligned):
                self._store(*outputs, guard=inside)
        evaluator.tiles = {}

    def _turn(self, leaf: Leaf, form: Lin, tile: Tile) -> None:
        """Read a square as it lies, turn it, and leave it in the tile's memory."""
        body, evaluator, last = self.body, self.evaluator, self.outer[-1]
        element, itemsize = memory_type(leaf.dtype), leaf.dtype.itemsize
        start, step = evaluator.scalar_index(form), body.dim(form.terms[last])
        across, column = tile.across, evaluator.counters[last]
        line = evaluator.counters[across]
        most = body.sub(body.sub(body.dim(last.extent), "1"), column)
        mask = None
        if not isinstance(across.extent, int) or across.extent % SQUARE:
            mask = self._first_lanes(body.sub(body.dim(across.extent), line))
        rows = []
        for number in range(SQUARE):
            ahead = body.mul(body.minimum(str(number), most), step)
            pointer = evaluator.element_pointer(leaf.pointer, leaf.dtype, body.add(start, ahead))
            rows.append(evaluator.load_vector(pointer, element, itemsize, SQUARE, mask))
        kind = f"<{SQUARE} x {element}>"
        corner = body.mul(body.sub(line, tile.first), str(tile.width))
        corner = body.add(corner, body.sub(column, tile.start))
        for number, row in enumerate(self._transposed(rows, kind)):
            offset = body.add(corner, str(number * tile.width))
            place = evaluator.element_pointer(tile.pointer, leaf.dtype, offset)
            body.emit(f"store {kind} {row}, ptr {place}, align {itemsize}")

    def _first_lanes(self, count: str) -> str:
        """A mask of the lanes below a number."""
        body = self.body
        lanes = ", ".join(f"i64 {lane}" for lane in range(SQUARE))
        limit = self.evaluator.splat(count, "i64", SQUARE)
        return body.instruction(f"icmp slt <{SQUARE} x i64> <{lanes}>, {limit}", "mask")

    def _transposed(self, rows: list[str], kind: str) -> list[str]:
        """Swap halves of pairs of rows, at distances 4, 2 and 1."""
        distance = SQUARE // 2
        while distance:
            for i in range(SQUARE):
                if i & distance:
                    continue
                pair = rows[i], rows[i + distance]
                low = [j if not j & distance else SQUARE + j - distance for j in range(SQUARE)]
                high = [j + distance if not j & distance else SQUARE + j for j in range(SQUARE)]
                for place, picks in ((i, low), (i + distance, high)):
                    mask = ", ".join(f"i32 {pick}" for pick in picks)
                    rows[place] = self.body.instruction(
                        f"shufflevector {kind} {pair[0]}, {kind} {pair[1]}, "
                        f"<{SQUARE} x i32> <{mask}>",
                        "x",
                    )
            distance //= 2
        return rows


def _is_plain(form: Lin, *variables: Var) -> bool:
    """Whether no division or the like hides one of the variables."""
    hidden = [Lin(0, {atom: 1}) for atom in form.terms if not isinstance(atom, Var)]
    return not any(atom.depends_on(var) for atom in hidden for var in variables)

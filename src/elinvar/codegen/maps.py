"""Fused elementwise groups as LLVM functions.

Memory that is read along another axis than the one that is written is read in squares of 8 × 8
elements, which are turned in registers and stand in a small array until 16 rows are computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from elinvar.codegen.evaluate import Tile
from elinvar.codegen.patterns import Origin
from elinvar.codegen.turning import Turned, find_turned, scratch_slots, turn_tiles
from elinvar.codegen.walking import LANES, TASK_ELEMENTS, Geometry, Walker
from elinvar.core.shapes import DimLike, evaluate, size
from elinvar.core.sizing import ceil_div, choose, least, most, same
from elinvar.graph.ir import Value
from elinvar.kernels.index import Cond, Lin, variable

WIDTH = 128  # elements of a row that are turned before the row is computed


@dataclass(frozen=True)
class TurnedGeometry(Geometry):
    """Tasks of a kernel that turns tiles: `rows` counts the outer loops alone."""

    across: DimLike = 1

    def cut(self, sizes: Mapping[str, int], weight: int = 1) -> tuple[int, int, int]:
        inner = evaluate(self.inner, sizes)
        rows = evaluate(self.rows, sizes) * ceil_div(evaluate(self.across, sizes), LANES)
        rows_per_task = most(1, TASK_ELEMENTS // most(1, inner * LANES))
        whole = most(1, inner)
        part = least(whole, TASK_ELEMENTS // LANES)  # a multiple of WIDTH
        block = choose(same(rows_per_task, 1), part, whole)
        return ceil_div(rows, rows_per_task) * ceil_div(inner, block), rows_per_task, block

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
        turned = find_turned(self, self.outer[:-1], self.outer[-1])
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

    def _in_tiles(self, turned: Turned) -> Geometry:
        body, evaluator = self.body, self.evaluator
        across, last = turned.across, self.outer[-1]
        others = [v for v in self.outer[:-1] if v is not across]
        blocks = body.div(body.add(body.dim(across.extent), str(LANES - 1)), str(LANES))
        rows = body.mul(body.dim(size(v.extent for v in others)), blocks)
        scratch = scratch_slots(body, turned, LANES * WIDTH)
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
                turn_tiles(evaluator, turned, tiles, stop, end)
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

"""Products of few rows (matrix × vector): the right operand is read once, so it is not packed.

    columns are neighbours     vectors of eight columns are loaded as they stand
    k is neighbouring          eight columns × eight steps of k are loaded and turned in registers

The order of every sum is that of contraction.py.
"""

from __future__ import annotations

from elinvar.codegen.body import Body
from elinvar.codegen.llvm_scalars import llvm_type
from elinvar.codegen.numerics import Numerics
from elinvar.codegen.product_parts import (
    GROUP,
    Tile,
    fma,
    function,
    load_as,
    pointer,
    splat,
    square_turned,
    store,
    table,
)
from elinvar.core.dtypes import DType

MOST_ROWS = 4
HEIGHTS = (1, 4)
WIDTH, DENSE_WIDTH = 2, 4  # groups of columns at a time: turned, or neighbours in memory
LINE = 64  # bytes of a cache line


def few_rows(
    name: str,
    stored: DType,
    dtype: DType,
    tile: Tile,
    height: int,
    turned: bool,
    numerics: Numerics,
) -> tuple[str, list[str]]:
    """One panel of columns: tile[i][j] = Σ over all k for the first `height` rows."""
    word = "turned" if turned else "dense"
    parameters = [
        f"ptr noalias {p}"
        for p in ("%left", "%rows", "%left.k", "%right", "%columns", "%right.k", "%tile")
    ]
    body = _FewRows(stored, dtype, tile, height, turned, numerics).body_text()
    return function(f"{name}.{word}{height}", [*parameters, "i64 %depth"], body)


class _FewRows:
    """Some groups of eight columns at a time: as many sums as hide the latency of fma, and not more
    streams of memory than the hardware follows; of narrow numbers that are neighbours, a cache line
    at least."""

    def __init__(
        self, stored: DType, dtype: DType, tile: Tile, height: int, turned: bool, numerics: Numerics
    ) -> None:
        self.stored, self.numerics = stored, numerics
        self.dtype, self.tile, self.height, self.turned = dtype, tile, height, turned
        self.element = llvm_type(dtype)
        self.vector = f"<{GROUP} x {self.element}>"
        line = LINE // (GROUP * stored.itemsize)
        self.groups = min(WIDTH if turned else max(DENSE_WIDTH, line), tile.columns // GROUP)
        self.body = Body()

    def body_text(self) -> Body:
        body = self.body
        cells = [(i, g) for i in range(self.height) for g in range(self.groups)]
        self.sums = {cell: body.stack_slot(self.vector, "acc") for cell in cells}
        totals = {cell: body.stack_slot(self.vector, "total") for cell in cells}
        self.lines = [
            pointer(body, "%left", llvm_type(self.stored), table(body, "%rows", str(i)))
            for i in range(self.height)
        ]
        columns, step = str(self.tile.columns), self.groups * GROUP
        with body.loop("0", columns, step, "column") as first:
            self.offsets = [
                table(body, "%columns", body.add(first, str(lane))) for lane in range(step)
            ]
            for slot in totals.values():
                body.emit(f"store {self.vector} zeroinitializer, ptr {slot}, align 64")
            with body.loop("0", "%depth", self.numerics.stretch, "block") as low:
                self._block(low, totals)
            for (i, g), slot in totals.items():
                place = body.add(first, str(i * self.tile.columns + g * GROUP))
                store(body, "%tile", self.vector, self.dtype, place, self._get(slot))
        return body

    def _block(self, low: str, totals: dict[tuple[int, int], str]) -> None:
        """Add the sum of a block of k to the totals (or set them, for the first block)."""
        body = self.body
        for slot in self.sums.values():
            body.emit(f"store {self.vector} zeroinitializer, ptr {slot}, align 64")
        high = body.minimum(body.add(low, str(self.numerics.stretch)), "%depth")
        if self.turned:
            length = body.sub(high, low)
            line = 2 * GROUP
            whole = body.add(low, body.mul(body.div(length, str(line)), str(line)))
            full = body.add(low, body.mul(body.div(length, str(GROUP)), str(GROUP)))
            with body.loop(low, whole, line, "k") as k:
                for g in range(self.groups):
                    self._turn(k, g)
                    self._turn(body.add(k, str(GROUP)), g)
            with body.loop(whole, full, GROUP, "k") as k:
                for g in range(self.groups):
                    self._turn(k, g)
            with body.loop(full, high, hint="k") as k:
                self._one_step(k)
        else:
            with body.loop(low, high, hint="k") as k:
                step = table(body, "%right.k", k)
                for g in range(self.groups):
                    place = body.add(self.offsets[g * GROUP], step)
                    self._add(k, g, self._load("%right", GROUP, place))
        first = body.instruction(f"icmp eq i64 {low}, 0")
        word = "fadd" if self.dtype.kind == "f" else "add"
        for cell, slot in totals.items():
            value = self._get(self.sums[cell])
            total = body.instruction(f"{word} {self.vector} {self._get(slot)}, {value}")
            chosen = body.instruction(
                f"select i1 {first}, {self.vector} {value}, {self.vector} {total}"
            )
            body.emit(f"store {self.vector} {chosen}, ptr {slot}, align 64")

    def _get(self, slot: str) -> str:
        return self.body.instruction(f"load {self.vector}, ptr {slot}, align 64")

    def _load(self, base: str, lanes: int, place: str) -> str:
        return load_as(self.body, base, lanes, self.stored, self.dtype, place)

    def _turn(self, k: str, g: int) -> None:
        """Eight steps of k for eight columns."""
        body = self.body
        step = table(body, "%right.k", k)
        lines = [
            self._load("%right", GROUP, body.add(offset, step))
            for offset in self.offsets[g * GROUP : (g + 1) * GROUP]
        ]
        for number, value in enumerate(square_turned(body, self.element, lines)):
            self._add(body.add(k, str(number)), g, value)

    def _one_step(self, k: str) -> None:
        body = self.body
        step = table(body, "%right.k", k)
        for g in range(self.groups):
            value = "poison"
            for lane, offset in enumerate(self.offsets[g * GROUP : (g + 1) * GROUP]):
                one = self._load("%right", 1, body.add(offset, step))
                value = body.instruction(
                    f"insertelement {self.vector} {value}, {self.element} {one}, i64 {lane}"
                )
            self._add(k, g, value)

    def _add(self, k: str, g: int, value: str) -> None:
        """One step of k for all rows and a group of columns."""
        body = self.body
        step = table(body, "%left.k", k)
        for i, line in enumerate(self.lines):
            one = splat(body, self.element, GROUP, self._load(line, 1, step))
            slot = self.sums[i, g]
            total = fma(body, self.dtype, GROUP, one, value, self._get(slot))
            body.emit(f"store {self.vector} {total}, ptr {slot}, align 64")

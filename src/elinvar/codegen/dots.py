"""Products of few rows whose lanes are steps of k: for programs that may add in any order.

Where k is neighbouring in both operands, a result is a dot product of two lines of memory. Vectors
along k need no turning, and one result fills them:

    sums[i][j] += left[i, k … k + lanes] · right[k … k + lanes, j]     and their lanes at the end
"""

from __future__ import annotations

from elinvar.codegen.body import Body
from elinvar.codegen.llvm_scalars import llvm_type
from elinvar.codegen.product_parts import (
    Tile,
    fma,
    function,
    load_as,
    pointer,
    store,
    table,
)
from elinvar.core.dtypes import DType

TOGETHER = 4  # columns that share what is read of the left operand, or chains of a single one


def dots(name: str, stored: DType, dtype: DType, tile: Tile, height: int) -> tuple[str, list[str]]:
    """One panel of columns: tile[i][j] = Σ over all k for the first `height` rows and the first
    `width` columns."""
    pointers = ("%left", "%rows", "%left.k", "%right", "%columns", "%right.k", "%tile")
    parameters = [f"ptr noalias {p}" for p in pointers]
    body = _Dots(stored, dtype, tile, height).body_text()
    return function(f"{name}.dots{height}", [*parameters, "i64 %depth", "i64 %width"], body)


class _Dots:
    def __init__(self, stored: DType, dtype: DType, tile: Tile, height: int) -> None:
        self.stored, self.dtype, self.tile, self.height = stored, dtype, tile, height
        self.lanes, self.element = tile.vector, llvm_type(dtype)
        self.vector = f"<{self.lanes} x {self.element}>"
        self.body = Body()

    def body_text(self) -> Body:
        body = self.body
        self.lines = [
            pointer(body, "%left", llvm_type(self.stored), table(body, "%rows", str(i)))
            for i in range(self.height)
        ]
        together = str(TOGETHER)
        whole = body.mul(body.div("%width", together), together)
        with body.loop("0", whole, TOGETHER, "column") as first:
            self._columns(first, TOGETHER, 1)
        with body.loop(whole, "%width", hint="column") as first:
            self._columns(first, 1, TOGETHER // self.height)
        return body

    def _columns(self, first: str, count: int, chains: int) -> None:
        """Some columns, each result in `chains` vectors that take turns."""
        body, kind = self.body, llvm_type(self.stored)
        rights = [
            pointer(body, "%right", kind, table(body, "%columns", body.add(first, str(j))))
            for j in range(count)
        ]
        cells = [(i, j) for i in range(self.height) for j in range(count)]
        slots = {
            (*cell, chain): body.stack_slot(self.vector, "acc")
            for cell in cells
            for chain in range(chains)
        }
        for slot in slots.values():
            body.emit(f"store {self.vector} zeroinitializer, ptr {slot}, align 64")
        step = self.lanes * chains
        several = body.mul(body.div("%depth", str(step)), str(step))
        full = body.mul(body.div("%depth", str(self.lanes)), str(self.lanes))
        with body.loop("0", several, step, "k") as k:
            for chain in range(chains):
                self._add(body.add(k, str(chain * self.lanes)), rights, slots, chain)
        if chains > 1:
            with body.loop(several, full, self.lanes, "k") as k:
                self._add(k, rights, slots, 0)
        totals = {cell: body.stack_slot(f"<1 x {self.element}>", "total") for cell in cells}
        for i, j in cells:
            vector = self._get(slots[i, j, 0])
            for chain in range(1, chains):
                vector = self._sum(self.vector, vector, self._get(slots[i, j, chain]))
            self._put(totals[i, j], self._all_lanes(vector))
        with body.loop(full, "%depth", hint="k") as k:
            self._add_one(k, rights, totals)
        for (i, j), slot in totals.items():
            place = body.add(first, str(i * self.tile.columns + j))
            value = body.instruction(f"load {self.element}, ptr {slot}, align 64")
            store(body, "%tile", self.element, self.dtype, place, value)

    def _add(
        self, k: str, rights: list[str], slots: dict[tuple[int, int, int], str], chain: int
    ) -> None:
        """A vector of steps of k for all rows and columns."""
        step, other = table(self.body, "%left.k", k), table(self.body, "%right.k", k)
        values = [self._load(right, self.lanes, other) for right in rights]
        for i, line in enumerate(self.lines):
            one = self._load(line, self.lanes, step)
            for j, value in enumerate(values):
                slot = slots[i, j, chain]
                total = fma(self.body, self.dtype, self.lanes, one, value, self._get(slot))
                self.body.emit(f"store {self.vector} {total}, ptr {slot}, align 64")

    def _add_one(self, k: str, rights: list[str], totals: dict[tuple[int, int], str]) -> None:
        """One step of k."""
        body, single = self.body, f"<1 x {self.element}>"
        step, other = table(body, "%left.k", k), table(body, "%right.k", k)

        def one(base: str, place: str) -> str:
            value = self._load(base, 1, place)
            return body.instruction(f"insertelement {single} poison, {self.element} {value}, i64 0")

        for (i, j), slot in totals.items():
            left, right = one(self.lines[i], step), one(rights[j], other)
            old = body.instruction(f"load {single}, ptr {slot}, align 64")
            self._put(slot, fma(body, self.dtype, 1, left, right, old))

    def _all_lanes(self, vector: str) -> str:
        """The sum of all lanes."""
        body, lanes = self.body, self.lanes
        while lanes > 1:
            kind, half = f"<{lanes} x {self.element}>", lanes // 2
            low, high = (
                body.instruction(
                    f"shufflevector {kind} {vector}, {kind} poison, <{half} x i32> "
                    f"<{', '.join(f'i32 {start + n}' for n in range(half))}>"
                )
                for start in (0, half)
            )
            vector, lanes = self._sum(f"<{half} x {self.element}>", low, high), half
        return vector

    def _sum(self, kind: str, left: str, right: str) -> str:
        word = "fadd" if self.dtype.kind == "f" else "add"
        return self.body.instruction(f"{word} {kind} {left}, {right}")

    def _load(self, base: str, lanes: int, place: str) -> str:
        return load_as(self.body, base, lanes, self.stored, self.dtype, place)

    def _get(self, slot: str) -> str:
        return self.body.instruction(f"load {self.vector}, ptr {slot}, align 64")

    def _put(self, slot: str, value: str) -> None:
        self.body.emit(f"store <1 x {self.element}> {value}, ptr {slot}, align 64")

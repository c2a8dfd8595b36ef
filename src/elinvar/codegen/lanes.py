"""Many small products side by side: the lanes of a vector belong to different results.

A depthwise convolution, its gradients and groups of few channels are batches of products so narrow
that no micro-kernel fills its registers with one of them. Two ways to fill a vector:

    over the batch   where the channels are innermost in memory, a lane for each product:
                     result[b, i, j] = Σ_k left[b, i, k] · right[b, k, j] for `lanes` b at once
    over the rows    where positions are, a lane for each row: `lanes` i at once, and right[b, k, j]
                     in all of them

`rows` × `columns` such vectors of sums stand in registers. The sum over k runs in the order of
contraction.py: increasing, with fma, in blocks of 256 whose partial sums are added in order.
"""

from __future__ import annotations

from dataclasses import dataclass

from elinvar.codegen.body import Body, kernel_module
from elinvar.codegen.llvm_scalars import llvm_type
from elinvar.codegen.numerics import EXACT
from elinvar.codegen.product_parts import (
    GROUP,
    ceiling,
    fma,
    load_as,
    pointer,
    splat,
    square_turned,
    store,
    table,
)
from elinvar.core.dtypes import DType, is_narrow

LANES_POINTERS = (
    "%left %right %result %left.rows %left.k %left.panels %right.k %right.columns %right.panels "
    "%result.rows %row.flags %result.columns %result.panels %result.lanes %first.lanes"
).split()
LANES_SIZES = "%rows %columns %depth %panels %panel.block %chunk".split()
MOST_PANELS = 16  # panels that a task of several blocks of k takes


@dataclass(frozen=True)
class Lanes:
    """What a kernel of this kind is compiled for.

    Attributes:
        lanes: results in a vector.
        rows, columns: vectors of sums at a time.
        is_packed: the right operand has the type of the sums, or else that of the left one.
        is_dense: the results of a row, columns within lanes, are neighbours in memory.
        is_short: k fits into one block.
        step: 0 for lanes over the batch; for lanes over the rows, how far these are apart in the
            left operand (1 or 2).
        turns: 0, or how many rows are neighbours, for operands whose lanes stand apart and are
            turned (see turned_lanes.py).
    """

    lanes: int
    rows: int
    columns: int
    is_packed: bool
    is_dense: bool
    is_short: bool
    step: int = 0
    turns: int = 0


def lanes_text(name: str, stored: DType, dtype: DType, shape: Lanes) -> str:
    """Kernel: a batch of products of operands that hold `stored`; sums and result are `dtype`.

    A panel is a vector of lanes over the batch, or a batch; a row with lanes over the rows is a
    vector of them; a tile is `shape.rows` rows. Slots: left, right, result; offsets in elements: of
    the left operand by row (filled up to whole tiles), k and panel; of the right one by k, column
    and panel; of the result by row, per tile of rows whether they are neighbours, by column, by
    panel and by lane of each panel; per panel its first lane that is not in the one before (the
    last two for lanes over the batch only); then rows, columns, depth, panels, the panels and the
    tiles of rows that a task takes. Tasks: blocks of tiles × blocks of panels × columns /
    `shape.columns`.
    """
    body = LanesKernel(stored, dtype, shape).body_text()
    return kernel_module(name, body, LANES_POINTERS, LANES_SIZES)


class LanesKernel:
    """The loops over tasks, tiles, panels and k."""

    dtype: DType
    shape: Lanes
    stored: DType
    right: DType
    vector: str
    cells: list[tuple[int, int]]
    body: Body
    sums: dict[tuple[int, int], str]
    spill: str
    totals: str
    column: str

    def __init__(self, stored: DType, dtype: DType, shape: Lanes) -> None:
        self.stored, self.dtype, self.shape = stored, dtype, shape
        is_wide = shape.is_packed and (shape.turns or not is_narrow(stored))
        self.right = dtype if is_wide else stored
        self.vector = f"<{shape.lanes} x {llvm_type(dtype)}>"
        self.cells = [(i, j) for i in range(shape.rows) for j in range(shape.columns)]
        self.body = Body()

    def body_text(self) -> Body:
        body, shape = self.body, self.shape
        element = llvm_type(self.dtype)
        self.sums = {cell: body.stack_slot(self.vector, "acc") for cell in self.cells}
        count = shape.rows * shape.columns * shape.lanes
        self.spill = body.stack_slot(f"[{count} x {element}]", "spill")
        if not shape.is_short:
            self.totals = body.stack_slot(f"[{count * MOST_PANELS} x {element}]", "totals")
        tiles = body.div(body.add("%rows", str(shape.rows - 1)), str(shape.rows))
        column_blocks = body.div("%columns", str(shape.columns))
        panel_blocks = ceiling(body, "%panels", "%panel.block")
        with body.loop("%begin", "%end", hint="task") as task:
            self.column = body.mul(body.rem(task, column_blocks), str(shape.columns))
            rest = body.div(task, column_blocks)
            first = body.mul(body.rem(rest, panel_blocks), "%panel.block")
            last = body.minimum(body.add(first, "%panel.block"), "%panels")
            low = body.mul(body.div(rest, panel_blocks), "%chunk")
            high = body.minimum(body.add(low, "%chunk"), tiles)
            with body.loop(low, high, hint="tile") as tile:
                if shape.is_short:
                    with body.loop(first, last, hint="panel") as panel:
                        self._block(tile, panel, "0", "%depth")
                        self._write(tile, panel)
                else:
                    self._blocks(tile, first, last)
        body.emit("ret void")
        return body

    def _blocks(self, tile: str, first: str, last: str) -> None:
        """All blocks of k, with the totals of each panel on the stack."""
        body, lanes = self.body, self.shape.lanes
        word = "fadd" if self.dtype.kind == "f" else "add"

        def place(panel: str, cell: int) -> str:
            number = body.mul(body.sub(panel, first), str(len(self.cells)))
            return body.mul(body.add(number, str(cell)), str(lanes))

        with body.loop(first, last, hint="panel") as panel:
            for cell in range(len(self.cells)):
                at = place(panel, cell)
                store(body, self.totals, self.vector, self.dtype, at, "zeroinitializer")
        with (
            body.loop("0", "%depth", EXACT.stretch, "block") as low,
            body.loop(first, last, hint="panel") as panel,
        ):
            self._block(tile, panel, low, body.minimum(body.add(low, str(EXACT.stretch)), "%depth"))
            is_first = body.instruction(f"icmp eq i64 {low}, 0")
            for cell, slot in enumerate(self.sums.values()):
                at = place(panel, cell)
                value = self._get(slot)
                old = load_as(body, self.totals, lanes, self.dtype, self.dtype, at)
                total = body.instruction(f"{word} {self.vector} {old}, {value}")
                chosen = f"select i1 {is_first}, {self.vector} {value}, {self.vector} {total}"
                store(body, self.totals, self.vector, self.dtype, at, body.instruction(chosen))
        with body.loop(first, last, hint="panel") as panel:
            for cell, slot in enumerate(self.sums.values()):
                at = place(panel, cell)
                self._set(slot, load_as(body, self.totals, lanes, self.dtype, self.dtype, at))
            self._write(tile, panel)

    def _block(self, tile: str, panel: str, low: str, high: str) -> None:
        """The sums of a tile and a panel over a block of k."""
        body, shape = self.body, self.shape
        left = pointer(body, "%left", llvm_type(self.stored), table(body, "%left.panels", panel))
        first = body.mul(tile, str(shape.rows))
        lines = []
        for i in range(shape.rows):
            row = table(body, "%left.rows", body.add(first, str(i)))
            lines.append(pointer(body, left, llvm_type(self.stored), row))
        rights = self._rights(panel)
        for slot in self.sums.values():
            body.emit(f"store {self.vector} zeroinitializer, ptr {slot}, align 64")
        with body.loop(low, high, hint="k") as k:
            step, other = table(body, "%left.k", k), table(body, "%right.k", k)
            values = [self._load_right(right, other) for right in rights]
            for i, line in enumerate(lines):
                one = self._load_left(line, step)
                for j, value in enumerate(values):
                    slot = self.sums[i, j]
                    self._set(slot, fma(body, self.dtype, shape.lanes, one, value, self._get(slot)))

    def _rights(self, panel: str) -> list[str]:
        """Where the columns of the right operand begin."""
        body = self.body
        base = table(body, "%right.panels", panel)
        found = []
        for j in range(self.shape.columns):
            place = table(body, "%right.columns", body.add(self.column, str(j)))
            found.append(pointer(body, "%right", llvm_type(self.right), body.add(base, place)))
        return found

    def _load_right(self, base: str, place: str) -> str:
        body, lanes = self.body, self.shape.lanes
        if not self.shape.step:
            return load_as(body, base, lanes, self.right, self.dtype, place)
        one = load_as(body, base, 1, self.right, self.dtype, place)
        return splat(body, llvm_type(self.dtype), lanes, one)

    def _load_left(self, base: str, place: str) -> str:
        body, lanes = self.body, self.shape.lanes
        if self.shape.step < 2:
            return load_as(body, base, lanes, self.stored, self.dtype, place)
        # every second of 2·lanes - 1 elements: two loads, which read no further than that
        places = place, body.add(place, str(lanes - 1))
        low, high = (load_as(body, base, lanes, self.stored, self.dtype, p) for p in places)
        picks = [2 * n if 2 * n < lanes else 2 * n + 1 for n in range(lanes)]
        mask = ", ".join(f"i32 {pick}" for pick in picks)
        return body.instruction(
            f"shufflevector {self.vector} {low}, {self.vector} {high}, <{lanes} x i32> <{mask}>"
        )

    def _get(self, slot: str) -> str:
        return self.body.instruction(f"load {self.vector}, ptr {slot}, align 64")

    def _set(self, slot: str, value: str) -> None:
        self.body.emit(f"store {self.vector} {value}, ptr {slot}, align 64")

    # writing

    def _write(self, tile: str, panel: str) -> None:
        """Whole tiles in vectors, over lanes or over rows; others element by element."""
        body, shape, column = self.body, self.shape, self.column
        first = body.mul(tile, str(shape.rows))
        height = body.minimum(body.sub("%rows", first), str(shape.rows))
        whole = body.instruction(f"icmp eq i64 {height}, {shape.rows}")
        if shape.step:
            with body.when(whole):
                self._write_vectors(first, panel)
            partly = body.instruction(f"xor i1 {whole}, true")
            with body.when(partly):
                self._write_vectors(first, panel, height)
            return
        start = table(body, "%first.lanes", panel)
        fresh = body.instruction(f"icmp eq i64 {start}, 0")
        whole = body.instruction(f"and i1 {whole}, {fresh}")
        if not shape.is_dense:
            possible = "true" if self._turns else "false"
            flag = body.instruction(f"icmp ne i64 {table(body, '%row.flags', tile)}, 0")
            flag = body.instruction(f"and i1 {flag}, {possible}")
            whole = body.instruction(f"and i1 {whole}, {flag}")
        lanes = body.mul(panel, str(shape.lanes))
        with body.when(whole):
            if shape.is_dense:
                self._write_lanes(first, column, lanes)
            elif self._turns:
                self._write_rows(first, column, lanes)
        partly = body.instruction(f"xor i1 {whole}, true")
        with body.when(partly):
            self._write_elements(first, height, column, lanes, start)

    @property
    def _turns(self) -> bool:
        shape = self.shape
        return shape.rows == GROUP and shape.lanes % GROUP == 0 and not shape.step

    def _write_vectors(self, first: str, panel: str, height: str | None = None) -> None:
        """The vectors of a tile, or of its first rows, where they are neighbours in memory."""
        body, shape, kind = self.body, self.shape, llvm_type(self.dtype)
        base = table(body, "%result.panels", panel)
        bases = []
        for j in range(shape.columns):
            place = table(body, "%result.columns", body.add(self.column, str(j)))
            bases.append(pointer(body, "%result", kind, body.add(base, place)))
        if height is None:
            for (i, j), slot in self.sums.items():
                place = table(body, "%result.rows", body.add(first, str(i)))
                store(body, bases[j], self.vector, self.dtype, place, self._get(slot))
            return
        self._spill()
        with body.loop("0", height, hint="i") as row:
            place = table(body, "%result.rows", body.add(first, row))
            for j in range(shape.columns):
                cell = body.add(body.mul(row, str(shape.columns)), str(j))
                source = body.mul(cell, str(shape.lanes))
                value = load_as(body, self.spill, shape.lanes, self.dtype, self.dtype, source)
                store(body, bases[j], self.vector, self.dtype, place, value)

    def _spill(self) -> None:
        """The sums as an array, [row][column][lane]."""
        for (i, j), slot in self.sums.items():
            place = str((i * self.shape.columns + j) * self.shape.lanes)
            store(self.body, self.spill, self.vector, self.dtype, place, self._get(slot))

    def _write_lanes(self, first: str, column: str, lanes: str) -> None:
        """The columns of all lanes as one vector for each row."""
        body, shape, kind = self.body, self.shape, llvm_type(self.dtype)
        place = table(body, "%result.lanes", lanes)
        place = body.add(place, table(body, "%result.columns", column))
        base = pointer(body, "%result", kind, place)
        for i in range(shape.rows):
            values = [self._get(self.sums[i, j]) for j in range(shape.columns)]
            width = shape.lanes
            while len(values) > 1:  # the zips of (0, 2), (1, 3), then of those
                half = len(values) // 2
                picks = ", ".join(f"i32 {n}, i32 {n + width}" for n in range(width))
                values = [
                    body.instruction(
                        f"shufflevector <{width} x {kind}> {values[n]}, "
                        f"<{width} x {kind}> {values[n + half]}, <{2 * width} x i32> <{picks}>"
                    )
                    for n in range(half)
                ]
                width *= 2
            offset = table(body, "%result.rows", body.add(first, str(i)))
            store(body, base, f"<{width} x {kind}>", self.dtype, offset, values[0])

    def _write_rows(self, first: str, column: str, lanes: str) -> None:
        """Eight rows of each lane and column, turned in registers."""
        body, kind = self.body, llvm_type(self.dtype)
        start = table(body, "%result.rows", first)
        base = pointer(body, "%result", kind, start)
        for j in range(self.shape.columns):
            apart = table(body, "%result.columns", body.add(column, str(j)))
            for lane in range(0, self.shape.lanes, GROUP):
                picks = ", ".join(f"i32 {lane + n}" for n in range(GROUP))
                lines = []
                for i in range(GROUP):
                    value = self._get(self.sums[i, j])
                    lines.append(
                        body.instruction(
                            f"shufflevector {self.vector} {value}, {self.vector} poison, "
                            f"<{GROUP} x i32> <{picks}>"
                        )
                    )
                for n, value in enumerate(square_turned(body, kind, lines)):
                    place = table(body, "%result.lanes", body.add(lanes, str(lane + n)))
                    place = body.add(place, apart)
                    store(body, base, f"<{GROUP} x {kind}>", self.dtype, place, value)

    def _write_elements(
        self, first: str, height: str, column: str, lanes: str, start: str
    ) -> None:  # fmt: skip
        body, shape, kind = self.body, self.shape, llvm_type(self.dtype)
        self._spill()
        with (
            body.loop("0", height, hint="i") as i,
            body.loop("0", str(shape.columns), hint="j") as j,
        ):
            row = table(body, "%result.rows", body.add(first, i))
            row = body.add(row, table(body, "%result.columns", body.add(column, j)))
            cell = body.add(body.mul(i, str(shape.columns)), j)
            source = body.mul(cell, str(shape.lanes))
            with body.loop(start, str(shape.lanes), hint="lane") as lane:
                value = load_as(
                    body, self.spill, 1, self.dtype, self.dtype, body.add(source, lane)
                )  # fmt: skip
                place = table(body, "%result.lanes", body.add(lanes, lane))
                store(body, "%result", kind, self.dtype, body.add(row, place), value)

"""Contractions as packed, cache-blocked micro-kernels: one pair of kernels serves every shape.

An operand is read through offset tables: the element (batch, row, k) stands at
batch_offset[batch] + row_offset[row] + k_offset[k]. So any transposition, batch or convolution
window is a contraction without a copy. The left operand is packed once into panels of MR rows, the
right one block by block into panels of NR columns on the stack of the task that needs it.

The sum over k runs in increasing order with fma, in blocks of 256 whose partial sums are added in
order: a function of K alone, whatever MR, NR, the blocks or the threads.
"""

from __future__ import annotations

from dataclasses import dataclass

from elinvar.codegen.body import Body, kernel_module
from elinvar.codegen.llvm_scalars import llvm_type
from elinvar.core.dtypes import DType

BLOCK = 256  # length of a block of k: part of the numerics contract
GROUP = 8  # columns that are packed at once
PANELS = 8  # panels of columns per task at most


@dataclass(frozen=True)
class Tile:
    """A micro-kernel's size: rows, columns, elements in one machine vector."""

    rows: int
    columns: int
    vector: int


def tile_for(dtype: DType, vector_bits: int) -> Tile:
    """The tile that fills the registers of the target's vectors."""
    vector = vector_bits // dtype.bits
    rows = {512: 12, 256: 6}.get(vector_bits, 4)
    columns = max(GROUP, 2 * vector)
    return Tile(rows, columns, min(vector, columns))


def pack_left_text(name: str, dtype: DType, tile: Tile) -> str:
    """Kernel: copy the left operand into panels [batch][panel][k][MR], rows past the end as zeros.

    Slots: source, target, row offsets, k offsets, batch offsets, per panel whether its rows are
    neighbours, per 8 steps of k whether they are, rows, depth. Tasks: batch × panel.
    """
    return _LeftPacking(name, dtype, tile).text()


class _LeftPacking:
    """Three ways: rows are neighbours in memory, k is, or neither (element by element)."""

    def __init__(self, name: str, dtype: DType, tile: Tile) -> None:
        self.name, self.dtype, self.rows = name, dtype, tile.rows
        self.element = llvm_type(dtype)
        self.body = Body()

    def text(self) -> str:
        body, rows = self.body, self.rows
        panels = body.div(body.add("%rows", str(rows - 1)), str(rows))
        with body.loop("%begin", "%end", hint="task") as task:
            batch, panel = body.div(task, panels), body.rem(task, panels)
            first = body.mul(panel, str(rows))
            base = _table(body, "%batches", batch)
            self.offsets, self.inside = [], []
            for i in range(rows):
                row = body.add(first, str(i))
                test = body.instruction(f"icmp slt i64 {row}, %rows")
                safe = body.instruction(f"select i1 {test}, i64 {row}, i64 0")
                self.offsets.append(body.add(base, _table(body, "%row.offsets", safe)))
                self.inside.append(test)
            target = body.mul(body.mul(task, "%depth"), str(rows))
            side_by_side = body.instruction(f"icmp eq i64 {_table(body, '%row.flags', panel)}, 1")
            with body.when(side_by_side), body.loop("0", "%depth", hint="k") as k:
                self._copy_rows(k, target)
            apart = body.instruction(f"xor i1 {side_by_side}, true")
            with body.when(apart):
                full = body.mul(body.div("%depth", str(GROUP)), str(GROUP))
                with body.loop("0", full, GROUP, "k") as k:
                    flag = _table(body, "%k.flags", body.div(k, str(GROUP)))
                    dense = body.instruction(f"icmp eq i64 {flag}, 1")
                    usable = body.instruction(f"and i1 {dense}, {self.inside[-1]}")
                    with body.when(usable):
                        self._transpose(k, target)
                    other = body.instruction(f"xor i1 {usable}, true")
                    with body.when(other), body.loop(k, body.add(k, str(GROUP)), hint="k") as one:
                        self._copy_elements(one, target)
                with body.loop(full, "%depth", hint="k") as k:
                    self._copy_elements(k, target)
        body.emit("ret void")
        pointers = "%source %target %row.offsets %k.offsets %batches %row.flags %k.flags"
        return kernel_module(self.name, body, pointers.split(), ["%rows", "%depth"])

    def _copy_rows(self, k: str, target: str) -> None:
        """All rows of a panel at one k, which are neighbours in memory."""
        body, kind = self.body, f"<{self.rows} x {self.element}>"
        place = body.add(self.offsets[0], _table(body, "%k.offsets", k))
        source = _pointer(body, "%source", self.element, place)
        value = body.instruction(f"load {kind}, ptr {source}, align {self.dtype.itemsize}")
        pointer = _pointer(
            body, "%target", self.element, body.add(target, body.mul(k, str(self.rows)))
        )
        body.emit(f"store {kind} {value}, ptr {pointer}, align {self.dtype.itemsize}")

    def _copy_elements(self, k: str, target: str) -> None:
        body, element = self.body, self.element
        step = _table(body, "%k.offsets", k)
        place = body.add(target, body.mul(k, str(self.rows)))
        zero = "0.0" if self.dtype.kind == "f" else "0"
        for i in range(self.rows):
            source = _pointer(body, "%source", element, body.add(self.offsets[i], step))
            value = body.instruction(f"load {element}, ptr {source}, align {self.dtype.itemsize}")
            value = body.instruction(
                f"select i1 {self.inside[i]}, {element} {value}, {element} {zero}"
            )
            pointer = _pointer(body, "%target", element, body.add(place, str(i)))
            body.emit(f"store {element} {value}, ptr {pointer}, align {self.dtype.itemsize}")

    def _transpose(self, k: str, target: str) -> None:
        """Eight neighbouring steps of k, turned by shuffles, 4 (or 2) rows at a time."""
        body = self.body
        height = 4 if self.rows % 4 == 0 else 2
        step = _table(body, "%k.offsets", k)
        wide = f"<{GROUP} x {self.element}>"
        for first in range(0, self.rows, height):
            lines = []
            for i in range(first, first + height):
                source = _pointer(body, "%source", self.element, body.add(self.offsets[i], step))
                lines.append(
                    body.instruction(f"load {wide}, ptr {source}, align {self.dtype.itemsize}")
                )
            for number, column in enumerate(_turned(body, self.element, lines)):
                place = body.add(
                    target, body.add(body.mul(body.add(k, str(number)), str(self.rows)), str(first))
                )
                pointer = _pointer(body, "%target", self.element, place)
                kind = f"<{height} x {self.element}>"
                body.emit(f"store {kind} {column}, ptr {pointer}, align {self.dtype.itemsize}")


def _turned(body: Body, element: str, lines: list[str]) -> list[str]:
    """The eight columns of 2 or 4 vectors of eight elements, as vectors of 2 or 4."""

    def shuffle(a: str, b: str, picks: tuple[int, ...]) -> str:
        wide = f"<{GROUP} x {element}>"
        mask = ", ".join(f"i32 {pick}" for pick in picks)
        text = f"shufflevector {wide} {a}, {wide} {b}, <{len(picks)} x i32> <{mask}>"
        return body.instruction(text)

    low = [shuffle(a, b, (0, 8, 1, 9, 4, 12, 5, 13)) for a, b in _pairs(lines)]
    high = [shuffle(a, b, (2, 10, 3, 11, 6, 14, 7, 15)) for a, b in _pairs(lines)]
    found = [""] * GROUP
    for start, parts in ((0, low), (2, high)):
        if len(lines) == 2:
            for number, at in ((start, 0), (start + 1, 2), (start + 4, 4), (start + 5, 6)):
                found[number] = shuffle(parts[0], parts[0], (at, at + 1))
            continue
        even = shuffle(parts[0], parts[1], (0, 1, 8, 9, 4, 5, 12, 13))
        odd = shuffle(parts[0], parts[1], (2, 3, 10, 11, 6, 7, 14, 15))
        for number, vector in ((start, even), (start + 1, odd)):
            found[number] = shuffle(vector, vector, (0, 1, 2, 3))
            found[number + 4] = shuffle(vector, vector, (4, 5, 6, 7))
    return found


def _pairs(items: list[str]) -> list[tuple[str, str]]:
    return [(items[i], items[i + 1]) for i in range(0, len(items), 2)]


def contract_text(name: str, dtype: DType, tile: Tile) -> str:
    """Kernel: multiply packed left panels with the right operand, packed on the way.

    Slots: left panels, right, result; of the right operand: k offsets, flags of 8 steps of k,
    column offsets, flags of 8 columns, batch offsets; batch offsets of the panels; of the result:
    column offsets, flags of panels of columns, batch offsets; rows, columns, depth, step from row
    to row of the result, panels of columns per task, panels of rows per task. Offsets are in
    elements, a flag is 1 where offsets are neighbours. Tasks: batch × row block × column block.
    """
    return _Contraction(name, dtype, tile).text()


class _Contraction:
    def __init__(self, name: str, dtype: DType, tile: Tile) -> None:
        self.name, self.dtype, self.tile = name, dtype, tile
        self.element = llvm_type(dtype)
        self.vector = f"<{tile.vector} x {self.element}>"
        self.zero = "0.0" if dtype.kind == "f" else "0"
        self.body = Body()
        self.parts = tile.columns // tile.vector

    def text(self) -> str:
        body, tile = self.body, self.tile
        self.packed = body.stack_slot(
            f"[{BLOCK * tile.columns * PANELS} x {self.element}]", "packed"
        )
        self.edge = body.stack_slot(f"[{tile.rows * tile.columns} x {self.element}]", "edge")
        self.slots = [
            [body.stack_slot(self.vector, "acc") for _ in range(self.parts)]
            for _ in range(tile.rows)
        ]
        row_panels = body.div(body.add("%rows", str(tile.rows - 1)), str(tile.rows))
        column_panels = body.div(body.add("%columns", str(tile.columns - 1)), str(tile.columns))
        self.row_panels = row_panels
        row_blocks = _ceil(body, row_panels, "%row.block")
        column_blocks = _ceil(body, column_panels, "%column.block")
        depth = body.maximum("%depth", "1")
        with body.loop("%begin", "%end", hint="task") as task:
            column_block = body.rem(task, column_blocks)
            left = body.div(task, column_blocks)
            row_block, batch = body.rem(left, row_blocks), body.div(left, row_blocks)
            first_column = body.mul(column_block, "%column.block")
            last_column = body.minimum(body.add(first_column, "%column.block"), column_panels)
            first_row = body.mul(row_block, "%row.block")
            last_row = body.minimum(body.add(first_row, "%row.block"), row_panels)
            right = _pointer(body, "%right", self.element, _table(body, "%batches", batch))
            panels = _pointer(body, "%left", self.element, _table(body, "%left.batches", batch))
            result = _pointer(body, "%result", self.element, _table(body, "%result.batches", batch))
            with body.loop("0", depth, BLOCK, "block") as low:
                count = body.minimum(body.sub("%depth", low), str(BLOCK))
                self._pack(right, low, count, first_column, last_column)
                with body.loop(first_column, last_column, hint="column") as column:
                    packed = self._packed_panel(body.sub(column, first_column))
                    with body.loop(first_row, last_row, hint="row") as row:
                        place = body.mul(body.add(body.mul(row, "%depth"), low), str(tile.rows))
                        panel = _pointer(body, panels, self.element, place)
                        self._multiply(panel, packed, count)
                        self._write(result, row, column, low)
        body.emit("ret void")
        pointers = (
            "%left %right %result %k.offsets %k.flags %column.offsets %flags %batches "
            "%left.batches %result.columns %result.flags %result.batches"
        )
        sizes = "%rows %columns %depth %row.step %column.block %row.block"
        return kernel_module(self.name, body, pointers.split(), sizes.split())

    def _packed_panel(self, number: str) -> str:
        place = self.body.mul(number, str(BLOCK * self.tile.columns))
        return _pointer(self.body, self.packed, self.element, place)

    def _pack(self, right: str, low: str, count: str, first: str, last: str) -> None:
        """Copy a block of the right operand into panels [panel][k][NR]."""
        body, tile = self.body, self.tile
        group = f"<{GROUP} x {self.element}>"
        groups = tile.columns // GROUP
        with body.loop(first, last, hint="panel") as panel:
            target = self._packed_panel(body.sub(panel, first))
            for g in range(groups):
                number = body.add(body.mul(panel, str(groups)), str(g))
                flag = _table(body, "%flags", number)
                start = body.mul(number, str(GROUP))
                pointer = _pointer(body, "%column.offsets", "i64", start)
                offsets = body.instruction(f"load <{GROUP} x i64>, ptr {pointer}, align 8")
                first_offset = _table(body, "%column.offsets", start)
                dense = body.instruction(f"icmp eq i64 {flag}, 1")
                with body.when(dense), body.loop("0", count, hint="k") as k:
                    step = _table(body, "%k.offsets", body.add(low, k))
                    source = _pointer(body, right, self.element, body.add(first_offset, step))
                    value = body.instruction(
                        f"load {group}, ptr {source}, align {self.dtype.itemsize}"
                    )
                    self._put_group(target, k, g, value)
                sparse = body.instruction(f"icmp ne i64 {flag}, 1")
                with body.when(sparse):
                    self._pack_apart(right, low, count, target, g, offsets, first_offset)

    def _pack_apart(
        self, right: str, low: str, count: str, target: str, g: int, offsets: str, first_offset: str
    ) -> None:
        """Columns that are not neighbours: eight steps of k at once where those are."""
        body = self.body
        group = f"<{GROUP} x {self.element}>"
        full = body.mul(body.div(count, str(GROUP)), str(GROUP))

        def one_by_one(k: str) -> None:
            step = _table(body, "%k.offsets", body.add(low, k))
            base = _pointer(body, right, self.element, step)
            self._put_group(target, k, g, self._gather(base, offsets, group))

        with body.loop("0", full, GROUP, "k") as k:
            at = body.add(low, k)
            dense = body.instruction(
                f"icmp eq i64 {_table(body, '%k.flags', body.div(at, str(GROUP)))}, 1"
            )
            with body.when(dense):
                step = _table(body, "%k.offsets", at)
                base = _pointer(body, right, self.element, step)
                lines = []
                for lane in range(GROUP):
                    offset = body.instruction(
                        f"extractelement <{GROUP} x i64> {offsets}, i64 {lane}"
                    )
                    pointer = _pointer(body, base, self.element, offset)
                    lines.append(
                        body.instruction(
                            f"load {group}, ptr {pointer}, align {self.dtype.itemsize}"
                        )
                    )
                half = GROUP // 2
                first = _turned(body, self.element, lines[:half])
                second = _turned(body, self.element, lines[half:])
                part = f"<{half} x {self.element}>"
                mask = ", ".join(f"i32 {i}" for i in range(GROUP))
                for number, (a, b) in enumerate(zip(first, second, strict=True)):
                    value = body.instruction(
                        f"shufflevector {part} {a}, {part} {b}, <{GROUP} x i32> <{mask}>"
                    )
                    self._put_group(target, body.add(k, str(number)), g, value)
            other = body.instruction(f"xor i1 {dense}, true")
            with body.when(other), body.loop(k, body.add(k, str(GROUP)), hint="k") as one:
                one_by_one(one)
        with body.loop(full, count, hint="k") as k:
            one_by_one(k)

    def _gather(self, base: str, offsets: str, group: str) -> str:
        body = self.body
        value = "poison"
        for lane in range(GROUP):
            offset = body.instruction(f"extractelement <{GROUP} x i64> {offsets}, i64 {lane}")
            pointer = _pointer(body, base, self.element, offset)
            one = body.instruction(
                f"load {self.element}, ptr {pointer}, align {self.dtype.itemsize}"
            )
            value = body.instruction(
                f"insertelement {group} {value}, {self.element} {one}, i64 {lane}"
            )
        return value

    def _put_group(self, target: str, k: str, group: int, value: str) -> None:
        body = self.body
        place = body.add(body.mul(k, str(self.tile.columns)), str(group * GROUP))
        pointer = _pointer(body, target, self.element, place)
        body.emit(
            f"store <{GROUP} x {self.element}> {value}, ptr {pointer}, align {self.dtype.itemsize}"
        )

    def _multiply(self, panel: str, packed: str, count: str) -> None:
        """acc[i][j] = Σ over a block of k, in order."""
        body, tile = self.body, self.tile
        align = self.dtype.itemsize
        zero = "zeroinitializer"
        for row in self.slots:
            for slot in row:
                body.emit(f"store {self.vector} {zero}, ptr {slot}, align 64")
        with body.loop("0", count, hint="k") as k:
            columns = body.mul(k, str(tile.columns))
            rows = body.mul(k, str(tile.rows))
            right = []
            for part in range(self.parts):
                pointer = _pointer(
                    body, packed, self.element, body.add(columns, str(part * tile.vector))
                )
                right.append(body.instruction(f"load {self.vector}, ptr {pointer}, align {align}"))
            for i in range(tile.rows):
                pointer = _pointer(body, panel, self.element, body.add(rows, str(i)))
                one = body.instruction(f"load {self.element}, ptr {pointer}, align {align}")
                left = self._splat(one)
                for part in range(self.parts):
                    slot = self.slots[i][part]
                    acc = body.instruction(f"load {self.vector}, ptr {slot}, align 64")
                    body.emit(
                        f"store {self.vector} {self._step(left, right[part], acc)}, "
                        f"ptr {slot}, align 64"
                    )

    def _splat(self, one: str) -> str:
        body, n = self.body, self.tile.vector
        if n == 1:
            return one
        first = body.instruction(f"insertelement {self.vector} poison, {self.element} {one}, i64 0")
        return body.instruction(
            f"shufflevector {self.vector} {first}, {self.vector} poison, "
            f"<{n} x i32> zeroinitializer"
        )

    def _step(self, left: str, right: str, acc: str) -> str:
        body, vector = self.body, self.vector
        if self.dtype.kind == "f":
            name = f"@llvm.fma.v{self.tile.vector}f{self.dtype.bits}"
            body.declare(f"declare {vector} {name}({vector}, {vector}, {vector})")
            return body.instruction(
                f"call {vector} {name}({vector} {left}, {vector} {right}, {vector} {acc})"
            )
        product = body.instruction(f"mul {vector} {left}, {right}")
        return body.instruction(f"add {vector} {product}, {acc}")

    def _write(self, result: str, row: str, column: str, low: str) -> None:
        """Add the block's sums to the result (or set it, for the first block)."""
        body, tile = self.body, self.tile
        first_row, first_column = body.mul(row, str(tile.rows)), body.mul(column, str(tile.columns))
        fits_rows = body.instruction(f"icmp sle i64 {body.add(first_row, str(tile.rows))}, %rows")
        fits_columns = body.instruction(
            f"icmp sle i64 {body.add(first_column, str(tile.columns))}, %columns"
        )
        together = body.instruction(f"icmp eq i64 {_table(body, '%result.flags', column)}, 1")
        fits = body.instruction(f"and i1 {fits_rows}, {fits_columns}")
        whole = body.instruction(f"and i1 {fits}, {together}")
        is_first = body.instruction(f"icmp eq i64 {low}, 0")
        line = body.mul(first_row, "%row.step")
        base = body.add(line, _table(body, "%result.columns", first_column))
        with body.when(whole):
            for i in range(tile.rows):
                for part in range(self.parts):
                    place = body.add(
                        base, body.add(body.mul("%row.step", str(i)), str(part * tile.vector))
                    )
                    self._update(_pointer(body, result, self.element, place), i, part, is_first)
        partly = body.instruction(f"xor i1 {whole}, true")
        with body.when(partly):
            for i in range(tile.rows):
                for part in range(self.parts):
                    value = body.instruction(
                        f"load {self.vector}, ptr {self.slots[i][part]}, align 64"
                    )
                    place = str(i * tile.columns + part * tile.vector)
                    pointer = _pointer(body, self.edge, self.element, place)
                    body.emit(
                        f"store {self.vector} {value}, ptr {pointer}, align {self.dtype.itemsize}"
                    )
            height = body.minimum(body.sub("%rows", first_row), str(tile.rows))
            width = body.minimum(body.sub("%columns", first_column), str(tile.columns))
            with (
                body.loop("0", height, hint="i") as down,
                body.loop("0", width, hint="j") as across,
            ):
                source = body.add(body.mul(down, str(tile.columns)), across)
                at = _table(body, "%result.columns", body.add(first_column, across))
                place = body.add(body.add(line, body.mul(down, "%row.step")), at)
                pointer = _pointer(body, result, self.element, place)
                edge = _pointer(body, self.edge, self.element, source)
                self._update_one(pointer, edge, is_first)

    def _update(self, pointer: str, i: int, part: int, is_first: str) -> None:
        body = self.body
        value = body.instruction(f"load {self.vector}, ptr {self.slots[i][part]}, align 64")
        old = body.instruction(f"load {self.vector}, ptr {pointer}, align {self.dtype.itemsize}")
        word = "fadd" if self.dtype.kind == "f" else "add"
        total = body.instruction(f"{word} {self.vector} {old}, {value}")
        chosen = body.instruction(
            f"select i1 {is_first}, {self.vector} {value}, {self.vector} {total}"
        )
        body.emit(f"store {self.vector} {chosen}, ptr {pointer}, align {self.dtype.itemsize}")

    def _update_one(self, pointer: str, edge: str, is_first: str) -> None:
        body, element, align = self.body, self.element, self.dtype.itemsize
        value = body.instruction(f"load {element}, ptr {edge}, align {align}")
        old = body.instruction(f"load {element}, ptr {pointer}, align {align}")
        word = "fadd" if self.dtype.kind == "f" else "add"
        total = body.instruction(f"{word} {element} {old}, {value}")
        chosen = body.instruction(f"select i1 {is_first}, {element} {value}, {element} {total}")
        body.emit(f"store {element} {chosen}, ptr {pointer}, align {align}")


def _ceil(body: Body, value: str, step: str) -> str:
    return body.div(body.add(value, body.sub(step, "1")), step)


def _pointer(body: Body, base: str, element: str, index: str) -> str:
    return body.instruction(f"getelementptr inbounds {element}, ptr {base}, i64 {index}", "p")


def _table(body: Body, table: str, index: str) -> str:
    pointer = _pointer(body, table, "i64", index)
    return body.instruction(f"load i64, ptr {pointer}, align 8", "o")

"""Contractions as packed, cache-blocked micro-kernels: one kernel serves every shape.

An operand is read through offset tables: the element (batch, row, k) stands at
batch_offset[batch] + row_offset[row] + k_offset[k]. So any transposition, batch or convolution
window is a contraction without a copy. A task multiplies a block of rows with a block of columns:

    for each block of k      pack the block's columns into panels [k][NR] on the stack (L2),
                             unless they were packed before
      for each panel of rows   pack it into [k][MR] on the stack (L1), or read it where it stands
        for each panel of columns   MR × NR sums in registers → a tile on the stack → the result

The sum over k runs in increasing order with fma, in blocks of 256 whose partial sums are added in
order: a function of K alone, whatever MR, NR, the blocks or the threads.

Operands may be narrower than the sums and the result (bf16 for f32, int8 for int32): whatever loads
them converts them, exactly.
"""

from __future__ import annotations

from elinvar.codegen import pairs
from elinvar.codegen.body import Body, kernel_module
from elinvar.codegen.dots import dots
from elinvar.codegen.few_rows import HEIGHTS, few_rows
from elinvar.codegen.llvm_scalars import llvm_type
from elinvar.codegen.numerics import EXACT, Numerics
from elinvar.codegen.packing import call_pack_right, pack_left, pack_right
from elinvar.codegen.product_parts import (
    GROUP,
    PANELS,
    Tile,
    ceiling,
    fma,
    function,
    lanes_below,
    load,
    load_as,
    masked_load,
    masked_store,
    module,
    pointer,
    splat,
    store,
    table,
)
from elinvar.core.dtypes import DType, is_narrow, uint16

# how the operands are read
PACKED, DIRECT = 0, 1  # the left operand is packed, or read where it stands
MIXED = 2  # panels of rows that are neighbours are packed, others read where they stand
FEW_DENSE, FEW_TURNED = 3, 4  # few rows: columns of the right operand are neighbours, or its k
FEW_DOTS = 5  # k of both operands, and the order of sums is free

CONTRACT_POINTERS = (
    "%left %right %result %row.offsets %row.flags %left.k %left.flags %left.batches "
    "%right.k %right.flags %column.offsets %column.flags %right.batches "
    "%result.rows %result.columns %result.flags %result.batches %epilogue"
).split()
CONTRACT_SIZES = "%rows %columns %depth %column.block %row.block %prepacked %mode".split()


def contract_text(
    name: str, stored: DType, dtype: DType, tile: Tile, numerics: Numerics = EXACT
) -> str:
    """Kernel: the product of two operands that hold `stored`; sums and result are `dtype`.

    Slots: left, right, result; of the left operand: row offsets, per panel of rows whether they
    are neighbours, k offsets, per 8 steps of k whether they are neighbours, batch offsets; of the
    right operand: the same of k, column offsets, per 8 columns whether they are neighbours, batch
    offsets; of the result: row offsets, column offsets, per panel of columns whether they are
    neighbours, batch offsets; the function of the epilogue or null (see `epilogues.py`; where
    operands are narrow and the result's address is null, a task's block of the result stands on the
    stack and is its alone); then
    rows, columns, depth, panels of columns per task, panels of rows per task, whether `right` holds
    panels that were packed before (see `pack_right_text`; 1: 16-bit floats as they are, 2: all as
    `dtype`), and one of the modes below; then the epilogue's slots. Offsets are in elements. Row
    and column offsets are filled up to whole panels with places that may be read. Tasks: batch ×
    row block × column block.
    """
    kernel = _Contraction(stored, dtype, tile, numerics)
    inner = [
        pack_left(name, stored, dtype, tile),
        pack_right(name, stored, dtype, tile, kernel.in_pairs),
    ]
    for height in tile.heights:
        inner.append(_packed_micro(name, stored, dtype, tile, height))
    for parts in () if kernel.in_pairs else kernel.widths:
        inner.append(_micro(name, stored, dtype, tile, tile.rows, True, parts))
        inner.append(_whole(name, dtype, tile, parts))
    if kernel.has_half:
        inner.append(_micro(name, dtype, dtype, tile, tile.rows, False, 1))
    for height in HEIGHTS:
        for is_turned in (False, True):
            inner.append(few_rows(name, stored, dtype, tile, height, is_turned, numerics))
    if numerics.dots:
        inner += [dots(name, stored, dtype, tile, height) for height in HEIGHTS]
    inner.append(_write(name, dtype, tile))
    body = kernel.body_for(name)
    # an epilogue goes on with the result, so that has no name of its own
    outer = kernel_module(
        name, body, CONTRACT_POINTERS, CONTRACT_SIZES, shared=("%result", "%epilogue"), more="%more"
    )
    return module(outer, inner)


def pack_right_text(
    name: str, stored: DType, dtype: DType, tile: Tile, in_pairs: bool, is_wide: bool = False
) -> str:
    """Kernel: copy the right operand into panels [batch][panel][k][NR], as `dtype` or in pairs;
    16-bit floats as they are, unless `is_wide`.

    Slots: source, target, k offsets, their flags, column offsets, their flags, batch offsets,
    columns, depth, as for `contract_text`. Tasks: batch × panel.
    """
    if is_narrow(stored) and not is_wide:  # their bits
        stored = dtype = uint16
    body, element = Body(), llvm_type(dtype)
    panels = body.div(body.add("%columns", str(tile.columns - 1)), str(tile.columns))
    with body.loop("%begin", "%end", hint="task") as task:
        batch, panel = body.div(task, panels), body.rem(task, panels)
        source = pointer(body, "%source", llvm_type(stored), table(body, "%batches", batch))
        place = body.mul(body.mul(task, "%depth"), str(tile.columns))
        target = pointer(body, "%target", element, place)
        call_pack_right(body, name, tile, source, target, panel, "1", "0", "%depth", "0")
    body.emit("ret void")
    pointers = "%source %target %right.k %right.flags %column.offsets %column.flags %batches"
    outer = kernel_module(name, body, pointers.split(), ["%columns", "%depth"])
    return module(outer, [pack_right(name, stored, dtype, tile, in_pairs)])


def panel_step(tile: Tile, block: int) -> int:
    """Elements from panel to panel on the stack: not a power of two, or all panels would fall on
    the same few lines of the cache."""
    return block * tile.columns + tile.columns


class _Contraction:
    """The loops over tasks, blocks of k and panels."""

    def __init__(self, stored: DType, dtype: DType, tile: Tile, numerics: Numerics) -> None:
        self.tile, self.block, self.has_dots = tile, numerics.block, numerics.dots
        self.stored = llvm_type(stored)
        self.has_block = is_narrow(stored)
        self.types = stored, dtype
        self.packed = self.stored if self.has_block else llvm_type(dtype)  # by another launch
        self.in_pairs = pairs.in_pairs(stored, dtype)  # then all rows are packed
        full = tile.columns // tile.vector
        self.has_half = full > 1 and not self.in_pairs  # panels of which one vector is enough
        self.widths = (1, full) if self.has_half else (full,)
        self.element = llvm_type(dtype)
        self.body = Body()

    def body_for(self, name: str) -> Body:
        self.name = name
        body, tile = self.body, self.tile
        self.apart = panel_step(tile, self.block)
        self.stack = body.stack_slot(f"[{self.apart * PANELS} x {self.element}]", "right")
        self.panel = body.stack_slot(f"[{self.block * tile.rows} x {self.element}]", "left")
        self.sums = body.stack_slot(f"[{tile.rows * tile.columns} x {self.element}]", "tile")
        self._prepare_result()
        self.is_packed = body.instruction("icmp ne i64 %prepacked, 0")
        self.is_wide = self.is_packed
        if self.has_block:
            self.is_wide = body.instruction("icmp sge i64 %prepacked, 2")
        self.all_direct = body.instruction(f"icmp eq i64 %mode, {DIRECT}")
        self.is_mixed = body.instruction(f"icmp eq i64 %mode, {MIXED}")
        is_few = body.instruction(f"icmp sge i64 %mode, {FEW_DENSE}")
        row_panels = body.div(body.add("%rows", str(tile.rows - 1)), str(tile.rows))
        column_panels = body.div(body.add("%columns", str(tile.columns - 1)), str(tile.columns))
        row_blocks = ceiling(body, row_panels, "%row.block")
        column_blocks = ceiling(body, column_panels, "%column.block")
        depth = body.maximum("%depth", "1")
        depth = body.instruction(f"select i1 {is_few}, i64 0, i64 {depth}")
        with body.loop("%begin", "%end", hint="task") as task:
            column_block = body.rem(task, column_blocks)
            rest = body.div(task, column_blocks)
            row_block, batch = body.rem(rest, row_blocks), body.div(rest, row_blocks)
            first_column = body.mul(column_block, "%column.block")
            last_column = body.minimum(body.add(first_column, "%column.block"), column_panels)
            first_row = body.mul(row_block, "%row.block")
            last_row = body.minimum(body.add(first_row, "%row.block"), row_panels)
            left, right, packed_right, wide_right, result = (
                pointer(body, f"%{side}", element, table(body, f"%{side}.batches", batch))
                for side, element in (
                    ("left", self.stored), ("right", self.stored), ("right", self.packed),
                    ("right", self.element), ("result", self.element),
                )
            )  # fmt: skip
            result = self._start_result(result, first_row, first_column)
            with body.when(is_few), body.loop(first_column, last_column, hint="column") as column:
                self._few_rows(left, right, column)
                self._write(result, first_row, column, "0")
            with body.loop("0", depth, self.block, "block") as low:
                count = body.minimum(body.sub("%depth", low), str(self.block))
                fresh = body.instruction(f"xor i1 {self.is_packed}, true")
                with body.when(fresh):
                    panels = body.sub(last_column, first_column)
                    call_pack_right(
                        body, name, tile, right, self.stack, first_column, panels, low, count,
                        str(self.apart),
                    )  # fmt: skip
                if self.has_block:
                    with body.when(body.instruction("icmp eq i64 %prepacked, 1")):
                        self._widen_panels(packed_right, first_column, last_column, low, count)
                with body.loop(first_row, last_row, hint="row") as row:
                    self._row_panel(row, left, low, count)
                    with body.loop(first_column, last_column, hint="column") as column:
                        own = self._own_panel(body.sub(column, first_column))
                        wide = self._packed_panel(wide_right, column, low, self.element)
                        panel = body.instruction(f"select i1 {self.is_wide}, ptr {wide}, ptr {own}")
                        self._product(result, row, column, left, panel, low, count)
            before = body.mul(batch, "%rows")
            self._epilogue(before, (first_row, last_row), (first_column, last_column))
        body.emit("ret void")
        return body

    def _packed_panel(self, packed: str, column: str, low: str, element: str) -> str:
        """The address of a block of k of a panel that was packed before."""
        body = self.body
        start = body.div(low, "2") if self.in_pairs else low
        place = body.mul(body.add(body.mul(column, "%depth"), start), str(self.tile.columns))
        return pointer(body, packed, element, place)

    def _widen_panels(self, packed: str, first: str, last: str, low: str, count: str) -> None:
        """Narrow panels that were packed before, for a block of k: widened on the stack."""
        body, lanes = self.body, self.tile.vector
        stored, dtype = self.types
        with body.loop(first, last, hint="column") as column:
            source = self._packed_panel(packed, column, low, self.packed)
            target = self._own_panel(body.sub(column, first))
            length = body.mul(count, str(self.tile.columns))
            with body.loop("0", length, lanes, "j") as place:
                value = load_as(body, source, lanes, stored, dtype, place)
                store(body, target, f"<{lanes} x {self.element}>", dtype, place, value)

    def _prepare_result(self) -> None:
        """Tables by which a block of results on the stack is written as one in memory is."""
        body, tile = self.body, self.tile
        self.result_tables = ["%result.rows", "%result.columns", "%result.flags"]
        self.first_row = self.first_column = "0"
        if not self.has_block:
            return
        rows, step = tile.block_panels * tile.rows, tile.block_step
        self.own_block = body.stack_slot(f"[{rows * step} x {self.element}]", "block")
        self.is_own = body.instruction("icmp eq ptr %result, null")
        found = []
        for given, count, factor in zip(
            self.result_tables, (rows, step, PANELS), (step, 1, 0), strict=True
        ):
            own = body.stack_slot(f"[{count} x i64]", "table")
            with body.when(self.is_own), body.loop("0", str(count), hint="i") as i:
                number = body.mul(i, str(factor)) if factor else "1"
                place = pointer(body, own, "i64", i)
                body.emit(f"store i64 {number}, ptr {place}, align 8")
            found.append(body.instruction(f"select i1 {self.is_own}, ptr {own}, ptr {given}"))
        self.result_tables = found

    def _start_result(self, result: str, first_row: str, first_column: str) -> str:
        """Where a task writes its results. A block on the stack begins with the task's first panels
        of rows and columns."""
        if not self.has_block:
            return result
        body = self.body
        self.first_row, self.first_column = (
            body.instruction(f"select i1 {self.is_own}, i64 {first}, i64 0")
            for first in (first_row, first_column)
        )
        return body.instruction(f"select i1 {self.is_own}, ptr {self.own_block}, ptr {result}")

    def _result_place(self, row: str, column: str) -> tuple[str, str, str]:
        """For a panel of rows and one of columns: the addresses of its row offsets and column
        offsets, and whether the columns are neighbours."""
        body, tile = self.body, self.tile
        row, column = body.sub(row, self.first_row), body.sub(column, self.first_column)
        rows, columns, flags = self.result_tables
        return (
            pointer(body, rows, "i64", body.mul(row, str(tile.rows))),
            pointer(body, columns, "i64", body.mul(column, str(tile.columns))),
            table(body, flags, column),
        )

    def _epilogue(self, before: str, rows: tuple[str, str], columns: tuple[str, str]) -> None:
        """Let the epilogue go on with the task's block; `before`: rows of the batches before."""
        body, tile = self.body, self.tile
        with body.when(body.instruction("icmp ne ptr %epilogue, null")):
            bounds = [
                body.add(before, body.mul(rows[0], str(tile.rows))),
                body.add(before, body.minimum(body.mul(rows[1], str(tile.rows)), "%rows")),
                body.mul(columns[0], str(tile.columns)),
                body.minimum(body.mul(columns[1], str(tile.columns)), "%columns"),
            ]
            numbers = ", ".join(f"i64 {bound}" for bound in bounds)
            if not self.has_block:
                body.emit(f"call void %epilogue(ptr %more, {numbers})")
                return
            with body.when(self.is_own):
                own = body.instruction(f"ptrtoint ptr {self.own_block} to i64")
                body.emit(f"call void %epilogue(ptr %more, {numbers}, i64 {own})")
            with body.when(body.instruction(f"xor i1 {self.is_own}, true")):
                body.emit(f"call void %epilogue(ptr %more, {numbers})")

    def _few_rows(self, left: str, right: str, column: str) -> None:
        body, tile = self.body, self.tile
        first = body.mul(column, str(tile.columns))
        columns = pointer(body, "%column.offsets", "i64", first)
        below = 0
        for height in HEIGHTS:
            above = body.instruction(f"icmp sgt i64 %rows, {below}")
            fits = body.instruction(f"icmp sle i64 %rows, {height}")
            chosen = body.instruction(f"and i1 {above}, {fits}")
            below = height
            with body.when(chosen):
                arguments = [left, "%row.offsets", "%left.k", right, columns, "%right.k"]
                given = ", ".join(f"ptr {a}" for a in (*arguments, self.sums)) + ", i64 %depth"
                ways = [("dense", FEW_DENSE, given), ("turned", FEW_TURNED, given)]
                if self.has_dots:
                    width = body.minimum(body.sub("%columns", first), str(tile.columns))
                    ways.append(("dots", FEW_DOTS, f"{given}, i64 {width}"))
                for word, mode, given in ways:
                    wanted = body.instruction(f"icmp eq i64 %mode, {mode}")
                    with body.when(wanted):
                        body.emit(f"call void @{self.name}.{word}{height}({given})")

    def _own_panel(self, number: str) -> str:
        place = self.body.mul(number, str(self.apart))
        return pointer(self.body, self.stack, self.element, place)

    def _row_panel(self, row: str, left: str, low: str, count: str) -> None:
        """Pack a panel of rows, unless it is read where it stands."""
        body, tile = self.body, self.tile
        first = body.mul(row, str(tile.rows))
        flag = body.instruction(f"icmp ne i64 {table(body, '%row.flags', row)}, 0")
        apart = body.instruction(f"xor i1 {flag}, true")
        mixed = body.instruction(f"and i1 {apart}, {self.is_mixed}")
        self.is_direct = body.instruction(f"or i1 {mixed}, {self.all_direct}")
        packs = body.instruction(f"xor i1 {self.is_direct}, true")
        with body.when(packs):
            arguments = [
                left, self.panel, pointer(body, "%row.offsets", "i64", first),
                pointer(body, "%left.k", "i64", low),
                pointer(body, "%left.flags", "i64", body.div(low, str(GROUP))),
            ]  # fmt: skip
            pointers = ", ".join(f"ptr {a}" for a in arguments)
            body.emit(f"call void @{self.name}.left({pointers}, i64 {count}, i1 {flag})")

    def _product(
        self, result: str, row: str, column: str, left: str, right: str, low: str, count: str
    ) -> None:
        """Add a panel of rows times a panel of columns to the result: from the registers where the
        tile is full and its columns are neighbours in memory, else by way of the stack."""
        body, tile = self.body, self.tile
        if self.in_pairs:
            self._multiply(row, column, left, right, low, count)
            self._write(result, row, column, low)
            return
        first_row, first_column = body.mul(row, str(tile.rows)), body.mul(column, str(tile.columns))
        rows, columns, together = self._result_place(row, column)
        tests = [
            body.instruction(f"xor i1 {self.is_direct}, true"),
            body.instruction(f"icmp sle i64 {body.add(first_row, str(tile.rows))}, %rows"),
            body.instruction(f"icmp ne i64 {together}, 0"),
        ]
        may_be_whole = tests[0]
        for test in tests[1:]:
            may_be_whole = body.instruction(f"and i1 {may_be_whole}, {test}")
        rest = body.minimum(body.sub("%columns", first_column), str(tile.columns))
        partly = "true"
        for parts in self.widths:
            fits = body.instruction(f"icmp eq i64 {rest}, {parts * tile.vector}")
            is_whole = body.instruction(f"and i1 {may_be_whole}, {fits}")
            with body.when(is_whole):
                place = table(body, columns, "0")
                arguments = [self.panel, right, pointer(body, result, self.element, place), rows]
                pointers = ", ".join(f"ptr {a}" for a in arguments)
                is_first = body.instruction(f"icmp eq i64 {low}, 0")
                body.emit(
                    f"call void @{self.name}.whole{parts}({pointers}, i64 {count}, i1 {is_first})"
                )
            apart = body.instruction(f"xor i1 {is_whole}, true")
            partly = body.instruction(f"and i1 {partly}, {apart}")
        with body.when(partly):
            self._multiply(row, column, left, right, low, count)
            self._write(result, row, column, low)

    def _multiply(self, row: str, column: str, left: str, right: str, low: str, count: str) -> None:
        """The micro-kernel of the panel's height, and width where it is high."""
        body, tile = self.body, self.tile
        first = body.mul(row, str(tile.rows))
        height = body.minimum(body.sub("%rows", first), str(tile.rows))
        offsets = pointer(body, "%row.offsets", "i64", first)
        steps = pointer(body, "%left.k", "i64", low)
        width = body.sub("%columns", body.mul(column, str(tile.columns)))
        is_half = body.instruction(f"icmp sle i64 {width}, {tile.vector}")
        is_full = body.instruction(f"xor i1 {is_half}, true")
        both = (
            [(1, is_half), (self.widths[-1], is_full)]
            if self.has_half
            else [(self.widths[-1], "true")]
        )
        if not self.in_pairs:
            for parts, fits in both:
                with body.when(body.instruction(f"and i1 {self.is_direct}, {fits}")):
                    word = f"direct{tile.rows}x{parts}"
                    self._call_micro(word, [left, offsets, steps, right], count)
        packed = body.instruction(f"xor i1 {self.is_direct}, true")
        with body.when(packed):
            below = 0
            for most in tile.heights:
                above = body.instruction(f"icmp sgt i64 {height}, {below}")
                fits = body.instruction(f"icmp sle i64 {height}, {most}")
                chosen = body.instruction(f"and i1 {above}, {fits}")
                below = most
                for parts, wide in both if most == tile.rows else [(self.widths[-1], "true")]:
                    word = f"packed{most}" if self.in_pairs else f"packed{most}x{parts}"
                    with body.when(body.instruction(f"and i1 {chosen}, {wide}")):
                        self._call_micro(word, [self.panel, right], count)

    def _call_micro(self, word: str, arguments: list[str], count: str) -> None:
        pointers = ", ".join(f"ptr {a}" for a in (*arguments, self.sums))
        self.body.emit(f"call void @{self.name}.{word}({pointers}, i64 {count})")

    def _write(self, result: str, row: str, column: str, low: str) -> None:
        body, tile = self.body, self.tile
        first_row, first_column = body.mul(row, str(tile.rows)), body.mul(column, str(tile.columns))
        height = body.minimum(body.sub("%rows", first_row), str(tile.rows))
        width = body.minimum(body.sub("%columns", first_column), str(tile.columns))
        *places, flag = self._result_place(row, column)
        together = body.instruction(f"icmp ne i64 {flag}, 0")
        is_first = body.instruction(f"icmp eq i64 {low}, 0")
        pointers = ", ".join(f"ptr {a}" for a in (self.sums, result, *places))
        body.emit(
            f"call void @{self.name}.write({pointers}, i64 {height}, i64 {width}, "
            f"i1 {together}, i1 {is_first})"
        )


def _packed_micro(
    name: str, stored: DType, dtype: DType, tile: Tile, height: int
) -> tuple[str, list[str]]:
    if pairs.in_pairs(stored, dtype):
        return pairs.micro(name, tile, height)
    return _micro(name, dtype, dtype, tile, height, False, tile.columns // tile.vector)


def _micro(
    name: str, stored: DType, dtype: DType, tile: Tile, height: int, direct: bool, parts: int
) -> tuple[str, list[str]]:
    """tile[i][j] = Σ over a block of k, in order, for the first `height` rows of a panel and its
    first `parts` vectors of columns.

    `direct`: the rows are read where they stand, `left[rows[i] + k[·]]`; so many addresses are
    needed then that a high tile goes in two halves, or LLVM runs out of registers.
    """
    body = Body()
    halves = 2 if direct and height * parts > 16 else 1
    part = height // halves
    for first in range(0, height, part):
        rows = range(first, first + part)
        sums = _micro_rows(body, stored, dtype, tile, rows, direct, parts)
        vector = f"<{tile.vector} x {llvm_type(dtype)}>"
        for (i, column), value in sums.items():
            store(body, "%tile", vector, dtype, str(i * tile.columns + column), value)
    start = ["%left", "%rows", "%k"] if direct else ["%left"]
    parameters = [f"ptr noalias {p}" for p in (*start, "%right", "%tile")]
    word = "direct" if direct else "packed"
    return function(f"{name}.{word}{height}x{parts}", [*parameters, "i64 %count"], body)


def _whole(name: str, dtype: DType, tile: Tile, parts: int) -> tuple[str, list[str]]:
    """As `_micro` with packed rows, for a full tile: its sums go from the registers to the result,
    `result[rows[i] + j]`."""
    body = Body()
    sums = _micro_rows(body, dtype, dtype, tile, range(tile.rows), False, parts)
    vector = f"<{tile.vector} x {llvm_type(dtype)}>"
    word = "fadd" if dtype.kind == "f" else "add"
    lines = [
        pointer(body, "%result", llvm_type(dtype), table(body, "%rows", str(i)))
        for i in range(tile.rows)
    ]
    with body.when("%first"):
        for (i, place), value in sums.items():
            store(body, lines[i], vector, dtype, str(place), value)
    later = body.instruction("xor i1 %first, true")
    with body.when(later):
        for (i, place), value in sums.items():
            old = load(body, lines[i], vector, dtype, str(place))
            total = body.instruction(f"{word} {vector} {old}, {value}")
            store(body, lines[i], vector, dtype, str(place), total)
    parameters = [f"ptr noalias {p}" for p in ("%left", "%right", "%result", "%rows")]
    return function(f"{name}.whole{parts}", [*parameters, "i64 %count", "i1 %first"], body)


def _micro_rows(
    body: Body,
    stored: DType,
    dtype: DType,
    tile: Tile,
    rows: range,
    direct: bool,
    parts: int,
) -> dict[tuple[int, int], str]:
    """The sums of some rows: (row, column of its first lane) → vector."""
    element = llvm_type(dtype)
    vector = f"<{tile.vector} x {element}>"
    slots = {i: [body.stack_slot(vector, "acc") for _ in range(parts)] for i in rows}
    for row in slots.values():
        for slot in row:
            body.emit(f"store {vector} zeroinitializer, ptr {slot}, align 64")
    lines = {}
    if direct:
        kind = llvm_type(stored)
        lines = {i: pointer(body, "%left", kind, table(body, "%rows", str(i))) for i in rows}
    with body.loop("0", "%count", hint="k") as k:
        columns = body.mul(k, str(tile.columns))
        right = [
            load(body, "%right", vector, dtype, body.add(columns, str(part * tile.vector)))
            for part in range(parts)
        ]
        step = table(body, "%k", k) if direct else body.mul(k, str(tile.rows))
        for i in rows:
            base, place = (lines[i], step) if direct else ("%left", body.add(step, str(i)))
            one = load_as(body, base, 1, stored, dtype, place)
            left = splat(body, element, tile.vector, one)
            for part, slot in enumerate(slots[i]):
                acc = body.instruction(f"load {vector}, ptr {slot}, align 64")
                total = fma(body, dtype, tile.vector, left, right[part], acc)
                body.emit(f"store {vector} {total}, ptr {slot}, align 64")
    return {
        (i, part * tile.vector): body.instruction(f"load {vector}, ptr {slot}, align 64")
        for i, row in slots.items()
        for part, slot in enumerate(row)
    }


def _write(name: str, dtype: DType, tile: Tile) -> tuple[str, list[str]]:
    """Add a tile's sums to the result (or set it, for the first block of k): vectors where its
    columns are neighbours, the last of them in part, else element by element."""
    body, element = Body(), llvm_type(dtype)
    vector = f"<{tile.vector} x {element}>"
    parts = tile.columns // tile.vector
    word = "fadd" if dtype.kind == "f" else "add"

    def update(pointer: str, kind: str, place: str, source: str) -> None:
        value = load(body, "%tile", kind, dtype, source)
        old = load(body, pointer, kind, dtype, place)
        total = body.instruction(f"{word} {kind} {old}, {value}")
        chosen = body.instruction(f"select i1 %first, {kind} {value}, {kind} {total}")
        store(body, pointer, kind, dtype, place, chosen)

    full = body.instruction(f"icmp eq i64 %width, {tile.columns}")
    whole = body.instruction(f"and i1 {full}, %together")
    cut = body.instruction(f"icmp ne i1 {whole}, %together")
    masks = [lanes_below(body, "%width", tile.vector, part * tile.vector) for part in range(parts)]
    first_column = table(body, "%columns", "0")
    with body.loop("0", "%height", hint="i") as row:
        line = pointer(body, "%result", element, table(body, "%rows", row))
        source = body.mul(row, str(tile.columns))
        with body.when(whole):
            for part in range(parts):
                apart = str(part * tile.vector)
                update(line, vector, body.add(first_column, apart), body.add(source, apart))
        with body.when(cut):
            for part, mask in enumerate(masks):
                apart = str(part * tile.vector)
                value = load(body, "%tile", vector, dtype, body.add(source, apart))
                place = pointer(body, line, element, body.add(first_column, apart))
                old = masked_load(body, dtype, tile.vector, place, mask)
                total = body.instruction(f"{word} {vector} {old}, {value}")
                chosen = body.instruction(f"select i1 %first, {vector} {value}, {vector} {total}")
                masked_store(body, dtype, tile.vector, place, mask, chosen)
        apart_columns = body.instruction("xor i1 %together, true")
        with body.when(apart_columns), body.loop("0", "%width", hint="j") as column:
            place = table(body, "%columns", column)
            update(line, element, place, body.add(source, column))
    parameters = [f"ptr noalias {p}" for p in ("%tile", "%result", "%rows", "%columns")]
    parameters += ["i64 %height", "i64 %width", "i1 %together", "i1 %first"]
    return function(f"{name}.write", parameters, body)

"""Products of few results and many steps of k: what the blocks of k give is kept apart.

Few results leave the kernel of contraction.py one task, or two, and panels that are half empty, for
which it copies all of the right operand. Here a task takes some blocks of k, reads both operands
where they stand and leaves a sum for each block; another launch adds these in order:

    long_text        [blocks][rows][columns] of sums, each of 256 steps of k
    long_sums_text   their sum, brought to where the results belong

The order of every sum is that of contraction.py.
"""

from __future__ import annotations

from typing import NamedTuple

from elinvar.codegen.body import Body, kernel_module
from elinvar.codegen.llvm_scalars import llvm_type
from elinvar.codegen.numerics import Numerics
from elinvar.codegen.product_parts import (
    Tile,
    ceiling,
    fma,
    function,
    load,
    load_as,
    module,
    pointer,
    splat,
    store,
    table,
)
from elinvar.core.dtypes import DType

Panel = tuple[int, ...]  # of rows: lengths of runs of neighbours in memory
SUMS = "%rows %columns %blocks"


class Long(NamedTuple):
    """The results: their rows in panels, and their columns, whole vectors."""

    panels: tuple[Panel, ...]
    columns: int

    @property
    def rows(self) -> int:
        return sum(map(sum, self.panels))


def long_text(
    name: str, stored: DType, dtype: DType, tile: Tile, shape: Long, numerics: Numerics
) -> str:
    """Kernel: the sums over blocks of k. Slots: left, right, target; row offsets, first offsets of
    vectors of columns, k offsets of both operands, batch offsets of both; depth, blocks of k in a
    task. Tasks: batch × blocks of k.
    """
    body, element = Body(), llvm_type(dtype)
    block = str(numerics.block)
    blocks = ceiling(body, "%depth", block)
    tasks = ceiling(body, blocks, "%together")
    results = shape.rows * shape.columns
    widths = _widths(shape.columns, tile)
    with body.loop("%begin", "%end", hint="task") as task:
        batch = body.div(task, tasks)
        first = body.mul(body.rem(task, tasks), "%together")
        last = body.minimum(body.add(first, "%together"), blocks)
        left, right = (
            pointer(body, f"%{side}", llvm_type(stored), table(body, f"%{side}.batches", batch))
            for side in ("left", "right")
        )
        with body.loop(first, last, hint="block") as number:
            low = body.mul(number, block)
            count = body.minimum(body.sub("%depth", low), block)
            steps = [pointer(body, f"%{side}.k", "i64", low) for side in ("left", "right")]
            place = body.add(body.mul(batch, blocks), number)
            target = pointer(body, "%target", element, body.mul(place, str(results)))
            column = 0
            for parts in widths:
                columns = pointer(body, "%columns", "i64", str(column // tile.vector))
                row = 0
                for panel in shape.panels:
                    there = pointer(body, target, element, str(row * shape.columns + column))
                    rows = pointer(body, "%rows", "i64", str(row))
                    given = [left, right, there, rows, columns, *steps]
                    pointers = ", ".join(f"ptr {a}" for a in given)
                    body.emit(f"call void @{_inner(name, panel, parts)}({pointers}, i64 {count})")
                    row += sum(panel)
                column += parts * tile.vector
    body.emit("ret void")
    pointers = "%left %right %target %rows %columns %left.k %right.k %left.batches %right.batches"
    outer = kernel_module(name, body, pointers.split(), ["%depth", "%together"])
    inner = [
        _micro(_inner(name, panel, parts), stored, dtype, tile, panel, parts, shape.columns)
        for panel in dict.fromkeys(shape.panels)
        for parts in dict.fromkeys(widths)
    ]
    return module(outer, inner)


def _widths(columns: int, tile: Tile) -> list[int]:
    """Vectors of each panel of columns."""
    vectors, most = columns // tile.vector, tile.columns // tile.vector
    return [min(most, vectors - first) for first in range(0, vectors, most)]


def _inner(name: str, panel: Panel, parts: int) -> str:
    return f"{name}.{'.'.join(map(str, panel))}x{parts}"


def _micro(
    name: str, stored: DType, dtype: DType, tile: Tile, panel: Panel, parts: int, apart: int
) -> tuple[str, list[str]]:
    """target[i][j] = Σ over a block of k, in order: rows of a panel times vectors of columns."""
    body, element = Body(), llvm_type(dtype)
    vector, height = f"<{tile.vector} x {element}>", sum(panel)
    slots = [[body.stack_slot(vector, "acc") for _ in range(parts)] for _ in range(height)]
    for slot in (slot for row in slots for slot in row):
        body.emit(f"store {vector} zeroinitializer, ptr {slot}, align 64")
    starts = [sum(panel[:number]) for number in range(len(panel))]
    lines = [
        pointer(body, "%left", llvm_type(stored), table(body, "%rows", str(i))) for i in starts
    ]
    columns = [
        pointer(body, "%right", llvm_type(stored), table(body, "%columns", str(part)))
        for part in range(parts)
    ]
    with body.loop("0", "%count", hint="k") as k:
        left_step, right_step = table(body, "%left.k", k), table(body, "%right.k", k)
        right = [load_as(body, base, tile.vector, stored, dtype, right_step) for base in columns]
        for line, start, length in zip(lines, starts, panel, strict=True):
            for number in range(length):
                place = body.add(left_step, str(number))
                one = splat(
                    body, element, tile.vector, load_as(body, line, 1, stored, dtype, place)
                )
                for value, slot in zip(right, slots[start + number], strict=True):
                    old = body.instruction(f"load {vector}, ptr {slot}, align 64")
                    total = fma(body, dtype, tile.vector, one, value, old)
                    body.emit(f"store {vector} {total}, ptr {slot}, align 64")
    for i, row in enumerate(slots):
        for part, slot in enumerate(row):
            value = body.instruction(f"load {vector}, ptr {slot}, align 64")
            store(body, "%target", vector, dtype, str(i * apart + part * tile.vector), value)
    parameters = "%left %right %target %rows %columns %left.k %right.k".split()
    return function(name, [*(f"ptr noalias {p}" for p in parameters), "i64 %count"], body)


def long_sums_text(name: str, dtype: DType, tile: Tile) -> str:
    """Kernel: add the sums of all blocks, in order. Slots: sums, result; the result's row, column
    and batch offsets; rows, columns, blocks. Tasks: batch × rows."""
    body, element = Body(), llvm_type(dtype)
    vector = f"<{tile.vector} x {element}>"
    total = body.stack_slot(vector, "total")
    step = body.mul("%rows", "%columns")
    with body.loop("%begin", "%end", hint="task") as task:
        batch, row = body.div(task, "%rows"), body.rem(task, "%rows")
        first = body.add(body.mul(body.mul(batch, "%blocks"), step), body.mul(row, "%columns"))
        line = body.add(table(body, "%batches", batch), table(body, "%result.rows", row))
        target = pointer(body, "%result", element, line)
        with body.loop("0", "%columns", tile.vector, "column") as column:
            place = body.add(first, column)
            start = load(body, "%sums", vector, dtype, place)
            body.emit(f"store {vector} {start}, ptr {total}, align 64")
            with body.loop("1", "%blocks", hint="block") as number:
                more = load(body, "%sums", vector, dtype, body.add(place, body.mul(number, step)))
                old = body.instruction(f"load {vector}, ptr {total}, align 64")
                new = body.instruction(f"fadd {vector} {old}, {more}")
                body.emit(f"store {vector} {new}, ptr {total}, align 64")
            with body.loop("0", str(tile.vector), hint="j") as j:
                one = load(body, total, element, dtype, j)
                there = table(body, "%result.columns", body.add(column, j))
                store(body, target, element, dtype, there, one)
    body.emit("ret void")
    pointers = ["%sums", "%result", "%result.rows", "%result.columns", "%batches"]
    return module(kernel_module(name, body, pointers, SUMS.split()), [])

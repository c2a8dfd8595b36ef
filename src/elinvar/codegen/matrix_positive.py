"""Kernels of Cholesky's decomposition.

    A = Uᵀ U,  u_ij = (a_ij - Σ_{k<i} u_ki u_kj) / u_ii,  u_ii = √(a_ii - Σ_{k<i} u_ki²)

Scratch memory holds U = Lᵀ, so that sums run along rows in vectors. Matrices are cut into panels of
32 rows and blocks of 32 columns. A block of a panel has the products with the panels above
subtracted, 32 terms at a time, then those within the panel one by one: an order that neither
threads nor vectors change. In scratch memory an identity fills the matrix up to whole vectors.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from elinvar.codegen.body import kernel_module
from elinvar.codegen.llvm_scalars import LLVMHandler, llvm_type
from elinvar.codegen.matrix_words import Variable, Words, padded
from elinvar.core.dtypes import DType
from elinvar.ops.scalars import Scalar, fma

PANEL = 32
WHOLE = 64  # matrices up to this size are one task
GROUP = 4  # rows that are worked on at once
VECTOR = 8
WIDTHS = (32, VECTOR)
MORE = VECTOR  # rows of scratch memory that the identity may fill


def next_panel_text(name: str) -> str:
    """Kernel: go on to the next panel, if there is one. Slots: its number, a bool, the size."""
    words = Words()
    step = words.add(words.load_count("%step"), "1")
    words.store_count("%step", "0", step)
    count = words.choose(words.is_less("%size", str(WHOLE + 1)), "1", _panels(words))
    byte = words.instruction(f"zext i1 {words.is_less(step, count)} to i8")
    words.emit(f"store i8 {byte}, ptr %test, align 1")
    words.emit("ret void")
    return kernel_module(name, words, ["%step", "%test"], ["%size"])


def _panels(words: Words) -> str:
    return words.div(words.add("%size", str(PANEL - 1)), str(PANEL))


@dataclass(frozen=True)
class _Block:
    """A block of a panel: rows top … bottom, columns left … right of x, in whole vectors."""

    words: Words
    dtype: DType
    x: str
    long: str
    full: str  # the size in whole vectors; U's diagonal stands in this column, too
    top: str
    bottom: str
    left: str
    right: str

    def place(self, i: str, j: str) -> str:
        return self.words.add(self.words.mul(i, self.long), j)

    def load(self, i: str, j: str, lanes: int = 1) -> Scalar:
        return self.words.load(self.x, self.dtype, self.place(i, j), lanes)

    def store(self, i: str, j: str, value: Scalar, lanes: int = 1) -> None:
        self.words.store(self.x, self.place(i, j), value, lanes)

    def factor(self, i: str, j: str, lanes: int) -> Scalar:
        return self.words.splat(self.load(i, j), lanes)


def cholesky_text(name: str, dtype: DType) -> str:
    """Kernel: L and the number of the first leading minor that is not positive, or 0.

    A launch works on the panel before `step` in the columns that are left, then on the triangle
    on the diagonal that the next launch divides by. Small matrices are done in one launch.

    Slots: matrices, scratch, L, info (i64), step (i64), size. Tasks: matrices (small ones), or
    matrices × blocks of columns.
    """
    words = Words()
    long, panels = padded(words, "%size"), _panels(words)
    full = words.down(words.add("%size", str(VECTOR - 1)), VECTOR)
    is_whole = words.is_less("%size", str(WHOLE + 1))
    per = words.choose(is_whole, "1", panels)
    step = words.load_count("%step")
    first = words.choose(is_whole, "0", step)
    last = words.choose(is_whole, panels, words.add(step, "1"))
    square, room = words.mul("%size", "%size"), words.mul(words.add("%size", str(MORE)), long)
    with words.loop("%begin", "%end", hint="task") as task:
        number, part = words.div(task, per), words.rem(task, per)
        # a thread does whole matrices one after the other, in the same memory
        x = words.at("%scratch", dtype, words.mul(words.choose(is_whole, "%begin", number), room))
        source = words.at("%source", dtype, words.mul(number, square))
        target = words.at("%target", dtype, words.mul(number, square))
        info = words.instruction(f"getelementptr inbounds i64, ptr %info, i64 {number}", "p")
        with words.loop(first, last, hint="step") as turn:
            # blocks that are left are spread evenly over the tasks
            left_over = words.sub(panels, turn)
            low = words.div(words.mul(part, left_over), per)
            high = words.div(words.mul(words.add(part, "1"), left_over), per)
            with words.loop(low, high, hint="block") as count:
                block = words.add(turn, count)
                start = words.maximum(words.sub(turn, "1"), "0")
                stop = words.choose(words.is_equal(block, turn), words.add(turn, "1"), turn)
                left = words.mul(block, str(PANEL))
                right = words.minimum(words.add(left, str(PANEL)), full)
                with words.loop(start, stop, hint="panel") as panel:
                    top = words.mul(panel, str(PANEL))
                    bottom = words.minimum(words.add(top, str(PANEL)), full)
                    here = _Block(words, dtype, x, long, full, top, bottom, left, right)
                    _copied_in(here, source)
                    words.along(left, right, WIDTHS, functools.partial(_solved, here))
                    _copied_out(here, target, info)
    words.emit("ret void")
    pointers = ["%source", "%scratch", "%target", "%info", "%step"]
    return kernel_module(name, words, pointers, ["%size"])


def _solved(block: _Block, column: str, lanes: int) -> None:
    """Some columns of a block, group of rows after group of rows."""
    words = block.words
    stop = words.minimum(block.bottom, words.add(column, str(lanes)))
    with words.loop(block.top, stop, GROUP, "rows") as i:
        rows = [words.add(i, str(n)) for n in range(GROUP)]
        totals = [
            words.variable(block.dtype, block.load(row, column, lanes), lanes) for row in rows
        ]

        def subtract(k: str, sums: list[Variable], rows: list[str] = rows) -> None:
            other = block.load(k, column, lanes)
            for row, total in zip(rows, sums, strict=True):
                total.set(fma(-block.factor(k, row, lanes), other, total.get()))

        with words.loop("0", block.top, PANEL, "panel") as start:
            parts = [words.variable(block.dtype, 0.0, lanes) for _ in rows]
            with words.loop(start, words.add(start, str(PANEL)), hint="k") as k:
                subtract(k, parts)
            for total, share in zip(totals, parts, strict=True):
                total.set(total.get() + share.get())
        with words.loop(block.top, i, hint="k") as k:
            subtract(k, totals)
        holds_diagonal = words.negated(words.is_less(i, column))
        done: list[Scalar] = []
        for number, row in enumerate(rows):
            value = totals[number].get()
            for above, other in zip(rows, done, strict=False):
                value = fma(-block.factor(above, row, lanes), other, value)
            with words.when(holds_diagonal):
                block.store(row, column, value, lanes)
                block.store(row, block.full, block.load(row, row).sqrt())
            value = value / block.factor(row, block.full, lanes)
            block.store(row, column, value, lanes)
            done.append(value)


def _copied_in(block: _Block, source: str) -> None:
    """Aᵀ's part; what the matrix lacks to whole vectors is the identity's."""
    words, dtype, top, left = block.words, block.dtype, block.top, block.left
    bottom = words.minimum(block.bottom, "%size")
    right = words.minimum(block.right, "%size")
    tile = words.at(source, dtype, words.add(words.mul(left, "%size"), top))
    own = words.at(block.x, dtype, block.place(top, left)), block.long
    extent = words.sub(right, left), words.sub(bottom, top)
    _transposed(words, dtype, (tile, "%size"), own, extent)
    zero, one = words.number(0.0, dtype), words.number(1.0, dtype)
    with words.when(words.is_less(right, block.right)):
        with words.loop(top, bottom, hint="row") as i:
            row = words.at(block.x, dtype, words.mul(i, block.long))
            words.filled(row, zero, right, block.right)
        with words.loop(bottom, block.bottom, hint="row") as i:
            row = words.at(block.x, dtype, words.mul(i, block.long))
            words.filled(row, zero, left, block.right)
            words.store(row, i, one)


def _copied_out(block: _Block, target: str, info: str) -> None:
    """L's part, and the zeros across from it."""
    words, dtype, top, left = block.words, block.dtype, block.top, block.left
    bottom = words.minimum(block.bottom, "%size")
    right = words.minimum(block.right, "%size")
    tile = words.at(target, dtype, words.add(words.mul(left, "%size"), top))
    own = words.at(block.x, dtype, block.place(top, left)), block.long
    extent = words.sub(bottom, top), words.sub(right, left)
    _transposed(words, dtype, own, (tile, "%size"), extent)
    zero = words.number(0.0, dtype)
    is_diagonal = words.is_equal(top, left)
    with words.loop(top, bottom, hint="row") as i:
        row = words.at(target, dtype, words.mul(i, "%size"))
        start = words.choose(is_diagonal, words.add(i, "1"), left)
        words.filled(row, zero, start, right)
    with words.when(is_diagonal):
        before = words.choose(words.is_equal(top, "0"), "0", words.load_count(info))
        bad = words.counter(before)
        with words.loop(top, bottom, hint="row") as i:
            pivot = block.load(i, block.full)
            words.store(words.at(target, dtype, words.mul(i, "%size")), i, pivot)
            is_bad = (~(pivot > 0.0)).payload
            is_first = words.both(is_bad, words.is_equal(bad.get(), "0"))
            bad.set(words.choose(is_first, words.add(i, "1"), bad.get()))
        words.store_count(info, "0", bad.get())


def _transposed(
    words: Words,
    dtype: DType,
    source: tuple[str, str],
    target: tuple[str, str],
    extent: tuple[str, str],
) -> None:
    """target[j, i] = source[i, j] of matrices with rows of some length, in squares of vectors."""
    (origin, origin_long), (goal, goal_long) = source, target
    height, width = extent
    rows, columns = words.down(height, VECTOR), words.down(width, VECTOR)

    def one(i: str, j: str) -> None:
        value = words.load(origin, dtype, words.add(words.mul(i, origin_long), j))
        words.store(goal, words.add(words.mul(j, goal_long), i), value)

    with words.loop("0", rows, VECTOR, "row") as i, words.loop("0", columns, VECTOR, "j") as j:
        lines = []
        for n in range(VECTOR):
            place = words.add(words.mul(words.add(i, str(n)), origin_long), j)
            lines.append(words.load(origin, dtype, place, VECTOR))
        for n, line in enumerate(_turned(words, lines)):
            place = words.add(words.mul(words.add(j, str(n)), goal_long), i)
            words.store(goal, place, line, VECTOR)
    with words.loop("0", rows, hint="row") as i, words.loop(columns, width, hint="j") as j:
        one(i, j)
    with words.loop(rows, height, hint="row") as i, words.loop("0", width, hint="j") as j:
        one(i, j)


def _turned(words: Words, lines: list[Scalar]) -> list[Scalar]:
    """The transpose of a square of vectors: halves change places, then quarters, …"""
    count, dtype = len(lines), lines[0].dtype
    kind = llvm_type(dtype, count)
    found = [line.payload for line in lines]
    distance = 1
    while distance < count:
        for n in range(count):
            if n & distance:
                continue
            pair = f"{kind} {found[n]}, {kind} {found[n + distance]}"
            kept = [lane + (count - distance) * bool(lane & distance) for lane in range(count)]
            moved = [lane + (distance if not lane & distance else count) for lane in range(count)]
            made = []
            for places in (kept, moved):
                mask = ", ".join(f"i32 {place}" for place in places)
                made.append(words.instruction(f"shufflevector {pair}, <{count} x i32> <{mask}>"))
            found[n], found[n + distance] = made
        distance *= 2
    return [Scalar(LLVMHandler(words, count), dtype, payload) for payload in found]

"""Kernels of LU decomposition and of triangular systems. The loops of `linalg` say the same, with
the same bits: element by element the same operations in the same order.
"""

from __future__ import annotations

from elinvar.codegen.body import kernel_module
from elinvar.codegen.matrix_words import Words
from elinvar.core.dtypes import DType
from elinvar.ops.scalars import Scalar, select

LANES = 8
WIDTHS = (32, 8, 4, 1)
BLOCK = 32  # columns of the right-hand side that a task solves for


def lu_text(name: str, dtype: DType) -> str:
    """Kernel: P A = L U of some columns of dense panels [stack, height, width], in place.

    Slots: panel, first column's place (i64), number of columns (i64), target, order [height],
    swaps [width], height, width. Tasks: matrices.
    """
    words = Words()
    with words.loop("%begin", "%end", hint="task") as task:
        size = words.mul("%height", "%width")
        x = words.at("%target", dtype, words.mul(task, size))
        words.copied(words.at("%source", dtype, words.mul(task, size)), x, dtype, size)
        order = words.instruction(
            f"getelementptr inbounds i64, ptr %order, i64 {words.mul(task, '%height')}", "p"
        )
        swaps = words.instruction(
            f"getelementptr inbounds i64, ptr %swaps, i64 {words.mul(task, '%width')}", "p"
        )
        start, count = words.load_count("%start"), words.load_count("%count")
        with words.loop("0", "%height") as i:
            words.store_count(order, i, i)
        with words.loop("0", "%width") as j:
            words.store_count(swaps, j, words.add(j, start))
        with words.loop("0", count, hint="column") as place:
            here = words.add(start, place)
            pivot = _pivot(words, x, dtype, here, place)
            words.store_count(swaps, place, pivot)
            with words.when(words.negated(words.is_equal(here, pivot))):
                _exchanged(words, x, dtype, here, pivot)
                one, two = words.load_count(order, here), words.load_count(order, pivot)
                words.store_count(order, here, two)
                words.store_count(order, pivot, one)
            _eliminate(words, x, dtype, here, place)
    words.emit("ret void")
    pointers = ["%source", "%start", "%count", "%target", "%order", "%swaps"]
    return kernel_module(name, words, pointers, ["%height", "%width"])


def _pivot(words: Words, x: str, dtype: DType, here: str, place: str) -> str:
    """The row of the largest |x| of a column from `here` on: the first of several; NaN wins."""
    best = words.counter(here)
    largest = words.variable(
        dtype, words.load(x, dtype, words.add(words.mul(here, "%width"), place)).abs()
    )
    with words.loop(words.add(here, "1"), "%height", hint="row") as i:
        size = words.load(x, dtype, words.add(words.mul(i, "%width"), place)).abs()
        old = largest.get()
        wins = ~(size <= old) & old.eq(old)
        largest.set(select(wins, size, old))
        best.set(words.choose(wins.payload, i, best.get()))
    return best.get()


def _exchanged(words: Words, x: str, dtype: DType, one: str, two: str) -> None:
    """Two rows change places."""
    first = words.at(x, dtype, words.mul(one, "%width"))
    second = words.at(x, dtype, words.mul(two, "%width"))

    def move(column: str, lanes: int) -> None:
        a, b = words.load(first, dtype, column, lanes), words.load(second, dtype, column, lanes)
        words.store(first, column, b, lanes)
        words.store(second, column, a, lanes)

    words.along("0", "%width", (LANES, 1), move)


def _eliminate(words: Words, x: str, dtype: DType, here: str, place: str) -> None:
    """Rows below `here`: a multiplier at `place`, and what it leaves to the right of it."""
    upper = words.at(x, dtype, words.mul(here, "%width"))
    value = words.load(upper, dtype, place)
    whole = words.down("%width", LANES)
    right = words.add(place, "1")
    first = words.down(right, LANES)
    with words.loop(words.add(here, "1"), "%height", hint="row") as i:
        row = words.at(x, dtype, words.mul(i, "%width"))
        own = words.load(row, dtype, place)
        below = select(value.eq(0.0), own, own / value)

        def reduced(column: str, lanes: int, row: str = row, below: Scalar = below) -> Scalar:
            factor = words.splat(below, lanes)
            return words.load(row, dtype, column, lanes) - factor * words.load(
                upper, dtype, column, lanes
            )

        with words.when(words.is_less(first, whole)):  # a vector that begins to the left
            mask = words.lanes_from(first, right, LANES)
            old = words.load(row, dtype, first, LANES)
            words.store(row, first, select(mask, reduced(first, LANES), old), LANES)
        with words.loop(words.add(first, str(LANES)), whole, LANES, "j") as j:
            words.store(row, j, reduced(j, LANES), LANES)
        with words.loop(words.maximum(whole, right), "%width", 1, "j") as j:
            words.store(row, j, reduced(j, 1))
        words.store(row, place, below)


def substitute_text(name: str, dtype: DType) -> str:
    """Kernel: forward substitution, dense [stack, rows, columns] by columns of a triangle.

    Row i has the products of the rows before it subtracted, one after the other, and is divided by
    the diagonal. Slots: triangle [rows, width], right-hand sides, first column (i64), number of
    columns (i64), target, rows, width, columns, whether the diagonal counts as ones. Tasks:
    matrices × blocks of columns.
    """
    words = Words()
    blocks = words.div(words.add("%columns", str(BLOCK - 1)), str(BLOCK))
    first, count = words.load_count("%first"), words.load_count("%count")
    with words.loop("%begin", "%end", hint="task") as task:
        number, block = words.div(task, blocks), words.rem(task, blocks)
        low = words.mul(block, str(BLOCK))
        high = words.minimum(words.add(low, str(BLOCK)), "%columns")
        base = words.mul(number, words.mul("%rows", "%columns"))
        b, x = words.at("%source", dtype, base), words.at("%target", dtype, base)
        lower = words.mul(number, words.mul("%rows", "%width"))
        triangle = words.at("%lower", dtype, words.add(lower, first))
        with words.loop("0", "%rows", hint="row") as i:
            row = words.at(triangle, dtype, words.mul(i, "%width"))
            line = words.mul(i, "%columns")
            before = words.minimum(i, count)
            _substituted(words, dtype, (row, line, before), (b, x), (low, high), i, count)
    words.emit("ret void")
    pointers = ["%lower", "%source", "%first", "%count", "%target"]
    return kernel_module(name, words, pointers, ["%rows", "%width", "%columns", "%unit"])


def _substituted(
    words: Words, dtype: DType, place: tuple[str, str, str], memory: tuple[str, str],
    columns: tuple[str, str], i: str, count: str,
) -> None:  # fmt: skip
    """One row of a substitution."""
    (row, line, before), (b, x) = place, memory

    def solve(column: str, lanes: int) -> None:
        here = words.add(line, column)
        total = words.variable(dtype, words.load(b, dtype, here, lanes), lanes)
        with words.loop("0", before, hint="k") as k:
            factor = words.splat(words.load(row, dtype, k), lanes)
            other = words.load(x, dtype, words.add(words.mul(k, "%columns"), column), lanes)
            total.set(total.get() - factor * other)
        with words.when(words.both(words.is_less(i, count), words.is_equal("%unit", "0"))):
            total.set(total.get() / words.splat(words.load(row, dtype, i), lanes))
        words.store(x, here, total.get(), lanes)

    words.along(*columns, WIDTHS, solve)

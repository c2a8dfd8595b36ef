"""Kernels of LU decomposition and of triangular systems. The loops of `linalg` say the same, with
the same bits: element by element the same operations in the same order.
"""

from __future__ import annotations

from elinvar.codegen.body import kernel_module
from elinvar.codegen.matrix_words import Words, padded
from elinvar.core.dtypes import DType, int64
from elinvar.ops.scalars import Scalar, fma, select

LANES = 8
WIDTHS = (32, 8, 4, 1)
BLOCK = 32  # columns of the right-hand side that a task solves for


def _pivot(words: Words, x: str, dtype: DType, here: str, long: str) -> str:
    """The row of the largest |x| of column `here` from there on: the first of several; NaN wins."""
    best = words.counter(here)
    largest = words.variable(
        dtype, words.load(x, dtype, words.add(words.mul(here, long), here)).abs()
    )
    with words.loop(words.add(here, "1"), "%height", hint="row") as i:
        size = words.load(x, dtype, words.add(words.mul(i, long), here)).abs()
        old = largest.get()
        wins = ~(size <= old) & old.eq(old)
        largest.set(select(wins, size, old))
        best.set(words.choose(wins.payload, i, best.get()))
    return best.get()


def _exchanged(words: Words, x: str, dtype: DType, one: str, two: str, long: str) -> None:
    """Two rows change places."""
    first = words.at(x, dtype, words.mul(one, long))
    second = words.at(x, dtype, words.mul(two, long))

    def move(column: str, lanes: int) -> None:
        a, b = words.load(first, dtype, column, lanes), words.load(second, dtype, column, lanes)
        words.store(first, column, b, lanes)
        words.store(second, column, a, lanes)

    words.along("0", "%width", (LANES, 1), move)


def _eliminate(words: Words, x: str, dtype: DType, place: str, stop: str, long: str) -> None:
    """Rows below `place`: a multiplier there, and what it leaves of the columns up to `stop`."""
    upper = words.at(x, dtype, words.mul(place, long))
    value = words.load(upper, dtype, place)
    whole = words.down(stop, LANES)
    right = words.add(place, "1")
    first = words.down(right, LANES)
    with words.loop(words.add(place, "1"), "%height", hint="row") as i:
        row = words.at(x, dtype, words.mul(i, long))
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
        with words.loop(words.maximum(whole, right), stop, 1, "j") as j:
            words.store(row, j, reduced(j, 1))
        words.store(row, place, below)


def substitute_text(name: str, dtype: DType) -> str:
    """Kernel: triangular systems, dense [stack, rows, columns], row after row.

    A row has the products of the rows before it subtracted, one after the other, and is divided by
    the diagonal. Slots: triangle [rows, rows], right-hand sides, scratch (a strip of columns for
    each task), target, rows, columns, whether the diagonal counts as ones, whether the triangle is
    an upper one, whose last row comes first. Tasks: matrices × blocks of columns.
    """
    words = Words()
    blocks = words.div(words.add("%columns", str(BLOCK - 1)), str(BLOCK))
    divides = words.is_equal("%unit", "0")
    is_upper = words.negated(words.is_equal("%upper", "0"))
    start = words.choose(is_upper, words.sub("%rows", "1"), "0")
    step = words.choose(is_upper, "-1", "1")

    def place(i: str) -> str:
        return words.add(start, words.mul(step, i))

    with words.loop("%begin", "%end", hint="task") as task:
        number, block = words.div(task, blocks), words.rem(task, blocks)
        low = words.mul(block, str(BLOCK))
        high = words.minimum(words.add(low, str(BLOCK)), "%columns")
        base = words.add(words.mul(number, words.mul("%rows", "%columns")), low)
        b, target = words.at("%source", dtype, base), words.at("%target", dtype, base)
        x = words.at("%scratch", dtype, words.mul(task, words.mul("%rows", str(BLOCK))))
        triangle = words.at("%lower", dtype, words.mul(number, words.mul("%rows", "%rows")))
        with words.loop("0", "%rows", hint="row") as i:
            here = place(i)
            row = words.at(triangle, dtype, words.mul(here, "%rows"))
            line = words.mul(here, "%columns")

            def solve(
                column: str, lanes: int, row: str = row, line: str = line, i: str = i
            ) -> None:
                there = words.add(line, column)
                total = words.variable(dtype, words.load(b, dtype, there, lanes), lanes)
                with words.loop("0", i, hint="k") as k:
                    factor = words.splat(words.load(row, dtype, place(k)), lanes)
                    other = words.add(words.mul(k, str(BLOCK)), column)
                    total.set(total.get() - factor * words.load(x, dtype, other, lanes))
                with words.when(divides):
                    own = words.splat(words.load(row, dtype, place(i)), lanes)
                    total.set(total.get() / own)
                inside = words.add(words.mul(i, str(BLOCK)), column)
                words.store(x, inside, total.get(), lanes)
                words.store(target, there, total.get(), lanes)

            words.along("0", words.sub(high, low), WIDTHS, solve)
    words.emit("ret void")
    pointers = ["%lower", "%source", "%scratch", "%target"]
    sizes = ["%rows", "%columns", "%unit", "%upper"]
    return kernel_module(name, words, pointers, sizes)


# ---- whole decompositions, panel after panel ----------------------------------------------------

COLUMNS = 32  # that a task of an update works on


def lu_panel_text(name: str, dtype: DType) -> str:
    """Kernel: the next panel of P A = L U in scratch memory; its exchanges are made in whole rows.

    Slots: matrices [height, width], scratch, order [height], swaps, where the last panel
    started (-1: there was none) and whether another one follows (i64 for each matrix), height,
    width, the least of them, the panel's width. Tasks: matrices.
    """
    words = Words()
    long = padded(words, "%width")
    with words.loop("%begin", "%end", hint="task") as task:
        size = words.mul("%height", "%width")
        x = words.at("%scratch", dtype, words.mul(task, words.mul("%height", long)))
        source = words.at("%source", dtype, words.mul(task, size))
        order = words.at("%order", int64, words.mul(task, "%height"))
        swaps = words.at("%swaps", int64, words.mul(task, "%least"))
        before = words.load_count("%start", task)
        is_first = words.is_less(before, "0")
        with words.when(is_first):
            with words.loop("0", "%height") as i:
                words.store_count(order, i, i)
                row = words.at(x, dtype, words.mul(i, long))
                words.copied(words.at(source, dtype, words.mul(i, "%width")), row, dtype, "%width")
        start = words.choose(is_first, "0", words.add(before, "%panel"))
        words.store_count("%start", task, start)
        stop = words.minimum(words.add(start, "%panel"), "%least")
        with words.loop(start, stop, hint="column") as place:
            pivot = _pivot(words, x, dtype, place, long)
            words.store_count(swaps, place, pivot)
            with words.when(words.negated(words.is_equal(place, pivot))):
                _exchanged(words, x, dtype, place, pivot, long)
                one, two = words.load_count(order, place), words.load_count(order, pivot)
                words.store_count(order, place, two)
                words.store_count(order, pivot, one)
            _eliminate(words, x, dtype, place, stop, long)
        is_left = words.is_less(stop, "%least")
        words.store_count("%open", task, words.choose(is_left, "1", "0"))
    words.emit("ret void")
    pointers = ["%source", "%scratch", "%order", "%swaps", "%start", "%open"]
    return kernel_module(name, words, pointers, ["%height", "%width", "%least", "%panel"])


def lu_update_text(name: str, dtype: DType) -> str:
    """Kernel: the columns to the right of a panel: its rows are solved for U, the rows below it
    have the product subtracted.

    Slots: scratch, target [height, width], where the panel starts (i64), height, width, the least
    of them, the panel's width. Tasks: matrices × blocks of columns. After the last panel the matrix
    is copied out.
    """
    words = Words()
    long = padded(words, "%width")
    blocks = words.div(words.add("%width", str(COLUMNS - 1)), str(COLUMNS))
    with words.loop("%begin", "%end", hint="task") as task:
        number, block = words.div(task, blocks), words.rem(task, blocks)
        x = words.at("%scratch", dtype, words.mul(number, words.mul("%height", long)))
        start = words.load_count("%start", number)
        stop = words.minimum(words.add(start, "%panel"), "%least")
        first = words.mul(block, str(COLUMNS))
        high = words.minimum(words.add(first, str(COLUMNS)), "%width")
        low = words.maximum(first, stop)

        def update(
            column: str, lanes: int, x: str = x, start: str = start, stop: str = stop
        ) -> None:
            _updated_columns(words, dtype, (x, long), (start, stop), column, lanes)

        words.along(low, high, (32, 8, 1), update)
        with words.when(words.is_equal(stop, "%least")):
            base = words.mul(number, words.mul("%height", "%width"))
            target = words.at("%target", dtype, words.add(base, first))
            source = words.at(x, dtype, first)
            with words.loop("0", "%height", hint="row") as i:
                words.copied(
                    words.at(source, dtype, words.mul(i, long)),
                    words.at(target, dtype, words.mul(i, "%width")),
                    dtype,
                    words.sub(high, first),
                )
    words.emit("ret void")
    sizes = ["%height", "%width", "%least", "%panel"]
    return kernel_module(name, words, ["%scratch", "%target", "%start"], sizes)


def _updated_columns(
    words: Words,
    dtype: DType,
    memory: tuple[str, str],
    panel: tuple[str, str],
    column: str,
    lanes: int,
) -> None:
    """Some columns: U above, what is left below."""
    (x, long), (start, stop) = memory, panel

    def place(i: str, j: str) -> str:
        return words.add(words.mul(i, long), j)

    with words.loop(words.add(start, "1"), stop, hint="row") as i:
        total = words.variable(dtype, words.load(x, dtype, place(i, column), lanes), lanes)
        with words.loop(start, i, hint="k") as k:
            factor = words.splat(words.load(x, dtype, place(i, k)), lanes)
            total.set(total.get() - factor * words.load(x, dtype, place(k, column), lanes))
        words.store(x, place(i, column), total.get(), lanes)

    def rows(i: str, count: int) -> None:
        lines = [words.add(i, str(n)) for n in range(count)]
        totals = [words.variable(dtype, 0.0, lanes) for _ in lines]
        with words.loop(start, stop, hint="k") as k:
            upper = words.load(x, dtype, place(k, column), lanes)
            for line, total in zip(lines, totals, strict=True):
                factor = words.splat(words.load(x, dtype, place(line, k)), lanes)
                total.set(fma(factor, upper, total.get()))
        for line, total in zip(lines, totals, strict=True):
            here = place(line, column)
            words.store(x, here, words.load(x, dtype, here, lanes) - total.get(), lanes)

    words.by_fours(stop, "%height", rows)

"""Kernels of eigenvalues of symmetric matrices: A = V diag(λ) Vᵀ, one matrix a task.

    tridiagonal    Householder's reflections: A = Q T Qᵀ; a row is updated and multiplied by the
                   next vector in one pass
    turn_values    implicit QL steps with Wilkinson's shifts on T, which note their rotations
    turn_rows      the rotations, applied to the rows of Zᵀ; tasks are blocks of columns
    in_order       values sorted, and where each came from
    turned_back    Q Z by blocks of columns; what Householder's vectors are applied to

T is held in f64 whatever the dtype. Rotations are applied as often as there is room for; a loop of
the program goes on until all matrices are done (`lower_matrices.py`).
"""

from __future__ import annotations

from elinvar.codegen.body import kernel_module
from elinvar.codegen.llvm_scalars import LLVMHandler
from elinvar.codegen.matrix_words import Counter, Words, negligible, padded, recorded, reflection
from elinvar.core.dtypes import DType, float64, int64
from elinvar.ops.scalars import Scalar, fma, select

LANES = 8
BLOCK = 64  # columns of a task
WIDTHS = (32, 8, 1)
FRACTION = 2.0**-2  # of ε ‖A‖, up to which an element off the diagonal counts as 0


def copied_in(words: Words, source: str, target: str, dtype: DType, n: str, long: str) -> None:
    """A dense n × n matrix into rows of length `long`, zeros behind."""
    zero = words.number(0.0, dtype)
    with words.loop("0", n, hint="row") as i:
        row = words.at(target, dtype, words.mul(i, long))
        words.copied(words.at(source, dtype, words.mul(i, n)), row, dtype, n)
        words.filled(row, zero, n, long)


def identity(words: Words, target: str, dtype: DType, n: str) -> None:
    """An identity matrix in scratch memory."""
    long = padded(words, n)
    words.filled(target, words.number(0.0, dtype), "0", words.mul(n, long))
    with words.loop("0", n) as i:
        words.store(target, words.mul(i, words.add(long, "1")), words.number(1.0, dtype))


def tridiagonal_text(name: str, dtype: DType) -> str:
    """Kernel: T and Householder's vectors of dense symmetric matrices.

    Slots: matrices, scratch (n + 4 rows), T's diagonal and subdiagonal (f64), vectors in rows,
    their factors, Zᵀ (made an identity), whether there is more to do and how often it was tried
    (i64), n.
    """
    words = Words()
    long = padded(words, "%n")
    square = words.mul("%n", "%n")
    with words.loop("%begin", "%end", hint="task") as task:
        rows = words.mul(words.add("%n", "4"), long)
        a = words.at("%scratch", dtype, words.mul(task, rows))
        copied_in(words, words.at("%source", dtype, words.mul(task, square)), a, dtype, "%n", long)
        extra = words.mul("%n", long)
        v, w, y, new = [
            words.at(a, dtype, words.add(extra, words.mul(str(k), long))) for k in range(4)
        ]
        words.filled(v, words.number(0.0, dtype), "0", words.mul("4", long))
        line = words.mul(task, "%n")
        middle, below = words.at("%middle", float64, line), words.at("%below", float64, line)
        vectors = words.at("%vectors", dtype, words.mul(task, square))
        factors = words.at("%factors", dtype, line)
        place = words.mul(task, words.mul("%n", long))
        identity(words, words.at("%turned", dtype, place), dtype, "%n")
        words.store_count("%open", task, "1")
        words.store_count("%tries", task, "0")
        last = words.sub("%n", "1")
        words.store(below, last, words.number(0.0, float64))
        with words.loop("0", last, hint="step") as k:
            row = words.at(a, dtype, words.mul(k, long))
            words.store(middle, k, words.load(row, dtype, k).cast(float64))
            left, factor = reflected_row(words, dtype, row, new, words.add(k, "1"))
            words.store(below, k, left.cast(float64))
            words.store(factors, k, factor)
            words.copied(new, words.at(vectors, dtype, words.mul(k, "%n")), dtype, "%n")
            _updated_and_multiplied(words, dtype, a, (v, w, y, new), k, long)
            _next_update(words, dtype, a, (v, w, y, new), k, long, factor)
        end = words.load(a, dtype, words.add(words.mul(last, long), last))
        words.store(middle, last, end.cast(float64))
    words.emit("ret void")
    pointers = [
        "%source", "%scratch", "%middle", "%below", "%vectors", "%factors", "%turned", "%open",
        "%tries",
    ]  # fmt: skip
    return kernel_module(name, words, pointers, ["%n"])


def reflected_row(
    words: Words, dtype: DType, row: str, vector: str, first: str
) -> tuple[Scalar, Scalar]:
    """β and τ for the elements of a row from `first` on; the vector, zeros before it."""
    own = words.load(row, dtype, first)
    behind = words.add(first, "1")
    total = words.dot(row, row, dtype, behind, "%n")
    left, factor, scale = reflection(words, own, total, negligible(dtype))
    words.store(vector, words.sub(first, "1"), words.number(0.0, dtype))
    words.store(vector, first, words.number(1.0, dtype))
    scaled(words, dtype, row, vector, scale, behind)
    return left, factor


def scaled(
    words: Words, dtype: DType, source: str, target: str, scale: Scalar, first: str
) -> None:
    """target = scale · source from `first` on."""

    def put(place: str, lanes: int) -> None:
        x = words.load(source, dtype, place, lanes)
        words.store(target, place, x * words.splat(scale, lanes), lanes)

    words.along(first, "%n", (LANES, 1), put)


def _updated_and_multiplied(
    words: Words, dtype: DType, a: str, memory: tuple[str, str, str, str], k: str, long: str
) -> None:
    """A ← A - v wᵀ - w vᵀ and y = A · new in rows and columns after k."""
    v, w, y, new = memory
    start = words.add(k, "1")
    first = words.down(start, LANES)
    words.filled(y, words.number(0.0, dtype), first, long)

    def rows(i: str, count: int) -> None:
        places = [words.add(i, str(n)) for n in range(count)]
        lines = [words.at(a, dtype, words.mul(place, long)) for place in places]
        factors = [
            [words.splat(words.load(x, dtype, place), LANES) for x in (v, w, new)]
            for place in places
        ]
        with words.loop(first, long, LANES, "j") as j:
            along_v, along_w = words.load(v, dtype, j, LANES), words.load(w, dtype, j, LANES)
            total = words.load(y, dtype, j, LANES)
            for line, (by_v, by_w, by_new) in zip(lines, factors, strict=True):
                x = words.load(line, dtype, j, LANES)
                x = fma(-by_v, along_w, x)
                x = fma(-by_w, along_v, x)
                words.store(line, j, x, LANES)
                total = fma(by_new, x, total)
            words.store(y, j, total, LANES)

    words.by_fours(start, "%n", rows)


def _next_update(
    words: Words, dtype: DType, a: str, memory: tuple[str, str, str, str], k: str, long: str,
    factor: Scalar,
) -> None:  # fmt: skip
    """The w that belongs to the new v, p - ½ τ (pᵀ v) v with p = τ A v; and row k + 1 updated."""
    v, w, y, new = memory
    start = words.add(k, "1")
    half = factor * factor * 0.5 * words.dot(y, new, dtype, start, "%n")
    words.store(w, k, words.number(0.0, dtype))

    def moved(place: str, lanes: int) -> None:
        x = words.load(new, dtype, place, lanes)
        p = words.load(y, dtype, place, lanes) * words.splat(factor, lanes)
        words.store(w, place, fma(-words.splat(half, lanes), x, p), lanes)

    words.along(start, "%n", (LANES, 1), moved)
    words.copied(new, v, dtype, "%n")
    row = words.at(a, dtype, words.mul(start, long))
    by_v, by_w = words.load(v, dtype, start), words.load(w, dtype, start)
    with words.loop(words.down(start, LANES), long, LANES, "j") as j:
        x = words.load(row, dtype, j, LANES)
        x = fma(-words.splat(by_v, LANES), words.load(w, dtype, j, LANES), x)
        x = fma(-words.splat(by_w, LANES), words.load(v, dtype, j, LANES), x)
        words.store(row, j, x, LANES)


# ---- rotations ----------------------------------------------------------------------------------


def _floor_of(words: Words, arrays: tuple[str, str], epsilon: Scalar) -> tuple[Scalar, Scalar]:
    """(up to which |x| counts as 0, the sum of all |x|) of two arrays of n numbers."""
    largest, total = words.variable(float64), words.variable(float64)
    with words.loop("0", "%n") as i:
        for array in arrays:
            x = words.load(array, float64, i).abs()
            largest.set(largest.get().max(x))
            total.set(total.get() + x)
    return largest.get() * epsilon * FRACTION, total.get()


def another_try(
    words: Words, task: str, arrays: tuple[str, str], epsilon: Scalar
) -> tuple[Scalar, str, str]:
    """(up to which |x| counts as 0, whether infinities or NaNs have made all NaN, the tries) of a
    matrix with this diagonal and this one beside it."""
    middle, beside = arrays
    floor, total = _floor_of(words, arrays, epsilon)
    is_lost = (~(total < float("inf"))).payload
    with words.when(is_lost):
        words.filled(middle, words.number(float("nan"), float64), "0", "%n")
        words.filled(beside, words.number(0.0, float64), "0", "%n")
    tries = words.add(words.load_count("%tries", task), "1")
    words.store_count("%tries", task, tries)
    return floor, is_lost, tries


def left_open(words: Words, task: str, tries: str, going_on: Counter) -> None:
    """Note whether there is more to do; after n + 64 tries there is not, or it would not end."""
    is_left = words.is_less(tries, words.add("%n", "64"))
    words.store_count("%open", task, words.choose(is_left, going_on.get(), "0"))


def given_epsilon(words: Words) -> Scalar:
    """The number whose bits stand in the slot %epsilon."""
    return Scalar(LLVMHandler(words, 1), int64, "%epsilon").bitcast(float64)


def turn_values_text(name: str) -> str:
    """Kernel: QL steps on T, as many as there is room to note.

    Slots: T's diagonal and subdiagonal, rows (i64) and factors of rotations, their number, whether
    there is more to do, how often it was tried (i64), n, room for rotations, the bits of ε.
    """
    words = Words()
    epsilon = given_epsilon(words)
    with words.loop("%begin", "%end", hint="task") as task:
        line = words.mul(task, "%n")
        d, e = words.at("%middle", float64, line), words.at("%below", float64, line)
        room = words.mul(task, words.mul("2", "%room"))
        places, turns = words.at("%places", int64, room), words.at("%turns", float64, room)
        count, going_on = words.counter(), words.counter("0")
        floor, is_lost, tries = another_try(words, task, (d, e), epsilon)
        last = words.sub("%n", "1")
        low = words.counter(words.choose(is_lost, last, "0"))
        with words.forever("value") as end:
            words.leave(end, words.negated(words.is_less(low.get(), last)))
            high = _end_of_block(words, (d, e), low.get(), last, floor, epsilon)
            done = words.is_equal(high, low.get())
            with words.when(done):
                words.store(e, low.get(), words.number(0.0, float64))
                low.add("1")
            with words.when(words.negated(done)):
                needed = words.add(count.get(), words.sub(high, low.get()))
                is_full = words.is_less("%room", needed)
                with words.when(is_full):
                    going_on.set("1")
                words.leave(end, is_full)
                _step(words, (d, e), (places, turns), count, low.get(), high)
        words.store_count("%count", task, count.get())
        left_open(words, task, tries, going_on)
    words.emit("ret void")
    pointers = ["%middle", "%below", "%places", "%turns", "%count", "%open", "%tries"]
    return kernel_module(name, words, pointers, ["%n", "%room", "%epsilon"])


def _end_of_block(
    words: Words, arrays: tuple[str, str], low: str, last: str, floor: Scalar, epsilon: Scalar
) -> str:
    """The first place from `low` on whose subdiagonal element is negligible."""
    d, e = arrays
    high = words.counter(low)
    with words.forever("block") as end:
        here = high.get()
        words.leave(end, words.negated(words.is_less(here, last)))
        around = words.load(d, float64, here).abs()
        around = around + words.load(d, float64, words.add(here, "1")).abs()
        limit = (around * epsilon * 0.5).max(floor)
        words.leave(end, (words.load(e, float64, here).abs() <= limit).payload)
        high.add("1")
    return high.get()


def _step(
    words: Words, arrays: tuple[str, str], record: tuple[str, str], count: Counter, low: str,
    high: str,
) -> None:  # fmt: skip
    """An implicit QL step on the block from `low` to `high` (Bowdler and others 1968; tql2)."""
    d, e = arrays
    own = words.load(d, float64, low)
    ratio = words.load(d, float64, words.add(low, "1")) - own
    off = words.load(e, float64, low)
    ratio = ratio / (off * 2.0)
    one = words.number(1.0, float64)
    root = words.hypot(ratio, one)
    shifted = words.load(d, float64, high) - own + off / (ratio + root.copysign(ratio))
    g = words.variable(float64, shifted)
    sine, cosine = words.variable(float64, 1.0), words.variable(float64, 1.0)
    p = words.variable(float64)
    upper = words.variable(float64, words.load(d, float64, high))
    length = words.sub(high, low)
    with words.loop("0", length, hint="turn") as number:
        i = words.sub(words.sub(high, "1"), number)
        above = words.add(i, "1")
        off = words.load(e, float64, i)
        f, b = sine.get() * off, cosine.get() * off
        old = g.get()
        r = words.hypot(f, old)
        words.store(e, above, r)
        is_zero = r.eq(0.0)
        safe = select(is_zero, 1.0, r)
        inverse = one / safe
        s, c = select(is_zero, 0.0, f * inverse), select(is_zero, 1.0, old * inverse)
        base = upper.get() - p.get()
        here = words.load(d, float64, i)
        r = fma(here - base, s, c * b * 2.0)
        move = s * r
        words.store(d, above, base + move)
        p.set(move)
        g.set(fma(c, r, -b))
        sine.set(s)
        cosine.set(c)
        upper.set(here)
        recorded(words, *record, count, (above, i), c, s)
    words.store(d, low, upper.get() - p.get())
    words.store(e, low, g.get())
    words.store(e, high, words.number(0.0, float64))


def turn_rows_text(name: str, dtype: DType) -> str:
    """Kernel: rotations applied to the rows of matrices in scratch memory, in place.

    Slots: matrices, rows (i64) and factors of rotations, their number, n, room for rotations.
    Tasks: matrices × blocks of columns.
    """
    words = Words()
    blocks = words.div(words.add("%n", str(BLOCK - 1)), str(BLOCK))
    long = padded(words, "%n")
    with words.loop("%begin", "%end", hint="task") as task:
        number, block = words.div(task, blocks), words.rem(task, blocks)
        low = words.mul(block, str(BLOCK))
        high = words.minimum(words.add(low, str(BLOCK)), "%n")
        x = words.at("%turned", dtype, words.mul(number, words.mul("%n", long)))
        room = words.mul(number, words.mul("2", "%room"))
        places, turns = words.at("%places", int64, room), words.at("%turns", float64, room)
        count = words.load_count("%count", number)

        def turn(column: str, lanes: int) -> None:
            with words.loop("0", count, hint="turn") as k:
                first = words.mul(k, "2")
                second = words.add(first, "1")
                one, two = [
                    words.add(words.mul(words.load_count(places, place), long), column)
                    for place in (first, second)
                ]
                c, s = [
                    words.splat(words.load(turns, float64, place).cast(dtype), lanes)
                    for place in (first, second)
                ]
                a, b = words.load(x, dtype, one, lanes), words.load(x, dtype, two, lanes)
                words.store(x, one, fma(s, b, c * a), lanes)
                words.store(x, two, fma(c, b, -(s * a)), lanes)

        words.along(low, high, WIDTHS, turn)
    words.emit("ret void")
    pointers = ["%turned", "%places", "%turns", "%count"]
    return kernel_module(name, words, pointers, ["%n", "%room"])


def any_text(name: str) -> str:
    """Kernel: whether one of some numbers (i64) is not 0. Slots: numbers, a bool, their count."""
    words = Words()
    found = words.counter()
    with words.loop("0", "%count") as i:
        found.set(words.instruction(f"or i64 {found.get()}, {words.load_count('%open', i)}", "n"))
    is_open = words.negated(words.is_equal(found.get(), "0"))
    byte = words.instruction(f"zext i1 {is_open} to i8")
    words.emit(f"store i8 {byte}, ptr %test, align 1")
    words.emit("ret void")
    return kernel_module(name, words, ["%open", "%test"], ["%count"])


def set_text(name: str) -> str:
    """Kernel: numbers (i64), all the same. Slots: numbers, their count, the value."""
    words = Words()
    with words.loop("0", "%count") as i:
        words.store_count("%numbers", i, "%value")
    words.emit("ret void")
    return kernel_module(name, words, ["%numbers"], ["%count", "%value"])


def in_order_text(name: str, dtype: DType, descending: bool) -> str:
    """Kernel: numbers in order by insertion, and where each came from.

    With `descending` absolute values are sorted. Slots: numbers (f64), values, order (i64), n.
    """
    words = Words()
    with words.loop("%begin", "%end", hint="task") as task:
        line = words.mul(task, "%n")
        d = words.at("%middle", float64, line)
        values, order = words.at("%values", dtype, line), words.at("%order", int64, line)
        with words.loop("0", "%n") as i:
            own = words.load(d, float64, i)
            own = own.abs() if descending else own
            place = words.counter(i)
            with words.forever("place") as end:
                here = place.get()
                words.leave(end, words.is_equal(here, "0"))
                before = words.sub(here, "1")
                other = words.load(d, float64, words.load_count(order, before))
                fits = other.abs() >= own if descending else other <= own
                words.leave(end, fits.payload)
                words.store_count(order, here, words.load_count(order, before))
                place.set(before)
            words.store_count(order, place.get(), i)
        with words.loop("0", "%n") as i:
            found = words.load(d, float64, words.load_count(order, i))
            words.store(values, i, (found.abs() if descending else found).cast(dtype))
    words.emit("ret void")
    return kernel_module(name, words, ["%middle", "%values", "%order"], ["%n"])


def turned_back_text(name: str, dtype: DType, signed: bool) -> str:
    """Kernel: the reflections, last one first, applied to the columns that `order` picks.

    Column j starts as row order[j] of Zᵀ, times the sign of its value if `signed`. Reflection k has
    its first element at k + shift. Slots: Zᵀ, order (i64), numbers (f64), vectors in rows, factors,
    scratch (n + 4 rows), target, n, shift. Tasks: matrices × blocks of columns.
    """
    words = Words()
    blocks = words.div(words.add("%n", str(BLOCK - 1)), str(BLOCK))
    square = words.mul("%n", "%n")
    long = padded(words, "%n")
    with words.loop("%begin", "%end", hint="task") as task:
        number, block = words.div(task, blocks), words.rem(task, blocks)
        low = words.mul(block, str(BLOCK))
        high = words.minimum(words.add(low, str(BLOCK)), "%n")
        base, line = words.mul(number, square), words.mul(number, "%n")
        wide = words.mul(number, words.mul("%n", long))
        z, target = words.at("%turned", dtype, wide), words.at("%target", dtype, base)
        extra = words.mul(number, words.mul("4", long))  # what stands behind each matrix
        x = words.at("%scratch", dtype, words.add(wide, extra))
        order = words.at("%order", int64, line)
        d = words.at("%middle", float64, line)
        vectors = words.at("%vectors", dtype, base)
        factors = words.at("%factors", dtype, line)
        with words.loop(low, high, hint="column") as j:
            place = words.load_count(order, j)
            source = words.at(z, dtype, words.mul(place, long))
            one = words.number(1.0, float64)
            sign = one.copysign(words.load(d, float64, place)).cast(dtype)
            with words.loop("0", "%n", hint="row") as i:
                found = words.load(source, dtype, i)
                found = found * sign if signed else found
                words.store(x, words.add(words.mul(i, long), j), found)
        _reflect_columns(words, dtype, (x, long), vectors, factors, (low, high))
        with words.loop("0", "%n", hint="row") as i:
            first = words.add(words.mul(i, long), low)
            after = words.add(words.mul(i, "%n"), low)
            columns = words.sub(high, low)
            words.copied(words.at(x, dtype, first), words.at(target, dtype, after), dtype, columns)
    words.emit("ret void")
    pointers = ["%turned", "%order", "%middle", "%vectors", "%factors", "%scratch", "%target"]
    return kernel_module(name, words, pointers, ["%n", "%shift"])


def _reflect_columns(
    words: Words,
    dtype: DType,
    memory: tuple[str, str],
    vectors: str,
    factors: str,
    columns: tuple[str, str],
) -> None:
    """X ← H_0 H_1 … X: each pass over the rows applies one and multiplies by the next."""

    x, long = memory

    def reflect(column: str, lanes: int) -> None:
        number = words.sub("%n", "%shift")  # of reflections
        inner = words.variable(dtype, 0.0, lanes)
        with words.loop("0", words.add(number, "1"), hint="reflection") as count:
            k = words.sub(number, count)  # that one was multiplied by; now comes the one before
            own = words.at(vectors, dtype, words.mul(words.minimum(k, words.sub("%n", "1")), "%n"))
            is_there = words.is_less(k, number)
            before = words.maximum(words.sub(k, "1"), "0")
            other = words.at(vectors, dtype, words.mul(before, "%n"))
            total = words.variable(dtype, 0.0, lanes)
            factor = inner.get()
            start = words.add(words.sub(k, "1"), "%shift")  # where the next one begins
            with words.loop(words.maximum(start, "0"), "%n", hint="row") as i:
                here = words.add(words.mul(i, long), column)
                value = words.load(x, dtype, here, lanes)
                mine = words.load(own, dtype, i)
                touched = words.both(is_there, words.negated(words.is_equal(i, start)))
                with words.when(touched):
                    changed = fma(-words.splat(mine, lanes), factor, value)
                    words.store(x, here, changed, lanes)
                value = words.load(x, dtype, here, lanes)
                total.set(fma(words.splat(words.load(other, dtype, i), lanes), value, total.get()))
            inner.set(total.get() * words.splat(words.load(factors, dtype, before), lanes))

    words.along(*columns, WIDTHS, reflect)

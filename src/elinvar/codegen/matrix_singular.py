"""Kernels of singular values of square matrices: A = U diag(σ) Vᵀ, one matrix a task.

    bidiagonal       Householder's reflections from both sides: A = P B Qᵀ, B upper bidiagonal
    turn_singular    implicit QR steps on B (Golub and Reinsch 1970), which note their rotations

The rotations are applied, and the vectors turned back, by the kernels of `matrix_values.py`. B is
held in f64 whatever the dtype.
"""

from __future__ import annotations

from elinvar.codegen.body import kernel_module
from elinvar.codegen.matrix_values import (
    LANES,
    another_try,
    copied_in,
    given_epsilon,
    identity,
    left_open,
    reflected_row,
    scaled,
)
from elinvar.codegen.matrix_words import Counter, Words, negligible, padded, recorded, reflection
from elinvar.core.dtypes import DType, float64, int64
from elinvar.ops.scalars import Scalar, fma, select


def bidiagonal_text(name: str, dtype: DType) -> str:
    """Kernel: B and Householder's vectors of dense square matrices.

    Slots: matrices, scratch (n + 4 rows), B's diagonal and what stands above it (f64), vectors and
    factors of the left and of the right, identities for both, whether there is more to do and how
    often it was tried (i64), n.
    """
    words = Words()
    long = padded(words, "%n")
    square = words.mul("%n", "%n")
    with words.loop("%begin", "%end", hint="task") as task:
        rows = words.mul(words.add("%n", "4"), long)
        a = words.at("%scratch", dtype, words.mul(task, rows))
        base, line = words.mul(task, square), words.mul(task, "%n")
        copied_in(words, words.at("%source", dtype, base), a, dtype, "%n", long)
        extra = words.mul("%n", long)
        y, across = [
            words.at(a, dtype, words.add(extra, words.mul(str(k), long))) for k in range(2)
        ]
        words.filled(y, words.number(0.0, dtype), "0", words.mul("4", long))
        middle, above = words.at("%middle", float64, line), words.at("%above", float64, line)
        left, right = words.at("%left", dtype, base), words.at("%right", dtype, base)
        by_left = words.at("%left_factors", dtype, line)
        by_right = words.at("%right_factors", dtype, line)
        for target in ("%left_turned", "%right_turned"):
            place = words.mul(task, words.mul("%n", long))
            identity(words, words.at(target, dtype, place), dtype, "%n")
        words.store_count("%open", task, "1")
        words.store_count("%tries", task, "0")
        words.store(above, words.sub("%n", "1"), words.number(0.0, float64))
        words.store(by_right, words.sub("%n", "1"), words.number(0.0, dtype))
        with words.loop("0", "%n", hint="step") as k:
            column = words.at(left, dtype, words.mul(k, "%n"))
            value, factor = _reflected_column(words, dtype, a, column, k, long)
            words.store(middle, k, value.cast(float64))
            words.store(by_left, k, factor)
            first = words.add(k, "1")
            start = words.down(first, LANES)
            _multiplied(words, dtype, a, column, (y, factor), (k, start, long))
            words.filled(across, words.number(0.0, dtype), "0", first)
            row = words.at(a, dtype, words.mul(k, long))
            one = words.number(1.0, dtype)
            _moved(words, dtype, row, one, y, (start, long))
            scale = words.variable(dtype)
            with words.when(words.is_less(first, "%n")):
                value, factor = reflected_row(words, dtype, row, across, first)
                words.store(above, k, value.cast(float64))
                words.store(by_right, k, factor)
                scale.set(factor)
            words.copied(across, words.at(right, dtype, words.mul(k, "%n")), dtype, "%n")
            with words.loop(first, "%n", hint="row") as i:
                row = words.at(a, dtype, words.mul(i, long))
                own = words.load(column, dtype, i)
                inner = _moved(words, dtype, row, own, y, (start, long), across)
                _moved(words, dtype, row, inner * scale.get(), across, (start, long))
    words.emit("ret void")
    pointers = [
        "%source", "%scratch", "%middle", "%above", "%left", "%left_factors", "%right",
        "%right_factors", "%left_turned", "%right_turned", "%open", "%tries",
    ]  # fmt: skip
    return kernel_module(name, words, pointers, ["%n"])


def _reflected_column(
    words: Words, dtype: DType, a: str, vector: str, k: str, long: str
) -> tuple[Scalar, Scalar]:
    """β and τ for the elements of column k from row k on; the vector, zeros before it."""
    own = words.load(a, dtype, words.add(words.mul(k, long), k))
    behind = words.add(k, "1")
    with words.loop(behind, "%n") as i:
        words.store(vector, i, words.load(a, dtype, words.add(words.mul(i, long), k)))
    total = words.dot(vector, vector, dtype, behind, "%n")
    left, factor, scale = reflection(words, own, total, negligible(dtype))
    words.filled(vector, words.number(0.0, dtype), "0", k)
    words.store(vector, k, words.number(1.0, dtype))
    scaled(words, dtype, vector, vector, scale, behind)
    return left, factor


def _multiplied(
    words: Words, dtype: DType, a: str, column: str, result: tuple[str, Scalar],
    place: tuple[str, str, str],
) -> None:  # fmt: skip
    """y = τ uᵀ A, over rows from k on."""
    (y, factor), (k, start, long) = result, place
    words.filled(y, words.number(0.0, dtype), start, long)

    def rows(i: str, count: int) -> None:
        places = [words.add(i, str(n)) for n in range(count)]
        lines = [words.at(a, dtype, words.mul(place, long)) for place in places]
        factors = [words.splat(words.load(column, dtype, place), LANES) for place in places]
        with words.loop(start, long, LANES, "j") as j:
            total = words.load(y, dtype, j, LANES)
            for line, by in zip(lines, factors, strict=True):
                total = fma(by, words.load(line, dtype, j, LANES), total)
            words.store(y, j, total, LANES)

    words.by_fours(k, "%n", rows)
    with words.loop(start, long, LANES, "j") as j:
        words.store(y, j, words.load(y, dtype, j, LANES) * words.splat(factor, LANES), LANES)


def _moved(
    words: Words, dtype: DType, row: str, factor: Scalar, along: str, columns: tuple[str, str],
    across: str | None = None,
) -> Scalar:  # fmt: skip
    """row ← row - factor · along; its product with `across`."""
    by = -words.splat(factor, LANES)
    total = words.variable(dtype, 0.0, LANES)
    with words.loop(*columns, LANES, "j") as j:
        x = fma(by, words.load(along, dtype, j, LANES), words.load(row, dtype, j, LANES))
        words.store(row, j, x, LANES)
        if across is not None:
            total.set(fma(x, words.load(across, dtype, j, LANES), total.get()))
    return words.added_up(total.get(), LANES)


# ---- QR steps -----------------------------------------------------------------------------------


def turn_singular_text(name: str) -> str:
    """Kernel: QR steps on B, as many as there is room to note.

    Slots: B's diagonal and what stands above it, rows (i64) and factors of the rotations of U and
    their number, the same of V, whether there is more to do, how often it was tried (i64), n, room
    for rotations, the bits of ε.
    """
    words = Words()
    epsilon = given_epsilon(words)
    with words.loop("%begin", "%end", hint="task") as task:
        line = words.mul(task, "%n")
        s, e = words.at("%middle", float64, line), words.at("%above", float64, line)
        room = words.mul(task, words.mul("2", "%room"))
        lists = [
            (words.at(places, int64, room), words.at(turns, float64, room), words.counter())
            for places, turns in (("%places", "%turns"), ("%places_v", "%turns_v"))
        ]
        floor, is_lost, tries = another_try(words, task, (s, e), epsilon)
        going_on = words.counter("0")
        high = words.counter(words.choose(is_lost, "0", words.sub("%n", "1")))
        with words.forever("value") as end:
            words.leave(end, words.negated(words.is_less("0", high.get())))
            most = words.maximum(lists[0][2].get(), lists[1][2].get())
            is_full = words.is_less("%room", words.add(most, "%n"))
            with words.when(is_full):
                going_on.set("1")
            words.leave(end, is_full)
            _act(words, (s, e), lists, high, floor, epsilon)
        words.store_count("%count", task, lists[0][2].get())
        words.store_count("%count_v", task, lists[1][2].get())
        left_open(words, task, tries, going_on)
    words.emit("ret void")
    pointers = [
        "%middle", "%above", "%places", "%turns", "%count", "%places_v", "%turns_v", "%count_v",
        "%open", "%tries",
    ]  # fmt: skip
    return kernel_module(name, words, pointers, ["%n", "%room", "%epsilon"])


Lists = list[tuple[str, str, Counter]]


def _act(
    words: Words, arrays: tuple[str, str], lists: Lists, high: Counter, floor: Scalar,
    epsilon: Scalar,
) -> None:  # fmt: skip
    """Find the last block that does not fall apart, and do what it needs."""
    s, e = arrays
    last = high.get()
    low, zero = words.counter(last), words.counter("-1")

    def is_zero(place: str) -> str:
        return (words.load(s, float64, place).abs() <= floor).payload

    with words.when(is_zero(last)):
        zero.set(last)
    with words.forever("block") as end:
        here = low.get()
        words.leave(end, words.is_equal(here, "0"))
        before = words.sub(here, "1")
        around = words.load(s, float64, here).abs() + words.load(s, float64, before).abs()
        limit = (around * epsilon * 0.5).max(floor)
        words.leave(end, (words.load(e, float64, before).abs() <= limit).payload)
        low.set(before)
        is_first = words.both(is_zero(before), words.is_less(zero.get(), "0"))
        with words.when(is_first):
            zero.set(before)
    start = low.get()
    with words.when(words.is_less("0", start)):
        words.store(e, words.sub(start, "1"), words.number(0.0, float64))
    found = zero.get()
    is_alone = words.is_equal(start, last)
    with words.when(is_alone):
        high.set(words.sub(last, "1"))
    many = words.negated(is_alone)
    has_zero = words.negated(words.is_less(found, "0"))
    is_last = words.is_equal(found, last)
    with words.when(words.both(many, words.both(has_zero, is_last))):
        _zero_at_the_end(words, arrays, lists[1], start, last)
    with words.when(words.both(many, words.both(has_zero, words.negated(is_last)))):
        _zero_within(words, arrays, lists[0], found, last)
    with words.when(words.both(many, words.negated(has_zero))):
        _step(words, arrays, lists, start, last)


def _rotation(words: Words, f: Scalar, g: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """(r, c, s) with c f + s g = r and c g - s f = 0."""
    r = words.hypot(f, g)
    is_zero = r.eq(0.0)
    inverse = words.number(1.0, float64) / select(is_zero, 1.0, r)
    return r, select(is_zero, 1.0, f * inverse), g * inverse


def _zero_at_the_end(
    words: Words, arrays: tuple[str, str], record: tuple[str, str, Counter], low: str, last: str
) -> None:
    """σ of the last column is 0: rotations of V with it make what stands above it 0."""
    s, e = arrays
    before = words.sub(last, "1")
    f = words.variable(float64, words.load(e, float64, before))
    words.store(e, before, words.number(0.0, float64))
    words.store(s, last, words.number(0.0, float64))
    with words.loop("0", words.sub(last, low), hint="turn") as number:
        j = words.sub(before, number)
        r, cosine, sine = _rotation(words, words.load(s, float64, j), f.get())
        words.store(s, j, r)
        with words.when(words.is_less(low, j)):
            place = words.sub(j, "1")
            x = words.load(e, float64, place)
            f.set(-(sine * x))
            words.store(e, place, cosine * x)
        recorded(words, *record, (j, last), cosine, sine)


def _zero_within(
    words: Words, arrays: tuple[str, str], record: tuple[str, str, Counter], zero: str, last: str
) -> None:
    """σ of a row is 0: rotations of U with it make what stands to the right of it 0."""
    s, e = arrays
    f = words.variable(float64, words.load(e, float64, zero))
    words.store(e, zero, words.number(0.0, float64))
    words.store(s, zero, words.number(0.0, float64))
    with words.loop(words.add(zero, "1"), words.add(last, "1"), hint="turn") as j:
        r, cosine, sine = _rotation(words, words.load(s, float64, j), f.get())
        words.store(s, j, r)
        x = words.load(e, float64, j)
        f.set(-(sine * x))
        words.store(e, j, cosine * x)
        recorded(words, *record, (j, zero), cosine, sine)


def _step(words: Words, arrays: tuple[str, str], lists: Lists, low: str, last: str) -> None:
    """An implicit QR step with the shift of the last two rows."""
    s, e = arrays
    before = words.sub(last, "1")
    first, above = words.load(s, float64, low), words.load(e, float64, low)
    sp, spm, epm = (
        words.load(s, float64, last), words.load(s, float64, before), words.load(e, float64, before)
    )  # fmt: skip
    scale = sp.abs().max(spm.abs()).max(epm.abs()).max(first.abs()).max(above.abs())
    inverse = words.number(1.0, float64) / scale
    sk, ek = first * inverse, above * inverse
    sp, spm, epm = sp * inverse, spm * inverse, epm * inverse
    b = ((spm + sp) * (spm - sp) + epm * epm) * 0.5
    c = sp * epm
    c = c * c
    root = (fma(b, b, c)).sqrt()
    under = b + select(b < 0.0, -root, root)
    is_zero = under.eq(0.0)
    shift = select(is_zero, 0.0, c / select(is_zero, 1.0, under))
    f = words.variable(float64, fma(sk + sp, sk - sp, shift))
    g = words.variable(float64, sk * ek)
    own = words.variable(float64, first)
    right = words.variable(float64, above)
    with words.loop(low, last, hint="turn") as j:
        after = words.add(j, "1")
        r, cosine, sine = _rotation(words, f.get(), g.get())
        with words.when(words.is_less(low, j)):
            words.store(e, words.sub(j, "1"), r)
        x, y = own.get(), right.get()
        top = fma(cosine, x, sine * y)
        over = fma(cosine, y, -(sine * x))
        following = words.load(s, float64, after)
        bulge = sine * following
        below = cosine * following
        recorded(words, *lists[1], (j, after), cosine, sine)
        r, cosine, sine = _rotation(words, top, bulge)
        words.store(s, j, r)
        f.set(fma(cosine, over, sine * below))
        own.set(fma(cosine, below, -(sine * over)))
        next_right = words.load(e, float64, after)
        g.set(sine * next_right)
        right.set(cosine * next_right)
        recorded(words, *lists[0], (j, after), cosine, sine)
    words.store(e, before, f.get())
    words.store(s, last, own.get())

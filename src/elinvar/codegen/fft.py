"""Fast Fourier transforms: kernels for any length whose prime factors are at most 13.

A pass transforms columns: `length` numbers, a step apart, in as many lanes as a vector has; each
lane is a transform of its own. The columns come into a scratch array (real parts, then imaginary
parts; a vector for each number), go through autosort stages of a few points each, from one array to
another and back, and are stored. What is read or written across the lanes is turned in squares.

    stage r of x[q + s(p + n'k)], k < r:   y[q + s(r p + j)] = w(j p / (r n')) Σₖ w(j k / r) x[…]

with n' numbers left and s = those done, where w(t) = exp(-2πi t). Long transforms are two passes,
n = a·b: the columns x[i b + j] over i, times w(j k / n), then over j; each of the two by stages. So
the sequence of operations is a function of n alone. The inverse transform is the same with real
and imaginary parts exchanged, on the way in and on the way out.

Source: C. Van Loan, Computational Frameworks for the Fast Fourier Transform (1992), 1.7 and 3.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from elinvar.codegen.body import Body
from elinvar.codegen.butterflies import RADICES, Complex, butterfly, multiply
from elinvar.codegen.complex_vectors import Planes, Writer
from elinvar.codegen.llvm_scalars import llvm_type
from elinvar.codegen.turning import transposed
from elinvar.core.dtypes import DType

# What a leaf is given, behind the pointers of the source's and target's real and imaginary parts.
LEAF_POINTERS = (
    "%re", "%im", "%to.re", "%to.im", "%factor.re", "%factor.im",
    "%stages", "%roots", "%scratch",
)  # fmt: skip
LEAF_NUMBERS = ("%length", "%step", "%lane", "%to.step", "%to.lane", "%f.step", "%f.lane", "%count")
DIRECT = (3, 4, 5, 8)  # first and last stages of so many points leave the scratch array out
NO_FACTORS = -1  # the value of `%f.lane` where nothing is multiplied
LOCAL = 8192  # numbers of a transform whose two passes run in one task, on its stack


@dataclass(frozen=True)
class Outside:
    """Columns in memory: number j of lane l of each part at j·step + l·lane, and what that allows.

    Attributes:
        onward: the imaginary part stands behind the real one, not before it.
        start: the first one of both parts.
        paired: lanes are neighbours, their parts side by side.
        plain: lanes are neighbours in each part.
        turns_pairs, turns_plain: the numbers of a column are.
    """

    planes: Planes
    step: str
    lane: str
    onward: str
    start: str
    paired: str
    plain: str
    turns_pairs: str
    turns_plain: str


Move = Callable[[str, str, str, str], None]  # array inside, outside; place outside, inside
Read = Callable[[str], Complex]
Write = Callable[[str, Complex], None]


class Leaf:
    """One block of columns: loaded, transformed, stored."""

    def __init__(self, dtype: DType, vector_bits: int) -> None:
        self.body = Body()
        self.dtype, self.lanes = dtype, vector_bits // dtype.bits
        self.w = Writer(self.body, dtype, self.lanes)
        self.square = min(8, self.lanes)

    def text(self, name: str) -> str:
        """The function: `name(pointers…, numbers…, scale)`."""
        body, w = self.body, self.w
        self.plane = body.mul("%length", str(self.lanes))
        planes = [w.pointer("%scratch", body.mul(self.plane, str(n))) for n in range(1, 4)]
        self.current = body.stack_slot("ptr", "current", 8)
        self.other = body.stack_slot("ptr", "other", 8)
        inside = Planes("%scratch", planes[0])
        source = self._outside(Planes("%re", "%im"), "%step", "%lane")
        target = self._outside(Planes("%to.re", "%to.im"), "%to.step", "%to.lane")
        body.emit(f"store ptr {inside.re}, ptr {self.current}")
        body.emit(f"store ptr {planes[1]}, ptr {self.other}")
        count = body.instruction("load i64, ptr %stages")
        several = w.test("sge", count, "2")
        first = w.both(several, self._is_direct("0"), w.either(source.paired, source.plain))
        with body.when(first):
            self._first_stage(source)
        with body.when(w.no(first)):
            self._moved(inside, source, is_load=True)
        before = body.sub(count, "1")
        bare = w.test("slt", "%f.lane", "0")
        fits = w.either(target.plain, w.both(target.paired, bare))
        last = w.both(several, self._is_direct(before), fits)
        stop = body.instruction(f"select i1 {last}, i64 {before}, i64 {count}")
        with body.loop(body.instruction(f"zext i1 {first} to i64"), stop, hint="stage") as stage:
            self._middle_stage(stage)
        with body.when(last):
            self._last_stage(before, target, bare)
        with body.when(w.no(last)):
            done = self._planes_at(self.current)
            self._finish(done)
            self._moved(done, target, is_load=False)
        body.emit("ret void")
        given = [f"ptr noalias {p}" if p == "%scratch" else f"ptr {p}" for p in LEAF_POINTERS]
        given += [f"i64 {n}" for n in LEAF_NUMBERS] + [f"{w.element} %scale"]
        head = f"define internal void @{name}({', '.join(given)}) #0 {{"
        return "\n".join([head, "entry:", body.text(), "}"])

    # ---- memory ----

    def _outside(self, planes: Planes, step: str, lane: str) -> Outside:
        body, w = self.body, self.w
        full = w.test("eq", "%count", str(self.lanes))
        addresses = [
            body.instruction(f"ptrtoint ptr {p} to i64", "a") for p in (planes.re, planes.im)
        ]
        way = body.sub(addresses[1], addresses[0])
        onward = w.test("eq", way, str(self.dtype.itemsize))
        beside = w.either(onward, w.test("eq", way, str(-self.dtype.itemsize)))
        paired = w.both(full, beside, w.test("eq", lane, "2"))
        plain = w.both(full, w.test("eq", lane, "1"), w.no(paired))
        left = w.both(full, w.no(paired), w.no(plain))
        turns_pairs = w.both(left, beside, w.test("eq", step, "2"))
        turns_plain = w.both(left, w.test("eq", step, "1"), w.no(turns_pairs))
        start = w.select(onward, planes.re, planes.im)
        return Outside(planes, step, lane, onward, start, paired, plain, turns_pairs, turns_plain)

    def _planes_at(self, slot: str) -> Planes:
        start = self.body.instruction(f"load ptr, ptr {slot}", "p")
        return Planes(start, self.w.pointer(start, self.plane))

    def _swap(self) -> None:
        """Exchange the two scratch arrays."""
        body = self.body
        slots = (self.current, self.other)
        found = [body.instruction(f"load ptr, ptr {slot}", "p") for slot in slots]
        for pointer, slot in zip(reversed(found), slots, strict=True):
            body.emit(f"store ptr {pointer}, ptr {slot}")

    def _moved(self, inside: Planes, out: Outside, is_load: bool) -> None:
        """Move all columns between the scratch array and memory, in the way that suits both."""
        body, w, size = self.body, self.w, self.square
        pair = Planes(
            w.select(out.onward, inside.re, inside.im), w.select(out.onward, inside.im, inside.re)
        )
        both = ((inside.re, out.planes.re), (inside.im, out.planes.im))
        rest = body.stack_slot("i64", "rest", 8)
        body.emit(f"store i64 0, ptr {rest}")
        with body.when(out.paired):
            with body.loop("0", "%length", hint="j") as j:
                move = self._load_paired if is_load else self._store_paired
                move(pair, out.start, body.mul(j, out.step), body.mul(j, str(self.lanes)))
            body.emit(f"store i64 %length, ptr {rest}")
        with body.when(out.plain):
            with body.loop("0", "%length", hint="j") as j:
                for a, b in both:
                    place, at = body.mul(j, out.step), body.mul(j, str(self.lanes))
                    self._copy(a, b, place, at, self.lanes, is_load)
            body.emit(f"store i64 %length, ptr {rest}")
        turn = self._load_square if is_load else self._store_square
        for condition, is_pair in ((out.turns_pairs, True), (out.turns_plain, False)):
            wide = size // 2 if is_pair else size
            with body.when(condition):
                whole = body.mul(body.div("%length", str(wide)), str(wide))
                with (
                    body.loop("0", whole, wide, "j") as j,
                    body.loop("0", str(self.lanes), size, "lane") as lane,
                ):
                    place = body.add(body.mul(j, out.step), body.mul(lane, out.lane))
                    if is_pair:
                        turn(pair, out.start, place, j, lane, out.lane, True)
                    else:
                        for a, b in both:
                            turn(Planes(a, a), b, place, j, lane, out.lane, False)
                body.emit(f"store i64 {whole}, ptr {rest}")
        begin = body.instruction(f"load i64, ptr {rest}")
        with (
            body.loop(begin, "%length", hint="j") as j,
            body.loop("0", "%count", hint="lane") as lane,
        ):
            place = body.add(body.mul(j, out.step), body.mul(lane, out.lane))
            at = body.add(body.mul(j, str(self.lanes)), lane)
            for a, b in both:
                self._copy(a, b, place, at, 1, is_load)

    def _copy(self, inside: str, out: str, place: str, at: str, lanes: int, is_load: bool) -> None:
        w = self.w
        if is_load:
            w.store(inside, at, w.raw(out, place, lanes), lanes)
        else:
            w.store(out, place, w.raw(inside, at, lanes), lanes)

    def _load_paired(self, pair: Planes, start: str, place: str, inside: str) -> None:
        even, odd = self.w.apart(self.w.raw(start, place, 2 * self.lanes))
        self.w.store(pair.re, inside, even, self.lanes)
        self.w.store(pair.im, inside, odd, self.lanes)

    def _store_paired(self, pair: Planes, start: str, place: str, inside: str) -> None:
        even, odd = (self.w.raw(p, inside, self.lanes) for p in (pair.re, pair.im))
        self.w.store(start, place, self.w.together(even, odd), 2 * self.lanes)

    def _rows(self, local: Planes, j: str, lane: str, is_pair: bool) -> list[tuple[str, str]]:
        """Where the lines of a turned square stand in the scratch array: (array, place)."""
        body, found = self.body, []
        for n in range(self.square):
            number = n // 2 if is_pair else n
            array = local.im if is_pair and n % 2 else local.re
            line = body.mul(body.add(j, str(number)), str(self.lanes))
            found.append((array, body.add(line, lane)))
        return found

    def _load_square(
        self, local: Planes, start: str, place: str, j: str, lane: str, step: str, is_pair: bool
    ) -> None:
        body, w, size = self.body, self.w, self.square
        lines = [w.raw(start, body.add(place, body.mul(step, str(n))), size) for n in range(size)]
        found = transposed(body, lines, llvm_type(self.dtype, size))
        for (array, inside), line in zip(self._rows(local, j, lane, is_pair), found, strict=True):
            w.store(array, inside, line, size)

    def _store_square(
        self, local: Planes, start: str, place: str, j: str, lane: str, step: str, is_pair: bool
    ) -> None:
        body, w, size = self.body, self.w, self.square
        lines = [w.raw(array, at, size) for array, at in self._rows(local, j, lane, is_pair)]
        for n, line in enumerate(transposed(body, lines, llvm_type(self.dtype, size))):
            w.store(start, body.add(place, body.mul(step, str(n))), line, size)

    # ---- arithmetic ----

    def _entry(self, stage: str, which: int) -> str:
        """Of the table's rows (radix, n', s, place of the roots)."""
        body = self.body
        index = body.add(body.mul(stage, "4"), str(1 + which))
        place = body.instruction(f"getelementptr inbounds i64, ptr %stages, i64 {index}", "p")
        return body.instruction(f"load i64, ptr {place}")

    def _is_direct(self, stage: str) -> str:
        """Whether a stage, which may not be there, has one of the radices `DIRECT`."""
        body, w = self.body, self.w
        stage = body.maximum(stage, "0")
        count = body.instruction("load i64, ptr %stages")
        there = w.test("sgt", count, stage)
        slot = body.stack_slot("i1", "direct", 1)
        body.emit(f"store i1 false, ptr {slot}")
        with body.when(there):
            radix = self._entry(stage, 0)
            found = w.either(*(w.test("eq", radix, str(size)) for size in DIRECT))
            body.emit(f"store i1 {found}, ptr {slot}")
        return body.instruction(f"load i1, ptr {slot}")

    def _by_radix(
        self, stage: str, radices: tuple[int, ...], read: Read, write: Write, is_last: bool = False
    ) -> None:
        """One stage, of whichever of these radices it has."""
        radix = self._entry(stage, 0)
        for size in radices:
            with self.body.when(self.w.test("eq", radix, str(size))):
                self._stage(size, stage, read, write, is_last)

    def _inside(self, planes: Planes) -> tuple[Read, Write]:
        """Access to a scratch array, whose vectors stand in order."""
        body, w, lanes = self.body, self.w, self.lanes

        def read(place: str) -> Complex:
            return w.complex(planes, body.mul(place, str(lanes)), lanes)

        def write(place: str, value: Complex) -> None:
            w.put(planes, body.mul(place, str(lanes)), value, lanes)

        return read, write

    def _middle_stage(self, stage: str) -> None:
        """From one scratch array to the other."""
        read, _ = self._inside(self._planes_at(self.current))
        _, write = self._inside(self._planes_at(self.other))
        self._by_radix(stage, RADICES, read, write)
        self._swap()

    def _first_stage(self, out: Outside) -> None:
        """From memory to a scratch array."""
        body, w, lanes = self.body, self.w, self.lanes
        _, write = self._inside(self._planes_at(self.current))

        def paired(place: str) -> Complex:
            even, odd = w.apart(w.raw(out.start, body.mul(place, out.step), 2 * lanes))
            return w.exchanged(out.onward, (w.scalar(even, lanes), w.scalar(odd, lanes)), lanes)

        def plain(place: str) -> Complex:
            return w.complex(out.planes, body.mul(place, out.step), lanes)

        for condition, read in ((out.paired, paired), (out.plain, plain)):
            with body.when(condition):
                self._by_radix("0", DIRECT, read, write)

    def _last_stage(self, stage: str, out: Outside, bare: str) -> None:
        """From a scratch array to memory, with factors or the scale on the way."""
        body, w, lanes = self.body, self.w, self.lanes
        read, _ = self._inside(self._planes_at(self.current))
        scale = w.splat(w.scalar("%scale", 1), lanes)
        factor = Planes("%factor.re", "%factor.im")

        def scaled(value: Complex) -> Complex:
            return value[0] * scale, value[1] * scale

        def paired(place: str, value: Complex) -> None:
            even, odd = w.exchanged(out.onward, scaled(value), lanes)
            whole = w.together(even.payload, odd.payload)
            w.store(out.start, body.mul(place, out.step), whole, 2 * lanes)

        def plain(place: str, value: Complex) -> None:
            w.put(out.planes, body.mul(place, out.step), scaled(value), lanes)

        def along(place: str, value: Complex) -> None:
            number = w.complex(factor, body.mul(place, "%f.step"), lanes)
            w.put(out.planes, body.mul(place, out.step), multiply(value, number), lanes)

        def alike(place: str, value: Complex) -> None:
            number = w.complex_splat(factor, body.mul(place, "%f.step"), lanes)
            w.put(out.planes, body.mul(place, out.step), multiply(value, number), lanes)

        one = w.test("eq", "%f.lane", "0")
        ways = (
            (w.both(out.paired, bare), paired),
            (w.both(out.plain, bare), plain),
            (w.both(out.plain, one), alike),
            (w.both(out.plain, w.no(bare), w.no(one)), along),
        )
        for condition, write in ways:
            with body.when(condition):
                self._by_radix(stage, DIRECT, read, write, is_last=True)

    def _stage(self, size: int, stage: str, read: Read, write: Write, is_last: bool) -> None:
        """The columns without factors (p = 0), then the others."""
        body, w = self.body, self.w
        left, done, first = (self._entry(stage, n) for n in (1, 2, 3))
        apart = body.mul(left, done)  # from k to k + 1
        with body.loop("0", done, hint="q") as q:
            self._butterfly(size, q, q, apart, done, [], read, write)
        if is_last:
            return
        roots = w.pointer("%roots", first)
        with body.loop("1", left, hint="p") as p:
            row = w.pointer(roots, body.mul(body.sub(p, "1"), str(2 * (size - 1))))
            factors = []
            for j in range(size - 1):
                pair = Planes(w.pointer(row, str(2 * j)), w.pointer(row, str(2 * j + 1)))
                factors.append(w.complex_splat(pair, "0", self.lanes))
            base = body.mul(p, done)
            with body.loop("0", done, hint="q") as q:
                source = body.add(base, q)
                target = body.add(body.mul(base, str(size)), q)
                self._butterfly(size, source, target, apart, done, factors, read, write)

    def _butterfly(
        self, size: int, source: str, target: str, apart: str, near: str,
        factors: list[Complex], read: Read, write: Write,
    ) -> None:  # fmt: skip
        body = self.body
        numbers = [read(body.add(source, body.mul(apart, str(k)))) for k in range(size)]
        for j, value in enumerate(butterfly(numbers)):
            if j and factors:
                value = multiply(value, factors[j - 1])
            write(body.add(target, body.mul(near, str(j))), value)

    def _finish(self, done: Planes) -> None:
        """Multiply by the factors, or, where there are none, by the scale."""
        body, w, lanes = self.body, self.w, self.lanes
        scale = w.splat(w.scalar("%scale", 1), lanes)
        factor = Planes("%factor.re", "%factor.im")

        def each(find: Callable[[str], Complex] | None) -> None:
            with body.loop("0", "%length", hint="j") as j:
                place = body.mul(j, str(lanes))
                re, im = w.complex(done, place, lanes)
                if find is None:
                    value = re * scale, im * scale
                else:
                    value = multiply((re, im), find(body.mul(j, "%f.step")))
                w.put(done, place, value, lanes)

        full = w.test("eq", "%count", str(lanes))
        one = w.test("eq", "%f.lane", "0")
        along = w.test("eq", "%f.lane", "1")
        with body.when(one):
            each(lambda place: w.complex_splat(factor, place, lanes))
        with body.when(w.both(along, full)):
            each(lambda place: w.complex(factor, place, lanes))
        with body.when(w.both(along, w.no(full))):
            self._finish_some(done, factor)
        scaled = body.instruction(f"fcmp une {w.element} %scale, 1.0", "c")
        with body.when(w.both(w.test("slt", "%f.lane", "0"), scaled)):
            each(None)

    def _finish_some(self, done: Planes, factor: Planes) -> None:
        """The same where not all lanes are columns."""
        body, w = self.body, self.w
        with (
            body.loop("0", "%length", hint="j") as j,
            body.loop("0", "%count", hint="lane") as lane,
        ):
            place = body.add(body.mul(j, str(self.lanes)), lane)
            number = w.complex(factor, body.add(body.mul(j, "%f.step"), lane), 1)
            w.put(done, place, multiply(w.complex(done, place, 1), number), 1)

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
from elinvar.codegen.llvm_scalars import LLVMHandler, llvm_type
from elinvar.codegen.turning import transposed
from elinvar.core.dtypes import DType
from elinvar.ops.scalars import Scalar

# What a leaf is given, behind the pointers of the source's and target's real and imaginary parts.
LEAF_POINTERS = (
    "%re", "%im", "%to.re", "%to.im", "%factor.re", "%factor.im",
    "%stages", "%roots", "%scratch",
)  # fmt: skip
LEAF_NUMBERS = ("%length", "%step", "%lane", "%to.step", "%to.lane", "%f.step", "%f.lane", "%count")
NO_FACTORS = -1  # the value of `%f.lane` where nothing is multiplied
LOCAL = 8192  # numbers of a transform whose two passes run in one task, on its stack


@dataclass(frozen=True)
class Planes:
    """Real and imaginary parts."""

    re: str
    im: str


class Writer:
    """Vectors of one dtype in a body."""

    def __init__(self, body: Body, dtype: DType, lanes: int) -> None:
        self.body, self.dtype, self.lanes = body, dtype, lanes
        self.element, self.align = llvm_type(dtype), dtype.itemsize

    def pointer(self, base: str, index: str) -> str:
        if index == "0":
            return base
        text = f"getelementptr inbounds {self.element}, ptr {base}, i64 {index}"
        return self.body.instruction(text, "p")

    def raw(self, base: str, index: str, lanes: int) -> str:
        """The payload of a vector in memory."""
        kind = llvm_type(self.dtype, lanes)
        place = self.pointer(base, index)
        return self.body.instruction(f"load {kind}, ptr {place}, align {self.align}", "x")

    def load(self, base: str, index: str, lanes: int) -> Scalar:
        return self.scalar(self.raw(base, index, lanes), lanes)

    def scalar(self, payload: str, lanes: int) -> Scalar:
        return Scalar(LLVMHandler(self.body, lanes), self.dtype, payload)

    def store(self, base: str, index: str, payload: str, lanes: int) -> None:
        kind, place = llvm_type(self.dtype, lanes), self.pointer(base, index)
        self.body.emit(f"store {kind} {payload}, ptr {place}, align {self.align}")

    def splat(self, value: Scalar, lanes: int) -> Scalar:
        """One number in all lanes."""
        if lanes == 1:
            return value
        kind = llvm_type(self.dtype, lanes)
        head = self.body.instruction(
            f"insertelement {kind} poison, {self.element} {value.payload}, i64 0"
        )
        mask = f"<{lanes} x i32> zeroinitializer"
        text = f"shufflevector {kind} {head}, {kind} poison, {mask}"
        return self.scalar(self.body.instruction(text), lanes)

    def complex(self, planes: Planes, index: str, lanes: int) -> Complex:
        return self.load(planes.re, index, lanes), self.load(planes.im, index, lanes)

    def complex_splat(self, planes: Planes, index: str, lanes: int) -> Complex:
        """A pair of numbers in all lanes."""
        re, im = self.complex(planes, index, 1)
        return self.splat(re, lanes), self.splat(im, lanes)

    def put(self, planes: Planes, index: str, value: Complex, lanes: int) -> None:
        self.store(planes.re, index, value[0].payload, lanes)
        self.store(planes.im, index, value[1].payload, lanes)

    def apart(self, payload: str) -> tuple[str, str]:
        """The numbers in even and in odd places of a vector of two times `lanes`."""
        kind, lanes = llvm_type(self.dtype, 2 * self.lanes), self.lanes
        found = []
        for first in (0, 1):
            picks = ", ".join(f"i32 {2 * n + first}" for n in range(lanes))
            text = f"shufflevector {kind} {payload}, {kind} poison, <{lanes} x i32> <{picks}>"
            found.append(self.body.instruction(text))
        return found[0], found[1]

    def together(self, even: str, odd: str) -> str:
        """The vector whose even and odd places hold two vectors."""
        kind, lanes = llvm_type(self.dtype, self.lanes), self.lanes
        picks = ", ".join(f"i32 {n}, i32 {n + lanes}" for n in range(lanes))
        text = f"shufflevector {kind} {even}, {kind} {odd}, <{2 * lanes} x i32> <{picks}>"
        return self.body.instruction(text)

    def select(self, condition: str, yes: str, no: str) -> str:
        return self.body.instruction(f"select i1 {condition}, ptr {yes}, ptr {no}", "p")

    def test(self, predicate: str, left: str, right: str, kind: str = "i64") -> str:
        return self.body.instruction(f"icmp {predicate} {kind} {left}, {right}", "c")

    def both(self, *conditions: str) -> str:
        found = conditions[0]
        for other in conditions[1:]:
            found = self.body.instruction(f"and i1 {found}, {other}", "c")
        return found

    def no(self, condition: str) -> str:
        return self.body.instruction(f"xor i1 {condition}, true", "c")


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
        plane = body.mul("%length", str(self.lanes))
        planes = [w.pointer("%scratch", body.mul(plane, str(n))) for n in range(1, 4)]
        self.current = body.stack_slot("ptr", "current", 8)
        self.other = body.stack_slot("ptr", "other", 8)
        first, second = Planes("%scratch", planes[0]), Planes(planes[1], planes[2])
        self._moved(
            first,
            self._load_square,
            self._load_paired,
            self._load_plain,
            Planes("%re", "%im"),
            "%step",
            "%lane",
            self._load_each,
        )
        body.emit(f"store ptr {first.re}, ptr {self.current}")
        body.emit(f"store ptr {second.re}, ptr {self.other}")
        self._stages(plane)
        last = body.instruction(f"load ptr, ptr {self.current}", "p")
        done = Planes(last, w.pointer(last, plane))
        self._finish(done)
        self._moved(
            done,
            self._store_square,
            self._store_paired,
            self._store_plain,
            Planes("%to.re", "%to.im"),
            "%to.step",
            "%to.lane",
            self._store_each,
        )
        body.emit("ret void")
        given = [f"ptr noalias {p}" if p == "%scratch" else f"ptr {p}" for p in LEAF_POINTERS]
        given += [f"i64 {n}" for n in LEAF_NUMBERS] + [f"{w.element} %scale"]
        head = f"define internal void @{name}({', '.join(given)}) #0 {{"
        return "\n".join([head, "entry:", body.text(), "}"])

    # ---- memory ----

    def _moved(
        self,
        local: Planes,
        square: Callable[..., None],
        paired: Callable[..., None],
        plain: Callable[..., None],
        outer: Planes,
        step: str,
        lane: str,
        each: Callable[..., None],
    ) -> None:
        """Move all columns between the scratch array and memory, in the way that suits both."""
        body, w = self.body, self.w
        full = w.test("eq", "%count", str(self.lanes))
        addresses = [
            body.instruction(f"ptrtoint ptr {p} to i64", "a") for p in (outer.re, outer.im)
        ]
        way = body.sub(addresses[1], addresses[0])
        onward = w.test("eq", way, str(self.dtype.itemsize))
        back = w.test("eq", way, str(-self.dtype.itemsize))
        beside = body.instruction(f"or i1 {onward}, {back}", "c")
        start = w.select(onward, outer.re, outer.im)
        # what stands first of a pair, and second
        pair = Planes(w.select(onward, local.re, local.im), w.select(onward, local.im, local.re))
        is_paired = w.both(full, beside, w.test("eq", lane, "2"))
        is_plain = w.both(full, w.test("eq", lane, "1"), w.no(is_paired))
        left = w.both(full, w.no(is_paired), w.no(is_plain))
        turns_pairs = w.both(left, beside, w.test("eq", step, "2"))
        turns_plain = w.both(left, w.test("eq", step, "1"), w.no(turns_pairs))
        size = self.square
        rest = body.stack_slot("i64", "rest", 8)
        body.emit(f"store i64 0, ptr {rest}")
        with body.when(is_paired), body.loop("0", "%length", hint="j") as j:
            paired(pair, start, body.mul(j, step), body.mul(j, str(self.lanes)))
        with body.when(is_plain), body.loop("0", "%length", hint="j") as j:
            for a, b in ((local.re, outer.re), (local.im, outer.im)):
                plain(a, b, body.mul(j, step), body.mul(j, str(self.lanes)))
        for condition, each_pair in ((turns_pairs, True), (turns_plain, False)):
            wide = size // 2 if each_pair else size
            with body.when(condition):
                whole = body.mul(body.div("%length", str(wide)), str(wide))
                with (
                    body.loop("0", whole, wide, "j") as j,
                    body.loop("0", str(self.lanes), size, "l") as l,
                ):
                    place = body.add(body.mul(j, step), body.mul(l, lane))
                    if each_pair:
                        square(pair, start, place, j, l, lane, True)
                    else:
                        for a, b in ((local.re, outer.re), (local.im, outer.im)):
                            square(Planes(a, a), b, place, j, l, lane, False)
                body.emit(f"store i64 {whole}, ptr {rest}")
        whole = w.both(
            w.test("sge", "%length", "0"), body.instruction(f"or i1 {is_paired}, {is_plain}", "c")
        )
        done = body.instruction(f"load i64, ptr {rest}")
        begin = body.instruction(f"select i1 {whole}, i64 %length, i64 {done}")
        with body.loop(begin, "%length", hint="j") as j, body.loop("0", "%count", hint="l") as l:
            place = body.add(body.mul(j, step), body.mul(l, lane))
            inside = body.add(body.mul(j, str(self.lanes)), l)
            for a, b in ((local.re, outer.re), (local.im, outer.im)):
                each(a, b, place, inside)

    def _load_paired(self, pair: Planes, start: str, place: str, inside: str) -> None:
        even, odd = self.w.apart(self.w.raw(start, place, 2 * self.lanes))
        self.w.store(pair.re, inside, even, self.lanes)
        self.w.store(pair.im, inside, odd, self.lanes)

    def _store_paired(self, pair: Planes, start: str, place: str, inside: str) -> None:
        even, odd = (self.w.raw(p, inside, self.lanes) for p in (pair.re, pair.im))
        self.w.store(start, place, self.w.together(even, odd), 2 * self.lanes)

    def _load_plain(self, local: str, outer: str, place: str, inside: str) -> None:
        self.w.store(local, inside, self.w.raw(outer, place, self.lanes), self.lanes)

    def _store_plain(self, local: str, outer: str, place: str, inside: str) -> None:
        self.w.store(outer, place, self.w.raw(local, inside, self.lanes), self.lanes)

    def _load_each(self, local: str, outer: str, place: str, inside: str) -> None:
        self.w.store(local, inside, self.w.raw(outer, place, 1), 1)

    def _store_each(self, local: str, outer: str, place: str, inside: str) -> None:
        self.w.store(outer, place, self.w.raw(local, inside, 1), 1)

    def _rows(self, local: Planes, j: str, l: str, is_pair: bool) -> list[tuple[str, str]]:
        """Where the lines of a turned square stand in the scratch array: (array, place)."""
        body, found = self.body, []
        for n in range(self.square):
            number = n // 2 if is_pair else n
            array = local.im if is_pair and n % 2 else local.re
            line = body.mul(body.add(j, str(number)), str(self.lanes))
            found.append((array, body.add(line, l)))
        return found

    def _load_square(
        self, local: Planes, start: str, place: str, j: str, l: str, lane: str, is_pair: bool
    ) -> None:
        body, w, size = self.body, self.w, self.square
        lines = [w.raw(start, body.add(place, body.mul(lane, str(n))), size) for n in range(size)]
        found = transposed(body, lines, llvm_type(self.dtype, size))
        for (array, inside), line in zip(self._rows(local, j, l, is_pair), found, strict=True):
            w.store(array, inside, line, size)

    def _store_square(
        self, local: Planes, start: str, place: str, j: str, l: str, lane: str, is_pair: bool
    ) -> None:
        body, w, size = self.body, self.w, self.square
        lines = [w.raw(array, at, size) for array, at in self._rows(local, j, l, is_pair)]
        for n, line in enumerate(transposed(body, lines, llvm_type(self.dtype, size))):
            w.store(start, body.add(place, body.mul(lane, str(n))), line, size)

    # ---- arithmetic ----

    def _stages(self, plane: str) -> None:
        """All stages of the table: rows (radix, n', s, place of the roots)."""
        body, w = self.body, self.w
        count = body.instruction("load i64, ptr %stages")
        with body.loop("0", count, hint="stage") as stage:
            row = body.add(body.mul(stage, "4"), "1")
            radix, left, done, first = (self._entry(body.add(row, str(n))) for n in range(4))
            source = body.instruction(f"load ptr, ptr {self.current}", "p")
            target = body.instruction(f"load ptr, ptr {self.other}", "p")
            x = Planes(source, w.pointer(source, plane))
            y = Planes(target, w.pointer(target, plane))
            roots = w.pointer("%roots", first)
            for size in RADICES:
                with body.when(w.test("eq", radix, str(size))):
                    self._stage(size, left, done, roots, x, y)
            body.emit(f"store ptr {target}, ptr {self.current}")
            body.emit(f"store ptr {source}, ptr {self.other}")

    def _entry(self, index: str) -> str:
        body = self.body
        place = body.instruction(f"getelementptr inbounds i64, ptr %stages, i64 {index}", "p")
        return body.instruction(f"load i64, ptr {place}")

    def _stage(self, size: int, left: str, done: str, roots: str, x: Planes, y: Planes) -> None:
        """The columns without factors (p = 0), then the others."""
        body, w, lanes = self.body, self.w, self.lanes
        wide = str(lanes)
        apart = body.mul(body.mul(left, done), wide)  # from k to k + 1
        near = body.mul(done, wide)  # from j to j + 1
        with body.loop("0", done, hint="q") as q:
            place = body.mul(q, wide)
            self._butterfly(size, place, place, apart, near, [], x, y)
        with body.loop("1", left, hint="p") as p:
            row = w.pointer(roots, body.mul(body.sub(p, "1"), str(2 * (size - 1))))
            factors = []
            for j in range(size - 1):
                pair = Planes(w.pointer(row, str(2 * j)), w.pointer(row, str(2 * j + 1)))
                factors.append(w.complex_splat(pair, "0", lanes))
            base = body.mul(p, near)
            with body.loop("0", done, hint="q") as q:
                place = body.mul(q, wide)
                source = body.add(base, place)
                target = body.add(body.mul(base, str(size)), place)
                self._butterfly(size, source, target, apart, near, factors, x, y)

    def _butterfly(
        self,
        size: int,
        source: str,
        target: str,
        apart: str,
        near: str,
        factors: list[Complex],
        x: Planes,
        y: Planes,
    ) -> None:
        body, w, lanes = self.body, self.w, self.lanes
        numbers = [
            w.complex(x, body.add(source, body.mul(apart, str(k))), lanes) for k in range(size)
        ]
        for j, value in enumerate(butterfly(numbers)):
            if j and factors:
                value = multiply(value, factors[j - 1])
            w.put(y, body.add(target, body.mul(near, str(j))), value, lanes)

    def _finish(self, done: Planes) -> None:
        """Multiply by the factors, if there are any, and by the scale."""
        body, w, lanes = self.body, self.w, self.lanes
        scale = w.splat(w.scalar("%scale", 1), lanes)
        factor = Planes("%factor.re", "%factor.im")

        def each(find: Callable[[str], Complex] | None) -> None:
            with body.loop("0", "%length", hint="j") as j:
                place = body.mul(j, str(lanes))
                re, im = w.complex(done, place, lanes)
                if find is not None:
                    re, im = multiply((re, im), find(body.mul(j, "%f.step")))
                w.put(done, place, (re * scale, im * scale), lanes)

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
        scale = w.scalar("%scale", 1)
        with body.loop("0", "%length", hint="j") as j, body.loop("0", "%count", hint="l") as l:
            place = body.add(body.mul(j, str(self.lanes)), l)
            value = w.complex(done, place, 1)
            re, im = multiply(value, w.complex(factor, body.add(body.mul(j, "%f.step"), l), 1))
            w.put(done, place, (re * scale, im * scale), 1)

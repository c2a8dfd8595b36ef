"""The parts of the attention kernels: small products in registers, transposes, rows of a mask.

A product is c[i, j] (+)= Σ over k of a[i, k] · b[k, j], by fma over k in increasing order, for rows
i in registers at a time. `a` is read one number at a time, `b` and `c` in vectors along j.

Which keys a query sees varies within a block. A number of `a` that belongs to a hidden pair is
-0.0, which no visible pair is; in the part of k where pairs may be hidden, such a step leaves the
sum as it is. So what a hidden key holds, NaN included, and how blocks are cut changes no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from elinvar.codegen.body import Body
from elinvar.codegen.llvm_scalars import LLVMHandler, llvm_type
from elinvar.core.dtypes import DType
from elinvar.ops.scalars import Scalar

KEYS = 64  # keys in a block, counted from position 0: part of the numerics contract
LANES = 16  # elements of the vectors of which rows are made
GROUP = 8  # side of the squares that are turned at once


@dataclass(frozen=True)
class Shape:
    """Registers of a product: rows, vectors in a row, elements in a vector."""

    rows: int
    parts: int
    vector: int

    @property
    def columns(self) -> int:
        return self.parts * self.vector


def shape_for(dtype: DType, vector_bits: int) -> Shape:
    """The product that fills the registers of the target's vectors."""
    return Shape({512: 8, 256: 6}.get(vector_bits, 4), 2, vector_bits // dtype.bits)


@dataclass(frozen=True)
class Left:
    """The operand that is read by number: element (i, k) at pointer + i·row + k·step."""

    pointer: str
    row: str
    step: str


@dataclass(frozen=True)
class Right:
    """The operand that is read by vectors: element (k, j) at pointer + k·step + j."""

    pointer: str
    step: str


@dataclass(frozen=True)
class Result:
    """Element (i, j) at pointer + i·row + j; set, or added to, after a multiplication by
    factors[i] if there are any."""

    pointer: str
    row: str
    added: bool = True
    factors: str | None = None


Span = tuple[str, str, bool]  # low, high, whether pairs may be hidden in between
Spans = Callable[[str, int], Sequence[Span]]  # of some rows: the first one, how many
Width = Callable[[str, int], str]


def throughout(stop: str) -> Spans:
    """All of 0 … stop, where no pair is hidden."""
    return lambda row, height: [("0", stop, False)]


class Tiles:
    """Writes the parts into a body."""

    body: Body
    dtype: DType
    shape: Shape
    element: str
    align: int

    def __init__(self, body: Body, dtype: DType, shape: Shape) -> None:
        self.body, self.dtype, self.shape = body, dtype, shape
        self.element = llvm_type(dtype)
        self.align = dtype.itemsize

    # memory

    def pointer(self, base: str, index: str, element: str | None = None) -> str:
        if index == "0":
            return base
        kind = element or self.element
        return self.body.instruction(f"getelementptr inbounds {kind}, ptr {base}, i64 {index}", "p")

    def load(self, base: str, index: str, lanes: int = 1, stored: DType | None = None) -> Scalar:
        """Numbers from memory that holds `stored`, by default the type that is computed with."""
        stored = stored or self.dtype
        kind, place = llvm_type(stored, lanes), self.pointer(base, index, llvm_type(stored))
        payload = self.body.instruction(f"load {kind}, ptr {place}, align {stored.itemsize}", "x")
        return Scalar(LLVMHandler(self.body, lanes), stored, payload).cast(self.dtype)

    def store(
        self, base: str, index: str, value: Scalar, lanes: int = 1, stored: DType | None = None
    ) -> None:
        """Numbers into memory that holds `stored`, rounded if that is narrower."""
        stored = stored or self.dtype
        kind, place = llvm_type(stored, lanes), self.pointer(base, index, llvm_type(stored))
        payload = value.cast(stored).payload
        self.body.emit(f"store {kind} {payload}, ptr {place}, align {stored.itemsize}")

    def splat(self, value: Scalar, lanes: int) -> Scalar:
        """One number in all lanes."""
        if lanes == 1:
            return value
        body, kind = self.body, f"<{lanes} x {llvm_type(value.dtype)}>"
        head = body.instruction(
            f"insertelement {kind} poison, {llvm_type(value.dtype)} {value.payload}, i64 0"
        )
        mask = f"<{lanes} x i32> zeroinitializer"
        payload = body.instruction(f"shufflevector {kind} {head}, {kind} poison, {mask}")
        return Scalar(LLVMHandler(body, lanes), value.dtype, payload)

    def constant(self, value: float, lanes: int = 1) -> Scalar:
        handler = LLVMHandler(self.body, lanes)
        payload = handler.instruction("const", self.dtype, (value,))
        return Scalar(handler, self.dtype, payload)

    def fill(self, base: str, count: str, value: float, stored: DType | None = None) -> None:
        """Set `count` neighbours to a number."""
        for place, lanes in self._along(count):
            self.store(base, place, self.constant(value, lanes), lanes, stored)

    def copy(
        self, source: str, target: str, count: str, before: DType | None, after: DType | None
    ) -> None:
        """Copy `count` neighbours from memory of one type into memory of another."""
        for place, lanes in self._along(count):
            self.store(target, place, self.load(source, place, lanes, before), lanes, after)

    def _along(self, count: str) -> Iterator[tuple[str, int]]:
        """Loops over `count` neighbours: in vectors, and the rest one by one."""
        body = self.body
        whole = body.mul(body.div(count, str(LANES)), str(LANES))
        with body.loop("0", whole, LANES, "j") as place:
            yield place, LANES
        with body.loop(whole, count, 1, "j") as place:
            yield place, 1

    # products

    def product(
        self,
        rows: tuple[str, str],
        columns: str,
        left: Left,
        right: Right,
        result: Result,
        spans: Spans,
        width: Width | None = None,
    ) -> None:
        """Rows low … high and columns 0 … columns.

        Args:
            spans: (row, height) → the parts of k in order, for the rows from `row` on.
            width: (row, height) → how many columns these rows need; they may write more, up to
                the next multiple of the shape's. All `columns`, exactly, unless given.
        """
        body, (low, high) = self.body, rows
        height = self.shape.rows
        whole = body.mul(body.div(body.sub(high, low), str(height)), str(height))
        middle = body.add(low, whole)
        with body.loop(low, middle, height, "row") as row:
            self._rows(row, height, self.shape.parts, columns, left, right, result, spans, width)
        with body.loop(middle, high, 1, "row") as row:
            parts = min(2 * self.shape.parts, KEYS // self.shape.vector)
            self._rows(row, 1, parts, columns, left, right, result, spans, width)

    def _rows(
        self,
        row: str,
        height: int,
        parts: int,
        columns: str,
        left: Left,
        right: Right,
        result: Result,
        spans: Spans,
        width: Width | None,
    ) -> None:
        body, vector = self.body, self.shape.vector
        found = spans(row, height)
        lines = [
            self.pointer(left.pointer, body.mul(body.add(row, str(i)), left.row))
            for i in range(height)
        ]
        targets = [
            self.pointer(result.pointer, body.mul(body.add(row, str(i)), result.row))
            for i in range(height)
        ]
        factors = None
        if result.factors is not None:
            factors = [self.load(result.factors, body.add(row, str(i))) for i in range(height)]
        step = parts * vector

        def tile(column: str, parts: int, inside: str | None = None) -> None:
            start = self.pointer(right.pointer, column)
            self._tile(
                lines, left.step, Right(start, right.step), targets, column, parts, found,
                result.added, factors, inside,
            )  # fmt: skip

        if width is not None:
            with body.loop("0", width(row, height), step, "column") as column:
                tile(column, parts)
            return
        whole = body.mul(body.div(columns, str(step)), str(step))
        with body.loop("0", whole, step, "column") as column:
            tile(column, parts)
        with body.loop(whole, columns, vector, "column") as column:
            tile(column, 1, self._lanes_below(body.sub(columns, column), vector))

    def _lanes_below(self, count: str, lanes: int) -> str:
        """A mask of the lanes below a number."""
        body = self.body
        kind = f"<{lanes} x i64>"
        every = self.splat_integer(count, lanes)
        numbers = ", ".join(f"i64 {lane}" for lane in range(lanes))
        return body.instruction(f"icmp slt {kind} <{numbers}>, {every}")

    def splat_integer(self, value: str, lanes: int, bits: int = 64) -> str:
        body, kind = self.body, f"<{lanes} x i{bits}>"
        head = body.instruction(f"insertelement {kind} poison, i{bits} {value}, i64 0")
        mask = f"<{lanes} x i32> zeroinitializer"
        return body.instruction(f"shufflevector {kind} {head}, {kind} poison, {mask}")

    def _tile(
        self,
        lines: Sequence[str],
        left_step: str,
        right: Right,
        targets: Sequence[str],
        column: str,
        parts: int,
        spans: Sequence[Span],
        added: bool,
        factors: Sequence[Scalar] | None,
        inside: str | None,
    ) -> None:
        """One tile of the result, in registers while k runs."""
        body, vector = self.body, self.shape.vector
        kind = llvm_type(self.dtype, vector)
        slots = [[body.stack_slot(kind, "acc") for _ in range(parts)] for _ in lines]
        places = [
            [self.pointer(target, body.add(column, str(n * vector))) for n in range(parts)]
            for target in targets
        ]
        for i, row in enumerate(slots):
            factor = None if factors is None else self.splat(factors[i], vector)
            for n, slot in enumerate(row):
                value = self.constant(0.0, vector)
                if added:
                    value = self._read(places[i][n], inside)
                    value = value if factor is None else value * factor
                body.emit(f"store {kind} {value.payload}, ptr {slot}, align 64")
        for low, high, doubtful in spans:
            with body.loop(low, high, hint="k") as k:
                line = self.pointer(right.pointer, body.mul(k, right.step))
                vectors = [
                    self._read(self.pointer(line, str(n * vector)), inside) for n in range(parts)
                ]
                place = body.mul(k, left_step)
                for i, start in enumerate(lines):
                    one = self.splat(self.load(start, place), vector)
                    self._steps(one, vectors, slots[i], doubtful)
        for i, row in enumerate(slots):
            for n, slot in enumerate(row):
                total = body.instruction(f"load {kind}, ptr {slot}, align 64")
                self._write(places[i][n], total, inside)

    def _steps(
        self, one: Scalar, vectors: Sequence[Scalar], slots: Sequence[str], doubtful: bool
    ) -> None:
        """acc = one · vector + acc for each vector, unless `one` marks a hidden pair."""
        body, lanes = self.body, self.shape.vector
        kind = llvm_type(self.dtype, lanes)
        hidden = self.marked(one, lanes) if doubtful else None
        for value, slot in zip(vectors, slots, strict=True):
            text = body.instruction(f"load {kind}, ptr {slot}, align 64")
            acc = Scalar(LLVMHandler(body, lanes), self.dtype, text)
            total = one.emit("fma", value, acc).payload
            if hidden is not None:
                total = body.instruction(
                    f"select <{lanes} x i1> {hidden}, {kind} {text}, {kind} {total}"
                )
            body.emit(f"store {kind} {total}, ptr {slot}, align 64")

    def marked(self, value: Scalar, lanes: int) -> str:
        """Where a number is -0.0, which marks hidden pairs."""
        body, bits = self.body, self.dtype.bits
        kind = f"<{lanes} x i{bits}>"
        text = f"bitcast {llvm_type(self.dtype, lanes)} {value.payload} to {kind}"
        marker = f"splat (i{bits} {-(1 << (bits - 1))})"
        return body.instruction(f"icmp eq {kind} {body.instruction(text)}, {marker}")

    def _read(self, place: str, inside: str | None) -> Scalar:
        if inside is None:
            return self.load(place, "0", self.shape.vector)
        body, lanes = self.body, self.shape.vector
        kind = llvm_type(self.dtype, lanes)
        name = f"@llvm.masked.load.v{lanes}f{self.dtype.bits}.p0"
        body.declare(f"declare {kind} {name}(ptr, i32, <{lanes} x i1>, {kind})")
        payload = body.instruction(
            f"call {kind} {name}(ptr {place}, i32 {self.align}, <{lanes} x i1> {inside}, "
            f"{kind} zeroinitializer)"
        )
        return Scalar(LLVMHandler(body, lanes), self.dtype, payload)

    def _write(self, place: str, value: str, inside: str | None) -> None:
        body, lanes = self.body, self.shape.vector
        kind = llvm_type(self.dtype, lanes)
        if inside is None:
            body.emit(f"store {kind} {value}, ptr {place}, align {self.align}")
            return
        name = f"@llvm.masked.store.v{lanes}f{self.dtype.bits}.p0"
        body.declare(f"declare void {name}({kind}, ptr, i32, <{lanes} x i1>)")
        body.emit(
            f"call void {name}({kind} {value}, ptr {place}, i32 {self.align}, "
            f"<{lanes} x i1> {inside})"
        )

    # transposes

    def turn(
        self, source: str, row_step: str, count: str, depth: str, target: str, stored: DType
    ) -> None:
        """target[d · KEYS + c] = source[c · row_step + d] for all KEYS columns c, of which those
        from `count` (at least 1) on repeat the last: they are read, and never used."""
        body, element = self.body, llvm_type(stored)
        full = body.mul(body.div(depth, str(GROUP)), str(GROUP))
        last = body.sub(count, "1")
        with body.loop("0", str(KEYS), GROUP, "c") as first:
            lines = []
            for i in range(GROUP):
                row = body.minimum(body.add(first, str(i)), last)
                lines.append(self.pointer(source, body.mul(row, row_step), element))
            with body.loop("0", full, GROUP, "d") as d:
                rows = [self.load(line, d, GROUP, stored).payload for line in lines]
                for n, column in enumerate(self._turned(rows)):
                    place = body.add(body.mul(body.add(d, str(n)), str(KEYS)), first)
                    value = Scalar(LLVMHandler(body, GROUP), self.dtype, column)
                    self.store(target, place, value, GROUP)
            with body.loop(full, depth, 1, "d") as d:
                place = body.add(body.mul(d, str(KEYS)), first)
                for i, line in enumerate(lines):
                    one = self.load(line, d, stored=stored)
                    self.store(target, body.add(place, str(i)), one)

    def _turned(self, rows: list[str]) -> list[str]:
        """The columns of a square: three rounds of interleaving rows i and i + 4."""
        body, kind, half = self.body, llvm_type(self.dtype, GROUP), GROUP // 2
        for _ in range(3):
            mixed = []
            for a, b in zip(rows[:half], rows[half:], strict=True):
                for start in (0, half):
                    picks = [p for n in range(half) for p in (start + n, GROUP + start + n)]
                    mask = ", ".join(f"i32 {pick}" for pick in picks)
                    mixed.append(
                        body.instruction(
                            f"shufflevector {kind} {a}, {kind} {b}, <{GROUP} x i32> <{mask}>"
                        )
                    )
            rows = mixed
        return rows

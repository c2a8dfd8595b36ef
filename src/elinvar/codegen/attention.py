"""The forward kernel of attention, by blocks of keys, without the T×S scores in memory.

One text serves every shape. Keys are taken in blocks of 64 from position 0. For each query:

    s = (Σ over d of q·k, by fma, d increasing) · scale + mask, -inf where hidden
    m' = max(m, s of the block)       f = exp(m - m')       p = exp(s - m')
    l' = l·f + (p in 16 lanes, added up by halves)
    y' = y·f, then p·v added by fma, keys increasing

and at the end y / l and m + log l. A block of which a query sees nothing changes no bit of it, so
a query's result depends neither on other queries nor on keys that it does not see.
"""

from __future__ import annotations

from typing import Any

from elinvar.codegen.attention_tiles import (
    KEYS,
    LANES,
    Left,
    Result,
    Right,
    Shape,
    Span,
    Spans,
    Tiles,
    Width,
    throughout,
)
from elinvar.codegen.body import Body, kernel_module
from elinvar.codegen.llvm_scalars import LLVMHandler, llvm_type, memory_type
from elinvar.core.dtypes import DType, accumulator, bool_
from elinvar.ops.scalar_math import exp, log
from elinvar.ops.scalars import Scalar, fma, select

ROWS = 128  # queries in a block at most
INFINITY = float("inf")
GROUPS = KEYS // LANES
_MASK_SIZES = ("%m.b", "%m.h", "%m.t", "%m.s")
SIZES = (
    "%q.b %q.h %q.t %k.b %k.h %k.t %v.b %v.h %v.t %heads %each %rows %keys %depth %width "
    "%offset %scale %block"
).split()


class Kernel:
    """What forward and backward share. `mask`: the dtype of the mask, None without one.

    Operands and results are `stored`, all else is computed in `dtype`: of 16-bit floats the
    blocks at hand are widened on the stack, and sums stay there until they are rounded.
    """

    stored: DType
    dtype: DType
    mask: DType | None
    name: str
    body: Body
    tiles: Tiles
    element: str
    scale: Scalar
    bias: str

    def __init__(self, name: str, stored: DType, mask: DType | None, shape: Shape) -> None:
        self.name, self.stored, self.mask = name, stored, mask
        dtype = self.dtype = accumulator(stored)
        self.is_narrow = stored is not dtype
        self.body = Body()
        self.tiles = Tiles(self.body, dtype, shape)
        self.element = llvm_type(dtype)
        self.base = "0"  # the last key that query 0 of the block at hand sees, in its block

    def module(self, pointers: list[str], sizes: list[str]) -> str:
        self.body.emit("ret void")
        if self.mask is not None:
            pointers, sizes = [*pointers, "%mask"], [*sizes, *_MASK_SIZES]
        return kernel_module(self.name, self.body, pointers, sizes)

    # memory on the stack

    def block(self, hint: str) -> str:
        """A number for each pair of a query and a key."""
        return self.body.stack_slot(f"[{ROWS * KEYS} x {self.element}]", hint)

    def column(self, hint: str) -> str:
        """A number for each query."""
        return self.body.stack_slot(f"[{ROWS} x {self.element}]", hint)

    def turned(self, size: str, hint: str) -> str:
        """A block of keys, turned: `size` rows of KEYS."""
        body = self.body
        count, name = body.fresh("n"), body.fresh(hint)
        body.entry.append(f"  {count} = mul nsw i64 {size}, {KEYS}")
        body.entry.append(f"  {name} = alloca {self.element}, i64 {count}, align 64")
        return name

    def rows(self, most: int, size: str, hint: str) -> str:
        """Memory for `most` rows of `size` numbers, if operands are narrow."""
        body = self.body
        if not self.is_narrow:
            return "null"
        count, name = body.fresh("n"), body.fresh(hint)
        body.entry.append(f"  {count} = mul nsw i64 {size}, {most}")
        body.entry.append(f"  {name} = alloca {self.element}, i64 {count}, align 64")
        return name

    def widened(
        self, source: str, step: str, count: str, size: str, own: str
    ) -> tuple[str, str]:  # fmt: skip
        """Rows of an operand as they are computed with, and from row to row how far: where they
        stand, or widened in memory of ours."""
        if not self.is_narrow:
            return source, step
        with self.body.loop("0", count, hint="row") as row:
            line = self.at(source, (row, step), stored=self.stored)
            self.tiles.copy(line, self.at(own, (row, size)), size, self.stored, None)
        return own, size

    def start(self) -> None:
        """What is the same for all tasks."""
        body = self.body
        double = body.instruction("bitcast i64 %scale to double")
        if self.dtype.bits == 32:
            double = body.instruction(f"fptrunc double {double} to float")
        one = Scalar(LLVMHandler(body, 1), self.dtype, double)
        self.scale = self.tiles.splat(one, LANES)
        self.bias = body.stack_slot(f"[{KEYS} x {self.element}]", "bias")

    def at(self, base: str, *terms: tuple[str, str], stored: DType | None = None) -> str:
        """The pointer moved by the sum of products, in elements of `stored`."""
        total = "0"
        for index, stride in terms:
            total = self.body.add(total, self.body.mul(index, stride))
        return self.tiles.pointer(base, total, None if stored is None else llvm_type(stored))

    # which pairs are hidden

    def visible(self, row: str, count: str) -> str:
        """How many keys of the block a query sees, from 0 to `count`."""
        return self.clamped(self.body.add(self.body.add(row, self.base), "1"), count)

    def clamped(self, value: str, most: str) -> str:
        return self.body.maximum(self.body.minimum(value, most), "0")

    def first_seeing(self, count: str) -> str:
        """The first query that sees a key of the block, or one of the 15 before it."""
        body = self.body
        first = self.clamped(body.sub("0", self.base), count)
        return body.mul(body.div(first, str(LANES)), str(LANES))

    def key_spans(self, count: str) -> Spans:
        """The parts of a sum over keys, for some queries."""

        def spans(row: str, height: int) -> list[Span]:
            last = self.visible(self.body.add(row, str(height - 1)), count)
            if self.mask is not None:
                return [("0", last, True)]
            first = self.visible(row, count)
            return [("0", first, False)] + ([(first, last, True)] if height > 1 else [])

        return spans

    def query_spans(self, queries: str) -> Spans:
        """The parts of a sum over queries, for some keys."""

        def spans(row: str, height: int) -> list[Span]:
            place = self.body.sub(row, self.base)
            first = self.clamped(place, queries)
            if self.mask is not None:
                return [(first, queries, True)]
            if height == 1:
                return [(first, queries, False)]
            whole = self.clamped(self.body.add(place, str(height - 1)), queries)
            return [(first, whole, True), (whole, queries, False)]

        return spans

    def needed(self, count: str) -> Width:
        """How many columns of scores some queries need."""
        return lambda row, height: self.visible(self.body.add(row, str(height - 1)), count)

    def fill_bias(self, batch: str, head: str, query: str, key: str, count: str) -> None:
        """The mask's row for a query, as numbers to add; masks of any strides."""
        body, kind = self.body, self.mask
        assert kind is not None
        terms = ((batch, "%m.b"), (head, "%m.h"), (query, "%m.t"), (key, "%m.s"))
        offset = "0"
        for index, stride in terms:
            offset = body.add(offset, body.mul(index, stride))
        memory = memory_type(kind)
        base = self.tiles.pointer("%mask", offset, memory)
        dense = body.instruction("icmp eq i64 %m.s, 1")
        whole = body.mul(body.div(count, str(LANES)), str(LANES))
        stop = body.instruction(f"select i1 {dense}, i64 {whole}, i64 0")

        def put(column: str, step: str, lanes: int) -> None:
            place = self.tiles.pointer(base, body.mul(column, step), memory)
            vector = memory if lanes == 1 else f"<{lanes} x {memory}>"
            text = body.instruction(f"load {vector}, ptr {place}, align {kind.itemsize}")
            handler = LLVMHandler(body, lanes)
            if kind.kind == "b":
                zero = "0" if lanes == 1 else "zeroinitializer"
                seen = body.instruction(f"icmp ne {vector} {text}, {zero}")
                condition = llvm_type(kind, lanes)
                low = self.tiles.constant(-INFINITY, lanes).payload
                none = self.tiles.constant(0.0, lanes).payload
                wide = llvm_type(self.dtype, lanes)
                text = body.instruction(f"select {condition} {seen}, {wide} {none}, {wide} {low}")
            else:
                text = handler.cast(text, kind, self.dtype)
            self.tiles.store(self.bias, column, Scalar(handler, self.dtype, text), lanes)

        with body.loop("0", stop, LANES, "j") as column:
            put(column, "1", LANES)
        with body.loop(stop, count, 1, "j") as column:
            put(column, "%m.s", 1)

    def scores(self, block: str, row: str, limit: str) -> list[tuple[Scalar, Scalar]]:
        """(score, whether hidden) of a query, in vectors: scaled, with the mask added."""
        body, lanes = self.body, LANES
        found = []
        for group in range(GROUPS):
            place = body.add(body.mul(row, str(KEYS)), str(group * lanes))
            score = self.tiles.load(block, place, lanes) * self.scale
            hidden = self.behind(group, limit)
            if self.mask is not None:
                bias = self.tiles.load(self.bias, str(group * lanes), lanes)
                score = score + bias
                hidden = hidden | bias.eq(-INFINITY)
            found.append((score, hidden))
        return found

    def behind(self, group: int, limit: str) -> Scalar:
        """Which keys of a group stand at `limit` or behind."""
        body = self.body
        every = body.recall(("limit", limit))
        if every is None:
            bound = body.instruction(f"trunc i64 {limit} to i32")
            every = body.remember(("limit", limit), self.tiles.splat_integer(bound, LANES, 32))
        numbers = ", ".join(f"i32 {group * LANES + lane}" for lane in range(LANES))
        text = body.instruction(f"icmp sge <{LANES} x i32> <{numbers}>, {every}")
        return Scalar(LLVMHandler(body, LANES), bool_, text)

    def halved(self, value: Scalar, combine: Any) -> Scalar:
        """All lanes combined, by halves."""
        body, lanes = self.body, LANES
        while lanes > 1:
            kind, half = f"<{lanes} x {self.element}>", lanes // 2
            parts = []
            for start in (0, half):
                mask = ", ".join(f"i32 {start + n}" for n in range(half))
                text = f"shufflevector {kind} {value.payload}, {kind} poison, "
                text += f"<{half} x i32> <{mask}>"
                if half == 1:
                    text = f"extractelement {kind} {value.payload}, i64 {start}"
                parts.append(Scalar(LLVMHandler(body, half), self.dtype, body.instruction(text)))
            value, lanes = combine(*parts), half
        return value


def _larger(x: Scalar, y: Scalar) -> Scalar:
    """The larger number; one that is not a number is passed over."""
    return select(x > y, x, y)


class _Forward(Kernel):
    """Slots: q, k, v, result, log-sum-exp; tasks: batch × head × block of queries."""

    def text(self) -> str:
        body = self.body
        self.start()
        self.pairs = self.block("scores")
        self.top, self.total = self.column("top"), self.column("total")
        self.next, self.factor = self.column("next"), self.column("factor")
        keys = self.turned("%depth", "keys")
        own_q, own_v = self.rows(ROWS, "%depth", "q.rows"), self.rows(KEYS, "%width", "v.rows")
        sums, sum_step = self.rows(ROWS, "%width", "sums"), "%width"
        blocks = body.div(body.add("%rows", body.sub("%block", "1")), "%block")
        with body.loop("%begin", "%end", hint="task") as task:
            pair, part = body.div(task, blocks), body.rem(task, blocks)
            batch, head = body.div(pair, "%heads"), body.rem(pair, "%heads")
            shared = body.div(head, "%each")
            first = body.mul(part, "%block")
            count = body.minimum("%block", body.sub("%rows", first))
            row = body.add(body.mul(pair, "%rows"), first)
            kind = self.stored
            q = self.at("%q", (batch, "%q.b"), (head, "%q.h"), (first, "%q.t"), stored=kind)
            k = self.at("%k", (batch, "%k.b"), (shared, "%k.h"), stored=kind)
            v = self.at("%v", (batch, "%v.b"), (shared, "%v.h"), stored=kind)
            target = (batch, "%o.b"), (head, "%o.h"), (first, "%o.t")
            result = self.at("%result", *target, stored=kind)
            q, q_step = self.widened(q, "%q.t", count, "%depth", own_q)
            if not self.is_narrow:
                sums, sum_step = result, "%o.t"
            with body.loop("0", count, hint="row") as number:
                self.tiles.fill(self.at(sums, (number, sum_step)), "%width", 0.0)
            self.tiles.fill(self.top, str(ROWS), -INFINITY)
            self.tiles.fill(self.total, str(ROWS), 0.0)
            place = body.add(first, "%offset")
            last = self.clamped(body.add(place, count), "%keys")
            with body.loop("0", last, KEYS, "key") as key:
                self.base = body.sub(place, key)
                width = body.minimum(body.sub("%keys", key), str(KEYS))
                seeing = (self.first_seeing(count), count)
                line = self.at(k, (key, "%k.t"), stored=kind)
                self.tiles.turn(line, "%k.t", width, "%depth", keys, kind)
                self.tiles.product(
                    seeing, str(KEYS), Left(q, q_step, "1"), Right(keys, str(KEYS)),
                    Result(self.pairs, str(KEYS), added=False),
                    throughout("%depth"), self.needed(width),
                )  # fmt: skip
                self._weigh(batch, head, first, key, seeing, width)
                line = self.at(v, (key, "%v.t"), stored=kind)
                values, v_step = self.widened(line, "%v.t", width, "%width", own_v)
                self.tiles.product(
                    seeing, "%width", Left(self.pairs, str(KEYS), "1"), Right(values, v_step),
                    Result(sums, sum_step, factors=self.factor), self.key_spans(width),
                )  # fmt: skip
            self._finish(sums, sum_step, result, row, count)
        sizes = [*SIZES, "%o.b", "%o.h", "%o.t"]
        return self.module(["%q", "%k", "%v", "%result", "%log.sum"], sizes)

    def _weigh(
        self, batch: str, head: str, first: str, key: str, seeing: tuple[str, str], width: str
    ) -> None:
        """Scores → weights, row by row; the rows' factors in between, 16 at a time."""
        body, tiles = self.body, self.tiles
        low = tiles.constant(-INFINITY, LANES)
        with body.loop(*seeing, hint="row") as row:
            if self.mask is not None:
                self.fill_bias(batch, head, body.add(first, row), key, width)
            limit = self.visible(row, width)
            top = low
            for group, (score, hidden) in enumerate(self.scores(self.pairs, row, limit)):
                score = select(hidden, low, score)
                place = body.add(body.mul(row, str(KEYS)), str(group * LANES))
                tiles.store(self.pairs, place, score, LANES)
                top = _larger(score, top)
            best = _larger(self.halved(top, _larger), tiles.load(self.top, row))
            tiles.store(self.next, row, best)
        with body.loop(*seeing, LANES, "row") as row:
            new, old = tiles.load(self.next, row, LANES), tiles.load(self.top, row, LANES)
            tiles.store(self.top, row, new, LANES)
            shift = select(new.eq(-INFINITY), 0.0, new)
            tiles.store(self.next, row, shift, LANES)
            tiles.store(self.factor, row, exp(old - shift), LANES)
        with body.loop(*seeing, hint="row") as row:
            shift = tiles.splat(tiles.load(self.next, row), LANES)
            bound = self.visible(row, width)
            total = None
            for group, place, score in self._row(row):
                weight = exp(score - shift)
                weight = select(self._hidden(score, group, bound), -0.0, weight)
                tiles.store(self.pairs, place, weight, LANES)
                total = weight if total is None else total + weight
            assert total is not None
            whole = self.halved(total, lambda x, y: x + y)
            old, factor = tiles.load(self.total, row), tiles.load(self.factor, row)
            tiles.store(self.total, row, fma(old, factor, whole))

    def _row(self, row: str) -> list[tuple[int, str, Scalar]]:
        found = []
        for group in range(GROUPS):
            place = self.body.add(self.body.mul(row, str(KEYS)), str(group * LANES))
            found.append((group, place, self.tiles.load(self.pairs, place, LANES)))
        return found

    def _hidden(self, score: Scalar, group: int, bound: str) -> Scalar:
        """With a mask all pairs are doubtful in the product, so a score of -inf may count, too."""
        if self.mask is not None:
            return score.eq(-INFINITY)
        return self.behind(group, bound)

    def _finish(self, sums: str, step: str, result: str, row: str, count: str) -> None:
        """Divide by the weights' sums; rows that saw nothing stay 0."""
        body, tiles = self.body, self.tiles
        with body.loop("0", count, LANES, "row") as at:
            total = tiles.load(self.total, at, LANES)
            tiles.store(self.next, at, tiles.load(self.top, at, LANES) + log(total), LANES)
            tiles.store(self.total, at, select(total.eq(0.0), 1.0, total), LANES)
        whole, kind = body.mul(body.div("%width", str(LANES)), str(LANES)), self.stored
        with body.loop("0", count, hint="row") as at:
            tiles.store("%log.sum", body.add(row, at), tiles.load(self.next, at))
            divisor = tiles.load(self.total, at)
            every = tiles.splat(divisor, LANES)
            line = self.at(sums, (at, step))
            target = self.at(result, (at, "%o.t"), stored=kind)
            with body.loop("0", whole, LANES, "j") as column:
                mean = tiles.load(line, column, LANES) / every
                tiles.store(target, column, mean, LANES, kind)
            with body.loop(whole, "%width", 1, "j") as column:
                tiles.store(target, column, tiles.load(line, column) / divisor, 1, kind)


def forward_text(name: str, stored: DType, mask: DType | None, shape: Shape) -> str:
    """The kernel of `attention` for operands that hold `stored`; `shape` is that of the type of
    its sums."""
    return _Forward(name, stored, mask, shape).text()

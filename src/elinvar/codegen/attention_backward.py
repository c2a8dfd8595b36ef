"""The backward kernel of attention, by blocks of keys and queries, without T×S numbers in memory.

    p = exp(s - log-sum-exp)        w = p · (g·v - delta) · scale

and then, each by fma in one chain:

    dq   w·k, keys increasing
    dk   w·q, heads that share the keys in order and, within each, queries increasing
    dv   p·g, likewise

There is one task for each head of keys; where that gives too few, the kernel runs twice: cut by
queries for dq, then cut by keys for dk and dv. The chains, and so the bits, are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from elinvar.codegen.attention import ROWS, SIZES, Kernel
from elinvar.codegen.attention_tiles import KEYS, LANES, Left, Result, Right, Shape, throughout
from elinvar.core.dtypes import DType
from elinvar.ops.scalar_math import exp
from elinvar.ops.scalars import fma, select

_POINTERS = "%q %k %v %log.sum %delta %g %dq %dk %dv".split()
_CUTS = "%shared %g.b %g.h %g.t %by.queries %by.keys".split()


class _Backward(Kernel):
    """Slots: the operands and results, sizes, the heads of keys, strides of g, and which cut.

    Tasks: batch × head of keys; `by.queries`: batch × head × block of queries, for dq alone;
    `by.keys`: batch × head of keys × block of keys, for dk and dv alone.
    """

    def text(self) -> str:
        body = self.body
        self.start()
        self.weights, self.slopes = self.block("weights"), self.block("slopes")
        self.keys = self.turned("%depth", "keys")
        self.values = self.turned("%width", "values")
        self.own_q = self.rows(ROWS, "%depth", "q.rows")
        self.own_g = self.rows(ROWS, "%width", "g.rows")
        self.own_k = self.rows(KEYS, "%depth", "k.rows")
        self.sums_k = self.rows(KEYS, "%depth", "dk.sums")
        self.sums_v = self.rows(KEYS, "%width", "dv.sums")
        self.for_queries = body.instruction("icmp eq i64 %by.keys, 0")
        self.for_keys = body.instruction("icmp eq i64 %by.queries, 0")
        query_blocks = body.div(body.add("%rows", body.sub("%block", "1")), "%block")
        key_blocks = body.div(body.add("%keys", str(KEYS - 1)), str(KEYS))
        parts = self._either("%by.keys", key_blocks, "1")
        parts = self._either("%by.queries", query_blocks, parts)
        heads = self._either("%by.queries", "%heads", "%shared")
        self.each = self._either("%by.queries", "1", "%each")
        with body.loop("%begin", "%end", hint="task") as task:
            pair, part = body.div(task, parts), body.rem(task, parts)
            self.batch = body.div(pair, heads)
            self.head = body.mul(body.rem(pair, heads), self.each)
            self.shared = body.div(self.head, "%each")
            first = body.mul(part, "%block")
            self.first_query = self._either("%by.queries", first, "0")
            last = body.minimum(body.add(first, "%block"), "%rows")
            self.last_query = self._either("%by.queries", last, "%rows")
            first = body.mul(part, str(KEYS))
            self.first_key = self._either("%by.keys", first, "0")
            last = body.minimum(body.add(first, str(KEYS)), "%keys")
            self.last_key = self._either("%by.keys", last, "%keys")
            self._clear()
            self._blocks()
            if self.is_narrow:
                self._round_queries()
        pointers = [*_POINTERS, "%dq.sums"] if self.is_narrow else _POINTERS
        return self.module(pointers, [*SIZES, *_CUTS])

    def _either(self, flag: str, yes: str, no: str) -> str:
        test = self.body.instruction(f"icmp ne i64 {flag}, 0")
        return self.body.instruction(f"select i1 {test}, i64 {yes}, i64 {no}")

    def _pick(self, which: str, first: str, second: str, kind: str = "i64") -> str:
        """The first value in round 0, the second in round 1."""
        test = self.body.instruction(f"icmp eq i64 {which}, 0")
        return self.body.instruction(f"select i1 {test}, {kind} {first}, {kind} {second}")

    def _query_row(self, head: str, query: str) -> str:
        """The number of a query among all of them."""
        body = self.body
        line = body.add(body.mul(self.batch, "%heads"), head)
        return body.add(body.mul(line, "%rows"), query)

    def _key_row(self, key: str) -> str:
        body = self.body
        line = body.add(body.mul(self.batch, "%shared"), self.shared)
        return body.add(body.mul(line, "%keys"), key)

    def _clear(self) -> None:
        """Zeros in the parts of the results that this task adds up."""
        body, tiles = self.body, self.tiles
        with self._own_queries() as (row, count):
            tiles.fill(self.at(self.sums_q, (row, "%depth")), count, 0.0)
        kind = self.stored
        with body.when(self.for_keys):
            row, count = self._key_row(self.first_key), body.sub(self.last_key, self.first_key)
            line = self.at("%dk", (row, "%depth"), stored=kind)
            tiles.fill(line, body.mul(count, "%depth"), 0.0, kind)
            line = self.at("%dv", (row, "%width"), stored=kind)
            tiles.fill(line, body.mul(count, "%width"), 0.0, kind)

    @property
    def sums_q(self) -> str:
        """Where the gradients of queries are added up."""
        return "%dq.sums" if self.is_narrow else "%dq"

    @contextmanager
    def _own_queries(self) -> Iterator[tuple[str, str]]:
        """For each head of this task the first row of its queries, and how many numbers they
        have."""
        body = self.body
        with body.when(self.for_queries), body.loop("0", self.each, hint="head") as number:
            row = self._query_row(body.add(self.head, number), self.first_query)
            yield row, body.mul(body.sub(self.last_query, self.first_query), "%depth")

    def _round_queries(self) -> None:
        """What this task added up for queries, into the result."""
        with self._own_queries() as (row, count):
            target = self.at("%dq", (row, "%depth"), stored=self.stored)
            source = self.at(self.sums_q, (row, "%depth"))
            self.tiles.copy(source, target, count, None, self.stored)

    def _blocks(self) -> None:
        """Blocks of keys; within each, heads that share them; within each, blocks of queries."""
        body, tiles, kind = self.body, self.tiles, self.stored
        k = self.at("%k", (self.batch, "%k.b"), (self.shared, "%k.h"), stored=kind)
        v = self.at("%v", (self.batch, "%v.b"), (self.shared, "%v.h"), stored=kind)
        seen = self.clamped(body.add(self.last_query, "%offset"), self.last_key)
        with body.loop(self.first_key, seen, KEYS, "key") as key:
            width = body.minimum(body.sub("%keys", key), str(KEYS))
            line = self.at(k, (key, "%k.t"), stored=kind)
            tiles.turn(line, "%k.t", width, "%depth", self.keys, kind)
            key_line = self.widened(line, "%k.t", width, "%depth", self.own_k)
            line = self.at(v, (key, "%v.t"), stored=kind)
            tiles.turn(line, "%v.t", width, "%width", self.values, kind)
            if self.is_narrow:
                tiles.fill(self.sums_k, body.mul(width, "%depth"), 0.0)
                tiles.fill(self.sums_v, body.mul(width, "%width"), 0.0)
            before = body.sub(body.sub(key, "%offset"), self.first_query)
            skipped = body.div(body.maximum(before, "0"), str(LANES))
            start = body.add(self.first_query, body.mul(skipped, str(LANES)))
            with body.loop("0", self.each, hint="head") as number:
                head = body.add(self.head, number)
                with body.loop(start, self.last_query, "%block", "query") as query:
                    self._pair(head, query, key, width, key_line)
            if self.is_narrow:
                self._round_keys(key, width)

    def _round_keys(self, key: str, width: str) -> None:
        """What was added up for a block of keys, into the results."""
        with self.body.when(self.for_keys):
            row, kind = self._key_row(key), self.stored
            for sums, name, size in (
                (self.sums_k, "%dk", "%depth"),
                (self.sums_v, "%dv", "%width"),
            ):
                target, count = self.at(name, (row, size), stored=kind), self.body.mul(width, size)
                self.tiles.copy(sums, target, count, None, kind)

    def _pair(
        self, head: str, query: str, key: str, width: str, key_line: tuple[str, str]
    ) -> None:  # fmt: skip
        """One block of queries with one of keys, `key_line`: where these start, and their step."""
        body, tiles, kind = self.body, self.tiles, self.stored
        count = body.minimum("%block", body.sub(self.last_query, query))
        self.base = body.sub(body.add(query, "%offset"), key)
        q = self.at("%q", (self.batch, "%q.b"), (head, "%q.h"), (query, "%q.t"), stored=kind)
        g = self.at("%g", (self.batch, "%g.b"), (head, "%g.h"), (query, "%g.t"), stored=kind)
        q, q_step = self.widened(q, "%q.t", count, "%depth", self.own_q)
        g, g_step = self.widened(g, "%g.t", count, "%width", self.own_g)
        row = self._query_row(head, query)
        square = str(KEYS)
        with body.loop("0", "2", hint="which") as which:  # one text for both products
            start, step = self._pick(which, q, g, "ptr"), self._pick(which, q_step, g_step)
            turned = self._pick(which, self.keys, self.values, "ptr")
            target = self._pick(which, self.weights, self.slopes, "ptr")
            depth = throughout(self._pick(which, "%depth", "%width"))
            tiles.product(
                ("0", count), square, Left(start, step, "1"), Right(turned, square),
                Result(target, square, added=False), depth, self.needed(width),
            )  # fmt: skip
        self._weigh(head, query, key, count, width, row)
        with body.when(self.for_queries):
            tiles.product(
                ("0", count), "%depth", Left(self.slopes, square, "1"), Right(*key_line),
                Result(self.at(self.sums_q, (row, "%depth")), "%depth"), self.key_spans(width),
            )  # fmt: skip
        with body.when(self.for_keys), body.loop("0", "2", hint="which") as which:
            line, size = self._key_row(key), self._pick(which, "%width", "%depth")
            left = self._pick(which, self.weights, self.slopes, "ptr")
            right = Right(self._pick(which, g, q, "ptr"), self._pick(which, g_step, q_step))
            if self.is_narrow:
                target = self._pick(which, self.sums_v, self.sums_k, "ptr")
            else:
                target = self.at(self._pick(which, "%dv", "%dk", "ptr"), (line, size))
            tiles.product(
                ("0", width), size, Left(left, "1", square), right, Result(target, size),
                self.query_spans(count),
            )  # fmt: skip

    def _weigh(self, head: str, query: str, key: str, count: str, width: str, row: str) -> None:
        """Scores → weights, gains → slopes; -0.0 where a pair is hidden, and nowhere else."""
        body, tiles = self.body, self.tiles
        with body.loop("0", count, hint="row") as at:
            if self.mask is not None:
                self.fill_bias(self.batch, head, body.add(query, at), key, width)
            place = body.add(row, at)
            log_sum = tiles.splat(tiles.load("%log.sum", place), LANES)
            delta = tiles.splat(tiles.load("%delta", place), LANES)
            limit = self.visible(at, width)
            for group, (score, hidden) in enumerate(self.scores(self.weights, at, limit)):
                place = body.add(body.mul(at, str(KEYS)), str(group * LANES))
                weight = exp(score - log_sum)
                gain = tiles.load(self.slopes, place, LANES) - delta
                slope = fma(weight * gain, self.scale, 0.0)  # never -0.0
                tiles.store(self.weights, place, select(hidden, -0.0, weight), LANES)
                tiles.store(self.slopes, place, select(hidden, -0.0, slope), LANES)


def backward_text(name: str, stored: DType, mask: DType | None, shape: Shape) -> str:
    """The kernel of `attention_backward` for operands that hold `stored`; `shape` is that of the
    type of its sums."""
    return _Backward(name, stored, mask, shape).text()

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

from elinvar.codegen.attention import SIZES, Kernel
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
        return self.module(_POINTERS, [*SIZES, *_CUTS])

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
        with body.when(self.for_queries), body.loop("0", self.each, hint="head") as number:
            row = self._query_row(body.add(self.head, number), self.first_query)
            count = body.mul(body.sub(self.last_query, self.first_query), "%depth")
            tiles.fill(self.at("%dq", (row, "%depth")), count, 0.0)
        with body.when(self.for_keys):
            row, count = self._key_row(self.first_key), body.sub(self.last_key, self.first_key)
            tiles.fill(self.at("%dk", (row, "%depth")), body.mul(count, "%depth"), 0.0)
            tiles.fill(self.at("%dv", (row, "%width")), body.mul(count, "%width"), 0.0)

    def _blocks(self) -> None:
        """Blocks of keys; within each, heads that share them; within each, blocks of queries."""
        body, tiles = self.body, self.tiles
        k = self.at("%k", (self.batch, "%k.b"), (self.shared, "%k.h"))
        v = self.at("%v", (self.batch, "%v.b"), (self.shared, "%v.h"))
        seen = self.clamped(body.add(self.last_query, "%offset"), self.last_key)
        with body.loop(self.first_key, seen, KEYS, "key") as key:
            width = body.minimum(body.sub("%keys", key), str(KEYS))
            key_line = self.at(k, (key, "%k.t"))
            tiles.turn(key_line, "%k.t", width, "%depth", self.keys)
            tiles.turn(self.at(v, (key, "%v.t")), "%v.t", width, "%width", self.values)
            before = body.sub(body.sub(key, "%offset"), self.first_query)
            skipped = body.div(body.maximum(before, "0"), str(LANES))
            start = body.add(self.first_query, body.mul(skipped, str(LANES)))
            with body.loop("0", self.each, hint="head") as number:
                head = body.add(self.head, number)
                with body.loop(start, self.last_query, "%block", "query") as query:
                    self._pair(head, query, key, width, key_line)

    def _pair(self, head: str, query: str, key: str, width: str, key_line: str) -> None:
        """One block of queries with one of keys."""
        body, tiles = self.body, self.tiles
        count = body.minimum("%block", body.sub(self.last_query, query))
        self.base = body.sub(body.add(query, "%offset"), key)
        q = self.at("%q", (self.batch, "%q.b"), (head, "%q.h"), (query, "%q.t"))
        g = self.at("%g", (self.batch, "%g.b"), (head, "%g.h"), (query, "%g.t"))
        row = self._query_row(head, query)
        square = str(KEYS)
        with body.loop("0", "2", hint="which") as which:  # one text for both products
            start, step = self._pick(which, q, g, "ptr"), self._pick(which, "%q.t", "%g.t")
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
                ("0", count), "%depth", Left(self.slopes, square, "1"), Right(key_line, "%k.t"),
                Result(self.at("%dq", (row, "%depth")), "%depth"), self.key_spans(width),
            )  # fmt: skip
        with body.when(self.for_keys), body.loop("0", "2", hint="which") as which:
            line, size = self._key_row(key), self._pick(which, "%width", "%depth")
            left = self._pick(which, self.weights, self.slopes, "ptr")
            right = Right(self._pick(which, g, q, "ptr"), self._pick(which, "%g.t", "%q.t"))
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


def backward_text(name: str, dtype: DType, mask: DType | None, shape: Shape) -> str:
    """The kernel of `attention_backward` for f32 or f64."""
    return _Backward(name, dtype, mask, shape).text()

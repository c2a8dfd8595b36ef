"""Products of small integers in pairs of k: panels of two 16-bit numbers, sums of 32 bits.

    sum[i][j] += left[i][2p] · right[2p][j] + left[i][2p + 1] · right[2p + 1][j]

is one instruction of most machines (vpdpwssd, or vpmaddwd and an addition), which LLVM finds in a
product of widened vectors whose even and odd elements are added. Integer sums are exact modulo 2³²,
so their order does not matter. The functions have the names and parameters of those in
contraction.py; a panel [k / 2][MR or NR] holds a pair of k, or a last k and 0, in each i32.
"""

from __future__ import annotations

from elinvar.codegen.body import Body
from elinvar.codegen.product_parts import (
    GROUP,
    Tile,
    function,
    load_as,
    pointer,
    splat,
    store,
    table,
)
from elinvar.core import dtypes
from elinvar.core.dtypes import DType

QUAD = GROUP // 2  # pairs in a group of k


def in_pairs(stored: DType, dtype: DType) -> bool:
    """Whether products of `stored` numbers with sums of `dtype` are multiplied in pairs."""
    fits = stored.bits == 8 and stored.kind in "iu" or stored is dtypes.int16
    return fits and dtype.kind in "iu" and dtype.bits == 32


def pack_left(name: str, stored: DType, tile: Tile) -> tuple[str, list[str]]:
    """A panel of rows, [k / 2][MR]."""
    parameters = [
        "ptr noalias %source", "ptr noalias %target", "ptr noalias %rows", "ptr noalias %k",
        "ptr noalias %flags", "i64 %count", "i1 %side",
    ]  # fmt: skip
    body = Body()
    offsets = [table(body, "%rows", str(i)) for i in range(tile.rows)]
    _Strip(body, stored, tile.rows).pack("%target", offsets, "%side")
    return function(f"{name}.left", parameters, body)


def pack_right(name: str, stored: DType, tile: Tile) -> tuple[str, list[str]]:
    """Panels of columns, [k / 2][NR], eight columns at a time."""
    parameters = [
        "ptr noalias %source", "ptr noalias %target", "ptr noalias %columns",
        "ptr noalias %column.flags", "ptr noalias %k", "ptr noalias %flags",
        "i64 %count", "i64 %panels", "i64 %apart",
    ]  # fmt: skip
    body = Body()
    groups = tile.columns // GROUP
    with (
        body.loop("0", "%panels", hint="panel") as panel,
        body.loop("0", str(groups), hint="g") as g,
    ):
        group = body.add(body.mul(panel, str(groups)), g)
        first = body.mul(group, str(GROUP))
        offsets = [table(body, "%columns", body.add(first, str(n))) for n in range(GROUP)]
        flag = body.instruction(f"icmp ne i64 {table(body, '%column.flags', group)}, 0")
        place = body.add(body.mul(panel, "%apart"), body.mul(g, str(GROUP)))
        _Strip(body, stored, tile.columns).pack(
            pointer(body, "%target", "i32", place), offsets, flag
        )
    return function(f"{name}.right", parameters, body)


class _Strip:
    """Some lines (rows or columns) of a panel whose rows are `width` pairs apart."""

    def __init__(self, body: Body, stored: DType, width: int) -> None:
        self.body, self.stored, self.width = body, stored, width

    def pack(self, target: str, offsets: list[str], are_neighbours: str) -> None:
        """Copy `%count` steps of k: lines are neighbours in memory, or k is, or neither."""
        body = self.body
        self.target, self.offsets = target, offsets
        pairs = body.div("%count", "2")
        with body.when(are_neighbours), body.loop("0", pairs, hint="p") as p:
            self._zip(p)
        apart = body.instruction(f"xor i1 {are_neighbours}, true")
        with body.when(apart):
            groups = body.div("%count", str(GROUP))
            with body.loop("0", groups, hint="group") as group:
                dense = body.instruction(f"icmp ne i64 {table(body, '%flags', group)}, 0")
                first = body.mul(group, str(QUAD))
                with body.when(dense):
                    self._turn(first)
                other = body.instruction(f"xor i1 {dense}, true")
                with body.when(other), body.loop(first, body.add(first, str(QUAD)), hint="p") as p:
                    self._elements(p, True)
            with body.loop(body.mul(groups, str(QUAD)), pairs, hint="p") as p:
                self._elements(p, True)
        odd = body.instruction(f"icmp ne i64 {body.rem('%count', '2')}, 0")
        with body.when(odd):
            self._elements(pairs, False)

    def _load(self, lanes: int, dtype: DType, place: str) -> str:
        return load_as(self.body, "%source", lanes, self.stored, dtype, place)

    def _put(self, p: str, first: int, kind: str, value: str) -> None:
        place = self.body.add(self.body.mul(p, str(self.width)), str(first))
        store(self.body, self.target, kind, dtypes.int32, place, value)

    def _zip(self, p: str) -> None:
        """Two steps of k, each a vector of all lines."""
        body, count = self.body, len(self.offsets)
        k = body.mul(p, "2")
        low, high = (
            self._load(count, dtypes.int16, body.add(self.offsets[0], table(body, "%k", step)))
            for step in (k, body.add(k, "1"))
        )
        picks = ", ".join(f"i32 {n}, i32 {count + n}" for n in range(count))
        kind = f"<{2 * count} x i16>"
        value = body.instruction(
            f"shufflevector <{count} x i16> {low}, <{count} x i16> {high}, "
            f"<{2 * count} x i32> <{picks}>"
        )
        self._put(p, 0, kind, value)

    def _turn(self, first: str) -> None:
        """Eight neighbouring steps of k, four (or two) lines at a time."""
        body = self.body
        step = table(body, "%k", body.mul(first, "2"))
        height = 4 if len(self.offsets) % 4 == 0 else 2
        for start in range(0, len(self.offsets), height):
            lines = []
            for offset in self.offsets[start : start + height]:
                line = self._load(GROUP, dtypes.int16, body.add(offset, step))
                lines.append(body.instruction(f"bitcast <{GROUP} x i16> {line} to <{QUAD} x i32>"))
            for n, value in enumerate(_turned(body, lines)):
                self._put(body.add(first, str(n)), start, f"<{height} x i32>", value)

    def _elements(self, p: str, is_pair: bool) -> None:
        """One pair of each line; or a last k and 0."""
        body = self.body
        k = body.mul(p, "2")
        steps = [table(body, "%k", k)]
        if is_pair:
            steps.append(table(body, "%k", body.add(k, "1")))
        for i, offset in enumerate(self.offsets):
            values = [self._load(1, dtypes.int32, body.add(offset, step)) for step in steps]
            value = body.instruction(f"and i32 {values[0]}, 65535")
            if is_pair:
                high = body.instruction(f"shl i32 {values[1]}, 16")
                value = body.instruction(f"or i32 {value}, {high}")
            self._put(p, i, "i32", value)


def _turned(body: Body, lines: list[str]) -> list[str]:
    """The four columns of 2 or 4 vectors of four pairs."""

    def shuffle(a: str, b: str, *picks: int) -> str:
        mask = ", ".join(f"i32 {pick}" for pick in picks)
        kind = f"<{QUAD} x i32>"
        text = f"shufflevector {kind} {a}, {kind} {b}, <{len(picks)} x i32> <{mask}>"
        return body.instruction(text)

    if len(lines) == 2:
        return [shuffle(lines[0], lines[1], n, QUAD + n) for n in range(QUAD)]
    low = [shuffle(lines[n], lines[n + 1], 0, 4, 1, 5) for n in (0, 2)]
    high = [shuffle(lines[n], lines[n + 1], 2, 6, 3, 7) for n in (0, 2)]
    return [shuffle(a, b, *picks) for a, b in (low, high) for picks in ((0, 1, 4, 5), (2, 3, 6, 7))]


def micro(name: str, tile: Tile, height: int) -> tuple[str, list[str]]:
    """tile[i][j] = Σ over a block of k for the first `height` rows of a panel."""
    body, lanes = Body(), tile.vector
    vector, parts = f"<{lanes} x i32>", tile.columns // lanes
    slots = [[body.stack_slot(vector, "acc") for _ in range(parts)] for _ in range(height)]
    for slot in (slot for row in slots for slot in row):
        body.emit(f"store {vector} zeroinitializer, ptr {slot}, align 64")
    pairs = body.div(body.add("%count", "1"), "2")
    with body.loop("0", pairs, hint="p") as p:
        columns, rows = body.mul(p, str(tile.columns)), body.mul(p, str(tile.rows))
        right = []
        for part in range(parts):
            place = body.add(columns, str(part * lanes))
            value = load_as(body, "%right", lanes, dtypes.int32, dtypes.int32, place)
            right.append(_widened(body, lanes, value))
        for i, row in enumerate(slots):
            place = body.add(rows, str(i))
            one = load_as(body, "%left", 1, dtypes.int32, dtypes.int32, place)
            left = _widened(body, lanes, splat(body, "i32", lanes, one))
            for part, slot in enumerate(row):
                total = _dot(body, lanes, left, right[part])
                acc = body.instruction(f"load {vector}, ptr {slot}, align 64")
                total = body.instruction(f"add {vector} {acc}, {total}")
                body.emit(f"store {vector} {total}, ptr {slot}, align 64")
    for i, row in enumerate(slots):
        for part, slot in enumerate(row):
            acc = body.instruction(f"load {vector}, ptr {slot}, align 64")
            place = str(i * tile.columns + part * lanes)
            store(body, "%tile", vector, dtypes.int32, place, acc)
    parameters = [f"ptr noalias {p}" for p in ("%left", "%right", "%tile")]
    return function(f"{name}.packed{height}", [*parameters, "i64 %count"], body)


def _widened(body: Body, lanes: int, value: str) -> str:
    """Pairs of 16 bits as twice as many numbers of 32 bits."""
    pairs = body.instruction(f"bitcast <{lanes} x i32> {value} to <{2 * lanes} x i16>")
    return body.instruction(f"sext <{2 * lanes} x i16> {pairs} to <{2 * lanes} x i32>")


def _dot(body: Body, lanes: int, left: str, right: str) -> str:
    """The sums of products of pairs, in the form in which LLVM knows vpmaddwd."""
    wide = f"<{2 * lanes} x i32>"
    product = body.instruction(f"mul {wide} {left}, {right}")
    even, odd = (
        body.instruction(
            f"shufflevector {wide} {product}, {wide} poison, <{lanes} x i32> "
            f"<{', '.join(f'i32 {2 * n + rest}' for n in range(lanes))}>"
        )
        for rest in (0, 1)
    )
    return body.instruction(f"add <{lanes} x i32> {even}, {odd}")

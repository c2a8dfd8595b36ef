"""How the operands of a product are packed: panels [k][MR] of rows, panels [k][NR] of columns."""

from __future__ import annotations

from elinvar.codegen import pairs
from elinvar.codegen.body import Body
from elinvar.codegen.llvm_scalars import llvm_type
from elinvar.codegen.product_parts import (
    GROUP,
    Tile,
    function,
    load_as,
    pointer,
    square_turned,
    store,
    table,
    turned,
)
from elinvar.core.dtypes import DType


def pack_left(name: str, stored: DType, dtype: DType, tile: Tile) -> tuple[str, list[str]]:
    if pairs.in_pairs(stored, dtype):
        return pairs.pack_left(name, stored, tile)
    return function(
        f"{name}.left",
        [
            "ptr noalias %source", "ptr noalias %target", "ptr noalias %rows", "ptr noalias %k",
            "ptr noalias %flags", "i64 %count", "i1 %side",
        ],
        _LeftPacking(stored, dtype, tile).body_text(),
    )  # fmt: skip


class _LeftPacking:
    """One panel [k][MR]: rows are neighbours in memory, or k is, or neither."""

    def __init__(self, stored: DType, dtype: DType, tile: Tile) -> None:
        self.stored, self.dtype, self.rows = stored, dtype, tile.rows
        self.element = llvm_type(dtype)
        self.body = Body()

    def body_text(self) -> Body:
        body = self.body
        self.offsets = [table(body, "%rows", str(i)) for i in range(self.rows)]
        with body.when("%side"), body.loop("0", "%count", hint="k") as k:
            self._copy_rows(k)
        apart = body.instruction("xor i1 %side, true")
        with body.when(apart):
            full = body.mul(body.div("%count", str(GROUP)), str(GROUP))
            with body.loop("0", full, GROUP, "k") as k:
                flag = table(body, "%flags", body.div(k, str(GROUP)))
                dense = body.instruction(f"icmp ne i64 {flag}, 0")
                with body.when(dense):
                    self._transpose(k)
                other = body.instruction(f"xor i1 {dense}, true")
                with body.when(other), body.loop(k, body.add(k, str(GROUP)), hint="k") as one:
                    self._copy_elements(one)
            with body.loop(full, "%count", hint="k") as k:
                self._copy_elements(k)
        return body

    def _copy_rows(self, k: str) -> None:
        body, kind = self.body, f"<{self.rows} x {self.element}>"
        place = body.add(self.offsets[0], table(body, "%k", k))
        value = load_as(body, "%source", self.rows, self.stored, self.dtype, place)
        store(body, "%target", kind, self.dtype, body.mul(k, str(self.rows)), value)

    def _copy_elements(self, k: str) -> None:
        body = self.body
        step = table(body, "%k", k)
        place = body.mul(k, str(self.rows))
        for i, offset in enumerate(self.offsets):
            at = body.add(offset, step)
            value = load_as(body, "%source", 1, self.stored, self.dtype, at)
            store(body, "%target", self.element, self.dtype, body.add(place, str(i)), value)

    def _transpose(self, k: str) -> None:
        """Eight neighbouring steps of k, turned by shuffles, 4 (or 2) rows at a time."""
        body = self.body
        height = 4 if self.rows % 4 == 0 else 2
        step = table(body, "%k", k)
        for first in range(0, self.rows, height):
            places = [body.add(self.offsets[i], step) for i in range(first, first + height)]
            lines = [
                load_as(body, "%source", GROUP, self.stored, self.dtype, place) for place in places
            ]
            for number, column in enumerate(turned(body, self.element, lines)):
                place = body.mul(body.add(k, str(number)), str(self.rows))
                kind = f"<{height} x {self.element}>"
                store(body, "%target", kind, self.dtype, body.add(place, str(first)), column)


def call_pack_right(
    body: Body, name: str, tile: Tile, source: str, target: str,
    panel: str, panels: str, low: str, count: str, apart: str,
) -> None:  # fmt: skip
    """Pack `panels` panels from number `panel` on, `apart` elements apart in the target."""
    arguments = [
        source, target,
        pointer(body, "%column.offsets", "i64", body.mul(panel, str(tile.columns))),
        pointer(body, "%column.flags", "i64", body.mul(panel, str(tile.columns // GROUP))),
        pointer(body, "%right.k", "i64", low),
        pointer(body, "%right.flags", "i64", body.div(low, str(GROUP))),
    ]  # fmt: skip
    pointers = ", ".join(f"ptr {a}" for a in arguments)
    body.emit(f"call void @{name}.right({pointers}, i64 {count}, i64 {panels}, i64 {apart})")


def pack_right(
    name: str, stored: DType, dtype: DType, tile: Tile, in_pairs: bool
) -> tuple[str, list[str]]:
    if in_pairs:
        return pairs.pack_right(name, stored, tile)
    return function(
        f"{name}.right",
        [
            "ptr noalias %source", "ptr noalias %target", "ptr noalias %columns",
            "ptr noalias %column.flags", "ptr noalias %k", "ptr noalias %flags",
            "i64 %count", "i64 %panels", "i64 %apart",
        ],
        _RightPacking(stored, dtype, tile).body_text(),
    )  # fmt: skip


class _RightPacking:
    """Panels [k][NR], eight columns at a time: columns are neighbours, or k is, or neither.

    Where all columns are neighbours one step of k is copied for all panels, as it lies in memory.
    """

    def __init__(self, stored: DType, dtype: DType, tile: Tile) -> None:
        self.stored, self.dtype, self.tile = stored, dtype, tile
        self.element = llvm_type(dtype)
        self.group = f"<{GROUP} x {self.element}>"
        self.groups = tile.columns // GROUP
        self.body = Body()

    def body_text(self) -> Body:
        body = self.body
        counter = body.stack_slot("i64", "dense", 8)
        body.emit(f"store i64 1, ptr {counter}, align 8")
        groups = body.mul("%panels", str(self.groups))
        with body.loop("0", groups, hint="g") as g:
            known = body.instruction(f"load i64, ptr {counter}, align 8")
            both = body.instruction(f"and i64 {known}, {table(body, '%column.flags', g)}")
            body.emit(f"store i64 {both}, ptr {counter}, align 8")
        flag = body.instruction(f"load i64, ptr {counter}, align 8")
        dense = body.instruction(f"icmp ne i64 {flag}, 0")
        self.target, self.first = "%target", "0"
        with body.when(dense), body.loop("0", "%count", hint="k") as k:
            step = table(body, "%k", k)
            with body.loop("0", "%panels", hint="panel") as panel:
                self._enter(panel)
                for number in range(self.groups):
                    at = body.add(self.first, str(number * GROUP))
                    place = body.add(table(body, "%columns", at), step)
                    self._put(k, str(number), self._load(GROUP, place))
        mixed = body.instruction(f"xor i1 {dense}, true")
        with body.when(mixed), body.loop("0", "%panels", hint="panel") as panel:
            self._enter(panel)
            self._mixed(self.groups)
        return body

    def _enter(self, panel: str) -> None:
        body = self.body
        self.target = pointer(body, "%target", self.element, body.mul(panel, "%apart"))
        self.first = body.mul(panel, str(self.tile.columns))
        self.first_group = body.mul(panel, str(self.groups))

    def _mixed(self, groups: int) -> None:
        """Sixteen steps of k at a time, a cache line of each column, for all groups of columns."""
        body = self.body
        full = body.mul(body.div("%count", str(GROUP)), str(GROUP))
        with (
            body.loop("0", full, 2 * GROUP, "k") as low,
            body.loop("0", str(groups), hint="g") as g,
        ):
            high = body.minimum(body.add(low, str(2 * GROUP)), full)
            flag = table(body, "%column.flags", body.add(self.first_group, g))
            dense = body.instruction(f"icmp ne i64 {flag}, 0")
            with body.when(dense), body.loop(low, high, hint="k") as k:
                self._dense_columns(k, g)
            sparse = body.instruction(f"xor i1 {dense}, true")
            with body.when(sparse):
                offsets = self._offsets(g)
                with body.loop(low, high, GROUP, "k") as k:
                    self._apart(k, g, offsets)
        with body.loop(full, "%count", hint="k") as k, body.loop("0", str(groups), hint="g") as g:
            self._one_step(k, g, self._offsets(g))

    def _offsets(self, g: str) -> list[str]:
        first = self.body.add(self.first, self.body.mul(g, str(GROUP)))
        return [
            table(self.body, "%columns", self.body.add(first, str(lane))) for lane in range(GROUP)
        ]

    def _dense_columns(self, k: str, g: str) -> None:
        body = self.body
        first = table(body, "%columns", body.add(self.first, body.mul(g, str(GROUP))))
        place = body.add(first, table(body, "%k", k))
        self._put(k, g, self._load(GROUP, place))

    def _apart(self, k: str, g: str, offsets: list[str]) -> None:
        """Columns that are not neighbours: eight steps of k at once where those are."""
        body = self.body
        flag = table(body, "%flags", body.div(k, str(GROUP)))
        dense = body.instruction(f"icmp ne i64 {flag}, 0")
        with body.when(dense):
            step = table(body, "%k", k)
            lines = [self._load(GROUP, body.add(offset, step)) for offset in offsets]
            for number, value in enumerate(square_turned(body, self.element, lines)):
                self._put(body.add(k, str(number)), g, value)
        other = body.instruction(f"xor i1 {dense}, true")
        with body.when(other), body.loop(k, body.add(k, str(GROUP)), hint="k") as one:
            self._one_step(one, g, offsets)

    def _one_step(self, k: str, g: str, offsets: list[str]) -> None:
        body = self.body
        step = table(body, "%k", k)
        value = "poison"
        for lane, offset in enumerate(offsets):
            one = self._load(1, body.add(offset, step))
            value = body.instruction(
                f"insertelement {self.group} {value}, {self.element} {one}, i64 {lane}"
            )
        self._put(k, g, value)

    def _load(self, lanes: int, place: str) -> str:
        return load_as(self.body, "%source", lanes, self.stored, self.dtype, place)

    def _put(self, k: str, g: str, value: str) -> None:
        body = self.body
        place = body.add(body.mul(k, str(self.tile.columns)), body.mul(g, str(GROUP)))
        store(self.body, self.target, self.group, self.dtype, place, value)

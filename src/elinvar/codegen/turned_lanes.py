"""Lanes over a batch that is not innermost in memory: turned on the stack while they are summed.

The gradient of a depthwise kernel sums over positions, so its lanes are channels. Where positions
are innermost, pieces of a line of them are turned from [lane][k] to [k][lane], eight by eight. Rows
(places of the kernel's window) that are neighbours share what is turned. Sums are those of
lanes.py, in the same order.
"""

from __future__ import annotations

from elinvar.codegen.body import ATTRIBUTES, Body, kernel_module
from elinvar.codegen.lanes import LANES_POINTERS, LANES_SIZES, Lanes, LanesKernel
from elinvar.codegen.llvm_scalars import llvm_type
from elinvar.codegen.product_parts import (
    GROUP,
    fma,
    function,
    load_as,
    pointer,
    square_turned,
    store,
    table,
)
from elinvar.core.dtypes import DType

STEPS = 32  # steps of k that are turned at a time: with those of all rows they stay in the L1 cache


def turned_lanes_text(name: str, stored: DType, dtype: DType, shape: Lanes) -> str:
    """As `lanes_text`, but the left operand's table of panels holds an offset for each lane, as the
    right one's does where `shape.is_packed`; else that one is read where it stands. One more number
    after the others: the length of a line, so many steps of k that are neighbours in memory."""
    kernel = _TurnedKernel(stored, dtype, shape, name)
    outer = kernel_module(name, kernel.body_text(), LANES_POINTERS, [*LANES_SIZES, "%line"])
    text, declarations = _turn(name, stored, dtype, shape.lanes)
    lines = outer.rstrip().split("\n")
    lines += [text, *(d for d in declarations if d not in lines)]
    return "\n".join([*lines, f"attributes #1 = {{ noinline {ATTRIBUTES} }}", ""])


class _TurnedKernel(LanesKernel):
    def __init__(self, stored: DType, dtype: DType, shape: Lanes, name: str) -> None:
        super().__init__(stored, dtype, shape)
        self.name = name

    def body_text(self) -> Body:
        shape, element = self.shape, llvm_type(self.dtype)
        self.length = STEPS + shape.turns - 1  # of what some rows that are neighbours share
        self.lines, self.others = (
            self.body.stack_slot(f"[{count * self.length * shape.lanes} x {element}]", "turned")
            for count in (shape.rows // shape.turns, shape.columns)
        )
        return super().body_text()

    def _block(self, tile: str, panel: str, low: str, high: str) -> None:
        """Piece by piece of the lines within a block."""
        body = self.body
        self.first = body.mul(tile, str(self.shape.rows))
        self.panel, self.lane_offsets = panel, body.mul(panel, str(self.shape.lanes))
        for slot in self.sums.values():
            body.emit(f"store {self.vector} zeroinitializer, ptr {slot}, align 64")
        last = body.add(body.div(body.sub(high, "1"), "%line"), "1")
        with body.loop(body.div(low, "%line"), last, hint="line") as line:
            begin = body.mul(line, "%line")
            end = body.minimum(body.add(begin, "%line"), high)
            with body.loop(body.maximum(begin, low), end, STEPS, "piece") as start:
                self._piece(start, body.minimum(body.sub(end, start), str(STEPS)))

    def _piece(self, start: str, count: str) -> None:
        body, shape = self.body, self.shape
        run = shape.turns
        step = table(body, "%left.k", start)
        with body.loop("0", str(shape.rows // run), hint="i") as number:
            row = body.add(self.first, body.mul(number, str(run)))
            offset = body.add(table(body, "%left.rows", row), step)
            self._turn_line("left", offset, number, self.lines, body.add(count, str(run - 1)))
        rights = []
        if shape.is_packed:
            step = table(body, "%right.k", start)
            with body.loop("0", str(shape.columns), hint="j") as number:
                column = table(body, "%right.columns", body.add(self.column, number))
                self._turn_line("right", body.add(column, step), number, self.others, count)
        else:
            rights = self._rights(self.panel)
        with body.loop("0", count, hint="k") as k:
            if shape.is_packed:
                values = [self._turned(self.others, j, k) for j in range(shape.columns)]
            else:
                step = table(body, "%right.k", body.add(start, k))
                values = [self._load_right(right, step) for right in rights]
            for i in range(shape.rows):
                one = self._turned(self.lines, i // run, body.add(k, str(i % run)))
                for j, value in enumerate(values):
                    slot = self.sums[i, j]
                    self._set(slot, fma(body, self.dtype, shape.lanes, one, value, self._get(slot)))

    def _turn_line(self, side: str, offset: str, number: str, target: str, count: str) -> None:
        """Neighbouring places in memory from an offset on, for all lanes."""
        body = self.body
        arguments = [
            pointer(body, f"%{side}", llvm_type(self.stored), offset),
            pointer(body, target, llvm_type(self.dtype), self._place(number, "0")),
            pointer(body, f"%{side}.panels", "i64", self.lane_offsets),
        ]
        pointers = ", ".join(f"ptr {a}" for a in arguments)
        body.emit(f"call void @{self.name}.turn({pointers}, i64 {count})")

    def _place(self, number: str, k: str) -> str:
        body = self.body
        place = body.add(body.mul(number, str(self.length)), k)
        return body.mul(place, str(self.shape.lanes))

    def _turned(self, base: str, number: int, k: str) -> str:
        place = self._place(str(number), k)
        return load_as(self.body, base, self.shape.lanes, self.dtype, self.dtype, place)


def _turn(name: str, stored: DType, dtype: DType, lanes: int) -> tuple[str, list[str]]:
    """target[k][lane] = source[lanes[lane] + k]"""
    body, element = Body(), llvm_type(dtype)
    vector = f"<{GROUP} x {element}>"
    whole = body.mul(body.div("%count", str(GROUP)), str(GROUP))

    def put(k: str, first: int, value: str) -> None:
        place = body.add(body.mul(k, str(lanes)), str(first))
        store(body, "%target", vector, dtype, place, value)

    for first in range(0, lanes, GROUP):
        offsets = [table(body, "%lanes", str(first + n)) for n in range(GROUP)]
        with body.loop("0", whole, GROUP, "k") as k:
            places = [body.add(offset, k) for offset in offsets]
            lines = [load_as(body, "%source", GROUP, stored, dtype, place) for place in places]
            for n, value in enumerate(square_turned(body, element, lines)):
                put(body.add(k, str(n)), first, value)
        with body.loop(whole, "%count", hint="k") as k:
            value = "poison"
            for n, offset in enumerate(offsets):
                one = load_as(body, "%source", 1, stored, dtype, body.add(offset, k))
                value = body.instruction(
                    f"insertelement {vector} {value}, {element} {one}, i64 {n}"
                )
            put(k, first, value)
    parameters = [f"ptr noalias {p}" for p in ("%source", "%target", "%lanes")]
    return function(f"{name}.turn", [*parameters, "i64 %count"], body)

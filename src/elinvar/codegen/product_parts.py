"""What the kernels of products are made of: the tile's size, turning vectors, reading tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elinvar.codegen.body import ATTRIBUTES, Body
from elinvar.codegen.llvm_scalars import LLVMHandler, llvm_type
from elinvar.core.dtypes import DType

GROUP = 8  # columns that are packed at once
PANELS = 8  # panels of columns per task at most
BLOCK_ROWS = 192  # rows of a block of results that stands on the stack, at most


@dataclass(frozen=True)
class Tile:
    """A micro-kernel's size: rows, columns, elements in one machine vector."""

    rows: int
    columns: int
    vector: int

    @property
    def block_panels(self) -> int:
        """Panels of rows of a block of results that stands on the stack, at most."""
        return BLOCK_ROWS // self.rows

    @property
    def block_step(self) -> int:
        """Elements from row to row of such a block."""
        return PANELS * self.columns

    @property
    def heights(self) -> tuple[int, ...]:
        """How many rows a micro-kernel can take, so that few rows cost little; ascending."""
        return tuple(h for h in (1, 2, 4, 8) if h < self.rows) + (self.rows,)


def tile_for(dtype: DType, vector_bits: int) -> Tile:
    """The tile that fills the registers of the target's vectors."""
    vector = vector_bits // dtype.bits
    rows = {512: 12, 256: 6}.get(vector_bits, 4)
    columns = max(GROUP, 2 * vector)
    return Tile(rows, columns, min(vector, columns))


# inner functions: each is compiled on its own, so that registers go to its one loop


def function(name: str, parameters: Sequence[str], body: Body) -> tuple[str, list[str]]:
    """(text, declarations) of a function that is called, never inlined."""
    body.emit("ret void")
    head = f"define internal void @{name}({', '.join(parameters)}) #1 {{"
    return "\n".join([head, "entry:", body.text(), "}"]), list(body.declarations)


def module(outer: str, inner: list[tuple[str, list[str]]]) -> str:
    """A kernel's module with more functions."""
    lines = outer.rstrip().split("\n")
    known = set(lines)
    extra: list[str] = []
    for text, declarations in inner:
        extra.append(text)
        extra += [d for d in declarations if not (d in known or known.add(d))]  # type: ignore[func-returns-value]
    return "\n".join([*lines, *extra, f"attributes #1 = {{ noinline {ATTRIBUTES} }}", ""])


def turned(body: Body, element: str, lines: list[str]) -> list[str]:
    """The eight columns of 2 or 4 vectors of eight elements, as vectors of 2 or 4."""

    def shuffle(a: str, b: str, picks: tuple[int, ...]) -> str:
        wide = f"<{GROUP} x {element}>"
        mask = ", ".join(f"i32 {pick}" for pick in picks)
        text = f"shufflevector {wide} {a}, {wide} {b}, <{len(picks)} x i32> <{mask}>"
        return body.instruction(text)

    low = [shuffle(a, b, (0, 8, 1, 9, 4, 12, 5, 13)) for a, b in _pairs(lines)]
    high = [shuffle(a, b, (2, 10, 3, 11, 6, 14, 7, 15)) for a, b in _pairs(lines)]
    found = [""] * GROUP
    for start, parts in ((0, low), (2, high)):
        if len(lines) == 2:
            for number, at in ((start, 0), (start + 1, 2), (start + 4, 4), (start + 5, 6)):
                found[number] = shuffle(parts[0], parts[0], (at, at + 1))
            continue
        even = shuffle(parts[0], parts[1], (0, 1, 8, 9, 4, 5, 12, 13))
        odd = shuffle(parts[0], parts[1], (2, 3, 10, 11, 6, 7, 14, 15))
        for number, vector in ((start, even), (start + 1, odd)):
            found[number] = shuffle(vector, vector, (0, 1, 2, 3))
            found[number + 4] = shuffle(vector, vector, (4, 5, 6, 7))
    return found


def square_turned(body: Body, element: str, lines: list[str]) -> list[str]:
    """The eight columns of eight vectors of eight elements: 24 shuffles."""
    wide = f"<{GROUP} x {element}>"

    def shuffle(a: str, b: str, picks: tuple[int, ...]) -> str:
        mask = ", ".join(f"i32 {pick}" for pick in picks)
        return body.instruction(f"shufflevector {wide} {a}, {wide} {b}, <{GROUP} x i32> <{mask}>")

    low = [shuffle(a, b, (0, 8, 1, 9, 4, 12, 5, 13)) for a, b in _pairs(lines)]
    high = [shuffle(a, b, (2, 10, 3, 11, 6, 14, 7, 15)) for a, b in _pairs(lines)]
    quarters = []  # of lines 0-3 and of lines 4-7: columns (0, 4), (1, 5), (2, 6), (3, 7)
    for start in (0, 2):
        for parts in (low, high):
            for picks in ((0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)):
                quarters.append(shuffle(parts[start], parts[start + 1], picks))
    found = []
    for picks in ((0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)):
        found += [shuffle(quarters[i], quarters[i + 4], picks) for i in range(4)]
    return found


def _pairs(items: list[str]) -> list[tuple[str, str]]:
    return [(items[i], items[i + 1]) for i in range(0, len(items), 2)]


def splat(body: Body, element: str, lanes: int, one: str) -> str:
    """A scalar in all lanes."""
    if lanes == 1:
        return one
    vector = f"<{lanes} x {element}>"
    first = body.instruction(f"insertelement {vector} poison, {element} {one}, i64 0")
    return body.instruction(
        f"shufflevector {vector} {first}, {vector} poison, <{lanes} x i32> zeroinitializer"
    )


def fma(body: Body, dtype: DType, lanes: int, left: str, right: str, acc: str) -> str:
    """left · right + acc, rounded once; integers wrap."""
    vector = f"<{lanes} x {llvm_type(dtype)}>"
    if dtype.kind == "f":
        name = f"@llvm.fma.v{lanes}f{dtype.bits}"
        body.declare(f"declare {vector} {name}({vector}, {vector}, {vector})")
        return body.instruction(
            f"call {vector} {name}({vector} {left}, {vector} {right}, {vector} {acc})"
        )
    product = body.instruction(f"mul {vector} {left}, {right}")
    return body.instruction(f"add {vector} {product}, {acc}")


def ceiling(body: Body, value: str, step: str) -> str:
    """value / step, rounded up."""
    return body.div(body.add(value, body.sub(step, "1")), step)


def pointer(body: Body, base: str, element: str, index: str) -> str:
    """The address of an element."""
    return body.instruction(f"getelementptr inbounds {element}, ptr {base}, i64 {index}", "p")


def table(body: Body, base: str, index: str) -> str:
    """An entry of a table of int64."""
    place = pointer(body, base, "i64", index)
    return body.instruction(f"load i64, ptr {place}, align 8", "o")


def load(body: Body, base: str, kind: str, dtype: DType, place: str) -> str:
    """A vector or scalar from memory."""
    at = pointer(body, base, llvm_type(dtype), place)
    return body.instruction(f"load {kind}, ptr {at}, align {dtype.itemsize}", "x")


def load_as(
    body: Body, base: str, lanes: int, stored: DType, dtype: DType, place: str
) -> str:  # fmt: skip
    """A vector or scalar from memory that holds `stored`, converted exactly to `dtype`."""
    kind = llvm_type(stored) if lanes == 1 else f"<{lanes} x {llvm_type(stored)}>"
    return LLVMHandler(body, lanes).cast(load(body, base, kind, stored, place), stored, dtype)


def store(body: Body, base: str, kind: str, dtype: DType, place: str, value: str) -> None:
    """A vector or scalar into memory."""
    at = pointer(body, base, llvm_type(dtype), place)
    body.emit(f"store {kind} {value}, ptr {at}, align {dtype.itemsize}")


def lanes_below(body: Body, count: str, lanes: int, first: int) -> str:
    """A mask of the lanes whose numbers, counted from `first`, are below a number."""
    kind = f"<{lanes} x i64>"
    numbers = ", ".join(f"i64 {first + lane}" for lane in range(lanes))
    every = splat(body, "i64", lanes, count)
    if lanes == 1:
        every = body.instruction(f"insertelement {kind} poison, i64 {count}, i64 0")
    return body.instruction(f"icmp slt {kind} <{numbers}>, {every}")


def masked_load(body: Body, dtype: DType, lanes: int, place: str, mask: str) -> str:
    """The lanes of a mask from memory, zeros in the others."""
    kind, name = f"<{lanes} x {llvm_type(dtype)}>", _masked("load", dtype, lanes)
    body.declare(f"declare {kind} {name}(ptr, i32, <{lanes} x i1>, {kind})")
    return body.instruction(
        f"call {kind} {name}(ptr {place}, i32 {dtype.itemsize}, <{lanes} x i1> {mask}, "
        f"{kind} zeroinitializer)"
    )


def masked_store(
    body: Body, dtype: DType, lanes: int, place: str, mask: str, value: str
) -> None:  # fmt: skip
    """The lanes of a mask into memory."""
    kind, name = f"<{lanes} x {llvm_type(dtype)}>", _masked("store", dtype, lanes)
    body.declare(f"declare void {name}({kind}, ptr, i32, <{lanes} x i1>)")
    body.emit(
        f"call void {name}({kind} {value}, ptr {place}, i32 {dtype.itemsize}, "
        f"<{lanes} x i1> {mask})"
    )


def _masked(word: str, dtype: DType, lanes: int) -> str:
    letter = "f" if dtype.kind == "f" else "i"
    return f"@llvm.masked.{word}.v{lanes}{letter}{dtype.bits}.p0"

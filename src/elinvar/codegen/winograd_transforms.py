"""The transforms of Winograd's algorithm F(4×4, 3×3) as LLVM functions over vectors of channels.

The points are 0, ±p, ±q and ∞ with p = 11/16 and q = 3/2: of the points whose powers are exact in
f32 those with the smallest error (`docs/numerics.md`). A pair ±p shares its even and odd parts, so
that a line of the tile takes 12 instructions at most. With P = 2p²(p² - q²), Q = 2q²(q² - p²):

    Bᵀ  6 → 6   p²q² d0 - (p² + q²) d2 + d4,  (d4 - q² d2) ± p (d3 - q² d1),  the same with p and q
                exchanged,  p²q² d1 - (p² + q²) d3 + d5
    G   3 → 6   g0 / p²q²,  (g0 + p² g2 ± p g1) / P,  (g0 + q² g2 ± q g1) / Q,  g2
    Aᵀ  6 → 4   m0 + m1 + m2 + m3 + m4,  pʲ (m1 ± m2) + qʲ (m3 ± m4) for j = 1, 2, 3, and m5 there
    A and Gᵀ are these transposed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.codegen.body import Body
from elinvar.codegen.llvm_scalars import constant_text, llvm_type
from elinvar.codegen.product_parts import fma, function, load, load_as, splat, store
from elinvar.core.dtypes import DType
from elinvar.ops.winograd import CHANNELS, SEEN

NEAR, FAR = 11 / 16, 3 / 2
BOTH = NEAR**2 * FAR**2
NEAR_SCALE = 1 / (2 * NEAR**2 * (NEAR**2 - FAR**2))
FAR_SCALE = 1 / (2 * FAR**2 * (FAR**2 - NEAR**2))


class Lanes:
    """Arithmetic on vectors of channels."""

    body: Body
    count: int
    dtype: DType
    element: str
    kind: str

    def __init__(self, body: Body, dtype: DType, count: int) -> None:
        self.body, self.dtype, self.count = body, dtype, count
        self.element = llvm_type(dtype)
        self.kind = f"<{count} x {self.element}>"

    def add(self, left: str, right: str) -> str:
        return self.body.instruction(f"fadd {self.kind} {left}, {right}")

    def sub(self, left: str, right: str) -> str:
        return self.body.instruction(f"fsub {self.kind} {left}, {right}")

    def times(self, number: float, x: str) -> str:
        return self.body.instruction(f"fmul {self.kind} {self._constant(number)}, {x}")

    def more(self, number: float, x: str, rest: str) -> str:
        """number · x + rest, rounded once."""
        return fma(self.body, self.dtype, self.count, self._constant(number), x, rest)

    def _constant(self, number: float) -> str:
        known = self.body.recall(("number", number))
        if known is None:
            text = splat(self.body, self.element, self.count, constant_text(self.dtype, number))
            known = self.body.remember(("number", number), text)
        return str(known)


Line = Callable[[Lanes, list[str]], list[str]]


def image_line(v: Lanes, d: list[str]) -> list[str]:
    """Bᵀ"""
    ends = [v.more(BOTH, a, v.more(-(NEAR**2 + FAR**2), b, c)) for a, b, c in (d[:5:2], d[1::2])]
    found = [ends[0]]
    for point, other in ((NEAR, FAR), (FAR, NEAR)):
        even, odd = v.more(-(other**2), d[2], d[4]), v.more(-(other**2), d[1], d[3])
        found += [v.more(point, odd, even), v.more(-point, odd, even)]
    return [*found, ends[1]]


def kernel_line(v: Lanes, g: list[str]) -> list[str]:
    """G"""
    found = [v.times(1 / BOTH, g[0])]
    for point, scale in ((NEAR, NEAR_SCALE), (FAR, FAR_SCALE)):
        even = v.more(point**2, g[2], g[0])
        found += [v.times(scale, v.more(sign * point, g[1], even)) for sign in (1, -1)]
    return [*found, g[2]]


def result_line(v: Lanes, m: list[str]) -> list[str]:
    """Aᵀ"""
    near, near_odd = v.add(m[1], m[2]), v.sub(m[1], m[2])
    far, far_odd = v.add(m[3], m[4]), v.sub(m[3], m[4])
    return [
        v.add(v.add(m[0], near), far),
        v.more(NEAR, near_odd, v.times(FAR, far_odd)),
        v.more(NEAR**2, near, v.times(FAR**2, far)),
        v.more(NEAR**3, near_odd, v.more(FAR**3, far_odd, m[5])),
    ]


def gradient_line(v: Lanes, y: list[str]) -> list[str]:
    """A"""
    found = [y[0]]
    for point in (NEAR, FAR):
        even, odd = v.more(point**2, y[2], y[0]), v.more(point**3, y[3], v.times(point, y[1]))
        found += [v.add(even, odd), v.sub(even, odd)]
    return [*found, y[3]]


def kernel_gradient_line(v: Lanes, m: list[str]) -> list[str]:
    """Gᵀ"""
    near, near_odd = (v.times(NEAR_SCALE, make(m[1], m[2])) for make in (v.add, v.sub))
    far, far_odd = (v.times(FAR_SCALE, make(m[3], m[4])) for make in (v.add, v.sub))
    return [
        v.add(v.more(1 / BOTH, m[0], near), far),
        v.more(NEAR, near_odd, v.times(FAR, far_odd)),
        v.more(NEAR**2, near, v.more(FAR**2, far, m[5])),
    ]


def _both_ways(
    v: Lanes, line: Line, size: int, read: Callable[[int, int], str], write: Any
) -> None:
    """write(i, j, value) for the transform of read(i, j) with i, j < size: columns, then rows."""
    columns = [line(v, [read(i, j) for i in range(size)]) for j in range(size)]
    for i in range(len(columns[0])):
        for j, value in enumerate(line(v, [column[i] for column in columns])):
            write(i, j, value)


def spreading(
    name: str, line: Line, size: int, stored: DType, dtype: DType, lanes: int,
    together: int = CHANNELS,
) -> tuple[str, list[str]]:  # fmt: skip
    """Function: a square of `size` elements to 36 planes, for `count` channels, a multiple of
    `together`. Elements are `stored` in memory, and widened as they are read.

    Element (i, j) stands at source[i·down + j·across + channel]; point n goes to
    target[n·plane + channel // 16 · group + channel % 16], with `together` in the place of 16.
    """
    body = Body()
    v = Lanes(body, dtype, lanes)
    with body.loop("0", "%count", together, "c") as channel:
        start = body.mul(body.div(channel, str(together)), "%group")
        for first in range(0, together, lanes):
            base = body.add(channel, str(first))

            def read(i: int, j: int, base: str = base) -> str:
                line_start = body.add(base, body.mul(str(i), "%down"))
                place = body.add(line_start, body.mul(str(j), "%across"))
                return load_as(body, "%source", lanes, stored, dtype, place)

            def write(i: int, j: int, value: str, first: int = first) -> None:
                place = body.add(start, body.mul(str(i * SEEN + j), "%plane"))
                store(body, "%target", v.kind, dtype, body.add(place, str(first)), value)

            _both_ways(v, line, size, read, write)
    parameters = ["ptr noalias %source", "i64 %down", "i64 %across", "ptr noalias %target"]
    return function(name, [*parameters, "i64 %plane", "i64 %group", "i64 %count"], body)


def collecting(name: str, line: Line, dtype: DType, lanes: int) -> tuple[str, list[str]]:
    """Function: 36 planes back to a square, for `count` channels.

    Point n stands at source[n·plane + channel]; element (i, j) goes to
    target[i·down + j·across + channel].
    """
    body = Body()
    v = Lanes(body, dtype, lanes)
    with body.loop("0", "%count", lanes, "c") as channel:

        def read(i: int, j: int) -> str:
            place = body.add(channel, body.mul(str(i * SEEN + j), "%plane"))
            return load(body, "%source", v.kind, dtype, place)

        def write(i: int, j: int, value: str) -> None:
            line_start = body.add(channel, body.mul(str(i), "%down"))
            place = body.add(line_start, body.mul(str(j), "%across"))
            store(body, "%target", v.kind, dtype, place, value)

        _both_ways(v, line, SEEN, read, write)
    parameters = ["ptr noalias %source", "i64 %plane", "ptr noalias %target"]
    return function(name, [*parameters, "i64 %down", "i64 %across", "i64 %count"], body)

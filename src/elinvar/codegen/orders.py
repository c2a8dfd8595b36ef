"""The order of a sum where symbolic dims turn out to be 1.

Axes of size 1 do not count in the order of a sum (`reducing.py`, `columns.py`). A kernel is made
for symbolic dims as if they were larger. Where some of them are 1 the order may be another one: the
last axis that counts is summed instead of kept, or the other way round; axes that a kept one stood
between become neighbours; chunks run along another axis. Which order it is follows from the sizes
of the call. Kernels whose order can change hold a second way, which takes any order, term by term:
slower, with the same bits as a kernel made for these very sizes.

All orders are one: terms in row-major order, in periods (all terms of the last run of neighbouring
summed axes, or of the last summed axis), within them in blocks (tiles of 16384, or chunks of 256),
within those in lanes (16 or 1). Lanes are combined by halves, blocks are added up in order.
"""

from __future__ import annotations

from dataclasses import dataclass

from elinvar.codegen.body import Body
from elinvar.core.shapes import DimLike, Shape

TILE = 16384  # elements of a row
CHUNK = 256  # rows of a column


@dataclass(frozen=True, slots=True)
class Order:
    """An order that is known when the kernel runs, as names of 64-bit integers.

    `is_row`: whether the last axis that counts is summed, as an i1. `along`: the size of the last
    summed axis that counts.
    """

    is_row: str
    along: str
    period: str
    block: str
    mask: str  # of an element's number in its period: the lane


def run_time_order(body: Body, space: Shape, axes: tuple[int, ...]) -> Order:
    """The order of a sum over some axes, computed from the sizes of the call."""
    row, along = "1", "1"  # terms of the last run, the last summed axis that counts
    closed: str | None = None  # whether a kept axis that counts stands behind; "true" for static
    for axis in reversed(range(len(space))):
        extent = body.dim(space[axis])
        if axis in axes:
            grown = body.mul(row, extent)
            if closed is None:
                row = grown
            elif closed != "true":
                row = _select(body, closed, row, grown)
            is_first = body.instruction(f"icmp eq i64 {along}, 1", "c")
            along = _select(body, is_first, extent, along)
        elif not may_be_one(space[axis]):
            closed = "true"
        elif closed != "true":
            counts = body.instruction(f"icmp ne i64 {extent}, 1", "c")
            closed = counts if closed is None else body.instruction(f"or i1 {closed}, {counts}")
    is_row = body.instruction(f"icmp ne i64 {row}, 1", "row")
    return Order(
        is_row,
        along,
        body.maximum(_select(body, is_row, row, along), "1"),
        _select(body, is_row, str(TILE), str(CHUNK)),
        _select(body, is_row, "15", "0"),
    )


def _select(body: Body, condition: str, yes: str, no: str) -> str:
    return body.instruction(f"select i1 {condition}, i64 {yes}, i64 {no}", "n")


def rows_may_change(space: Shape, axes: tuple[int, ...]) -> bool:
    """Whether the order of a sum over the last axis and others may change: the last run of summed
    axes, or all kept ones before it, may have size 1. One run alone has one order."""
    runs = _runs(space, axes)
    return len(runs) > 2 and any(all(map(may_be_one, run)) for run in runs[-2:])


def columns_may_be_rows(space: Shape, axes: tuple[int, ...]) -> bool:
    """Whether all kept axes behind the last summed one may have size 1."""
    return all(map(may_be_one, space[max(axes) + 1 :]))


def _runs(space: Shape, axes: tuple[int, ...]) -> list[Shape]:
    """Neighbouring axes of one kind, from the first summed one on."""
    runs: list[Shape] = []
    before = None
    for axis in range(min(axes), len(space)):
        if (axis in axes) is before:
            runs[-1] = (*runs[-1], space[axis])
        else:
            runs.append((space[axis],))
        before = axis in axes
    return runs


def may_be_one(extent: DimLike) -> bool:
    """Whether a size may be 1, as far as the ranges of its names tell."""
    return extent == 1 if isinstance(extent, int) else (extent.least() or 0) < 2
